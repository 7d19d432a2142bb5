/* sagalog backup: the log as of one moment, in a file or on standard output. */
#include "backup.h"

#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backup_file.h"
#include "session.h"
#include "time_text.h"

static volatile sig_atomic_t ended;

static void end(int number) {
    (void)number;
    ended = 1;
}

/* So that what is half is removed. */
static void listen_for_end(void) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    const struct sigaction ending = {.sa_handler = end};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction before;
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
            (void)sigaction(numbers[i], &ending, NULL);
        }
    }
}

static enum saga_error parse_rate(struct saga_session *session, uint64_t *rate) {
    static const char units[] = "KMG";
    const char *text = session->rate;
    *rate = SAGA_BACKUP_BYTES_PER_SECOND;
    if (text == NULL) {
        return SAGA_OK;
    }
    char *after = NULL;
    *rate = *text >= '0' && *text <= '9' ? strtoull(text, &after, 10) : 0;
    const char *unit = after != NULL && *after != '\0' ? strchr(units, *after) : NULL;
    if (unit != NULL && *rate <= UINT32_MAX) {
        *rate <<= 10 * (unit - units + 1);
        after++;
    }
    if (after != NULL && *after == '\0' && *rate <= (uint64_t)UINT32_MAX << 30) {
        return SAGA_OK;
    }
    return saga_fault_set(
        &session->fault, SAGA_ERROR_USAGE,
        "--rate %s: a number of bytes a second, or one with K, M or G; 0: as fast "
        "as it goes",
        text);
}

static void say_text(const struct saga_backup_file *file, const struct saga_backup *backup,
                     FILE *out) {
    (void)fprintf(out, "%s: log %s up to record %" PRIu64 ", %" PRIu64 " bytes\n", file->path,
                  backup->about.identity, backup->about.last_lsn, backup->bytes);
}

/* Where the backup itself is on standard output, there is no place for words but the other one. */
static enum saga_error say(struct saga_session *session, const struct saga_backup_file *file,
                           bool to_stdout, const struct saga_backup *backup) {
    char created[SAGA_TIME_TEXT_SIZE];
    if (to_stdout || !session->json) {
        say_text(file, backup, to_stdout ? stderr : session->output.file);
        return SAGA_OK;
    }
    return saga_output_json(
        &session->output,
        json_pack("{s:s, s:s, s:s, s:I, s:I}", "file", file->path, "log", backup->about.identity,
                  "created", saga_time_text(backup->about.created_s * 1000, created), "last_lsn",
                  (json_int_t)backup->about.last_lsn, "bytes", (json_int_t)backup->bytes),
        &session->fault);
}

struct place {
    const struct saga_backup_file *file;
    const char *data_dir;
};

static enum saga_error reserve(void *context, uint64_t bytes, struct saga_fault *fault) {
    const struct place *place = context;
    return saga_backup_file_reserve(place->file, place->data_dir, bytes, fault);
}

static enum saga_error take(struct saga_session *session, const struct saga_backup_file *file,
                            uint64_t rate, struct saga_backup *backup) {
    struct place place = {.file = file, .data_dir = session->data_dir};
    const struct saga_sink_options options = {
        .fd = file->fd,
        .name = file->path,
        .bytes_per_second = rate,
        .patience_ms = SAGA_BACKUP_PATIENCE_MS,
        .end = &ended,
    };
    return saga_backup_take(session->log, &options, reserve, &place, backup, &session->fault);
}

enum saga_error saga_backup_run(struct saga_session *session) {
    struct saga_backup_file file;
    struct saga_backup backup;
    uint64_t rate;
    enum saga_error error = parse_rate(session, &rate);
    if (error == SAGA_OK) {
        listen_for_end();
        error = saga_backup_file_open(&file, session->argument, &session->fault);
    }
    if (error != SAGA_OK) {
        return error;
    }
    const bool to_stdout = file.directory_fd < 0;
    error = take(session, &file, rate, &backup);
    if (error != SAGA_OK) {
        saga_backup_file_abort(&file);
        return error;
    }
    error = saga_backup_file_commit(&file, &session->fault);
    return error == SAGA_OK ? say(session, &file, to_stdout, &backup) : error;
}
