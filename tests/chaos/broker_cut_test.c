/* A connection to the broker that is cut at every border of a frame of a two-step
 * saga's traffic, from the login on, and a byte before and after it, in both
 * directions: the daemon's two, and a service's two. After each cut the saga ends,
 * and each of its effects has happened once.
 *
 *   BYTES=all   at every byte instead: half an hour */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "amqp_cutter.h"
#include "broker_fixture.h"
#include "check_run.h"
#include "monotonic.h"
#include "scratch.h"

#define QUIET_MS   250  /* so long after a saga's end nothing more goes by */
#define SLOW_MS    5000 /* worth a line */
#define CUTS_LEAST 20   /* of a direction: the login and the declarations alone have as many */

/* One connection, and all that stands around it: a daemon, a service, a host of its own. */
struct lane {
    const char *name; /* the connection's */
    int host;
    bool is_services; /* else the daemon's */
};

static const struct lane lanes[] = {
    {"sagad: commands", 1, false},
    {"sagad: replies", 2, false},
    {"parking: commands", 3, true},
    {"parking: replies", 4, true},
};
#define LANE_COUNT (sizeof lanes / sizeof lanes[0])

static struct daemon_process service;
static struct amqp_cutter *cutter;

static void start_service(const char *url) {
    char program[512], database[640];
    (void)snprintf(program, sizeof program, "%s/parking", SAGA_BIN_DIR);
    (void)snprintf(database, sizeof database, "%s/parking.db", fixture_data_dir());
    const char *const words[] = {program, "serve",  "--db", database, "--amqp",
                                 url,     "--http", "0",    NULL};
    daemon_start(&service, words, NULL, fixture_path("service"));
}

static void rest(void) {
    const struct timespec pause = {.tv_nsec = 20000000};
    (void)nanosleep(&pause, NULL);
}

/* After the saga's end: until nothing goes by any more, for acknowledgements come after it. */
static struct cutter_progress await_quiet(void) {
    struct cutter_progress before = cutter_look(cutter), now = before;
    int64_t since_ms = monotonic_ms();
    while (!now.cut && monotonic_ms() - since_ms < QUIET_MS) {
        rest();
        now = cutter_look(cutter);
        if (now.bytes != before.bytes) {
            before = now;
            since_ms = monotonic_ms();
        }
    }
    return now;
}

static void expect_effects_once(const char *id) {
    char like[API_ID_SIZE + 1];
    (void)snprintf(like, sizeof like, "%s%%", id);
    ck_assert_str_eq(fixture_look("parking",
                                  "SELECT count(*) || ' ' || count(DISTINCT command_id) FROM "
                                  "effects WHERE command_id LIKE ?1",
                                  like),
                     "2 2");
}

/* Which cut this is, for whoever reads of its failure. */
static const char *text_of(const struct lane *lane, const struct cut *cut) {
    static char text[128];
    (void)snprintf(text, sizeof text, "%s, %s the broker, frame %u%+d, byte %llu", lane->name,
                   cut->direction == CUT_TO_BROKER ? "to" : "from", cut->frame, cut->delta,
                   (unsigned long long)cut->byte);
    return text;
}

static void expect_completed(struct api_session *session, const char *id, const char *which) {
    size_t size;
    json_t *saga = api_session_await(session, id, 60000);
    const struct cutter_progress progress = cutter_look(cutter);
    ck_assert_msg(
        strcmp(api_text(saga, "status"), "completed") == 0,
        "%s: saga %s is '%s'; taken %d, cut %d, %u frames\nthe service said: %s\nthe daemon "
        "said: %s",
        which, id, api_text(saga, "status"), progress.taken, progress.cut, progress.frames,
        (const char *)file_read(fixture_path("service"), &size), fixture_said());
    json_decref(saga);
}

struct tally {
    unsigned cuts;
    int64_t slowest_ms;
};

/* One saga whose traffic is cut there. False: it has no such place. */
static bool run_cut(struct api_session *session, const struct lane *lane, const struct cut *cut,
                    struct tally *tally) {
    static unsigned number;
    char slot[16], id[API_ID_SIZE];
    (void)snprintf(slot, sizeof slot, "s%u", number++);
    fixture_create_slot(slot);
    const int64_t began_ms = monotonic_ms();
    cutter_arm(cutter, lane->name, cut);
    fixture_park(slot, slot, id);
    expect_completed(session, id, text_of(lane, cut));
    const int64_t took_ms = monotonic_ms() - began_ms;
    expect_effects_once(id);
    ck_assert_str_eq(
        fixture_look("parking", "SELECT status FROM parking_slots WHERE uuid = ?1", slot),
        "reserved");
    const struct cutter_progress progress = await_quiet();
    ck_assert(progress.taken);
    tally->cuts += progress.cut;
    tally->slowest_ms = took_ms > tally->slowest_ms ? took_ms : tally->slowest_ms;
    if (took_ms > SLOW_MS) {
        (void)printf("%s: %lld ms\n", text_of(lane, cut), (long long)took_ms);
    }
    return progress.cut;
}

static bool wants_bytes(void) {
    const char *bytes = getenv("BYTES");
    return bytes != NULL && strcmp(bytes, "all") == 0;
}

static void sweep(const struct lane *lane, enum cut_direction direction) {
    struct api_session *session = fixture_session();
    const int64_t began_ms = monotonic_ms();
    struct tally tally = {0};
    uint32_t frames = 0;
    if (wants_bytes()) {
        struct cut cut = {.direction = direction, .byte = 1};
        while (run_cut(session, lane, &cut, &tally)) {
            cut.byte++;
        }
    } else {
        struct cut cut = {.direction = direction, .frame = 1, .delta = -1};
        while (run_cut(session, lane, &cut, &tally)) {
            frames = cut.frame;
            cut.frame += cut.delta == 1;
            cut.delta = cut.delta == 1 ? -1 : cut.delta + 1;
        }
    }
    (void)printf("%s, %s the broker: %u frames, %u cuts in %lld s; the slowest saga: %lld ms\n",
                 lane->name, direction == CUT_TO_BROKER ? "to" : "from", frames, tally.cuts,
                 (long long)(monotonic_ms() - began_ms) / 1000, (long long)tally.slowest_ms);
    (void)fflush(stdout);
    ck_assert_uint_ge(tally.cuts, CUTS_LEAST);
    api_session_close(session);
}

static int run_lane(void *argument) {
    const struct lane *lane = argument;
    fixture_open_daemon();
    fixture_begin(lane->host, "timeout: 20s");
    cutter = cutter_open(fixture_node.port);
    const uint16_t port = cutter_port(cutter);
    start_service(lane->is_services ? fixture_url_at(port) : fixture_url());
    fixture_await_messages("parking", 0); /* the service is there, and its database */
    fixture_start_at(SAGAD, lane->is_services ? fixture_url() : fixture_url_at(port));
    (void)fixture_await_connected(true, 20000);
    sweep(lane, CUT_TO_BROKER);
    sweep(lane, CUT_FROM_BROKER);
    ck_assert_int_eq(fixture_count("sagas.open"), 0);
    ck_assert_int_eq(fixture_count("sagas.quarantined"), 0);
    ck_assert_int_eq(fixture_count("broker.replies.dead_lettered"), 0);
    ck_assert_int_eq(fixture_messages_in("parking.dead"), 0);
    fixture_stop();
    ck_assert_int_eq(daemon_stop(&service), 0);
    cutter_close(cutter);
    fixture_close_daemon();
    return 0;
}

START_TEST(wherever_a_connection_is_cut_a_saga_ends_and_happens_once) {
    pid_t children[LANE_COUNT];
    for (size_t i = 0; i < LANE_COUNT; i++) {
        children[i] = child_start(run_lane, (void *)(uintptr_t)&lanes[i]);
    }
    for (size_t i = 0; i < LANE_COUNT; i++) {
        const int status = child_wait(children[i]);
        ck_assert_msg(status == 0, "%s: wait status %d", lanes[i].name, status);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("broker cut");
    TCase *tests = tcase_create("cut");
    tcase_set_timeout(tests, wants_bytes() ? 24 * 3600 : 900);
    tcase_add_test(tests, wherever_a_connection_is_cut_a_saga_ends_and_happens_once);
    suite_add_tcase(suite, tests);
    fixture_open_node(LANE_COUNT);
    const int status = check_run(suite);
    fixture_close_node();
    return status;
}
