#include "engine.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "failpoint.h"
#include "turn.h"

/* -------------------------------------------------------------------- time */

int64_t saga_engine_tick(struct saga_engine *engine, struct saga_moment now) {
    struct saga_update update;
    const int64_t remember_at_ms = saga_turn_remember(engine, now);
    if (engine->draining) {
        /* What is held back would be taken for sent, and its attempt for expired. After the
         * restart nothing fires before it was sent. */
        return INT64_MAX;
    }
    struct saga_input input = saga_turn_input(engine, SAGA_DOOR_TICK, now);
    saga_coordinator_step(engine->coordinator, &input, &update);
    int64_t wake_at_ms = update.wake_at_ms;
    bool more = update.record_count > 0; /* what follows may be due earlier */
    saga_turn_take_over(engine, &update, now);
    if (more) {
        return now.boot_ms;
    }
    wake_at_ms = wake_at_ms == INT64_MAX ? INT64_MAX : wake_at_ms - engine->base_ms;
    return remember_at_ms < wake_at_ms ? remember_at_ms : wake_at_ms;
}

void saga_engine_sweep(struct saga_engine *engine, struct saga_moment now) {
    struct saga_input input = saga_turn_input(engine, SAGA_DOOR_SWEEP, now);
    (void)saga_turn_step(engine, &input, now);
    engine->purge_due = saga_purger_due(engine->purger) <= input.event.at_ms;
}

const struct saga_definition *saga_engine_definition_at(const struct saga_engine *engine,
                                                        uint32_t index) {
    return index < saga_registry_count(engine->registry)
               ? saga_registry_nth(engine->registry, index)
               : NULL;
}

void saga_engine_drain(struct saga_engine *engine) {
    engine->draining = true;
}

/* ------------------------------------------------------------------ commit */

/* The most records that come of one input: an update's, and the bodies that it asks back, at most
 * one for each step of each saga that it decided about. They are in one batch, or decisions would
 * be torn. And one of what was told. */
#define INPUT_RECORDS_MAX (SAGA_UPDATE_RECORDS_MAX * (1 + SAGA_STEPS_MAX) + 1)
_Static_assert(INPUT_RECORDS_MAX < SAGA_LOG_BATCH_MAX, "an empty batch takes any input");

static uint64_t batch_records(const struct saga_engine *engine) {
    return saga_log_next_lsn(engine->log) - 1 - saga_log_durable(engine->log);
}

/* True if the log has no room for what one more input may bring. */
static bool log_full(const struct saga_engine *engine) {
    return saga_log_batch_full(engine->log) ||
           batch_records(engine) + (uint64_t)INPUT_RECORDS_MAX > SAGA_LOG_BATCH_MAX;
}

bool saga_engine_batch_full(const struct saga_engine *engine) {
    /* What only sends has no record, and must not gather without end either. */
    return log_full(engine) || engine->pending_count >= SAGA_LOG_BATCH_MAX;
}

uint64_t saga_engine_open_sagas(const struct saga_engine *engine) {
    return saga_coordinator_counters(engine->coordinator)->open;
}

/* There is something to commit besides records. */
static bool housekeeping(const struct saga_engine *engine) {
    return saga_checkpointer_busy(engine->checkpointer) || saga_purger_busy(engine->purger) ||
           engine->purge_due;
}

bool saga_engine_pending(const struct saga_engine *engine) {
    return engine->pending_count > 0 || engine->tell_due || housekeeping(engine) ||
           saga_log_durable(engine->log) + 1 < saga_log_next_lsn(engine->log);
}

static void failpoints_after_commit(struct saga_engine *engine) {
    for (unsigned kind = 1; kind <= SAGA_FAILPOINT_KIND_COUNT; kind++) {
        if ((engine->kinds & 1u << kind) != 0) {
            saga_failpoint((enum saga_failpoint_kind)kind, SAGA_FAILPOINT_AFTER_COMMIT);
        }
    }
    engine->kinds = 0;
}

static const struct saga_definition *definition_of(const struct saga_plan *plan) {
    return (const struct saga_definition *)(const void *)((const char *)plan -
                                                          offsetof(struct saga_definition, plan));
}

/* True: handed over. False: nobody carries it. */
static bool dispatch(struct saga_engine *engine, const struct pending *pending) {
    const struct saga_definition *definition = definition_of(pending->plan);
    const struct saga_command_id *id = &pending->command.id;
    const struct saga_definition_step *planned = &definition->steps[id->step];
    struct saga_record record;
    struct saga_fault fault;
    if (saga_log_read(engine->log, &id->saga, pending->command.command_lsn, &record, &fault) !=
        SAGA_OK) {
        saga_turn_give_up(&fault);
    }
    struct saga_dispatch out = {
        .id = *id,
        .definition = definition,
        .participant = definition->participants[planned->participant].name,
        .name =
            saga_definition_command_name(definition, id->step, (enum saga_operation)id->operation),
        .attempt = pending->command.attempt,
        .epoch = engine->epoch,
        .issued_at_ms = saga_coordinator_now(engine->coordinator),
        .command_at_ms = record.at_ms,
        .deadline_ms = pending->command.deadline_ms == INT64_MAX ? 0 : pending->command.deadline_ms,
        .body = record.payload.data,
        .body_size = record.payload.size,
    };
    if (!engine->outlet.send(engine->outlet.context, &out)) {
        engine->stats.commands_refused++;
        return false;
    }
    engine->stats.commands_sent++;
    bool again = pending->command.command_lsn < engine->epoch_lsn;
    saga_failpoint(again                          ? SAGA_FAILPOINT_RECOVERY
                   : id->operation == SAGA_ACTION ? SAGA_FAILPOINT_COMMAND
                                                  : SAGA_FAILPOINT_COMPENSATION,
                   SAGA_FAILPOINT_AFTER_SEND);
    return true;
}

static void release_answer(const struct pending *pending) {
    struct saga_request *request = pending->request;
    uint8_t type = request->type;
    request->answered(request); /* it may be gone now */
    if (type == SAGA_REQUEST_START) {
        saga_failpoint(SAGA_FAILPOINT_START, SAGA_FAILPOINT_AFTER_SEND);
    } else if (type == SAGA_REQUEST_REPLY) {
        saga_failpoint(SAGA_FAILPOINT_REPLY, SAGA_FAILPOINT_AFTER_SEND);
    }
}

/* Lets go of what waited, in order. Gives back the commands that nobody took:
 * they are moved to the front, and their number is returned. */
static size_t release(struct saga_engine *engine, struct pending *pending, size_t count,
                      struct saga_moment now) {
    size_t refused = 0;
    for (size_t i = 0; i < count; i++) {
        assert(pending[i].after_lsn <= saga_log_durable(engine->log));
        switch (pending[i].type) {
        case PENDING_ANSWER:
            release_answer(&pending[i]);
            break;
        case PENDING_SEND:
            if (!engine->draining && !dispatch(engine, &pending[i])) {
                pending[refused++] = pending[i];
            }
            break;
        case PENDING_CHANGED:
            if (engine->outlet.changed != NULL) {
                engine->outlet.changed(engine->outlet.context, &pending[i].saga, pending[i].status);
            }
            break;
        }
    }
    const size_t told = saga_turn_tell(engine, now); /* after the answers to their starts */
    if (count + told > 0 && engine->outlet.released != NULL) {
        engine->outlet.released(engine->outlet.context);
    }
    return refused;
}

/* The checkpointer's share of the batch. */
static enum saga_error checkpoint(struct saga_engine *engine, struct saga_moment now,
                                  struct saga_fault *fault) {
    const struct saga_checkpoint_moment moment = {
        .at_ms = saga_turn_time(engine, now), /* late replies do not go through the coordinator */
        .epoch = engine->epoch,
        .epoch_ms = engine->epoch_ms,
    };
    return saga_checkpointer_slice(engine->checkpointer, &moment, fault);
}

/* The purger's share, after it: who has left the roster has a durable row. */
static enum saga_error purge(struct saga_engine *engine, struct saga_moment now,
                             struct saga_fault *fault) {
    const int64_t at_ms = saga_turn_time(engine, now);
    uint64_t through_lsn = 0;
    if (saga_log_batch_full(engine->log)) {
        return SAGA_OK; /* there may be no room to say it; the next batch has */
    }
    engine->purge_due = false;
    const enum saga_error error = saga_purger_slice(engine->purger, at_ms, &through_lsn, fault);
    if (error == SAGA_OK && through_lsn != 0) {
        const struct saga_record record = {
            .lsn = saga_log_next_lsn(engine->log),
            .at_ms = at_ms,
            .wall_ms = now.wall_ms,
            .epoch = engine->epoch,
            .through_lsn = through_lsn,
            .fact = SAGA_HISTORY_PURGED,
            .step = SAGA_STEP_NONE,
        };
        saga_turn_append(engine, &record);
    }
    return error;
}

static enum saga_error flush(struct saga_engine *engine, struct saga_moment now,
                             struct saga_fault *fault) {
    uint64_t records = batch_records(engine);
    if (records == 0 && !housekeeping(engine)) {
        return SAGA_OK;
    }
    enum saga_error error = checkpoint(engine, now, fault);
    if (error == SAGA_OK) {
        error = purge(engine, now, fault);
    }
    if (error == SAGA_OK) {
        error = saga_log_flush(engine->log, fault);
    }
    if (error != SAGA_OK) {
        return error;
    }
    engine->stats.batches += records > 0;
    if (records > engine->stats.batch_records_max) {
        engine->stats.batch_records_max = records;
    }
    failpoints_after_commit(engine);
    return SAGA_OK;
}

/* Records the commands that nobody took. What follows waits for the next commit, also where the
 * records are too many for one batch. */
static enum saga_error record_unsent(struct saga_engine *engine, const struct pending *refused,
                                     size_t count, struct saga_moment now,
                                     struct saga_fault *fault) {
    enum saga_error error = SAGA_OK;
    for (size_t i = 0; i < count && error == SAGA_OK; i++) {
        saga_turn_unsent(engine, &refused[i].command.id, refused[i].command.attempt, now);
        if (log_full(engine)) {
            error = flush(engine, now, fault);
        }
    }
    return error;
}

enum saga_error saga_engine_commit(struct saga_engine *engine, struct saga_moment now,
                                   struct saga_fault *fault) {
    enum saga_error error = flush(engine, now, fault);
    if (error != SAGA_OK) {
        return error;
    }
    /* New effects may come while these leave: they wait for the next commit. */
    struct pending *leaving = engine->pending;
    size_t count = engine->pending_count;
    size_t room = engine->pending_room;
    engine->pending = NULL;
    engine->pending_count = 0;
    engine->pending_room = 0;
    size_t refused = release(engine, leaving, count, now);
    error = record_unsent(engine, leaving, refused, now, fault);
    if (engine->pending == NULL) { /* keep the memory for the next batch */
        engine->pending = leaving;
        engine->pending_room = room;
    } else {
        free(leaving);
    }
    return error;
}

/* ----------------------------------------------------------------- opening */

static enum saga_error begin_epoch(struct saga_engine *engine, struct saga_moment now,
                                   struct saga_fault *fault) {
    int64_t seen_ms = engine->recall->report.last_ms;
    int64_t begin_ms = now.wall_ms > seen_ms ? now.wall_ms : seen_ms;
    struct saga_input input;
    engine->base_ms = begin_ms - now.boot_ms;
    engine->epoch = saga_log_epoch(engine->log) + 1;
    input = saga_turn_input(engine, SAGA_DOOR_EPOCH, now);
    engine->epoch_lsn = input.next_lsn;
    engine->epoch_ms = input.event.at_ms;
    (void)saga_turn_step(engine, &input, now);
    return saga_engine_commit(engine, now, fault);
}

/* The definitions after the checkpoint are not in its table yet. */
static enum saga_error open_checkpointer(struct saga_engine *engine, struct saga_fault *fault) {
    const struct saga_checkpoint_sources sources = {
        .log = engine->log,
        .coordinator = engine->coordinator,
        .roster = engine->roster,
        .keys = engine->keys,
        .outcomes = engine->outcomes,
    };
    const enum saga_error error =
        saga_checkpointer_open(&engine->checkpointer, &sources, &engine->config.checkpoints, fault);
    if (error != SAGA_OK) {
        return error;
    }
    for (uint32_t i = 0; i < saga_registry_count(engine->registry); i++) {
        const uint64_t lsn = saga_registry_nth(engine->registry, i)->plan.definition_lsn;
        if (lsn > saga_log_checkpoint(engine->log).lsn) {
            saga_checkpointer_define(engine->checkpointer, lsn);
        }
    }
    return SAGA_OK;
}

static enum saga_error open_purger(struct saga_engine *engine, struct saga_fault *fault) {
    const struct saga_purger_sources sources = {
        .log = engine->log,
        .roster = engine->roster,
        .outcomes = engine->outcomes,
        .keys = engine->keys,
    };
    engine->purger = saga_purger_open(&sources, &engine->config.retention);
    return engine->purger != NULL
               ? SAGA_OK
               : saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory to purge the log");
}

/* The saga's entry. Most sagas come in the order of the roster: `next` walks along, so that memory
 * is read in its order. */
static struct saga_roster_entry *entry_of(const struct saga_engine *engine,
                                          struct saga_roster_entry **next,
                                          const struct saga_id *id) {
    while (*next != NULL && memcmp(&(*next)->id, id, sizeof *id) < 0) {
        *next = (*next)->newer;
    }
    return *next != NULL && memcmp(&(*next)->id, id, sizeof *id) == 0
               ? *next
               : saga_roster_find(engine->roster, id);
}

/* What those need that were open already. */
static void reckon_all(struct saga_engine *engine) {
    uint32_t cursor = 0;
    const struct saga_plan *plan;
    const struct saga *saga;
    struct saga_roster_entry *next = saga_roster_oldest(engine->roster);
    while ((saga = saga_coordinator_next(engine->coordinator, &cursor, &plan)) != NULL) {
        struct saga_roster_entry *entry = entry_of(engine, &next, &saga->id);
        if (entry != NULL && !saga_coordinator_quarantined(engine->coordinator, &saga->id)) {
            saga_room_set(&engine->room, entry, plan, saga);
        }
    }
}

static enum saga_error recover(struct saga_engine *engine, struct saga_moment now,
                               struct saga_recovery_report *report, struct saga_fault *fault) {
    const struct saga_recall_options options = {
        .limits = engine->config.limits,
        .hash_seed = engine->config.hash_seed,
        .guard_path = engine->config.guard_path,
    };
    struct saga_log_reader *reader;
    enum saga_error error = saga_log_committed(engine->log, &reader, fault);
    if (error == SAGA_OK) {
        error = saga_recall_open(&engine->recall, reader, &options, fault);
    }
    if (error != SAGA_OK) {
        return error;
    }
    *report = engine->recall->report;
    engine->coordinator = engine->recall->coordinator;
    engine->roster = engine->recall->roster;
    engine->keys = engine->recall->keys;
    engine->registry = engine->recall->registry;
    engine->outcomes = engine->recall->outcomes;
    reckon_all(engine);
    error = open_checkpointer(engine, fault);
    if (error == SAGA_OK) {
        error = open_purger(engine, fault);
    }
    return error == SAGA_OK ? begin_epoch(engine, now, fault) : error;
}

void saga_engine_config_default(struct saga_engine_config *config) {
    *config = (struct saga_engine_config){
        .limits =
            {
                .sagas_max = 1000000,
                .plans_max = 1024,
                .participants_max = 1024,
                .resend_per_second = 20000,
            },
        .full_percent = SAGA_LOG_FULL_PERCENT,
        .checkpoints = saga_checkpoint_pace_default,
        .retention = saga_retention_for_ever,
    };
}

enum saga_error saga_engine_open(struct saga_engine **engine, struct saga_log *log,
                                 const struct saga_engine_config *config,
                                 const struct saga_outlet *outlet, struct saga_moment now,
                                 struct saga_recovery_report *report, struct saga_fault *fault) {
    struct saga_engine *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for the engine");
    }
    made->config = *config;
    made->log = log;
    made->outlet = *outlet;
    made->mark_at_ms = INT64_MAX;
    made->ids =
        (struct saga_id_source){.random = config->random, .context = config->random_context};
    enum saga_error error = recover(made, now, report, fault);
    if (error != SAGA_OK) {
        saga_engine_close(made);
        return error;
    }
    made->opened = true;
    *engine = made;
    return SAGA_OK;
}

void saga_engine_close(struct saga_engine *engine) {
    if (engine == NULL) {
        return;
    }
    saga_purger_close(engine->purger);
    saga_checkpointer_close(engine->checkpointer);
    saga_recall_close(engine->recall);
    free(engine->pending);
    free(engine);
}

static enum saga_error log_definition(struct saga_engine *engine,
                                      struct saga_definition *definition, struct saga_moment now,
                                      struct saga_fault *fault) {
    struct saga_record record = {
        .lsn = saga_log_next_lsn(engine->log),
        .at_ms = saga_turn_time(engine, now),
        .wall_ms = now.wall_ms,
        .epoch = engine->epoch,
        .fact = SAGA_DEFINITION_LOADED,
        .step = SAGA_STEP_NONE,
        .key = {.data = definition->hash, .size = (uint32_t)strlen(definition->hash)},
        .payload = {.data = definition->canonical, .size = (uint32_t)definition->canonical_size},
    };
    enum saga_error error = saga_registry_add(engine->registry, definition, record.lsn, fault);
    if (error != SAGA_OK) {
        return error;
    }
    bool defined = saga_coordinator_define(engine->coordinator, &definition->plan);
    assert(defined); /* the registry has the same limit */
    saga_turn_append(engine, &record);
    saga_checkpointer_define(engine->checkpointer, record.lsn);
    return SAGA_OK;
}

enum saga_error saga_engine_define(struct saga_engine *engine, struct saga_definition *definition,
                                   struct saga_moment now, struct saga_fault *fault) {
    const struct saga_definition *known = saga_registry_by_hash(engine->registry, definition->hash);
    if (known == NULL) {
        enum saga_error error = log_definition(engine, definition, now, fault);
        if (error != SAGA_OK) {
            saga_definition_free(definition);
            return error;
        }
        known = definition;
    } else {
        saga_definition_free(definition);
    }
    saga_registry_make_current(engine->registry, known);
    return SAGA_OK;
}

const struct saga_definition *saga_engine_definition(const struct saga_engine *engine,
                                                     uint64_t definition_lsn) {
    return saga_registry_at(engine->registry, definition_lsn);
}
