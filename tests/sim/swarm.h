/*
 * The swarm: which faults this seed has, and how often.
 *
 * Each fault is on in some seeds only, at one of several rates: faults that are
 * always on together hide each other. Rates are per mille of the occasions.
 *
 * Threads: one.
 */
#ifndef SIM_SWARM_H
#define SIM_SWARM_H

#include <stdbool.h>
#include <stdint.h>

#include "checkpointer.h"
#include "purger.h"

enum sim_fault {
    /* the way to a participant */
    SIM_FAULT_DROP = 0,
    SIM_FAULT_DOUBLE,
    SIM_FAULT_DELAY,       /* longer than a timeout; so others overtake it */
    SIM_FAULT_LIMBO,       /* until its saga has ended */
    SIM_FAULT_UNROUTABLE,  /* the outlet says at once that nobody is there */
    SIM_FAULT_RETURNED,    /* ... or the transport says so later */
    SIM_FAULT_MISROUTED,   /* a copy comes to another participant */
    SIM_FAULT_BROKER_LOSS, /* everything on its way is gone */
    SIM_FAULT_OUTAGE,      /* the transport has no peer for a while */
    SIM_FAULT_END_REFUSED, /* ... and tells nobody of an end just now */
    /* the way back */
    SIM_FAULT_REPLY_DROP,
    SIM_FAULT_REPLY_DOUBLE,
    SIM_FAULT_REPLY_DELAY,
    SIM_FAULT_REPLY_LIMBO,
    SIM_FAULT_MALFORMED,
    SIM_FAULT_UNLISTED,
    SIM_FAULT_UNKNOWN_SAGA,
    SIM_FAULT_WRONG_COMMAND,
    SIM_FAULT_ANONYMOUS, /* the reply does not name the attempt */
    /* participants */
    SIM_FAULT_CRASH_BEFORE,
    SIM_FAULT_CRASH_AFTER,
    SIM_FAULT_LOCKED, /* its commit fails */
    SIM_FAULT_DOWN,
    SIM_FAULT_SLOW,
    SIM_FAULT_ACCEPT, /* answers `accepted` first */
    SIM_FAULT_RETRY,
    SIM_FAULT_ERROR, /* the business code fails */
    SIM_FAULT_REJECT,
    SIM_FAULT_UNDO_REJECT,
    SIM_FAULT_BLOAT, /* answers that do not fit into one command together */
    /* the daemon */
    SIM_FAULT_KILL,        /* at any failpoint */
    SIM_FAULT_KILL_APPEND, /* inside the log's append */
    SIM_FAULT_KILL_COMMIT, /* inside a commit: old or new */
    SIM_FAULT_COMMIT_FAILS,
    SIM_FAULT_KILL_REPLAY, /* while recovery reads */
    SIM_FAULT_SLOW_COMMIT,
    SIM_FAULT_DRAIN,
    SIM_FAULT_LOG_FULL,
    SIM_FAULT_WALL_JUMP,
    SIM_FAULT_REBOOT,
    /* clients and operators */
    SIM_FAULT_STORM,       /* one start many times at once */
    SIM_FAULT_OTHER_INPUT, /* with the same key */
    SIM_FAULT_LOST_ANSWER,
    SIM_FAULT_CANCEL,
    SIM_FAULT_OPERATOR_RETRY,
    SIM_FAULT_RESOLVE,
    SIM_FAULT_SETTLE, /* mark-compensated, write-off */
    SIM_FAULT_PURGE,  /* of participants' rows, while sagas are open, after a long blackout */
    SIM_FAULT_COUNT,
};

extern const char *const sim_fault_names[SIM_FAULT_COUNT];

struct sim_swarm {
    unsigned rates[SIM_FAULT_COUNT];
    int64_t chaos_ms;    /* how long there are faults */
    unsigned saga_count; /* that clients want */
    unsigned turn_max;   /* requests that the daemon takes at a time */
    struct saga_checkpoint_pace checkpoints;
    struct saga_retention retention;
    unsigned recovery_kills;
    int64_t blackout_from_ms;  /* nothing arrives from here on ... */
    int64_t blackout_until_ms; /* ... to here, when participants purge their rows; 0: none */
    bool forgets;    /* participants purge their rows in the end, before the last commands come */
    bool comes_back; /* who has started a saga starts it once more, long afterwards */
    bool doubtful;   /* much stays unknown, and much is asked of fences */
    bool shadow;     /* compare live and replayed state after each commit */
    bool reparsed;   /* definitions are parsed at every start, not remembered */
};
extern struct sim_swarm sim_swarm;

void sim_swarm_begin(void);

/* From here on there are no faults. */
void sim_swarm_heal(void);

/* Nothing arrives at the moment. */
bool sim_swarm_is_black(void);

/* True if the fault happens on this occasion. Counts it. */
bool sim_fault(enum sim_fault fault);

#endif
