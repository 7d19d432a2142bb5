"""saga-growth: many bookings through one daemon and three services, each one process from the
beginning to the end, over a private broker. What they hold is read when no saga is open, at some
numbers of ended sagas: memory of their own, file descriptors and threads, none of which may have
grown, but by what the daemon keeps of a saga (docs/performance.md). Then they are ended by
SIGTERM, and have to end with 0: in a build with the address sanitizer that is its word that
nothing is lost. There the memory is not judged, since the sanitizer holds what was freed.

    saga-growth --programs build/bin --sagas 100000 --looks 20000,60000,70000

Most sagas are started by messages to saga.start, the others over the API. Some complete, the
others are compensated, for three reasons. Exit status: 0; 1 something has grown, was lost, or has
ended as no saga should; 4 it could not be tried.
"""

import argparse
import collections
import json
import os
import queue
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid

from .api import Api
from .broker import Node, Queues
from .installation import ROOT, SERVICES, START_S
from .load import LIMIT
from .processes import OwnProcess, Trouble, await_true, free_port, need_program, run, tail

ENDS = ("completed", "compensated")
ANSWERS = "growth.answers"
OVER_HTTP = 20  # every so many sagas one is started over the API
HTTP_CLIENTS = 4
PATIENCE_S = 120  # for the next end of a saga
END_S = 120  # from SIGTERM to the end: the sanitizer looks at all memory first
SETTLE_S = 20  # for what goes by itself

# The daemon keeps sagas that have ended until a checkpoint has them (recovery/roster.h), and of
# each start key its bits in a filter (recovery/key_filter.h), which is made anew when keys are
# merged. Far fewer sagas go between two checkpoints than between two looks.
CHECKPOINT_RECORDS = 10000
FILTER_BYTES = 4

COMPLAINTS = ("Sanitizer", "runtime error:")


def kept_bytes(before, now):
    """How much more the daemon may keep of so many sagas than of those before."""
    return (now - before) * FILTER_BYTES


class Held:
    """What a process holds now. Memory that is mapped from files (the log) is not its own."""

    def __init__(self, pid):
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            status = dict(line.split(":", 1) for line in file)
        self.memory = sum(int(status[name].split()[0]) for name in ("RssAnon", "VmSwap")) * 1024
        self.threads = int(status["Threads"])
        self.files = len(os.listdir(f"/proc/{pid}/fd"))


class Site:
    """A broker, the daemon and the services in a folder."""

    def __init__(self, folder, programs, sagas):
        self.folder = folder
        self.programs = programs
        self.data = os.path.join(folder, "data")
        self.node = Node(os.path.join(ROOT, "scripts", "broker"), self.path("broker"),
                         self.path("broker.log"))
        self.processes = {}
        self.slots = [str(uuid.UUID(int=number + 1)) for number in range(sagas)]
        os.makedirs(self.data, mode=0o750)
        os.mkdir(self.path("definitions"))
        shutil.copy(os.path.join(ROOT, "examples", "booking", "booking.yaml"),
                    self.path("definitions"))
        self.create_slots()
        self.api = Api("unix:" + os.path.join(self.data, "sagad.sock"), timeout_s=60.0)

    def path(self, name):
        return os.path.join(self.folder, name)

    def program(self, name):
        return need_program(os.path.join(self.programs, name))

    def database(self, name):
        return os.path.join(self.data, name + ".db")

    def create_slots(self):
        """One by the program, which makes the table; the others in one transaction."""
        run([self.program("parking"), "--db", self.database("parking"), "create_parking_slot",
             "--name=Slot"])
        database = sqlite3.connect(self.database("parking"))
        with database:
            database.executemany("INSERT INTO parking_slots(uuid, name) VALUES(?, 'Slot')",
                                 ((slot,) for slot in self.slots))
        database.close()

    def start(self, name, words):
        self.processes[name] = OwnProcess(name, words, self.path(name + ".log"))
        self.processes[name].start()

    def open(self):
        url = self.node.open()
        switches = {"parking": ["--fail=parking.reserve=0.1"], "booking": [],
                    "billing": [f"--limit={LIMIT}"]}
        for name in SERVICES:
            self.start(name, [self.program(name), "--db", self.database(name), "serve", "--amqp",
                              url, "--http", str(free_port()), *switches[name]])
        self.start("sagad", [self.program("sagad"), "--data-dir", self.data, "--definitions",
                             self.path("definitions"), "--amqp", url,
                             f"--checkpoint-records={CHECKPOINT_RECORDS}"])
        queues = Queues(url)
        await_true(lambda: self.alive() and all(
            queues.messages(name) is not None for name in (*SERVICES, "saga.start")),
            START_S, "the queues of all")
        await_true(lambda: self.api.request("GET", "/readyz")[0] == 200, START_S, "readyz")
        return url

    def alive(self):
        return all(process.started() for process in self.processes.values())

    def held(self):
        return {name: Held(process.pid()) for name, process in self.processes.items()}

    def end(self):
        """SIGTERM to each. What is wrong with how they have ended."""
        wrong = []
        for name, process in self.processes.items():
            process.signal(signal.SIGTERM)
        for name, process in self.processes.items():
            try:
                status = process.process.wait(END_S)
            except subprocess.TimeoutExpired:
                status = f"not within {END_S} s"
            if status != 0:
                wrong.append(f"{name} ended with {status}: {tail(process.journal)}")
            with open(process.journal, encoding="utf-8", errors="replace") as journal:
                said = journal.read()
            if status == 0 and any(complaint in said for complaint in COMPLAINTS):
                wrong.append(f"{name}: {said[-1500:]}")
        return wrong

    def abandon(self):
        for process in self.processes.values():
            process.abandon()
        self.node.abandon()


class Load:
    """Sagas, so many at a time, until so many have ended."""

    def __init__(self, site, url, in_flight):
        import pika
        self.pika = pika
        self.site = site
        self.in_flight = in_flight
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()
        self.channel.queue_declare(ANSWERS, exclusive=True)
        self.channel.basic_consume(ANSWERS, self.answered, auto_ack=True)
        self.started = 0
        self.ends = collections.Counter()
        self.open = 0
        self.target = 0
        self.wrong = []
        self.asked = queue.Queue()  # to be started over the API
        self.told = queue.Queue()  # their ends

    def data(self, number):
        """Each has a slot of its own; every tenth wants its predecessor's, every seventh is too
        dear."""
        slot = self.site.slots[number - 1 if number % 10 == 9 else number]
        return {"parking_slot_uuid": slot, "total": LIMIT + 1 if number % 7 == 6 else 10000}

    def start(self):
        number = self.started
        self.started += 1
        self.open += 1
        if number % OVER_HTTP == 0:
            self.asked.put(number)
            return
        self.channel.basic_publish(
            "", "saga.start", json.dumps(self.data(number)).encode(),
            self.pika.BasicProperties(type="booking", message_id=f"growth-{number}",
                                      reply_to=ANSWERS, correlation_id=str(number)))

    def ended(self, status):
        self.open -= 1
        self.ends[status] += 1
        if status not in ENDS:
            self.wrong.append(f"a saga is {status}")
        while self.open < self.in_flight and self.started < self.target:
            self.start()

    def answered(self, _channel, _method, properties, body):
        if properties.type == "saga.ended":
            self.ended(json.loads(body)["status"])
        elif properties.type != "saga.started":
            self.wrong.append(f"a start was answered by {properties.type}: {body!r}")

    def client(self):
        """Starts over the API, each over a connection of its own, and waits."""
        while (number := self.asked.get()) is not None:
            status, answer = self.site.api.start("booking", f"growth-{number}", self.data(number))
            if status == 201:
                path, deadline = f"/v1/sagas/{answer['id']}?wait=20s", time.monotonic() + PATIENCE_S
                state = "running"
                while state in ("running", "compensating") and time.monotonic() < deadline:
                    _, answer = self.site.api.request("GET", path)
                    state = answer["status"] if isinstance(answer, dict) else "not to be seen"
                self.told.put(state)
            else:
                self.told.put(f"not started: {status} {answer}")

    def run_until(self, target):
        """Until so many have ended, and none is open."""
        clients = [threading.Thread(target=self.client, daemon=True) for _ in range(HTTP_CLIENTS)]
        for client in clients:
            client.start()
        self.target = target
        moved, count = time.monotonic(), -1
        while not self.wrong and (self.open > 0 or self.started < target):
            while self.open < self.in_flight and self.started < target:
                self.start()
            self.connection.process_data_events(time_limit=0.05)
            while not self.told.empty():
                self.ended(self.told.get())
            if count != sum(self.ends.values()):
                moved, count = time.monotonic(), sum(self.ends.values())
            elif time.monotonic() - moved > PATIENCE_S or not self.site.alive():
                raise Trouble(f"no saga has ended for {PATIENCE_S} s; {count} have before")
        for _ in clients:
            self.asked.put(None)
        for client in clients:
            client.join()


class Looks:
    """What was held, and when."""

    def __init__(self, slack, with_memory):
        self.slack = slack
        self.with_memory = with_memory
        self.looks = []  # (sagas, {name: Held})

    def judge_one(self, name, before, first, sagas, now):
        kept = kept_bytes(before, sagas) if name == "sagad" else 0
        grown = now.memory - first.memory
        if self.with_memory and grown > kept + self.slack:
            yield (f"{name}: {grown} bytes more after {sagas} sagas than after {before}: more "
                   f"than the {kept} that it keeps of them and {self.slack} of slack")
        if now.files > first.files:
            yield (f"{name}: {now.files} files are open after {sagas} sagas; there were "
                   f"{first.files} after {before}")
        if now.threads > first.threads:
            yield (f"{name}: {now.threads} threads after {sagas} sagas; there were "
                   f"{first.threads} after {before}")

    def judge(self, sagas, held):
        """What has grown since any earlier look."""
        return [wrong for before, looked in self.looks for name, now in held.items()
                for wrong in self.judge_one(name, before, looked[name], sagas, now)]

    def take(self, site, sagas):
        """Returns what has grown, if it does not go within SETTLE_S."""
        time.sleep(1)  # for what our own connections have left behind
        held = site.held()
        deadline = time.monotonic() + SETTLE_S
        while (wrong := self.judge(sagas, held)) and time.monotonic() < deadline:
            time.sleep(0.2)
            held = site.held()
        self.looks.append((sagas, held))
        for name, now in held.items():
            more = now.memory - self.looks[0][1][name].memory
            print(f"| {sagas} | {name} | {now.memory / 1024:.0f} | {more / 1024:+.0f} | "
                  f"{now.files} | {now.threads} |", flush=True)
        return wrong


def measure(site, options):
    """What is wrong."""
    load = Load(site, site.open(), options.in_flight)
    looks = Looks(options.slack_kb * 1024, not options.sanitized)
    begin = time.monotonic()
    print("| sagas | process | own memory, KiB | more than at first | files | threads |\n"
          "| --- | --- | --- | --- | --- | --- |", flush=True)
    for target in sorted({*options.looks, options.sagas}):
        load.run_until(target)
        load.wrong += looks.take(site, target)
        if load.wrong:
            break
    seconds = time.monotonic() - begin
    for end in ENDS:
        if load.ends[end] == 0:
            load.wrong.append(f"no saga was {end}")
    stats = site.api.stats(timeout_s=30)
    load.connection.close()
    wrong = load.wrong + site.end()
    print(f"{sum(load.ends.values())} sagas ended in {seconds:.0f} s: "
          + ", ".join(f"{count} {end}" for end, count in sorted(load.ends.items())))
    if stats is None or stats["sagas"]["open"] != 0:
        wrong.append(f"the daemon does not say that no saga is open: {stats}")
    return wrong


def read_options(words):
    parser = argparse.ArgumentParser(
        prog="saga-growth", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", default=os.path.join(ROOT, "build", "bin"), metavar="FOLDER",
                        help="where sagad, parking, booking and billing are (build/bin)")
    parser.add_argument("--sagas", type=int, default=100000, metavar="N", help="so many (100000)")
    parser.add_argument("--looks", default="20000,60000,70000", metavar="N,...",
                        type=lambda text: [int(word) for word in text.split(",")],
                        help="after how many the processes are looked at, and at the end "
                             "(20000,60000,70000): each look is compared with those before it")
    parser.add_argument("--in-flight", type=int, default=100, metavar="N",
                        help="so many sagas are open at a time (100)")
    parser.add_argument("--slack-kb", type=int, default=1024, metavar="KIB",
                        help="how much a process may have more for no reason (1024)")
    parser.add_argument("--sanitized", action="store_true",
                        help="the programs are of a build with a sanitizer: memory is not judged")
    return parser.parse_args(words)


def main(words):
    options = read_options(words)
    folder = tempfile.mkdtemp(prefix="saga-growth-")
    # what was lost is to be found, whatever the caller's environment says
    os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=1"
    site = None
    try:
        site = Site(folder, os.path.realpath(options.programs), options.sagas)
        wrong = measure(site, options)
    except Trouble as trouble:
        print(f"saga-growth: {trouble}", file=sys.stderr)
        return 4
    finally:
        if site is not None:
            site.abandon()
        shutil.rmtree(folder, ignore_errors=True)
    for text in wrong[:10]:
        print(f"WRONG {text}")
    return 1 if wrong else 0
