/*
 * One saga: what is known of it, and what follows.
 *
 * Hides the rules of a saga: attempts, unknown outcomes, the pivot, the order
 * of compensation. They are written in docs/semantics.md; a rule is named
 * beside the code that keeps it.
 *
 * Promises:
 *  1. A saga is the fold of its records: saga_apply() is the only function
 *     that changes one, live and in recovery.
 *  2. saga_decide() puts every record it makes through saga_apply() before it
 *     thinks of the next one, so that a decision cannot disagree with its own
 *     replay.
 *  3. No clock, no random numbers, no I/O, no allocation: equal inputs give
 *     equal records and equal states, byte for byte.
 *
 * Threads: none of its own; a saga belongs to whoever holds it.
 */
#ifndef SAGA_H
#define SAGA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SAGA_CHECKED __attribute__((warn_unused_result))

/* ---------------------------------------------------------------- identity */

/* A UUIDv7 (RFC 9562), big-endian as in its text form. All zero: no saga. */
struct saga_id {
    uint8_t bytes[16];
};

/* Steps are numbered from 0 in the order of the definition. */
#define SAGA_STEPS_MAX 64
#define SAGA_STEP_NONE 0xff

enum saga_operation {
    SAGA_ACTION = 1,
    SAGA_COMPENSATION,
    SAGA_FENCE,
    SAGA_SETTLE, /* closes the participant's row of a debt that an operator has settled */
};
#define SAGA_OPERATION_COUNT 4

/* A command's identity: the same on every attempt of it, new for every new
 * intent. Its text form is <saga>/<step>/<incarnation>/<operation>/<revision>. */
struct saga_command_id {
    struct saga_id saga;
    uint8_t step;
    uint8_t operation;    /* enum saga_operation */
    uint16_t incarnation; /* from 1 */
    uint16_t revision;    /* from 1 */
};

/* ------------------------------------------------------------------- facts */

/* What the log can say. The numbers are the disk's: never reuse one. */
enum saga_fact {
    SAGA_DEFINITION_LOADED = 1,
    SAGA_STARTED = 2,
    SAGA_COMMAND_ISSUED = 3,       /* the intent with its body; committed before it is sent */
    SAGA_COMMAND_UNSENT = 4,       /* the attempt was routed nowhere, or refused before a byte */
    SAGA_REPLY_RECEIVED = 5,       /* verdict and body */
    SAGA_ATTEMPT_EXPIRED = 6,      /* the attempt's time is over: its outcome is unknown */
    SAGA_CANCEL_REQUESTED = 7,     /* a backward wish, which may have to wait for the pivot */
    SAGA_COMPENSATION_STARTED = 8, /* from here on backward; with the reason */
    SAGA_PIVOT_PASSED = 9,         /* from here on never backward */
    SAGA_LATE_REPLY_RECEIVED = 10, /* recorded, decides nothing by itself */
    SAGA_PARKED = 11,              /* waits for somebody; with the reason */
    SAGA_OPERATOR_ACTED = 12,      /* verb, who, why; of the verbs about a step: which one */
    SAGA_ENDED = 13,               /* with the outcome */
    SAGA_EPOCH_STARTED = 14,       /* a daemon's start; folded into every open saga */
    SAGA_OUTCOMES_TOLD = 15,       /* who was to be told of the ends up to a position knows them */
    SAGA_HISTORY_PURGED = 16,      /* what stands up to a position is gone, but for what is kept */
};
#define SAGA_FACT_COUNT 16

/* True if the fact is one of the log itself and belongs to no saga: a definition, a
 * daemon's start, which ends were told, what was purged. */
SAGA_CHECKED bool saga_fact_is_of_log(uint8_t fact);

enum saga_verdict {
    SAGA_DONE = 1,
    SAGA_REJECTED,
    SAGA_ACCEPTED, /* in progress: the result follows */
    SAGA_RETRY,
    SAGA_FENCED,
    SAGA_NOOP,
    SAGA_UNKNOWN,
};
#define SAGA_VERDICT_COUNT 7

/* Why something happened. One list, so that a record needs one field. The
 * numbers are the disk's. */
enum saga_reason {
    /* backward (COMPENSATION_STARTED, CANCEL_REQUESTED) */
    SAGA_REASON_REJECTED = 1,      /* a step was rejected */
    SAGA_REASON_UNRESOLVED = 2,    /* a step's outcome stayed unknown: it is compensated */
    SAGA_REASON_FENCED = 3,        /* the fence closed a step that had never happened */
    SAGA_REASON_NEVER_RAN = 4,     /* no attempt of a step could be sent before its deadline */
    SAGA_REASON_CANCELLED = 5,     /* an operator's wish */
    SAGA_REASON_SAGA_DEADLINE = 6, /* the saga's own deadline */
    SAGA_REASON_RESOLVED = 7,      /* an operator said that a step was rejected */
    /* an attempt's end (COMMAND_UNSENT, ATTEMPT_EXPIRED, REPLY_RECEIVED); none: budget decides */
    SAGA_REASON_DEADLINE = 8, /* the command's deadline is over: no further attempt */
    /* parked */
    SAGA_REASON_DEBT = 16,            /* a compensation failed; somebody must settle it */
    SAGA_REASON_IN_DOUBT = 17,        /* a step's outcome is unknown and cannot be resolved here */
    SAGA_REASON_CONTRACT_BROKEN = 18, /* rejected or fenced where that cannot be */
    SAGA_REASON_REJECTION_IN_DOUBT = 19, /* an unfenced pivot's rejection may answer a duplicate */
    SAGA_REASON_UNRENDERED = 20,         /* the next command's body could not be made */
};

enum saga_outcome {
    SAGA_COMPLETED = 1,
    SAGA_COMPENSATED,
    SAGA_COMPLETED_MANUALLY,   /* with a step whose verdict an operator gave */
    SAGA_COMPENSATED_MANUALLY, /* the same, or with a debt that an operator vouched for */
    SAGA_INCONSISTENT,         /* with a debt that was written off */
};
#define SAGA_OUTCOME_COUNT 5

enum saga_verb {
    SAGA_VERB_CANCEL = 1,
    SAGA_VERB_RETRY,
    SAGA_VERB_RESOLVE,          /* gives the verdict of a step in doubt: done or rejected */
    SAGA_VERB_MARK_COMPENSATED, /* a debt is paid: the effect is undone, says the operator */
    SAGA_VERB_WRITE_OFF,        /* a debt is given up: the effect stays */
};
#define SAGA_VERB_COUNT 5

/* Bytes that the core carries and never reads. Borrowed: valid until the
 * record has been appended. */
struct saga_bytes {
    const void *data;
    uint32_t size;
};

/* One fact. Fields that a fact does not use are 0 (step: SAGA_STEP_NONE), and
 * saga_apply() refuses a record in which they are not. */
struct saga_record {
    uint64_t lsn;            /* position in the log, from 1, without gaps */
    uint64_t previous_lsn;   /* of the same saga; 0: its first */
    struct saga_id saga;     /* zero for facts of the log itself */
    int64_t at_ms;           /* the engine's clock: ms since 1970 UTC, never backwards */
    int64_t wall_ms;         /* what the wall clock said; for readers only */
    uint64_t definition_lsn; /* STARTED: where its DEFINITION_LOADED stands */
    uint64_t through_lsn;    /* OUTCOMES_TOLD, HISTORY_PURGED: up to where they speak */
    uint32_t epoch;          /* the daemon's start that wrote it, from 1 */
    uint32_t attempt;        /* from 1 */
    uint16_t incarnation;
    uint16_t revision;
    uint8_t fact;      /* enum saga_fact */
    uint8_t step;      /* or SAGA_STEP_NONE */
    uint8_t operation; /* enum saga_operation */
    uint8_t verdict;   /* enum saga_verdict */
    uint8_t reason;    /* enum saga_reason */
    uint8_t outcome;   /* enum saga_outcome */
    uint8_t verb;      /* enum saga_verb */
    uint8_t reserved;
    /* STARTED: start key. DEFINITION_LOADED: content hash. OPERATOR, CANCEL: who */
    struct saga_bytes key;
    /* STARTED: input. COMMAND_ISSUED, REPLY, LATE_REPLY: body. OPERATOR, CANCEL: why */
    struct saga_bytes payload;
    /* STARTED: who is to be told of the end; size 0: nobody. OPERATOR resolve, done: the result,
     * JSON, as a reply's content */
    struct saga_bytes content;
};

/* -------------------------------------------------------------------- plan */

enum saga_position { SAGA_BEFORE_PIVOT = 1, SAGA_PIVOT, SAGA_AFTER_PIVOT };
enum saga_undo {
    SAGA_UNDO_NOTHING = 1,  /* the step has no effect (or stands after the pivot) */
    SAGA_UNDO_COMPENSATION, /* by a compensation of its own */
    SAGA_UNDO_BY_STEP,      /* by an earlier step's compensation: here a fence takes its place */
};
enum saga_on_unknown {
    SAGA_ON_UNKNOWN_FENCE = 1,
    SAGA_ON_UNKNOWN_COMPENSATE,
    SAGA_ON_UNKNOWN_PARK
};

/* How long and how often. Times in ms. */
struct saga_budget {
    int64_t timeout_ms;    /* of one attempt; > 0 */
    int64_t deadline_ms;   /* of all attempts together, from the COMMAND; 0: none */
    int64_t initial_ms;    /* first backoff */
    int64_t max_ms;        /* longest backoff */
    uint32_t factor_milli; /* growth of the backoff: 2000 doubles it */
    uint32_t attempts_max; /* at most SAGA_ATTEMPTS_MAX; 0: without end */
};

/* The most attempts a budget can name; who wants more wants a deadline. */
#define SAGA_ATTEMPTS_MAX 250
/* The longest time a plan can name: 10,000 days. Keeps every sum of times in range. */
#define SAGA_TIME_MS_MAX INT64_C(864000000000)
/* The latest that the clock can say; leaves room for every sum of times. */
#define SAGA_CLOCK_MS_MAX (INT64_MAX / 4)

/* Backoff is never below this (dtm-labs/dtm#306: 80 compensations a second). */
#define SAGA_BACKOFF_MIN_MS 100

struct saga_plan_step {
    uint64_t after;         /* bit i: step i is done before this one starts */
    uint16_t participant;   /* any number the caller gives it; equal for equal participants */
    uint8_t position;       /* enum saga_position */
    uint8_t undo;           /* enum saga_undo */
    uint8_t compensated_by; /* a step, where undo is SAGA_UNDO_BY_STEP */
    uint8_t on_unknown;     /* enum saga_on_unknown */
    bool fenced;            /* its participant keeps the fence */
    bool single_delivery;   /* its participant never sees a duplicate of its own making */
    struct saga_budget action;
    struct saga_budget compensation;
};

/* What the core needs of a definition: numbers, no names. Checked by
 * saga_plan_check() before use. Owner: the caller, until the coordinator that
 * was given it is gone. */
struct saga_plan {
    uint64_t definition_lsn;
    int64_t deadline_ms; /* of the saga; 0: none */
    uint8_t step_count;
    uint8_t pivot; /* a step, or SAGA_STEP_NONE */
    struct saga_plan_step steps[SAGA_STEPS_MAX];
};

/* True if the numbers make sense: every step ordered before or after the
 * pivot, dependencies only on earlier steps, compensated_by an earlier step
 * with a compensation, budgets positive. */
SAGA_CHECKED bool saga_plan_check(const struct saga_plan *plan);

/* ------------------------------------------------------------------- state */

enum saga_phase {
    SAGA_STEP_PENDING = 1,  /* no command yet */
    SAGA_STEP_RUNNING,      /* the action is outstanding */
    SAGA_STEP_DONE,         /* it took effect */
    SAGA_STEP_REJECTED,     /* a definite no: no effect */
    SAGA_STEP_DISCLAIMED,   /* a no that cannot be believed: decides the direction only */
    SAGA_STEP_FENCED,       /* never happened, never will */
    SAGA_STEP_UNKNOWN,      /* attempts used up, and it may have run */
    SAGA_STEP_NEVER_RAN,    /* attempts used up, and none was ever sent */
    SAGA_STEP_FENCING,      /* forward: the fence is asked what became of it */
    SAGA_STEP_CLOSING,      /* backward: the fence stands in for a compensation */
    SAGA_STEP_COMPENSATING, /* the compensation is outstanding */
    SAGA_STEP_COMPENSATED,  /* settled */
    SAGA_STEP_DEBT,         /* its compensation failed; somebody must settle it */
    SAGA_STEP_SETTLING, /* an operator settles the debt: the participant's row is being closed */
    SAGA_STEP_SETTLED,  /* an operator has settled the debt; the flags say how */
};
#define SAGA_PHASE_COUNT 15

/* Flags of a step. They are about its present incarnation. */
enum {
    SAGA_STEP_OPEN = 1 << 0, /* the driven command has an open attempt */
    SAGA_STEP_REACHED =
        1 << 1, /* some attempt of the action was not unsent, or was open at a restart */
    SAGA_STEP_UNRESOLVED = 1 << 2,  /* some earlier sending of the action may still take effect */
    SAGA_STEP_IN_PROGRESS = 1 << 3, /* the open attempt was answered `accepted` */
    SAGA_STEP_UNANSWERED = 1 << 4,  /* the last attempt was closed by silence, not by a word */
    SAGA_STEP_FENCE_SENT = 1 << 5,  /* a fence was issued */
    SAGA_STEP_FORCED = 1 << 6,      /* the one forced compensation was issued */
    SAGA_STEP_REFUSED = 1 << 7,     /* debt by a word, not by silence */
    SAGA_STEP_RETRIED = 1 << 8,     /* debt that an operator wants tried again */
    /* Verdicts on record. A fence's answer is about the action. */
    SAGA_STEP_SAID_DONE = 1 << 9,
    SAGA_STEP_SAID_REJECTED = 1 << 10,
    SAGA_STEP_SAID_FENCED = 1 << 11,
    SAGA_STEP_SAID_COMPENSATED = 1 << 12,
    SAGA_STEP_SAID_NOT_COMPENSATED = 1 << 13,
    SAGA_STEP_SAID_NOOP = 1 << 14,
    SAGA_STEP_SAID_SETTLED = 1 << 15,
    /* What an operator said; never taken back. */
    SAGA_STEP_RESOLVED = 1 << 16,    /* gave the step's verdict */
    SAGA_STEP_MARKED = 1 << 17,      /* the debt is paid */
    SAGA_STEP_WRITTEN_OFF = 1 << 18, /* the debt is given up */
};

struct saga_step {
    uint8_t phase;        /* enum saga_phase */
    uint8_t operation;    /* the driven command's; 0: none yet */
    uint8_t order;        /* the how-manieth step to start, from 1; 0: not started */
    uint8_t spent;        /* attempts that cost budget, at most 255 */
    uint16_t incarnation; /* from 1 */
    uint16_t revision;    /* of the driven command, from 1 */
    uint32_t flags;
    uint32_t attempt;     /* of the driven command: the open one, or the last */
    int64_t send_at_ms;   /* the open attempt is not sent before this */
    int64_t deadline_ms;  /* of the driven command; INT64_MAX: none, or it only alerts */
    uint64_t command_lsn; /* where the driven command's body stands */
};

enum saga_direction { SAGA_FORWARD = 1, SAGA_BACKWARD };

/* One saga. Has no pointer, so two are equal when their bytes are. Its size
 * depends on its steps: saga_size(). */
struct saga {
    struct saga_id id;
    uint64_t definition_lsn;
    uint64_t last_lsn;  /* its latest record: the end of the chain */
    uint64_t ended_lsn; /* 0: open */
    int64_t started_ms;
    int64_t deadline_ms; /* INT64_MAX: none */
    uint8_t step_count;
    uint8_t direction;     /* enum saga_direction */
    uint8_t outcome;       /* enum saga_outcome; 0: open */
    uint8_t parked;        /* enum saga_reason; 0: not parked */
    uint8_t wish;          /* why it is to go backward, once the pivot allows; 0: nobody wants it */
    uint8_t reason;        /* why it goes backward */
    uint8_t pivot_passed;  /* 0 or 1 */
    uint8_t started_count; /* steps that have started */
    uint8_t parked_step;   /* the step it is parked about, or SAGA_STEP_NONE */
    uint8_t reserved[3];
    uint32_t epoch; /* the latest that was folded in */
    struct saga_step steps[];
};

/* Bytes of a saga of `step_count` steps. */
size_t saga_size(uint8_t step_count);

/* ------------------------------------------------------------ apply: the fold */

enum saga_apply_error {
    SAGA_APPLIED = 0,
    SAGA_APPLY_ILLEGAL,   /* no such transition: the log is corrupt */
    SAGA_APPLY_MISPLACED, /* wrong saga, wrong predecessor, or a field that the fact has not */
};

/* Makes `saga` (uninitialised memory of saga_size()) from its STARTED record. */
SAGA_CHECKED enum saga_apply_error saga_begin(struct saga *saga, const struct saga_plan *plan,
                                              const struct saga_record *started);

/* Folds one record in. On an error the saga is unchanged. Never asserts on
 * what it reads. An EPOCH_STARTED record is folded into every open saga and
 * does not become its last_lsn.
 *
 * Times in the state serve the timers alone; no transition depends on them. So
 * a saga can be folded from its own chain of records, with an EPOCH_STARTED of any time
 * wherever the records' epoch rises, and differs from the live one in times only. */
SAGA_CHECKED enum saga_apply_error saga_apply(struct saga *saga, const struct saga_plan *plan,
                                              const struct saga_record *record);

/* True if a state that was stored can be gone on from: every number in it is one that
 * the fold could have left, by itself. Says nothing of how they came together; that is
 * the records'. */
SAGA_CHECKED bool saga_is_sound(const struct saga *saga, const struct saga_plan *plan);

/* ---------------------------------------------------- decide: what follows */

enum saga_input_type {
    SAGA_INPUT_REPLY = 1, /* a participant's word */
    SAGA_INPUT_UNSENT,    /* no byte of any sending of this attempt can arrive any more */
    SAGA_INPUT_TIMEOUT,   /* the open attempt's time, or its command's deadline, is over */
    SAGA_INPUT_RENDERED,  /* the answer to EVALUATE */
    SAGA_INPUT_CANCEL,
    SAGA_INPUT_RETRY,
    SAGA_INPUT_SAGA_DEADLINE,
    SAGA_INPUT_RESOLVE,
    SAGA_INPUT_MARK_COMPENSATED,
    SAGA_INPUT_WRITE_OFF,
};
#define SAGA_INPUT_COUNT 10

/* One thing that happened to one saga. */
struct saga_event {
    int64_t at_ms;
    int64_t wall_ms;
    uint32_t epoch;
    uint8_t type; /* enum saga_input_type */
    uint8_t step; /* REPLY, UNSENT, TIMEOUT, RENDERED, RESOLVE, MARK_COMPENSATED, WRITE_OFF */
    uint8_t operation;
    uint8_t verdict;      /* REPLY, RESOLVE */
    uint16_t incarnation; /* REPLY, UNSENT */
    uint16_t revision;
    uint32_t attempt; /* REPLY: 0 where the reply does not say; UNSENT */
    bool unsent; /* REPLY, TIMEOUT, CANCEL, RESOLVE, SAGA_DEADLINE: the open attempt of `step` has
                    never left, and will not */
    bool failed; /* RENDERED: no body could be made */
    struct saga_bytes key;
    struct saga_bytes payload;
    struct saga_bytes content; /* RESOLVE; a start: who is to be told of the end */
};

/* What became of the input, for whoever sent it. */
enum saga_answer {
    SAGA_ANSWER_TAKEN = 1, /* recorded; it decided something */
    SAGA_ANSWER_PENDING,   /* cancel, resolve: recorded, waits for the pivot's verdict */
    SAGA_ANSWER_ALREADY,   /* cancel: goes backward already. mark, write-off: was said before.
                              reply: a repeat, nothing recorded */
    SAGA_ANSWER_LATE,      /* reply: recorded, decided nothing */
    SAGA_ANSWER_REFUSED,   /* cancel past the pivot, retry of a broken contract, a step that is
                              not in doubt, or no debt; ended */
    SAGA_ANSWER_STALE,     /* about an attempt or command that is no longer, or never was */
    SAGA_ANSWER_FULL,      /* start: no room for another saga */
    SAGA_ANSWER_NO_SAGA,   /* no open saga of that id */
};
#define SAGA_ANSWER_COUNT 8

/* The most records of one decision. */
#define SAGA_DECISION_MAX 8

struct saga_decision {
    enum saga_answer answer;
    uint8_t record_count;
    /* A body is needed before this decision can go on: answer with RENDERED,
     * in the same commit. SAGA_STEP_NONE: nothing is needed. */
    uint8_t render_step;
    uint8_t render_operation;
    struct saga_record records[SAGA_DECISION_MAX]; /* complete, in order */
};

/*
 * Decides what `event` means for `saga`, and applies it.
 *
 * Ensures: 1. the records, appended in order from `next_lsn` on, fold the old
 * state into the new one; 2. nothing more follows from the new state, unless
 * render_step asks for a body; 3. an input that means nothing leaves the saga
 * as it was, with no record.
 */
void saga_decide(struct saga *saga, const struct saga_plan *plan, const struct saga_event *event,
                 uint64_t next_lsn, struct saga_decision *decision);

/* What follows from a saga as it stands, with no input but the time: used right
 * after its start. Same promises. */
void saga_follow(struct saga *saga, const struct saga_plan *plan, const struct saga_event *event,
                 uint64_t next_lsn, struct saga_decision *decision);

/* True if nothing follows from the state by itself: every decision was whole.
 * A folded log of which this is not true has been torn. */
SAGA_CHECKED bool saga_settled(const struct saga *saga, const struct saga_plan *plan);

/* --------------------------------------------------- todo: what is outstanding */

/* One command that waits for its answer. */
struct saga_outstanding {
    struct saga_command_id id;
    uint32_t attempt;
    bool in_progress;     /* answered `accepted` */
    bool unanswered;      /* the attempt before it ended in silence */
    int64_t send_at_ms;   /* not before */
    int64_t timeout_ms;   /* of the attempt, from its sending */
    int64_t deadline_ms;  /* of the command; INT64_MAX: none, or it only alerts */
    int64_t poll_ms;      /* in progress: asked again after this long */
    uint64_t command_lsn; /* where the body stands */
    uint16_t participant;
};

/* The outstanding commands of a saga, at most step_count; returns how many.
 * Nothing of an ended saga; of a parked one what may still be answered is not
 * outstanding either: nothing will be sent. */
size_t saga_todo(const struct saga *saga, const struct saga_plan *plan,
                 struct saga_outstanding *outstanding);

/* True if the saga's own deadline still means something. */
SAGA_CHECKED bool saga_deadline_counts(const struct saga *saga, const struct saga_plan *plan);

/* The backoff before attempt `attempt` (from 2) of a command: full jitter, a
 * hash of id and attempt, so that a replay computes the same. */
int64_t saga_backoff_ms(const struct saga_budget *budget, const struct saga_command_id *id,
                        uint32_t attempt);

/* ------------------------------------------------------------------- names */

/* The names everything shares (docs/protocol.md): "COMMAND_ISSUED", "done",
 * "compensation", ... "?" for a number that means nothing. */
const char *saga_fact_name(uint8_t fact);
const char *saga_verdict_name(uint8_t verdict);
const char *saga_operation_name(uint8_t operation);
const char *saga_reason_name(uint8_t reason);
const char *saga_outcome_name(uint8_t outcome);
const char *saga_verb_name(uint8_t verb);
const char *saga_phase_name(uint8_t phase);                      /* internal, for traces */
const char *saga_step_status_name(const struct saga_step *step); /* public vocabulary */
const char *saga_status_name(const struct saga *saga);           /* public vocabulary */

#endif
