#!/usr/bin/python3
"""examples/python/parking.py without a broker: it keeps trying, whatever stops it for a while, until
it is told to end.

    stopped_test.py
"""

import pathlib
import shutil
import signal
import tempfile
import time
import unittest

from harness import PATIENCE_S, ROOT, Process

PARKING = ROOT / "examples" / "python" / "parking.py"
NOBODY = "amqp://guest:guest@127.0.0.1:1"


class StoppedTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="saga-python-"))
        file = self.folder / "parking.db"
        self.parking = Process(PARKING, "--db", file, "serve", "--amqp", NOBODY)
        self.parking.await_lines("not connected")

    def tearDown(self) -> None:
        if self.parking.child.poll() is None:
            self.parking.kill()
        shutil.rmtree(self.folder)

    def await_state(self, state: str) -> None:
        """S: it waits; T: it is stopped."""
        stat = pathlib.Path(f"/proc/{self.parking.child.pid}/stat")
        deadline = time.monotonic() + PATIENCE_S
        while (now := stat.read_text(encoding="utf-8").rpartition(") ")[2][0]) != state:
            self.assertLess(time.monotonic(), deadline, f"its state is {now}")

    def test_a_stop_is_no_signal_to_end(self) -> None:
        """SIGSTOP, until its pause between two attempts to connect is long over."""
        pause_s = 0.1
        for _ in range(4):
            self.await_state("S")
            self.parking.child.send_signal(signal.SIGSTOP)
            self.await_state("T")
            time.sleep(pause_s)  # what it has begun to wait for is over by then
            self.parking.resume()
            self.parking.await_lines("not connected")
            pause_s *= 2

    def test_it_ends_in_its_pause(self) -> None:
        for _ in range(3):
            self.parking.await_lines("not connected")
        self.await_state("S")
        began_s = time.monotonic()
        self.assertEqual(self.parking.stop(), 0)
        self.assertLess(time.monotonic() - began_s, PATIENCE_S / 2)
        self.assertIn("stopped", self.parking.lines.get() or "")


if __name__ == "__main__":
    unittest.main()
