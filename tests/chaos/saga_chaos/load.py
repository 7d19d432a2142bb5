"""The load: bookings over slots, by clients that never give up and write down everything.

Clients start bookings with start keys, ask again with the same key where they hear nothing,
sometimes ask a second time, sometimes with another input (which has to be refused), and cancel
some. A watcher asks after each saga until it has ended. How many are open at a time is kept
near `open_target`, and how many are started follows `quota`, so that a load of a thousand
lasts as long as the faults do.
"""

import json
import queue
import random
import threading
import time
import uuid

from .api import NO_ANSWER
from .verdict import ENDS

LIMIT = 50000  # what billing declines is above it
SHARE_DECLINED = 0.10
SHARE_DECLINED_EARLY = 0.92  # where more slots are sold than it is time for
SHARE_SOLD = 0.8  # of the slots, in the end
SHARE_CANCELLED = 0.06
SHARE_UNKNOWN_SLOT = 0.04
SHARE_CONTENDED = 0.30  # take any slot; the others one that seems to be free
SHARE_ASKED_TWICE = 0.10
SHARE_OTHER_INPUT = 0.05
RESERVATION_FAILS = 0.8  # so that the slots last, and much is refunded
CLIENTS = 6
PAUSE_S = 0.05  # between two attempts to reach somebody who does not answer
WATCH_S = 0.1  # between two rounds of looking at what is open


class History:
    """What the clients asked and heard, a JSON object a line. Times are of one clock."""

    def __init__(self, path):
        self.file = open(path, "w", encoding="utf-8")
        self.lock = threading.Lock()

    def write(self, **event):
        with self.lock:
            self.file.write(json.dumps(event) + "\n")

    def close(self):
        with self.lock:
            self.file.close()


class Booking:
    def __init__(self, number, saga, slot, total, draws):
        self.number = number
        self.key = f"chaos-{number}-{uuid.UUID(int=draws.getrandbits(128), version=4)}"
        self.saga = saga
        self.input = {"parking_slot_uuid": slot, "total": total}
        self.cancel_after_s = draws.random() * 0.1 if draws.random() < SHARE_CANCELLED else None
        self.twice = draws.random() < SHARE_ASKED_TWICE
        self.other = draws.random() < SHARE_OTHER_INPUT
        self.id = None
        self.state = None


class Load:
    def __init__(self, api, history, slots, seed, count, open_target, open_min, sagas):
        self.api = api
        self.history = history
        self.slots = slots
        self.seed = seed
        self.count = count
        self.open_target = open_target
        self.open_min = open_min
        self.sagas = sagas
        self.lock = threading.Lock()
        self.wanted = queue.Queue()
        self.bookings = []
        self.open = {}  # id -> Booking
        self.starting = 0
        self.ends = {}
        self.sold = set()  # slots, as far as it was heard
        self.quota = 0.0  # the share of `count` that may have been started by now
        self.pressed = False  # start more than that, so that something is open
        self.finished = False  # nothing new any more
        self.stopped = False
        self.troubles = []
        self.threads = [threading.Thread(target=self.guard, args=(work,), daemon=True)
                        for work in [self.plan, self.watch] + [self.client] * CLIENTS]

    def begin(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopped = True
        for _ in range(CLIENTS):
            self.wanted.put(None)
        for thread in self.threads:
            thread.join(timeout=30)

    def guard(self, work):
        try:
            work()
        except Exception as error:  # a client that dies must not look like a quiet one
            self.troubles.append(f"the load has a bug: {error!r}")
            raise

    # ---------------------------------------------------------------- what to ask

    def slot(self, draws):
        if draws.random() < SHARE_CONTENDED:
            return draws.choice(self.slots)
        with self.lock:
            taken = self.sold | {one.input["parking_slot_uuid"] for one in self.open.values()}
        return draws.choice([slot for slot in self.slots if slot not in taken] or self.slots)

    def next_booking(self):
        """What it is follows from the seed and its number; which slot, and whether one is to be
        sold, from the day as well: what is sold by now keeps step with the quota, so that there
        is something to get until the end."""
        number = len(self.bookings)
        draws = random.Random(f"{self.seed}/booking/{number}")
        early = len(self.sold) >= SHARE_SOLD * len(self.slots) * min(self.quota, 1.0)
        declined = draws.random() < (SHARE_DECLINED_EARLY if early else SHARE_DECLINED)
        total = draws.randrange(LIMIT + 1, 4 * LIMIT) if declined else draws.randrange(1, LIMIT)
        unknown = draws.random() < SHARE_UNKNOWN_SLOT
        slot = str(uuid.UUID(int=draws.getrandbits(128), version=4)) if unknown else \
            self.slot(draws)
        booking = Booking(number, draws.choice(self.sagas), slot, total, draws)
        with self.lock:
            self.bookings.append(booking)
            self.starting += 1
        return booking

    def plan(self):
        while not self.stopped:
            with self.lock:
                busy = len(self.open) + self.starting
            wanted = 0
            if len(self.bookings) < self.count * self.quota:
                wanted = self.open_target
            elif self.pressed:
                wanted = self.open_min + CLIENTS
            if busy < wanted and not self.finished:
                self.wanted.put(self.next_booking())
            else:
                time.sleep(0.01)

    # -------------------------------------------------------------------- clients

    def client(self):
        while True:
            booking = self.wanted.get()
            if booking is None:
                return
            self.start(booking)
            with self.lock:
                self.starting -= 1

    def ask(self, booking, data):
        """One request to start it; (status, answer)."""
        begin = time.monotonic()
        status, answer = self.api.start(booking.saga, booking.key, data)
        said = answer.get("id") if isinstance(answer, dict) else None
        self.history.write(op="start", key=booking.key, saga=booking.saga, input=data, begin=begin,
                           end=time.monotonic(), status=status, id=said)
        return status, said

    def start(self, booking):
        """Asks until it is accepted."""
        while not self.stopped:
            status, said = self.ask(booking, booking.input)
            if status in (200, 201):
                break
            if status != NO_ANSWER and status < 500:
                self.troubles.append(f"the start {booking.key} was refused: {status}")
                return
            time.sleep(PAUSE_S)
        else:
            return
        with self.lock:
            booking.id = said
            self.open[said] = booking
        if booking.twice:
            self.ask(booking, booking.input)
        if booking.other:
            self.ask(booking, dict(booking.input, total=booking.input["total"] + 1))
        if booking.cancel_after_s is not None:
            self.cancel(booking)

    def cancel(self, booking):
        time.sleep(booking.cancel_after_s)
        begin = time.monotonic()
        status, answer = self.api.act(booking.id, "cancel", "chaos")
        result = answer.get("result") if isinstance(answer, dict) else None
        self.history.write(op="cancel", id=booking.id, begin=begin, end=time.monotonic(),
                           status=status, result=result)

    def ask_all_again(self):
        """Each key once more: whatever happened meanwhile, it is the same saga's."""
        for booking in self.bookings:
            if booking.id is not None:
                self.ask(booking, booking.input)

    # -------------------------------------------------------------------- watcher

    def look(self, booking):
        begin = time.monotonic()
        status, answer = self.api.get(booking.id)
        if status == NO_ANSWER or status >= 500:
            return False
        state = answer.get("status") if status == 200 else f"answer {status}"
        if state != booking.state:
            booking.state = state
            self.history.write(op="get", id=booking.id, begin=begin, end=time.monotonic(),
                               status=status, state=state)
        if state in ENDS:
            with self.lock:
                self.open.pop(booking.id, None)
                self.ends[state] = self.ends.get(state, 0) + 1
                if state == "completed":
                    self.sold.add(booking.input["parking_slot_uuid"])
        return True

    def watch(self):
        while not self.stopped:
            with self.lock:
                open_now = list(self.open.values())
            for booking in open_now:
                if self.stopped or not self.look(booking):
                    break
            time.sleep(WATCH_S)

    def look_again(self):
        """At sagas that have ended: what was said of them stands."""
        for booking in self.bookings[::7]:
            if booking.id is not None and booking.state in ENDS:
                booking.state = None
                begin = time.monotonic()
                status, answer = self.api.get(booking.id)
                if status != NO_ANSWER and status < 500:
                    booking.state = answer.get("status") if status == 200 else f"answer {status}"
                    self.history.write(op="get", id=booking.id, begin=begin, end=time.monotonic(),
                                       status=status, state=booking.state)

    def parked(self):
        with self.lock:
            return [booking for booking in self.open.values() if booking.state == "parked"]

    def unfinished(self):
        with self.lock:
            return len(self.open) + self.starting
