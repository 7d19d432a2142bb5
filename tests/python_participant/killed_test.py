#!/usr/bin/python3
"""sagad with booking.yaml, our booking and billing, and examples/python/parking.py: each of them
is killed (SIGKILL) again and again while bookings run.

    SAGA_BIN=build/bin killed_test.py
"""

import collections
import concurrent.futures
import itertools
import json
import unittest

from harness import PATIENCE_S, ROOT, Process
from shop import COMPENSATED, COMPLETED, Shop

PARKING = ROOT / "examples" / "python" / "parking.py"
SLOTS = 40
BOOKINGS = 120
AT_ONCE = 12
NOT_REACHED = 4  # exit status of sagactl


class KilledTest(Shop):
    def start_parking(self) -> Process:
        file = self.folder / "parking.db"
        return self.start(("ready",), PARKING, "--db", file, "serve", "--amqp", self.broker.url)

    def start_billing(self) -> Process:
        return self.start_ours("billing", "--fail=billing.authorize_payment=0.2")

    def book_and_wait(self, number: int) -> tuple[str, str]:
        """Returns the saga's id and how it has ended."""
        order = {"parking_slot_uuid": f"slot-{number % SLOTS}"}
        words = ("--input", json.dumps(order), "--key", str(number), "--wait", "--json")
        while True:
            timeout = f"{3 * PATIENCE_S}s"
            code, out, error = self.sagactl("start", "booking", *words, "--timeout", timeout)
            if code != NOT_REACHED:  # it was being killed
                self.assertIn(code, (COMPLETED, COMPENSATED), error)
                saga = json.loads(out)
                return saga["id"], saga["status"]

    def test_everybody_is_killed_again_and_again(self) -> None:
        start = {
            "daemon": self.start_daemon,
            "parking": self.start_parking,
            "billing": self.start_billing,
            "booking": lambda: self.start_ours("booking"),
        }
        running = {"daemon": self.daemon, "booking": self.booking}
        running |= {name: start[name]() for name in ("parking", "billing")}
        for number in range(SLOTS):
            sql = "INSERT INTO parking_slots(uuid, name) VALUES(?, 'Slot')"
            self.query("parking", sql, f"slot-{number}")
        victims = itertools.cycle(("parking", "daemon", "parking", "billing", "parking", "booking"))
        kills: collections.Counter = collections.Counter()
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            bookings = [pool.submit(self.book_and_wait, number) for number in range(BOOKINGS)]
            while not all(booking.done() for booking in bookings):
                victim = next(victims)
                self.kill(running[victim])
                running[victim] = start[victim]()
                kills[victim] += 1
                # Somebody is to get on in between.
                open_ones = [booking for booking in bookings if not booking.done()]
                concurrent.futures.wait(open_ones, 1, concurrent.futures.FIRST_COMPLETED)
            outcomes = dict(booking.result() for booking in bookings)
        print(f"killed: {dict(kills)}; ended: {dict(collections.Counter(outcomes.values()))}")
        self.assertEqual(set(kills), set(running), "too soon over for everybody to be killed")
        self.assertEqual(len(outcomes), BOOKINGS)
        self.check(outcomes)

    def check(self, outcomes: dict[str, str]) -> None:
        """Every effect is there once, or was taken back once."""
        held = dict(self.query("parking", "SELECT substr(held_by, instr(held_by, ':') + 1), status"
                               " FROM parking_slots WHERE held_by IS NOT NULL"))
        bills = dict(self.query("billing", "SELECT substr(reference_no, instr(reference_no, ':') + 1), status"
                                " FROM billing_requests"))
        effects: dict = collections.defaultdict(collections.Counter)
        for command, what in self.query("parking", "SELECT command_id, what FROM effects"):
            effects[command.split("/")[0]][what] += 1
        for saga, status in outcomes.items():
            done = effects.pop(saga, collections.Counter())
            with self.subTest(saga=saga, status=status, effects=done):
                blocked = done["PARKING_AVAILABLE"]
                if status == "completed":
                    self.assertEqual(done, {"PARKING_AVAILABLE": 1, "PARKING_RESERVED": 1})
                    self.assertEqual((held.pop(saga), bills.pop(saga)), ("reserved", "paid"))
                elif blocked:
                    self.assertEqual(done, {"PARKING_AVAILABLE": 1, "PARKING_UNBLOCKED": 1})
                else:
                    self.assertLessEqual(done.items(), {"PARKING_UNAVAILABLE": 1}.items())
                self.assertNotEqual(bills.pop(saga, None), "paid")
        self.assertEqual((effects, held, [status for status in bills.values() if status == "paid"]), ({}, {}, []))


if __name__ == "__main__":
    # pika leaves the sockets of connections that were lost to the garbage collector, which says so
    unittest.main(warnings="ignore")
