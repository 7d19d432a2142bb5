/*
 * A prospect: what would follow from a saga as it stands, were something to happen to it.
 *
 * Hides that it is the core that is asked, on a copy of the state: what is said here is what a
 * daemon would do, not what somebody thinks that it does.
 *
 * Threads: no state.
 */
#ifndef SAGA_PROSPECT_H
#define SAGA_PROSPECT_H

#include "definition.h"
#include "error.h"
#include "saga.h"

struct saga_prospect {
    enum saga_answer answer; /* what whoever sent it would hear */
    bool recorded;           /* false: it would leave no record */
    char *then;              /* in words: "pivot passed, confirm: booking.pay"; "": nothing more */
};

/* What `event` would come to. Bodies of commands are taken as possible. Errors: FAILED (memory).
 * Finish it with saga_prospect_fini(). */
SAGA_CHECKED enum saga_error saga_prospect_make(struct saga_prospect *prospect,
                                                const struct saga *saga,
                                                const struct saga_definition *definition,
                                                const struct saga_event *event,
                                                struct saga_fault *fault);
void saga_prospect_fini(struct saga_prospect *prospect);

#endif
