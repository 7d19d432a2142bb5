/*
 * The verifier: reads all of the log in the background, and says what is damaged.
 *
 * A start of the daemon reads what it recovers from; what stood before is read when somebody asks
 * for it. So from time to time all is: records with their blocks' checksums, LSNs without gaps,
 * epochs and chains, and the rows of all tables. A view is held for a moment only, so that the log
 * does not grow by it, and the disk is left to others most of the time.
 *
 * Damage is said in the journal, with the record and with what to do, and counted. The daemon goes
 * on: nobody who is open may need that record, and to stop would keep all of them from ending.
 * Whoever needs it is told so, and where the engine does, it ends with status 7.
 *
 * Threads: its own; start and stop belong to one other, look to any.
 */
#ifndef SAGA_VERIFIER_H
#define SAGA_VERIFIER_H

#include "journal.h"
#include "log.h"

struct saga_verifier;

struct saga_verifier_options {
    struct saga_log *log;
    const struct saga_journal *journal;
    int64_t interval_ms;       /* from one beginning to the next */
    uint64_t bytes_per_second; /* that are read, about; 0: as fast as it goes */
};

/* The first run begins after a minute, or after the interval if that is shorter. `options` is
 * copied; what it points to outlives the verifier. Errors: FAILED. */
SAGA_CHECKED enum saga_error saga_verifier_start(struct saga_verifier **verifier,
                                                 const struct saga_verifier_options *options,
                                                 struct saga_fault *fault);
/* Ends a run that is under way, and waits for it. NULL is allowed. */
void saga_verifier_stop(struct saga_verifier *verifier);

struct saga_verifier_state {
    uint64_t runs;        /* that came to their end */
    int64_t finished_ms;  /* the last one, since 1970 UTC; 0: none has */
    uint64_t records;     /* that it has read */
    uint64_t rows;        /* likewise */
    uint64_t damages;     /* that it has found */
    uint64_t damages_all; /* that all have, also those that did not come to their end */
};
void saga_verifier_look(struct saga_verifier *verifier, struct saga_verifier_state *state);

#endif
