/* The rules of docs/semantics.md, each by its name: late and wrong replies, operators, recovery. */
#include "saga_rules.h"

#include <stdio.h>

/* ------------------------------------------------------ late and wrong replies */

RULE(backward_and_not_yet_compensating_done_attaches_its_result_then_compensates) {
    PLAN("create block");
    START("COMMAND create action");
    PLAY("create done | wait 60000 | block unsent",
         "REPLY create action done; COMMAND block action | "
         "UNSENT block action 1; BACKWARD never_ran; COMMAND create compensation");
    PLAY("block done", "REPLY block action done; COMMAND block compensation"); /* it did run */
    PLAY("create done", "REPLY create compensation done");
    PLAY("block done", "REPLY block compensation done; ENDED compensated");
    AGAIN("create");
    START("COMMAND create action");
    PLAY("unrendered | cancel", "CANCEL cancelled; BACKWARD cancelled; PARKED create unrendered");
    PLAY("create done", "REPLY create action done; COMMAND create compensation");
}

RULE(backward_and_not_yet_compensating_a_definite_no_is_skipped) {
    static const char *const words[] = {"rejected", "fenced"};
    PLAN("create");
    for (size_t i = 0; i < 2; i++) {
        AGAIN("create");
        START("COMMAND create action");
        PLAY("unrendered | cancel",
             "CANCEL cancelled; BACKWARD cancelled; PARKED create unrendered");
        char happens[32];
        char records[64];
        snprintf(happens, sizeof happens, "create %s", words[i]);
        snprintf(records, sizeof records, "REPLY create action %s; ENDED compensated", words[i]);
        PLAY(happens, records);
    }
}

RULE(a_repeat_of_the_recorded_verdict_is_no_record) {
    PLAN("create block");
    START("COMMAND create action");
    PLAY("create done", "REPLY create action done; COMMAND block action");
    PLAY("create done", "[already]");
    PLAY("block rejected",
         "REPLY block action rejected; BACKWARD rejected; COMMAND create compensation");
    PLAY("block rejected", "[already]");
    PLAY("create.action done", "[already]");
    PLAY("create done", "REPLY create compensation done; ENDED compensated");
    PLAY("create done", "[already]");
    PLAY("block rejected", "[already]");
}

RULE(while_its_compensation_is_on_its_way_a_late_reply_is_only_recorded) {
    static const char *const words[] = {"done", "rejected", "fenced"};
    PLAN("block");
    for (size_t i = 0; i < 3; i++) {
        AGAIN("block");
        START("COMMAND block action");
        PLAY("cancel", "CANCEL cancelled; BACKWARD cancelled; COMMAND block compensation");
        char happens[32];
        char records[64];
        snprintf(happens, sizeof happens, "block.action %s", words[i]);
        snprintf(records, sizeof records, "[late] LATE block action %s", words[i]);
        PLAY(happens, records);
        PLAY(happens, "[already]");
        OUTSTANDING("block compensation 1");
        PLAY("block.action retry", "[stale]");
        PLAY("block done", "REPLY block compensation done; ENDED compensated");
    }
}

RULE(done_and_noop_contradict_in_either_order) {
    /* done first */
    PLAN("block~ pay");
    START("COMMAND block action");
    PLAY("block done | pay rejected",
         "REPLY block action done; COMMAND pay action | "
         "REPLY pay action rejected; BACKWARD rejected; COMMAND block compensation");
    PLAY("block noop", "REPLY block compensation noop; COMMAND block compensation r2");
    PLAY("block done", "REPLY block compensation r2 done; ENDED compensated");
    /* done while the compensation is on its way */
    AGAIN("block~");
    START("COMMAND block action");
    PLAY("cancel", "CANCEL cancelled; BACKWARD cancelled; COMMAND block compensation");
    PLAY("block.action done", "[late] LATE block action done");
    PLAY("block noop", "REPLY block compensation noop; COMMAND block compensation r2");
    /* noop first */
    AGAIN("create block~");
    START("COMMAND create action");
    PLAY("create done | cancel | block noop",
         "REPLY create action done; COMMAND block action | "
         "CANCEL cancelled; BACKWARD cancelled; COMMAND block compensation | "
         "REPLY block compensation noop; COMMAND create compensation");
    PLAY("block.action done", "[late] LATE block action done; COMMAND block compensation r2");
    PLAY("create done", "REPLY create compensation done");
    PLAY("block done", "REPLY block compensation r2 done; ENDED compensated");
}

RULE(a_contradiction_forces_one_compensation_then_parks) {
    PLAN("block~ pay");
    START("COMMAND block action");
    PLAY("block done | pay rejected | block noop",
         "REPLY block action done; COMMAND pay action | "
         "REPLY pay action rejected; BACKWARD rejected; COMMAND block compensation | "
         "REPLY block compensation noop; COMMAND block compensation r2");
    PLAY("block noop", "REPLY block compensation r2 noop; PARKED block debt");
    AGAIN("block~ pay");
    START("COMMAND block action");
    PLAY("block done | pay rejected | block noop",
         "REPLY block action done; COMMAND pay action | "
         "REPLY pay action rejected; BACKWARD rejected; COMMAND block compensation | "
         "REPLY block compensation noop; COMMAND block compensation r2");
    PLAY("block rejected", "REPLY block compensation r2 rejected; PARKED block debt");
}

RULE(one_compensation_is_forced_and_no_more) {
    PLAN("create block~ pay");
    START("COMMAND create action");
    PLAY("create done | block done | pay rejected | block noop | block done",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action done; COMMAND pay action | "
         "REPLY pay action rejected; BACKWARD rejected; COMMAND block compensation | "
         "REPLY block compensation noop; COMMAND block compensation r2 | "
         "REPLY block compensation r2 done; COMMAND create compensation");
    PLAY("block.compensation.r2 noop", "[late] LATE block compensation r2 noop");
    OUTSTANDING("create compensation 1");
}

/* Debt parks one compensation; the others go on. */
RULE(a_forced_compensation_does_not_wait_for_anothers_debt) {
    PLAN("create block~");
    START("COMMAND create action");
    PLAY("create done | cancel | block noop | create rejected",
         "REPLY create action done; COMMAND block action | "
         "CANCEL cancelled; BACKWARD cancelled; COMMAND block compensation | "
         "REPLY block compensation noop; COMMAND create compensation | "
         "REPLY create compensation rejected; PARKED create debt");
    PLAY("block.action done", "[late] LATE block action done; COMMAND block compensation r2");
    PLAY("block done", "REPLY block compensation r2 done; PARKED create debt");
    /* also where it was itself a debt of silence */
    AGAIN("create block~ pay");
    BUDGET("create")->compensation.attempts_max = 1;
    BUDGET("block")->compensation.attempts_max = 1;
    START("COMMAND create action");
    PLAY("create done | block done | pay rejected | block expires | create expires",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action done; COMMAND pay action | "
         "REPLY pay action rejected; BACKWARD rejected; COMMAND block compensation | "
         "EXPIRED block compensation 1; COMMAND create compensation | "
         "EXPIRED create compensation 1; PARKED create debt");
    PLAY("block noop", "REPLY block compensation noop; COMMAND block compensation r2");
}

RULE(a_compensation_that_a_late_done_asks_for_does_not_wait_for_anothers_debt) {
    PLAN("create block");
    START("COMMAND create action");
    PLAY("create done | wait 60000 | block unsent | create rejected",
         "REPLY create action done; COMMAND block action | "
         "UNSENT block action 1; BACKWARD never_ran; COMMAND create compensation | "
         "REPLY create compensation rejected; PARKED create debt");
    PLAY("block.action done", "REPLY block action done; COMMAND block compensation");
    PLAY("block done", "REPLY block compensation done; PARKED create debt");
}

RULE(an_ended_saga_records_and_never_drives) {
    PLAN("block~");
    START("COMMAND block action");
    PLAY("cancel | block noop",
         "CANCEL cancelled; BACKWARD cancelled; COMMAND block compensation | "
         "REPLY block compensation noop; ENDED compensated");
    PLAY("block.action done", "[late] LATE block action done");
    OUTSTANDING("");
    STATUS("compensated");
    PLAY("block.action done", "[already]");
    PLAY("block rejected", "[late] LATE block compensation rejected");
    PLAY("block.action retry", "[stale]");
    PLAY("block expires", "[stale]");
    PLAY("block unsent", "[stale]");
    PLAY("cancel", "[refused]");
    PLAY("deadline", "[refused]");
    PLAY("retry", "[refused]");
    PLAY("restart", "");
    OUTSTANDING("");
    AGAIN("create block");
    START("COMMAND create action");
    PLAY("create done | block done", "REPLY create action done; COMMAND block action | "
                                     "REPLY block action done; ENDED completed");
    PLAY("block rejected", "[late] LATE block action rejected");
    STATUS("completed");
}

RULE(a_reply_to_a_command_that_never_was_is_stale) {
    PLAN("create block");
    START("COMMAND create action");
    PLAY("block.action done", "[stale]");
    PLAY("create.fence done", "[stale]");
    PLAY("create.compensation done", "[stale]");
    PLAY("create.action.r2 done", "[stale]");
    OUTSTANDING("create action 1");
    PLAY("create done | block rejected",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action rejected; BACKWARD rejected; COMMAND create compensation");
    PLAY("create.compensation.r2 done", "[stale]");
    PLAY("create.fence fenced", "[stale]");
    OUTSTANDING("create compensation 1");
    AGAIN("block");
    START("COMMAND block action");
    PLAY("wait 60000 | block expires", "EXPIRED block action 1; COMMAND block fence");
    PLAY("block.fence.r2 fenced", "[stale]");
    PLAY("cancel", "CANCEL cancelled; BACKWARD cancelled; COMMAND block compensation");
    PLAY("block.fence.r2 fenced", "[stale]");
    PLAY("block.fence fenced", "[late] LATE block fence fenced");
}

/* --------------------------------------------------------------- operators */

RULE(cancel_says_what_became_of_it) {
    PLAN("create reserve* confirm");
    AT_THE_PIVOT();
    PLAY("cancel | reserve fenced | cancel",
         "[pending] CANCEL cancelled; COMMAND reserve fence | "
         "REPLY reserve fence fenced; BACKWARD cancelled; COMMAND create compensation | "
         "[already]");
    PLAY("create done | cancel", "REPLY create compensation done; ENDED compensated | [refused]");
}

RULE(a_parked_saga_can_be_cancelled) {
    PLAN("create block reserve*");
    START("COMMAND create action");
    PLAY("create done | block fenced", "REPLY create action done; COMMAND block action | "
                                       "REPLY block action fenced; PARKED block contract_broken");
    PLAY("cancel", "CANCEL cancelled; BACKWARD cancelled; COMMAND create compensation");
    AGAIN("create block?");
    START("COMMAND create action");
    PLAY("create done | wait 60000 | block expires",
         "REPLY create action done; COMMAND block action | "
         "EXPIRED block action 1; PARKED block in_doubt");
    PLAY("cancel", "CANCEL cancelled; BACKWARD cancelled; COMMAND block compensation");
}

RULE(retry_ends_the_backoff) {
    PLAN("block");
    START("COMMAND block action");
    PLAY("block expires", "EXPIRED block action 1");
    ck_assert_int_gt(STEP("block")->send_at_ms, s->now_ms);
    PLAY("retry", "RETRY");
    ck_assert_int_eq(STEP("block")->send_at_ms, s->now_ms);
    OUTSTANDING("block action 2");
}

RULE(retry_of_an_unanswered_parked_command_is_a_fresh_budget_with_the_same_id) {
    PLAN("block?");
    START("COMMAND block action");
    PLAY("block expires | block expires",
         "EXPIRED block action 1 | EXPIRED block action 2; PARKED block in_doubt");
    PLAY("wait 50000 | retry", "RETRY");
    OUTSTANDING("block action 3");
    ck_assert_uint_eq(STEP("block")->revision, 1);
    ck_assert_int_eq(STEP("block")->deadline_ms, s->now_ms + 60000);
    ck_assert_int_eq(STEP("block")->send_at_ms, s->now_ms);
    PLAY("block expires | block expires",
         "EXPIRED block action 3 | EXPIRED block action 4; PARKED block in_doubt");
    /* a fence that was silent is asked again */
    AGAIN("create reserve* confirm");
    AT_THE_PIVOT();
    PLAY("wait 60000 | reserve expires | wait 60000 | reserve expires | retry",
         "EXPIRED reserve action 1; COMMAND reserve fence | "
         "EXPIRED reserve fence 1; PARKED reserve in_doubt | RETRY");
    OUTSTANDING("reserve fence 2");
    ck_assert_uint_eq(STEP("reserve")->revision, 1);
}

RULE(retry_of_a_broken_contract_is_refused) {
    PLAN("block");
    START("COMMAND block action");
    PLAY("block fenced", "REPLY block action fenced; PARKED block contract_broken");
    PLAY("retry", "[refused]");
}

RULE(a_body_that_cannot_be_made_parks_until_retried) {
    PLAN("create block");
    START("COMMAND create action");
    PLAY("unrendered | create done", "REPLY create action done; PARKED block unrendered");
    PLAY("retry", "RETRY; COMMAND block action");
    PLAY("block done", "REPLY block action done; ENDED completed");
    AGAIN("create block");
    START("COMMAND create action");
    PLAY("unrendered | create done | cancel",
         "REPLY create action done; PARKED block unrendered | "
         "CANCEL cancelled; BACKWARD cancelled; COMMAND create compensation");
}

/* ---------------------------------------------------------------- recovery */

RULE(a_restart_costs_no_budget) {
    PLAN("block");
    START("COMMAND block action");
    PLAY("restart | restart | restart | restart | restart", "");
    OUTSTANDING("block action 1");
    PLAY("block expires", "EXPIRED block action 1");
    PLAY("restart", "");
    OUTSTANDING("block action 2");
    PLAY("block expires", "EXPIRED block action 2; COMMAND block fence");
    PLAY("restart | restart | restart", "");
    OUTSTANDING("block fence 1");
}

RULE(a_restart_makes_every_open_attempt_unresolved) {
    PLAN("create block!");
    START("COMMAND create action");
    PLAY("create done | restart | wait 60000 | block unsent",
         "REPLY create action done; COMMAND block action | "
         "UNSENT block action 1; BACKWARD unresolved; COMMAND block compensation");
}

RULE(what_was_outstanding_is_sent_again_with_the_same_id) {
    PLAN("create block");
    START("COMMAND create action");
    PLAY("create done | block accepted", "REPLY create action done; COMMAND block action | "
                                         "REPLY block action accepted");
    OUTSTANDING("block action 1 in progress");
    PLAY("wait 5000 | restart", "");
    OUTSTANDING("block action 1"); /* asked again, so that its timeout counts again */
    ck_assert_int_eq(STEP("block")->send_at_ms, s->now_ms);
    ck_assert_uint_eq(STEP("block")->revision, 1);
    PLAY("block rejected",
         "REPLY block action rejected; BACKWARD rejected; COMMAND create compensation");
    PLAY("restart", "");
    OUTSTANDING("create compensation 1");
}

/* So that the replies that wait at the broker come first. */
RULE(a_deadline_that_passed_meanwhile_fires_one_attempt_timeout_after_the_start) {
    PLAN("block");
    s->plan.deadline_ms = 70000;
    START("COMMAND block action");
    PLAY("wait 1000000 | restart", "");
    ck_assert_int_eq(STEP("block")->deadline_ms, s->now_ms + 1000);
    ck_assert_int_eq(s->saga->deadline_ms, s->now_ms + 1000);
    PLAY("wait 999 | block unsent", "UNSENT block action 1");
    OUTSTANDING("block action 2");
    PLAY("wait 1 | block expires", "EXPIRED block action 2; COMMAND block fence");
    /* one that has not passed stays where it is */
    AGAIN("block");
    s->plan.deadline_ms = 70000;
    START("COMMAND block action");
    int64_t started_ms = s->now_ms;
    PLAY("wait 30000 | restart", "");
    ck_assert_int_eq(STEP("block")->deadline_ms, started_ms + 60000);
    ck_assert_int_eq(s->saga->deadline_ms, started_ms + 70000);
}

/* The reply that waits may be the very one that the saga is parked for. */
RULE(the_deadline_of_a_parked_saga_waits_for_replies_too) {
    PLAN("block?");
    s->plan.deadline_ms = 70000;
    START("COMMAND block action");
    PLAY("block expires | block expires | wait 1000000 | restart",
         "EXPIRED block action 1 | EXPIRED block action 2; PARKED block in_doubt");
    ck_assert_int_eq(s->saga->deadline_ms, s->now_ms + 1000);
    PLAY("block done", "REPLY block action done; ENDED completed");
}

RULE(a_restart_keeps_a_pending_cancel_and_a_parked_saga) {
    PLAN("create reserve* confirm");
    AT_THE_PIVOT();
    PLAY("cancel | restart", "[pending] CANCEL cancelled; COMMAND reserve fence");
    OUTSTANDING("reserve fence 1");
    PLAY("reserve fenced",
         "REPLY reserve fence fenced; BACKWARD cancelled; COMMAND create compensation");
    PLAY("create rejected | restart", "REPLY create compensation rejected; PARKED create debt");
    OUTSTANDING("");
    STATUS("parked");
}

void saga_rules_add_replies(Suite *suite) {
    TCase *rules = NULL;
    rules = tcase_create("late and wrong replies");
    tcase_add_test(rules,
                   backward_and_not_yet_compensating_done_attaches_its_result_then_compensates);
    tcase_add_test(rules, backward_and_not_yet_compensating_a_definite_no_is_skipped);
    tcase_add_test(rules, a_repeat_of_the_recorded_verdict_is_no_record);
    tcase_add_test(rules, while_its_compensation_is_on_its_way_a_late_reply_is_only_recorded);
    tcase_add_test(rules, done_and_noop_contradict_in_either_order);
    tcase_add_test(rules, a_contradiction_forces_one_compensation_then_parks);
    tcase_add_test(rules, one_compensation_is_forced_and_no_more);
    tcase_add_test(rules, a_forced_compensation_does_not_wait_for_anothers_debt);
    tcase_add_test(rules, a_compensation_that_a_late_done_asks_for_does_not_wait_for_anothers_debt);
    tcase_add_test(rules, an_ended_saga_records_and_never_drives);
    tcase_add_test(rules, a_reply_to_a_command_that_never_was_is_stale);
    suite_add_tcase(suite, rules);
    rules = tcase_create("operators");
    tcase_add_test(rules, cancel_says_what_became_of_it);
    tcase_add_test(rules, a_parked_saga_can_be_cancelled);
    tcase_add_test(rules, retry_ends_the_backoff);
    tcase_add_test(rules, retry_of_an_unanswered_parked_command_is_a_fresh_budget_with_the_same_id);
    tcase_add_test(rules, retry_of_a_broken_contract_is_refused);
    tcase_add_test(rules, a_body_that_cannot_be_made_parks_until_retried);
    suite_add_tcase(suite, rules);
    rules = tcase_create("recovery");
    tcase_add_test(rules, a_restart_costs_no_budget);
    tcase_add_test(rules, a_restart_makes_every_open_attempt_unresolved);
    tcase_add_test(rules, what_was_outstanding_is_sent_again_with_the_same_id);
    tcase_add_test(rules,
                   a_deadline_that_passed_meanwhile_fires_one_attempt_timeout_after_the_start);
    tcase_add_test(rules, the_deadline_of_a_parked_saga_waits_for_replies_too);
    tcase_add_test(rules, a_restart_keeps_a_pending_cancel_and_a_parked_saga);
    suite_add_tcase(suite, rules);
}
