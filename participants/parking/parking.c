#include "parking.h"

#include "effect.h"
#include "uuid.h"

#include <string.h>

/* The slots that a change of one slot's state by this call's reference has changed:
 * 0 or 1; -1 on an error. `sql` has the slot as ?1 and the reference as ?2. */
static int change(struct saga_call *call, const char *sql) {
    const char *reference = saga_call_text(call, "parking_slot_ref_no");
    const char *colon = reference == NULL ? NULL : strchr(reference, ':');
    if (colon == NULL || colon[1] == '\0') {
        return 0; /* it names no slot, or no holder */
    }
    sqlite3_stmt *statement = saga_call_statement(call, sql);
    if (statement == NULL ||
        sqlite3_bind_text(statement, 1, reference, (int)(colon - reference), SQLITE_STATIC) !=
            SQLITE_OK ||
        sqlite3_bind_text(statement, 2, reference, -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_DONE) {
        return -1;
    }
    return sqlite3_changes(call->database);
}

static enum saga_wire_outcome block(struct saga_call *call) {
    switch (change(call, "UPDATE parking_slots SET status = 'blocked', held_by = ?2 "
                         "WHERE uuid = ?1 AND status = 'available'")) {
    case 1:
        return saga_effect_done(call, "PARKING_AVAILABLE");
    case 0:
        return saga_effect_rejected(call, "PARKING_UNAVAILABLE");
    default:
        return saga_call_fail(call, NULL);
    }
}

static enum saga_wire_outcome reserve(struct saga_call *call) {
    switch (change(call, "UPDATE parking_slots SET status = 'reserved' "
                         "WHERE uuid = ?1 AND status = 'blocked' AND held_by = ?2")) {
    case 1:
        return saga_effect_done(call, "PARKING_RESERVED");
    case 0:
        return saga_effect_rejected(call, "PARKING_RESERVATION_FAILED");
    default:
        return saga_call_fail(call, NULL);
    }
}

/* 1 if this reference has the slot reserved; 0; -1 on an error. */
static int is_reserved(struct saga_call *call) {
    /* Changes nothing but the count: what is reserved stays so. */
    return change(call, "UPDATE parking_slots SET status = 'reserved' "
                        "WHERE uuid = ?1 AND status = 'reserved' AND held_by = ?2");
}

static enum saga_wire_outcome unblock(struct saga_call *call) {
    int freed = change(call, "UPDATE parking_slots SET status = 'available', held_by = NULL "
                             "WHERE uuid = ?1 AND status = 'blocked' AND held_by = ?2");
    int reserved = freed == 0 ? is_reserved(call) : 0;
    if (freed < 0 || reserved < 0) {
        return saga_call_fail(call, NULL);
    }
    if (reserved == 1) {
        /* "Unblocked" would say that nothing of this booking is left here. */
        return saga_effect_rejected(call, "PARKING_UNBLOCK_FAILED");
    }
    return saga_effect_done(call, "PARKING_UNBLOCKED");
}

static const struct saga_service_command commands[] = {
    {"parking.block", SAGA_WIRE_ACTION, "PARKING_UNAVAILABLE", block},
    {"parking.reserve", SAGA_WIRE_ACTION, "PARKING_RESERVATION_FAILED", reserve},
    /* No rejected event for --fail: a refused compensation parks the saga, and the
     * tests want one that is retried. */
    {"parking.unblock", SAGA_WIRE_COMPENSATION, NULL, unblock},
};

static const struct saga_service service = {
    .name = "parking",
    .schema = "CREATE TABLE IF NOT EXISTS parking_slots ("
              "  uuid TEXT NOT NULL PRIMARY KEY CHECK (length(uuid) BETWEEN 1 AND 64),"
              "  name TEXT NOT NULL CHECK (length(name) > 0),"
              "  status TEXT NOT NULL DEFAULT 'available'"
              "    CHECK (status IN ('available', 'blocked', 'reserved')),"
              "  held_by TEXT UNIQUE,"
              "  CHECK ((status = 'available') = (held_by IS NULL))"
              ") STRICT;" SAGA_EFFECT_SCHEMA,
    .command_count = sizeof commands / sizeof commands[0],
    .commands = commands,
};

const struct saga_service *saga_parking_service(void) {
    return &service;
}

enum saga_error saga_parking_slot_create(struct saga_participant *participant, const char *name,
                                         char uuid[37], struct saga_fault *fault) {
    json_t *text = json_string(name); /* NULL where it is not UTF-8 */
    size_t size = json_string_length(text);
    json_decref(text);
    if (size == 0 || size > SAGA_PARKING_NAME_BYTES_MAX) {
        return saga_fault_set(fault, SAGA_ERROR_INVALID,
                              "a slot's name has 1 to %d bytes of UTF-8, e.g. --name='Slot 1'",
                              SAGA_PARKING_NAME_BYTES_MAX);
    }
    if (uuid[0] == '\0') {
        saga_uuid_make(uuid);
    }
    sqlite3 *database = saga_participant_database(participant);
    sqlite3_stmt *statement = NULL;
    bool created =
        sqlite3_prepare_v2(database, "INSERT INTO parking_slots(uuid, name) VALUES(?1, ?2)", -1,
                           &statement, NULL) == SQLITE_OK &&
        sqlite3_bind_text(statement, 1, uuid, -1, SQLITE_STATIC) == SQLITE_OK &&
        sqlite3_bind_text(statement, 2, name, -1, SQLITE_STATIC) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_DONE;
    enum saga_error error = SAGA_OK;
    if (!created) {
        bool taken = sqlite3_extended_errcode(database) == SQLITE_CONSTRAINT_PRIMARYKEY;
        error = saga_fault_set(fault, taken ? SAGA_ERROR_CONFLICT : SAGA_ERROR_FAILED,
                               "slot %s was not created: %s", uuid, sqlite3_errmsg(database));
    }
    sqlite3_finalize(statement);
    return error;
}
