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
#include <unistd.h>

#include "engine_fixture.h"
#include "monotonic.h"

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

/* ------------------------------------------------------------------ writing */

static uint64_t checkpoint_records; /* 0: as by default */

void daemon_checkpoint_every(uint64_t records) {
    checkpoint_records = records;
}

static struct saga_retention retention;
static bool retains; /* that long; else for ever */

void daemon_retain(const struct saga_retention *wanted) {
    retention = *wanted;
    retains = true;
}

void daemon_open(const char *data_dir) {
    if (world.data_dir == NULL) {
        world_init(data_dir);
        if (checkpoint_records != 0) {
            world.checkpoints =
                (struct saga_checkpoint_pace){.records = checkpoint_records, .slice_entries = 1};
        }
        if (retains) {
            world.retention = retention;
        }
        world.sagas_max = 100000;
        world.now = (struct saga_moment){.boot_ms = 1000, .wall_ms = 1718098200000};
    }
    world.data_dir = data_dir;
    world.refuses = false;
    world_open();
    world_define(definition_text);
    world_commit();
}

void daemon_kill(void) {
    world_close();
}

void daemon_restart(void) {
    daemon_kill();
    world_sleep(5000);
    daemon_open(world.data_dir);
    daemon_pass(1); /* what is outstanding is sent again */
}

void daemon_pass(int64_t ms) {
    world_pass(ms);
}

void daemon_refuse(bool refuse) {
    world.refuses = refuse;
}

struct saga_id booking_start(const char *key, const char *input) {
    struct saga_listing listing = {0};
    struct saga_request request = world_start_request("booking", key, input, &listing);
    daemon_pass(7);
    world_take(&request);
    ck_assert_msg(request.result == SAGA_RESULT_CREATED, "%s", request.text);
    return listing.id;
}

/* The saga's latest command of this name. */
static const struct sent *sent_to(struct saga_id id, const char *command) {
    for (size_t i = 1; i <= world.sent_count && i <= WORLD_SENT_MAX; i++) {
        const struct sent *sent = world_sent(world.sent_count - i);
        if (memcmp(&sent->id.saga, &id, sizeof id) == 0 && strcmp(sent->name, command) == 0) {
            return sent;
        }
    }
    ck_abort_msg("no %s was sent", command);
}

void booking_answer(struct saga_id id, const char *command, const char *body, uint8_t verdict) {
    daemon_pass(13);
    struct saga_request request = world_reply_request(sent_to(id, command), body);
    request.verdict = verdict;
    world_take(&request);
    ck_assert_msg(request.result == SAGA_RESULT_OK, "%d: %s", request.result, request.text);
}

void booking_say(struct saga_id id, const char *command, const char *event) {
    char body[256];
    (void)snprintf(body, sizeof body, "{\"reply_state\":\"%s\",\"content\":null}", event);
    booking_answer(id, command, body, 0);
}

void booking_operate(struct saga_id id, uint8_t verb, const char *who, const char *why) {
    booking_settle(
        id, world_request(verb == SAGA_VERB_CANCEL ? SAGA_REQUEST_CANCEL : SAGA_REQUEST_RETRY), who,
        why);
}

void booking_settle(struct saga_id id, struct saga_request request, const char *who,
                    const char *why) {
    request.answered = world_request((enum saga_request_type)request.type).answered;
    request.id = id;
    request.key = world_bytes(who);
    request.body = world_bytes(why);
    daemon_pass(1000);
    world_take(&request);
    ck_assert_msg(request.result == SAGA_RESULT_ACCEPTED, "%d: %s", request.result, request.text);
}

const char *booking_state(struct saga_id id) {
    const char *status = world_find(id).status;
    ck_assert_ptr_nonnull(status);
    return status;
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

#define ARGUMENTS_MAX 16

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

void sagalog_await(struct sagalog_process *process, const char *text) {
    const int64_t deadline = monotonic_ms() + 20000;
    while (process->text == NULL || strstr(process->text, text) == NULL) {
        struct pollfd polled = {.fd = process->out, .events = POLLIN};
        const int64_t left = deadline - monotonic_ms();
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
    saga_log_usage(world.log, &usage);
    return usage.bytes;
}

void daemon_write(uint64_t bytes) {
    static uint8_t value[60000];
    static const char key[] = "written again and again";
    struct saga_fault fault = {0};
    for (uint64_t written = 0; written < bytes; written += sizeof value) {
        value[0]++;
        saga_log_put(world.log, SAGA_TABLE_KEPT, (struct saga_bytes){key, sizeof key},
                     (struct saga_bytes){value, sizeof value});
        ck_assert_msg(saga_log_flush(world.log, &fault) == SAGA_OK, "%s", fault.text);
    }
}

void expect_in(const char *text, const char *part) {
    ck_assert_msg(strstr(text, part) != NULL, "'%s' is not in: %.3000s", part, text);
}

void expect_not_in(const char *text, const char *part) {
    ck_assert_msg(strstr(text, part) == NULL, "'%s' is in: %.3000s", part, text);
}
