/*
 * What a disk may hold after the power failed, of what was written to it (faulty_disk.h).
 *
 * What was synced is there. Of what was not, there is any part: pieces of the writes, of 512 or
 * 4,096 bytes, and names that were made, changed or removed, each by itself. A rename is whole or
 * not at all.
 *
 * Failures end the test (Check).
 *
 * Threads: one.
 */
#ifndef SAGA_CRASH_DISK_H
#define SAGA_CRASH_DISK_H

#include "faulty_disk.h"
#include "splitmix.h"

#include <stdbool.h>

/* What of the pieces that were not synced is there. */
enum crash_keep {
    CRASH_NONE = 1,
    CRASH_ALL,
    CRASH_FIRST_HALF,
    CRASH_SECOND_HALF,
    CRASH_RANDOM,
    CRASH_MOST, /* at random, but few are lost */
    CRASH_KEEP_END,
};

struct crash_disk;

/* Begins with the empty directory `root`; the events stay the caller's. */
struct crash_disk *crash_disk_open(ino_t root, const struct disk_event *events);
void crash_disk_close(struct crash_disk *disk);

/* The next event has happened. */
void crash_disk_step(struct crash_disk *disk);

/* How many pieces are not synced, of `unit` bytes. */
size_t crash_disk_pieces(const struct crash_disk *disk, size_t unit);

/* Makes the directory `path` what the disk could hold if the power failed now. */
void crash_disk_show(struct crash_disk *disk, size_t unit, enum crash_keep keep,
                     struct splitmix *random, const char *path);

#endif
