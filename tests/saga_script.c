#include "saga_script.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------- plans */

static const struct saga_budget script_action = {.timeout_ms = 1000,
                                                 .deadline_ms = 60000,
                                                 .initial_ms = 200,
                                                 .max_ms = 1000,
                                                 .factor_milli = 2000,
                                                 .attempts_max = 2};
static const struct saga_budget script_compensation = {.timeout_ms = 1000,
                                                       .deadline_ms = 0,
                                                       .initial_ms = 200,
                                                       .max_ms = 1000,
                                                       .factor_milli = 2000,
                                                       .attempts_max = 0};

uint8_t saga_script_index(const struct saga_script *script, const char *name) {
    for (uint8_t i = 0; i < script->plan.step_count; i++) {
        if (strcmp(script->names[i], name) == 0) {
            return i;
        }
    }
    ck_abort_msg("no step is named '%s'", name);
    return SAGA_STEP_NONE;
}

static size_t name_length(const char *text) {
    return strspn(text, "abcdefghijklmnopqrstuvwxyz_");
}

/* Reads "name,name" into bits; returns what comes after it. */
static const char *read_names(const struct saga_script *script, const char *text, uint64_t *bits) {
    *bits = 0;
    for (;;) {
        size_t length = name_length(text);
        char name[16];
        if (length == 0) {
            return text;
        }
        ck_assert_uint_lt(length, sizeof name);
        memcpy(name, text, length);
        name[length] = '\0';
        *bits |= UINT64_C(1) << saga_script_index(script, name);
        text += length;
        if (*text == ',') {
            text++;
        }
    }
}

static const char *read_marks(struct saga_script *script, const char *text, uint8_t index) {
    struct saga_plan_step *step = &script->plan.steps[index];
    uint64_t bits = 0;
    for (;;) {
        char mark = *text;
        if (mark == '\0' || mark == ' ') {
            return text;
        }
        text++;
        switch (mark) {
        case '~':
            step->fenced = false;
            step->on_unknown = SAGA_ON_UNKNOWN_COMPENSATE;
            break;
        case '1':
            step->single_delivery = true;
            break;
        case '*':
            script->plan.pivot = index;
            step->position = SAGA_PIVOT;
            step->undo = SAGA_UNDO_NOTHING;
            break;
        case '-':
            step->undo = SAGA_UNDO_NOTHING;
            break;
        case '?':
            step->on_unknown = SAGA_ON_UNKNOWN_PARK;
            break;
        case '!':
            step->on_unknown = SAGA_ON_UNKNOWN_COMPENSATE;
            break;
        case '<':
            text = read_names(script, text, &bits);
            step->undo = SAGA_UNDO_BY_STEP;
            step->compensated_by = (uint8_t)__builtin_ctzll(bits);
            break;
        case '@':
            text = read_names(script, text, &step->after);
            break;
        default:
            ck_abort_msg("no such mark on a step: '%c'", mark);
        }
    }
}

void saga_script_init(struct saga_script *script, const char *plan) {
    memset(script, 0, sizeof *script);
    script->plan.pivot = SAGA_STEP_NONE;
    script->plan.definition_lsn = 1;
    script->now_ms = 1000000;
    script->epoch = 1;
    for (const char *text = plan; *text != '\0';) {
        uint8_t index = script->plan.step_count++;
        struct saga_plan_step *step = &script->plan.steps[index];
        size_t length = name_length(text);
        ck_assert_uint_gt(length, 0);
        ck_assert_uint_lt(length, sizeof script->names[index]);
        memcpy(script->names[index], text, length);
        bool after_pivot = script->plan.pivot != SAGA_STEP_NONE;
        *step = (struct saga_plan_step){
            .after = index == 0 ? 0 : UINT64_C(1) << (index - 1),
            .participant = index,
            .position = after_pivot ? SAGA_AFTER_PIVOT : SAGA_BEFORE_PIVOT,
            .undo = after_pivot ? SAGA_UNDO_NOTHING : SAGA_UNDO_COMPENSATION,
            .on_unknown = SAGA_ON_UNKNOWN_FENCE,
            .fenced = true,
            .action = script_action,
            .compensation = script_compensation,
        };
        text = read_marks(script, text + length, index);
        text += strspn(text, " ");
    }
    size_t size = saga_size(script->plan.step_count);
    script->saga = malloc(size);
    script->before = malloc(size);
    ck_assert_ptr_nonnull(script->saga);
    ck_assert_ptr_nonnull(script->before);
}

void saga_script_fini(struct saga_script *script) {
    saga_script_replay(script);
    free(script->saga);
    free(script->before);
}

struct saga_plan_step *saga_script_plan(struct saga_script *script, const char *name) {
    return &script->plan.steps[saga_script_index(script, name)];
}

const struct saga_step *saga_script_step(const struct saga_script *script, const char *name) {
    return &script->saga->steps[saga_script_index(script, name)];
}

/* ----------------------------------------------------------------- telling */

static void tell(struct saga_script *script, const char *separator, const char *words) {
    size_t length = strlen(script->text);
    size_t room = sizeof script->text - length;
    bool first = length == 0 || script->text[length - 1] == ' ';
    int written = snprintf(script->text + length, room, "%s%s", first ? "" : separator, words);
    ck_assert_int_ge(written, 0);
    ck_assert_uint_lt((size_t)written, room);
}

static const char *verb_word(uint8_t verb) {
    switch ((enum saga_verb)verb) {
    case SAGA_VERB_RETRY:
        return "RETRY";
    case SAGA_VERB_RESOLVE:
        return "RESOLVE";
    case SAGA_VERB_MARK_COMPENSATED:
        return "MARK";
    case SAGA_VERB_WRITE_OFF:
        return "WRITE_OFF";
    case SAGA_VERB_CANCEL:
        break;
    }
    return "?";
}

static const char *fact_word(const struct saga_record *record) {
    uint8_t fact = record->fact;
    switch ((enum saga_fact)fact) {
    case SAGA_COMMAND_ISSUED:
        return "COMMAND";
    case SAGA_COMMAND_UNSENT:
        return "UNSENT";
    case SAGA_REPLY_RECEIVED:
        return "REPLY";
    case SAGA_ATTEMPT_EXPIRED:
        return "EXPIRED";
    case SAGA_CANCEL_REQUESTED:
        return "CANCEL";
    case SAGA_COMPENSATION_STARTED:
        return "BACKWARD";
    case SAGA_LATE_REPLY_RECEIVED:
        return "LATE";
    case SAGA_PARKED:
        return "PARKED";
    case SAGA_OPERATOR_ACTED:
        return verb_word(record->verb);
    case SAGA_ENDED:
        return "ENDED";
    case SAGA_PIVOT_PASSED:
    case SAGA_DEFINITION_LOADED:
    case SAGA_STARTED:
    case SAGA_EPOCH_STARTED:
    case SAGA_OUTCOMES_TOLD:
    case SAGA_HISTORY_PURGED:
        break;
    }
    return saga_fact_name(fact);
}

static void tell_record(struct saga_script *script, const struct saga_record *record) {
    char words[128];
    char about[64] = "";
    bool whole = record->step == SAGA_STEP_NONE || record->fact == SAGA_COMPENSATION_STARTED;
    if (record->operation != 0) {
        snprintf(about, sizeof about, " %s", saga_operation_name(record->operation));
        if (record->revision != 1) {
            size_t length = strlen(about);
            snprintf(about + length, sizeof about - length, " r%u", record->revision);
        }
    }
    snprintf(words, sizeof words, "%s%s%s%s", fact_word(record), whole ? "" : " ",
             whole ? "" : script->names[record->step], about);
    size_t length = strlen(words);
    if (record->fact == SAGA_COMMAND_UNSENT || record->fact == SAGA_ATTEMPT_EXPIRED) {
        snprintf(words + length, sizeof words - length, " %u", record->attempt);
    } else if (record->verdict != 0) {
        snprintf(words + length, sizeof words - length, " %s", saga_verdict_name(record->verdict));
    } else if (record->reason != 0) {
        snprintf(words + length, sizeof words - length, " %s", saga_reason_name(record->reason));
    } else if (record->outcome != 0) {
        snprintf(words + length, sizeof words - length, " %s", saga_outcome_name(record->outcome));
    }
    tell(script, "; ", words);
}

static void tell_answer(struct saga_script *script, enum saga_answer answer) {
    static const char *const words[] = {
        [SAGA_ANSWER_TAKEN] = "",
        [SAGA_ANSWER_PENDING] = "[pending] ",
        [SAGA_ANSWER_ALREADY] = "[already] ",
        [SAGA_ANSWER_LATE] = "[late] ",
        [SAGA_ANSWER_REFUSED] = "[refused] ",
        [SAGA_ANSWER_STALE] = "[stale] ",
    };
    tell(script, " ", words[answer]);
}

/* ---------------------------------------------------------------- deciding */

static void keep(struct saga_script *script, const struct saga_record *record) {
    ck_assert_uint_lt(script->record_count, sizeof script->records / sizeof script->records[0]);
    script->records[script->record_count++] = *record;
}

static size_t state_size(const struct saga_script *script) {
    return saga_size(script->plan.step_count);
}

static uint64_t next_lsn(const struct saga_script *script) {
    return script->records[script->record_count - 1].lsn + 1;
}

static struct saga_event event_now(const struct saga_script *script, enum saga_input_type type) {
    return (struct saga_event){.at_ms = script->now_ms,
                               .wall_ms = script->now_ms,
                               .epoch = script->epoch,
                               .type = (uint8_t)type,
                               .step = SAGA_STEP_NONE};
}

/* What saga.h promises of every decision. */
static void check_decision(struct saga_script *script, const struct saga_decision *decision) {
    size_t size = state_size(script);
    ck_assert_uint_le(decision->record_count, SAGA_DECISION_MAX);
    for (uint8_t i = 0; i < decision->record_count; i++) {
        const struct saga_record *record = &decision->records[i];
        ck_assert_uint_eq(record->lsn, next_lsn(script));
        ck_assert_uint_eq(record->previous_lsn, script->before->last_lsn);
        ck_assert_int_eq(saga_apply(script->before, &script->plan, record), SAGA_APPLIED);
        keep(script, record);
        tell_record(script, record);
    }
    ck_assert_msg(memcmp(script->before, script->saga, size) == 0,
                  "the records do not fold the old state into the new one: %s", script->text);
    ck_assert(saga_settled(script->saga, &script->plan) ==
              (decision->render_step == SAGA_STEP_NONE));
}

static void decide(struct saga_script *script, const struct saga_event *event, bool follow) {
    struct saga_decision decision;
    memcpy(script->before, script->saga, state_size(script));
    if (follow) {
        saga_follow(script->saga, &script->plan, event, next_lsn(script), &decision);
    } else {
        saga_decide(script->saga, &script->plan, event, next_lsn(script), &decision);
    }
    if (event->type != SAGA_INPUT_RENDERED) {
        tell_answer(script, decision.answer);
    } else {
        ck_assert_int_eq(decision.answer, SAGA_ANSWER_TAKEN);
    }
    check_decision(script, &decision);
    if (decision.render_step != SAGA_STEP_NONE) {
        struct saga_event rendered = event_now(script, SAGA_INPUT_RENDERED);
        rendered.step = decision.render_step;
        rendered.operation = decision.render_operation;
        rendered.failed = script->unrendered;
        script->unrendered = false;
        decide(script, &rendered, false);
    }
}

const char *saga_script_start(struct saga_script *script) {
    ck_assert_msg(saga_plan_check(&script->plan), "the script's plan is refused");
    struct saga_record started = {.lsn = 2,
                                  .saga = {.bytes = {1, 2, 3}},
                                  .at_ms = script->now_ms,
                                  .wall_ms = script->now_ms,
                                  .definition_lsn = 1,
                                  .epoch = script->epoch,
                                  .fact = SAGA_STARTED,
                                  .step = SAGA_STEP_NONE};
    ck_assert_int_eq(saga_begin(script->saga, &script->plan, &started), SAGA_APPLIED);
    keep(script, &started);
    script->text[0] = '\0';
    struct saga_event event = event_now(script, 0);
    decide(script, &event, true);
    return script->text;
}

void saga_script_replay(struct saga_script *script) {
    if (script->record_count == 0) {
        return;
    }
    ck_assert_int_eq(saga_begin(script->before, &script->plan, &script->records[0]), SAGA_APPLIED);
    for (size_t i = 1; i < script->record_count; i++) {
        ck_assert_int_eq(saga_apply(script->before, &script->plan, &script->records[i]),
                         SAGA_APPLIED);
    }
    ck_assert_mem_eq(script->before, script->saga, state_size(script));
}

/* ----------------------------------------------------------------- playing */

static void restart(struct saga_script *script) {
    script->epoch++;
    struct saga_record record = {.lsn = next_lsn(script),
                                 .at_ms = script->now_ms,
                                 .wall_ms = script->now_ms,
                                 .epoch = script->epoch,
                                 .fact = SAGA_EPOCH_STARTED,
                                 .step = SAGA_STEP_NONE};
    ck_assert_int_eq(saga_apply(script->saga, &script->plan, &record), SAGA_APPLIED);
    keep(script, &record);
    ck_assert_msg(saga_settled(script->saga, &script->plan), "a restart decides nothing");
}

static uint8_t verdict_named(const char *word) {
    for (uint8_t verdict = 1; verdict <= SAGA_VERDICT_COUNT; verdict++) {
        if (strcmp(saga_verdict_name(verdict), word) == 0) {
            return verdict;
        }
    }
    return 0;
}

static uint8_t operation_named(const char *word) {
    for (uint8_t operation = 1; operation <= SAGA_OPERATION_COUNT; operation++) {
        if (strcmp(saga_operation_name(operation), word) == 0) {
            return operation;
        }
    }
    ck_abort_msg("no operation is named '%s'", word);
    return 0;
}

/* "block", "block.fence", "block.compensation.r1", each with "/attempt". */
static void read_subject(struct saga_script *script, char *subject, struct saga_event *event) {
    char *attempt = strchr(subject, '/');
    if (attempt != NULL) {
        *attempt++ = '\0';
    }
    char *operation = strchr(subject, '.');
    if (operation != NULL) {
        *operation++ = '\0';
    }
    char *revision = operation == NULL ? NULL : strchr(operation, '.');
    if (revision != NULL) {
        *revision++ = '\0';
    }
    event->step = saga_script_index(script, subject);
    const struct saga_step *step = &script->saga->steps[event->step];
    event->operation = operation == NULL ? step->operation : operation_named(operation);
    event->incarnation = step->incarnation;
    event->revision = event->operation == step->operation ? step->revision : 1;
    event->attempt = event->operation == step->operation ? step->attempt : 0;
    if (revision != NULL) {
        event->revision = (uint16_t)strtoul(revision + 1, NULL, 10);
    }
    if (attempt != NULL) {
        event->attempt = (uint32_t)strtoul(attempt, NULL, 10);
    }
}

static void play_step(struct saga_script *script, char *subject, const char *word,
                      const char *more) {
    struct saga_event event = event_now(script, SAGA_INPUT_REPLY);
    read_subject(script, subject, &event);
    if (strcmp(word, "unsent") == 0) {
        event.type = SAGA_INPUT_UNSENT;
    } else if (strcmp(word, "expires") == 0) {
        event.type = SAGA_INPUT_TIMEOUT;
        event.unsent = strcmp(more, "unsent") == 0;
    } else {
        event.verdict = verdict_named(word);
        event.unsent = strcmp(more, "unsent") == 0;
        ck_assert_msg(event.verdict != 0, "no such word: '%s'", word);
    }
    decide(script, &event, false);
}

static void play_whole(struct saga_script *script, enum saga_input_type type, const char *more) {
    struct saga_event event = event_now(script, type);
    if (strcmp(more, "unsent") == 0) {
        event.unsent = true;
        event.step = script->plan.pivot;
    }
    decide(script, &event, false);
}

/* "resolve block done", "mark block" */
static void play_operator(struct saga_script *script, enum saga_input_type type, const char *name,
                          const char *verdict) {
    struct saga_event event = event_now(script, type);
    event.step = saga_script_index(script, name);
    event.verdict = verdict == NULL ? 0 : verdict_named(verdict);
    decide(script, &event, false);
}

static void play_one(struct saga_script *script, char *line) {
    char *rest = NULL;
    char *subject = strtok_r(line, " ", &rest);
    char *word = strtok_r(NULL, " ", &rest);
    char *more = strtok_r(NULL, " ", &rest);
    ck_assert_ptr_nonnull(subject);
    word = word == NULL ? rest : word;
    if (strcmp(subject, "cancel") == 0) {
        play_whole(script, SAGA_INPUT_CANCEL, word == NULL ? "" : word);
    } else if (strcmp(subject, "deadline") == 0) {
        play_whole(script, SAGA_INPUT_SAGA_DEADLINE, word == NULL ? "" : word);
    } else if (strcmp(subject, "retry") == 0) {
        play_whole(script, SAGA_INPUT_RETRY, "");
    } else if (strcmp(subject, "resolve") == 0) {
        play_operator(script, SAGA_INPUT_RESOLVE, word, more);
    } else if (strcmp(subject, "mark") == 0) {
        play_operator(script, SAGA_INPUT_MARK_COMPENSATED, word, NULL);
    } else if (strcmp(subject, "write_off") == 0) {
        play_operator(script, SAGA_INPUT_WRITE_OFF, word, NULL);
    } else if (strcmp(subject, "restart") == 0) {
        restart(script);
    } else if (strcmp(subject, "unrendered") == 0) {
        script->unrendered = true;
    } else if (strcmp(subject, "wait") == 0) {
        script->now_ms += strtoll(word, NULL, 10);
    } else {
        play_step(script, subject, word, more == NULL ? "" : more);
    }
}

/* What records nothing leaves no mark. */
static void trim(struct saga_script *script) {
    size_t length = strlen(script->text);
    while (length > 0 && strchr(" |", script->text[length - 1]) != NULL) {
        script->text[--length] = '\0';
    }
}

static void next_line(struct saga_script *script) {
    trim(script);
    if (script->text[0] != '\0') {
        tell(script, "", " | ");
    }
}

const char *saga_script_play(struct saga_script *script, const char *happens) {
    char lines[512];
    ck_assert_uint_lt(strlen(happens), sizeof lines);
    memcpy(lines, happens, strlen(happens) + 1);
    script->text[0] = '\0';
    char *rest = NULL;
    for (char *line = strtok_r(lines, "|", &rest); line != NULL;
         line = strtok_r(NULL, "|", &rest)) {
        next_line(script);
        play_one(script, line);
    }
    trim(script);
    return script->text;
}

const char *saga_script_todo(struct saga_script *script) {
    struct saga_outstanding outstanding[SAGA_STEPS_MAX];
    size_t count = saga_todo(script->saga, &script->plan, outstanding);
    script->text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        char words[96];
        snprintf(words, sizeof words, "%s %s %u%s", script->names[outstanding[i].id.step],
                 saga_operation_name(outstanding[i].id.operation), outstanding[i].attempt,
                 outstanding[i].in_progress ? " in progress" : "");
        tell(script, ", ", words);
    }
    return script->text;
}
