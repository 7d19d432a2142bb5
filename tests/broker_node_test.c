/* The broker of the tests: that it is there, and that what happens to it happens. */
#include "broker_node.h"
#include "check_run.h"
#include "link.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A peer that says nothing is given up after so long. */
#define SILENCE_MS 1000

static struct broker_node node;
static struct saga_amqp_address address;
static struct saga_fault fault;

static enum saga_error connect_to(struct saga_amqp_link **link, const struct broker_node *to,
                                  uint32_t timeout_ms) {
    ck_assert_int_eq(saga_amqp_address_parse(&address, to->url, &fault), SAGA_OK);
    const struct saga_amqp_link_options options = {
        .address = &address,
        .name = "broker_node_test",
        .timeout_ms = timeout_ms,
        .heartbeat_s = SAGA_AMQP_HEARTBEAT_S,
        .body_bytes_max = 1024,
    };
    return saga_amqp_link_open(link, &options, 0, &fault);
}

static struct saga_amqp_link *connected(const struct broker_node *to) {
    struct saga_amqp_link *link;
    ck_assert_msg(connect_to(&link, to, SAGA_AMQP_TIMEOUT_MS) == SAGA_OK, "%s", fault.text);
    return link;
}

static void declare(const char *name) {
    struct saga_amqp_link *link = connected(&node);
    const struct saga_amqp_queue queue = {.name = name};
    ck_assert_int_eq(saga_amqp_link_queue(link, &queue, &fault), SAGA_OK);
    saga_amqp_link_close(link);
}

static enum saga_error find(const char *name) {
    struct saga_amqp_link *link = connected(&node);
    const enum saga_error error = saga_amqp_link_find_queue(link, name, &fault);
    saga_amqp_link_close(link);
    return error;
}

static void expect_nobody(void) {
    struct saga_amqp_link *link;
    ck_assert_int_eq(connect_to(&link, &node, SILENCE_MS), SAGA_ERROR_UNREACHABLE);
}

static const char *state(void) {
    static char line[256];
    char command[1024];
    (void)snprintf(command, sizeof command, "%s status %s", SAGA_BROKER, node.path);
    FILE *output = popen(command, "re");
    ck_assert_ptr_nonnull(output);
    ck_assert_ptr_nonnull(fgets(line, sizeof line, output));
    ck_assert_int_eq(pclose(output), 0);
    return line;
}

static void expect_state(const char *name) {
    char line[256];
    (void)snprintf(line, sizeof line, "%s %s\n", name, node.url);
    ck_assert_str_eq(state(), line);
}

START_TEST(what_is_durable_outlives_a_kill) {
    const struct broker_node before = node;
    declare("kept");
    (void)broker_node_ctl(&node, (const char *const[]){"eval", "ok = mnesia:sync_log().", NULL});
    broker_node_kill(&node);
    expect_state("stopped");
    expect_nobody();
    broker_node_start(&node);
    expect_state("running");
    ck_assert_str_eq(node.url, before.url);
    ck_assert_uint_eq(node.port, before.port);
    ck_assert_int_eq(find("kept"), SAGA_OK);
}
END_TEST

START_TEST(what_is_wiped_is_gone) {
    declare("wiped");
    broker_node_stop(&node);
    expect_nobody();
    broker_node_wipe(&node);
    broker_node_start(&node);
    ck_assert_int_eq(find("wiped"), SAGA_ERROR_NOT_FOUND);
    declare("wiped");
}
END_TEST

START_TEST(a_paused_node_is_silent) {
    broker_node_pause(&node);
    expect_state("paused");
    expect_nobody();
    broker_node_resume(&node);
    expect_state("running");
    declare("resumed");
}
END_TEST

/* What the broker says next, if it says anything in time. */
static enum saga_amqp_event_type next_event(struct saga_amqp_link *link) {
    struct saga_amqp_event event = {.type = SAGA_AMQP_NOTHING};
    for (int waits = 0; event.type == SAGA_AMQP_NOTHING && waits < 10; waits++) {
        saga_amqp_link_wait(link, -1, 1000);
        ck_assert_msg(saga_amqp_link_take(link, &event, &fault) == SAGA_OK, "%s", fault.text);
    }
    return event.type;
}

static void publish(struct saga_amqp_link *link) {
    const struct saga_amqp_message message = {.exchange = "", .routing_key = "alarmed"};
    ck_assert_int_eq(saga_amqp_link_publish(link, &message, &fault), SAGA_OK);
}

/* The broker says these two, in any order. */
static void expect_both(struct saga_amqp_link *link, enum saga_amqp_event_type one,
                        enum saga_amqp_event_type other) {
    const enum saga_amqp_event_type first = next_event(link), second = next_event(link);
    ck_assert_msg((first == one && second == other) || (first == other && second == one),
                  "%d and %d, not %d and %d", first, second, one, other);
}

/* With an alarm a connection is blocked by its next publish, which may still be taken itself:
 * nothing follows the header of a message without a body. What comes then is not read. */
START_TEST(an_alarm_blocks_publishers) {
    declare("alarmed");
    struct saga_amqp_link *link = connected(&node);
    ck_assert_int_eq(saga_amqp_link_confirm(link, &fault), SAGA_OK);
    publish(link);
    ck_assert_int_eq(next_event(link), SAGA_AMQP_CONFIRMED);
    broker_node_alarm(&node, true);
    publish(link);
    expect_both(link, SAGA_AMQP_BLOCKED, SAGA_AMQP_CONFIRMED);
    publish(link);
    broker_node_alarm(&node, false);
    expect_both(link, SAGA_AMQP_UNBLOCKED, SAGA_AMQP_CONFIRMED);
    saga_amqp_link_close(link);
}
END_TEST

START_TEST(rabbitmqctl_answers) {
    declare("listed");
    const char *answer = broker_node_ctl(
        &node, (const char *const[]){"--silent", "list_queues", "name", "messages", NULL});
    ck_assert_msg(strstr(answer, "listed\t0\n") != NULL, "%s", answer);
}
END_TEST

static int exit_status_of(void (*body)(void)) {
    int status;
    (void)fflush(NULL);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        (void)!freopen("/dev/null", "w", stderr);
        body();
        _exit(EXIT_SUCCESS);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void wipe_it(void) {
    broker_node_wipe(&node);
}

START_TEST(a_running_node_is_not_wiped) {
    declare("safe");
    ck_assert_int_eq(exit_status_of(wipe_it), EXIT_FAILURE);
    ck_assert_int_eq(find("safe"), SAGA_OK);
}
END_TEST

/* Opens a node, tells where it is, and waits to be killed. */
static void open_and_wait(int output) {
    struct broker_node orphan = {0};
    broker_node_open(&orphan);
    if (write(output, &orphan, sizeof orphan) == (ssize_t)sizeof orphan) {
        (void)pause();
    }
    _exit(EXIT_FAILURE);
}

/* The connection is lost some time. */
static void await_loss(struct saga_amqp_link *link) {
    struct saga_amqp_event event;
    enum saga_error error = SAGA_OK;
    for (int waits = 0; error == SAGA_OK && waits < 30; waits++) {
        saga_amqp_link_wait(link, -1, 1000);
        error = saga_amqp_link_take(link, &event, &fault);
    }
    ck_assert_int_eq(error, SAGA_ERROR_UNREACHABLE);
    saga_amqp_link_close(link);
}

START_TEST(another_node_is_its_own_and_ends_with_its_owner) {
    struct broker_node orphan = {0};
    int ends[2];
    int status;
    declare("mine");
    ck_assert_int_eq(pipe(ends), 0);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        open_and_wait(ends[1]);
    }
    (void)close(ends[1]);
    ck_assert_int_eq(read(ends[0], &orphan, sizeof orphan), (ssize_t)sizeof orphan);
    (void)close(ends[0]);
    ck_assert_uint_ne(orphan.port, node.port);
    struct saga_amqp_link *link = connected(&orphan), *second = connected(&orphan);
    ck_assert_int_eq(saga_amqp_link_find_queue(second, "mine", &fault), SAGA_ERROR_NOT_FOUND);
    saga_amqp_link_close(second);
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    await_loss(link);
    broker_node_close(&orphan);
    struct stat gone;
    ck_assert_int_ne(stat(orphan.path, &gone), 0);
    ck_assert_int_eq(find("mine"), SAGA_OK);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("broker node");
    TCase *one = tcase_create("node");
    tcase_set_timeout(one, 120);
    tcase_add_test(one, what_is_durable_outlives_a_kill);
    tcase_add_test(one, what_is_wiped_is_gone);
    tcase_add_test(one, a_paused_node_is_silent);
    tcase_add_test(one, rabbitmqctl_answers);
    tcase_add_test(one, a_running_node_is_not_wiped);
    tcase_add_test(one, another_node_is_its_own_and_ends_with_its_owner);
    suite_add_tcase(suite, one);
    TCase *alarm_case = tcase_create("alarm");
    tcase_set_timeout(alarm_case, 120);
    tcase_add_test(alarm_case, an_alarm_blocks_publishers);
    suite_add_tcase(suite, alarm_case);
    broker_node_open(&node);
    const int status = check_run(suite);
    broker_node_close(&node);
    return status;
}
