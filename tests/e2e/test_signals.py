# SPDX-License-Identifier: Apache-2.0
"""Goal: whatever the Management API answers to a POST, or fails to, it means what the protocol's table says, and what
became of the attempt stands in the journal.

All that can go wrong goes wrong at once, each at a cluster where few others do, so that no breaker opens; then each
test looks at its own. The broker plays no part in it: the sandbox's will do.
"""

import contextlib
import dataclasses
import json
import re
import socket

import pytest

from contract import check
from requester import MARKER, journal_pb

pytestmark = pytest.mark.mock

AGAIN = "an attempt ended without a token; another follows"
AT_ONE_CLUSTER = 4  # the breaker opens at the fifth failure in a row
DEAF_LIFE_S = 8  # of a request to where nothing can be sent: longer than a connection may take

# verdict -> what the closed attempt is known as, and how the request ends
MEANS = {
    "created": (None, "CREATED"),
    "ambiguous": (journal_pb.UNKNOWN, "CREATED"),
    "rejected": (journal_pb.REFUSED, "UPSTREAM_REJECTED"),
    "credential": (journal_pb.REFUSED, "CREATED"),
    "not_found": (journal_pb.REFUSED, "TARGET_NOT_FOUND"),
    "conflict": (journal_pb.REFUSED, "CREATED"),
    "throttled": (journal_pb.REFUSED, "CREATED"),
    "redirected": (journal_pb.UNKNOWN, "CREATED"),
}


@dataclasses.dataclass
class Case:
    verdict: str
    fault: dict  # at the first POST; the second, where there is one, is answered as it should be
    signals: tuple = ()  # of the table's
    made: bool = False  # the first POST made a token
    why: str = ""  # stands in the log line about it
    alone: bool = False  # takes long: at a cluster of its own
    cluster: str = None
    request: object = None
    means: str = None  # where it means another verdict than the one that is refused: what the table says of the row

    @property
    def name(self):
        words = [str(v) for k, v in self.fault.items() if k not in ("answer", "location", "commit", "delay_ms")]
        return "-".join(words) + ("-made" if self.made else "")


def status(n, verdict, *signals, commit=False, **more):
    fault = {"fault": "error", "status": n, "commit": commit}
    return Case(verdict, fault, signals or (str(n),), commit, f"{n} ", **more)


def answers(fault, *signals, verdict="ambiguous", why="", made=True, means=None, **how):
    """An answer with 200 that is not what was asked for: made, and lost."""
    return Case(verdict, {"fault": fault, **how}, signals, made, why, means=means)


def breaks(fault, made, **how):
    return Case("ambiguous", {"fault": fault, "commit": made, **how}, ("any error after the request left",), made)


NO_UUID = json.dumps({"id": "1", "accessToken": "x" * 64, "description": "d", "permissions": []})
OTHER_5XX, UNNAMED = "other 5xx but 501", "any status that is not named here"
REDIRECT, LOST = "3xx", "2xx otherwise"

CASES = [
    # the slowest first
    dataclasses.replace(breaks("drip", True, drip_ms=1000), alone=True, why="timed out"),
    dataclasses.replace(breaks("endless", True, drip_ms=1), alone=True),
    Case("created", {"fault": "delay"}, ("200",), True),
    Case(
        "created",
        {"fault": "delay", "status": 201},
        ("201 with a token that is what was asked for",),
        True,
    ),
    answers("delay", "id", why="id", answer=NO_UUID, means="created"),
    answers("short_token", "string", means="created"),
    answers("wrong_account", "account", means="created"),
    answers("wrong_cluster", "cluster", means="created"),
    answers("wrong_expiry", "expiry", why="expiry", means="created"),
    answers("wrong_permissions", "permissions as a set", why="permissions", means="created"),
    *(breaks("cut", made, at=at) for made in (False, True) for at in ("start", "status", "headers", "body")),
    breaks("reset", False),
    breaks("reset", True, at="body"),
    *(status(n, "ambiguous", commit=commit) for n in (408, 500, 502, 503, 504) for commit in (False, True)),
    *(status(n, "ambiguous", OTHER_5XX) for n in (505, 507, 599)),
    *(status(n, "ambiguous", UNNAMED) for n in (402, 406, 410, 418)),
    answers("delay", LOST, status=202),
    answers("delay", LOST, status=204, answer=""),
    answers("bad_json", "cut", why="not JSON"),
    answers("trailing_garbage", LOST, why="not JSON"),
    answers("duplicate_keys", LOST),
    answers("deep_json", LOST),
    *(answers("wrong_type", "wrong type", shape=shape) for shape in ("number", "null", "array", "html", "empty")),
    answers("missing_token", "no token"),
    answers("wrong_account", "another account", why="another account or cluster"),
    answers("wrong_permissions", "other rights", why="other permissions"),
    *(status(n, "rejected") for n in (400, 405, 413, 415, 422, 501)),
    status(400, "rejected", commit=True),
    *(status(n, "credential", commit=n == 403) for n in (401, 403)),
    status(404, "not_found"),
    status(409, "conflict"),
    status(425, "throttled"),
    status(429, "throttled"),
    status(429, "throttled", commit=True),
    *(status(n, "redirected", REDIRECT) for n in (300, 301, 302, 303, 304, 307, 308)),
    status(307, "redirected", REDIRECT, commit=True),
]

NOT_SENT = {  # cluster -> what the log says of it
    "nameless": "resolve",
    "no-tls": "",
    "full": "timed out",
}


def share_clusters():
    """A cluster for every few that fail and do not end the request."""
    shared = [c for c in CASES if not c.alone]
    groups = [shared[i : i + AT_ONE_CLUSTER] for i in range(0, len(shared), AT_ONE_CLUSTER)]
    for i, group in enumerate(groups + [[c] for c in CASES if c.alone]):
        for c in group:
            c.cluster = f"c{i}"
    return [f"c{i}" for i in range(len(groups) + sum(c.alone for c in CASES))]


CLUSTERS = [*share_clusters(), *NOT_SENT]


@contextlib.contextmanager
def trap():
    """A listener that nobody should come to."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        s.setblocking(False)
        yield s


@contextlib.contextmanager
def full_listener():
    """One whose queue is full: whoever comes now waits for an answer to its first packet."""
    with contextlib.ExitStack() as stack:
        s = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        while True:
            c = stack.enter_context(socket.socket())
            c.settimeout(0.3)
            try:
                c.connect(s.getsockname())
            except TimeoutError:
                break
        yield s


@pytest.fixture(scope="module")
def elsewhere():
    with trap() as s:
        yield s


@pytest.fixture(scope="module")
def running(common, elsewhere):
    """Everything is under way when the first test looks."""
    with full_listener() as full:
        urls = {
            "nameless": "https://nowhere.invalid",
            "no-tls": common.sandbox.api.replace("http:", "https:"),
            "full": f"http://127.0.0.1:{full.getsockname()[1]}",
        }
        for cluster in common.config["clusters"]:
            cluster["url"] = urls.get(cluster["name"], cluster["url"])
        t, r = common.tokend(), common.requester()
        for i, c in enumerate(CASES):
            c.request = r.create(f"{i:02}-{c.name}", cluster=c.cluster)
            location = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/token"
            where = {"location": location} if c.verdict == "redirected" else {}
            common.sandbox.fault({"description": f"{i:02}-{c.name}", "times": 1, **c.fault, **where})
        common.deaf = {name: r.create(name, cluster=name, life_s=DEAF_LIFE_S) for name in [*NOT_SENT, "dark"]}
        r.send(*(c.request for c in CASES), *common.deaf.values())
        yield common


@pytest.fixture(scope="module")
def audited(running):
    """When everything is answered."""
    return running.audit()


def marked(case):
    marks = [pytest.mark.verdict(case.means or case.verdict, *case.signals)]
    return pytest.param(case, marks=marks, id=f"{CASES.index(case):02}-{case.name}")


@pytest.mark.parametrize("case", [marked(c) for c in CASES])
def test_an_answer_means_what_the_table_says(shared, audited, case):
    r, t, request = shared.requester(), shared.tokends[0], case.request
    fate, ends = MEANS[case.verdict]
    reply = check(r.wait(request), ends)
    posts = shared.sandbox.posts(request.message.description)
    uuids = [MARKER.search(p["description"])[4] for p in posts]
    attempts = 2 if ends == "CREATED" and case.verdict != "created" else 1
    assert reply.message.attempts == len(posts) == attempts
    assert bool(posts[0]["token_ids"]) == case.made
    lines = t.said(AGAIN, request_id=request.id)
    if attempts == 2:
        assert [line["verdict"] for line in lines] == [case.verdict] and case.why in lines[0]["why"]
        assert posts[1]["token_ids"] and audited.done(request.id).attempt == uuids[1]
    else:
        assert lines == [] and (ends == "CREATED" or case.why in reply.status.message)
    closed = audited.done(request.id).closed
    assert {u: a.fate for u, a in closed.items()} == ({} if fate is None else {uuids[0]: fate})
    orphans = {token["id"] for token in audited.orphans(request.message.description)}
    assert orphans == (set(posts[0]["token_ids"]) if case.made and case.verdict != "created" else set())


@pytest.mark.verdict("redirected", REDIRECT)
def test_nobody_goes_where_an_answer_points(audited, elsewhere):
    with pytest.raises(BlockingIOError):
        elsewhere.accept()


@pytest.mark.parametrize(
    "cluster, why",
    [
        pytest.param("dark", "connect", marks=pytest.mark.verdict("not_sent", "refused connection")),
        pytest.param("nameless", "resolve", marks=pytest.mark.verdict("not_sent", "DNS")),
        pytest.param("no-tls", "", marks=pytest.mark.verdict("not_sent", "TLS")),
        pytest.param("full", "Timeout", marks=pytest.mark.verdict("not_sent", "connect timeout")),
    ],
)
@pytest.mark.verdict("not_sent", "the pre-request callback was not called")
def test_what_was_certainly_not_sent_needs_no_closing(shared, audited, cluster, why):
    request, t = shared.deaf[cluster], shared.tokends[0]
    reply = check(shared.requester().wait(request), "UPSTREAM_UNREACHABLE", "deadline", why)
    assert audited.done(request.id).closed == {}
    lines = t.said(AGAIN, request_id=request.id)
    assert lines and {line["verdict"] for line in lines} == {"not_sent"}
    assert reply.message.attempts >= len(lines) and shared.sandbox.posts(request.message.description) == []
    series = rf'tokend_api_requests_total{{cluster="{cluster}",verb="create",class="(\w+)"}} (\d+)'
    counted = re.findall(series, t.http("/metrics")[1])
    assert {label: int(n) for label, n in counted if n != "0"} == {"not_sent": reply.message.attempts}


@pytest.mark.verdict("ambiguous", "any error after the request left")
def test_a_byte_a_second_is_not_waited_for_longer_than_a_call_may_take(shared, audited):
    drip = next(c for c in CASES if c.fault["fault"] == "drip")
    first, second = shared.sandbox.posts(drip.request.message.description)
    assert 14_500 < second["at_ms"] - first["at_ms"] < 40_000
