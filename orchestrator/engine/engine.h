/*
 * The engine: requests in, records into the log, effects out.
 *
 * Hides start keys, which saga is where in the log, the rendering of command
 * bodies, and group commit: requests are taken one after the other, their
 * records are appended, one commit makes all of them durable, and only then
 * does anything leave.
 *
 * Promises:
 *  1. Nothing leaves (no command, no answer) before the records that explain it
 *     are durable.
 *  2. One saga per start key; concurrent starts of one key are one start.
 *  3. Who is to be told of a saga's end is told at least once, whatever dies when; a
 *     second time only if the process dies within a second of the first, or before an
 *     earlier end is told.
 *  4. It reads no clock, draws no random numbers of its own and starts no
 *     thread: time and randomness come with its configuration and calls, so a
 *     simulation runs this very code.
 *
 * Threads: one, the engine's. Others hand it requests through an inbox
 * (inbox.h) and may call saga_engine_definition() once it is open.
 */
#ifndef SAGA_ENGINE_H
#define SAGA_ENGINE_H

#include "checkpointer.h"
#include "coordinator.h"
#include "definition.h"
#include "error.h"
#include "log.h"
#include "purger.h"
#include "recall.h"

struct saga_engine;

/* Now, as two clocks tell it. Durations go by the first; the second is for
 * people. The engine's own time (`at_ms` of its records) begins at the wall's,
 * or at the log's last record if that is later, and then advances with the
 * first clock: so it never goes backwards, and a wall clock that jumps moves no
 * timer. */
struct saga_moment {
    int64_t boot_ms; /* CLOCK_BOOTTIME */
    int64_t wall_ms; /* since 1970 UTC */
};

/* ---------------------------------------------------------------- requests */

enum saga_request_type {
    SAGA_REQUEST_START = 1,
    SAGA_REQUEST_REPLY,  /* a participant's word, from a transport */
    SAGA_REQUEST_UNSENT, /* a transport's: no byte of this sending can arrive any more */
    SAGA_REQUEST_RESEND, /* a transport's: it had lost its peer, and has found it again */
    SAGA_REQUEST_HURRY,  /* a transport's: it had its peer, which took nothing, and does again */
    SAGA_REQUEST_TOLD,   /* a transport's: an asker of saga `id` knows of its end, or is gone */
    SAGA_REQUEST_CANCEL,
    SAGA_REQUEST_RETRY,
    SAGA_REQUEST_RESOLVE,          /* an operator's verdict on a step in doubt */
    SAGA_REQUEST_MARK_COMPENSATED, /* a debt is paid ... */
    SAGA_REQUEST_WRITE_OFF,        /* ... or given up */
    SAGA_REQUEST_FIND,             /* where a saga stands in the log */
    SAGA_REQUEST_LIST,
    SAGA_REQUEST_STATS,
};

/* The most that a START can say of who is to be told of the end. */
#define SAGA_ASKER_BYTES_MAX 4096

/* What became of a request; the API's status code is in the comment. */
enum saga_result {
    SAGA_RESULT_OK = 1,        /* 200: found; the same start again; nothing to do */
    SAGA_RESULT_CREATED,       /* 201: started */
    SAGA_RESULT_ACCEPTED,      /* 202: what an operator wants is recorded */
    SAGA_RESULT_INVALID,       /* 400 */
    SAGA_RESULT_NO_SAGA,       /* 404: no saga of this id */
    SAGA_RESULT_NO_DEFINITION, /* 404: no definition of this name */
    SAGA_RESULT_CONFLICT,      /* 409: key used with another input; verb refused */
    SAGA_RESULT_TOO_LARGE,     /* 413 */
    SAGA_RESULT_FULL,          /* 507: no room for another saga */
    SAGA_RESULT_DRAINING,      /* 503: the daemon is stopping */
};

/* A line of LIST, and what FIND gives. */
struct saga_listing {
    struct saga_id id;
    uint64_t last_lsn; /* durable */
    uint64_t definition_lsn;
    const char *status; /* public name; static; "purged": its key is all that is left of it */
    bool left_out;      /* quarantined since it brought recovery down: do not fold it */
};

/* One request. Made by whoever asks, who owns it again when `answered` is
 * called: on the engine's thread, after whatever it caused is durable. */
struct saga_request {
    struct saga_request *next; /* for the inbox and the engine */
    uint8_t type;              /* enum saga_request_type */
    void (*answered)(struct saga_request *request);
    void *context; /* the asker's */

    /* In. Borrowed until answered. */
    const char *saga;       /* START: the definition's name. LIST: a filter, or NULL */
    struct saga_bytes key;  /* START: start key, size 0: none. Operators: who */
    struct saga_bytes body; /* START: input. REPLY: body, size 0: none. Operators: why */
    struct saga_id id; /* operators, FIND, TOLD. LIST: those older than this one; zero: from the
                          newest on */
    struct saga_bytes content; /* RESOLVE done: the result, JSON; size 0: none. START: who is to
                                  be told of the end, for outlet.ended(); size 0: nobody */
    struct saga_command_id command; /* REPLY, UNSENT */
    struct saga_bytes step;         /* the step's name. REPLY: where command.step is not set.
                                       RESOLVE, MARK_COMPENSATED, WRITE_OFF: always */
    uint32_t attempt;               /* REPLY (0: not said), UNSENT */
    uint8_t verdict;    /* RESOLVE: done or rejected. REPLY: enum saga_verdict as the outcome header
                           says it; 0: the body's reply_state decides */
    const char *status; /* LIST: a filter, or NULL */
    size_t limit;       /* LIST: room in `listings` */

    /* Out. */
    uint8_t result;                /* enum saga_result */
    uint8_t answer;                /* REPLY, operators: enum saga_answer */
    char text[256];                /* why, where result is an error */
    struct saga_listing *listings; /* FIND: room for 1. LIST: the asker's, `limit` of them */
    size_t listing_count;
    struct saga_engine_stats *stats; /* STATS: the asker's */
};

/* ------------------------------------------------------------------ outlet */

/* A command on its way to its participant. Texts and body are borrowed for the
 * call. */
struct saga_dispatch {
    struct saga_command_id id;
    const struct saga_definition *definition;
    const char *participant; /* its name */
    const char *name;        /* the command's: "parking.block" */
    uint32_t attempt;
    uint32_t epoch;
    int64_t issued_at_ms;  /* this sending */
    int64_t command_at_ms; /* when the command was issued: the same on every attempt */
    int64_t deadline_ms;   /* of the command; 0: none */
    const void *body;
    size_t body_size;
};

/* Where effects go. Called on the engine's thread, only after a commit. */
struct saga_outlet {
    void *context;
    /* Hands a command over; must not block. False: nobody carries commands to
     * this participant, and no byte has left (the engine records it as unsent). */
    bool (*send)(void *context, const struct saga_dispatch *dispatch);
    /* A saga has another status. NULL: nobody is interested. */
    void (*changed)(void *context, const struct saga_id *id, const char *status);
    /* A saga has ended whose START said who is to be told: `asker`, as it was said (borrowed), is
     * to be told `status`, until SAGA_REQUEST_TOLD says that it is; one of those for each call. In
     * the order of the ends; after a restart of everything again of which the log does not say that
     * it was told. False: not now; it is given again in a second. NULL: nobody is told. */
    bool (*ended)(void *context, const struct saga_id *id, const char *status,
                  struct saga_bytes asker);
    /* All that one commit has let go of is out: commands, answers, changes, ends. What gathers them
     * may go. NULL: nobody gathers. */
    void (*released)(void *context);
};

/* ------------------------------------------------------------------ engine */

struct saga_engine_config {
    struct saga_limits limits;
    uint64_t hash_seed; /* of the tables in memory; secret against crafted keys */
    /* Fills `bytes` with random ones, for ids. */
    void (*random)(void *context, void *bytes, size_t size);
    void *random_context;
    uint32_t full_percent;  /* of the log's room: from this on no saga is started */
    const char *guard_path; /* of recovery (guard.h); NULL: none */
    struct saga_checkpoint_pace checkpoints;
    struct saga_retention retention; /* of sagas that have ended */
};
void saga_engine_config_default(struct saga_engine_config *config);

/* Recovers the state from the log and begins a new epoch. Nothing is sent
 * before saga_engine_commit() and later turns. `log` stays the caller's.
 *
 * Errors: LOG_REFUSED, LOG_WRITE, FULL (more open sagas than the limit),
 * FAILED (memory). */
SAGA_CHECKED enum saga_error saga_engine_open(struct saga_engine **engine, struct saga_log *log,
                                              const struct saga_engine_config *config,
                                              const struct saga_outlet *outlet,
                                              struct saga_moment now,
                                              struct saga_recovery_report *report,
                                              struct saga_fault *fault);
void saga_engine_close(struct saga_engine *engine);

/* Makes a definition the one that new sagas of its name are started by; logs it
 * if the log does not have it (by content hash). Takes the definition over.
 * Errors: FULL. */
SAGA_CHECKED enum saga_error saga_engine_define(struct saga_engine *engine,
                                                struct saga_definition *definition,
                                                struct saga_moment now, struct saga_fault *fault);

/* The definition that was logged at this LSN; NULL: none. */
const struct saga_definition *saga_engine_definition(const struct saga_engine *engine,
                                                     uint64_t definition_lsn);

/* All that are in the log, in its order: number `index`, from 0; NULL: no more. */
const struct saga_definition *saga_engine_definition_at(const struct saga_engine *engine,
                                                        uint32_t index);

/* Takes one request. It is answered by a later saga_engine_commit(). */
void saga_engine_take(struct saga_engine *engine, struct saga_request *request,
                      struct saga_moment now);

/* Does what is due now. Returns the boot_ms at which to call again at the
 * latest (INT64_MAX: never); not later than now if more is due already. */
int64_t saga_engine_tick(struct saga_engine *engine, struct saga_moment now);

/* True if the batch should be committed before more is taken. */
SAGA_CHECKED bool saga_engine_batch_full(const struct saga_engine *engine);

/* True if there are records, answers, commands or ends that wait for a commit. */
SAGA_CHECKED bool saga_engine_pending(const struct saga_engine *engine);

/* How many sagas have not ended. */
uint64_t saga_engine_open_sagas(const struct saga_engine *engine);

/* One commit; then the effects, in order. A command that the outlet refuses is
 * recorded as unsent, so there may be something pending again. Errors:
 * LOG_WRITE: the process must end (exit status 8); nothing was answered. */
SAGA_CHECKED enum saga_error saga_engine_commit(struct saga_engine *engine, struct saga_moment now,
                                                struct saga_fault *fault);

/* Looks for sagas that nothing would wake, and arms them: every half minute.
 * The counter orphans_rearmed says how many there were; it must stay 0. */
void saga_engine_sweep(struct saga_engine *engine, struct saga_moment now);

/* No saga is started, no command sent, and nothing becomes due from here on. The next
 * saga_engine_tick() puts into the log what was told of ends. */
void saga_engine_drain(struct saga_engine *engine);

/* Every counter there is. */
struct saga_engine_stats {
    struct saga_counters core;
    struct saga_log_usage log;
    uint64_t log_bytes_usable; /* the map, or less where the file system has less */
    uint64_t log_bytes_needed; /* at the most, for what is open to end (room.h) */
    uint64_t started, started_again, start_conflicts, starts_refused;
    uint64_t replies, replies_malformed, replies_unlisted, replies_unknown_saga, replies_stale;
    uint64_t commands_sent, commands_refused;
    uint64_t outcomes_told;   /* to one asker each */
    uint64_t outcomes_open;   /* sagas, now: of which somebody is to be told */
    uint64_t outcomes_untold; /* that have ended, and perhaps somebody does not know */
    uint64_t sagas_known;     /* open and ended, in memory */
    uint64_t batches, batch_records_max;
    struct saga_checkpointer_counts checkpoints;
    struct saga_purger_counts purged;
    uint64_t first_lsn; /* in the log */
    uint32_t epoch;
    uint64_t last_lsn;
};

#endif
