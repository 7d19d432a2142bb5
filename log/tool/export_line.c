#include "export_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "ids.h"
#include "tables.h"

/* So that what follows them does not overflow. */
#define LSN_MAX (UINT64_C(1) << 62)
/* A run of so many start keys has a filter of 1.9 GB. */
#define RUN_KEYS_MAX (UINT64_C(1) << 30)

const uint8_t saga_export_tables[] = {SAGA_TABLE_OPEN, SAGA_TABLE_DONE, SAGA_TABLE_OWED, 0};

static const char *table_name(uint8_t table) {
    switch (table) {
    case SAGA_TABLE_OPEN:
        return "open";
    case SAGA_TABLE_DONE:
        return "done";
    case SAGA_TABLE_OWED:
        return "owed";
    default:
        return "?";
    }
}

uint8_t saga_export_kind(const json_t *json) {
    static const struct {
        const char *member;
        uint8_t kind;
    } kinds[] = {
        {"lsn", SAGA_EXPORT_RECORD},  {"row", SAGA_EXPORT_ROW},   {"start_key", SAGA_EXPORT_KEY},
        {"export", SAGA_EXPORT_HEAD}, {"seed", SAGA_EXPORT_SEED}, {"run", SAGA_EXPORT_RUN},
        {"end", SAGA_EXPORT_END},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (json_object_get(json, kinds[i].member) != NULL) {
            return kinds[i].kind;
        }
    }
    return 0;
}

/* ---------------------------------------------------------------------- head */

json_t *saga_export_head_json(const struct saga_export_head *head) {
    const struct saga_checkpoint *checkpoint = &head->checkpoint;
    json_t *json = json_pack("{s:i, s:s, s:s, s:I, s:I}", "export", SAGA_EXPORT_FORMAT, "log",
                             head->log, "created", head->created, "first_lsn",
                             (json_int_t)head->first_lsn, "last_lsn", (json_int_t)head->last_lsn);
    if (json == NULL || checkpoint->lsn == 0) {
        return json;
    }
    json_t *inner =
        json_pack("{s:I, s:I, s:I, s:I}", "lsn", (json_int_t)checkpoint->lsn, "epoch",
                  (json_int_t)checkpoint->epoch, "epoch_ms", (json_int_t)checkpoint->epoch_ms,
                  "at_ms", (json_int_t)checkpoint->at_ms);
    if (json_object_set_new(json, "checkpoint", inner) != 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static void read_checkpoint(struct saga_checkpoint *checkpoint, const json_t *json,
                            struct saga_fields *outer) {
    struct saga_fields fields;
    saga_fields_begin(&fields, json);
    *checkpoint = (struct saga_checkpoint){
        .lsn = saga_fields_number(&fields, "lsn", LSN_MAX),
        .epoch = (uint32_t)saga_fields_number(&fields, "epoch", UINT32_MAX),
        .epoch_ms = saga_fields_signed(&fields, "epoch_ms"),
        .at_ms = saga_fields_signed(&fields, "at_ms"),
    };
    if (json != NULL && (checkpoint->lsn == 0 || checkpoint->epoch == 0)) {
        saga_fields_refuse(&fields, "it has no lsn, or no epoch");
    }
    if (json != NULL && !saga_fields_end(&fields)) {
        saga_fields_refuse(outer, "checkpoint: %.200s", fields.problem);
    }
}

static void copy_text(struct saga_fields *fields, const char *name, char *copy, size_t size) {
    const char *text = saga_fields_text(fields, name);
    *copy = '\0';
    if (text != NULL && strlen(text) < size) {
        memcpy(copy, text, strlen(text) + 1);
    } else if (text != NULL) {
        saga_fields_refuse(fields, "%s is longer than it can be", name);
    }
}

bool saga_export_head_read(struct saga_export_head *head, const json_t *json,
                           struct saga_fields *fields) {
    saga_fields_begin(fields, json);
    memset(head, 0, sizeof *head);
    const uint64_t format = saga_fields_number(fields, "export", UINT64_MAX);
    if (format == 0 || format > SAGA_EXPORT_FORMAT) {
        saga_fields_refuse(fields,
                           "the export is of format %" PRIu64 ", and this sagalog knows formats up "
                           "to %d",
                           format, SAGA_EXPORT_FORMAT);
    }
    copy_text(fields, "log", head->log, sizeof head->log);
    copy_text(fields, "created", head->created, sizeof head->created);
    head->first_lsn = saga_fields_number(fields, "first_lsn", LSN_MAX);
    head->last_lsn = saga_fields_number(fields, "last_lsn", LSN_MAX);
    read_checkpoint(&head->checkpoint, json_object_get(json, "checkpoint"), fields);
    if (saga_fields_have(fields, "checkpoint")) {
        fields->asked[fields->asked_count++] = "checkpoint";
    }
    const uint64_t checkpoint_lsn = head->checkpoint.lsn;
    if (head->first_lsn == 0 || head->last_lsn + 1 < head->first_lsn) {
        saga_fields_refuse(fields, "first_lsn and last_lsn do not fit each other");
    } else if (checkpoint_lsn + 1 < head->first_lsn || checkpoint_lsn > head->last_lsn) {
        saga_fields_refuse(fields, "the checkpoint does not lie among the records, or right before "
                                   "them");
    }
    return saga_fields_end(fields);
}

/* ---------------------------------------------------------------------- rows */

json_t *saga_export_row_json(const struct saga_export_row *row) {
    char *key = saga_base64_encode(row->key.data, row->key.size);
    char *value = saga_base64_encode(row->value.data, row->value.size);
    json_t *json = key != NULL && value != NULL
                       ? json_pack("{s:s, s:s, s:s}", "row", table_name(row->table), "key", key,
                                   "value", value)
                       : NULL;
    free(key);
    free(value);
    return json;
}

bool saga_export_row_read(struct saga_export_row *row, const json_t *json,
                          struct saga_fields *fields) {
    *row = (struct saga_export_row){0};
    saga_fields_begin(fields, json);
    row->table = saga_fields_named(fields, "row", table_name);
    row->key = saga_fields_bytes(fields, NULL, "key", SAGA_ROW_KEY_BYTES_MAX, &row->owned[0]);
    row->value = saga_fields_bytes(fields, NULL, "value", SAGA_ROW_PAGE_BYTES, &row->owned[1]);
    if (strcmp(table_name(row->table), "?") == 0) {
        saga_fields_refuse(fields, "there is no such table");
    }
    return saga_fields_end(fields);
}

enum saga_record_error saga_export_row_decode(const struct saga_export_row *row, struct saga *state,
                                              uint64_t *last_lsn) {
    struct saga_open_row open = {0};
    struct saga_done_row done = {0};
    struct saga_owed_row owed = {0};
    enum saga_record_error error;
    switch (row->table) {
    case SAGA_TABLE_OPEN:
        memset(state, 0, saga_size(SAGA_STEPS_MAX));
        error = saga_open_row_decode(&open, state, row->key, row->value);
        *last_lsn = open.last_lsn;
        return error;
    case SAGA_TABLE_DONE:
        error = saga_done_row_decode(&done, row->key, row->value);
        *last_lsn = done.last_lsn;
        return error;
    default:
        error = saga_owed_row_decode(&owed, row->key, row->value);
        *last_lsn = owed.ended_lsn;
        return error;
    }
}

size_t saga_export_place(uint8_t table) {
    size_t place = 0;
    while (saga_export_tables[place] != 0 && saga_export_tables[place] != table) {
        place++;
    }
    return place;
}

/* ---------------------------------------------------------------- start keys */

json_t *saga_export_seed_json(uint64_t seed) {
    char text[17];
    (void)snprintf(text, sizeof text, "%016" PRIx64, seed);
    return json_pack("{s:s}", "seed", text);
}

bool saga_export_seed_read(uint64_t *seed, const json_t *json, struct saga_fields *fields) {
    saga_fields_begin(fields, json);
    (void)saga_fields_hex(fields, "seed", seed, 1);
    return saga_fields_end(fields);
}

json_t *saga_export_run_json(const struct saga_key_run *run) {
    return json_pack("{s:I, s:i, s:I}", "run", (json_int_t)run->number, "level", (int)run->level,
                     "start_keys", (json_int_t)run->key_count);
}

bool saga_export_run_read(struct saga_key_run *run, const json_t *json,
                          struct saga_fields *fields) {
    saga_fields_begin(fields, json);
    *run = (struct saga_key_run){
        .number = (uint32_t)saga_fields_number(fields, "run", UINT32_MAX),
        .level = (uint8_t)saga_fields_number(fields, "level", UINT8_MAX),
        .key_count = saga_fields_number(fields, "start_keys", RUN_KEYS_MAX),
    };
    if (run->number == 0) {
        saga_fields_refuse(fields, "a run has a number");
    }
    return saga_fields_end(fields);
}

json_t *saga_export_key_json(const struct saga_start_key *key) {
    char hash[33];
    char input[33];
    char saga[SAGA_ID_TEXT_SIZE];
    (void)snprintf(hash, sizeof hash, "%016" PRIx64 "%016" PRIx64, key->key_hash[0],
                   key->key_hash[1]);
    (void)snprintf(input, sizeof input, "%016" PRIx64 "%016" PRIx64, key->input_hash[0],
                   key->input_hash[1]);
    return json_pack("{s:s, s:s, s:s}", "start_key", hash, "input", input, "saga",
                     saga_id_text(&key->saga, saga));
}

bool saga_export_key_read(struct saga_start_key *key, const json_t *json,
                          struct saga_fields *fields) {
    static const struct saga_id none;
    saga_fields_begin(fields, json);
    const bool whole = saga_fields_hex(fields, "start_key", key->key_hash, 2) &&
                       saga_fields_hex(fields, "input", key->input_hash, 2);
    key->saga = saga_fields_id(fields, "saga");
    if (!whole || memcmp(&key->saga, &none, sizeof none) == 0) {
        saga_fields_refuse(fields, "a start key has the hash of an input, and a saga");
    }
    return saga_fields_end(fields);
}

/* ----------------------------------------------------------------------- end */

json_t *saga_export_end_json(const struct saga_export_end *end) {
    return json_pack("{s:I, s:s, s:s}", "end", (json_int_t)end->lines, "digest", end->digest,
                     "text", end->text);
}

bool saga_export_end_read(struct saga_export_end *end, const json_t *json,
                          struct saga_fields *fields) {
    saga_fields_begin(fields, json);
    end->lines = saga_fields_number(fields, "end", UINT64_MAX);
    copy_text(fields, "digest", end->digest, sizeof end->digest);
    copy_text(fields, "text", end->text, sizeof end->text);
    return saga_fields_end(fields);
}

bool saga_export_end_check(const struct saga_export_end *end, const struct saga_export_end *wanted,
                           struct saga_fields *fields) {
    if (end->lines != wanted->lines) {
        saga_fields_refuse(fields, "there are %" PRIu64 " lines before it, and should be %" PRIu64,
                           wanted->lines, end->lines);
    } else if (end->digest[0] != '\0' && strcmp(end->digest, wanted->digest) != 0) {
        saga_fields_refuse(fields,
                           "the records are not those that were exported: their digest is %s. If "
                           "they were changed on purpose, leave digest and text out of this line",
                           wanted->digest);
    } else if (end->text[0] != '\0' && strcmp(end->text, wanted->text) != 0) {
        saga_fields_refuse(fields,
                           "the lines before it are not as they were written: their digest is %s. "
                           "If they were changed on purpose, leave text out of this line",
                           wanted->text);
    }
    return fields->problem[0] == '\0';
}
