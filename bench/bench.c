#include "bench.h"

#include "ids.h"
#include "start_keys.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static const char definition_text[] =
    "saga: bench\n"
    "version: 1\n"
    "participants:\n"
    "  echo: {fenced: true}\n"
    "steps:\n"
    "  - {name: a, command: echo.a, compensation: {command: echo.undo_a}}\n"
    "  - {name: b, command: echo.b, compensation: {command: echo.undo_b}}\n"
    "  - {name: c, command: echo.c, pivot: true}\n";
static const char wait_text[] =
    "saga: wait\n"
    "version: 1\n"
    "participants:\n"
    "  nobody: {fenced: true}\n"
    "defaults: {timeout: 24h, retry: {attempts: 1}}\n"
    "steps:\n"
    "  - {name: a, command: nobody.a, compensation: {command: nobody.undo_a}}\n"
    "  - {name: b, command: nobody.b, compensation: {command: nobody.undo_b}}\n"
    "  - {name: c, command: nobody.c, pivot: true}\n";
/* What a million open sagas may need to end is some 20 GB. */
#define MAP_BYTES (UINT64_C(64) << 30)
#define KEY_BYTES 32
/* Open, and in flight. */
#define SAGAS_MAX 1100000

static const char input_text[] =
    "{\"customer\":\"0192a0b1\",\"parking_slot_uuid\":\"e1a9e2c8-7b1b-4c52-9c1e-6d1a2f5b7a10\","
    "\"total\":10000}";

static void random_bytes(void *context, void *bytes, size_t size) {
    /* One system call for many ids: what is measured here is not the kernel's generator. */
    static uint8_t pool[4096];
    static size_t left;
    (void)context;
    if (left < size) {
        if (getrandom(pool, sizeof pool, 0) != (ssize_t)sizeof pool) {
            abort();
        }
        left = sizeof pool;
    }
    memcpy(bytes, pool + sizeof pool - left, size);
    left -= size;
}

static void give_back(struct saga_request *request) {
    struct saga_bench *bench = request->context;
    request->next = bench->spare;
    bench->spare = request;
}

static struct saga_request *take_spare(struct saga_bench *bench) {
    struct saga_request *request = bench->spare;
    if (request == NULL) {
        request = calloc(1, sizeof *request);
        if (request == NULL) {
            abort();
        }
    } else {
        bench->spare = request->next;
        memset(request, 0, offsetof(struct saga_request, text));
    }
    request->answered = give_back;
    request->context = bench;
    return request;
}

static bool echo(void *context, const struct saga_dispatch *dispatch) {
    struct saga_bench *bench = context;
    bench->sent++;
    if (bench->answers && dispatch->name[0] == 'e') {
        struct saga_request *request = take_spare(bench);
        request->type = SAGA_REQUEST_REPLY;
        request->command = dispatch->id;
        request->attempt = dispatch->attempt;
        request->verdict = SAGA_DONE;
        request->next = bench->replies;
        bench->replies = request;
    }
    return true;
}

static void changed(void *context, const struct saga_id *id, const char *status) {
    struct saga_bench *bench = context;
    (void)id;
    if (strcmp(status, "completed") == 0) {
        bench->ended++;
        bench->in_flight--;
    }
}

struct saga_moment saga_bench_moment(void) {
    struct timespec boot;
    struct timespec wall;
    (void)clock_gettime(CLOCK_BOOTTIME, &boot);
    (void)clock_gettime(CLOCK_REALTIME, &wall);
    return (struct saga_moment){
        .boot_ms = boot.tv_sec * 1000 + boot.tv_nsec / 1000000,
        .wall_ms = wall.tv_sec * 1000 + wall.tv_nsec / 1000000,
    };
}

static double seconds_of(clockid_t clock) {
    struct timespec time;
    (void)clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

double saga_bench_seconds(void) {
    return seconds_of(CLOCK_MONOTONIC);
}

double saga_bench_cpu_seconds(void) {
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

static void fail(const char *what, const struct saga_fault *fault) {
    (void)fprintf(stderr, "%s: %s\n", what, fault->text);
    exit(1);
}

static struct saga_bytes name_key(uint64_t key, char text[KEY_BYTES]) {
    const int size = snprintf(text, KEY_BYTES, "order-%llu", (unsigned long long)key);
    return (struct saga_bytes){.data = text, .size = (uint32_t)size};
}

/* As a checkpoint does. */
static void write_keys(struct saga_log *log, struct saga_start_keys *keys) {
    struct saga_fault fault;
    bool written, idle = false;
    saga_start_keys_cut(keys);
    while (!idle) {
        if (saga_start_keys_write(keys, log, 1000, &written, &idle, &fault) != SAGA_OK ||
            saga_log_flush(log, &fault) != SAGA_OK) {
            fail("start keys", &fault);
        }
    }
}

static void ask(struct saga_bench *bench, const char *saga, uint64_t key, struct saga_moment now,
                enum saga_result expected) {
    static struct saga_listing listing;
    struct saga_request *request = take_spare(bench);
    char text[KEY_BYTES];
    request->type = SAGA_REQUEST_START;
    request->saga = saga;
    request->body = (struct saga_bytes){.data = input_text, .size = sizeof input_text - 1};
    request->listings = &listing;
    if (key != 0) {
        request->key = name_key(key, text);
    }
    saga_engine_take(bench->engine, request, now);
    if (request->result != expected) {
        (void)fprintf(stderr, "start: %d, and %d was expected: %s\n", request->result, expected,
                      request->text);
        exit(1);
    }
}

static void start(struct saga_bench *bench, struct saga_moment now) {
    ask(bench, "bench", bench->keyed ? ++bench->keys : 0, now, SAGA_RESULT_CREATED);
    bench->in_flight++;
}

static void commit(struct saga_bench *bench, struct saga_moment now) {
    struct saga_fault fault;
    if (saga_engine_commit(bench->engine, now, &fault) != SAGA_OK) {
        fail("commit", &fault);
    }
}

void saga_bench_turn(struct saga_bench *bench, size_t target) {
    const struct saga_moment now = saga_bench_moment();
    while (bench->replies != NULL && !saga_engine_batch_full(bench->engine)) {
        struct saga_request *request = bench->replies;
        bench->replies = request->next;
        saga_engine_take(bench->engine, request, now);
    }
    while (bench->in_flight < target && !saga_engine_batch_full(bench->engine)) {
        start(bench, now);
    }
    (void)saga_engine_tick(bench->engine, now);
    commit(bench, now);
}

void saga_bench_wait(struct saga_bench *bench, size_t count) {
    while (count > 0) {
        const struct saga_moment now = saga_bench_moment();
        for (; count > 0 && !saga_engine_batch_full(bench->engine); count--) {
            ask(bench, "wait", 0, now, SAGA_RESULT_CREATED);
        }
        commit(bench, now);
    }
}

void saga_bench_find_key(struct saga_bench *bench, uint64_t number) {
    const struct saga_moment now = saga_bench_moment();
    ask(bench, "bench", number, now, SAGA_RESULT_OK);
    commit(bench, now);
}

static void define(struct saga_bench *bench, const char *text, struct saga_moment now) {
    struct saga_definition *definition = NULL;
    struct saga_diagnostics diagnostics = {0};
    struct saga_fault fault;
    if (saga_definition_parse(text, strlen(text), &definition, &diagnostics) != SAGA_OK ||
        saga_engine_define(bench->engine, definition, now, &fault) != SAGA_OK) {
        fail("definition", &fault);
    }
}

void saga_bench_open(struct saga_bench *bench, const struct saga_bench_options *options) {
    struct saga_fault fault;
    struct saga_engine_config config;
    const struct saga_log_options log_options = {.data_dir = options->dir,
                                                 .map_bytes_max = MAP_BYTES};
    const struct saga_outlet outlet = {.context = bench, .send = echo, .changed = changed};
    struct saga_moment now = saga_bench_moment();
    memset(bench, 0, sizeof *bench);
    bench->answers = options->answers;
    bench->keyed = options->keyed;
    saga_engine_config_default(&config);
    if (options->pace != NULL) {
        config.checkpoints = *options->pace;
    }
    config.limits.sagas_max = SAGAS_MAX;
    config.random = random_bytes;
    if (saga_log_open(&bench->log, &log_options, &fault) != SAGA_OK) {
        fail("log", &fault);
    }
    if (saga_engine_open(&bench->engine, bench->log, &config, &outlet, now, &bench->report,
                         &fault) != SAGA_OK) {
        fail("engine", &fault);
    }
    bench->in_flight = bench->report.open;
    define(bench, definition_text, now);
    define(bench, wait_text, now);
}

void saga_bench_know(const char *dir, uint64_t first, uint64_t count) {
    const struct saga_log_options log_options = {.data_dir = dir, .map_bytes_max = MAP_BYTES};
    struct saga_id_source ids = {.random = random_bytes};
    struct saga_log *log;
    struct saga_log_reader *reader;
    struct saga_start_keys *keys;
    struct saga_fault fault;
    if (saga_log_open(&log, &log_options, &fault) != SAGA_OK ||
        saga_log_committed(log, &reader, &fault) != SAGA_OK ||
        saga_start_keys_open(&keys, reader, 1, &fault) != SAGA_OK) {
        fail("start keys", &fault);
    }
    for (uint64_t i = 0; i < count; i++) {
        struct saga_start_key key;
        char text[KEY_BYTES];
        saga_start_keys_hash(keys, name_key(first + i, text), "bench",
                             (struct saga_bytes){input_text, sizeof input_text - 1}, &key);
        key.saga = saga_id_make(&ids, saga_bench_moment().wall_ms);
        saga_start_keys_remember(keys, &key);
        if (i % 1000000 == 999999 || i + 1 == count) {
            write_keys(log, keys);
        }
    }
    saga_start_keys_close(keys);
    saga_log_close(log);
}

void saga_bench_close(struct saga_bench *bench) {
    saga_engine_close(bench->engine);
    saga_log_close(bench->log);
    while (bench->spare != NULL) {
        struct saga_request *next = bench->spare->next;
        free(bench->spare);
        bench->spare = next;
    }
}

char *saga_bench_directory(const char *parent) {
    const char *base = parent != NULL ? parent : getenv("TMPDIR");
    char *dir = NULL;
    if (asprintf(&dir, "%s/bench-XXXXXX", base != NULL ? base : "/tmp") < 0 ||
        mkdtemp(dir) == NULL) {
        perror("bench directory");
        exit(1);
    }
    return dir;
}

void saga_bench_remove(const char *dir) {
    char path[512];
    static const char *const files[] = {"log/log.id", "log/data.mdb", "log/lock.mdb",
                                        "log",        "sagad.lock",   "."};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        (void)remove(i + 1 < sizeof files / sizeof files[0] ? path : dir);
    }
}
