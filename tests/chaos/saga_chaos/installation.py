"""Where sagas run: processes of our own in a folder, or an installation of the user's.

Both give the same: `targets` (by name), `api`, `slots`, `queues` and `proxy` (or None), `sagas`
to start, and after the run the evidence: the export and the databases."""

import json
import os
import re
import sqlite3
import subprocess

from .api import Api
from .broker import Node, Queues
from .evidence import DATABASES, copy_database
from .load import LIMIT, RESERVATION_FAILS
from .processes import OwnProcess, TheirProcess, Trouble, await_true, free_port, need_program, run
from .proxy import Proxy

SERVICES = DATABASES
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", "..", ".."))
START_S = 60.0
CHECKPOINT_RECORDS = 500  # some daemons die while they write one

# The same booking by somebody who waits for nobody: it meets unknown outcomes, fences and late
# replies all the time.
HASTY = [("saga: booking", "saga: booking-hasty"), ("timeout: 10s", "timeout: 1s"),
         ("deadline: 5m", "deadline: 20s"), ("attempts: 5", "attempts: 2")]


def write_definitions(folder):
    """booking.yaml as it is, and a hasty one. Returns the names of the sagas."""
    with open(os.path.join(ROOT, "examples", "booking", "booking.yaml"), encoding="utf-8") as file:
        text = file.read()
    hasty = text
    for old, new in HASTY:
        if old not in hasty:
            raise Trouble(f"examples/booking/booking.yaml has no '{old}'")
        hasty = hasty.replace(old, new)
    os.makedirs(folder)
    for name, content in (("booking", text), ("booking-hasty", hasty)):
        with open(os.path.join(folder, name + ".yaml"), "w", encoding="utf-8") as file:
            file.write(content)
    return ["booking", "booking", "booking-hasty"]  # a third of them is hasty


class Own:
    """Everything in `folder`: a broker, the daemon, the services. In-process: `sagad dev` alone."""

    foreign = False

    def __init__(self, folder, programs, slots, seed, in_process):
        self.folder = folder
        self.programs = programs
        self.in_process = in_process
        self.data = os.path.join(folder, "data")
        self.targets = {}
        self.queues = None
        self.proxy = None
        self.node = None
        self.seed = seed
        os.makedirs(self.data, mode=0o750)
        self.sagas = write_definitions(os.path.join(folder, "definitions"))
        self.slots = [self.create_slot(number) for number in range(slots)]
        self.api = Api("unix:" + os.path.join(self.data, "sagad.sock"))

    def program(self, name):
        return need_program(os.path.join(self.programs, name))

    def path(self, name):
        return os.path.join(self.folder, name)

    def database(self, name):
        return os.path.join(self.data, name + ".db")

    def create_slot(self, number):
        line = run([self.program("parking"), "--db", self.database("parking"),
                    "create_parking_slot", f"--name=Slot {number}"])
        return json.loads(line)["uuid"]

    def add(self, name, words):
        self.targets[name] = OwnProcess(name, words, self.path(name + ".log"))

    def open(self):
        daemon = [self.program("sagad")]
        fail, limit = f"--fail=parking.reserve={RESERVATION_FAILS}", f"--limit={LIMIT}"
        if self.in_process:
            daemon += ["dev", "--log-level=info", fail, limit]
        else:
            self.open_broker()
            url = f"amqp://guest:guest@127.0.0.1:{self.proxy.port}"
            daemon += ["--amqp", url]
            switches = {"parking": [fail], "billing": [limit], "booking": []}
            for name in SERVICES:
                self.add(name, [self.program(name), "--db", self.database(name), "serve",
                                "--amqp", url, "--http", str(free_port()), *switches[name]])
        self.add("daemon", daemon + ["--data-dir", self.data, "--definitions",
                                     self.path("definitions"),
                                     f"--checkpoint-records={CHECKPOINT_RECORDS}"])
        for target in self.targets.values():
            if target is not self.node:
                target.start()
        for target in self.targets.values():
            await_true(target.started, START_S, target.name)
        await_true(lambda: self.targets["daemon"].started() and self.api.stats(), START_S,
                   "the daemon's API")

    def open_broker(self):
        self.node = Node(os.path.join(ROOT, "scripts", "broker"), self.path("broker"),
                         self.path("broker.log"))
        self.targets["broker"] = self.node
        url = self.node.open()
        self.queues = Queues(url)
        port = int(re.search(r":(\d+)(/|$)", url.rpartition("@")[2]).group(1))
        self.proxy = Proxy("127.0.0.1", port, seed=self.seed).open()

    def reply_queue(self):
        with open(os.path.join(self.data, "log", "log.id"), encoding="utf-8") as file:
            return "saga.replies." + re.search(r"^id (\S+)$", file.read(), re.M).group(1)

    def own_queues(self):
        return [self.reply_queue(), "saga.start", *SERVICES]

    def set_alarm(self, on):
        self.node.alarm(on)

    def can_alarm(self):
        return self.node is not None

    def can_wipe(self):
        return self.node is not None

    def wipe_at_next_start(self):
        self.node.wiping = True

    def end(self):
        """Ends all but the broker. {name: 0 or what went wrong}."""
        names = [name for name in self.targets if name != "broker"]
        names.sort(key=lambda name: name != "daemon")  # it first
        return {name: self.targets[name].end() for name in names}

    def collect(self, folder):
        """The evidence. Returns the status of the export."""
        for name in DATABASES:
            copy_database(self.database(name), os.path.join(folder, name + ".db"))
        return export([self.program("sagalog"), "--data-dir", self.data, "export"], folder)

    def abandon(self):
        for target in self.targets.values():
            target.abandon()
        if self.proxy:
            self.proxy.close()


class Theirs:
    """An installation as a file describes it (saga-chaos --help)."""

    foreign = True
    in_process = False

    def __init__(self, path, slots, seed):
        try:
            with open(path, encoding="utf-8") as file:
                self.words = json.load(file)
            self.api = Api(self.words["server"])
            self.export_words = self.words["export"]
            self.databases = {name: self.words["databases"][name] for name in DATABASES}
            self.slot_words = self.words["create_slot"]
        except (OSError, ValueError, KeyError) as error:
            raise Trouble(f"{path}: {error!r} (saga-chaos --help says what it needs)") from error
        self.targets = {name: TheirProcess(name, words)
                        for name, words in self.words.get("targets", {}).items()}
        self.queues = Queues(self.words["amqp"]) if "amqp" in self.words else None
        self.proxy = None
        self.seed = seed
        self.sagas = self.words.get("sagas", ["booking"])
        self.slots = [self.create_slot(number) for number in range(slots)]

    def create_slot(self, number):
        line = run([word.replace("{}", f"Chaos {number}") for word in self.slot_words])
        try:
            return json.loads(line)["uuid"]
        except (ValueError, KeyError) as error:
            raise Trouble(f"create_slot printed no uuid: {line.strip()}") from error

    def open(self):
        if "proxy" in self.words:
            host, _, port = self.words["proxy"]["target"].rpartition(":")
            self.proxy = Proxy(host, int(port), seed=self.seed,
                               port=self.words["proxy"]["listen"]).open()
        if self.api.stats(timeout_s=5) is None:
            raise Trouble(f"the daemon at {self.words['server']} does not answer")
        for target in self.targets.values():
            target.pid()

    def reply_queue(self):
        return self.words.get("reply_queue")

    def own_queues(self):
        return self.words.get("queues", list(SERVICES)) + (
            [self.reply_queue()] if self.reply_queue() else [])

    def can_alarm(self):
        return "alarm_on" in self.words and "alarm_off" in self.words

    def set_alarm(self, on):
        run(self.words["alarm_on" if on else "alarm_off"])

    def can_wipe(self):
        return "wipe" in self.words

    def wipe_at_next_start(self):
        run(self.words["wipe"])

    def end(self):
        return {name: target.end() for name, target in self.targets.items()}

    def collect(self, folder):
        for name, path in self.databases.items():
            source = sqlite3.connect(f"file:{path}?mode=rw", uri=True)
            target = sqlite3.connect(os.path.join(folder, name + ".db"))
            source.backup(target)
            source.close()
            target.close()
        return export(self.export_words, folder)

    def abandon(self):
        for target in self.targets.values():
            target.resume()
        if self.proxy:
            self.proxy.close()


def export(words, folder):
    with open(os.path.join(folder, "export.jsonl"), "wb") as file:
        return subprocess.run(words, stdin=subprocess.DEVNULL, stdout=file, check=False).returncode
