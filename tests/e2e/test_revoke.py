# SPDX-License-Identifier: Apache-2.0
"""Goal: RevokeToken deletes the token that a request brought its principal, and no other; says so once it is gone and
not before; and is told again to whoever asks, whatever happens meanwhile."""
import copy
import hashlib
import signal
import time
import urllib.request
import uuid

import pytest
from audit import key_of
from confluent_kafka import Producer
from contract import check, told
from nacl.signing import SigningKey

from conftest import ACCOUNT, CLUSTER, MANAGEMENT_TOKEN, public_entry, until
from requester import OUTCOME, Principal, home, journal_pb

CLUSTERS = ["failing", "refusing", "blind", "sick"]
NOT_YET = "a token is not deleted yet; another call follows"
WAITED_S = 90


@pytest.fixture(scope="module")
def running(common):
    """With a key that expired since it signed."""
    common.old = Principal("telemetry", "t-old", SigningKey.generate(), "", None)
    expired = {**public_entry(common.old), "not_after": "2020-01-01T00:00:00Z"}
    common.policy["principals"][0]["signing_keys"].append(expired)
    common.write_policy()
    common.tokend()
    return common


@pytest.fixture
def r(shared):
    return shared.requester()


def a_description():
    return f"revoke {uuid.uuid4()}"


def created(world, r, **how):
    """A CreateToken and its reply."""
    create = r.create(a_description(), **how)
    return create, told(world, r, create, "CREATED", posts=1, made=1)


def token(world, token_id):
    (found,) = [t for t in world.sandbox.truth()["tokens"] if t["id"] == token_id]
    return found


def lives(world, reply):
    return token(world, reply.secret.token_id)["revokedAt"] is None


def revoked(reply, first, replayed=False):
    """It says so, of the token of that CreateToken's reply, and since when."""
    m = check(reply, "REVOKED", "revoked", details={}, replayed=replayed).message
    assert m.token_id == first.secret.token_id and abs(m.revoked_at.seconds - time.time()) < WAITED_S
    assert m.revoked_at.nanos == 0
    return m


def deletes(world):
    return world.sandbox.calls("delete")


# ---- what it says, and of what -------------------------------------------------------------------------------------


@pytest.mark.row("REVOKED")
@pytest.mark.verdict("deleted", "204")
def test_a_token_is_revoked(shared, r):
    create, first = created(shared, r)
    _, other = created(shared, r)
    before = deletes(shared)
    revoke = r.other("RevokeToken", create.id, reason="lost a laptop")
    m = revoked(told(shared, r, revoke, "REVOKED"), first)
    assert m.request_digest == revoke.digest and m.attempts == 1 and deletes(shared) == before + 1
    assert not lives(shared, first) and lives(shared, other)
    (line,) = shared.tokends[0].wait_said("outcome", request_id=create.id, method="/tokend.v1.TokenService/RevokeToken")
    said = {k: line[k] for k in ("principal", "code", "cluster", "token_id", "wanted_because")}
    assert said == {
        "principal": "telemetry",
        "code": "OK",
        "cluster": "prod",
        "token_id": first.secret.token_id,
        "wanted_because": "lost a laptop",
    }


@pytest.mark.row("REVOKED")
def test_twice_is_told_twice_and_done_once(shared, r):
    """In the same bytes, in those of another key, and in others: the very revocation that was."""
    create, first = created(shared, r)
    revoke = r.other("RevokeToken", create.id)
    once = revoked(r.ask(revoke), first)
    before = deletes(shared)
    expired = r.sign("RevokeToken", revoke.message, shared.old.signing_key, shared.old.key_id)
    assert expired.fingerprint == revoke.fingerprint and expired.digest != revoke.digest
    for again in (revoke, expired, r.other("RevokeToken", create.id, reason="again"), revoke):
        m = revoked(told(shared, r, again, "REVOKED", replayed=True), first, replayed=True)
        assert (m.revoked_at, m.attempts, m.request_digest) == (once.revoked_at, once.attempts, again.digest)
    assert deletes(shared) == before


def test_afterwards_the_outcome_is_told_with_its_end(shared, r):
    """CreateToken and GetOutcome stay OK: that is what became of the ID. Another ID gets another token."""
    create, first = created(shared, r)
    assert not first.message.HasField("revoked_at")
    for before in (create, r.other("GetOutcome", create.id)):
        assert not told(shared, r, before, "CREATED", replayed=True).message.HasField("revoked_at")
    since = revoked(r.ask(r.other("RevokeToken", create.id)), first).revoked_at
    for after in (create, r.other("GetOutcome", create.id)):
        reply = told(shared, r, after, "CREATED", replayed=True)
        assert reply.secret == first.secret and reply.message.revoked_at == since
    second = created(shared, r)[1]
    assert second.secret.token_id != first.secret.token_id and not second.message.HasField("revoked_at")
    assert lives(shared, second)


@pytest.mark.verdict("deleted", "404")
def test_a_token_that_is_gone_already_is_revoked(shared, r):
    """An operator was quicker: a 404 says that it is done."""
    create, first = created(shared, r)
    s = first.secret
    path = f"/api/v0/accounts/{s.account_id}/clusters/{s.cluster_id}/tokens/{s.token_id}"
    operator = urllib.request.Request(shared.sandbox.api + path, method="DELETE")
    operator.add_header("Authorization", f"Bearer {MANAGEMENT_TOKEN}")
    with urllib.request.urlopen(operator, timeout=10) as answer:
        assert answer.status == 204
    revoked(r.ask(r.other("RevokeToken", create.id)), first)


@pytest.mark.row("NO_OUTCOME")
def test_there_is_nothing_to_revoke(shared, r):
    before = deletes(shared)
    never = f"r-{uuid.uuid4()}"
    words = f'"{never}"', "telemetry", "the operator revokes by its token ID"
    told(shared, r, r.other("RevokeToken", never), "NO_OUTCOME", *words, details={})
    create = r.create(a_description(), cluster="nowhere")
    told(shared, r, create, "INVALID_FIELD", '"nowhere"')
    for revoke in (r.other("RevokeToken", create.id), r.other("RevokeToken", create.id)):
        told(shared, r, revoke, "NO_OUTCOME", f'"{create.id}" brought no token', '"nowhere"', details={})
    assert deletes(shared) == before
    told(shared, r, r.other("GetOutcome", create.id), "INVALID_FIELD", replayed=True)
    create = r.create(a_description(), request_id=never)
    first = told(shared, r, create, "CREATED", posts=1, made=1)     # the question has used nothing up
    revoked(r.ask(r.other("RevokeToken", never)), first)


@pytest.mark.row("NO_OUTCOME")
def test_somebody_elses_is_as_if_it_did_not_exist(shared, r):
    create, first = created(shared, r)
    billing = shared.requester("billing")
    unknown = told(shared, billing, billing.other("RevokeToken", never := f"r-{uuid.uuid4()}"), "NO_OUTCOME")
    theirs = told(shared, billing, billing.other("RevokeToken", create.id), "NO_OUTCOME")
    assert theirs.status.message == unknown.status.message.replace(never, create.id)
    revoked(r.ask(r.other("RevokeToken", create.id)), first)
    told(shared, billing, billing.other("RevokeToken", create.id), "NO_OUTCOME")
    told(shared, billing, billing.other("GetOutcome", create.id), "NO_OUTCOME")


def test_one_id_of_two_principals_is_two_tokens(shared, r):
    create, first = created(shared, r)
    billing, soon = shared.requester("billing"), int(time.time()) + 600
    other = billing.create(a_description(), read=["billing_x"], expires_at=soon, request_id=create.id)
    theirs = told(shared, billing, other, "CREATED", posts=1, made=1)
    revoked(r.ask(r.other("RevokeToken", create.id)), first)
    assert lives(shared, theirs)
    assert not told(shared, billing, other, "CREATED", replayed=True).message.HasField("revoked_at")
    revoked(billing.ask(billing.other("RevokeToken", create.id)), theirs)


def test_who_asks_must_be_who_he_says(shared, r):
    create, first = created(shared, r)
    before = deletes(shared)
    billing, revoke = shared.requester("billing"), r.other("RevokeToken", create.id)
    told(shared, r, billing.sign("RevokeToken", revoke.message), "WRONG_PRINCIPAL", '"telemetry"', "billing")
    for method in ("CreateToken", "GetOutcome"):        # a signature is good for one kind of message
        told(shared, r, r.sign(method, revoke.message).changed(method="RevokeToken"), "BAD_SIGNATURE")
    told(shared, r, revoke.changed(signature=b""), "BAD_SIGNATURE")
    told(shared, r, r.sign("RevokeToken", revoke.message, shared.old.signing_key, "t-old"), "KEY_EXPIRED", '"t-old"')
    early = copy.deepcopy(revoke.message)
    early.issued_at.seconds += 3600
    told(shared, r, r.sign("RevokeToken", early), "CLOCK_SKEW")
    told(shared, r, r.other("RevokeToken", create.id, reason="two\nlines"), "UNDECODABLE", "reason", "control")
    long = r.other("RevokeToken", create.id, reason="x" * 201)
    told(shared, r, long, "UNDECODABLE", "201 bytes", details={"field": "reason", "limit": "200"})
    assert deletes(shared) == before and lives(shared, first)
    revoked(r.ask(revoke), first)


# ---- while it is in flight -----------------------------------------------------------------------------------------


def held(world, r, **how):
    """A CreateToken whose call hangs until release()."""
    create = r.create(a_description(), **how)
    world.sandbox.fault({"description": create.message.description, "fault": "hold", "times": 1})
    r.send(create)
    world.sandbox.wait_in_flight(1)
    return create


def none_is_answered(world, r, *requests):
    """All of them were read, and wait."""
    until("they were read", lambda: world.tokends[-1].metric("tokend_pending") >= len(requests) + 1)
    r.poll(0.5)
    assert not [q for q in requests if q.digest in r.replies]


def test_it_waits_for_a_create_in_flight(shared, r):
    """And goes on then. All that wait, however they ask, are told of one revocation."""
    create = held(shared, r)
    before = deletes(shared)
    revokes = [r.other("RevokeToken", create.id, reason=why) for why in ("one", "two", "three")]
    r.send(*revokes, revokes[0])
    none_is_answered(shared, r, *revokes, revokes[0])
    shared.sandbox.release()
    first = check(r.wait(create), "CREATED")
    answers = [r.wait(q) for q in (*revokes, revokes[0])] + [r.wait(revokes[0], 2)]
    assert sorted(a.message.replayed for a in answers[:3]) == [False, True, True]
    assert {(a.message.token_id, a.message.revoked_at.seconds) for a in answers} == {
        (first.secret.token_id, answers[0].message.revoked_at.seconds)
    }
    assert deletes(shared) == before + 1 and not lives(shared, first)
    assert not first.message.HasField("revoked_at")     # it was alive when this was said


@pytest.mark.row("NO_OUTCOME")
def test_a_create_in_flight_that_fails_leaves_nothing_to_revoke(shared, r):
    create = held(shared, r, life_s=2)
    revokes = [r.other("RevokeToken", create.id, reason=why) for why in ("one", "two")]
    r.send(*revokes)
    none_is_answered(shared, r, *revokes)
    shared.sandbox.fault({"description": create.message.description, "fault": "error", "status": 422, "times": -1})
    shared.sandbox.release()
    assert r.wait(create).status.code != 0
    for revoke in revokes:
        check(r.wait(revoke), "NO_OUTCOME", "brought no token", r.wait(create).status.message)


@pytest.mark.row("STILL_IN_FLIGHT")
def test_it_waits_for_a_create_until_its_own_deadline(shared, r):
    create = held(shared, r)
    asked = time.monotonic()
    late = r.other("RevokeToken", create.id, life_s=2)
    patient = r.other("RevokeToken", create.id)         # waits for the first, and takes its place
    r.send(late, patient)
    check(r.wait(late), "STILL_IN_FLIGHT", "the deadline passed while", f'"{create.id}"', details={})
    assert 1 <= time.monotonic() - asked < 20
    none_is_answered(shared, r, patient)
    shared.sandbox.release()
    revoked(r.wait(patient), check(r.wait(create), "CREATED"))


# ---- while InfluxDB does not do it ---------------------------------------------------------------------------------


def fails(world, cluster, **fault):
    world.sandbox.fault({"operation": "delete", "cluster": world.cluster_id(cluster), "times": -1, **fault})


@pytest.mark.row("STILL_IN_FLIGHT")
def test_a_delete_that_fails_is_tried_until_the_deadline(shared, r):
    create, first = created(shared, r, cluster="failing")
    fails(shared, "failing", fault="error", status=503, answer='{"message": "not today"}')
    before = deletes(shared)
    revoke = r.other("RevokeToken", create.id, life_s=4)
    words = "the deadline", f"before token {first.secret.token_id} was deleted", "the last answer: 503", "not today"
    reply = told(shared, r, revoke, "STILL_IN_FLIGHT", *words, details={})
    assert reply.message.attempts == deletes(shared) - before >= 2
    assert lives(shared, first)
    assert not told(shared, r, create, "CREATED", replayed=True).message.HasField("revoked_at")
    told(shared, r, revoke, "STILL_IN_FLIGHT")          # the same bytes have had their time
    shared.sandbox.no_more_faults()
    revoked(r.ask(r.other("RevokeToken", create.id)), first)


@pytest.mark.parametrize("status", [400, 401, 403, 409, 422, 429, 501])
def test_no_answer_but_success_is_the_last(shared, r, status):
    """What InfluxDB refuses for good of a POST is tried again here: the token lives as long as nobody deletes it."""
    create, first = created(shared, r, cluster="refusing")
    shared.sandbox.fault(
        {"operation": "delete", "token_id": first.secret.token_id, "fault": "error", "status": status, "times": 1}
    )
    m = revoked(r.ask(r.other("RevokeToken", create.id)), first)
    assert m.attempts == 2 and not lives(shared, first)
    assert shared.tokends[0].said(NOT_YET, request_id=create.id, attempt=1)


def test_patience_that_is_asked_for_is_had(shared, r):
    create, first = created(shared, r, cluster="refusing")
    of_this = {"operation": "delete", "token_id": first.secret.token_id, "times": 1}
    shared.sandbox.fault({**of_this, "fault": "throttle", "retry_after": "4"})
    begun = time.monotonic()
    assert revoked(r.ask(r.other("RevokeToken", create.id)), first).attempts == 2
    assert time.monotonic() - begun >= 4


@pytest.mark.mock
def test_a_sick_cluster_is_left_alone_and_tried_with_a_list(shared, r):
    """A DELETE is a call like a POST to the breaker: it opens it, waits behind it, and closes it."""
    create, first = created(shared, r, cluster="sick")
    lists = shared.sandbox.calls("list", shared.cluster_id("sick"))
    fails(shared, "sick", fault="error", status=503, times=5)
    assert revoked(r.ask(r.other("RevokeToken", create.id)), first).attempts == 6
    t = shared.tokends[0]
    t.wait_said("calls failed one after another: the cluster is left alone for a while", cluster="sick")
    t.wait_said("the cluster was tried", cluster="sick")
    t.wait_said("the cluster answers again", cluster="sick")
    assert shared.sandbox.calls("list", shared.cluster_id("sick")) > lists


def test_one_that_comes_too_late_deletes_nothing(shared, r):
    """It lay in the topic until its time was over: whoever sent it may have given up wanting it."""
    create, first = created(shared, r)
    before = deletes(shared)
    shared.tokends[0].wait_said("outcome", request_id=create.id)    # it knows by now that its commit succeeded
    message = r.other("RevokeToken", create.id, life_s=0).message
    message.issued_at.seconds -= 60
    message.deadline.seconds -= 60
    told(shared, r, r.sign("RevokeToken", message), "STILL_IN_FLIGHT", "the deadline", first.secret.token_id)
    assert lives(shared, first) and deletes(shared) == before
    revoked(r.ask(r.other("RevokeToken", create.id)), first)
    shared.tokends[0].wait_said("outcome", n=2, request_id=create.id)
    revoked(r.ask(r.sign("RevokeToken", message)), first, replayed=True)    # what is decided is told, however late


def test_one_gives_up_and_another_goes_on(shared, r):
    """Whoever waits for a revocation that ends without success begins its own, with its own deadline."""
    create, first = created(shared, r, cluster="refusing")
    of_this = {"operation": "delete", "token_id": first.secret.token_id, "times": 1}
    # Two, because a DELETE whose connection is cut goes once more by itself.
    shared.sandbox.fault({**of_this, "fault": "hold"}, {**of_this, "fault": "error"})
    hasty, second, third = (r.other("RevokeToken", create.id, life_s=life) for life in (2, 30, 60))
    r.send(hasty, second, third)
    shared.sandbox.wait_in_flight(1)
    none_is_answered(shared, r, second, third)
    until("the first one's time is over", lambda: time.time() > hasty.message.deadline.seconds)
    shared.sandbox.release()
    check(r.wait(hasty), "STILL_IN_FLIGHT", first.secret.token_id)
    since = revoked(r.wait(second), first).revoked_at
    assert revoked(r.wait(third), first, replayed=True).revoked_at == since and not lives(shared, first)


def test_a_cluster_that_takes_no_more_requests_still_deletes(shared, r):
    """Because a marker did not come back: what it made is deleted all the same."""
    create = r.create(a_description(), cluster="blind")
    shared.sandbox.fault({"description": create.message.description, "fault": "truncate_description"})
    r.send(create)
    shared.tokends[0].wait_said(
        "a token's description did not come back as it was sent: the cluster takes no further requests", cluster="blind"
    )
    until("it was told", lambda: r.poll(0.1) or shared.tokends[0].said("outcome", request_id=create.id))
    stuck = r.create(a_description(), cluster="blind", life_s=8)
    r.send(stuck)
    reply = check(r.ask(r.other("RevokeToken", create.id)), "REVOKED")
    assert token(shared, reply.message.token_id)["revokedAt"] is not None
    assert stuck.digest not in r.replies and not shared.sandbox.posts(stuck.message.description)
    check(r.wait(stuck), "NOT_STARTED")


# ---- lives and clusters --------------------------------------------------------------------------------------------


def test_killed_between_the_delete_and_its_record(world):
    """The next life reads the record again, asks InfluxDB again, and is told that there is nothing left. It does so for
    whoever has no grants any more, too."""
    t, r = world.tokend(), world.requester()
    create, first = created(world, r)
    world.sandbox.fault(
        {"operation": "delete", "token_id": first.secret.token_id, "fault": "hold", "commit": True, "times": 1}
    )
    revoke, other = r.other("RevokeToken", create.id), r.other("RevokeToken", create.id, reason="me too")
    r.send(revoke, other)
    world.sandbox.wait_in_flight(1)
    assert not lives(world, first)
    until("both were read", lambda: t.metric("tokend_pending") >= 2)
    t.kill()
    world.sandbox.release()
    for grant in world.policy["principals"][0]["grants"]:
        grant["clusters"] = ["edge"]
    world.write_policy()
    world.tokend()
    assert revoked(r.wait(revoke), first).attempts == 1
    revoked(r.wait(other), first, replayed=True)
    assert deletes(world) == 2


@pytest.mark.real
def test_one_that_was_stopped_too_long_tells_nobody(world):
    """Its DELETE was answered, and its partitions are another's by now, which deletes and tells."""
    a, r = world.tokend("a"), world.requester()
    create, first = created(world, r)
    of_this = {"operation": "delete", "token_id": first.secret.token_id}
    world.sandbox.fault({**of_this, "fault": "delay", "delay_ms": 2000, "times": 1})
    revoke = r.other("RevokeToken", create.id)
    r.send(revoke)
    world.sandbox.wait_in_flight(1)
    a.signal(signal.SIGSTOP)
    b = world.tokend("b", wait=world.partitions)
    assert revoked(r.wait(revoke), first).attempts == 1 and deletes(world) == 2
    a.signal(signal.SIGCONT)
    until(
        "the first is back in the group",
        lambda: len(a.open()) + len(b.open()) == world.partitions and len(a.open()) > 0 or a.process.poll() is not None,
    )
    revoked(r.ask(r.other("RevokeToken", create.id)), first, replayed=True)
    assert deletes(world) == 2 and not a.said("outcome", method="/tokend.v1.TokenService/RevokeToken")


def test_the_next_life_knows_what_was_revoked(world):
    t, r = world.tokend(), world.requester()
    create, first = created(world, r)
    revoke = r.other("RevokeToken", create.id)
    once = revoked(r.ask(revoke), first)
    t.kill()
    world.tokend()
    before = deletes(world)
    for again in (revoke, r.other("RevokeToken", create.id)):
        m = revoked(r.ask(again), first, replayed=True)
        assert (m.revoked_at, m.attempts) == (once.revoked_at, once.attempts)
    for after in (create, r.other("GetOutcome", create.id)):
        assert check(r.ask(after), "CREATED", replayed=True).message.revoked_at == once.revoked_at
    assert deletes(world) == before


def test_a_drain_leaves_it_to_the_next_life(world):
    """One that waits to try again, and one that waits for a create, whose call ends in the drain: nothing of theirs is
    written, and the next life does it all."""
    t, r = world.tokend(), world.requester()
    create, first = created(world, r)
    create_later = held(world, r)
    world.sandbox.fault(
        {"operation": "delete", "fault": "error", "status": 429, "retry_after": "600", "times": 1}
    )
    revoke, later = r.other("RevokeToken", create.id), r.other("RevokeToken", create_later.id)
    r.send(revoke, later)
    t.wait_said(NOT_YET, request_id=create.id)
    none_is_answered(world, r, revoke, later)
    world.sandbox.no_more_faults()
    t.signal(signal.SIGTERM)
    t.wait_said("draining")
    world.sandbox.release()
    assert t.terminate() == 0
    world.tokend()
    revoked(r.wait(revoke), first)
    revoked(r.wait(later), check(r.wait(create_later), "CREATED"))


def test_a_delete_that_ends_in_a_drain(world):
    """What is done is written down; what failed is left to the next life, which has the time."""
    t, r = world.tokend(), world.requester()
    well, badly = created(world, r), created(world, r)
    for (_, first), fault in ((well, {"fault": "delay"}), (badly, {"fault": "error", "status": 503})):
        world.sandbox.fault({"operation": "delete", "token_id": first.secret.token_id, "delay_ms": 3000, **fault})
    revokes = [r.other("RevokeToken", create.id) for create, _ in (well, badly)]
    r.send(*revokes)
    world.sandbox.wait_in_flight(2)
    assert t.terminate() == 0
    assert revoked(r.wait(revokes[0]), well[1]).attempts == 1
    r.poll(0.5)
    assert revokes[1].digest not in r.replies and deletes(world) == 2
    world.tokend()
    assert revoked(r.wait(revokes[1]), badly[1]).attempts == 1 and deletes(world) == 3


def test_a_cluster_that_retires_still_deletes(world):
    t, r = world.tokend(), world.requester()
    create, first = created(world, r, cluster="failing")
    assert t.terminate() == 0
    next(c for c in world.config["clusters"] if c["name"] == "failing")["retiring"] = True
    world.tokend()
    revoked(r.ask(r.other("RevokeToken", create.id)), first)
    assert not lives(world, first)


def long_ago(world, seq, cluster, meaning, token_id):
    """The journal of two days ago: a token was delivered, at a cluster whose name meant that. Its request's ID."""
    request_id, then_ms = f"r-{uuid.uuid4()}", int(time.time() - 2 * 86400) * 1000
    record = journal_pb.JournalRecord(
        format=1, lowest_reader=1, journal_id=b"j" * 16, seq=seq, state=journal_pb.DONE, fingerprint=b"f" * 32,
        request_digest=b"d" * 32, offset=-1, deadline=then_ms // 1000 + 900, attempts=1, token_id=token_id,
        cluster=cluster,
    )
    record.attempt.uuid, record.attempt.number, record.attempt.cluster = uuid.uuid4().bytes, 1, cluster
    record.attempt.cluster_digest = hashlib.sha256("\n".join(meaning).encode()).digest()
    record.attempt.not_before_ms, record.attempt.not_after_ms = then_ms, then_ms + 30000
    record.create_reply.request_id, record.create_reply.principal = request_id, "telemetry"
    record.create_reply.status.message, record.create_reply.status.about = "created", OUTCOME
    producer = Producer(world.kafka)
    producer.produce(
        f"{world.service_id}.journal",
        key=key_of("C", "telemetry", request_id),
        value=record.SerializeToString(),
        partition=home(request_id.encode(), world.partitions),
    )
    assert producer.flush(30) == 0
    return request_id


@pytest.mark.row("TARGET_GONE")
def test_clusters_change(world):
    """A name leads nobody to another cluster, where a DELETE would find nothing and seem to have worked; and a cluster
    is found again under a new name. (Within a day of its last attempt tokend would not start without it.)"""
    prod = ("dedicated", world.sandbox.api, ACCOUNT, CLUSTER)
    token_id = world.sandbox.ask("POST", "/control/plant", {"description": "of old"})["id"]
    gone, stranger = str(uuid.uuid4()), str(uuid.uuid4())
    gone_id = long_ago(world, 1, "gone", ("dedicated", "https://gone", ACCOUNT, CLUSTER), gone)
    stranger_id = long_ago(world, 2, "prod", ("dedicated", "https://gone", ACCOUNT, CLUSTER), stranger)
    moved_id = long_ago(world, 3, "prod-by-its-old-name", prod, token_id)
    world.tokend()
    r = world.requester()
    for request_id, token_gone, name in ((gone_id, gone, "gone"), (stranger_id, stranger, "prod")):
        words = f"token {token_gone} is in cluster {name}", "not configured any more", "the operator"
        told(world, r, r.other("RevokeToken", request_id), "TARGET_GONE", *words, details={})
    assert deletes(world) == 0 and token(world, token_id)["revokedAt"] is None
    reply = check(r.ask(r.other("RevokeToken", moved_id)), "REVOKED")
    assert reply.message.token_id == token_id and token(world, token_id)["revokedAt"] is not None
