/* All sagas together: timers, lines, limits, restarts. */
#include "coordinator.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "check_run.h"
#include "splitmix.h"

#define SENT_MAX    4096
#define RECORDS_MAX 65536

static const struct saga_budget budget = {.timeout_ms = 1000,
                                          .deadline_ms = 60000,
                                          .initial_ms = 10000,
                                          .max_ms = 60000,
                                          .factor_milli = 2000,
                                          .attempts_max = 5};
static struct saga_plan plan; /* one step that can be undone, then one that cannot */
static void *memory;
static struct saga_coordinator *coordinator;
static struct saga_update update;
static uint64_t next_lsn;
static uint32_t epoch;
static int64_t now_ms;
static struct saga_outstanding sent[SENT_MAX];
static int64_t sent_at[SENT_MAX];
static size_t sent_count;
static struct saga_record records[RECORDS_MAX];
static size_t record_count;

static void make_plan(void) {
    memset(&plan, 0, sizeof plan);
    plan.definition_lsn = 1;
    plan.step_count = 2;
    plan.pivot = 1;
    for (uint8_t i = 0; i < 2; i++) {
        plan.steps[i] = (struct saga_plan_step){
            .after = i == 0 ? 0 : 1,
            .participant = i,
            .position = i == 0 ? SAGA_BEFORE_PIVOT : SAGA_PIVOT,
            .undo = i == 0 ? SAGA_UNDO_COMPENSATION : SAGA_UNDO_NOTHING,
            .compensated_by = SAGA_STEP_NONE,
            .on_unknown = SAGA_ON_UNKNOWN_FENCE,
            .fenced = true,
            .action = budget,
            .compensation = budget,
        };
        plan.steps[i].compensation.attempts_max = 0;
        plan.steps[i].compensation.deadline_ms = 0;
    }
}

static void open_coordinator(uint32_t sagas_max, uint32_t resend_per_second) {
    const struct saga_limits limits = {.sagas_max = sagas_max,
                                       .plans_max = 4,
                                       .participants_max = 4,
                                       .resend_per_second = resend_per_second};
    free(memory);
    memory = calloc(1, saga_coordinator_size(&limits));
    ck_assert_ptr_nonnull(memory);
    coordinator = saga_coordinator_init(memory, &limits);
    ck_assert(saga_coordinator_define(coordinator, &plan));
}

static void set_up(void) {
    make_plan();
    next_lsn = 2;
    epoch = 1;
    now_ms = 1000;
    sent_count = 0;
    record_count = 0;
    open_coordinator(300, 1000);
}

static void tear_down(void) {
    free(memory);
    memory = NULL;
}

static struct saga_id id_of(uint32_t number) {
    struct saga_id id = {{0}};
    memcpy(id.bytes + 12, &number, sizeof number);
    return id;
}

static enum saga_answer give(struct saga_input input);

/* What the engine does with an update, without a log. */
static void take_over(void) {
    struct saga_effect evaluate[64] = {{0}};
    size_t evaluate_count = 0;
    for (size_t i = 0; i < update.record_count; i++) {
        ck_assert_uint_eq(update.records[i].lsn, next_lsn);
        ck_assert_uint_lt(record_count, RECORDS_MAX);
        records[record_count++] = update.records[i];
        next_lsn++;
    }
    for (size_t i = 0; i < update.effect_count; i++) {
        const struct saga_effect *effect = &update.effects[i];
        if (effect->type == SAGA_EFFECT_SEND) {
            ck_assert_uint_lt(sent_count, SENT_MAX);
            sent_at[sent_count] = now_ms;
            sent[sent_count++] = effect->command;
        } else if (effect->type == SAGA_EFFECT_EVALUATE) {
            ck_assert_uint_lt(evaluate_count, 64);
            evaluate[evaluate_count++] = *effect;
        }
    }
    for (size_t i = 0; i < evaluate_count; i++) {
        ck_assert_int_eq(give((struct saga_input){.door = SAGA_DOOR_EVENT,
                                                  .saga = evaluate[i].saga,
                                                  .event = {.type = SAGA_INPUT_RENDERED,
                                                            .step = evaluate[i].step,
                                                            .operation = evaluate[i].operation}}),
                         SAGA_ANSWER_TAKEN);
    }
}

static enum saga_answer give(struct saga_input input) {
    input.next_lsn = next_lsn;
    input.event.at_ms = now_ms;
    epoch += input.door == SAGA_DOOR_EPOCH;
    input.event.epoch = epoch;
    saga_coordinator_step(coordinator, &input, &update);
    enum saga_answer answer = update.answer;
    take_over();
    return answer;
}

static enum saga_answer start(uint32_t number) {
    return give((struct saga_input){.door = SAGA_DOOR_START, .saga = id_of(number), .plan = &plan});
}

static enum saga_answer reply(const struct saga_outstanding *to, enum saga_verdict verdict) {
    return give((struct saga_input){.door = SAGA_DOOR_EVENT,
                                    .saga = to->id.saga,
                                    .event = {.type = SAGA_INPUT_REPLY,
                                              .step = to->id.step,
                                              .operation = to->id.operation,
                                              .incarnation = to->id.incarnation,
                                              .revision = to->id.revision,
                                              .attempt = to->attempt,
                                              .verdict = (uint8_t)verdict}});
}

/* Lets time pass and does everything that is due on the way, at its time. */
static void pass(int64_t ms) {
    int64_t end_ms = now_ms + ms;
    for (;;) {
        (void)give((struct saga_input){.door = SAGA_DOOR_TICK});
        int64_t wake_at_ms = update.wake_at_ms;
        if (wake_at_ms > end_ms) {
            break;
        }
        now_ms = wake_at_ms > now_ms ? wake_at_ms : now_ms;
    }
    now_ms = end_ms;
}

START_TEST(a_saga_leaves_when_it_ends) {
    ck_assert_int_eq(start(1), SAGA_ANSWER_TAKEN);
    ck_assert_uint_eq(sent_count, 1);
    ck_assert_int_eq(reply(&sent[0], SAGA_DONE), SAGA_ANSWER_TAKEN);
    ck_assert_int_eq(reply(&sent[1], SAGA_DONE), SAGA_ANSWER_TAKEN);
    ck_assert_uint_eq(saga_coordinator_counters(coordinator)->open, 0);
    ck_assert_int_eq(reply(&sent[1], SAGA_DONE), SAGA_ANSWER_NO_SAGA);
    ck_assert_int_eq(update.wake_at_ms, INT64_MAX);
}
END_TEST

START_TEST(the_limit_refuses_and_a_place_is_used_again) {
    open_coordinator(3, 1000);
    for (uint32_t round = 0; round < 50; round++) {
        sent_count = 0;
        for (uint32_t i = 0; i < 3; i++) {
            ck_assert_int_eq(start(round * 3 + i), SAGA_ANSWER_TAKEN);
        }
        ck_assert_int_eq(start(9999), SAGA_ANSWER_FULL);
        ck_assert_uint_eq(update.record_count, 0);
        for (uint32_t i = 0; i < 3; i++) {
            ck_assert_int_eq(reply(&sent[i], SAGA_REJECTED), SAGA_ANSWER_TAKEN);
        }
        ck_assert_uint_eq(saga_coordinator_counters(coordinator)->open, 0);
    }
}
END_TEST

START_TEST(sagas_are_found_while_others_come_and_go) {
    struct splitmix random = {.state = (uint64_t)_i + 7};
    bool open[300] = {false};
    const struct saga_plan *found_plan;
    for (int round = 0; round < 5000; round++) {
        uint32_t number = (uint32_t)(splitmix_next(&random) % 300);
        struct saga_id id = id_of(number);
        sent_count = 0;
        if (!open[number]) {
            ck_assert_int_eq(start(number), SAGA_ANSWER_TAKEN);
        } else {
            const struct saga_outstanding first = {
                .id = {.saga = id, .operation = SAGA_ACTION, .incarnation = 1, .revision = 1}};
            ck_assert_int_eq(reply(&first, SAGA_REJECTED), SAGA_ANSWER_TAKEN);
        }
        open[number] = !open[number];
        record_count = 0;
        bool right = true;
        for (uint32_t i = 0; i < 300; i++) {
            id = id_of(i);
            const struct saga *saga = saga_coordinator_find(coordinator, &id, &found_plan);
            right = right && (saga != NULL) == open[i] &&
                    (saga == NULL || memcmp(&saga->id, &id, sizeof id) == 0);
        }
        ck_assert_msg(right, "round %d", round);
    }
}
END_TEST

START_TEST(one_step_does_a_bounded_amount_of_work) {
    for (uint32_t i = 0; i < 300; i++) {
        ck_assert_int_eq(start(i), SAGA_ANSWER_TAKEN);
    }
    now_ms += 1000; /* all of their attempts are over at once */
    (void)give((struct saga_input){.door = SAGA_DOOR_TICK});
    ck_assert_uint_lt(record_count, 2 * 300 + 100);
    ck_assert_int_le(update.wake_at_ms, now_ms);
    pass(0);
    ck_assert_uint_eq(saga_coordinator_counters(coordinator)->facts[SAGA_ATTEMPT_EXPIRED], 300);
}
END_TEST

START_TEST(who_answers_again_is_met_by_waves) {
    for (uint32_t i = 0; i < 100; i++) {
        ck_assert_int_eq(start(i), SAGA_ANSWER_TAKEN);
    }
    pass(1000); /* silence: all wait out a backoff of up to 10 s, but the shortest ones */
    sent_count = 0;
    ck_assert_int_eq(start(1000), SAGA_ANSWER_TAKEN);
    struct saga_outstanding fresh = sent[sent_count - 1];
    size_t before = sent_count;
    ck_assert_int_eq(reply(&fresh, SAGA_DONE), SAGA_ANSWER_TAKEN); /* it is back */
    (void)give((struct saga_input){.door = SAGA_DOOR_TICK});
    size_t first_of_participant = 0;
    struct saga_outstanding waves[8];
    for (size_t i = before; i < sent_count; i++) {
        if (sent[i].participant == 0) {
            ck_assert_uint_eq(sent[i].attempt, 2);
            waves[first_of_participant++] = sent[i];
        }
    }
    ck_assert_uint_eq(first_of_participant, 2); /* two for one */
    before = sent_count;
    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq(reply(&waves[i], SAGA_DONE), SAGA_ANSWER_TAKEN);
    }
    (void)give((struct saga_input){.door = SAGA_DOOR_TICK});
    size_t released = 0;
    for (size_t i = before; i < sent_count; i++) {
        released += sent[i].participant == 0;
    }
    ck_assert_uint_eq(released, 4);
    ck_assert_uint_eq(saga_coordinator_counters(coordinator)->released, 6);
}
END_TEST

START_TEST(only_what_waits_for_who_answers_is_released) {
    /* Two steps at once, at two participants. */
    plan.pivot = SAGA_STEP_NONE;
    plan.steps[1] = plan.steps[0];
    plan.steps[1].participant = 1;
    ck_assert_int_eq(start(1), SAGA_ANSWER_TAKEN);
    ck_assert_uint_eq(sent_count, 2);
    pass(1000); /* silence from both */
    ck_assert_int_eq(start(2), SAGA_ANSWER_TAKEN);
    size_t before = sent_count;
    const struct saga_outstanding *fresh = NULL;
    for (size_t i = 0; i < sent_count; i++) {
        struct saga_id id = id_of(2);
        fresh = sent[i].participant == 0 && memcmp(&sent[i].id.saga, &id, sizeof id) == 0 ? &sent[i]
                                                                                          : fresh;
    }
    ck_assert_ptr_nonnull(fresh);
    ck_assert_int_eq(reply(fresh, SAGA_DONE), SAGA_ANSWER_TAKEN);
    (void)give((struct saga_input){.door = SAGA_DOOR_TICK});
    ck_assert_uint_eq(sent_count, before + 1);
    ck_assert_uint_eq(sent[before].participant, 0);
}
END_TEST

START_TEST(a_retry_answer_releases_nobody) {
    for (uint32_t i = 0; i < 10; i++) {
        ck_assert_int_eq(start(i), SAGA_ANSWER_TAKEN);
    }
    pass(1000);
    ck_assert_int_eq(start(1000), SAGA_ANSWER_TAKEN);
    ck_assert_int_eq(reply(&sent[sent_count - 1], SAGA_RETRY), SAGA_ANSWER_TAKEN);
    ck_assert_uint_eq(saga_coordinator_counters(coordinator)->released, 0);
}
END_TEST

START_TEST(what_is_in_progress_is_asked_again_and_waits_for_its_deadline) {
    ck_assert_int_eq(start(1), SAGA_ANSWER_TAKEN);
    ck_assert_int_eq(reply(&sent[0], SAGA_ACCEPTED), SAGA_ANSWER_TAKEN);
    pass(59000); /* one attempt's timeout is long over */
    ck_assert_uint_eq(saga_coordinator_counters(coordinator)->facts[SAGA_ATTEMPT_EXPIRED], 0);
    ck_assert_uint_eq(sent_count, 1);
    plan.steps[0].action.deadline_ms = 0;
    ck_assert_int_eq(start(2), SAGA_ANSWER_TAKEN);
    ck_assert_int_eq(reply(&sent[1], SAGA_ACCEPTED), SAGA_ANSWER_TAKEN);
    sent_count = 0;
    pass(61000);
    size_t again = 0;
    for (size_t i = 0; i < sent_count; i++) {
        struct saga_id id = id_of(2);
        again += memcmp(&sent[i].id.saga, &id, sizeof id) == 0 && sent[i].attempt == 1;
    }
    ck_assert_uint_eq(again, 1);
    ck_assert_uint_eq(saga_coordinator_counters(coordinator)->asked_again, 1);
}
END_TEST

/* Folds all records so far into a new coordinator, and begins an epoch. */
static void restart(uint32_t resend_per_second) {
    open_coordinator(300, resend_per_second);
    for (size_t i = 0; i < record_count; i++) {
        ck_assert_int_eq(saga_coordinator_replay(coordinator, &records[i]), SAGA_REPLAYED);
    }
    sent_count = 0;
    now_ms += 10;
    (void)give((struct saga_input){.door = SAGA_DOOR_EPOCH});
}

START_TEST(a_restart_sends_at_its_rate_compensations_first) {
    for (uint32_t i = 0; i < 100; i++) {
        ck_assert_int_eq(start(i), SAGA_ANSWER_TAKEN);
    }
    for (uint32_t i = 50; i < 100; i++) { /* these go back */
        ck_assert_int_eq(give((struct saga_input){.door = SAGA_DOOR_EVENT,
                                                  .saga = id_of(i),
                                                  .event = {.type = SAGA_INPUT_CANCEL}}),
                         SAGA_ANSWER_TAKEN);
    }
    restart(100);
    int64_t began_ms = now_ms;
    ck_assert_uint_eq(sent_count, 0);
    pass(999);
    ck_assert_uint_eq(sent_count, 100);
    for (size_t i = 0; i < sent_count; i++) {
        ck_assert_int_eq(sent[i].id.operation, i < 50 ? SAGA_COMPENSATION : SAGA_ACTION);
        ck_assert_int_eq(sent_at[i] - began_ms, (int64_t)i * 10);
    }
}
END_TEST

/* Anything that can happen, to sagas that were started. */
static void let_something_happen(struct splitmix *random) {
    const size_t which = splitmix_next(random) % sent_count;
    const uint64_t chance = splitmix_next(random) % 12;
    if (chance < 7) {
        (void)reply(&sent[which], (enum saga_verdict)(chance + 1));
    } else if (chance == 7) {
        (void)give((struct saga_input){.door = SAGA_DOOR_EVENT,
                                       .saga = sent[which].id.saga,
                                       .event = {.type = SAGA_INPUT_CANCEL}});
    } else {
        pass((int64_t)(splitmix_next(random) % 500));
    }
}

/* `coordinator` has the same sagas as the live one, byte for byte. */
static void assert_same_sagas(const struct saga_coordinator *live) {
    const struct saga_plan *live_plan;
    const struct saga_plan *folded_plan;
    const struct saga *saga;
    uint32_t cursor = 0;
    size_t compared = 0;
    while ((saga = saga_coordinator_next(live, &cursor, &live_plan)) != NULL) {
        const struct saga *folded = saga_coordinator_find(coordinator, &saga->id, &folded_plan);
        ck_assert_ptr_nonnull(folded);
        ck_assert_mem_eq(saga, folded, saga_size(saga->step_count));
        compared++;
    }
    ck_assert_uint_eq(compared, saga_coordinator_counters(coordinator)->open);
    ck_assert_uint_eq(saga_coordinator_counters(live)->parked,
                      saga_coordinator_counters(coordinator)->parked);
}

#define MANY 60

static void start_many(void) {
    for (uint32_t i = 0; i < MANY; i++) {
        ck_assert_int_eq(start(i), SAGA_ANSWER_TAKEN);
    }
}

START_TEST(live_and_replayed_sagas_are_equal_byte_for_byte) {
    struct splitmix random = {.state = (uint64_t)_i + 1};
    start_many();
    for (int round = 0; round < 600 && sent_count <= SENT_MAX - 400; round++) {
        let_something_happen(&random);
    }
    const struct saga_coordinator *live = coordinator;
    void *live_memory = memory;
    memory = NULL;
    open_coordinator(300, 1000);
    for (size_t i = 0; i < record_count; i++) {
        ck_assert_int_eq(saga_coordinator_replay(coordinator, &records[i]), SAGA_REPLAYED);
    }
    assert_same_sagas(live);
    free(live_memory);
}
END_TEST

/* Each saga's state as of some moment of its own. */
struct stored {
    size_t records; /* so many there were; 0: not stored yet */
    bool open;
    uint64_t state[128];
};

static void store(struct stored *stored, uint32_t number) {
    const struct saga_plan *its_plan;
    const struct saga_id id = id_of(number);
    const struct saga *saga = saga_coordinator_find(coordinator, &id, &its_plan);
    stored->records = record_count;
    stored->open = saga != NULL;
    if (saga != NULL) {
        ck_assert(saga_is_sound(saga, its_plan));
        ck_assert_uint_le(saga_size(saga->step_count), sizeof stored->state);
        memcpy(stored->state, saga, saga_size(saga->step_count));
    }
}

static const struct saga *state_of(const struct stored *stored) {
    return (const struct saga *)(const void *)stored->state;
}

static bool is_of_the_log(const struct saga_record *record) {
    return record->fact == SAGA_EPOCH_STARTED;
}

static struct stored *stored_of(struct stored *all, const struct saga_record *record) {
    uint32_t number;
    memcpy(&number, record->saga.bytes + 12, sizeof number);
    return &all[number];
}

/* States that were stored at different times, and what came after each of them, make the same
 * sagas as all that ever came. */
START_TEST(stored_and_replayed_sagas_are_equal_byte_for_byte) {
    static struct stored all[MANY];
    struct splitmix random = {.state = (uint64_t)_i + 1};
    start_many();
    memset(all, 0, sizeof all);
    for (int round = 0; round < 600 && sent_count <= SENT_MAX - 700; round++) {
        let_something_happen(&random);
        if (round % 5 == 4) {
            const uint32_t number = (uint32_t)splitmix_below(&random, MANY);
            store(&all[number], number);
        }
        if (round % 150 == 149) {
            (void)give((struct saga_input){.door = SAGA_DOOR_EPOCH});
        }
    }
    for (uint32_t i = 0; i < MANY; i++) {
        if (splitmix_below(&random, 2) == 0) {
            store(&all[i], i);
        } else {
            all[i].records = 0;
        }
    }
    for (int round = 0; round < 100 && sent_count <= SENT_MAX - 300; round++) {
        let_something_happen(&random);
        if (round % 3 == 0) {
            const uint32_t number = (uint32_t)splitmix_below(&random, MANY);
            store(&all[number], number);
        }
        if (round == 50) {
            (void)give((struct saga_input){.door = SAGA_DOOR_EPOCH});
        }
    }
    const struct saga_coordinator *live = coordinator;
    void *live_memory = memory;
    memory = NULL;
    open_coordinator(300, 1000);
    for (uint32_t i = 0; i < MANY; i++) {
        if (all[i].records > 0 && all[i].open) {
            ck_assert_int_eq(saga_coordinator_restore(coordinator, state_of(&all[i])),
                             SAGA_REPLAYED);
        }
    }
    for (size_t i = 0; i < record_count; i++) {
        if (is_of_the_log(&records[i]) || stored_of(all, &records[i])->records <= i) {
            ck_assert_int_eq(saga_coordinator_replay(coordinator, &records[i]), SAGA_REPLAYED);
        }
    }
    assert_same_sagas(live);
    free(live_memory);
}
END_TEST

/* What makes a stored state unfit; each alone. */
static const struct {
    size_t offset;
    uint8_t value; /* of the byte */
} unsound[] = {
    {offsetof(struct saga, step_count), 3},
    {offsetof(struct saga, step_count), 1},
    {offsetof(struct saga, definition_lsn), 2},
    {offsetof(struct saga, last_lsn), 0},
    {offsetof(struct saga, ended_lsn), 1},
    {offsetof(struct saga, started_ms) + 7, 0x80},
    {offsetof(struct saga, deadline_ms) + 7, 0x80},
    {offsetof(struct saga, direction), 0},
    {offsetof(struct saga, direction), 3},
    {offsetof(struct saga, outcome), 1},
    {offsetof(struct saga, parked), 21},
    {offsetof(struct saga, wish), 21},
    {offsetof(struct saga, reason), 21},
    {offsetof(struct saga, pivot_passed), 2},
    {offsetof(struct saga, started_count), 3},
    {offsetof(struct saga, parked_step), 2},
    {offsetof(struct saga, epoch), 0},
    {offsetof(struct saga, steps) + offsetof(struct saga_step, phase), 0},
    {offsetof(struct saga, steps) + offsetof(struct saga_step, phase), 16},
    {offsetof(struct saga, steps) + offsetof(struct saga_step, operation), 5},
    {offsetof(struct saga, steps) + offsetof(struct saga_step, order), 2},
    {offsetof(struct saga, steps) + offsetof(struct saga_step, incarnation), 0},
    {offsetof(struct saga, steps) + offsetof(struct saga_step, revision), 0},
    {offsetof(struct saga, steps) + offsetof(struct saga_step, flags) + 2, 0x08},
    {offsetof(struct saga, steps) + offsetof(struct saga_step, send_at_ms) + 7, 0xff},
    {offsetof(struct saga, steps) + offsetof(struct saga_step, deadline_ms) + 7, 0xff},
    {offsetof(struct saga, steps) + offsetof(struct saga_step, command_lsn), 0},
    {offsetof(struct saga, steps) + offsetof(struct saga_step, command_lsn) + 4, 1},
};
#define UNSOUND_COUNT ((int)(sizeof unsound / sizeof unsound[0]))

START_TEST(a_state_that_cannot_be_is_not_taken) {
    struct stored stored;
    ck_assert_int_eq(start(1), SAGA_ANSWER_TAKEN);
    store(&stored, 1);
    ck_assert_int_eq(saga_coordinator_restore(coordinator, state_of(&stored)),
                     SAGA_REPLAY_QUARANTINED); /* it is there already */
    open_coordinator(300, 1000);
    ((uint8_t *)stored.state)[unsound[_i].offset] = unsound[_i].value;
    ck_assert_msg(saga_coordinator_restore(coordinator, state_of(&stored)) != SAGA_REPLAYED,
                  "byte %zu is %u", unsound[_i].offset, unsound[_i].value);
    ck_assert_uint_eq(saga_coordinator_counters(coordinator)->open, 0);
}
END_TEST

START_TEST(more_stored_sagas_than_there_is_room_for_are_refused) {
    struct stored stored[3];
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_int_eq(start(i), SAGA_ANSWER_TAKEN);
        store(&stored[i], i);
    }
    open_coordinator(2, 1000);
    ck_assert_int_eq(saga_coordinator_restore(coordinator, state_of(&stored[0])), SAGA_REPLAYED);
    ck_assert_int_eq(saga_coordinator_restore(coordinator, state_of(&stored[1])), SAGA_REPLAYED);
    ck_assert_int_eq(saga_coordinator_restore(coordinator, state_of(&stored[2])), SAGA_REPLAY_FULL);
}
END_TEST

START_TEST(a_quarantined_saga_is_left_alone) {
    ck_assert_int_eq(start(1), SAGA_ANSWER_TAKEN);
    struct saga_id id = id_of(1);
    ck_assert(saga_coordinator_quarantine(coordinator, &id));
    ck_assert(saga_coordinator_quarantined(coordinator, &id));
    ck_assert_int_eq(reply(&sent[0], SAGA_DONE), SAGA_ANSWER_REFUSED);
    pass(600000);
    ck_assert_uint_eq(sent_count, 1);
    ck_assert_uint_eq(saga_coordinator_counters(coordinator)->quarantined, 1);
    id = id_of(2);
    ck_assert(!saga_coordinator_quarantine(coordinator, &id));
}
END_TEST

START_TEST(every_open_saga_has_a_timer) {
    struct splitmix random = {.state = (uint64_t)_i + 3};
    for (uint32_t i = 0; i < 40; i++) {
        ck_assert_int_eq(start(i), SAGA_ANSWER_TAKEN);
    }
    for (int round = 0; round < 300; round++) {
        (void)reply(&sent[splitmix_next(&random) % sent_count],
                    (enum saga_verdict)(splitmix_next(&random) % SAGA_VERDICT_COUNT + 1));
        pass((int64_t)(splitmix_next(&random) % 3000));
        (void)give((struct saga_input){.door = SAGA_DOOR_SWEEP});
        ck_assert_uint_eq(saga_coordinator_counters(coordinator)->orphans_rearmed, 0);
        if (sent_count > SENT_MAX - 400 || record_count > RECORDS_MAX - 2000) {
            break;
        }
    }
}
END_TEST

/* A restart gives both the same time, so it is no coincidence. */
START_TEST(a_deadline_and_a_timeout_at_once_ask_for_one_body) {
    plan.deadline_ms = budget.timeout_ms;
    plan.steps[1].action.attempts_max = 1;
    ck_assert_int_eq(start(1), SAGA_ANSWER_TAKEN);
    ck_assert_int_eq(reply(&sent[0], SAGA_DONE), SAGA_ANSWER_TAKEN);
    ck_assert_uint_eq(sent_count, 2);
    pass(budget.timeout_ms); /* the saga's deadline, and the end of the pivot's only attempt */
    ck_assert_uint_eq(sent_count, 3);
    ck_assert_uint_eq(sent[2].id.operation, SAGA_FENCE);
    ck_assert_int_eq(reply(&sent[2], SAGA_FENCED), SAGA_ANSWER_TAKEN);
    ck_assert_uint_eq(sent[3].id.operation, SAGA_COMPENSATION);
}
END_TEST

static const struct saga_record *last_of(enum saga_fact fact) {
    for (size_t i = record_count; i > 0; i--) {
        if (records[i - 1].fact == fact) {
            return &records[i - 1];
        }
    }
    return NULL;
}

/* Whatever the operation, and whatever became of the attempts before. */
START_TEST(an_attempt_that_waits_past_the_deadline_is_unsent) {
    bool backward = _i == 1;
    plan.steps[0].action.deadline_ms = backward ? budget.deadline_ms : 1;
    plan.steps[0].compensation.deadline_ms = 1;
    plan.steps[0].compensation.attempts_max = 5;
    ck_assert_int_eq(start(1), SAGA_ANSWER_TAKEN);
    if (backward) {
        ck_assert_int_eq(reply(&sent[0], SAGA_DONE), SAGA_ANSWER_TAKEN);
        ck_assert_int_eq(reply(&sent[1], SAGA_REJECTED), SAGA_ANSWER_TAKEN);
        ck_assert_uint_eq(sent[2].id.operation, SAGA_COMPENSATION);
    }
    ck_assert_int_eq(reply(&sent[sent_count - 1], SAGA_RETRY), SAGA_ANSWER_TAKEN);
    pass(1);
    ck_assert_ptr_null(last_of(SAGA_ATTEMPT_EXPIRED));
    const struct saga_record *unsent = last_of(SAGA_COMMAND_UNSENT);
    ck_assert_ptr_nonnull(unsent);
    ck_assert_uint_eq(unsent->attempt, 2);
    ck_assert_int_eq(unsent->reason, SAGA_REASON_DEADLINE);
}
END_TEST

/* It may have left before, and may still arrive. */
START_TEST(an_attempt_open_at_a_restart_is_never_unsent) {
    bool backward = _i == 1;
    for (uint32_t i = 1; i <= 4; i++) {
        ck_assert_int_eq(start(i), SAGA_ANSWER_TAKEN);
        if (backward) {
            ck_assert_int_eq(reply(&sent[sent_count - 1], SAGA_DONE), SAGA_ANSWER_TAKEN);
            ck_assert_int_eq(reply(&sent[sent_count - 1], SAGA_REJECTED), SAGA_ANSWER_TAKEN);
        }
    }
    plan.steps[0].action.deadline_ms = 1;
    plan.steps[0].compensation.deadline_ms = 1;
    plan.steps[0].compensation.attempts_max = 5;
    restart(1); /* the fourth has its turn after three seconds: its grace is over by then */
    pass(3000);
    ck_assert_ptr_null(last_of(SAGA_COMMAND_UNSENT));
    const struct saga_record *expired = last_of(SAGA_ATTEMPT_EXPIRED);
    ck_assert_ptr_nonnull(expired);
    struct saga_id fourth = id_of(4);
    ck_assert_mem_eq(&expired->saga, &fourth, sizeof fourth);
    ck_assert_int_eq(expired->reason, SAGA_REASON_DEADLINE);
}
END_TEST

/* The transport has found its peer again. */
static void resend(void) {
    (void)give((struct saga_input){.door = SAGA_DOOR_RESEND});
}

static enum saga_answer unsent(const struct saga_outstanding *command) {
    return give((struct saga_input){.door = SAGA_DOOR_EVENT,
                                    .saga = command->id.saga,
                                    .event = {.type = SAGA_INPUT_UNSENT,
                                              .step = command->id.step,
                                              .operation = command->id.operation,
                                              .incarnation = command->id.incarnation,
                                              .revision = command->id.revision,
                                              .attempt = command->attempt}});
}

START_TEST(what_a_lost_peer_may_have_taken_along_is_sent_again) {
    for (uint32_t i = 0; i < 10; i++) {
        ck_assert_int_eq(start(i), SAGA_ANSWER_TAKEN);
    }
    open_coordinator(300, 10); /* the rate counts */
    for (size_t i = 0; i < record_count; i++) {
        ck_assert_int_eq(saga_coordinator_replay(coordinator, &records[i]), SAGA_REPLAYED);
    }
    (void)give((struct saga_input){.door = SAGA_DOOR_EPOCH});
    pass(999);
    size_t before = record_count;
    sent_count = 0;
    int64_t began_ms = now_ms;
    resend();
    ck_assert_uint_eq(sent_count, 0);
    pass(999);
    ck_assert_uint_eq(sent_count, 10);
    for (size_t i = 0; i < sent_count; i++) {
        ck_assert_uint_eq(sent[i].attempt, 1); /* the same attempt, at the permitted rate */
        ck_assert_int_eq(sent_at[i] - began_ms, (int64_t)i * 100);
    }
    ck_assert_uint_eq(record_count, before); /* and nothing to be remembered */
    ck_assert_uint_eq(saga_coordinator_counters(coordinator)->resent, 10);
    pass(1); /* one timeout after the first was sent again: that one is over, and no other */
    ck_assert_uint_eq(record_count, before + 1);
    ck_assert_int_eq(records[before].fact, SAGA_ATTEMPT_EXPIRED);
}
END_TEST

/* Its rejection could be the answer to the second of the two, and would be believed. */
START_TEST(who_keeps_no_fence_is_not_sent_the_same_attempt_twice) {
    plan.steps[0].fenced = false;
    plan.steps[0].on_unknown = SAGA_ON_UNKNOWN_COMPENSATE;
    ck_assert_int_eq(start(1), SAGA_ANSWER_TAKEN);
    resend();
    pass(999);
    ck_assert_uint_eq(sent_count, 1);
    pass(1);
    ck_assert_ptr_nonnull(last_of(SAGA_ATTEMPT_EXPIRED)); /* and the next one is on record */
}
END_TEST

/* What was waiting then is sent at once; what begins to wait later is not. */
START_TEST(an_attempt_that_ends_after_the_loss_is_followed_by_a_backoff) {
    plan.steps[0].fenced = false;
    plan.steps[0].on_unknown = SAGA_ON_UNKNOWN_COMPENSATE;
    open_coordinator(300, 1);
    ck_assert_int_eq(start(1), SAGA_ANSWER_TAKEN);
    ck_assert_int_eq(start(2), SAGA_ANSWER_TAKEN);
    pass(500);
    resend(); /* the second one's turn comes a second later, when its attempt is over */
    pass(1000);
    struct saga_id second = id_of(2);
    const struct saga_record *expired = last_of(SAGA_ATTEMPT_EXPIRED);
    ck_assert_ptr_nonnull(expired);
    ck_assert_mem_eq(&expired->saga, &second, sizeof second);
    for (size_t i = 0; i < sent_count; i++) {
        ck_assert(sent[i].attempt == 1 || memcmp(&sent[i].id.saga, &second, sizeof second) != 0);
    }
}
END_TEST

START_TEST(what_waits_for_a_lost_peer_waits_no_longer) {
    ck_assert_int_eq(start(1), SAGA_ANSWER_TAKEN);
    ck_assert_int_eq(unsent(&sent[0]), SAGA_ANSWER_TAKEN); /* a backoff of up to 10 s */
    ck_assert_uint_eq(sent_count, 1);
    resend();
    pass(0);
    ck_assert_uint_eq(sent_count, 2);
    ck_assert_uint_eq(sent[1].attempt, 2);
}
END_TEST

/* ------------------------------------------------------------- it takes again */

static void hurry(void) {
    (void)give((struct saga_input){.door = SAGA_DOOR_HURRY});
}

START_TEST(what_was_refused_waits_no_longer_and_nothing_is_sent_twice) {
    open_coordinator(300, 10); /* the rate counts */
    for (uint32_t i = 0; i < 10; i++) {
        ck_assert_int_eq(start(i), SAGA_ANSWER_TAKEN);
    }
    for (size_t i = 1; i < 8; i += 2) { /* four of them are refused: a backoff of up to 10 s */
        ck_assert_int_eq(unsent(&sent[i]), SAGA_ANSWER_TAKEN);
    }
    const int64_t began_ms = now_ms;
    ck_assert_uint_eq(sent_count, 10);
    hurry();
    ck_assert_uint_eq(sent_count, 10);
    pass(300);
    ck_assert_uint_eq(sent_count, 14); /* at the permitted rate, and the six others not at all */
    for (size_t i = 10; i < 14; i++) {
        ck_assert_uint_eq(sent[i].attempt, 2);
        ck_assert_int_eq(sent_at[i] - began_ms, (int64_t)(i - 10) * 100);
    }
    ck_assert_uint_eq(saga_coordinator_counters(coordinator)->hurried, 4);
    ck_assert_uint_eq(saga_coordinator_counters(coordinator)->resent, 0);
}
END_TEST

/* It was sent again after a loss, and refused then: it counts as one that may have arrived, and
 * would wait for its timeout. */
START_TEST(what_was_refused_the_second_time_waits_no_longer_either) {
    ck_assert_int_eq(start(1), SAGA_ANSWER_TAKEN);
    resend();
    pass(0);
    ck_assert_uint_eq(sent_count, 2);
    ck_assert_int_eq(unsent(&sent[1]), SAGA_ANSWER_STALE);
    pass(100);
    ck_assert_uint_eq(sent_count, 2);
    hurry();
    pass(0);
    ck_assert_uint_eq(sent_count, 3);
    ck_assert_uint_eq(sent[2].attempt, 1);
    hurry();
    pass(0);
    ck_assert_uint_eq(sent_count, 3);
    pass(1000);
    ck_assert_ptr_nonnull(last_of(SAGA_ATTEMPT_EXPIRED)); /* its patience began anew */
}
END_TEST

/* It is as good as lost again: no hot loop against it. */
START_TEST(who_is_back_and_takes_nothing_hurries_nobody) {
    ck_assert_int_eq(start(1), SAGA_ANSWER_TAKEN);
    resend();
    ck_assert_int_eq(unsent(&sent[0]), SAGA_ANSWER_TAKEN);
    pass(0);
    ck_assert_uint_eq(sent_count, 1);
}
END_TEST

/* An operator rejects a pivot of which nothing has left: nobody need be asked about it. */
START_TEST(a_pivot_that_waits_is_resolved_at_once_and_one_that_left_is_not) {
    bool left = _i == 1;
    plan.steps[1].fenced = false;
    plan.steps[1].on_unknown = SAGA_ON_UNKNOWN_COMPENSATE;
    ck_assert_int_eq(start(1), SAGA_ANSWER_TAKEN);
    ck_assert_int_eq(reply(&sent[0], SAGA_DONE), SAGA_ANSWER_TAKEN);
    if (!left) {
        ck_assert_int_eq(unsent(&sent[1]), SAGA_ANSWER_TAKEN); /* the second waits in backoff */
    }
    ck_assert_int_eq(
        give((struct saga_input){
            .door = SAGA_DOOR_EVENT,
            .saga = id_of(1),
            .event = {.type = SAGA_INPUT_RESOLVE, .step = 1, .verdict = SAGA_REJECTED}}),
        left ? SAGA_ANSWER_PENDING : SAGA_ANSWER_TAKEN);
    ck_assert(left == (last_of(SAGA_COMPENSATION_STARTED) == NULL));
}
END_TEST

/* Its first sending may have arrived: to call it unsent would be to say that the step never ran. */
START_TEST(an_attempt_that_was_sent_twice_is_never_unsent) {
    ck_assert_int_eq(start(1), SAGA_ANSWER_TAKEN);
    if (_i == 0) {
        resend();
    } else {
        restart(1000);
    }
    pass(0);
    size_t before = record_count;
    struct saga_outstanding again = sent[sent_count - 1];
    ck_assert_uint_eq(again.attempt, 1);
    sent_count = 0;
    ck_assert_int_eq(unsent(&again), SAGA_ANSWER_STALE);
    pass(999);
    ck_assert_uint_eq(sent_count, 0); /* no hot loop against who takes nothing */
    pass(1);
    ck_assert_uint_eq(sent_count, 1); /* the same attempt, once more; it cost nothing */
    ck_assert_uint_eq(sent[0].attempt, 1);
    ck_assert_uint_eq(record_count, before);
    pass(1000); /* now somebody took it, and is silent */
    ck_assert_uint_eq(record_count, before + 1);
    ck_assert_int_eq(records[before].fact, SAGA_ATTEMPT_EXPIRED);
}
END_TEST

START_TEST(hostile_records_of_the_log_itself_are_refused) {
    struct saga_record begun = {.fact = SAGA_EPOCH_STARTED, .epoch = 2, .step = SAGA_STEP_NONE};
    ck_assert_int_eq(start(1), SAGA_ANSWER_TAKEN);
    begun.at_ms = -1;
    ck_assert_int_eq(saga_coordinator_replay(coordinator, &begun), SAGA_REPLAY_ILLEGAL);
    begun.at_ms = SAGA_CLOCK_MS_MAX + 1;
    ck_assert_int_eq(saga_coordinator_replay(coordinator, &begun), SAGA_REPLAY_ILLEGAL);
    begun.at_ms = now_ms;
    begun.verdict = SAGA_DONE;
    ck_assert_int_eq(saga_coordinator_replay(coordinator, &begun), SAGA_REPLAY_ILLEGAL);
    begun.verdict = 0;
    ck_assert_int_eq(saga_coordinator_replay(coordinator, &begun), SAGA_REPLAYED);
    begun.epoch = 1;
    ck_assert_int_eq(saga_coordinator_replay(coordinator, &begun), SAGA_REPLAY_ILLEGAL);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("coordinator");
    TCase *tests = tcase_create("coordinator");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_saga_leaves_when_it_ends);
    tcase_add_test(tests, the_limit_refuses_and_a_place_is_used_again);
    tcase_add_loop_test(tests, sagas_are_found_while_others_come_and_go, 0, 3);
    tcase_add_test(tests, one_step_does_a_bounded_amount_of_work);
    tcase_add_test(tests, who_answers_again_is_met_by_waves);
    tcase_add_test(tests, only_what_waits_for_who_answers_is_released);
    tcase_add_test(tests, a_retry_answer_releases_nobody);
    tcase_add_test(tests, what_is_in_progress_is_asked_again_and_waits_for_its_deadline);
    tcase_add_test(tests, a_restart_sends_at_its_rate_compensations_first);
    tcase_add_loop_test(tests, live_and_replayed_sagas_are_equal_byte_for_byte, 0, 20);
    tcase_add_loop_test(tests, stored_and_replayed_sagas_are_equal_byte_for_byte, 0, 20);
    tcase_add_loop_test(tests, a_state_that_cannot_be_is_not_taken, 0, UNSOUND_COUNT);
    tcase_add_test(tests, more_stored_sagas_than_there_is_room_for_are_refused);
    tcase_add_test(tests, a_quarantined_saga_is_left_alone);
    tcase_add_loop_test(tests, every_open_saga_has_a_timer, 0, 10);
    tcase_add_test(tests, a_deadline_and_a_timeout_at_once_ask_for_one_body);
    tcase_add_loop_test(tests, an_attempt_that_waits_past_the_deadline_is_unsent, 0, 2);
    tcase_add_loop_test(tests, an_attempt_open_at_a_restart_is_never_unsent, 0, 2);
    tcase_add_test(tests, what_a_lost_peer_may_have_taken_along_is_sent_again);
    tcase_add_test(tests, who_keeps_no_fence_is_not_sent_the_same_attempt_twice);
    tcase_add_test(tests, an_attempt_that_ends_after_the_loss_is_followed_by_a_backoff);
    tcase_add_test(tests, what_waits_for_a_lost_peer_waits_no_longer);
    tcase_add_test(tests, what_was_refused_waits_no_longer_and_nothing_is_sent_twice);
    tcase_add_test(tests, what_was_refused_the_second_time_waits_no_longer_either);
    tcase_add_test(tests, who_is_back_and_takes_nothing_hurries_nobody);
    tcase_add_loop_test(tests, an_attempt_that_was_sent_twice_is_never_unsent, 0, 2);
    tcase_add_loop_test(tests, a_pivot_that_waits_is_resolved_at_once_and_one_that_left_is_not, 0,
                        2);
    tcase_add_test(tests, hostile_records_of_the_log_itself_are_refused);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
