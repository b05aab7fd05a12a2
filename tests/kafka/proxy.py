# SPDX-License-Identifier: Apache-2.0
"""Between a client and a broker: what they say to each other passes, is held, comes late or is cut, as a test wants.

    with kafka.proxy() as proxy:                    # kafka is kafka.Kafka; clients use proxy.bootstrap
        rule = proxy.hold("request", END_TXN)       # the next one does not reach the broker ...
        rule = proxy.hold("answer", END_TXN)        # ... or the broker has done it, and nobody is told
        rule.wait()                                 # until it has caught what it was for
        rule.release()                              # goes on from there; or: rule.cut()
        proxy.cut("answer", END_TXN)                # as a broken line does
        proxy.delay("answer", 2.0, client="/a/")    # of clients whose client.id contains that, all that they ask
        proxy.refuse()                              # nobody gets through: lines are cut, new ones are closed

Frames are told apart, because a connection carries many requests, and only some matter: each is a length, the kind of
request, its version, a number by which its answer is found, and the client's id. Nothing else is read, nothing is
changed. What stands behind a held frame on the same connection waits with it, as on a line that has stalled.

A rule is for `times` frames (None: all from now on), after it has let `after` of them pass. The first that matches
counts.
"""
import contextlib
import socket
import struct
import threading
import time

PRODUCE, FETCH, OFFSET_COMMIT, OFFSET_FETCH, HEARTBEAT = 0, 1, 8, 9, 12
DESCRIBE_GROUPS, INIT_PRODUCER_ID, ADD_PARTITIONS_TO_TXN, ADD_OFFSETS_TO_TXN, END_TXN = 15, 22, 24, 25, 26
TXN_OFFSET_COMMIT = 28


class Cut(Exception):
    """The connection ends here."""


class Rule:
    def __init__(self, way, api, client, times, after, act):
        self.way, self.api, self.client, self.times, self.after, self.act = way, api, client, times, after, act
        self.caught, self.gone, self.changed = 0, threading.Event(), threading.Condition()
        self.cutting = False

    def takes(self, way, api, client):
        """Is this frame one of its own? Counts it, if so."""
        if way != self.way or self.api not in (None, api) or self.client not in client or self.gone.is_set():
            return False
        with self.changed:
            if self.after > 0:
                self.after -= 1
                return False
            if self.times is not None and self.caught >= self.times:
                return False
            self.caught += 1
            self.changed.notify_all()
            return True

    def wait(self, n=1, within_s=60):
        """Until it has caught n frames."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.caught >= n, within_s), \
                f"{self.caught} of {n} {self.way}s of kind {self.api} in {within_s} s"
        return self

    def release(self):
        """It is over: what it holds goes on, and it catches nothing more."""
        self.gone.set()

    def cut(self):
        """It is over: the lines that it holds end, with nothing getting through."""
        self.cutting = True
        self.gone.set()


class Line:
    """One connection: two sockets, and a thread for each way."""

    def __init__(self, proxy, client):
        self.proxy, self.client, self.open = proxy, client, True
        self.asked = {}     # number of a request -> (its kind, the client's id), until it is answered
        self.server = socket.create_connection(("127.0.0.1", proxy.behind), timeout=10)
        for s in (self.client, self.server):
            s.settimeout(None)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        proxy.lines.add(self)
        for way, source, sink in (("request", self.client, self.server), ("answer", self.server, self.client)):
            threading.Thread(target=self.pump, args=(way, source, sink), daemon=True).start()

    def pump(self, way, source, sink):
        try:
            while True:
                frame = self.read(source)
                rule = self.proxy.rule_for(way, *self.kind(way, frame))
                if rule is not None:
                    rule.act(self, rule)
                sink.sendall(frame)
        except (OSError, Cut):
            pass
        finally:
            self.close()

    def read(self, source):
        head = self.exactly(source, 4)
        return head + self.exactly(source, struct.unpack(">i", head)[0])

    def exactly(self, source, count):
        parts = []
        while count > 0:
            part = source.recv(min(count, 1 << 16))
            if not part:
                raise Cut
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def kind(self, way, frame):
        if way == "answer":
            return self.asked.pop(struct.unpack_from(">i", frame, 4)[0], (None, ""))
        api, _, number, length = struct.unpack_from(">hhih", frame, 4)
        self.asked[number] = (api, frame[14:14 + max(length, 0)].decode())
        return self.asked[number]

    def close(self):
        self.open = False
        for s in (self.client, self.server):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
        for s in (self.client, self.server):
            s.close()
        self.proxy.lines.discard(self)


class Proxy:
    def __init__(self, port, behind):
        self.bootstrap, self.behind = f"127.0.0.1:{port}", behind
        self.rules, self.lines, self.refusing = [], set(), False
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.clear()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut_all()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                if self.refusing:
                    raise OSError
                Line(self, client)
            except OSError:     # or the broker is away
                client.close()

    def rule_for(self, way, api, client):
        return next((r for r in list(self.rules) if r.takes(way, api, client)), None)

    def add(self, way, api, client, times, after, act):
        rule = Rule(way, api, client, times, after, act)
        self.rules.append(rule)
        return rule

    # ---- what a test asks for --------------------------------------------------------------------------------------

    def hold(self, way, api=None, client="", times=1, after=0):
        """Until its release() or its cut()."""
        def act(line, rule):
            while not rule.gone.wait(0.05):
                if not line.open:
                    raise Cut
            if rule.cutting:
                raise Cut
        return self.add(way, api, client, times, after, act)

    def cut(self, way, api=None, client="", times=1, after=0):
        """The line ends with this frame, which does not get through."""
        def act(line, rule):
            raise Cut
        return self.add(way, api, client, times, after, act)

    def delay(self, way, seconds, api=None, client="", times=None, after=0):
        return self.add(way, api, client, times, after, lambda line, rule: time.sleep(seconds))

    def clear(self):
        """No rule any more; what they hold goes on."""
        for rule in self.rules:
            rule.release()
        self.rules.clear()

    def cut_all(self):
        for line in list(self.lines):
            line.close()

    def refuse(self):
        self.refusing = True
        self.cut_all()

    def admit(self):
        self.refusing = False
