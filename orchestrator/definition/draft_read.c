/* The first pass: every value by itself. */
#include "draft.h"
#include "value.h"

#include <string.h>
#include <strings.h>

const char *const saga_on_unknown_names[3] = {"fence", "compensate", "park"};
_Static_assert(SAGA_ON_UNKNOWN_FENCE == 1 && SAGA_ON_UNKNOWN_PARK == 3, "names in their order");

/* The built-in values of `defaults`. */
static const struct saga_budget builtin_budget = {
    .timeout_ms = 10000,
    .deadline_ms = 300000,
    .initial_ms = 200,
    .max_ms = 60000,
    .factor_milli = 2000,
    .attempts_max = 5,
};

/* ------------------------------------------------------------------ budgets */

/* What `retry` says replaces what `budget` holds. */
static void retry_read(struct saga_report *report, const struct saga_yaml_node *key,
                       struct saga_budget *budget) {
    enum { ATTEMPTS, INITIAL, MAX, FACTOR, COUNT };
    static const char *const names[COUNT] = {"attempts", "initial", "max", "factor"};
    const struct saga_yaml_node *found[COUNT];
    const struct saga_budget before = *budget;
    if (!saga_value_keys(report, key->value, "'retry'", names, COUNT, found)) {
        return;
    }
    bool sound = true;
    if (found[ATTEMPTS] != NULL) {
        (void)saga_value_integer(report, found[ATTEMPTS], 1, SAGA_ATTEMPTS_MAX, "unlimited",
                                 &budget->attempts_max);
    }
    if (found[INITIAL] != NULL) {
        sound &= saga_value_duration(report, found[INITIAL], false, SAGA_BACKOFF_MIN_MS,
                                     &budget->initial_ms);
    }
    if (found[MAX] != NULL) {
        sound &=
            saga_value_duration(report, found[MAX], false, SAGA_BACKOFF_MIN_MS, &budget->max_ms);
    }
    if (found[FACTOR] != NULL) {
        (void)saga_value_milli(report, found[FACTOR], 1000, 1000000, &budget->factor_milli);
    }
    const struct saga_yaml_node *at = found[INITIAL] != NULL ? found[INITIAL] : found[MAX];
    if (at != NULL && sound && budget->initial_ms > budget->max_ms) {
        saga_report_add(report, at->value->span, "set both: what is not set is inherited",
                        "'initial' is longer than 'max'");
        *budget = before;
    }
}

/* timeout, deadline and retry, where they are there. */
static void budget_read(struct saga_report *report, const struct saga_yaml_node *timeout,
                        const struct saga_yaml_node *deadline, const struct saga_yaml_node *retry,
                        struct saga_budget *budget) {
    if (timeout != NULL) {
        (void)saga_value_duration(report, timeout, false, 1, &budget->timeout_ms);
    }
    if (deadline != NULL) {
        (void)saga_value_duration(report, deadline, true, 1, &budget->deadline_ms);
    }
    if (retry != NULL) {
        retry_read(report, retry, budget);
    }
}

static void on_unknown_read(struct saga_report *report, const struct saga_yaml_node *key,
                            enum saga_on_unknown *on_unknown) {
    size_t word = 0;
    if (saga_value_choice(report, key, saga_on_unknown_names, 3, &word)) {
        *on_unknown = (enum saga_on_unknown)(word + 1);
    }
}

static void defaults_read(struct saga_report *report, const struct saga_yaml_node *key,
                          struct saga_draft *draft) {
    enum { TIMEOUT, DEADLINE, RETRY, ON_UNKNOWN, COUNT };
    static const char *const names[COUNT] = {"timeout", "deadline", "retry", "on_unknown"};
    const struct saga_yaml_node *found[COUNT];
    if (!saga_value_keys(report, key->value, "'defaults'", names, COUNT, found)) {
        return;
    }
    budget_read(report, found[TIMEOUT], found[DEADLINE], found[RETRY], &draft->defaults);
    if (found[ON_UNKNOWN] != NULL) {
        on_unknown_read(report, found[ON_UNKNOWN], &draft->on_unknown);
    }
}

/* ----------------------------------------------------------------- commands */

/* The words of the protocol mean the same everywhere; no list can change one. */
static bool is_word(const char *event) {
    static const char *const words[] = {"done", "rejected", "accepted", "retry", "fenced", "noop"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(event, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_listed(const char *const *events, const char *event) {
    for (; events != NULL && *events != NULL; events++) {
        if (strcmp(*events, event) == 0) {
            return true;
        }
    }
    return false;
}

/* One event into `events`, unless it is wrong; `other` is the command's other list. */
static size_t event_read(struct saga_report *report, const struct saga_yaml_node *node,
                         const char **events, size_t count, const char *const *other) {
    const char *event = NULL;
    if (!saga_value_name(report, node, "event name", SAGA_NAME_EVENT, &event)) {
        return count;
    }
    if (is_word(event)) {
        saga_report_add(report, node->span, "remove it: it means what it says without being listed",
                        "'%s' is a word of the protocol, no event", event);
    } else if (is_listed(events, event)) {
        saga_report_add(report, node->span, "remove it", "event '%s' is listed twice", event);
    } else if (is_listed(other, event)) {
        saga_report_add(report, node->span, "an event is the one or the other",
                        "event '%s' is listed under 'done' and under 'rejected'", event);
    } else {
        events[count++] = event;
    }
    return count;
}

static const char *const *events_read(struct saga_report *report, const struct saga_yaml_node *key,
                                      const char *const *other) {
    const char **events =
        saga_arena_take(report->arena, (SAGA_DRAFT_EVENTS_MAX + 1) * sizeof *events);
    if (key == NULL) {
        return events;
    }
    const struct saga_yaml_node *list = key->value;
    if (list->kind != SAGA_YAML_LIST) {
        const char *hint =
            list->kind == SAGA_YAML_SCALAR && !list->absent
                ? saga_arena_format(report->arena, "write [%s]",
                                    saga_report_quote(report, list->text, list->size))
                : "write [EVENT, EVENT]";
        saga_report_add(
            report, saga_yaml_place(list->kind == SAGA_YAML_SCALAR && list->absent ? key : list),
            hint, "'%s' is no list of events", saga_report_quote(report, key->text, key->size));
        return events;
    }
    if (list->count > SAGA_DRAFT_EVENTS_MAX) {
        saga_report_add(report, key->span, NULL, "more than %d events", SAGA_DRAFT_EVENTS_MAX);
        return events;
    }
    size_t count = 0;
    for (const struct saga_yaml_node *node = list->first; node != NULL; node = node->next) {
        count = event_read(report, node, events, count, other);
    }
    return events;
}

/* "service.action": at least two parts, none empty, and not one of the names
 * that the protocol gives its own operations. */
static void command_name_read(struct saga_report *report, const struct saga_yaml_node *key,
                              struct saga_draft_command *command) {
    const struct saga_yaml_node *value = key->value;
    const char *name = NULL;
    command->key = key;
    if (!saga_value_name(report, value, "command", SAGA_NAME_DOTTED, &name)) {
        return;
    }
    const char *dot = strchr(name, '.');
    if (dot == NULL || strstr(name, "..") != NULL || name[value->size - 1] == '.') {
        saga_report_add(report, value->span, "write PARTICIPANT.COMMAND, as in parking.block",
                        "'%s' is no command", name);
        return;
    }
    if ((size_t)(dot - name) + strlen(".settle") > SAGA_NAME_BYTES_MAX) {
        saga_report_add(report, value->span, "choose a shorter one",
                        "the participant's name is longer than %zu bytes",
                        SAGA_NAME_BYTES_MAX - strlen(".settle"));
        return;
    }
    if (strcmp(dot, ".fence") == 0 || strcmp(dot, ".settle") == 0) {
        saga_report_add(report, value->span, "choose another name",
                        "'%s' is a command of the protocol itself", name);
        return;
    }
    command->name = name;
    command->participant = saga_arena_copy(report->arena, name, (size_t)(dot - name));
}

static void command_read(struct saga_report *report, const struct saga_yaml_node *name,
                         const struct saga_yaml_node *done, const struct saga_yaml_node *rejected,
                         struct saga_draft_command *command) {
    if (name != NULL) {
        command_name_read(report, name, command);
    }
    command->done = events_read(report, done, NULL);
    command->rejected = events_read(report, rejected, command->done);
}

/* -------------------------------------------------------------------- steps */

static void compensation_read(struct saga_report *report, const struct saga_yaml_node *key,
                              struct saga_draft_step *step) {
    enum { COMMAND, DONE, REJECTED, TIMEOUT, DEADLINE, RETRY, COUNT };
    static const char *const names[COUNT] = {"command", "done",     "rejected",
                                             "timeout", "deadline", "retry"};
    const struct saga_yaml_node *found[COUNT];
    if (!saga_value_keys(report, key->value, "'compensation'", names, COUNT, found)) {
        return;
    }
    if (found[COMMAND] == NULL) {
        saga_report_add(report, key->span, "name the command that takes the step back",
                        "this compensation has no 'command'");
    }
    command_read(report, found[COMMAND], found[DONE], found[REJECTED], &step->compensation);
    budget_read(report, found[TIMEOUT], found[DEADLINE], found[RETRY], &step->plan.compensation);
}

static void step_name_read(struct saga_report *report, struct saga_draft_step *step) {
    const struct saga_yaml_node *key = step->keys[SAGA_KEY_NAME];
    if (key == NULL) {
        saga_report_add(report, saga_yaml_place(step->node), "add 'name: NAME'",
                        "this step has no 'name'");
    } else {
        (void)saga_value_name(report, key->value, "step name", SAGA_NAME_WORD, &step->name);
    }
}

/* Somebody who writes the key means something by it: a value that is wrong is
 * taken for true, so that one error does not cause others. */
static void flag_read(struct saga_report *report, const struct saga_yaml_node *key, bool *flag) {
    *flag = key != NULL;
    if (key != NULL) {
        (void)saga_value_flag(report, key, flag);
    }
}

static void step_read(struct saga_report *report, const struct saga_yaml_node *node,
                      const struct saga_draft *draft, struct saga_draft_step *step) {
    static const char *const names[SAGA_KEY_COUNT] = {
        [SAGA_KEY_NAME] = "name",
        [SAGA_KEY_COMMAND] = "command",
        [SAGA_KEY_DONE] = "done",
        [SAGA_KEY_REJECTED] = "rejected",
        [SAGA_KEY_COMPENSATION] = "compensation",
        [SAGA_KEY_COMPENSATED_BY] = "compensated_by",
        [SAGA_KEY_NO_EFFECT] = "no_effect",
        [SAGA_KEY_PIVOT] = "pivot",
        [SAGA_KEY_TIMEOUT] = "timeout",
        [SAGA_KEY_DEADLINE] = "deadline",
        [SAGA_KEY_RETRY] = "retry",
        [SAGA_KEY_ON_UNKNOWN] = "on_unknown",
    };
    step->node = node;
    if (!saga_value_keys(report, node, "this step", names, SAGA_KEY_COUNT, step->keys)) {
        return;
    }
    const struct saga_yaml_node *const *keys = step->keys;
    step_name_read(report, step);
    if (keys[SAGA_KEY_COMMAND] == NULL) {
        saga_report_add(report, saga_yaml_place(node), "add 'command: PARTICIPANT.COMMAND'",
                        "this step has no 'command'");
    }
    command_read(report, keys[SAGA_KEY_COMMAND], keys[SAGA_KEY_DONE], keys[SAGA_KEY_REJECTED],
                 &step->action);
    step->plan.action = draft->defaults;
    budget_read(report, keys[SAGA_KEY_TIMEOUT], keys[SAGA_KEY_DEADLINE], keys[SAGA_KEY_RETRY],
                &step->plan.action);
    step->plan.compensation = draft->defaults;
    step->plan.compensation.timeout_ms = step->plan.action.timeout_ms;
    step->plan.compensation.deadline_ms = 0;
    step->plan.compensation.attempts_max = 0;
    if (keys[SAGA_KEY_COMPENSATION] != NULL) {
        compensation_read(report, keys[SAGA_KEY_COMPENSATION], step);
    }
    if (keys[SAGA_KEY_COMPENSATED_BY] != NULL) {
        (void)saga_value_name(report, keys[SAGA_KEY_COMPENSATED_BY]->value, "step name",
                              SAGA_NAME_WORD, &step->compensated_by);
    }
    flag_read(report, keys[SAGA_KEY_NO_EFFECT], &step->no_effect);
    flag_read(report, keys[SAGA_KEY_PIVOT], &step->pivot);
    enum saga_on_unknown on_unknown = draft->on_unknown;
    if (keys[SAGA_KEY_ON_UNKNOWN] != NULL) {
        on_unknown_read(report, keys[SAGA_KEY_ON_UNKNOWN], &on_unknown);
    }
    step->plan.on_unknown = (uint8_t)on_unknown;
}

static void steps_read(struct saga_report *report, const struct saga_yaml_node *key,
                       struct saga_draft *draft) {
    const struct saga_yaml_node *list = key->value;
    if (list->kind != SAGA_YAML_LIST || list->count == 0) {
        saga_report_add(report, key->span, "write one '- name: NAME' for each step",
                        list->kind == SAGA_YAML_LIST ? "a saga needs at least one step"
                                                     : "'steps' is no list of steps");
        return;
    }
    for (const struct saga_yaml_node *node = list->first; node != NULL; node = node->next) {
        if (draft->step_count == SAGA_STEPS_MAX) {
            saga_report_add(report, saga_yaml_place(node), "split the saga in two",
                            "more than %d steps", SAGA_STEPS_MAX);
            return;
        }
        step_read(report, node, draft, &draft->steps[draft->step_count++]);
    }
}

/* ------------------------------------------------------------- around steps */

/* Headers that every command has anyway, with a meaning of their own. */
static bool is_reserved_header(const char *name) {
    return strncasecmp(name, "saga-", 5) == 0 || strcasecmp(name, "COMMAND") == 0 ||
           strcasecmp(name, "traceparent") == 0;
}

static void headers_read(struct saga_report *report, const struct saga_yaml_node *key,
                         struct saga_draft *draft) {
    const struct saga_yaml_node *map = key->value;
    if (map->kind != SAGA_YAML_MAPPING) {
        saga_report_add(report, key->span, "write {NAME: VALUE}",
                        "'headers' is no mapping of names to values");
        return;
    }
    if (map->count > SAGA_DRAFT_HEADERS_MAX) {
        saga_report_add(report, key->span, NULL, "more than %d headers", SAGA_DRAFT_HEADERS_MAX);
        return;
    }
    size_t count = 0;
    for (const struct saga_yaml_node *header = map->first; header != NULL; header = header->next) {
        const char *name = NULL;
        if (!saga_value_name(report, header, "header name", SAGA_NAME_WORD, &name)) {
            continue;
        }
        if (is_reserved_header(name)) {
            saga_report_add(report, header->span, "remove it",
                            "header '%s' is set by the orchestrator", name);
        } else if (saga_value_line(report, header, &draft->header_values[count])) {
            draft->header_names[count++] = name;
        }
    }
    draft->header_values[count] = NULL;
}

static void participant_read(struct saga_report *report, const struct saga_yaml_node *key,
                             struct saga_draft_participant *participant) {
    enum { FENCED, SINGLE_DELIVERY, COUNT };
    static const char *const names[COUNT] = {"fenced", "single_delivery"};
    const struct saga_yaml_node *found[COUNT];
    size_t before = report->count;
    participant->key = key;
    if (saga_value_name(report, key, "participant name", SAGA_NAME_WORD,
                        &participant->declared.name) &&
        saga_value_keys(
            report, key->value,
            saga_arena_format(report->arena, "participant '%s'", participant->declared.name), names,
            COUNT, found)) {
        if (found[FENCED] != NULL) {
            (void)saga_value_flag(report, found[FENCED], &participant->declared.fenced);
        }
        if (found[SINGLE_DELIVERY] != NULL) {
            (void)saga_value_flag(report, found[SINGLE_DELIVERY],
                                  &participant->declared.single_delivery);
        }
    }
    participant->broken = report->count != before;
}

static void participants_read(struct saga_report *report, const struct saga_yaml_node *key,
                              struct saga_draft *draft) {
    const struct saga_yaml_node *map = key->value;
    if (map->kind != SAGA_YAML_MAPPING) {
        saga_report_add(report, key->span, "write one 'NAME: {fenced: true}' for each",
                        "'participants' is no mapping of names");
        return;
    }
    draft->participants_listed = true;
    for (const struct saga_yaml_node *name = map->first; name != NULL; name = name->next) {
        participant_read(report, name, &draft->participants[draft->participant_count++]);
    }
}

void saga_draft_read(struct saga_report *report, const struct saga_yaml_node *root,
                     struct saga_draft *draft) {
    enum { SAGA, VERSION, EXCHANGE, DEADLINE, HEADERS, PARTICIPANTS, DEFAULTS, STEPS, COUNT };
    static const char *const names[COUNT] = {"saga",    "version",      "exchange", "deadline",
                                             "headers", "participants", "defaults", "steps"};
    const struct saga_yaml_node *found[COUNT];
    size_t headers_bytes = (SAGA_DRAFT_HEADERS_MAX + 1) * sizeof *draft->header_names;
    draft->version = 1;
    draft->defaults = builtin_budget;
    draft->on_unknown = SAGA_ON_UNKNOWN_FENCE;
    draft->header_names = saga_arena_take(report->arena, headers_bytes);
    draft->header_values = saga_arena_take(report->arena, headers_bytes);
    if (!saga_value_keys(report, root, "a definition", names, COUNT, found)) {
        return;
    }
    if (found[SAGA] == NULL) {
        saga_report_add(report, saga_yaml_place(root), "add 'saga: NAME'",
                        "this definition has no 'saga'");
    } else {
        (void)saga_value_name(report, found[SAGA]->value, "saga name", SAGA_NAME_DOTTED,
                              &draft->name);
    }
    if (found[VERSION] != NULL) {
        (void)saga_value_integer(report, found[VERSION], 1, UINT32_MAX, NULL, &draft->version);
    }
    if (found[EXCHANGE] != NULL) {
        (void)saga_value_name(report, found[EXCHANGE]->value, "exchange name", SAGA_NAME_EVENT,
                              &draft->exchange);
    }
    if (found[DEADLINE] != NULL) {
        (void)saga_value_duration(report, found[DEADLINE], true, 1, &draft->deadline_ms);
    }
    if (found[HEADERS] != NULL) {
        headers_read(report, found[HEADERS], draft);
    }
    if (found[PARTICIPANTS] != NULL) {
        participants_read(report, found[PARTICIPANTS], draft);
    }
    /* Before the steps, wherever it stands in the file: they take from it. */
    if (found[DEFAULTS] != NULL) {
        defaults_read(report, found[DEFAULTS], draft);
    }
    if (found[STEPS] == NULL) {
        saga_report_add(report, saga_yaml_place(root), "add 'steps:' and a list of them",
                        "this definition has no 'steps'");
    } else {
        steps_read(report, found[STEPS], draft);
    }
}
