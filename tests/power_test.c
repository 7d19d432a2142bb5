/* The power fails at any moment of the engine's work, the creation of its log included: what was
 * acknowledged is there, no batch is half there, and recovery by the last checkpoint makes the same
 * sagas as all of the records do. */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check_run.h"
#include "crash_disk.h"
#include "log_story.h"
#include "scratch.h"
#include "trip_load.h"

#define STEPS              300
#define CHECKPOINT_RECORDS 150
#define LSNS_MAX           8192
#define LOADS              4

/* After so many events the log had so much that clients knew of. */
struct mark {
    size_t events;
    uint64_t durable;
};

static struct scratch scratch;
static struct mark marks[STEPS + 2];
static size_t mark_count;
static size_t created;           /* events until the log was there */
static uint64_t after[LSNS_MAX]; /* the hash of the records up to each */
static bool border[LSNS_MAX];    /* a commit ended with this one */
static uint64_t last_lsn;

static struct { uint64_t states, none, earlier, rows[SAGA_LOG_TABLE_COUNT + 1]; } seen;

static void set_up(void) {
    scratch_open_in_memory(&scratch);
}

static void tear_down(void) {
    scratch_close(&scratch);
}

/* ------------------------------------------------------------------- the load */

static void mark(void) {
    marks[mark_count++] =
        (struct mark){.events = faulty_disk_recorded(), .durable = saga_log_durable(world.log)};
}

/* The log as it was when nothing failed. */
static void note_original(const char *data_dir) {
    struct log_story story = {.after = after, .after_room = LSNS_MAX};
    struct saga_fault fault = {0};
    ck_assert_msg(log_story_read(&story, data_dir, false, &fault) == SAGA_OK, "%s", fault.text);
    ck_assert_uint_lt(story.last_lsn, LSNS_MAX);
    ck_assert_uint_eq(story.sagas, story.sagas_folded);
    ck_assert_uint_gt(story.in_table[SAGA_TABLE_OPEN], 0);
    ck_assert_uint_gt(story.in_table[SAGA_TABLE_DONE], 0);
    ck_assert_uint_gt(story.in_table[SAGA_TABLE_KEYS], 0);
    ck_assert_uint_gt(story.in_table[SAGA_TABLE_DEFINITIONS], 0);
    ck_assert_uint_lt(story.read, story.last_lsn / 2);
    last_lsn = story.last_lsn;
}

static ino_t run_load(uint64_t seed, const char *data_dir) {
    struct trip_load load;
    struct stat status;
    ck_assert_int_eq(mkdir(data_dir, 0750), 0);
    ck_assert_int_eq(stat(data_dir, &status), 0);
    faulty_disk_record();
    trip_load_open(&load, data_dir, seed, CHECKPOINT_RECORDS);
    created = 0;
    mark();
    for (int i = 0; i < STEPS; i++) {
        trip_load_step(&load);
        mark();
    }
    trip_load_close();
    return status.st_ino;
}

/* Whoever opens the log for the first time has it before any record is written. */
static void find_creation(const struct disk_event *events, size_t count, ino_t root) {
    for (size_t i = 0; i < count && created == 0; i++) {
        if (events[i].operation == DISK_RENAME && strcmp(events[i].name, "log") == 0) {
            while (i < count && (events[i].operation != DISK_SYNC || events[i].file != root)) {
                i++;
            }
            ck_assert_msg(i < count, "the log's new name is never synced");
            created = i + 1;
        }
    }
    ck_assert_uint_gt(created, 10);
}

/* ------------------------------------------------------------------- judging */

static uint64_t durable_at(size_t events) {
    uint64_t durable = 0;
    for (size_t i = 0; i < mark_count && marks[i].events <= events; i++) {
        durable = marks[i].durable;
    }
    return durable;
}

static uint64_t coming_at(size_t events) {
    size_t i = 0;
    while (i < mark_count && marks[i].events < events) {
        i++;
    }
    return i < mark_count ? marks[i].durable : last_lsn;
}

/* Where clients were told something, and what a commit made of all that was written. */
struct moment {
    size_t events;
    const char *path;
    uint64_t durable, coming;
    bool is_border; /* all of the commit is there: it ends with the last record */
};

static void judge(const struct moment *moment, bool own, const char *what) {
    struct log_story story = {0};
    struct saga_fault fault = {.text = ""};
    const enum saga_error error = log_story_read(&story, moment->path, own, &fault);
    if (error == SAGA_ERROR_NOT_FOUND) {
        ck_assert_msg(moment->events < created, "no log after %zu events (%s)", moment->events,
                      what);
        seen.none++;
        return;
    }
    ck_assert_msg(error == SAGA_OK, "after %zu events (%s): %s", moment->events, what, fault.text);
    ck_assert_msg(story.last_lsn >= moment->durable && story.last_lsn <= moment->coming,
                  "after %zu events (%s): record %" PRIu64 ", known %" PRIu64 " to %" PRIu64,
                  moment->events, what, story.last_lsn, moment->durable, moment->coming);
    border[story.last_lsn] |= moment->is_border;
    ck_assert_msg(border[story.last_lsn], "after %zu events (%s): a batch is torn at %" PRIu64,
                  moment->events, what, story.last_lsn);
    ck_assert_msg(story.last_lsn == 0 || story.records == after[story.last_lsn],
                  "after %zu events (%s): the records are others", moment->events, what);
    ck_assert_msg(story.sagas == story.sagas_folded && story.quarantined == 0,
                  "after %zu events (%s): the tables make other sagas than the records",
                  moment->events, what);
    seen.earlier += story.last_lsn < moment->coming;
    for (int table = 1; table <= SAGA_LOG_TABLE_COUNT; table++) {
        seen.rows[table] += story.in_table[table] > 0;
    }
}

/* All that was written so far is there: what is read then is what a commit ended with. */
static void note_border(struct crash_disk *disk, struct moment *moment, struct splitmix *random) {
    moment->is_border = true;
    crash_disk_show(disk, 512, CRASH_ALL, random, moment->path);
    judge(moment, false, "all");
    moment->is_border = false;
}

/* In turn, so that a few at each moment have all of them at all of a commit's moments. */
static const enum crash_keep keeps[] = {CRASH_RANDOM, CRASH_MOST,       CRASH_NONE,
                                        CRASH_RANDOM, CRASH_FIRST_HALF, CRASH_MOST,
                                        CRASH_ALL,    CRASH_RANDOM,     CRASH_SECOND_HALF};
#define KEEP_COUNT (sizeof keeps / sizeof keeps[0])

static void judge_states(struct crash_disk *disk, struct moment *moment, size_t states,
                         struct splitmix *random) {
    for (size_t i = 0; i < states; i++) {
        const enum crash_keep keep = keeps[(moment->events + i) % KEEP_COUNT];
        const size_t unit = (moment->events / KEEP_COUNT + i) % 2 == 0 ? 512 : 4096;
        char what[64];
        (void)snprintf(what, sizeof what, "state %zu, pieces of %zu, keep %d", i, unit, (int)keep);
        crash_disk_show(disk, unit, keep, random, moment->path);
        const bool creation = moment->events <= created;
        judge(moment, false, what);
        if (creation || i % 16 == 0) { /* and a daemon finds its way */
            struct log_story story = {0};
            struct saga_fault fault = {.text = ""};
            ck_assert_msg(log_story_read(&story, moment->path, true, &fault) == SAGA_OK,
                          "after %zu events (%s): %s", moment->events, what, fault.text);
            directory_remove(moment->path); /* it has changed what is there */
        }
        seen.states++;
    }
}

static size_t states_wanted(void) {
    const char *text = getenv("SAGA_POWER_STATES");
    return (text != NULL ? strtoull(text, NULL, 10) : 60000) / LOADS;
}

/* The events after which there is something to lose. */
static size_t count_moments(ino_t root, const struct disk_event *events, size_t count) {
    struct crash_disk *disk = crash_disk_open(root, events);
    size_t moments = 0;
    for (size_t i = 0; i < count; i++) {
        crash_disk_step(disk);
        moments += crash_disk_pieces(disk, 512) > 0;
    }
    crash_disk_close(disk);
    return moments;
}

START_TEST(after_power_loss_there_is_all_that_anybody_was_told) {
    char data_dir[SCRATCH_PATH_MAX];
    char path[SCRATCH_PATH_MAX];
    struct splitmix random = {(uint64_t)_i + 2026};
    size_t count;
    (void)snprintf(data_dir, sizeof data_dir, "%s", scratch_file(&scratch, "data"));
    (void)snprintf(path, sizeof path, "%s", scratch_file(&scratch, "crashed"));
    const ino_t root = run_load((uint64_t)_i + 1, data_dir);
    const struct disk_event *events = faulty_disk_events(&count);
    note_original(data_dir);
    find_creation(events, count, root);
    const size_t each = states_wanted() / count_moments(root, events, count) + 1;
    struct crash_disk *disk = crash_disk_open(root, events);
    border[0] = true;
    for (size_t i = 0; i < count; i++) {
        crash_disk_step(disk);
        struct moment moment = {.events = i + 1,
                                .path = path,
                                .durable = durable_at(i + 1),
                                .coming = coming_at(i + 1)};
        if (events[i].operation == DISK_WRITE && events[i].synced) {
            note_border(disk, &moment, &random);
        }
        if (crash_disk_pieces(disk, 512) > 0) {
            judge_states(disk, &moment, each, &random);
        }
    }
    crash_disk_close(disk);
    printf("%" PRIu64 " states of %zu events and %" PRIu64 " records: %" PRIu64
           " without a log, %" PRIu64 " without the last commit\n",
           seen.states, count, last_lsn, seen.none, seen.earlier);
    ck_assert_uint_ge(seen.states, states_wanted());
    ck_assert_uint_gt(seen.none, 0);
    ck_assert_uint_gt(seen.earlier, seen.states / 4);
    ck_assert_uint_gt(seen.rows[SAGA_TABLE_OPEN], seen.states / 4);
    ck_assert_uint_gt(seen.rows[SAGA_TABLE_DONE], seen.states / 4);
    ck_assert_uint_gt(seen.rows[SAGA_TABLE_KEYS], seen.states / 4);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("power");
    TCase *tests = tcase_create("power loss");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 36000);
    tcase_add_loop_test(tests, after_power_loss_there_is_all_that_anybody_was_told, 0, LOADS);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
