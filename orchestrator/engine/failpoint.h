/*
 * Failpoints: the places where a test may let the process die.
 *
 * One function, linked as an empty one into the product (failpoint_none.c) and
 * as one that kills into test programs. It is the only trace that testing for
 * crashes leaves here.
 */
#ifndef SAGA_FAILPOINT_H
#define SAGA_FAILPOINT_H

enum saga_failpoint_kind {
    SAGA_FAILPOINT_START = 1,
    SAGA_FAILPOINT_COMMAND,
    SAGA_FAILPOINT_REPLY,
    SAGA_FAILPOINT_COMPENSATION, /* a compensation, or a fence in its place */
    SAGA_FAILPOINT_RECOVERY,     /* an epoch's start, and what is sent again after it */
};
#define SAGA_FAILPOINT_KIND_COUNT 5

enum saga_failpoint_place {
    SAGA_FAILPOINT_BEFORE_APPEND = 1,
    SAGA_FAILPOINT_AFTER_APPEND,
    SAGA_FAILPOINT_AFTER_COMMIT,
    SAGA_FAILPOINT_AFTER_SEND, /* of the command, or of the answer */
};
#define SAGA_FAILPOINT_PLACE_COUNT 4

void saga_failpoint(enum saga_failpoint_kind kind, enum saga_failpoint_place place);

#endif
