# SPDX-License-Identifier: Apache-2.0
"""Goal: no token, and no piece of one, stays in tokend's memory when its call is over, however that ended; and this
search would find it if it did.

Two of a kind go through the same life: tokend, and tokend-naive, which is made of the same objects without the
precautions (tests/memory/naive.c). At each moment of that life both are searched, by reading their memory as root can;
what must not be in the one must be in the other. Once in between, while a call is in flight whose token has arrived,
it must be found in both, so that one sees where it may lie; then they are searched as core files, too: as the kernel
would write one, and with all that the process asked to be left out.

The management token's live copy, one a cluster, is the exception, and the only one.
"""

import concurrent.futures
import json
import mmap
import os
import secrets
import signal
import uuid

import pytest

from canary import Canaries, islands
from conftest import MANAGEMENT_TOKEN, Tokend, World, until
from memory import SANITIZED, areas_of, core_of
from requester import OUTCOME

pytestmark = [
    pytest.mark.mock,
    pytest.mark.skipif(SANITIZED, reason="a sanitizer keeps freed memory as it was"),
    pytest.mark.skipif(os.getuid() != 0, reason="nobody but root can read this process's memory"),
]

OVER = ("a reply", "an error", "a timeout", "a drain")  # no call is in flight that has brought a token
IN_FLIGHT = "in flight"
CORE, EVERYTHING = "a core file", "a core file of everything"
BEHIND_BYTES, DRIP_MS = 3500, 5  # 17 s
ANSWER_MS, LAST_ANSWER_MS = 1500, 6000


class Naive(Tokend):
    program = "tokend-naive"


class Life:
    """What happened to one of them, and what was seen meanwhile."""

    def __init__(self, world, kind):
        self.world, self.kind, self.r = world, kind, world.requester()
        self.t = world.tokend(kind=kind)
        self.lost = []  # tokens that an answer held which the sandbox did not make
        self.of = {}  # moment -> the tokens that came between the one before and it
        self.found = {}  # moment -> {token: where it lay}
        self.management = {}  # moment -> how many copies of the management token

    # ---- looking -------------------------------------------------------------------------------------------------

    def known(self):
        return [t["accessToken"] for t in self.world.sandbox.truth()["tokens"]] + self.lost

    def look(self, moment, places, known=None):
        """places: (what it is called, bytes); known: the tokens that there were then, if that is some time ago."""
        tokens, before = known or self.known(), {t for m, ts in self.of.items() if m != moment for t in ts}
        c = Canaries()
        for token in tokens:
            c.add_token(token)
        self.of[moment] = [t for t in tokens if t not in before]
        self.found[moment], self.management[moment], looked_at = {}, 0, 0
        for where, data in places:
            looked_at += len(data)
            for name in c.found_in(data):
                self.found[moment].setdefault(name.split(",")[0], []).append(where)
            self.management[moment] += sum(i.count(MANAGEMENT_TOKEN.encode()) for _, i in islands(data))
        assert looked_at > 1 << 20
        return self.found[moment]

    def look_at_memory(self, moment):
        return self.look(moment, ((f"{a.line} {sorted(a.flags)}", a.data) for a in areas_of(self.t.process.pid)))

    def look_at_core(self, moment, core, known):
        with open(core, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
            self.look(moment, [(core.name, data)], known)
        core.unlink()

    # ---- living --------------------------------------------------------------------------------------------------

    def lose(self):
        """A token's string that the sandbox did not make."""
        self.lost.append("apiv1_" + secrets.token_hex(32))
        return self.lost[-1]

    def request(self, **fault):
        request = self.r.create(f"m-{uuid.uuid4()}")
        if fault:
            self.world.sandbox.fault({"description": request.message.description, **fault})
        return request

    def live(self):
        self.gets_a_reply()
        self.gets_errors()
        self.is_kept_waiting()
        self.drains()
        return self

    def gets_a_reply(self):
        assert self.r.ask(self.request()).said[1] == ""
        self.look_at_memory("a reply")

    def gets_errors(self):
        """One that holds a token, and a token with rights that nobody asked for."""
        error = json.dumps({"code": 400, "message": "no", "accessToken": self.lose()})
        refused = self.r.ask(self.request(fault="error", status=400, answer=error))
        assert refused.said[:2] == (3, "UPSTREAM_REJECTED") and refused.said[2] == OUTCOME
        assert self.r.ask(self.request(fault="wrong_permissions")).message.attempts == 2
        self.look_at_memory("an error")

    def is_kept_waiting(self):
        """The token comes first, and what stands behind it takes longer than a call may."""
        answer = json.dumps({"accessToken": self.lose(), "behind": "x" * BEHIND_BYTES})
        slow = self.request(fault="drip", drip_ms=DRIP_MS, answer=answer)
        self.r.send(slow)
        until("its token has arrived", lambda: self.lost[-1] in self.look_at_memory(IN_FLIGHT))
        known = self.known()
        cores = {everything: core_of(self.t.process.pid, self.world.directory, everything)
                 for everything in ((False, True) if self.kind is Tokend else (False,))}
        assert len(self.world.sandbox.posts(slow.message.description)) == 1, "it was over before it was looked at"
        for everything, core in cores.items():
            self.look_at_core(EVERYTHING if everything else CORE, core, known)
        assert self.r.wait(slow).message.attempts == 2
        self.look_at_memory("a timeout")

    def drains(self):
        """One is answered while another call is waited for. What went wrong before has narrowed the cluster's gate:
        it is opened by what goes right."""
        for _ in range(4):
            assert self.r.ask(self.request()).said[1] == ""
        first, last = (self.request(fault="delay", delay_ms=ms) for ms in (ANSWER_MS, LAST_ANSWER_MS))
        self.r.send(first, last)
        self.world.sandbox.wait_in_flight(2)
        self.t.signal(signal.SIGTERM)
        assert self.r.wait(first).said[1] == ""
        self.look_at_memory("a drain")
        assert last.digest not in self.r.replies and self.t.process.poll() is None
        assert self.r.wait(last).said[1] == "" and self.t.process.wait(30) == 0


@pytest.fixture(scope="module")
def lives(tmp_path_factory):
    """Both at the same time: each waits for the longest that a call may take."""
    worlds = {}
    try:
        for kind in (Tokend, Naive):
            worlds[kind] = World("mock", tmp_path_factory.mktemp(kind.program), None)
            worlds[kind].initialise()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            lives = dict(zip(worlds, pool.map(lambda kind: Life(worlds[kind], kind).live(), worlds)))
        yield lives
        for world in worlds.values():
            world.finish()
    finally:
        for world in worlds.values():
            world.close()


@pytest.mark.parametrize("moment", OVER)
def test_what_is_over_has_left_nothing(lives, moment):
    """Of no token that there has been so far: neither in memory that is used nor in memory that is free."""
    assert lives[Tokend].of[moment] and lives[Tokend].found[moment] == {}


@pytest.mark.parametrize("moment", OVER)
def test_without_the_precautions_it_would_have(lives, moment):
    """Whatever came last is found, of however the call ended."""
    assert set(lives[Naive].found[moment]) & set(lives[Naive].of[moment])


def test_a_token_in_flight_lies_in_guarded_memory_alone(lives):
    """Locked, and left out of core files: that is what it has to be answered from."""
    token = lives[Tokend].lost[-1]
    assert set(lives[Tokend].found[IN_FLIGHT]) == {token}
    for area in lives[Tokend].found[IN_FLIGHT][token]:
        assert "'lo'" in area and "'dd'" in area, area
    naive = lives[Naive].found[IN_FLIGHT][lives[Naive].lost[-1]]
    assert not any("'lo'" in area or "'dd'" in area for area in naive)


def test_a_core_file_would_not_hold_it(lives):
    """One that holds everything does, so it is looked for in the right way."""
    release, naive = lives[Tokend], lives[Naive]
    assert release.found[CORE] == {} and set(release.found[EVERYTHING]) == {release.lost[-1]}
    assert naive.lost[-1] in naive.found[CORE]


def test_the_management_token_is_where_it_must_be_and_nowhere_else(lives):
    """Each cluster's own copy, which every call needs, and that in no core file."""
    release, clusters = lives[Tokend], len(lives[Tokend].world.config["clusters"])
    assert {m: release.management[m] for m in OVER} == dict.fromkeys(OVER, clusters)
    assert release.management[EVERYTHING] >= clusters and release.management[CORE] == 0
    assert lives[Naive].management["a reply"] > clusters and lives[Naive].management[CORE] > 0
