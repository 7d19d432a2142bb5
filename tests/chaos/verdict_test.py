#!/usr/bin/python3
"""The verdict finds what is wrong in the databases, in what clients heard, and with the run.

    verdict_test.py PROGRAMS"""

import copy
import json
import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from saga_chaos import evidence  # noqa: E402  (its folder has to be known first)
from verdict_case import BLOCK, CHAOS, NOBODY, Case, run_tests  # noqa: E402


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

    def test_a_fault_that_did_not_happen(self):
        self.run_json["owed"] = ["wipe"]
        self.demand("K1", text="wipe did not happen")

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
    run_tests()
