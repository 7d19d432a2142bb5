#include "planting.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "graft.h"
#include "key_planting.h"
#include "key_seed.h"
#include "line_places.h"
#include "record_json.h"
#include "tables.h"

/* What a batch may hold of rows. */
#define BATCH_ROWS  5000
#define BATCH_BYTES ((size_t)8 << 20)

/* What the text has, in this order. */
enum stage { NOTHING = 0, HEAD, DEFINITIONS, KEPT, RECORDS, ROWS, KEYS, END };

struct saga_planting {
    const char *data_dir;
    uint64_t map_bytes_max;
    struct saga_graft *graft;   /* NULL: there is none (any more) */
    struct saga_log *log;       /* its */
    struct saga_digest *digest; /* owned; of the records */
    struct saga_digest *text;   /* owned; of the lines */
    struct saga_fields *fields; /* owned; of the line at hand */
    struct saga *state;         /* owned; room for any */
    struct saga_export_head head;
    enum stage stage;        /* of the line that was taken last */
    uint64_t lines;          /* that were taken */
    uint64_t next_lsn;       /* of the records */
    struct saga_places olds; /* of records before the first one */
    uint8_t table;           /* ROWS: of the last one */
    uint8_t key[SAGA_ROW_KEY_BYTES_MAX];
    uint32_t key_size; /* DEFINITIONS, KEPT, ROWS: of the last one */
    struct saga_key_planting keys;
    uint32_t batch_rows;
    size_t batch_bytes;
};

static enum saga_error no_memory(struct saga_fault *fault) {
    return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for an import.");
}

static enum saga_error refuse(const struct saga_planting *planting, struct saga_fault *fault) {
    return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED, "%s", planting->fields->problem);
}

struct saga_planting *saga_planting_open(const char *data_dir, uint64_t map_bytes_max) {
    struct saga_planting *planting = calloc(1, sizeof *planting);
    if (planting == NULL) {
        return NULL;
    }
    planting->data_dir = data_dir;
    planting->map_bytes_max = map_bytes_max;
    planting->digest = saga_digest_open();
    planting->text = saga_digest_open();
    planting->fields = calloc(1, sizeof *planting->fields);
    planting->state = malloc(saga_size(SAGA_STEPS_MAX));
    if (planting->digest == NULL || planting->text == NULL || planting->fields == NULL ||
        planting->state == NULL) {
        saga_planting_close(planting);
        return NULL;
    }
    return planting;
}

void saga_planting_close(struct saga_planting *planting) {
    if (planting == NULL) {
        return;
    }
    if (planting->graft != NULL) {
        saga_graft_abort(planting->graft);
    }
    saga_key_planting_fini(&planting->keys);
    saga_digest_close(planting->digest);
    saga_digest_close(planting->text);
    free(planting->fields);
    free(planting->state);
    saga_places_fini(&planting->olds);
    free(planting);
}

static enum saga_error flush(struct saga_planting *planting, struct saga_fault *fault) {
    planting->batch_rows = 0;
    planting->batch_bytes = 0;
    return saga_log_flush(planting->log, fault);
}

/* Puts a row. */
static enum saga_error put(struct saga_planting *planting, enum saga_log_table table,
                           struct saga_bytes key, struct saga_bytes value,
                           struct saga_fault *fault) {
    saga_log_put(planting->log, table, key, value);
    planting->batch_rows++;
    planting->batch_bytes += value.size;
    return planting->batch_rows < BATCH_ROWS && planting->batch_bytes < BATCH_BYTES
               ? SAGA_OK
               : flush(planting, fault);
}

/* ---------------------------------------------------------------------- head */

static enum saga_error take_head(struct saga_planting *planting, const json_t *json,
                                 struct saga_fault *fault) {
    struct saga_export_head *head = &planting->head;
    if (!saga_export_head_read(head, json, planting->fields)) {
        return refuse(planting, fault);
    }
    struct saga_graft_options options = {
        .data_dir = planting->data_dir,
        .map_bytes_max = planting->map_bytes_max,
        .origin = {.identity = head->log, .created = head->created, .first_lsn = head->first_lsn},
    };
    if (head->checkpoint.lsn == head->first_lsn - 1) {
        options.origin.before = head->checkpoint;
    } else if (head->first_lsn > 1) { /* until the checkpoint is set, at the end */
        options.origin.before = (struct saga_checkpoint){.lsn = head->first_lsn - 1, .epoch = 1};
    }
    const enum saga_error error = saga_graft_open(&planting->graft, &options, fault);
    if (error != SAGA_OK) {
        planting->graft = NULL;
        return error == SAGA_ERROR_INVALID
                   ? saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                                    "log or created is not what a log could be called")
                   : error;
    }
    planting->log = saga_graft_log(planting->graft);
    planting->next_lsn = head->first_lsn;
    return SAGA_OK;
}

/* ---------------------------------------------------------- what stands in order */

/* Whether a row's key is above the one before it. */
static bool ascends(struct saga_planting *planting, bool first, struct saga_bytes key) {
    const uint32_t common = key.size < planting->key_size ? key.size : planting->key_size;
    const int order = memcmp(planting->key, key.data, common);
    const bool above = first || order < 0 || (order == 0 && planting->key_size < key.size);
    memcpy(planting->key, key.data, key.size);
    planting->key_size = key.size;
    return above;
}

/* ------------------------------------------------------------------- records */

static enum saga_error put_definition(struct saga_planting *planting,
                                      const struct saga_record *record, struct saga_fault *fault) {
    uint8_t key[SAGA_DEFINITION_KEY_BYTES];
    uint8_t *bytes = malloc(saga_record_size_max(record));
    if (bytes == NULL) {
        return no_memory(fault);
    }
    const size_t size = saga_record_encode(record, bytes);
    saga_definition_key(record->lsn, key);
    const enum saga_error error =
        put(planting, SAGA_TABLE_DEFINITIONS, (struct saga_bytes){.data = key, .size = sizeof key},
            (struct saga_bytes){.data = bytes, .size = (uint32_t)size}, fault);
    free(bytes);
    return error;
}

/* No record is there twice. */
static enum saga_error check_older(struct saga_planting *planting, struct saga_fault *fault) {
    struct saga_place first;
    struct saga_place second;
    if (!saga_places_repeat(&planting->olds, &first, &second)) {
        return SAGA_OK;
    }
    return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                          "record %" PRIu64 " is there twice before it, in the lines %" PRIu64
                          " and %" PRIu64,
                          first.lsn, first.line, second.line);
}

/* A record whose block is gone: a definition, or one that a saga needs. */
static enum saga_error take_older(struct saga_planting *planting, const struct saga_record *record,
                                  struct saga_fault *fault) {
    static const struct saga_id none;
    const bool of_log = memcmp(&record->saga, &none, sizeof none) == 0;
    const enum stage stage = of_log ? DEFINITIONS : KEPT;
    uint8_t bytes[SAGA_KEPT_KEY_BYTES];
    struct saga_bytes key = {.data = bytes,
                             .size = of_log ? SAGA_DEFINITION_KEY_BYTES : SAGA_KEPT_KEY_BYTES};
    if (of_log && record->fact != SAGA_DEFINITION_LOADED) {
        return saga_fault_set(
            fault, SAGA_ERROR_LOG_REFUSED,
            "record %" PRIu64 " is before first_lsn, of no saga, and no definition", record->lsn);
    }
    if (of_log) {
        saga_definition_key(record->lsn, bytes);
    } else {
        saga_kept_key(&record->saga, record->lsn, bytes);
    }
    if (planting->stage > stage || !ascends(planting, planting->stage < stage, key)) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "record %" PRIu64 " is out of order: what is before first_lsn comes "
                              "first, definitions, then the records of one saga after the other",
                              record->lsn);
    }
    planting->stage = stage;
    const struct saga_place place = {.lsn = record->lsn, .line = planting->lines + 1};
    if (!saga_places_add(&planting->olds, place)) {
        return no_memory(fault);
    }
    if (of_log) {
        return put_definition(planting, record, fault);
    }
    saga_log_keep(planting->log, record);
    planting->batch_bytes += record->payload.size + record->content.size;
    return ++planting->batch_rows < BATCH_ROWS && planting->batch_bytes < BATCH_BYTES
               ? SAGA_OK
               : flush(planting, fault);
}

static enum saga_error append(struct saga_planting *planting, const struct saga_record *record,
                              struct saga_fault *fault) {
    enum saga_error error = SAGA_OK;
    if (planting->stage < RECORDS) {
        error = check_older(planting, fault);
        planting->stage = RECORDS;
    }
    if (error == SAGA_OK && saga_log_batch_full(planting->log)) {
        error = flush(planting, fault);
    }
    if (error != SAGA_OK) {
        return error;
    }
    saga_digest_add(planting->digest, record);
    saga_log_append(planting->log, record);
    planting->next_lsn++;
    return record->fact == SAGA_DEFINITION_LOADED ? put_definition(planting, record, fault)
                                                  : SAGA_OK;
}

static enum saga_error take_record(struct saga_planting *planting, const struct saga_record *record,
                                   struct saga_fault *fault) {
    if (record->lsn < planting->head.first_lsn) {
        return take_older(planting, record, fault);
    }
    if (record->lsn != planting->next_lsn || planting->stage > RECORDS) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "it has record %" PRIu64 ", and record %" PRIu64 " comes next",
                              record->lsn, planting->next_lsn);
    }
    if (record->lsn > planting->head.last_lsn) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "record %" PRIu64 " is beyond last_lsn, %" PRIu64, record->lsn,
                              planting->head.last_lsn);
    }
    if (record->epoch < saga_log_epoch(planting->log)) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "record %" PRIu64 " is of epoch %" PRIu32
                              ", and the one before it of "
                              "%" PRIu32,
                              record->lsn, record->epoch, saga_log_epoch(planting->log));
    }
    return append(planting, record, fault);
}

static enum saga_error take_record_line(struct saga_planting *planting, const json_t *json,
                                        struct saga_fault *fault) {
    struct saga_record_copy copy;
    const enum saga_error error = saga_record_read(&copy, json, planting->fields)
                                      ? take_record(planting, &copy.record, fault)
                                      : refuse(planting, fault);
    saga_record_copy_fini(&copy);
    return error;
}

/* Before anything that comes after the records. */
static enum saga_error end_records(struct saga_planting *planting, struct saga_fault *fault) {
    if (planting->next_lsn != planting->head.last_lsn + 1) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "records are missing: %" PRIu64 " to %" PRIu64, planting->next_lsn,
                              planting->head.last_lsn);
    }
    return planting->stage < RECORDS ? check_older(planting, fault) : SAGA_OK;
}

/* ---------------------------------------------------------------------- rows */

static enum saga_error take_row(struct saga_planting *planting, const struct saga_export_row *row,
                                struct saga_fault *fault) {
    uint64_t last_lsn = 0;
    const enum saga_record_error damage = saga_export_row_decode(row, planting->state, &last_lsn);
    const bool first = planting->stage < ROWS || planting->table != row->table;
    if (damage != SAGA_RECORD_OK) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED, "it is no row of this table: %s",
                              saga_record_error_text(damage));
    }
    if (last_lsn > planting->head.last_lsn) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "its row tells of record %" PRIu64 ", beyond last_lsn", last_lsn);
    }
    if (planting->stage > ROWS ||
        (first && planting->stage == ROWS &&
         saga_export_place(planting->table) > saga_export_place(row->table)) ||
        !ascends(planting, first, row->key)) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "its row is out of order, or there twice");
    }
    planting->stage = ROWS;
    planting->table = row->table;
    return put(planting, (enum saga_log_table)row->table, row->key, row->value, fault);
}

static enum saga_error take_row_line(struct saga_planting *planting, const json_t *json,
                                     struct saga_fault *fault) {
    struct saga_export_row row;
    enum saga_error error = saga_export_row_read(&row, json, planting->fields)
                                ? end_records(planting, fault)
                                : refuse(planting, fault);
    if (error == SAGA_OK) {
        error = take_row(planting, &row, fault);
    }
    free(row.owned[0]);
    free(row.owned[1]);
    return error;
}

/* ---------------------------------------------------------------- start keys */

static enum saga_error take_seed(struct saga_planting *planting, const json_t *json,
                                 struct saga_fault *fault) {
    uint64_t seed;
    if (!saga_export_seed_read(&seed, json, planting->fields)) {
        return refuse(planting, fault);
    }
    const enum saga_error error = end_records(planting, fault);
    if (error != SAGA_OK) {
        return error;
    }
    if (planting->stage >= KEYS) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "the seed comes once, and before the runs of start keys");
    }
    planting->stage = KEYS;
    saga_key_seed_put(planting->log, seed);
    return SAGA_OK;
}

static enum saga_error take_run(struct saga_planting *planting, const json_t *json,
                                struct saga_fault *fault) {
    struct saga_key_run run;
    if (!saga_export_run_read(&run, json, planting->fields)) {
        return refuse(planting, fault);
    }
    if (planting->stage != KEYS) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "a run of start keys comes after their seed");
    }
    return saga_key_planting_run(&planting->keys, planting->log, &run, fault);
}

static enum saga_error take_key(struct saga_planting *planting, const json_t *json,
                                struct saga_fault *fault) {
    struct saga_start_key key;
    return saga_export_key_read(&key, json, planting->fields)
               ? saga_key_planting_add(&planting->keys, planting->log, &key, fault)
               : refuse(planting, fault);
}

/* ----------------------------------------------------------------------- end */

/* What a last line would say now. */
static struct saga_export_end end_here(const struct saga_planting *planting) {
    struct saga_export_end end = {.lines = planting->lines};
    (void)saga_digest_text(planting->digest, end.digest);
    (void)saga_digest_text(planting->text, end.text);
    return end;
}

static enum saga_error take_end(struct saga_planting *planting, const json_t *json,
                                struct saga_fault *fault) {
    const struct saga_checkpoint *checkpoint = &planting->head.checkpoint;
    struct saga_export_end end;
    if (!saga_export_end_read(&end, json, planting->fields)) {
        return refuse(planting, fault);
    }
    enum saga_error error = end_records(planting, fault);
    if (error == SAGA_OK) {
        error = saga_key_planting_end(&planting->keys, planting->log, fault);
    }
    if (error == SAGA_OK) {
        const struct saga_export_end wanted = end_here(planting);
        error = saga_export_end_check(&end, &wanted, planting->fields) ? SAGA_OK
                                                                       : refuse(planting, fault);
    }
    if (error == SAGA_OK && checkpoint->epoch > saga_log_epoch(planting->log)) {
        error = saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                               "the checkpoint is of epoch %" PRIu32 ", and the last record of "
                               "%" PRIu32,
                               checkpoint->epoch, saga_log_epoch(planting->log));
    }
    planting->stage = END;
    return error;
}

/* ----------------------------------------------------------------------- all */

/* A log that could not be written is none yet: nothing of it is in doubt. */
static enum saga_error without_doubt(enum saga_error error, struct saga_fault *fault) {
    if (error == SAGA_ERROR_LOG_WRITE) {
        fault->error = SAGA_ERROR_FAILED;
        return SAGA_ERROR_FAILED;
    }
    return error;
}

static enum saga_error take_json(struct saga_planting *planting, const json_t *json,
                                 struct saga_fault *fault) {
    const uint8_t kind = saga_export_kind(json);
    if (kind == 0) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "it is no line of an export: that has lsn, export, row, seed, run, "
                              "start_key or end");
    }
    if ((kind == SAGA_EXPORT_HEAD) != (planting->stage == NOTHING)) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              planting->stage == NOTHING
                                  ? "it is not the first line of an export: that says what it is of"
                                  : "another export begins here: import each by itself");
    }
    switch ((enum saga_export_kind)kind) {
    case SAGA_EXPORT_HEAD:
        planting->stage = HEAD;
        return take_head(planting, json, fault);
    case SAGA_EXPORT_RECORD:
        return take_record_line(planting, json, fault);
    case SAGA_EXPORT_ROW:
        return take_row_line(planting, json, fault);
    case SAGA_EXPORT_SEED:
        return take_seed(planting, json, fault);
    case SAGA_EXPORT_RUN:
        return take_run(planting, json, fault);
    case SAGA_EXPORT_KEY:
        return take_key(planting, json, fault);
    case SAGA_EXPORT_END:
        return take_end(planting, json, fault);
    }
    return SAGA_OK;
}

enum saga_error saga_planting_take(struct saga_planting *planting, const char *line, size_t size,
                                   struct saga_fault *fault) {
    json_error_t where;
    if (planting->stage == END) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED, "it comes after the end");
    }
    if (size == 0 || line[size - 1] != '\n') {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "it is cut short: no line feed ends it");
    }
    json_t *json = json_loadb(line, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &where);
    if (json == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED, "it is no JSON: %s, at character %d",
                              where.text, where.column);
    }
    const enum saga_error error =
        json_is_object(json)
            ? take_json(planting, json, fault)
            : saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED, "it is no object of JSON");
    json_decref(json);
    saga_digest_add_bytes(planting->text, line, size);
    planting->lines++;
    return without_doubt(error, fault);
}

enum saga_error saga_planting_finish(struct saga_planting *planting, struct saga_planting_sum *sum,
                                     struct saga_fault *fault) {
    const struct saga_checkpoint *checkpoint = &planting->head.checkpoint;
    if (planting->stage != END) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "it is cut short: the last line of an export is missing");
    }
    *sum = (struct saga_planting_sum){.head = planting->head, .older = planting->olds.count};
    enum saga_error error = flush(planting, fault);
    if (error == SAGA_OK && checkpoint->lsn > saga_log_checkpoint(planting->log).lsn) {
        saga_log_set_checkpoint(planting->log, checkpoint);
        error = flush(planting, fault);
    }
    if (error == SAGA_OK) {
        struct saga_graft *graft = planting->graft;
        planting->graft = NULL;
        error = saga_graft_commit(graft, &sum->records, fault);
    }
    return without_doubt(error, fault);
}

void saga_planting_progress(const struct saga_planting *planting, uint64_t *done, uint64_t *total) {
    const struct saga_export_head *head = &planting->head;
    *done = planting->next_lsn - head->first_lsn;
    *total = head->last_lsn + 1 - head->first_lsn;
}
