#include "participant.h"

#include "delivery.h"
#include "fence_row.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---------------------------------------------------------- the real things */

static int64_t now_really_ms(void *context) {
    (void)context;
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void pause_really(void *context, int64_t delay_ms) {
    (void)context;
    struct timespec left = {.tv_sec = (time_t)(delay_ms / 1000),
                            .tv_nsec = (long)(delay_ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0) {
        /* interrupted by a signal: sleep what is left */
    }
}

static void crash_really(void *context, const char *command, enum saga_participant_crash moment) {
    (void)context;
    (void)command;
    (void)moment;
    (void)kill(getpid(), SIGKILL);
}

/* ---------------------------------------------------------- open and close */

static uint64_t seed_of(const struct saga_service *service, uint64_t seed) {
    /* Services that share one seed must not draw the same numbers (FNV-1a). */
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ seed;
    for (const char *c = service->name; *c != '\0'; c++) {
        hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static enum saga_error open_at(struct saga_participant **participant,
                               const struct saga_service *service, const char *path, bool create,
                               const struct saga_participant_options *options,
                               struct saga_fault *fault) {
    *participant = NULL;
    struct saga_participant *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "%s: out of memory", path);
    }
    opened->service = service;
    if (options != NULL) {
        opened->options = *options;
    }
    struct saga_participant_options *taken = &opened->options;
    taken->retention_ms =
        taken->retention_ms == 0 ? SAGA_PARTICIPANT_RETENTION_MS : taken->retention_ms;
    taken->now_ms = taken->now_ms == NULL ? now_really_ms : taken->now_ms;
    taken->pause = taken->pause == NULL ? pause_really : taken->pause;
    taken->crash = taken->crash == NULL ? crash_really : taken->crash;
    opened->draws = seed_of(service, taken->switches.seed);

    enum saga_error error = saga_database_open(&opened->database, path, create, fault);
    if (error == SAGA_OK) {
        error = saga_fence_tables_open(&opened->database, service->name, service->schema, fault);
    }
    if (error != SAGA_OK) {
        saga_participant_close(opened);
        return error;
    }
    *participant = opened;
    return SAGA_OK;
}

enum saga_error saga_participant_open(struct saga_participant **participant,
                                      const struct saga_service *service, const char *path,
                                      const struct saga_participant_options *options,
                                      struct saga_fault *fault) {
    return open_at(participant, service, path, true, options, fault);
}

enum saga_error saga_participant_open_existing(struct saga_participant **participant,
                                               const struct saga_service *service, const char *path,
                                               const struct saga_participant_options *options,
                                               struct saga_fault *fault) {
    return open_at(participant, service, path, false, options, fault);
}

void saga_participant_close(struct saga_participant *participant) {
    if (participant != NULL) {
        saga_database_close(&participant->database);
        free(participant);
    }
}

/* ------------------------------------------------------------------- apply */

/* One pause for the batch, the longest: the deliveries wait side by side, as they
 * would in a participant that is slow. Before the transaction: the file stays free. */
static void pause_before(struct saga_participant *participant,
                         const struct saga_wire_command *commands, size_t count) {
    const struct saga_participant_switches *switches = &participant->options.switches;
    int64_t longest_ms = 0;
    for (size_t d = 0; d < switches->delay_count; d++) {
        for (size_t i = 0; i < count; i++) {
            if (switches->delays[d].delay_ms > longest_ms && commands[i].name != NULL &&
                strcmp(commands[i].name, switches->delays[d].command) == 0) {
                longest_ms = switches->delays[d].delay_ms;
            }
        }
    }
    if (longest_ms > 0) {
        participant->options.pause(participant->options.context, longest_ms);
    }
}

static void silence(struct saga_wire_reply *replies, size_t count) {
    for (size_t i = 0; i < count; i++) {
        saga_wire_reply_free(&replies[i]);
        replies[i].outcome = SAGA_WIRE_NONE;
        replies[i].silent = true;
        replies[i].replayed = false;
        replies[i].refusal = NULL;
    }
}

static void roll_back(struct saga_participant *participant) {
    saga_database_reset(&participant->database);
    if (sqlite3_get_autocommit(participant->database.handle) == 0) {
        /* Cannot fail in a way that keeps the transaction: SQLite, sqlite3_get_autocommit. */
        (void)saga_database_run(&participant->database, "ROLLBACK");
        assert(sqlite3_get_autocommit(participant->database.handle) != 0);
    }
}

static enum saga_error give_up(struct saga_participant *participant,
                               struct saga_wire_reply *replies, size_t count,
                               struct saga_fault *fault) {
    enum saga_error error =
        saga_database_fault(&participant->database, fault,
                            "the commands were not carried out, and are to be delivered again");
    roll_back(participant);
    silence(replies, count);
    return error;
}

/* Dies, if that was asked for. True if the death was only played. */
static bool crash(struct saga_delivery_batch *batch, enum saga_participant_crash moment) {
    struct saga_participant *participant = batch->participant;
    if (batch->crash == 0 ||
        participant->options.switches.crashes[batch->crash - 1].moment != moment) {
        return false;
    }
    participant->crashed[batch->crash - 1] = true;
    participant->options.crash(participant->options.context,
                               participant->options.switches.crashes[batch->crash - 1].command,
                               moment);
    return true;
}

static void add_counts(struct saga_participant_counts *sum,
                       const struct saga_participant_counts *more) {
    sum->commands += more->commands;
    sum->batches++;
    sum->ran += more->ran;
    sum->replayed += more->replayed;
    sum->buried += more->buried;
    sum->retried += more->retried;
    sum->failed += more->failed;
    sum->malformed += more->malformed;
    sum->foreign += more->foreign;
    sum->conflicts += more->conflicts;
    sum->expired += more->expired;
    sum->damaged += more->damaged;
}

enum saga_error saga_participant_apply(struct saga_participant *participant,
                                       const struct saga_wire_command *commands, size_t count,
                                       struct saga_wire_reply *replies, struct saga_fault *fault) {
    assert(count <= SAGA_PARTICIPANT_BATCH_MAX);
    if (count == 0) {
        return SAGA_OK;
    }
    memset(replies, 0, count * sizeof *replies);
    pause_before(participant, commands, count);

    struct saga_database *database = &participant->database;
    struct saga_delivery_batch batch = {
        .participant = participant,
        .now_ms = participant->options.now_ms(participant->options.context),
    };
    if (saga_database_run(database, "BEGIN IMMEDIATE") != SQLITE_OK ||
        !saga_fence_purged_before(database, &batch.purged_before_ms)) {
        return give_up(participant, replies, count, fault);
    }
    for (size_t i = 0; i < count; i++) {
        if (!saga_delivery_carry_out(&batch, &commands[i], &replies[i])) {
            return give_up(participant, replies, count, fault);
        }
    }
    if (crash(&batch, SAGA_PARTICIPANT_CRASH_BEFORE_COMMIT)) {
        roll_back(participant);
        silence(replies, count);
        return SAGA_OK;
    }
    if (saga_database_run(database, "COMMIT") != SQLITE_OK) {
        return give_up(participant, replies, count, fault);
    }
    add_counts(&participant->counts, &batch.counts);
    if (crash(&batch, SAGA_PARTICIPANT_CRASH_AFTER_COMMIT)) {
        silence(replies, count);
    }
    return SAGA_OK;
}

/* ------------------------------------------------------------------- others */

enum saga_error saga_participant_purge(struct saga_participant *participant, uint64_t *purged,
                                       struct saga_fault *fault) {
    struct saga_database *database = &participant->database;
    int64_t before_ms = participant->options.now_ms(participant->options.context) -
                        participant->options.retention_ms;
    uint64_t count = 0;
    if (saga_database_run(database, "BEGIN IMMEDIATE") != SQLITE_OK ||
        !saga_fence_rows_purge(database, before_ms, &count) ||
        saga_database_run(database, "COMMIT") != SQLITE_OK) {
        enum saga_error error = saga_database_fault(database, fault, "nothing was purged");
        roll_back(participant);
        return error;
    }
    if (purged != NULL) {
        *purged = count;
    }
    return SAGA_OK;
}

struct saga_participant_counts saga_participant_counts(const struct saga_participant *participant) {
    return participant->counts;
}

const char *saga_participant_name(const struct saga_participant *participant) {
    return participant->service->name;
}

struct sqlite3 *saga_participant_database(struct saga_participant *participant) {
    return participant->database.handle;
}

/* ---------------------------------------------------------------- switches */

static bool is_known(const struct saga_service *const *services, size_t count, const char *name) {
    for (size_t s = 0; s < count; s++) {
        size_t size = strlen(services[s]->name);
        if (strncmp(name, services[s]->name, size) == 0 &&
            (strcmp(name + size, ".fence") == 0 || strcmp(name + size, ".settle") == 0)) {
            return true;
        }
        for (size_t c = 0; c < services[s]->command_count; c++) {
            if (strcmp(name, services[s]->commands[c].name) == 0) {
                return true;
            }
        }
    }
    return false;
}

static enum saga_error check_name(const struct saga_service *const *services, size_t count,
                                  const char *name, const char *option, struct saga_fault *fault) {
    if (is_known(services, count, name)) {
        return SAGA_OK;
    }
    return saga_fault_set(fault, SAGA_ERROR_USAGE, "%s '%s': no service here has such a command",
                          option, name);
}

enum saga_error saga_participant_switches_check(const struct saga_participant_switches *switches,
                                                const struct saga_service *const *services,
                                                size_t count, struct saga_fault *fault) {
    enum saga_error error = SAGA_OK;
    for (size_t i = 0; error == SAGA_OK && i < switches->fail_count; i++) {
        error = check_name(services, count, switches->fails[i].command, "--fail", fault);
    }
    for (size_t i = 0; error == SAGA_OK && i < switches->delay_count; i++) {
        error = check_name(services, count, switches->delays[i].command, "--delay", fault);
    }
    for (size_t i = 0; error == SAGA_OK && i < switches->crash_count; i++) {
        error = check_name(services, count, switches->crashes[i].command, "--crash", fault);
    }
    return error;
}
