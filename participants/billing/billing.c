#include "billing.h"

#include "effect.h"

/* The bill's reference; NULL if the body has none that can be kept. */
static const char *reference_of(const struct saga_call *call) {
    const char *reference = saga_call_text(call, "parking_slot_ref_no");
    return saga_wire_name_check(reference, SAGA_WIRE_NAME_BYTES_MAX) ? reference : NULL;
}

/* The total; 0 if what the body says is none. */
static json_int_t total_of(const struct saga_call *call) {
    const json_t *total = json_object_get(call->body, "total");
    if (total == NULL) {
        return SAGA_BILLING_TOTAL_DEFAULT;
    }
    json_int_t value = json_integer_value(total); /* 0 for what is no integer: 1.5, "100" */
    return value > 0 ? value : 0;
}

static enum saga_wire_outcome authorize(struct saga_call *call) {
    const char *reference = reference_of(call);
    json_int_t total = total_of(call);
    bool over = call->switches->limited && total > call->switches->limit;
    if (reference == NULL || total == 0 || over) {
        return saga_effect_rejected(call, "BILL_FAILED");
    }
    sqlite3_stmt *statement = saga_call_statement(
        call, "INSERT INTO billing_requests(total, status, reference_no) VALUES(?1, 'paid', ?2) "
              "ON CONFLICT DO NOTHING");
    if (statement == NULL || sqlite3_bind_int64(statement, 1, total) != SQLITE_OK ||
        sqlite3_bind_text(statement, 2, reference, -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_DONE) {
        return saga_call_fail(call, NULL);
    }
    if (sqlite3_changes(call->database) == 0) {
        return saga_effect_rejected(call, "BILL_FAILED"); /* one is paid already */
    }
    return saga_effect_done(call, "PAYMENT_SUCCESSFUL");
}

static enum saga_wire_outcome refund(struct saga_call *call) {
    const char *reference = reference_of(call);
    if (reference == NULL) {
        /* Not "refunded": this one's action took effect on some bill. */
        return saga_effect_rejected(call, "BILL_REFUND_FAILED");
    }
    sqlite3_stmt *statement =
        saga_call_statement(call, "UPDATE billing_requests SET status = 'refunded' "
                                  "WHERE reference_no = ?1 AND status = 'paid'");
    if (statement == NULL ||
        sqlite3_bind_text(statement, 1, reference, -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_DONE) {
        return saga_call_fail(call, NULL);
    }
    return saga_effect_done(call, "BILL_REFUNDED");
}

static const struct saga_service_command commands[] = {
    {"billing.authorize_payment", SAGA_WIRE_ACTION, "BILL_FAILED", authorize},
    {"pay.bill", SAGA_WIRE_ACTION, "BILL_FAILED", authorize},
    /* No rejected event for --fail, as with parking.unblock. */
    {"billing.refund", SAGA_WIRE_COMPENSATION, NULL, refund},
};

static const struct saga_service service = {
    .name = "billing",
    .schema = "CREATE TABLE IF NOT EXISTS billing_requests ("
              "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
              "  total INTEGER NOT NULL CHECK (total > 0),"
              "  status TEXT NOT NULL CHECK (status IN ('paid', 'refunded')),"
              "  reference_no TEXT NOT NULL CHECK (length(reference_no) > 0)"
              ") STRICT;"
              "CREATE UNIQUE INDEX IF NOT EXISTS billing_requests_paid"
              "  ON billing_requests(reference_no) WHERE status = 'paid';" SAGA_EFFECT_SCHEMA,
    .command_count = sizeof commands / sizeof commands[0],
    .commands = commands,
};

const struct saga_service *saga_billing_service(void) {
    return &service;
}
