#include "export_scene.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "sagalog_fixture.h"
#include "scratch.h"
#include "tables.h"
#include "trip_load.h"

#define MAP_BYTES     ((uint64_t)256 << 20)
#define FORGOTTEN_MAX 2000

struct making {
    const char *data_dir;
    const struct export_scene *scene;
};

/* ----------------------------------------------------------------------- load */

static int make_load(void *context) {
    const struct making *making = context;
    const struct export_scene *scene = making->scene;
    struct trip_load load;
    trip_load_open(&load, making->data_dir, scene->seed, scene->checkpoint_records);
    for (unsigned i = 0; i < scene->steps; i++) {
        trip_load_step(&load);
    }
    trip_load_close();
    return 0;
}

static struct saga_log *open_log(const char *data_dir) {
    struct saga_log *log;
    struct saga_fault fault = {0};
    const struct saga_log_options options = {.data_dir = data_dir, .map_bytes_max = MAP_BYTES};
    ck_assert_msg(saga_log_open(&log, &options, &fault) == SAGA_OK, "%s", fault.text);
    return log;
}

static void flush(struct saga_log *log) {
    struct saga_fault fault = {0};
    ck_assert_msg(saga_log_flush(log, &fault) == SAGA_OK, "%s", fault.text);
}

static int make_nothing(void *context) {
    const struct making *making = context;
    saga_log_close(open_log(making->data_dir));
    return 0;
}

/* ------------------------------------------------------------------------ odd */

static void append(struct saga_log *log, struct saga_record record) {
    record.lsn = saga_log_next_lsn(log);
    record.epoch = saga_log_epoch(log);
    saga_log_append(log, &record);
}

/* The saga of the last record that is of one, and that record. */
static struct saga_record last_of_saga(struct saga_log *log) {
    struct saga_record record = {0};
    struct saga_fault fault = {0};
    for (uint64_t lsn = saga_log_durable(log); lsn >= saga_log_first_lsn(log); lsn--) {
        ck_assert_int_eq(saga_log_read(log, NULL, lsn, &record, &fault), SAGA_OK);
        if (!saga_fact_is_of_log(record.fact)) {
            return record;
        }
    }
    ck_abort_msg("there is no saga");
}

static int make_odd(void *context) {
    const struct making *making = context;
    struct saga_log *log = open_log(making->data_dir);
    const struct saga_record last = last_of_saga(log);
    const struct saga_id saga = last.saga;
    const uint64_t last_lsn = last.lsn;
    const int64_t at_ms = last.at_ms;
    uint8_t *bytes = malloc(SAGA_PAYLOAD_BYTES_MAX);
    for (size_t i = 0; i < SAGA_PAYLOAD_BYTES_MAX; i++) {
        bytes[i] = (uint8_t)(i * 167 + i / 256);
    }
    /* Bytes of every kind, as large as they may be; then a saga that makes no sense any more. */
    append(log, (struct saga_record){
                    .fact = SAGA_LATE_REPLY_RECEIVED,
                    .saga = {.bytes = {1, 2, 3}},
                    .at_ms = at_ms,
                    .wall_ms = -1,
                    .step = 7,
                    .key = {.data = bytes, .size = SAGA_KEY_BYTES_MAX},
                    .payload = {.data = bytes + 1, .size = SAGA_PAYLOAD_BYTES_MAX / 8},
                    .content = {.data = bytes + 2, .size = 300},
                });
    append(log,
           (struct saga_record){
               .fact = 211, /* of a later version */
               .saga = saga,
               .previous_lsn = last_lsn,
               .at_ms = at_ms,
               .step = SAGA_STEP_NONE,
               .through_lsn = UINT64_MAX,
               .payload = {.data = "a\0\x1b\"\\\n\x7f\xc2\x85\xe2\x80\xae\xe2\x80\xac", .size = 15},
           });
    flush(log);
    saga_log_close(log);
    free(bytes);
    return 0;
}

/* --------------------------------------------------------------------- purged */

static struct saga_id forgotten[FORGOTTEN_MAX];
static size_t forgotten_count;

static bool is_forgotten(const struct saga_id *id) {
    for (size_t i = 0; i < forgotten_count; i++) {
        if (memcmp(&forgotten[i], id, sizeof *id) == 0) {
            return true;
        }
    }
    return false;
}

/* Somebody is still to be told of its end: so it is kept. */
static bool is_owed(struct saga_log_reader *reader, const struct saga_id *id) {
    struct saga_log_row row;
    struct saga_fault fault = {0};
    enum saga_error error =
        saga_log_reader_seek_row(reader, SAGA_TABLE_OWED, (struct saga_bytes){0}, &row, &fault);
    while (error == SAGA_OK) {
        struct saga_owed_row owed;
        ck_assert_int_eq(saga_owed_row_decode(&owed, row.key, row.value), SAGA_RECORD_OK);
        if (memcmp(&owed.id, id, sizeof *id) == 0) {
            return true;
        }
        error = saga_log_reader_step_row(reader, SAGA_TABLE_OWED, true, &row, &fault);
    }
    return false;
}

/* Some of those that have ended. */
static void forget(struct saga_log *log, struct splitmix *random) {
    struct saga_log_reader *reader;
    struct saga_log_row row;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_log_committed(log, &reader, &fault), SAGA_OK);
    enum saga_error error =
        saga_log_reader_seek_row(reader, SAGA_TABLE_DONE, (struct saga_bytes){0}, &row, &fault);
    for (; error == SAGA_OK && forgotten_count < FORGOTTEN_MAX;
         error = saga_log_reader_step_row(reader, SAGA_TABLE_DONE, true, &row, &fault)) {
        struct saga_done_row done;
        ck_assert_int_eq(saga_done_row_decode(&done, row.key, row.value), SAGA_RECORD_OK);
        if (done.last_lsn <= saga_log_checkpoint(log).lsn && splitmix_below(random, 3) == 0 &&
            !is_owed(reader, &done.id)) {
            forgotten[forgotten_count++] = done.id;
            saga_log_remove(log, SAGA_TABLE_DONE, row.key);
        }
    }
}

/* Drops the first block; keeps what is needed of it. */
static void drop(struct saga_log *log, uint64_t last_lsn) {
    struct saga_log_reader *reader;
    struct saga_record record;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_log_committed(log, &reader, &fault), SAGA_OK);
    saga_log_reader_seek(reader, saga_log_first_lsn(log));
    while (saga_log_reader_position(reader) <= last_lsn) {
        ck_assert_int_eq(saga_log_reader_next(reader, &record, &fault), SAGA_OK);
        if (!saga_fact_is_of_log(record.fact) && !is_forgotten(&record.saga)) {
            saga_log_keep(log, &record);
        }
    }
    saga_log_drop_block(log, last_lsn);
}

static int purge(void *context) {
    const struct making *making = context;
    struct splitmix random = {making->scene->seed};
    struct saga_log *log = open_log(making->data_dir);
    struct saga_fault fault = {0};
    const uint64_t checkpoint = saga_log_checkpoint(log).lsn;
    uint64_t last_lsn;
    ck_assert_uint_gt(checkpoint, 0);
    const uint64_t through =
        making->scene->all_dropped ? checkpoint : splitmix_below(&random, checkpoint) + 1;
    forget(log, &random);
    flush(log);
    while (saga_log_first_block(log, &last_lsn, &fault) == SAGA_OK && last_lsn <= through) {
        drop(log, last_lsn);
        flush(log);
    }
    saga_log_close(log);
    return 0;
}

/* The log ends with its checkpoint, and has no record. */
static int drop_all(void *context) {
    const struct making *making = context;
    struct saga_log *log = open_log(making->data_dir);
    struct saga_fault fault = {0};
    struct saga_checkpoint checkpoint = saga_log_checkpoint(log);
    uint64_t last_lsn;
    /* What the tables are as of is said to be the end: no saga has a say in it. */
    checkpoint.lsn = saga_log_durable(log);
    checkpoint.epoch = saga_log_epoch(log);
    saga_log_set_checkpoint(log, &checkpoint);
    flush(log);
    while (saga_log_first_block(log, &last_lsn, &fault) == SAGA_OK) {
        drop(log, last_lsn);
        flush(log);
    }
    saga_log_close(log);
    return 0;
}

/* ------------------------------------------------------------------------ all */

void export_scene_make(const char *data_dir, const struct export_scene *scene) {
    struct making making = {.data_dir = data_dir, .scene = scene};
    ck_assert_int_eq(mkdir(data_dir, 0750), 0);
    ck_assert_int_eq(child_run(scene->steps > 0 ? make_load : make_nothing, &making), 0);
    if (scene->purged) {
        ck_assert_int_eq(child_run(purge, &making), 0);
    }
    if (scene->odd) {
        ck_assert_int_eq(child_run(make_odd, &making), 0);
    }
    if (scene->all_dropped) {
        ck_assert_int_eq(child_run(drop_all, &making), 0);
    }
}

const char *export_scene_text(const char *data_dir) {
    ck_assert_msg(SAGALOG(data_dir, "export") == 0, "%s", complained);
    return printed;
}
