/* A command as a message: what participants read where (docs/protocol.md). */
#include "command_message.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_run.h"
#include "definition.h"
#include "ids.h"

#define SAGA "0190a8f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b"

static const char parking[] =
    "saga: booking\n"
    "version: 3\n"
    "exchange: TRIPS\n"
    "headers: {CLIENT: BOOKING_REQUEST_ORCHESTRATOR, tenant: blue}\n"
    "participants:\n"
    "  parking: {fenced: true}\n"
    "steps:\n"
    "  - name: first\n"
    "    command: parking.look\n"
    "    no_effect: true\n"
    "  - name: block\n"
    "    command: parking.block-it\n"
    "    done: [PARKING_AVAILABLE]\n"
    "    compensation: {command: parking.unblock, done: [PARKING_UNBLOCKED]}\n";

static struct saga_definition *definition;
static struct saga_dispatch dispatch;
static struct saga_command_envelope envelope;
static struct saga_command_message *made;

static void read_definition(const char *text) {
    struct saga_diagnostics diagnostics;
    ck_assert_msg(saga_definition_parse(text, strlen(text), &definition, &diagnostics) == SAGA_OK,
                  "%s", diagnostics.count > 0 ? diagnostics.items[0].message : "");
}

static void close_it(void) {
    free(made);
    saga_definition_free(definition);
    made = NULL;
    definition = NULL;
}

static void set_up_with(const char *text, uint8_t step, enum saga_operation operation) {
    read_definition(text);
    envelope =
        (struct saga_command_envelope){.exchange = "saga.commands", .reply_to = "saga.replies.0f"};
    dispatch = (struct saga_dispatch){
        .id = {.step = step, .operation = (uint8_t)operation, .incarnation = 2, .revision = 65535},
        .definition = definition,
        .name = saga_definition_command_name(definition, step, operation),
        .attempt = 4,
        .epoch = 9,
        .issued_at_ms = INT64_C(1720742405999),
        .command_at_ms = INT64_C(1720742400125),
        .deadline_ms = INT64_C(1720742700000),
        .body = "{\"id\":3}",
        .body_size = 8,
    };
    ck_assert(saga_id_parse(SAGA, strlen(SAGA), &dispatch.id.saga));
}

static const struct saga_amqp_message *make(void) {
    free(made);
    made = saga_command_message_make(&dispatch, &envelope);
    ck_assert_ptr_nonnull(made);
    return &made->outgoing.message;
}

static const char *text_of(const char *name) {
    const char *text = saga_amqp_message_text(&made->outgoing.message, name);
    ck_assert_msg(text != NULL, "no text %s", name);
    return text;
}

/* A number as a number: a text of digits would do for ours, and not for everybody. */
static int64_t number_of(const char *name) {
    int64_t number = -1;
    ck_assert_msg(saga_amqp_message_number(&made->outgoing.message, name, &number), "no number %s",
                  name);
    ck_assert_ptr_null(saga_amqp_message_text(&made->outgoing.message, name));
    return number;
}

/* What is the same for all three. */
static void expect_common(const struct saga_amqp_message *message, const char *name, const char *id,
                          const char *capitals, const char *operation) {
    ck_assert_str_eq(message->exchange, "TRIPS");
    ck_assert_str_eq(message->routing_key, name);
    ck_assert_str_eq(message->type, name);
    ck_assert_str_eq(message->message_id, id);
    ck_assert_str_eq(message->correlation_id, id);
    ck_assert_str_eq(message->reply_to, "saga.replies.0f");
    ck_assert_str_eq(message->content_type, "application/json");
    ck_assert_ptr_null(message->app_id);
    ck_assert(!message->persistent);
    ck_assert(message->mandatory);
    ck_assert_uint_eq(message->timestamp_s, 1720742405);
    ck_assert_uint_eq(message->body_size, 8);
    ck_assert_mem_eq(message->body, "{\"id\":3}", 8);
    ck_assert_str_eq(text_of("COMMAND"), capitals);
    ck_assert_str_eq(text_of("CLIENT"), "BOOKING_REQUEST_ORCHESTRATOR");
    ck_assert_str_eq(text_of("tenant"), "blue");
    ck_assert_str_eq(text_of("saga-id"), SAGA);
    ck_assert_str_eq(text_of("saga-type"), "booking");
    ck_assert_str_eq(text_of("saga-step"), "block");
    ck_assert_str_eq(text_of("saga-operation"), operation);
    ck_assert_int_eq(number_of("saga-incarnation"), 2);
    ck_assert_int_eq(number_of("saga-revision"), 65535);
    ck_assert_int_eq(number_of("saga-attempt"), 4);
    ck_assert_int_eq(number_of("saga-epoch"), 9);
    ck_assert_str_eq(text_of("saga-issued-at"), "2024-07-12T00:00:00.125Z");
    ck_assert_str_eq(text_of("saga-deadline"), "2024-07-12T00:05:00.000Z");
    (void)text_of("traceparent");
    ck_assert_uint_eq(message->header_count, 14); /* and no other */
}

static const struct {
    enum saga_operation operation;
    const char *name, *id, *capitals, *word;
} commands[] = {
    {SAGA_ACTION, "parking.block-it", SAGA "/block/2/action/65535", "PARKING_BLOCK-IT", "action"},
    {SAGA_COMPENSATION, "parking.unblock", SAGA "/block/2/compensation/65535", "PARKING_UNBLOCK",
     "compensation"},
    {SAGA_FENCE, "parking.fence", SAGA "/block/2/fence/65535", "PARKING_FENCE", "fence"},
    {SAGA_SETTLE, "parking.settle", SAGA "/block/2/settle/65535", "PARKING_SETTLE", "settle"},
};

START_TEST(a_command_says_all_that_the_protocol_lists) {
    set_up_with(parking, 1, commands[_i].operation);
    expect_common(make(), commands[_i].name, commands[_i].id, commands[_i].capitals,
                  commands[_i].word);
    close_it();
}
END_TEST

START_TEST(no_deadline_is_no_header) {
    set_up_with(parking, 1, SAGA_ACTION);
    dispatch.deadline_ms = 0;
    ck_assert_ptr_null(saga_amqp_message_text(make(), "saga-deadline"));
    ck_assert_uint_eq(made->outgoing.message.header_count, 13);
    close_it();
}
END_TEST

START_TEST(the_same_attempt_is_known_by_its_id_whenever_it_is_sent) {
    set_up_with(parking, 1, SAGA_ACTION);
    char id[SAGA_COMMAND_TEXT_SIZE];
    (void)strcpy(id, make()->message_id);
    dispatch.attempt = 5;
    dispatch.epoch = 10;
    dispatch.issued_at_ms += 77000;
    ck_assert_str_eq(make()->message_id, id);
    ck_assert_str_eq(text_of("saga-issued-at"), "2024-07-12T00:00:00.125Z");
    ck_assert_int_eq(number_of("saga-attempt"), 5);
    ck_assert_uint_eq(made->outgoing.message.timestamp_s, 1720742482);
    close_it();
}
END_TEST

START_TEST(an_exchange_that_is_not_said_is_the_daemons) {
    set_up_with("{saga: s, version: 1, steps: [{name: a, command: x.y, no_effect: true}]}", 0,
                SAGA_ACTION);
    ck_assert_str_eq(make()->exchange, "saga.commands");
    ck_assert_uint_eq(made->outgoing.message.header_count, 12);
    close_it();
}
END_TEST

START_TEST(persistence_is_the_daemons_to_say) {
    set_up_with(parking, 1, SAGA_ACTION);
    envelope.persistent = true;
    ck_assert(make()->persistent);
    close_it();
}
END_TEST

START_TEST(a_body_may_be_empty) {
    set_up_with(parking, 1, SAGA_FENCE);
    dispatch.body = NULL;
    dispatch.body_size = 0;
    ck_assert_uint_eq(make()->body_size, 0);
    ck_assert_ptr_nonnull(made->outgoing.message.body);
    close_it();
}
END_TEST

START_TEST(a_time_before_all_times_is_not_said) {
    set_up_with(parking, 1, SAGA_ACTION);
    dispatch.issued_at_ms = -1;
    ck_assert_uint_eq(make()->timestamp_s, 0);
    close_it();
}
END_TEST

START_TEST(what_it_was_made_of_may_be_overwritten) {
    char name[] = "parking.block-it", body[] = "{\"id\":3}";
    set_up_with(parking, 1, SAGA_ACTION);
    dispatch.name = name;
    dispatch.body = body;
    (void)make();
    memset(name, '#', sizeof name - 1);
    memset(body, '#', sizeof body - 1);
    memset(&dispatch, 0x5a, sizeof dispatch);
    expect_common(&made->outgoing.message, commands[0].name, commands[0].id, commands[0].capitals,
                  commands[0].word);
    close_it();
}
END_TEST

START_TEST(it_is_the_request_that_says_it_did_not_leave) {
    set_up_with(parking, 1, SAGA_COMPENSATION);
    (void)make();
    ck_assert_int_eq(made->unsent.type, SAGA_REQUEST_UNSENT);
    ck_assert_mem_eq(&made->unsent.command, &dispatch.id, sizeof dispatch.id);
    ck_assert_uint_eq(made->unsent.attempt, 4);
    close_it();
}
END_TEST

/* ------------------------------------------------------------------- limits */

#define SERVICE_BYTES_MAX 121 /* with ".settle" a name of 128 */

static char *fill(char *text, char with, size_t size) {
    memset(text, with, size);
    text[size] = '\0';
    return text;
}

START_TEST(the_longest_names_fit_and_are_read_back) {
    char text[2048], name[SAGA_NAME_BYTES_MAX + 1], service[SAGA_NAME_BYTES_MAX + 1];
    (void)fill(name, 'n', SAGA_NAME_BYTES_MAX);
    (void)fill(service, 'z', SERVICE_BYTES_MAX);
    (void)snprintf(text, sizeof text,
                   "{saga: %s, version: 1, exchange: %s, steps: [{name: %s, command: %s.commit, "
                   "no_effect: true}]}",
                   name, name, name, service);
    set_up_with(text, 0, SAGA_ACTION);
    dispatch.id.incarnation = UINT16_MAX;
    const struct saga_amqp_message *message = make();
    struct saga_command_id id;
    const char *step;
    size_t step_size;
    ck_assert_str_eq(text_of("saga-step"), name);
    ck_assert_str_eq(text_of("saga-type"), name);
    ck_assert_str_eq(message->exchange, name);
    ck_assert_uint_eq(strlen(message->routing_key), SAGA_NAME_BYTES_MAX);
    ck_assert_uint_le(strlen(message->message_id), SAGA_AMQP_SHORT_BYTES_MAX);
    ck_assert(saga_command_parse(message->message_id, strlen(message->message_id), &id, &step,
                                 &step_size));
    ck_assert_uint_eq(step_size, SAGA_NAME_BYTES_MAX);
    ck_assert_mem_eq(step, name, step_size);
    ck_assert_uint_eq(id.incarnation, UINT16_MAX);
    ck_assert_uint_eq(id.revision, UINT16_MAX);
    ck_assert_mem_eq(&id.saga, &dispatch.id.saga, sizeof id.saga);
    const char *capitals = text_of("COMMAND");
    ck_assert_uint_eq(strspn(capitals, "Z"), SERVICE_BYTES_MAX);
    ck_assert_str_eq(capitals + SERVICE_BYTES_MAX, "_COMMIT");
    close_it();
}
END_TEST

START_TEST(all_headers_that_a_definition_may_have_travel) {
    char text[16384], value[SAGA_NAME_BYTES_MAX + 1];
    int size = snprintf(text, sizeof text, "saga: s\nversion: 1\nheaders:\n");
    for (int i = 0; i < 32; i++) { /* as many as docs/definition.md allows */
        size += snprintf(text + size, sizeof text - (size_t)size, "  h%d: %s\n", i,
                         fill(value, (char)('a' + i % 26), SAGA_NAME_BYTES_MAX));
    }
    (void)snprintf(text + size, sizeof text - (size_t)size,
                   "steps: [{name: a, command: x.y, no_effect: true}]\n");
    set_up_with(text, 0, SAGA_ACTION);
    (void)make();
    for (int i = 0; i < 32; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "h%d", i);
        ck_assert_str_eq(text_of(name), fill(value, (char)('a' + i % 26), SAGA_NAME_BYTES_MAX));
    }
    ck_assert_str_eq(text_of("saga-id"), SAGA);
    (void)text_of("traceparent");
    close_it();
}
END_TEST

/* ------------------------------------------------------------------- traces */

/* "00-<32 hex>-<16 hex>-01", lower case, neither id zero: W3C Trace Context. */
static void expect_well_formed(const char *text) {
    static const char hex[] = "0123456789abcdef";
    ck_assert_uint_eq(strlen(text), 55);
    ck_assert_mem_eq(text, "00-", 3);
    ck_assert_uint_eq(strspn(text + 3, hex), 32);
    ck_assert_uint_lt(strspn(text + 3, "0"), 32);
    ck_assert_int_eq(text[35], '-');
    ck_assert_uint_eq(strspn(text + 36, hex), 16);
    ck_assert_uint_lt(strspn(text + 36, "0"), 16);
    ck_assert_str_eq(text + 52, "-01");
}

START_TEST(a_saga_is_a_trace_and_an_attempt_its_span) {
    char traces[4][64];
    set_up_with(parking, 1, SAGA_ACTION);
    (void)make();
    (void)strcpy(traces[0], text_of("traceparent"));
    expect_well_formed(traces[0]);
    ck_assert_mem_eq(traces[0] + 3, "0190a8f01c2d7e3f8a4b5c6d7e8f9a0b", 32);
    dispatch.epoch++; /* sent again as the same attempt */
    (void)make();
    ck_assert_str_eq(text_of("traceparent"), traces[0]);
    dispatch.attempt++;
    (void)make();
    (void)strcpy(traces[1], text_of("traceparent"));
    dispatch.id.operation = SAGA_FENCE;
    (void)make();
    (void)strcpy(traces[2], text_of("traceparent"));
    dispatch.id.revision--;
    (void)make();
    (void)strcpy(traces[3], text_of("traceparent"));
    for (size_t i = 0; i < 4; i++) {
        expect_well_formed(traces[i]);
        ck_assert_mem_eq(traces[i], traces[0], 35);
        for (size_t j = 0; j < i; j++) {
            ck_assert_str_ne(traces[i], traces[j]);
        }
    }
    close_it();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sent command");
    TCase *tests = tcase_create("sent command");
    tcase_add_loop_test(tests, a_command_says_all_that_the_protocol_lists, 0, 4);
    tcase_add_test(tests, no_deadline_is_no_header);
    tcase_add_test(tests, the_same_attempt_is_known_by_its_id_whenever_it_is_sent);
    tcase_add_test(tests, an_exchange_that_is_not_said_is_the_daemons);
    tcase_add_test(tests, persistence_is_the_daemons_to_say);
    tcase_add_test(tests, a_body_may_be_empty);
    tcase_add_test(tests, a_time_before_all_times_is_not_said);
    tcase_add_test(tests, what_it_was_made_of_may_be_overwritten);
    tcase_add_test(tests, it_is_the_request_that_says_it_did_not_leave);
    tcase_add_test(tests, the_longest_names_fit_and_are_read_back);
    tcase_add_test(tests, all_headers_that_a_definition_may_have_travel);
    tcase_add_test(tests, a_saga_is_a_trace_and_an_attempt_its_span);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
