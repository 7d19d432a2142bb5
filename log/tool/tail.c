/* sagalog tail: the latest records, one a line; and, with -f, those that come. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "lexicon.h"
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

/* Prints from where the scan stands to its end, and writes it out. */
static enum saga_error print_rest(struct tail *tail) {
    struct saga_session *session = tail->session;
    struct saga_record record;
    enum saga_error error;
    while ((error = saga_scan_next(&tail->scan, &record, &session->fault)) == SAGA_OK) {
        error = session->json
                    ? saga_output_json(&session->output, saga_record_json(&record), &session->fault)
                    : print_text(tail, &record);
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

/* Moves the scan to the last few records. */
static void skip_to_end(struct saga_scan *scan) {
    const uint64_t few = TAIL_RECORDS;
    if (scan->last_lsn >= few && scan->last_lsn - few + 1 > scan->next_lsn) {
        scan->next_lsn = scan->last_lsn - few + 1;
        saga_scan_pause(scan);
    }
}

enum saga_error saga_tail_run(struct saga_session *session) {
    struct tail tail = {.session = session, .lexicon = saga_lexicon_open()};
    if (tail.lexicon == NULL) {
        return saga_fault_set(&session->fault, SAGA_ERROR_FAILED, "no memory for words");
    }
    enum saga_error error = saga_scan_open(&tail.scan, session->log, 0, &session->fault);
    if (error == SAGA_OK) {
        skip_to_end(&tail.scan);
        error = print_rest(&tail);
    }
    if (error == SAGA_OK && session->follow) {
        error = follow(&tail);
    }
    saga_scan_close(&tail.scan);
    saga_lexicon_close(tail.lexicon);
    return error;
}
