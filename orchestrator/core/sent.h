/*
 * What left of a step's commands, and when: known for the life of a process, and of
 * nothing that is in a record.
 *
 * The state says which attempt is open; this says whether it may have left, which is what
 * tells an unsent command from one whose outcome is unknown. A restart keeps the doubt and
 * forgets the rest. Inside the core; no threads.
 */
#ifndef SAGA_SENT_H
#define SAGA_SENT_H

#include "saga.h"

/* The last attempt of a step's driven command that left. Zeroed: none did. */
struct saga_sent {
    int64_t at_ms;    /* SAGA_SENT_BEFORE: it may have left, and nobody may know of it any more */
    uint16_t attempt; /* the last bits of it: they tell it from its neighbours */
    uint16_t revision;
    uint8_t operation;   /* 0: none left yet */
    uint8_t incarnation; /* the last bits of it */
    bool again;          /* it had left before, or may have */
    bool refused;        /* this last time nobody took it */
};

/* Before a restart, or before a transport lost its peer. */
#define SAGA_SENT_BEFORE INT64_MIN

/* False: no byte of the step's open attempt has left, in this epoch or before. */
bool saga_sent_may_have(const struct saga_sent *sent, const struct saga_step *step);

/* It has left, and what it was given to has not been lost since. */
bool saga_sent_has(const struct saga_sent *sent, const struct saga_step *step);

/* It leaves now. */
void saga_sent_note(struct saga_sent *sent, const struct saga_step *step,
                    const struct saga_outstanding *command, int64_t now_ms);

/* The step's open attempt, if it has one, may have left in the epoch before. */
void saga_sent_doubt(struct saga_sent *sent, const struct saga_step *step);

/* An attempt that had been sent before may have arrived, whatever became of its last sending: it is
 * not unsent. True: the event is about one, and it will be sent once more when its patience is
 * over. */
bool saga_sent_refuse_again(struct saga_sent *sent, const struct saga_event *event);

/* The same attempt is sent again when its patience is over: it is being worked on, or nobody took
 * it the last time, which perhaps was not the first. */
bool saga_sent_is_repeated(const struct saga_sent *sent, const struct saga_outstanding *command);

/* When something happens next to a command that has left. */
int64_t saga_sent_patience(const struct saga_sent *sent, const struct saga_outstanding *command);

#endif
