#!/usr/bin/python3
"""Parking and billing as the Python example has them: without a fence, and with all that
makes an orchestrator's life hard (docs/protocol.md).

    plain.py parking|billing --db FILE --amqp URL [--freeze COMMAND] [--exit COMMAND] [--fail COMMAND]

Its queue has a random name and goes when it goes. Duplicates are carried out again. A command is
acknowledged before it is answered, and on an error of its own it answers nothing. parking.unblock
frees a slot whoever holds it; a second authorization for a booking is an error.

--freeze stops it (SIGSTOP) when COMMAND arrives for the first time, before it does anything;
--exit ends it when COMMAND has been acknowledged, before the answer; --fail declines COMMAND.
"""

import argparse
import json
import os
import signal
import sqlite3
import sys

import pika

EXCHANGE = "BOOKING_TX_EVENT_STORE"
TABLES = """
CREATE TABLE IF NOT EXISTS parking_slots(
  uuid TEXT PRIMARY KEY, name TEXT, status TEXT DEFAULT 'available');
CREATE TABLE IF NOT EXISTS billing_requests(
  id INTEGER PRIMARY KEY, total TEXT, status TEXT, reference_no TEXT UNIQUE);
CREATE TABLE IF NOT EXISTS effects(command TEXT, reference_no TEXT, reply_state TEXT);
"""


def slot_status(db: sqlite3.Connection, reference: str) -> str:
    slot = reference.partition(":")[0]
    return db.execute("SELECT status FROM parking_slots WHERE uuid = ?", (slot,)).fetchone()[0]


def set_slot(db: sqlite3.Connection, reference: str, status: str) -> None:
    slot = reference.partition(":")[0]
    if db.execute("UPDATE parking_slots SET status = ? WHERE uuid = ?", (status, slot)).rowcount != 1:
        raise LookupError(f"there is no slot {slot}")


def block(db: sqlite3.Connection, reference: str) -> str:
    if slot_status(db, reference) != "available":
        return "PARKING_UNAVAILABLE"
    set_slot(db, reference, "blocked")
    return "PARKING_AVAILABLE"


def unblock(db: sqlite3.Connection, reference: str) -> str:
    set_slot(db, reference, "available")
    return "PARKING_UNBLOCKED"


def reserve(db: sqlite3.Connection, reference: str) -> str:
    if slot_status(db, reference) != "blocked":
        return "PARKING_RESERVATION_FAILED"
    set_slot(db, reference, "reserved")
    return "PARKING_RESERVED"


def authorize(db: sqlite3.Connection, reference: str) -> str:
    # UNIQUE: a second one raises
    sql = "INSERT INTO billing_requests(total, status, reference_no) VALUES('100.00', 'paid', ?)"
    db.execute(sql, (reference,))
    return "PAYMENT_SUCCESSFUL"


def refund(db: sqlite3.Connection, reference: str) -> str:
    sql = "UPDATE billing_requests SET status = 'refunded' WHERE reference_no = ?"
    if db.execute(sql, (reference,)).rowcount != 1:
        raise LookupError(f"there is no bill {reference}")
    return "BILL_REFUNDED"


COMMANDS = {
    "parking": {"PARKING_BLOCK": block, "PARKING_UNBLOCK": unblock, "PARKING_RESERVE": reserve},
    "billing": {"BILLING_AUTHORIZE_PAYMENT": authorize, "BILLING_REFUND": refund},
}
DECLINED = {"PARKING_BLOCK": "PARKING_UNAVAILABLE", "PARKING_RESERVE": "PARKING_RESERVATION_FAILED",
            "BILLING_AUTHORIZE_PAYMENT": "BILL_FAILED"}


class Service:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.db = sqlite3.connect(options.db, timeout=30, isolation_level=None)
        self.db.executescript(TABLES)

    def run(self) -> None:
        connection = pika.BlockingConnection(pika.URLParameters(self.options.amqp))
        channel = connection.channel()
        channel.exchange_declare(EXCHANGE, "topic", durable=True)
        name = channel.queue_declare("", auto_delete=True).method.queue
        channel.queue_bind(name, EXCHANGE, f"{self.options.service}.*")
        channel.basic_consume(name, self.on_command)
        self.say("ready")
        channel.start_consuming()

    def say(self, text: str) -> None:
        print(f"{self.options.service}: {text}", file=sys.stderr, flush=True)

    def is_time_to(self, switch: str, command: str) -> bool:
        """True once, when the command of that switch is at hand."""
        if getattr(self.options, switch) != command:
            return False
        setattr(self.options, switch, None)
        return True

    def on_command(self, channel, method, properties, body: bytes) -> None:
        command = (properties.headers or {}).get("COMMAND")
        if self.is_time_to("freeze", command):
            os.kill(os.getpid(), signal.SIGSTOP)
        try:
            reference = json.loads(body)["parking_slot_ref_no"]
            reply_state = self.carry_out(command, reference)
        except Exception as error:
            self.say(f"{command} failed: {error!r}")
            channel.basic_reject(method.delivery_tag, requeue=False)
            return
        self.say(f"{command} {reference} -> {reply_state}")
        channel.basic_ack(method.delivery_tag)
        if self.is_time_to("exit", command):
            channel.connection.close()  # or the ack would be lost, too
            sys.exit()
        reply = {"id": properties.correlation_id, "content": None, "reply_state": reply_state}
        channel.basic_publish(
            EXCHANGE,
            properties.reply_to,
            json.dumps(reply).encode(),
            pika.BasicProperties(correlation_id=properties.correlation_id),
        )

    def carry_out(self, command: str, reference: str) -> str:
        """In a transaction of its own; returns the reply state."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            function = COMMANDS[self.options.service][command]
            declined = self.options.fail == command
            reply_state = DECLINED[command] if declined else function(self.db, reference)
            self.db.execute("INSERT INTO effects VALUES(?, ?, ?)", (command, reference, reply_state))
            self.db.execute("COMMIT")
            return reply_state
        finally:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("service", choices=sorted(COMMANDS))
    parser.add_argument("--db", required=True)
    parser.add_argument("--amqp", required=True, metavar="URL")
    for switch in ("--freeze", "--exit", "--fail"):
        parser.add_argument(switch, metavar="COMMAND", help="such as PARKING_BLOCK")
    Service(parser.parse_args()).run()


if __name__ == "__main__":
    main()
