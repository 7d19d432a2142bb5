/* sagalog import: makes a log of an export. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lines.h"
#include "planting.h"
#include "progress.h"
#include "session.h"

/* A log may become so many times as large as its text, at the most. */
#define LOG_BYTES_A_BYTE 4
/* That of a smaller file has room in a map as by default. */
#define FILE_BYTES_LARGE ((uint64_t)4 << 30)

struct importing {
    struct saga_session *session;
    const char *name; /* of the file */
    struct saga_lines lines;
    uint64_t bytes; /* of the file; 0: not known */
    struct saga_planting *planting;
    struct saga_progress progress;
};

/* Where something is wrong, without what a terminal would act on. */
static enum saga_error complain(struct importing *importing, const struct saga_fault *said) {
    char text[sizeof said->text];
    (void)snprintf(text, sizeof text, "%s", said->text);
    for (char *at = text; *at != '\0'; at++) {
        if (*at < ' ' || *at > '~') {
            *at = '?';
        }
    }
    return saga_fault_set(&importing->session->fault, SAGA_ERROR_LOG_REFUSED,
                          "%.200s, line %" PRIu64
                          ": %.600s. Mend it, or take another export; nothing was imported.",
                          importing->name, importing->lines.number, text);
}

/* By the bytes of a file; of a pipe it is not known how many there are, but of records. */
static void tick(struct importing *importing) {
    uint64_t done = importing->lines.bytes;
    uint64_t total = importing->bytes;
    if (total == 0) {
        saga_planting_progress(importing->planting, &done, &total);
    }
    saga_progress_tick(&importing->progress, done, total);
}

static enum saga_error take_lines(struct importing *importing) {
    struct saga_lines *lines = &importing->lines;
    struct saga_fault fault = {.text = ""};
    enum saga_error error = SAGA_OK;
    saga_progress_begin(&importing->progress, "importing");
    while (error == SAGA_OK) {
        error = saga_lines_next(lines, &fault);
        if (error == SAGA_OK) {
            error = saga_planting_take(importing->planting, lines->line, lines->size, &fault);
        }
        tick(importing);
    }
    saga_progress_clear(&importing->progress);
    if (error == SAGA_ERROR_NOT_FOUND) {
        return SAGA_OK;
    }
    importing->session->fault = fault;
    return error == SAGA_ERROR_LOG_REFUSED ? complain(importing, &fault) : error;
}

static enum saga_error say(struct saga_session *session, const struct saga_planting_sum *sum) {
    const struct saga_export_head *head = &sum->head;
    if (session->json) {
        return saga_output_json(&session->output,
                                json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "log", head->log,
                                          "created", head->created, "first_lsn",
                                          (json_int_t)head->first_lsn, "last_lsn",
                                          (json_int_t)head->last_lsn, "records",
                                          (json_int_t)sum->records, "kept", (json_int_t)sum->older),
                                &session->fault);
    }
    (void)fprintf(session->output.file,
                  "%s: log %s up to record %" PRIu64 "; %" PRIu64 " records imported, and %" PRIu64
                  " kept of those before record %" PRIu64 "\n",
                  session->data_dir, head->log, head->last_lsn, sum->records, sum->older,
                  head->first_lsn);
    return SAGA_OK;
}

static enum saga_error import(struct importing *importing) {
    struct saga_session *session = importing->session;
    struct saga_planting_sum sum;
    struct saga_fault fault = {.text = ""};
    enum saga_error error = take_lines(importing);
    if (error != SAGA_OK) {
        return error;
    }
    error = saga_planting_finish(importing->planting, &sum, &fault);
    if (error == SAGA_ERROR_LOG_REFUSED) {
        return complain(importing, &fault);
    }
    session->fault = fault;
    return error == SAGA_OK ? say(session, &sum) : error;
}

/* How large the file is; 0: it is none. */
static uint64_t size_of(int fd) {
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0
               ? (uint64_t)status.st_size
               : 0;
}

enum saga_error saga_import_run(struct saga_session *session) {
    const bool from_stdin = session->argument == NULL || strcmp(session->argument, "-") == 0;
    struct importing importing = {.session = session, .name = "standard input"};
    int fd = STDIN_FILENO;
    if (!from_stdin) {
        importing.name = session->argument;
        fd = open(session->argument, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0) {
        return saga_fault_set(&session->fault, SAGA_ERROR_FAILED, "%.300s: %s", session->argument,
                              strerror(errno));
    }
    importing.bytes = size_of(fd);
    const uint64_t map_bytes =
        importing.bytes > FILE_BYTES_LARGE ? importing.bytes * LOG_BYTES_A_BYTE : 0;
    saga_lines_begin(&importing.lines, fd);
    importing.planting = saga_planting_open(session->data_dir, map_bytes);
    const enum saga_error error =
        importing.planting != NULL
            ? import(&importing)
            : saga_fault_set(&session->fault, SAGA_ERROR_FAILED, "no memory for an import.");
    saga_planting_close(importing.planting);
    saga_lines_fini(&importing.lines);
    if (!from_stdin) {
        (void)close(fd); /* it was only read */
    }
    return error;
}
