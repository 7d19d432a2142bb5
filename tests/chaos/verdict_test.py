#!/usr/bin/python3
"""The verdict finds what is wrong, and calls it by its name.

    verdict_test.py PROGRAMS

A real run with kills (sagad dev in PROGRAMS) is the base, and has no violation. Each case takes
a copy, plants one thing in the log, the databases or the clients' notes, and demands the name."""

import copy
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, HERE)

from saga_chaos import evidence  # noqa: E402  (its folder has to be known first)
from saga_chaos.verdict import Verdict  # noqa: E402

CHAOS = os.path.join(HERE, "saga-chaos")
NOBODY = "01900000-0000-7000-8000-000000000000"
CREATE, BLOCK, APPROVE, AUTHORIZE, RESERVE, CONFIRM = range(6)
programs = None
base = None


def setUpModule():
    global base
    base = tempfile.mkdtemp(prefix="saga-verdict-")
    done = subprocess.run(
        [CHAOS, "--in-process", "--programs", programs, "--seed", "7", "--kills", "6",
         "--bookings", "200", "--keep", os.path.join(base, "run")],
        capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the base is no good: {done.stdout}{done.stderr}")
    shutil.rmtree(os.path.join(base, "run", "data"))


def tearDownModule():
    shutil.rmtree(base)


class Case(unittest.TestCase):
    """A copy of the base, to be doctored."""

    def setUp(self):
        self.folder = os.path.join(base, self.id())
        shutil.copytree(os.path.join(base, "run"), self.folder)
        self.run_json = evidence.read_json(os.path.join(self.folder, "run.json"))
        self.history = evidence.read_lines(os.path.join(self.folder, "history.jsonl"))
        self.log = evidence.read_lines(os.path.join(self.folder, "export.jsonl"))

    def tearDown(self):
        shutil.rmtree(self.folder)

    # ------------------------------------------------------------------- looking

    def of(self, saga):
        return [record for record in self.log if record.get("saga") == saga]

    def find(self, saga, fact, step=None, operation=None):
        """The last such record."""
        found = [record for record in self.of(saga) if record["fact"] == fact
                 and (step is None or record.get("step") == step)
                 and (operation is None or record.get("operation") == operation)]
        self.assertTrue(found, f"{saga} has no {fact} {step} {operation}")
        return found[-1]

    def sagas(self, outcome, *steps):
        """Those with this outcome of which exactly the compensations of `steps` were sent, at
        once answered, and nothing was late or unknown."""
        found = []
        for record in self.log:
            if record["fact"] != "SAGA_ENDED" or record["outcome"] != outcome:
                continue
            story = self.of(record["saga"])
            undone = [one["step"] for one in story if one["fact"] == "COMMAND_ISSUED"
                      and one["operation"] == "compensation"]
            plain = not any(one["fact"] in ("LATE_REPLY_RECEIVED", "CANCEL_REQUESTED",
                                            "ATTEMPT_EXPIRED") for one in story)
            forward_fence = any(one["fact"] == "COMMAND_ISSUED" and one["operation"] == "fence"
                                and one["step"] != APPROVE for one in story)
            if undone == list(steps) and plain and not forward_fence:
                found.append(record["saga"])
        self.assertTrue(found, f"the base has no saga {outcome} after compensating {steps}")
        return found

    def completed(self):
        return self.sagas("completed")[0]

    def refunded(self):
        return self.sagas("compensated", AUTHORIZE, BLOCK, CREATE)[0]

    def unavailable(self):
        return self.sagas("compensated", CREATE)[0]

    # ------------------------------------------------------------------ doctoring

    def insert(self, after, **fields):
        """A record of the same saga behind that one."""
        record = {"lsn": 0, "epoch": after["epoch"], "at_ms": after["at_ms"], "saga": after["saga"],
                  **fields}
        if record["saga"] is None:
            del record["saga"]
        self.log.insert(self.log.index(after) + 1, record)
        self.renumber()
        return record

    def remove(self, *records):
        for record in records:
            self.log.remove(record)
        self.renumber()

    def renumber(self):
        """Positions without gaps, and chains that fit: as if it had always been like that."""
        numbers, latest = {}, {}
        for number, record in enumerate(self.log, 1):
            numbers[record["lsn"]] = number
            record["lsn"] = number
            if "definition_lsn" in record:
                record["definition_lsn"] = numbers[record["definition_lsn"]]
            if "saga" in record:
                record.pop("previous_lsn", None)
                if record["saga"] in latest:
                    record["previous_lsn"] = latest[record["saga"]]
                latest[record["saga"]] = number

    def sql(self, name, statement, *values):
        connection = sqlite3.connect(os.path.join(self.folder, name + ".db"))
        connection.execute("PRAGMA ignore_check_constraints = ON")
        changed = connection.execute(statement, values).rowcount
        connection.commit()
        connection.close()
        self.assertGreater(changed, 0, f"{statement} changed nothing")

    def starts(self, saga):
        events = [one for one in self.history if one["op"] == "start" and one["id"] == saga]
        self.assertTrue(events)
        return events

    # -------------------------------------------------------------------- judging

    def names(self):
        evidence.write_json(os.path.join(self.folder, "run.json"), self.run_json)
        for name, values in (("history", self.history), ("export", self.log)):
            with open(os.path.join(self.folder, name + ".jsonl"), "w", encoding="utf-8") as file:
                for value in values:
                    file.write(json.dumps(value) + "\n")
        verdict = Verdict(evidence.Evidence(self.folder))
        return [(violation.name, violation.saga, violation.text)
                for violation in verdict.violations]

    def demand(self, name, saga=None, text=""):
        """That violation, of that saga (None: of any), with these words."""
        found = self.names()
        self.assertTrue(
            any(one[0] == name and (saga is None or one[1] == saga) and text in one[2]
                for one in found), f"no {name} '{text}' of {saga}, but {found[:5]}")


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


class Starts(Case):
    def event(self, saga):
        return copy.deepcopy(self.starts(saga)[0])

    def test_accepted_and_not_there(self):
        event = self.event(self.completed())
        event.update(key="chaos-lost", id=NOBODY, status=201)
        self.history.append(event)
        self.demand("S1", NOBODY)

    def test_another_id_for_the_same_key(self):
        event = self.event(self.completed())
        event.update(id=self.refunded(), status=200)
        self.history.append(event)
        self.demand("S2", self.refunded(), "its saga is")

    def test_created_twice(self):
        saga = self.completed()
        for _ in range(2):
            self.history.append(dict(self.event(saga), status=201))
        self.demand("S2", saga, "201 twice")

    def test_another_input_is_accepted(self):
        saga = self.completed()
        event = self.event(saga)
        event["input"]["total"] += 1
        event["status"] = 200
        self.history.append(event)
        self.demand("S2", saga, "was accepted with the input")

    def test_the_same_input_is_refused(self):
        saga = self.completed()
        self.history.append(dict(self.event(saga), status=409, id=None))
        self.demand("S2", saga, "refused")

    def test_two_sagas_of_one_key(self):
        first, second = self.completed(), self.refunded()
        self.find(second, "SAGA_STARTED")["key"] = self.find(first, "SAGA_STARTED")["key"]
        self.demand("S2", text="has started saga")

    def test_nobody_asked(self):
        saga = self.completed()
        key = self.find(saga, "SAGA_STARTED")["key"]
        self.history = [one for one in self.history if one.get("key") != key]
        self.demand("S3", saga)

    def test_an_input_that_nobody_sent(self):
        saga = self.completed()
        started = self.find(saga, "SAGA_STARTED")
        started["payload"] = started["payload"].replace('"total":', '"total":7')
        self.demand("S3", saga)


class Effects(Case):
    def test_twice(self):
        saga = self.completed()
        self.sql("billing", "INSERT INTO effects SELECT * FROM effects WHERE command_id LIKE ?",
                 saga + "/authorize/%")
        self.demand("E2", saga)

    def test_twice_in_another_revision(self):
        saga = self.refunded()
        self.sql("billing", "INSERT INTO effects SELECT ?, what, at FROM effects WHERE "
                 "command_id = ?", saga + "/authorize/1/compensation/2",
                 saga + "/authorize/1/compensation/1")
        self.demand("E2", saga)

    def test_completed_and_one_is_missing(self):
        saga = self.completed()
        self.sql("booking", "DELETE FROM effects WHERE command_id LIKE ?", saga + "/confirm/%")
        self.demand("E3", saga, "BOOKING_PAID happened 0 times")

    def test_completed_and_undone(self):
        saga = self.completed()
        self.sql("billing", "INSERT INTO effects VALUES(?, 'BILL_REFUNDED', 0)",
                 saga + "/authorize/1/compensation/1")
        self.demand("E3", saga, "undone")
        self.demand("E4", saga)

    def test_completed_and_the_booking_is_not_paid(self):
        saga = self.completed()
        self.sql("booking", "UPDATE bookings SET status = 'approved' WHERE uuid = ?", saga)
        self.demand("E3", saga, "booking is approved")

    def test_completed_and_the_slot_is_not_reserved(self):
        saga = self.completed()
        self.sql("parking", "UPDATE parking_slots SET status = 'available', held_by = NULL "
                 "WHERE held_by LIKE ?", "%:" + saga)
        self.demand("E3", saga, "not reserved")

    def test_of_no_saga(self):
        self.sql("parking", "INSERT INTO effects VALUES(?, 'PARKING_UNBLOCKED', 0)",
                 NOBODY + "/block/1/compensation/1")
        self.demand("E4", NOBODY)

    def test_of_no_command(self):
        saga = self.refunded()
        self.sql("parking", "INSERT INTO effects VALUES(?, 'PARKING_AVAILABLE', 0)",
                 saga + "/block/2/action/1")
        self.demand("E4", saga)

    def test_a_reply_that_says_something_else(self):
        saga = self.refunded()
        self.sql("billing", "UPDATE effects SET what = 'BILL_FAILED' WHERE command_id = ?",
                 saga + "/authorize/1/action/1")
        self.demand("E6", saga, "PAYMENT_SUCCESSFUL")

    def test_a_reply_to_another_command(self):
        saga = self.completed()
        reply = self.find(saga, "REPLY_RECEIVED", BLOCK)
        reply["payload"] = reply["payload"].replace(saga, NOBODY)
        self.demand("E6", saga, NOBODY)

    def test_a_done_that_never_happened(self):
        saga = self.completed()
        self.sql("parking", "DELETE FROM effects WHERE command_id LIKE ?", saga + "/reserve/%")
        self.demand("E6", saga, "PARKING_RESERVED")
        self.demand("E6", saga, "there is no effect")

    def test_compensated_and_not_refunded(self):
        saga = self.refunded()
        self.sql("billing", "DELETE FROM effects WHERE command_id LIKE ?",
                 saga + "/authorize/1/compensation/%")
        self.demand("C1", saga, "BILL_REFUNDED 0 times")

    def test_compensated_and_undone_though_never_done(self):
        saga = self.unavailable()
        self.sql("parking", "INSERT INTO effects VALUES(?, 'PARKING_UNBLOCKED', 0)",
                 saga + "/block/1/compensation/1")
        self.demand("C1", saga, "PARKING_AVAILABLE happened 0 times")

    def test_compensated_and_reserved(self):
        saga = self.refunded()
        self.sql("parking", "INSERT INTO effects VALUES(?, 'PARKING_RESERVED', 0)",
                 saga + "/reserve/1/action/1")
        self.demand("C1", saga, "PARKING_RESERVED")

    def test_compensated_and_the_booking_stands(self):
        saga = self.refunded()
        self.sql("booking", "UPDATE bookings SET status = 'approved' WHERE uuid = ?", saga)
        self.demand("C1", saga, "booking is approved")

    def test_an_action_after_its_compensation(self):
        saga = self.refunded()
        self.sql("parking", "UPDATE effects SET rowid = 1000000 WHERE command_id = ?",
                 saga + "/block/1/action/1")
        self.demand("C4", saga, "after its compensation")

    def test_an_action_beside_a_tombstone(self):
        saga = self.completed()
        self.sql("parking", "UPDATE saga_fence SET state = 'tombstone' WHERE saga = ? AND "
                 "step = 'block'", saga)
        self.demand("C4", saga, "tombstone")


class Things(Case):
    def test_a_slot_is_blocked_for_ever(self):
        saga = self.refunded()
        slot = json.loads(self.find(saga, "SAGA_STARTED")["payload"])["parking_slot_uuid"]
        self.sql("parking", "UPDATE parking_slots SET status = 'blocked', held_by = ? "
                 "WHERE uuid = ?", f"{slot}:{saga}", slot)
        self.demand("R2", saga, "blocked")

    def test_a_slot_is_reserved_for_nobody(self):
        saga = self.completed()
        self.sql("parking", "UPDATE parking_slots SET held_by = uuid || ':' || ? "
                 "WHERE held_by LIKE ?", NOBODY, "%:" + saga)
        self.demand("R2", NOBODY, "not in the log")

    def test_a_slot_is_sold_twice(self):
        first, second = self.sagas("completed")[:2]
        slot = json.loads(self.find(first, "SAGA_STARTED")["payload"])["parking_slot_uuid"]
        started = self.find(second, "SAGA_STARTED")
        started["payload"] = json.dumps(dict(json.loads(started["payload"]),
                                             parking_slot_uuid=slot))
        self.demand("R4", text=slot)

    def test_completed_and_refunded(self):
        saga = self.completed()
        self.sql("billing", "UPDATE billing_requests SET status = 'refunded' "
                 "WHERE reference_no LIKE ?", "%:" + saga)
        self.demand("M3", saga, "paid are []")

    def test_another_price(self):
        saga = self.completed()
        self.sql("billing", "UPDATE billing_requests SET total = total + 1 "
                 "WHERE reference_no LIKE ?", "%:" + saga)
        self.demand("M3", saga, "its price")

    def test_compensated_and_paid(self):
        saga = self.refunded()
        self.sql("billing", "UPDATE billing_requests SET status = 'paid' "
                 "WHERE reference_no LIKE ?", "%:" + saga)
        self.demand("M3", saga, "compensated")

    def test_paid_for_nobody(self):
        self.sql("billing", "INSERT INTO billing_requests(total, status, reference_no) "
                 "VALUES(1, 'paid', ?)", f"{NOBODY}:{NOBODY}")
        self.demand("M3", NOBODY)


class Said(Case):
    def get(self, saga, at, state):
        self.history.append({"op": "get", "id": saga, "begin": at, "end": at + 0.001,
                             "status": 200, "state": state})

    def later(self):
        return max(one["end"] for one in self.history) + 1

    def test_the_api_takes_an_end_back(self):
        saga = self.completed()
        self.get(saga, self.later(), "completed")
        self.get(saga, self.later(), "running")
        self.demand("X1", saga, "said 'running'")

    def test_the_api_forgets(self):
        saga = self.completed()
        self.get(saga, self.later(), "answer 404")
        self.demand("X1", saga)

    def test_the_api_and_the_log_disagree(self):
        saga = self.completed()
        self.history = [one for one in self.history
                        if one["op"] != "get" or one["id"] != saga]
        self.get(saga, self.later(), "compensated")
        self.demand("X1", saga, "the log says")

    def test_a_cancel_is_accepted_for_nothing(self):
        saga = self.completed()
        self.history.append({"op": "cancel", "id": saga, "begin": 0, "end": 1, "status": 202,
                             "result": "accepted"})
        self.demand("O1", saga)


class TheRun(Case):
    def test_an_orphan(self):
        self.run_json["stats"]["sagas"]["orphans_rearmed"] = 1
        self.demand("T2", text="orphans")

    def test_quarantined(self):
        self.run_json["stats"]["sagas"]["quarantined"] = 2
        self.demand("T2", text="quarantined is 2")

    def test_a_dead_letter(self):
        self.run_json["dead_letters"] = {"parking.dead": 1}
        self.demand("X3", text="parking.dead")

    def test_a_bad_end(self):
        self.run_json["exits"]["daemon"] = "not within 10 s"
        self.demand("T7", text="not within")

    def test_a_trouble(self):
        self.run_json["troubles"].append("the queue did not come back")
        self.demand("T1", text="the queue")

    def test_a_kill_of_nothing(self):
        self.run_json["kills"][0]["open"] = 9
        self.demand("K1", text="with 9 open")

    def test_too_few_kills(self):
        self.run_json["kills"].pop()
        self.demand("K1", text="5 times, not 6")


class CommandLine(Case):
    def chaos(self, *words):
        return subprocess.run([CHAOS, *words], capture_output=True, text=True, check=False)

    def test_no_violation(self):
        done = self.chaos("--judge", self.folder)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("0 violations", done.stdout)
        self.assertIn("kills: 6 (6 daemon), with 1", done.stdout)

    def test_a_violation(self):
        saga = self.completed()
        self.sql("billing", "INSERT INTO effects SELECT * FROM effects WHERE command_id LIKE ?",
                 saga + "/authorize/%")
        done = self.chaos("--judge", self.folder)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn(f"VIOLATION E2 {saga}", done.stdout)

    def test_no_evidence(self):
        os.remove(os.path.join(self.folder, "export.jsonl"))
        done = self.chaos("--judge", self.folder)
        self.assertEqual(done.returncode, 4, done.stdout + done.stderr)
        self.assertIn("export.jsonl", done.stderr)

    def test_usage(self):
        for words in (["--faults", "flood"], ["--faults", "cut=often"], ["--bookings", "0"],
                      ["--kills", "3", "--duration", "3"], ["--open-min", "30"], ["--nonsense"],
                      ["--keep", self.folder]):
            done = self.chaos(*words)
            self.assertEqual(done.returncode, 2, f"{words}: {done.stdout}{done.stderr}")

    def test_no_programs(self):
        done = self.chaos("--in-process", "--programs", self.folder)
        self.assertEqual(done.returncode, 4, done.stdout + done.stderr)
        self.assertIn("parking is missing", done.stderr)
        shutil.rmtree(done.stdout.rpartition("the evidence is in ")[2].strip())

    def test_an_installation_that_does_not_say_enough(self):
        path = os.path.join(self.folder, "installation.json")
        evidence.write_json(path, {"server": "unix:/nowhere"})
        done = self.chaos("--installation", path)
        self.assertEqual(done.returncode, 4, done.stdout + done.stderr)
        self.assertIn("export", done.stderr)
        shutil.rmtree(done.stdout.rpartition("the evidence is in ")[2].strip())


if __name__ == "__main__":
    programs = sys.argv.pop(1)
    unittest.main(verbosity=1)
