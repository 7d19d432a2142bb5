/* sagalog stats: counts, and the size of the log. */
#include <inttypes.h>
#include <string.h>

#include "recollection.h"
#include "scan.h"
#include "session.h"

/* The statuses that a saga can have, in the order of its life. */
static const char *const statuses[] = {"running",
                                       "compensating",
                                       "parked",
                                       "completed",
                                       "compensated",
                                       "completed_manually",
                                       "compensated_manually",
                                       "inconsistent",
                                       "quarantined"};
#define STATUS_COUNT (sizeof statuses / sizeof statuses[0])

struct counts {
    uint64_t records;
    uint64_t sagas;
    uint64_t definitions;
    uint64_t first_lsn;
    uint64_t last_lsn;
    uint64_t by_fact[SAGA_FACT_COUNT + 1]; /* 0: facts of a later version */
    uint64_t by_status[STATUS_COUNT];
    struct saga_log_usage usage;
};

static enum saga_error count_records(struct saga_session *session, struct counts *counts) {
    struct saga_scan scan;
    struct saga_record record;
    enum saga_error error = saga_scan_open(&scan, session->log, 0, &session->fault);
    if (error == SAGA_OK) {
        counts->first_lsn = scan.next_lsn;
        counts->last_lsn = scan.last_lsn;
    }
    while (error == SAGA_OK) {
        error = saga_scan_next(&scan, &record, &session->fault);
        if (error == SAGA_OK) {
            counts->records++;
            counts->by_fact[record.fact <= SAGA_FACT_COUNT ? record.fact : 0]++;
        }
    }
    saga_scan_close(&scan);
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}

static enum saga_error count_sagas(struct saga_session *session, struct counts *counts) {
    struct saga_recollection recollection;
    enum saga_error error = saga_recollection_open(&recollection, session->log, &session->fault);
    if (error == SAGA_OK) {
        struct saga_census census;
        struct saga_census_line line;
        counts->definitions = recollection.recall->report.definitions;
        error = saga_recollection_walk(&recollection, &census, &session->fault);
        while (error == SAGA_OK &&
               (error = saga_census_next(&census, &line, &session->fault)) == SAGA_OK) {
            counts->sagas++;
            for (size_t j = 0; j < STATUS_COUNT; j++) {
                counts->by_status[j] += strcmp(line.status, statuses[j]) == 0;
            }
        }
        error = error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
    }
    saga_recollection_close(&recollection);
    return error;
}

/* ---------------------------------------------------------------- printing */

static bool set_count(json_t *json, const char *name, uint64_t count) {
    return json_object_set_new(json, name, json_integer((json_int_t)count)) == 0;
}

static json_t *facts_json(const struct counts *counts) {
    json_t *json = json_object();
    bool whole = json != NULL;
    for (uint8_t i = 1; i <= SAGA_FACT_COUNT && whole; i++) {
        whole = set_count(json, saga_fact_name(i), counts->by_fact[i]);
    }
    if (!whole) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *statuses_json(const struct counts *counts) {
    json_t *json = json_object();
    bool whole = json != NULL;
    for (size_t i = 0; i < STATUS_COUNT && whole; i++) {
        whole = set_count(json, statuses[i], counts->by_status[i]);
    }
    if (!whole) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *counts_json(const struct saga_session *session, const struct counts *counts) {
    /* clang-format off */
    /* json_pack fails, and lets go of what it was given, if one of them is NULL. */
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}",
                     "log", saga_log_identity(session->log),
                     "epoch", (json_int_t)saga_log_epoch(session->log),
                     "bytes", (json_int_t)counts->usage.bytes,
                     "bytes_max", (json_int_t)counts->usage.bytes_max,
                     "records", (json_int_t)counts->records,
                     "first_lsn", (json_int_t)counts->first_lsn,
                     "last_lsn", (json_int_t)counts->last_lsn,
                     "definitions", (json_int_t)counts->definitions,
                     "sagas", (json_int_t)counts->sagas,
                     "sagas_by_status", statuses_json(counts),
                     "records_by_fact", facts_json(counts));
    /* clang-format on */
}

static void print_count(FILE *out, const char *indent, const char *name, uint64_t count) {
    (void)fprintf(out, "%s%-*s %12" PRIu64 "\n", indent, (int)(24 - strlen(indent)), name, count);
}

static void print_counts(const struct saga_session *session, const struct counts *counts) {
    FILE *out = session->output.file;
    (void)fprintf(out, "log %s\n", saga_log_identity(session->log));
    print_count(out, "", "epoch", saga_log_epoch(session->log));
    print_count(out, "", "bytes", counts->usage.bytes);
    print_count(out, "", "bytes_max", counts->usage.bytes_max);
    print_count(out, "", "definitions", counts->definitions);
    print_count(out, "", "sagas", counts->sagas);
    for (size_t i = 0; i < STATUS_COUNT; i++) {
        print_count(out, "  ", statuses[i], counts->by_status[i]);
    }
    print_count(out, "", "records", counts->records);
    for (uint8_t i = 1; i <= SAGA_FACT_COUNT; i++) {
        print_count(out, "  ", saga_fact_name(i), counts->by_fact[i]);
    }
}

enum saga_error saga_stats_run(struct saga_session *session) {
    struct counts counts = {0};
    enum saga_error error = count_sagas(session, &counts);
    if (error == SAGA_OK) {
        error = count_records(session, &counts);
    }
    if (error != SAGA_OK) {
        return error;
    }
    saga_log_usage(session->log, &counts.usage);
    if (session->json) {
        return saga_output_json(&session->output, counts_json(session, &counts), &session->fault);
    }
    print_counts(session, &counts);
    return SAGA_OK;
}
