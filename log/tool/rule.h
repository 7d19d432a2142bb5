/*
 * The rules of a log that it can be held to by itself.
 *
 * The rules have the names of the design's invariants, as far as a log alone can show them:
 *
 *    F1  a record has the fields of its fact, and no others
 *    L2  positions follow each other without a gap
 *    L3  each record of a saga names the one before it; the first is its start
 *    L4  each record follows from those before it
 *    L5  after a saga's end nothing comes but late replies
 *    L6  epochs never go back, and rise with a start of the daemon alone
 *    S2  a start key has one open saga at a time
 *    S3  a saga is started by a definition that was loaded before
 *    E3  completed: every step is done
 *    E4  what is said of a command comes after the command
 *    E5  a command is issued once
 *    C1  compensated: every step that may have run is settled
 *    C2  what never began is not compensated
 *    C3  a step is compensated after those that were built on it
 *    C5  who goes back begins nothing
 *    C6  who has passed the pivot never goes back; who may have passed it does not either
 *    C7  nothing counts as never sent that may have been
 *    C8  no saga ends with a debt that nobody has settled
 *    O1  the outcome says whether operators had a hand in it
 *
 * Threads: no state.
 */
#ifndef SAGA_RULE_H
#define SAGA_RULE_H

enum saga_rule {
    SAGA_RULE_L2 = 1,
    SAGA_RULE_L3,
    SAGA_RULE_L4,
    SAGA_RULE_L5,
    SAGA_RULE_L6,
    SAGA_RULE_S2,
    SAGA_RULE_S3,
    SAGA_RULE_E3,
    SAGA_RULE_E4,
    SAGA_RULE_E5,
    SAGA_RULE_C1,
    SAGA_RULE_C2,
    SAGA_RULE_C3,
    SAGA_RULE_C5,
    SAGA_RULE_C6,
    SAGA_RULE_C7,
    SAGA_RULE_C8,
    SAGA_RULE_O1,
    SAGA_RULE_F1,
};
#define SAGA_RULE_COUNT 19

/* "C3", and what it says. */
const char *saga_rule_name(enum saga_rule rule);
const char *saga_rule_text(enum saga_rule rule);

#endif
