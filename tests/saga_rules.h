/* What the tests of the rules are written with: see saga_script.h for the language. */
#ifndef SAGA_RULES_H
#define SAGA_RULES_H

#include "saga_script.h"

#include <check.h>

/* Fails the test, with both lines one below the other. */
void saga_rules_assert_said(int line, const char *happens, const char *said, const char *expected);

#define RULE(name)                                                                                 \
    static void name##_rule(struct saga_script *s);                                                \
    START_TEST(name) {                                                                             \
        struct saga_script script;                                                                 \
        name##_rule(&script);                                                                      \
        saga_script_fini(&script);                                                                 \
    }                                                                                              \
    END_TEST                                                                                       \
    static void name##_rule(struct saga_script *s)

#define PLAN(plan) saga_script_init(s, plan)
#define AGAIN(plan)                                                                                \
    do {                                                                                           \
        saga_script_fini(s);                                                                       \
        saga_script_init(s, plan);                                                                 \
    } while (0)
#define START(records) saga_rules_assert_said(__LINE__, "start", saga_script_start(s), records)
#define PLAY(happens, records)                                                                     \
    saga_rules_assert_said(__LINE__, happens, saga_script_play(s, happens), records)
#define OUTSTANDING(commands)                                                                      \
    saga_rules_assert_said(__LINE__, "todo", saga_script_todo(s), commands)
#define STATUS(status) ck_assert_str_eq(saga_status_name(s->saga), status)
#define STEP(name)     saga_script_step(s, name)
#define BUDGET(name)   saga_script_plan(s, name)

/* "create reserve* ...", and the pivot's command is out. */
#define AT_THE_PIVOT()                                                                             \
    START("COMMAND create action");                                                                \
    PLAY("create done", "REPLY create action done; COMMAND reserve action")
/* ... and the pivot is done. */
#define AFTER_THE_PIVOT()                                                                          \
    AT_THE_PIVOT();                                                                                \
    PLAY("reserve done", "REPLY reserve action done; PIVOT_PASSED reserve; COMMAND confirm "       \
                         "action")

void saga_rules_add_forward(Suite *suite);
void saga_rules_add_backward(Suite *suite);
void saga_rules_add_pivot(Suite *suite);
void saga_rules_add_replies(Suite *suite);
void saga_rules_add_operator(Suite *suite);

#endif
