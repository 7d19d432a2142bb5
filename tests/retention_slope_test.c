/* Eight hours at a constant rate: with retention the log's file comes to a size, and stays there;
 * whoever is open is never touched.
 *
 * SAGA_SLOPE_RECORDS: how many records those eight hours have (300,000). */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "check_run.h"
#include "scratch.h"
#include "trip_fixture.h"

#define SECOND  INT64_C(1000)
#define HOUR    (3600 * SECOND)
#define SAMPLES 40

/* A trip has so many records: started, issued, reply, issued, reply, ended and its pivot. */
#define TRIP_RECORDS 7
/* One in so many is compensated, and known for longer. */
#define REFUSED_EACH 16
/* Every quarter of an hour comes a saga that is not answered before so many others are not as well:
 * two hours and more, with attempts that expire. */
#define LONGS 32
#define LONG  8

static struct scratch scratch;
static struct saga_id waiting[LONG]; /* the longest first */
static unsigned waiting_count;
static unsigned started;
static unsigned rounds;

/* What the engine has until the next commit. */
static struct saga_request requests[512];
static struct saga_listing listings[256];
static char keys[256][32];
static size_t request_count;

static void set_up(void) {
    scratch_open(&scratch);
    world_init(scratch.path);
    world.map_bytes = UINT64_C(4) << 30;
    world.sagas_max = 10000;
    world.checkpoints = (struct saga_checkpoint_pace){.records = 20000, .slice_entries = 64};
    world.retention = saga_retention_for_ever;
    world.retention.ms[SAGA_COMPLETED] = HOUR;
    world.retention.ms[SAGA_COMPENSATED] = 2 * HOUR;
    world.retention.keys_ms = HOUR;
    trip_open();
}

static void tear_down(void) {
    world_close();
    scratch_close(&scratch);
}

static void commit(void) {
    struct saga_fault fault = {0};
    ck_assert_msg(saga_engine_commit(world.engine, world.now, &fault) == SAGA_OK, "%s", fault.text);
    for (size_t i = 0; i < request_count; i++) {
        ck_assert_msg(requests[i].result == SAGA_RESULT_OK ||
                          requests[i].result == SAGA_RESULT_CREATED,
                      "%s", requests[i].text);
    }
    request_count = 0;
}

static void take(struct saga_request request) {
    requests[request_count] = request;
    saga_engine_take(world.engine, &requests[request_count++], world.now);
}

static void start(unsigned number) {
    (void)snprintf(keys[number], sizeof keys[number], "key %u", started++);
    struct saga_request request =
        trip_request(keys[number], "{\"who\":\"a traveller\",\"nights\":3}");
    listings[number] = (struct saga_listing){0};
    request.listings = &listings[number];
    take(request);
}

static bool is_waiting(const struct saga_id *id) {
    for (unsigned i = 0; i < waiting_count; i++) {
        if (memcmp(&waiting[i], id, sizeof *id) == 0) {
            return true;
        }
    }
    return false;
}

/* What its participant says; NULL: nothing. */
static const char *answer_to(const struct sent *sent, size_t number) {
    if (is_waiting(&sent->id.saga)) {
        return NULL;
    }
    switch (sent->id.operation) {
    case SAGA_ACTION:
        return sent->id.step == 1                 ? "{\"reply_state\":\"SEAT_RESERVED\"}"
               : number % (2 * REFUSED_EACH) == 0 ? "{\"reply_state\":\"NO_ROOM\"}"
                                                  : "{\"reply_state\":\"ROOM_BOOKED\"}";
    case SAGA_COMPENSATION:
        return "{\"reply_state\":\"ROOM_CANCELLED\"}";
    default:
        return "{\"reply_state\":\"fenced\"}";
    }
}

/* All that left since the last time. */
static void answer_all(void) {
    static size_t answered;
    for (const size_t to = world.sent_count; answered < to; answered++) {
        const struct sent *sent = world_sent(answered);
        const char *body = answer_to(sent, answered);
        if (body != NULL) {
            take(world_reply_request(sent, body));
        }
    }
}

/* One more; the longest of them is answered when its command comes again. */
static void let_wait(const struct saga_id *id) {
    if (waiting_count == LONG) {
        memmove(&waiting[0], &waiting[1], sizeof waiting - sizeof waiting[0]);
        waiting_count--;
    }
    waiting[waiting_count++] = *id;
}

static void run_round(unsigned round, unsigned trips) {
    for (unsigned i = 0; i < trips; i++) {
        start(i);
    }
    commit();
    if (round % (rounds / LONGS) == 0) {
        let_wait(&listings[0].id);
    }
    for (int step = 0; step < 2; step++) {
        answer_all();
        commit();
    }
    world_sleep(8 * HOUR / rounds);
    (void)saga_engine_tick(world.engine, world.now);
    if (round % 3 == 0) {
        saga_engine_sweep(world.engine, world.now);
    }
    commit();
}

static uint64_t file_bytes(void) {
    struct stat status;
    ck_assert_int_eq(stat(scratch_file(&scratch, "log/data.mdb"), &status), 0);
    return (uint64_t)status.st_size;
}

/* Every open saga's start can be read, however long its block is gone. */
static void expect_the_waiting(void) {
    for (unsigned i = 0; i < waiting_count; i++) {
        uint64_t lsn = world_find(waiting[i]).last_lsn;
        unsigned length = 0;
        while (lsn != 0) {
            struct saga_record record;
            struct saga_fault fault = {0};
            ck_assert_msg(saga_log_read(world.log, &waiting[i], lsn, &record, &fault) == SAGA_OK,
                          "%s", fault.text);
            lsn = record.previous_lsn;
            length++;
        }
        ck_assert_uint_ge(length, 2);
    }
}

/* How much a line through the samples rises from the first to the last, as a part of their mean. */
static double rise(const double *samples, unsigned count) {
    double mean = 0;
    double slope = 0;
    double spread = 0;
    for (unsigned i = 0; i < count; i++) {
        mean += samples[i] / count;
    }
    for (unsigned i = 0; i < count; i++) {
        const double x = i - (count - 1) / 2.0;
        slope += x * (samples[i] - mean);
        spread += x * x;
    }
    return slope / spread * (count - 1) / mean;
}

START_TEST(a_constant_load_keeps_the_file_at_a_constant_size) {
    const char *text = getenv("SAGA_SLOPE_RECORDS");
    const uint64_t records = text != NULL ? strtoull(text, NULL, 10) : 300000;
    const unsigned trips = records > 1000000 ? 100 : 16;
    double in_use[SAMPLES]; /* in the second half */
    unsigned samples = 0;
    uint64_t half = 0;
    rounds = (unsigned)(records / TRIP_RECORDS / trips);
    for (unsigned round = 0; round < rounds; round++) {
        run_round(round, trips);
        if (round % (rounds / SAMPLES) == 0) {
            struct saga_log_usage usage;
            const struct saga_engine_stats stats = world_stats();
            saga_log_usage(world.log, &usage);
            if (round >= rounds / 2 && samples < SAMPLES) {
                in_use[samples++] = (double)usage.bytes;
            }
            printf("%4.1f h: %8llu records, %8llu in the log, %6llu kept, %6llu sagas known, "
                   "%7.2f MiB in use, file %7.2f MiB\n",
                   8.0 * round / rounds, (unsigned long long)stats.last_lsn,
                   (unsigned long long)(stats.last_lsn - stats.first_lsn + 1),
                   (unsigned long long)stats.purged.records, (unsigned long long)stats.sagas_known,
                   (double)usage.bytes / 1048576, (double)file_bytes() / 1048576);
        }
        if (round == rounds / 2) {
            half = file_bytes();
            expect_the_waiting();
        }
    }
    expect_the_waiting();
    ck_assert_uint_ge(world_stats().last_lsn, records * 9 / 10);
    printf("in the second half: in use %+.2f %%, the file %+.2f %%\n", 100 * rise(in_use, samples),
           100 * ((double)file_bytes() / (double)half - 1));
    ck_assert(rise(in_use, samples) < 0.05);
    ck_assert_uint_le(file_bytes(), half + half / 20);
    ck_assert_uint_le(world_stats().sagas_known, (uint64_t)trips * rounds / 4);
    ck_assert_uint_le(world_stats().core.open, waiting_count + 1);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("retention slope");
    TCase *tests = tcase_create("slope");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 3600);
    tcase_add_test(tests, a_constant_load_keeps_the_file_at_a_constant_size);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
