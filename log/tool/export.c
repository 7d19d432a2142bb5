/* sagalog export: all that a log says, as lines of JSON. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "export_line.h"
#include "growth.h"
#include "key_seed.h"
#include "progress.h"
#include "record_json.h"
#include "scan.h"
#include "session.h"
#include "tables.h"

/* So long may nobody read it: the view of the log that it is of stays open. */
#define PATIENCE_MS 60000

/* It is of one moment: one view, from beginning to end. */
struct exporting {
    struct saga_session *session;
    struct saga_scan scan; /* never paused */
    struct saga_growth growth;
    struct saga_progress progress;
    struct saga_digest *digest; /* of the records */
    struct saga_digest *text;   /* of the lines */
    uint64_t lines;
    uint64_t lines_expected; /* about */
    uint64_t first_lsn;
    bool damaged; /* something cannot be read: the text has no end */
};

/* ------------------------------------------------------------------- printing */

/* Takes what was printed into the text's digest. Errors: FAILED. */
static enum saga_error digest_text(struct exporting *exporting) {
    struct saga_output *output = &exporting->session->output;
    if (fflush(output->file) != 0) {
        return saga_fault_set(&exporting->session->fault, SAGA_ERROR_FAILED,
                              "no memory for what is to be printed");
    }
    saga_digest_add_bytes(exporting->text, output->bytes, output->size);
    return SAGA_OK;
}

static enum saga_error print(struct exporting *exporting, json_t *json) {
    struct saga_session *session = exporting->session;
    enum saga_error error = saga_output_json(&session->output, json, &session->fault);
    saga_progress_tick(&exporting->progress, ++exporting->lines, exporting->lines_expected);
    if (error != SAGA_OK || !saga_output_full(&session->output)) {
        return error;
    }
    if (isatty(STDOUT_FILENO) == 1) { /* else the bar is in nobody's way */
        saga_progress_clear(&exporting->progress);
    }
    error = digest_text(exporting);
    if (error == SAGA_OK) {
        error = saga_output_flush(&session->output, &session->fault);
    }
    return error == SAGA_OK ? saga_growth_check(&exporting->growth, &session->fault) : error;
}

static enum saga_error print_head(struct exporting *exporting) {
    const struct saga_log *log = exporting->session->log;
    const struct saga_log_reader *reader = exporting->scan.reader;
    struct saga_export_head head = {
        .first_lsn = saga_log_reader_first(reader),
        .last_lsn = saga_log_reader_last(reader),
        .checkpoint = saga_log_reader_checkpoint(reader),
    };
    (void)snprintf(head.log, sizeof head.log, "%s", saga_log_identity(log));
    (void)snprintf(head.created, sizeof head.created, "%s", saga_log_created(log));
    return print(exporting, saga_export_head_json(&head));
}

/* --------------------------------------------------------------------- tables */

/* Calls `each` with every row, until it fails. */
static enum saga_error walk(struct exporting *exporting, enum saga_log_table table,
                            enum saga_error (*each)(struct exporting *exporting,
                                                    enum saga_log_table table,
                                                    const struct saga_log_row *row)) {
    struct saga_log_reader *reader = exporting->scan.reader;
    struct saga_fault *fault = &exporting->session->fault;
    struct saga_log_row row;
    enum saga_error error =
        saga_log_reader_seek_row(reader, table, (struct saga_bytes){0}, &row, fault);
    while (error == SAGA_OK) {
        error = each(exporting, table, &row);
        if (error == SAGA_OK) {
            error = saga_log_reader_step_row(reader, table, true, &row, fault);
        }
    }
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}

static enum saga_error export_row(struct exporting *exporting, enum saga_log_table table,
                                  const struct saga_log_row *stored) {
    const struct saga_export_row row = {
        .table = (uint8_t)table, .key = stored->key, .value = stored->value};
    return print(exporting, saga_export_row_json(&row));
}

/* What is left of a record whose block is gone; of one that is there it says nothing new. */
static enum saga_error export_older(struct exporting *exporting, enum saga_log_table table,
                                    const struct saga_log_row *row) {
    struct saga_record record;
    const enum saga_record_error damage =
        table == SAGA_TABLE_KEPT ? saga_kept_row_decode(&record, row->key, row->value)
                                 : saga_definition_row_decode(&record, row->key, row->value);
    if (damage != SAGA_RECORD_OK) {
        return saga_fault_set(&exporting->session->fault, SAGA_ERROR_LOG_REFUSED,
                              "the log is damaged: a row of its table %s: %s. Restore data.mdb "
                              "from a backup; nothing was changed.",
                              table == SAGA_TABLE_KEPT ? "kept" : "definitions",
                              saga_record_error_text(damage));
    }
    return record.lsn < exporting->first_lsn ? print(exporting, saga_record_json(&record))
                                             : SAGA_OK;
}

static enum saga_error export_rows(struct exporting *exporting) {
    enum saga_error error = SAGA_OK;
    for (const uint8_t *table = saga_export_tables; *table != 0 && error == SAGA_OK; table++) {
        error = walk(exporting, (enum saga_log_table) * table, export_row);
    }
    return error;
}

/* ----------------------------------------------------------------- start keys */

static enum saga_error export_run(struct exporting *exporting, const struct saga_key_run *run) {
    struct saga_run_cursor cursor = {.number = run->number};
    enum saga_error error = print(exporting, saga_export_run_json(run));
    while (error == SAGA_OK) {
        const struct saga_start_key *key;
        error =
            saga_run_cursor_next(&cursor, exporting->scan.reader, &key, &exporting->session->fault);
        if (error == SAGA_OK) {
            error = print(exporting, saga_export_key_json(key));
        }
    }
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}

static enum saga_error export_keys(struct exporting *exporting) {
    struct saga_log_reader *reader = exporting->scan.reader;
    struct saga_fault *fault = &exporting->session->fault;
    uint64_t seed;
    enum saga_error error = saga_key_seed_read(reader, &seed, fault);
    if (error == SAGA_OK) {
        error = print(exporting, saga_export_seed_json(seed));
    }
    for (uint32_t number = 1; error == SAGA_OK && number != 0;) {
        struct saga_key_run run;
        error = saga_key_run_head(&run, number, reader, fault);
        if (error == SAGA_OK) {
            error = export_run(exporting, &run);
            number = run.number + 1; /* 0: that was the last there can be */
        }
    }
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}

/* -------------------------------------------------------------------- records */

/* What can be read on both sides of a gap is worth having; that there is a gap
 * is said at once and by the exit status. */
static enum saga_error go_on(struct exporting *exporting) {
    struct saga_fault fault;
    uint64_t last_missing_lsn;
    const uint64_t first_missing_lsn = exporting->scan.next_lsn;
    const enum saga_error error = saga_scan_skip(&exporting->scan, &last_missing_lsn, &fault);
    if (error != SAGA_OK && error != SAGA_ERROR_NOT_FOUND) {
        exporting->session->fault = fault;
    }
    saga_progress_clear(&exporting->progress);
    (void)fprintf(stderr, "sagalog: records %" PRIu64 " to %" PRIu64 " are not in this export\n",
                  first_missing_lsn, last_missing_lsn);
    exporting->damaged = true;
    return error;
}

static enum saga_error export_records(struct exporting *exporting) {
    struct saga_scan *scan = &exporting->scan;
    struct saga_record record;
    enum saga_error error = SAGA_OK;
    while (error == SAGA_OK) {
        error =
            saga_scan_next(scan, &record, exporting->damaged ? NULL : &exporting->session->fault);
        if (error == SAGA_OK) {
            saga_digest_add(exporting->digest, &record);
            error = print(exporting, saga_record_json(&record));
        } else if (error == SAGA_ERROR_LOG_REFUSED) {
            error = go_on(exporting);
        }
    }
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}

/* ------------------------------------------------------------------------ all */

/* What stands before the records. Where it is damaged, they are worth having all the same. */
static enum saga_error export_all_older(struct exporting *exporting) {
    enum saga_error error = walk(exporting, SAGA_TABLE_DEFINITIONS, export_older);
    if (error == SAGA_OK) {
        error = walk(exporting, SAGA_TABLE_KEPT, export_older);
    }
    if (error == SAGA_ERROR_LOG_REFUSED) {
        (void)fprintf(stderr,
                      "sagalog: not all that is kept of records before %" PRIu64
                      " is in this export\n",
                      exporting->first_lsn);
        exporting->damaged = true;
        return SAGA_OK;
    }
    return error;
}

static enum saga_error print_end(struct exporting *exporting) {
    struct saga_export_end end = {.lines = exporting->lines};
    const enum saga_error error = digest_text(exporting);
    if (error != SAGA_OK) {
        return error;
    }
    (void)saga_digest_text(exporting->digest, end.digest);
    (void)saga_digest_text(exporting->text, end.text);
    return saga_output_json(&exporting->session->output, saga_export_end_json(&end),
                            &exporting->session->fault);
}

/* For the progress bar; what cannot be counted is told of when its turn comes. */
static void count_lines(struct exporting *exporting) {
    static const enum saga_log_table tables[] = {SAGA_TABLE_OPEN, SAGA_TABLE_DONE, SAGA_TABLE_OWED,
                                                 SAGA_TABLE_KEPT};
    struct saga_log_reader *reader = exporting->scan.reader;
    struct saga_fault fault;
    struct saga_key_run run;
    exporting->lines_expected =
        saga_log_reader_last(reader) + 1 - saga_log_reader_first(reader) + 1;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        uint64_t count = 0;
        if (saga_log_reader_row_count(reader, tables[i], &count, &fault) == SAGA_OK) {
            exporting->lines_expected += count;
        }
    }
    for (uint32_t number = 1;
         number != 0 && saga_key_run_head(&run, number, reader, &fault) == SAGA_OK;
         number = run.number + 1) {
        exporting->lines_expected += run.key_count;
    }
}

static enum saga_error export_all(struct exporting *exporting) {
    saga_progress_begin(&exporting->progress, "exporting");
    exporting->first_lsn = saga_log_reader_first(exporting->scan.reader);
    count_lines(exporting);
    enum saga_error error = print_head(exporting);
    if (error == SAGA_OK) {
        error = export_all_older(exporting);
    }
    if (error == SAGA_OK) {
        error = export_records(exporting);
    }
    if (error == SAGA_OK && !exporting->damaged) {
        error = export_rows(exporting);
    }
    if (error == SAGA_OK && !exporting->damaged) {
        error = export_keys(exporting);
    }
    if (error == SAGA_OK) {
        error = exporting->damaged ? SAGA_ERROR_LOG_REFUSED : print_end(exporting);
    }
    saga_progress_clear(&exporting->progress);
    return error;
}

enum saga_error saga_export_run(struct saga_session *session) {
    struct exporting exporting = {
        .session = session, .digest = saga_digest_open(), .text = saga_digest_open()};
    enum saga_error error =
        exporting.digest == NULL || exporting.text == NULL
            ? saga_fault_set(&session->fault, SAGA_ERROR_FAILED, "no memory for an export")
            : saga_scan_open(&exporting.scan, session->log, 0, &session->fault);
    if (error == SAGA_OK) {
        session->output.patience_ms = PATIENCE_MS;
        error = saga_growth_begin(&exporting.growth, exporting.scan.reader,
                                  "an export reads them: it was given up. Take it when less is "
                                  "written, or of a backup.",
                                  &session->fault);
    }
    if (error == SAGA_OK) {
        error = export_all(&exporting);
    }
    saga_scan_close(&exporting.scan);
    session->output.patience_ms = 0; /* no view is open any more */
    saga_digest_close(exporting.digest);
    saga_digest_close(exporting.text);
    return error;
}
