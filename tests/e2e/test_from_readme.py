# SPDX-License-Identifier: Apache-2.0
"""Goal: README.md, the .proto file and the vectors are enough to write a requester.

from_readme.py is one that knows nothing else. First it proves itself on the vectors, then it lives with a real tokend:
what it is told, what it must not believe, and what it does about it.
"""

import base64
import dataclasses
import http.server
import json
import pathlib
import re
import threading
import time
import uuid

import pytest
from confluent_kafka import Producer
from google.protobuf.json_format import MessageToDict, ParseDict
from nacl.public import PrivateKey, PublicKey, SealedBox
from nacl.signing import SigningKey, VerifyKey

import from_readme
from from_readme import Deployment, Identity, Ignored, Next, Record, Refused, Requester, pb, permission

ROOT = pathlib.Path(__file__).resolve().parents[2]
VECTORS = {p.stem: json.loads(p.read_text()) for p in (ROOT / "tests/vectors").glob("*.json")}
REQUESTS, REPLIES, BOXES = ({v["name"]: v for v in VECTORS[n]} for n in ("requests", "replies", "boxes"))
CREATES = [r for r in VECTORS["requests"] if r["message"] == "CreateTokenRequest"]
CODES = {int(n): name for n, name in re.findall(r"(\d+) ([A-Z_]+)", re.search(
    r"A google\.rpc\.Code: (.*?)\. Programs", (ROOT / "proto/tokend/v1/token.proto").read_text(), re.S)[1])}


def told_by_readme():
    """The rows of its table of errors: (reason, code, about, retry)."""
    table = re.search(r"<!-- status table -->(.*?)<!-- /status table -->", (ROOT / "README.md").read_text(), re.S)[1]
    rows = [[c.strip(" `") for c in line.split("|")[1:5]] for line in table.strip().splitlines()[2:]]
    return {tuple(row) for row in rows}


def row(status):
    """A status as such a row."""
    return (status.reason or "–", CODES[status.code], pb.About.Name(status.about),
            pb.Retry.Name(status.retry) if status.retry else "–")


def each(vectors):
    return pytest.mark.parametrize("v", vectors, ids=lambda v: v.get("name") or v.get("public") or v["key"][:40])


# ---- the vectors ---------------------------------------------------------------------------------------------------


def their_deployment():
    w = VECTORS["world"]
    return Deployment(
        w["service_id"], w["partitions"],
        {k["id"]: VerifyKey(bytes.fromhex(k["public"])) for k in w["signing_keys"] if k["owner"] == "the service"},
        {c["name"]: (c["account_id"], c["cluster_id"]) for c in w["clusters"]},
    )


def their_identity(request):
    """Of who made that request."""
    w, fields = VECTORS["world"], request["fields"]
    key = fields["recipient"].get("key_id") or from_readme.inline_id(
        base64.b64decode(fields["recipient"]["inline_key"]["public_key"]))
    (seed,) = [k["seed"] for k in w["signing_keys"] if k["id"] == request["key_id"]]
    (secret,) = [k["secret"] for k in w["box_keys"] if k["id"] == key]
    return Identity(fields["principal"], request["key_id"], SigningKey(bytes.fromhex(seed)), key,
                    PrivateKey(bytes.fromhex(secret)))


def their_headers(record):
    return [(name, value.encode()) for name, value in record["headers"]]


def judged(request_name, record):
    request = REQUESTS[request_name]
    sent = Record(request["record"]["key"].encode(), bytes.fromhex(request["body"]), request["key_id"].encode(),
                  request["signature"].encode())
    return from_readme.judge(their_deployment(), their_identity(request), sent, their_headers(record),
                             bytes.fromhex(record["value"]))


@each(VECTORS["requests"])
def test_requests(v):
    body = bytes.fromhex(v["body"])
    message = ParseDict(v["fields"], getattr(pb, v["message"])())
    assert getattr(pb, v["message"]).FromString(body) == message
    if v["name"] not in ("create-explicit-defaults", "create-any-order"):  # which other libraries write
        assert message.SerializeToString() == body
    assert from_readme.pae(v["message"], body).hex() == v["pae"]
    assert from_readme.fingerprint(v["message"], body).hex() == v["fingerprint"]
    kid, sig = v["key_id"].encode(), v["signature"].encode()
    assert from_readme.request_digest(v["message"], body, kid, sig).hex() == v["request_digest"]


@each(CREATES)
def test_records(v):
    me, body = their_identity(v), bytes.fromhex(v["body"])
    record = from_readme.sign(me, pb.CreateTokenRequest.FromString(body))
    if v["name"] not in ("create-explicit-defaults", "create-any-order"):
        assert record.value == body and record.signature == v["signature"].encode()
        assert record.headers() == their_headers(v["record"])
        assert record.digest().hex() == v["request_digest"] and record.fingerprint().hex() == v["fingerprint"]
    assert record.key == v["record"]["key"].encode() and body.hex() == v["record"]["value"]
    assert from_readme.home(record.key, their_deployment().partitions) == v["record"]["partition"]


@each(VECTORS["partitions"])
def test_partitions(v):
    key = v["key"].encode()
    assert from_readme.murmur2(key) == v["murmur2"]
    assert {n: from_readme.home(key, int(n)) for n in v["partitions"]} == v["partitions"]
    assert bool(re.fullmatch("[A-Za-z0-9._:-]{1,128}", v["key"])) == v["is_request_id"]


@each(VECTORS["boxes"])
def test_boxes(v):
    key = PrivateKey(bytes.fromhex(v["recipient_secret"]))
    assert bytes(key.public_key).hex() == v["recipient_public"]
    if ":" in v["recipient_key_id"]:
        assert from_readme.inline_id(bytes(key.public_key)) == v["recipient_key_id"]
    plaintext = SealedBox(key).decrypt(bytes.fromhex(v["box"]))
    assert plaintext.hex() == v["plaintext"]
    assert pb.TokenSecret.FromString(plaintext) == ParseDict(v["fields"], pb.TokenSecret())


@each([r for r in VECTORS["replies"] if REQUESTS[r["request"]] in CREATES])
def test_replies(v):
    answer = judged(v["request"], v["record"])
    assert MessageToDict(answer.reply, preserving_proto_field_name=True) == v["fields"]
    assert (answer.secret is None) == (v["box"] is None)
    if v["box"]:
        assert answer.secret == ParseDict(BOXES[v["box"]]["fields"], pb.TokenSecret())
    else:
        assert row(answer.reply.status) in told_by_readme()


@each([r for r in VECTORS["replies"] if REQUESTS[r["request"]] not in CREATES])
def test_replies_to_other_methods(v):
    """Genuine, and none to the CreateToken of the same ID."""
    key = their_deployment().service_keys[v["key_id"]]
    assert from_readme.verify(key, v["message"], bytes.fromhex(v["body"]), v["signature"])
    (create,) = [c["name"] for c in CREATES if c["record"]["key"] == v["record"]["key"] and c["key_id"] == "t-1"]
    with pytest.raises(Ignored):
        judged(create, v["record"])


@each(VECTORS["odd_replies"])
def test_odd_replies(v):
    """What no version sends yet is believed; what of it no program can know is for a person."""
    answer = judged(v["request"], v["record"])
    assert MessageToDict(answer.reply, preserving_proto_field_name=True) == v["fields"]
    assert (answer.secret and MessageToDict(answer.secret, preserving_proto_field_name=True)) == v["secret"]
    assert answer.secret is not None or from_readme.next_step(answer.reply.status) is Next.STOP


def test_what_no_program_knows():
    """Every pair that the table of errors does not tell of ends with a person, before a new ID above all."""
    for about in (0, 1, 2, 3):
        for retry in (0, 1, 2, 3, 4, 5):
            step = from_readme.next_step(pb.Status(code=3, about=about, retry=retry))
            if about not in (pb.OUTCOME, pb.RECORD) or retry not in (pb.SAME_RECORD, pb.NEW_ID, pb.LATER):
                assert step is Next.STOP
            assert about == pb.OUTCOME or step not in (Next.NEW_LATER, Next.NEW_MENDED)


@each(VECTORS["bad_replies"])
def test_bad_replies(v):
    with pytest.raises(Ignored) as e:
        judged(v["request"], v["record"])
    assert e.value.because == v["because"], e.value


@each(VECTORS["bad_requests"])
def test_what_is_done_about_a_refusal(v):
    status = {k: v["status"][k] for k in ("code", "reason", "about", "retry")}
    status = ParseDict(status, pb.Status())
    assert row(status) in told_by_readme()
    step = from_readme.next_step(status)
    if status.about == pb.RECORD:
        assert step not in (Next.NEW_LATER, Next.NEW_MENDED)
    assert step == {
        "SAME_RECORD": Next.SAME_MENDED,
        "NEW_ID": Next.PERSON if status.about == pb.RECORD else Next.NEW_MENDED,
        "NEVER": Next.STOP,
    }[v["status"]["retry"]]


@each([v for v in VECTORS["signatures"] if not v.get("libraries_differ")])
def test_signatures(v):
    message = re.fullmatch(r"application/vnd\.tokend\.v1\.(\w+)\+protobuf", v["media_type"])[1]
    key = VerifyKey(bytes.fromhex(v["public"]))
    assert from_readme.verify(key, message, bytes.fromhex(v["body"]), v["signature"]) == v["valid"]


@each(VECTORS["recipient_keys"])
def test_inline_keys(v):
    """Of a requester's own making they are always usable; its library says so of others, too."""
    try:
        SealedBox(PublicKey(bytes.fromhex(v["public"]))).encrypt(b"")
        usable = True
    except Exception:
        usable = False
    assert usable == v["usable"]


@each(VECTORS["frames"]["good"])
def test_frames(v):
    assert from_readme.unframe(bytes.fromhex(v["value"])) == (v["message_index"], bytes.fromhex(v["body"]))


@each(VECTORS["frames"]["bad"])
def test_broken_frames(v):
    with pytest.raises(ValueError):
        from_readme.unframe(bytes.fromhex(v["value"]))


# ---- a tokend that runs --------------------------------------------------------------------------------------------


MINE = [permission("READ", "mydb"), permission("WRITE", "mydb")]


class Me(Requester):
    """A requester in that world, with what the tests need beside."""

    def __init__(self, world, store):
        p = world.principals["telemetry"]
        ids = {c["name"]: (c.get("account_id", ""), c.get("cluster_id", "")) for c in world.config["clusters"]}
        deployment = Deployment(world.service_id, world.partitions, world.service_keys, ids)
        me = Identity(p.name, p.key_id, p.signing_key, p.box_key_id, p.box_key)
        topics = (f"{world.service_id}.requests", f"{world.service_id}.replies")
        super().__init__({**world.kafka, "fetch.wait.max.ms": 10}, topics, deployment, me, store)

    def create(self, description, permissions=MINE, cluster="prod", **more):
        return from_readme.create(self.me, self.deployment, description, permissions, cluster, **more)


@pytest.fixture(scope="module")
def requester(running, tmp_path_factory):
    return Me(running, tmp_path_factory.mktemp("store"))


@pytest.fixture
def me(shared, requester):
    requester.ignored.clear()
    return requester


def made(world, description):
    """The sandbox's record of the tokens with that description, in their order."""
    return [t for t in world.sandbox.truth()["tokens"] if t["description"].startswith(description + " [tokend/")]


def refusal(ask, *arguments):
    with pytest.raises(Refused) as e:
        ask(*arguments)
    assert row(e.value.status) in told_by_readme(), e.value
    return e.value


def test_a_token(shared, me):
    expires = int(time.time()) + 3600
    answer = me.ask(me.create("a token", expires_at=expires))
    secret = answer.secret
    (true,) = made(shared, "a token")
    assert (secret.token_id, secret.access_token) == (true["id"], true["accessToken"])
    assert secret.description == true["description"]
    assert (secret.account_id, secret.cluster_id) == (true["account_id"], true["cluster_id"])
    assert [(pb.Action.Name(p.action).lower(), p.database) for p in secret.permissions] == [
        (p["action"], p["resource"]) for p in true["permissions"]
    ]
    assert secret.expires_at.seconds == expires
    assert (answer.reply.attempts, answer.reply.replayed, me.ignored) == (1, False, [])
    assert from_readme.wait_active(f"{shared.sandbox.data}/query?db=mydb", secret.access_token) == 200
    assert from_readme.wait_active(f"{shared.sandbox.data}/query?db=another", secret.access_token) == 403


def test_the_same_bytes_again(shared, me):
    request = me.create("once")
    first = me.ask(request)
    again = me.repeat(request.request_id)
    assert again.reply.replayed and not first.reply.replayed
    assert again.secret == first.secret
    assert len(made(shared, "once")) == 1
    with pytest.raises(FileExistsError):
        me.ask(me.create("not once", request_id=request.request_id))


def test_a_key_that_is_brought_along_and_clustered(shared, me):
    registered = me.me
    inline = from_readme.inline_id(bytes(registered.box_key.public_key))
    me.me = dataclasses.replace(registered, box_key_id=inline)
    try:
        secret = me.ask(me.create("inline", [permission("READ"), permission("WRITE", "mydb")], "edge")).secret
        assert secret.recipient_key_id == inline
    finally:
        me.me = registered
    assert [t["accessToken"] for t in made(shared, "inline")] == [secret.access_token]


def test_refused_by_the_policy(me):
    request = me.create("too much", [permission("READ", "mydb"), permission("READ", "elsewhere")])
    refused = refusal(me.ask, request)
    assert (refused.status.reason, refused.status.about, refused.next) == ("POLICY_DENIED", pb.OUTCOME, Next.STOP)
    assert refused.details["field"].startswith("permissions[1]")
    assert refusal(me.repeat, request.request_id).reply.replayed


def test_refused_for_a_field(me):
    refused = refusal(me.ask, me.create("twice", MINE + MINE[:1]))
    assert (refused.status.reason, refused.status.about, refused.next) == (
        "INVALID_REQUEST", pb.OUTCOME, Next.NEW_MENDED)
    assert refused.details["field"] == "permissions[2]"


def test_refused_for_an_id_that_was_used(me):
    request = me.create("first")
    first = me.ask(request)
    request.description = "second"
    refused = refusal(me.deliver, from_readme.sign(me.me, request), 60)
    assert (refused.status.reason, refused.status.about, refused.next) == (
        "REQUEST_ID_REUSED", pb.RECORD, Next.PERSON)
    assert refused.details["fingerprint"] == first.secret.request_fingerprint.hex()
    assert refused.details["state"] in ("IN_FLIGHT", "DONE")  # a reply is seen before its commit is acknowledged
    assert me.repeat(request.request_id).secret == first.secret


def test_refused_without_a_principal(me):
    """Nobody is known by a signature that does not verify: the reply's principal is empty, and it is believed."""
    record = me.keep(from_readme.sign(me.me, me.create("badly signed")))
    wrong = dataclasses.replace(record, signature=base64.b64encode(bytes(64)))
    refused = refusal(me.deliver, wrong, 60)
    assert (refused.status.reason, refused.reply.principal, refused.next) == ("BAD_SIGNATURE", "", Next.SAME_MENDED)
    assert me.deliver(record, 60).secret.access_token


def test_a_clock_that_is_ahead(me):
    """The same record, once its time has come."""
    request = me.create("early")
    place = me.note(request.request_id.encode())
    request.issued_at.seconds = int(time.time()) + 122
    record = me.keep(from_readme.sign(me.me, request))
    me.send(record, place)
    refused = Refused(me.wait(record, place, 60).reply)
    assert row(refused.status) == ("CLOCK_SKEW", "INVALID_ARGUMENT", "RECORD", "LATER")
    assert row(refused.status) in told_by_readme() and refused.next is Next.SAME_LATER
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", refused.details["service_time"])
    assert me.deliver(record, 60).secret.access_token


def test_another_partition_is_mended(shared, me):
    request = me.create("astray")
    record = me.keep(from_readme.sign(me.me, request))
    astray = (from_readme.home(record.key, shared.partitions) + 1) % shared.partitions
    assert me.deliver(record, 60, astray).secret.token_id == made(shared, "astray")[0]["id"]


def test_a_lost_answer(shared, me):
    shared.sandbox.fault({"description": "cut off", "fault": "cut", "commit": True})
    answer = me.ask(me.create("cut off"))
    lost, delivered = made(shared, "cut off")
    assert (answer.secret.token_id, answer.secret.access_token) == (delivered["id"], delivered["accessToken"])
    assert answer.reply.attempts == 2 and lost["accessToken"] != delivered["accessToken"]
    assert from_readme.wait_active(f"{shared.sandbox.data}/query?db=mydb", answer.secret.access_token) == 200


def test_activation_is_waited_for():
    answers = [401, 401, 204]

    class Data(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(answers.pop(0) if self.headers["Authorization"] == "Bearer fresh" else 500)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Data) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/query"
        assert from_readme.wait_active(url, "fresh", every_s=0.01) == 204 and not answers
        server.shutdown()


# ---- what is not believed ------------------------------------------------------------------------------------------


class Forger:
    """Somebody who can write to the reply topic; who even has the service's key where a later check is to be shown."""

    def __init__(self, world, me):
        self.me, self.topic, self.producer = me, me.replies, Producer(world.kafka)
        self.transactional = {**world.kafka, "transactional.id": f"forger-{uuid.uuid4()}"}
        key = world.config["signing_key"]
        seed = (world.conf / key["file"]).read_text()
        self.id, self.key = key["id"], SigningKey(base64.b64decode(seed))

    def secret(self, record, **other):
        """A box for that record in which all is right, but for what is said, and that nobody made."""
        asked = record.request()
        account, cluster = self.me.deployment.clusters["prod"]
        marker = f"{asked.service_id}:{asked.principal}:{from_readme.home(record.key, self.me.deployment.partitions)}"
        fields = {
            "service_id": asked.service_id, "request_id": asked.request_id,
            "request_fingerprint": record.fingerprint(), "recipient_key_id": self.me.me.box_key_id,
            "cluster": "prod", "account_id": account, "cluster_id": cluster,
            "description": f"{asked.description} [tokend/1:{marker}:{uuid.uuid4()}]",
            "permissions": asked.permissions, "token_id": str(uuid.uuid4()), "access_token": "forged_" * 10,
        }
        secret = pb.TokenSecret(**{**fields, **other})
        secret.created_at.GetCurrentTime()
        return SealedBox(self.me.me.box_key.public_key).encrypt(secret.SerializeToString())

    def reply(self, record, **other):
        """The same of a reply."""
        status = pb.Status(message="the token was created", about=pb.OUTCOME)
        fields = {"request_id": record.key.decode(), "principal": self.me.me.principal, "status": status,
                  "request_digest": record.digest(), "suite": pb.SEALEDBOX_X25519,
                  "recipient_key_id": self.me.me.box_key_id, "sealed_token": self.secret(record)}
        return pb.CreateTokenReply(**{**fields, **other}).SerializeToString()

    def headers(self, body, key=None, key_id=None):
        signature = base64.b64encode((key or self.key).sign(from_readme.pae("CreateTokenReply", body)).signature)
        return [("tokend-method", b"/tokend.v1.TokenService/CreateToken"), ("tokend-signature", signature),
                ("tokend-key-id", (key_id or self.id).encode())]

    def put(self, record, place, body, headers=None):
        self.producer.produce(self.topic, body, record.key, place.partition, headers=headers or self.headers(body))

    def put_and_abort(self, record, place, body):
        producer = Producer(self.transactional)
        producer.init_transactions(30)
        producer.begin_transaction()
        producer.produce(self.topic, body, record.key, place.partition, headers=self.headers(body))
        assert producer.flush(30) == 0
        producer.abort_transaction(30)


def forgeries(forger, record, other, theirs):
    """Why each must be ignored, its value, and its headers where they are not as they should be. `other` is a request
    of ours that `theirs` answers."""
    body, stranger = forger.reply(record), SigningKey.generate()
    flipped = bytearray(body)
    flipped[len(flipped) // 2] ^= 1
    sent_by_others = dataclasses.replace(record, signature=other.signature)
    denied = {"status": pb.Status(code=7, reason="POLICY_DENIED", about=pb.OUTCOME, retry=pb.NEVER)}
    denied |= {"suite": pb.SUITE_UNSPECIFIED, "recipient_key_id": "", "sealed_token": b""}
    to_a_stranger = SealedBox(PrivateKey.generate().public_key).encrypt(bytes(100))

    def context(**fields):
        return forger.reply(record, sealed_token=forger.secret(record, **fields))

    return [
        ("signature", body, forger.headers(body, stranger, "stranger")),
        ("signature", body, forger.headers(body, stranger)),
        ("signature", bytes(flipped), forger.headers(body)),
        ("signature", body, forger.headers(body)[:1]),
        ("request", forger.reply(record, request_id=other.key.decode()), None),
        ("digest", forger.reply(record, request_digest=sent_by_others.digest()), None),
        ("digest", forger.reply(record, request_digest=record.fingerprint()), None),
        ("digest", forger.reply(record, request_digest=other.digest(), **denied), None),
        ("principal", forger.reply(record, principal="billing"), None),
        ("principal", forger.reply(record, principal="", **denied), None),
        ("box", forger.reply(record, sealed_token=to_a_stranger), None),
        ("box", forger.reply(record, suite=pb.HPKE_RESERVED), None),
        ("box", forger.reply(record, sealed_token=b""), None),
        ("context", forger.reply(record, sealed_token=theirs.sealed_token), None),
        ("context", context(service_id="another"), None),
        ("context", context(request_id=other.key.decode()), None),
        ("context", context(request_fingerprint=other.fingerprint()), None),
        ("context", context(recipient_key_id="another"), None),
        ("context", context(cluster="edge"), None),
        ("context", context(account_id="", cluster_id=""), None),
        ("context", context(description=record.request().description), None),
        ("context", context(permissions=MINE[:1]), None),
        ("context", context(expires_at={"seconds": int(time.time())}), None),
        ("context", context(access_token=""), None),
        ("context", context(token_id=""), None),
    ]


@pytest.fixture(scope="module")
def forger(running, requester):
    return Forger(running, requester)


@pytest.fixture
def unaudited(shared):
    """What follows puts into the reply topic what is no reply of tokend's, so the world is audited before."""
    shared.audit()
    shared.audit = lambda: None


@pytest.fixture
def waiting(me, forger):
    """A request that is stored and not sent yet, where its reply will be, and a forger who knows of it."""
    record = me.keep(from_readme.sign(me.me, me.create(f"forged {uuid.uuid4()}")))
    return record, me.note(record.key), forger


def is_true(world, record, answer):
    (true,) = made(world, record.request().description)
    return (answer.secret.token_id, answer.secret.access_token) == (true["id"], true["accessToken"])


def test_forged_replies(unaudited, shared, me, waiting):
    record, place, forger = waiting
    other = me.keep(from_readme.sign(me.me, me.create("another")))
    planted = forgeries(forger, record, other, me.deliver(other, 60).reply)
    for _, value, headers in planted:
        forger.put(record, place, value, headers)
    assert forger.producer.flush(30) == 0
    with pytest.raises(TimeoutError):
        me.wait(record, place, 1)
    assert [because for because, _ in me.ignored] == [because for because, _, _ in planted]
    me.send(record, place)
    assert is_true(shared, record, me.wait(record, place, 60))


def test_a_flipped_byte(unaudited, shared, me, waiting):
    """The genuine reply, changed."""
    record, place, forger = waiting
    me.send(record, place)
    first = me.wait(record, place, 60)
    place = me.note(record.key)
    body = bytearray(first.reply.SerializeToString())
    body[-1] ^= 1
    forger.put(record, place, bytes(body), forger.headers(first.reply.SerializeToString()))
    assert forger.producer.flush(30) == 0
    me.send(record, place)
    again = me.wait(record, place, 60)
    assert again.reply.replayed and again.secret == first.secret and is_true(shared, record, again)
    assert [because for because, _ in me.ignored] == ["signature"]


@pytest.mark.real
def test_what_was_not_committed(shared, me, waiting):
    """A reply whose transaction was aborted is none, however genuine."""
    record, place, forger = waiting
    forger.put_and_abort(record, place, forger.reply(record))
    me.send(record, place)
    assert is_true(shared, record, me.wait(record, place, 60))
    assert me.ignored == []
