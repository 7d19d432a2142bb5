/* Ids and their texts. */
#include "check_run.h"
#include "ids.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void zeros(void *context, void *bytes, size_t size) {
    (void)context;
    memset(bytes, 0, size);
}

static void ones(void *context, void *bytes, size_t size) {
    (void)context;
    memset(bytes, 0xff, size);
}

START_TEST(an_id_is_a_uuid_of_version_7) {
    struct saga_id_source source = {.random = ones};
    struct saga_id id = saga_id_make(&source, INT64_C(0x0123456789ab));
    char text[SAGA_ID_TEXT_SIZE];
    ck_assert_str_eq(saga_id_text(&id, text), "01234567-89ab-77ff-bfff-ffffffffffff");
}
END_TEST

START_TEST(ids_rise_within_a_millisecond_and_when_the_clock_goes_back) {
    struct saga_id_source source = {.random = zeros};
    struct saga_id last = saga_id_make(&source, 5000);
    for (int i = 0; i < 10000; i++) {
        struct saga_id next = saga_id_make(&source, i < 5000 ? 5000 : 4000);
        ck_assert_int_lt(memcmp(&last, &next, sizeof next), 0);
        last = next;
    }
}
END_TEST

START_TEST(a_text_is_read_back) {
    struct saga_id_source source = {.random = ones};
    struct saga_id id = saga_id_make(&source, 1700000000000);
    struct saga_id back;
    char text[SAGA_ID_TEXT_SIZE];
    saga_id_text(&id, text);
    ck_assert(saga_id_parse(text, strlen(text), &back));
    ck_assert_mem_eq(&id, &back, sizeof id);
}
END_TEST

START_TEST(what_is_no_id_is_refused) {
    static const char *const bad[] = {
        "",
        "01234567-89ab-77ff-bfff-fffffffffff",
        "01234567-89ab-77ff-bfff-fffffffffffff",
        "01234567-89AB-77ff-bfff-ffffffffffff",
        "01234567x89ab-77ff-bfff-ffffffffffff",
        "0123456789ab-77ff-bfff-ffffffffffff-",
        "g1234567-89ab-77ff-bfff-ffffffffffff",
    };
    struct saga_id id;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(!saga_id_parse(bad[i], strlen(bad[i]), &id), "%s", bad[i]);
    }
}
END_TEST

START_TEST(a_command_id_is_read_back) {
    struct saga_id_source source = {.random = ones};
    struct saga_command_id id = {.saga = saga_id_make(&source, 1),
                                 .operation = SAGA_COMPENSATION,
                                 .incarnation = 65535,
                                 .revision = 3};
    struct saga_command_id back;
    const char *step;
    size_t step_size;
    char text[SAGA_COMMAND_TEXT_SIZE];
    saga_command_text(&id, "block", text);
    ck_assert_ptr_nonnull(strstr(text, "/block/65535/compensation/3"));
    ck_assert(saga_command_parse(text, strlen(text), &back, &step, &step_size));
    ck_assert_uint_eq(step_size, 5);
    ck_assert_mem_eq(step, "block", 5);
    ck_assert_mem_eq(&id.saga, &back.saga, sizeof id.saga);
    ck_assert_int_eq(back.operation, SAGA_COMPENSATION);
    ck_assert_int_eq(back.incarnation, 65535);
    ck_assert_int_eq(back.revision, 3);
}
END_TEST

START_TEST(what_is_no_command_id_is_refused) {
    static const char *const ends[] = {
        "",
        "/",
        "/s",
        "/s/1",
        "/s/1/action",
        "/s/1/action/",
        "/s/1/action/0",
        "/s/1/action/01",
        "/s/1/action/1/",
        "/s/1/action/1/x",
        "//1/action/1",
        "/s/65536/action/1",
        "/s/1/settler/1",
        "/s/-1/action/1",
        "/s/1/action/99999999999999999999",
    };
    struct saga_command_id id;
    const char *step;
    size_t size;
    char text[128];
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        (void)snprintf(text, sizeof text, "01234567-89ab-77ff-bfff-ffffffffffff%s", ends[i]);
        ck_assert_msg(!saga_command_parse(text, strlen(text), &id, &step, &size), "%s", text);
    }
    ck_assert(!saga_command_parse("x/s/1/action/1", 14, &id, &step, &size));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("ids");
    TCase *tests = tcase_create("ids");
    tcase_add_test(tests, an_id_is_a_uuid_of_version_7);
    tcase_add_test(tests, ids_rise_within_a_millisecond_and_when_the_clock_goes_back);
    tcase_add_test(tests, a_text_is_read_back);
    tcase_add_test(tests, what_is_no_id_is_refused);
    tcase_add_test(tests, a_command_id_is_read_back);
    tcase_add_test(tests, what_is_no_command_id_is_refused);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
