/* sagalog tail: the latest records, one a line; and, with -f, those that come. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "lexicon.h"
#include "mask.h"
#include "progress.h"
#include "record_json.h"
#include "scan.h"
#include "session.h"
#include "trace.h"
#include "view.h"
#include "watch.h"

#define TAIL_RECORDS 20
#define TEXT_COLUMNS 100

/* What printing needs. */
struct tail {
    struct saga_session *session;
    struct saga_scan scan;
    struct saga_lexicon *lexicon;
};

/* "        17  2024-06-11T09:30:00.125Z  7e8f9a0b  block#1 done" */
static void write_line(FILE *out, const struct saga_record *record,
                       const struct saga_definition *definition) {
    char id[SAGA_TRACE_ID_SIZE];
    char time[SAGA_TIME_TEXT_SIZE];
    const bool of_saga = !saga_fact_is_of_log(record->fact);
    const struct saga_trace_scene scene = {
        .definition = definition,
        .text_columns = TEXT_COLUMNS,
    };
    (void)fprintf(out, "%10" PRIu64 "  %s  %-8s  %s", record->lsn,
                  saga_time_text(record->wall_ms, time),
                  of_saga ? saga_trace_id(&record->saga, id) : "",
                  saga_trace_is_cause(record) ? "" : "  -> ");
    saga_trace_write(out, record, &scene);
}

static enum saga_error print_text(struct tail *tail, const struct saga_record *record) {
    const struct saga_output *output = &tail->session->output;
    char *line = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&line, &size);
    bool whole = memory != NULL;
    if (whole) {
        write_line(memory, record, saga_lexicon_find(tail->lexicon, tail->scan.reader, record));
        whole = fclose(memory) == 0;
    }
    if (whole) {
        saga_escape(output->file, line, size,
                    output->columns == 0 ? SAGA_COLUMNS_ALL : output->columns);
        (void)fputc('\n', output->file);
    }
    free(line);
    return whole ? SAGA_OK
                 : saga_fault_set(&tail->session->fault, SAGA_ERROR_FAILED, "no memory for a line");
}

static enum saga_error print_record(struct tail *tail, const struct saga_record *record) {
    struct saga_session *session = tail->session;
    struct saga_masked masked;
    enum saga_error error = saga_masked_make(&masked, record, session->secrets, &session->fault);
    if (error != SAGA_OK) {
        return error;
    }
    error = session->json ? saga_output_json(&session->output, saga_record_json(&masked.record),
                                             &session->fault)
                          : print_text(tail, &masked.record);
    saga_masked_fini(&masked);
    return error;
}

/* Of --saga: records of its sagas, and the definition itself. */
static bool is_wanted(struct tail *tail, const struct saga_record *record) {
    const char *name = tail->session->filter.saga;
    if (name == NULL) {
        return true;
    }
    const struct saga_definition *definition =
        saga_lexicon_find(tail->lexicon, tail->scan.reader, record);
    return definition != NULL && strcmp(definition->name, name) == 0;
}

/* Prints from where the scan stands to its end, and writes it out. */
static enum saga_error print_rest(struct tail *tail) {
    struct saga_session *session = tail->session;
    struct saga_record record;
    enum saga_error error;
    while ((error = saga_scan_next(&tail->scan, &record, &session->fault)) == SAGA_OK) {
        error = is_wanted(tail, &record) ? print_record(tail, &record) : SAGA_OK;
        if (error == SAGA_OK && saga_output_full(&session->output)) {
            saga_scan_pause(&tail->scan);
            error = saga_output_flush(&session->output, &session->fault);
        }
        if (error != SAGA_OK) {
            return error;
        }
    }
    saga_scan_pause(&tail->scan);
    return error == SAGA_ERROR_NOT_FOUND ? saga_output_flush(&session->output, &session->fault)
                                         : error;
}

/* For ever, or until nobody reads any more. */
static enum saga_error follow(struct tail *tail) {
    struct saga_session *session = tail->session;
    struct saga_watch watch;
    enum saga_error error = saga_watch_open(&watch, session->data_dir, &session->fault);
    while (error == SAGA_OK && !session->output.gone) {
        error = saga_scan_extend(&tail->scan, &session->fault);
        if (error == SAGA_OK) {
            error = print_rest(tail);
        }
        if (error == SAGA_OK) {
            error = saga_watch_wait(&watch, &session->output.gone, &session->fault);
        }
    }
    saga_watch_close(&watch);
    return error;
}

/* Moves the scan to the last few records that are wanted. With --saga that is a way back over those
 * that are not. */
static enum saga_error skip_to_end(struct tail *tail) {
    const struct saga_session *session = tail->session;
    struct saga_scan *scan = &tail->scan;
    uint64_t left = session->limited ? session->limit : TAIL_RECORDS;
    uint64_t lsn = scan->last_lsn;
    struct saga_progress progress;
    enum saga_error error = SAGA_OK;
    if (left == 0) {
        return SAGA_OK; /* all */
    }
    saga_progress_begin(&progress, "looking back");
    for (; lsn >= scan->next_lsn && lsn > 0 && left > 0 && error == SAGA_OK; lsn--) {
        struct saga_record record;
        error = session->filter.saga != NULL
                    ? saga_log_reader_read(scan->reader, NULL, lsn, &record, &tail->session->fault)
                    : SAGA_OK;
        if (error == SAGA_OK && (session->filter.saga == NULL || is_wanted(tail, &record))) {
            left--;
        }
        saga_progress_tick(&progress, scan->last_lsn - lsn, scan->last_lsn - scan->next_lsn);
        if (error == SAGA_OK && saga_progress_pauses(&progress)) {
            error = saga_log_reader_renew(scan->reader, &tail->session->fault);
        }
    }
    saga_progress_clear(&progress);
    if (error == SAGA_OK && lsn + 1 > scan->next_lsn) {
        scan->next_lsn = lsn + 1;
        saga_scan_pause(scan);
    }
    return error;
}

enum saga_error saga_tail_run(struct saga_session *session) {
    struct tail tail = {.session = session, .lexicon = saga_lexicon_open()};
    if (tail.lexicon == NULL) {
        return saga_fault_set(&session->fault, SAGA_ERROR_FAILED, "no memory for words");
    }
    enum saga_error error = saga_scan_open(&tail.scan, session->log, 0, &session->fault);
    if (error == SAGA_OK) {
        error = skip_to_end(&tail);
    }
    if (error == SAGA_OK) {
        error = print_rest(&tail);
    }
    if (error == SAGA_OK && session->follow) {
        error = follow(&tail);
    }
    saga_scan_close(&tail.scan);
    saga_lexicon_close(tail.lexicon);
    return error;
}
