/*
 * A story: one saga's records and what they come to.
 *
 * Hides how they are found, also where the chain that links them is torn, and
 * that they are folded again to be told. It says of a saga what a restart of the
 * daemon would: its status, and why it would be out of service.
 *
 * Needs nothing but the saga's own records and its definition: not the other sagas.
 *
 * Threads: one.
 */
#ifndef SAGA_STORY_H
#define SAGA_STORY_H

#include <jansson.h>

#include "chain.h"
#include "lexicon.h"
#include "muster.h"

#define SAGA_PROBLEM_BYTES 256

struct saga_story {
    struct saga_id id;
    const struct saga_definition *definition; /* NULL: cannot be had */
    struct saga_chain chain;                  /* count 0: cannot be had */
    struct saga *saga;                /* as far as its records make sense; NULL: not at all */
    const char *status;               /* static */
    char problem[SAGA_PROBLEM_BYTES]; /* why it is out of service; "": it is not */
};

/* Opens the story of the saga that the line names. Its records are the reader's: valid until that
 * is renewed or closed. Where they are not linked as they should be, `search` looks for them in the
 * whole log; else there are none. Errors: FAILED, LOG_REFUSED (what is needed cannot be read). */
SAGA_CHECKED enum saga_error saga_story_open(struct saga_story *story,
                                             struct saga_log_reader *reader,
                                             struct saga_lexicon *lexicon,
                                             const struct saga_muster_line *line, bool search,
                                             struct saga_fault *fault);
void saga_story_close(struct saga_story *story);

/* Turns it back to where it stood when record `lsn` of the log was the last one; that may be in the
 * middle of a decision. Errors: NOT_FOUND (it had not begun), FAILED. */
SAGA_CHECKED enum saga_error saga_story_rewind(struct saga_story *story, uint64_t lsn,
                                               struct saga_fault *fault);

/* As the API gives it (view.h). NULL: no memory. */
json_t *saga_story_json(const struct saga_story *story);

/* Why it goes back or is parked; "": neither. */
const char *saga_story_reason(const struct saga_story *story);

/* Its name; "?": not known. */
const char *saga_story_name(const struct saga_story *story);

/* "3.2 s": from its first record to its last. `text` as for saga_span_text(). */
char *saga_story_span(const struct saga_story *story, char *text);

/* ------------------------------------------------------------ record by record */

/* The saga before and after the record at hand. */
struct saga_retelling {
    const struct saga_story *story;
    size_t next;         /* index of the record that is folded next */
    struct saga *before; /* NULL: there is no state (yet, or any more) */
    struct saga *after;  /* likewise */
    uint64_t lost_lsn;   /* the record from which on they make no sense; 0: they do */
};

/* Errors: FAILED (memory). */
SAGA_CHECKED enum saga_error saga_retelling_open(struct saga_retelling *retelling,
                                                 const struct saga_story *story,
                                                 struct saga_fault *fault);
void saga_retelling_close(struct saga_retelling *retelling);

/* True if the daemon was started again before the next record; it is folded
 * in: `before` and `after` are the saga without and with it. Ask before each
 * record. */
SAGA_CHECKED bool saga_retelling_restart(struct saga_retelling *retelling);

/* Folds the next record in and returns it; NULL: there is none left. From the
 * first that makes no sense on, `before` and `after` are NULL. */
const struct saga_record *saga_retelling_next(struct saga_retelling *retelling);

#endif
