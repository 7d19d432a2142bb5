/* sagalog stats: what the log has of sagas, and how they went. */
#include <inttypes.h>
#include <string.h>

#include "counts.h"
#include "lexicon.h"
#include "progress.h"
#include "recollection.h"
#include "scan.h"
#include "session.h"
#include "tally.h"

/* What counting needs, beside the counts. */
struct counting {
    struct saga_session *session;
    struct saga_counts *counts;
    struct saga_lexicon *lexicon;
};

/* ------------------------------------------------------------------- records */

static enum saga_error count_record(struct counting *counting, struct saga_scan *scan,
                                    const struct saga_record *record) {
    struct saga_counts *counts = counting->counts;
    const struct saga_definition *definition = NULL;
    counts->records++;
    counts->by_fact[record->fact <= SAGA_FACT_COUNT ? record->fact : 0]++;
    if (saga_fact_is_of_log(record->fact)) {
        return SAGA_OK;
    }
    if (record->fact == SAGA_STARTED) {
        definition =
            saga_lexicon_definition(counting->lexicon, scan->reader, record->definition_lsn);
    }
    return saga_tally_note(counts->tally, record, definition, &counting->session->fault);
}

static enum saga_error count_records(struct counting *counting) {
    struct saga_session *session = counting->session;
    struct saga_counts *counts = counting->counts;
    struct saga_scan scan;
    struct saga_record record;
    struct saga_progress progress;
    enum saga_error error = saga_scan_open(&scan, session->log, 0, &session->fault);
    if (error == SAGA_OK) {
        counts->first_lsn = scan.next_lsn;
        counts->last_lsn = scan.last_lsn;
    }
    saga_progress_begin(&progress, "counting records");
    while (error == SAGA_OK) {
        error = saga_scan_next(&scan, &record, &session->fault);
        if (error == SAGA_OK) {
            error = count_record(counting, &scan, &record);
        }
        saga_progress_tick(&progress, scan.next_lsn - counts->first_lsn,
                           counts->last_lsn - counts->first_lsn + 1);
        if (error == SAGA_OK && saga_progress_pauses(&progress)) {
            saga_scan_pause(&scan);
        }
    }
    saga_progress_clear(&progress);
    saga_scan_close(&scan);
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}

/* --------------------------------------------------------------------- sagas */

static enum saga_error count_sagas(struct counting *counting) {
    struct saga_session *session = counting->session;
    struct saga_recollection recollection;
    struct saga_census census;
    struct saga_census_line line;
    enum saga_error error = saga_recollection_open(&recollection, session->log, &session->fault);
    if (error == SAGA_OK) {
        counting->counts->definitions = recollection.recall->report.definitions;
        error = saga_recollection_walk(&recollection, &census, &session->fault);
    }
    while (error == SAGA_OK &&
           (error = saga_census_next(&census, &line, &session->fault)) == SAGA_OK) {
        error = saga_counts_add(counting->counts, &line, &session->fault);
    }
    saga_recollection_close(&recollection);
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}

static enum saga_error count(struct counting *counting) {
    struct saga_session *session = counting->session;
    enum saga_error error = count_sagas(counting);
    if (error == SAGA_OK) {
        error = count_records(counting);
    }
    if (error != SAGA_OK) {
        return error;
    }
    saga_log_usage(session->log, &counting->counts->usage);
    if (session->json) {
        return saga_output_json(&session->output, saga_counts_json(counting->counts),
                                &session->fault);
    }
    return saga_counts_print(counting->counts, &session->output, &session->fault);
}

enum saga_error saga_stats_run(struct saga_session *session) {
    struct saga_counts counts = {
        .identity = saga_log_identity(session->log),
        .epoch = saga_log_epoch(session->log),
        .tally = saga_tally_open(),
    };
    struct counting counting = {
        .session = session, .counts = &counts, .lexicon = saga_lexicon_open()};
    const enum saga_error error =
        counts.tally == NULL || counting.lexicon == NULL
            ? saga_fault_set(&session->fault, SAGA_ERROR_FAILED, "no memory for counts")
            : count(&counting);
    saga_counts_fini(&counts);
    saga_tally_close(counts.tally);
    saga_lexicon_close(counting.lexicon);
    return error;
}
