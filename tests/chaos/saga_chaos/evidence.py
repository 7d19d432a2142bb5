"""What a run leaves behind, read back: the evidence folder.

    run.json       what was done to the installation, and what the rules of this run are
    history.jsonl  what the clients asked, what they heard, and when
    export.jsonl   the log, as `sagalog export` gives it
    parking.db, booking.db, billing.db (each with its -journal, if there was one)

Nothing here comes from the orchestrator's code: the export's lines, the tables and
the API's answers are read as docs/ describes them.
"""

import json
import os
import shutil
import sqlite3

DATABASES = ("parking", "booking", "billing")


class Bad(Exception):
    """The evidence cannot be read; the text says which file and why."""


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.write("\n")


def read_json(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise Bad(f"{path}: {error}") from error


def read_lines(path):
    """The JSON values of a file that has one a line."""
    values = []
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    values.append(json.loads(line))
                except ValueError as error:
                    raise Bad(f"{path}, line {number}: {error}") from error
    except OSError as error:
        raise Bad(f"{path}: {error}") from error
    return values


def read_records(path):
    """Those of an export; its other lines say what the log is, and what stands in its tables."""
    return [line for line in read_lines(path) if "lsn" in line or "fact" in line]


def copy_database(source, target):
    """A database that nobody writes any more, with the journal of a transaction that was cut
    short: whoever opens the copy takes that back."""
    for suffix in ("", "-journal"):
        if os.path.exists(target + suffix):
            os.remove(target + suffix)
        if suffix == "" or os.path.exists(source + suffix):
            shutil.copyfile(source + suffix, target + suffix)


def query(path, sql):
    try:
        # Opened for writing: a hot journal is rolled back by whoever reads first.
        connection = sqlite3.connect(f"file:{path}?mode=rw", uri=True)
        try:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql)]
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise Bad(f"{path}: {error}") from error


class Effect:
    """A row of `effects`: business code ran once for this command. `place` orders it among
    the effects and nothing else."""

    def __init__(self, service, row):
        self.service = service
        self.place = row["place"]
        self.command = row["command_id"]
        self.what = row["what"]
        parts = self.command.split("/")
        if len(parts) != 5 or not (parts[2].isdigit() and parts[4].isdigit()):
            raise Bad(f"{service}.db: the effect {self.place} is of '{self.command}', "
                      "which is no command's id")
        self.saga, self.step, self.operation = parts[0], parts[1], parts[3]
        self.incarnation, self.revision = int(parts[2]), int(parts[4])

    @property
    def key(self):
        return self.saga, self.step, self.incarnation, self.operation

    def __str__(self):
        return f"{self.service}.db, effects row {self.place}, {self.command} {self.what}"


class Evidence:
    def __init__(self, folder):
        def path(name):
            return os.path.join(folder, name)

        self.folder = folder
        self.run = read_json(path("run.json"))
        self.history = read_lines(path("history.jsonl"))
        self.records = read_records(path("export.jsonl"))
        self.effects = []
        self.fences = []
        for name in DATABASES:
            for row in query(path(name + ".db"),
                             "SELECT rowid AS place, command_id, what FROM effects ORDER BY rowid"):
                self.effects.append(Effect(name, row))
            for row in query(path(name + ".db"),
                             "SELECT saga, step, incarnation, state, event FROM saga_fence"):
                self.fences.append(dict(row, service=name))
        self.bookings = query(path("booking.db"),
                              "SELECT id, status, parking_slot_ref_no AS reference FROM bookings")
        self.slots = query(path("parking.db"),
                           "SELECT uuid, status, held_by AS holder FROM parking_slots")
        self.bills = query(path("billing.db"),
                           "SELECT id, total, status, reference_no AS reference "
                           "FROM billing_requests")


def saga_of(reference):
    """The saga in a reference <slot>:<saga>; the slot is an uuid of the same kind."""
    return (reference or "").rpartition(":")[2]
