#include "booking.h"

#include "effect.h"

#include <string.h>

/* Room for what stands before ":<uuid>" in a reference. */
#define SLOT_BYTES_MAX 64

/* Steps a statement that gives at most one booking: (id, status, reference). 1: it
 * is in *booking; 0: there is none; -1: an error. */
static int take_booking(sqlite3_stmt *statement, json_t **booking) {
    int status = sqlite3_step(statement);
    if (status == SQLITE_DONE) {
        return 0;
    }
    if (status != SQLITE_ROW) {
        return -1;
    }
    *booking = json_pack("{s:I, s:s, s:s}", "id", (json_int_t)sqlite3_column_int64(statement, 0),
                         "status", sqlite3_column_text(statement, 1), "parking_slot_ref_no",
                         sqlite3_column_text(statement, 2));
    return *booking == NULL ? -1 : 1;
}

/* Answers with the booking that a change has left, or with the refusal. */
static enum saga_wire_outcome answer(struct saga_call *call, sqlite3_stmt *statement,
                                     const char *done, const char *rejected) {
    json_t *booking = NULL;
    switch (take_booking(statement, &booking)) {
    case 1:
        return saga_effect_answer(call, SAGA_WIRE_DONE, done, booking);
    case 0:
        return saga_effect_rejected(call, rejected);
    default:
        return saga_call_fail(call, NULL);
    }
}

static enum saga_wire_outcome create(struct saga_call *call) {
    const char *slot = saga_call_text(call, "parking_slot_uuid");
    if (!saga_wire_name_check(slot, SLOT_BYTES_MAX) || strchr(slot, ':') != NULL) {
        return saga_effect_rejected(call, "BOOKING_INVALID");
    }
    /* A saga has one booking at a time: another step's is a conflict, a rejected
     * one (of an earlier incarnation) is not. */
    sqlite3_stmt *statement =
        saga_call_statement(call, "INSERT INTO bookings(status, parking_slot_ref_no, uuid) "
                                  "VALUES('pending', ?1 || ':' || ?2, ?2) ON CONFLICT DO NOTHING "
                                  "RETURNING id, status, parking_slot_ref_no");
    if (statement == NULL ||
        sqlite3_bind_text(statement, 1, slot, -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_bind_text(statement, 2, call->command->saga, -1, SQLITE_STATIC) != SQLITE_OK) {
        return saga_call_fail(call, NULL);
    }
    return answer(call, statement, "BOOKING_CREATED", "BOOKING_INVALID");
}

/* The saga's booking that is alive. SQLite finds it by the index of these only where a statement
 * says what the index does, word for word: no status that it asks for beside implies it. */
#define ALIVE " uuid = ?1 AND status <> 'rejected' "

/* Moves the saga's booking on. */
static enum saga_wire_outcome advance(struct saga_call *call, const char *sql, const char *done,
                                      const char *rejected) {
    sqlite3_stmt *statement = saga_call_statement(call, sql);
    if (statement == NULL ||
        sqlite3_bind_text(statement, 1, call->command->saga, -1, SQLITE_STATIC) != SQLITE_OK) {
        return saga_call_fail(call, NULL);
    }
    return answer(call, statement, done, rejected);
}

static enum saga_wire_outcome approve(struct saga_call *call) {
    return advance(call,
                   "UPDATE bookings SET status = 'approved' WHERE" ALIVE "AND status = 'pending' "
                   "RETURNING id, status, parking_slot_ref_no",
                   "BOOKING_APPROVED", "BOOKING_APPROVAL_FAILED");
}

static enum saga_wire_outcome pay(struct saga_call *call) {
    return advance(call,
                   "UPDATE bookings SET status = 'paid' WHERE" ALIVE "AND status = 'approved' "
                   "RETURNING id, status, parking_slot_ref_no",
                   "BOOKING_PAID", "BOOKING_PAYMENT_FAILED");
}

static enum saga_wire_outcome reject(struct saga_call *call) {
    const json_t *id = json_object_get(call->result, "id");
    if (!json_is_integer(id)) {
        return saga_call_fail(call, "the result of '%s' has no booking's id", call->command->step);
    }
    sqlite3_stmt *statement = saga_call_statement(
        call, "UPDATE bookings SET status = 'rejected' WHERE id = ?1 AND status <> 'paid'");
    if (statement == NULL ||
        sqlite3_bind_int64(statement, 1, json_integer_value(id)) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_DONE) {
        return saga_call_fail(call, NULL);
    }
    if (sqlite3_changes(call->database) == 0) {
        return saga_effect_rejected(call, "BOOKING_REJECTION_FAILED");
    }
    return saga_effect_done(call, "BOOKING_REJECTED");
}

static const struct saga_service_command commands[] = {
    {"booking.create", SAGA_WIRE_ACTION, NULL, create},
    {"booking.approve", SAGA_WIRE_ACTION, NULL, approve},
    {"booking.pay", SAGA_WIRE_ACTION, NULL, pay},
    {"booking.reject", SAGA_WIRE_COMPENSATION, NULL, reject},
};

static const struct saga_service service = {
    .name = "booking",
    .schema = "CREATE TABLE IF NOT EXISTS bookings ("
              "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
              "  status TEXT NOT NULL"
              "    CHECK (status IN ('pending', 'approved', 'paid', 'rejected')),"
              "  parking_slot_ref_no TEXT NOT NULL,"
              "  uuid TEXT NOT NULL CHECK (length(uuid) = 36),"
              "  CHECK (parking_slot_ref_no LIKE '_%:' || uuid)"
              ") STRICT;"
              "CREATE UNIQUE INDEX IF NOT EXISTS bookings_alive ON bookings(uuid)"
              "  WHERE status <> 'rejected';" SAGA_EFFECT_SCHEMA,
    .command_count = sizeof commands / sizeof commands[0],
    .commands = commands,
};

const struct saga_service *saga_booking_service(void) {
    return &service;
}
