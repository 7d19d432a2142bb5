#include "shop_service.h"

#include <string.h>

/* Adds `amount` for this step; used by every function, so that what is taken back
 * is seen to be taken back. */
static bool add(struct saga_call *call, int amount) {
    sqlite3_stmt *statement = saga_call_statement(
        call, "INSERT INTO takings(saga, step, incarnation, amount) VALUES(?1, ?2, ?3, ?4)");
    return statement != NULL &&
           sqlite3_bind_text(statement, 1, call->command->saga, -1, SQLITE_STATIC) == SQLITE_OK &&
           sqlite3_bind_text(statement, 2, call->command->step, -1, SQLITE_STATIC) == SQLITE_OK &&
           sqlite3_bind_int64(statement, 3, call->command->incarnation) == SQLITE_OK &&
           sqlite3_bind_int(statement, 4, amount) == SQLITE_OK &&
           sqlite3_step(statement) == SQLITE_DONE;
}

static enum saga_wire_outcome take(struct saga_call *call) {
    if (!add(call, 1)) {
        return saga_call_fail(call, NULL);
    }
    /* A number that only the first run can give: a replay must repeat it. */
    json_int_t number = sqlite3_last_insert_rowid(call->database);
    return saga_call_answer(call, SAGA_WIRE_DONE, "TAKEN", json_pack("{s:I}", "number", number));
}

static enum saga_wire_outcome refuse(struct saga_call *call) {
    if (!add(call, 0)) {
        return saga_call_fail(call, NULL);
    }
    return saga_call_answer(call, SAGA_WIRE_REJECTED, "SOLD_OUT", json_pack("{s:i}", "left", 0));
}

static enum saga_wire_outcome later(struct saga_call *call) {
    if (!add(call, 1)) {
        return saga_call_fail(call, NULL);
    }
    return saga_call_answer(call, SAGA_WIRE_RETRY, "CLOSED", NULL);
}

/* Writes, and then meets a rule of the database. */
static enum saga_wire_outcome stumble(struct saga_call *call) {
    if (!add(call, 1) || !add(call, 100)) {
        return saga_call_fail(call, NULL);
    }
    return saga_call_answer(call, SAGA_WIRE_DONE, "TAKEN", NULL);
}

static enum saga_wire_outcome shout(struct saga_call *call) {
    if (!add(call, 1)) {
        return saga_call_fail(call, NULL);
    }
    static char noise[SAGA_WIRE_BODY_BYTES_MAX + 1];
    memset(noise, 'A', sizeof noise - 1);
    return saga_call_answer(call, SAGA_WIRE_DONE, "TAKEN", json_string(noise));
}

/* Writes, and then looks at something that has no end. */
static enum saga_wire_outcome look(struct saga_call *call) {
    sqlite3_stmt *statement =
        saga_call_statement(call, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                                  "SELECT count(*) FROM n");
    if (!add(call, 1) || statement == NULL || sqlite3_step(statement) != SQLITE_ROW) {
        return saga_call_fail(call, NULL);
    }
    return saga_call_answer(call, SAGA_WIRE_DONE, "SEEN", NULL);
}

/* Gives back what the action took; its answer carries the action's own number. */
static enum saga_wire_outcome give_back(struct saga_call *call) {
    if (!add(call, -1)) {
        return saga_call_fail(call, NULL);
    }
    json_t *number = json_object_get(call->result, "number");
    return saga_call_answer(call, SAGA_WIRE_DONE, "GIVEN_BACK",
                            json_pack("{s:O?}", "given", number));
}

/* Cannot give back before the body says that it may. */
static enum saga_wire_outcome give_back_if_allowed(struct saga_call *call) {
    if (!add(call, -1)) {
        return saga_call_fail(call, NULL);
    }
    if (!json_is_true(json_object_get(call->body, "allowed"))) {
        return saga_call_answer(call, SAGA_WIRE_REJECTED, "NOT_ALLOWED", NULL);
    }
    return saga_call_answer(call, SAGA_WIRE_DONE, "GIVEN_BACK", NULL);
}

static const struct saga_service_command commands[] = {
    {"shop.take", SAGA_WIRE_ACTION, "SOLD_OUT", take},
    {"shop.refuse", SAGA_WIRE_ACTION, "SOLD_OUT", refuse},
    {"shop.later", SAGA_WIRE_ACTION, NULL, later},
    {"shop.stumble", SAGA_WIRE_ACTION, NULL, stumble},
    {"shop.shout", SAGA_WIRE_ACTION, NULL, shout},
    {"shop.look", SAGA_WIRE_ACTION, NULL, look},
    {"till.take", SAGA_WIRE_ACTION, NULL, take}, /* another name of shop.take */
    {"shop.give_back", SAGA_WIRE_COMPENSATION, NULL, give_back},
    {"shop.give_back_later", SAGA_WIRE_COMPENSATION, NULL, later},
    {"shop.give_back_if_allowed", SAGA_WIRE_COMPENSATION, NULL, give_back_if_allowed},
};

const struct saga_service shop_service = {
    .name = "shop",
    .schema = "CREATE TABLE IF NOT EXISTS takings("
              "  id INTEGER PRIMARY KEY, saga TEXT, step TEXT, incarnation INTEGER,"
              "  amount INTEGER CHECK (amount BETWEEN -1 AND 1)) STRICT;",
    .command_count = sizeof commands / sizeof commands[0],
    .commands = commands,
};
