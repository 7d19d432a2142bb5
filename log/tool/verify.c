/* sagalog verify: reads every record, holds the log to its rules, and names what is wrong. */
#include <inttypes.h>
#include <string.h>

#include "audit.h"
#include "digest.h"
#include "ids.h"
#include "lexicon.h"
#include "progress.h"
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

/* What reading every record comes to. */
struct reading {
    struct saga_session *session;
    struct saga_lexicon *lexicon;
    struct saga_audit *audit;
    struct saga_digest *digest;
    struct saga_scan scan;
    struct saga_progress progress;
    uint64_t first_lsn;
    uint64_t records; /* that can be read */
    uint64_t gaps;
    uint64_t first_gap_lsn;
    json_t *told; /* the gaps */
};

static enum saga_error take_record(struct reading *reading, const struct saga_record *record) {
    const struct saga_definition *definition = NULL;
    if (record->fact == SAGA_STARTED) {
        definition =
            saga_lexicon_definition(reading->lexicon, reading->scan.reader, record->definition_lsn);
    }
    reading->records++;
    saga_digest_add(reading->digest, record);
    return saga_audit_note(reading->audit, record, definition, &reading->session->fault);
}

static enum saga_error take_gap(struct reading *reading, struct saga_fault *fault) {
    struct gap gap = {.first_lsn = reading->scan.next_lsn, .why = cause_of(fault)};
    const enum saga_error skipped =
        saga_scan_skip(&reading->scan, &gap.last_lsn, &reading->session->fault);
    if (reading->gaps++ == 0) {
        reading->first_gap_lsn = gap.first_lsn;
    }
    saga_progress_clear(&reading->progress);
    const enum saga_error error = tell_gap(reading->session, &gap, reading->told);
    saga_audit_miss(reading->audit, gap.last_lsn + 1);
    return error == SAGA_OK ? skipped : error;
}

/* The next record, or what there is instead of it. */
static enum saga_error take_next(struct reading *reading) {
    struct saga_fault fault = {0};
    struct saga_record record;
    const uint64_t expected = reading->scan.next_lsn;
    const enum saga_error error = saga_scan_next(&reading->scan, &record, &fault);
    if (error == SAGA_ERROR_LOG_REFUSED) {
        return take_gap(reading, &fault);
    }
    if (error != SAGA_OK) {
        reading->session->fault = fault;
        return error;
    }
    if (record.lsn != expected) { /* purged, since this began */
        saga_audit_miss(reading->audit, record.lsn);
    }
    return take_record(reading, &record);
}

/* Reads every record there is. */
static enum saga_error read_all(struct reading *reading) {
    struct saga_scan *scan = &reading->scan;
    enum saga_error error =
        saga_scan_open(scan, reading->session->log, 0, &reading->session->fault);
    reading->first_lsn = scan->next_lsn;
    saga_progress_begin(&reading->progress, "checking records");
    while (error == SAGA_OK) {
        error = take_next(reading);
        saga_progress_tick(&reading->progress, scan->next_lsn - reading->first_lsn,
                           scan->last_lsn - reading->first_lsn + 1);
        if (error == SAGA_OK && saga_progress_pauses(&reading->progress)) {
            saga_scan_pause(scan);
        }
    }
    saga_progress_clear(&reading->progress);
    saga_scan_close(scan);
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}

/* --------------------------------------------------------------------- rules */

static json_t *rule_json(const char *name, const char *text, const struct saga_breach *breach) {
    static const struct saga_id none;
    char id[SAGA_ID_TEXT_SIZE];
    const bool broken = breach->count > 0;
    const bool named = memcmp(&breach->saga, &none, sizeof none) != 0;
    return json_pack("{s:s, s:s, s:I, s:o, s:s?}", "rule", name, "text", text, "broken",
                     (json_int_t)breach->count, "first_lsn",
                     broken ? json_integer((json_int_t)breach->lsn) : json_null(), "saga",
                     named ? saga_id_text(&breach->saga, id) : NULL);
}

#define L1_TEXT "every block matches its checksum, and every record can be read"

/* NULL: no memory. */
static json_t *rules_json(const struct reading *reading) {
    const struct saga_breach unread = {.count = reading->gaps, .lsn = reading->first_gap_lsn};
    json_t *rules = json_array();
    bool whole = json_array_append_new(rules, rule_json("L1", L1_TEXT, &unread)) == 0;
    for (enum saga_rule rule = 1; rule <= SAGA_RULE_COUNT && whole; rule++) {
        whole =
            json_array_append_new(rules, rule_json(saga_rule_name(rule), saga_rule_text(rule),
                                                   saga_audit_breach(reading->audit, rule))) == 0;
    }
    if (!whole) {
        json_decref(rules);
        return NULL;
    }
    return rules;
}

/* How many rules are broken; prints which, where text is wanted. */
static uint64_t tell_rules(const struct reading *reading) {
    FILE *out = reading->session->output.file;
    char id[SAGA_ID_TEXT_SIZE];
    uint64_t broken = 0;
    for (enum saga_rule rule = 1; rule <= SAGA_RULE_COUNT; rule++) {
        const struct saga_breach *breach = saga_audit_breach(reading->audit, rule);
        broken += breach->count > 0;
        if (breach->count > 0 && !reading->session->json) {
            (void)fprintf(out,
                          "rule %s (%s) is broken %" PRIu64 " times, first by record %" PRIu64
                          " (%s) of saga %s\n",
                          saga_rule_name(rule), saga_rule_text(rule), breach->count, breach->lsn,
                          saga_fact_name(breach->fact), saga_id_text(&breach->saga, id));
        }
    }
    return broken;
}

static enum saga_error report_damage(const struct reading *reading) {
    struct saga_session *session = reading->session;
    enum saga_error error = SAGA_OK;
    (void)tell_rules(reading);
    if (session->json) {
        error =
            saga_output_json(&session->output,
                             json_pack("{s:I, s:O, s:o}", "records", (json_int_t)reading->records,
                                       "damaged", reading->told, "rules", rules_json(reading)),
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

static enum saga_error print_json(const struct reading *reading,
                                  const struct saga_recollection *recollection) {
    const struct saga_recovery_report *report = &recollection->recall->report;
    char digest[SAGA_DIGEST_TEXT_SIZE];
    /* clang-format off */
    json_t *json = json_pack("{s:I, s:I, s:I, s:I, s:I, s:s, s:O, s:o, s:o}",
                             "records", (json_int_t)reading->records,
                             "definitions", (json_int_t)report->definitions,
                             "sagas", (json_int_t)report->sagas,
                             "open", (json_int_t)report->open,
                             "quarantined",
                             (json_int_t)saga_recollection_quarantined(recollection),
                             "digest", saga_digest_text(reading->digest, digest),
                             "damaged", reading->told,
                             "problems", problems_json(recollection),
                             "rules", rules_json(reading));
    /* clang-format on */
    return saga_output_json(&reading->session->output, json, &reading->session->fault);
}

static void print_text(const struct reading *reading, const struct saga_recollection *recollection,
                       bool sound) {
    const struct saga_recovery_report *report = &recollection->recall->report;
    FILE *out = reading->session->output.file;
    char digest[SAGA_DIGEST_TEXT_SIZE];
    char id[SAGA_ID_TEXT_SIZE];
    for (size_t i = 0; i < recollection->problem_count; i++) {
        const struct saga_problem *problem = &recollection->problems[i];
        const char *saga = problem_id(problem, id);
        (void)fprintf(out, "%s%s: %s\n", saga != NULL ? "saga " : "definition",
                      saga != NULL ? saga : "", problem->why);
    }
    (void)fprintf(out,
                  "%" PRIu64 " records, %" PRIu64 " sagas (%" PRIu64 " open), %" PRIu64
                  " definitions: %s\n",
                  reading->records, report->sagas, report->open, report->definitions,
                  sound ? "all checked, nothing is wrong" : "not all is well");
    (void)fprintf(out, "digest %s\n", saga_digest_text(reading->digest, digest));
}

static enum saga_error judge(const struct reading *reading) {
    struct saga_session *session = reading->session;
    struct saga_recollection recollection;
    const uint64_t broken = tell_rules(reading);
    enum saga_error error = saga_recollection_open(&recollection, session->log, &session->fault);
    if (error == SAGA_OK && session->json) {
        error = print_json(reading, &recollection);
    } else if (error == SAGA_OK) {
        print_text(reading, &recollection, broken == 0 && recollection.problem_count == 0);
    }
    if (error == SAGA_OK && recollection.problem_count > 0) {
        error = saga_fault_set(&session->fault, SAGA_ERROR_LOG_REFUSED,
                               "%" PRIu64 " sagas are out of service: a daemon shows them as "
                               "quarantined, and runs the others. sagalog show has what each says.",
                               saga_recollection_quarantined(&recollection));
    } else if (error == SAGA_OK && broken > 0) {
        error = saga_fault_set(&session->fault, SAGA_ERROR_LOG_REFUSED,
                               "%" PRIu64 " rules are broken, though a daemon would start: what "
                               "it recovers is in order. sagalog show has what each saga says.",
                               broken);
    }
    saga_recollection_close(&recollection);
    return error;
}

static enum saga_error verify(struct reading *reading) {
    struct saga_fault *fault = &reading->session->fault;
    if (reading->lexicon == NULL || reading->audit == NULL || reading->digest == NULL ||
        reading->told == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for checking");
    }
    const enum saga_error error = read_all(reading);
    if (error != SAGA_OK) {
        return error;
    }
    return reading->gaps > 0 ? report_damage(reading) : judge(reading);
}

enum saga_error saga_verify_run(struct saga_session *session) {
    struct reading reading = {
        .session = session,
        .lexicon = saga_lexicon_open(),
        .audit = saga_audit_open(),
        .digest = saga_digest_open(),
        .told = json_array(),
    };
    const enum saga_error error = verify(&reading);
    json_decref(reading.told);
    saga_digest_close(reading.digest);
    saga_audit_close(reading.audit);
    saga_lexicon_close(reading.lexicon);
    return error;
}
