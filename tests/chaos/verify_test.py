#!/usr/bin/python3
"""Damage in an old part of the log, under the real daemon: it recovers without it, finds it in the
background, says where it is, and goes on."""

import os
import shutil
import struct
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from room_test import Daemon, ENDED, PATIENCE_S, body  # noqa: E402  (its folder has to be known)

CHECKPOINT_RECORDS = 40


def blocks(data):
    """(offset, first LSN, records) of each that is somewhere in the file."""
    at = data.find(b"SGBK")
    while at >= 0:
        version, count, lsn = struct.unpack(">HHQ", data[at + 4:at + 16])
        if version == 1:
            yield at, lsn, count
        at = data.find(b"SGBK", at + 4)


class VerifyTest(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="saga-verify-")
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        os.mkdir(f"{self.top}/data", 0o750)
        self.daemon = Daemon(f"{self.top}/data", "--verify-interval", "200ms",
                             "--checkpoint-records", str(CHECKPOINT_RECORDS))
        self.addCleanup(self.daemon.stop)
        self.launch()

    def launch(self):
        self.daemon.start()
        self.assertTrue(self.daemon.await_ready(), self.journal())

    def journal(self):
        with open(f"{self.top}/journal", encoding="utf-8") as journal:
            return journal.read()

    def run_sagas(self, numbers):
        sagas = []
        for number in numbers:
            status, answer = self.daemon.api.start("booking", f"key {number}", body(number))
            self.assertEqual(status, 201)
            sagas.append(answer["id"])
        self.await_that(lambda: all(self.daemon.api.get(saga)[1]["status"] in ENDED
                                    for saga in sagas))

    def await_that(self, condition):
        until = time.monotonic() + PATIENCE_S
        while not condition():
            self.assertLess(time.monotonic(), until, self.journal()[-2000:])
            time.sleep(0.05)

    def verified(self):
        return self.daemon.stats()["verified"]

    def flip(self, wanted):
        """A bit in the oldest block that begins with one of these records, wherever copies of it
        are; returns which."""
        path = f"{self.top}/data/log/data.mdb"
        with open(path, "r+b") as file:
            data = bytearray(file.read())
            found = [block for block in blocks(data) if block[1] in wanted]
            lsn = min(block[1] for block in found)
            for at, first, _ in found:
                if first == lsn:
                    data[at + 40] ^= 4
            file.seek(0)
            file.write(data)
        return lsn

    def test_damage_is_found_and_work_goes_on(self):
        self.run_sagas(range(30))
        self.await_that(lambda: self.verified()["runs"] > 0)
        self.assertEqual(self.verified()["damages"], 0)
        self.assertGreater(self.verified()["records"], 30)
        border = self.daemon.stats()["checkpoints"]["last_lsn"]
        self.assertGreater(border, 60)
        self.daemon.stop()
        lsn = self.flip(range(10, border - 10))
        self.launch()
        self.await_that(lambda: self.verified()["damages"] == 1)
        self.assertIn(f"record {lsn}: ", self.journal())
        self.assertIn("Restore data.mdb from a backup", self.journal())
        self.assertEqual(self.daemon.api.request("GET", "/readyz")[0], 200)
        self.run_sagas(range(30, 40))
        self.assertIsNone(self.daemon.process.poll())
        self.daemon.stop()
        self.assertEqual(self.daemon.process.returncode, 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
