#include "booking_load.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WORDS_MAX  32
#define LIMIT      "--limit=20000"
#define TOO_DEAR   50000
#define PATIENT_MS 60000

/* So slow that nobody waits for the end of it. */
#define HOLD(command) "--delay=" command "=600000"

static void need(bool success, const char *what) {
    if (!success) {
        (void)fprintf(stderr, "the load cannot be made: %s\n", what);
        exit(1);
    }
}

/* ------------------------------------------------------------------- daemon */

bool load_start_daemon(const struct booking_load *load, struct daemon_process *process,
                       const char *dir, const char *const *words, const char *const *variables) {
    const char *all[WORDS_MAX] = {load->program, "dev", "--log-level=info",
                                  "--data-dir",  dir,   LIMIT};
    char journal[512];
    size_t count = 6;
    for (; words != NULL && *words != NULL; words++) {
        need(count < WORDS_MAX - 1, "too many words");
        all[count++] = *words;
    }
    (void)snprintf(journal, sizeof journal, "%s.journal", dir);
    daemon_start(process, all, variables, journal);
    return daemon_await_ready(process);
}

struct api_session *load_open_session(const char *dir) {
    char server[512];
    (void)snprintf(server, sizeof server, "unix:%s/sagad.sock", dir);
    return api_session_open(server);
}

/* -------------------------------------------------------------------- files */

static const char *const files[] = {"log/log.id", "log/data.mdb", "log/lock.mdb",
                                    "parking.db", "booking.db",   "billing.db"};
static const char *const leftovers[] = {"parking.db-journal",
                                        "booking.db-journal",
                                        "billing.db-journal",
                                        "recovery.guard",
                                        "sagad.lock",
                                        "sagad.sock",
                                        "counts"};

static void copy_file(const char *from, const char *to) {
    const int in = open(from, O_RDONLY | O_CLOEXEC);
    const int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
    struct stat status;
    need(in >= 0 && out >= 0 && fstat(in, &status) == 0, from);
    off_t left = status.st_size;
    while (left > 0) {
        const ssize_t copied = copy_file_range(in, NULL, out, NULL, (size_t)left, 0);
        need(copied > 0, to);
        left -= copied;
    }
    (void)close(in);
    (void)close(out);
}

void load_copy(const char *from, const char *to) {
    char source[512], target[512];
    (void)snprintf(target, sizeof target, "%s/log", to);
    need(mkdir(to, 0750) == 0 && mkdir(target, 0750) == 0, to);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(source, sizeof source, "%s/%s", from, files[i]);
        (void)snprintf(target, sizeof target, "%s/%s", to, files[i]);
        copy_file(source, target);
    }
}

void load_remove(const char *dir) {
    char path[512];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        (void)unlink(path);
    }
    for (size_t i = 0; i < sizeof leftovers / sizeof leftovers[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, leftovers[i]);
        (void)unlink(path);
    }
    (void)snprintf(path, sizeof path, "%s/log", dir);
    (void)rmdir(path);
    (void)rmdir(dir);
    (void)snprintf(path, sizeof path, "%s.journal", dir);
    (void)unlink(path);
}

/* ----------------------------------------------------------------- bookings */

/* Of the open ones, and again of the new ones. */
static enum booking_kind kind_of(size_t number) {
    static const enum booking_kind kinds[] = {
        BOOKING_FREE, BOOKING_DECLINED, BOOKING_HELD,   BOOKING_FREE, BOOKING_UNKNOWN, BOOKING_FREE,
        BOOKING_FREE, BOOKING_SHARED,   BOOKING_SHARED, BOOKING_FREE, BOOKING_DECLINED};
    return number < LOAD_CUSTOMERS
               ? BOOKING_FREE
               : kinds[(number - LOAD_CUSTOMERS) % (sizeof kinds / sizeof kinds[0])];
}

static void plan(struct booking_load *load) {
    for (size_t i = 0; i < LOAD_COUNT; i++) {
        struct booking *booking = &load->bookings[i];
        *booking = (struct booking){.kind = kind_of(i), .total = 10000};
        (void)snprintf(booking->key, sizeof booking->key, "booking-%zu", i);
        (void)snprintf(booking->slot, sizeof booking->slot, "slot-%zu", i);
        if (booking->kind == BOOKING_HELD) {
            (void)snprintf(booking->slot, sizeof booking->slot, "slot-%zu", i % LOAD_CUSTOMERS);
        } else if (booking->kind == BOOKING_SHARED) {
            (void)strcpy(booking->slot, "slot-shared");
        } else if (booking->kind == BOOKING_UNKNOWN) {
            (void)snprintf(booking->slot, sizeof booking->slot, "nowhere-%zu", i);
        } else if (booking->kind == BOOKING_DECLINED) {
            booking->total = TOO_DEAR;
        } else if (i % 2 == 0) {
            booking->total = 0; /* not said: 100.00 */
        }
    }
}

static void create_slots(const struct booking_load *load, const char *dir) {
    char path[512], sql[256];
    sqlite3 *database;
    (void)snprintf(path, sizeof path, "%s/parking.db", dir);
    need(sqlite3_open(path, &database) == SQLITE_OK, path);
    for (size_t i = 0; i < LOAD_COUNT; i++) {
        if (load->bookings[i].kind != BOOKING_UNKNOWN) {
            (void)snprintf(sql, sizeof sql,
                           "INSERT OR IGNORE INTO parking_slots(uuid, name) VALUES('%s', 'Slot')",
                           load->bookings[i].slot);
            need(sqlite3_exec(database, sql, NULL, NULL, NULL) == SQLITE_OK, sql);
        }
    }
    (void)sqlite3_close(database);
}

/* ---------------------------------------------------------------- the client */

static void tell(const char *journal, const struct booking *booking, const char *what,
                 const char *id) {
    FILE *file = fopen(journal, "a");
    need(file != NULL, journal);
    (void)fprintf(file, "VIOLATION key %s, first answered %s: %s %s\n", booking->key, booking->id,
                  what, id);
    (void)fclose(file);
}

static size_t ask_one(struct booking *booking, struct api_session *session, bool must_answer,
                      const char *journal) {
    char input[256], id[API_ID_SIZE] = "", total[64] = "";
    if (booking->total != 0) {
        (void)snprintf(total, sizeof total, ", \"total\": %lld", booking->total);
    }
    (void)snprintf(input, sizeof input, "{\"parking_slot_uuid\": \"%s\"%s}", booking->slot, total);
    const bool known = booking->id[0] != '\0';
    switch (api_session_start(session, "booking", booking->key, input, id)) {
    case API_CREATED:
        if (known) {
            tell(journal, booking, "was accepted, and is forgotten: started again as", id);
            return 1;
        }
        (void)strcpy(booking->id, id);
        return 0;
    case API_AGAIN:
        if (known && strcmp(booking->id, id) != 0) {
            tell(journal, booking, "has two sagas, the other is", id);
            return 1;
        }
        (void)strcpy(booking->id, id);
        return 0;
    case API_REFUSED:
        tell(journal, booking, "was refused", "");
        return 1;
    case API_UNANSWERED:
        break;
    }
    if (must_answer) {
        tell(journal, booking, "got no answer", "");
    }
    return must_answer;
}

size_t load_ask(struct booking_load *load, struct api_session *session, size_t first, size_t count,
                bool must_answer, const char *journal) {
    size_t violations = 0;
    for (size_t i = first; i < first + count; i++) {
        violations += ask_one(&load->bookings[i], session, must_answer, journal);
    }
    return violations;
}

bool load_await(struct booking_load *load, struct api_session *session, size_t first,
                size_t count) {
    for (size_t i = first; i < first + count; i++) {
        struct booking *booking = &load->bookings[i];
        if (booking->id[0] != '\0') {
            json_t *saga = api_session_await(session, booking->id, PATIENT_MS);
            if (saga == NULL) {
                return false;
            }
            (void)snprintf(booking->status, sizeof booking->status, "%s", api_text(saga, "status"));
            json_decref(saga);
        }
    }
    return true;
}

/* ----------------------------------------------------------------- template */

static bool is_at(const json_t *saga, const char *step, const char *status) {
    const json_t *steps = json_object_get(saga, "steps");
    size_t i;
    json_t *one;
    json_array_foreach(steps, i, one) {
        if (strcmp(api_text(one, "name"), step) == 0) {
            return strcmp(api_text(one, "status"), status) == 0;
        }
    }
    return false;
}

/* The API tells of ends alone: for what is on the way one has to look again. */
static void await_step(struct api_session *session, const struct booking *booking, const char *step,
                       const char *status) {
    const struct timespec pause = {.tv_nsec = 5000000};
    char path[128];
    (void)snprintf(path, sizeof path, "/v1/sagas/%s", booking->id);
    for (unsigned i = 0; i < 4000; i++) {
        json_t *saga = api_session_get(session, path);
        const bool there = is_at(saga, step, status);
        json_decref(saga);
        if (there) {
            return;
        }
        (void)nanosleep(&pause, NULL);
    }
    (void)fprintf(stderr, "%s: ", booking->key);
    need(false, "a saga does not come to where it should be held");
}

static bool is_refused(const struct booking *booking) {
    return booking->kind == BOOKING_HELD || booking->kind == BOOKING_UNKNOWN;
}

/* The first half: those that get a slot wait before their approval, the others to be rejected. */
static void hold_first_half(struct booking_load *load, const char *dir, const char *journal) {
    static const char *const words[] = {HOLD("booking.approve"), HOLD("booking.reject"), NULL};
    const size_t half = LOAD_OPEN / 2;
    struct daemon_process process;
    need(load_start_daemon(load, &process, dir, words, NULL), "the daemon");
    struct api_session *session = load_open_session(dir);
    need(load_ask(load, session, LOAD_CUSTOMERS, half, true, journal) == 0, "the first half");
    for (size_t i = LOAD_CUSTOMERS; i < LOAD_CUSTOMERS + half; i++) {
        const struct booking *booking = &load->bookings[i];
        if (is_refused(booking)) {
            await_step(session, booking, "create", "compensating");
        } else if (booking->kind != BOOKING_SHARED) {
            await_step(session, booking, "approve", "running");
        }
    }
    api_session_close(session);
    need(daemon_stop(&process) == 0, "its end");
}

/* The first half goes on, to its pivot or backward; the second half is still being created. */
static void hold_second_half(struct booking_load *load, const char *dir, const char *journal) {
    static const char *const words[] = {HOLD("booking.create"),  HOLD("booking.reject"),
                                        HOLD("parking.reserve"), HOLD("parking.unblock"),
                                        HOLD("billing.refund"),  NULL};
    const size_t half = LOAD_OPEN / 2;
    struct daemon_process process;
    need(load_start_daemon(load, &process, dir, words, NULL), "the daemon");
    struct api_session *session = load_open_session(dir);
    need(load_ask(load, session, LOAD_CUSTOMERS + half, LOAD_OPEN - half, true, journal) == 0,
         "the second half");
    for (size_t i = LOAD_CUSTOMERS; i < LOAD_CUSTOMERS + LOAD_OPEN; i++) {
        const struct booking *booking = &load->bookings[i];
        if (i >= LOAD_CUSTOMERS + half) {
            await_step(session, booking, "create", "running");
        } else if (booking->kind == BOOKING_FREE) {
            await_step(session, booking, "reserve", "running");
        } else if (booking->kind == BOOKING_DECLINED) {
            await_step(session, booking, "block", "compensating");
        }
    }
    api_session_close(session);
    need(daemon_stop(&process) == 0, "its end");
}

void load_make_template(struct booking_load *load, const char *program, const char *dir) {
    struct daemon_process process;
    char journal[512];
    load->program = program;
    (void)snprintf(journal, sizeof journal, "%s.journal", dir);
    plan(load);
    need(load_start_daemon(load, &process, dir, NULL, NULL), "the daemon (see the journal)");
    create_slots(load, dir);
    struct api_session *session = load_open_session(dir);
    need(load_ask(load, session, 0, LOAD_CUSTOMERS, true, journal) == 0 &&
             load_await(load, session, 0, LOAD_CUSTOMERS),
         "the customers");
    api_session_close(session);
    need(daemon_stop(&process) == 0, "its end");
    hold_first_half(load, dir, journal);
    hold_second_half(load, dir, journal);
}
