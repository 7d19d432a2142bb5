#include "services.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "link.h"
#include "parking.h"
#include "participant.h"

static const char *const names[SAGA_BENCH_PARTICIPANTS_MAX] = {"parking", "booking", "billing"};

/* All in one transaction: what is measured is how they are booked. */
static void make_slots(const char *dir, size_t count) {
    char path[600];
    char *sql = sqlite3_mprintf(
        "INSERT INTO parking_slots(uuid, name) WITH RECURSIVE slot(n) AS (SELECT 0 UNION ALL "
        "SELECT n + 1 FROM slot WHERE n < %lld) "
        "SELECT printf('00000000-0000-4000-8000-%%012x', n), 'slot ' || n FROM slot",
        (long long)count - 1);
    struct saga_participant *participant;
    struct saga_fault fault;
    char *why = NULL;
    (void)snprintf(path, sizeof path, "%s/parking.db", dir);
    if (saga_participant_open(&participant, saga_parking_service(), path, NULL, &fault) !=
        SAGA_OK) {
        saga_bench_die("slots", fault.text);
    }
    if (sql == NULL ||
        sqlite3_exec(saga_participant_database(participant), sql, NULL, NULL, &why) != SQLITE_OK) {
        saga_bench_die("slots", why == NULL ? "no memory" : why);
    }
    sqlite3_free(sql);
    saga_participant_close(participant);
}

static pid_t start(const char *name, const char *dir, const char *url, const char *program) {
    char path[600];
    char database[600];
    char log[600];
    const char *slash = strrchr(program, '/');
    (void)snprintf(path, sizeof path, "%.*s/../bin/%s", slash != NULL ? (int)(slash - program) : 1,
                   slash != NULL ? program : ".", name);
    (void)snprintf(database, sizeof database, "%s/%s.db", dir, name);
    (void)snprintf(log, sizeof log, "%s/%s.log", dir, name);
    const pid_t child = fork();
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        const int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0640);
        if (fd >= 0 && dup2(fd, STDERR_FILENO) >= 0 && setenv("RABBITMQ_BROKER_URL", url, 1) == 0) {
            (void)execl(path, name, "serve", "--db", database, "--http", "0", (char *)NULL);
        }
        _exit(127);
    }
    return child;
}

/* A queue that is there takes commands, whether its service consumes by now or not. */
static void await_queues(const struct saga_bench_services *services,
                         const struct saga_bench_site *site) {
    const struct saga_amqp_link_options options = {
        .address = &site->address,
        .name = "bench: services",
        .timeout_ms = SAGA_AMQP_TIMEOUT_MS,
        .heartbeat_s = SAGA_AMQP_HEARTBEAT_S,
        .body_bytes_max = 1,
    };
    for (size_t i = 0; i < SAGA_BENCH_PARTICIPANTS_MAX; i++) {
        enum saga_error error = SAGA_ERROR_NOT_FOUND;
        while (error == SAGA_ERROR_NOT_FOUND) {
            struct saga_amqp_link *link;
            struct saga_fault fault;
            if (waitpid(services->pids[i], NULL, WNOHANG) != 0) {
                saga_bench_die(names[i], "it has ended at once");
            }
            error = saga_amqp_link_open(&link, &options, 0, &fault);
            if (error == SAGA_OK) {
                error = saga_amqp_link_find_queue(link, names[i], &fault);
                saga_amqp_link_close(link);
            }
            if (error != SAGA_OK && error != SAGA_ERROR_NOT_FOUND) {
                saga_bench_die(names[i], fault.text);
            }
            (void)usleep(50000); /* the binding follows the queue; nobody tells us of either */
        }
    }
}

void saga_bench_services_start(struct saga_bench_services *services,
                               const struct saga_bench_site *site, const char *url, const char *dir,
                               const char *program) {
    make_slots(dir, site->slots);
    for (size_t i = 0; i < SAGA_BENCH_PARTICIPANTS_MAX; i++) {
        services->pids[i] = start(names[i], dir, url, program);
    }
    await_queues(services, site);
}

void saga_bench_services_stop(struct saga_bench_services *services) {
    for (size_t i = 0; i < SAGA_BENCH_PARTICIPANTS_MAX; i++) {
        (void)kill(services->pids[i], SIGTERM);
        (void)waitpid(services->pids[i], NULL, 0);
    }
}
