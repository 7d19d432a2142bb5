/*
 * A participant: a service whose commands each take effect once, whatever the
 * transport loses, doubles, reorders or delays.
 *
 * Hides the fence row, the inbox and the transaction around the business code
 * (docs/semantics.md, "The participant's fence"). It does not know how a command
 * arrives: a transport hands it the deliveries at hand, and sends the replies.
 *
 * Promises, for one (saga, step, incarnation):
 *  1. the action takes effect at most once, and every definite verdict on it is
 *     repeated to duplicates, a rejection too;
 *  2. after a compensation, a fence or a settle was answered, the action never takes
 *     effect; after a settle the compensation neither;
 *  3. a compensation takes effect at most once, and only if the action did;
 *  4. a reply is returned only after what it says is committed.
 *
 * Threads: one participant belongs to one thread at a time. Several processes may
 * have participants of one service on one file.
 */
#ifndef SAGA_PARTICIPANT_H
#define SAGA_PARTICIPANT_H

#include "error.h"
#include "switches.h"
#include "wire.h"

#include <stddef.h>
#include <stdint.h>

struct saga_participant;
struct saga_service; /* service.h; parking.h, booking.h, billing.h give one each */
struct sqlite3;

/* Commands are counted from the opening on. */
struct saga_participant_counts {
    uint64_t commands;  /* taken in, whatever became of them */
    uint64_t batches;   /* transactions committed */
    uint64_t ran;       /* runs of business code that were committed */
    uint64_t replayed;  /* answered from the row */
    uint64_t buried;    /* tombstones written */
    uint64_t retried;   /* told to retry by the service or by --fail */
    uint64_t failed;    /* runs of business code that ended in an error: told to retry */
    uint64_t malformed; /* refused: no usable identity */
    uint64_t foreign;   /* refused: another service's command */
    uint64_t conflicts; /* refused: a known action with another body (must be 0) */
    uint64_t expired;   /* refused: older than the rows that are kept */
    uint64_t damaged;   /* refused: its row cannot be read (must be 0) */
};

/* All zero: the defaults. */
struct saga_participant_options {
    struct saga_participant_switches switches;
    int64_t retention_ms; /* how long rows are kept; 0: SAGA_PARTICIPANT_RETENTION_MS */

    /* What a simulation replaces. NULL: the real thing. */
    void *context;
    int64_t (*now_ms)(void *context);               /* ms since 1970 UTC; the wall clock */
    void (*pause)(void *context, int64_t delay_ms); /* --delay; the thread sleeps */
    /* --crash; the process kills itself with SIGKILL. If the function returns, the
     * participant behaves as if it had died: nothing uncommitted is kept, and all
     * replies of the batch are silent. */
    void (*crash)(void *context, const char *command, enum saga_participant_crash moment);
};

/* Longer than any saga should stay open, short enough to bound the table. */
#define SAGA_PARTICIPANT_RETENTION_MS (INT64_C(30) * 24 * 3600 * 1000)

/* What the clocks of orchestrator and participant may differ by. */
#define SAGA_PARTICIPANT_SKEW_MS (INT64_C(3600) * 1000)

/* Opens (or creates) the service's database at `path`; ":memory:" is gone with
 * the participant. `options` may be NULL, and is copied. FAILED if the database
 * cannot be used; CONFLICT if it is another service's, or of a newer format. */
SAGA_CHECKED enum saga_error saga_participant_open(struct saga_participant **participant,
                                                   const struct saga_service *service,
                                                   const char *path,
                                                   const struct saga_participant_options *options,
                                                   struct saga_fault *fault);

/* The same for a database that exists already; NOT_FOUND if it does not. */
SAGA_CHECKED enum saga_error saga_participant_open_existing(
    struct saga_participant **participant, const struct saga_service *service, const char *path,
    const struct saga_participant_options *options, struct saga_fault *fault);

/* NULL is allowed. */
void saga_participant_close(struct saga_participant *participant);

/* The most commands of one batch: what is at hand beyond them waits for the next. */
#define SAGA_PARTICIPANT_BATCH_MAX 4096

/*
 * Carries out `count` commands in one transaction (group commit), each in a
 * savepoint of its own, in their order; then commits.
 *
 * Ensures on SAGA_OK: what the replies say is committed; replies[i] answers
 * commands[i], or is silent (and says why if the command is to be thrown away).
 * On FAILED (the database is locked for more than 5 s, full, or damaged) nothing
 * was changed, all replies are silent, and the commands are to be delivered again.
 *
 * `replies` need no initialisation, and are the caller's to free, each.
 */
SAGA_CHECKED enum saga_error saga_participant_apply(struct saga_participant *participant,
                                                    const struct saga_wire_command *commands,
                                                    size_t count, struct saga_wire_reply *replies,
                                                    struct saga_fault *fault);

/*
 * Deletes the rows that were written before the retention's time; `purged` (may
 * be NULL) says how many. Nothing else deletes rows: call it daily, or never.
 *
 * What was purged is not forgotten: a command that may have had a row among them
 * is refused from then on, because nobody can tell any more what became of its
 * action. So an open saga older than the retention can no longer be compensated
 * here: choose a retention longer than sagas stay open.
 */
SAGA_CHECKED enum saga_error saga_participant_purge(struct saga_participant *participant,
                                                    uint64_t *purged, struct saga_fault *fault);

struct saga_participant_counts saga_participant_counts(const struct saga_participant *participant);

/* The service's name; lives as long as the service. */
const char *saga_participant_name(const struct saga_participant *participant);

/* The database's handle, for services' own queries and for simulations; not to be
 * closed, and with no transaction left open on it. */
struct sqlite3 *saga_participant_database(struct saga_participant *participant);

/* USAGE, naming it, if a switch names a command that none of the services has. */
SAGA_CHECKED enum saga_error
saga_participant_switches_check(const struct saga_participant_switches *switches,
                                const struct saga_service *const *services, size_t count,
                                struct saga_fault *fault);

#endif
