/* Definitions that load: the exact plan, the canonical form, the questions that
 * are asked of them. What does not load: definition_errors_test.c. */
#include "check_run.h"
#include "definition.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ----------------------------------------------------------------- fixtures */

/* The whole file, NUL-terminated; the caller frees it. */
static char *file_read(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "cannot open %s", path);
    char *text = malloc(SAGA_DEFINITION_BYTES_MAX + 1);
    ck_assert_ptr_nonnull(text);
    *size = fread(text, 1, SAGA_DEFINITION_BYTES_MAX, file);
    text[*size] = '\0';
    ck_assert_int_eq(fclose(file), 0);
    return text;
}

/* Loads what must load. */
static struct saga_definition *load_bytes(const char *text, size_t size) {
    struct saga_definition *definition = NULL;
    struct saga_diagnostics diagnostics;
    if (saga_definition_parse(text, size, &definition, &diagnostics) != SAGA_OK) {
        char *why = saga_diagnostics_text(&diagnostics, "definition");
        ck_abort_msg("does not load:\n%s", why);
    }
    ck_assert_uint_eq(diagnostics.count, 0);
    ck_assert_ptr_nonnull(definition);
    return definition;
}

static struct saga_definition *load(const char *text) {
    return load_bytes(text, strlen(text));
}

static struct saga_definition *load_booking(void) {
    size_t size = 0;
    char *text = file_read(SAGA_EXAMPLES_DIR "/booking/booking.yaml", &size);
    struct saga_definition *definition = load_bytes(text, size);
    free(text); /* a definition keeps nothing of the text */
    return definition;
}

static void check_budget(const struct saga_budget *is, const struct saga_budget *expected) {
    ck_assert_int_eq(is->timeout_ms, expected->timeout_ms);
    ck_assert_int_eq(is->deadline_ms, expected->deadline_ms);
    ck_assert_int_eq(is->initial_ms, expected->initial_ms);
    ck_assert_int_eq(is->max_ms, expected->max_ms);
    ck_assert_uint_eq(is->factor_milli, expected->factor_milli);
    ck_assert_uint_eq(is->attempts_max, expected->attempts_max);
}

static void check_step(const struct saga_plan_step *is, const struct saga_plan_step *expected) {
    ck_assert_uint_eq(is->after, expected->after);
    ck_assert_uint_eq(is->participant, expected->participant);
    ck_assert_uint_eq(is->position, expected->position);
    ck_assert_uint_eq(is->undo, expected->undo);
    ck_assert_uint_eq(is->compensated_by, expected->compensated_by);
    ck_assert_uint_eq(is->on_unknown, expected->on_unknown);
    ck_assert_int_eq(is->fenced, expected->fenced);
    ck_assert_int_eq(is->single_delivery, expected->single_delivery);
    check_budget(&is->action, &expected->action);
    check_budget(&is->compensation, &expected->compensation);
}

static void check_plan(const struct saga_plan *is, const struct saga_plan *expected) {
    ck_assert_uint_eq(is->definition_lsn, expected->definition_lsn);
    ck_assert_int_eq(is->deadline_ms, expected->deadline_ms);
    ck_assert_uint_eq(is->step_count, expected->step_count);
    ck_assert_uint_eq(is->pivot, expected->pivot);
    for (uint8_t i = 0; i < expected->step_count; i++) {
        check_step(&is->steps[i], &expected->steps[i]);
    }
}

static void check_texts(const char *const *is, const char *const *expected) {
    for (; *expected != NULL; is++, expected++) {
        ck_assert_ptr_nonnull(*is);
        ck_assert_str_eq(*is, *expected);
    }
    ck_assert_ptr_null(*is);
}

/* Reading the canonical form gives the same plan, form and hash. */
static void check_round_trip(const struct saga_definition *definition) {
    struct saga_definition *again = load_bytes(definition->canonical, definition->canonical_size);
    check_plan(&again->plan, &definition->plan);
    ck_assert_str_eq(again->canonical, definition->canonical);
    ck_assert_uint_eq(again->canonical_size, definition->canonical_size);
    ck_assert_str_eq(again->hash, definition->hash);
    ck_assert_str_eq(again->name, definition->name);
    ck_assert_uint_eq(again->version, definition->version);
    check_texts(again->header_names, definition->header_names);
    check_texts(again->header_values, definition->header_values);
    for (uint8_t i = 0; i < definition->plan.step_count; i++) {
        check_texts(again->steps[i].action.done, definition->steps[i].action.done);
        check_texts(again->steps[i].action.rejected, definition->steps[i].action.rejected);
        ck_assert_str_eq(again->steps[i].name, definition->steps[i].name);
    }
    saga_definition_free(again);
}

static void replace(char *text, const char *old, const char *new) {
    char *at = strstr(text, old);
    ck_assert_msg(at != NULL, "no '%s' in the text", old);
    memmove(at + strlen(new), at + strlen(old), strlen(at + strlen(old)) + 1);
    memcpy(at, new, strlen(new));
}

#define CHECK_VERDICT(definition, step, operation, event, expected)                                \
    ck_assert_int_eq(                                                                              \
        saga_definition_verdict((definition), (step), (operation), (event), strlen(event)),        \
        (expected))

/* ------------------------------------------------------------------ booking */

enum { CREATE, BLOCK, APPROVE, AUTHORIZE, RESERVE, CONFIRM, BOOKING_STEPS };
enum { BOOKING, PARKING, BILLING };

static const struct saga_budget booking_action = {.timeout_ms = 10000,
                                                  .deadline_ms = 300000,
                                                  .initial_ms = 200,
                                                  .max_ms = 60000,
                                                  .factor_milli = 2000,
                                                  .attempts_max = 5};
static const struct saga_budget booking_compensation = {.timeout_ms = 10000,
                                                        .deadline_ms = 0,
                                                        .initial_ms = 200,
                                                        .max_ms = 60000,
                                                        .factor_milli = 2000,
                                                        .attempts_max = 0};

static struct saga_plan booking_plan(void) {
    struct saga_plan plan = {.step_count = BOOKING_STEPS, .pivot = RESERVE};
    static const uint16_t participants[] = {BOOKING, PARKING, BOOKING, BILLING, PARKING, BOOKING};
    static const uint8_t undo[] = {SAGA_UNDO_COMPENSATION, SAGA_UNDO_COMPENSATION,
                                   SAGA_UNDO_BY_STEP,      SAGA_UNDO_COMPENSATION,
                                   SAGA_UNDO_NOTHING,      SAGA_UNDO_NOTHING};
    static const uint64_t after[] = {0, 1, 2, 4, 8, 16};
    for (uint8_t i = 0; i < BOOKING_STEPS; i++) {
        plan.steps[i] = (struct saga_plan_step){
            .after = after[i],
            .participant = participants[i],
            .position = SAGA_BEFORE_PIVOT,
            .undo = undo[i],
            .compensated_by = SAGA_STEP_NONE,
            .on_unknown = SAGA_ON_UNKNOWN_FENCE,
            .fenced = true,
            .action = booking_action,
            .compensation = booking_compensation,
        };
    }
    plan.steps[APPROVE].compensated_by = CREATE;
    plan.steps[RESERVE].position = SAGA_PIVOT;
    plan.steps[CONFIRM].position = SAGA_AFTER_PIVOT;
    return plan;
}

START_TEST(booking_loads_to_the_exact_plan) {
    struct saga_definition *booking = load_booking();
    struct saga_plan expected = booking_plan();
    check_plan(&booking->plan, &expected);
    ck_assert(saga_plan_check(&booking->plan));
    saga_definition_free(booking);
}
END_TEST

START_TEST(booking_has_its_names) {
    struct saga_definition *booking = load_booking();
    ck_assert_str_eq(booking->name, "booking");
    ck_assert_uint_eq(booking->version, 1);
    ck_assert_str_eq(booking->exchange, "BOOKING_TX_EVENT_STORE");
    check_texts(booking->header_names, (const char *[]){"CLIENT", NULL});
    check_texts(booking->header_values, (const char *[]){"BOOKING_REQUEST_ORCHESTRATOR", NULL});
    static const char *const participants[] = {"booking", "parking", "billing"};
    ck_assert_uint_eq(booking->participant_count, 3);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_str_eq(booking->participants[i].name, participants[i]);
        ck_assert(booking->participants[i].fenced);
        ck_assert(!booking->participants[i].single_delivery);
    }
    static const struct {
        const char *name, *action, *compensation, *fence, *done, *rejected;
    } steps[BOOKING_STEPS] = {
        {"create", "booking.create", "booking.reject", "booking.fence", "BOOKING_CREATED", NULL},
        {"block", "parking.block", "parking.unblock", "parking.fence", "PARKING_AVAILABLE",
         "PARKING_UNAVAILABLE"},
        {"approve", "booking.approve", NULL, "booking.fence", "BOOKING_APPROVED", NULL},
        {"authorize", "billing.authorize_payment", "billing.refund", "billing.fence",
         "PAYMENT_SUCCESSFUL", "BILL_FAILED"},
        {"reserve", "parking.reserve", NULL, "parking.fence", "PARKING_RESERVED",
         "PARKING_RESERVATION_FAILED"},
        {"confirm", "booking.pay", NULL, "booking.fence", "BOOKING_PAID", NULL},
    };
    for (uint8_t i = 0; i < BOOKING_STEPS; i++) {
        ck_assert_str_eq(booking->steps[i].name, steps[i].name);
        ck_assert_uint_eq(booking->steps[i].participant, booking->plan.steps[i].participant);
        ck_assert_str_eq(saga_definition_command_name(booking, i, SAGA_ACTION), steps[i].action);
        ck_assert_pstr_eq(saga_definition_command_name(booking, i, SAGA_COMPENSATION),
                          steps[i].compensation);
        ck_assert_str_eq(saga_definition_command_name(booking, i, SAGA_FENCE), steps[i].fence);
        char settle[64]; /* beside the fence */
        snprintf(settle, sizeof settle, "%.*s.settle", (int)strcspn(steps[i].fence, "."),
                 steps[i].fence);
        ck_assert_str_eq(saga_definition_command_name(booking, i, SAGA_SETTLE), settle);
        check_texts(booking->steps[i].action.done, (const char *[]){steps[i].done, NULL});
        check_texts(booking->steps[i].action.rejected, (const char *[]){steps[i].rejected, NULL});
    }
    check_texts(booking->steps[BLOCK].compensation.done,
                (const char *[]){"PARKING_UNBLOCKED", NULL});
    saga_definition_free(booking);
}
END_TEST

START_TEST(an_event_means_what_the_command_lists) {
    struct saga_definition *booking = load_booking();
    CHECK_VERDICT(booking, BLOCK, SAGA_ACTION, "PARKING_AVAILABLE", SAGA_DONE);
    CHECK_VERDICT(booking, BLOCK, SAGA_ACTION, "PARKING_UNAVAILABLE", SAGA_REJECTED);
    CHECK_VERDICT(booking, BLOCK, SAGA_ACTION, "PARKING_UNBLOCKED", SAGA_UNKNOWN);
    CHECK_VERDICT(booking, BLOCK, SAGA_COMPENSATION, "PARKING_UNBLOCKED", SAGA_DONE);
    CHECK_VERDICT(booking, BLOCK, SAGA_COMPENSATION, "PARKING_UNAVAILABLE", SAGA_UNKNOWN);
    /* A fence answers about the action. */
    CHECK_VERDICT(booking, BLOCK, SAGA_FENCE, "PARKING_UNAVAILABLE", SAGA_REJECTED);
    CHECK_VERDICT(booking, BLOCK, SAGA_FENCE, "PARKING_UNBLOCKED", SAGA_UNKNOWN);
    /* A step without a compensation knows no event of one. */
    CHECK_VERDICT(booking, CONFIRM, SAGA_COMPENSATION, "BOOKING_PAID", SAGA_UNKNOWN);
    CHECK_VERDICT(booking, BLOCK, SAGA_ACTION, "", SAGA_UNKNOWN);
    CHECK_VERDICT(booking, BLOCK, SAGA_ACTION, "PARKING_AVAILABL", SAGA_UNKNOWN);
    CHECK_VERDICT(booking, BLOCK, SAGA_ACTION, "parking_available", SAGA_UNKNOWN);
    /* Only `size` bytes of it are read. */
    ck_assert_int_eq(saga_definition_verdict(booking, BLOCK, SAGA_ACTION, "PARKING_AVAILABLE!", 17),
                     SAGA_DONE);
    saga_definition_free(booking);
}
END_TEST

START_TEST(a_word_of_the_protocol_needs_no_list) {
    struct saga_definition *booking = load_booking();
    static const struct {
        const char *word;
        enum saga_verdict verdict;
    } words[] = {{"done", SAGA_DONE},   {"rejected", SAGA_REJECTED}, {"accepted", SAGA_ACCEPTED},
                 {"retry", SAGA_RETRY}, {"fenced", SAGA_FENCED},     {"noop", SAGA_NOOP}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        for (int operation = SAGA_ACTION; operation <= SAGA_SETTLE; operation++) {
            CHECK_VERDICT(booking, CONFIRM, (enum saga_operation)operation, words[i].word,
                          words[i].verdict);
        }
    }
    CHECK_VERDICT(booking, CONFIRM, SAGA_ACTION, "unknown", SAGA_UNKNOWN);
    CHECK_VERDICT(booking, CONFIRM, SAGA_ACTION, "Done", SAGA_UNKNOWN);
    saga_definition_free(booking);
}
END_TEST

/* A saga that takes nothing back is a bad one, and a definition all the same. */
START_TEST(a_compensation_may_be_replaced_by_no_effect) {
    static const struct {
        const char *compensation;
        uint8_t step;
    } cases[] = {
        {"compensation: {command: parking.unblock, done: [PARKING_UNBLOCKED]}", BLOCK},
        {"compensation: {command: billing.refund, done: [BILL_REFUNDED]}", AUTHORIZE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size = 0;
        char *text = file_read(SAGA_EXAMPLES_DIR "/booking/booking.yaml", &size);
        replace(text, cases[i].compensation, "no_effect: true");
        struct saga_definition *definition = load(text);
        struct saga_plan expected = booking_plan();
        expected.steps[cases[i].step].undo = SAGA_UNDO_NOTHING;
        check_plan(&definition->plan, &expected);
        ck_assert_ptr_null(
            saga_definition_command_name(definition, cases[i].step, SAGA_COMPENSATION));
        check_round_trip(definition);
        saga_definition_free(definition);
        free(text);
    }
}
END_TEST

/* ------------------------------------------------------------------ defaults */

START_TEST(the_least_that_loads) {
    struct saga_definition *least =
        load("saga: s\nsteps: [{name: x, command: a.x, no_effect: true}]\n");
    struct saga_plan expected = {.step_count = 1, .pivot = SAGA_STEP_NONE};
    expected.steps[0] = (struct saga_plan_step){
        .position = SAGA_BEFORE_PIVOT,
        .undo = SAGA_UNDO_NOTHING,
        .compensated_by = SAGA_STEP_NONE,
        .on_unknown = SAGA_ON_UNKNOWN_COMPENSATE, /* nobody said that there is a fence */
        .action = booking_action,
        .compensation = booking_compensation,
    };
    check_plan(&least->plan, &expected);
    ck_assert_uint_eq(least->version, 1);
    ck_assert_ptr_null(least->exchange);
    ck_assert_ptr_null(least->header_names[0]);
    ck_assert_uint_eq(least->participant_count, 1);
    ck_assert_str_eq(least->participants[0].name, "a");
    ck_assert_ptr_null(saga_definition_command_name(least, 0, SAGA_FENCE));
    ck_assert_ptr_null(saga_definition_command_name(least, 0, SAGA_SETTLE));
    ck_assert_ptr_null(least->steps[0].action.done[0]);
    check_round_trip(least);
    saga_definition_free(least);
}
END_TEST

START_TEST(a_step_wins_over_defaults_and_they_over_what_is_built_in) {
    struct saga_definition *definition =
        load("saga: s\n"
             "steps:\n"
             "  - {name: x, command: a.x, no_effect: true, timeout: 250ms, deadline: none,\n"
             "     retry: {attempts: unlimited, factor: 1.5}}\n"
             "  - {name: y, command: a.y, no_effect: true, retry: {attempts: 250, initial: 1s}}\n"
             "defaults: {timeout: 3s, deadline: 2h, retry: {max: 5m, factor: 3.125}}\n"
             "deadline: 7d\n");
    ck_assert_int_eq(definition->plan.deadline_ms, INT64_C(7) * 24 * 3600 * 1000);
    check_budget(&definition->plan.steps[0].action, &(struct saga_budget){.timeout_ms = 250,
                                                                          .deadline_ms = 0,
                                                                          .initial_ms = 200,
                                                                          .max_ms = 300000,
                                                                          .factor_milli = 1500,
                                                                          .attempts_max = 0});
    check_budget(&definition->plan.steps[1].action, &(struct saga_budget){.timeout_ms = 3000,
                                                                          .deadline_ms = 7200000,
                                                                          .initial_ms = 1000,
                                                                          .max_ms = 300000,
                                                                          .factor_milli = 3125,
                                                                          .attempts_max = 250});
    check_round_trip(definition);
    saga_definition_free(definition);
}
END_TEST

/* Its time is the step's, its patience has no end, its backoff is everybody's. */
START_TEST(a_compensation_has_a_budget_of_its_own) {
    struct saga_definition *definition =
        load("saga: s\n"
             "defaults: {retry: {initial: 300ms, max: 90s, factor: 4}}\n"
             "steps:\n"
             "  - {name: x, command: a.x, timeout: 4s, retry: {attempts: 2, initial: 7s},\n"
             "     compensation: {command: a.y}}\n"
             "  - {name: y, command: a.x, compensation: {command: a.y, timeout: 1m,\n"
             "     deadline: 20s, rejected: [NO], retry: {attempts: 9, max: 2s}}}\n");
    check_budget(&definition->plan.steps[0].compensation,
                 &(struct saga_budget){.timeout_ms = 4000,
                                       .deadline_ms = 0,
                                       .initial_ms = 300,
                                       .max_ms = 90000,
                                       .factor_milli = 4000,
                                       .attempts_max = 0});
    check_budget(&definition->plan.steps[1].compensation,
                 &(struct saga_budget){.timeout_ms = 60000,
                                       .deadline_ms = 20000,
                                       .initial_ms = 300,
                                       .max_ms = 2000,
                                       .factor_milli = 4000,
                                       .attempts_max = 9});
    CHECK_VERDICT(definition, 1, SAGA_COMPENSATION, "NO", SAGA_REJECTED);
    CHECK_VERDICT(definition, 1, SAGA_ACTION, "NO", SAGA_UNKNOWN);
    check_round_trip(definition);
    saga_definition_free(definition);
}
END_TEST

/* What is inherited is fitted: no fence, then compensate; nothing to
 * compensate, then park. */
START_TEST(an_inherited_on_unknown_fits_the_step) {
    static const char format[] =
        "saga: s\n"
        "participants: {f: {fenced: true}, u: {single_delivery: true}}\n"
        "defaults: {on_unknown: %s}\n"
        "steps:\n"
        "  - {name: fb, command: f.x, no_effect: true}\n"
        "  - {name: ub, command: u.x, no_effect: true}\n"
        "  - {name: up, command: u.x, pivot: true}\n"
        "  - {name: fa, command: f.x}\n"
        "  - {name: ua, command: u.x}\n"; /* before, before, pivot, after, after */
    enum { F = SAGA_ON_UNKNOWN_FENCE, C = SAGA_ON_UNKNOWN_COMPENSATE, P = SAGA_ON_UNKNOWN_PARK };
    static const struct {
        const char *word;
        uint8_t expected[5];
    } cases[] = {
        {"fence", {F, C, P, F, P}}, {"compensate", {C, C, P, P, P}}, {"park", {P, P, P, P, P}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        (void)snprintf(text, sizeof text, format, cases[i].word);
        struct saga_definition *definition = load(text);
        for (size_t j = 0; j < 5; j++) {
            ck_assert_uint_eq(definition->plan.steps[j].on_unknown, cases[i].expected[j]);
        }
        ck_assert(definition->plan.steps[0].fenced);
        ck_assert(!definition->plan.steps[0].single_delivery);
        ck_assert(definition->plan.steps[1].single_delivery);
        check_round_trip(definition);
        saga_definition_free(definition);
    }
}
END_TEST

START_TEST(after_the_pivot_a_deadline_is_inherited_or_none) {
    struct saga_definition *definition = load("saga: s\n"
                                              "defaults: {deadline: 1h}\n"
                                              "steps:\n"
                                              "  - {name: p, command: a.x, pivot: true}\n"
                                              "  - {name: x, command: a.x, rejected: []}\n"
                                              "  - {name: y, command: a.x, deadline: none}\n");
    ck_assert_int_eq(definition->plan.steps[1].action.deadline_ms, 3600000);
    ck_assert_int_eq(definition->plan.steps[2].action.deadline_ms, 0);
    check_round_trip(definition);
    saga_definition_free(definition);
}
END_TEST

START_TEST(durations_have_five_units) {
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"1ms", 1},      {"250ms", 250},    {"30s", 30000}, {"5m", 300000},
        {"2h", 7200000}, {"7d", 604800000}, {"007s", 7000}, {"10000d", INT64_C(864000000000)}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[128];
        (void)snprintf(text, sizeof text,
                       "saga: s\ndeadline: %s\nsteps: [{name: x, command: a.x, no_effect: true}]\n",
                       cases[i].text);
        struct saga_definition *definition = load(text);
        ck_assert_int_eq(definition->plan.deadline_ms, cases[i].ms);
        check_round_trip(definition);
        saga_definition_free(definition);
    }
}
END_TEST

/* ----------------------------------------------------------- canonical form */

START_TEST(the_canonical_form_is_read_back) {
    struct saga_definition *booking = load_booking();
    check_round_trip(booking);
    ck_assert_uint_eq(strlen(booking->canonical), booking->canonical_size);
    ck_assert_uint_eq(strlen(booking->hash), 32);
    ck_assert_uint_eq(strspn(booking->hash, "0123456789abcdef"), 32);
    saga_definition_free(booking);
}
END_TEST

/* The log has the hash and the form of every definition that ever ran: neither
 * may change by accident. */
START_TEST(the_canonical_form_of_booking_stays_as_it_is) {
    size_t size = 0;
    char *golden = file_read(SAGA_GOLDEN_DIR "/booking.canonical.json", &size);
    struct saga_definition *booking = load_booking();
    golden[strcspn(golden, "\n")] = '\0';
    ck_assert_str_eq(booking->canonical, golden);
    ck_assert_str_eq(booking->hash, "77232d7940ef07c989c4c714a4a631da");
    saga_definition_free(booking);
    free(golden);
}
END_TEST

START_TEST(what_is_written_otherwise_and_means_the_same_has_one_form) {
    struct saga_definition *a = load("saga: s\n"
                                     "steps:\n"
                                     "  - name: x   # a comment\n"
                                     "    command: a.x\n"
                                     "    compensation:\n"
                                     "      command: a.y\n"
                                     "      done: [OK]\n");
    struct saga_definition *b = load(
        "{\"steps\": [{\"command\": 'a.x', \"timeout\": \"10000ms\", \"name\": x,\n"
        "  \"compensation\": {done: [\"OK\"], command: \"a.y\", retry: {attempts: unlimited},\n"
        "  deadline: none}, pivot: false}], participants: {a: {fenced: false}},\n"
        "  \"version\": 1, \"saga\": \"s\"}\r\n");
    ck_assert_str_eq(a->canonical, b->canonical);
    ck_assert_str_eq(a->hash, b->hash);
    struct saga_definition *c = load("saga: s\n"
                                     "steps:\n"
                                     "  - name: x\n"
                                     "    command: a.x\n"
                                     "    compensation: {command: a.y, done: [OK], timeout: 9s}\n");
    ck_assert_str_ne(a->hash, c->hash);
    saga_definition_free(a);
    saga_definition_free(b);
    saga_definition_free(c);
}
END_TEST

START_TEST(header_values_survive_as_they_are) {
    struct saga_definition *definition = load(
        "saga: s\n"
        "headers: {A: \"a \\\"quoted\\\" \\\\ one\", B: ' spaces ', C: 007, D: 'null', E: '',\n"
        "          F: no, G: \"{x: [y]}, # z\", H: 'it''s ''''''''''''''''''''', I: ''''}\n"
        "steps: [{name: x, command: a.x, no_effect: true}]\n");
    check_texts(definition->header_values,
                (const char *[]){"a \"quoted\" \\ one", " spaces ", "007", "null", "", "no",
                                 "{x: [y]}, # z", "it's ''''''''''", "'", NULL});
    check_round_trip(definition);
    saga_definition_free(definition);
}
END_TEST

/* ------------------------------------------------------------------- limits */

static char *steps_text(unsigned count, const char *rest) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
    (void)fprintf(out, "saga: s\nsteps:\n");
    for (unsigned i = 0; i < count; i++) {
        (void)fprintf(out, "  - {name: x%u, command: a%u.x%s}\n", i, i, rest);
    }
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

START_TEST(sixty_four_steps_load) {
    char *text = steps_text(SAGA_STEPS_MAX, ", no_effect: true");
    struct saga_definition *definition = load(text);
    ck_assert_uint_eq(definition->plan.step_count, SAGA_STEPS_MAX);
    ck_assert_uint_eq(definition->plan.steps[63].after, UINT64_C(1) << 62);
    ck_assert_uint_eq(definition->participant_count, SAGA_STEPS_MAX);
    check_round_trip(definition);
    saga_definition_free(definition);
    free(text);
}
END_TEST

/* All lists full at once: the limits leave room for the canonical form. */
START_TEST(the_fullest_definition_loads) {
    char *rest = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&rest, &size);
    ck_assert_ptr_nonnull(out);
    static const char *const lists[] = {", done: [", "], rejected: [",
                                        "], compensation: {command: %s, done: [", "], rejected: ["};
    for (unsigned i = 0; i < 4; i++) {
        (void)fputs(lists[i], out);
        for (unsigned j = 0; j < 64; j++) {
            (void)fprintf(out, "%s%c%u", j == 0 ? "" : ",", 'A' + (int)i, j);
        }
    }
    (void)fputs("]}", out);
    ck_assert_int_eq(fclose(out), 0);
    char *text = NULL;
    out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
    (void)fprintf(out, "saga: s\nsteps:\n");
    for (unsigned i = 0; i < SAGA_STEPS_MAX; i++) {
        char *place = strstr(rest, "%s");
        ck_assert_ptr_nonnull(place);
        (void)fprintf(out, "  - {name: x%u, command: a.x%.*sa.y%s}\n", i, (int)(place - rest), rest,
                      place + 2);
    }
    ck_assert_int_eq(fclose(out), 0);
    ck_assert_uint_lt(size, SAGA_DEFINITION_BYTES_MAX);
    struct saga_definition *definition = load_bytes(text, size);
    ck_assert_str_eq(definition->steps[63].compensation.rejected[63], "D63");
    check_round_trip(definition);
    saga_definition_free(definition);
    free(text);
    free(rest);
}
END_TEST

static Suite *suite(void) {
    Suite *suite = suite_create("definition");
    TCase *booking = tcase_create("booking");
    tcase_add_test(booking, booking_loads_to_the_exact_plan);
    tcase_add_test(booking, booking_has_its_names);
    tcase_add_test(booking, an_event_means_what_the_command_lists);
    tcase_add_test(booking, a_word_of_the_protocol_needs_no_list);
    tcase_add_test(booking, a_compensation_may_be_replaced_by_no_effect);
    suite_add_tcase(suite, booking);
    TCase *defaults = tcase_create("defaults");
    tcase_add_test(defaults, the_least_that_loads);
    tcase_add_test(defaults, a_step_wins_over_defaults_and_they_over_what_is_built_in);
    tcase_add_test(defaults, a_compensation_has_a_budget_of_its_own);
    tcase_add_test(defaults, an_inherited_on_unknown_fits_the_step);
    tcase_add_test(defaults, after_the_pivot_a_deadline_is_inherited_or_none);
    tcase_add_test(defaults, durations_have_five_units);
    suite_add_tcase(suite, defaults);
    TCase *canonical = tcase_create("canonical");
    tcase_add_test(canonical, the_canonical_form_is_read_back);
    tcase_add_test(canonical, the_canonical_form_of_booking_stays_as_it_is);
    tcase_add_test(canonical, what_is_written_otherwise_and_means_the_same_has_one_form);
    tcase_add_test(canonical, header_values_survive_as_they_are);
    suite_add_tcase(suite, canonical);
    TCase *limits = tcase_create("limits");
    tcase_add_test(limits, sixty_four_steps_load);
    tcase_add_test(limits, the_fullest_definition_loads);
    suite_add_tcase(suite, limits);
    return suite;
}

int main(void) {
    return check_run(suite());
}
