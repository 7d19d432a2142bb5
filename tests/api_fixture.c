#include "api_fixture.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"
#include "ids.h"
#include "inbox.h"
#include "json.h"
#include "scratch.h"

const char trip_definition[] = "saga: trip\n"
                               "version: 3\n"
                               "participants:\n"
                               "  hotel: {fenced: true}\n"
                               "  train: {fenced: true}\n"
                               "steps:\n"
                               "  - name: room\n"
                               "    command: hotel.book\n"
                               "    done: [ROOM_BOOKED]\n"
                               "    rejected: [NO_ROOM]\n"
                               "    compensation: {command: hotel.cancel, done: [ROOM_CANCELLED]}\n"
                               "  - name: seat\n"
                               "    command: train.reserve\n"
                               "    done: [SEAT_RESERVED]\n"
                               "    rejected: [NO_SEAT]\n"
                               "    pivot: true\n"
                               "  - name: thanks\n"
                               "    command: hotel.thank\n"
                               "    done: [THANKED]\n";

static const char tour_definition[] = "saga: tour\n"
                                      "version: 1\n"
                                      "participants:\n"
                                      "  guide: {fenced: true}\n"
                                      "steps:\n"
                                      "  - name: walk\n"
                                      "    command: guide.walk\n"
                                      "    done: [WALKED]\n"
                                      "    no_effect: true\n";

static struct stand {
    struct scratch scratch;
    bool scratched;
    struct saga_log *log;
    struct saga_engine *engine;
    struct saga_inbox *inbox;
    struct saga_api *api;
    pthread_t thread;
    atomic_bool stopping;
    atomic_bool draining;
    /* What has left; under the mutex. */
    pthread_mutex_t mutex;
    pthread_cond_t left;
    struct saga_command_id sent[4096];
    size_t sent_count;
} stand = {.mutex = PTHREAD_MUTEX_INITIALIZER, .left = PTHREAD_COND_INITIALIZER};

/* ---------------------------------------------------------------- the engine */

static struct saga_moment now(void) {
    struct timespec boot;
    struct timespec wall;
    ck_assert_int_eq(clock_gettime(CLOCK_BOOTTIME, &boot), 0);
    ck_assert_int_eq(clock_gettime(CLOCK_REALTIME, &wall), 0);
    return (struct saga_moment){
        .boot_ms = (int64_t)boot.tv_sec * 1000 + boot.tv_nsec / 1000000,
        .wall_ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000,
    };
}

static bool note_sent(void *context, const struct saga_dispatch *dispatch) {
    (void)context;
    pthread_mutex_lock(&stand.mutex);
    if (stand.sent_count < sizeof stand.sent / sizeof stand.sent[0]) {
        stand.sent[stand.sent_count++] = dispatch->id;
    }
    pthread_cond_broadcast(&stand.left);
    pthread_mutex_unlock(&stand.mutex);
    return true;
}

static void pass_on(void *context, const struct saga_id *id, const char *status) {
    (void)context;
    if (stand.api != NULL) { /* not while the engine recovers */
        saga_api_changed(stand.api, id, status);
    }
}

static void fill_random(void *context, void *bytes, size_t size) {
    (void)context;
    ck_assert_int_eq(getrandom(bytes, size, 0), (ssize_t)size);
}

static void commit(void) {
    struct saga_fault fault;
    while (saga_engine_pending(stand.engine)) {
        ck_assert_int_eq(saga_engine_commit(stand.engine, now(), &fault), SAGA_OK);
    }
}

static void *run_engine(void *context) {
    (void)context;
    while (!atomic_load(&stand.stopping)) {
        struct pollfd fds = {.fd = saga_inbox_fd(stand.inbox), .events = POLLIN};
        (void)poll(&fds, 1, 20);
        if (atomic_load(&stand.draining)) {
            saga_engine_drain(stand.engine);
        }
        struct saga_request *next;
        for (struct saga_request *request = saga_inbox_take(stand.inbox); request != NULL;
             request = next) {
            next = request->next;
            saga_engine_take(stand.engine, request, now());
        }
        (void)saga_engine_tick(stand.engine, now());
        commit();
    }
    return NULL;
}

static void define(const char *text, struct saga_api_definition *shown) {
    struct saga_definition *definition = NULL;
    struct saga_diagnostics diagnostics = {0};
    struct saga_fault fault;
    ck_assert_int_eq(saga_definition_parse(text, strlen(text), &definition, &diagnostics), SAGA_OK);
    /* Copies: the engine frees a definition that its log has already. */
    *shown = (struct saga_api_definition){.name = strdup(definition->name),
                                          .version = definition->version,
                                          .hash = strdup(definition->hash)};
    ck_assert_int_eq(saga_engine_define(stand.engine, definition, now(), &fault), SAGA_OK);
    commit();
}

static void open_engine(const struct stand_options *options) {
    struct saga_fault fault;
    struct saga_engine_config config;
    struct saga_recovery_report report;
    const struct saga_log_options log_options = {.data_dir = stand.scratch.path,
                                                 .map_bytes_max = 64u << 20};
    const struct saga_outlet outlet = {.send = note_sent, .changed = pass_on};
    ck_assert_msg(saga_log_open(&stand.log, &log_options, &fault) == SAGA_OK, "%s", fault.text);
    saga_engine_config_default(&config);
    config.limits.sagas_max = options->sagas_max != 0 ? options->sagas_max : 1000;
    config.random = fill_random;
    config.hash_seed = 7;
    ck_assert_msg(saga_engine_open(&stand.engine, stand.log, &config, &outlet, now(), &report,
                                   &fault) == SAGA_OK,
                  "%s", fault.text);
    ck_assert_int_eq(saga_inbox_open(&stand.inbox, &fault), SAGA_OK);
}

void stand_open(const struct stand_options *options) {
    struct saga_fault fault;
    struct saga_api_definition shown[2];
    char listen[SCRATCH_PATH_MAX + 32];
    struct saga_api_options api = options->api;
    if (!stand.scratched) {
        scratch_open(&stand.scratch);
        stand.scratched = true;
    }
    (void)snprintf(listen, sizeof listen, "unix:%s/sagad.sock", stand.scratch.path);
    atomic_store(&stand.stopping, false);
    atomic_store(&stand.draining, false);
    stand.sent_count = 0;
    open_engine(options);
    define(trip_definition, &shown[0]);
    define(tour_definition, &shown[1]);
    api.listen = options->listen != NULL ? options->listen : listen;
    api.inbox = stand.inbox;
    api.log = stand.log;
    api.engine = stand.engine;
    api.definitions = shown;
    api.definition_count = 2;
    ck_assert_msg(saga_api_open(&stand.api, &api, &fault) == SAGA_OK, "%s", fault.text);
    for (size_t i = 0; i < 2; i++) {
        free((void *)(uintptr_t)shown[i].name);
        free((void *)(uintptr_t)shown[i].hash);
    }
    saga_api_ready(stand.api, true);
    ck_assert_int_eq(pthread_create(&stand.thread, NULL, run_engine, NULL), 0);
}

void stand_halt(void) {
    if (!atomic_exchange(&stand.stopping, true)) {
        ck_assert_int_eq(pthread_join(stand.thread, NULL), 0);
    }
}

void stand_close(void) {
    stand_halt();
    saga_api_close(stand.api);
    stand.api = NULL;
    saga_engine_close(stand.engine);
    saga_inbox_close(stand.inbox);
    saga_log_close(stand.log);
}

void stand_remove(void) {
    scratch_close(&stand.scratch);
    stand.scratched = false;
}

const char *stand_directory(void) {
    return stand.scratch.path;
}

struct saga_api *stand_api(void) {
    return stand.api;
}

struct saga_log *stand_log(void) {
    return stand.log;
}

void stand_drain(void) {
    atomic_store(&stand.draining, true);
    saga_api_ready(stand.api, false);
}

/* --------------------------------------------------------------- participants */

static bool find_sent(const struct saga_id *id, uint8_t step, uint8_t operation,
                      struct saga_command_id *found) {
    for (size_t i = stand.sent_count; i > 0; i--) {
        const struct saga_command_id *sent = &stand.sent[i - 1];
        if (memcmp(&sent->saga, id, sizeof *id) == 0 && sent->step == step &&
            sent->operation == operation) {
            *found = *sent;
            return true;
        }
    }
    return false;
}

struct reply {
    struct saga_request request;
    pthread_mutex_t mutex;
    pthread_cond_t durable;
    bool answered;
};

static void note_answered(struct saga_request *request) {
    struct reply *reply = request->context;
    pthread_mutex_lock(&reply->mutex);
    reply->answered = true;
    pthread_cond_signal(&reply->durable);
    pthread_mutex_unlock(&reply->mutex);
}

void stand_reply(const char *saga, uint8_t step, uint8_t operation, uint8_t verdict,
                 const char *body) {
    struct reply reply = {
        .request =
            {
                .type = SAGA_REQUEST_REPLY,
                .answered = note_answered,
                .context = &reply,
                .verdict = verdict,
                .body = {body, (uint32_t)strlen(body)},
            },
        .mutex = PTHREAD_MUTEX_INITIALIZER,
        .durable = PTHREAD_COND_INITIALIZER,
    };
    struct saga_id id;
    ck_assert(saga_id_parse(saga, strlen(saga), &id));
    pthread_mutex_lock(&stand.mutex);
    while (!find_sent(&id, step, operation, &reply.request.command)) {
        pthread_cond_wait(&stand.left, &stand.mutex);
    }
    pthread_mutex_unlock(&stand.mutex);
    saga_inbox_put(stand.inbox, &reply.request);
    pthread_mutex_lock(&reply.mutex);
    while (!reply.answered) {
        pthread_cond_wait(&reply.durable, &reply.mutex);
    }
    pthread_mutex_unlock(&reply.mutex);
    ck_assert_int_eq(reply.request.result, SAGA_RESULT_OK);
}

void stand_complete(const char *saga) {
    stand_reply(saga, 0, SAGA_ACTION, SAGA_DONE, "{\"content\":{\"room\":12}}");
    stand_reply(saga, 1, SAGA_ACTION, SAGA_DONE, "");
    stand_reply(saga, 2, SAGA_ACTION, SAGA_DONE, "");
}

/* --------------------------------------------------------------------- client */

static int dial_tcp(const char *address) {
    struct sockaddr_in to = {.sin_family = AF_INET};
    const char *port = strrchr(address, ':') + 1;
    to.sin_port = htons((uint16_t)atoi(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static int dial_unix(const char *path) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    ck_assert_uint_lt(strlen(path), sizeof to.sun_path);
    strcpy(to.sun_path, path);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_msg(connect(fd, (const struct sockaddr *)&to, sizeof to) == 0, "%s: %s", path,
                  strerror(errno));
    return fd;
}

int dial(void) {
    const struct timeval patience = {.tv_sec = 20};
    const char *address = saga_api_address(stand.api);
    const int fd = strncmp(address, "unix:", 5) == 0 ? dial_unix(address + 5) : dial_tcp(address);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    return fd;
}

/* The other side may have had enough before it has heard everything. */
void say(int fd, const void *bytes, size_t size) {
    const char *at = bytes;
    while (size > 0) {
        const ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent < 0) {
            ck_assert(errno == EPIPE || errno == ECONNRESET);
            return;
        }
        at += sent;
        size -= (size_t)sent;
    }
}

void say_text(int fd, const char *text) {
    say(fd, text, strlen(text));
}

bool hung_up(int fd, int timeout_ms) {
    struct pollfd fds = {.fd = fd, .events = POLLIN};
    char bytes[1024];
    while (poll(&fds, 1, timeout_ms) == 1) {
        if (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) <= 0) {
            return true;
        }
    }
    return false;
}

/* One byte; false: there is none any more. */
static bool hear_byte(int fd, char *byte) {
    const ssize_t got = recv(fd, byte, 1, 0);
    ck_assert_msg(got >= 0 || errno == ECONNRESET, "no answer: %s", strerror(errno));
    return got == 1;
}

static char *hear_head(int fd) {
    size_t size = 0;
    char *head = calloc(1, 16384);
    ck_assert_ptr_nonnull(head);
    while (strstr(head, "\r\n\r\n") == NULL) {
        ck_assert_uint_lt(size, 16383);
        if (!hear_byte(fd, &head[size])) {
            break;
        }
        size++;
    }
    return head;
}

const char *answer_header(const struct answer *answer, const char *name) {
    static _Thread_local char value[512];
    for (const char *line = strstr(answer->head, "\r\n"); line != NULL && line[2] != '\r';
         line = strstr(line + 2, "\r\n")) {
        const size_t size = strlen(name);
        if (strncasecmp(line + 2, name, size) == 0 && line[2 + size] == ':') {
            const char *begin = line + 2 + size + 1;
            begin += strspn(begin, " ");
            (void)snprintf(value, sizeof value, "%.*s", (int)strcspn(begin, "\r"), begin);
            return value;
        }
    }
    return NULL;
}

struct answer hear(int fd) {
    struct answer answer = {.head = hear_head(fd)};
    if (*answer.head != '\0') {
        ck_assert_msg(sscanf(answer.head, "HTTP/1.%*d %d", &answer.status) == 1, "%s", answer.head);
    }
    const char *length = answer_header(&answer, "Content-Length");
    const size_t size = length != NULL ? (size_t)atol(length) : 0;
    answer.body = calloc(1, size + 1);
    ck_assert_ptr_nonnull(answer.body);
    for (size_t i = 0; i < size && hear_byte(fd, &answer.body[i]); i++) {
    }
    if (size > 0 && saga_json_parse(answer.body, size, &answer.json, NULL) != SAGA_OK) {
        answer.json = NULL; /* libmicrohttpd's own words, about what it cannot read */
    }
    return answer;
}

void answer_free(struct answer *answer) {
    json_decref(answer->json);
    free(answer->head);
    free(answer->body);
}

const char *answer_text(const struct answer *answer, const char *member) {
    return json_string_value(json_object_get(answer->json, member));
}

struct answer http(const char *method, const char *path, const char *headers, const char *body) {
    const char *address = saga_api_address(stand.api);
    const char *host = strncmp(address, "http://", 7) == 0 ? address + 7 : "localhost";
    char *text;
    const int size =
        asprintf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\n%sContent-Length: %zu\r\n\r\n%s", method,
                 path, host, headers, strlen(body), body);
    ck_assert_int_gt(size, 0);
    const int fd = dial();
    say(fd, text, (size_t)size);
    free(text);
    struct answer answer = hear(fd);
    ck_assert_int_eq(close(fd), 0);
    return answer;
}

struct answer http_get(const char *path) {
    return http("GET", path, "", "");
}

struct answer http_post(const char *path, const char *headers, const char *body) {
    char all[2048];
    ck_assert_int_lt(snprintf(all, sizeof all, "Content-Type: application/json\r\n%s", headers),
                     2048);
    return http("POST", path, all, body);
}

void start_trip(char *id) {
    struct answer answer =
        http_post("/v1/sagas", "", "{\"saga\":\"trip\",\"input\":{\"guest\":\"Ada\"}}");
    ck_assert_msg(answer.status == 201, "%s", answer.body);
    ck_assert_uint_eq(strlen(answer_text(&answer, "id")), 36);
    strcpy(id, answer_text(&answer, "id"));
    answer_free(&answer);
}

void expect_status(const char *id, const char *status) {
    char path[64];
    (void)snprintf(path, sizeof path, "/v1/sagas/%s", id);
    struct answer answer = http_get(path);
    ck_assert_int_eq(answer.status, 200);
    ck_assert_str_eq(answer_text(&answer, "status"), status);
    answer_free(&answer);
}

void expect_problem(struct answer answer, int status, const char *type, const char *detail) {
    char urn[96];
    ck_assert_msg(answer.status == status, "%d: %s", answer.status, answer.body);
    ck_assert_str_eq(answer_header(&answer, "Content-Type"), "application/problem+json");
    (void)snprintf(urn, sizeof urn, "urn:sagad:problem:%s", type);
    ck_assert_ptr_nonnull(answer.json);
    ck_assert_str_eq(answer_text(&answer, "type"), urn);
    ck_assert_ptr_nonnull(answer_text(&answer, "title"));
    ck_assert_int_eq(json_integer_value(json_object_get(answer.json, "status")), status);
    ck_assert_msg(strstr(answer_text(&answer, "detail"), detail) != NULL, "'%s' does not say '%s'",
                  answer_text(&answer, "detail"), detail);
    answer_free(&answer);
}

/* --------------------------------------------------------------------- looking */

const char *path_of(const char *id, const char *more) {
    static _Thread_local char path[128];
    (void)snprintf(path, sizeof path, "/v1/sagas/%s%s", id, more);
    return path;
}

uint64_t counter(const char *group, const char *name) {
    struct answer answer = http_get("/v1/stats");
    const json_t *value = json_object_get(json_object_get(answer.json, group), name);
    ck_assert_msg(json_is_integer(value), "no counter %s.%s", group, name);
    const uint64_t count = (uint64_t)json_integer_value(value);
    answer_free(&answer);
    return count;
}

static json_t *all_sagas(void) {
    struct answer answer = http_get("/v1/sagas?limit=500");
    ck_assert_int_eq(answer.status, 200);
    json_t *sagas = json_incref(json_object_get(answer.json, "sagas"));
    answer_free(&answer);
    return sagas;
}

size_t saga_count(void) {
    json_t *sagas = all_sagas();
    const size_t count = json_array_size(sagas);
    json_decref(sagas);
    return count;
}

void read_chain(const char *id, struct saga_chain *chain, struct saga_log_reader **reader) {
    struct saga_fault fault;
    struct saga_record record;
    struct saga_id saga;
    uint64_t last_lsn = 0;
    ck_assert(saga_id_parse(id, strlen(id), &saga));
    ck_assert_int_eq(saga_log_reader_open(stand_log(), reader, &fault), SAGA_OK);
    while (saga_log_reader_next(*reader, &record, &fault) == SAGA_OK) {
        if (memcmp(&record.saga, &saga, sizeof saga) == 0) {
            last_lsn = record.lsn;
        }
    }
    ck_assert_int_eq(saga_chain_read(chain, *reader, &saga, last_lsn, &fault), SAGA_OK);
}

void stand_close_unharmed(void) {
    struct answer answer = http_get("/healthz");
    ck_assert_int_eq(answer.status, 200);
    answer_free(&answer);
    ck_assert_uint_eq(saga_count(), 0);
    stand_close();
    stand_remove();
}
