#include "rule.h"

static const struct {
    const char *name, *text;
} rules[SAGA_RULE_COUNT + 1] = {
    [SAGA_RULE_L2] = {"L2", "positions follow each other without a gap"},
    [SAGA_RULE_L3] = {"L3",
                      "each record of a saga names the one before it; the first is its start"},
    [SAGA_RULE_L4] = {"L4", "each record follows from those before it"},
    [SAGA_RULE_L5] = {"L5", "after a saga's end nothing comes but late replies"},
    [SAGA_RULE_L6] = {"L6", "epochs never go back, and rise with a start of the daemon alone"},
    [SAGA_RULE_S2] = {"S2", "a start key has one open saga at a time"},
    [SAGA_RULE_S3] = {"S3", "a saga is started by a definition that was loaded before"},
    [SAGA_RULE_E3] = {"E3", "completed: every step is done"},
    [SAGA_RULE_E4] = {"E4", "what is said of a command comes after the command"},
    [SAGA_RULE_E5] = {"E5", "a command is issued once"},
    [SAGA_RULE_C1] = {"C1", "compensated: every step that may have run is settled"},
    [SAGA_RULE_C2] = {"C2", "what never began is not compensated"},
    [SAGA_RULE_C3] = {"C3", "a step is compensated after those that were built on it"},
    [SAGA_RULE_C5] = {"C5", "who goes back begins nothing"},
    [SAGA_RULE_C6] = {"C6", "who has passed the pivot, or may have, does not go back"},
    [SAGA_RULE_C7] = {"C7", "nothing counts as never sent that may have been"},
    [SAGA_RULE_C8] = {"C8", "no saga ends with a debt that nobody has settled"},
    [SAGA_RULE_F1] = {"F1", "a record has the fields of its fact, and no others"},
    [SAGA_RULE_O1] = {"O1", "the outcome says whether operators had a hand in it"},
};

const char *saga_rule_name(enum saga_rule rule) {
    return rules[rule].name;
}

const char *saga_rule_text(enum saga_rule rule) {
    return rules[rule].text;
}
