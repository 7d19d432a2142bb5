/*
 * How many commands a second a service carries out, beside SQLite alone with the
 * same statements in the same transactions.
 *
 *   bench-participants [--rounds N] [--seconds S] [--batch N]... [--data-dir DIR] [--smoke]
 *
 * The service: saga_participant_apply(), as `parking serve` calls it with the
 * deliveries at hand; it reads the command's JSON, looks at the fence, runs the
 * business code, and writes the row and the answer. SQLite: a database of the same
 * tables and settings, and the statements that this comes to, with values made up.
 * Round after round, one after the other; medians, and ratios of one round.
 */
#include <errno.h>
#include <getopt.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "billing.h"
#include "booking.h"
#include "parking.h"
#include "participant.h"

#define ROUNDS_MAX  25
#define BATCHES_MAX 8
#define BATCH_MAX   SAGA_PARTICIPANT_BATCH_MAX
/* Commands that one database takes: a slot is blocked once. */
#define SLOTS 400000

/* One command, and the statement of it that is not the same for all. */
struct subject {
    const struct saga_service *(*service)(void);
    const char *command;
    const char *step;
    const char *event;
    const char *content; /* of the answer; NULL: none */
    const char *sql;     /* ?1: the slot, ?2: the saga, ?3: the reference */
};

static const struct subject subjects[] = {
    {saga_parking_service, "parking.block", "block", "PARKING_AVAILABLE", NULL,
     "UPDATE parking_slots SET status = 'blocked', held_by = ?3 "
     "WHERE uuid = ?1 AND status = 'available' AND ?2 <> ''"},
    {saga_booking_service, "booking.create", "create", "BOOKING_CREATED",
     "{\"id\": 1, \"status\": \"pending\", \"parking_slot_ref_no\": "
     "\"00000000-0000-4000-8000-000000000000:00000000-0000-7000-8000-000000000000\"}",
     "INSERT INTO bookings(status, parking_slot_ref_no, uuid) "
     "VALUES('pending', ?1 || ':' || ?2, ?2) ON CONFLICT DO NOTHING "
     "RETURNING id, status, parking_slot_ref_no, ?3"},
    {saga_billing_service, "billing.authorize_payment", "authorize", "PAYMENT_SUCCESSFUL", NULL,
     "INSERT INTO billing_requests(total, status, reference_no) "
     "SELECT 10000, 'paid', ?3 WHERE ?1 <> ?2 ON CONFLICT DO NOTHING"},
};
#define SUBJECTS (sizeof subjects / sizeof subjects[0])

/* What SQLite alone is asked, beside the subject's own. */
enum { BEGIN, PURGED, FENCE, SAVEPOINT, BUSINESS, EFFECT, ROW, RELEASE, COMMIT, STATEMENTS };
static const char *const statement_texts[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [PURGED] = "SELECT purged_before FROM saga_participant",
    [FENCE] = "SELECT state, body_hash, event, content, undo_event, undo_content "
              "FROM saga_fence WHERE saga = ?1 AND step = ?2 AND incarnation = ?3",
    [SAVEPOINT] = "SAVEPOINT command",
    [EFFECT] = "INSERT INTO effects(command_id, what, at) VALUES(?1, ?2, ?3)",
    [ROW] = "INSERT INTO saga_fence(saga, step, incarnation, state, command, body_hash, "
            "event, content, decided_at) VALUES(?1, ?2, ?3, 'done', ?4, ?5, ?6, ?7, ?8)",
    [RELEASE] = "RELEASE command",
    [COMMIT] = "COMMIT",
};

/* The texts of one command. */
struct texts {
    char saga[37];
    char slot[37];
    char reference[80];
    char id[128];
    char body[256];
};

struct contender {
    const struct subject *subject;
    struct saga_participant *participant; /* SQLite alone: for the tables and settings */
    sqlite3_stmt *statements[STATEMENTS]; /* of SQLite alone */
    size_t commands;                      /* so far */
    struct texts texts[BATCH_MAX];
};

struct options {
    size_t rounds;
    double seconds;
    size_t batches[BATCHES_MAX];
    size_t batch_count;
    const char *parent;
};

static _Noreturn void die(const char *what, const char *why) {
    (void)fprintf(stderr, "bench-participants: %s: %s\n", what, why);
    exit(1);
}

static void need(bool good, const struct contender *contender) {
    if (!good) {
        die(contender->subject->command,
            sqlite3_errmsg(saga_participant_database(contender->participant)));
    }
}

static double now_s(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int64_t wall_ms(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_REALTIME, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* The next command's; sagas begin one after the other, as their ids do. */
static void write_texts(struct contender *contender, struct texts *texts) {
    const size_t number = contender->commands++;
    if (number >= SLOTS) {
        die(contender->subject->command, "there are no more free slots: use less --seconds");
    }
    (void)snprintf(texts->saga, sizeof texts->saga, "01920000-%04zx-7000-8000-%012zx",
                   (number >> 8) & 0xffff, number);
    (void)snprintf(texts->slot, sizeof texts->slot, "00000000-0000-4000-8000-%012zx", number);
    (void)snprintf(texts->reference, sizeof texts->reference, "%s:%s", texts->slot, texts->saga);
    (void)snprintf(texts->id, sizeof texts->id, "%s/%s/1/action/1", texts->saga,
                   contender->subject->step);
    (void)snprintf(texts->body, sizeof texts->body,
                   "{\"parking_slot_uuid\":\"%s\",\"parking_slot_ref_no\":\"%s\"}", texts->slot,
                   texts->reference);
}

/* ------------------------------------------------------------------ opening */

static void make_slots(struct contender *contender) {
    char sql[512];
    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO parking_slots(uuid, name) WITH RECURSIVE slot(n) AS (SELECT 0 "
                   "UNION ALL SELECT n + 1 FROM slot WHERE n < %d) "
                   "SELECT printf('00000000-0000-4000-8000-%%012x', n), 'slot ' || n FROM slot",
                   SLOTS - 1);
    need(sqlite3_exec(saga_participant_database(contender->participant), sql, NULL, NULL, NULL) ==
             SQLITE_OK,
         contender);
}

static void open_contender(struct contender *contender, const struct subject *subject,
                           const char *dir, const char *name) {
    char path[600];
    struct saga_fault fault;
    contender->subject = subject;
    contender->commands = 0;
    (void)snprintf(path, sizeof path, "%s/%s-%s.db", dir, subject->step, name);
    if (saga_participant_open(&contender->participant, subject->service(), path, NULL, &fault) !=
        SAGA_OK) {
        die(path, fault.text);
    }
    if (subject->service == saga_parking_service) {
        make_slots(contender);
    }
}

static void prepare_statements(struct contender *contender) {
    for (size_t i = 0; i < STATEMENTS; i++) {
        const char *sql = i == BUSINESS ? contender->subject->sql : statement_texts[i];
        need(sqlite3_prepare_v3(saga_participant_database(contender->participant), sql, -1,
                                SQLITE_PREPARE_PERSISTENT, &contender->statements[i],
                                NULL) == SQLITE_OK,
             contender);
    }
}

static void close_contender(struct contender *contender) {
    for (size_t i = 0; i < STATEMENTS; i++) {
        (void)sqlite3_finalize(contender->statements[i]);
        contender->statements[i] = NULL;
    }
    saga_participant_close(contender->participant);
}

/* -------------------------------------------------------------- the service */

static void apply(struct contender *service, size_t count) {
    static struct saga_wire_command commands[BATCH_MAX];
    static struct saga_wire_reply replies[BATCH_MAX];
    struct saga_fault fault;
    for (size_t i = 0; i < count; i++) {
        struct texts *texts = &service->texts[i];
        write_texts(service, texts);
        commands[i] = (struct saga_wire_command){.name = service->subject->command,
                                                 .id = texts->id,
                                                 .saga = texts->saga,
                                                 .saga_type = "booking",
                                                 .step = service->subject->step,
                                                 .operation = "action",
                                                 .incarnation = 1,
                                                 .revision = 1,
                                                 .attempt = 1,
                                                 .issued_at_ms = wall_ms(),
                                                 .body = texts->body,
                                                 .body_size = strlen(texts->body)};
    }
    if (saga_participant_apply(service->participant, commands, count, replies, &fault) != SAGA_OK) {
        die(service->subject->command, fault.text);
    }
    for (size_t i = 0; i < count; i++) {
        if (replies[i].outcome != SAGA_WIRE_DONE) {
            die(service->subject->command, replies[i].body != NULL ? replies[i].body : "no answer");
        }
        saga_wire_reply_free(&replies[i]);
    }
}

/* ------------------------------------------------------------- SQLite alone */

static void bind(const struct contender *alone, int which, int parameter, const char *text) {
    need(sqlite3_bind_text(alone->statements[which], parameter, text, -1, SQLITE_STATIC) ==
             SQLITE_OK,
         alone);
}

static void bind_number(const struct contender *alone, int which, int parameter, int64_t number) {
    need(sqlite3_bind_int64(alone->statements[which], parameter, number) == SQLITE_OK, alone);
}

/* To its end; `rows` says how many rows it has to give. */
static void step(const struct contender *alone, int which, int rows) {
    int status = sqlite3_step(alone->statements[which]);
    for (int i = 0; i < rows; i++) {
        need(status == SQLITE_ROW, alone);
        status = sqlite3_step(alone->statements[which]);
    }
    need(status == SQLITE_DONE && sqlite3_reset(alone->statements[which]) == SQLITE_OK, alone);
}

static void write_one(struct contender *alone, struct texts *texts) {
    static const unsigned char hash[16];
    const struct subject *subject = alone->subject;
    const int64_t now_ms = wall_ms();
    write_texts(alone, texts);
    bind(alone, FENCE, 1, texts->saga);
    bind(alone, FENCE, 2, subject->step);
    bind_number(alone, FENCE, 3, 1);
    step(alone, FENCE, 0);
    step(alone, SAVEPOINT, 0);
    bind(alone, BUSINESS, 1, texts->slot);
    bind(alone, BUSINESS, 2, texts->saga);
    bind(alone, BUSINESS, 3, texts->reference);
    step(alone, BUSINESS, strstr(subject->sql, "RETURNING") != NULL ? 1 : 0);
    need(sqlite3_changes(saga_participant_database(alone->participant)) == 1, alone);
    bind(alone, EFFECT, 1, texts->id);
    bind(alone, EFFECT, 2, subject->event);
    bind_number(alone, EFFECT, 3, now_ms);
    step(alone, EFFECT, 0);
    bind(alone, ROW, 1, texts->saga);
    bind(alone, ROW, 2, subject->step);
    bind_number(alone, ROW, 3, 1);
    bind(alone, ROW, 4, subject->command);
    need(sqlite3_bind_blob(alone->statements[ROW], 5, hash, sizeof hash, SQLITE_STATIC) ==
             SQLITE_OK,
         alone);
    bind(alone, ROW, 6, subject->event);
    bind(alone, ROW, 7, subject->content);
    bind_number(alone, ROW, 8, now_ms);
    step(alone, ROW, 0);
    step(alone, RELEASE, 0);
}

static void transact(struct contender *alone, size_t count) {
    step(alone, BEGIN, 0);
    step(alone, PURGED, 1);
    for (size_t i = 0; i < count; i++) {
        write_one(alone, &alone->texts[i]);
    }
    step(alone, COMMIT, 0);
}

/* ---------------------------------------------------------------- measuring */

static double measure(struct contender *contender, size_t batch, double seconds,
                      void (*run)(struct contender *, size_t)) {
    const size_t before = contender->commands;
    const double begin = now_s();
    double end;
    do {
        run(contender, batch);
        end = now_s();
    } while (end - begin < seconds);
    return (double)(contender->commands - before) / (end - begin);
}

static int by_size(const void *a, const void *b) {
    const double one = *(const double *)a;
    const double other = *(const double *)b;
    return (one > other) - (one < other);
}

static double median(double *values, size_t count) {
    qsort(values, count, sizeof *values, by_size);
    return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void compare(const struct options *options, const struct subject *subject, const char *dir) {
    static struct contender service;
    static struct contender alone;
    double rates[2][BATCHES_MAX][ROUNDS_MAX];
    double ratios[BATCHES_MAX][ROUNDS_MAX];
    open_contender(&service, subject, dir, "service");
    open_contender(&alone, subject, dir, "alone");
    prepare_statements(&alone);
    for (size_t round = 0; round < options->rounds; round++) {
        for (size_t b = 0; b < options->batch_count; b++) {
            const size_t batch = options->batches[b];
            rates[0][b][round] = measure(&service, batch, options->seconds, apply);
            rates[1][b][round] = measure(&alone, batch, options->seconds, transact);
            ratios[b][round] = rates[0][b][round] / rates[1][b][round];
        }
    }
    for (size_t b = 0; b < options->batch_count; b++) {
        (void)printf("| %s | %zu | %.0f | %.0f | %.2f |\n", subject->command, options->batches[b],
                     median(rates[0][b], options->rounds), median(rates[1][b], options->rounds),
                     median(ratios[b], options->rounds));
    }
    close_contender(&service);
    close_contender(&alone);
}

/* ------------------------------------------------------------------ options */

static _Noreturn void usage(const char *program) {
    (void)fprintf(stderr,
                  "usage: %s [--rounds 1..%d] [--seconds S] [--batch 1..%d]... [--data-dir DIR] "
                  "[--smoke]\n",
                  program, ROUNDS_MAX, BATCH_MAX);
    exit(2);
}

static void read_options(struct options *options, int argc, char **argv) {
    static const struct option names[] = {
        {"rounds", required_argument, NULL, 'r'}, {"seconds", required_argument, NULL, 's'},
        {"batch", required_argument, NULL, 'b'},  {"data-dir", required_argument, NULL, 'd'},
        {"smoke", no_argument, NULL, 'k'},        {NULL, 0, NULL, 0}};
    static const size_t usual[] = {1, 32, 300};
    int option;
    *options = (struct options){.rounds = 5, .seconds = 0.5, .parent = getenv("TMPDIR")};
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == 'r') {
            options->rounds = strtoul(optarg, NULL, 10);
        } else if (option == 's') {
            options->seconds = strtod(optarg, NULL);
        } else if (option == 'b' && options->batch_count < BATCHES_MAX) {
            options->batches[options->batch_count++] = strtoul(optarg, NULL, 10);
        } else if (option == 'd') {
            options->parent = optarg;
        } else if (option == 'k') {
            options->rounds = 1;
            options->seconds = 0.05;
        } else {
            usage(argv[0]);
        }
    }
    if (options->batch_count == 0) {
        options->batch_count = sizeof usual / sizeof usual[0];
        memcpy(options->batches, usual, sizeof usual);
    }
    for (size_t b = 0; b < options->batch_count; b++) {
        if (options->batches[b] < 1 || options->batches[b] > BATCH_MAX) {
            usage(argv[0]);
        }
    }
    if (optind != argc || options->rounds < 1 || options->rounds > ROUNDS_MAX) {
        usage(argv[0]);
    }
}

static void remove_all(const char *dir) {
    for (size_t i = 0; i < SUBJECTS; i++) {
        static const char *const ends[] = {"service.db", "service.db-journal", "alone.db",
                                           "alone.db-journal"};
        for (size_t end = 0; end < sizeof ends / sizeof ends[0]; end++) {
            char path[600];
            (void)snprintf(path, sizeof path, "%s/%s-%s", dir, subjects[i].step, ends[end]);
            (void)remove(path);
        }
    }
    (void)remove(dir);
}

int main(int argc, char **argv) {
    struct options options;
    char dir[512];
    read_options(&options, argc, argv);
    (void)snprintf(dir, sizeof dir, "%s/bench-participants-XXXXXX",
                   options.parent != NULL ? options.parent : "/tmp");
    if (mkdtemp(dir) == NULL) {
        die(dir, strerror(errno));
    }
    (void)printf("medians of %zu rounds of %.2f s\n", options.rounds, options.seconds);
    (void)printf("| command | in a transaction | service/s | SQLite alone/s | ratio |\n");
    (void)printf("| --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < SUBJECTS; i++) {
        compare(&options, &subjects[i], dir);
    }
    remove_all(dir);
    return 0;
}
