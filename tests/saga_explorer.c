#include "saga_explorer.h"

#include "saga_reference.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every event happens now, or after every deadline. */
static const int64_t now_ms = 1000000;
static const int64_t later_ms = 2000000;
static const uint64_t last_lsn = 1000;

/* What one saga of the longest plan tried here needs. */
union scratch {
    struct saga saga;
    unsigned char bytes[1024];
};

/* -------------------------------------------------------------------- plans */

/* Position before, at and after the pivot; fenced, unfenced, single delivery; each on_unknown;
 * each way to undo; one after the other and side by side. */
const struct saga_explorer_plan saga_explorer_plans[SAGA_EXPLORER_PLAN_COUNT] = {
    {"block", true, 1000},
    {"block~", false, 100},
    {"block~1", false, 100},
    {"block!", false, 100},
    {"block?", false, 100},
    {"block-", true, 100},
    {"reserve*", true, 100},
    {"reserve*~", true, 50},
    {"reserve*~1?", false, 30},
    {"create block", false, 8000},
    {"create~ block!", false, 2000},
    {"create? block~1", false, 2000},
    {"create approve<create", false, 2500},
    {"look- block", false, 300},
    {"create reserve*", false, 800},
    {"create reserve*?", false, 800},
    {"create~ reserve*~", false, 200},
    {"create reserve*~1 confirm~", false, 500},
    {"reserve* confirm", false, 100},
    {"reserve* confirm~?", false, 100},
    {"block~@ authorize~1@", false, 2000},
    {"block!@ look-@ reserve*@block,look", false, 300},
    {"create~ look- block~", false, 1000},
};

/* ------------------------------------------------------------------ telling */

const char *saga_explorer_describe(const struct saga *saga) {
    static char text[1024];
    size_t length = (size_t)snprintf(text, sizeof text,
                                     "direction %u outcome %u parked %u about %u wish %u passed %u",
                                     saga->direction, saga->outcome, saga->parked,
                                     saga->parked_step, saga->wish, saga->pivot_passed);
    for (uint8_t i = 0; i < saga->step_count && length < sizeof text; i++) {
        const struct saga_step *step = &saga->steps[i];
        length +=
            (size_t)snprintf(text + length, sizeof text - length,
                             "\n    step %u: %s, %s r%u attempt %u, spent %u, flags %#x", i,
                             saga_phase_name(step->phase), saga_operation_name(step->operation),
                             step->revision, step->attempt, step->spent, step->flags);
    }
    return text;
}

const char *saga_explorer_describe_record(const struct saga_record *record) {
    static char text[256];
    snprintf(text, sizeof text,
             "%s: step %u, %s r%u attempt %u incarnation %u, verdict %s, reason %u, outcome %u, "
             "verb %u",
             saga_fact_name(record->fact), record->step, saga_operation_name(record->operation),
             record->revision, record->attempt, record->incarnation,
             saga_verdict_name(record->verdict), record->reason, record->outcome, record->verb);
    return text;
}

static const char *describe_event(const struct saga_event *event) {
    static char text[256];
    snprintf(text, sizeof text,
             "input %u at %lld: step %u, %s r%u attempt %u, verdict %s, incarnation %u%s%s",
             event->type, (long long)event->at_ms, event->step,
             saga_operation_name(event->operation), event->revision, event->attempt,
             saga_verdict_name(event->verdict), event->incarnation, event->unsent ? ", unsent" : "",
             event->failed ? ", failed" : "");
    return text;
}

/* ------------------------------------------------------------------- states */

const struct saga *saga_explorer_state(const struct saga_explorer *explorer, size_t number) {
    return (const struct saga *)(const void *)(explorer->states + number * explorer->state_size);
}

/* Gives equal states equal bytes. */
static void canonize(const struct saga_explorer *explorer, struct saga *saga) {
    const uint32_t memory_only = SAGA_STEP_SAID_REJECTED | SAGA_STEP_SAID_FENCED |
                                 SAGA_STEP_SAID_COMPENSATED | SAGA_STEP_SAID_NOT_COMPENSATED |
                                 SAGA_STEP_SAID_SETTLED | SAGA_STEP_UNANSWERED;
    /* Doubts about the action matter while its verdict can still be taken. */
    const uint32_t doubts = SAGA_STEP_REACHED | SAGA_STEP_UNRESOLVED;
    const uint32_t undecided = 1u << SAGA_STEP_RUNNING | 1u << SAGA_STEP_UNKNOWN |
                               1u << SAGA_STEP_NEVER_RAN | 1u << SAGA_STEP_FENCING;
    saga->last_lsn = last_lsn;
    saga->ended_lsn = saga->ended_lsn == 0 ? 0 : last_lsn;
    saga->started_ms = now_ms;
    saga->epoch = 1;
    saga->reason = saga->reason == 0 ? 0 : SAGA_REASON_REJECTED;
    for (uint8_t i = 0; i < saga->step_count; i++) {
        struct saga_step *step = &saga->steps[i];
        bool open = (step->flags & SAGA_STEP_OPEN) != 0;
        step->attempt = step->operation == 0 ? 0 : !open || step->attempt == 1 ? 1 : 2;
        bool counts = open && step->operation != SAGA_SETTLE; /* which has no budget */
        step->spent = !counts ? 0 : step->spent < 2 ? step->spent : 2;
        step->revision = step->revision < 2 ? step->revision : 2;
        step->command_lsn = step->command_lsn == 0 ? 0 : last_lsn;
        step->send_at_ms = step->operation == 0 ? 0 : now_ms;
        step->deadline_ms = step->deadline_ms == INT64_MAX ? INT64_MAX : now_ms + 60000;
        if (!explorer->thorough) {
            step->flags &= ~memory_only;
            step->flags &= (undecided & (1u << step->phase)) != 0 ? UINT32_MAX : ~doubts;
        }
    }
}

static uint64_t hash(const unsigned char *bytes, size_t size) {
    uint64_t value = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i + 8 <= size; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, sizeof word);
        value = (value ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        value ^= value >> 29;
    }
    return value;
}

static void put(struct saga_explorer *explorer, uint32_t number) {
    const unsigned char *state = explorer->states + number * explorer->state_size;
    size_t slot = hash(state, explorer->state_size) & (explorer->slot_count - 1);
    while (explorer->slots[slot] != 0) {
        slot = (slot + 1) & (explorer->slot_count - 1);
    }
    explorer->slots[slot] = number + 1;
}

static void grow(struct saga_explorer *explorer) {
    explorer->state_capacity = explorer->state_capacity == 0 ? 1024 : explorer->state_capacity * 2;
    explorer->states = realloc(explorer->states, explorer->state_capacity * explorer->state_size);
    free(explorer->slots);
    explorer->slot_count = explorer->state_capacity * 2;
    explorer->slots = calloc(explorer->slot_count, sizeof *explorer->slots);
    ck_assert_ptr_nonnull(explorer->states);
    ck_assert_ptr_nonnull(explorer->slots);
    for (uint32_t i = 0; i < explorer->state_count; i++) {
        put(explorer, i);
    }
}

/* Keeps a state, unless it is known. */
static void visit(struct saga_explorer *explorer, const struct saga *saga) {
    union scratch state;
    memcpy(&state, saga, explorer->state_size);
    canonize(explorer, &state.saga);
    if (explorer->state_count == explorer->state_capacity) {
        grow(explorer);
    }
    size_t slot = hash(state.bytes, explorer->state_size) & (explorer->slot_count - 1);
    for (; explorer->slots[slot] != 0; slot = (slot + 1) & (explorer->slot_count - 1)) {
        if (memcmp(saga_explorer_state(explorer, explorer->slots[slot] - 1), &state,
                   explorer->state_size) == 0) {
            return;
        }
    }
    memcpy(explorer->states + explorer->state_count * explorer->state_size, &state,
           explorer->state_size);
    explorer->slots[slot] = (uint32_t)++explorer->state_count;
    explorer->ended_count += saga->outcome != 0;
}

/* ------------------------------------------------------------------- checks */

/* What is being tried, for a failing test. */
struct trial {
    struct saga_explorer *explorer;
    const struct saga *state;
    const struct saga_event *event;
};

#define HOLDS(trial, condition)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            ck_abort_msg("%s\n  plan: %s\n  in: %s\n  on: %s", #condition,                         \
                         (trial)->explorer->plan_text, saga_explorer_describe((trial)->state),     \
                         describe_event((trial)->event));                                          \
        }                                                                                          \
    } while (0)

/* The record's fold, by the core and by the reference: `saga` goes one step on. */
static void check_record(const struct trial *trial, struct saga *saga,
                         const struct saga_record *record) {
    const struct saga_plan *plan = &trial->explorer->script.plan;
    union scratch expected;
    union scratch folded;
    uint8_t from = record->step < saga->step_count ? saga->steps[record->step].phase : 0;
    const char *why = saga_reference_fold(saga, plan, record, &expected.saga);
    HOLDS(trial, why != NULL);
    HOLDS(trial, saga_apply(saga, plan, record) == SAGA_APPLIED);
    memcpy(&folded, saga, trial->explorer->state_size);
    saga_reference_strip_times(&folded.saga);
    if (memcmp(&folded, &expected, trial->explorer->state_size) != 0) {
        char text[1024];
        snprintf(text, sizeof text, "%s", saga_explorer_describe(&expected.saga));
        fprintf(stderr, "expected (%s): %s\nbut: %s\n", why, text,
                saga_explorer_describe(&folded.saga));
    }
    HOLDS(trial, memcmp(&folded, &expected, trial->explorer->state_size) == 0);
    if (record->step < saga->step_count) {
        trial->explorer->taken[record->fact][record->operation][record->verdict][from]
                              [saga->steps[record->step].phase] = true;
    }
}

static void check_answer(const struct trial *trial, const struct saga_decision *decision) {
    switch (decision->answer) {
    case SAGA_ANSWER_TAKEN:
        HOLDS(trial, decision->record_count > 0);
        HOLDS(trial, decision->records[0].fact != SAGA_LATE_REPLY_RECEIVED);
        return;
    case SAGA_ANSWER_LATE:
        HOLDS(trial, decision->record_count > 0);
        HOLDS(trial, decision->records[0].fact == SAGA_LATE_REPLY_RECEIVED);
        return;
    case SAGA_ANSWER_PENDING: /* recorded now, or before */
        HOLDS(trial, decision->record_count == 0 ||
                         decision->records[0].fact == SAGA_CANCEL_REQUESTED ||
                         decision->records[0].fact == SAGA_OPERATOR_ACTED);
        return;
    case SAGA_ANSWER_ALREADY:
    case SAGA_ANSWER_REFUSED:
    case SAGA_ANSWER_STALE:
        HOLDS(trial, decision->record_count == 0);
        return;
    case SAGA_ANSWER_FULL: /* what only a coordinator says */
    case SAGA_ANSWER_NO_SAGA:
        break;
    }
    HOLDS(trial, decision->answer <= SAGA_ANSWER_STALE);
}

/* Nothing sets an outcome silently. */
static void check_end(const struct trial *trial, const struct saga *saga,
                      const struct saga_plan_step *planned, const struct saga_step *step) {
    bool forward = saga->outcome == SAGA_COMPLETED || saga->outcome == SAGA_COMPLETED_MANUALLY;
    bool plain = saga->outcome == SAGA_COMPLETED || saga->outcome == SAGA_COMPENSATED;
    const uint32_t by_hand = SAGA_STEP_RESOLVED | SAGA_STEP_MARKED | SAGA_STEP_WRITTEN_OFF;
    if (saga->outcome == 0) {
        return;
    }
    HOLDS(trial, !forward || step->phase == SAGA_STEP_DONE);
    HOLDS(trial, step->phase != SAGA_STEP_DEBT && step->phase != SAGA_STEP_SETTLING);
    HOLDS(trial, forward || step->phase != SAGA_STEP_DONE || planned->undo == SAGA_UNDO_NOTHING);
    HOLDS(trial, !plain || (step->flags & by_hand) == 0);
    HOLDS(trial, (step->flags & SAGA_STEP_WRITTEN_OFF) == 0 || saga->outcome == SAGA_INCONSISTENT);
}

/* What must hold of every state, however it came about. */
static void check_state(const struct trial *trial, const struct saga *saga) {
    const struct saga_plan *plan = &trial->explorer->script.plan;
    struct saga_outstanding todo[SAGA_STEPS_MAX];
    size_t outstanding = saga_todo(saga, plan, todo);
    bool quiet = saga->outcome != 0 || saga->parked != 0;
    bool pivot_done =
        plan->pivot != SAGA_STEP_NONE && saga->steps[plan->pivot].phase == SAGA_STEP_DONE;
    HOLDS(trial, !quiet || outstanding == 0);
    HOLDS(trial, quiet || !saga_settled(saga, plan) || outstanding > 0); /* who would wake it? */
    HOLDS(trial, !saga->pivot_passed || saga->direction == SAGA_FORWARD);
    HOLDS(trial, !pivot_done || saga->direction == trial->state->direction);
    HOLDS(trial, saga->outcome == 0 || saga_settled(saga, plan));
    for (uint8_t i = 0; i < saga->step_count; i++) {
        const struct saga_step *step = &saga->steps[i];
        const struct saga_plan_step *planned = &plan->steps[i];
        bool undone = step->phase == SAGA_STEP_COMPENSATING ||
                      step->phase == SAGA_STEP_COMPENSATED || step->phase == SAGA_STEP_DEBT ||
                      step->phase == SAGA_STEP_CLOSING || step->phase == SAGA_STEP_SETTLING ||
                      step->phase == SAGA_STEP_SETTLED;
        HOLDS(trial, !undone || saga->direction == SAGA_BACKWARD);
        HOLDS(trial, !undone || step->order != 0); /* never one that has no command */
        HOLDS(trial, !undone || planned->undo != SAGA_UNDO_NOTHING);
        check_end(trial, saga, planned, step);
    }
    for (size_t i = 0; i < outstanding; i++) {
        const struct saga_step *step = &saga->steps[todo[i].id.step];
        HOLDS(trial, todo[i].id.revision == step->revision);
        HOLDS(trial, todo[i].id.operation == step->operation);
        HOLDS(trial, todo[i].timeout_ms > 0);
        HOLDS(trial, todo[i].id.operation != SAGA_ACTION || saga->direction == SAGA_FORWARD);
        HOLDS(trial, todo[i].id.operation != SAGA_COMPENSATION || saga->direction == SAGA_BACKWARD);
        HOLDS(trial, todo[i].id.operation != SAGA_SETTLE || plan->steps[todo[i].id.step].fenced);
    }
}

/* The promises of saga.h about one decision. */
static void try(struct saga_explorer *explorer, const struct saga *state,
                const struct saga_event *event) {
    struct trial trial = {.explorer = explorer, .state = state, .event = event};
    struct saga_decision decision;
    union scratch live;
    union scratch replayed;
    memcpy(&live, state, explorer->state_size);
    memcpy(&replayed, state, explorer->state_size);
    saga_decide(&live.saga, &explorer->script.plan, event, last_lsn + 5, &decision);
    explorer->decision_count++;
    explorer->record_count += decision.record_count;
    HOLDS(&trial, decision.record_count < SAGA_DECISION_MAX);
    check_answer(&trial, &decision);
    if (decision.record_count == 0) {
        HOLDS(&trial, memcmp(&live, state, explorer->state_size) == 0);
        return;
    }
    for (uint8_t i = 0; i < decision.record_count; i++) {
        const struct saga_record *record = &decision.records[i];
        HOLDS(&trial, record->lsn == last_lsn + 5 + i);
        HOLDS(&trial, record->previous_lsn == (i == 0 ? last_lsn : record->lsn - 1));
        HOLDS(&trial, record->at_ms == event->at_ms && record->epoch == event->epoch);
        HOLDS(&trial, state->outcome == 0 || record->fact == SAGA_LATE_REPLY_RECEIVED);
        check_record(&trial, &replayed.saga, record);
    }
    HOLDS(&trial, memcmp(&live, &replayed, explorer->state_size) == 0);
    bool whole = saga_settled(&live.saga, &explorer->script.plan);
    HOLDS(&trial, whole == (decision.render_step == SAGA_STEP_NONE));
    const char *left = saga_reference_left_undone(&live.saga, &explorer->script.plan);
    if (whole && left != NULL) {
        fprintf(stderr, "%s: %s\n", left, saga_explorer_describe(&live.saga));
    }
    HOLDS(&trial, !whole || left == NULL);
    check_state(&trial, &live.saga);
    if (state->outcome == 0 || explorer->thorough) {
        visit(explorer, &live.saga);
    }
}

static void try_restart(struct saga_explorer *explorer, const struct saga *state) {
    struct saga_event event = {.at_ms = later_ms, .step = SAGA_STEP_NONE};
    struct trial trial = {.explorer = explorer, .state = state, .event = &event};
    struct saga_record record = {.lsn = last_lsn + 5,
                                 .at_ms = later_ms,
                                 .epoch = 2,
                                 .fact = SAGA_EPOCH_STARTED,
                                 .step = SAGA_STEP_NONE};
    union scratch live;
    memcpy(&live, state, explorer->state_size);
    check_record(&trial, &live.saga, &record);
    HOLDS(&trial, saga_settled(&live.saga, &explorer->script.plan));
    HOLDS(&trial, state->outcome == 0 || memcmp(&live, state, explorer->state_size) == 0);
    check_state(&trial, &live.saga);
    visit(explorer, &live.saga);
}

/* ------------------------------------------------------------------- inputs */

static struct saga_event event_of(enum saga_input_type type, uint8_t step, int64_t at_ms) {
    return (struct saga_event){
        .at_ms = at_ms, .wall_ms = at_ms, .epoch = 1, .type = (uint8_t)type, .step = step};
}

/* A command's words, on this attempt and others, on this revision and others. */
static void try_replies(struct saga_explorer *explorer, const struct saga *state, uint8_t index,
                        uint8_t operation) {
    const struct saga_step *step = &state->steps[index];
    uint32_t attempts[] = {step->attempt, step->attempt - 1, 0, step->attempt + 1};
    size_t attempt_count = explorer->thorough ? 4 : step->attempt > 1 ? 2 : 1;
    uint16_t driven = step->operation == operation ? step->revision : 1;
    uint16_t revisions[] = {driven, (uint16_t)(driven - 1), (uint16_t)(driven + 1)};
    size_t revision_count = explorer->thorough ? 3 : 2;
    struct saga_event event = event_of(SAGA_INPUT_REPLY, index, now_ms);
    event.operation = operation;
    event.incarnation = 1;
    for (size_t r = 0; r < revision_count; r++) {
        event.revision = revisions[r];
        for (size_t a = 0; a < attempt_count; a++) {
            event.attempt = attempts[a];
            int beyond = explorer->thorough ? 1 : 0;
            for (int verdict = 1 - beyond; verdict <= SAGA_VERDICT_COUNT + beyond; verdict++) {
                event.verdict = (uint8_t)verdict;
                try(explorer, state, &event);
            }
        }
    }
    event.revision = driven;
    event.attempt = step->attempt;
    for (uint8_t verdict = 1; verdict <= SAGA_VERDICT_COUNT; verdict++) {
        bool passing = verdict == SAGA_ACCEPTED || verdict == SAGA_RETRY || verdict == SAGA_UNKNOWN;
        if (!passing && !explorer->thorough) {
            continue; /* a definite word does not ask for the time, nor what has left */
        }
        event.verdict = verdict;
        event.unsent = true;
        try(explorer, state, &event);
        event.unsent = false;
        event.at_ms = later_ms;
        try(explorer, state, &event);
        event.at_ms = now_ms;
        event.incarnation = 2;
        try(explorer, state, &event);
        event.incarnation = 1;
    }
}

static void try_attempt(struct saga_explorer *explorer, const struct saga *state, uint8_t index,
                        int64_t at_ms) {
    const struct saga_step *step = &state->steps[index];
    struct saga_event event = event_of(SAGA_INPUT_TIMEOUT, index, at_ms);
    try(explorer, state, &event);
    event.unsent = true;
    try(explorer, state, &event);
    event = event_of(SAGA_INPUT_UNSENT, index, at_ms);
    event.operation = step->operation;
    event.incarnation = 1;
    event.revision = step->revision;
    for (uint32_t back = 0; back < 2; back++) {
        event.attempt = step->attempt - back;
        try(explorer, state, &event);
    }
    event.attempt = step->attempt;
    event.revision++;
    try(explorer, state, &event);
}

static void try_rendered(struct saga_explorer *explorer, const struct saga *state, uint8_t index) {
    for (uint8_t operation = 1; operation <= SAGA_OPERATION_COUNT; operation++) {
        struct saga_event event = event_of(SAGA_INPUT_RENDERED, index, now_ms);
        event.operation = operation;
        try(explorer, state, &event);
        event.failed = true;
        try(explorer, state, &event);
    }
}

static void try_whole(struct saga_explorer *explorer, const struct saga *state,
                      enum saga_input_type type) {
    struct saga_event event = event_of(type, SAGA_STEP_NONE, now_ms);
    try(explorer, state, &event);
    event.unsent = true;
    for (uint8_t i = 0; i < state->step_count; i++) {
        event.step = i;
        try(explorer, state, &event);
    }
}

static void try_operator(struct saga_explorer *explorer, const struct saga *state) {
    static const uint8_t verdicts[] = {SAGA_DONE, SAGA_REJECTED, SAGA_FENCED};
    for (uint8_t i = 0; i <= state->step_count; i++) { /* the last one is none */
        struct saga_event event = event_of(SAGA_INPUT_MARK_COMPENSATED, i, now_ms);
        try(explorer, state, &event);
        event.type = SAGA_INPUT_WRITE_OFF;
        try(explorer, state, &event);
        event.type = SAGA_INPUT_RESOLVE;
        for (size_t v = 0; v < sizeof verdicts; v++) {
            event.verdict = verdicts[v];
            try(explorer, state, &event);
        }
        event.verdict = SAGA_REJECTED;
        event.unsent = true;
        try(explorer, state, &event);
    }
}

static void try_everything(struct saga_explorer *explorer, const struct saga *state) {
    bool settled = saga_settled(state, &explorer->script.plan);
    for (uint8_t i = 0; i < state->step_count; i++) {
        try_rendered(explorer, state, i);
        if (!settled) { /* nothing else can come in between: one decision, one commit */
            continue;
        }
        for (uint8_t operation = 1; operation <= SAGA_OPERATION_COUNT; operation++) {
            try_replies(explorer, state, i, operation);
        }
        if (explorer->thorough) {
            try_replies(explorer, state, i, 0);
            try_replies(explorer, state, i, SAGA_OPERATION_COUNT + 1);
        }
        try_attempt(explorer, state, i, now_ms);
        try_attempt(explorer, state, i, later_ms);
    }
    if (settled) {
        try_whole(explorer, state, SAGA_INPUT_CANCEL);
        try_whole(explorer, state, SAGA_INPUT_SAGA_DEADLINE);
        try_whole(explorer, state, SAGA_INPUT_RETRY);
        try_operator(explorer, state);
        try_whole(explorer, state, 0);
        try_whole(explorer, state, SAGA_INPUT_COUNT + 1);
        try_restart(explorer, state);
    }
}

void saga_explorer_init(struct saga_explorer *explorer, const char *plan, bool thorough) {
    memset(explorer, 0, sizeof *explorer);
    saga_script_init(&explorer->script, plan);
    struct saga_plan *numbers = &explorer->script.plan;
    for (uint8_t i = 0; i < numbers->step_count; i++) {
        numbers->steps[i].compensation.attempts_max = 2;
    }
    ck_assert_msg(saga_plan_check(numbers), "%s", plan);
    explorer->plan_text = plan;
    explorer->thorough = thorough;
    explorer->state_size = saga_size(numbers->step_count);
    ck_assert_uint_le(explorer->state_size, sizeof(union scratch));
    struct saga_record started = {.lsn = last_lsn,
                                  .saga = {.bytes = {7}},
                                  .at_ms = now_ms,
                                  .definition_lsn = 1,
                                  .epoch = 1,
                                  .fact = SAGA_STARTED,
                                  .step = SAGA_STEP_NONE};
    union scratch start;
    ck_assert_int_eq(saga_begin(&start.saga, numbers, &started), SAGA_APPLIED);
    visit(explorer, &start.saga);
    union scratch state;
    for (size_t i = 0; i < explorer->state_count; i++) {
        memcpy(&state, saga_explorer_state(explorer, i), explorer->state_size);
        try_everything(explorer, &state.saga);
    }
}

void saga_explorer_fini(struct saga_explorer *explorer) {
    free(explorer->states);
    free(explorer->slots);
    saga_script_fini(&explorer->script);
}
