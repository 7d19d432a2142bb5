/*
 * An explanation of a saga, as JSON: where it stands, what it waits for and since when, what
 * happens next and when, and what an operator could do (docs/sagalog.md has the shape).
 *
 * Hides that all of it is asked of the core: what is outstanding, what each answer, each end of a
 * wait and each verb would come to.
 *
 * Threads: no state.
 */
#ifndef SAGA_EXPLANATION_H
#define SAGA_EXPLANATION_H

#include <jansson.h>

#include "story.h"

/* What is known beside the saga. */
struct saga_explanation_scene {
    int64_t now_ms;
    uint32_t epoch;   /* the log's latest, and */
    int64_t epoch_ms; /* when it began */
    bool daemon;      /* one owns the directory */
};

/* The caller's. Errors: FAILED (memory). */
SAGA_CHECKED enum saga_error saga_explanation_make(const struct saga_story *story,
                                                   const struct saga_explanation_scene *scene,
                                                   json_t **json, struct saga_fault *fault);

#endif
