/* How full the log is: pages in use, pages that are free again, and pages that a reader keeps. */
#include "log.h"

#include "check_run.h"
#include "log_scene.h"

#include <check.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOM_MAP_BYTES ((uint64_t)2 << 20)

static struct saga_log *open_log(void) {
    const struct saga_log_options options = {.data_dir = scene.path,
                                             .map_bytes_max = ROOM_MAP_BYTES};
    struct saga_log *log;
    struct saga_fault fault = {0};
    ck_assert_msg(saga_log_open(&log, &options, &fault) == SAGA_OK, "%s", fault.text);
    return log;
}

/* A record whose payload takes `size` bytes. */
static void append(struct saga_log *log, uint32_t size) {
    static const uint8_t payload[65536] = {7};
    const struct saga_record record = {.lsn = saga_log_next_lsn(log),
                                       .saga.bytes = {1},
                                       .fact = SAGA_REPLY_RECEIVED,
                                       .epoch = 1,
                                       .step = SAGA_STEP_NONE,
                                       .payload = {payload, size}};
    saga_log_append(log, &record);
}

static void append_one(struct saga_log *log, uint32_t size) {
    append(log, size);
    scene_flush(log);
}

static void fill_to(struct saga_log *log, uint32_t percent, uint32_t size) {
    while (saga_log_full_percent(log) < percent) {
        for (int i = 0; i < 4; i++) {
            append(log, size);
        }
        scene_flush(log);
    }
}

/* Drops the first blocks, `most` of them in each commit, until so many percent are taken. */
static void drop_to(struct saga_log *log, uint32_t percent, unsigned most) {
    struct saga_fault fault;
    const struct saga_checkpoint checkpoint = {.lsn = saga_log_durable(log), .epoch = 1};
    uint64_t last = 0;
    saga_log_set_checkpoint(log, &checkpoint);
    for (unsigned count = 1; saga_log_full_percent(log) > percent; count++) {
        ck_assert_int_eq(saga_log_first_block(log, &last, &fault), SAGA_OK);
        saga_log_drop_block(log, last);
        if (count % most == 0) {
            scene_flush(log);
        }
    }
    scene_flush(log);
}

/* Small ones share a page, the largest has one of its own. */
static const uint32_t sizes[] = {100, 1000, 3900};

START_TEST(what_is_dropped_makes_room) {
    struct saga_log *log = open_log();
    struct saga_log_room room;
    struct saga_log_usage usage;
    for (unsigned round = 0; round < 6; round++) {
        fill_to(log, SAGA_LOG_FULL_PERCENT, sizes[_i]);
        saga_log_usage(log, &usage);
        ck_assert_uint_gt(usage.bytes, ROOM_MAP_BYTES / 100 * 80);
        drop_to(log, 20 + round, 1 + round * 5);
        saga_log_usage(log, &usage);
        ck_assert_uint_lt(usage.bytes, ROOM_MAP_BYTES / 100 * (22 + round));
        saga_log_room(log, &room);
        ck_assert_uint_ge(room.file_bytes, ROOM_MAP_BYTES / 100 * 80);
        ck_assert_uint_le(room.file_bytes, room.bytes_max);
        if (round % 4 == 3) {
            saga_log_close(log);
            log = open_log();
            ck_assert_uint_le(saga_log_full_percent(log), 21 + round);
        }
    }
    saga_log_close(log);
}
END_TEST

/* All there is of the map can be taken, whatever was freed before. */
START_TEST(the_last_percent_can_be_taken) {
    struct saga_log *log = open_log();
    for (unsigned round = 0; round < 4; round++) {
        fill_to(log, 97, 1000);
        drop_to(log, 40, 50);
    }
    saga_log_close(log);
}
END_TEST

/* What needs several pages in a row finds them behind the file's end, however scattered the free
 * ones are. */
START_TEST(large_records_fit_behind_the_last_page) {
    enum { SIZE = 20000, PAGES_BYTES = 5 * 4096, OTHERS_BYTES = 16 * 4096 };
    struct saga_log *log = open_log();
    struct saga_log_room room;
    unsigned count = 0;
    for (unsigned round = 0; round < 6; round++) {
        saga_log_room(log, &room);
        while (room.file_bytes + PAGES_BYTES + OTHERS_BYTES <= room.bytes_max &&
               room.bytes <= room.bytes_max / 100 * SAGA_LOG_FULL_PERCENT) {
            append_one(log, SIZE);
            append_one(log, SIZE / 100);
            saga_log_room(log, &room);
            count++;
        }
        drop_to(log, 20 + round, 3);
    }
    ck_assert_uint_gt(count, 80);
    saga_log_close(log);
}
END_TEST

/* And where nothing is left there, in rows that are free. */
START_TEST(large_records_fit_in_rows_that_are_free) {
    enum { SIZE = 20000, PAGES_BYTES = 5 * 4096, OTHERS_BYTES = 16 * 4096 };
    struct saga_log *log = open_log();
    struct saga_log_room room;
    unsigned behind = 0;
    unsigned between = 0;
    for (unsigned round = 0; round < 24; round++) {
        for (;;) {
            saga_log_room(log, &room);
            const bool fits = room.file_bytes + PAGES_BYTES + OTHERS_BYTES <= room.bytes_max;
            if (room.bytes > room.bytes_max / 100 * SAGA_LOG_FULL_PERCENT ||
                (!fits && saga_log_free_in_rows(log, PAGES_BYTES) / 2 < 20 * PAGES_BYTES)) {
                break;
            }
            append_one(log, SIZE);
            append_one(log, SIZE / 100);
            behind += fits;
            between += !fits;
        }
        drop_to(log, 20 + round % 10, 1 + round % 5);
    }
    ck_assert_uint_gt(behind, 60);
    ck_assert_uint_gt(between, 30);
    saga_log_close(log);
}
END_TEST

/* Its pages are free, and yet nobody can have them. */
START_TEST(what_a_reader_looks_at_is_taken) {
    struct saga_log *log = open_log();
    struct saga_log_reader *reader;
    struct saga_fault fault;
    fill_to(log, 60, 1000);
    ck_assert_int_eq(saga_log_reader_open(log, &reader, &fault), SAGA_OK);
    const struct saga_checkpoint checkpoint = {.lsn = saga_log_durable(log), .epoch = 1};
    uint64_t last = 0;
    saga_log_set_checkpoint(log, &checkpoint);
    const unsigned count = _i == 0 ? 200 : 40;
    for (unsigned i = 0; i < count; i++) {
        ck_assert_int_eq(saga_log_first_block(log, &last, &fault), SAGA_OK);
        saga_log_drop_block(log, last);
        if (i % (_i == 0 ? 50 : 1) == 0) { /* in a few commits, or in one each */
            scene_flush(log);
        }
    }
    scene_flush(log);
    ck_assert_uint_ge(saga_log_full_percent(log), 60);
    fill_to(log, 92, 1000);
    saga_log_reader_close(reader);
    append_one(log, 10);
    append_one(log, 10); /* what the last two commits freed is still to come */
    ck_assert_uint_lt(saga_log_full_percent(log), 60);
    fill_to(log, 90, 1000);
    saga_log_close(log);
}
END_TEST

/* A batch counts before it is flushed. */
START_TEST(the_batch_counts) {
    struct saga_log *log = open_log();
    struct saga_log_room before, after;
    saga_log_room(log, &before);
    for (unsigned i = 0; i < 10; i++) {
        append(log, 65536);
    }
    saga_log_room(log, &after);
    ck_assert_uint_ge(after.bytes, before.bytes + 10 * 65536);
    scene_flush(log);
    saga_log_room(log, &before);
    ck_assert_uint_ge(before.bytes, after.bytes);
    ck_assert_uint_lt(before.bytes, after.bytes + after.bytes / 10);
    saga_log_close(log);
}
END_TEST

/* Another process: what it sees each time that it is asked; it never ends by itself. */
static void inspect(int asked, int answers) {
    struct saga_log *log = scene_inspect();
    struct saga_log_usage usage;
    char byte;
    while (read(asked, &byte, 1) == 1) {
        saga_log_usage(log, &usage);
        if (write(answers, &usage.bytes, sizeof usage.bytes) != sizeof usage.bytes) {
            break;
        }
    }
    saga_log_close(log);
    _exit(0);
}

static uint64_t ask(int asks, int answers) {
    uint64_t bytes = 0;
    ck_assert_int_eq(write(asks, "?", 1), 1);
    ck_assert_int_eq(read(answers, &bytes, sizeof bytes), sizeof bytes);
    return bytes;
}

/* An inspector asks, too, and keeps no page by it. */
START_TEST(who_inspects_sees_it_and_holds_nothing) {
    struct saga_log *log = open_log();
    struct saga_log_usage usage;
    int asks[2];
    int answers[2];
    ck_assert_int_eq(pipe(asks), 0);
    ck_assert_int_eq(pipe(answers), 0);
    fill_to(log, 50, 1000);
    const pid_t child = fork();
    if (child == 0) {
        (void)close(asks[1]);
        inspect(asks[0], answers[1]);
    }
    for (unsigned round = 0; round < 3; round++) {
        saga_log_usage(log, &usage);
        ck_assert_uint_eq(ask(asks[1], answers[0]), usage.bytes);
        drop_to(log, 20, 10);
        fill_to(log, SAGA_LOG_FULL_PERCENT, 1000);
        saga_log_usage(log, &usage);
        ck_assert_uint_eq(ask(asks[1], answers[0]), usage.bytes);
    }
    (void)close(asks[1]);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    saga_log_close(log);
}
END_TEST

/* Thousands of commits. */
static void in_memory(void) {
    scratch_open_in_memory(&scene);
}

static Suite *suite(void) {
    Suite *suite = suite_create("log room");
    TCase *room = tcase_create("room");
    tcase_add_checked_fixture(room, in_memory, scene_teardown);
    tcase_set_timeout(room, 60);
    suite_add_tcase(suite, room);
    tcase_add_loop_test(room, what_is_dropped_makes_room, 0, 3);
    tcase_add_test(room, large_records_fit_behind_the_last_page);
    tcase_add_test(room, large_records_fit_in_rows_that_are_free);
    tcase_add_test(room, the_last_percent_can_be_taken);
    tcase_add_loop_test(room, what_a_reader_looks_at_is_taken, 0, 2);
    tcase_add_test(room, the_batch_counts);
    tcase_add_test(room, who_inspects_sees_it_and_holds_nothing);
    return suite;
}

int main(void) {
    return check_run(suite());
}
