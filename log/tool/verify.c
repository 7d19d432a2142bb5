/* sagalog verify: reads and checks every record, and names what is wrong. */
#include <inttypes.h>
#include <string.h>

#include "ids.h"
#include "recollection.h"
#include "scan.h"
#include "session.h"

/* ------------------------------------------------------------ what is damaged */

/* A run of records that cannot be read. */
struct gap {
    uint64_t first_lsn;
    uint64_t last_lsn;
    const char *why;
};

/* Of the log's words only what is wrong: what to do is said once, at the end. */
static const char *cause_of(struct saga_fault *fault) {
    static const char lead[] = " is damaged: ";
    char *begin = strstr(fault->text, lead);
    if (begin == NULL) {
        return fault->text;
    }
    begin += strlen(lead);
    char *end = strstr(begin, ". Restore ");
    if (end != NULL) {
        *end = '\0';
    }
    return begin;
}

static json_t *gap_json(const struct gap *gap) {
    return json_pack("{s:I, s:I, s:s}", "first_lsn", (json_int_t)gap->first_lsn, "last_lsn",
                     (json_int_t)gap->last_lsn, "why", gap->why);
}

static enum saga_error tell_gap(struct saga_session *session, const struct gap *gap, json_t *gaps) {
    if (session->json) {
        return json_array_append_new(gaps, gap_json(gap)) == 0
                   ? SAGA_OK
                   : saga_fault_set(&session->fault, SAGA_ERROR_FAILED, "no memory for a gap");
    }
    (void)fprintf(session->output.file, "records %" PRIu64 " to %" PRIu64 " cannot be read: %s\n",
                  gap->first_lsn, gap->last_lsn, gap->why);
    return SAGA_OK;
}

struct reading {
    uint64_t records; /* that can be read */
    uint64_t gaps;
};

/* Reads every record there is. `gaps` gets what cannot be read. */
static enum saga_error read_all(struct saga_session *session, struct reading *reading,
                                json_t *gaps) {
    struct saga_scan scan;
    struct saga_record record;
    enum saga_error error = saga_scan_open(&scan, session->log, 0, &session->fault);
    while (error == SAGA_OK) {
        struct saga_fault fault;
        error = saga_scan_next(&scan, &record, &fault);
        reading->records += error == SAGA_OK;
        if (error == SAGA_ERROR_LOG_REFUSED) {
            struct gap gap = {.first_lsn = scan.next_lsn, .why = cause_of(&fault)};
            const enum saga_error skipped = saga_scan_skip(&scan, &gap.last_lsn, &session->fault);
            reading->gaps++;
            error = tell_gap(session, &gap, gaps);
            error = error == SAGA_OK ? skipped : error;
        } else if (error != SAGA_OK && error != SAGA_ERROR_NOT_FOUND) {
            session->fault = fault;
        }
    }
    saga_scan_close(&scan);
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}

static enum saga_error report_damage(struct saga_session *session, const struct reading *reading,
                                     json_t *gaps) {
    enum saga_error error = SAGA_OK;
    if (session->json) {
        error = saga_output_json(
            &session->output,
            json_pack("{s:I, s:O}", "records", (json_int_t)reading->records, "damaged", gaps),
            &session->fault);
    } else {
        (void)fprintf(session->output.file, "%" PRIu64 " records can be read\n", reading->records);
    }
    return error != SAGA_OK
               ? error
               : saga_fault_set(&session->fault, SAGA_ERROR_LOG_REFUSED,
                                "%s/log/data.mdb is damaged: no daemon starts with it. Restore it "
                                "from a backup; sagalog export has what can still be read.",
                                session->data_dir);
}

/* -------------------------------------------------------- what makes no sense */

static const char *problem_id(const struct saga_problem *problem, char *text) {
    static const struct saga_id none;
    return memcmp(&problem->id, &none, sizeof none) != 0 ? saga_id_text(&problem->id, text) : NULL;
}

static json_t *problems_json(const struct saga_recollection *recollection) {
    json_t *json = json_array();
    char id[SAGA_ID_TEXT_SIZE];
    bool whole = json != NULL;
    for (size_t i = 0; i < recollection->problem_count && whole; i++) {
        const struct saga_problem *problem = &recollection->problems[i];
        whole = json_array_append_new(json, json_pack("{s:s?, s:s}", "id", problem_id(problem, id),
                                                      "why", problem->why)) == 0;
    }
    if (!whole) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static enum saga_error print_json(struct saga_session *session,
                                  const struct saga_recollection *recollection, json_t *gaps) {
    const struct saga_recovery_report *report = &recollection->recall->report;
    /* clang-format off */
    json_t *json = json_pack("{s:I, s:I, s:I, s:I, s:I, s:O, s:o}",
                             "records", (json_int_t)report->records,
                             "definitions", (json_int_t)report->definitions,
                             "sagas", (json_int_t)report->sagas,
                             "open", (json_int_t)report->open,
                             "quarantined",
                             (json_int_t)saga_recollection_quarantined(recollection),
                             "damaged", gaps,
                             "problems", problems_json(recollection));
    /* clang-format on */
    return saga_output_json(&session->output, json, &session->fault);
}

static void print_text(const struct saga_session *session,
                       const struct saga_recollection *recollection) {
    const struct saga_recovery_report *report = &recollection->recall->report;
    FILE *out = session->output.file;
    char id[SAGA_ID_TEXT_SIZE];
    for (size_t i = 0; i < recollection->problem_count; i++) {
        const struct saga_problem *problem = &recollection->problems[i];
        const char *saga = problem_id(problem, id);
        (void)fprintf(out, "%s%s: %s\n", saga != NULL ? "saga " : "definition",
                      saga != NULL ? saga : "", problem->why);
    }
    (void)fprintf(
        out,
        "%" PRIu64 " records, %" PRIu64 " sagas (%" PRIu64 " open), %" PRIu64 " definitions: %s\n",
        report->records, report->sagas, report->open, report->definitions,
        recollection->problem_count == 0 ? "all checked, nothing is wrong" : "not all is well");
}

static enum saga_error judge(struct saga_session *session, json_t *gaps) {
    struct saga_recollection recollection;
    enum saga_error error = saga_recollection_open(&recollection, session->log, &session->fault);
    if (error == SAGA_OK && session->json) {
        error = print_json(session, &recollection, gaps);
    } else if (error == SAGA_OK) {
        print_text(session, &recollection);
    }
    if (error == SAGA_OK && recollection.problem_count > 0) {
        error = saga_fault_set(&session->fault, SAGA_ERROR_LOG_REFUSED,
                               "%" PRIu64 " sagas are out of service: a daemon shows them as "
                               "quarantined, and runs the others. sagalog show has what each says.",
                               saga_recollection_quarantined(&recollection));
    }
    saga_recollection_close(&recollection);
    return error;
}

enum saga_error saga_verify_run(struct saga_session *session) {
    struct reading reading = {0};
    json_t *gaps = json_array();
    enum saga_error error = read_all(session, &reading, gaps);
    if (error == SAGA_OK && reading.gaps > 0) {
        error = report_damage(session, &reading, gaps);
    } else if (error == SAGA_OK) {
        error = judge(session, gaps);
    }
    json_decref(gaps);
    return error;
}
