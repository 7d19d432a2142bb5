"""The faults: which, when, and whether enough is going on.

What is drawn (the order of the kills, the times between faults, how long something stays down)
comes from the seed. When it lands depends on the machine, too: a kill waits until enough sagas
are open, asked of the daemon itself a moment before, and mostly until something has moved since
the last one. So a seed repeats the plan, not the run."""

import collections
import random
import time

from .processes import Trouble

# name: (how many a minute, what it does)
FAULTS = {
    "kill-daemon": (6, "kill -9 of the daemon, and start it again"),
    "kill-parking": (6, "the same with the service parking"),
    "kill-booking": (6, "... booking"),
    "kill-billing": (6, "... billing"),
    "kill-broker": (3, "... the broker"),
    "stop-daemon": (0.5, "SIGSTOP of the daemon, and SIGCONT after up to 8 s"),
    "stop-parking": (0.5, "the same with the service parking"),
    "stop-booking": (0.5, "... booking"),
    "stop-billing": (0.5, "... billing"),
    "stop-broker": (0.5, "... the broker, up to 15 s"),
    "cut-all": (2, "every connection to the broker is cut"),
    "cut-one": (6, "one connection is"),
    "stall": (1, "one connection, or all, pass nothing for up to 25 s"),
    "delete-reply-queue": (0.5, "the orchestrator's queue is deleted"),
    "delete-service-queue": (0.5, "the queue of a service is"),
    "alarm": (0.5, "a memory alarm of the broker, up to 8 s"),
    "wipe": (0.5, "the broker is killed, loses all of its state, and is started again"),
}
SHARE_IN_TRAFFIC = 0.8  # of the kills wait until something has moved; the others make it worse
TRAFFIC = 8  # replies: that much has moved
TRAFFIC_PATIENCE_S = 60.0  # then it need not
PATIENCE_S = 180.0  # without a kill that could land
GAP_S = 0.3  # between two kills, in the mean
DOWN_S = 0.5  # from a kill to the start, at the most
RESTART_S = 180.0
NOTICED_S = 30.0  # within which a deleted queue has to be there again
SEVERAL = {"cut": ("cut-all", "cut-one", "stall"), "all": tuple(FAULTS)}
for prefix in ("kill", "stop", "delete"):
    SEVERAL[prefix] = tuple(name for name in FAULTS if name.startswith(prefix + "-"))


def parse(text):
    """NAME[=RATE],... -> {name: a minute}. ValueError says what is wrong."""
    rates = {}
    for word in text.split(","):
        name, equals, rate = word.partition("=")
        if name not in FAULTS and name not in SEVERAL:
            raise ValueError(f"there is no fault '{name}': {', '.join([*FAULTS, *SEVERAL])}")
        for one in SEVERAL.get(name, (name,)):
            try:
                rates[one] = float(rate) if equals else FAULTS[one][0]
            except ValueError:
                raise ValueError(f"'{word}': {rate} is no rate, such as {one}=2.5") from None
            if not 0 <= rates[one] <= 600:
                raise ValueError(f"'{word}': a rate is 0 to 600 a minute")
    return rates


class Faults:
    def __init__(self, installation, load, rates, seed, kills, duration_s, open_min, stop_s, say):
        self.installation = installation
        self.targets = installation.targets
        self.load = load
        self.draws = random.Random(f"{seed}/faults")
        self.kills_wanted = kills
        self.duration_s = duration_s
        self.open_min = open_min
        self.stop_s = stop_s  # of every SIGSTOP; None: drawn
        self.say = say
        self.rates = {name: rate for name, rate in rates.items() if rate > 0 and self.can(name)}
        self.kill_names = sorted(name[5:] for name in self.rates if name.startswith("kill-"))
        self.kills = []
        self.counts = collections.Counter()
        self.noticed_s = {}  # queue -> how long each deletion went unnoticed
        self.owed = set()  # faults that were asked for and have not happened yet
        self.silent = []  # [from, to] in which the broker was down or stopped
        self.troubles = []
        self.agenda = []  # (when, what): what has been begun has to go on; not sorted, few
        self.drawn = []  # (when, what): faults to come
        self.replies = (0, 0)  # the daemon's epoch, and how many it has had in it
        self.moved = 0  # replies since the last kill
        self.restarting = {}  # target -> when the start was begun
        self.watched = None  # (queue, since, faults until then)
        self.last_lsn = 0
        self.plan = self.draw_kills()
        self.begin = time.monotonic()
        self.next_kill_s = self.begin + 1.0
        self.due_since = None
        self.aim = None

    def can(self, name):
        if name.startswith(("kill-", "stop-")):
            return name[5:] in self.targets
        return {"cut-all": self.installation.proxy, "cut-one": self.installation.proxy,
                "stall": self.installation.proxy,
                "delete-reply-queue": self.installation.queues,
                "delete-service-queue": self.installation.queues,
                "alarm": self.installation.can_alarm(),
                "wipe": self.installation.can_wipe()}[name]

    def kills_per_target(self):
        """What is owed at the least: {target: kills}."""
        if not self.kills_wanted or not self.kill_names:
            return {}
        return dict.fromkeys(self.kill_names, self.kills_wanted // len(self.kill_names))

    def draw_kills(self):
        """Each target once, in any order; and again, until it is enough."""
        plan = []
        while self.kills_wanted and self.kill_names and len(plan) < self.kills_wanted:
            plan += self.draws.sample(self.kill_names, len(self.kill_names))
        return plan[:self.kills_wanted]

    def progress(self):
        if self.kills_wanted and self.kill_names:
            return len(self.kills) / self.kills_wanted
        return (time.monotonic() - self.begin) / self.duration_s

    def over(self):
        """What was asked for and could not happen in time gets some more."""
        late_s = time.monotonic() - self.begin - self.duration_s
        waits = self.owed and not self.kills_wanted and late_s < PATIENCE_S
        return bool(self.troubles) or (self.progress() >= 1.0 and not waits)

    def down(self):
        return ", ".join(name for name, target in self.targets.items()
                         if not target.up or target.stopped)

    # ---------------------------------------------------------------- the schedule

    def begin_all(self):
        self.begin = time.monotonic()
        self.next_kill_s = self.begin + 1.0
        for name, rate in self.rates.items():
            if self.kills_wanted and name.startswith("kill-"):
                continue
            seconds = self.draws.expovariate(rate / 60.0)
            if not self.kills_wanted:
                # Each that was asked for happens, however short the time is.
                self.owed.add(name)
                seconds = min(seconds, self.draws.random() * 0.6 * self.duration_s)
            self.schedule(name, seconds)

    def schedule(self, name, seconds):
        def come():
            if self.over():
                return
            if name.startswith("kill-"):
                self.plan.append(name[5:])
            elif not self.happen(name) and name in self.owed:
                self.schedule(name, 1.0)
                return
            self.schedule(name, self.draws.expovariate(self.rates[name] / 60.0))
        self.drawn.append((time.monotonic() + seconds, come))

    def at(self, seconds, what):
        self.agenda.append((time.monotonic() + seconds, what))

    def tick(self):
        """What is due; called every few milliseconds."""
        now = time.monotonic()
        for entries in (self.agenda, self.drawn):
            for entry in sorted((one for one in entries if one[0] <= now), key=lambda one: one[0]):
                entries.remove(entry)
                entry[1]()
        self.follow_restarts()
        self.follow_queue()
        if not self.over():
            self.try_kill(now)

    # ----------------------------------------------------------------------- kills

    def try_kill(self, now):
        if not self.plan or now < self.next_kill_s:
            self.load.pressed = False
            self.due_since = None
            return
        self.due_since = self.due_since or now
        self.load.pressed = True
        if now - self.due_since > PATIENCE_S:
            self.troubles.append(f"no kill could land for {PATIENCE_S:g} s; next was "
                                 f"{self.plan[0]}; down: {self.down() or 'nothing'}")
            return
        if not self.targets["daemon"].up or self.targets["daemon"].stopped:
            return  # nobody to ask how many are open
        ready = [name for name in self.plan[:8] if self.is_ready(name)]
        if not ready:
            return
        if self.aim is None:
            # Not at the very moment at which enough are open, for then they are all young.
            self.aim = (now + self.draws.random() * 0.15, self.draws.random() < SHARE_IN_TRAFFIC)
        when, in_traffic = self.aim
        if now < when:
            return
        open_now = self.ask()
        if open_now >= self.open_min and (not in_traffic or self.has_moved(now)):
            self.kill(ready[0], open_now)

    def is_ready(self, name):
        target = self.targets[name]
        return target.alive() and name not in self.restarting and not (
            name == "broker" and self.broker_busy())

    def broker_busy(self):
        node = self.installation.node if not self.installation.foreign else None
        return node is not None and node.busy()

    def has_moved(self, now):
        """Replies have come since the last kill, and the bookings have kept step."""
        behind = self.load.count * self.progress() - len(self.load.bookings)
        return ((self.moved >= TRAFFIC and behind < self.load.open_target)
                or now - self.due_since > TRAFFIC_PATIENCE_S)

    def ask(self):
        """How many sagas are open and not parked; -1: nobody answers."""
        stats = self.installation.api.stats()
        if stats is None:
            return -1
        self.last_lsn = stats["last_lsn"]
        epoch, count = self.replies
        self.replies = (stats["epoch"], stats["replies"]["received"])
        self.moved += self.replies[1] - (count if self.replies[0] == epoch else 0)
        return stats["sagas"]["open"] - stats["sagas"]["parked"]

    def kill(self, name, open_now):
        self.plan.remove(name)
        self.targets[name].kill()
        self.owed.discard("kill-" + name)
        if name == "broker":
            self.falls_silent()
        self.kills.append({"target": name, "open": open_now,
                           "replies": self.moved,
                           "at_s": round(time.monotonic() - self.begin, 3)})
        self.say(f"kill {len(self.kills)}: {name}, {open_now} sagas open, {self.moved} replies "
                 "since the last one")
        self.moved = 0
        self.due_since = None
        self.restart_later(name)
        self.next_kill_s = time.monotonic() + self.draws.expovariate(1 / GAP_S)
        self.aim = None

    def restart_later(self, name):
        self.restarting[name] = None
        self.at(self.draws.random() * DOWN_S, lambda: self.restart(name))

    def restart(self, name):
        self.restarting[name] = time.monotonic()
        self.targets[name].start()

    def follow_restarts(self):
        for name, since in list(self.restarting.items()):
            if since is None:
                continue
            if self.targets[name].started():
                del self.restarting[name]
                if name == "broker":
                    self.speaks_again()
            elif time.monotonic() - since > RESTART_S:
                raise Trouble(f"{name} does not come back within {RESTART_S:g} s")
        for name, target in self.targets.items():
            if target.up and not target.alive():
                raise Trouble(f"{name} has died of something else than us: see its log")

    # ---------------------------------------------------------------- other faults

    def happen(self, name):
        kind, _, rest = name.partition("-")
        done = {"stop": lambda: self.stop(rest), "cut": lambda: self.cut(rest == "all"),
                "stall": self.stall, "delete": lambda: self.delete(rest), "alarm": self.alarm,
                "wipe": self.wipe}[kind]()
        if done:
            self.owed.discard(name)
            self.counts[name] += 1
            self.say(f"fault: {name} ({done})")
        return bool(done)

    def stop(self, name):
        target = self.targets[name]
        if not self.is_ready(name) or target.stopped:
            return None
        seconds = self.stop_s or self.draws.random() ** 2 * (15 if name == "broker" else 8)
        target.stop()
        if name == "broker":
            self.falls_silent()
        self.at(seconds, lambda: self.resume(name))
        return f"{seconds:.1f} s"

    def resume(self, name):
        if self.targets[name].up:  # else it was killed meanwhile
            self.targets[name].resume()
            if name == "broker":
                self.speaks_again()

    def falls_silent(self):
        if not self.silent or self.silent[-1][1] is not None:
            self.silent.append([time.monotonic(), None])

    def speaks_again(self):
        if self.silent and self.silent[-1][1] is None:
            self.silent[-1][1] = time.monotonic()

    def cut(self, all_of_them):
        count = self.installation.proxy.cut(all_of_them)
        return f"{count} connections" if count else None

    def stall(self):
        seconds = self.draws.random() ** 2 * 25
        count = self.installation.proxy.stall(self.draws.random() < 0.3, seconds)
        return f"{count} connections, {seconds:.1f} s" if count else None

    def broker_is_well(self):
        node = self.targets.get("broker")
        return node is None or (self.is_ready("broker") and not node.stopped)

    def delete(self, which):
        queue = (self.installation.reply_queue() if which == "reply-queue" else
                 self.draws.choice([name for name in self.installation.own_queues()
                                    if not name.startswith("saga.")]))
        if queue is None or not self.broker_is_well() or self.watched:
            return None
        try:
            if not self.installation.queues.delete(queue):
                return None
        except Trouble:
            return None  # it was stopped, stalled or killed under our hands
        self.watched = (queue, time.monotonic(), self.happened() + 1)
        self.at(0.5, self.look_for_queue)
        return queue

    def look_for_queue(self):
        """How long until it is there again; where nothing else came between."""
        if self.watched is None:
            return
        queue, since, _ = self.watched
        try:
            there = self.broker_is_well() and self.installation.queues.messages(queue) is not None
        except Trouble:
            there = False
        if there:
            self.noticed_s.setdefault(queue, []).append(round(time.monotonic() - since, 1))
            self.watched = None
        elif time.monotonic() - since > NOTICED_S + 5:
            self.troubles.append(f"the queue {queue} was deleted and is not there again after "
                                 f"{NOTICED_S:g} s, in which nothing else happened")
            self.watched = None
        else:
            self.at(0.5, self.look_for_queue)
    def happened(self):
        return len(self.kills) + sum(self.counts.values())

    def follow_queue(self):
        """Another fault in between, and the time says nothing."""
        if self.watched and self.watched[2] != self.happened():
            self.watched = None

    def alarm(self):
        if not self.broker_is_well():
            return None
        seconds = self.draws.random() * 8
        self.installation.set_alarm(True)
        self.at(seconds + 1, self.alarm_off)
        return f"{seconds:.1f} s"

    def alarm_off(self):
        """A killed node has forgotten it."""
        if self.broker_is_well():
            self.installation.set_alarm(False)
        elif self.targets.get("broker") is None or self.targets["broker"].up:
            self.at(1.0, self.alarm_off)

    def wipe(self):
        if not self.broker_is_well():
            return None
        if self.installation.foreign:
            self.installation.wipe_at_next_start()
        else:
            self.targets["broker"].kill()
            self.falls_silent()
            self.installation.wipe_at_next_start()
            self.restart_later("broker")
        return "all state"

    # -------------------------------------------------------------------- the end

    def calm(self):
        """No more faults: everything runs, nothing is stopped, no alarm."""
        self.load.pressed = False
        self.watched = None
        self.drawn = []
        for name in self.targets:
            self.resume(name)
        while self.restarting or self.agenda or self.broker_busy():
            self.tick()
            time.sleep(0.01)
