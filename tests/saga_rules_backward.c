/* The rules of docs/semantics.md, each by its name: backward, in a graph, compensations that fail.
 */
#include "saga_rules.h"

#include <stdio.h>

/* ---------------------------------------------------------------- backward */

RULE(compensations_run_in_reverse_order_of_start) {
    PLAN("create block approve authorize");
    START("COMMAND create action");
    PLAY("create done | block done | approve done | authorize rejected",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action done; COMMAND approve action | "
         "REPLY approve action done; COMMAND authorize action | "
         "REPLY authorize action rejected; BACKWARD rejected; COMMAND approve compensation");
    OUTSTANDING("approve compensation 1");
    PLAY("approve done", "REPLY approve compensation done; COMMAND block compensation");
    PLAY("block done", "REPLY block compensation done; COMMAND create compensation");
    PLAY("create done", "REPLY create compensation done; ENDED compensated");
}

/* A step without effect is settled at once, but what was built on it is not. */
RULE(the_reverse_order_holds_across_a_step_without_effect) {
    PLAN("create look- block authorize");
    START("COMMAND create action");
    PLAY("create done | look done | block done | authorize rejected",
         "REPLY create action done; COMMAND look action | "
         "REPLY look action done; COMMAND block action | "
         "REPLY block action done; COMMAND authorize action | "
         "REPLY authorize action rejected; BACKWARD rejected; COMMAND block compensation");
    OUTSTANDING("block compensation 1");
    PLAY("block done", "REPLY block compensation done; COMMAND create compensation");
}

/* The Python example unblocks a slot that its saga never blocked. */
RULE(a_step_without_a_command_is_never_compensated) {
    PLAN("create block pay");
    START("COMMAND create action");
    PLAY("create rejected", "REPLY create action rejected; BACKWARD rejected; ENDED compensated");
}

RULE(all_steps_that_may_have_run_are_compensated) {
    PLAN("create block pay"); /* block is outstanding when the saga turns */
    START("COMMAND create action");
    PLAY("create done | cancel",
         "REPLY create action done; COMMAND block action | "
         "CANCEL cancelled; BACKWARD cancelled; COMMAND block compensation");
    PLAY("block noop | create done", "REPLY block compensation noop; COMMAND create compensation | "
                                     "REPLY create compensation done; ENDED compensated");
}

RULE(a_step_without_effect_has_nothing_to_undo) {
    PLAN("look- block");
    START("COMMAND look action");
    PLAY("look done | block rejected",
         "REPLY look action done; COMMAND block action | "
         "REPLY block action rejected; BACKWARD rejected; ENDED compensated");
}

RULE(from_a_fenced_participant_rejected_is_definite) {
    PLAN("create block");
    START("COMMAND create action");
    PLAY("create done | block expires | block rejected",
         "REPLY create action done; COMMAND block action | EXPIRED block action 1 | "
         "REPLY block action rejected; BACKWARD rejected; COMMAND create compensation");
}

RULE(from_an_unfenced_participant_rejected_decides_the_direction_only) {
    PLAN("create block~");
    START("COMMAND create action");
    PLAY("create done | block rejected",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action rejected; BACKWARD rejected; COMMAND block compensation");
    PLAY("block done | create done", "REPLY block compensation done; COMMAND create compensation | "
                                     "REPLY create compensation done; ENDED compensated");
}

RULE(an_unfenced_rejection_is_definite_with_single_delivery) {
    PLAN("create block~1");
    START("COMMAND create action");
    PLAY("create done | block rejected",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action rejected; BACKWARD rejected; COMMAND create compensation");
    /* an earlier attempt that is resolved does no harm */
    AGAIN("create block~1");
    START("COMMAND create action");
    PLAY("create done | block unsent | block retry | block rejected",
         "REPLY create action done; COMMAND block action | UNSENT block action 1 | "
         "REPLY block action retry | "
         "REPLY block action rejected; BACKWARD rejected; COMMAND create compensation");
}

RULE(single_delivery_is_no_help_while_an_earlier_attempt_is_unresolved) {
    static const char *const earlier[] = {"block expires", "block unknown", "restart"};
    PLAN("create block~1");
    for (size_t i = 0; i < sizeof earlier / sizeof earlier[0]; i++) {
        AGAIN("create block~1");
        START("COMMAND create action");
        PLAY("create done", "REPLY create action done; COMMAND block action");
        saga_script_play(s, earlier[i]);
        PLAY("block rejected",
             "REPLY block action rejected; BACKWARD rejected; COMMAND block compensation");
    }
}

/* Who keeps no fence cannot know that it never happened. */
RULE(fenced_from_an_unfenced_participant_is_not_definite) {
    PLAN("create block~");
    START("COMMAND create action");
    PLAY("create done | block fenced | cancel",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action fenced; PARKED block contract_broken | "
         "CANCEL cancelled; BACKWARD cancelled; COMMAND block compensation");
    AGAIN("create reserve*~ confirm");
    AT_THE_PIVOT();
    PLAY("reserve fenced | cancel", "REPLY reserve action fenced; PARKED reserve contract_broken | "
                                    "[pending] CANCEL cancelled");
    STATUS("parked");
}

/* It does not say which of the sendings had no effect. */
RULE(a_retry_that_names_no_attempt_resolves_none) {
    PLAN("create block~1");
    START("COMMAND create action");
    PLAY("create done | block/0 retry | block rejected",
         "REPLY create action done; COMMAND block action | REPLY block action retry | "
         "REPLY block action rejected; BACKWARD rejected; COMMAND block compensation");
}

RULE(going_backward_no_action_is_sent_again) {
    PLAN("create look-@create block@create");
    START("COMMAND create action");
    PLAY("create done | block rejected",
         "REPLY create action done; COMMAND look action; COMMAND block action | "
         "REPLY block action rejected; BACKWARD rejected; COMMAND create compensation");
    OUTSTANDING("create compensation 1");
    PLAY("look expires", "EXPIRED look action 1");
    OUTSTANDING("create compensation 1");
}

RULE(compensated_by_puts_a_fence_into_the_order) {
    static const char *const settles[] = {"done", "rejected", "fenced"};
    PLAN("create approve<create block pay");
    for (size_t i = 0; i < 3; i++) {
        AGAIN("create approve<create block pay");
        START("COMMAND create action");
        PLAY("create done | approve done | block done | pay rejected",
             "REPLY create action done; COMMAND approve action | "
             "REPLY approve action done; COMMAND block action | "
             "REPLY block action done; COMMAND pay action | "
             "REPLY pay action rejected; BACKWARD rejected; COMMAND block compensation");
        PLAY("block done", "REPLY block compensation done; COMMAND approve fence");
        OUTSTANDING("approve fence 1");
        char happens[32];
        char records[96];
        snprintf(happens, sizeof happens, "approve %s", settles[i]);
        snprintf(records, sizeof records, "REPLY approve fence %s; COMMAND create compensation",
                 settles[i]);
        PLAY(happens, records);
        PLAY("create done", "REPLY create compensation done; ENDED compensated");
    }
}

RULE(compensated_by_needs_no_fence_for_what_did_not_run) {
    PLAN("create approve<create");
    START("COMMAND create action");
    PLAY("create done | approve rejected",
         "REPLY create action done; COMMAND approve action | "
         "REPLY approve action rejected; BACKWARD rejected; COMMAND create compensation");
    AGAIN("create approve<create");
    START("COMMAND create action");
    PLAY("create done | wait 60000 | approve expires | approve fenced",
         "REPLY create action done; COMMAND approve action | "
         "EXPIRED approve action 1; COMMAND approve fence | "
         "REPLY approve fence fenced; BACKWARD fenced; COMMAND create compensation");
    AGAIN("create approve<create"); /* no command of it: it has not begun */
    START("COMMAND create action");
    PLAY("cancel", "CANCEL cancelled; BACKWARD cancelled; COMMAND create compensation");
}

RULE(the_fence_in_the_order_has_the_compensations_budget) {
    PLAN("create approve<create");
    BUDGET("create")->compensation.attempts_max = 3;
    START("COMMAND create action");
    PLAY("create done | cancel", "REPLY create action done; COMMAND approve action | "
                                 "CANCEL cancelled; BACKWARD cancelled; COMMAND approve fence");
    ck_assert_int_eq(STEP("approve")->deadline_ms, INT64_MAX);
    PLAY("approve expires | approve expires", "EXPIRED approve fence 1 | EXPIRED approve fence 2");
    OUTSTANDING("approve fence 3");
    PLAY("approve expires", "EXPIRED approve fence 3; COMMAND create compensation");
    PLAY("create done", "REPLY create compensation done; PARKED approve debt");
    PLAY("approve done", "REPLY approve fence done; ENDED compensated");
}

RULE(fenced_for_the_action_settles_the_fence_in_the_order) {
    PLAN("create approve<create");
    START("COMMAND create action");
    PLAY("create done | cancel", "REPLY create action done; COMMAND approve action | "
                                 "CANCEL cancelled; BACKWARD cancelled; COMMAND approve fence");
    PLAY("approve.action fenced", "REPLY approve action fenced; COMMAND create compensation");
}

/* A fence that went before, going forward, was another command. */
RULE(the_fence_in_the_order_is_a_new_command) {
    PLAN("create approve<create");
    START("COMMAND create action");
    PLAY("create done | wait 60000 | approve expires | cancel",
         "REPLY create action done; COMMAND approve action | "
         "EXPIRED approve action 1; COMMAND approve fence | "
         "CANCEL cancelled; BACKWARD cancelled; COMMAND approve fence r2");
}

/* ----------------------------------------------------------------- a graph */

RULE(steps_that_wait_for_the_same_one_start_together) {
    PLAN("create block@create authorize@create approve@block,authorize");
    START("COMMAND create action");
    PLAY("create done", "REPLY create action done; COMMAND block action; COMMAND authorize action");
    OUTSTANDING("block action 1, authorize action 1");
    PLAY("authorize done", "REPLY authorize action done");
    PLAY("block done", "REPLY block action done; COMMAND approve action");
}

RULE(a_compensation_starts_when_those_of_its_dependents_are_settled) {
    PLAN("create block@create authorize@create approve@block,authorize");
    START("COMMAND create action");
    PLAY("create done | authorize done | block done | approve rejected",
         "REPLY create action done; COMMAND block action; COMMAND authorize action | "
         "REPLY authorize action done | REPLY block action done; COMMAND approve action | "
         "REPLY approve action rejected; BACKWARD rejected; COMMAND authorize compensation; "
         "COMMAND block compensation");
    OUTSTANDING("block compensation 1, authorize compensation 1");
    PLAY("block done", "REPLY block compensation done");
    PLAY("authorize done", "REPLY authorize compensation done; COMMAND create compensation");
}

RULE(a_sibling_that_may_have_run_is_compensated_too) {
    PLAN("create block@create authorize@create");
    START("COMMAND create action");
    PLAY("create done | authorize rejected",
         "REPLY create action done; COMMAND block action; COMMAND authorize action | "
         "REPLY authorize action rejected; BACKWARD rejected; COMMAND block compensation");
    OUTSTANDING("block compensation 1");
    PLAY("block noop", "REPLY block compensation noop; COMMAND create compensation");
}

RULE(debt_of_a_dependent_does_not_hold_up_the_others) {
    PLAN("create block@create authorize@create");
    START("COMMAND create action");
    PLAY("create done | authorize done | cancel",
         "REPLY create action done; COMMAND block action; COMMAND authorize action | "
         "REPLY authorize action done | CANCEL cancelled; BACKWARD cancelled; "
         "COMMAND authorize compensation; COMMAND block compensation");
    PLAY("authorize rejected", "REPLY authorize compensation rejected");
    PLAY("block done", "REPLY block compensation done; COMMAND create compensation");
    PLAY("create done", "REPLY create compensation done; PARKED authorize debt");
}

RULE(in_a_graph_the_order_holds_across_a_step_without_effect) {
    PLAN("create look-@create block@look pay@create");
    START("COMMAND create action");
    PLAY("create done | look done | block done | pay rejected",
         "REPLY create action done; COMMAND look action; COMMAND pay action | "
         "REPLY look action done; COMMAND block action | REPLY block action done | "
         "REPLY pay action rejected; BACKWARD rejected; COMMAND block compensation");
    PLAY("block done", "REPLY block compensation done; COMMAND create compensation");
}

RULE(in_a_graph_the_pivot_waits_for_all_before_it) {
    PLAN("block@ authorize@ reserve*@block,authorize");
    START("COMMAND block action; COMMAND authorize action");
    PLAY("authorize done", "REPLY authorize action done");
    PLAY("block expires | block expires",
         "EXPIRED block action 1 | EXPIRED block action 2; COMMAND block fence");
    PLAY("block done", "REPLY block fence done; COMMAND reserve action");
    PLAY("reserve done", "REPLY reserve action done; PIVOT_PASSED reserve; ENDED completed");
}

/* ---------------------------------------------------- compensation that fails */

RULE(a_compensation_is_tried_without_end_by_default) {
    PLAN("create block");
    START("COMMAND create action");
    PLAY("create done | block rejected",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action rejected; BACKWARD rejected; COMMAND create compensation");
    for (int i = 0; i < 600; i++) {
        s->record_count = 1; /* no place to keep them all: only the end is looked at */
        s->records[0].lsn = s->saga->last_lsn;
        saga_script_play(s, i % 2 == 0 ? "wait 1000000 | create expires" : "create retry");
    }
    OUTSTANDING("create compensation 601");
    s->record_count = 0;
}

RULE(a_rejected_compensation_is_debt_and_the_others_go_on) {
    PLAN("create block authorize pay");
    START("COMMAND create action");
    PLAY("create done | block done | authorize done | pay rejected",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action done; COMMAND authorize action | "
         "REPLY authorize action done; COMMAND pay action | "
         "REPLY pay action rejected; BACKWARD rejected; COMMAND authorize compensation");
    PLAY("authorize rejected", "REPLY authorize compensation rejected; COMMAND block compensation");
    PLAY("block done", "REPLY block compensation done; COMMAND create compensation");
    PLAY("create done", "REPLY create compensation done; PARKED authorize debt");
    STATUS("parked");
    OUTSTANDING("");
    PLAY("retry", "RETRY; COMMAND authorize compensation r2");
    STATUS("compensating");
    PLAY("authorize done", "REPLY authorize compensation r2 done; ENDED compensated");
}

RULE(a_used_up_compensation_is_debt) {
    PLAN("create block");
    BUDGET("create")->compensation.attempts_max = 1;
    START("COMMAND create action");
    PLAY("create done | block rejected | create expires",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action rejected; BACKWARD rejected; COMMAND create compensation | "
         "EXPIRED create compensation 1; PARKED create debt");
    AGAIN("create block");
    BUDGET("create")->compensation.deadline_ms = 20000;
    START("COMMAND create action");
    PLAY("create done | block rejected | wait 19999 | create unsent | wait 1 | create unsent",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action rejected; BACKWARD rejected; COMMAND create compensation | "
         "UNSENT create compensation 1 | UNSENT create compensation 2; PARKED create debt");
}

RULE(a_late_answer_settles_a_debt_of_silence) {
    PLAN("create block");
    BUDGET("create")->compensation.attempts_max = 1;
    START("COMMAND create action");
    PLAY("create done | block rejected | create expires",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action rejected; BACKWARD rejected; COMMAND create compensation | "
         "EXPIRED create compensation 1; PARKED create debt");
    PLAY("create done", "REPLY create compensation done; ENDED compensated");
}

RULE(a_debt_by_a_word_is_settled_by_nothing_but_an_operator) {
    PLAN("create block");
    START("COMMAND create action");
    PLAY("create done | block rejected | create rejected",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action rejected; BACKWARD rejected; COMMAND create compensation | "
         "REPLY create compensation rejected; PARKED create debt");
    PLAY("create rejected", "[already]");
    PLAY("create done", "[late] LATE create compensation done");
    STATUS("parked");
    PLAY("deadline", "[already]");
    PLAY("cancel", "[already]");
    PLAY("retry", "RETRY; COMMAND create compensation r2");
}

RULE(every_debt_is_settled_before_the_end) {
    PLAN("create block pay");
    START("COMMAND create action");
    PLAY("create done | block done | cancel",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action done; COMMAND pay action | "
         "CANCEL cancelled; BACKWARD cancelled; COMMAND pay compensation");
    PLAY("pay rejected", "REPLY pay compensation rejected; COMMAND block compensation");
    PLAY("block rejected", "REPLY block compensation rejected; COMMAND create compensation");
    saga_script_play(s, "create done");
    STATUS("parked");
    /* again in reverse order: block waits for pay to be settled anew */
    PLAY("retry", "RETRY; COMMAND pay compensation r2");
    OUTSTANDING("pay compensation 1");
    PLAY("pay done", "REPLY pay compensation r2 done; COMMAND block compensation r2");
    PLAY("block rejected", "REPLY block compensation r2 rejected; PARKED block debt");
    PLAY("retry", "RETRY; COMMAND block compensation r3");
    PLAY("block done", "REPLY block compensation r3 done; ENDED compensated");
}

/* The participant's row lets one compensation take effect, whatever its revision. */
RULE(done_of_an_older_revision_settles) {
    PLAN("create block");
    BUDGET("create")->compensation.attempts_max = 1;
    START("COMMAND create action");
    PLAY("create done | block rejected | create expires | retry",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action rejected; BACKWARD rejected; COMMAND create compensation | "
         "EXPIRED create compensation 1; PARKED create debt | "
         "RETRY; COMMAND create compensation r2");
    PLAY("create.compensation.r1 done", "REPLY create compensation done; ENDED compensated");
}

RULE(a_rejection_of_an_older_revision_is_no_debt) {
    PLAN("create block");
    BUDGET("create")->compensation.attempts_max = 1;
    START("COMMAND create action");
    PLAY("create done | block rejected | create expires | retry",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action rejected; BACKWARD rejected; COMMAND create compensation | "
         "EXPIRED create compensation 1; PARKED create debt | "
         "RETRY; COMMAND create compensation r2");
    PLAY("create.compensation.r1 rejected", "[stale]");
    OUTSTANDING("create compensation 1");
    PLAY("create done", "REPLY create compensation r2 done; ENDED compensated");
}

void saga_rules_add_backward(Suite *suite) {
    TCase *rules = NULL;
    rules = tcase_create("backward");
    tcase_add_test(rules, compensations_run_in_reverse_order_of_start);
    tcase_add_test(rules, the_reverse_order_holds_across_a_step_without_effect);
    tcase_add_test(rules, a_step_without_a_command_is_never_compensated);
    tcase_add_test(rules, all_steps_that_may_have_run_are_compensated);
    tcase_add_test(rules, a_step_without_effect_has_nothing_to_undo);
    tcase_add_test(rules, from_a_fenced_participant_rejected_is_definite);
    tcase_add_test(rules, from_an_unfenced_participant_rejected_decides_the_direction_only);
    tcase_add_test(rules, an_unfenced_rejection_is_definite_with_single_delivery);
    tcase_add_test(rules, single_delivery_is_no_help_while_an_earlier_attempt_is_unresolved);
    tcase_add_test(rules, fenced_from_an_unfenced_participant_is_not_definite);
    tcase_add_test(rules, a_retry_that_names_no_attempt_resolves_none);
    tcase_add_test(rules, going_backward_no_action_is_sent_again);
    tcase_add_test(rules, compensated_by_puts_a_fence_into_the_order);
    tcase_add_test(rules, compensated_by_needs_no_fence_for_what_did_not_run);
    tcase_add_test(rules, the_fence_in_the_order_has_the_compensations_budget);
    tcase_add_test(rules, fenced_for_the_action_settles_the_fence_in_the_order);
    tcase_add_test(rules, the_fence_in_the_order_is_a_new_command);
    suite_add_tcase(suite, rules);
    rules = tcase_create("a graph");
    tcase_add_test(rules, steps_that_wait_for_the_same_one_start_together);
    tcase_add_test(rules, a_compensation_starts_when_those_of_its_dependents_are_settled);
    tcase_add_test(rules, a_sibling_that_may_have_run_is_compensated_too);
    tcase_add_test(rules, debt_of_a_dependent_does_not_hold_up_the_others);
    tcase_add_test(rules, in_a_graph_the_order_holds_across_a_step_without_effect);
    tcase_add_test(rules, in_a_graph_the_pivot_waits_for_all_before_it);
    suite_add_tcase(suite, rules);
    rules = tcase_create("compensation that fails");
    tcase_add_test(rules, a_compensation_is_tried_without_end_by_default);
    tcase_add_test(rules, a_rejected_compensation_is_debt_and_the_others_go_on);
    tcase_add_test(rules, a_used_up_compensation_is_debt);
    tcase_add_test(rules, a_late_answer_settles_a_debt_of_silence);
    tcase_add_test(rules, a_debt_by_a_word_is_settled_by_nothing_but_an_operator);
    tcase_add_test(rules, every_debt_is_settled_before_the_end);
    tcase_add_test(rules, done_of_an_older_revision_settles);
    tcase_add_test(rules, a_rejection_of_an_older_revision_is_no_debt);
    suite_add_tcase(suite, rules);
}
