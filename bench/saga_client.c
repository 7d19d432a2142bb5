#include "saga_client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "bench_saga.h"
#include "booking_yaml.h"
#include "broker.h"
#include "loop.h"

struct client {
    const struct saga_bench_site *site;
    bool bookings;
    const char *name; /* the definition's */
    size_t step_count;
    struct saga_log *log;
    struct saga_inbox *inbox;
    struct saga_engine *engine;
    struct saga_broker *broker;
    struct saga_loop *loop;
    _Atomic uint64_t ended;
    _Atomic uint64_t sent; /* commands */

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool stopping; /* no more starts */
    bool connected;
    bool impatient; /* somebody waits for sagas to end */
    bool counted;   /* the engine's counters are there */
    size_t in_flight;
};

/* A start, and the input that it points to. */
struct start {
    struct saga_request request;
    struct saga_listing listing;
    char input[128];
};

static void check(enum saga_error error, const char *what, const struct saga_fault *fault) {
    if (error != SAGA_OK) {
        saga_bench_die(what, fault->text);
    }
}

/* ------------------------------------------------------------------- starts */

static void start_answered(struct saga_request *request) {
    if (request->result != SAGA_RESULT_CREATED) {
        saga_bench_die("a start is refused", request->text);
    }
    free(request);
}

static struct saga_request *make_start(struct client *client) {
    struct start *start = calloc(1, sizeof *start);
    if (start == NULL) {
        saga_bench_die("start", "no memory");
    }
    const char *input = saga_bench_saga_input;
    if (client->bookings) { /* each a slot of its own, or it would be refused */
        const size_t slot = __atomic_fetch_add(client->site->next_slot, 1, __ATOMIC_RELAXED);
        if (slot >= client->site->slots) {
            saga_bench_die("bookings", "there are no more free slots: use --slots, or less time");
        }
        (void)snprintf(start->input, sizeof start->input,
                       "{\"parking_slot_uuid\":\"00000000-0000-4000-8000-%012zx\"}", slot);
        input = start->input;
    }
    start->request = (struct saga_request){
        .type = SAGA_REQUEST_START,
        .saga = client->name,
        .body = {.data = input, .size = (uint32_t)strlen(input)},
        .listings = &start->listing,
        .limit = 1,
        .answered = start_answered,
        .context = client,
    };
    return &start->request;
}

static void start_one(struct client *client) {
    saga_inbox_put(client->inbox, make_start(client));
}

/* On the engine's thread. */
static void one_ended(struct client *client) {
    atomic_fetch_add_explicit(&client->ended, 1, memory_order_relaxed);
    (void)pthread_mutex_lock(&client->mutex);
    const bool again = !client->stopping;
    client->in_flight -= again ? 0 : 1;
    if (client->in_flight == 0 || client->impatient) {
        (void)pthread_cond_signal(&client->changed);
    }
    (void)pthread_mutex_unlock(&client->mutex);
    if (again) {
        start_one(client);
    }
}

/* ------------------------------------------------------------------- outlet */

static bool send_command(void *context, const struct saga_dispatch *dispatch) {
    struct client *client = context;
    atomic_fetch_add_explicit(&client->sent, 1, memory_order_relaxed);
    return saga_broker_send(client->broker, dispatch);
}

static void changed(void *context, const struct saga_id *id, const char *status) {
    struct client *client = context;
    (void)id;
    if (strcmp(status, "completed") == 0) {
        one_ended(client);
    } else if (strcmp(status, "running") != 0) {
        saga_bench_die("a saga is not completed, but", status);
    }
}

static void released(void *context) {
    struct client *client = context;
    if (client->broker != NULL) {
        saga_broker_push(client->broker);
    }
}

static void say(void *context, bool alarming, const char *text) {
    struct client *client = context;
    if (alarming) {
        saga_bench_die("the broker's transport", text);
    }
    struct saga_broker_state state;
    (void)pthread_mutex_lock(&client->mutex); /* until saga_broker_open() has returned */
    saga_broker_look(client->broker, &state);
    client->connected = state.up;
    (void)pthread_cond_signal(&client->changed);
    (void)pthread_mutex_unlock(&client->mutex);
}

static void random_bytes(void *context, void *bytes, size_t size) {
    (void)context;
    if (getrandom(bytes, size, 0) != (ssize_t)size) {
        saga_bench_die("random bytes", "the kernel gives none");
    }
}

/* -------------------------------------------------------------- open, close */

static void open_engine(struct client *client) {
    struct saga_engine_config config;
    struct saga_recovery_report report;
    struct saga_fault fault;
    const struct saga_log_options log = {.data_dir = client->site->dir};
    const struct saga_outlet outlet = {
        .context = client, .send = send_command, .changed = changed, .released = released};
    saga_engine_config_default(&config);
    config.random = random_bytes;
    check(saga_log_open(&client->log, &log, &fault), "log", &fault);
    check(saga_inbox_open(&client->inbox, &fault), "inbox", &fault);
    check(saga_engine_open(&client->engine, client->log, &config, &outlet, saga_loop_now(), &report,
                           &fault),
          "engine", &fault);
    if (report.open != 0) {
        saga_bench_die("engine", "an earlier load has left sagas open");
    }
}

static void define(struct client *client) {
    struct saga_fault fault;
    struct saga_definition *definition =
        client->bookings ? saga_bench_definition_of(saga_booking_yaml, saga_booking_yaml_size)
                         : saga_bench_saga_definition();
    client->step_count = definition->plan.step_count;
    check(saga_engine_define(client->engine, definition, saga_loop_now(), &fault), "definition",
          &fault);
    client->name = client->bookings ? "booking" : "bench";
}

static void open_broker(struct client *client, bool persistent) {
    static const char *const exchanges[] = {SAGA_BENCH_EXCHANGE, "BOOKING_TX_EVENT_STORE"};
    struct saga_fault fault;
    const struct saga_broker_options options = {
        .address = &client->site->address,
        .log_id = saga_log_identity(client->log),
        .exchanges = exchanges + (client->bookings ? 1 : 0),
        .exchange_count = 1,
        .persistent = persistent,
        .inbox = client->inbox,
        .context = client,
        .say = say,
    };
    (void)pthread_mutex_lock(&client->mutex);
    check(saga_broker_open(&client->broker, &options, &fault), "broker", &fault);
    while (!client->connected) {
        (void)pthread_cond_wait(&client->changed, &client->mutex);
    }
    (void)pthread_mutex_unlock(&client->mutex);
}

static void start_loop(struct client *client) {
    static const struct saga_journal journal = {
        .fd = STDERR_FILENO, .format = SAGA_JOURNAL_TEXT, .level = SAGA_JOURNAL_WARNING};
    const struct saga_loop_options options = {
        .engine = client->engine, .log = client->log, .inbox = client->inbox, .journal = &journal};
    struct saga_fault fault;
    check(saga_loop_start(&client->loop, &options, &fault), "loop", &fault);
}

static void close_all(struct client *client) {
    saga_broker_stop(client->broker);
    saga_loop_stop(client->loop);
    saga_broker_close(client->broker);
    saga_engine_close(client->engine);
    saga_inbox_close(client->inbox);
    saga_log_close(client->log);
}

/* ------------------------------------------------------------------ measure */

static void let_pass(double seconds) {
    struct timespec left = {.tv_sec = (time_t)seconds,
                            .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&left, &left) != 0) {
    }
}

/* However long it takes. */
static void await_ended(struct client *client, uint64_t count) {
    (void)pthread_mutex_lock(&client->mutex);
    client->impatient = true;
    while (atomic_load(&client->ended) < count) {
        (void)pthread_cond_wait(&client->changed, &client->mutex);
    }
    client->impatient = false;
    (void)pthread_mutex_unlock(&client->mutex);
}

static void stats_answered(struct saga_request *request) {
    struct client *client = request->context;
    (void)pthread_mutex_lock(&client->mutex);
    client->counted = true;
    (void)pthread_cond_signal(&client->changed);
    (void)pthread_mutex_unlock(&client->mutex);
}

/* The log is the engine's thread's, so that is who counts. */
static double commits_of(struct client *client) {
    struct saga_engine_stats stats = {0};
    struct saga_request request = {
        .type = SAGA_REQUEST_STATS, .stats = &stats, .answered = stats_answered, .context = client};
    saga_inbox_put(client->inbox, &request);
    (void)pthread_mutex_lock(&client->mutex);
    while (!client->counted) {
        (void)pthread_cond_wait(&client->changed, &client->mutex);
    }
    client->counted = false;
    (void)pthread_mutex_unlock(&client->mutex);
    return (double)stats.log.commits;
}

static void await_end(struct client *client) {
    (void)pthread_mutex_lock(&client->mutex);
    client->stopping = true;
    while (client->in_flight > 0) {
        (void)pthread_cond_wait(&client->changed, &client->mutex);
    }
    (void)pthread_mutex_unlock(&client->mutex);
}

/* Every command once: the rate counts commands by sagas that have ended. But the transport, when
 * it is connected, has the engine send again what is outstanding: the first ones, perhaps. */
static void check_sent(struct client *client, size_t in_flight) {
    const uint64_t ended = atomic_load(&client->ended);
    const uint64_t sent = atomic_load(&client->sent);
    if (sent < ended * client->step_count || sent > ended * client->step_count + in_flight) {
        (void)fprintf(stderr, "bench: %llu sagas of %zu commands have sent %llu\n",
                      (unsigned long long)ended, client->step_count, (unsigned long long)sent);
        exit(1);
    }
}

struct saga_bench_rate saga_bench_run_sagas(const struct saga_bench_site *site,
                                            const struct saga_bench_load *load,
                                            enum saga_bench_sagas which) {
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        saga_bench_die("client", "no memory");
        return (struct saga_bench_rate){
            0}; /* never, but the analysers look at one file at a time */
    }
    client->site = site;
    client->bookings = which == SAGA_BENCH_BOOKINGS;
    client->in_flight = load->in_flight;
    (void)pthread_mutex_init(&client->mutex, NULL);
    (void)pthread_cond_init(&client->changed, NULL);
    open_engine(client);
    define(client);
    open_broker(client, load->persistent);
    start_loop(client);
    for (size_t i = 0; i < load->in_flight; i++) {
        start_one(client);
    }
    let_pass(SAGA_BENCH_WARM_S);
    await_ended(client, load->in_flight); /* they have begun in step, and are to be out of it */
    const struct saga_bench_clocks before = saga_bench_clocks_read(site, load);
    const uint64_t ended = atomic_load(&client->ended);
    const uint64_t sent = atomic_load(&client->sent);
    const double commits = commits_of(client);
    let_pass(load->seconds);
    await_ended(client, ended + 1);
    const struct saga_bench_clocks after = saga_bench_clocks_read(site, load);
    const double sagas = (double)(atomic_load(&client->ended) - ended);
    const double commands = (double)(atomic_load(&client->sent) - sent);
    struct saga_bench_rate rate = saga_bench_rate_between(&before, &after, commands, sagas);
    rate.commands_per_commit = commands / (commits_of(client) - commits);
    await_end(client);
    close_all(client);
    check_sent(client, load->in_flight);
    free(client);
    return rate;
}
