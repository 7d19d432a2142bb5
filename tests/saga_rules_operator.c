/* The rules of docs/semantics.md, each by its name: operators' verbs about one step. */
#include "saga_rules.h"

/* --------------------------------------------------------------- settling a debt */

/* A debt by a word: "create" took effect, and its compensation was refused. */
#define OWED()                                                                                     \
    START("COMMAND create action");                                                                \
    PLAY("create done | block rejected | create rejected",                                         \
         "REPLY create action done; COMMAND block action | "                                       \
         "REPLY block action rejected; BACKWARD rejected; COMMAND create compensation | "          \
         "REPLY create compensation rejected; PARKED create debt")

RULE(at_a_fenced_participant_a_debt_is_settled_only_when_its_row_is_closed) {
    PLAN("create block");
    OWED();
    PLAY("mark create", "MARK create; COMMAND create settle");
    OUTSTANDING("create settle 1");
    STATUS("compensating");
    ck_assert_str_eq(saga_step_status_name(STEP("create")), "debt");
    PLAY("create done", "REPLY create settle done; ENDED compensated_manually");
    ck_assert_str_eq(saga_step_status_name(STEP("create")), "compensated");
    STATUS("compensated_manually");
}

RULE(at_an_unfenced_participant_a_debt_is_settled_at_once) {
    PLAN("create~ block");
    OWED();
    PLAY("mark create", "MARK create; ENDED compensated_manually");
    AGAIN("create~ block");
    OWED();
    PLAY("write_off create", "WRITE_OFF create; ENDED inconsistent");
}

RULE(a_write_off_ends_inconsistent) {
    PLAN("create block");
    OWED();
    PLAY("write_off create", "WRITE_OFF create; COMMAND create settle");
    PLAY("create done", "REPLY create settle done; ENDED inconsistent");
    STATUS("inconsistent");
    ck_assert_str_eq(saga_step_status_name(STEP("create")), "debt"); /* and stays owed */
}

RULE(a_settle_is_retried_without_end) {
    PLAN("create block");
    BUDGET("create")->compensation.attempts_max = 1;
    BUDGET("create")->compensation.deadline_ms = 20000;
    OWED();
    PLAY("mark create", "MARK create; COMMAND create settle");
    ck_assert_int_eq(STEP("create")->deadline_ms, INT64_MAX);
    PLAY("wait 20000 | create expires", "EXPIRED create settle 1");
    PLAY("create rejected | create noop | create fenced | create unknown | create retry",
         "REPLY create settle unknown | REPLY create settle unknown | "
         "REPLY create settle unknown | REPLY create settle unknown | REPLY create settle retry");
    PLAY("create unsent", "UNSENT create settle 7");
    OUTSTANDING("create settle 8");
    PLAY("create accepted", "REPLY create settle accepted");
    OUTSTANDING("create settle 8 in progress");
    PLAY("restart", "");
    OUTSTANDING("create settle 8");
    PLAY("create done", "REPLY create settle done; ENDED compensated_manually");
}

RULE(retry_ends_the_backoff_of_a_settle) {
    PLAN("create block");
    OWED();
    PLAY("mark create | create expires",
         "MARK create; COMMAND create settle | EXPIRED create settle 1");
    ck_assert_int_gt(STEP("create")->send_at_ms, s->now_ms);
    PLAY("retry", "RETRY");
    ck_assert_int_eq(STEP("create")->send_at_ms, s->now_ms);
    OUTSTANDING("create settle 2");
}

RULE(each_debt_is_settled_by_itself_and_inconsistent_wins) {
    PLAN("create block pay");
    START("COMMAND create action");
    PLAY("create done | block done | cancel | pay noop | block rejected | create rejected",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action done; COMMAND pay action | "
         "CANCEL cancelled; BACKWARD cancelled; COMMAND pay compensation | "
         "REPLY pay compensation noop; COMMAND block compensation | "
         "REPLY block compensation rejected; COMMAND create compensation | "
         "REPLY create compensation rejected; PARKED create debt");
    PLAY("write_off block", "WRITE_OFF block; COMMAND block settle");
    PLAY("block done", "REPLY block settle done; PARKED create debt");
    PLAY("mark block", "[refused]");
    PLAY("mark create", "MARK create; COMMAND create settle");
    PLAY("create done", "REPLY create settle done; ENDED inconsistent");
}

RULE(two_debts_can_be_settled_side_by_side) {
    PLAN("create~ block pay");
    START("COMMAND create action");
    PLAY("create done | block done | cancel | pay noop | block rejected | create rejected",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action done; COMMAND pay action | "
         "CANCEL cancelled; BACKWARD cancelled; COMMAND pay compensation | "
         "REPLY pay compensation noop; COMMAND block compensation | "
         "REPLY block compensation rejected; COMMAND create compensation | "
         "REPLY create compensation rejected; PARKED create debt");
    PLAY("mark block", "MARK block; COMMAND block settle");
    PLAY("mark create", "MARK create");
    OUTSTANDING("block settle 1");
    PLAY("block done", "REPLY block settle done; ENDED compensated_manually");
}

/* The participant of the debt may be gone for ever. */
RULE(nobody_waits_for_a_settle_but_the_end) {
    PLAN("create block pay");
    START("COMMAND create action");
    PLAY("create done | block done | pay rejected | block rejected",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action done; COMMAND pay action | "
         "REPLY pay action rejected; BACKWARD rejected; COMMAND block compensation | "
         "REPLY block compensation rejected; COMMAND create compensation");
    PLAY("mark block", "MARK block; COMMAND block settle");
    OUTSTANDING("create compensation 1, block settle 1");
    PLAY("create done", "REPLY create compensation done");
    STATUS("compensating");
    PLAY("block done", "REPLY block settle done; ENDED compensated_manually");
}

RULE(a_debt_that_waits_for_its_retry_can_be_settled) {
    PLAN("create block pay");
    START("COMMAND create action");
    PLAY("create done | block done | pay rejected | block rejected | create rejected",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action done; COMMAND pay action | "
         "REPLY pay action rejected; BACKWARD rejected; COMMAND block compensation | "
         "REPLY block compensation rejected; COMMAND create compensation | "
         "REPLY create compensation rejected; PARKED create debt");
    PLAY("retry", "RETRY; COMMAND block compensation r2"); /* create waits for it */
    PLAY("mark block", "[refused]");                       /* its compensation is out */
    PLAY("mark create", "MARK create; COMMAND create settle");
    PLAY("create done | block done",
         "REPLY create settle done | "
         "REPLY block compensation r2 done; ENDED compensated_manually");
}

RULE(a_debt_is_settled_once) {
    PLAN("create block");
    OWED();
    PLAY("mark create", "MARK create; COMMAND create settle");
    PLAY("mark create", "[already]");
    PLAY("write_off create", "[refused]");
    PLAY("create done | mark create", "REPLY create settle done; ENDED compensated_manually | "
                                      "[refused]");
    PLAY("create done", "[already]"); /* the settle's answer, doubled */
}

RULE(only_a_debt_can_be_settled) {
    PLAN("create block reserve*");
    START("COMMAND create action");
    PLAY("mark create | write_off create | mark block", "[refused] | [refused] | [refused]");
    PLAY("create done | block rejected",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action rejected; BACKWARD rejected; COMMAND create compensation");
    PLAY("mark create", "[refused]"); /* it may still work */
    PLAY("write_off block", "[refused]");
}

/* The fence in the order was silent: a late action could undo what "create" undid. */
RULE(a_fence_that_is_owed_is_settled_too) {
    PLAN("create approve<create");
    BUDGET("create")->compensation.attempts_max = 1;
    START("COMMAND create action");
    PLAY("create done | cancel | approve expires | create done",
         "REPLY create action done; COMMAND approve action | "
         "CANCEL cancelled; BACKWARD cancelled; COMMAND approve fence | "
         "EXPIRED approve fence 1; COMMAND create compensation | "
         "REPLY create compensation done; PARKED approve debt");
    PLAY("mark approve", "MARK approve; COMMAND approve settle");
    PLAY("approve.action done", "[late] LATE approve action done");
    PLAY("approve.fence rejected", "[late] LATE approve fence rejected");
    PLAY("approve expires | approve done",
         "EXPIRED approve settle 1 | REPLY approve settle done; ENDED compensated_manually");
}

RULE(a_settle_has_the_revision_of_what_it_settles) {
    PLAN("create block");
    OWED();
    PLAY("retry | create rejected", "RETRY; COMMAND create compensation r2 | "
                                    "REPLY create compensation r2 rejected; PARKED create debt");
    PLAY("write_off create", "WRITE_OFF create; COMMAND create settle r2");
    PLAY("create.compensation.r2 done", "[late] LATE create compensation r2 done");
    PLAY("create.compensation.r3 done", "[stale]");
    PLAY("create.settle.r1 done", "[stale]");
    PLAY("create done", "REPLY create settle r2 done; ENDED inconsistent");
}

/* A debt of silence, whose late answer is overtaken by the operator. */
RULE(a_late_answer_does_not_take_back_what_an_operator_said) {
    PLAN("create block");
    BUDGET("create")->compensation.attempts_max = 1;
    START("COMMAND create action");
    PLAY("create done | block rejected | create expires",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action rejected; BACKWARD rejected; COMMAND create compensation | "
         "EXPIRED create compensation 1; PARKED create debt");
    PLAY("unrendered | write_off create", "WRITE_OFF create; PARKED create unrendered");
    PLAY("create.compensation done", "[late] LATE create compensation done");
    STATUS("parked");
    PLAY("retry", "RETRY; COMMAND create settle");
    PLAY("create done", "REPLY create settle done; ENDED inconsistent");
}

RULE(no_contradiction_forces_a_compensation_of_what_an_operator_has_settled) {
    PLAN("create~ block~ pay");
    BUDGET("block")->compensation.attempts_max = 1;
    START("COMMAND create action");
    PLAY("create done | block done | pay rejected | block expires | mark block",
         "REPLY create action done; COMMAND block action | "
         "REPLY block action done; COMMAND pay action | "
         "REPLY pay action rejected; BACKWARD rejected; COMMAND block compensation | "
         "EXPIRED block compensation 1; COMMAND create compensation | MARK block");
    PLAY("block.compensation noop", "[late] LATE block compensation noop");
    OUTSTANDING("create compensation 1");
    PLAY("create done", "REPLY create compensation done; ENDED compensated_manually");
}

/* ------------------------------------------------------------------- resolving */

#define IN_DOUBT(plan)                                                                             \
    PLAN(plan);                                                                                    \
    START("COMMAND create action");                                                                \
    PLAY("create done | wait 60000 | block expires",                                               \
         "REPLY create action done; COMMAND block action | "                                       \
         "EXPIRED block action 1; PARKED block in_doubt")

RULE(resolved_done_goes_on_and_ends_completed_manually) {
    IN_DOUBT("create block? pay");
    PLAY("resolve block done", "RESOLVE block done; COMMAND pay action");
    PLAY("pay done", "REPLY pay action done; ENDED completed_manually");
}

RULE(what_was_resolved_done_is_compensated_when_the_saga_goes_back) {
    IN_DOUBT("create block? pay");
    PLAY("resolve block done", "RESOLVE block done; COMMAND pay action");
    PLAY("pay rejected", "REPLY pay action rejected; BACKWARD rejected; "
                         "COMMAND block compensation");
    PLAY("block noop", "REPLY block compensation noop; COMMAND create compensation");
    PLAY("create done", "REPLY create compensation done; ENDED compensated_manually");
}

/* [!] The operator sees nothing in the participant's tables, and is right; then the action that
 * was on its way arrives. Without the compensation (or its tombstone) its effect would stay. */
RULE(a_step_that_was_resolved_rejected_is_still_compensated) {
    IN_DOUBT("create block? pay");
    PLAY("resolve block rejected",
         "RESOLVE block rejected; BACKWARD resolved; COMMAND block compensation");
    PLAY("block.action done", "[late] LATE block action done"); /* it has run after all */
    PLAY("block done", "REPLY block compensation done; COMMAND create compensation");
    PLAY("create done", "REPLY create compensation done; ENDED compensated_manually");
    /* also where an earlier step's compensation undoes it */
    AGAIN("create approve<create?");
    START("COMMAND create action");
    PLAY("create done | wait 60000 | approve expires",
         "REPLY create action done; COMMAND approve action | "
         "EXPIRED approve action 1; PARKED approve in_doubt");
    PLAY("resolve approve rejected",
         "RESOLVE approve rejected; BACKWARD resolved; COMMAND approve fence");
    PLAY("approve fenced", "REPLY approve fence fenced; COMMAND create compensation");
}

RULE(only_the_step_in_doubt_can_be_resolved) {
    IN_DOUBT("create block? pay");
    PLAY("resolve create done | resolve pay done | resolve create rejected",
         "[refused] | [refused] | [refused]");
    PLAY("resolve block fenced | resolve block retry", "[refused] | [refused]");
    PLAY("resolve block done", "RESOLVE block done; COMMAND pay action");
    PLAY("resolve block done | resolve pay done", "[refused] | [refused]");
    PLAY("cancel | resolve pay done",
         "CANCEL cancelled; BACKWARD cancelled; COMMAND pay compensation | [refused]");
}

RULE(a_broken_contract_cannot_be_resolved) {
    PLAN("create reserve* confirm");
    AFTER_THE_PIVOT();
    PLAY("confirm rejected | resolve confirm done",
         "REPLY confirm action rejected; PARKED confirm contract_broken | [refused]");
}

/* [!] The pivot's command is out: it may be carried out a moment after the operator looked. Going
 * back on the operator's word would leave a pivot that took effect behind steps that are undone. */
RULE(resolved_rejected_at_the_pivot_is_pending_and_the_fence_is_sent_at_once) {
    PLAN("create reserve* confirm");
    AT_THE_PIVOT();
    PLAY("resolve reserve rejected", "[pending] RESOLVE reserve rejected; COMMAND reserve fence");
    OUTSTANDING("reserve fence 1");
    PLAY("resolve reserve rejected", "[pending]");
    PLAY("cancel", "[pending]");
    PLAY("reserve fenced",
         "REPLY reserve fence fenced; BACKWARD resolved; COMMAND create compensation");
    PLAY("create done", "REPLY create compensation done; ENDED compensated_manually");
}

RULE(done_voids_a_pending_resolution) {
    PLAN("create reserve* confirm");
    AT_THE_PIVOT();
    PLAY("resolve reserve rejected | reserve.action done",
         "[pending] RESOLVE reserve rejected; COMMAND reserve fence | "
         "REPLY reserve action done; PIVOT_PASSED reserve; COMMAND confirm action");
    PLAY("confirm done", "REPLY confirm action done; ENDED completed"); /* nobody's hand is in it */
    AGAIN("create reserve* confirm");
    AT_THE_PIVOT();
    PLAY("resolve reserve rejected | reserve done",
         "[pending] RESOLVE reserve rejected; COMMAND reserve fence | "
         "REPLY reserve fence done; PIVOT_PASSED reserve; COMMAND confirm action");
}

RULE(a_resolution_after_a_cancel_is_pending_too) {
    PLAN("create reserve* confirm");
    AT_THE_PIVOT();
    PLAY("cancel | resolve reserve rejected",
         "[pending] CANCEL cancelled; COMMAND reserve fence | [pending] RESOLVE reserve rejected");
    OUTSTANDING("reserve fence 1");
    PLAY("reserve rejected",
         "REPLY reserve fence rejected; BACKWARD resolved; COMMAND create compensation");
}

RULE(a_pivot_in_doubt_that_is_resolved_rejected_asks_its_fence_again) {
    PLAN("create reserve* confirm");
    AT_THE_PIVOT();
    PLAY("wait 60000 | reserve expires | wait 60000 | reserve expires",
         "EXPIRED reserve action 1; COMMAND reserve fence | "
         "EXPIRED reserve fence 1; PARKED reserve in_doubt");
    PLAY("resolve reserve rejected", "[pending] RESOLVE reserve rejected");
    OUTSTANDING("reserve fence 2");
    PLAY("reserve expires | reserve expires",
         "EXPIRED reserve fence 2 | EXPIRED reserve fence 3; PARKED reserve in_doubt");
    PLAY("resolve reserve rejected", "[pending] RESOLVE reserve rejected"); /* once more */
    PLAY("reserve fenced",
         "REPLY reserve fence fenced; BACKWARD resolved; COMMAND create compensation");
    AGAIN("create reserve*? confirm"); /* never asked yet */
    AT_THE_PIVOT();
    PLAY("wait 60000 | reserve expires | resolve reserve rejected",
         "EXPIRED reserve action 1; PARKED reserve in_doubt | "
         "[pending] RESOLVE reserve rejected; COMMAND reserve fence");
}

RULE(a_pivot_in_doubt_that_is_resolved_done_is_passed) {
    PLAN("create reserve*~ confirm");
    AT_THE_PIVOT();
    PLAY("resolve reserve done", "[refused]"); /* its verdict may come */
    PLAY("wait 60000 | reserve expires | cancel",
         "EXPIRED reserve action 1; PARKED reserve in_doubt | [pending] CANCEL cancelled");
    PLAY("resolve reserve done",
         "RESOLVE reserve done; PIVOT_PASSED reserve; COMMAND confirm action");
    PLAY("confirm done", "REPLY confirm action done; ENDED completed_manually");
}

RULE(without_a_fence_a_pending_resolution_awaits_the_pivots_verdict) {
    PLAN("create reserve*~ confirm");
    AT_THE_PIVOT();
    PLAY("resolve reserve rejected", "[pending] RESOLVE reserve rejected");
    OUTSTANDING("reserve action 1");
    PLAY("reserve expires | reserve expires",
         "EXPIRED reserve action 1 | EXPIRED reserve action 2; PARKED reserve in_doubt");
    /* nobody can be asked, and no attempt is out: now the operator's word counts */
    PLAY("resolve reserve rejected",
         "RESOLVE reserve rejected; BACKWARD resolved; COMMAND create compensation");
    PLAY("create done", "REPLY create compensation done; ENDED compensated_manually");
}

RULE(a_pivot_that_took_effect_against_its_resolution_parks) {
    PLAN("create reserve*~ confirm");
    AT_THE_PIVOT();
    PLAY("wait 60000 | reserve expires | resolve reserve rejected",
         "EXPIRED reserve action 1; PARKED reserve in_doubt | "
         "RESOLVE reserve rejected; BACKWARD resolved; COMMAND create compensation");
    PLAY("reserve.action done", "REPLY reserve action done");
    PLAY("create done", "REPLY create compensation done; PARKED reserve contract_broken");
}

RULE(a_pivot_that_never_left_is_resolved_at_once) {
    PLAN("create reserve*~ confirm");
    AT_THE_PIVOT();
    struct saga_event event = {.at_ms = s->now_ms,
                               .wall_ms = s->now_ms,
                               .epoch = 1,
                               .type = SAGA_INPUT_RESOLVE,
                               .step = 1,
                               .verdict = SAGA_REJECTED,
                               .unsent = true};
    struct saga_decision decision;
    saga_decide(s->saga, &s->plan, &event, s->saga->last_lsn + 1, &decision);
    ck_assert_int_eq(decision.answer, SAGA_ANSWER_TAKEN);
    ck_assert_uint_eq(decision.record_count, 3);
    ck_assert_uint_eq(decision.records[1].fact, SAGA_COMMAND_UNSENT);
    ck_assert_uint_eq(decision.records[2].fact, SAGA_COMPENSATION_STARTED);
    ck_assert_uint_eq(decision.records[2].reason, SAGA_REASON_RESOLVED);
    s->record_count = 0; /* not played: nothing to replay */
}

RULE(a_rejection_in_doubt_is_resolved_either_way) {
    PLAN("create reserve*~ confirm");
    AT_THE_PIVOT();
    PLAY("reserve rejected", "REPLY reserve action rejected; PARKED reserve rejection_in_doubt");
    PLAY("resolve reserve rejected",
         "RESOLVE reserve rejected; BACKWARD resolved; COMMAND create compensation");
    AGAIN("create reserve*~ confirm");
    AT_THE_PIVOT();
    PLAY("reserve rejected | resolve reserve done",
         "REPLY reserve action rejected; PARKED reserve rejection_in_doubt | "
         "RESOLVE reserve done; PIVOT_PASSED reserve; COMMAND confirm action");
    PLAY("reserve.action done", "[late] LATE reserve action done");
}

RULE(after_the_pivot_a_step_is_resolved_done_and_never_rejected) {
    PLAN("create reserve* confirm~");
    AFTER_THE_PIVOT();
    PLAY("resolve confirm done", "[refused]");
    PLAY("confirm expires | confirm expires",
         "EXPIRED confirm action 1 | EXPIRED confirm action 2; PARKED confirm in_doubt");
    PLAY("resolve confirm rejected", "[refused]");
    PLAY("resolve confirm done", "RESOLVE confirm done; ENDED completed_manually");
}

void saga_rules_add_operator(Suite *suite) {
    TCase *rules = tcase_create("settling a debt");
    tcase_add_test(rules, at_a_fenced_participant_a_debt_is_settled_only_when_its_row_is_closed);
    tcase_add_test(rules, at_an_unfenced_participant_a_debt_is_settled_at_once);
    tcase_add_test(rules, a_write_off_ends_inconsistent);
    tcase_add_test(rules, a_settle_is_retried_without_end);
    tcase_add_test(rules, retry_ends_the_backoff_of_a_settle);
    tcase_add_test(rules, each_debt_is_settled_by_itself_and_inconsistent_wins);
    tcase_add_test(rules, two_debts_can_be_settled_side_by_side);
    tcase_add_test(rules, nobody_waits_for_a_settle_but_the_end);
    tcase_add_test(rules, a_debt_that_waits_for_its_retry_can_be_settled);
    tcase_add_test(rules, a_debt_is_settled_once);
    tcase_add_test(rules, only_a_debt_can_be_settled);
    tcase_add_test(rules, a_fence_that_is_owed_is_settled_too);
    tcase_add_test(rules, a_settle_has_the_revision_of_what_it_settles);
    tcase_add_test(rules, a_late_answer_does_not_take_back_what_an_operator_said);
    tcase_add_test(rules, no_contradiction_forces_a_compensation_of_what_an_operator_has_settled);
    suite_add_tcase(suite, rules);
    rules = tcase_create("resolving");
    tcase_add_test(rules, resolved_done_goes_on_and_ends_completed_manually);
    tcase_add_test(rules, what_was_resolved_done_is_compensated_when_the_saga_goes_back);
    tcase_add_test(rules, a_step_that_was_resolved_rejected_is_still_compensated);
    tcase_add_test(rules, only_the_step_in_doubt_can_be_resolved);
    tcase_add_test(rules, a_broken_contract_cannot_be_resolved);
    tcase_add_test(rules, resolved_rejected_at_the_pivot_is_pending_and_the_fence_is_sent_at_once);
    tcase_add_test(rules, done_voids_a_pending_resolution);
    tcase_add_test(rules, a_resolution_after_a_cancel_is_pending_too);
    tcase_add_test(rules, a_pivot_in_doubt_that_is_resolved_rejected_asks_its_fence_again);
    tcase_add_test(rules, a_pivot_in_doubt_that_is_resolved_done_is_passed);
    tcase_add_test(rules, without_a_fence_a_pending_resolution_awaits_the_pivots_verdict);
    tcase_add_test(rules, a_pivot_that_took_effect_against_its_resolution_parks);
    tcase_add_test(rules, a_pivot_that_never_left_is_resolved_at_once);
    tcase_add_test(rules, a_rejection_in_doubt_is_resolved_either_way);
    tcase_add_test(rules, after_the_pivot_a_step_is_resolved_done_and_never_rejected);
    suite_add_tcase(suite, rules);
}
