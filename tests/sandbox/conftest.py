# SPDX-License-Identifier: Apache-2.0
"""A sandbox of the tests' own, and how to talk to it."""
import http.client
import json
import os
import socket
import subprocess
import time
import urllib.parse

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join(ROOT, os.environ.get("TOKEND_BUILD", "build/release"), "tokend-sandbox")
ACCOUNT, CLUSTER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
SECOND = "33333333-3333-4333-8333-333333333333"
DEDICATED = f"/api/v0/accounts/{ACCOUNT}/clusters/{CLUSTER}/tokens"
DEDICATED_2 = f"/api/v0/accounts/{ACCOUNT}/clusters/{SECOND}/tokens"
CLUSTERED = "/api/v0/tokens"
BEARER = "Bearer sandbox-management-token"


def until(what, condition, within_s=10):
    """condition()'s first result that is true."""
    end = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {within_s} s: {what}"
        time.sleep(0.01)
    return found


class Sandbox:
    def __init__(self, directory, *options):
        self.ready_file = os.path.join(directory, "ready.json")
        ports = ("--api-port", "0", "--data-port", "0", "--control-port", "0")
        self.process = subprocess.Popen([PROGRAM, *ports, "--quiet", "--ready-file", self.ready_file, *options])
        try:
            self.ready = until("ready", self.read_ready)
        except BaseException:
            self.process.kill()
            raise
        address = urllib.parse.urlparse(self.ready["api"])
        self.address = address.hostname, address.port

    def read_ready(self):
        """None: there is no ready file of this very process yet."""
        assert self.process.poll() is None, "it ended"
        try:
            with open(self.ready_file) as f:
                ready = json.loads(f.read())
        except FileNotFoundError:
            return None
        return ready if ready["pid"] == self.process.pid else None

    def ask(self, method, port, path, body=None, auth=BEARER):
        """(status, parsed body or None, headers)"""
        status, text, headers = self.raw(method, port, path, body, auth)
        return status, json.loads(text) if text else None, headers

    def raw(self, method, port, path, body=None, auth=BEARER):
        """(status, body as bytes, headers)"""
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        address = urllib.parse.urlparse(self.ready[port])
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
        headers = {"Content-Type": "application/json", **({"Authorization": auth} if auth else {})}
        try:
            connection.request(method, path, data, headers)
            r = connection.getresponse()
            return r.status, r.read(), r.headers
        finally:
            connection.close()

    def create(self, description="d", path=DEDICATED, **more):
        return self.ask("POST", "api", path, {"description": description, **more})

    def plain_bytes(self, description="d", method="POST", path=DEDICATED):
        """What comes on the wire, and how it ends: b"FIN", b"RST"."""
        body = json.dumps({"description": description}).encode() if method == "POST" else b""
        with socket.create_connection(self.address, timeout=20) as s:
            s.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {BEARER}\r\n"
                      f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            got = b""
            try:
                while part := s.recv(65536):
                    got += part
                return got, "FIN"
            except ConnectionResetError:
                return got, "RST"

    def faults(self, *rules):
        return self.ask("POST", "control", "/faults", list(rules))

    def fault(self, **rule):
        status, answer, _ = self.faults(rule)
        assert status == 200, answer

    def truth(self):
        return self.ask("GET", "control", "/truth")[1]

    def posts(self):
        return self.truth()["posts"]

    def tokens(self):
        """Those that are alive, by their ids."""
        return {t["id"]: t for t in self.truth()["tokens"] if t["revokedAt"] is None}

    def summary(self):
        return self.ask("GET", "control", "/truth/summary")[1]

    def listed(self, path=DEDICATED):
        return [t["id"] for t in self.ask("GET", "api", path)[1]]

    def settle(self):
        assert self.ask("POST", "control", "/control/settle")[0] == 204

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(10)


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    s = Sandbox(str(tmp_path_factory.mktemp("sandbox")), "--no-kafka", "--cluster", f"{ACCOUNT}/{SECOND}")
    yield s
    assert s.stop() == 0


@pytest.fixture
def sandbox(shared):
    shared.ask("DELETE", "control", "/faults")
    shared.ask("POST", "control", "/reset")
    return shared


@pytest.fixture
def start(tmp_path):
    """start(OPTION...): a sandbox with options of its own. It ends well, or the test has failed."""
    begun = []

    def one(*options):
        directory = tmp_path / str(len(begun))
        directory.mkdir()
        begun.append(Sandbox(str(directory), "--no-kafka", *options))
        return begun[-1]
    yield one
    for s in begun:
        assert s.stop() == 0
