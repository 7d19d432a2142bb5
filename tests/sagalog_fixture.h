/*
 * A log to look at, written by the real engine, and the built sagalog to look at
 * it with.
 *
 * Hides the engine's clock, ids and participants: they are the test's, so equal
 * scripts write equal logs (but for the log's own identity).
 *
 * Failures end the test (Check).
 *
 * Threads: one.
 */
#ifndef SAGALOG_FIXTURE_H
#define SAGALOG_FIXTURE_H

#include "engine.h"
#include "scratch.h"

/* ------------------------------------------------------------------ writing */

/* Opens (or creates) the log in `data_dir`, and an engine on it that knows the
 * saga "booking": a daemon's start. One at a time. */
void daemon_open(const char *data_dir);
/* Before the first daemon_open(): a checkpoint after so many records, in the smallest slices. */
void daemon_checkpoint_every(uint64_t records);
/* Likewise: how long ended sagas are known. Copied. */
void daemon_retain(const struct saga_retention *retention);
/* As a kill would: nothing is said goodbye to. */
void daemon_kill(void);
/* The next start, 5 s later. */
void daemon_restart(void);

/* Lets time pass, and does what is due. */
void daemon_pass(int64_t ms);

/* Nobody carries commands any more, or again. */
void daemon_refuse(bool refuse);

/* How much of its log is in use. */
uint64_t daemon_log_bytes(void);
/* Writes so much that a log of which nobody keeps a view would not grow. */
void daemon_write(uint64_t bytes);

struct saga_id booking_start(const char *key, const char *input);
/* The answer to the saga's latest command of this name; `verdict` 0: the body
 * says it. Asserts that there was such a command. */
void booking_answer(struct saga_id id, const char *command, const char *body, uint8_t verdict);
/* The same, and the body is {"reply_state":"EVENT"}. */
void booking_say(struct saga_id id, const char *command, const char *event);
void booking_operate(struct saga_id id, uint8_t verb, const char *who, const char *why);

/* The same with a verb about a step: `request` has its type, step, verdict and content. */
void booking_settle(struct saga_id id, struct saga_request request, const char *who,
                    const char *why);
/* How it stands. */
const char *booking_state(struct saga_id id);

/* Appends one record by hand, past the engine, to the log in `data_dir`, which
 * no daemon has open. lsn and epoch are set. Returns its lsn. */
uint64_t record_append(const char *data_dir, struct saga_record record);

/* ------------------------------------------------------------------ looking */

/* What the last run printed; NUL-terminated. */
extern char *printed;
extern size_t printed_size;
extern char *complained;

/* Runs sagalog --data-dir DATA_DIR with the arguments (up to NULL); returns its
 * exit status. */
int sagalog_run(const char *data_dir, ...);
#define SAGALOG(...) sagalog_run(__VA_ARGS__, (char *)NULL)

/* sagalog, running: its standard output is read from `out`. */
struct sagalog_process {
    pid_t pid;
    int out;
    int err; /* a file */
    char *text;
    size_t size;
};
void sagalog_start(struct sagalog_process *process, const char *data_dir, ...);
/* Reads until `text` is in what it has printed. Fails after 20 s. */
void sagalog_await(struct sagalog_process *process, const char *text);
/* Waits for its end; its wait status. `complained` is what it said. */
int sagalog_end(struct sagalog_process *process);

/* Whether `part` is in `text`. */
void expect_in(const char *text, const char *part);
void expect_not_in(const char *text, const char *part);

#endif
