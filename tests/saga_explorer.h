/*
 * Every state that one plan can be brought into, found by trying every input on
 * every state.
 *
 * Hides the search and the checks that each decision is put to. Promises that
 * every record of every decision was held against saga_reference_fold(), and
 * every decision against the promises of saga.h; the first breach fails the
 * test with the plan, the state and the input.
 *
 * States are the same here when they differ in nothing but times, positions in
 * the log, and counts beyond those that matter. A thorough search also tells states apart
 * by verdicts that are only remembered to recognise a repeat.
 *
 * Threads: one explorer, one thread.
 */
#ifndef SAGA_EXPLORER_H
#define SAGA_EXPLORER_H

#include "saga_script.h"

/* The plans that are tried. */
struct saga_explorer_plan {
    const char *plan;
    bool thorough;
    size_t states_least; /* far below, and the search has lost its way */
};
#define SAGA_EXPLORER_PLAN_COUNT 23
extern const struct saga_explorer_plan saga_explorer_plans[SAGA_EXPLORER_PLAN_COUNT];

struct saga_explorer {
    struct saga_script script; /* the plan and its names */
    const char *plan_text;
    bool thorough;
    size_t state_size;
    size_t state_count;
    size_t state_capacity;
    unsigned char *states;
    uint32_t *slots; /* a hash table of state numbers + 1 */
    size_t slot_count;
    size_t decision_count;
    size_t record_count;
    size_t ended_count;
    /* Which transitions some decision has made: fact, operation, verdict, from, to. */
    bool taken[SAGA_FACT_COUNT + 1][SAGA_OPERATION_COUNT + 1][SAGA_VERDICT_COUNT + 1]
              [SAGA_PHASE_COUNT + 1][SAGA_PHASE_COUNT + 1];
};

/* Finds all states of the plan (the language of saga_script.h). */
void saga_explorer_init(struct saga_explorer *explorer, const char *plan, bool thorough);
void saga_explorer_fini(struct saga_explorer *explorer);

const struct saga *saga_explorer_state(const struct saga_explorer *explorer, size_t number);

/* What a failing test says: valid until the next call. */
const char *saga_explorer_describe(const struct saga *saga);
const char *saga_explorer_describe_record(const struct saga_record *record);

#endif
