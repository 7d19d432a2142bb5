#!/usr/bin/python3
"""The proxy of saga-chaos: bytes pass whole and in order, and cuts and stalls do what they say."""

import os
import socket
import sys
import threading
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from saga_chaos.proxy import Proxy  # noqa: E402  (its folder has to be known first)

PATIENCE_S = 10


class Echo:
    """Sends back what it gets, connection by connection."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.ended = threading.Semaphore(0)  # raised for each connection that is over
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection:
            try:
                while chunk := connection.recv(65536):
                    connection.sendall(chunk)
            except OSError:
                pass
        self.ended.release()

    def close(self):
        self.socket.close()

    def refuse(self):
        """From now on nobody takes connections at the port."""
        self.socket.shutdown(socket.SHUT_RDWR)


class ProxyTest(unittest.TestCase):
    def setUp(self):
        self.echo = Echo()
        self.proxy = Proxy("127.0.0.1", self.echo.port, seed=3).open()
        self.clients = []

    def tearDown(self):
        for client in self.clients:
            client.close()
        self.proxy.close()
        self.assertFalse(self.proxy.thread.is_alive())
        self.echo.close()

    def connect(self):
        client = socket.create_connection(("127.0.0.1", self.proxy.port), timeout=PATIENCE_S)
        self.clients.append(client)
        self.exchange(client, b"hello")
        return client

    def exchange(self, client, text):
        client.sendall(text)
        got = b""
        while len(got) < len(text):
            chunk = client.recv(len(text) - len(got))
            self.assertTrue(chunk, "the connection ended")
            got += chunk
        self.assertEqual(got, text)

    def is_cut(self, client):
        """True if it ends; False if it echoes."""
        try:
            client.sendall(b"?")
            return client.recv(1) == b""
        except OSError:
            return True

    def test_a_megabyte(self):
        client = self.connect()
        text = bytes(range(256)) * 4096
        thread = threading.Thread(target=client.sendall, args=(text,))
        thread.start()
        got = b""
        while len(got) < len(text):
            got += client.recv(65536)
        thread.join()
        self.assertEqual(got, text)

    def test_an_end_passes(self):
        client = self.connect()
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(client.recv(1), b"")
        self.assertTrue(self.echo.ended.acquire(timeout=PATIENCE_S))

    def test_cut_all(self):
        clients = [self.connect() for _ in range(5)]
        self.assertEqual(self.proxy.cut(all_of_them=True), 5)
        for client in clients:
            self.assertTrue(self.is_cut(client))
            self.assertTrue(self.echo.ended.acquire(timeout=PATIENCE_S))
        self.exchange(self.connect(), b"and again")

    def test_cut_one(self):
        clients = [self.connect() for _ in range(4)]
        self.assertEqual(self.proxy.cut(all_of_them=False), 1)
        self.assertTrue(self.echo.ended.acquire(timeout=PATIENCE_S))
        self.assertEqual([self.is_cut(client) for client in clients].count(True), 1)

    def test_cut_none(self):
        self.assertEqual(self.proxy.cut(all_of_them=True), 0)
        self.assertEqual(self.proxy.cut(all_of_them=False), 0)

    def test_stall(self):
        client = self.connect()
        self.assertEqual(self.proxy.stall(all_of_them=True, seconds=0.5), 1)
        begin = time.monotonic()
        self.exchange(client, b"late, and whole")
        self.assertGreaterEqual(time.monotonic() - begin, 0.4)

    def test_a_stalled_one_is_cut(self):
        client = self.connect()
        self.proxy.stall(all_of_them=True, seconds=600)
        self.proxy.cut(all_of_them=True)
        self.assertTrue(self.is_cut(client))

    def test_nobody_behind_it(self):
        self.echo.refuse()
        client = socket.create_connection(("127.0.0.1", self.proxy.port), timeout=PATIENCE_S)
        self.clients.append(client)
        self.assertTrue(self.is_cut(client))


if __name__ == "__main__":
    unittest.main()
