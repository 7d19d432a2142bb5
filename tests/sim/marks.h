/*
 * Coverage marks: how often each transition and each kind of fault happened, over
 * all seeds. One that is hit too seldom means that the simulation is blind
 * there, and fails the run.
 *
 * Threads: one; the counters may be shared with the parent process.
 */
#ifndef SIM_MARKS_H
#define SIM_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is not a transition of a step or a fault of the swarm. */
enum sim_mark {
    SIM_MARK_RECOVERY = 0, /* a start of the daemon on a log with open sagas */
    SIM_MARK_RECOVERY_KILLED_AGAIN,
    SIM_MARK_RECOVERY_KILLED_5,
    SIM_MARK_COMMIT_OLD,
    SIM_MARK_COMMIT_NEW,
    SIM_MARK_CHECKPOINT,
    SIM_MARK_CHECKPOINT_BEGUN,
    SIM_MARK_CHECKPOINT_CUT,
    SIM_MARK_WALL_BACK,
    SIM_MARK_WALL_FORWARD,
    SIM_MARK_REORDERED,
    SIM_MARK_LATE_COMMAND, /* delivered after its saga had ended */
    SIM_MARK_LATE_REPLY,
    SIM_MARK_EXPIRED, /* refused by a participant that had purged */
    SIM_MARK_START_CREATED,
    SIM_MARK_START_AGAIN,
    SIM_MARK_START_CONFLICT,
    SIM_MARK_START_FULL,
    SIM_MARK_START_DRAINING,
    SIM_MARK_CANCEL_TAKEN,
    SIM_MARK_CANCEL_PENDING,
    SIM_MARK_CANCEL_ALREADY,
    SIM_MARK_CANCEL_REFUSED,
    SIM_MARK_RETRY_TAKEN,
    SIM_MARK_RETRY_REFUSED,
    SIM_MARK_RESOLVE_TAKEN,
    SIM_MARK_RESOLVE_PENDING,
    SIM_MARK_RESOLVE_REFUSED,
    SIM_MARK_SETTLE_TAKEN, /* mark-compensated, write-off */
    SIM_MARK_SETTLE_ALREADY,
    SIM_MARK_SETTLE_REFUSED,
    SIM_MARK_FORCED, /* compensation */
    SIM_MARK_VOIDED, /* a wish, by the pivot's done */
    SIM_MARK_RESOLUTION_VOIDED,
    SIM_MARK_SAGA_DEADLINE,
    SIM_MARK_STEP_DEADLINE,
    SIM_MARK_PARKED_DEBT,
    SIM_MARK_PARKED_IN_DOUBT,
    SIM_MARK_PARKED_CONTRACT,
    SIM_MARK_PARKED_REJECTION,
    SIM_MARK_PARKED_UNRENDERED,
    SIM_MARK_RESUMED_BY_REPLY, /* parked, and a late word ended that */
    SIM_MARK_TURNED_REJECTED,
    SIM_MARK_TURNED_UNRESOLVED,
    SIM_MARK_TURNED_FENCED,
    SIM_MARK_TURNED_NEVER_RAN,
    SIM_MARK_TURNED_CANCELLED,
    SIM_MARK_TURNED_DEADLINE,
    SIM_MARK_TURNED_RESOLVED,
    SIM_MARK_COMPLETED,
    SIM_MARK_COMPENSATED,
    SIM_MARK_COMPLETED_MANUALLY,
    SIM_MARK_COMPENSATED_MANUALLY,
    SIM_MARK_INCONSISTENT,
    SIM_MARK_RELEASED, /* waiting attempts, since their participant answered */
    SIM_MARK_HEADER_ALONE,
    SIM_MARK_NOT_FOUND,
    SIM_MARK_LISTED,         /* a page of the list, of more than one saga */
    SIM_MARK_COUNTED,        /* counters, of exactly what is durable */
    SIM_MARK_COUNTED_PARKED, /* ... while sagas were parked */
    SIM_MARK_LATER_WINS,     /* a command after two results that name the same member */
    SIM_MARK_NEW_VERSION,    /* a saga started by another version of its definition */
    SIM_MARK_SHADOWED,       /* live and replayed state compared */
    SIM_MARK_TOLD,           /* who asked of an end has heard it */
    SIM_MARK_TOLD_AGAIN,
    SIM_MARK_TOLD_ANOTHER, /* who asked later */
    SIM_MARK_TOLD_MARKED,  /* ... and the log says so */
    SIM_MARK_SAGA_GONE,    /* since its retention is over */
    SIM_MARK_RECORD_DROPPED,
    SIM_MARK_RECORD_KEPT,
    SIM_MARK_START_PURGED, /* a start whose saga is gone, and whose key is remembered */
    SIM_MARK_KEY_REUSED,
    SIM_MARK_TWICE, /* the seed was run a second time */
    SIM_MARK_COUNT,
};

#define SIM_MARK_STATES 16 /* of the checker's steps */
#define SIM_MARK_MOVES  26
#define SIM_MARK_KINDS  6 /* of failpoints */
#define SIM_MARK_PLACES 5

struct sim_marks {
    uint64_t seeds;
    uint64_t faults[64];
    uint64_t marks[SIM_MARK_COUNT];
    uint64_t moves[SIM_MARK_MOVES][SIM_MARK_STATES];
    uint64_t kills[SIM_MARK_KINDS][SIM_MARK_PLACES];
};
extern struct sim_marks *sim_marks;

void sim_mark(enum sim_mark mark);
void sim_mark_fault(unsigned fault);
void sim_mark_move(unsigned move, unsigned state);
void sim_mark_kill(unsigned kind, unsigned place);

/* Adds `more` up. */
void sim_marks_add(struct sim_marks *sum, const struct sim_marks *more);

/* Prints the table. True if every mark that can be hit was hit `least` times. */
bool sim_marks_print(const struct sim_marks *marks, uint64_t least);

#endif
