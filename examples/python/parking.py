#!/usr/bin/python3
"""The parking service of the booking example in Python: a complete participant.

What a participant does, and why, is in participants/PROTOCOL.md; this is how. For a
service of your own, replace the part "parking". How to run it: README.md, or --help.
"""
import argparse
import contextlib
import dataclasses
import datetime
import hashlib
import json
import logging
import os
import random
import re
import signal
import sqlite3
import struct
import sys
import time
import uuid
from collections.abc import Callable

import pika

# ------------------------------------------------------------------------- words


@dataclasses.dataclass(frozen=True)
class Command:
    name: str
    id: str  # echoed, never read
    saga: str
    step: str
    incarnation: int
    operation: str  # one of OPERATIONS
    attempt: int  # for the orchestrator's diagnostics
    issued_ms: int  # the command, not this attempt
    reply_to: str
    body: bytes

    @property
    def row(self) -> tuple[str, str, int]:
        return (self.saga, self.step, self.incarnation)


@dataclasses.dataclass(frozen=True)
class Reply:
    outcome: str  # done, rejected, retry, fenced, noop
    event: str
    content: object = None  # whatever JSON can say
    replayed: bool = False


class Refused(Exception):
    """No answer would be right: the command goes to the dead letters."""


# ----------------------------------------------------------------------- parking

SERVICE = "parking"
BUSINESS_TABLES = """
CREATE TABLE IF NOT EXISTS parking_slots(
  uuid TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL CHECK (length(name) > 0),
  status TEXT NOT NULL DEFAULT 'available' CHECK (status IN ('available', 'blocked', 'reserved')),
  held_by TEXT UNIQUE, CHECK ((status = 'available') = (held_by IS NULL))) STRICT;
"""


def change(db: sqlite3.Connection, body: dict, assignment: str, condition: str) -> bool:
    """Changes the slot of the body's reference, "<slot>:<booking>"; False: no such slot."""
    reference = body.get("parking_slot_ref_no")
    slot, _, booking = reference.partition(":") if isinstance(reference, str) else ("", "", "")
    sql = f"UPDATE parking_slots SET {assignment} WHERE uuid = :slot AND {condition}"
    return booking != "" and db.execute(sql, {"slot": slot, "by": reference}).rowcount == 1


def block(db: sqlite3.Connection, body: dict) -> Reply:
    if change(db, body, "status = 'blocked', held_by = :by", "status = 'available'"):
        return Reply("done", "PARKING_AVAILABLE")
    return Reply("rejected", "PARKING_UNAVAILABLE")


def reserve(db: sqlite3.Connection, body: dict) -> Reply:
    if change(db, body, "status = 'reserved'", "status = 'blocked' AND held_by = :by"):
        return Reply("done", "PARKING_RESERVED")
    return Reply("rejected", "PARKING_RESERVATION_FAILED")


def unblock(db: sqlite3.Connection, body: dict) -> Reply:
    # Only if this booking holds it: so not even a wrong command frees another's slot.
    free = "status = 'available', held_by = NULL"
    if not change(db, body, free, "status = 'blocked' AND held_by = :by"):
        if change(db, body, "status = status", "status = 'reserved' AND held_by = :by"):
            return Reply("rejected", "PARKING_UNBLOCK_FAILED")
    return Reply("done", "PARKING_UNBLOCKED")


def create_slot(db: sqlite3.Connection, name: str) -> str:
    slot = str(uuid.uuid4())
    db.execute("INSERT INTO parking_slots(uuid, name) VALUES(?, ?)", (slot, name))
    return slot


def show_slots(db: sqlite3.Connection, slot: str = "%") -> None:
    rows = db.execute("SELECT uuid, name, status FROM parking_slots WHERE uuid LIKE ?", (slot,))
    for row in rows:
        print(json.dumps(dict(zip(("uuid", "name", "status"), row))))


COMMANDS: dict[tuple[str, str], Callable[[sqlite3.Connection, dict], Reply]] = {
    ("parking.block", "action"): block,
    ("parking.reserve", "action"): reserve,
    ("parking.unblock", "compensation"): unblock,
}

# --------------------------------------------------------------------- the fence

OPERATIONS = ("action", "compensation", "fence", "settle")
# What the row of (saga, step, incarnation) says -> what each operation leads to.
# bury: write a tombstone. close: an operator has taken over, no business code any more.
FENCE = {
    "absent": ("run action", "bury noop", "bury fenced", "bury settled"),
    "done": ("replay action", "run undo", "replay action", "close settled"),
    "rejected": ("replay action", "say noop", "replay action", "say settled"),
    "tombstone": ("say fenced", "say noop", "say fenced", "say settled"),
    "compensated": ("say fenced", "replay undo", "replay action", "say settled"),
    "settled": ("say fenced", "say noop", "replay action", "say settled"),
}
WORDS = {
    "noop": Reply("noop", "NOOP"),
    "fenced": Reply("fenced", "FENCED"),
    "settled": Reply("done", "SETTLED"),
}
FORMAT = 1001  # not the C library's: that one hashes bodies differently
SKEW_MS = 3_600_000  # what the clocks of orchestrator and participant may differ by
TABLES = """
CREATE TABLE IF NOT EXISTS saga_participant(
  service TEXT NOT NULL, format INTEGER NOT NULL, purged_before INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS saga_fence(
  saga TEXT NOT NULL, step TEXT NOT NULL, incarnation INTEGER NOT NULL,
  state TEXT NOT NULL, body_hash BLOB, event TEXT, content TEXT,
  undo_event TEXT, undo_content TEXT, decided_at INTEGER NOT NULL,
  PRIMARY KEY (saga, step, incarnation)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS effects(
  command_id TEXT NOT NULL, what TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
"""
THIS_ROW = "saga = ? AND step = ? AND incarnation = ?"
READ = f"""SELECT state, body_hash, event, content, undo_event, undo_content
  FROM saga_fence WHERE {THIS_ROW}"""
DECIDE = """INSERT INTO saga_fence(state, body_hash, event, content, decided_at,
  saga, step, incarnation) VALUES(?, ?, ?, ?, ?, ?, ?, ?)"""
UNDO = f"""UPDATE saga_fence SET state = 'compensated', undo_event = ?, undo_content = ?,
  decided_at = ? WHERE {THIS_ROW}"""
CLOSE = f"UPDATE saga_fence SET state = 'settled', decided_at = ? WHERE {THIS_ROW}"


def carry_out(db: sqlite3.Connection, command: Command) -> Reply:
    """Decides by the row, and writes it, in the transaction of the effect."""
    row = db.execute(READ, command.row).fetchone()
    state, body_hash, event, content, undo_event, undo_content = row or ("absent", *[None] * 5)
    if state not in FENCE:
        raise Refused(f"its row says '{state}'")
    if state == "absent":
        refuse_the_forgotten(db, command)
    digest = hashlib.blake2b(command.body, digest_size=16).digest()

    def write(sql: str, *values: object) -> None:
        db.execute(sql, (*values, now_ms(), *command.row))

    what, word = FENCE[state][OPERATIONS.index(command.operation)].split()
    if what == "run":
        reply = run(db, command)
        if word == "undo" and reply.outcome == "done":
            write(UNDO, reply.event, json.dumps(reply.content))
        if word == "action" and reply.outcome in ("done", "rejected"):
            write(DECIDE, reply.outcome, digest, reply.event, json.dumps(reply.content))
        return reply
    if what == "bury":
        write(DECIDE, "tombstone", None, None, None)
        return WORDS[word]
    if what == "close":
        write(CLOSE)
        return WORDS[word]
    if what == "say":
        return dataclasses.replace(WORDS[word], replayed=True)
    if word == "undo":
        return Reply("done", undo_event, json.loads(undo_content), replayed=True)
    if command.operation == "action" and digest != body_hash:
        raise Refused("it was decided already, with another body")
    outcome = "rejected" if state == "rejected" else "done"
    return Reply(outcome, event, json.loads(content), replayed=True)


def run(db: sqlite3.Connection, command: Command) -> Reply:
    """The verdict of the business code. What that changed is kept if the verdict is."""
    function = COMMANDS.get((command.name, command.operation))
    if function is None:
        return Reply("rejected", "COMMAND_UNKNOWN")  # as it would be the next time
    try:
        body = read_body(command.body)
    except (ValueError, RecursionError) as error:
        return Reply("rejected", "BODY_UNREADABLE", {"message": str(error)})
    db.execute("SAVEPOINT business")
    try:
        reply = function(db, body)
        db.execute("INSERT INTO effects VALUES(?, ?, ?)", (command.id, reply.event, now_ms()))
    except sqlite3.OperationalError:
        raise  # locked, full, gone: nothing is the matter with this command
    except Exception as error:
        log(f"{command.id} failed and is to be sent again: {error!r}")
        reply = Reply("retry", "RETRY", {"message": repr(error)})
    # A compensation's refusal is not kept: another revision may succeed.
    if reply.outcome == "retry" or (reply.outcome != "done" and command.operation != "action"):
        db.execute("ROLLBACK TO business")
    db.execute("RELEASE business")
    return reply


def refuse_the_forgotten(db: sqlite3.Connection, command: Command) -> None:
    """A command without a row is not answered if the row may be among the purged."""
    (purged_before,) = db.execute("SELECT purged_before FROM saga_participant").fetchone()
    # An action's row is not older than its command; elsewhere only the saga's age is known,
    # by its id, a UUIDv7. A settle asks nothing about the action.
    oldest_ms = command.issued_ms
    if command.operation != "action" and command.saga[14] == "7":
        oldest_ms = min(oldest_ms, int(command.saga[:8] + command.saga[9:13], 16))
    if purged_before > 0 and oldest_ms < purged_before + SKEW_MS and command.operation != "settle":
        raise Refused("it is older than the rows that are kept")


def read_body(raw: bytes) -> dict:
    """The body's object. ValueError, RecursionError: it is none, or over the limits."""

    def unique(pairs: list) -> dict:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a key stands twice")
        return dict(pairs)

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is not JSON")

    def depth(value: object) -> int:
        inside = value.values() if isinstance(value, dict) else value
        return 1 + max(map(depth, inside), default=0) if isinstance(value, dict | list) else 0

    body = json.loads(raw.decode(), object_pairs_hook=unique, parse_constant=refuse)
    if not isinstance(body, dict) or depth(body) > 32:
        raise ValueError("it is not an object of at most 32 levels")
    json.dumps(body, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    return body


# ------------------------------------------------------------------ the database


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def open_database(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=5, isolation_level=None)  # transactions are ours
    db.execute("PRAGMA journal_mode = TRUNCATE")
    db.execute("PRAGMA synchronous = FULL")
    with transaction(db):
        for table in f"{TABLES}{BUSINESS_TABLES}".split(";"):
            db.execute(table)
        db.execute(
            "INSERT INTO saga_participant SELECT ?, ?, 0"
            " WHERE NOT EXISTS (SELECT 1 FROM saga_participant)",
            (SERVICE, FORMAT),
        )
    owner = db.execute("SELECT service, format FROM saga_participant").fetchone()
    if owner != (SERVICE, FORMAT):
        raise sqlite3.DatabaseError(f"it is of {owner}, not of {(SERVICE, FORMAT)}")
    return db


@contextlib.contextmanager
def transaction(db: sqlite3.Connection):
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def purge(db: sqlite3.Connection, days: int) -> int:
    """Deletes the rows older than that, and remembers that they are gone."""
    before_ms = now_ms() - days * 86_400_000
    with transaction(db):
        deleted = db.execute("DELETE FROM saga_fence WHERE decided_at < ?", (before_ms,)).rowcount
        sql = "UPDATE saga_participant SET purged_before = max(purged_before, ?)"
        db.execute(sql, (before_ms,))
    return deleted


# -------------------------------------------------------------------- the broker

BODY_BYTES_MAX = 1 << 20
PREFETCH = 512
STOP = {signal.SIGTERM, signal.SIGINT}
NAME = "[A-Za-z0-9._:-]{1,128}"
ID = "[A-Za-z0-9._:/-]{1,255}"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)"
SAGA = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def log(text: str) -> None:
    print(f"{SERVICE}: {text}", file=sys.stderr, flush=True)


def read_command(method, properties, body: bytes) -> Command:
    """What has been delivered, as a command of this service."""
    headers = properties.headers or {}

    def text(value: object, pattern: str, what: str) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise Refused(f"it has no usable {what}")
        return value

    def number(name: str) -> int:  # or its decimal text
        value = headers.get(name)
        digits = f"{value:d}" if type(value) in (int, pika.compat.long) else value
        return int(text(digits, "[1-9][0-9]{0,9}", name))

    command = Command(
        name=text(properties.type, NAME, "type"),
        id=text(properties.message_id, ID, "message_id"),
        saga=text(headers.get("saga-id"), SAGA, "saga-id"),
        step=text(headers.get("saga-step"), NAME, "saga-step"),
        incarnation=number("saga-incarnation"),
        operation=text(headers.get("saga-operation"), "|".join(OPERATIONS), "saga-operation"),
        attempt=number("saga-attempt"),
        issued_ms=time_ms(text(headers.get("saga-issued-at"), TIME, "saga-issued-at")),
        reply_to=text(properties.reply_to, ".+", "reply_to"),
        body=body,
    )
    text(properties.correlation_id, re.escape(command.id), "correlation_id")
    number("saga-revision")
    if command.operation in ("fence", "settle"):
        ours = command.name == f"{SERVICE}.{command.operation}"
    else:
        is_alias = (command.name, command.operation) in COMMANDS  # such as pay.bill
        ours = command.name.startswith(SERVICE + ".") or is_alias
    if not ours:
        raise Refused(f"{command.name} is not of {SERVICE}")
    if len(body) > BODY_BYTES_MAX:
        raise Refused(f"its body is over {BODY_BYTES_MAX} bytes")
    return command


def time_ms(text: str) -> int:
    try:
        return int(datetime.datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise Refused(f"{text} is no time") from error


def decode_header(encoded: bytes, offset: int) -> tuple[object, int]:
    """As pika does it; but what pika cannot (a time after the year 9999, tables in tables
    without end) is skipped: else one such message would break each connection anew."""
    try:
        return pika_decode_value(encoded, offset)
    except (ValueError, ArithmeticError, OSError, RecursionError):
        is_time = encoded[offset : offset + 1] == b"T"
        size = 8 if is_time else 4 + struct.unpack_from(">I", encoded, offset + 1)[0]
        return None, offset + 1 + size


pika_decode_value, pika.data.decode_value = pika.data.decode_value, decode_header


def reply_properties(command: Command, reply: Reply) -> pika.BasicProperties:
    headers = {"saga-outcome": reply.outcome, "saga-attempt": command.attempt}
    if reply.replayed:
        headers["saga-replayed"] = 1
    return pika.BasicProperties(
        content_type="application/json",
        correlation_id=command.id,
        delivery_mode=1,  # the orchestrator asks again for what a broker loses
        headers=headers,
    )


def answer(db: sqlite3.Connection, channel, deliveries: list) -> None:
    """Carries out all that has arrived in one transaction; then answers; then acks."""
    outcomes: list[tuple[Command | None, Reply | Refused]] = []
    with transaction(db):
        for delivery in deliveries:
            command = None
            try:
                command = read_command(*delivery)
                outcomes.append((command, carry_out(db, command)))
            except Refused as refused:
                outcomes.append((command, refused))
    for (method, properties, _), (command, reply) in zip(deliveries, outcomes):
        if isinstance(reply, Refused):
            log(f"to the dead letters: {method.routing_key} {properties.message_id}: {reply}")
            channel.basic_reject(method.delivery_tag, requeue=False)
            continue
        text = {"id": command.id, "content": reply.content, "reply_state": reply.event}
        properties = reply_properties(command, reply)
        raw = json.dumps(text).encode()
        # On one channel, and so in this order: who dies in between is asked again.
        channel.basic_publish(method.exchange, command.reply_to, raw, properties)
        channel.basic_ack(method.delivery_tag)


def open_channel(connection: pika.BlockingConnection, exchange: str, queue_type: str):
    """Declares what a service owns: its queue, the dead letters, the binding."""
    channel = connection.channel()
    channel.exchange_declare(exchange, "topic", durable=True)
    dead = f"{SERVICE}.dead"
    replicated: dict = {"x-queue-type": "quorum"} if queue_type == "quorum" else {}
    channel.queue_declare(dead, durable=True, arguments=replicated)
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead, **replicated}
    if queue_type == "quorum":
        arguments["x-delivery-limit"] = 20
    channel.queue_declare(SERVICE, durable=True, arguments=arguments)
    channel.queue_bind(SERVICE, exchange, f"{SERVICE}.#")
    channel.basic_qos(prefetch_count=PREFETCH)
    return channel


def serve_connection(db: sqlite3.Connection, connection, exchange: str, queue_type: str) -> None:
    """Serves until the connection is lost (AMQPError) or a signal has come."""
    channel = open_channel(connection, exchange, queue_type)
    deliveries: list = []
    cancelled: list = []
    channel.add_on_cancel_callback(cancelled.append)  # the queue was deleted
    channel.basic_consume(SERVICE, lambda _, *delivery: deliveries.append(delivery))
    log("ready")
    while channel.is_open and not cancelled and not signal.sigpending() & STOP:
        connection.process_data_events(time_limit=0.5)
        if deliveries:
            answer(db, channel, deliveries)
            deliveries.clear()


def serve(db: sqlite3.Connection, hosts: list, exchange: str, queue_type: str) -> None:
    """Connects, again and again, until SIGTERM. Any moment is right for a kill -9."""
    # Blocked, and looked for between two transactions: nothing is interrupted half-way.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # its reasons are in the exceptions
    longest_s = 0.05
    while not signal.sigpending() & STOP:
        random.shuffle(hosts)
        began_s = time.monotonic()
        try:
            with pika.BlockingConnection(hosts) as connection:
                serve_connection(db, connection, exchange, queue_type)
        except Exception as error:  # pika has many; whatever it was, what is open comes again
            log(f"not connected: {error!r}")
        lasted = time.monotonic() - began_s > 10
        longest_s = 0.1 if lasted else min(longest_s * 2, 30)
        # Stopped and continued past its time, it returns something that is no signal.
        caught = signal.sigtimedwait(STOP, random.uniform(0.1, longest_s))
        if caught is not None and caught.si_signo in STOP:
            break
    log("stopped")


def brokers(url: str) -> list[pika.URLParameters]:
    """amqp://user:password@a:5672,b:5672/vhost names two."""
    match = re.fullmatch(r"(amqps?://(?:[^@/]*@)?)([^@/?]+)(.*)", url)
    if match is None:
        raise argparse.ArgumentTypeError("expected amqp://USER:PASSWORD@HOST:PORT/VHOST")
    head, hosts, tail = match.groups()
    found = [pika.URLParameters(head + host + tail) for host in hosts.split(",")]
    for parameters in found:
        parameters.heartbeat = 10
        parameters.socket_timeout = parameters.stack_timeout = 5
        parameters.blocked_connection_timeout = 30  # a broker's alarm; then look around again
    return found


# -------------------------------------------------------------- the command line


def main() -> None:
    parser = argparse.ArgumentParser(description="The parking service of the booking example.")
    file = os.environ.get("DATABASE_URL", "").removeprefix("sqlite:///")
    parser.add_argument("--db", default=file, required=not file, help="the SQLite database's file")
    verbs = parser.add_subparsers(dest="verb", required=True)
    create = verbs.add_parser("create_parking_slot", help="adds a slot, and shows it")
    create.add_argument("--name", required=True)
    verbs.add_parser("parking_slot_list", help="shows all slots, a JSON object a line")
    old = verbs.add_parser("purge", help="deletes old rows of the fence")
    old.add_argument("--days", type=int, default=30, help="how old; 30 if not said")
    server = verbs.add_parser("serve", help="carries out commands until SIGTERM")
    url = os.environ.get("RABBITMQ_BROKER_URL")
    server.add_argument("--amqp", metavar="URL", type=brokers, default=url, required=not url)
    server.add_argument("--exchange", default="BOOKING_TX_EVENT_STORE")
    server.add_argument("--queue-type", choices=("classic", "quorum"), default="classic")
    options = parser.parse_args()
    try:
        db = open_database(options.db)
        if options.verb == "serve":
            serve(db, options.amqp, options.exchange, options.queue_type)
        elif options.verb == "purge":
            print(json.dumps({"purged": purge(db, options.days)}))
        elif options.verb == "create_parking_slot":
            show_slots(db, create_slot(db, options.name))
        else:
            show_slots(db)
    except sqlite3.Error as error:
        raise SystemExit(f"{SERVICE}: {options.db}: {error}") from error


if __name__ == "__main__":
    main()
