"""saga-chaos: the command line, and the run from its setting up to its verdict."""

import argparse
import collections
import os
import random
import shutil
import signal
import sys
import tempfile
import time

from . import evidence, faults
from .api import NO_ANSWER
from .installation import ROOT, Own, Theirs
from .load import History, Load
from .processes import Trouble, tail
from .screen import Screen
from .verdict import Verdict, counted

EXIT_OK, EXIT_VIOLATIONS, EXIT_USAGE, EXIT_SETUP = 0, 1, 2, 4
TICK_S = 0.01
SHOWN = 10  # violations of each name; the rest is counted

DESCRIPTION = """\
Books parking slots while it kills, stops and cuts off whatever takes part, and then judges from
the log, the databases and what the clients heard whether anything was lost, done twice, or left
half done.

Everything it needs it starts itself, in a temporary folder and at ports of its own: a private
RabbitMQ node, sagad, and the services parking, booking and billing."""

EPILOG = """\
faults, and how many a minute:
{faults}
  kill, stop, cut, delete and all stand for several of them. With --duration each that is asked
  for happens at least once. With --kills the kill faults come as
  fast as they can land, each target equally often. A kill waits until at least --open-min sagas
  are open (the daemon is asked just before), and mostly until replies have come since the
  last one.

an installation of yours (--installation FILE): a JSON object with
  server       where the API is: unix:PATH or http://HOST:PORT
  export       a command that prints the log: ["sagalog", "--data-dir", "DIR", "export"]
  databases    the files of the services: {{"parking": FILE, "booking": FILE, "billing": FILE}}
  create_slot  a command that makes a slot named {{}} and prints its uuid:
               ["parking", "--db", FILE, "create_parking_slot", "--name={{}}"]
  targets      what may be killed and stopped: {{"daemon": T, "parking": T, "broker": T ...}}, each T
               with pid_file (a file) or pid_command (a command that prints it); start, a command
               that starts it again and returns (without it: whoever supervises it does); end,
               a command that ends it in good order after the run (optional)
  sagas        the definitions that book a slot (optional: ["booking"])
  amqp         the broker's URL, to delete queues and to count dead letters (optional), with
  reply_queue  the orchestrator's queue, and
  queues       the services' (optional: ["parking", "booking", "billing"])
  proxy        {{"listen": PORT, "target": "HOST:PORT"}}: connections to PORT can be cut (optional)
  alarm_on, alarm_off, wipe    commands (optional)
  A fault for which something is missing does not happen. What others start there meanwhile is
  not judged. The services must not write while the databases are read: nothing of ours runs by
  then.

exit status:
  0  no violation       1  violations, or faults that could not land
  2  wrong usage        4  it could not be set up, or did not survive"""


def parse(words):
    lines = "\n".join(f"  {name:21}{rate:5g}   {text}"
                      for name, (rate, text) in faults.FAULTS.items())
    parser = argparse.ArgumentParser(
        prog="saga-chaos", description=DESCRIPTION, epilog=EPILOG.format(faults=lines),
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, help="of all that is drawn (default: a new one)")
    parser.add_argument("--kills", type=int, default=0, metavar="N",
                        help="go on until so many kills have landed")
    parser.add_argument("--duration", type=float, default=None, metavar="SECONDS",
                        help="go on for so long (default, without --kills: 60)")
    parser.add_argument("--faults", default="all", metavar="NAME[=RATE],...",
                        help="which, and how many a minute (default: all)")
    parser.add_argument("--bookings", type=int, default=1000, metavar="N",
                        help="spread over the whole run; more, where kills need them (default: 1000)")
    parser.add_argument("--slots", type=int, default=50, metavar="N", help="(default: 50)")
    parser.add_argument("--open", type=int, default=24, metavar="N",
                        help="so many sagas are open at a time, about (default: 24)")
    parser.add_argument("--open-min", type=int, default=10, metavar="N",
                        help="and so many at each kill (default: 10)")
    parser.add_argument("--stop", type=float, metavar="SECONDS",
                        help="so long is every SIGSTOP (default: drawn)")
    parser.add_argument("--settle", type=float, default=240, metavar="SECONDS",
                        help="how long after the last fault all must have ended (default: 240)")
    parser.add_argument("--programs", default=os.path.join(ROOT, "build", "bin"), metavar="DIR",
                        help="where sagad and the others are (default: build/bin)")
    parser.add_argument("--in-process", action="store_true",
                        help="no broker and no services of their own: sagad dev, and its faults")
    parser.add_argument("--installation", metavar="FILE", help="attack this one (see below)")
    parser.add_argument("--keep", metavar="DIR",
                        help="leave the evidence there (without it: only of a run with violations)")
    parser.add_argument("--judge", metavar="DIR", help="no run: judge the evidence that is there")
    parser.add_argument("--verbose", action="store_true", help="say each fault")
    options = parser.parse_args(words)
    try:
        options.rates = faults.parse(options.faults)
    except ValueError as error:
        parser.error(str(error))
    for name in ("bookings", "slots", "open", "open_min"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')}: at least 1")
    if options.open_min > options.open:
        parser.error("--open-min: at most --open")
    if options.kills < 0 or (options.duration is not None and options.duration <= 0):
        parser.error("--kills and --duration: more than 0")
    if options.in_process and options.installation:
        parser.error("--in-process or --installation, not both")
    if options.kills and options.duration:
        parser.error("--kills or --duration, not both")
    if options.stop is not None and options.stop <= 0:
        parser.error("--stop: more than 0")
    options.duration = options.duration or 60.0
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1, 1 << 31)
    return options


class Run:
    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.installation = None
        self.load = None
        self.faults = None
        self.screen = None
        self.baseline = {}

    def set_up(self):
        options = self.options
        self.installation = (
            Theirs(options.installation, options.slots, options.seed) if options.installation else
            Own(self.folder, options.programs, options.slots, options.seed, options.in_process))
        self.installation.open()
        self.history = History(os.path.join(self.folder, "history.jsonl"))
        self.load = Load(self.installation.api, self.history, self.installation.slots,
                         options.seed, options.bookings, options.open, options.open_min,
                         self.installation.sagas)
        self.faults = faults.Faults(self.installation, self.load, options.rates, options.seed,
                                    options.kills, options.duration, options.open_min,
                                    options.stop, self.say_fault)
        if options.kills and not self.faults.kill_names:
            raise Trouble("--kills, and nothing that may be killed: see --faults")
        self.screen = Screen(self.load, self.faults, options.kills)
        self.baseline = self.dead_letters() if self.installation.foreign else {}

    def say_fault(self, text):
        with open(os.path.join(self.folder, "faults.log"), "a", encoding="utf-8") as file:
            file.write(f"{time.monotonic() - self.faults.begin:8.2f} {text}\n")
        if self.options.verbose:
            self.screen.say(text)

    # ------------------------------------------------------------------- the run

    def run(self):
        self.load.begin()
        self.faults.begin_all()
        while not self.faults.over() and not self.load.troubles:
            self.load.quota = self.faults.progress()
            self.faults.tick()
            self.screen.show("chaos")
            time.sleep(TICK_S)
        self.load.quota = 1.0
        self.load.finished = True
        self.faults.calm()
        self.settle()
        self.load.ask_all_again()
        self.load.look_again()
        self.load.stop()

    def give_another_try(self, saga):
        """True: the daemon has answered. It may just be starting again."""
        status, _ = self.installation.api.act(saga, "retry", "chaos is over")
        return status != NO_ANSWER and status < 500

    def settle(self):
        """Until everything has ended. A saga that is parked because its pivot is in doubt gets
        what an operator would give it: another try."""
        deadline = time.monotonic() + self.options.settle
        retried = set()
        while self.load.unfinished() and time.monotonic() < deadline:
            self.screen.show("calm")
            for booking in self.load.parked():
                if booking.id not in retried and self.give_another_try(booking.id):
                    retried.add(booking.id)
            time.sleep(0.1)
        self.screen.show("calm", now=True)
        self.retried = len(retried)
        self.settled_s = self.options.settle - (deadline - time.monotonic())

    def dead_letters(self):
        if self.installation.queues is None:
            return {}
        counts = {}
        for queue in self.installation.own_queues():
            count = self.installation.queues.messages(queue + ".dead")
            if count is not None:
                counts[queue + ".dead"] = count - self.baseline.get(queue + ".dead", 0)
        return counts

    def collect(self):
        """Ends what is ours, and writes the evidence."""
        options = self.options
        stats = self.installation.api.stats(timeout_s=10) or {}
        dead_letters = self.dead_letters()
        exits = self.installation.end()
        export_status = self.installation.collect(self.folder)
        self.history.close()
        evidence.write_json(os.path.join(self.folder, "run.json"), {
            "seed": options.seed,
            "rules": {"foreign": self.installation.foreign, "slots": self.installation.slots,
                      "open_min": options.open_min, "kills": self.faults.kills_per_target(),
                      "parked_allowed": [], "poison": 0},
            "stats": stats, "dead_letters": dead_letters, "exits": exits,
            "export_status": export_status, "kills": self.faults.kills,
            "faults": dict(self.faults.counts), "owed": sorted(self.faults.owed),
            "silent": self.faults.silent, "noticed_s": self.faults.noticed_s,
            "retried": self.retried, "settled_s": round(self.settled_s, 1),
            "troubles": self.faults.troubles + self.load.troubles,
        })


def judge(folder):
    verdict = Verdict(evidence.Evidence(folder))
    run = verdict.evidence.run
    for line in verdict.lines():
        print(line)
    print(f"after the last fault: {run.get('settled_s', 0):g} s until all had ended, "
          f"{run.get('retried', 0)} parked ones were retried; queues were noticed missing after "
          f"{sorted(sum(run.get('noticed_s', {}).values(), [])) or 'no deletion'} s")
    counts = collections.Counter()
    for violation in verdict.violations:
        counts[violation.name] += 1
        if counts[violation.name] <= SHOWN:
            print(f"VIOLATION {violation}")
    print(f"{len(verdict.violations)} violations"
          + (": " + counted(counts) if verdict.violations else ""))
    return EXIT_VIOLATIONS if verdict.violations else EXIT_OK


def chaos(options, folder):
    """The exit status."""
    run = Run(options, folder)
    try:
        print(f"saga-chaos --seed {options.seed}, in {folder}", flush=True)
        run.set_up()
        run.run()
        run.collect()
    finally:
        if run.load is not None:
            run.load.stopped = True
        if run.installation is not None:
            run.installation.abandon()
    if run.screen.live:
        print()
    status = judge(folder)
    print(f"repeat with --seed {options.seed}")
    return status


def attempt(options, folder):
    try:
        return chaos(options, folder)
    except (Trouble, evidence.Bad) as error:
        print(f"saga-chaos: {error}", file=sys.stderr)
        for name in ("daemon", "parking", "booking", "billing", "broker"):
            path = os.path.join(folder, name + ".log")
            if os.path.exists(path) and os.path.getsize(path):
                print(f"--- {path}\n{tail(path)}", file=sys.stderr)
        return EXIT_SETUP


def interrupt(number, _):
    raise KeyboardInterrupt(signal.Signals(number).name)


def main(words):
    options = parse(words)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    if options.judge:
        try:
            return judge(options.judge)
        except evidence.Bad as error:
            print(f"saga-chaos: {error}", file=sys.stderr)
            return EXIT_SETUP
    folder = options.keep or tempfile.mkdtemp(prefix="saga-chaos-")
    try:
        os.makedirs(folder, exist_ok=True)
        if os.listdir(folder):
            print(f"saga-chaos: {folder} is not empty", file=sys.stderr)
            return EXIT_USAGE
    except OSError as error:
        print(f"saga-chaos: {error}", file=sys.stderr)
        return EXIT_SETUP
    status = EXIT_SETUP
    try:
        status = attempt(options, folder)
    except KeyboardInterrupt as error:
        print(f"saga-chaos: interrupted: {error}", file=sys.stderr)
    finally:
        if options.keep or status in (EXIT_VIOLATIONS, EXIT_SETUP):
            print(f"the evidence is in {folder}")
        else:
            shutil.rmtree(folder)
    return status
