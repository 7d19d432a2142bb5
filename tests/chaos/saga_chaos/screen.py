"""What is seen while it runs: one line that changes on a terminal, plain lines elsewhere."""

import sys
import time

PLAIN_S = 5.0  # between two lines where there is no terminal
LIVE_S = 0.2


class Screen:
    def __init__(self, load, faults, wanted):
        self.load = load
        self.faults = faults
        self.wanted = wanted
        self.live = sys.stdout.isatty()
        self.begin = time.monotonic()
        self.shown = 0.0

    def line(self, doing):
        ends = ", ".join(f"{count} {name}" for name, count in sorted(self.load.ends.items()))
        kills = len(self.faults.kills)
        known = f"{kills} of {self.wanted}" if self.wanted else str(kills)
        others = sum(self.faults.counts.values())
        return (f"{time.monotonic() - self.begin:5.0f} s {doing}: "
                f"{len(self.load.bookings)} started, {self.load.unfinished()} open"
                f"{', ' + ends if ends else ''}; {known} kills, {others} other faults"
                f"{'; down: ' + self.faults.down() if self.faults.down() else ''}")

    def show(self, doing, now=False):
        moment = time.monotonic()
        if not now and moment - self.shown < (LIVE_S if self.live else PLAIN_S):
            return
        self.shown = moment
        if self.live:
            sys.stdout.write("\r\x1b[K" + self.line(doing)[:200])
        else:
            sys.stdout.write(self.line(doing) + "\n")
        sys.stdout.flush()

    def say(self, text):
        if self.live:
            sys.stdout.write("\r\x1b[K")
        print(text, flush=True)
