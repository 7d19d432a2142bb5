"""What can be killed: processes that this program has started, and those of an installation."""

import os
import shutil
import signal
import socket
import subprocess
import time

END_S = 10.0  # from SIGTERM to the end, at the most


class Trouble(Exception):
    """The installation cannot be set up, or used."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Target:
    """A process that is killed with SIGKILL and started again. `up` is what we know: False
    between a kill and the start after it."""

    def __init__(self, name):
        self.name = name
        self.up = False
        self.stopped = False

    def pid(self):
        raise NotImplementedError

    def start(self):
        """Begins to start it; returns at once."""
        raise NotImplementedError

    def started(self):
        """True once it runs; asked again and again."""
        raise NotImplementedError

    def signal(self, number):
        os.kill(self.pid(), number)

    def kill(self):
        self.up = False
        self.stopped = False
        self.signal(signal.SIGKILL)

    def stop(self):
        self.signal(signal.SIGSTOP)
        self.stopped = True

    def resume(self):
        if self.stopped:
            self.stopped = False
            self.signal(signal.SIGCONT)

    def alive(self):
        return self.up


class OwnProcess(Target):
    """A child. It is killed by the kernel when we die (setpriv), whatever we die of."""

    def __init__(self, name, words, journal):
        super().__init__(name)
        self.words = words
        self.journal = journal
        self.process = None

    def pid(self):
        return self.process.pid

    def start(self):
        with open(self.journal, "ab") as journal:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self.words],
                stdin=subprocess.DEVNULL, stdout=journal, stderr=journal)

    def started(self):
        self.up = self.process.poll() is None
        if not self.up:
            raise Trouble(f"{self.name} ended by itself with status {self.process.returncode}: "
                          + tail(self.journal))
        return True

    def kill(self):
        super().kill()
        self.process.wait()

    def alive(self):
        """False as well if it has died of something else than us."""
        return self.up and self.process.poll() is None

    def end(self):
        """In good order. 0, its exit status, or what it did instead."""
        if self.process is None:
            return 0
        self.resume()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            status = self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            status = f"not within {END_S:g} s"
        self.up = False
        return status

    def abandon(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class TheirProcess(Target):
    """One of an installation: found by a file or a command that has its number, started by a
    command, or by whoever supervises it."""

    def __init__(self, name, words):
        super().__init__(name)
        self.words = words
        self.killed = None
        self.up = True

    def pid(self):
        try:
            if "pid_file" in self.words:
                with open(self.words["pid_file"], encoding="utf-8") as file:
                    return int(file.readline())
            return int(run(self.words["pid_command"]).split()[0])
        except (OSError, ValueError, IndexError, KeyError) as error:
            raise Trouble(f"{self.name}: its process cannot be found: {error}") from error

    def kill(self):
        self.killed = self.pid()
        super().kill()

    def start(self):
        if "start" in self.words:
            run(self.words["start"])

    def started(self):
        try:
            pid = self.pid()
            os.kill(pid, 0)
        except (Trouble, OSError):
            return False
        self.up = pid != self.killed
        return self.up

    def end(self):
        if "end" in self.words:
            run(self.words["end"])
        return 0

    def abandon(self):
        """It is not ours."""


def run(words, timeout_s=180):
    """Its standard output. Trouble, with what it said, if it fails."""
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Trouble(f"{' '.join(words)}: {error}") from error
    if done.returncode != 0:
        raise Trouble(f"{' '.join(words)}: status {done.returncode}: "
                      + (done.stderr or done.stdout).strip()[-500:])
    return done.stdout


def tail(path, size=1500):
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - size))
            return file.read().decode("utf-8", "replace")
    except OSError as error:
        return str(error)


def await_true(ask, seconds, what):
    deadline = time.monotonic() + seconds
    while not ask():
        if time.monotonic() > deadline:
            raise Trouble(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)


def need_program(path):
    if shutil.which(path) is None:
        raise Trouble(f"{path} is missing: make build")
    return path
