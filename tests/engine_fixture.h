/*
 * The engine on a real log. Its clock, its random numbers and its participants
 * are the test's, so equal scripts write equal logs (but for the log's own
 * identity).
 *
 * Hides how the two are opened, the loop around the engine, and the outlet:
 * commands that left are looked up in what was sent.
 *
 * Failures end the test (Check).
 *
 * Threads: one; it has one world.
 */
#ifndef SAGA_ENGINE_FIXTURE_H
#define SAGA_ENGINE_FIXTURE_H

#include "engine.h"

#define WORLD_SENT_MAX 256

/* A command as it left. */
struct sent {
    struct saga_command_id id;
    char name[64];
    char body[512]; /* as far as there is room */
    uint32_t attempt;
    uint64_t durable; /* of the log, as it left */
    int64_t command_at_ms;
};

/* An end, as somebody is told it. */
struct told {
    struct saga_id saga;
    const char *status;
    char asker[64];
    uint64_t durable;
};

extern struct world {
    /* The test's to set, before it is opened or at any time between two calls. */
    const char *data_dir;
    uint64_t map_bytes;
    uint32_t sagas_max;
    const char *guard_path;                  /* NULL: recovery is not guarded */
    struct saga_checkpoint_pace checkpoints; /* as by default, until they are set */
    struct saga_retention retention;         /* likewise */
    struct saga_moment now;
    bool refuses; /* the outlet carries nothing */
    bool is_mute; /* nor tells it anybody of an end */
    /* To be looked at. */
    struct saga_log *log;
    struct saga_engine *engine;
    struct saga_recovery_report report;
    size_t sent_count;     /* since it was opened */
    size_t answered_count; /* of the requests below */
    const char *status;    /* as last reported */
    size_t told_count;     /* ends, since it was opened */
    size_t released_count; /* how often all was out, and what had left by then */
    size_t sent_when_released, answered_when_released;
} world;

/* A new one in `data_dir` (not copied), not open yet: 1,000 sagas, 512 MiB of log. */
void world_init(const char *data_dir);

/* A daemon's start: opens the log, or creates it, and recovers. No definition is
 * loaded, and nothing is sent. */
void world_open(void);
/* The same, where recovery may fail: then the log is open, and the engine is not. */
enum saga_error world_try_open(struct saga_fault *fault);
/* The log alone, for records by hand: closed with saga_log_close(). */
void world_open_log(void);
/* As a kill would: what was not committed is gone. */
void world_close(void);

/* Parses what must be right; the caller frees it or gives it to the engine. */
struct saga_definition *world_definition(const char *text);
/* Loads it. Not committed. */
void world_define(const char *text);

/* Until nothing is pending. */
void world_commit(void);
/* Lets time pass; nothing is done. */
void world_sleep(int64_t ms);
/* Lets time pass, and does what is due. */
void world_pass(int64_t ms);

struct saga_bytes world_bytes(const char *text);
/* Requests whose answers are counted; the first has a type and no more. */
struct saga_request world_request(enum saga_request_type type);
struct saga_request world_start_request(const char *saga, const char *key, const char *input,
                                        struct saga_listing *listing);
struct saga_request world_reply_request(const struct sent *to, const char *body);

/* The engine takes it, and commits. */
void world_take(struct saga_request *request);
enum saga_answer world_reply(const struct sent *to, const char *body);
/* How the saga is listed; `status` NULL: it is not known. */
struct saga_listing world_find(struct saga_id id);
struct saga_engine_stats world_stats(void);

/* What left as the `number`th since it was opened, from 0 on: it must have left,
 * and not more than WORLD_SENT_MAX after it. Valid until so many have. */
const struct sent *world_sent(size_t number);
/* Likewise, who was told. */
const struct told *world_told(size_t number);

#endif
