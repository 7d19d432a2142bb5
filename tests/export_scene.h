/*
 * Logs of every kind to export and to import, and the text that becomes of one.
 *
 * Failures end the test (Check).
 *
 * Threads: one. The logs are written in children.
 */
#ifndef SAGA_EXPORT_SCENE_H
#define SAGA_EXPORT_SCENE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a log is to be like. A function of it is what is in the log, but for its identity. */
struct export_scene {
    uint64_t seed;
    unsigned steps;              /* of a load of trips (trip_load.h); 0: not a record */
    uint64_t checkpoint_records; /* a checkpoint after so many */
    bool purged;                 /* blocks are gone, records kept, sagas forgotten */
    bool all_dropped;            /* with all blocks that the checkpoint lets go */
    bool odd;                    /* records that no daemon writes, or not often */
};

/* Makes it in a new directory. */
void export_scene_make(const char *data_dir, const struct export_scene *scene);

/* The export of the log, NUL-terminated; valid until the next. */
const char *export_scene_text(const char *data_dir);

#endif
