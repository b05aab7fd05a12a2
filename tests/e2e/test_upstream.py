# SPDX-License-Identifier: Apache-2.0
"""Goal: what one answer does not tell is looked up, a cluster that is sick is left alone and asked for something
harmless first, one that is busy gets fewer calls, and none of them is in the way of another.

Each case has a cluster of its own. Those that take a while (breakers, the backlog) begin with the first test and are
looked at by the last ones. The broker plays no part in it.
"""

import datetime
import time
import uuid

import pytest

from audit import read_topic
from conftest import until
from contract import check, told
from requester import MARKER, home, journal_pb

pytestmark = pytest.mark.mock

CLUSTERS = ["no-list", "looking", "padded", "marked", "list-fails", "dated", "window", "broken", "half-open"]
AGAIN = "an attempt ended without a token; another follows"
LEFT_ALONE = "calls failed one after another: the cluster is left alone for a while"
SWEPT = "a cluster was swept"
TRIED, ANSWERS = "the cluster was tried", "the cluster answers again"
LISTED = 'tokend_api_requests_total{{cluster="{cluster}",verb="list",class="listed"'
BREAKER_FAILURES, BREAKER_FIRST_S, BACKLOG_S = 5, 5, 30
MAX_PENDING = 40
DARK, DARK_LIFE_S = MAX_PENDING // 2 - 1, 44  # one fewer than a partition lets a dead cluster hold


def a_description():
    return f"d-{uuid.uuid4()}"


def in_partition(r, partition, n, **how):
    """n requests whose home is there."""
    found = []
    while len(found) < n:
        q = r.create(a_description(), **how)
        if home(q.key, r.partitions) == partition:
            found.append(q)
    return found


def ms(line):
    """When a line was logged, as the sandbox tells time."""
    return datetime.datetime.fromisoformat(line["ts"].replace("Z", "+00:00")).timestamp() * 1000


@pytest.fixture(scope="module")
def running(common):
    """What takes its time is under way."""
    for cluster in common.config["clusters"]:
        if cluster["name"] in ("broken", "half-open"):
            cluster["max_concurrency"] = 1  # else another call may be in flight when the breaker opens
    t, r, sandbox = common.tokend(max_pending=MAX_PENDING), common.requester(), common.sandbox
    sandbox.fault(
        {"cluster": common.cluster_id("broken"), "fault": "error", "status": 503, "times": BREAKER_FAILURES},
        {"cluster": common.cluster_id("broken"), "operation": "list", "fault": "error", "status": 503},
        {"cluster": common.cluster_id("half-open"), "fault": "error", "status": 503, "times": BREAKER_FAILURES + 1},
    )
    common.sick = {name: [r.create(a_description(), cluster=name) for _ in range(3)]
                   for name in ("broken", "half-open")}
    common.dark = in_partition(r, 0, DARK, cluster="dark", life_s=DARK_LIFE_S)
    r.send(*common.sick["broken"], *common.sick["half-open"], *common.dark)
    for cluster in ("broken", "half-open", "dark"):
        t.wait_said(LEFT_ALONE, cluster=cluster)
    return common


@pytest.fixture
def shared(running):
    """Unlike the usual one it leaves faults as they are: those of the slow cases go on."""
    return running


@pytest.fixture
def r(shared):
    return shared.requester()


def fault(shared, request, **how):
    shared.sandbox.fault({"description": request.message.description, **how})


def posts(shared, cluster):
    return [p for p in shared.sandbox.truth()["posts"] if p["cluster_id"] == shared.cluster_id(cluster)]


def fates(shared, request):
    """What its outcome says of its closed attempts; the audit would wait for all that is under way."""
    journal = read_topic(shared.kafka, f"{shared.service_id}.journal")
    *_, done = (m for m in journal if m.key().endswith(b":" + request.key))
    closed = journal_pb.JournalRecord.FromString(done.value()).closed
    return {str(uuid.UUID(bytes=bytes(a.uuid))): a.fate for a in closed}


# ---- 404 and 409: the list tells -----------------------------------------------------------------------------------


@pytest.mark.row("UPSTREAM_UNREACHABLE")
@pytest.mark.verdict("not_found", "404")
def test_a_404_is_not_believed_while_the_list_fails(shared, r):
    """The address, the account or the cluster may be wrong: that is not the requester's to mend."""
    request, cluster = r.create(a_description(), cluster="no-list", life_s=3), shared.cluster_id("no-list")
    fault(shared, request, fault="error", status=404, times=-1)
    shared.sandbox.fault({"cluster": cluster, "operation": "list", "fault": "error", "status": 503, "times": -1})
    reply = check(r.ask(request), "UPSTREAM_UNREACHABLE", "deadline", "404", details={})
    seen = posts(shared, "no-list")
    assert reply.message.attempts == len(seen) >= 2
    assert shared.sandbox.calls("list", cluster) in (len(seen), len(seen) - 1)
    closed = shared.tokends[0].said(AGAIN, request_id=request.id)
    assert closed and {line["verdict"] for line in closed} == {"not_found"}
    assert all("404" in line["why"] and "and the list of tokens: 503" in line["why"] for line in closed)


@pytest.mark.row("UPSTREAM_UNREACHABLE")
def test_a_deadline_that_passes_while_it_is_looked_up(shared, r):
    request, cluster = r.create(a_description(), cluster="looking", life_s=2), shared.cluster_id("looking")
    fault(shared, request, fault="error", status=404)
    shared.sandbox.fault({"cluster": cluster, "operation": "list", "fault": "delay", "delay_ms": 4000})
    begun = time.time()
    check(r.ask(request), "UPSTREAM_UNREACHABLE", "deadline", "404")
    assert time.time() - begun < 3.5, "it waited for the list"
    # The list that comes back later is nobody's any more.
    until("the list is back", lambda: shared.tokends[0].metric(LISTED.format(cluster="looking")) == 1)
    check(r.ask(r.create(a_description(), cluster="looking")), "CREATED")
    assert shared.sandbox.calls("list", cluster) == 1


@pytest.mark.row("TARGET_NOT_FOUND")
@pytest.mark.verdict("listed", "200")
def test_a_long_list_tells_as_well(shared, r):
    request, cluster = r.create(a_description(), cluster="padded"), shared.cluster_id("padded")
    fault(shared, request, fault="error", status=404)
    shared.sandbox.fault({"cluster": cluster, "operation": "list", "fault": "pad", "pad": 20000})
    check(r.ask(request), "TARGET_NOT_FOUND", "404")


@pytest.mark.verdict("conflict", "409")
def test_a_409_that_hides_a_token_of_our_own(shared, r):
    """A gateway sent the POST twice: the second one met the first. Nobody has the token, and it may be found."""
    request = r.create(a_description(), cluster="marked")
    fault(shared, request, fault="error", status=409, commit=True)
    reply = check(r.ask(request), "CREATED")
    lost, delivered = [MARKER.search(p["description"])[4] for p in posts(shared, "marked")]
    assert reply.message.attempts == 2 and shared.sandbox.calls("list", shared.cluster_id("marked")) == 1
    assert lost != delivered and fates(shared, request) == {lost: journal_pb.UNKNOWN}
    (line,) = shared.tokends[0].said(AGAIN, request_id=request.id)
    assert line["verdict"] == "conflict"


@pytest.mark.verdict("conflict", "409")
def test_a_409_that_cannot_be_looked_up(shared, r):
    request, cluster = r.create(a_description(), cluster="list-fails"), shared.cluster_id("list-fails")
    fault(shared, request, fault="error", status=409)
    shared.sandbox.fault({"cluster": cluster, "operation": "list", "fault": "wrong_type", "shape": "html"})
    check(r.ask(request), "CREATED")
    first = MARKER.search(posts(shared, "list-fails")[0]["description"])[4]
    assert fates(shared, request) == {first: journal_pb.UNKNOWN}
    (line,) = shared.tokends[0].said(AGAIN, request_id=request.id)
    assert "409" in line["why"] and "and the list of tokens" in line["why"]


# ---- busy ----------------------------------------------------------------------------------------------------------


@pytest.mark.verdict("throttled", "429")
def test_a_date_to_come_back_at_holds_for_the_whole_cluster(shared, r):
    first, second = (r.create(a_description(), cluster="dated") for _ in range(2))
    fault(shared, first, fault="throttle", retry_date_s=4)
    r.send(first)
    shared.tokends[0].wait_said(AGAIN, request_id=first.id)
    r.send(second)
    for q in (first, second):
        check(r.wait(q), "CREATED")
    begun, *later = [p["at_ms"] for p in posts(shared, "dated")]
    assert len(later) == 2 and all(at - begun >= 2900 for at in later)  # a date has whole seconds


def test_calls_at_once_grow_with_answers_and_are_halved_by_strain(shared, r):
    t, name = shared.tokends[0], 'tokend_concurrency_limit{cluster="window"}'

    def at_once(n):
        """The most that are in flight while n are held for a moment, and whatever is allowed then."""
        requests = [r.create(f"window-{uuid.uuid4()}", cluster="window") for _ in range(n)]
        shared.sandbox.fault({"description": "window-", "fault": "delay", "delay_ms": 700, "times": n})
        r.send(*requests)
        most = 0
        while not all(q.digest in r.replies for q in requests):
            r.poll(0.02)
            most = max(most, int(t.metric('tokend_inflight{cluster="window"}')))
        return most, t.metric(name)

    check(r.ask(r.create(a_description(), cluster="window")), "CREATED")
    assert t.metric(name) == 4
    most, limit = at_once(8)
    assert most == 4 and limit == 5
    shared.sandbox.fault({"description": "strain", "fault": "throttle", "times": 1})
    check(r.ask(r.create("strain", cluster="window")), "CREATED")
    halved = t.metric(name)
    assert 2 <= halved <= 3
    most, limit = at_once(6)
    assert most <= halved + 1 and limit > halved


# ---- waiting along -------------------------------------------------------------------------------------------------


@pytest.mark.row("UPSTREAM_UNREACHABLE")
def test_a_repeat_that_waits_is_told_the_same_at_the_deadline(shared, r):
    request = r.create(a_description(), cluster="looking", life_s=2)
    fault(shared, request, fault="throttle", status=500, retry_after="30")
    r.send(request)
    shared.tokends[0].wait_said(AGAIN, request_id=request.id)
    r.send(request)
    check(r.wait(request, 1), "UPSTREAM_UNREACHABLE", "500")
    check(r.wait(request, 2), "UPSTREAM_UNREACHABLE", "500", replayed=True)


# ---- the management token ------------------------------------------------------------------------------------------


@pytest.mark.verdict("credential", "401")
def test_a_management_token_is_replaced_while_it_runs(world):
    """The API takes a new one only; calls are refused, until the file holds it. Nothing is restarted."""
    t, r = world.tokend(), world.requester()
    replaced = "management-canary-replaced-77aa31"
    world.secrets.append(replaced)
    check(r.ask(r.create("before")), "CREATED")
    world.sandbox.expect_token(replaced)
    request = r.create("after")
    r.send(request)
    t.wait_said(AGAIN, request_id=request.id, verdict="credential")
    (world.directory / "management-token").write_text(replaced + "\n")
    reply = check(r.wait(request), "CREATED")
    assert reply.message.attempts >= 2 and t.metric("tokend_reload_total") >= 1
    statuses = [p["status"] for p in world.sandbox.posts("after")]
    assert set(statuses[:-1]) == {401} and statuses[-1] in (200, 201)
    check(r.ask(r.create("later")), "CREATED")


def test_refusals_of_a_token_that_was_replaced_meanwhile_leave_no_cluster_alone(world):
    """As many in a row as open a breaker, all of calls that began before the file was changed."""
    t, r = world.tokend(), world.requester()
    replaced = "management-canary-replaced-8f10bb"
    world.secrets.append(replaced)
    for _ in range(BREAKER_FAILURES * 4):  # until so many are let through at once
        check(r.ask(r.create("before")), "CREATED")
    requests = [r.create(f"meanwhile {i}") for i in range(BREAKER_FAILURES)]
    world.sandbox.fault({"description": "meanwhile", "fault": "error", "status": 401, "delay_ms": 2000,
                         "times": len(requests)})
    r.send(*requests)
    world.sandbox.wait_in_flight(len(requests))
    (world.directory / "management-token").write_text(replaced + "\n")
    world.sandbox.expect_token(replaced)
    for reply in r.wait_all(requests):
        assert check(reply, "CREATED").message.attempts == 2
    assert len(t.said(AGAIN, verdict="credential")) == len(requests) and t.said(LEFT_ALONE) == []


# ---- sick: begun with the first test -------------------------------------------------------------------------------


def all_other_lists_are_sweeps(world, cluster, since):
    """Two were the breaker's; none was asked for beside them while it was open."""
    t = world.tokends[0]
    swept = lambda: [line for line in t.said(SWEPT, cluster=cluster) if ms(line) > ms(since)]  # noqa: E731
    until("each list is accounted for", lambda: world.sandbox.calls("list", world.cluster_id(cluster)) ==
          2 + len(swept()))


def test_a_sick_cluster_is_asked_for_its_list_before_anything_is_sent(shared, r):
    """Its list fails, too, at first: until it works nothing else is tried."""
    t = shared.tokends[0]
    for q in shared.sick["broken"]:
        check(r.wait(q), "CREATED")
    seen = posts(shared, "broken")
    gaps = [b["at_ms"] - a["at_ms"] for a, b in zip(seen, seen[1:])]
    assert [p["status"] for p in seen[: BREAKER_FAILURES + 1]] == [503] * BREAKER_FAILURES + [200]
    assert max(gaps) == gaps[BREAKER_FAILURES - 1] >= 3 * BREAKER_FIRST_S * 1000 - 100  # 5 s, and twice that
    (alone,), tried = t.said(LEFT_ALONE, cluster="broken"), t.said(TRIED, cluster="broken")
    (answers,) = t.said(ANSWERS, cluster="broken")
    assert [line["result"][:3] for line in tried] == ["503", "200"]
    assert ms(alone) < ms(tried[0]) < ms(tried[1]) < seen[BREAKER_FAILURES]["at_ms"] + 50 and ms(tried[1]) < ms(answers)
    assert t.metric('tokend_breaker_open{cluster="broken"}') == 0
    all_other_lists_are_sweeps(shared, "broken", since=answers)


def test_one_post_decides_whether_a_sick_cluster_is_well(shared, r):
    """Its list works, and the one POST behind it fails: it is left alone for twice as long."""
    t = shared.tokends[0]
    for q in shared.sick["half-open"]:
        check(r.wait(q), "CREATED")
    seen = posts(shared, "half-open")
    assert [p["status"] for p in seen[: BREAKER_FAILURES + 2]] == [503] * (BREAKER_FAILURES + 1) + [200]
    gaps = [b["at_ms"] - a["at_ms"] for a, b in zip(seen, seen[1:])]
    trial = BREAKER_FAILURES  # the index of the one that decided
    assert gaps[trial - 1] >= BREAKER_FIRST_S * 1000 - 100 and gaps[trial] >= 2 * BREAKER_FIRST_S * 1000 - 100
    assert [line["result"][:3] for line in t.said(TRIED, cluster="half-open")] == ["200", "200"]
    (answers,) = t.said(ANSWERS, cluster="half-open")
    all_other_lists_are_sweeps(shared, "half-open", since=answers)


@pytest.mark.row("UPSTREAM_BACKLOG")
def test_a_dead_cluster_may_hold_half_of_a_partition(shared, r):
    """Beyond that its newest are answered at once, while others' go on as if nothing were."""
    t = shared.tokends[0]
    (alone,) = t.said(LEFT_ALONE, cluster="dark")
    assert t.said("outcome", reason="UPSTREAM_BACKLOG") == []
    until("it has been dead for long enough", lambda: time.time() * 1000 > ms(alone) + BACKLOG_S * 1000 + 300)
    more = in_partition(r, 0, 12, cluster="dark", life_s=8)
    elsewhere = in_partition(r, 1, 3, cluster="dark", life_s=4)
    well = in_partition(r, 0, 10)
    begun = time.monotonic()
    r.send(*more, *elsewhere, *well)
    for q in well:
        check(r.wait(q), "CREATED")
    for q in more[1:]:
        check(r.wait(q), "UPSTREAM_BACKLOG", "cluster dark", "too many requests wait", details={})
    assert time.monotonic() - begun < 5
    assert more[0].digest not in r.replies, "it was one of the half that may wait"
    for q in (*shared.dark, more[0], *elsewhere):
        assert r.wait(q).status.reason in ("UPSTREAM_UNREACHABLE", "NOT_STARTED")
