#include "amqp_hostile_fixture.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "monotonic.h"

struct saga_amqp_address hostile_address(uint16_t port) {
    struct saga_amqp_address address = {
        .host_count = 1, .user = "guest", .password = "guest", .vhost = "/"};
    (void)snprintf(address.hosts[0].name, sizeof address.hosts[0].name, "127.0.0.1");
    address.hosts[0].port = port;
    return address;
}

enum saga_error hostile_try_to_open(struct saga_amqp_link **link, struct saga_fault *fault) {
    const struct saga_amqp_address address = hostile_address(scripted_broker_port());
    const struct saga_amqp_link_options options = {.address = &address,
                                                   .name = "test",
                                                   .timeout_ms = HOSTILE_TIMEOUT_MS,
                                                   .heartbeat_s = 10,
                                                   .body_bytes_max = HOSTILE_BODY_BYTES_MAX};
    return saga_amqp_link_open(link, &options, 0, fault);
}

struct saga_amqp_link *hostile_open_link(void) {
    struct saga_amqp_link *link = NULL;
    struct saga_fault fault = {0};
    ck_assert_msg(hostile_try_to_open(&link, &fault) == SAGA_OK, "%s", fault.text);
    return link;
}

enum saga_error hostile_next_event(struct saga_amqp_link *link, struct saga_amqp_event *event,
                                   struct saga_fault *fault) {
    const int64_t until_ms = monotonic_ms() + 5000;
    while (monotonic_ms() < until_ms) {
        const enum saga_error error = saga_amqp_link_take(link, event, fault);
        if (error != SAGA_OK || event->type != SAGA_AMQP_NOTHING) {
            return error;
        }
        saga_amqp_link_wait(link, -1, 100);
    }
    return saga_fault_set(fault, SAGA_ERROR_TIMEOUT, "nothing comes");
}

void hostile_expect_event(struct saga_amqp_link *link, struct saga_amqp_event *event,
                          enum saga_amqp_event_type type) {
    struct saga_fault fault = {0};
    ck_assert_msg(hostile_next_event(link, event, &fault) == SAGA_OK, "%s", fault.text);
    ck_assert_int_eq(event->type, (int)type);
}

void hostile_expect_text(const struct saga_fault *fault, const char *text) {
    ck_assert_msg(strstr(fault->text, text) != NULL, "'%s' is not in '%s'", text, fault->text);
    for (const char *at = fault->text; *at != '\0'; at++) {
        ck_assert_msg((unsigned char)*at >= ' ', "control bytes in '%s'", fault->text);
    }
}

void hostile_expect_lost(struct saga_amqp_link *link, const char *text) {
    struct saga_amqp_event event;
    struct saga_fault fault = {0};
    enum saga_error error;
    while ((error = hostile_next_event(link, &event, &fault)) == SAGA_OK) {
    }
    ck_assert_msg(error == SAGA_ERROR_UNREACHABLE, "%s", fault.text);
    hostile_expect_text(&fault, text);
}

long hostile_resident_kib(void) {
    long pages = 0, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    ck_assert_ptr_nonnull(statm);
    ck_assert_int_eq(fscanf(statm, "%ld %ld", &pages, &resident), 2);
    (void)fclose(statm);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

void hostile_play_story(struct scripted_peer *peer) {
    const struct hostile_story *story = script_context(peer);
    if (script_greet(peer)) {
        story->tell(peer);
        script_attend(peer);
    }
}

void hostile_put_header(struct script_bytes *headers, const char *name, char kind, unsigned width,
                        uint64_t number) {
    script_put_short(headers, name);
    script_put_number(headers, 1, (uint64_t)kind);
    script_put_number(headers, width, number);
}
