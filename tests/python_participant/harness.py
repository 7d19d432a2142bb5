"""What the broker tests share: a private broker, processes, and an orchestrator's side of the wire."""

import contextlib
import datetime
import json
import os
import pathlib
import queue
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import uuid

import pika

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXCHANGE = "BOOKING_TX_EVENT_STORE"
PATIENCE_S = 60  # for what has to come; generous, because it is only waited for when it fails


class Broker:
    """A node of RabbitMQ that nobody else uses."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="saga-python-")
        self.url = self("start", "--for", str(os.getpid())).strip()

    def __call__(self, verb: str, *arguments: str) -> str:
        command = [str(ROOT / "scripts" / "broker"), verb, self.folder, *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    def close(self) -> None:
        self("kill")
        shutil.rmtree(self.folder)

    def connect(self) -> pika.BlockingConnection:
        return pika.BlockingConnection(pika.URLParameters(self.url))

    def depth(self, name: str) -> int:
        """How many messages are ready in a queue; -1: there is no such queue."""
        with self.connect() as connection:
            try:
                return connection.channel().queue_declare(name, passive=True).method.message_count
            except pika.exceptions.ChannelClosedByBroker:
                return -1


class Process:
    """A program whose standard error is read line by line."""

    def __init__(self, *command: object) -> None:
        self.lines: queue.Queue = queue.Queue()
        self.said: list[str] = []
        self.child = subprocess.Popen(
            [str(word) for word in command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        for line in self.child.stderr:
            self.lines.put(line)
        self.lines.put(None)

    def await_lines(self, *texts: str) -> None:
        """Until lines that were not read yet have had all texts, in whatever order.

        AssertionError: it ended, or said nothing of the kind in time."""
        missing = set(texts)
        deadline = time.monotonic() + PATIENCE_S
        while missing:
            try:
                line = self.lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            said = "".join(self.said)
            assert line is not None, f"{self.child.args} never said {missing} but:\n{said}"
            self.said.append(line)
            missing = {text for text in missing if text not in line}

    def await_stop(self) -> None:
        """Until it has stopped itself (SIGSTOP)."""
        _, status = os.waitpid(self.child.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), f"{self.child.args} ended with {status} instead of stopping"

    def resume(self) -> None:
        self.child.send_signal(signal.SIGCONT)

    def await_end(self) -> int:
        return self.child.wait(PATIENCE_S)

    def kill(self) -> None:
        self.child.kill()
        self.child.wait()
        self.reader.join()
        self.child.stderr.close()

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        self.child.terminate()
        status = self.await_end()
        self.reader.join()
        self.child.stderr.close()
        return status


def saga_id(at_s: float | None = None) -> str:
    """A UUIDv7."""
    ms = int((time.time() if at_s is None else at_s) * 1000)
    number = (ms << 80) | (7 << 76) | (random.getrandbits(12) << 64)
    return str(uuid.UUID(int=number | (2 << 62) | random.getrandbits(62)))


class Orchestrator:
    """Sends commands and keeps the replies, as docs/protocol.md says it."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.replies_to = "saga.replies." + uuid.uuid4().hex
        self.replies: list[tuple[pika.BasicProperties, dict]] = []
        self.open()

    def open(self) -> None:
        self.connection = self.broker.connect()
        self.channel = self.connection.channel()
        self.channel.exchange_declare(EXCHANGE, "topic", durable=True)
        self.channel.queue_declare(self.replies_to, durable=True)
        self.channel.queue_bind(self.replies_to, EXCHANGE, self.replies_to)
        self.channel.confirm_delivery()
        self.channel.basic_consume(self.replies_to, self.keep, auto_ack=True)

    def keep(self, _channel, _method, properties, body: bytes) -> None:
        self.replies.append((properties, json.loads(body)))

    def send(
        self,
        name: str,
        operation: str,
        row: tuple[str, str, int],
        body: object = None,
        attempt: int = 1,
        revision: int = 1,
        issued_s: float | None = None,
        headers: dict | None = None,
        **properties: object,
    ) -> str:
        """Publishes a command; returns its id. `headers` and `properties` replace the usual ones."""
        saga, step, incarnation = row
        identity = f"{saga}/{step}/{incarnation}/{operation}/{revision}"
        issued = datetime.datetime.fromtimestamp(
            time.time() if issued_s is None else issued_s, datetime.timezone.utc
        )
        usual: dict = {
            "COMMAND": name.upper().replace(".", "_"),
            "CLIENT": "BOOKING_REQUEST_ORCHESTRATOR",
            "saga-id": saga,
            "saga-type": "booking",
            "saga-step": step,
            "saga-incarnation": incarnation,
            "saga-revision": revision,
            "saga-operation": operation,
            "saga-attempt": attempt,
            "saga-issued-at": issued.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "saga-epoch": 1,
        } | (headers or {})
        values: dict = {
            "content_type": "application/json",
            "message_id": identity,
            "correlation_id": identity,
            "reply_to": self.replies_to,
            "type": name,
            "delivery_mode": 1,
            "headers": {key: value for key, value in usual.items() if value is not None},
        } | properties
        raw = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        self.publish(name, raw, pika.BasicProperties(**values))
        return identity

    def publish(self, routing_key: str, raw: bytes, properties: pika.BasicProperties) -> None:
        # mandatory and confirmed: a queue has it when this returns
        self.channel.basic_publish(EXCHANGE, routing_key, raw, properties, mandatory=True)

    def take(self, identity: str, seconds: float = PATIENCE_S):
        """The first reply to this command that was not yet taken; None: there is none in time."""
        deadline = time.monotonic() + seconds
        while True:
            for i, (properties, _) in enumerate(self.replies):
                if properties.correlation_id == identity:
                    return self.replies.pop(i)
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self.connection.process_data_events(time_limit=min(left, 1))

    def ask(self, *command, **options) -> tuple[str, str, bool]:
        """Sends a command; returns the outcome, the event and the replayed mark of its reply."""
        identity = self.send(*command, **options)
        reply = self.take(identity)
        assert reply is not None, f"no reply to {identity}"
        properties, body = reply
        assert body["id"] == identity and set(body) == {"id", "content", "reply_state"}, body
        assert properties.headers.get("saga-attempt") == options.get("attempt", 1), properties
        assert properties.content_type == "application/json", properties
        replayed = properties.headers.get("saga-replayed")
        assert replayed in (None, 1), properties
        return properties.headers["saga-outcome"], body["reply_state"], replayed == 1

    def close(self) -> None:
        with contextlib.suppress(pika.exceptions.AMQPError):  # the broker may be gone
            self.channel.queue_delete(self.replies_to)
            self.connection.close()
