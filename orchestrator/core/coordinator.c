#include "coordinator.h"

#include <string.h>

#include "pool.h"
#include "timers.h"

_Noreturn void abort(void);

static void require(bool condition) {
    if (!condition) {
        abort();
    }
}

/* What one step may give back. One decision, or one round over the steps of a
 * saga, always fits what is kept free. */
#define UPDATE_RECORDS_MAX SAGA_UPDATE_RECORDS_MAX
#define UPDATE_EFFECTS_MAX 256
#define ROUND_EFFECTS_MAX  (SAGA_STEPS_MAX + 2)

/* How many waiting attempts one answer of their participant lets go: two, so
 * that one who comes back is met by waves that double, as fast as it answers. */
#define RELEASED_BY_ANSWER 2

/* The last attempt of a step's driven command that left. */
struct sent {
    int64_t at_ms;    /* SENT_BEFORE: it may have left, and nobody may know of it any more */
    uint16_t attempt; /* the last bits of it: they tell it from its neighbours */
    uint16_t revision;
    uint8_t operation;   /* 0: none left yet */
    uint8_t incarnation; /* the last bits of it */
    bool again;          /* it had left before, or may have */
    bool refused;        /* this last time nobody took it */
};

/* Before a restart, or before a transport lost its peer. */
#define SENT_BEFORE INT64_MIN
#define ANYBODY     UINT16_MAX

/* A place for one open saga; the saga and its `sent` follow it in memory. */
struct slot {
    const struct saga_plan *plan;
    uint32_t number;    /* of this place */
    uint32_t line_next; /* places + 1, in the line before a participant */
    uint32_t line_previous;
    uint16_t line;    /* participant + 1; 0: stands in no line */
    uint16_t hurried; /* participant + 1 (or ANYBODY): it is back, so no backoff before it */
    uint8_t quarantined;
    uint8_t status; /* as last reported by CHANGED */
};

/* The sagas that wait, after silence, to be sent to one participant again. */
struct line {
    uint32_t first; /* place + 1 */
    uint32_t last;
};

struct saga_coordinator {
    struct saga_limits limits;
    struct saga_pool pool;
    struct saga_timers timers;
    struct slot **slots;   /* by place; NULL: free */
    uint32_t *free_places; /* a stack */
    uint32_t free_count;
    uint32_t places_used; /* places ever taken */
    uint32_t *index;      /* open addressing: place + 1 */
    uint32_t index_mask;
    const struct saga_plan **plans; /* in order of definition_lsn */
    uint32_t plan_count;
    struct line *lines;
    int64_t now_ms;
    uint32_t epoch; /* of the last EPOCH_STARTED */
    struct saga_counters counters;
    size_t record_count;
    size_t effect_count;
    struct saga_decision decision;
    struct saga_record records[UPDATE_RECORDS_MAX];
    struct saga_effect effects[UPDATE_EFFECTS_MAX];
};

/* ------------------------------------------------------------------ memory */

static size_t aligned(size_t size) {
    return (size + SAGA_POOL_UNIT - 1) / SAGA_POOL_UNIT * SAGA_POOL_UNIT;
}

static size_t slot_size(uint8_t step_count) {
    return aligned(sizeof(struct slot)) + saga_size(step_count) + step_count * sizeof(struct sent);
}

static struct saga *saga_of(struct slot *slot) {
    return (struct saga *)(void *)((uint8_t *)slot + aligned(sizeof(struct slot)));
}

static struct sent *sent_of(struct slot *slot) {
    return (struct sent *)(void *)((uint8_t *)saga_of(slot) + saga_size(slot->plan->step_count));
}

static uint32_t index_size(uint32_t sagas_max) {
    uint32_t size = 16;
    while (size < 2 * (uint64_t)sagas_max) {
        size *= 2;
    }
    return size;
}

/* The parts of the caller's memory, in order; the pool takes the rest. */
struct layout {
    size_t slots, free_places, index, heap, places, plans, lines, pool, end;
};

static size_t place(size_t *offset, size_t count, size_t size) {
    size_t here = *offset;
    *offset = aligned(here + count * size);
    return here;
}

/* Recovery may have sagas in their present state beside others that are still to end by the records
 * that follow: as many again, at the most. */
static uint32_t places_max(const struct saga_limits *limits) {
    return 2 * limits->sagas_max;
}

static struct layout layout_of(const struct saga_limits *limits) {
    struct layout layout;
    size_t offset = aligned(sizeof(struct saga_coordinator));
    layout.slots = place(&offset, places_max(limits), sizeof(struct slot *));
    layout.free_places = place(&offset, places_max(limits), sizeof(uint32_t));
    layout.index = place(&offset, index_size(places_max(limits)), sizeof(uint32_t));
    layout.heap = place(&offset, places_max(limits), sizeof(struct saga_timer));
    layout.places = place(&offset, places_max(limits), sizeof(uint32_t));
    layout.plans = place(&offset, limits->plans_max, sizeof(struct saga_plan *));
    layout.lines = place(&offset, limits->participants_max, sizeof(struct line));
    layout.pool = offset;
    layout.end = offset + (size_t)places_max(limits) * aligned(slot_size(SAGA_STEPS_MAX));
    return layout;
}

size_t saga_coordinator_size(const struct saga_limits *limits) {
    return layout_of(limits).end;
}

struct saga_coordinator *saga_coordinator_init(void *memory, const struct saga_limits *limits) {
    struct layout layout = layout_of(limits);
    uint8_t *base = memory;
    struct saga_coordinator *coordinator = memory;
    require(limits->sagas_max > 0 && limits->sagas_max < UINT32_MAX / 4 &&
            limits->resend_per_second > 0 && limits->participants_max < UINT16_MAX);
    coordinator->limits = *limits;
    coordinator->slots = (struct slot **)(void *)(base + layout.slots);
    coordinator->free_places = (uint32_t *)(void *)(base + layout.free_places);
    coordinator->index = (uint32_t *)(void *)(base + layout.index);
    coordinator->index_mask = index_size(places_max(limits)) - 1;
    coordinator->plans = (const struct saga_plan **)(void *)(base + layout.plans);
    coordinator->lines = (struct line *)(void *)(base + layout.lines);
    saga_timers_init(&coordinator->timers, (struct saga_timer *)(void *)(base + layout.heap),
                     (uint32_t *)(void *)(base + layout.places));
    saga_pool_init(&coordinator->pool, base + layout.pool, layout.end - layout.pool);
    return coordinator;
}

/* ------------------------------------------------------------------- plans */

bool saga_coordinator_define(struct saga_coordinator *coordinator, const struct saga_plan *plan) {
    require(plan->definition_lsn > 0 && saga_plan_check(plan));
    if (coordinator->plan_count == coordinator->limits.plans_max) {
        return false;
    }
    if (coordinator->plan_count > 0) {
        require(coordinator->plans[coordinator->plan_count - 1]->definition_lsn <
                plan->definition_lsn);
    }
    for (uint8_t i = 0; i < plan->step_count; i++) {
        require(plan->steps[i].participant < coordinator->limits.participants_max);
    }
    coordinator->plans[coordinator->plan_count++] = plan;
    return true;
}

static const struct saga_plan *plan_of(const struct saga_coordinator *coordinator, uint64_t lsn) {
    uint32_t low = 0;
    uint32_t high = coordinator->plan_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (coordinator->plans[middle]->definition_lsn < lsn) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low < coordinator->plan_count && coordinator->plans[low]->definition_lsn == lsn) {
        return coordinator->plans[low];
    }
    return NULL;
}

/* ------------------------------------------------------------ sagas by id */

static uint32_t home_of(const struct saga_coordinator *coordinator, const struct saga_id *id) {
    uint64_t word;
    memcpy(&word, id->bytes + 8, sizeof word); /* the random half of a UUIDv7 */
    return (uint32_t)(word * UINT64_C(0x9e3779b97f4a7c15) >> 32) & coordinator->index_mask;
}

static bool same_id(const struct saga_id *a, const struct saga_id *b) {
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static struct slot *find(const struct saga_coordinator *coordinator, const struct saga_id *id) {
    uint32_t at = home_of(coordinator, id);
    while (coordinator->index[at] != 0) {
        struct slot *slot = coordinator->slots[coordinator->index[at] - 1];
        if (same_id(&saga_of(slot)->id, id)) {
            return slot;
        }
        at = (at + 1) & coordinator->index_mask;
    }
    return NULL;
}

static void index_add(struct saga_coordinator *coordinator, struct slot *slot) {
    uint32_t at = home_of(coordinator, &saga_of(slot)->id);
    while (coordinator->index[at] != 0) {
        at = (at + 1) & coordinator->index_mask;
    }
    coordinator->index[at] = slot->number + 1;
}

/* Closes the gap that a removed entry leaves, so that no marker of the dead is
 * needed and a lookup stays short however many sagas have come and gone. */
static void index_remove(struct saga_coordinator *coordinator, const struct slot *slot) {
    const uint32_t mask = coordinator->index_mask;
    uint32_t gap = home_of(coordinator, &saga_of(coordinator->slots[slot->number])->id);
    while (coordinator->index[gap] != slot->number + 1) {
        gap = (gap + 1) & mask;
    }
    for (uint32_t at = (gap + 1) & mask; coordinator->index[at] != 0; at = (at + 1) & mask) {
        struct slot *other = coordinator->slots[coordinator->index[at] - 1];
        uint32_t home = home_of(coordinator, &saga_of(other)->id);
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            coordinator->index[gap] = coordinator->index[at];
            gap = at;
        }
    }
    coordinator->index[gap] = 0;
}

static struct slot *slot_take(struct saga_coordinator *coordinator, const struct saga_plan *plan) {
    uint32_t number;
    if (coordinator->free_count > 0) {
        number = coordinator->free_places[coordinator->free_count - 1];
    } else if (coordinator->places_used < places_max(&coordinator->limits)) {
        number = coordinator->places_used;
    } else {
        return NULL;
    }
    struct slot *slot = saga_pool_take(&coordinator->pool, slot_size(plan->step_count));
    if (slot == NULL) {
        return NULL;
    }
    if (coordinator->free_count > 0) {
        coordinator->free_count--;
    } else {
        coordinator->places_used++;
    }
    memset(slot, 0, slot_size(plan->step_count));
    slot->plan = plan;
    slot->number = number;
    coordinator->slots[number] = slot;
    coordinator->counters.open++;
    return slot;
}

/* ------------------------------------------------- the line before a participant */

static void line_leave(struct saga_coordinator *coordinator, struct slot *slot) {
    if (slot->line == 0) {
        return;
    }
    struct line *line = &coordinator->lines[slot->line - 1];
    if (slot->line_previous != 0) {
        coordinator->slots[slot->line_previous - 1]->line_next = slot->line_next;
    } else {
        line->first = slot->line_next;
    }
    if (slot->line_next != 0) {
        coordinator->slots[slot->line_next - 1]->line_previous = slot->line_previous;
    } else {
        line->last = slot->line_previous;
    }
    slot->line = 0;
    slot->line_next = 0;
    slot->line_previous = 0;
}

static void line_join(struct saga_coordinator *coordinator, struct slot *slot,
                      uint16_t participant) {
    if (slot->line != 0) { /* one line is enough: its backoff still ends by itself */
        return;
    }
    struct line *line = &coordinator->lines[participant];
    slot->line = (uint16_t)(participant + 1);
    slot->line_previous = line->last;
    if (line->last != 0) {
        coordinator->slots[line->last - 1]->line_next = slot->number + 1;
    } else {
        line->first = slot->number + 1;
    }
    line->last = slot->number + 1;
}

/* The participant answers: let go of some that wait for it after silence. */
static void line_release(struct saga_coordinator *coordinator, uint16_t participant) {
    for (int i = 0; i < RELEASED_BY_ANSWER; i++) {
        uint32_t first = coordinator->lines[participant].first;
        if (first == 0) {
            return;
        }
        struct slot *slot = coordinator->slots[first - 1];
        line_leave(coordinator, slot);
        slot->hurried = (uint16_t)(participant + 1);
        saga_timers_set(&coordinator->timers, slot->number, coordinator->now_ms);
        coordinator->counters.released++;
    }
}

/* ------------------------------------------------------------ giving back */

static uint8_t status_of(const struct saga *saga) {
    if (saga->outcome != 0) {
        return (uint8_t)(saga->outcome + 16);
    }
    return saga->parked != 0 ? 8 : saga->direction;
}
#define STATUS_PARKED 8

static struct saga_effect *effect(struct saga_coordinator *coordinator, enum saga_effect_type type,
                                  struct slot *slot) {
    require(coordinator->effect_count < UPDATE_EFFECTS_MAX);
    struct saga_effect *made = &coordinator->effects[coordinator->effect_count++];
    memset(made, 0, sizeof *made);
    made->type = (uint8_t)type;
    made->saga = saga_of(slot)->id;
    made->plan = slot->plan;
    made->last_lsn = saga_of(slot)->last_lsn;
    return made;
}

static void note_status(struct saga_coordinator *coordinator, struct slot *slot) {
    const struct saga *saga = saga_of(slot);
    uint8_t status = status_of(saga);
    if (status == slot->status) {
        return;
    }
    coordinator->counters.parked += (status == STATUS_PARKED);
    coordinator->counters.parked -= (slot->status == STATUS_PARKED);
    slot->status = status;
    effect(coordinator, SAGA_EFFECT_CHANGED, slot)->status = saga_status_name(saga);
}

static void slot_give(struct saga_coordinator *coordinator, struct slot *slot) {
    uint32_t number = slot->number;
    line_leave(coordinator, slot);
    saga_timers_set(&coordinator->timers, number, SAGA_TIMER_OFF);
    index_remove(coordinator, slot);
    coordinator->slots[number] = NULL;
    coordinator->free_places[coordinator->free_count++] = number;
    coordinator->counters.open--;
    saga_pool_give(&coordinator->pool, slot, slot_size(slot->plan->step_count));
}

/* ------------------------------------------------------- sending and waking */

static int64_t earlier(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* False: no byte of the step's open attempt has left, in this epoch or before. */
static bool may_have_left(struct slot *slot, uint8_t index) {
    const struct sent *sent = &sent_of(slot)[index];
    const struct saga_step *step = &saga_of(slot)->steps[index];
    return sent->operation == step->operation && sent->revision == step->revision &&
           sent->attempt == (uint16_t)step->attempt &&
           sent->incarnation == (uint8_t)step->incarnation;
}

static bool has_left(struct slot *slot, uint8_t index) {
    return may_have_left(slot, index) && sent_of(slot)[index].at_ms != SENT_BEFORE;
}

static void send(struct saga_coordinator *coordinator, struct slot *slot,
                 const struct saga_outstanding *command) {
    struct sent *sent = &sent_of(slot)[command->id.step];
    sent->again = may_have_left(slot, command->id.step);
    coordinator->counters.asked_again += has_left(slot, command->id.step);
    coordinator->counters.sent[command->id.operation]++;
    sent->at_ms = coordinator->now_ms;
    sent->attempt = (uint16_t)command->attempt;
    sent->revision = command->id.revision;
    sent->operation = command->id.operation;
    sent->incarnation = (uint8_t)command->id.incarnation;
    sent->refused = false;
    effect(coordinator, SAGA_EFFECT_SEND, slot)->command = *command;
}

/* The same attempt is sent again when its patience is over: it is being worked on, or nobody took
 * it the last time, which perhaps was not the first. */
static bool is_repeated(const struct sent *sent, const struct saga_outstanding *command) {
    return command->in_progress || sent->refused;
}

/* When something happens next to a command that has left. */
static int64_t patience(const struct sent *sent, const struct saga_outstanding *command) {
    return sent->at_ms + (command->in_progress ? command->poll_ms : command->timeout_ms);
}

/* Sends a command if it is to be sent now; gives back when it is due next. */
static int64_t attend(struct saga_coordinator *coordinator, struct slot *slot,
                      const struct saga_outstanding *command) {
    const struct sent *sent = &sent_of(slot)[command->id.step];
    bool hurried = (slot->hurried == ANYBODY || slot->hurried == command->participant + 1) &&
                   command->unanswered;
    if (has_left(slot, command->id.step)) {
        return earlier(patience(sent, command), command->deadline_ms);
    }
    if (command->send_at_ms <= coordinator->now_ms || hurried) {
        send(coordinator, slot, command);
        return earlier(patience(sent, command), command->deadline_ms);
    }
    if (command->unanswered) {
        line_join(coordinator, slot, command->participant);
    }
    return earlier(command->send_at_ms, command->deadline_ms);
}

/* Sends what is to be sent now, and sets the timer for what comes next. */
static void arm(struct saga_coordinator *coordinator, struct slot *slot) {
    struct saga_outstanding commands[SAGA_STEPS_MAX];
    const struct saga *saga = saga_of(slot);
    int64_t due_ms = SAGA_TIMER_OFF;
    line_leave(coordinator, slot);
    if (!slot->quarantined) {
        size_t count = saga_todo(saga, slot->plan, commands);
        for (size_t i = 0; i < count; i++) {
            due_ms = earlier(due_ms, attend(coordinator, slot, &commands[i]));
        }
        if (saga_deadline_counts(saga, slot->plan)) {
            due_ms = earlier(due_ms, saga->deadline_ms);
        }
    }
    slot->hurried = 0;
    saga_timers_set(&coordinator->timers, slot->number, due_ms);
}

/* -------------------------------------------------------------- one decision */

/* Takes over what was decided about a saga. The saga may be gone afterwards. */
static void settle(struct saga_coordinator *coordinator, struct slot *slot) {
    const struct saga_decision *decision = &coordinator->decision;
    for (size_t i = 0; i < decision->record_count; i++) {
        require(coordinator->record_count < UPDATE_RECORDS_MAX);
        coordinator->records[coordinator->record_count++] = decision->records[i];
        coordinator->counters.facts[decision->records[i].fact]++;
    }
    if (decision->render_step != SAGA_STEP_NONE) {
        struct saga_effect *evaluate = effect(coordinator, SAGA_EFFECT_EVALUATE, slot);
        evaluate->step = decision->render_step;
        evaluate->operation = decision->render_operation;
    }
    note_status(coordinator, slot);
    if (saga_of(slot)->outcome != 0) {
        slot_give(coordinator, slot);
    } else if (decision->render_step != SAGA_STEP_NONE) {
        /* The body comes in this very commit, and arms it. Until then nothing is due: what
         * else is due now would ask for a body again, and only one question has an answer. */
        line_leave(coordinator, slot);
        saga_timers_set(&coordinator->timers, slot->number, SAGA_TIMER_OFF);
    } else {
        arm(coordinator, slot);
    }
}

static void decide(struct saga_coordinator *coordinator, struct slot *slot,
                   const struct saga_event *event, uint64_t first_lsn) {
    saga_decide(saga_of(slot), slot->plan, event, first_lsn + coordinator->record_count,
                &coordinator->decision);
}

/* The step whose outstanding action has certainly not left: SAGA_STEP_NONE if
 * there is none. */
static uint8_t unsent_step(struct slot *slot) {
    struct saga_outstanding commands[SAGA_STEPS_MAX];
    size_t count = saga_todo(saga_of(slot), slot->plan, commands);
    for (size_t i = 0; i < count; i++) {
        uint8_t step = commands[i].id.step;
        if (commands[i].id.operation == SAGA_ACTION && !may_have_left(slot, step)) {
            return step;
        }
    }
    return SAGA_STEP_NONE;
}

static enum saga_answer start(struct saga_coordinator *coordinator,
                              const struct saga_input *input) {
    struct saga_record started = {
        .lsn = input->next_lsn,
        .saga = input->saga,
        .at_ms = input->event.at_ms,
        .wall_ms = input->event.wall_ms,
        .epoch = input->event.epoch,
        .definition_lsn = input->plan->definition_lsn,
        .fact = SAGA_STARTED,
        .step = SAGA_STEP_NONE,
        .key = input->event.key,
        .payload = input->event.payload,
        .content = input->event.content,
    };
    require(find(coordinator, &input->saga) == NULL);
    struct slot *slot = coordinator->counters.open < coordinator->limits.sagas_max
                            ? slot_take(coordinator, input->plan)
                            : NULL;
    if (slot == NULL) {
        return SAGA_ANSWER_FULL;
    }
    require(saga_begin(saga_of(slot), slot->plan, &started) == SAGA_APPLIED);
    index_add(coordinator, slot);
    coordinator->records[coordinator->record_count++] = started;
    coordinator->counters.facts[SAGA_STARTED]++;
    saga_follow(saga_of(slot), slot->plan, &input->event, input->next_lsn + 1,
                &coordinator->decision);
    settle(coordinator, slot);
    return SAGA_ANSWER_TAKEN;
}

static void count_reply(struct saga_coordinator *coordinator, const struct saga_event *event,
                        enum saga_answer answer) {
    if (event->type == SAGA_INPUT_REPLY) {
        coordinator->counters.verdicts[event->verdict <= SAGA_VERDICT_COUNT ? event->verdict : 0]++;
        coordinator->counters.reply_answers[answer]++;
    }
}

/* An attempt that had been sent before may have arrived, whatever became of its last sending: it is
 * not unsent. True: it is one, and will be sent once more when its patience is over. */
static bool refuse_again(struct slot *slot, const struct saga_event *event) {
    struct sent *sent = &sent_of(slot)[event->step];
    bool is_again = sent->again && sent->operation == event->operation &&
                    sent->revision == event->revision &&
                    sent->attempt == (uint16_t)event->attempt &&
                    sent->incarnation == (uint8_t)event->incarnation;
    sent->refused = sent->refused || is_again;
    return is_again;
}

static enum saga_answer happen(struct saga_coordinator *coordinator,
                               const struct saga_input *input) {
    struct slot *slot = find(coordinator, &input->saga);
    struct saga_event event = input->event;
    if (slot == NULL || slot->quarantined) {
        enum saga_answer answer = slot == NULL ? SAGA_ANSWER_NO_SAGA : SAGA_ANSWER_REFUSED;
        count_reply(coordinator, &event, answer);
        return answer;
    }
    uint16_t participant = 0;
    bool about_step = event.step < slot->plan->step_count;
    if (event.type == SAGA_INPUT_UNSENT && about_step) {
        slot->hurried = 0; /* whoever was back takes nothing, after all */
        if (refuse_again(slot, &event)) {
            return SAGA_ANSWER_STALE;
        }
    }
    if (event.type == SAGA_INPUT_REPLY && about_step) {
        participant = slot->plan->steps[event.step].participant;
        event.unsent = !may_have_left(slot, event.step);
    } else if (event.type == SAGA_INPUT_CANCEL) {
        event.step = unsent_step(slot);
        event.unsent = event.step != SAGA_STEP_NONE;
    } else if (event.type == SAGA_INPUT_RESOLVE) {
        event.unsent = event.step == unsent_step(slot);
    }
    decide(coordinator, slot, &event, input->next_lsn);
    enum saga_answer answer = coordinator->decision.answer;
    count_reply(coordinator, &event, answer);
    if (coordinator->decision.record_count > 0) {
        settle(coordinator, slot);
    }
    if (event.type == SAGA_INPUT_REPLY && about_step && answer == SAGA_ANSWER_TAKEN &&
        event.verdict != SAGA_RETRY && event.verdict != SAGA_UNKNOWN) {
        line_release(coordinator, participant);
    }
    return answer;
}

/* -------------------------------------------------------------------- time */

static bool room_for_a_round(const struct saga_coordinator *coordinator) {
    return coordinator->record_count + SAGA_DECISION_MAX <= UPDATE_RECORDS_MAX &&
           coordinator->effect_count + 2 * (size_t)ROUND_EFFECTS_MAX <= UPDATE_EFFECTS_MAX;
}

/* One thing that is due for this saga, as an event; false: nothing is. */
static bool due_event(const struct saga_coordinator *coordinator, struct slot *slot,
                      struct saga_event *event) {
    struct saga_outstanding commands[SAGA_STEPS_MAX];
    const struct saga *saga = saga_of(slot);
    int64_t now_ms = coordinator->now_ms;
    if (saga_deadline_counts(saga, slot->plan) && saga->deadline_ms <= now_ms) {
        event->type = SAGA_INPUT_SAGA_DEADLINE;
        event->step = unsent_step(slot);
        event->unsent = event->step != SAGA_STEP_NONE;
        return true;
    }
    size_t count = saga_todo(saga, slot->plan, commands);
    for (size_t i = 0; i < count; i++) {
        const struct saga_outstanding *command = &commands[i];
        const struct sent *sent = &sent_of(slot)[command->id.step];
        bool over = has_left(slot, command->id.step) && !is_repeated(sent, command) &&
                    patience(sent, command) <= now_ms;
        if (over || command->deadline_ms <= now_ms) {
            event->type = SAGA_INPUT_TIMEOUT;
            event->step = command->id.step;
            event->unsent = !may_have_left(slot, command->id.step);
            return true;
        }
    }
    return false;
}

static void ask_again(struct saga_coordinator *coordinator, struct slot *slot) {
    struct saga_outstanding commands[SAGA_STEPS_MAX];
    size_t count = saga_todo(saga_of(slot), slot->plan, commands);
    for (size_t i = 0; i < count; i++) {
        const struct saga_outstanding *command = &commands[i];
        const struct sent *sent = &sent_of(slot)[command->id.step];
        if (is_repeated(sent, command) && has_left(slot, command->id.step) &&
            patience(sent, command) <= coordinator->now_ms) {
            send(coordinator, slot, command);
        }
    }
}

static void tick(struct saga_coordinator *coordinator, const struct saga_input *input) {
    while (saga_timers_earliest(&coordinator->timers) <= coordinator->now_ms &&
           room_for_a_round(coordinator)) {
        struct slot *slot = coordinator->slots[saga_timers_first(&coordinator->timers)];
        struct saga_event event = {
            .at_ms = input->event.at_ms,
            .wall_ms = input->event.wall_ms,
            .epoch = input->event.epoch,
            .step = SAGA_STEP_NONE,
        };
        if (due_event(coordinator, slot, &event)) {
            slot->hurried = 0; /* that was about what waited already */
            decide(coordinator, slot, &event, input->next_lsn);
            require(coordinator->decision.record_count > 0); /* or it would be due for ever */
            settle(coordinator, slot);
        } else {
            ask_again(coordinator, slot);
            arm(coordinator, slot);
        }
    }
}

/* --------------------------------------------------------- starts and sweeps */

static bool compensates(const struct saga *saga) {
    return saga->direction == SAGA_BACKWARD;
}

/* Spreads the resending over time, at the permitted rate: compensations first,
 * for they free what others wait for. */
static void schedule(struct saga_coordinator *coordinator, bool compensations, uint64_t *count) {
    for (uint32_t i = 0; i < coordinator->places_used; i++) {
        struct slot *slot = coordinator->slots[i];
        if (slot == NULL || slot->quarantined || compensates(saga_of(slot)) != compensations ||
            saga_of(slot)->parked != 0) {
            continue;
        }
        int64_t wait_ms = (int64_t)(*count * 1000 / coordinator->limits.resend_per_second);
        saga_timers_set(&coordinator->timers, i, coordinator->now_ms + wait_ms);
        (*count)++;
    }
}

static void begin_epoch(struct saga_coordinator *coordinator, const struct saga_input *input) {
    struct saga_record record = {
        .lsn = input->next_lsn,
        .at_ms = input->event.at_ms,
        .wall_ms = input->event.wall_ms,
        .epoch = input->event.epoch,
        .fact = SAGA_EPOCH_STARTED,
        .step = SAGA_STEP_NONE,
        .payload = input->event.payload,
    };
    require(saga_coordinator_replay(coordinator, &record) == SAGA_REPLAYED);
    coordinator->records[coordinator->record_count++] = record;
    coordinator->counters.facts[SAGA_EPOCH_STARTED]++;
    uint64_t count = 0;
    schedule(coordinator, true, &count);
    schedule(coordinator, false, &count);
    for (uint32_t i = 0; i < coordinator->places_used; i++) {
        struct slot *slot = coordinator->slots[i];
        if (slot != NULL && !slot->quarantined && saga_of(slot)->parked != 0) {
            arm(coordinator, slot); /* nothing to send; its deadline may still count */
        }
    }
}

/* A transport had lost its peer, and has found it: what it was given may be lost, too. It is sent
 * again as the same attempt, and what waits for its turn waits no longer. Whoever keeps no fence
 * may act on both, or reject the second: there the attempt has to end, on record, before another.
 */
static void resend(struct saga_coordinator *coordinator) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < coordinator->places_used; i++) {
        struct slot *slot = coordinator->slots[i];
        if (slot == NULL) {
            continue;
        }
        for (uint8_t step = 0; step < slot->plan->step_count; step++) {
            if (slot->plan->steps[step].fenced && has_left(slot, step)) {
                sent_of(slot)[step].at_ms = SENT_BEFORE;
            }
        }
        slot->hurried = ANYBODY;
    }
    schedule(coordinator, true, &count);
    schedule(coordinator, false, &count);
    coordinator->counters.resent += count;
}

/* Something of this saga has not left, and waits: in a backoff, or (an attempt that had left
 * before) for its patience to be over. */
static bool let_go_of_refused(struct slot *slot) {
    struct saga_outstanding commands[SAGA_STEPS_MAX];
    size_t count = saga_todo(saga_of(slot), slot->plan, commands);
    bool waits = false;
    for (size_t i = 0; i < count; i++) {
        const uint8_t step = commands[i].id.step;
        struct sent *sent = &sent_of(slot)[step];
        const bool refused = has_left(slot, step) && sent->refused;
        waits = waits || refused || (!has_left(slot, step) && commands[i].unanswered);
        if (refused) {
            sent->at_ms = SENT_BEFORE;
        }
    }
    return waits;
}

/* Their turns are spread as those of what is sent again, and nobody's comes later for it. */
static void hurry_some(struct saga_coordinator *coordinator, bool compensations, uint64_t *count) {
    for (uint32_t i = 0; i < coordinator->places_used; i++) {
        struct slot *slot = coordinator->slots[i];
        if (slot == NULL || slot->quarantined || compensates(saga_of(slot)) != compensations ||
            saga_of(slot)->parked != 0 || !let_go_of_refused(slot)) {
            continue;
        }
        int64_t wait_ms = (int64_t)(*count * 1000 / coordinator->limits.resend_per_second);
        saga_timers_set(
            &coordinator->timers, i,
            earlier(coordinator->now_ms + wait_ms, saga_timers_due(&coordinator->timers, i)));
        slot->hurried = ANYBODY;
        (*count)++;
    }
}

/* A transport takes again what it had refused; nothing that it had taken is lost. */
static void hurry(struct saga_coordinator *coordinator) {
    uint64_t count = 0;
    hurry_some(coordinator, true, &count);
    hurry_some(coordinator, false, &count);
    coordinator->counters.hurried += count;
}

static void sweep(struct saga_coordinator *coordinator) {
    for (uint32_t i = 0; i < coordinator->places_used && room_for_a_round(coordinator); i++) {
        struct slot *slot = coordinator->slots[i];
        if (slot != NULL && !slot->quarantined && saga_of(slot)->parked == 0 &&
            saga_timers_due(&coordinator->timers, i) == SAGA_TIMER_OFF) {
            coordinator->counters.orphans_rearmed++;
            arm(coordinator, slot);
        }
    }
}

void saga_coordinator_step(struct saga_coordinator *coordinator, const struct saga_input *input,
                           struct saga_update *update) {
    require(input->event.at_ms >= coordinator->now_ms);
    coordinator->now_ms = input->event.at_ms;
    coordinator->record_count = 0;
    coordinator->effect_count = 0;
    update->answer = SAGA_ANSWER_TAKEN;
    switch ((enum saga_door)input->door) {
    case SAGA_DOOR_START:
        update->answer = start(coordinator, input);
        break;
    case SAGA_DOOR_EVENT:
        update->answer = happen(coordinator, input);
        break;
    case SAGA_DOOR_TICK:
        tick(coordinator, input);
        break;
    case SAGA_DOOR_EPOCH:
        begin_epoch(coordinator, input);
        break;
    case SAGA_DOOR_SWEEP:
        sweep(coordinator);
        break;
    case SAGA_DOOR_RESEND:
        resend(coordinator);
        break;
    case SAGA_DOOR_HURRY:
        hurry(coordinator);
        break;
    }
    update->records = coordinator->records;
    update->record_count = coordinator->record_count;
    update->effects = coordinator->effects;
    update->effect_count = coordinator->effect_count;
    update->wake_at_ms = saga_timers_earliest(&coordinator->timers);
}

/* ---------------------------------------------------------------- recovery */

static enum saga_replay replay_start(struct saga_coordinator *coordinator,
                                     const struct saga_record *record) {
    const struct saga_plan *plan = plan_of(coordinator, record->definition_lsn);
    if (find(coordinator, &record->saga) != NULL) {
        return SAGA_REPLAY_QUARANTINED;
    }
    if (plan == NULL) {
        return SAGA_REPLAY_NO_PLAN;
    }
    struct slot *slot = slot_take(coordinator, plan);
    if (slot == NULL) {
        return SAGA_REPLAY_FULL;
    }
    if (saga_begin(saga_of(slot), plan, record) != SAGA_APPLIED) {
        coordinator->slots[slot->number] = NULL;
        coordinator->free_places[coordinator->free_count++] = slot->number;
        coordinator->counters.open--;
        saga_pool_give(&coordinator->pool, slot, slot_size(plan->step_count));
        return SAGA_REPLAY_NO_PLAN;
    }
    slot->status = status_of(saga_of(slot));
    index_add(coordinator, slot);
    return SAGA_REPLAYED;
}

enum saga_replay saga_coordinator_restore(struct saga_coordinator *coordinator,
                                          const struct saga *state) {
    const struct saga_plan *plan = plan_of(coordinator, state->definition_lsn);
    if (plan == NULL) {
        return SAGA_REPLAY_NO_PLAN;
    }
    if (find(coordinator, &state->id) != NULL || !saga_is_sound(state, plan) ||
        state->outcome != 0) {
        return SAGA_REPLAY_QUARANTINED;
    }
    struct slot *slot = slot_take(coordinator, plan);
    if (slot == NULL) {
        return SAGA_REPLAY_FULL;
    }
    memcpy(saga_of(slot), state, saga_size(state->step_count));
    slot->status = status_of(saga_of(slot));
    coordinator->counters.parked += slot->status == STATUS_PARKED;
    index_add(coordinator, slot);
    return SAGA_REPLAYED;
}

/* What was on its way at the restart may have left in the epoch before. */
static void doubt_open_attempts(struct slot *slot) {
    const struct saga *saga = saga_of(slot);
    for (uint8_t i = 0; i < saga->step_count; i++) {
        const struct saga_step *step = &saga->steps[i];
        if ((step->flags & SAGA_STEP_OPEN) != 0) {
            sent_of(slot)[i] = (struct sent){.at_ms = SENT_BEFORE,
                                             .attempt = (uint16_t)step->attempt,
                                             .revision = step->revision,
                                             .operation = step->operation,
                                             .incarnation = (uint8_t)step->incarnation};
        }
    }
}

static enum saga_replay replay_epoch(struct saga_coordinator *coordinator,
                                     const struct saga_record *record) {
    if (record->epoch < coordinator->epoch) {
        return SAGA_REPLAY_ILLEGAL;
    }
    for (uint32_t i = 0; i < coordinator->places_used; i++) {
        struct slot *slot = coordinator->slots[i];
        if (slot == NULL || slot->quarantined || saga_of(slot)->epoch >= record->epoch) {
            continue;
        }
        if (saga_apply(saga_of(slot), slot->plan, record) != SAGA_APPLIED) {
            return SAGA_REPLAY_ILLEGAL; /* for the first one as for any */
        }
        doubt_open_attempts(slot);
    }
    coordinator->epoch = record->epoch;
    return SAGA_REPLAYED;
}

static void quarantine(struct saga_coordinator *coordinator, struct slot *slot) {
    if (!slot->quarantined) {
        slot->quarantined = 1;
        coordinator->counters.quarantined++;
        line_leave(coordinator, slot);
        saga_timers_set(&coordinator->timers, slot->number, SAGA_TIMER_OFF);
    }
}

enum saga_replay saga_coordinator_replay(struct saga_coordinator *coordinator,
                                         const struct saga_record *record) {
    if (record->at_ms < 0 || record->at_ms > SAGA_CLOCK_MS_MAX) {
        return SAGA_REPLAY_ILLEGAL;
    }
    if (record->at_ms > coordinator->now_ms) {
        coordinator->now_ms = record->at_ms;
    }
    switch ((enum saga_fact)record->fact) {
    case SAGA_DEFINITION_LOADED:
        return SAGA_REPLAYED; /* the caller defines it */
    case SAGA_EPOCH_STARTED:
        return replay_epoch(coordinator, record);
    case SAGA_OUTCOMES_TOLD:  /* of ends that are in the log, or nothing it says can be gone by */
    case SAGA_HISTORY_PURGED: /* likewise: of records that were there */
        return record->through_lsn != 0 && record->through_lsn < record->lsn ? SAGA_REPLAYED
                                                                             : SAGA_REPLAY_ILLEGAL;
    case SAGA_STARTED:
        return replay_start(coordinator, record);
    default:
        break;
    }
    struct slot *slot = find(coordinator, &record->saga);
    if (slot == NULL) {
        return SAGA_REPLAY_NO_SAGA;
    }
    if (slot->quarantined) {
        return SAGA_REPLAY_QUARANTINED;
    }
    if (saga_apply(saga_of(slot), slot->plan, record) != SAGA_APPLIED) {
        quarantine(coordinator, slot);
        return SAGA_REPLAY_QUARANTINED;
    }
    uint8_t status = status_of(saga_of(slot));
    coordinator->counters.parked += (status == STATUS_PARKED) && slot->status != STATUS_PARKED;
    coordinator->counters.parked -= (status != STATUS_PARKED) && slot->status == STATUS_PARKED;
    slot->status = status;
    if (saga_of(slot)->outcome != 0) {
        slot_give(coordinator, slot);
    }
    return SAGA_REPLAYED;
}

bool saga_coordinator_quarantine(struct saga_coordinator *coordinator, const struct saga_id *id) {
    struct slot *slot = find(coordinator, id);
    if (slot == NULL) {
        return false;
    }
    quarantine(coordinator, slot);
    return true;
}

/* ----------------------------------------------------------------- looking */

const struct saga *saga_coordinator_find(const struct saga_coordinator *coordinator,
                                         const struct saga_id *id, const struct saga_plan **plan) {
    struct slot *slot = find(coordinator, id);
    if (slot == NULL) {
        return NULL;
    }
    *plan = slot->plan;
    return saga_of(slot);
}

const struct saga *saga_coordinator_next(const struct saga_coordinator *coordinator,
                                         uint32_t *cursor, const struct saga_plan **plan) {
    while (*cursor < coordinator->places_used) {
        struct slot *slot = coordinator->slots[(*cursor)++];
        if (slot != NULL) {
            *plan = slot->plan;
            return saga_of(slot);
        }
    }
    return NULL;
}

bool saga_coordinator_quarantined(const struct saga_coordinator *coordinator,
                                  const struct saga_id *id) {
    const struct slot *slot = find(coordinator, id);
    return slot != NULL && slot->quarantined != 0;
}

int64_t saga_coordinator_now(const struct saga_coordinator *coordinator) {
    return coordinator->now_ms;
}

const struct saga_counters *saga_coordinator_counters(const struct saga_coordinator *coordinator) {
    return &coordinator->counters;
}
