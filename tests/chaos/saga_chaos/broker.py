"""The broker: a private node by scripts/broker, and what is done to queues.

Queues are looked at and deleted over AMQP, by pika (Debian: python3-pika), straight and not
through the proxy."""

import os
import subprocess

from .processes import Target, Trouble, run


class Queues:
    """Short visits: a connection each, so that nothing hangs on a broker that is killed."""

    def __init__(self, url):
        self.url = url

    def visit(self, act):
        """What `act(channel)` returns; Trouble if the broker does not answer."""
        try:
            import pika
            import pika.exceptions
            from pika.adapters.utils.connection_workflow import AMQPConnectorException
        except ImportError as error:
            raise Trouble("python3-pika is missing: scripts/install-packages test") from error
        parameters = pika.URLParameters(self.url)
        parameters.socket_timeout = 3
        parameters.stack_timeout = 5
        parameters.blocked_connection_timeout = 5
        parameters.connection_attempts = 1
        try:
            connection = pika.BlockingConnection(parameters)
            try:
                return act(connection.channel())
            finally:
                if connection.is_open:
                    connection.close()
        except pika.exceptions.ChannelClosedByBroker as error:
            if error.reply_code == 404:
                return None
            raise Trouble(f"the broker refuses: {error}") from error
        except (pika.exceptions.AMQPError, AMQPConnectorException, OSError) as error:
            raise Trouble(f"the broker at {self.url.rpartition('@')[2]} does not answer: "
                          f"{error!r}") from error

    def delete(self, queue):
        """True if there was one."""
        def act(channel):
            channel.queue_declare(queue, passive=True)
            channel.queue_delete(queue)
            return True
        return bool(self.visit(act))

    def messages(self, queue):
        """How many are in it; None: there is no such queue."""
        return self.visit(
            lambda channel: channel.queue_declare(queue, passive=True).method.message_count)

    def answers(self):
        try:
            self.visit(lambda channel: True)
            return True
        except Trouble:
            return False


class Node(Target):
    """A node of our own."""

    def __init__(self, script, folder, journal):
        super().__init__("broker")
        self.script = script
        self.folder = folder
        self.journal = journal
        self.pending = []  # children that have not ended yet, in order
        self.url = None
        self.wiping = False

    def words(self, verb, *rest):
        return [self.script, verb, self.folder, *rest]

    def open(self):
        """Starts it and waits. Returns its URL."""
        os.makedirs(self.folder, exist_ok=True)
        self.url = run(self.words("start", "--for", str(os.getpid()))).split()[-1]
        self.up = True
        return self.url

    def pid(self):
        raise NotImplementedError

    def later(self, words):
        with open(self.journal, "ab") as journal:
            self.pending.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=journal,
                                                 stderr=journal))

    def busy(self):
        self.pending = [process for process in self.pending if process.poll() is None]
        return bool(self.pending)

    def start(self):
        if self.wiping:
            run(self.words("wipe"))
            self.wiping = False
        self.later(self.words("start", "--for", str(os.getpid())))

    def started(self):
        process = self.pending[-1] if self.pending else None
        if process is not None and process.poll() is None:
            return False
        if process is not None and process.returncode != 0:
            raise Trouble(f"the broker does not start again: see {self.journal}")
        self.up = True
        return True

    def kill(self):
        self.up = False
        self.stopped = False
        for process in self.pending:
            process.wait()
        self.pending = []
        run(self.words("kill"))

    def stop(self):
        run(self.words("pause"))
        self.stopped = True

    def resume(self):
        if self.stopped:
            self.stopped = False
            run(self.words("resume"))

    def alarm(self, on):
        self.later(self.words("alarm", "on" if on else "off"))

    def end(self):
        self.resume()
        run(self.words("stop"))
        self.up = False
        return 0

    def abandon(self):
        for process in self.pending:
            process.wait()
        subprocess.run(self.words("kill"), check=False, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
