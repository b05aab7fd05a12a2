# SPDX-License-Identifier: Apache-2.0
"""A group's committed offsets with their metadata, read, set and forgotten. Requests of Kafka's by hand: the client
library at hand shows no metadata and deletes no groups.

    offsets = Offsets("127.0.0.1:9092", "tokend-prod")
    offset, metadata = offsets.read("tokend.requests", 0)       # (-1, "") when there is none

For a single broker, which coordinates every group."""

import io
import socket
import struct
import time

OFFSET_COMMIT, OFFSET_FETCH, DELETE_GROUPS = 8, 9, 42
UNKNOWN_MEMBER, NON_EMPTY_GROUP = 25, 68  # somebody is a member still
WITHIN_S = 60


def text(s):
    return struct.pack(">h", len(s.encode())) + s.encode()


def take(answer, form):
    return struct.unpack(form, answer.read(struct.calcsize(form)))


def take_text(answer):
    (size,) = take(answer, ">h")
    return answer.read(size).decode() if size > 0 else ""


class Offsets:
    def __init__(self, bootstrap, group):
        host, port = bootstrap.rsplit(":", 1)
        self.address, self.group = (host, int(port)), group

    def ask(self, api, version, body):
        request = struct.pack(">hhi", api, version, 1) + text("test") + body
        with socket.create_connection(self.address, timeout=10) as s, s.makefile("rb") as answers:
            s.sendall(struct.pack(">i", len(request)) + request)
            (size,) = struct.unpack(">i", answers.read(4))
            return io.BytesIO(answers.read(size)[4:])  # behind the request's number

    @staticmethod
    def of(topic, partition, more=b""):
        return struct.pack(">i", 1) + text(topic) + struct.pack(">ii", 1, partition) + more

    @staticmethod
    def until_left(change):
        """A dead member is one until its session is over: until then nobody else may change anything."""
        end = time.monotonic() + WITHIN_S
        while (error := change()) in (UNKNOWN_MEMBER, NON_EMPTY_GROUP):
            assert time.monotonic() < end, "the group still has members"
            time.sleep(0.2)
        assert error == 0, error

    def read(self, topic, partition):
        answer = self.ask(OFFSET_FETCH, 1, text(self.group) + self.of(topic, partition))
        take(answer, ">i")
        take_text(answer)
        _, _, offset = take(answer, ">iiq")
        metadata = take_text(answer)
        assert take(answer, ">h") == (0,)
        return offset, metadata

    def commit(self, topic, partition, offset, metadata=""):
        body = text(self.group) + struct.pack(">i", -1) + text("") + struct.pack(">q", -1)
        body += self.of(topic, partition, struct.pack(">q", offset) + text(metadata))

        def change():
            answer = self.ask(OFFSET_COMMIT, 2, body)
            take(answer, ">i")
            take_text(answer)
            return take(answer, ">iih")[2]

        self.until_left(change)

    def forget(self):
        def change():
            answer = self.ask(DELETE_GROUPS, 0, struct.pack(">i", 1) + text(self.group))
            take(answer, ">ii")
            take_text(answer)
            return take(answer, ">h")[0]

        self.until_left(change)
