/* The rules of docs/semantics.md, each by its name: identity, verdicts, attempts, unknown outcomes.
 */
#include "saga_rules.h"

/* ---------------------------------------------------------------- identity */

RULE(a_command_has_the_same_id_on_every_attempt) {
    PLAN("block");
    BUDGET("block")->action.attempts_max = 0;
    START("COMMAND block action");
    for (int i = 0; i < 20; i++) {
        struct saga_outstanding outstanding[SAGA_STEPS_MAX];
        ck_assert_uint_eq(saga_todo(s->saga, &s->plan, outstanding), 1);
        ck_assert_uint_eq(outstanding[0].attempt, (unsigned)i + 1);
        ck_assert_uint_eq(outstanding[0].id.step, 0);
        ck_assert_uint_eq(outstanding[0].id.operation, SAGA_ACTION);
        ck_assert_uint_eq(outstanding[0].id.incarnation, 1);
        ck_assert_uint_eq(outstanding[0].id.revision, 1);
        ck_assert_mem_eq(&outstanding[0].id.saga, &s->saga->id, sizeof s->saga->id);
        ck_assert_uint_eq(outstanding[0].command_lsn, 3);
        saga_script_play(s, i % 2 == 0 ? "block expires" : "block retry");
    }
}

RULE(replies_are_matched_by_command_id_not_by_attempt) {
    PLAN("block");
    START("COMMAND block action");
    PLAY("block expires", "EXPIRED block action 1");
    PLAY("block/1 done", "REPLY block action done; ENDED completed");
    AGAIN("block");
    START("COMMAND block action");
    PLAY("block/0 done", "REPLY block action done; ENDED completed");
}

/* Otherwise it would be answered from the inbox. */
RULE(revision_rises_for_a_compensation_issued_anew) {
    PLAN("create block");
    START("COMMAND create action");
    PLAY("create done", "REPLY create action done; COMMAND block action");
    PLAY("block rejected",
         "REPLY block action rejected; BACKWARD rejected; COMMAND create compensation");
    PLAY("create rejected", "REPLY create compensation rejected; PARKED create debt");
    PLAY("retry", "RETRY; COMMAND create compensation r2");
    OUTSTANDING("create compensation 1");
    PLAY("create rejected", "REPLY create compensation r2 rejected; PARKED create debt");
    PLAY("retry", "RETRY; COMMAND create compensation r3");
    PLAY("create done", "REPLY create compensation r3 done; ENDED compensated");
}

/* ---------------------------------------------------------------- verdicts */

RULE(done_starts_the_next_step_in_the_same_decision) {
    PLAN("create block");
    START("COMMAND create action");
    OUTSTANDING("create action 1");
    PLAY("create done", "REPLY create action done; COMMAND block action");
    OUTSTANDING("block action 1");
    PLAY("block done", "REPLY block action done; ENDED completed");
    OUTSTANDING("");
    STATUS("completed");
}

RULE(rejected_goes_backward) {
    PLAN("create block pay");
    START("COMMAND create action");
    PLAY("create done | block rejected",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action rejected; BACKWARD rejected; COMMAND create compensation");
    STATUS("compensating");
    PLAY("create done", "REPLY create compensation done; ENDED compensated");
    STATUS("compensated");
}

RULE(in_progress_suspends_the_attempts_timeout_never_the_steps_deadline) {
    PLAN("block");
    START("COMMAND block action");
    int64_t deadline_ms = STEP("block")->deadline_ms;
    PLAY("block accepted", "REPLY block action accepted");
    OUTSTANDING("block action 1 in progress");
    ck_assert_int_eq(STEP("block")->deadline_ms, deadline_ms);
    PLAY("block accepted", "[already]");
    PLAY("wait 60000 | block expires", "EXPIRED block action 1; COMMAND block fence");
}

RULE(in_progress_ends_with_the_result) {
    PLAN("block");
    START("COMMAND block action");
    PLAY("block accepted | block done",
         "REPLY block action accepted | REPLY block action done; ENDED completed");
    AGAIN("create block");
    START("COMMAND create action");
    PLAY("create done | block rejected | create accepted",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action rejected; BACKWARD rejected; COMMAND create compensation | "
         "REPLY create compensation accepted");
    OUTSTANDING("create compensation 1 in progress");
    PLAY("create done", "REPLY create compensation done; ENDED compensated");
}

RULE(retry_ends_the_attempt_and_costs_budget) {
    PLAN("block");
    START("COMMAND block action");
    PLAY("block retry", "REPLY block action retry");
    OUTSTANDING("block action 2");
    PLAY("block retry", "REPLY block action retry; COMMAND block fence");
}

/* "no effect this attempt (an earlier one may have had)": the step may have run. */
RULE(retry_does_not_say_that_the_step_never_ran) {
    PLAN("block!");
    START("COMMAND block action");
    PLAY("block expires | block retry",
         "EXPIRED block action 1 | "
         "REPLY block action retry; BACKWARD unresolved; COMMAND block compensation");
}

RULE(unknown_is_not_failure) {
    PLAN("block");
    START("COMMAND block action");
    PLAY("block unknown", "REPLY block action unknown");
    OUTSTANDING("block action 2");
    PLAY("block done", "REPLY block action done; ENDED completed");
}

RULE(a_verdict_that_the_command_cannot_have_is_unknown) {
    PLAN("create block");
    START("COMMAND create action");
    PLAY("create noop", "REPLY create action unknown");
    PLAY("create noop", "REPLY create action unknown; COMMAND create fence");
    PLAY("create noop", "REPLY create fence unknown");
    PLAY("create done", "REPLY create fence done; COMMAND block action");
    PLAY("block rejected",
         "REPLY block action rejected; BACKWARD rejected; COMMAND create compensation");
    PLAY("create fenced", "REPLY create compensation unknown");
    OUTSTANDING("create compensation 2");
}

RULE(noop_settles_a_compensation) {
    PLAN("block!");
    START("COMMAND block action");
    PLAY("block expires | block expires",
         "EXPIRED block action 1 | "
         "EXPIRED block action 2; BACKWARD unresolved; COMMAND block compensation");
    PLAY("block noop", "REPLY block compensation noop; ENDED compensated");
}

/* ---------------------------------------------------------------- attempts */

RULE(an_attempt_that_ends_opens_the_next_without_a_further_record) {
    PLAN("block");
    BUDGET("block")->action.attempts_max = 4;
    START("COMMAND block action");
    PLAY("block unsent", "UNSENT block action 1");
    OUTSTANDING("block action 2");
    PLAY("block expires", "EXPIRED block action 2");
    OUTSTANDING("block action 3");
    PLAY("block retry", "REPLY block action retry");
    OUTSTANDING("block action 4");
    PLAY("block unknown", "REPLY block action unknown");
    OUTSTANDING("block action 5");
    PLAY("block expires", "EXPIRED block action 5; COMMAND block fence");
}

RULE(unsent_costs_no_budget) {
    PLAN("block");
    START("COMMAND block action");
    for (int i = 0; i < 30; i++) {
        saga_script_play(s, "block unsent");
    }
    OUTSTANDING("block action 31");
    PLAY("block expires", "EXPIRED block action 31");
    OUTSTANDING("block action 32");
    PLAY("block expires", "EXPIRED block action 32; COMMAND block fence");
}

RULE(only_the_deadline_ends_the_wait_of_an_unsent_command) {
    PLAN("block");
    BUDGET("block")->action.deadline_ms = 0;
    START("COMMAND block action");
    PLAY("wait 1000000000 | block unsent", "UNSENT block action 1");
    OUTSTANDING("block action 2");
    AGAIN("block");
    START("COMMAND block action");
    PLAY("wait 59999 | block unsent", "UNSENT block action 1");
    OUTSTANDING("block action 2");
    PLAY("wait 1 | block unsent", "UNSENT block action 2; BACKWARD never_ran; ENDED compensated");
}

RULE(used_up_and_never_ran_goes_backward_with_this_step_uncompensated) {
    PLAN("create block");
    START("COMMAND create action");
    PLAY("create done", "REPLY create action done; COMMAND block action");
    PLAY("block unsent", "UNSENT block action 1");
    PLAY("wait 60000 | block expires unsent",
         "UNSENT block action 2; BACKWARD never_ran; COMMAND create compensation");
    PLAY("create done", "REPLY create compensation done; ENDED compensated");
}

RULE(a_step_never_ran_only_if_no_attempt_is_open_and_every_closed_one_was_unsent) {
    /* one of them was not unsent */
    PLAN("block!");
    START("COMMAND block action");
    PLAY("block expires | wait 60000 | block expires unsent",
         "EXPIRED block action 1 | "
         "UNSENT block action 2; BACKWARD unresolved; COMMAND block compensation");
    AGAIN("block!");
    START("COMMAND block action");
    PLAY("block unsent | wait 60000 | block expires",
         "UNSENT block action 1 | "
         "EXPIRED block action 2; BACKWARD unresolved; COMMAND block compensation");
    AGAIN("block!");
    START("COMMAND block action");
    PLAY("block retry | wait 60000 | block expires unsent",
         "REPLY block action retry | "
         "UNSENT block action 2; BACKWARD unresolved; COMMAND block compensation");
    /* one is open: its first message may be on its way */
    AGAIN("create block");
    START("COMMAND create action");
    PLAY("create unsent | cancel",
         "UNSENT create action 1 | "
         "CANCEL cancelled; BACKWARD cancelled; COMMAND create compensation");
}

RULE(what_is_known_to_be_unsent_is_recorded_as_unsent) {
    PLAN("create reserve*");
    START("COMMAND create action");
    PLAY("create done", "REPLY create action done; COMMAND reserve action");
    PLAY("cancel unsent", "CANCEL cancelled; UNSENT reserve action 1; BACKWARD cancelled; "
                          "COMMAND create compensation");
    AGAIN("create reserve*");
    START("COMMAND create action");
    PLAY("create done", "REPLY create action done; COMMAND reserve action");
    PLAY("deadline unsent",
         "CANCEL saga_deadline; UNSENT reserve action 1; BACKWARD saga_deadline; "
         "COMMAND create compensation");
    AGAIN("block");
    START("COMMAND block action");
    PLAY("block expires unsent", "UNSENT block action 1");
}

/* What has not been sent cannot have been answered. */
RULE(a_passing_word_about_an_attempt_that_has_not_left_is_stale) {
    PLAN("block");
    START("COMMAND block action");
    PLAY("block retry unsent", "[stale]");
    PLAY("block accepted unsent", "[stale]");
    OUTSTANDING("block action 1");
}

RULE(a_passing_word_about_an_earlier_attempt_ends_nothing) {
    PLAN("block");
    START("COMMAND block action");
    PLAY("block expires", "EXPIRED block action 1");
    PLAY("block/1 retry", "[stale]");
    PLAY("block/1 unknown", "[stale]");
    PLAY("block/1 unsent", "[stale]");
    PLAY("block/3 retry", "[stale]");
    OUTSTANDING("block action 2");
}

/* It is in progress: it did arrive. */
RULE(an_accepted_attempt_is_not_unsent) {
    PLAN("block");
    START("COMMAND block action");
    PLAY("block accepted | block unsent", "REPLY block action accepted | [stale]");
    OUTSTANDING("block action 1 in progress");
}

RULE(the_first_definite_verdict_wins) {
    PLAN("create block");
    START("COMMAND create action");
    PLAY("create done | block rejected",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action rejected; BACKWARD rejected; COMMAND create compensation");
    PLAY("block.action done", "[late] LATE block action done");
    PLAY("create done", "REPLY create compensation done; ENDED compensated");
}

RULE(retries_wait_for_their_backoff) {
    PLAN("block");
    BUDGET("block")->action.attempts_max = 0;
    BUDGET("block")->action.deadline_ms = 0;
    START("COMMAND block action");
    int64_t ceiling_ms = 200;
    for (int i = 0; i < 8; i++) {
        ck_assert_int_le(STEP("block")->send_at_ms, s->now_ms);
        saga_script_play(s, "block expires");
        int64_t wait_ms = STEP("block")->send_at_ms - s->now_ms;
        ck_assert_int_ge(wait_ms, 100);
        ck_assert_int_le(wait_ms, ceiling_ms);
        ceiling_ms = ceiling_ms * 2 < 1000 ? ceiling_ms * 2 : 1000;
        s->now_ms = STEP("block")->send_at_ms;
    }
}

RULE(forward_and_compensation_have_separate_budgets) {
    PLAN("create block");
    BUDGET("create")->compensation.attempts_max = 2;
    START("COMMAND create action");
    PLAY("create expires", "EXPIRED create action 1");
    PLAY("create done | block rejected",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action rejected; BACKWARD rejected; COMMAND create compensation");
    PLAY("create expires", "EXPIRED create compensation 1");
    OUTSTANDING("create compensation 2");
    PLAY("create expires", "EXPIRED create compensation 2; PARKED create debt");
}

/* ------------------------------------------- forward, and unknown outcomes */

RULE(used_up_attempts_ask_the_fence) {
    PLAN("block");
    START("COMMAND block action");
    PLAY("block expires | block expires",
         "EXPIRED block action 1 | EXPIRED block action 2; COMMAND block fence");
    OUTSTANDING("block fence 1");
}

RULE(a_passed_deadline_asks_the_fence) {
    PLAN("block");
    START("COMMAND block action");
    PLAY("wait 60000 | block expires", "EXPIRED block action 1; COMMAND block fence");
}

RULE(the_fence_recovers_results) {
    PLAN("block pay");
    START("COMMAND block action");
    PLAY("wait 60000 | block expires", "EXPIRED block action 1; COMMAND block fence");
    PLAY("block accepted", "REPLY block fence accepted");
    PLAY("block done", "REPLY block fence done; COMMAND pay action");
    PLAY("block.action done", "[already]");
}

RULE(the_fence_saves_work) {
    PLAN("create block");
    START("COMMAND create action");
    PLAY("create done | wait 60000 | block expires",
         "REPLY create action done; COMMAND block action | "
         "EXPIRED block action 1; COMMAND block fence");
    PLAY("block fenced", "REPLY block fence fenced; BACKWARD fenced; COMMAND create compensation");
    AGAIN("create block");
    START("COMMAND create action");
    PLAY("create done | wait 60000 | block expires",
         "REPLY create action done; COMMAND block action | "
         "EXPIRED block action 1; COMMAND block fence");
    PLAY("block rejected",
         "REPLY block fence rejected; BACKWARD rejected; COMMAND create compensation");
}

RULE(the_actions_own_word_counts_while_its_fence_is_outstanding) {
    PLAN("block pay");
    START("COMMAND block action");
    PLAY("wait 60000 | block expires", "EXPIRED block action 1; COMMAND block fence");
    PLAY("block.action done", "REPLY block action done; COMMAND pay action");
    PLAY("block.fence done", "[already]");
    AGAIN("create block");
    START("COMMAND create action");
    PLAY("create done | wait 60000 | block expires",
         "REPLY create action done; COMMAND block action | "
         "EXPIRED block action 1; COMMAND block fence");
    PLAY("block.action rejected",
         "REPLY block action rejected; BACKWARD rejected; COMMAND create compensation");
}

RULE(fenced_for_an_action_whose_own_fence_is_outstanding_is_the_fences_answer) {
    PLAN("create block");
    START("COMMAND create action");
    PLAY("create done | wait 60000 | block expires",
         "REPLY create action done; COMMAND block action | "
         "EXPIRED block action 1; COMMAND block fence");
    PLAY("block.action fenced",
         "REPLY block action fenced; BACKWARD fenced; COMMAND create compensation");
    PLAY("block.fence fenced", "[already]");
}

RULE(unexpected_fenced_while_going_forward_parks) {
    PLAN("create block");
    START("COMMAND create action");
    PLAY("create done | block fenced", "REPLY create action done; COMMAND block action | "
                                       "REPLY block action fenced; PARKED block contract_broken");
    OUTSTANDING("");
    AGAIN("block~");
    START("COMMAND block action");
    PLAY("block fenced", "REPLY block action fenced; PARKED block contract_broken");
}

RULE(on_unknown_compensate_goes_backward_and_compensates_the_step) {
    PLAN("create block!");
    START("COMMAND create action");
    PLAY("create done | wait 60000 | block expires",
         "REPLY create action done; COMMAND block action | "
         "EXPIRED block action 1; BACKWARD unresolved; COMMAND block compensation");
    PLAY("block noop", "REPLY block compensation noop; COMMAND create compensation");
}

RULE(on_unknown_park_parks_in_doubt) {
    PLAN("create block?");
    START("COMMAND create action");
    PLAY("create done | wait 60000 | block expires",
         "REPLY create action done; COMMAND block action | "
         "EXPIRED block action 1; PARKED block in_doubt");
    OUTSTANDING("");
    STATUS("parked");
}

RULE(a_fence_has_a_budget_of_its_own_from_its_command) {
    PLAN("block");
    START("COMMAND block action");
    PLAY("wait 30000 | block expires | block expires",
         "EXPIRED block action 1 | EXPIRED block action 2; COMMAND block fence");
    ck_assert_int_eq(STEP("block")->deadline_ms, s->now_ms + 60000);
    PLAY("wait 40000 | block expires", "EXPIRED block fence 1"); /* the action's is long over */
    OUTSTANDING("block fence 2");
    PLAY("block expires", "EXPIRED block fence 2; BACKWARD unresolved; COMMAND block compensation");
}

RULE(a_used_up_fence_compensates) {
    PLAN("create block");
    START("COMMAND create action");
    PLAY("create done | wait 60000 | block expires",
         "REPLY create action done; COMMAND block action | "
         "EXPIRED block action 1; COMMAND block fence");
    PLAY("wait 60000 | block unsent",
         "UNSENT block fence 1; BACKWARD unresolved; COMMAND block compensation");
    PLAY("block.fence fenced", "[late] LATE block fence fenced");
    PLAY("block noop", "REPLY block compensation noop; COMMAND create compensation");
}

void saga_rules_add_forward(Suite *suite) {
    TCase *rules = NULL;
    rules = tcase_create("identity");
    tcase_add_test(rules, a_command_has_the_same_id_on_every_attempt);
    tcase_add_test(rules, replies_are_matched_by_command_id_not_by_attempt);
    tcase_add_test(rules, revision_rises_for_a_compensation_issued_anew);
    suite_add_tcase(suite, rules);
    rules = tcase_create("verdicts");
    tcase_add_test(rules, done_starts_the_next_step_in_the_same_decision);
    tcase_add_test(rules, rejected_goes_backward);
    tcase_add_test(rules, in_progress_suspends_the_attempts_timeout_never_the_steps_deadline);
    tcase_add_test(rules, in_progress_ends_with_the_result);
    tcase_add_test(rules, retry_ends_the_attempt_and_costs_budget);
    tcase_add_test(rules, retry_does_not_say_that_the_step_never_ran);
    tcase_add_test(rules, unknown_is_not_failure);
    tcase_add_test(rules, a_verdict_that_the_command_cannot_have_is_unknown);
    tcase_add_test(rules, noop_settles_a_compensation);
    suite_add_tcase(suite, rules);
    rules = tcase_create("attempts");
    tcase_add_test(rules, an_attempt_that_ends_opens_the_next_without_a_further_record);
    tcase_add_test(rules, unsent_costs_no_budget);
    tcase_add_test(rules, only_the_deadline_ends_the_wait_of_an_unsent_command);
    tcase_add_test(rules, used_up_and_never_ran_goes_backward_with_this_step_uncompensated);
    tcase_add_test(rules,
                   a_step_never_ran_only_if_no_attempt_is_open_and_every_closed_one_was_unsent);
    tcase_add_test(rules, what_is_known_to_be_unsent_is_recorded_as_unsent);
    tcase_add_test(rules, a_passing_word_about_an_attempt_that_has_not_left_is_stale);
    tcase_add_test(rules, a_passing_word_about_an_earlier_attempt_ends_nothing);
    tcase_add_test(rules, an_accepted_attempt_is_not_unsent);
    tcase_add_test(rules, the_first_definite_verdict_wins);
    tcase_add_test(rules, retries_wait_for_their_backoff);
    tcase_add_test(rules, forward_and_compensation_have_separate_budgets);
    suite_add_tcase(suite, rules);
    rules = tcase_create("forward, and unknown outcomes");
    tcase_add_test(rules, used_up_attempts_ask_the_fence);
    tcase_add_test(rules, a_passed_deadline_asks_the_fence);
    tcase_add_test(rules, the_fence_recovers_results);
    tcase_add_test(rules, the_fence_saves_work);
    tcase_add_test(rules, the_actions_own_word_counts_while_its_fence_is_outstanding);
    tcase_add_test(rules, fenced_for_an_action_whose_own_fence_is_outstanding_is_the_fences_answer);
    tcase_add_test(rules, unexpected_fenced_while_going_forward_parks);
    tcase_add_test(rules, on_unknown_compensate_goes_backward_and_compensates_the_step);
    tcase_add_test(rules, on_unknown_park_parks_in_doubt);
    tcase_add_test(rules, a_fence_has_a_budget_of_its_own_from_its_command);
    tcase_add_test(rules, a_used_up_fence_compensates);
    suite_add_tcase(suite, rules);
}
