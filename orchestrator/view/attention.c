#include "attention.h"

#include <stdio.h>
#include <string.h>

#include "json.h"
#include "time_text.h"

#define WHY_BYTES_MAX 256

/* What is said of one step. */
struct item {
    uint8_t step;
    uint8_t reason; /* enum saga_reason */
    char why[WHY_BYTES_MAX];
    char since[SAGA_TIME_TEXT_SIZE];
    const char *verbs[4]; /* NULL: no more */
};

/* ------------------------------------------------------------------ the debts */

static bool ends_an_attempt(const struct saga_record *record) {
    return record->fact == SAGA_REPLY_RECEIVED || record->fact == SAGA_ATTEMPT_EXPIRED ||
           record->fact == SAGA_COMMAND_UNSENT;
}

/* The record that made the step a debt: the last one that its command's end can be. */
static const struct saga_record *cause_of(const struct saga_chain *chain, uint8_t step) {
    for (size_t i = chain->count; i > 0; i--) {
        const struct saga_record *record = &chain->records[i - 1];
        if (record->step == step && ends_an_attempt(record)) {
            return record;
        }
    }
    return NULL;
}

/* " (PARKING_UNBLOCK_FAILED)", where the reply names an event. */
static void event_of(const struct saga_record *record, char *text, size_t room) {
    json_t *json = NULL;
    text[0] = '\0';
    if (record->payload.size > 0 &&
        saga_json_parse(record->payload.data, record->payload.size, &json, NULL) == SAGA_OK) {
        const char *event = json_string_value(json_object_get(json, "reply_state"));
        if (event != NULL) {
            (void)snprintf(text, room, " (%.100s)", event);
        }
    }
    json_decref(json);
}

static void explain_debt(const struct saga_step *step, const struct saga_record *cause, char *why) {
    const char *command = step->operation == SAGA_FENCE ? "the fence in its compensation's place"
                                                        : "its compensation";
    char event[112];
    if (cause == NULL) {
        (void)snprintf(why, WHY_BYTES_MAX, "%s has failed", command);
    } else if (cause->fact == SAGA_REPLY_RECEIVED && cause->verdict == SAGA_NOOP) {
        (void)snprintf(why, WHY_BYTES_MAX,
                       "%s found nothing to undo, twice, though the step was done", command);
    } else if (cause->fact == SAGA_REPLY_RECEIVED && cause->verdict == SAGA_REJECTED) {
        event_of(cause, event, sizeof event);
        (void)snprintf(why, WHY_BYTES_MAX, "%s was refused%s", command, event);
    } else {
        (void)snprintf(why, WHY_BYTES_MAX, "%s had no answer that counts in %u attempt%s%s",
                       command, step->attempt, step->attempt == 1 ? "" : "s",
                       cause->reason == SAGA_REASON_DEADLINE ? ", and its deadline is over" : "");
    }
}

static void make_debt(const struct saga_view *view, uint8_t index, struct item *item) {
    const struct saga_record *cause = cause_of(view->chain, index);
    *item = (struct item){.step = index,
                          .reason = SAGA_REASON_DEBT,
                          .verbs = {"retry", "mark-compensated", "write-off"}};
    explain_debt(&view->saga->steps[index], cause, item->why);
    if (cause != NULL) {
        (void)saga_time_text(cause->wall_ms, item->since);
    }
}

/* ------------------------------------------------------------- parked otherwise */

static const char *explain_parking(uint8_t reason) {
    switch (reason) {
    case SAGA_REASON_IN_DOUBT:
        return "its attempts are used up, and nobody knows whether it happened";
    case SAGA_REASON_CONTRACT_BROKEN:
        return "its participant said what cannot be said there";
    case SAGA_REASON_REJECTION_IN_DOUBT:
        return "its participant rejected it, but may have been answering a duplicate";
    case SAGA_REASON_UNRENDERED:
        return "the body of its next command cannot be made";
    default:
        return "";
    }
}

static void make_parked(const struct saga_view *view, struct item *item) {
    const struct saga *saga = view->saga;
    const struct saga_plan_step *planned = &view->definition->plan.steps[saga->parked_step];
    *item = (struct item){.step = saga->parked_step, .reason = saga->parked};
    (void)snprintf(item->why, sizeof item->why, "%s", explain_parking(saga->parked));
    for (size_t i = view->chain->count; i > 0 && item->since[0] == '\0'; i--) {
        if (view->chain->records[i - 1].fact == SAGA_PARKED) {
            (void)saga_time_text(view->chain->records[i - 1].wall_ms, item->since);
        }
    }
    bool doubt = saga->parked == SAGA_REASON_IN_DOUBT;
    bool rejection = saga->parked == SAGA_REASON_REJECTION_IN_DOUBT;
    size_t count = 0;
    if (doubt || saga->parked == SAGA_REASON_UNRENDERED) {
        item->verbs[count++] = "retry";
    }
    if (doubt || rejection) {
        item->verbs[count++] = "resolve done";
        if (planned->position != SAGA_AFTER_PIVOT) {
            item->verbs[count++] = "resolve rejected";
        }
    }
    if (saga->direction == SAGA_FORWARD && !saga->pivot_passed && saga->wish == 0) {
        item->verbs[count++] = "cancel";
    }
}

/* -------------------------------------------------------------------- as JSON */

static bool append(json_t *list, const struct saga_view *view, const struct item *item) {
    json_t *verbs = json_array();
    for (size_t i = 0; i < sizeof item->verbs / sizeof item->verbs[0] && item->verbs[i] != NULL;
         i++) {
        if (json_array_append_new(verbs, json_string(item->verbs[i])) != 0) {
            json_decref(verbs);
            return false;
        }
    }
    return json_array_append_new(list, json_pack("{s:s, s:s, s:s?, s:s, s:o}", "step",
                                                 view->definition->steps[item->step].name, "reason",
                                                 saga_reason_name(item->reason), "since",
                                                 item->since[0] != '\0' ? item->since : NULL, "why",
                                                 item->why, "verbs", verbs)) == 0;
}

static bool add_all(json_t *list, const struct saga_view *view) {
    const struct saga *saga = view->saga;
    struct item item;
    bool added = true;
    for (uint8_t i = 0; i < saga->step_count && added; i++) {
        const uint32_t settled = SAGA_STEP_MARKED | SAGA_STEP_WRITTEN_OFF | SAGA_STEP_RETRIED;
        if (saga->steps[i].phase == SAGA_STEP_DEBT && (saga->steps[i].flags & settled) == 0) {
            make_debt(view, i, &item);
            added = append(list, view, &item);
        }
    }
    if (added && saga->parked != 0 && saga->parked != SAGA_REASON_DEBT &&
        saga->parked_step < saga->step_count) {
        make_parked(view, &item);
        added = append(list, view, &item);
    }
    return added;
}

json_t *saga_attention_json(const struct saga_view *view) {
    json_t *list = json_array();
    if (view->saga == NULL || view->definition == NULL || view->chain == NULL ||
        view->saga->outcome != 0) {
        return list;
    }
    if (!add_all(list, view)) {
        json_decref(list);
        return NULL;
    }
    return list;
}
