#include "stats.h"

/* One group of counters: names and values, one after the other. */
struct counter {
    const char *name;
    uint64_t value;
};

static json_t *group(const struct counter *counters, size_t count) {
    json_t *json = json_object();
    for (size_t i = 0; i < count; i++) {
        /* Adding to NULL, or adding NULL, fails; a group that is not whole is none. */
        if (json_object_set_new(json, counters[i].name,
                                json_integer((json_int_t)counters[i].value)) != 0) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}
#define GROUP(...)                                                                                 \
    group((const struct counter[]){__VA_ARGS__},                                                   \
          sizeof((const struct counter[]){__VA_ARGS__}) / sizeof(struct counter))

/* Counters that are numbered from 1 by an enum, under its names. */
static json_t *numbered(const uint64_t *values, uint8_t count, const char *(*name)(uint8_t)) {
    json_t *json = json_object();
    for (uint8_t i = 1; i <= count; i++) {
        if (json_object_set_new(json, name(i), json_integer((json_int_t)values[i])) != 0) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}

static const char *answer_name(uint8_t answer) {
    static const char *const names[SAGA_ANSWER_COUNT + 1] = {
        [SAGA_ANSWER_TAKEN] = "taken",     [SAGA_ANSWER_PENDING] = "pending",
        [SAGA_ANSWER_ALREADY] = "already", [SAGA_ANSWER_LATE] = "late",
        [SAGA_ANSWER_REFUSED] = "refused", [SAGA_ANSWER_STALE] = "stale",
        [SAGA_ANSWER_FULL] = "full",       [SAGA_ANSWER_NO_SAGA] = "no_saga",
    };
    return names[answer];
}

static json_t *replies(const struct saga_engine_stats *stats) {
    json_t *json =
        GROUP({"received", stats->replies}, {"malformed", stats->replies_malformed},
              {"unlisted", stats->replies_unlisted}, {"unknown_saga", stats->replies_unknown_saga},
              {"stale", stats->replies_stale});
    if (json_object_set_new(
            json, "verdicts",
            numbered(stats->core.verdicts, SAGA_VERDICT_COUNT, saga_verdict_name)) != 0 ||
        json_object_set_new(json, "answers",
                            numbered(stats->core.reply_answers, SAGA_ANSWER_COUNT, answer_name)) !=
            0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *commands(const struct saga_engine_stats *stats) {
    json_t *json =
        GROUP({"sent", stats->commands_sent}, {"refused", stats->commands_refused},
              {"asked_again", stats->core.asked_again}, {"released", stats->core.released},
              {"resent", stats->core.resent}, {"hurried", stats->core.hurried});
    if (json_object_set_new(
            json, "attempts",
            numbered(stats->core.sent, SAGA_OPERATION_COUNT, saga_operation_name)) != 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

json_t *saga_stats_json(const struct saga_engine_stats *engine, const struct saga_api_stats *api) {
    const struct saga_counters *core = &engine->core;
    const struct saga_log_usage *log = &engine->log;
    /* clang-format off */
    return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
        "epoch", (json_int_t)engine->epoch,
        "last_lsn", (json_int_t)engine->last_lsn,
        "sagas", GROUP({"known", engine->sagas_known}, {"open", core->open},
                       {"parked", core->parked}, {"quarantined", core->quarantined},
                       {"orphans_rearmed", core->orphans_rearmed}),
        "starts", GROUP({"started", engine->started}, {"started_again", engine->started_again},
                        {"conflicts", engine->start_conflicts},
                        {"refused", engine->starts_refused}),
        "outcomes", GROUP({"open", engine->outcomes_open}, {"untold", engine->outcomes_untold},
                          {"told", engine->outcomes_told}),
        "replies", replies(engine),
        "commands", commands(engine),
        "records", numbered(core->facts, SAGA_FACT_COUNT, saga_fact_name),
        "batches", GROUP({"committed", engine->batches},
                         {"records_max", engine->batch_records_max}),
        "log", GROUP({"records", log->records}, {"record_bytes", log->record_bytes},
                     {"commits", log->commits}, {"bytes", log->bytes},
                     {"bytes_max", log->bytes_max},
                     {"bytes_usable", engine->log_bytes_usable},
                     {"bytes_needed", engine->log_bytes_needed}),
        "checkpoints", GROUP({"completed", engine->checkpoints.checkpoints},
                             {"rows", engine->checkpoints.rows},
                             {"last_lsn", engine->checkpoints.lsn}),
        "purged", GROUP({"sagas", engine->purged.sagas}, {"blocks", engine->purged.blocks},
                        {"records_kept", engine->purged.records},
                        {"through_lsn", engine->first_lsn - 1},
                        {"retention_percent", (uint64_t)(engine->purged.share * 100)}),
        "api", GROUP({"requests", api->requests}, {"refused", api->refused},
                     {"responses_1xx", api->responses[1]}, {"responses_2xx", api->responses[2]},
                     {"responses_3xx", api->responses[3]}, {"responses_4xx", api->responses[4]},
                     {"responses_5xx", api->responses[5]}, {"connections", api->connections},
                     {"connections_open", api->connections_open},
                     {"connections_cut", api->connections_cut}, {"waiting", api->waiting}));
    /* clang-format on */
}
