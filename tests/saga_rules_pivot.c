/* The rules of docs/semantics.md, each by its name: the pivot. */
#include "saga_rules.h"

/* ------------------------------------------------------------------- pivot */

RULE(the_pivots_command_waits_until_all_steps_before_it_are_done) {
    PLAN("create block reserve*");
    START("COMMAND create action");
    PLAY("create done", "REPLY create action done; COMMAND block action");
    PLAY("block done", "REPLY block action done; COMMAND reserve action");
}

RULE(before_the_pivots_command_cancel_goes_backward) {
    PLAN("create reserve* confirm");
    START("COMMAND create action");
    PLAY("cancel", "CANCEL cancelled; BACKWARD cancelled; COMMAND create compensation");
    AGAIN("create reserve* confirm");
    START("COMMAND create action");
    PLAY("deadline", "CANCEL saga_deadline; BACKWARD saga_deadline; COMMAND create compensation");
}

RULE(a_rejected_pivot_goes_backward) {
    PLAN("create reserve* confirm");
    START("COMMAND create action");
    PLAY("create done | reserve rejected",
         "REPLY create action done; COMMAND reserve action | "
         "REPLY reserve action rejected; BACKWARD rejected; COMMAND create compensation");
}

RULE(done_passes_the_pivot_in_the_same_decision) {
    PLAN("create reserve* confirm");
    START("COMMAND create action");
    PLAY("create done | reserve done",
         "REPLY create action done; COMMAND reserve action | "
         "REPLY reserve action done; PIVOT_PASSED reserve; COMMAND confirm action");
    PLAY("confirm done", "REPLY confirm action done; ENDED completed");
}

RULE(pending_cancel_at_the_pivot_sends_the_fence_at_once) {
    PLAN("create reserve* confirm");
    AT_THE_PIVOT();
    PLAY("cancel", "[pending] CANCEL cancelled; COMMAND reserve fence");
    OUTSTANDING("reserve fence 1");
    STATUS("running");
    PLAY("cancel", "[pending]"); /* it is recorded already */
    AGAIN("create reserve*? confirm");
    AT_THE_PIVOT();
    PLAY("deadline", "[pending] CANCEL saga_deadline; COMMAND reserve fence");
}

RULE(fenced_or_rejected_fulfils_a_pending_cancel) {
    PLAN("create reserve* confirm");
    AT_THE_PIVOT();
    PLAY("cancel | reserve fenced",
         "[pending] CANCEL cancelled; COMMAND reserve fence | "
         "REPLY reserve fence fenced; BACKWARD cancelled; COMMAND create compensation");
    AGAIN("create reserve* confirm");
    AT_THE_PIVOT();
    PLAY("cancel | reserve rejected",
         "[pending] CANCEL cancelled; COMMAND reserve fence | "
         "REPLY reserve fence rejected; BACKWARD cancelled; COMMAND create compensation");
    AGAIN("create reserve* confirm");
    AT_THE_PIVOT();
    PLAY("cancel | reserve.action fenced",
         "[pending] CANCEL cancelled; COMMAND reserve fence | "
         "REPLY reserve action fenced; BACKWARD cancelled; COMMAND create compensation");
    AGAIN("create reserve* confirm");
    AT_THE_PIVOT();
    PLAY("cancel | reserve.action rejected",
         "[pending] CANCEL cancelled; COMMAND reserve fence | "
         "REPLY reserve action rejected; BACKWARD cancelled; COMMAND create compensation");
}

RULE(done_voids_a_pending_cancel) {
    PLAN("create reserve* confirm");
    AT_THE_PIVOT();
    PLAY("cancel | reserve.action done",
         "[pending] CANCEL cancelled; COMMAND reserve fence | "
         "REPLY reserve action done; PIVOT_PASSED reserve; COMMAND confirm action");
    PLAY("confirm done", "REPLY confirm action done; ENDED completed");
    AGAIN("create reserve* confirm");
    AT_THE_PIVOT();
    PLAY("deadline | reserve done",
         "[pending] CANCEL saga_deadline; COMMAND reserve fence | "
         "REPLY reserve fence done; PIVOT_PASSED reserve; COMMAND confirm action");
    PLAY("cancel", "[refused]");
}

RULE(without_a_fence_a_pending_cancel_awaits_the_pivots_verdict) {
    PLAN("create reserve*~1 confirm");
    AT_THE_PIVOT();
    PLAY("cancel", "[pending] CANCEL cancelled");
    OUTSTANDING("reserve action 1");
    PLAY("reserve rejected",
         "REPLY reserve action rejected; BACKWARD cancelled; COMMAND create compensation");
    AGAIN("create reserve*~ confirm");
    AT_THE_PIVOT();
    PLAY("cancel | reserve expires | reserve done",
         "[pending] CANCEL cancelled | EXPIRED reserve action 1 | "
         "REPLY reserve action done; PIVOT_PASSED reserve; COMMAND confirm action");
    AGAIN("create reserve*~ confirm");
    AT_THE_PIVOT();
    PLAY("cancel | reserve expires | reserve expires",
         "[pending] CANCEL cancelled | EXPIRED reserve action 1 | "
         "EXPIRED reserve action 2; PARKED reserve in_doubt");
}

RULE(a_pending_cancel_whose_fence_stays_silent_parks) {
    PLAN("create reserve* confirm");
    AT_THE_PIVOT();
    PLAY("cancel | reserve expires | reserve expires",
         "[pending] CANCEL cancelled; COMMAND reserve fence | EXPIRED reserve fence 1 | "
         "EXPIRED reserve fence 2; PARKED reserve in_doubt");
    PLAY("reserve.fence fenced",
         "REPLY reserve fence fenced; BACKWARD cancelled; COMMAND create compensation");
}

RULE(a_cancel_while_the_pivot_is_parked_in_doubt_asks_the_fence) {
    PLAN("create reserve*? confirm"); /* never asked yet */
    AT_THE_PIVOT();
    PLAY("wait 60000 | reserve expires", "EXPIRED reserve action 1; PARKED reserve in_doubt");
    PLAY("cancel", "[pending] CANCEL cancelled; COMMAND reserve fence");
    AGAIN("create reserve* confirm"); /* asked, and silent */
    AT_THE_PIVOT();
    PLAY("wait 60000 | reserve expires | wait 60000 | reserve expires",
         "EXPIRED reserve action 1; COMMAND reserve fence | "
         "EXPIRED reserve fence 1; PARKED reserve in_doubt");
    PLAY("cancel", "[pending] CANCEL cancelled");
    OUTSTANDING("reserve fence 2");
    PLAY("reserve fenced",
         "REPLY reserve fence fenced; BACKWARD cancelled; COMMAND create compensation");
    AGAIN("create reserve*~ confirm"); /* nobody to ask */
    AT_THE_PIVOT();
    PLAY("wait 60000 | reserve expires | cancel",
         "EXPIRED reserve action 1; PARKED reserve in_doubt | [pending] CANCEL cancelled");
    OUTSTANDING("");
    STATUS("parked");
}

RULE(a_pivot_that_never_ran_counts_as_before_its_command) {
    PLAN("create reserve* confirm");
    AT_THE_PIVOT();
    PLAY("cancel unsent", "CANCEL cancelled; UNSENT reserve action 1; BACKWARD cancelled; "
                          "COMMAND create compensation");
    AGAIN("create reserve* confirm");
    AT_THE_PIVOT();
    PLAY("wait 60000 | reserve unsent",
         "UNSENT reserve action 1; BACKWARD never_ran; COMMAND create compensation");
    AGAIN("create reserve*~ confirm");
    AT_THE_PIVOT();
    PLAY("cancel | reserve unsent",
         "[pending] CANCEL cancelled | "
         "UNSENT reserve action 1; BACKWARD cancelled; COMMAND create compensation");
    /* but not if one of its attempts may have arrived */
    AGAIN("create reserve*~ confirm");
    AT_THE_PIVOT();
    PLAY("reserve expires | cancel | reserve unsent",
         "EXPIRED reserve action 1 | [pending] CANCEL cancelled | UNSENT reserve action 2");
    OUTSTANDING("reserve action 3");
    AGAIN("create reserve* confirm");
    AT_THE_PIVOT();
    PLAY("restart | cancel unsent", "[pending] CANCEL cancelled; COMMAND reserve fence");
}

RULE(an_unknown_pivot_asks_its_fence_and_then_parks) {
    PLAN("create reserve* confirm");
    AT_THE_PIVOT();
    PLAY("wait 60000 | reserve expires", "EXPIRED reserve action 1; COMMAND reserve fence");
    PLAY("wait 60000 | reserve expires", "EXPIRED reserve fence 1; PARKED reserve in_doubt");
    AGAIN("create reserve*~ confirm");
    AT_THE_PIVOT();
    PLAY("wait 60000 | reserve expires", "EXPIRED reserve action 1; PARKED reserve in_doubt");
}

RULE(the_pivots_fence_is_asked_where_the_definition_would_compensate) {
    PLAN("create reserve*! confirm");
    AT_THE_PIVOT();
    PLAY("reserve expires | reserve expires",
         "EXPIRED reserve action 1 | EXPIRED reserve action 2; COMMAND reserve fence");
}

RULE(a_pivot_that_took_effect_against_its_word_parks_and_never_ends_compensated) {
    PLAN("create reserve* confirm");
    AT_THE_PIVOT();
    PLAY("cancel unsent", "CANCEL cancelled; UNSENT reserve action 1; BACKWARD cancelled; "
                          "COMMAND create compensation");
    PLAY("reserve.action done", "REPLY reserve action done");
    PLAY("create done", "REPLY create compensation done; PARKED reserve contract_broken");
    PLAY("retry", "[refused]");
}

RULE(a_late_verdict_while_parked_in_doubt_resumes_the_saga) {
    PLAN("create reserve*~1 confirm");
    AT_THE_PIVOT();
    PLAY("wait 60000 | reserve expires", "EXPIRED reserve action 1; PARKED reserve in_doubt");
    PLAY("reserve done", "REPLY reserve action done; PIVOT_PASSED reserve; COMMAND confirm action");
    AGAIN("create reserve* confirm");
    AT_THE_PIVOT();
    PLAY("wait 60000 | reserve expires | wait 60000 | reserve expires",
         "EXPIRED reserve action 1; COMMAND reserve fence | "
         "EXPIRED reserve fence 1; PARKED reserve in_doubt");
    PLAY("reserve.action rejected",
         "REPLY reserve action rejected; BACKWARD rejected; COMMAND create compensation");
    AGAIN("create block?");
    START("COMMAND create action");
    PLAY("create done | wait 60000 | block expires | block done",
         "REPLY create action done; COMMAND block action | "
         "EXPIRED block action 1; PARKED block in_doubt | "
         "REPLY block action done; ENDED completed");
}

RULE(at_an_unfenced_pivot_rejected_parks) {
    PLAN("create reserve*~ confirm");
    AT_THE_PIVOT();
    PLAY("reserve rejected", "REPLY reserve action rejected; PARKED reserve rejection_in_doubt");
    PLAY("retry", "[refused]");
    PLAY("cancel", "[pending] CANCEL cancelled"); /* until somebody knows */
    STATUS("parked");
    PLAY("reserve done", "REPLY reserve action done; PIVOT_PASSED reserve; COMMAND confirm action");
    AGAIN("create reserve*~1 confirm"); /* definite: nobody else can have been answered */
    AT_THE_PIVOT();
    PLAY("reserve rejected",
         "REPLY reserve action rejected; BACKWARD rejected; COMMAND create compensation");
    AGAIN("create reserve*~1 confirm"); /* in doubt again */
    AT_THE_PIVOT();
    PLAY("reserve expires | reserve rejected",
         "EXPIRED reserve action 1 | "
         "REPLY reserve action rejected; PARKED reserve rejection_in_doubt");
}

RULE(after_the_pivot_steps_are_retried_until_done) {
    PLAN("create reserve* confirm");
    AFTER_THE_PIVOT();
    for (int i = 0; i < 40; i++) {
        saga_script_play(s, i % 2 == 0 ? "wait 1000000 | confirm expires" : "confirm unknown");
    }
    OUTSTANDING("confirm action 41");
    PLAY("confirm done", "REPLY confirm action done; ENDED completed");
}

RULE(after_the_pivot_deadlines_only_alert) {
    PLAN("create reserve* confirm");
    s->plan.deadline_ms = 90000;
    AFTER_THE_PIVOT();
    ck_assert_int_eq(STEP("confirm")->deadline_ms, INT64_MAX);
    ck_assert(!saga_deadline_counts(s->saga, &s->plan));
    PLAY("wait 90000 | deadline", "[refused]");
    OUTSTANDING("confirm action 1");
}

RULE(after_the_pivot_cancel_is_refused) {
    PLAN("create reserve* confirm");
    AFTER_THE_PIVOT();
    PLAY("cancel", "[refused]");
    OUTSTANDING("confirm action 1");
}

RULE(rejected_after_the_pivot_parks_at_once) {
    static const char *const plans[] = {"create reserve* confirm", "create reserve* confirm~",
                                        "create reserve* confirm~1"};
    PLAN(plans[0]);
    for (size_t i = 0; i < 3; i++) {
        AGAIN(plans[i]);
        AFTER_THE_PIVOT();
        PLAY("confirm rejected", "REPLY confirm action rejected; PARKED confirm contract_broken");
        OUTSTANDING("");
        PLAY("retry", "[refused]");
        PLAY("cancel", "[refused]");
    }
}

RULE(fenced_after_the_pivot_parks_at_once) {
    PLAN("create reserve* confirm");
    AFTER_THE_PIVOT();
    PLAY("confirm fenced", "REPLY confirm action fenced; PARKED confirm contract_broken");
}

/* One that is silent on duplicates would never end. */
RULE(after_the_pivot_used_up_attempts_park_at_an_unfenced_participant) {
    PLAN("create reserve* confirm~");
    AFTER_THE_PIVOT();
    PLAY("confirm expires | confirm expires",
         "EXPIRED confirm action 1 | EXPIRED confirm action 2; PARKED confirm in_doubt");
    PLAY("cancel", "[refused]");
    PLAY("retry", "RETRY");
    OUTSTANDING("confirm action 3");
    PLAY("confirm done", "REPLY confirm action done; ENDED completed");
}

RULE(after_the_pivot_no_fence_is_sent) {
    PLAN("create reserve* confirm?");
    AFTER_THE_PIVOT();
    PLAY("wait 1000000 | confirm expires | confirm expires | confirm expires",
         "EXPIRED confirm action 1 | EXPIRED confirm action 2 | EXPIRED confirm action 3");
    OUTSTANDING("confirm action 4");
}

void saga_rules_add_pivot(Suite *suite) {
    TCase *rules = NULL;
    rules = tcase_create("pivot");
    tcase_add_test(rules, the_pivots_command_waits_until_all_steps_before_it_are_done);
    tcase_add_test(rules, before_the_pivots_command_cancel_goes_backward);
    tcase_add_test(rules, a_rejected_pivot_goes_backward);
    tcase_add_test(rules, done_passes_the_pivot_in_the_same_decision);
    tcase_add_test(rules, pending_cancel_at_the_pivot_sends_the_fence_at_once);
    tcase_add_test(rules, fenced_or_rejected_fulfils_a_pending_cancel);
    tcase_add_test(rules, done_voids_a_pending_cancel);
    tcase_add_test(rules, without_a_fence_a_pending_cancel_awaits_the_pivots_verdict);
    tcase_add_test(rules, a_pending_cancel_whose_fence_stays_silent_parks);
    tcase_add_test(rules, a_cancel_while_the_pivot_is_parked_in_doubt_asks_the_fence);
    tcase_add_test(rules, a_pivot_that_never_ran_counts_as_before_its_command);
    tcase_add_test(rules, an_unknown_pivot_asks_its_fence_and_then_parks);
    tcase_add_test(rules, the_pivots_fence_is_asked_where_the_definition_would_compensate);
    tcase_add_test(rules,
                   a_pivot_that_took_effect_against_its_word_parks_and_never_ends_compensated);
    tcase_add_test(rules, a_late_verdict_while_parked_in_doubt_resumes_the_saga);
    tcase_add_test(rules, at_an_unfenced_pivot_rejected_parks);
    tcase_add_test(rules, after_the_pivot_steps_are_retried_until_done);
    tcase_add_test(rules, after_the_pivot_deadlines_only_alert);
    tcase_add_test(rules, after_the_pivot_cancel_is_refused);
    tcase_add_test(rules, rejected_after_the_pivot_parks_at_once);
    tcase_add_test(rules, fenced_after_the_pivot_parks_at_once);
    tcase_add_test(rules, after_the_pivot_used_up_attempts_park_at_an_unfenced_participant);
    tcase_add_test(rules, after_the_pivot_no_fence_is_sent);
    suite_add_tcase(suite, rules);
}
