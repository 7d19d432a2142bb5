#include "counts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "ids.h"
#include "muster.h"
#include "span.h"
#include "table.h"
#include "time_text.h"

/* In the order of a saga's life. */
static const char *const statuses[SAGA_COUNTS_STATUSES] = {
    "running",
    "compensating",
    "parked",
    "completed",
    "compensated",
    "completed_manually",
    "compensated_manually",
    "inconsistent",
    "quarantined",
};

/* ------------------------------------------------------------------- counting */

static struct saga_counts_group *group_of(struct saga_counts *counts, uint64_t definition_lsn) {
    for (size_t i = counts->group_count; i > 0; i--) {
        if (counts->groups[i - 1].definition_lsn == definition_lsn) {
            return &counts->groups[i - 1];
        }
    }
    struct saga_counts_group *grown =
        reallocarray(counts->groups, counts->group_count + 1, sizeof *grown);
    if (grown == NULL) {
        return NULL;
    }
    counts->groups = grown;
    grown[counts->group_count] = (struct saga_counts_group){.definition_lsn = definition_lsn};
    return &grown[counts->group_count++];
}

enum saga_error saga_counts_add(struct saga_counts *counts, const struct saga_census_line *line,
                                struct saga_fault *fault) {
    struct saga_counts_group *group = group_of(counts, line->definition_lsn);
    if (group == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for counts");
    }
    counts->sagas++;
    for (size_t i = 0; i < SAGA_COUNTS_STATUSES; i++) {
        const bool same = strcmp(line->status, statuses[i]) == 0;
        counts->by_status[i] += same;
        group->by_status[i] += same;
    }
    if (line->outcome == 0) { /* the oldest is the last to come */
        counts->oldest_open = *line;
    }
    return SAGA_OK;
}

void saga_counts_fini(struct saga_counts *counts) {
    free(counts->groups);
    counts->groups = NULL;
}

/* -------------------------------------------------------------------- as JSON */

static bool set_count(json_t *json, const char *name, uint64_t count) {
    return json_object_set_new(json, name, json_integer((json_int_t)count)) == 0;
}

/* NULL: no memory. */
static json_t *named(const char *(*name_of)(uint8_t number), const uint64_t *numbers, uint8_t count,
                     bool zeros) {
    json_t *json = json_object();
    bool whole = json != NULL;
    for (uint8_t i = 1; i <= count && whole; i++) {
        whole = (!zeros && numbers[i] == 0) || set_count(json, name_of(i), numbers[i]);
    }
    if (!whole) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *statuses_json(const uint64_t *by_status) {
    json_t *json = json_object();
    bool whole = json != NULL;
    for (size_t i = 0; i < SAGA_COUNTS_STATUSES && whole; i++) {
        whole = set_count(json, statuses[i], by_status[i]);
    }
    if (!whole) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *histogram_json(const struct saga_histogram *histogram) {
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "count", (json_int_t)histogram->count, "p50_ms",
                     (json_int_t)saga_histogram_percentile(histogram, 50), "p95_ms",
                     (json_int_t)saga_histogram_percentile(histogram, 95), "p99_ms",
                     (json_int_t)saga_histogram_percentile(histogram, 99), "max_ms",
                     (json_int_t)histogram->most_ms);
}

static json_t *steps_json(const struct saga_tally_row *row) {
    json_t *steps = json_array();
    const uint8_t count = row->definition != NULL ? row->definition->plan.step_count : 0;
    for (uint8_t i = 0; i < count; i++) {
        const struct saga_tally_step *step = &row->steps[i];
        json_t *json = json_pack(
            "{s:s, s:I, s:I, s:I, s:o, s:o}", "name", row->definition->steps[i].name, "retries",
            (json_int_t)step->retries, "unanswered", (json_int_t)step->unanswered, "unsent",
            (json_int_t)step->unsent, "action", histogram_json(&step->action), "compensation",
            histogram_json(&step->compensation));
        if (json_array_append_new(steps, json) != 0) {
            json_decref(steps);
            return NULL;
        }
    }
    return steps;
}

static const uint64_t *statuses_of(const struct saga_counts *counts, uint64_t definition_lsn) {
    static const uint64_t none[SAGA_COUNTS_STATUSES];
    for (size_t i = 0; i < counts->group_count; i++) {
        if (counts->groups[i].definition_lsn == definition_lsn) {
            return counts->groups[i].by_status;
        }
    }
    return none;
}

static json_t *row_json(const struct saga_counts *counts, const struct saga_tally_row *row) {
    const struct saga_definition *definition = row->definition;
    const uint64_t sagas = row->sagas > 0 ? row->sagas : 1;
    /* clang-format off */
    return json_pack("{s:s?, s:o, s:I, s:o, s:I, s:I, s:f, s:f, s:o, s:o, s:o, s:o}",
                     "saga", definition != NULL ? definition->name : NULL,
                     "version", definition != NULL ? json_integer(definition->version)
                                                   : json_null(),
                     "sagas", (json_int_t)row->sagas,
                     "by_status", statuses_json(statuses_of(counts, row->definition_lsn)),
                     "records", (json_int_t)row->records,
                     "bytes", (json_int_t)row->bytes,
                     "records_per_saga", (double)row->records / (double)sagas,
                     "bytes_per_saga", (double)row->bytes / (double)sagas,
                     "duration", histogram_json(&row->duration),
                     "compensations", named(saga_reason_name, row->backward,
                                            SAGA_TALLY_REASONS - 1, false),
                     "parked", named(saga_reason_name, row->parked, SAGA_TALLY_REASONS - 1, false),
                     "steps", steps_json(row));
    /* clang-format on */
}

static json_t *rows_json(const struct saga_counts *counts) {
    json_t *rows = json_array();
    for (size_t i = 0; i < saga_tally_count(counts->tally); i++) {
        if (json_array_append_new(rows, row_json(counts, saga_tally_row(counts->tally, i))) != 0) {
            json_decref(rows);
            return NULL;
        }
    }
    return rows;
}

static json_t *oldest_json(const struct saga_counts *counts) {
    const struct saga_census_line *line = &counts->oldest_open;
    char id[SAGA_ID_TEXT_SIZE];
    char time[SAGA_TIME_TEXT_SIZE];
    if (line->status == NULL) {
        return json_null();
    }
    return json_pack("{s:s, s:s, s:s}", "id", saga_id_text(&line->id, id), "status", line->status,
                     "started_at", saga_time_text(saga_muster_started_ms(&line->id), time));
}

json_t *saga_counts_json(const struct saga_counts *counts) {
    /* clang-format off */
    /* json_pack fails, and lets go of what it was given, if one of them is NULL. */
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o}",
                     "log", counts->identity,
                     "epoch", (json_int_t)counts->epoch,
                     "bytes", (json_int_t)counts->usage.bytes,
                     "bytes_max", (json_int_t)counts->usage.bytes_max,
                     "records", (json_int_t)counts->records,
                     "first_lsn", (json_int_t)counts->first_lsn,
                     "last_lsn", (json_int_t)counts->last_lsn,
                     "definitions", (json_int_t)counts->definitions,
                     "sagas", (json_int_t)counts->sagas,
                     "sagas_by_status", statuses_json(counts->by_status),
                     "records_by_fact", named(saga_fact_name, counts->by_fact, SAGA_FACT_COUNT,
                                              true),
                     "oldest_open", oldest_json(counts),
                     "definitions_by_name", rows_json(counts));
    /* clang-format on */
}

/* -------------------------------------------------------------------- as text */

static void print_count(FILE *out, const char *indent, const char *name, uint64_t count) {
    (void)fprintf(out, "%s%-*s %12" PRIu64 "\n", indent, (int)(24 - strlen(indent)), name, count);
}

static void print_log(const struct saga_counts *counts, FILE *out) {
    const struct saga_census_line *oldest = &counts->oldest_open;
    char id[SAGA_ID_TEXT_SIZE];
    char time[SAGA_TIME_TEXT_SIZE];
    (void)fprintf(out, "log %s\n", counts->identity);
    print_count(out, "", "epoch", counts->epoch);
    print_count(out, "", "bytes", counts->usage.bytes);
    print_count(out, "", "bytes_max", counts->usage.bytes_max);
    print_count(out, "", "definitions", counts->definitions);
    print_count(out, "", "sagas", counts->sagas);
    for (size_t i = 0; i < SAGA_COUNTS_STATUSES; i++) {
        print_count(out, "  ", statuses[i], counts->by_status[i]);
    }
    if (oldest->status != NULL) {
        (void)fprintf(out, "oldest open saga: %s, %s, started %s\n", saga_id_text(&oldest->id, id),
                      oldest->status, saga_time_text(saga_muster_started_ms(&oldest->id), time));
    }
    print_count(out, "", "records", counts->records);
    for (uint8_t i = 1; i <= SAGA_FACT_COUNT; i++) {
        print_count(out, "  ", saga_fact_name(i), counts->by_fact[i]);
    }
}

/* "rejected 3, cancelled 1" */
static void print_reasons(FILE *out, const char *head, const uint64_t *reasons) {
    bool any = false;
    for (uint8_t i = 1; i < SAGA_TALLY_REASONS; i++) {
        if (reasons[i] > 0) {
            (void)fprintf(out, "%s%s %" PRIu64, any ? ", " : head, saga_reason_name(i), reasons[i]);
            any = true;
        }
    }
    (void)fputs(any ? "\n" : "", out);
}

struct durations {
    char p50[SAGA_SPAN_TEXT_SIZE], p95[SAGA_SPAN_TEXT_SIZE], p99[SAGA_SPAN_TEXT_SIZE],
        most[SAGA_SPAN_TEXT_SIZE];
};

static void measure(const struct saga_histogram *histogram, struct durations *durations) {
    (void)saga_span_text(0, saga_histogram_percentile(histogram, 50), durations->p50);
    (void)saga_span_text(0, saga_histogram_percentile(histogram, 95), durations->p95);
    (void)saga_span_text(0, saga_histogram_percentile(histogram, 99), durations->p99);
    (void)saga_span_text(0, histogram->most_ms, durations->most);
}

/* A row where something was measured. */
static enum saga_error add_durations(struct saga_table *table, const char *name,
                                     const struct saga_histogram *histogram, uint64_t retries,
                                     struct saga_fault *fault) {
    char count[24];
    char again[24];
    struct durations durations;
    if (histogram->count == 0 && retries == 0) {
        return SAGA_OK;
    }
    measure(histogram, &durations);
    (void)snprintf(count, sizeof count, "%" PRIu64, histogram->count);
    (void)snprintf(again, sizeof again, "%" PRIu64, retries);
    return saga_table_add(table,
                          (const char *const[]){name, count, durations.p50, durations.p95,
                                                durations.p99, durations.most, again},
                          fault);
}

static enum saga_error add_steps(struct saga_table *table, const struct saga_tally_row *row,
                                 struct saga_fault *fault) {
    const uint8_t count = row->definition != NULL ? row->definition->plan.step_count : 0;
    enum saga_error error = add_durations(table, "(saga)", &row->duration, 0, fault);
    for (uint8_t i = 0; i < count && error == SAGA_OK; i++) {
        char name[SAGA_NAME_BYTES_MAX + 16];
        error = add_durations(table, row->definition->steps[i].name, &row->steps[i].action,
                              row->steps[i].retries, fault);
        (void)snprintf(name, sizeof name, "%s, back", row->definition->steps[i].name);
        if (error == SAGA_OK) {
            error = add_durations(table, name, &row->steps[i].compensation, 0, fault);
        }
    }
    return error;
}

static enum saga_error print_row(const struct saga_tally_row *row, const struct saga_output *output,
                                 struct saga_fault *fault) {
    static const struct saga_column columns[] = {
        {.title = "STEP", .shrink = true},   {.title = "TIMES", .right = true},
        {.title = "P50", .right = true},     {.title = "P95", .right = true},
        {.title = "P99", .right = true},     {.title = "MAX", .right = true},
        {.title = "RETRIES", .right = true},
    };
    const char *name = row->definition != NULL ? row->definition->name : "?";
    const double sagas = row->sagas > 0 ? (double)row->sagas : 1;
    (void)fputc('\n', output->file);
    saga_escape(output->file, name, strlen(name), SAGA_COLUMNS_ALL);
    if (row->definition != NULL) {
        (void)fprintf(output->file, " version %" PRIu32, row->definition->version);
    }
    (void)fprintf(output->file, ": %" PRIu64 " sagas, of each %.1f records and %.0f bytes\n",
                  row->sagas, (double)row->records / sagas, (double)row->bytes / sagas);
    print_reasons(output->file, "went back: ", row->backward);
    print_reasons(output->file, "parked: ", row->parked);
    struct saga_table *table = saga_table_open(columns, 7);
    if (table == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for a table");
    }
    const enum saga_error error = add_steps(table, row, fault);
    if (error == SAGA_OK && saga_table_rows(table) > 0) {
        saga_table_print(table, output);
    }
    saga_table_close(table);
    return error;
}

enum saga_error saga_counts_print(const struct saga_counts *counts,
                                  const struct saga_output *output, struct saga_fault *fault) {
    enum saga_error error = SAGA_OK;
    print_log(counts, output->file);
    for (size_t i = 0; i < saga_tally_count(counts->tally) && error == SAGA_OK; i++) {
        error = print_row(saga_tally_row(counts->tally, i), output, fault);
    }
    return error;
}
