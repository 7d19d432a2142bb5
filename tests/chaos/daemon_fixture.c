#include "daemon_fixture.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "scratch.h"

#define WORDS_MAX 24

struct daemon_process fixture_daemon;
static struct scratch scratch;

void fixture_open_daemon(void) {
    scratch_open(&scratch);
}

void fixture_close_daemon(void) {
    if (fixture_daemon.pid != 0) {
        daemon_kill(&fixture_daemon);
    }
    scratch_close(&scratch);
}

const char *fixture_path(const char *name) {
    return scratch_file(&scratch, name);
}

const char *fixture_data_dir(void) {
    static char path[SCRATCH_PATH_MAX + 8];
    (void)snprintf(path, sizeof path, "%s/data", scratch.path);
    return path;
}

void fixture_make_data_dir(void) {
    ck_assert_int_eq(mkdir(fixture_data_dir(), 0750), 0);
}

/* ------------------------------------------------------------------- daemon */

static void collect(const char **words, const char *first, va_list more) {
    size_t count = 0;
    words[count++] = SAGAD;
    for (const char *word = first; word != NULL; word = va_arg(more, const char *)) {
        ck_assert_uint_lt(count, WORDS_MAX - 1);
        if (count == 1 && word[0] == '/') {
            count = 0; /* another program, which runs the daemon */
        }
        words[count++] = word;
    }
    words[count] = NULL;
}

int fixture_run(const char *first, ...) {
    const char *words[WORDS_MAX];
    struct daemon_process process;
    va_list more;
    va_start(more, first);
    collect(words, first, more);
    va_end(more);
    daemon_start(&process, words, NULL, fixture_path("journal"));
    if (!daemon_await_end(&process, 60000)) {
        daemon_kill(&process);
        ck_abort_msg("the daemon runs, though it should not: %s", fixture_said());
    }
    ck_assert_msg(WIFEXITED(process.status), "wait status %d: %s", process.status, fixture_said());
    return WEXITSTATUS(process.status);
}

void fixture_start(const char *first, ...) {
    const char *words[WORDS_MAX];
    va_list more;
    va_start(more, first);
    collect(words, first, more);
    va_end(more);
    ck_assert_int_eq(fixture_daemon.pid, 0);
    daemon_start(&fixture_daemon, words, NULL, fixture_path("journal"));
    ck_assert_msg(daemon_await_ready(&fixture_daemon), "%s", fixture_said());
}

void fixture_stop(void) {
    const int status = daemon_stop(&fixture_daemon);
    ck_assert_msg(status == 0, "wait status %d: %s", status, fixture_said());
}

void fixture_kill(void) {
    daemon_kill(&fixture_daemon);
}

const char *fixture_said(void) {
    static char text[65536];
    size_t size;
    if (!file_exists(fixture_path("journal"))) {
        return "";
    }
    uint8_t *bytes = file_read(fixture_path("journal"), &size);
    (void)snprintf(text, sizeof text, "%.*s", (int)size, (const char *)bytes);
    free(bytes);
    return text;
}

void fixture_forget(void) {
    (void)unlink(fixture_path("journal"));
}

void fixture_expect_said(const char *part) {
    ck_assert_msg(strstr(fixture_said(), part) != NULL, "'%s' lacks '%s'", fixture_said(), part);
}

/* ---------------------------------------------------------------------- API */

struct api_session *fixture_session(void) {
    char server[SCRATCH_PATH_MAX + 32];
    (void)snprintf(server, sizeof server, "unix:%s/sagad.sock", fixture_data_dir());
    return api_session_open(server);
}

void fixture_book(struct api_session *session, const char *key, const char *slot, long long total,
                  char id[API_ID_SIZE]) {
    char input[256];
    (void)snprintf(input, sizeof input, "{\"parking_slot_uuid\": \"%s\", \"total\": %lld}", slot,
                   total);
    ck_assert_int_eq(api_session_start(session, "booking", key, input, id), API_CREATED);
}

void fixture_expect_end(struct api_session *session, const char *id, const char *status) {
    json_t *saga = api_session_await(session, id, FIXTURE_END_MS);
    ck_assert_ptr_nonnull(saga);
    ck_assert_str_eq(api_text(saga, "status"), status);
    json_decref(saga);
}

static bool is_at(const json_t *saga, const char *step, const char *status) {
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(saga, "steps"), i, one) {
        if (strcmp(api_text(one, "name"), step) == 0) {
            return strcmp(api_text(one, "status"), status) == 0;
        }
    }
    return false;
}

void fixture_await_step(struct api_session *session, const char *id, const char *step,
                        const char *status) {
    const struct timespec pause = {.tv_nsec = 10000000}; /* the API tells of ends alone */
    char path[128];
    (void)snprintf(path, sizeof path, "/v1/sagas/%s", id);
    for (unsigned i = 0; i < 3000; i++) {
        json_t *saga = api_session_get(session, path);
        ck_assert_ptr_nonnull(saga);
        const bool there = is_at(saga, step, status);
        json_decref(saga);
        if (there) {
            return;
        }
        (void)nanosleep(&pause, NULL);
    }
    ck_abort_msg("step %s never is %s", step, status);
}

/* ---------------------------------------------------------------- databases */

static sqlite3 *open_database(const char *service) {
    char path[SCRATCH_PATH_MAX + 32];
    sqlite3 *database;
    (void)snprintf(path, sizeof path, "%s/%s.db", fixture_data_dir(), service);
    ck_assert_int_eq(sqlite3_open_v2(path, &database, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    (void)sqlite3_busy_timeout(database, 5000);
    return database;
}

void fixture_create_slot(const char *uuid) {
    char sql[256];
    sqlite3 *database = open_database("parking");
    (void)snprintf(sql, sizeof sql, "INSERT INTO parking_slots(uuid, name) VALUES('%s', 'Slot')",
                   uuid);
    ck_assert_int_eq(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(database);
}

const char *fixture_look(const char *service, const char *sql, const char *argument) {
    static char text[512];
    sqlite3 *database = open_database(service);
    sqlite3_stmt *statement = NULL;
    ck_assert_msg(sqlite3_prepare_v2(database, sql, -1, &statement, NULL) == SQLITE_OK, "%s: %s",
                  sql, sqlite3_errmsg(database));
    (void)sqlite3_bind_text(statement, 1, argument, -1, SQLITE_STATIC);
    const int result = sqlite3_step(statement);
    ck_assert_msg(result == SQLITE_ROW || result == SQLITE_DONE, "%s: %s", sql,
                  sqlite3_errmsg(database));
    const unsigned char *value = result == SQLITE_ROW ? sqlite3_column_text(statement, 0) : NULL;
    (void)snprintf(text, sizeof text, "%s", value == NULL ? "" : (const char *)value);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(database);
    return text;
}
