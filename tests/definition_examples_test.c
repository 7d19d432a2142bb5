/* The booking saga in both of its editions: booking-unfenced.yaml is booking.yaml
 * for participants without a fence, and differs in nothing that they do not need. */
#include "definition.h"
#include "definition_plan.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CREATE, BLOCK, APPROVE, AUTHORIZE, RESERVE, CONFIRM, STEPS };

static struct saga_definition *load(const char *path) {
    static char text[SAGA_DEFINITION_BYTES_MAX];
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "cannot open %s", path);
    size_t size = fread(text, 1, sizeof text, file);
    ck_assert_int_eq(fclose(file), 0);
    struct saga_definition *definition = NULL;
    struct saga_diagnostics diagnostics;
    if (saga_definition_parse(text, size, &definition, &diagnostics) != SAGA_OK) {
        ck_abort_msg("does not load:\n%s", saga_diagnostics_text(&diagnostics, path));
    }
    ck_assert(saga_plan_check(&definition->plan));
    return definition;
}

static struct saga_definition *booking, *unfenced;

static void load_both(void) {
    booking = load(SAGA_EXAMPLES_DIR "/booking/booking.yaml");
    unfenced = load(SAGA_EXAMPLES_DIR "/booking/booking-unfenced.yaml");
}

static void free_both(void) {
    saga_definition_free(booking);
    saga_definition_free(unfenced);
}

static void check_texts(const char *const *is, const char *const *expected) {
    for (; *expected != NULL; is++, expected++) {
        ck_assert_ptr_nonnull(*is);
        ck_assert_str_eq(*is, *expected);
    }
    ck_assert_ptr_null(*is);
}

static void check_command(const struct saga_definition_command *is,
                          const struct saga_definition_command *expected) {
    ck_assert_pstr_eq(is->name, expected->name);
    if (expected->name != NULL) {
        check_texts(is->done, expected->done);
        check_texts(is->rejected, expected->rejected);
    }
}

START_TEST(both_say_the_same_to_the_same_services) {
    ck_assert_str_eq(unfenced->name, "booking-unfenced");
    ck_assert_str_eq(unfenced->exchange, booking->exchange);
    check_texts(unfenced->header_names, booking->header_names);
    check_texts(unfenced->header_values, booking->header_values);
    ck_assert_uint_eq(booking->plan.step_count, STEPS);
    ck_assert_uint_eq(unfenced->plan.step_count, STEPS);
    ck_assert_uint_eq(unfenced->participant_count, booking->participant_count);
    for (size_t i = 0; i < STEPS; i++) {
        ck_assert_str_eq(unfenced->steps[i].name, booking->steps[i].name);
        ck_assert_uint_eq(unfenced->steps[i].participant, booking->steps[i].participant);
        check_command(&unfenced->steps[i].action, &booking->steps[i].action);
        check_command(&unfenced->steps[i].compensation, &booking->steps[i].compensation);
    }
}
END_TEST

START_TEST(only_our_own_booking_has_a_fence) {
    static const char *const names[] = {"booking", "parking", "billing"};
    for (size_t i = 0; i < 3; i++) {
        ck_assert_str_eq(unfenced->participants[i].name, names[i]);
        ck_assert_int_eq(unfenced->participants[i].fenced, i == 0);
        ck_assert_int_eq(unfenced->participants[i].single_delivery, i != 0);
    }
    for (size_t i = 0; i < STEPS; i++) {
        bool ours = i == CREATE || i == APPROVE || i == CONFIRM;
        ck_assert_pstr_eq(unfenced->steps[i].fence, ours ? "booking.fence" : NULL);
    }
}
END_TEST

/* Said once more, in numbers: what silence leads to, and when. */
START_TEST(the_plans_differ_in_what_silence_leads_to) {
    struct saga_plan expected = booking->plan;
    for (size_t i = 0; i < STEPS; i++) {
        struct saga_plan_step *step = &expected.steps[i];
        step->action.timeout_ms = 3000;
        step->action.attempts_max = 3;
        step->compensation.timeout_ms = 3000;
        if (i == BLOCK || i == AUTHORIZE || i == RESERVE) {
            step->fenced = false;
            step->single_delivery = true;
            step->on_unknown = i == RESERVE ? SAGA_ON_UNKNOWN_PARK : SAGA_ON_UNKNOWN_COMPENSATE;
        }
    }
    /* Who may never answer must not be asked for ever. Our own booking answers in the end. */
    expected.steps[BLOCK].compensation.deadline_ms = 20000;
    expected.steps[AUTHORIZE].compensation.deadline_ms = 20000;
    ck_assert(definition_plan_equal(&unfenced->plan, &expected));
}
END_TEST

static Suite *suite(void) {
    Suite *suite = suite_create("definition_examples");
    TCase *examples = tcase_create("booking");
    tcase_add_checked_fixture(examples, load_both, free_both);
    tcase_add_test(examples, both_say_the_same_to_the_same_services);
    tcase_add_test(examples, only_our_own_booking_has_a_fence);
    tcase_add_test(examples, the_plans_differ_in_what_silence_leads_to);
    suite_add_tcase(suite, examples);
    return suite;
}

int main(void) {
    SRunner *runner = srunner_create(suite());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
