/*
 * Backups of the scene's log (log_scene.h), and logs of backups.
 *
 * Each is taken and restored in a child, as a program does: LMDB is not opened twice in a process.
 * Failures end the test (Check).
 *
 * Threads: one.
 */
#ifndef SAGA_BACKUP_SCENE_H
#define SAGA_BACKUP_SCENE_H

#include "backup.h"
#include "faulty_disk.h"
#include "log_scene.h"
#include "unpack.h"

/* What a child does, and what became of it. In memory that it shares with the test. */
struct backup_deed {
    char file[SCRATCH_PATH_MAX];     /* the backup */
    char data_dir[SCRATCH_PATH_MAX]; /* of the restored log */
    int fd;                          /* where the backup goes instead, if there is no file: "" */
    int patience_ms;
    uint64_t bytes_per_second;
    enum disk_fault fault; /* 0: none */
    unsigned fault_at;
    int number;
    unsigned calls; /* that there were, where none killed it */
    enum saga_error error;
    struct saga_fault text;
    struct saga_backup backup;
    struct saga_unpack unpack;
};

extern struct backup_deed *deed;

/* For tcase_add_checked_fixture(): the scene's, and a deed with paths in it. */
void backup_scene_setup(void);
void backup_scene_teardown(void);

/* Run in a child; the wait status. deed->error, text and backup are what came of it. */
pid_t backup_start(void);
int backup_run(void);
int restore_run(void);

/* The same in this process. */
enum saga_error backup_take_here(void);
enum saga_error restore_take_here(void);

/* They must succeed. */
void backup_take(void);
void restore_take(void);

/* The restored log has the ledger's records up to the backup's last one, and what a log has that
 * was opened, goes on from there. */
void backup_assert_restored(void);

/* There is no log in deed->data_dir: no log, or what says that one was begun. */
void backup_assert_no_log(void);

/* A log whose commits free pages and take them again. */
struct saga_log *backup_make_log(unsigned commits);

/* Remove the backup, what it has that is not whole, and the restored log. */
void backup_forget(void);
void backup_forget_part(void);
void backup_forget_restored(void);
bool backup_part_exists(void);

#endif
