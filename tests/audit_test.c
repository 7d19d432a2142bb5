/* The audit and the core: two opinions on what records may follow each other. Legal stories break
 * no rule; what the core refuses, the audit refuses. */
#include "audit.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_run.h"
#include "saga.h"
#include "splitmix.h"

#define RECORDS_MAX 400

static const char *const texts[] = {
    "saga: booking\nversion: 1\n"
    "participants:\n  a: {fenced: true}\n  b: {fenced: true}\n"
    "defaults:\n  timeout: 2s\n  deadline: 1m\n"
    "  retry: {attempts: 3, initial: 200ms, max: 2s, factor: 2}\n"
    "steps:\n"
    "  - {name: one, command: a.one, compensation: {command: a.undo}}\n"
    "  - {name: two, command: b.two, compensation: {command: b.undo}}\n"
    "  - {name: three, command: a.three, compensated_by: one}\n"
    "  - {name: four, command: b.four, pivot: true}\n"
    "  - {name: five, command: a.five}\n",
    "saga: loose\nversion: 1\n"
    "participants:\n  a: {fenced: false}\n  b: {fenced: true}\n"
    "defaults:\n  timeout: 2s\n  deadline: 1m\n"
    "  retry: {attempts: 2, initial: 200ms, max: 2s, factor: 2}\n"
    "steps:\n"
    "  - {name: one, command: a.one, compensation: {command: a.undo, retry: {attempts: 2}}}\n"
    "  - {name: two, command: b.two, compensation: {command: b.undo, retry: {attempts: 2}}}\n"
    "  - {name: three, command: a.three, pivot: true}\n"
    "  - {name: four, command: a.four}\n",
};
#define TEXT_COUNT (sizeof texts / sizeof texts[0])
static struct saga_definition *definitions[TEXT_COUNT];

static void load(void) {
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        struct saga_diagnostics diagnostics = {0};
        const enum saga_error error =
            saga_definition_parse(texts[i], strlen(texts[i]), &definitions[i], &diagnostics);
        ck_assert_msg(error == SAGA_OK, "%s",
                      error == SAGA_OK ? "" : saga_diagnostics_text(&diagnostics, "text"));
        definitions[i]->plan.definition_lsn = 1;
    }
}

static void unload(void) {
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        saga_definition_free(definitions[i]);
    }
}

/* ---------------------------------------------------------------------- stories */

/* A saga that things happen to at random, and its records. */
struct story {
    struct splitmix random;
    const struct saga_definition *definition;
    const struct saga_plan *plan;
    struct saga *saga;
    struct saga_record records[RECORDS_MAX];
    size_t count;
    int64_t now_ms;
    uint32_t epoch;
};

static uint64_t below(struct story *story, uint64_t bound) {
    return splitmix_below(&story->random, bound);
}

static void take(struct story *story, const struct saga_decision *decision) {
    for (uint8_t i = 0; i < decision->record_count; i++) {
        struct saga_record *record = &story->records[story->count++];
        *record = decision->records[i];
        record->payload = record->key = record->content = (struct saga_bytes){0};
    }
}

static uint64_t next_lsn(const struct story *story) {
    return story->count + 2; /* the definition is 1 */
}

static void decide(struct story *story, struct saga_event event) {
    static struct saga_decision decision;
    event.at_ms = event.wall_ms = story->now_ms;
    event.epoch = story->epoch;
    saga_decide(story->saga, story->plan, &event, next_lsn(story), &decision);
    take(story, &decision);
    while (decision.render_step != SAGA_STEP_NONE) {
        const struct saga_event rendered = {.at_ms = event.at_ms,
                                            .wall_ms = event.at_ms,
                                            .epoch = event.epoch,
                                            .type = SAGA_INPUT_RENDERED,
                                            .step = decision.render_step,
                                            .operation = decision.render_operation,
                                            .failed = below(story, 40) == 0};
        saga_decide(story->saga, story->plan, &rendered, next_lsn(story), &decision);
        take(story, &decision);
    }
}

static void begin(struct story *story, const struct saga_definition *definition) {
    static struct saga_decision decision;
    struct saga_record *started = &story->records[0];
    story->definition = definition;
    story->plan = &definition->plan;
    story->saga = calloc(1, saga_size(story->plan->step_count));
    story->count = 1;
    story->now_ms = 1000;
    story->epoch = 1;
    *started = (struct saga_record){.lsn = 2,
                                    .saga.bytes = {1, 2, 3},
                                    .at_ms = 1000,
                                    .wall_ms = 1000,
                                    .epoch = 1,
                                    .definition_lsn = 1,
                                    .fact = SAGA_STARTED,
                                    .step = SAGA_STEP_NONE};
    ck_assert_int_eq(saga_begin(story->saga, story->plan, started), SAGA_APPLIED);
    const struct saga_event event = {.at_ms = 1000, .wall_ms = 1000, .epoch = 1};
    saga_follow(story->saga, story->plan, &event, next_lsn(story), &decision);
    take(story, &decision);
    if (decision.render_step != SAGA_STEP_NONE) {
        decide(story, (struct saga_event){.type = SAGA_INPUT_RENDERED,
                                          .step = decision.render_step,
                                          .operation = decision.render_operation});
    }
}

/* About a command that is out, or was; sometimes about any. */
static void reply(struct story *story) {
    const uint8_t index = (uint8_t)below(story, story->plan->step_count);
    const struct saga_step *step = &story->saga->steps[index];
    const bool other = below(story, 5) == 0;
    decide(story,
           (struct saga_event){
               .type = SAGA_INPUT_REPLY,
               .step = index,
               .operation =
                   other ? (uint8_t)(1 + below(story, SAGA_OPERATION_COUNT)) : step->operation,
               .verdict = below(story, 2) == 0 ? SAGA_DONE
                                               : (uint8_t)(1 + below(story, SAGA_VERDICT_COUNT)),
               .incarnation = 1,
               .revision = other ? (uint16_t)(1 + below(story, 2)) : step->revision,
               .attempt = below(story, 3) == 0 ? 0 : step->attempt,
           });
}

static void end_attempt(struct story *story, bool unsent) {
    struct saga_outstanding commands[SAGA_STEPS_MAX];
    const size_t count = saga_todo(story->saga, story->plan, commands);
    if (count == 0) {
        return;
    }
    const struct saga_outstanding *command = &commands[below(story, count)];
    story->now_ms += unsent ? 1 : command->timeout_ms;
    decide(story, (struct saga_event){.type = unsent ? SAGA_INPUT_UNSENT : SAGA_INPUT_TIMEOUT,
                                      .step = command->id.step,
                                      .operation = command->id.operation,
                                      .incarnation = command->id.incarnation,
                                      .revision = command->id.revision,
                                      .attempt = command->attempt});
}

static void operate(struct story *story) {
    static const uint8_t inputs[] = {SAGA_INPUT_RETRY, SAGA_INPUT_RESOLVE, SAGA_INPUT_RESOLVE,
                                     SAGA_INPUT_MARK_COMPENSATED, SAGA_INPUT_WRITE_OFF};
    const bool cancel = below(story, 12) == 0;
    decide(story, (struct saga_event){.type = cancel ? SAGA_INPUT_CANCEL
                                                     : inputs[below(story, sizeof inputs)],
                                      .step = (uint8_t)below(story, story->plan->step_count),
                                      .verdict = below(story, 2) == 0 ? SAGA_DONE : SAGA_REJECTED});
}

static void restart(struct story *story) {
    const struct saga_record record = {.fact = SAGA_EPOCH_STARTED,
                                       .step = SAGA_STEP_NONE,
                                       .epoch = ++story->epoch,
                                       .at_ms = story->now_ms};
    ck_assert_int_eq(saga_apply(story->saga, story->plan, &record), SAGA_APPLIED);
}

static void happen(struct story *story) {
    story->now_ms += (int64_t)below(story, 3000);
    switch (below(story, 10)) {
    case 0:
    case 1:
        end_attempt(story, false);
        break;
    case 2:
        end_attempt(story, true);
        break;
    case 3:
        operate(story);
        break;
    case 4:
        if (below(story, 5) == 0) {
            restart(story);
        }
        break;
    default:
        reply(story);
        break;
    }
}

static void tell(struct story *story, uint64_t seed) {
    story->random = (struct splitmix){.state = seed};
    begin(story, definitions[seed % TEXT_COUNT]);
    for (int late = 0; story->count + 2 * SAGA_DECISION_MAX < RECORDS_MAX && late < 5;) {
        happen(story);
        late += story->saga->outcome != 0;
        if (below(story, 300) == 0) {
            break;
        }
    }
}

/* ------------------------------------------------------------------------ audits */

/* The first rule that they break; 0: none. L6 is left out: the daemon's starts are not among them.
 */
static enum saga_rule audit(const struct story *story, const struct saga_record *records,
                            size_t count, uint64_t *lsn) {
    struct saga_audit *opened = saga_audit_open();
    struct saga_fault fault = {0};
    enum saga_rule broken = 0;
    for (size_t i = 0; i < count && broken == 0; i++) {
        ck_assert_int_eq(saga_audit_note(opened, &records[i], story->definition, &fault), SAGA_OK);
        for (enum saga_rule rule = 1; rule <= SAGA_RULE_COUNT && broken == 0; rule++) {
            const struct saga_breach *breach = saga_audit_breach(opened, rule);
            if (rule != SAGA_RULE_L6 && breach->count > 0) {
                broken = rule;
                *lsn = breach->lsn;
            }
        }
    }
    saga_audit_close(opened);
    return broken;
}

static bool core_accepts(const struct story *story, const struct saga_record *records,
                         size_t count) {
    struct saga *saga = calloc(1, saga_size(story->plan->step_count));
    bool accepts = saga_begin(saga, story->plan, &records[0]) == SAGA_APPLIED;
    for (size_t i = 1; i < count && accepts; i++) {
        if (records[i].epoch > records[i - 1].epoch) {
            const struct saga_record epoch = {.fact = SAGA_EPOCH_STARTED,
                                              .step = SAGA_STEP_NONE,
                                              .epoch = records[i].epoch,
                                              .at_ms = records[i].at_ms};
            accepts = saga_apply(saga, story->plan, &epoch) == SAGA_APPLIED;
        }
        accepts = accepts && saga_apply(saga, story->plan, &records[i]) == SAGA_APPLIED;
    }
    free(saga);
    return accepts;
}

static struct story story;

#define STORIES 4000

START_TEST(legal_stories_break_no_rule) {
    uint64_t ends[SAGA_OUTCOME_COUNT + 1] = {0};
    for (uint64_t seed = 1; seed <= STORIES; seed++) {
        uint64_t lsn = 0;
        tell(&story, seed + (uint64_t)_i * STORIES);
        const enum saga_rule broken = audit(&story, story.records, story.count, &lsn);
        ck_assert_msg(broken == 0, "seed %d: record %d (%s of step %d) breaks %s", (int)seed,
                      (int)lsn, saga_fact_name(story.records[lsn - 2].fact),
                      story.records[lsn - 2].step, saga_rule_name(broken));
        ends[story.saga->outcome]++;
        free(story.saga);
    }
    for (size_t outcome = 0; outcome <= SAGA_OUTCOME_COUNT; outcome++) { /* all kinds were there */
        ck_assert_uint_gt(ends[outcome], STORIES / 400);
    }
}
END_TEST

/* One record of the story is another, or not there. */
static void spoil(const struct story *whole, struct saga_record *records, size_t *count) {
    struct splitmix random = whole->random;
    const size_t at = 1 + (size_t)splitmix_below(&random, *count - 1);
    struct saga_record *record = &records[at];
    switch (splitmix_below(&random, 7)) {
    case 0:
        record->fact = (uint8_t)(1 + splitmix_below(&random, SAGA_FACT_COUNT));
        break;
    case 1:
        record->step = (uint8_t)splitmix_below(&random, 8);
        break;
    case 2:
        record->verdict = (uint8_t)splitmix_below(&random, SAGA_VERDICT_COUNT + 1);
        break;
    case 3:
        record->operation = (uint8_t)splitmix_below(&random, SAGA_OPERATION_COUNT + 1);
        break;
    case 4:
        record->outcome = (uint8_t)splitmix_below(&random, SAGA_OUTCOME_COUNT + 1);
        break;
    case 5:
        record->revision = (uint16_t)splitmix_below(&random, 4);
        break;
    default: /* those after it move up */
        for (size_t i = at; i + 1 < *count; i++) {
            records[i] = records[i + 1];
        }
        (*count)--;
        break;
    }
    for (size_t i = 1; i < *count; i++) { /* chained as if nothing had happened */
        records[i].lsn = records[0].lsn + i;
        records[i].previous_lsn = records[i].lsn - 1;
    }
}

START_TEST(what_the_core_refuses_is_refused) {
    uint64_t refused = 0;
    uint64_t found = 0;
    uint64_t alarms = 0;
    for (uint64_t seed = 1; seed <= STORIES; seed++) {
        static struct saga_record records[RECORDS_MAX];
        uint64_t lsn = 0;
        tell(&story, seed + (uint64_t)_i * STORIES);
        size_t count = story.count;
        memcpy(records, story.records, count * sizeof records[0]);
        spoil(&story, records, &count);
        const bool accepted = core_accepts(&story, records, count);
        const bool broken = audit(&story, records, count, &lsn) != 0;
        refused += !accepted;
        found += !accepted && broken;
        alarms += accepted && broken;
        free(story.saga);
    }
    (void)printf("of %d spoiled stories the core refuses %d, the audit %d of those; and %d more\n",
                 STORIES, (int)refused, (int)found, (int)alarms);
    ck_assert_uint_gt(refused, STORIES / 3);
    ck_assert_uint_ge(found * 100, refused * 97);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("audit");
    TCase *tests = tcase_create("audit");
    tcase_add_checked_fixture(tests, load, unload);
    tcase_set_timeout(tests, 100);
    tcase_add_loop_test(tests, legal_stories_break_no_rule, 0, 3);
    tcase_add_loop_test(tests, what_the_core_refuses_is_refused, 0, 2);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
