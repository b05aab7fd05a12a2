# SPDX-License-Identifier: Apache-2.0
"""Goal: a token that nobody received is found and deleted, however it came to be; and no other is, whatever it looks
like.

Each case has a cluster of its own, and so lists of its own. All begin with the first test, and are looked at when they
are through. A twin is known by its attempt's window, which is half a minute: those cases take that long.
"""

import signal
import time
import uuid

import pytest

from conftest import until
from contract import check
from requester import MARKER, home, journal_pb

CLUSTERS = ["soon", "slow-gateway", "doubled", "doubled-late", "lagging", "list-fails", "delete-fails", "people",
            "strange", "capped", "doubled-revoked"]
DELETED, KEPT_IT = "an orphan was deleted", "an orphan could not be deleted; it is in the next list again"
SWEPT, BLIND = "a cluster was swept", "a cluster's tokens could not be listed; orphans are looked for later"
LEFT_ALONE = "calls failed one after another: the cluster is left alone for a while"
INTERVAL_S, CALL_S, WINDOW_S, DAY_S = 5, 15, 30, 86400
CUT = {"fault": "cut", "at": "body", "commit": True}


def tokens(world, cluster):
    return [t for t in world.sandbox.truth()["tokens"] if t["cluster_id"] == world.cluster_id(cluster)]


def alive(world, cluster):
    return {t["id"] for t in tokens(world, cluster) if t["revokedAt"] is None}


def ask(world, cluster, *rules, **how):
    """A request whose POST meets these faults."""
    request = world.requester().create(f"d-{uuid.uuid4()}", cluster=cluster, **how)
    world.sandbox.fault(*({"description": request.message.description, **rule} for rule in rules))
    return request


def sweeps(t, cluster, n=1):
    """The last of n more sweeps that begin from now on."""
    seen = len(t.said(SWEPT, cluster=cluster))
    return t.wait_said(SWEPT, seen + n + 1, cluster=cluster)[-1]     # one may be under way


def plant(world, cluster, description, **how):
    """A token that no POST made."""
    return world.sandbox.ask("POST", "/control/plant",
                             {"cluster": world.cluster_id(cluster), "description": description, **how})["id"]


@pytest.fixture(scope="module")
def running(common):
    """Everything is under way."""
    common.tokend(sweep_interval=f"{INTERVAL_S}s")
    common.sandbox.fault(
        {"cluster": common.cluster_id("list-fails"), "operation": "list", "fault": "error", "status": 503, "times": 6},
        {"cluster": common.cluster_id("delete-fails"), "operation": "delete", "fault": "error", "times": 3},
    )
    common.asked = {
        "soon": ask(common, "soon", CUT),
        "slow-gateway": ask(common, "slow-gateway", {"fault": "late", "late_ms": 8000}),
        "doubled": ask(common, "doubled", {"fault": "twice", "late_ms": 1500}),
        "doubled-late": ask(common, "doubled-late", {"fault": "twice", "late_ms": 1000 * (WINDOW_S + 10)}),
        "doubled-revoked": ask(common, "doubled-revoked", {"fault": "twice", "late_ms": 10000}),
        "lagging": ask(common, "lagging", {**CUT, "lag_ms": 12000}),
        "list-fails": ask(common, "list-fails", CUT),
        "delete-fails": ask(common, "delete-fails", CUT),
        "people": ask(common, "people"),
        "strange": ask(common, "strange"),
        "capped": ask(common, "capped", {**CUT, "times": -1}),
    }
    common.requester().send(*common.asked.values())
    revoked = common.asked["doubled-revoked"]
    check(common.requester().wait(revoked), "CREATED")
    check(common.requester().ask(common.requester().other("RevokeToken", revoked.id)), "REVOKED")
    return common


@pytest.fixture
def shared(running):
    """Faults stay as they are: those of the slow cases go on."""
    return running


@pytest.fixture
def t(shared):
    return shared.tokends[0]


def one_is_left(world, t, cluster, clause, made=2):
    """The reply's token lives, all others of that cluster are deleted for that reason, and nothing else ever was."""
    reply = check(world.requester().wait(world.asked[cluster]), "CREATED")
    until(f"{made} tokens at {cluster}", lambda: len(tokens(world, cluster)) == made)
    until("one is left", lambda: len(alive(world, cluster)) == 1)
    assert alive(world, cluster) == {reply.secret.token_id}
    gone = {x["id"] for x in tokens(world, cluster)} - {reply.secret.token_id}
    lines = t.wait_said(DELETED, made - 1, cluster=cluster)
    assert {line["token_id"] for line in lines} == gone and {line["clause"] for line in lines} <= clause
    assert t.metric(f'tokend_orphans_deleted_total{{cluster="{cluster}"') == made - 1
    return reply, lines


# ---- deleted -------------------------------------------------------------------------------------------------------


def test_a_cut_answers_token_is_deleted_soon(shared, t):
    _, (line,) = one_is_left(shared, t, "soon", {"closed", "ended"})
    lost = shared.sandbox.posts(shared.asked["soon"].message.description)[0]
    assert lost["description"].endswith(" " + line["marker"])
    (token,) = [x for x in tokens(shared, "soon") if x["revokedAt"] is not None]
    assert shared.sandbox.data_status("/query?db=mydb", token["accessToken"]) == 401


def test_a_request_without_an_outcome_leaves_nothing(shared, t):
    """Five attempts, each made a token that nobody has: the DONE closes them all, and is read back from the journal."""
    check(shared.requester().wait(shared.asked["capped"]), "UPSTREAM_AMBIGUOUS")
    until("all are deleted", lambda: len(tokens(shared, "capped")) == 5 and not alive(shared, "capped"))
    assert len(t.wait_said(DELETED, 5, cluster="capped")) == 5


def test_a_gateway_that_creates_late(shared, t):
    """It said 504, and made the token when the next attempt had long delivered its own."""
    one_is_left(shared, t, "slow-gateway", {"closed"})
    first, second = shared.sandbox.posts(shared.asked["slow-gateway"].message.description)
    assert first["status"] == 504 and first["committed_ms"] > second["committed_ms"]


def test_a_gateway_that_sends_twice(shared, t):
    """Both tokens bear the mark of the attempt that delivered one of them."""
    one_is_left(shared, t, "doubled", {"twin"})
    assert len({x["description"] for x in tokens(shared, "doubled")}) == 1


def test_the_twin_of_a_token_that_was_revoked(shared, t):
    """Alone in the list with the mark of the attempt that delivered: it is another token all the same."""
    until("both are gone", lambda: len(tokens(shared, "doubled-revoked")) == 2 and not alive(shared, "doubled-revoked"))
    (line,) = t.wait_said(DELETED, 1, cluster="doubled-revoked")
    assert line["clause"] == "twin"


def test_a_list_that_lags(shared, t):
    one_is_left(shared, t, "lagging", {"closed"})


def test_a_list_that_fails(shared, t):
    """It is asked for again, and holds up no request: as many failures of another kind would open the breaker."""
    one_is_left(shared, t, "list-fails", {"closed"})
    assert len(t.said(BLIND, cluster="list-fails")) == 6
    assert t.metric('tokend_sweeps_total{cluster="list-fails",result="failed"') == 6
    assert not t.said(LEFT_ALONE, cluster="list-fails")
    check(shared.requester().ask(ask(shared, "list-fails")), "CREATED")


def test_a_delete_that_fails(shared, t):
    one_is_left(shared, t, "delete-fails", {"closed", "ended"})
    lines = t.said(KEPT_IT, cluster="delete-fails")
    assert len(lines) == 3 and all("500" in line["why"] for line in lines)
    assert shared.sandbox.calls("delete", shared.cluster_id("delete-fails")) == 4


# ---- kept ----------------------------------------------------------------------------------------------------------


def test_what_people_do_with_descriptions(shared, t):
    """Copied to another token, at this cluster and at another, hours away from the attempt's window; changed; made by
    another service; or nobody's."""
    reply = check(shared.requester().wait(shared.asked["people"]), "CREATED")
    (own,) = [x for x in tokens(shared, "people") if x["id"] == reply.secret.token_id]
    marker = MARKER.search(own["description"])[0].strip()
    hour_ms = 3600 * 1000
    planted = {
        plant(shared, "people", own["description"], created_ms=own["created_ms"] - hour_ms),
        plant(shared, "people", f"mine {marker}", created_ms=own["created_ms"] - 2 * hour_ms),
        plant(shared, "people", f"{own['description']} (old)"),
        plant(shared, "people", f"of another {marker.replace(shared.service_id, shared.service_id + 'x')}"),
        plant(shared, "people", "of nobody's"),
    }
    elsewhere = plant(shared, "strange", own["description"])
    line = sweeps(t, "people", 2)
    assert (line["delivered"], line["outside"], line["foreign"]) == (1, 2, 1) and "unknown" not in line
    assert (line["tokens"], line["marked"]) == (6, 4)
    assert t.metric('tokend_tokens_kept{cluster="people",reason="outside"') == 2
    assert sweeps(t, "strange")["elsewhere"] == 1
    assert planted | {own["id"]} == alive(shared, "people") and elsewhere in alive(shared, "strange")
    assert not t.said(DELETED, cluster="people") and not t.said(DELETED, cluster="strange")


def test_what_nobody_knows_is_kept_and_counted(shared, t):
    """A marker of ours whose attempt no journal has; but not if it is older than any journal remembers."""
    reply = check(shared.requester().wait(shared.asked["strange"]), "CREATED")
    (own,) = [x for x in tokens(shared, "strange") if x["id"] == reply.secret.token_id]
    text, (_, principal, partition, attempt) = own["description"], MARKER.search(own["description"]).groups()
    week_ago_ms = own["created_ms"] - 7 * DAY_S * 1000
    planted = {
        plant(shared, "strange", text.replace(attempt, str(uuid.uuid4()))),
        plant(shared, "strange", text.replace(attempt, attempt[:19] + str(uuid.uuid4())[19:])),  # of a known request
        plant(shared, "strange", text.replace(attempt, str(uuid.uuid4())), created_ms=week_ago_ms + 600 * 1000),
        plant(shared, "strange", text.replace(attempt, str(uuid.uuid4())), created_ms=week_ago_ms - 600 * 1000),
    }
    line = sweeps(t, "strange", 2)
    assert (line["unknown"], line["forgotten"], line["delivered"], line["level"]) == (2, 1, 1, "warn")
    assert t.metric('tokend_tokens_kept{cluster="strange",reason="unknown"') == 2
    assert planted | {own["id"]} <= alive(shared, "strange") and not t.said(DELETED, cluster="strange")


def test_a_twin_that_comes_long_after_is_kept_and_counted(shared, t):
    reply = check(shared.requester().wait(shared.asked["doubled-late"]), "CREATED")
    until("the second is there", lambda: len(tokens(shared, "doubled-late")) == 2)
    line = sweeps(t, "doubled-late", 2)
    assert (line["delivered"], line["outside"]) == (1, 1)
    assert len(alive(shared, "doubled-late")) == 2 and reply.secret.token_id in alive(shared, "doubled-late")


def test_all_that_was_delivered_lives(shared):
    """And is never closed, at whatever cluster: the last look, after all that was deleted."""
    shared.audit()


# ---- other lives ---------------------------------------------------------------------------------------------------


@pytest.mark.real
def test_what_a_killed_instance_left_is_deleted_by_the_next(world):
    """The answer was never read. The token is deleted once a record that closes its attempt is committed, which the
    next attempt's intent is: no outcome is waited for."""
    t, r = world.tokend(), world.requester()
    request = r.create("left")
    world.sandbox.fault({"description": "left", "fault": "hold", "commit": True},
                        {"description": "left", "fault": "hold"})
    r.send(request)
    world.sandbox.wait_posts("left", 1)
    t.kill()
    t = world.tokend(sweep_interval=f"{INTERVAL_S}s")
    lost = MARKER.search(world.sandbox.wait_posts("left", 2)[0]["description"])[4]
    until("none is left", lambda: not alive(world, "prod"))
    assert request.digest not in r.replies
    (line,) = t.wait_said(DELETED)
    assert line["clause"] == "closed" and line["marker"].endswith(f":{lost}]")
    world.sandbox.release()
    reply = check(r.wait(request), "CREATED")
    assert alive(world, "prod") == {reply.secret.token_id}
    assert world.audit().done(request.id).closed[lost].fate == journal_pb.UNKNOWN


@pytest.mark.real
def test_what_was_left_by_requests_that_are_over_is_deleted_by_the_next_life(world):
    """The request has its outcome; the token came when nobody looked any more. A restart begins with a look."""
    t, r = world.tokend(), world.requester()
    request = r.create("over")
    world.sandbox.fault({"description": "over", "fault": "late", "late_ms": 3600 * 1000})
    reply = check(r.ask(request), "CREATED")
    assert t.terminate() == 0
    world.sandbox.settle()
    assert len(alive(world, "prod")) == 2
    t = world.tokend()
    begun = time.monotonic()
    until("one is left", lambda: alive(world, "prod") == {reply.secret.token_id})
    assert time.monotonic() - begun < 20
    (line,) = t.wait_said(DELETED)
    assert line["clause"] == "closed"


@pytest.mark.real
def test_without_a_short_interval_an_unknown_attempt_is_looked_for_when_its_window_ends(world):
    """As the schedule says: at not_after, which is half a minute after the intent."""
    t, r = world.tokend(), world.requester()
    world.sandbox.fault({"description": "scheduled", **CUT})
    reply = check(r.ask(r.create("scheduled")), "CREATED")
    assert len(alive(world, "prod")) == 2 and world.sandbox.calls("list") == 0
    until("one is left", lambda: alive(world, "prod") == {reply.secret.token_id})
    began, over = world.sandbox.posts("scheduled")[0]["at_ms"], time.time() * 1000
    assert WINDOW_S - 2 < (over - began) / 1000 < WINDOW_S + 30 and t.said(DELETED)


@pytest.mark.real
def test_an_idle_cluster_whose_breaker_is_open_is_swept(world):
    """Nobody asks for anything any more; the sweep does, and deletes what the list finds."""
    t, r = world.tokend(sweep_interval=f"{INTERVAL_S}s"), world.requester()
    down = {"operation": "any", "fault": "error", "status": 503, "times": -1}
    world.sandbox.fault({"description": "sick", "fault": "error", "status": 503, "commit": True, "times": 5}, down)
    check(r.ask(r.create("sick")), "UPSTREAM_AMBIGUOUS")
    assert t.metric('tokend_breaker_open{cluster="prod"') == 1 and len(alive(world, "prod")) == 5
    world.sandbox.no_more_faults()
    until("none is left", lambda: not alive(world, "prod"))


@pytest.mark.real
def test_a_string_whose_partition_was_lost_is_no_longer_wanted(world):
    """The process is stopped while its call is answered, for longer than its session and not as long as a call may
    take. It reads the string, which it may deliver no more, and deletes the token without waiting for a list."""
    a, b, r = world.tokend("a"), world.tokend("b", wait=0), world.requester()
    until("both hold a partition", lambda: len(a.open()) == 1 and len(b.open()) == 1)
    world.sandbox.fault({"description": "late-string", "fault": "delay", "delay_ms": 1000})
    request = r.create("late-string")
    while home(request.key, r.partitions) not in a.open():
        request = r.create("late-string")
    r.send(request)
    world.sandbox.wait_posts("late-string", 1)
    begun = time.monotonic()
    a.signal(signal.SIGSTOP)
    b.wait_open(world.partitions)
    a.signal(signal.SIGCONT)
    assert time.monotonic() - begun < CALL_S - 1, "too late to see it"
    (line,) = a.wait_said(DELETED, clause="string")
    lost, other = (p["token_id"] for p in world.sandbox.wait_posts("late-string", 2))
    reply = check(r.wait(request), "CREATED")
    assert (line["token_id"], reply.secret.token_id) == (lost, other) and other in alive(world, "prod")
    assert lost not in alive(world, "prod") and not b.said(DELETED, clause="string")
