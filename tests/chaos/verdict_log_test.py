#!/usr/bin/python3
"""The verdict finds what is wrong in the log (the transition check of saga_chaos/story.py).

    verdict_log_test.py PROGRAMS"""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from verdict_case import (APPROVE, AUTHORIZE, BLOCK, CONFIRM, CREATE, RESERVE,  # noqa: E402
                          Case, run_tests)


class Base(Case):
    def test_nothing_is_wrong(self):
        self.assertEqual(self.names(), [])

    def test_it_is_worth_something(self):
        facts = {record["fact"] for record in self.log}
        self.assertLessEqual({"COMPENSATION_STARTED", "PIVOT_PASSED", "SAGA_ENDED"}, facts)
        self.assertEqual(len(self.run_json["kills"]), 6)


class Log(Case):
    def test_an_export_that_failed(self):
        self.run_json["export_status"] = 7
        self.demand("L1")

    def test_a_record_is_missing(self):
        self.log.remove(self.find(self.completed(), "REPLY_RECEIVED", BLOCK))
        self.demand("L2")

    def test_a_chain_is_broken(self):
        saga = self.completed()
        self.find(saga, "PIVOT_PASSED")["previous_lsn"] -= 1
        self.demand("L3", saga)

    def test_a_first_record_with_a_predecessor(self):
        saga = self.completed()
        self.find(saga, "SAGA_STARTED")["previous_lsn"] = 1
        self.demand("L3", saga)

    def test_started_twice(self):
        saga = self.completed()
        started = self.find(saga, "SAGA_STARTED")
        self.insert(started, **{key: value for key, value in started.items()
                                if key not in ("lsn", "epoch", "at_ms", "saga")})
        self.demand("L4", saga, "started twice")

    def test_something_before_the_start(self):
        saga = self.completed()
        self.remove(self.find(saga, "SAGA_STARTED"))
        self.demand("L4", saga, "before its start")

    def test_a_reply_to_nothing(self):
        saga = self.completed()
        self.find(saga, "REPLY_RECEIVED", BLOCK)["revision"] = 9
        self.demand("L4", saga, "never sent")

    def test_a_reply_before_its_command(self):
        saga = self.completed()
        command = self.find(saga, "COMMAND_ISSUED", RESERVE)
        reply = self.find(saga, "REPLY_RECEIVED", RESERVE)
        here, there = self.log.index(command), self.log.index(reply)
        self.log[here], self.log[there] = reply, command
        self.renumber()
        self.demand("L4", saga, "never sent")

    def test_a_command_twice(self):
        saga = self.completed()
        command = self.find(saga, "COMMAND_ISSUED", BLOCK)
        self.insert(command, **{key: command[key] for key in
                                ("fact", "step", "operation", "incarnation", "revision")})
        self.demand("L4", saga, "issued before")

    def test_an_attempt_is_over_twice(self):
        saga = self.completed()
        command = self.find(saga, "COMMAND_ISSUED", BLOCK)
        fields = {key: command[key] for key in ("step", "operation", "incarnation", "revision")}
        first = self.insert(command, fact="ATTEMPT_EXPIRED", attempt=1, **fields)
        self.insert(first, fact="ATTEMPT_EXPIRED", attempt=1, **fields)
        self.demand("L4", saga, "was over")

    def test_a_step_before_the_one_before_it_is_done(self):
        saga = self.completed()
        self.find(saga, "REPLY_RECEIVED", BLOCK, "action")["verdict"] = "rejected"
        self.demand("L4", saga, "before step block is done")

    def test_a_pivot_that_is_passed_and_not_done(self):
        saga = self.completed()
        self.find(saga, "REPLY_RECEIVED", RESERVE)["verdict"] = "unknown"
        self.demand("L4", saga, "not done")

    def test_completed_and_not_done(self):
        saga = self.completed()
        self.remove(self.find(saga, "REPLY_RECEIVED", CONFIRM))
        self.demand("L4", saga, "confirm is not done")

    def test_compensated_and_never_turned_back(self):
        saga = self.completed()
        self.find(saga, "SAGA_ENDED")["outcome"] = "compensated"
        self.demand("L4", saga, "never turned back")

    def test_a_compensation_before_the_saga_turns_back(self):
        saga = self.refunded()
        self.remove(self.find(saga, "COMPENSATION_STARTED"))
        self.demand("L4", saga, "goes forward")

    def test_an_outcome_that_there_is_not(self):
        saga = self.completed()
        self.find(saga, "SAGA_ENDED")["outcome"] = "mostly harmless"
        self.demand("L4", saga, "no outcome")

    def test_completed_though_it_turned_back(self):
        saga = self.refunded()
        self.find(saga, "SAGA_ENDED")["outcome"] = "completed"
        self.demand("L4", saga, "though it turned back")

    def test_turned_back_twice(self):
        saga = self.refunded()
        back = self.find(saga, "COMPENSATION_STARTED")
        self.insert(back, fact="COMPENSATION_STARTED", reason="cancelled")
        self.demand("L4", saga, "turned back before")

    def test_the_pivot_is_passed_twice(self):
        saga = self.completed()
        self.insert(self.find(saga, "PIVOT_PASSED"), fact="PIVOT_PASSED", step=RESERVE)
        self.demand("L4", saga, "when that was decided")

    def test_a_wish_to_go_back_that_comes_late(self):
        saga = self.completed()
        self.insert(self.find(saga, "PIVOT_PASSED"), fact="CANCEL_REQUESTED", reason="cancelled")
        self.demand("L4", saga, "a wish to go back")

    def test_a_step_that_there_is_not(self):
        saga = self.completed()
        self.find(saga, "COMMAND_ISSUED", CONFIRM)["step"] = 6
        self.demand("L4", saga, "there is no step 6")

    def test_an_operation_that_there_is_not(self):
        saga = self.completed()
        self.find(saga, "COMMAND_ISSUED", CONFIRM)["operation"] = "prayer"
        self.demand("L4", saga, "no operation")

    def test_a_definition_that_there_is_not(self):
        saga = self.completed()
        self.find(saga, "SAGA_STARTED")["definition_lsn"] = 1
        self.demand("L4", saga, "no definition")

    def test_a_fact_of_no_saga(self):
        del self.find(self.completed(), "PIVOT_PASSED")["saga"]
        self.demand("L4", text="of no saga")

    def test_an_unknown_fact(self):
        saga = self.completed()
        self.insert(self.find(saga, "PIVOT_PASSED"), fact="SAGA_FORGOTTEN")
        self.demand("L4", saga, "no fact")

    def test_something_after_the_end(self):
        saga = self.refunded()
        ended = self.find(saga, "SAGA_ENDED")
        self.insert(ended, fact="COMMAND_ISSUED", step=BLOCK, operation="compensation",
                    incarnation=1, revision=2, attempt=1)
        self.demand("L5", saga)

    def test_a_late_reply_after_the_end_is_nothing(self):
        saga = self.refunded()
        reply = self.find(saga, "REPLY_RECEIVED", BLOCK, "compensation")
        fields = {key: reply[key] for key in reply
                  if key not in ("lsn", "epoch", "at_ms", "saga", "fact", "previous_lsn")}
        self.insert(self.find(saga, "SAGA_ENDED"), fact="LATE_REPLY_RECEIVED", **fields)
        self.assertEqual(self.names(), [])

    def test_an_older_epoch(self):
        self.log[-1]["epoch"] -= 1
        self.demand("L6")

    def test_an_epoch_without_its_start(self):
        starts = [record for record in self.log if record["fact"] == "EPOCH_STARTED"]
        self.remove(starts[-1])
        self.demand("L6")

    def test_parked(self):
        saga = self.refunded()
        ended = self.find(saga, "SAGA_ENDED")
        ended["fact"], ended["reason"] = "SAGA_PARKED", "debt"
        del ended["outcome"]
        self.demand("T1", saga, "parked: debt")
        self.run_json["rules"]["parked_allowed"] = ["debt"]
        self.assertNotIn("T1", [name for name, _, _ in self.names()])

    def test_not_ended(self):
        saga = self.refunded()
        self.remove(self.find(saga, "SAGA_ENDED"))
        self.demand("T1", saga, "not ended")


class Order(Case):
    def command(self, after, step, operation, revision=1):
        return self.insert(after, fact="COMMAND_ISSUED", step=step, operation=operation,
                           incarnation=1, revision=revision, attempt=1)

    def test_a_step_that_had_no_command_is_compensated(self):
        saga = self.unavailable()
        self.command(self.find(saga, "COMPENSATION_STARTED"), AUTHORIZE, "compensation")
        self.demand("C2", saga, "never had a command")

    def test_a_step_that_was_rejected_is_compensated(self):
        saga = self.unavailable()
        self.command(self.find(saga, "COMPENSATION_STARTED"), BLOCK, "compensation")
        self.demand("C2", saga, "did not happen")

    def test_in_the_order_of_the_steps(self):
        saga = self.refunded()
        for one in self.of(saga):
            if one.get("operation") == "compensation":
                one["step"] = {CREATE: AUTHORIZE, AUTHORIZE: CREATE}.get(one["step"], one["step"])
        self.demand("C3", saga)

    def test_the_fence_that_stands_in_for_a_compensation_comes_late(self):
        saga = self.refunded()
        fence = [one for one in self.of(saga) if one.get("operation") == "fence"]
        self.assertEqual([one["step"] for one in fence], [APPROVE, APPROVE])
        self.remove(*fence)
        self.demand("C3", saga, "step approve")
        self.demand("C7", saga, "step approve")

    def test_a_compensation_of_a_step_that_has_none(self):
        saga = self.refunded()
        self.command(self.find(saga, "COMPENSATION_STARTED"), APPROVE, "compensation")
        self.demand("L4", saga, "has no compensation")

    def test_a_fence_for_nothing(self):
        saga = self.unavailable()
        self.command(self.find(saga, "COMPENSATION_STARTED"), RESERVE, "fence")
        self.demand("L4", saga, "a fence for step reserve")

    def test_a_fence_behind_the_pivot(self):
        saga = self.completed()
        self.command(self.find(saga, "COMMAND_ISSUED", CONFIRM), CONFIRM, "fence")
        self.demand("L4", saga, "behind the pivot")

    def test_forward_after_turning_back(self):
        saga = self.unavailable()
        self.command(self.find(saga, "COMPENSATION_STARTED"), APPROVE, "action")
        self.demand("C5", saga)

    def test_back_behind_the_pivot(self):
        saga = self.completed()
        self.insert(self.find(saga, "PIVOT_PASSED"), fact="COMPENSATION_STARTED",
                    reason="cancelled")
        self.demand("C6", saga, "behind the pivot")

    def test_a_compensation_behind_the_pivot(self):
        saga = self.completed()
        self.command(self.find(saga, "PIVOT_PASSED"), BLOCK, "compensation")
        self.demand("C6", saga)

    def test_back_while_the_pivot_is_in_doubt(self):
        saga = self.refunded()
        self.remove(*[one for one in self.of(saga) if one.get("step") == RESERVE
                      and one["fact"] == "REPLY_RECEIVED"])
        self.demand("C6", saga, "in doubt")

    def test_a_step_that_is_not_undone(self):
        saga = self.refunded()
        self.remove(self.find(saga, "COMMAND_ISSUED", AUTHORIZE, "compensation"),
                    self.find(saga, "REPLY_RECEIVED", AUTHORIZE, "compensation"))
        self.demand("C7", saga, "step authorize")

    def test_a_compensation_without_an_answer(self):
        saga = self.refunded()
        self.remove(self.find(saga, "REPLY_RECEIVED", CREATE, "compensation"))
        self.demand("C7", saga, "step create")


if __name__ == "__main__":
    run_tests()
