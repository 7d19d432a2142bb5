#include "coordinator.h"

#include <string.h>

#include "lines.h"
#include "places.h"
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

/* A saga's `hurried`: participant + 1 (it is back, so no backoff before it), or this; 0: none is.
 */
#define ANYBODY UINT16_MAX

struct saga_coordinator {
    struct saga_limits limits;
    struct saga_places places;
    struct saga_timers timers; /* by number of place */
    struct saga_lines lines;
    const struct saga_plan **plans; /* in order of definition_lsn */
    uint32_t plan_count;
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

/* The parts of the caller's memory, in order. */
struct layout {
    size_t heap, timers, plans, lines, places, end;
};

static size_t part(size_t *offset, size_t count, size_t size) {
    const size_t here = *offset;
    *offset = (here + count * size + SAGA_POOL_UNIT - 1) / SAGA_POOL_UNIT * SAGA_POOL_UNIT;
    return here;
}

/* Recovery may have sagas in their present state beside others that are still to end by the records
 * that follow: as many again, at the most. */
static uint32_t places_max(const struct saga_limits *limits) {
    return 2 * limits->sagas_max;
}

static struct layout layout_of(const struct saga_limits *limits) {
    struct layout layout;
    size_t offset = 0;
    (void)part(&offset, 1, sizeof(struct saga_coordinator));
    layout.heap = part(&offset, places_max(limits), sizeof(struct saga_timer));
    layout.timers = part(&offset, places_max(limits), sizeof(uint32_t));
    layout.plans = part(&offset, limits->plans_max, sizeof(struct saga_plan *));
    layout.lines = part(&offset, limits->participants_max, sizeof(struct saga_line));
    layout.places = part(&offset, 1, saga_places_bytes(places_max(limits)));
    layout.end = offset;
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
    coordinator->plans = (const struct saga_plan **)(void *)(base + layout.plans);
    saga_timers_init(&coordinator->timers, (struct saga_timer *)(void *)(base + layout.heap),
                     (uint32_t *)(void *)(base + layout.timers));
    saga_places_init(&coordinator->places, base + layout.places, places_max(limits));
    saga_lines_init(&coordinator->lines, (struct saga_line *)(void *)(base + layout.lines),
                    &coordinator->places);
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

/* ------------------------------------------------------------------ places */

static struct saga_place *find(const struct saga_coordinator *coordinator,
                               const struct saga_id *id) {
    return saga_places_find(&coordinator->places, id);
}

static struct saga_place *take_place(struct saga_coordinator *coordinator,
                                     const struct saga_plan *plan) {
    struct saga_place *place = saga_places_take(&coordinator->places, plan);
    coordinator->counters.open += place != NULL;
    return place;
}

static void give_place(struct saga_coordinator *coordinator, struct saga_place *place) {
    saga_lines_leave(&coordinator->lines, place);
    saga_timers_set(&coordinator->timers, place->number, SAGA_TIMER_OFF);
    saga_places_give(&coordinator->places, place);
    coordinator->counters.open--;
}

/* The participant answers: let go of some that wait for it after silence. */
static void release_line(struct saga_coordinator *coordinator, uint16_t participant) {
    struct saga_place *first;
    for (int i = 0; i < RELEASED_BY_ANSWER &&
                    (first = saga_lines_first(&coordinator->lines, participant)) != NULL;
         i++) {
        saga_lines_leave(&coordinator->lines, first);
        first->hurried = (uint16_t)(participant + 1);
        saga_timers_set(&coordinator->timers, first->number, coordinator->now_ms);
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
                                  struct saga_place *place) {
    require(coordinator->effect_count < UPDATE_EFFECTS_MAX);
    struct saga_effect *made = &coordinator->effects[coordinator->effect_count++];
    memset(made, 0, sizeof *made);
    made->type = (uint8_t)type;
    made->saga = saga_place_saga(place)->id;
    made->plan = place->plan;
    made->last_lsn = saga_place_saga(place)->last_lsn;
    return made;
}

static void note_status(struct saga_coordinator *coordinator, struct saga_place *place) {
    const struct saga *saga = saga_place_saga(place);
    uint8_t status = status_of(saga);
    if (status == place->status) {
        return;
    }
    coordinator->counters.parked += (status == STATUS_PARKED);
    coordinator->counters.parked -= (place->status == STATUS_PARKED);
    place->status = status;
    effect(coordinator, SAGA_EFFECT_CHANGED, place)->status = saga_status_name(saga);
}

/* ------------------------------------------------------- sending and waking */

static int64_t earlier(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static bool may_have_left(struct saga_place *place, uint8_t step) {
    return saga_sent_may_have(&saga_place_sent(place)[step], &saga_place_saga(place)->steps[step]);
}

static bool has_left(struct saga_place *place, uint8_t step) {
    return saga_sent_has(&saga_place_sent(place)[step], &saga_place_saga(place)->steps[step]);
}

static void send(struct saga_coordinator *coordinator, struct saga_place *place,
                 const struct saga_outstanding *command) {
    const uint8_t step = command->id.step;
    coordinator->counters.asked_again += has_left(place, step);
    coordinator->counters.sent[command->id.operation]++;
    saga_sent_note(&saga_place_sent(place)[step], &saga_place_saga(place)->steps[step], command,
                   coordinator->now_ms);
    effect(coordinator, SAGA_EFFECT_SEND, place)->command = *command;
}

/* Sends a command if it is to be sent now; gives back when it is due next. */
static int64_t attend(struct saga_coordinator *coordinator, struct saga_place *place,
                      const struct saga_outstanding *command) {
    const struct saga_sent *sent = &saga_place_sent(place)[command->id.step];
    bool hurried = (place->hurried == ANYBODY || place->hurried == command->participant + 1) &&
                   command->unanswered;
    if (has_left(place, command->id.step)) {
        return earlier(saga_sent_patience(sent, command), command->deadline_ms);
    }
    if (command->send_at_ms <= coordinator->now_ms || hurried) {
        send(coordinator, place, command);
        return earlier(saga_sent_patience(sent, command), command->deadline_ms);
    }
    if (command->unanswered) {
        saga_lines_join(&coordinator->lines, place, command->participant);
    }
    return earlier(command->send_at_ms, command->deadline_ms);
}

/* Sends what is to be sent now, and sets the timer for what comes next. */
static void arm(struct saga_coordinator *coordinator, struct saga_place *place) {
    struct saga_outstanding commands[SAGA_STEPS_MAX];
    const struct saga *saga = saga_place_saga(place);
    int64_t due_ms = SAGA_TIMER_OFF;
    saga_lines_leave(&coordinator->lines, place);
    if (!place->quarantined) {
        size_t count = saga_todo(saga, place->plan, commands);
        for (size_t i = 0; i < count; i++) {
            due_ms = earlier(due_ms, attend(coordinator, place, &commands[i]));
        }
        if (saga_deadline_counts(saga, place->plan)) {
            due_ms = earlier(due_ms, saga->deadline_ms);
        }
    }
    place->hurried = 0;
    saga_timers_set(&coordinator->timers, place->number, due_ms);
}

/* -------------------------------------------------------------- one decision */

/* Takes over what was decided about a saga. The saga may be gone afterwards. */
static void settle(struct saga_coordinator *coordinator, struct saga_place *place) {
    const struct saga_decision *decision = &coordinator->decision;
    for (size_t i = 0; i < decision->record_count; i++) {
        require(coordinator->record_count < UPDATE_RECORDS_MAX);
        coordinator->records[coordinator->record_count++] = decision->records[i];
        coordinator->counters.facts[decision->records[i].fact]++;
    }
    if (decision->render_step != SAGA_STEP_NONE) {
        struct saga_effect *evaluate = effect(coordinator, SAGA_EFFECT_EVALUATE, place);
        evaluate->step = decision->render_step;
        evaluate->operation = decision->render_operation;
    }
    note_status(coordinator, place);
    if (saga_place_saga(place)->outcome != 0) {
        give_place(coordinator, place);
    } else if (decision->render_step != SAGA_STEP_NONE) {
        /* The body comes in this very commit, and arms it. Until then nothing is due: what
         * else is due now would ask for a body again, and only one question has an answer. */
        saga_lines_leave(&coordinator->lines, place);
        saga_timers_set(&coordinator->timers, place->number, SAGA_TIMER_OFF);
    } else {
        arm(coordinator, place);
    }
}

static void decide(struct saga_coordinator *coordinator, struct saga_place *place,
                   const struct saga_event *event, uint64_t first_lsn) {
    saga_decide(saga_place_saga(place), place->plan, event, first_lsn + coordinator->record_count,
                &coordinator->decision);
}

/* The step whose outstanding action has certainly not left: SAGA_STEP_NONE if
 * there is none. */
static uint8_t unsent_step(struct saga_place *place) {
    struct saga_outstanding commands[SAGA_STEPS_MAX];
    size_t count = saga_todo(saga_place_saga(place), place->plan, commands);
    for (size_t i = 0; i < count; i++) {
        uint8_t step = commands[i].id.step;
        if (commands[i].id.operation == SAGA_ACTION && !may_have_left(place, step)) {
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
    struct saga_place *place = coordinator->counters.open < coordinator->limits.sagas_max
                                   ? take_place(coordinator, input->plan)
                                   : NULL;
    if (place == NULL) {
        return SAGA_ANSWER_FULL;
    }
    require(saga_begin(saga_place_saga(place), place->plan, &started) == SAGA_APPLIED);
    saga_places_enter(&coordinator->places, place);
    coordinator->records[coordinator->record_count++] = started;
    coordinator->counters.facts[SAGA_STARTED]++;
    saga_follow(saga_place_saga(place), place->plan, &input->event, input->next_lsn + 1,
                &coordinator->decision);
    settle(coordinator, place);
    return SAGA_ANSWER_TAKEN;
}

static void count_reply(struct saga_coordinator *coordinator, const struct saga_event *event,
                        enum saga_answer answer) {
    if (event->type == SAGA_INPUT_REPLY) {
        coordinator->counters.verdicts[event->verdict <= SAGA_VERDICT_COUNT ? event->verdict : 0]++;
        coordinator->counters.reply_answers[answer]++;
    }
}

static enum saga_answer happen(struct saga_coordinator *coordinator,
                               const struct saga_input *input) {
    struct saga_place *place = find(coordinator, &input->saga);
    struct saga_event event = input->event;
    if (place == NULL || place->quarantined) {
        enum saga_answer answer = place == NULL ? SAGA_ANSWER_NO_SAGA : SAGA_ANSWER_REFUSED;
        count_reply(coordinator, &event, answer);
        return answer;
    }
    uint16_t participant = 0;
    bool about_step = event.step < place->plan->step_count;
    if (event.type == SAGA_INPUT_UNSENT && about_step) {
        place->hurried = 0; /* whoever was back takes nothing, after all */
        if (saga_sent_refuse_again(&saga_place_sent(place)[event.step], &event)) {
            return SAGA_ANSWER_STALE;
        }
    }
    if (event.type == SAGA_INPUT_REPLY && about_step) {
        participant = place->plan->steps[event.step].participant;
        event.unsent = !may_have_left(place, event.step);
    } else if (event.type == SAGA_INPUT_CANCEL) {
        event.step = unsent_step(place);
        event.unsent = event.step != SAGA_STEP_NONE;
    } else if (event.type == SAGA_INPUT_RESOLVE) {
        event.unsent = event.step == unsent_step(place);
    }
    decide(coordinator, place, &event, input->next_lsn);
    enum saga_answer answer = coordinator->decision.answer;
    count_reply(coordinator, &event, answer);
    if (coordinator->decision.record_count > 0) {
        settle(coordinator, place);
    }
    if (event.type == SAGA_INPUT_REPLY && about_step && answer == SAGA_ANSWER_TAKEN &&
        event.verdict != SAGA_RETRY && event.verdict != SAGA_UNKNOWN) {
        release_line(coordinator, participant);
    }
    return answer;
}

/* -------------------------------------------------------------------- time */

static bool room_for_a_round(const struct saga_coordinator *coordinator) {
    return coordinator->record_count + SAGA_DECISION_MAX <= UPDATE_RECORDS_MAX &&
           coordinator->effect_count + 2 * (size_t)ROUND_EFFECTS_MAX <= UPDATE_EFFECTS_MAX;
}

/* One thing that is due for this saga, as an event; false: nothing is. */
static bool due_event(const struct saga_coordinator *coordinator, struct saga_place *place,
                      struct saga_event *event) {
    struct saga_outstanding commands[SAGA_STEPS_MAX];
    const struct saga *saga = saga_place_saga(place);
    int64_t now_ms = coordinator->now_ms;
    if (saga_deadline_counts(saga, place->plan) && saga->deadline_ms <= now_ms) {
        event->type = SAGA_INPUT_SAGA_DEADLINE;
        event->step = unsent_step(place);
        event->unsent = event->step != SAGA_STEP_NONE;
        return true;
    }
    size_t count = saga_todo(saga, place->plan, commands);
    for (size_t i = 0; i < count; i++) {
        const struct saga_outstanding *command = &commands[i];
        const struct saga_sent *sent = &saga_place_sent(place)[command->id.step];
        bool over = has_left(place, command->id.step) && !saga_sent_is_repeated(sent, command) &&
                    saga_sent_patience(sent, command) <= now_ms;
        if (over || command->deadline_ms <= now_ms) {
            event->type = SAGA_INPUT_TIMEOUT;
            event->step = command->id.step;
            event->unsent = !may_have_left(place, command->id.step);
            return true;
        }
    }
    return false;
}

static void ask_again(struct saga_coordinator *coordinator, struct saga_place *place) {
    struct saga_outstanding commands[SAGA_STEPS_MAX];
    size_t count = saga_todo(saga_place_saga(place), place->plan, commands);
    for (size_t i = 0; i < count; i++) {
        const struct saga_outstanding *command = &commands[i];
        const struct saga_sent *sent = &saga_place_sent(place)[command->id.step];
        if (saga_sent_is_repeated(sent, command) && has_left(place, command->id.step) &&
            saga_sent_patience(sent, command) <= coordinator->now_ms) {
            send(coordinator, place, command);
        }
    }
}

static void tick(struct saga_coordinator *coordinator, const struct saga_input *input) {
    while (saga_timers_earliest(&coordinator->timers) <= coordinator->now_ms &&
           room_for_a_round(coordinator)) {
        struct saga_place *place =
            saga_places_at(&coordinator->places, saga_timers_first(&coordinator->timers));
        struct saga_event event = {
            .at_ms = input->event.at_ms,
            .wall_ms = input->event.wall_ms,
            .epoch = input->event.epoch,
            .step = SAGA_STEP_NONE,
        };
        if (due_event(coordinator, place, &event)) {
            place->hurried = 0; /* that was about what waited already */
            decide(coordinator, place, &event, input->next_lsn);
            require(coordinator->decision.record_count > 0); /* or it would be due for ever */
            settle(coordinator, place);
        } else {
            ask_again(coordinator, place);
            arm(coordinator, place);
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
    for (uint32_t i = 0; i < coordinator->places.used; i++) {
        struct saga_place *place = saga_places_at(&coordinator->places, i);
        if (place == NULL || place->quarantined ||
            compensates(saga_place_saga(place)) != compensations ||
            saga_place_saga(place)->parked != 0) {
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
    for (uint32_t i = 0; i < coordinator->places.used; i++) {
        struct saga_place *place = saga_places_at(&coordinator->places, i);
        if (place != NULL && !place->quarantined && saga_place_saga(place)->parked != 0) {
            arm(coordinator, place); /* nothing to send; its deadline may still count */
        }
    }
}

/* A transport had lost its peer, and has found it: what it was given may be lost, too. It is sent
 * again as the same attempt, and what waits for its turn waits no longer. Whoever keeps no fence
 * may act on both, or reject the second: there the attempt has to end, on record, before another.
 */
static void resend(struct saga_coordinator *coordinator) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < coordinator->places.used; i++) {
        struct saga_place *place = saga_places_at(&coordinator->places, i);
        if (place == NULL) {
            continue;
        }
        for (uint8_t step = 0; step < place->plan->step_count; step++) {
            if (place->plan->steps[step].fenced && has_left(place, step)) {
                saga_place_sent(place)[step].at_ms = SAGA_SENT_BEFORE;
            }
        }
        place->hurried = ANYBODY;
    }
    schedule(coordinator, true, &count);
    schedule(coordinator, false, &count);
    coordinator->counters.resent += count;
}

/* Something of this saga has not left, and waits: in a backoff, or (an attempt that had left
 * before) for its patience to be over. */
static bool let_go_of_refused(struct saga_place *place) {
    struct saga_outstanding commands[SAGA_STEPS_MAX];
    size_t count = saga_todo(saga_place_saga(place), place->plan, commands);
    bool waits = false;
    for (size_t i = 0; i < count; i++) {
        const uint8_t step = commands[i].id.step;
        struct saga_sent *sent = &saga_place_sent(place)[step];
        const bool refused = has_left(place, step) && sent->refused;
        waits = waits || refused || (!has_left(place, step) && commands[i].unanswered);
        if (refused) {
            sent->at_ms = SAGA_SENT_BEFORE;
        }
    }
    return waits;
}

/* Their turns are spread as those of what is sent again, and nobody's comes later for it. */
static void hurry_some(struct saga_coordinator *coordinator, bool compensations, uint64_t *count) {
    for (uint32_t i = 0; i < coordinator->places.used; i++) {
        struct saga_place *place = saga_places_at(&coordinator->places, i);
        if (place == NULL || place->quarantined ||
            compensates(saga_place_saga(place)) != compensations ||
            saga_place_saga(place)->parked != 0 || !let_go_of_refused(place)) {
            continue;
        }
        int64_t wait_ms = (int64_t)(*count * 1000 / coordinator->limits.resend_per_second);
        saga_timers_set(
            &coordinator->timers, i,
            earlier(coordinator->now_ms + wait_ms, saga_timers_due(&coordinator->timers, i)));
        place->hurried = ANYBODY;
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
    for (uint32_t i = 0; i < coordinator->places.used && room_for_a_round(coordinator); i++) {
        struct saga_place *place = saga_places_at(&coordinator->places, i);
        if (place != NULL && !place->quarantined && saga_place_saga(place)->parked == 0 &&
            saga_timers_due(&coordinator->timers, i) == SAGA_TIMER_OFF) {
            coordinator->counters.orphans_rearmed++;
            arm(coordinator, place);
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
    struct saga_place *place = take_place(coordinator, plan);
    if (place == NULL) {
        return SAGA_REPLAY_FULL;
    }
    if (saga_begin(saga_place_saga(place), plan, record) != SAGA_APPLIED) {
        give_place(coordinator, place);
        return SAGA_REPLAY_NO_PLAN;
    }
    place->status = status_of(saga_place_saga(place));
    saga_places_enter(&coordinator->places, place);
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
    struct saga_place *place = take_place(coordinator, plan);
    if (place == NULL) {
        return SAGA_REPLAY_FULL;
    }
    memcpy(saga_place_saga(place), state, saga_size(state->step_count));
    place->status = status_of(saga_place_saga(place));
    coordinator->counters.parked += place->status == STATUS_PARKED;
    saga_places_enter(&coordinator->places, place);
    return SAGA_REPLAYED;
}

/* What was on its way at the restart may have left in the epoch before. */
static void doubt_open_attempts(struct saga_place *place) {
    const struct saga *saga = saga_place_saga(place);
    for (uint8_t i = 0; i < saga->step_count; i++) {
        saga_sent_doubt(&saga_place_sent(place)[i], &saga->steps[i]);
    }
}

static enum saga_replay replay_epoch(struct saga_coordinator *coordinator,
                                     const struct saga_record *record) {
    if (record->epoch < coordinator->epoch) {
        return SAGA_REPLAY_ILLEGAL;
    }
    for (uint32_t i = 0; i < coordinator->places.used; i++) {
        struct saga_place *place = saga_places_at(&coordinator->places, i);
        if (place == NULL || place->quarantined || saga_place_saga(place)->epoch >= record->epoch) {
            continue;
        }
        if (saga_apply(saga_place_saga(place), place->plan, record) != SAGA_APPLIED) {
            return SAGA_REPLAY_ILLEGAL; /* for the first one as for any */
        }
        doubt_open_attempts(place);
    }
    coordinator->epoch = record->epoch;
    return SAGA_REPLAYED;
}

static void quarantine(struct saga_coordinator *coordinator, struct saga_place *place) {
    if (!place->quarantined) {
        place->quarantined = 1;
        coordinator->counters.quarantined++;
        saga_lines_leave(&coordinator->lines, place);
        saga_timers_set(&coordinator->timers, place->number, SAGA_TIMER_OFF);
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
    struct saga_place *place = find(coordinator, &record->saga);
    if (place == NULL) {
        return SAGA_REPLAY_NO_SAGA;
    }
    if (place->quarantined) {
        return SAGA_REPLAY_QUARANTINED;
    }
    if (saga_apply(saga_place_saga(place), place->plan, record) != SAGA_APPLIED) {
        quarantine(coordinator, place);
        return SAGA_REPLAY_QUARANTINED;
    }
    uint8_t status = status_of(saga_place_saga(place));
    coordinator->counters.parked += (status == STATUS_PARKED) && place->status != STATUS_PARKED;
    coordinator->counters.parked -= (status != STATUS_PARKED) && place->status == STATUS_PARKED;
    place->status = status;
    if (saga_place_saga(place)->outcome != 0) {
        give_place(coordinator, place);
    }
    return SAGA_REPLAYED;
}

bool saga_coordinator_quarantine(struct saga_coordinator *coordinator, const struct saga_id *id) {
    struct saga_place *place = find(coordinator, id);
    if (place == NULL) {
        return false;
    }
    quarantine(coordinator, place);
    return true;
}

/* ----------------------------------------------------------------- looking */

const struct saga *saga_coordinator_find(const struct saga_coordinator *coordinator,
                                         const struct saga_id *id, const struct saga_plan **plan) {
    struct saga_place *place = find(coordinator, id);
    if (place == NULL) {
        return NULL;
    }
    *plan = place->plan;
    return saga_place_saga(place);
}

const struct saga *saga_coordinator_next(const struct saga_coordinator *coordinator,
                                         uint32_t *cursor, const struct saga_plan **plan) {
    while (*cursor < coordinator->places.used) {
        struct saga_place *place = saga_places_at(&coordinator->places, (*cursor)++);
        if (place != NULL) {
            *plan = place->plan;
            return saga_place_saga(place);
        }
    }
    return NULL;
}

bool saga_coordinator_quarantined(const struct saga_coordinator *coordinator,
                                  const struct saga_id *id) {
    const struct saga_place *place =
        coordinator->counters.quarantined > 0 ? find(coordinator, id) : NULL;
    return place != NULL && place->quarantined != 0;
}

int64_t saga_coordinator_now(const struct saga_coordinator *coordinator) {
    return coordinator->now_ms;
}

const struct saga_counters *saga_coordinator_counters(const struct saga_coordinator *coordinator) {
    return &coordinator->counters;
}
