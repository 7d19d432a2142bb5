#!/usr/bin/python3
"""A log without room: starts are refused in time, and whoever was accepted ends; or the daemon
ends with status 8, and they end when there is room again. With a small map, and on a file system
that fills up (needs to mount one: skipped where that is not allowed)."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from saga_chaos.api import Api, NO_ANSWER  # noqa: E402  (its folder has to be known first)

INSIDE = "SAGA_ROOM_TEST_MOUNTS"  # set in a process whose mounts are its own
ENDED = {"completed", "compensated"}
TMPFS_BYTES = 4 << 20
PATIENCE_S = 60


def body(number):
    return {"parking_slot_uuid": f"00000000-0000-4000-8000-{number:012d}",
            "client_uuid": "00000000-0000-4000-8000-000000000001",
            "check_in_date": "2030-01-01", "check_out_date": "2030-01-02",
            "total": 10000, "note": "x" * 1500}


class Daemon:
    def __init__(self, folder, *options):
        self.folder, self.options = folder, options
        self.api = Api(f"unix:{folder}/sagad.sock")
        self.process = None

    def start(self):
        with open(f"{self.folder}/../journal", "ab") as journal:
            self.process = subprocess.Popen(
                [f"{sys.argv[1]}/sagad", "dev", "--data-dir", self.folder, *self.options],
                stdout=subprocess.DEVNULL, stderr=journal)

    def await_ready(self):
        """False: it has ended."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            if self.process.poll() is not None:
                return False
            if self.api.request("GET", "/readyz")[0] == 200:
                return True
            time.sleep(0.02)
        raise AssertionError("the daemon is neither ready nor dead")

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE_S)

    def stats(self):
        return self.api.request("GET", "/v1/stats")[1]


class RoomTest(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="saga-room-")
        self.folder = f"{self.top}/data"
        os.mkdir(self.folder, 0o750)
        self.accepted = {}  # by key
        self.unknown = set()  # keys of which nobody said what became of them
        self.daemon = None
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)

    def tearDown(self):
        if self.daemon is not None:
            self.daemon.stop()

    def launch(self, *options):
        self.daemon = Daemon(self.folder, *options)
        self.daemon.start()
        self.assertTrue(self.daemon.await_ready(), self.journal())

    def journal(self):
        with open(f"{self.top}/journal", encoding="utf-8") as journal:
            return journal.read()[-2000:]

    def start(self, number):
        """The answer's status, and its text."""
        key = f"key {number}"
        status, answer = self.daemon.api.start("booking", key, body(number))
        if status in (200, 201):
            self.assertEqual(self.accepted.setdefault(key, answer["id"]), answer["id"])
            self.unknown.discard(key)
        elif status == NO_ANSWER:
            self.unknown.add(key)
        else:
            self.assertIn(status, (503, 507), answer)
        return status, str(answer)

    def start_until_refused(self, most):
        for number in range(most):
            status, text = self.start(number)
            if status != 201:
                return status, text
        self.fail("there is room for all of them")

    def await_all_ended(self):
        until = time.monotonic() + PATIENCE_S
        left = set(self.accepted.values())
        while left and time.monotonic() < until:
            for saga in list(left):
                status, answer = self.daemon.api.get(saga)
                self.assertNotEqual(status, 404, "an accepted saga is not there")
                if status == NO_ANSWER and self.daemon.process.poll() is not None:
                    return False
                if status == 200 and answer["status"] in ENDED:
                    left.discard(saga)
            time.sleep(0.05)
        self.assertFalse(left, self.journal())
        return True


class SmallMap(RoomTest):
    def test_starts_are_refused_and_all_that_runs_ends(self):
        self.launch("--map-size", "3M", "--fail", "billing.authorize_payment=0.3",
                    "--delay", "parking.block=30")
        status, text = self.start_until_refused(2000)
        self.assertEqual(status, 507, self.journal())
        self.assertIn("KiB", text)
        self.assertIn("need", text)
        self.assertGreater(len(self.accepted), 3)
        log = self.daemon.stats()["log"]
        self.assertLessEqual(log["bytes"] + log["bytes_needed"], log["bytes_usable"])
        self.assertLessEqual(log["bytes_usable"], 3 << 20)
        self.assertTrue(self.await_all_ended())
        # With nothing open there is room for more; until what has ended takes the log up.
        for number in range(2000, 4000):
            status, text = self.start(number)
            if status == 507:
                self.await_all_ended()
                status, text = self.start(number)
            if status == 507:
                break
        self.assertEqual(status, 507, self.journal())
        self.assertTrue(self.await_all_ended())
        self.assertIsNone(self.daemon.process.poll(), self.journal())
        self.daemon.stop()
        self.daemon.start()
        self.assertTrue(self.daemon.await_ready(), self.journal())
        self.assertTrue(self.await_all_ended())


def mount(path):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "tmpfs", path],
                   check=True)


def fill(path):
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass


@unittest.skipUnless(os.environ.get(INSIDE), "no file system can be mounted here")
class FullFileSystem(RoomTest):
    """The log alone is on it: the services' databases are not what this is about."""

    def setUp(self):
        super().setUp()
        self.launch()
        self.daemon.stop()
        log = f"{self.folder}/log"
        kept = f"{self.top}/kept"
        shutil.copytree(log, kept)
        mount(log)
        os.chmod(log, 0o750)
        for name in os.listdir(kept):
            if name != "lock.mdb":
                shutil.copy(f"{kept}/{name}", f"{log}/{name}")
        self.addCleanup(subprocess.run, ["umount", "-l", log], check=False)

    def test_starts_are_refused_before_it_is_full(self):
        self.launch("--delay", "parking.block=30")
        status, text = self.start_until_refused(4000)
        self.assertEqual(status, 507)
        self.assertLessEqual(self.daemon.stats()["log"]["bytes_usable"], TMPFS_BYTES)
        self.assertTrue(self.await_all_ended(), text)
        self.assertIsNone(self.daemon.process.poll())

    def test_others_fill_it_under_a_running_daemon(self):
        filler = f"{self.folder}/log/filler"
        self.launch("--delay", "parking.block=50", "--delay", "billing.authorize_payment=20",
                    "--fail", "billing.authorize_payment=0.3")
        for number in range(12):
            self.assertEqual(self.start(number)[0], 201)
        fill(filler)
        number = 12
        while self.daemon.process.poll() is None and number < 40:
            status, _ = self.start(number)
            self.assertIn(status, (507, 503, NO_ANSWER))
            number += 1
            time.sleep(0.1)
        ended = self.daemon.process.poll() is None and self.await_all_ended()
        if not ended:
            self.assertEqual(self.daemon.process.wait(PATIENCE_S), 8, self.journal())
            self.assertIn("No space left on device", self.journal())
            self.daemon.start()  # too early: it says so, and loses nothing
            if not self.daemon.await_ready():
                self.assertEqual(self.daemon.process.returncode, 8, self.journal())
        self.daemon.stop()
        os.remove(filler)
        self.daemon.start()
        self.assertTrue(self.daemon.await_ready(), self.journal())
        for key in sorted(self.unknown):
            self.assertIn(self.start(int(key.split()[1]))[0], (200, 201))
        self.assertTrue(self.await_all_ended())
        sys.stderr.write("it ended by itself\n" if ended else "it ended when there was room\n")


def may_mount():
    return (os.geteuid() == 0 and
            subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
                           stderr=subprocess.DEVNULL, check=False).returncode == 0)


if __name__ == "__main__":
    if not os.environ.get(INSIDE) and may_mount():
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "-m", sys.executable, *sys.argv])
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
