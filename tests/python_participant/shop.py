"""The real programs, and sagas on them: what the tests with a daemon share."""

import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile
import unittest

from harness import PATIENCE_S, ROOT, Broker, Process

BIN = pathlib.Path(os.environ.get("SAGA_BIN", ROOT / "build" / "bin")).resolve()
COMPLETED, COMPENSATED, PARKED = 0, 5, 6  # exit statuses of sagactl start --wait


class Shop(unittest.TestCase):
    """A daemon and our booking service, new for each test; the broker is the class's."""

    saga = "booking"  # as it is called, and its file
    broker: Broker

    @classmethod
    def setUpClass(cls) -> None:
        cls.broker = Broker()
        cls.addClassCleanup(cls.broker.close)

    def setUp(self) -> None:
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="saga-python-"))
        self.addCleanup(shutil.rmtree, self.folder)
        (self.folder / "data").mkdir(mode=0o750)
        (self.folder / "definitions").mkdir()
        with self.broker.connect() as connection:
            for service in ("booking", "parking", "billing"):
                connection.channel().queue_delete(service)  # and what the test before left in it
        definition = ROOT / "examples" / "booking" / f"{self.saga}.yaml"
        shutil.copy(definition, self.folder / "definitions")
        self.processes: list[Process] = []
        self.addCleanup(lambda: [process.kill() for process in self.processes])
        self.daemon = self.start_daemon()
        self.booking = self.start_ours("booking")

    def start(self, ready: tuple[str, ...], *command: object) -> Process:
        """Returns when it has said so."""
        process = Process(*command)
        self.processes.append(process)
        process.await_lines(*ready)
        return process

    def start_daemon(self) -> Process:
        return self.start(
            ("is ready", "commands: connected", "replies: connected"),
            BIN / "sagad",
            "--data-dir", self.folder / "data",
            "--log-level", "debug",
            "--definitions", self.folder / "definitions",
            "--amqp", self.broker.url,
        )  # fmt: skip

    def start_ours(self, service: str, *switches: str) -> Process:
        file = self.folder / f"{service}.db"
        serve = ("serve", "--http", "0", "--amqp", self.broker.url, *switches)
        return self.start(("carrying out",), BIN / service, "--db", file, *serve)

    def kill(self, process: Process) -> None:
        process.kill()
        self.processes.remove(process)

    def query(self, service: str, sql: str, *parameters: object) -> list[tuple]:
        db = sqlite3.connect(self.folder / f"{service}.db", timeout=30, isolation_level=None)
        try:
            return db.execute(sql, parameters).fetchall()
        finally:
            db.close()

    def sagactl(self, *words: str) -> tuple[int, str, str]:
        """Its exit status, and what it has said on standard output and standard error."""
        command = [BIN / "sagactl", "--data-dir", self.folder / "data", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=4 * PATIENCE_S)
        return done.returncode, done.stdout, done.stderr

    def order(self, slot: str) -> tuple[str, ...]:
        """A slot is the saga's start key, too: ordered again, it starts no second one."""
        return ("start", self.saga, "--input", json.dumps({"parking_slot_uuid": slot}), "--key", slot)

    def book(self, slot: str) -> str:
        """Starts the saga; returns its id."""
        code, out, error = self.sagactl(*self.order(slot))
        self.assertEqual(code, 0, error)
        return out.strip()

    def look(self, saga: str) -> tuple[str, dict]:
        """The saga's status, and its steps by their names."""
        code, out, error = self.sagactl("get", "--json", saga)
        self.assertEqual(code, 0, error)
        shown = json.loads(out)
        return shown["status"], {step["name"]: step for step in shown["steps"]}

    def assert_ends(self, slot: str, status: int) -> None:
        """Waits for the end of the slot's saga."""
        wait = ("--wait", "--timeout", f"{2 * PATIENCE_S}s")
        code, out, error = self.sagactl(*self.order(slot), *wait)
        self.assertEqual(code, status, out + error)
