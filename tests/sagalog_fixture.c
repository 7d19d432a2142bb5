#include "sagalog_fixture.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char definition_text[] =
    "saga: booking\n"
    "version: 3\n"
    "participants:\n"
    "  booking: {fenced: true}\n"
    "  parking: {fenced: true}\n"
    "  billing: {fenced: true}\n"
    "defaults:\n"
    "  timeout: 2s\n"
    "  deadline: 1m\n"
    "  retry: {attempts: 3, initial: 200ms, max: 2s, factor: 2}\n"
    "steps:\n"
    "  - name: create\n"
    "    command: booking.create\n"
    "    done: [BOOKING_CREATED]\n"
    "    compensation: {command: booking.reject, done: [BOOKING_REJECTED]}\n"
    "  - name: block\n"
    "    command: parking.block\n"
    "    done: [PARKING_AVAILABLE]\n"
    "    rejected: [PARKING_UNAVAILABLE]\n"
    "    compensation: {command: parking.unblock, done: [PARKING_UNBLOCKED],\n"
    "                   rejected: [PARKING_STUCK]}\n"
    "  - name: approve\n"
    "    command: booking.approve\n"
    "    done: [BOOKING_APPROVED]\n"
    "    compensated_by: create\n"
    "  - name: authorize\n"
    "    command: billing.authorize_payment\n"
    "    done: [PAYMENT_SUCCESSFUL]\n"
    "    rejected: [BILL_FAILED]\n"
    "    compensation: {command: billing.refund, done: [BILL_REFUNDED]}\n"
    "  - name: reserve\n"
    "    command: parking.reserve\n"
    "    done: [PARKING_RESERVED]\n"
    "    rejected: [PARKING_RESERVATION_FAILED]\n"
    "    pivot: true\n"
    "  - name: confirm\n"
    "    command: booking.pay\n"
    "    done: [BOOKING_PAID]\n";

#define SENT_MAX 256

/* A command as it left. */
struct sent {
    struct saga_command_id id;
    uint32_t attempt;
    char name[64];
};

static struct {
    const char *data_dir;
    struct saga_log *log;
    struct saga_engine *engine;
    struct saga_moment now;
    struct sent sent[SENT_MAX]; /* the latest ones, in turn */
    size_t sent_count;
    bool refuses;
    uint8_t next_random;
} at;

/* ------------------------------------------------------------------ writing */

static bool take_command(void *context, const struct saga_dispatch *dispatch) {
    (void)context;
    if (at.refuses) {
        return false;
    }
    struct sent *sent = &at.sent[at.sent_count++ % SENT_MAX];
    sent->id = dispatch->id;
    sent->attempt = dispatch->attempt;
    (void)snprintf(sent->name, sizeof sent->name, "%s", dispatch->name);
    return true;
}

static void count_up(void *context, void *bytes, size_t size) {
    (void)context;
    for (size_t i = 0; i < size; i++) {
        ((uint8_t *)bytes)[i] = at.next_random++;
    }
}

static void note_answered(struct saga_request *request) {
    (void)request;
}

static void commit(void) {
    struct saga_fault fault = {0};
    while (saga_engine_pending(at.engine)) {
        ck_assert_msg(saga_engine_commit(at.engine, at.now, &fault) == SAGA_OK, "%s", fault.text);
    }
}

static void define(void) {
    struct saga_definition *definition = NULL;
    struct saga_diagnostics diagnostics;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_definition_parse(definition_text, sizeof definition_text - 1, &definition,
                                           &diagnostics),
                     SAGA_OK);
    ck_assert_msg(saga_engine_define(at.engine, definition, at.now, &fault) == SAGA_OK, "%s",
                  fault.text);
    commit();
}

void daemon_open(const char *data_dir) {
    static const struct saga_outlet outlet = {.send = take_command};
    struct saga_fault fault = {0};
    struct saga_engine_config config;
    struct saga_recovery_report report;
    const struct saga_log_options options = {.data_dir = data_dir, .map_bytes_max = 64u << 20};
    if (at.now.boot_ms == 0) {
        at.now = (struct saga_moment){.boot_ms = 1000, .wall_ms = 1718098200000};
    }
    at.data_dir = data_dir;
    at.sent_count = 0;
    at.refuses = false;
    saga_engine_config_default(&config);
    config.limits.sagas_max = 100000;
    config.random = count_up;
    ck_assert_msg(saga_log_open(&at.log, &options, &fault) == SAGA_OK, "%s", fault.text);
    ck_assert_msg(saga_engine_open(&at.engine, at.log, &config, &outlet, at.now, &report, &fault) ==
                      SAGA_OK,
                  "%s", fault.text);
    define();
}

void daemon_kill(void) {
    saga_engine_close(at.engine);
    saga_log_close(at.log);
    at.engine = NULL;
    at.log = NULL;
}

void daemon_restart(void) {
    daemon_kill();
    at.now.boot_ms += 5000;
    at.now.wall_ms += 5000;
    daemon_open(at.data_dir);
    daemon_pass(1); /* what is outstanding is sent again */
}

void daemon_pass(int64_t ms) {
    at.now.boot_ms += ms;
    at.now.wall_ms += ms;
    while (saga_engine_tick(at.engine, at.now) <= at.now.boot_ms) {
        commit();
    }
    commit();
}

void daemon_refuse(bool refuse) {
    at.refuses = refuse;
}

static struct saga_bytes bytes(const char *text) {
    return (struct saga_bytes){.data = text, .size = (uint32_t)strlen(text)};
}

struct saga_id booking_start(const char *key, const char *input) {
    struct saga_listing listing = {0};
    struct saga_request request = {
        .type = SAGA_REQUEST_START,
        .answered = note_answered,
        .saga = "booking",
        .key = bytes(key),
        .body = bytes(input),
        .listings = &listing,
    };
    daemon_pass(7);
    saga_engine_take(at.engine, &request, at.now);
    commit();
    ck_assert_msg(request.result == SAGA_RESULT_CREATED, "%s", request.text);
    return listing.id;
}

void booking_answer(struct saga_id id, const char *command, const char *body, uint8_t verdict) {
    daemon_pass(13);
    const size_t kept = at.sent_count < SENT_MAX ? at.sent_count : SENT_MAX;
    for (size_t i = 1; i <= kept; i++) {
        const struct sent *sent = &at.sent[(at.sent_count - i) % SENT_MAX];
        if (memcmp(&sent->id.saga, &id, sizeof id) == 0 && strcmp(sent->name, command) == 0) {
            struct saga_request request = {
                .type = SAGA_REQUEST_REPLY,
                .answered = note_answered,
                .command = sent->id,
                .attempt = sent->attempt,
                .body = bytes(body),
                .verdict = verdict,
            };
            saga_engine_take(at.engine, &request, at.now);
            commit();
            ck_assert_msg(request.result == SAGA_RESULT_OK, "%d: %s", request.result, request.text);
            return;
        }
    }
    ck_abort_msg("no %s was sent", command);
}

void booking_say(struct saga_id id, const char *command, const char *event) {
    char body[256];
    (void)snprintf(body, sizeof body, "{\"reply_state\":\"%s\",\"content\":null}", event);
    booking_answer(id, command, body, 0);
}

void booking_operate(struct saga_id id, uint8_t verb, const char *who, const char *why) {
    struct saga_request request = {
        .type = verb == SAGA_VERB_CANCEL ? SAGA_REQUEST_CANCEL : SAGA_REQUEST_RETRY,
    };
    booking_settle(id, request, who, why);
}

void booking_settle(struct saga_id id, struct saga_request request, const char *who,
                    const char *why) {
    request.answered = note_answered;
    request.id = id;
    request.key = bytes(who);
    request.body = bytes(why);
    daemon_pass(1000);
    saga_engine_take(at.engine, &request, at.now);
    commit();
    ck_assert_msg(request.result == SAGA_RESULT_ACCEPTED, "%d: %s", request.result, request.text);
}

const char *booking_state(struct saga_id id) {
    struct saga_listing listing = {0};
    struct saga_request request = {
        .type = SAGA_REQUEST_FIND, .answered = note_answered, .id = id, .listings = &listing};
    saga_engine_take(at.engine, &request, at.now);
    commit();
    ck_assert_int_eq(request.result, SAGA_RESULT_OK);
    return listing.status;
}

uint64_t record_append(const char *data_dir, struct saga_record record) {
    struct saga_log *log;
    struct saga_fault fault = {0};
    const struct saga_log_options options = {.data_dir = data_dir, .map_bytes_max = 64u << 20};
    ck_assert_msg(saga_log_open(&log, &options, &fault) == SAGA_OK, "%s", fault.text);
    record.lsn = saga_log_next_lsn(log);
    record.epoch = saga_log_epoch(log);
    saga_log_append(log, &record);
    ck_assert_msg(saga_log_flush(log, &fault) == SAGA_OK, "%s", fault.text);
    saga_log_close(log);
    return record.lsn;
}

/* ------------------------------------------------------------------ looking */

char *printed;
size_t printed_size;
char *complained;

static int temporary(void) {
    char path[] = "/tmp/sagalog-test-XXXXXX";
    int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(unlink(path), 0);
    return file;
}

/* All of the file, NUL-terminated; closes it. */
static char *read_back(int file, size_t *size) {
    const off_t end = lseek(file, 0, SEEK_END);
    ck_assert_int_ge(end, 0);
    char *text = malloc((size_t)end + 1);
    ck_assert_ptr_nonnull(text);
    ck_assert_int_eq(pread(file, text, (size_t)end, 0), end);
    text[end] = '\0';
    *size = (size_t)end;
    (void)close(file);
    return text;
}

#define ARGUMENTS_MAX 12

static void collect(char *arguments[ARGUMENTS_MAX], const char *data_dir, va_list list) {
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/sagalog", SAGA_BIN_DIR);
    size_t count = 0;
    arguments[count++] = path;
    if (data_dir != NULL) {
        arguments[count++] = (char *)(uintptr_t) "--data-dir";
        arguments[count++] = (char *)(uintptr_t)data_dir;
    }
    do {
        ck_assert_uint_lt(count, ARGUMENTS_MAX);
        arguments[count] = va_arg(list, char *);
    } while (arguments[count++] != NULL);
}

static pid_t spawn(char *const *arguments, int out, int err) {
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        (void)dup2(out, STDOUT_FILENO);
        (void)dup2(err, STDERR_FILENO);
        (void)execv(arguments[0], arguments);
        _exit(127);
    }
    return child;
}

int sagalog_run(const char *data_dir, ...) {
    char *arguments[ARGUMENTS_MAX];
    va_list list;
    size_t size;
    va_start(list, data_dir);
    collect(arguments, data_dir, list);
    va_end(list);
    const int out = temporary();
    const int err = temporary();
    const int status = child_wait(spawn(arguments, out, err));
    free(printed);
    free(complained);
    printed = read_back(out, &printed_size);
    complained = read_back(err, &size);
    ck_assert_msg(WIFEXITED(status), "sagalog ended with wait status %d: %s", status, complained);
    return WEXITSTATUS(status);
}

void sagalog_start(struct sagalog_process *process, const char *data_dir, ...) {
    char *arguments[ARGUMENTS_MAX];
    int pipes[2];
    va_list list;
    va_start(list, data_dir);
    collect(arguments, data_dir, list);
    va_end(list);
    ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
    *process = (struct sagalog_process){.out = pipes[0], .err = temporary()};
    process->pid = spawn(arguments, pipes[1], process->err);
    (void)close(pipes[1]);
}

static int64_t now_ms(void) {
    struct timespec now;
    ck_assert_int_eq(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void sagalog_await(struct sagalog_process *process, const char *text) {
    const int64_t deadline = now_ms() + 20000;
    while (process->text == NULL || strstr(process->text, text) == NULL) {
        struct pollfd polled = {.fd = process->out, .events = POLLIN};
        const int64_t left = deadline - now_ms();
        ck_assert_msg(left > 0 && poll(&polled, 1, (int)left) > 0, "'%s' did not come", text);
        char *longer = realloc(process->text, process->size + 4097);
        ck_assert_ptr_nonnull(longer);
        process->text = longer;
        const ssize_t got = read(process->out, longer + process->size, 4096);
        ck_assert_msg(got > 0, "it ended before '%s' came", text);
        process->size += (size_t)got;
        longer[process->size] = '\0';
    }
}

int sagalog_end(struct sagalog_process *process) {
    size_t size;
    const int status = child_wait(process->pid);
    if (process->out >= 0) {
        (void)close(process->out);
    }
    free(process->text);
    free(complained);
    complained = read_back(process->err, &size);
    *process = (struct sagalog_process){0};
    return status;
}

uint64_t daemon_log_bytes(void) {
    struct saga_log_usage usage;
    saga_log_usage(at.log, &usage);
    return usage.bytes;
}

void expect_in(const char *text, const char *part) {
    ck_assert_msg(strstr(text, part) != NULL, "'%s' is not in: %.3000s", part, text);
}

void expect_not_in(const char *text, const char *part) {
    ck_assert_msg(strstr(text, part) == NULL, "'%s' is in: %.3000s", part, text);
}
