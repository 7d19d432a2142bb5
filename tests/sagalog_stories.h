/*
 * Sagas of every kind, in one log: what the inspection tool is to tell.
 */
#ifndef SAGALOG_STORIES_H
#define SAGALOG_STORIES_H

#include "saga.h"

enum {
    STORY_COMPLETED,   /* nothing went wrong */
    STORY_COMPENSATED, /* a business no, and a word that came late */
    STORY_FENCED,      /* an outcome that stayed unknown, with a restart in between */
    STORY_RETRIED,     /* debt, and an operator who has it tried again */
    STORY_CANCELLED,   /* by somebody hostile */
    STORY_PENDING,     /* a cancel that came while the pivot was in doubt, too late */
    STORY_UNSENT,      /* nobody carried its first command */
    STORY_PARKED,      /* a pivot in doubt */
    STORY_SETTLED,     /* a debt that was written off */
    STORY_RESOLVED,    /* a pivot in doubt that was resolved */
    STORY_RUNNING,     /* with a hostile input and expired attempts */
    STORY_COUNT
};

/* Writes them into a new log; the daemon is dead afterwards. */
void stories_write(const char *data_dir);

/* The same for all logs written. */
extern struct saga_id stories[STORY_COUNT];
extern const char *const story_names[STORY_COUNT];

#endif
