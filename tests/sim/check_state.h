/*
 * Inside the checker: what it knows of each saga.
 *
 * Not for anybody else.
 */
#ifndef SIM_CHECK_STATE_H
#define SIM_CHECK_STATE_H

#include "check.h"
#include "rules.h"
#include "trace.h"

#define CHECK_SAGAS_MAX 512
/* No attempt follows another sooner. */
#define SIM_BACKOFF_MIN_MS 100
/* The longest commit, and what else holds a turn up. */
#define SIM_SLACK_MS 10000

struct check_step {
    enum sim_state state;
    uint8_t op;       /* the driven command's */
    bool open;        /* it has an open attempt */
    bool in_progress; /* ... which was answered `accepted` */
    bool maybe_ran;   /* some attempt of the action may have arrived */
    bool unresolved;  /* some earlier attempt of it may still take effect */
    bool fence_issued;
    bool forced;      /* the one compensation that a contradiction forces was issued */
    bool refused;     /* debt by a word */
    bool resolved;    /* an operator gave its verdict */
    bool marked;      /* an operator says that its debt is paid */
    bool written_off; /* ... or given up */
    bool cleared;     /* its participant has said that it closed its row */
    bool retried;     /* debt that is to be tried again */
    bool closed;   /* its participant has said that the action has no effect any more, nor will */
    bool survived; /* the open attempt was open at a restart: it may have left before */
    bool again;    /* it was sent more than once */
    bool turned_away; /* its last sending was refused by the outlet, in this epoch */
    bool wired;       /* some sending of the open attempt may arrive, in this epoch */
    bool by_word;     /* the attempt before this was ended by a word */
    uint32_t attempt;
    uint32_t spent;
    uint32_t unseen_attempt; /* it expired, and was not seen to leave; 0: none */
    uint8_t unseen_op;       /* ... of this operation */
    uint64_t unseen_commit;  /* in this commit, in which it may have been about to */
    uint16_t revisions[SAGA_OPERATION_COUNT + 1]; /* the latest issued; 0: none */
    uint64_t command_lsns[SAGA_OPERATION_COUNT + 1];
    uint32_t said;       /* verdicts on record, as bits */
    int64_t deadline_ms; /* INT64_MAX: none */
    int64_t sent_ms;     /* the open attempt, in this epoch; -1: not */
    int64_t ended_ms;    /* the attempt before this; -1: there is none, or it does not matter */
    uint64_t ended_lsn;
    uint64_t done_lsn; /* of the reply that said done (action or fence); 0: none */
    uint64_t done_revision;
    uint8_t done_op;
    char result[24]; /* what it adds to the data; "": not looked for */
};

#define SAID(operation, verdict) (UINT32_C(1) << (((operation)-1) * 8 + (verdict)))
#define SAID_DONE                (SAID(SAGA_ACTION, SAGA_DONE) | SAID(SAGA_FENCE, SAGA_DONE))
#define SAID_UNDO(verdict)       SAID(SAGA_COMPENSATION, verdict)

struct check_saga {
    struct saga_id id;
    const struct sim_shape *shape;
    uint64_t started_lsn;
    uint64_t last_lsn;
    uint64_t ended_commit; /* 0: open */
    uint64_t ended_lsn;    /* likewise */
    int64_t ended_ms;      /* the simulation's time */
    bool gone;             /* since its time is over */
    uint64_t gone_commit;
    int64_t deadline_ms;
    bool backward;
    bool pivot_passed;
    bool purged;    /* rows of its went while it was open: no promise about its end */
    bool touched;   /* in this batch */
    bool cancelled; /* a cancel is on record */
    bool resolved;  /* it went back since an operator said that its pivot was rejected */
    uint32_t deeds; /* of operators, on record: bits by enum saga_verb */
    bool outgrown;  /* a result since the latest command may not fit into one */
    unsigned results;
    uint8_t wish; /* a reason, 0: none */
    uint8_t parked;
    uint8_t parked_step;
    uint8_t outcome;
    uint8_t seen_outcome; /* what a client was told */
    uint64_t seen_lsn;
    char asker[24];     /* who is to be told of the end, by its start; "": nobody */
    bool is_heard;      /* ... and has been told */
    bool is_confirmed;  /* ... which a daemon has heard */
    uint32_t told_life; /* ... this one */
    char key[16];
    char last[24]; /* what every result says in its own way: the latest's; "": not looked for */
    char input[160];
    struct check_step steps[SIM_STEPS_MAX];
};

extern struct check_saga *const check_sagas;
extern unsigned check_saga_count;

/* NULL: none of this id. */
struct check_saga *check_find(const struct saga_id *id);

/* The commit that is being looked at, from 1. */
extern uint64_t check_commit;
/* The last durable record. */
extern uint64_t check_last_lsn;
/* ... when the transport had found its peer, and all was to be sent again. */
extern uint64_t check_resent_lsn;

/* When this participant last answered, be it nonsense, but for `retry`. */
extern uint64_t check_answer_lsns[SIM_PARTY_COUNT];

/* A record begins a saga: by a shape, for an invocation. */
struct check_saga *check_begin_saga(const struct saga_record *record);

/* What a record is about. */
struct scene {
    struct check_saga *saga;
    const struct saga_record *record;
    struct check_step *step; /* NULL: about the whole saga */
    const struct sim_step *plan;
};

/* The invariant does not hold for this record. */
_Noreturn void check_fail(const char *name, const struct scene *scene, const char *why);
void check_demand(bool condition, const char *name, const struct scene *scene, const char *why);

/* Going backward has nothing (more) to do about this step. */
bool check_settled(const struct check_saga *saga, uint8_t index);
/* The pivot certainly had no effect, or there is none. */
bool check_may_turn_back(const struct check_saga *saga);
/* done and noop were said of it, and no compensation was forced yet. */
bool check_contradicts(const struct check_step *step);
void check_unpark(struct check_saga *saga);
/* The budget of the driven command. */
const struct sim_patience *check_patience(const struct check_saga *saga, uint8_t index);

/* A move that the rules have; gives where it leads. */
enum sim_state check_move(const struct scene *scene, enum sim_move which);
void check_attempt_begins(struct scene *scene, uint32_t attempt);
void check_attempt_ends(struct scene *scene);
void check_reply(struct scene *scene);
void check_late(struct scene *scene);
/* What the step's result adds to the data is in `text`. */
void check_note_result(struct scene *scene, const struct saga_bytes *text);
/* What an operator did. */
void check_operator(struct scene *scene);
/* The step's attempt begins anew, though the record is not about its command. */
void check_reopen(const struct scene *about, uint8_t index, enum sim_state state);
/* The outcome that follows from what operators did. */
uint8_t check_outcome_due(const struct check_saga *saga);
/* An operator had his hand in how it ended. */
bool check_is_manual(const struct check_saga *saga);

/* The records of one saga, by the rules. */
void check_story(struct check_saga *saga, const struct saga_record *record);

/* A daemon's start. */
void check_epoch(struct check_saga *saga, const struct saga_record *record);

/* Who asked of an end (check_told.c): a start says who, a record says who was told. */
void check_told_begin(void);
void check_told_start(struct check_saga *saga, const struct saga_record *record);
void check_told_mark(const struct saga_record *record);
/* Nothing moves any more: everybody was. */
void check_all_told(void);

/* What is gone (check_history.c): a record says up to where. */
void check_history_begin(void);
void check_history_mark(const struct saga_record *record);

/* The key of a saga that was started long before `at_ms`, and may be used again. */
bool check_key_is_forgotten(const struct check_saga *saga, int64_t at_ms);
/* It was there when something was looked up that is answered now. */
bool check_was_there(const struct check_saga *saga);

/* At the engine's time `now_ms`: nothing is overdue. */
void check_overdue(const struct check_saga *saga, int64_t now_ms);

/* Between two commits: something will wake it, and nothing is left half decided. */
void check_rest(const struct check_saga *saga);

/* "7f3a11c2/s1" for texts. Valid until the second next call. */
const char *check_text(const struct check_saga *saga, uint8_t step);

#endif
