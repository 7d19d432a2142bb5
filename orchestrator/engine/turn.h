/*
 * Inside the engine: what its parts share of one turn.
 *
 * A turn takes requests and time, appends what is decided, and keeps what has
 * to leave for after the commit. requests.c takes requests, operator.c those of operators; engine.c
 * opens, keeps time and commits; tell.c tells who asked of an end; turn.c is what all stand on. Not
 * for anybody else.
 */
#ifndef SAGA_TURN_H
#define SAGA_TURN_H

#include "census.h"
#include "checkpointer.h"
#include "engine.h"
#include "ids.h"
#include "room.h"

/* What waits for the commit. */
struct pending {
    enum { PENDING_ANSWER = 1, PENDING_SEND, PENDING_CHANGED } type;
    uint64_t after_lsn;              /* durable first */
    struct saga_request *request;    /* ANSWER */
    const struct saga_plan *plan;    /* SEND */
    struct saga_outstanding command; /* SEND */
    struct saga_id saga;             /* CHANGED */
    const char *status;
};

struct saga_engine {
    struct saga_engine_config config;
    struct saga_log *log;
    struct saga_outlet outlet;
    struct saga_recall *recall; /* owns the following four */
    struct saga_coordinator *coordinator;
    struct saga_roster *roster;
    struct saga_start_keys *keys;
    struct saga_registry *registry;
    struct saga_outcomes *outcomes;
    struct saga_id_source ids;
    struct saga_room room;
    int64_t base_ms;                        /* the engine's time is boot_ms + this */
    struct saga_checkpointer *checkpointer; /* owned */
    struct saga_purger *purger;             /* owned */
    bool purge_due;                         /* found by a sweep */
    uint64_t epoch_lsn;
    int64_t epoch_ms; /* when it began */
    uint32_t epoch;
    bool opened; /* what recovery found may leave */
    bool draining;
    bool tell_due;      /* an end waits for the next commit, with or without records */
    int64_t tell_at_ms; /* boot time: no end is given to the outlet before this */
    int64_t mark_at_ms; /* boot time: when what was told is to be in the log; INT64_MAX: it is */
    struct pending *pending;
    size_t pending_count;
    size_t pending_room;
    unsigned kinds; /* of failpoints in this batch */
    struct saga_engine_stats stats;
};

/* What was written cannot be read: nothing here can be trusted. Says why, and ends the process with
 * the fault's exit status. */
_Noreturn void saga_turn_give_up(const struct saga_fault *fault);

/* Room for one more thing that leaves after what is appended so far. */
struct pending *saga_turn_pend(struct saga_engine *engine);

/* Answers a request, after the commit. */
void saga_turn_answer(struct saga_engine *engine, struct saga_request *request,
                      enum saga_result result);

/* The same, with why. */
__attribute__((format(printf, 4, 5))) void saga_turn_refuse(struct saga_engine *engine,
                                                            struct saga_request *request,
                                                            enum saga_result result,
                                                            const char *format, ...);

/* True if the saga is quarantined, and not even in the coordinator: what its records say
 * cannot be gone by. */
SAGA_CHECKED bool saga_turn_set_aside(const char *status);

/* What is committed; until the next commit. This and those that follow end the process where the
 * log cannot be read. */
struct saga_log_reader *saga_turn_reader(struct saga_engine *engine);

/* A saga, open or ended however long ago. False: there is none. */
SAGA_CHECKED bool saga_turn_find(struct saga_engine *engine, const struct saga_id *id,
                                 struct saga_census_line *line);

/* A walk over all of them (census.h), within one turn. */
void saga_turn_begin_list(struct saga_engine *engine, const char *status,
                          const struct saga_id *before, struct saga_census *census);
SAGA_CHECKED bool saga_turn_next(struct saga_census *census, struct saga_census_line *line);

uint64_t saga_turn_count(struct saga_engine *engine);

/* What the open sagas may still need of the log, and what the next checkpoint writes. */
struct saga_room_rows saga_turn_rows(const struct saga_engine *engine);

/* What a start key was used for. False: never. */
SAGA_CHECKED bool saga_turn_find_key(struct saga_engine *engine, const struct saga_start_key *key,
                                     struct saga_start_key *earlier);

/* Takes what an operator wants (operator.c). */
void saga_turn_operate(struct saga_engine *engine, struct saga_request *request,
                       struct saga_moment now);

/* Adds a record to the batch, and says of whom it tells that somebody waits for the end. */
void saga_turn_append(struct saga_engine *engine, const struct saga_record *record);

/* Somebody who started a saga once more is to be told of its end, too; `asker` as in its request.
 */
void saga_turn_ask(struct saga_engine *engine, const struct saga_id *id, struct saga_bytes asker);

/* Gives the outlet the ends that are durable, some of them; returns how many. */
size_t saga_turn_tell(struct saga_engine *engine, struct saga_moment now);

/* Takes the word that one of those was told. */
void saga_turn_told(struct saga_engine *engine, struct saga_request *request,
                    struct saga_moment now);

/* Puts what was told into the log, where it is time, and sees what is to be given out. Returns
 * when to call again at the latest, which is in the future; INT64_MAX: never. */
int64_t saga_turn_remember(struct saga_engine *engine, struct saga_moment now);

/* The engine's own time. */
int64_t saga_turn_time(const struct saga_engine *engine, struct saga_moment now);

/* An input with what every input has. */
struct saga_input saga_turn_input(const struct saga_engine *engine, enum saga_door door,
                                  struct saga_moment now);

/* Appends what was decided, keeps the effects for after the commit, and
 * answers what the core asks back: all in this batch, so that no decision is
 * torn. */
void saga_turn_take_over(struct saga_engine *engine, const struct saga_update *update,
                         struct saga_moment now);

/* Gives the core an input, and takes over what it decides. */
enum saga_answer saga_turn_step(struct saga_engine *engine, const struct saga_input *input,
                                struct saga_moment now);

/* An attempt of which no byte can arrive any more. */
void saga_turn_unsent(struct saga_engine *engine, const struct saga_command_id *command,
                      uint32_t attempt, struct saga_moment now);

#endif
