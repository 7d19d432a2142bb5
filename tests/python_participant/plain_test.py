#!/usr/bin/python3
"""sagad with booking-unfenced.yaml, our booking service, and a parking and a billing that keep no
fence (plain.py): what becomes of sagas whose participants are silent, forgetful or away.

    SAGA_BIN=build/bin plain_test.py
"""

import pathlib
import time
import unittest
import uuid

from harness import PATIENCE_S, Process
from shop import COMPENSATED, COMPLETED, PARKED, Shop

PLAIN = pathlib.Path(__file__).resolve().with_name("plain.py")


class PlainShop(Shop):
    """With a parking and a billing of plain.py, and one slot."""

    saga = "booking-unfenced"

    def start_plain(self, service: str, *switches: str) -> Process:
        file = self.folder / f"{service}.db"
        return self.start(("ready",), PLAIN, service, "--db", file, "--amqp", self.broker.url, *switches)

    def start_both(self, **switches: str) -> dict[str, Process]:
        """Parking and billing. A switch (fail, freeze, exit) goes to the one that knows its command."""
        return {
            service: self.start_plain(
                service,
                *(f"--{name}={command}" for name, command in switches.items()
                  if command.startswith(service.upper())),
            )
            for service in ("parking", "billing")
        }

    def make_slot(self, status: str = "available") -> str:
        slot = str(uuid.uuid4())
        self.query("parking", "INSERT INTO parking_slots VALUES(?, 'Slot', ?)", slot, status)
        self.slot = slot
        return slot

    def assert_left(self, slot: str | None, bill: str | None, booking: str) -> None:
        """What a customer sees. None: there is none."""
        slots = self.query("parking", "SELECT status FROM parking_slots WHERE uuid = ?", self.slot)
        self.assertEqual(slots, [(slot,)] if slot else [])
        bills = self.query("billing", "SELECT status FROM billing_requests")
        self.assertEqual(bills, [(bill,)] if bill else [])
        self.assertEqual(self.query("booking", "SELECT status FROM bookings"), [(booking,)])

    def replies(self, service: str) -> list[str]:
        return [row[0] for row in self.query(service, "SELECT reply_state FROM effects")]


class PlainTest(PlainShop):
    def test_a_booking_that_succeeds(self) -> None:
        self.start_both()
        self.book(self.make_slot())
        self.assert_ends(self.slot, COMPLETED)
        self.assert_left("reserved", "paid", "paid")
        self.assertEqual(self.replies("parking"), ["PARKING_AVAILABLE", "PARKING_RESERVED"])
        self.assertEqual(self.replies("billing"), ["PAYMENT_SUCCESSFUL"])

    def check_a_slot_that_is(self, status: str) -> None:
        self.start_both()
        self.book(self.make_slot(status))
        self.assert_ends(self.slot, COMPENSATED)
        self.assert_left(status, None, "rejected")
        self.assertEqual(self.replies("parking"), ["PARKING_UNAVAILABLE"])  # no unblock

    def test_a_slot_that_another_booking_has_blocked(self) -> None:
        self.check_a_slot_that_is("blocked")

    def test_a_slot_that_another_booking_has_reserved(self) -> None:
        self.check_a_slot_that_is("reserved")

    def test_a_payment_that_is_declined(self) -> None:
        self.start_both(fail="BILLING_AUTHORIZE_PAYMENT")
        self.book(self.make_slot())
        self.assert_ends(self.slot, COMPENSATED)
        self.assert_left("available", None, "rejected")
        self.assertEqual(self.replies("billing"), ["BILL_FAILED"])

    def test_a_reservation_that_fails(self) -> None:
        self.start_both(fail="PARKING_RESERVE")
        self.book(self.make_slot())
        self.assert_ends(self.slot, COMPENSATED)
        self.assert_left("available", "refunded", "rejected")

    def test_an_unknown_slot_is_a_debt_that_an_operator_settles(self) -> None:
        """Silence to the block and to the unblock: nobody can tell what is left."""
        self.start_both()
        self.slot = str(uuid.uuid4())
        saga = self.book(self.slot)
        self.assert_ends(self.slot, PARKED)
        status, steps = self.look(saga)
        self.assertEqual((status, steps["block"]["status"]), ("parked", "debt"))
        self.assertEqual(steps["create"]["status"], "compensated")
        self.assert_left(None, None, "rejected")
        words = ("mark-compensated", saga, "--step", "block", "--reason", "there is no such slot")
        code, _, error = self.sagactl(*words)
        self.assertEqual(code, 0, error)
        self.assert_ends(self.slot, COMPENSATED)
        self.assertEqual(self.look(saga)[0], "compensated_manually")

    def test_a_participant_that_is_away_and_comes_back(self) -> None:
        self.start_plain("billing")
        self.kill(self.start_plain("parking"))  # it has been there; its queue went with it
        saga = self.book(self.make_slot())
        deadline = time.monotonic() + PATIENCE_S
        while self.look(saga)[1]["block"]["attempts"] <= 3:  # more than its budget has
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(self.look(saga)[0], "running")
        self.start_plain("parking")
        self.assert_ends(self.slot, COMPLETED)
        self.assert_left("reserved", "paid", "paid")
        self.assertEqual(self.replies("parking"), ["PARKING_AVAILABLE", "PARKING_RESERVED"])

    def check_a_lost_reply(self, service: str, command: str, bill: str | None) -> None:
        """Gone between acknowledgement and answer; asked again, it is silent or says no."""
        both = self.start_both(exit=command)
        self.book(self.make_slot())
        self.assertEqual(both[service].await_end(), 0)
        self.start_plain(service)
        self.assert_ends(self.slot, COMPENSATED)
        self.assert_left("available", bill, "rejected")

    def test_a_lost_reply_to_a_block(self) -> None:
        # The no to the second attempt is not believed: the first may have blocked, and has.
        self.check_a_lost_reply("parking", "PARKING_BLOCK", None)
        self.assertEqual(self.replies("parking")[:2], ["PARKING_AVAILABLE", "PARKING_UNAVAILABLE"])

    def test_a_lost_reply_to_an_authorization(self) -> None:
        self.check_a_lost_reply("billing", "BILLING_AUTHORIZE_PAYMENT", "refunded")

    def test_a_lost_reply_at_the_pivot(self) -> None:
        """A no that may be the answer to a duplicate: nothing is undone on it."""
        both = self.start_both(exit="PARKING_RESERVE")
        saga = self.book(self.make_slot())
        self.assertEqual(both["parking"].await_end(), 0)
        self.start_plain("parking")
        self.assert_ends(self.slot, PARKED)
        self.assertEqual(self.look(saga)[0], "parked")
        self.assert_left("reserved", "paid", "approved")


class KilledTest(PlainShop):
    """The daemon is killed while a participant is frozen about a command of the saga."""

    def freeze(self, command: str, **switches: str) -> tuple[str, Process]:
        """Returns the saga, and the participant that has stopped itself at that command."""
        both = self.start_both(freeze=command, **switches)
        saga = self.book(self.make_slot())
        frozen = both["billing" if command.startswith("BILLING") else "parking"]
        frozen.await_stop()
        self.kill(self.daemon)
        self.daemon = self.start_daemon()
        return saga, frozen

    def check_frozen_for_a_moment(self, command: str) -> None:
        """It is asked once more; its first answer counts, whatever it says to the second."""
        _, frozen = self.freeze(command)
        frozen.resume()
        self.assert_ends(self.slot, COMPLETED)
        self.assert_left("reserved", "paid", "paid")

    def test_frozen_for_a_moment_at_the_block(self) -> None:
        self.check_frozen_for_a_moment("PARKING_BLOCK")

    def test_frozen_for_a_moment_at_the_authorization(self) -> None:
        self.check_frozen_for_a_moment("BILLING_AUTHORIZE_PAYMENT")

    def test_frozen_for_a_moment_at_the_pivot(self) -> None:
        self.check_frozen_for_a_moment("PARKING_RESERVE")

    def check_frozen_too_long(self, command: str, bill: str | None) -> None:
        """Its first answer comes when the saga goes back: what it then does is undone again."""
        _, frozen = self.freeze(command)
        self.daemon.await_lines("compensating")
        frozen.resume()
        self.assert_ends(self.slot, COMPENSATED)
        self.assert_left("available", bill, "rejected")

    def test_frozen_too_long_at_the_block(self) -> None:
        self.check_frozen_too_long("PARKING_BLOCK", None)

    def test_frozen_too_long_at_the_authorization(self) -> None:
        self.check_frozen_too_long("BILLING_AUTHORIZE_PAYMENT", "refunded")

    def test_frozen_too_long_at_the_pivot(self) -> None:
        """In doubt, and parked: nothing is undone on a guess. The late answer ends it."""
        saga, frozen = self.freeze("PARKING_RESERVE")
        self.daemon.await_lines("parked")
        status, steps = self.look(saga)
        self.assertEqual((status, steps["reserve"]["status"]), ("parked", "unknown"))
        self.assert_left("blocked", "paid", "approved")
        frozen.resume()
        self.daemon.await_lines("completed")
        self.assert_ends(self.slot, COMPLETED)
        self.assert_left("reserved", "paid", "paid")

    def check_frozen_on_the_way_back(self, command: str) -> None:
        """The compensation is asked for twice, and both are answered alike."""
        _, frozen = self.freeze(command, fail="PARKING_RESERVE")
        frozen.resume()
        self.assert_ends(self.slot, COMPENSATED)
        self.assert_left("available", "refunded", "rejected")

    def test_frozen_on_the_way_back_at_the_unblock(self) -> None:
        self.check_frozen_on_the_way_back("PARKING_UNBLOCK")

    def test_frozen_on_the_way_back_at_the_refund(self) -> None:
        self.check_frozen_on_the_way_back("BILLING_REFUND")


if __name__ == "__main__":
    # pika leaves the sockets of connections that were lost to the garbage collector, which says so
    unittest.main(warnings="ignore")
