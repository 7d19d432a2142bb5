/* sagad: the durable saga orchestrator (docs/man/sagad.8.scd). */
#include <stdio.h>

#include "config.h"
#include "daemon.h"
#include "journal.h"
#include "notify.h"
#include "playground.h"
#include "signals.h"

/* Less than the ten seconds that are promised. */
#define DRAIN_SECONDS 9

static enum saga_error configure(struct saga_config *config, int argc, char **argv,
                                 struct saga_fault *fault) {
    enum saga_error error = saga_config_load(config, argc, argv, fault);
    return error == SAGA_OK && config->dev ? saga_playground_prepare(config, fault) : error;
}

static int serve(const struct saga_config *config) {
    const struct saga_journal journal = {
        .fd = 2, .format = config->log_format, .level = config->log_level};
    struct saga_daemon *daemon;
    struct saga_fault fault;
    saga_signals_block();
    if (saga_daemon_open(&daemon, config, &journal, &fault) != SAGA_OK) {
        saga_journal_write(&journal, SAGA_JOURNAL_ERROR, NULL, "%s", fault.text);
        return saga_error_exit_status(fault.error);
    }
    if (config->dev) {
        saga_playground_greet(config, saga_daemon_address(daemon));
    }
    saga_notify("READY=1");
    const char *signal = saga_signals_wait();
    saga_notify("STOPPING=1");
    saga_journal_write(&journal, SAGA_JOURNAL_INFO, NULL, "%s: stopping", signal);
    saga_signals_limit_drain(DRAIN_SECONDS);
    saga_daemon_close(daemon);
    saga_journal_write(&journal, SAGA_JOURNAL_INFO, NULL, "stopped");
    return 0;
}

int main(int argc, char **argv) {
    struct saga_config config;
    struct saga_fault fault;
    int status;
    if (configure(&config, argc, argv, &fault) == SAGA_OK) {
        status = serve(&config);
    } else {
        (void)fprintf(stderr, "sagad: %s\n", fault.text);
        status = saga_error_exit_status(fault.error);
    }
    saga_config_free(&config);
    return status;
}
