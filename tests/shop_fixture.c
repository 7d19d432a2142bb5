#include "shop_fixture.h"

#include "check_run.h"
#include "participant_fixture.h"
#include "shop_service.h"

#include <stdio.h>
#include <string.h>

struct saga_participant *shop;

static void open_shop(void) {
    shop = fixture_open(&shop_service, fixture_file(), NULL);
}

static void close_shop(void) {
    saga_participant_close(shop);
    fixture_file_remove();
}

const char *shop_path(void) {
    static char path[256];
    (void)snprintf(path, sizeof path, "%s",
                   sqlite3_db_filename(saga_participant_database(shop), "main"));
    return path;
}

void shop_reopen(const struct saga_participant_options *options) {
    const char *path = shop_path();
    saga_participant_close(shop);
    shop = fixture_open(&shop_service, path, options);
}

struct saga_wire_reply shop_deliver(const char *name, const char *operation) {
    return fixture_deliver(shop, fixture_command(name, operation, "step"));
}

long long shop_takings(void) {
    return fixture_integer(shop, "SELECT coalesce(sum(amount), 0) FROM takings");
}

long long shop_runs(void) {
    return fixture_integer(shop, "SELECT count(*) FROM takings");
}

const char *shop_row_state(void) {
    return fixture_text(shop, "SELECT state FROM saga_fence WHERE step = 'step'");
}

void expect_refusal(const struct saga_wire_reply *reply, const char *why) {
    ck_assert(reply->silent);
    ck_assert_ptr_null(reply->body);
    ck_assert_ptr_nonnull(reply->refusal);
    ck_assert_msg(strstr(reply->refusal, why) != NULL, "%s", reply->refusal);
}

int shop_run(const char *name, void (*add)(TCase *tests)) {
    Suite *suite = suite_create(name);
    TCase *tests = tcase_create(name);
    tcase_add_checked_fixture(tests, open_shop, close_shop);
    tcase_set_timeout(tests, 60);
    add(tests);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
