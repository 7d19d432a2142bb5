/*
 * The inbox: how other threads hand requests to the engine's.
 *
 * A mutex, a list, and an eventfd that is readable while the list is not empty.
 *
 * Threads: any may put; one takes.
 */
#ifndef SAGA_INBOX_H
#define SAGA_INBOX_H

#include "engine.h"

struct saga_inbox;

/* Errors: FAILED (memory, or no file descriptor left). */
SAGA_CHECKED enum saga_error saga_inbox_open(struct saga_inbox **inbox, struct saga_fault *fault);
/* Nobody may put any more. What was not taken stays its asker's, unanswered. */
void saga_inbox_close(struct saga_inbox *inbox);

/* Puts one request, or a list of them linked by `next` (the last one's is
 * NULL). They are the engine's until they are answered. Never blocks for long:
 * nobody holds the mutex but for a few instructions. */
void saga_inbox_put(struct saga_inbox *inbox, struct saga_request *requests);

/* Everything that is there, in the order of putting, linked by `next`; NULL:
 * nothing. */
struct saga_request *saga_inbox_take(struct saga_inbox *inbox);

/* For poll(). */
int saga_inbox_fd(const struct saga_inbox *inbox);

#endif
