/*
 * The system calls by which files are written, with faults and with a memory.
 *
 * Linked into a test, it stands between the program and its libraries (LMDB as
 * well) and the kernel: the program's own symbols win over libc's. Counted are
 * calls on regular files and directories: write, pwrite, writev, fsync,
 * fdatasync, ftruncate, fchmod, mkdirat, renameat, renameat2, unlinkat, and openat
 * where it may create.
 *
 * Threads: one.
 */
#ifndef SAGA_FAULTY_DISK_H
#define SAGA_FAULTY_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum disk_fault {
    DISK_KILLS = 1, /* the process is gone before the call */
    DISK_FAILS,     /* the call does nothing and fails */
    DISK_LIES,      /* the call does its work and fails */
};

/* From now on counts calls, and lets call number `at` (from 1) have the fault;
 * errno is `number` where it fails. */
void faulty_disk_arm(enum disk_fault fault, unsigned at, int number);
/* No more faults; how many calls there were since arm. */
unsigned faulty_disk_disarm(void);

/* What fstatfs and fstatvfs say. 0: the truth. */
extern unsigned long faulty_disk_system_type;
extern uint64_t faulty_disk_bytes, faulty_disk_bytes_free;

enum disk_operation {
    DISK_WRITE = 1,
    DISK_SYNC,
    DISK_CREATE, /* a name in a directory */
    DISK_REMOVE,
    DISK_RENAME,
    DISK_CHANGE, /* length or mode */
};

/* One call that succeeded. */
struct disk_event {
    enum disk_operation operation;
    ino_t file;      /* what was written or synced; of names: the directory */
    uint64_t offset; /* of a write */
    size_t size;
    uint8_t *bytes;
    bool synced; /* a write that is on disk when it returns (O_DSYNC) */
    char name[32];
    ino_t subject;      /* of a name that was created: what it names */
    ino_t from;         /* of a rename: the directory that it was in, */
    char from_name[32]; /* and its name there */
};

/* Starts to remember calls, forgetting those before. */
void faulty_disk_record(void);
/* How many there are by now. */
size_t faulty_disk_recorded(void);
/* Stops; the events are valid until the next record. */
const struct disk_event *faulty_disk_events(size_t *count);

#endif
