/*
 * The desk: where a participant's commands arrive from the broker, and from where
 * they are answered.
 *
 * Hides the threads (the consumer's, the publisher's, and one that carries out),
 * the queues between them, and what is tried again.
 *
 * What is at hand when the participant is free is carried out in one transaction.
 * For each command, in this order and never in another:
 *
 *     1. the commit   2. the reply is put   3. the broker confirms it   4. the ack
 *
 * A process that dies before 1 has done nothing, and the broker delivers the
 * command again. One that dies between 1 and 4 leaves the command unacknowledged:
 * it is delivered again, and answered from its row, changing nothing. So a reply
 * can come twice, which harms nobody, and is lost by none of our deaths; what the
 * broker loses, the orchestrator asks for again.
 *
 * Promises:
 *  1. Nothing is acknowledged before its effect is committed and its reply has
 *     been taken by the broker (or can be taken by no queue).
 *  2. At most `prefetch` commands of a connection are held, answered or not: the
 *     broker delivers no more. While replies cannot leave (an alarm), they wait
 *     here, within that number; what an earlier connection delivered is forgotten
 *     when a new one delivers, for it comes again.
 *  3. What no participant can ever act on goes to the dead letters at once. What
 *     the database could not do is tried again after `again_ms`, in halves: one
 *     command that cannot be carried out holds up no other for long.
 *  4. A command that --delay slows down holds up none but itself. (So the
 *     participant's own `pause` must return at once.)
 *
 * Threads: one opens and closes it; the participant belongs to it in between.
 */
#ifndef SAGA_DESK_H
#define SAGA_DESK_H

#include "participant.h"
#include "publisher.h"
#include "topology.h"

struct saga_desk;

struct saga_desk_options {
    const struct saga_amqp_address *address; /* outlives the desk, with all texts here */
    const char *ca_file;                     /* of the links, like the next two */
    const char *certificate;
    const char *key;
    struct saga_topology topology;
    uint16_t prefetch;                                /* 0: SAGA_AMQP_PREFETCH */
    const struct saga_participant_switches *switches; /* its delays; copied */
    uint32_t again_ms;                                /* 0: SAGA_DESK_AGAIN_MS */
    void *context;
    /* Something that whoever runs the service should know: a sentence. Any thread, one at a
     * time. NULL: nobody is interested. */
    void (*tell)(void *context, const char *text);
};

/* A database that is locked or full is not cured by being asked at once. */
#define SAGA_DESK_AGAIN_MS 1000
/* A reply that was lost on its way this often takes the connection with it: its
 * command is acknowledged without it, and asked for again by the orchestrator. */
#define SAGA_DESK_SENDS_MAX 5
/* At the end: how long the replies that are on their way are waited for. */
#define SAGA_DESK_DRAIN_MS 3000

/* Starts; connects by itself, for ever. Errors: FAILED. */
SAGA_CHECKED enum saga_error saga_desk_open(struct saga_desk **desk,
                                            struct saga_participant *participant,
                                            const struct saga_desk_options *options,
                                            struct saga_fault *fault);

struct saga_desk_counts {
    uint64_t delivered;  /* commands that could be read */
    uint64_t refused;    /* to the dead letters */
    uint64_t answered;   /* replies that the broker has taken */
    uint64_t unroutable; /* replies that no queue took */
    uint64_t given_up;   /* replies that were lost SAGA_DESK_SENDS_MAX times */
    uint64_t postponed;  /* commands that were to be tried again */
};
/* Any thread. */
void saga_desk_count(struct saga_desk *desk, struct saga_desk_counts *counts);

/* Takes no more commands, finishes the transaction at hand, answers, acknowledges,
 * ends; what was not carried out goes back to the broker. NULL is allowed. */
void saga_desk_close(struct saga_desk *desk);

#endif
