/*
 * What a log says, in memory: its open sagas, all of its sagas, its definitions, and
 * who is still to be told of an end.
 *
 * Made by recovery, for the engine, which goes on from there, and for the
 * inspection tool, which only looks: so that it shows what a restart would see.
 *
 * Threads: one; the registry as registry.h says.
 */
#ifndef SAGA_RECALL_H
#define SAGA_RECALL_H

#include "coordinator.h"
#include "error.h"
#include "log.h"
#include "outcomes.h"
#include "registry.h"
#include "roster.h"
#include "start_keys.h"

/* What recovery found. */
struct saga_recovery_report {
    uint64_t records;     /* read: those after the last checkpoint */
    uint64_t sagas;       /* in the log */
    uint64_t open;        /* of those, not ended */
    uint64_t quarantined; /* of those, out of service */
    uint64_t definitions;
    int64_t last_ms;             /* the engine's time of the last record; 0: none */
    char first_quarantined[256]; /* which, and why; empty: none */
};

struct saga_recall_options {
    struct saga_limits limits;
    uint64_t hash_seed;     /* of the start keys, unless the log has one */
    const char *guard_path; /* guard.h; NULL: none */
    /* Told of every saga that is taken out of service, and why; NULL: nobody. */
    void (*quarantined)(void *context, const struct saga_id *id, const char *why);
    void *context;
};

struct saga_recall {
    struct saga_coordinator *coordinator; /* the open sagas */
    struct saga_roster *roster;           /* those, and who ended since the last checkpoint */
    struct saga_start_keys *keys;         /* every start key */
    struct saga_registry *registry;       /* every definition */
    struct saga_outcomes *outcomes;       /* ends that somebody is to be told of */
    struct saga_recovery_report report;
    struct saga_log_reader *reader; /* while it is being opened */
    void *memory;                   /* the coordinator's */
    size_t memory_size;
    struct saga_recall_options options;
};

/* Reads the last checkpoint, and the log after it, as the reader sees them. Errors: LOG_REFUSED,
 * FULL (more open sagas than the limit), FAILED. */
SAGA_CHECKED enum saga_error saga_recall_open(struct saga_recall **recall,
                                              struct saga_log_reader *reader,
                                              const struct saga_recall_options *options,
                                              struct saga_fault *fault);
void saga_recall_close(struct saga_recall *recall);

#endif
