#!/usr/bin/python3
"""examples/python/parking.py under an orchestrator's worst manners, over a real broker."""

import collections
import datetime
import itertools
import json
import pathlib
import random
import signal
import sqlite3
import struct
import subprocess
import tempfile
import time
import unittest
import uuid

import pika
from pika.compat import long

from harness import PATIENCE_S, ROOT, Broker, Orchestrator, Process, saga_id

PARKING = ROOT / "examples" / "python" / "parking.py"
CRASHING = pathlib.Path(__file__).resolve().with_name("crashing.py")

# What each operation is to be answered with (outcome, event, replayed) by a row in each state,
# and the state after it; participants/PROTOCOL.md, "The fence", once more and independently.
DONE = ("done", "PARKING_AVAILABLE")
REJECTED = ("rejected", "PARKING_UNAVAILABLE")
UNBLOCKED = ("done", "PARKING_UNBLOCKED")
FENCED = ("fenced", "FENCED")
NOOP = ("noop", "NOOP")
SETTLED = ("done", "SETTLED")
CELLS = {
    ("absent", "action"): (*DONE, False, "done"),
    ("absent", "compensation"): (*NOOP, False, "tombstone"),
    ("absent", "fence"): (*FENCED, False, "tombstone"),
    ("absent", "settle"): (*SETTLED, False, "tombstone"),
    ("done", "action"): (*DONE, True, "done"),
    ("done", "compensation"): (*UNBLOCKED, False, "compensated"),
    ("done", "fence"): (*DONE, True, "done"),
    ("done", "settle"): (*SETTLED, False, "settled"),
    ("rejected", "action"): (*REJECTED, True, "rejected"),
    ("rejected", "compensation"): (*NOOP, True, "rejected"),
    ("rejected", "fence"): (*REJECTED, True, "rejected"),
    ("rejected", "settle"): (*SETTLED, True, "rejected"),
    ("tombstone", "action"): (*FENCED, True, "tombstone"),
    ("tombstone", "compensation"): (*NOOP, True, "tombstone"),
    ("tombstone", "fence"): (*FENCED, True, "tombstone"),
    ("tombstone", "settle"): (*SETTLED, True, "tombstone"),
    ("compensated", "action"): (*FENCED, True, "compensated"),
    ("compensated", "compensation"): (*UNBLOCKED, True, "compensated"),
    ("compensated", "fence"): (*DONE, True, "compensated"),
    ("compensated", "settle"): (*SETTLED, True, "compensated"),
    ("settled", "action"): (*FENCED, True, "settled"),
    ("settled", "compensation"): (*NOOP, True, "settled"),
    ("settled", "fence"): (*DONE, True, "settled"),
    ("settled", "settle"): (*SETTLED, True, "settled"),
}
OPERATIONS = ("action", "compensation", "fence", "settle")
NAMES = {
    "action": "parking.block",
    "compensation": "parking.unblock",
    "fence": "parking.fence",
    "settle": "parking.settle",
}
LEADS_TO = {  # the operations that make a row of this state
    "absent": (),
    "done": ("action",),
    "rejected": ("action",),  # of a slot that another booking holds
    "tombstone": ("fence",),
    "compensated": ("action", "compensation"),
    "settled": ("action", "settle"),
}

broker: Broker = None  # type: ignore[assignment]  # of setUpModule()


def setUpModule() -> None:
    global broker
    broker = Broker()


def tearDownModule() -> None:
    broker.close()


class ParkingTest(unittest.TestCase):
    """Each test has a database, a participant and an orchestrator of its own."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="saga-python-")
        self.addCleanup(folder.cleanup)
        self.file = f"{folder.name}/parking.db"
        self.run_verb("parking_slot_list")  # makes the tables
        self.db = sqlite3.connect(self.file, timeout=30, isolation_level=None)
        self.addCleanup(self.db.close)
        with broker.connect() as connection:
            for name in ("parking", "parking.dead"):
                connection.channel().queue_delete(name)
        self.parking = self.start()
        self.addCleanup(lambda: self.parking.kill())
        self.orchestrator = Orchestrator(broker)
        self.addCleanup(self.orchestrator.close)

    def run_verb(self, *words: str) -> list[dict]:
        command = [PARKING, "--db", self.file, *words]
        lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        return [json.loads(line) for line in lines.splitlines()]

    def start(self, *program: object) -> Process:
        words = ("--db", self.file, "serve", "--amqp", broker.url)
        process = Process(*(program or (PARKING,)), *words)
        process.await_lines("ready")
        return process

    def slot(self) -> str:
        new = str(uuid.uuid4())
        self.db.execute("INSERT INTO parking_slots(uuid, name) VALUES(?, 'Slot')", (new,))
        return new

    def booking(self, slot: str | None = None) -> dict:
        return {"id": 3, "parking_slot_ref_no": f"{slot or self.slot()}:{uuid.uuid4()}"}

    def row(self, saga: str | None = None) -> tuple[str, str, int]:
        return (saga or saga_id(), "block", 1)

    def ask(self, operation: str, row, body: object = None, **options) -> tuple[str, str, bool]:
        return self.orchestrator.ask(NAMES[operation], operation, row, body, **options)

    def state(self, row) -> str:
        sql = "SELECT state FROM saga_fence WHERE (saga, step, incarnation) = (?, ?, ?)"
        found = self.db.execute(sql, row).fetchone()
        return found[0] if found else "absent"

    def slot_of(self, body: dict) -> tuple[str, str | None]:
        """Its status and its holder."""
        sql = "SELECT status, held_by FROM parking_slots WHERE uuid = ?"
        return self.db.execute(sql, (body["parking_slot_ref_no"].partition(":")[0],)).fetchone()

    def effects(self, row) -> dict[tuple[str, str], int]:
        """How often business code was run for good, by operation and event."""
        sql = "SELECT command_id, what FROM effects WHERE command_id LIKE ?"
        found = self.db.execute(sql, ("/".join(map(str, row)) + "/%",))
        return collections.Counter((command.split("/")[3], what) for command, what in found)

    def await_dead(self, count: int) -> list[tuple[pika.BasicProperties, bytes]]:
        """Takes that many dead letters, which is all of them."""
        taken = []
        with broker.connect() as connection:
            channel = connection.channel()
            for method, properties, body in channel.consume("parking.dead", inactivity_timeout=PATIENCE_S):
                self.assertIsNotNone(method, f"{count - len(taken)} dead letters are missing")
                channel.basic_ack(method.delivery_tag)
                taken.append((properties, body))
                if len(taken) == count:
                    break
            channel.cancel()
        return taken

    def assert_alive(self) -> None:
        """Whatever was sent before has been dealt with, and the service goes on."""
        self.assertEqual(self.ask("action", self.row(), self.booking()), (*DONE, False))
        self.assertIsNone(self.parking.child.poll())


class FenceTest(ParkingTest):
    def test_every_state_meets_every_operation(self) -> None:
        self.assertEqual(set(CELLS), set(itertools.product(LEADS_TO, OPERATIONS)))
        for (state, operation), (outcome, event, replayed, after) in CELLS.items():
            with self.subTest(state=state, operation=operation):
                row, body = self.row(), self.booking()
                if state == "rejected":
                    self.ask("action", self.row(), self.booking(body["parking_slot_ref_no"][:36]))
                for step in LEADS_TO[state]:
                    self.ask(step, row, body)
                self.assertEqual(self.state(row), state)
                effects, slot = self.effects(row), self.slot_of(body)

                self.assertEqual(self.ask(operation, row, body), (outcome, event, replayed))

                self.assertEqual(self.state(row), after)
                ran = (state, operation) in (("absent", "action"), ("done", "compensation"))
                effects[operation, event] += 1 if ran else 0
                self.assertEqual(self.effects(row), effects)
                if not ran:
                    self.assertEqual(self.slot_of(body), slot)

    def test_a_booking_from_its_block_to_its_reservation(self) -> None:
        body, saga = self.booking(), saga_id()
        self.assertEqual(self.ask("action", self.row(saga), body), (*DONE, False))
        self.assertEqual(self.slot_of(body), ("blocked", body["parking_slot_ref_no"]))
        reserve = ("parking.reserve", "action", (saga, "reserve", 1), body)
        for replayed in (False, True, True):
            answer = self.orchestrator.ask(*reserve)
            self.assertEqual(answer, ("done", "PARKING_RESERVED", replayed))
        self.assertEqual(self.slot_of(body)[0], "reserved")
        # What is reserved stays so, and the refusal is not kept: an operator may ask again.
        for revision in (1, 1, 2):
            answer = self.ask("compensation", self.row(saga), body, revision=revision)
            self.assertEqual(answer, ("rejected", "PARKING_UNBLOCK_FAILED", False))
        self.assertEqual(self.state(self.row(saga)), "done")
        self.assertEqual(self.slot_of(body)[0], "reserved")
        self.assertEqual(self.effects(self.row(saga)), {("action", "PARKING_AVAILABLE"): 1})

    def test_only_the_holder_changes_a_slot(self) -> None:
        body, saga = self.booking(), saga_id()
        self.ask("action", self.row(saga), body)
        other = self.booking(body["parking_slot_ref_no"][:36])
        self.assertEqual(self.ask("action", self.row(), other), (*REJECTED, False))
        reserve = ("parking.reserve", "action", (saga_id(), "reserve", 1))
        failed = ("rejected", "PARKING_RESERVATION_FAILED", False)
        self.assertEqual(self.orchestrator.ask(*reserve, other), failed)
        # Even if an edited compensation names what another booking holds.
        mine, row = self.booking(), self.row()
        self.ask("action", row, mine)
        self.assertEqual(self.ask("compensation", row, other), (*UNBLOCKED, False))
        self.assertEqual(self.slot_of(body), ("blocked", body["parking_slot_ref_no"]))
        for reference in (None, 7, "", ":", str(uuid.uuid4()), f"{uuid.uuid4()}:x"):
            answer = self.ask("action", self.row(), {"parking_slot_ref_no": reference})
            self.assertEqual(answer, (*REJECTED, False))

    def test_a_compensation_takes_effect_once_whatever_its_revision(self) -> None:
        row, body = self.row(), self.booking()
        self.ask("action", row, body)
        for revision, replayed in ((1, False), (1, True), (2, True), (7, True)):
            answer = self.ask("compensation", row, body, revision=revision)
            self.assertEqual(answer, (*UNBLOCKED, replayed))
        self.assertEqual(self.effects(row)["compensation", "PARKING_UNBLOCKED"], 1)

    def test_an_incarnation_is_a_row_of_its_own(self) -> None:
        saga, body = saga_id(), self.booking()
        for incarnation in (1, 2, 3):
            row = (saga, "block", incarnation)
            self.assertEqual(self.ask("action", row, body), (*DONE, False))
            self.assertEqual(self.ask("compensation", row, body), (*UNBLOCKED, False))

    def test_any_order_of_everything_twice(self) -> None:
        """At most one effect each, a compensation's only after its action's, and none too late."""
        orders = list(itertools.permutations(OPERATIONS))
        random.Random(1).shuffle(orders)
        for order in orders:
            row, body = self.row(), self.booking()
            with self.subTest(order=order):
                # Sent at once, in the order that is tested, and answered in that order.
                sent = [
                    (operation, self.orchestrator.send(NAMES[operation], operation, row, body))
                    for operation in order + order
                ]
                closed = False
                answers: dict[str, list[str]] = collections.defaultdict(list)
                for operation, identity in sent:
                    reply = self.orchestrator.take(identity)
                    self.assertIsNotNone(reply)
                    outcome = reply[0].headers["saga-outcome"]
                    answers[operation].append(outcome)
                    if operation == "action" and closed:
                        self.assertEqual(outcome, "fenced")
                    closed = closed or operation in ("compensation", "settle") or outcome == "fenced"
                acted = order[0] == "action"
                undone = acted and order.index("compensation") < order.index("settle")
                expected = {("action", "PARKING_AVAILABLE"): 1} if acted else {}
                expected |= {("compensation", "PARKING_UNBLOCKED"): 1} if undone else {}
                self.assertEqual(self.effects(row), expected)
                self.assertEqual(answers["fence"], 2 * (["done"] if acted else ["fenced"]))
                held = acted and not undone
                self.assertEqual(self.slot_of(body)[0], "blocked" if held else "available")

    def test_many_at_once_are_answered_each(self) -> None:
        bodies = [self.booking() for _ in range(600)]  # more than the prefetch
        sent = [self.orchestrator.send("parking.block", "action", self.row(), body) for body in bodies]
        for identity in sent:
            self.assertIsNotNone(self.orchestrator.take(identity))
        for body in bodies:
            self.assertEqual(self.slot_of(body), ("blocked", body["parking_slot_ref_no"]))


class WireTest(ParkingTest):
    def test_a_reply_has_all_that_it_should(self) -> None:
        numbers = ("saga-incarnation", "saga-revision")
        texts = {"saga-attempt": "3", "COMMAND": None, **{name: "1" for name in numbers}}
        longs = {"saga-attempt": long(4), **{name: long(1) for name in numbers}}
        for headers, attempt in (({}, 1), (texts, 3), (longs, 4)):  # numbers of any kind
            identity = self.orchestrator.send("parking.block", "action", self.row(), self.booking(), headers=headers)
            properties, body = self.orchestrator.take(identity)
            self.assertEqual(properties.headers, {"saga-outcome": "done", "saga-attempt": attempt})
            self.assertEqual(properties.delivery_mode, 1)
            self.assertEqual(body, {"id": identity, "content": None, "reply_state": "PARKING_AVAILABLE"})

    def test_nobody_waits_for_a_reply(self) -> None:
        row, body = self.row(), self.booking()
        self.orchestrator.send("parking.block", "action", row, body, reply_to="no-such-queue")
        self.assertEqual(self.ask("action", row, body), (*DONE, True))

    def test_what_has_no_usable_identity_is_a_dead_letter(self) -> None:
        def headers(name: str, *values: object) -> list[dict]:
            return [{"headers": {name: value}} for value in values]

        wrong: list[dict] = [
            *({"message_id": value} for value in (None, "", "with spaces", "another")),
            *({"correlation_id": value} for value in (None, "", "another")),
            *({"type": value} for value in (None, "", "parking", "billing.refund", "'); DROP TABLE bills;--")),
            *({"reply_to": value} for value in (None, "")),
            *headers("saga-id", None, 7, "", "x", saga_id().upper(), saga_id() + "0", [saga_id()], b"\xff" * 36),
            *headers("saga-incarnation", None, 0, -1, "0", "1.5", "one", True, 1 << 40, {"a": 1}),
            *headers("saga-revision", None, 0),
            *headers("saga-attempt", None, 0),
            *headers("saga-operation", None, "", "undo", "Action", "fence", "settle"),  # of parking.block
            *headers("saga-step", None, "", "a b", "x" * 129),
            *headers("saga-issued-at", None, 5, "soon", "2026-11-23T16:00:00", "2026-13-23T16:00:00Z"),
        ]
        rows = [self.row() for _ in wrong]
        for row, changes in zip(rows, wrong):
            self.orchestrator.send("parking.block", "action", row, {"row": row}, **changes)
        self.orchestrator.publish("parking.block", b"{}", pika.BasicProperties())
        dead = [json.loads(body) for _, body in self.await_dead(len(wrong) + 1)]
        self.assertEqual(dead, [{"row": list(row)} for row in rows] + [{}])
        self.assert_alive()
        self.assertEqual(self.orchestrator.replies, [])
        self.assertEqual(broker.depth("parking.dead"), 0)

    def test_headers_of_every_type_do_no_harm(self) -> None:
        strange = {
            "bytes": b"\xff\xfe",
            "text": "\u00e9\u4e2d",
            "list": [1, "two", [3]],
            "table": {"a": {"b": -1}},
            "time": datetime.datetime(9999, 12, 31),
        }
        answer = self.ask("action", self.row(), self.booking(), headers=strange)
        self.assertEqual(answer, (*DONE, False))

    def test_headers_that_the_library_cannot_read_do_no_harm(self) -> None:
        nested = b""
        for _ in range(20_000):
            nested = b"F" + struct.pack(">I", len(nested) + 1 if nested else 0) + (b"\0" + nested if nested else b"")
        values = (b"T" + struct.pack(">Q", 1 << 62), nested, b"S\0\0\0\2\xff\xfe", b"D\xff\0\0\0\1", b"t\5")
        for value in values:

            class Raw(pika.BasicProperties):
                """Only a header, in bytes that pika would not write."""

                def encode(self, value: bytes = value) -> list[bytes]:
                    table = b"\6header" + value
                    return [struct.pack(">HI", self.FLAG_HEADERS, len(table)), table]

            self.orchestrator.publish("parking.block", b"{}", Raw())
        with broker.connect() as connection:  # counted only: reading them here would not be any easier
            queue = connection.channel()
            while queue.queue_declare("parking.dead", passive=True).method.message_count < len(values):
                self.parking.await_lines("to the dead letters")
        self.assert_alive()

    def test_a_body_over_the_limit_is_a_dead_letter(self) -> None:
        padding = b" " * (1 << 20)
        self.orchestrator.send("parking.block", "action", self.row(), b"{}" + padding)
        self.assertEqual(len(self.await_dead(1)[0][1]), (1 << 20) + 2)
        self.assertEqual(self.ask("action", self.row(), b"{}" + padding[2:]), (*REJECTED, False))

    def test_a_body_that_cannot_be_read_is_rejected_for_good(self) -> None:
        deep = b'{"a": ' + b"[" * 31 + b"]" * 31 + b"}"
        self.assertEqual(self.ask("action", self.row(), deep), (*REJECTED, False))
        unreadable = ("rejected", "BODY_UNREADABLE")
        for raw in (
            b"",
            b"{",
            b"[]",
            b"null",
            b'{"a": 1, "a": 2}',
            b'{"a": {"b": 1, "b": 2}}',
            b'{"a": NaN}',
            b'{"a": "\xff"}',
            rb'{"parking_slot_ref_no": "\ud800:x"}',
            b'{"a": ' + b"9" * 100_000 + b"}",
            b'{"a": ' + b"[" * 32 + b"]" * 32 + b"}",
            b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        ):
            with self.subTest(raw=raw[:40]):
                row = self.row()
                self.assertEqual(self.ask("action", row, raw), (*unreadable, False))
                self.assertEqual(self.ask("action", row, raw), (*unreadable, True))
                self.assertEqual(self.ask("compensation", row, raw), (*NOOP, True))
                self.assertEqual(self.ask("compensation", self.row(), raw), (*NOOP, False))
                # of a compensation it is not kept
                row, body = self.row(), self.booking()
                self.ask("action", row, body)
                self.assertEqual(self.ask("compensation", row, raw), (*unreadable, False))
                self.assertEqual(self.ask("compensation", row, body, revision=2), (*UNBLOCKED, False))

    def test_a_command_that_nobody_has_is_rejected(self) -> None:
        row = self.row()
        for replayed in (False, True):
            answer = self.orchestrator.ask("parking.paint", "action", row)
            self.assertEqual(answer, ("rejected", "COMMAND_UNKNOWN", replayed))
        # An action's name as a compensation, and the other way round.
        answer = self.orchestrator.ask("parking.unblock", "action", self.row(), self.booking())
        self.assertEqual(answer, ("rejected", "COMMAND_UNKNOWN", False))

    def test_another_body_is_not_answered(self) -> None:
        row, body = self.row(), self.booking()
        self.ask("action", row, body)
        identity = self.orchestrator.send("parking.block", "action", row, self.booking())
        self.assertEqual(self.await_dead(1)[0][0].message_id, identity)
        self.assertEqual(self.ask("action", row, body), (*DONE, True))
        self.assertEqual(self.orchestrator.replies, [])


class DatabaseTest(ParkingTest):
    def test_an_error_of_business_code_is_retried_and_leaves_nothing(self) -> None:
        # when the slot has been blocked already
        self.db.execute("CREATE TRIGGER planned BEFORE INSERT ON effects"
                        " WHEN NEW.what = 'PARKING_AVAILABLE' BEGIN SELECT RAISE(ABORT, 'planned'); END")
        row, body = self.row(), self.booking()
        good_row, nowhere = self.row(), {"parking_slot_ref_no": f"{uuid.uuid4()}:x"}
        # In one batch with others, whose effects stay.
        other = self.orchestrator.send("parking.block", "action", good_row, nowhere)
        self.assertEqual(self.ask("action", row, body), ("retry", "RETRY", False))
        self.assertIsNotNone(self.orchestrator.take(other))
        self.assertEqual((self.state(row), self.state(good_row)), ("absent", "rejected"))
        self.assertEqual(self.effects(row), {})
        self.assertEqual(self.slot_of(body), ("available", None))
        self.db.execute("DROP TRIGGER planned")
        self.assertEqual(self.ask("action", row, body, attempt=2), (*DONE, False))
        self.assertEqual(self.effects(row), {("action", "PARKING_AVAILABLE"): 1})

    def test_a_database_that_fails_is_no_answer_and_the_command_comes_again(self) -> None:
        row, body = self.row(), self.booking()
        self.db.execute("BEGIN EXCLUSIVE")
        identity = self.orchestrator.send("parking.block", "action", row, body)
        self.parking.await_lines("database is locked")
        self.assertIsNone(self.orchestrator.take(identity, seconds=0))
        self.db.execute("COMMIT")
        self.assertIsNotNone(self.orchestrator.take(identity))
        self.assertEqual(self.effects(row), {("action", "PARKING_AVAILABLE"): 1})

    def test_a_row_that_makes_no_sense_is_not_answered(self) -> None:
        row = self.row()
        self.ask("fence", row)
        self.db.execute("UPDATE saga_fence SET state = 'of the next version' WHERE saga = ?", row[:1])
        self.orchestrator.send("parking.fence", "fence", row)
        self.await_dead(1)
        self.assert_alive()

    def test_what_was_purged_is_not_guessed(self) -> None:
        now = time.time()
        row, body = self.row(), self.booking()
        self.ask("action", row, body)
        self.assertEqual(self.run_verb("purge"), [{"purged": 0}])
        self.assertEqual(self.ask("action", row, body), (*DONE, True))
        self.assertEqual(self.run_verb("purge", "--days", "0"), [{"purged": 1}])
        old = self.row(saga_id(now - 7200))
        later_s = now + 7200  # beyond what clocks may differ by
        send = self.orchestrator.send
        refused = [
            send("parking.block", "action", row, body),
            send("parking.block", "action", self.row(), body, issued_s=now + 1800),
            send("parking.unblock", "compensation", old, body, issued_s=later_s),
            send("parking.fence", "fence", old, issued_s=later_s),
            send("parking.fence", "fence", self.row(str(uuid.uuid4()))),
        ]
        dead = [properties.message_id for properties, _ in self.await_dead(len(refused))]
        self.assertEqual(dead, refused)
        self.assertEqual(self.orchestrator.replies, [])
        # What is young enough is answered: an action by its own age, the others by the saga's.
        answer = self.ask("action", self.row(old[0]), self.booking(), issued_s=later_s)
        self.assertEqual(answer, (*DONE, False))
        answer = self.ask("fence", self.row(saga_id(later_s)), issued_s=later_s)
        self.assertEqual(answer, (*FENCED, False))
        # A settle asks nothing about the action.
        self.assertEqual(self.ask("settle", self.row(saga_id(now - 7200))), (*SETTLED, False))

    def test_another_services_file_is_refused(self) -> None:
        self.parking.kill()
        self.db.execute("UPDATE saga_participant SET service = 'billing'")
        command = [PARKING, "--db", self.file, "serve", "--amqp", broker.url]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 1)
        self.assertIn("billing", done.stderr)


class CrashTest(ParkingTest):
    def test_killed_at_each_moment_it_acts_once(self) -> None:
        for moment in ("before-commit", "before-reply", "before-ack"):
            for operation in OPERATIONS:
                with self.subTest(moment=moment, operation=operation):
                    row, body = self.row(), self.booking()
                    if operation != "action":
                        self.ask("action", row, body)
                    self.parking.kill()
                    self.parking = self.start(CRASHING, moment, NAMES[operation])
                    identity = self.orchestrator.send(NAMES[operation], operation, row, body)
                    self.assertEqual(self.parking.await_end(), -9)
                    committed = self.state(row)
                    if moment == "before-commit":
                        self.assertEqual(committed, "absent" if operation == "action" else "done")
                    self.parking.kill()
                    self.parking = self.start()
                    # Nobody sends it again: it was not acknowledged, so the broker does.
                    first = self.orchestrator.take(identity)
                    if moment == "before-ack":  # this one had left before the kill
                        self.assertEqual("saga-replayed" in first[0].headers, operation == "fence")
                        first = self.orchestrator.take(identity)
                    replayed = moment != "before-commit" or operation == "fence"
                    self.assertEqual("saga-replayed" in first[0].headers, replayed)
                    outcome, event, _ = self.ask(operation, row, body)
                    self.assertEqual(first[0].headers["saga-outcome"], outcome)
                    self.assertEqual(first[1]["reply_state"], event)
                    effects = self.effects(row)
                    self.assertEqual(set(effects.values()), {1})
                    self.assertEqual(len(effects), 2 if operation == "compensation" else 1)

    def test_killed_again_and_again_under_load(self) -> None:
        """Sagas that block and, every other one, unblock; asked again until answered."""
        draw = random.Random(2)
        sagas = [(self.row(), self.booking()) for _ in range(150)]
        waiting = [(operation, row, body) for number, (row, body) in enumerate(sagas)
                   for operation in ("action", "compensation")[: 1 + number % 2]]
        outcomes: dict = {}
        kills = 0
        while len(outcomes) < len(waiting):
            self.assertLess(kills, 200)
            # A compensation is sent when its action was answered. Forty at once.
            ready = [(operation, row, body) for operation, row, body in waiting
                     if (operation, row) not in outcomes
                     and (operation == "action" or ("action", row) in outcomes)][:40]
            sent = {self.orchestrator.send(NAMES[operation], operation, row, body, 1 + kills): (operation, row)
                    for operation, row, body in ready}
            # In the middle of it: after some have been answered, at whatever it does by then.
            for identity in draw.sample(sorted(sent), draw.randint(0, len(sent))):
                reply = self.orchestrator.take(identity)
                self.assertIsNotNone(reply)
                outcomes[sent[identity]] = reply[0].headers["saga-outcome"]
            self.parking.kill()
            self.parking = self.start()
            kills += 1
        self.assertGreaterEqual(kills, 5)
        for number, (row, body) in enumerate(sagas):
            effects = self.effects(row)
            self.assertEqual(outcomes["action", row], "done")
            self.assertEqual(effects["action", "PARKING_AVAILABLE"], 1)
            self.assertEqual(effects["compensation", "PARKING_UNBLOCKED"], number % 2)
            self.assertEqual(self.slot_of(body)[0], "available" if number % 2 else "blocked")


class BrokerTest(ParkingTest):
    def test_commands_wait_while_it_is_away(self) -> None:
        self.assertEqual(self.parking.stop(), 0)
        identity = self.orchestrator.send("parking.block", "action", self.row(), self.booking())
        self.parking = self.start()
        self.assertIsNotNone(self.orchestrator.take(identity))

    def test_sigterm_under_load_loses_nothing(self) -> None:
        bodies = [self.booking() for _ in range(300)]
        sent = [self.orchestrator.send("parking.block", "action", self.row(), body) for body in bodies]
        self.assertIsNotNone(self.orchestrator.take(sent[0]))
        self.assertEqual(self.parking.stop(), 0)
        self.parking = self.start()
        for identity in sent[1:]:
            self.assertIsNotNone(self.orchestrator.take(identity))

    def test_a_deleted_queue_is_declared_again(self) -> None:
        for _ in range(2):
            with broker.connect() as connection:
                connection.channel().queue_delete("parking")
            self.parking.await_lines("ready")
            self.assert_alive()

    def test_a_broker_that_dies_or_forgets_everything(self) -> None:
        for verbs in (("kill",), ("stop",), ("kill", "wipe")):
            with self.subTest(verbs=verbs):
                row, body = self.row(), self.booking()
                self.ask("action", row, body)
                for verb in verbs:
                    broker(verb)
                self.parking.await_lines("not connected")
                broker("start")
                self.parking.await_lines("ready")
                self.orchestrator.open()
                self.assertEqual(self.ask("action", row, body), (*DONE, True))

    def test_a_broker_that_does_not_answer_to_a_greeting(self) -> None:
        self.parking.kill()
        broker("pause")
        self.addCleanup(broker, "resume")
        self.parking = Process(PARKING, "--db", self.file, "serve", "--amqp", broker.url)
        for _ in range(2):
            self.parking.await_lines("not connected")
        broker("resume")
        self.parking.await_lines("ready")
        self.assert_alive()

    def test_an_alarm_of_the_broker_is_waited_for(self) -> None:
        self.parking.stop()
        row = self.row()
        identity = self.orchestrator.send("parking.block", "action", row, self.booking())
        broker("alarm", "on")
        self.addCleanup(broker, "alarm", "off")
        self.parking = self.start()  # which needs no publishing
        deadline = time.monotonic() + PATIENCE_S
        while self.state(row) == "absent":
            self.assertLess(time.monotonic(), deadline)
        self.assertIsNone(self.orchestrator.take(identity, seconds=0.5))
        broker("alarm", "off")
        self.assertIsNotNone(self.orchestrator.take(identity))

    def test_stopped_and_continued_while_there_is_no_broker(self) -> None:
        broker("kill")
        self.addCleanup(broker, "start")
        for _ in range(4):
            self.parking.await_lines("not connected")
            self.parking.child.send_signal(signal.SIGSTOP)
            time.sleep(0.5)  # its time to try again passes meanwhile
            self.parking.resume()
        self.parking.await_lines("not connected")

    def test_sigterm_while_there_is_no_broker(self) -> None:
        broker("kill")
        self.addCleanup(broker, "start")
        self.parking.await_lines("not connected")
        began = time.monotonic()
        self.assertEqual(self.parking.stop(), 0)
        self.assertLess(time.monotonic() - began, 10)
        self.parking = Process(PARKING, "--db", self.file, "serve", "--amqp", broker.url)
        self.parking.await_lines("not connected")


if __name__ == "__main__":
    # pika leaves the sockets of connections that were lost to the garbage collector, which says so
    unittest.main(warnings="ignore")
