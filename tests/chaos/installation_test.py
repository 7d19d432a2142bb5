#!/usr/bin/python3
"""saga-chaos attacks an installation that it has not started.

    installation_test.py PROGRAMS

The installation is a sagad dev of PROGRAMS with a file that has its process's number. A run ends
without a violation beside the sagas of somebody else; one whose log is told wrong has one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

CHAOS = os.path.join(os.path.dirname(os.path.realpath(__file__)), "saga-chaos")
programs = None


class InstallationTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="saga-installation-")
        self.data = os.path.join(self.folder, "data")
        self.pid_file = os.path.join(self.folder, "sagad.pid")
        os.mkdir(self.data, 0o750)
        script = os.path.join(self.folder, "start")
        with open(script, "w", encoding="utf-8") as file:
            file.write(f"""#!/bin/sh
'{programs}/sagad' dev --data-dir '{self.data}' --fail=parking.reserve=0.5 --log-level=info \\
    >>'{self.folder}/log' 2>&1 </dev/null &
echo $! >'{self.pid_file}'
""")
        os.chmod(script, 0o755)
        self.words = {
            "server": f"unix:{self.data}/sagad.sock",
            "export": [f"{programs}/sagalog", "--data-dir", self.data, "export"],
            "databases": {name: os.path.join(self.data, name + ".db")
                          for name in ("parking", "booking", "billing")},
            "create_slot": [f"{programs}/parking", "--db", f"{self.data}/parking.db",
                            "create_parking_slot", "--name={}"],
            "targets": {"daemon": {"pid_file": self.pid_file, "start": [script]}},
        }
        subprocess.run([script], check=True)
        self.start_somebodys()

    def tearDown(self):
        os.kill(self.pid(), signal.SIGKILL)
        shutil.rmtree(self.folder)

    def pid(self):
        with open(self.pid_file, encoding="utf-8") as file:
            return int(file.read())

    def start_somebodys(self):
        """A saga that is no business of ours, once the daemon answers."""
        slot = subprocess.run([word.replace("{}", "theirs") for word in self.words["create_slot"]],
                              check=True, capture_output=True, text=True).stdout
        data = json.dumps({"parking_slot_uuid": json.loads(slot)["uuid"], "total": 100})
        for _ in range(100):
            status = subprocess.run(
                [f"{programs}/sagactl", "--data-dir", self.data, "start", "booking", "--input",
                 data, "--wait", "--timeout=30s", "--key=theirs"],
                check=False, capture_output=True).returncode
            if status != 4:
                break
        self.assertIn(status, (0, 5))

    def attack(self):
        path = os.path.join(self.folder, "installation.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.words, file)
        return subprocess.run(
            [CHAOS, "--installation", path, "--kills", "4", "--bookings", "80", "--seed", "11",
             "--keep", os.path.join(self.folder, "evidence")],
            capture_output=True, text=True, check=False)

    def test_nothing_is_wrong(self):
        before = self.pid()
        done = self.attack()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("kills: 4 (4 daemon)", done.stdout)
        self.assertNotEqual(self.pid(), before)
        os.kill(self.pid(), 0)  # it is left running

    def test_an_end_is_missing(self):
        export = " ".join(self.words["export"])
        self.words["export"] = ["sh", "-c", f"{export} | grep -v SAGA_ENDED"]
        done = self.attack()
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("VIOLATION T1", done.stdout)

    def test_no_such_process(self):
        self.words["targets"]["daemon"]["pid_file"] = os.path.join(self.folder, "nowhere")
        done = self.attack()
        self.assertEqual(done.returncode, 4, done.stdout + done.stderr)
        self.assertIn("its process cannot be found", done.stderr)


if __name__ == "__main__":
    programs = os.path.realpath(sys.argv.pop(1))
    unittest.main()
