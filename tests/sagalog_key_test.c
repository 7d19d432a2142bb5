/* sagalog list --key: found by the start keys that the log remembers, and by the records since the
 * last checkpoint; else by looking at every saga. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check_run.h"
#include "export_reading.h"
#include "export_scene.h"
#include "ids.h"
#include "sagalog_fixture.h"

static struct scratch scratch;
static char original[SCRATCH_PATH_MAX + 16];

static void set_up(void) {
    scratch_open_in_memory(&scratch);
    (void)snprintf(original, sizeof original, "%s/original", scratch.path);
}

static void tear_down(void) {
    scratch_close(&scratch);
}

/* The id of the one saga that is listed; "": none is. */
static const char *listed(const char *key) {
    static char id[64];
    ck_assert_msg(SAGALOG(original, "list", "--json", "--key", key) == 0, "%s", complained);
    id[0] = '\0';
    if (*printed != '\0') {
        const char *text = printed;
        json_t *json = export_next(&text);
        (void)snprintf(id, sizeof id, "%s", json_string_value(json_object_get(json, "id")));
        json_decref(json);
        ck_assert_str_eq(text, "");
    }
    return id;
}

/* Asks for the key of every start in an export; how many are not in the log any more. */
static unsigned expect_all(const char *text) {
    unsigned purged = 0;
    unsigned starts = 0;
    while (*text != '\0') {
        json_t *json = export_next(&text);
        const char *fact = json_string_value(json_object_get(json, "fact"));
        if (fact != NULL && strcmp(fact, "SAGA_STARTED") == 0) {
            const char *id = listed(json_string_value(json_object_get(json, "key")));
            const char *saga = json_string_value(json_object_get(json, "saga"));
            starts++;
            if (*id == '\0') {
                expect_in(complained, "was purged");
                expect_in(complained, saga);
                purged++;
            } else {
                ck_assert_str_eq(id, saga);
                ck_assert_str_eq(complained, "");
            }
        }
        json_decref(json);
    }
    ck_assert_uint_gt(starts, 60);
    return purged;
}

START_TEST(every_key_finds_its_saga) {
    const struct export_scene scene = {
        .seed = 21, .steps = 260, .checkpoint_records = _i == 0 ? 30 : 100000};
    export_scene_make(original, &scene);
    char *text = strdup(export_scene_text(original));
    ck_assert((strstr(text, "\n{\"start_key\"") != NULL) == (_i == 0));
    ck_assert_uint_eq(expect_all(text), 0);
    ck_assert_str_eq(listed("key 1000000"), "");
    ck_assert_str_eq(complained, "");
    free(text);
}
END_TEST

START_TEST(the_key_of_a_purged_saga_says_so) {
    struct export_scene scene = {.seed = 22, .steps = 260, .checkpoint_records = 30};
    char whole[sizeof original];
    memcpy(whole, original, sizeof whole);
    export_scene_make(whole, &scene);
    char *text = strdup(export_scene_text(whole));
    (void)snprintf(original, sizeof original, "%s/purged", scratch.path);
    scene.purged = true;
    export_scene_make(original, &scene);
    ck_assert_uint_gt(expect_all(text), 0);
    free(text);
}
END_TEST

/* Since the checkpoint, by somebody to whom the key was free again. */
START_TEST(of_two_uses_the_newest_counts) {
    const struct export_scene scene = {.seed = 25, .steps = 200, .checkpoint_records = 30};
    const struct saga_id id = {.bytes = {0xff, [15] = 1}};
    char text[SAGA_ID_TEXT_SIZE];
    export_scene_make(original, &scene);
    ck_assert_str_ne(listed("key 0"), saga_id_text(&id, text));
    ck_assert_str_ne(listed("key 0"), "");
    (void)record_append(original, (struct saga_record){
                                      .fact = SAGA_STARTED,
                                      .saga = id,
                                      .definition_lsn = 2,
                                      .step = SAGA_STEP_NONE,
                                      .at_ms = 4102444800000,
                                      .key = {.data = "key 0", .size = 5},
                                      .payload = {.data = "{}", .size = 2},
                                  });
    ck_assert_str_eq(listed("key 0"), text);
}
END_TEST

START_TEST(other_filters_hold_as_well) {
    const struct export_scene scene = {.seed = 23, .steps = 120, .checkpoint_records = 30};
    export_scene_make(original, &scene);
    ck_assert_str_ne(listed("key 0"), "");
    json_t *json = json_loads(printed, 0, NULL);
    const char *status = json_string_value(json_object_get(json, "status"));
    const char *other = strcmp(status, "completed") == 0 ? "running" : "completed";
    char *same = strdup(printed);
    ck_assert_int_eq(SAGALOG(original, "list", "--json", "--key", "key 0", "--status", status), 0);
    ck_assert_str_eq(printed, same);
    ck_assert_int_eq(SAGALOG(original, "list", "--json", "--key", "key 0", "--status", other), 0);
    ck_assert_str_eq(printed, "");
    ck_assert_int_eq(SAGALOG(original, "list", "--json", "--key", "key 0", "--since", "1s"), 0);
    ck_assert_str_eq(printed, "");
    ck_assert_int_eq(SAGALOG(original, "list", "--key", "key 0", "--status", "gone"), 2);
    json_decref(json);
    free(same);
}
END_TEST

/* Damages the start of the second saga, wherever LMDB has a copy of it. */
static void damage(const char *key) {
    char path[sizeof original + 16];
    size_t size;
    unsigned found = 0;
    (void)snprintf(path, sizeof path, "%s/log/data.mdb", original);
    uint8_t *bytes = file_read(path, &size);
    for (size_t i = 0; i + 16 < size; i++) {
        if (memcmp(bytes + i, key, strlen(key)) == 0 && bytes[i - 1] == strlen(key)) {
            bytes[i] ^= 1;
            found++;
        }
    }
    ck_assert_uint_gt(found, 0);
    file_write(path, bytes, size);
    free(bytes);
}

/* Who looks at every saga comes upon what is damaged; who is led to one does not. */
START_TEST(a_key_that_is_known_needs_no_other_saga) {
    const struct export_scene scene = {.seed = 24, .steps = 400, .checkpoint_records = 30};
    export_scene_make(original, &scene);
    damage("key 1");
    ck_assert_int_eq(SAGALOG(original, "list", "--key", "key 60"), 0);
    expect_in(printed, " trip ");
    ck_assert_int_eq(SAGALOG(original, "list", "--key", "key 0"), 0);
    expect_in(printed, " trip ");
    ck_assert_int_eq(SAGALOG(original, "list", "--key", "key 1000000"), 7);
    expect_in(complained, "is damaged");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sagalog list --key");
    TCase *tests = tcase_create("key");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, every_key_finds_its_saga, 0, 2);
    tcase_add_test(tests, the_key_of_a_purged_saga_says_so);
    tcase_add_test(tests, of_two_uses_the_newest_counts);
    tcase_add_test(tests, other_filters_hold_as_well);
    tcase_add_test(tests, a_key_that_is_known_needs_no_other_saga);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
