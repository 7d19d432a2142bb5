#include "backup_scene.h"

#include "backup_file.h"
#include "splitmix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct backup_deed *deed;

void backup_scene_setup(void) {
    scratch_open_in_memory(&scene); /* syncs by the thousand */
    deed = mmap(NULL, sizeof *deed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(deed, MAP_FAILED);
    deed->fd = -1;
    deed->patience_ms = SAGA_BACKUP_PATIENCE_MS;
    (void)snprintf(deed->file, sizeof deed->file, "%s", scratch_file(&scene, "backup.tar"));
    (void)snprintf(deed->data_dir, sizeof deed->data_dir, "%s", scratch_file(&scene, "restored"));
}

void backup_scene_teardown(void) {
    ck_assert_int_eq(munmap(deed, sizeof *deed), 0);
    scene_teardown();
}

/* ------------------------------------------------------------------ children */

static void arm(void) {
    if (deed->fault != 0) {
        faulty_disk_arm(deed->fault, deed->fault_at, deed->number);
    }
}

static enum saga_error take(struct saga_log *log) {
    struct saga_backup_file file;
    enum saga_error error = SAGA_OK;
    const bool named = deed->file[0] != '\0';
    if (named) {
        error = saga_backup_file_open(&file, deed->file, &deed->text);
    }
    if (error != SAGA_OK) {
        return error;
    }
    const struct saga_sink_options options = {
        .fd = named ? file.fd : deed->fd,
        .name = named ? deed->file : "the pipe",
        .bytes_per_second = deed->bytes_per_second,
        .patience_ms = deed->patience_ms,
    };
    error = saga_backup_take(log, &options, NULL, NULL, &deed->backup, &deed->text);
    if (named && error == SAGA_OK) {
        return saga_backup_file_commit(&file, &deed->text);
    }
    if (named) {
        saga_backup_file_abort(&file);
    }
    return error;
}

enum saga_error backup_take_here(void) {
    struct saga_log *log = scene_inspect();
    arm();
    deed->error = take(log);
    deed->calls = faulty_disk_disarm();
    saga_log_close(log);
    return deed->error;
}

enum saga_error restore_take_here(void) {
    const struct saga_unpack_options options = {
        .data_dir = deed->data_dir,
        .fd = open(deed->file, O_RDONLY | O_CLOEXEC),
        .name = deed->file,
    };
    ck_assert_int_ge(options.fd, 0);
    arm();
    deed->error = saga_unpack_run(&options, &deed->unpack, &deed->text);
    deed->calls = faulty_disk_disarm();
    ck_assert_int_eq(close(options.fd), 0);
    return deed->error;
}

static int take_in_child(void *unused) {
    (void)unused;
    (void)backup_take_here();
    return 0;
}

static int restore_in_child(void *unused) {
    (void)unused;
    (void)restore_take_here();
    return 0;
}

pid_t backup_start(void) {
    deed->text.text[0] = '\0';
    return child_start(take_in_child, NULL);
}

int backup_run(void) {
    return child_wait(backup_start());
}

int restore_run(void) {
    deed->text.text[0] = '\0';
    return child_wait(child_start(restore_in_child, NULL));
}

static void expect_well(int status) {
    ck_assert_int_eq(status, 0);
    ck_assert_msg(deed->error == SAGA_OK, "%s", deed->text.text);
}

void backup_take(void) {
    expect_well(backup_run());
}

void restore_take(void) {
    expect_well(restore_run());
}

/* ------------------------------------------------------------------- looking */

static int look(void *unused) {
    (void)unused;
    const struct saga_log_options options = {.data_dir = deed->data_dir,
                                             .map_bytes_max = SCENE_MAP_BYTES};
    struct saga_log *log;
    struct saga_fault fault = {0};
    uint64_t last = 0;
    for (int round = 0; round < 2; round++) {
        if (saga_log_open(&log, &options, &fault) != SAGA_OK ||
            ledger_read(log, &last, &fault) != SAGA_OK) {
            (void)fprintf(stderr, "%s\n", fault.text);
            return 1;
        }
        const uint64_t expected =
            deed->backup.about.last_lsn + (round == 0 ? 0 : (uint64_t)20 * 30);
        if (last != expected || strcmp(saga_log_identity(log), deed->backup.about.identity) != 0) {
            return 2;
        }
        for (int i = 0; i < 20 && round == 0; i++) {
            ledger_append(log, 30);
            if (saga_log_flush(log, &fault) != SAGA_OK) {
                return 3;
            }
        }
        saga_log_close(log);
    }
    return 0;
}

void backup_assert_restored(void) {
    ck_assert_int_eq(child_run(look, NULL), 0);
}

static int look_for_none(void *unused) {
    (void)unused;
    struct saga_log_options options = {.data_dir = deed->data_dir, .read_only = true};
    struct saga_log *log;
    struct saga_fault fault = {0};
    if (saga_log_open(&log, &options, &fault) != SAGA_ERROR_NOT_FOUND) {
        return 1;
    }
    char stage[SCRATCH_PATH_MAX + 16];
    (void)snprintf(stage, sizeof stage, "%s/log.restore", deed->data_dir);
    if (!file_exists(stage)) {
        return 0;
    }
    options.read_only = false;
    options.map_bytes_max = SCENE_MAP_BYTES;
    if (saga_log_open(&log, &options, &fault) != SAGA_ERROR_LOG_REFUSED) {
        return 2;
    }
    return strstr(fault.text, "restore") != NULL ? 0 : 3;
}

void backup_assert_no_log(void) {
    ck_assert_int_eq(child_run(look_for_none, NULL), 0);
}

/* --------------------------------------------------------------------- files */

struct saga_log *backup_make_log(unsigned commits) {
    struct splitmix random = {7};
    struct saga_log *log = scene_open();
    for (unsigned i = 0; i < commits; i++) {
        scene_append(log, 1 + (uint32_t)splitmix_below(&random, i % 10 == 0 ? 60 : 8));
    }
    return log;
}

void backup_forget_restored(void) {
    directory_remove(deed->data_dir);
}

void backup_forget(void) {
    (void)unlink(deed->file);
}

bool backup_part_exists(void) {
    char part[SCRATCH_PATH_MAX + 8];
    (void)snprintf(part, sizeof part, "%s.part", deed->file);
    return file_exists(part);
}

void backup_forget_part(void) {
    char part[SCRATCH_PATH_MAX + 8];
    (void)snprintf(part, sizeof part, "%s.part", deed->file);
    (void)unlink(part);
}
