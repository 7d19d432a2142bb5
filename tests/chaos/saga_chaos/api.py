"""The daemon's API, as a client that trusts nothing uses it: one connection a request, over
the unix socket or TCP; "no answer" is an answer."""

import http.client
import json
import socket
from urllib.parse import urlsplit

NO_ANSWER = 0


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Api:
    """`server` is unix:PATH or http://HOST:PORT. Any thread."""

    def __init__(self, server, timeout_s=5.0):
        self.server = server
        self.timeout_s = timeout_s
        if not server.startswith("unix:"):
            parts = urlsplit(server)
            if parts.scheme != "http" or parts.hostname is None:
                raise ValueError(f"'{server}': expected unix:PATH or http://HOST:PORT")
            self.host, self.port = parts.hostname, parts.port or 80

    def request(self, method, path, body=None, headers=None, timeout_s=None):
        """(status, JSON or None); status NO_ANSWER: nobody knows what became of it."""
        timeout_s = timeout_s or self.timeout_s
        connection = (UnixConnection(self.server[len("unix:"):], timeout_s)
                      if self.server.startswith("unix:")
                      else http.client.HTTPConnection(self.host, self.port, timeout=timeout_s))
        headers = dict(headers or {})
        payload = None
        if body is not None:
            payload = json.dumps(body)
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, payload, headers)
            response = connection.getresponse()
            content = response.read()
            return response.status, json.loads(content) if content else None
        except (OSError, http.client.HTTPException, ValueError):
            return NO_ANSWER, None
        finally:
            connection.close()

    def start(self, saga, key, data):
        return self.request("POST", "/v1/sagas", {"saga": saga, "input": data},
                            {"Idempotency-Key": key})

    def get(self, saga):
        return self.request("GET", f"/v1/sagas/{saga}")

    def act(self, saga, verb, reason):
        return self.request("POST", f"/v1/sagas/{saga}/{verb}", {"reason": reason})

    def stats(self, timeout_s=1.0):
        """The counters, or None while nobody answers."""
        status, stats = self.request("GET", "/v1/stats", timeout_s=timeout_s)
        return stats if status == 200 else None
