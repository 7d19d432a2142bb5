"""What the tests of the verdict share: the evidence of a real run, copies of it that can be
doctored, and the demand that the verdict has a name for what is wrong with them.

The run is one of sagad dev, with kills; it has no violation."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import unittest

from saga_chaos import evidence
from saga_chaos.verdict import Verdict

HERE = os.path.dirname(os.path.realpath(__file__))
CHAOS = os.path.join(HERE, "saga-chaos")
NOBODY = "01900000-0000-7000-8000-000000000000"
CREATE, BLOCK, APPROVE, AUTHORIZE, RESERVE, CONFIRM = range(6)
base = None


def make_base(programs):
    """The run that all cases begin with."""
    global base
    base = tempfile.mkdtemp(prefix="saga-verdict-")
    done = subprocess.run(
        [CHAOS, "--in-process", "--programs", programs, "--seed", "7", "--kills", "6",
         "--bookings", "200", "--keep", os.path.join(base, "run")],
        capture_output=True, text=True, check=False)
    if done.returncode != 0:
        remove_base()
        raise RuntimeError(f"the base is no good: {done.stdout}{done.stderr}")
    shutil.rmtree(os.path.join(base, "run", "data"))


def remove_base():
    shutil.rmtree(base)


def run_tests():
    """What a test program is: PROGRAM PROGRAMS [CASE...]."""
    make_base(sys.argv.pop(1))
    try:
        unittest.main()
    finally:
        remove_base()


class Case(unittest.TestCase):
    """A copy of the base, to be doctored."""

    def setUp(self):
        self.folder = os.path.join(base, self.id())
        shutil.copytree(os.path.join(base, "run"), self.folder)
        self.run_json = evidence.read_json(os.path.join(self.folder, "run.json"))
        self.history = evidence.read_lines(os.path.join(self.folder, "history.jsonl"))
        self.log = evidence.read_records(os.path.join(self.folder, "export.jsonl"))

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
