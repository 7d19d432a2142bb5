#include "switches.h"

#include <argp.h>
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Splits "COMMAND=REST" into `command` and the rest; NULL where there is no "=".
 * False if the command is no name. */
static bool split(const char *argument, char command[SAGA_WIRE_NAME_BYTES_MAX + 1],
                  const char **rest) {
    size_t size = strcspn(argument, "=");
    *rest = argument[size] == '=' ? argument + size + 1 : NULL;
    if (size > SAGA_WIRE_NAME_BYTES_MAX) {
        return false;
    }
    memcpy(command, argument, size);
    command[size] = '\0';
    return saga_wire_name_check(command, SAGA_WIRE_NAME_BYTES_MAX);
}

/* A whole number of digits only, up to `max`. */
static bool parse_number(const char *text, int64_t max, int64_t *number) {
    if (text == NULL || text[0] < '0' || text[0] > '9') {
        return false;
    }
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || value > max) {
        return false;
    }
    *number = value;
    return true;
}

static bool parse_probability(const char *text, double *probability) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(value) || value <= 0 || value > 1) {
        return false;
    }
    *probability = value;
    return true;
}

static enum saga_error too_many(const char *name, struct saga_fault *fault) {
    return saga_fault_set(fault, SAGA_ERROR_USAGE, "--%s: given more than %d times", name,
                          SAGA_PARTICIPANT_SWITCHES_MAX);
}

static enum saga_error add_limit(struct saga_participant_switches *switches, const char *argument,
                                 struct saga_fault *fault) {
    if (!parse_number(argument, INT64_MAX, &switches->limit)) {
        return saga_fault_set(fault, SAGA_ERROR_USAGE,
                              "--limit '%s': expected a whole amount in the smallest unit of the "
                              "currency, e.g. --limit 10000 for 100.00",
                              argument);
    }
    switches->limited = true;
    return SAGA_OK;
}

static enum saga_error add_fail(struct saga_participant_switches *switches, const char *argument,
                                struct saga_fault *fault) {
    if (switches->fail_count == SAGA_PARTICIPANT_SWITCHES_MAX) {
        return too_many("fail", fault);
    }
    struct saga_participant_fail *fail = &switches->fails[switches->fail_count];
    const char *rest;
    fail->probability = 1;
    if (!split(argument, fail->command, &rest) ||
        (rest != NULL && !parse_probability(rest, &fail->probability))) {
        return saga_fault_set(fault, SAGA_ERROR_USAGE,
                              "--fail '%s': expected COMMAND or COMMAND=PROBABILITY (over 0, up to "
                              "1), e.g. --fail parking.reserve=0.5",
                              argument);
    }
    switches->fail_count++;
    return SAGA_OK;
}

static enum saga_error add_delay(struct saga_participant_switches *switches, const char *argument,
                                 struct saga_fault *fault) {
    if (switches->delay_count == SAGA_PARTICIPANT_SWITCHES_MAX) {
        return too_many("delay", fault);
    }
    struct saga_participant_delay *delay = &switches->delays[switches->delay_count];
    const char *rest;
    if (!split(argument, delay->command, &rest) ||
        !parse_number(rest, SAGA_PARTICIPANT_DELAY_MS_MAX, &delay->delay_ms)) {
        return saga_fault_set(fault, SAGA_ERROR_USAGE,
                              "--delay '%s': expected COMMAND=MS with at most %d ms, e.g. --delay "
                              "parking.reserve=2000",
                              argument, SAGA_PARTICIPANT_DELAY_MS_MAX);
    }
    switches->delay_count++;
    return SAGA_OK;
}

static enum saga_error add_crash(struct saga_participant_switches *switches, const char *argument,
                                 struct saga_fault *fault) {
    if (switches->crash_count == SAGA_PARTICIPANT_SWITCHES_MAX) {
        return too_many("crash", fault);
    }
    struct saga_participant_crash_at *crash = &switches->crashes[switches->crash_count];
    const char *rest;
    bool named = split(argument, crash->command, &rest) && rest != NULL;
    if (named && strcmp(rest, "before-commit") == 0) {
        crash->moment = SAGA_PARTICIPANT_CRASH_BEFORE_COMMIT;
    } else if (named && strcmp(rest, "after-commit") == 0) {
        crash->moment = SAGA_PARTICIPANT_CRASH_AFTER_COMMIT;
    } else {
        return saga_fault_set(fault, SAGA_ERROR_USAGE,
                              "--crash '%s': expected COMMAND=before-commit or "
                              "COMMAND=after-commit, e.g. --crash parking.block=after-commit",
                              argument);
    }
    switches->crash_count++;
    return SAGA_OK;
}

enum saga_error saga_participant_switches_add(struct saga_participant_switches *switches,
                                              enum saga_participant_switch which,
                                              const char *argument, struct saga_fault *fault) {
    switch (which) {
    case SAGA_PARTICIPANT_SWITCH_LIMIT:
        return add_limit(switches, argument, fault);
    case SAGA_PARTICIPANT_SWITCH_FAIL:
        return add_fail(switches, argument, fault);
    case SAGA_PARTICIPANT_SWITCH_DELAY:
        return add_delay(switches, argument, fault);
    case SAGA_PARTICIPANT_SWITCH_CRASH:
        return add_crash(switches, argument, fault);
    }
    assert(!"a switch that is not in the list");
    return SAGA_ERROR_USAGE;
}

#define KEY_BASE 0x5a00

static const struct argp_option options[] = {
    {"limit", KEY_BASE + SAGA_PARTICIPANT_SWITCH_LIMIT, "AMOUNT", 0,
     "Billing declines what is over AMOUNT (in the smallest unit)", 0},
    {"fail", KEY_BASE + SAGA_PARTICIPANT_SWITCH_FAIL, "COMMAND[=PROBABILITY]", 0,
     "Answer COMMAND's rejected event, or `retry' where it has none", 0},
    {"delay", KEY_BASE + SAGA_PARTICIPANT_SWITCH_DELAY, "COMMAND=MS", 0,
     "Wait so long before COMMAND is carried out", 0},
    {"crash", KEY_BASE + SAGA_PARTICIPANT_SWITCH_CRASH, "COMMAND=before-commit|after-commit", 0,
     "Kill this process with SIGKILL when COMMAND has been carried out, before or after its effect "
     "is committed",
     0},
    {0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state) {
    if (key <= KEY_BASE || key > KEY_BASE + SAGA_PARTICIPANT_SWITCH_CRASH) {
        return ARGP_ERR_UNKNOWN;
    }
    struct saga_fault fault;
    if (saga_participant_switches_add(state->input, (enum saga_participant_switch)(key - KEY_BASE),
                                      argument, &fault) != SAGA_OK) {
        argp_error(state, "%s", fault.text);
    }
    return 0;
}

const struct argp saga_participant_switches_argp = {.options = options, .parser = parse_option};
