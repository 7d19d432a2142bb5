/* The daemon on a disk that fails at the n-th write, sync or read of a load: it ends with status 8,
 * the next start recovers, and no client was told a falsehood; whichever of the two a commit in
 * doubt was.
 *
 *   SAGA_DISK_EVERY=1    at every n, not at every few */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api_session.h"
#include "check_run.h"
#include "daemon_process.h"
#include "scratch.h"

#define STARTS 50 /* each a start and three replies: 200 operations */
#define END_MS 60000

static struct scratch scratch;
static char data_dir[SCRATCH_PATH_MAX + 8];
static struct daemon_process process;

static void set_up(void) {
    scratch_open_in_memory(&scratch);
    (void)snprintf(data_dir, sizeof data_dir, "%s/data", scratch.path);
}

static void tear_down(void) {
    if (process.pid != 0) {
        daemon_kill(&process);
    }
    scratch_close(&scratch);
}

static const char *said(void) {
    static char text[16384];
    size_t size;
    uint8_t *bytes = file_read(scratch_file(&scratch, "journal"), &size);
    (void)snprintf(text, sizeof text, "%.*s", (int)size, (const char *)bytes);
    free(bytes);
    return text;
}

static void shell(const char *line) {
    ck_assert_msg(system(line) == 0, "%s", line);
}

/* False: it has ended. */
static bool start_daemon(const char *variable) {
    const char *const words[] = {SAGAD_DISK,   "dev",    "--log-level", "warning",
                                 "--data-dir", data_dir, NULL};
    const char *const variables[] = {variable, NULL};
    (void)unlink(scratch_file(&scratch, "journal"));
    daemon_start(&process, words, variable != NULL ? variables : NULL,
                 scratch_file(&scratch, "journal"));
    return daemon_await_ready(&process);
}

static struct api_session *open_session(void) {
    char server[SCRATCH_PATH_MAX + 32];
    (void)snprintf(server, sizeof server, "unix:%s/sagad.sock", data_dir);
    return api_session_open(server);
}

/* A directory that a daemon has been in, so that what fails is not its creation. */
static void make_template(void) {
    char line[2 * SCRATCH_PATH_MAX + 64];
    ck_assert_int_eq(mkdir(data_dir, 0750), 0);
    ck_assert_msg(start_daemon(NULL), "%s", said());
    ck_assert_int_eq(daemon_stop(&process), 0);
    (void)snprintf(line, sizeof line, "cp -a %s %s/template", data_dir, scratch.path);
    shell(line);
}

static void take_template(void) {
    char line[3 * SCRATCH_PATH_MAX + 64];
    directory_remove(data_dir);
    (void)snprintf(line, sizeof line, "cp -a %s/template %s", scratch.path, data_dir);
    shell(line);
}

/* ---------------------------------------------------------------------- load */

static char ids[STARTS][API_ID_SIZE]; /* "": nobody was told that it was started */

static const char *key_of(int number) {
    static char key[16];
    (void)snprintf(key, sizeof key, "key %d", number);
    return key;
}

static const char input[] = "{\"parking_slot_uuid\": \"nowhere\", \"total\": 1}";

/* Starts them all, as far as somebody answers, and waits for the last one's end. */
static void run_load(void) {
    struct api_session *session = open_session();
    memset(ids, 0, sizeof ids);
    bool answered = true;
    for (int i = 0; i < STARTS && answered; i++) {
        const enum api_start start =
            api_session_start(session, "booking", key_of(i), input, ids[i]);
        answered = start == API_CREATED;
        ck_assert_msg(start == API_CREATED || start == API_UNANSWERED, "start %d: %d", i,
                      (int)start);
    }
    for (int i = 0; i < STARTS && answered; i++) {
        json_t *saga = api_session_await(session, ids[i], END_MS);
        answered = saga != NULL;
        json_decref(saga);
    }
    api_session_close(session);
}

/* The next daemon knows what the one before it has told, and ends it. How many sagas it has of
 * which nobody was told. */
static unsigned check_truth(const char *what) {
    unsigned untold = 0;
    ck_assert_msg(start_daemon(NULL), "%s: the next start: %s", what, said());
    struct api_session *session = open_session();
    for (int i = 0; i < STARTS; i++) {
        char id[API_ID_SIZE] = "";
        const enum api_start start = api_session_start(session, "booking", key_of(i), input, id);
        if (ids[i][0] != '\0') {
            ck_assert_msg(start == API_AGAIN && strcmp(id, ids[i]) == 0,
                          "%s: saga %d was accepted, and is not known", what, i);
        } else {
            ck_assert_msg(start == API_CREATED || start == API_AGAIN, "%s: saga %d: %d", what, i,
                          (int)start);
            untold += start == API_AGAIN;
        }
        json_t *saga = api_session_await(session, id, END_MS);
        ck_assert_ptr_nonnull(saga);
        ck_assert_msg(strcmp(api_text(saga, "status"), "compensated") == 0, "%s: saga %d is %s",
                      what, i, api_text(saga, "status"));
        json_decref(saga);
    }
    api_session_close(session);
    ck_assert_int_eq(daemon_stop(&process), 0);
    return untold;
}

/* -------------------------------------------------------------------- faults */

static const struct {
    const char *call;
    int number;
    const char *how;
} faults[] = {{"write", EIO, "fails"}, {"write", ENOSPC, "fails"}, {"write", EIO, "lies"},
              {"sync", EIO, "fails"},  {"sync", EIO, "lies"},      {"read", EIO, "fails"}};
#define FAULT_COUNT ((int)(sizeof faults / sizeof faults[0]))

static unsigned every(void) {
    const char *text = getenv("SAGA_DISK_EVERY");
    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : 5;
}

/* What the daemon says where its log cannot be written, and where it cannot be opened. */
static bool is_known_end(const char *call, bool ready, int status) {
    if (!WIFEXITED(status)) {
        return false;
    }
    if (strcmp(call, "read") == 0) {
        return !ready && (WEXITSTATUS(status) == 1 || WEXITSTATUS(status) == 7);
    }
    return WEXITSTATUS(status) == 8 || (!ready && WEXITSTATUS(status) == 1);
}

START_TEST(a_disk_that_fails_ends_the_daemon_and_nothing_else) {
    unsigned failed = 0;
    unsigned eight = 0;
    unsigned untold = 0;
    bool struck = true;
    make_template();
    for (unsigned hit = 1; struck; hit += every()) {
        char variable[64];
        (void)snprintf(variable, sizeof variable, "SAGAD_DISK=%s:%u:%d:%s", faults[_i].call, hit,
                       faults[_i].number, faults[_i].how);
        take_template();
        memset(ids, 0, sizeof ids);
        const bool ready = start_daemon(variable);
        if (ready) {
            run_load();
        }
        if (process.pid != 0) {
            (void)daemon_stop(&process); /* which may be what strikes */
        }
        struck = process.status != 0;
        if (struck) {
            ck_assert_msg(is_known_end(faults[_i].call, ready, process.status),
                          "%s: wait status %d: %s", variable, process.status, said());
            ck_assert_uint_gt(strlen(said()), 20);
            eight += WEXITSTATUS(process.status) == 8;
            failed++;
        }
        untold += check_truth(variable);
    }
    printf("%s %s (%s): %u daemons ended, %u of them with status 8; %u sagas nobody was told of\n",
           faults[_i].call, faults[_i].how, strerror(faults[_i].number), failed, eight, untold);
    ck_assert_uint_gt(failed, 0);
    ck_assert(strcmp(faults[_i].call, "read") == 0 || eight > 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("daemon disk");
    TCase *tests = tcase_create("disk");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 7200);
    tcase_add_loop_test(tests, a_disk_that_fails_ends_the_daemon_and_nothing_else, 0, FAULT_COUNT);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
