/* sagalog restore: makes a log of a backup. */
#include "unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "session.h"
#include "time_text.h"

static enum saga_error say(struct saga_session *session, const struct saga_unpack *unpack) {
    char created[SAGA_TIME_TEXT_SIZE];
    (void)saga_time_text(unpack->about.created_s * 1000, created);
    if (session->json) {
        return saga_output_json(&session->output,
                                json_pack("{s:s, s:s, s:I, s:I}", "log", unpack->about.identity,
                                          "created", created, "last_lsn",
                                          (json_int_t)unpack->about.last_lsn, "records",
                                          (json_int_t)unpack->records),
                                &session->fault);
    }
    (void)fprintf(session->output.file,
                  "%s: log %s up to record %" PRIu64 ", as of %s; %" PRIu64 " records checked\n",
                  session->data_dir, unpack->about.identity, unpack->about.last_lsn, created,
                  unpack->records);
    return SAGA_OK;
}

enum saga_error saga_restore_log_run(struct saga_session *session) {
    const bool from_stdin = session->argument == NULL || strcmp(session->argument, "-") == 0;
    struct saga_unpack_options options = {
        .data_dir = session->data_dir,
        .fd = STDIN_FILENO,
        .name = "standard input",
    };
    struct saga_unpack unpack;
    if (!from_stdin) {
        options.name = session->argument;
        options.fd = open(session->argument, O_RDONLY | O_CLOEXEC);
    }
    if (options.fd < 0) {
        return saga_fault_set(&session->fault, SAGA_ERROR_FAILED, "%.300s: %s", session->argument,
                              strerror(errno));
    }
    const enum saga_error error = saga_unpack_run(&options, &unpack, &session->fault);
    if (!from_stdin) {
        (void)close(options.fd); /* it was only read */
    }
    return error == SAGA_OK ? say(session, &unpack) : error;
}
