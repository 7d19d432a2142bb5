/*
 * A service: the business code that a participant runs, and nothing else.
 *
 * A service is a constant table: its name, its tables, and one function per
 * command. What a function writes is committed in the same transaction as the
 * row that says it was done, or not at all, so it is written as if each command
 * arrived exactly once and none was ever lost.
 *
 * Threads: a service never changes; its functions run on the thread of the
 * participant that they are given.
 */
#ifndef SAGA_SERVICE_H
#define SAGA_SERVICE_H

#include "switches.h"
#include "wire.h"

#include <jansson.h>
#include <sqlite3.h>

/* One run of business code. */
struct saga_call {
    /* What is asked; borrowed for the call. */
    sqlite3 *database;                       /* inside the transaction: neither begin nor commit */
    const struct saga_wire_command *command; /* saga, step, incarnation, ... */
    const json_t *body;                      /* the command's body: an object */
    const json_t *result;                    /* compensation: the content of the action's reply
                                                (json_null() where it had none); action: NULL */
    const struct saga_participant_switches *switches;
    int64_t now_ms;
    struct saga_database *statements; /* for saga_call_statement() */

    /* What is answered, by saga_call_answer(). */
    const char *event;
    json_t *content;
    char failure[256];    /* NONE: why */
    bool database_failed; /* NONE: the database failed, and with it the whole batch */
};

/* Sets the answer: `event` is the reply_state, a string literal; `content` any
 * JSON (NULL: null), whose reference passes to the call. Returns `outcome`. */
enum saga_wire_outcome saga_call_answer(struct saga_call *call, enum saga_wire_outcome outcome,
                                        const char *event, json_t *content);

/* What a function returns when it cannot tell an outcome, for it met an error
 * (`format`, or NULL: SQLite's latest). What it wrote is taken back, and the
 * answer is `retry`. Returns NONE. */
__attribute__((format(printf, 2, 3))) enum saga_wire_outcome
saga_call_fail(struct saga_call *call, const char *format, ...);

/* The prepared statement of a string literal, kept from call to call, with no
 * bindings. NULL on an error: return saga_call_fail(call, NULL). */
sqlite3_stmt *saga_call_statement(struct saga_call *call, const char *sql);

/* The text of a member of the body; NULL if it is missing or no text. */
const char *saga_call_text(const struct saga_call *call, const char *key);

struct saga_service_command {
    const char *name;                   /* "parking.block" */
    enum saga_wire_operation operation; /* ACTION or COMPENSATION */
    const char *rejected_event; /* what --fail answers; NULL: it can only be told to retry */
    /*
     * Runs the business code. Returns
     *   DONE      it took effect: what was written is committed with the answer;
     *   REJECTED  a business no: what was written (a note, no effect) is committed
     *             with the answer; of a compensation: it cannot be undone, what
     *             was written is taken back;
     *   RETRY     not this time: what was written is taken back, nothing is kept;
     *   NONE      by saga_call_fail().
     */
    enum saga_wire_outcome (*run)(struct saga_call *call);
};

struct saga_service {
    const char *name;   /* "parking": its commands are parking.*, its fence is parking.fence */
    const char *schema; /* SQL: CREATE TABLE IF NOT EXISTS ... */
    size_t command_count;
    const struct saga_service_command *commands;
};

#endif
