#include "graft.h"

#include "directory.h"
#include "inspection.h"

#include <limits.h>
#include <stdlib.h>

struct saga_graft {
    struct saga_directory directory;
    struct saga_directory stage;
    char stage_path[PATH_MAX];
    struct saga_log *log; /* owned; NULL: closed */
};

static enum saga_error open_stage(struct saga_graft *graft,
                                  const struct saga_graft_options *options,
                                  struct saga_fault *fault) {
    enum saga_error error =
        saga_directory_begin_restore(&graft->directory, &graft->stage, graft->stage_path, fault);
    if (error != SAGA_OK) {
        return error;
    }
    const struct saga_log_options log_options = {
        .data_dir = graft->stage_path,
        .map_bytes_max = options->map_bytes_max,
        .origin = &options->origin,
    };
    error = saga_log_open(&graft->log, &log_options, fault);
    if (error != SAGA_OK) {
        graft->log = NULL;
        saga_directory_abort_restore(&graft->directory);
        saga_directory_close(&graft->stage);
    }
    return error;
}

enum saga_error saga_graft_open(struct saga_graft **graft, const struct saga_graft_options *options,
                                struct saga_fault *fault) {
    struct saga_graft *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for a log.");
    }
    enum saga_error error = saga_directory_make(options->data_dir, fault);
    if (error == SAGA_OK) {
        error = saga_directory_open(&opened->directory, options->data_dir, true, fault);
    }
    if (error == SAGA_OK) {
        error = open_stage(opened, options, fault);
        if (error != SAGA_OK) {
            saga_directory_close(&opened->directory);
        }
    }
    if (error != SAGA_OK) {
        free(opened);
        return error;
    }
    *graft = opened;
    return SAGA_OK;
}

struct saga_log *saga_graft_log(struct saga_graft *graft) {
    return graft->log;
}

static void close_log(struct saga_graft *graft) {
    if (graft->log != NULL) {
        saga_log_close(graft->log);
        graft->log = NULL;
    }
}

static void close_all(struct saga_graft *graft) {
    close_log(graft);
    saga_directory_close(&graft->stage);
    saga_directory_close(&graft->directory);
    free(graft);
}

/* The log, as whoever opens it next will see it. */
static enum saga_error read_back(const struct saga_graft *graft, uint64_t *records,
                                 struct saga_fault *fault) {
    const struct saga_log_options options = {.data_dir = graft->stage_path, .read_only = true};
    struct saga_inspection inspection = {0};
    struct saga_log *log;
    enum saga_error error = saga_log_open(&log, &options, fault);
    if (error == SAGA_OK) {
        error = saga_inspection_run(&inspection, log, fault);
        saga_log_close(log);
    }
    *records = inspection.records;
    return error;
}

enum saga_error saga_graft_commit(struct saga_graft *graft, uint64_t *records,
                                  struct saga_fault *fault) {
    enum saga_error error = saga_log_flush(graft->log, fault);
    close_log(graft); /* LMDB is not opened twice in a process */
    if (error == SAGA_OK) {
        error = read_back(graft, records, fault);
    }
    if (error == SAGA_OK) {
        error = saga_directory_commit_restore(&graft->directory, &graft->stage, fault);
    } else {
        saga_directory_abort_restore(&graft->directory);
    }
    close_all(graft);
    return error;
}

void saga_graft_abort(struct saga_graft *graft) {
    close_log(graft);
    saga_directory_abort_restore(&graft->directory);
    close_all(graft);
}
