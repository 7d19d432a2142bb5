/*
 * The lines of an export that are no records: what the log is, and what stands in its tables.
 *
 *     {"export":1,"log":"0f3c2f4e-...","created":"2026-01-01T12:00:00Z","first_lsn":901,
 *      "last_lsn":2400,"checkpoint":{"lsn":2000,"epoch":3,"epoch_ms":...,"at_ms":...}}
 *     {"row":"done","key":"AQGQ...","value":"AQAA..."}
 *     {"seed":"91f2e6d5c4b3a201"}
 *     {"run":7,"level":1,"start_keys":2}
 *     {"start_key":"<32 digits>","input":"<32 digits>","saga":"0190a8f0-..."}
 *     {"end":1723,"digest":"<32 digits>","text":"<32 digits>"}
 *
 * docs/sagalog.md says what they mean.
 *
 * Threads: no state.
 */
#ifndef SAGA_EXPORT_LINE_H
#define SAGA_EXPORT_LINE_H

#include "digest.h"
#include "fields.h"
#include "key_run.h"
#include "log.h"
#include "record.h"

/* Of the text. */
#define SAGA_EXPORT_FORMAT 1

/* The tables that are exported row by row: SAGA_TABLE_OPEN, DONE, OWED. Static, and 0-terminated,
 * in the order of the text. */
extern const uint8_t saga_export_tables[];

enum saga_export_kind {
    SAGA_EXPORT_HEAD = 1,
    SAGA_EXPORT_RECORD,
    SAGA_EXPORT_ROW,
    SAGA_EXPORT_SEED,
    SAGA_EXPORT_RUN,
    SAGA_EXPORT_KEY,
    SAGA_EXPORT_END,
};

/* What kind of line an object is; 0: none. */
uint8_t saga_export_kind(const json_t *json);

struct saga_export_head {
    char log[37];
    char created[21];
    uint64_t first_lsn;
    uint64_t last_lsn; /* first - 1: there are no records */
    struct saga_checkpoint checkpoint;
};

struct saga_export_row {
    uint8_t table;           /* enum saga_log_table */
    struct saga_bytes key;   /* as tables.h has them */
    struct saga_bytes value; /* likewise */
    void *owned[2];          /* of one that was read: free() them */
};

struct saga_export_end {
    uint64_t lines;                     /* before this one */
    char digest[SAGA_DIGEST_TEXT_SIZE]; /* of the records that are not kept; "": it does not say */
    char text[SAGA_DIGEST_TEXT_SIZE];   /* of those lines; likewise */
};

/* The caller's; NULL: no memory. */
json_t *saga_export_head_json(const struct saga_export_head *head);
json_t *saga_export_row_json(const struct saga_export_row *row);
json_t *saga_export_seed_json(uint64_t seed);
json_t *saga_export_run_json(const struct saga_key_run *run);
json_t *saga_export_key_json(const struct saga_start_key *key);
json_t *saga_export_end_json(const struct saga_export_end *end);

/* Read one back, whoever wrote it. False: fields->problem says what is wrong. `fields` is
 * uninitialised memory of the caller. */
SAGA_CHECKED bool saga_export_head_read(struct saga_export_head *head, const json_t *json,
                                        struct saga_fields *fields);
/* `row` is to be freed in any case. */
SAGA_CHECKED bool saga_export_row_read(struct saga_export_row *row, const json_t *json,
                                       struct saga_fields *fields);
/* Whether it is one of its table, as tables.h has them. `state` has room for any; *last_lsn: the
 * latest record that the row tells of. */
SAGA_CHECKED enum saga_record_error saga_export_row_decode(const struct saga_export_row *row,
                                                           struct saga *state, uint64_t *last_lsn);
/* The place of a table among saga_export_tables. */
size_t saga_export_place(uint8_t table);

SAGA_CHECKED bool saga_export_seed_read(uint64_t *seed, const json_t *json,
                                        struct saga_fields *fields);
/* Number, level and count of keys alone. */
SAGA_CHECKED bool saga_export_run_read(struct saga_key_run *run, const json_t *json,
                                       struct saga_fields *fields);
SAGA_CHECKED bool saga_export_key_read(struct saga_start_key *key, const json_t *json,
                                       struct saga_fields *fields);
SAGA_CHECKED bool saga_export_end_read(struct saga_export_end *end, const json_t *json,
                                       struct saga_fields *fields);
/* Whether it says what it should, as far as it says anything. */
SAGA_CHECKED bool saga_export_end_check(const struct saga_export_end *end,
                                        const struct saga_export_end *wanted,
                                        struct saga_fields *fields);

#endif
