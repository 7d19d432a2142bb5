/*
 * The switches by which tests and demonstrations make a participant decline,
 * fail, wait or die: --limit, --fail, --delay, --crash.
 *
 * Hides how they are written on a command line; `sagad dev` and the services'
 * own programs take the same ones. All zero: none is set.
 *
 * Threads: no state.
 */
#ifndef SAGA_SWITCHES_H
#define SAGA_SWITCHES_H

#include "error.h"
#include "wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of each kind. The example services have eleven commands. */
#define SAGA_PARTICIPANT_SWITCHES_MAX 32
#define SAGA_PARTICIPANT_DELAY_MS_MAX 600000

enum saga_participant_crash {
    SAGA_PARTICIPANT_CRASH_BEFORE_COMMIT = 1, /* nothing of the command is left */
    SAGA_PARTICIPANT_CRASH_AFTER_COMMIT,      /* its effect is there, its reply is lost */
};

struct saga_participant_fail {
    char command[SAGA_WIRE_NAME_BYTES_MAX + 1];
    double probability; /* over 0, up to 1 */
};

struct saga_participant_delay {
    char command[SAGA_WIRE_NAME_BYTES_MAX + 1];
    int64_t delay_ms;
};

struct saga_participant_crash_at {
    char command[SAGA_WIRE_NAME_BYTES_MAX + 1];
    enum saga_participant_crash moment;
};

struct saga_participant_switches {
    bool limited;
    int64_t limit; /* billing declines what is over it; smallest unit of the currency */
    uint64_t seed; /* of the draws of `fails`; 0 is a seed as good as any */
    size_t fail_count, delay_count, crash_count;
    struct saga_participant_fail fails[SAGA_PARTICIPANT_SWITCHES_MAX];
    struct saga_participant_delay delays[SAGA_PARTICIPANT_SWITCHES_MAX];
    struct saga_participant_crash_at crashes[SAGA_PARTICIPANT_SWITCHES_MAX];
};

enum saga_participant_switch {
    SAGA_PARTICIPANT_SWITCH_LIMIT = 1, /* AMOUNT */
    SAGA_PARTICIPANT_SWITCH_FAIL,      /* COMMAND[=PROBABILITY] */
    SAGA_PARTICIPANT_SWITCH_DELAY,     /* COMMAND=MS */
    SAGA_PARTICIPANT_SWITCH_CRASH,     /* COMMAND=before-commit|after-commit */
};

/* Adds the switch with its argument. USAGE, with the switch, the argument and
 * what is expected in the fault. */
SAGA_CHECKED enum saga_error
saga_participant_switches_add(struct saga_participant_switches *switches,
                              enum saga_participant_switch which, const char *argument,
                              struct saga_fault *fault);

/* The switches as a child parser for glibc's argp: its input is the struct
 * saga_participant_switches to fill. Its keys are 0x5a01 to 0x5a04. */
struct argp;
extern const struct argp saga_participant_switches_argp;

#endif
