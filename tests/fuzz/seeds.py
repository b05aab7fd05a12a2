#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the seeds of the fuzz targets: tests/fuzz/corpus/TARGET/seed-NAME.

They are valid inputs, each with its own way through the parser, in the form that the target's opening
comment gives. What a fuzzer found on its own lies beside them under other names. Run it after a target's form or
the contract has changed; the result is committed.
"""
import base64
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import nacl.signing

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"
NOW = 1795507200
ID, PRINCIPAL = "orders-7f3a", "telemetry"
ACCOUNT, CLUSTER = "11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-aaaaaaaaaaaa"
BOX_KEY = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="
SIGN_KEYS = [base64.b64encode(bytes(nacl.signing.SigningKey(bytes([i] * 32)).verify_key)).decode() for i in range(4)]
UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
TOKEN = "apiv1_" + "0123456789abcdefABCDEF._~+/=-" * 3


def modules():
    with tempfile.TemporaryDirectory() as made:
        subprocess.run(["protoc", "-I", ROOT / "proto", f"--python_out={made}", "tokend/v1/token.proto",
                        "tokend/v1/journal.proto"], check=True)
        sys.path.insert(0, made)
        from tokend.v1 import journal_pb2, token_pb2
        sys.path.pop(0)
    return token_pb2, journal_pb2


T, J = modules()


def span(data):
    data = data.encode() if isinstance(data, str) else data
    assert len(data) < 65536
    return (bytes([len(data)]) if len(data) < 255 else b"\xff" + struct.pack(">H", len(data))) + data


# ---- requests -------------------------------------------------------------------------------------------------------

def create(**changes):
    m = T.CreateTokenRequest(request_id=ID, principal=PRINCIPAL, service_id="tokens", description="orders writer")
    m.target.cluster = "prod"
    m.permissions.add(action=T.READ, database="telemetry_a")
    m.permissions.add(action=T.WRITE, database="telemetry_a")
    m.issued_at.seconds = NOW
    m.expires_at.seconds = NOW + 86400
    m.recipient.key_id = "t-box1"
    for name, change in changes.items():
        change(m) if callable(change) else setattr(m, name, change)
    return m.SerializeToString(deterministic=True)


def edge(m):
    m.target.cluster = "edge"
    m.ClearField("permissions")
    m.ClearField("expires_at")
    m.permissions.add(action=T.READ, all_databases=True)


def by_ids(m):
    m.target.Clear()
    m.target.account_id, m.target.cluster_id = ACCOUNT, CLUSTER


def inline(m):
    m.recipient.inline_key.suite = T.SEALEDBOX_X25519
    m.recipient.inline_key.public_key = base64.b64decode(BOX_KEY)


def low_order(m):
    m.recipient.inline_key.suite = T.SEALEDBOX_X25519
    m.recipient.inline_key.public_key = bytes([1] + 31 * [0])


def many(m):
    for i in range(20):
        m.permissions.add(action=T.READ, database=f"telemetry_{i}")


def deadline(seconds, nanos=0):
    def change(m):
        m.deadline.seconds, m.deadline.nanos = NOW + seconds, nanos
    return change


def decode_seeds():
    yield "create", b"\0" + create()
    yield "spoilt", b"\4" + create()
    yield "clock", b"\xc0" + create()
    yield "edge", b"\0" + create(_=edge)
    yield "ids", b"\0" + create(_=by_ids)
    yield "inline", b"\0" + create(_=inline)
    yield "low-order", b"\0" + create(_=low_order)
    yield "for-ever", b"\0" + create(_=lambda m: m.ClearField("expires_at"))
    yield "deadline-beyond", b"\0" + create(_=deadline(7200))
    yield "many", b"\0" + create(_=many)
    yield "deadline", b"\0" + create(_=deadline(600))
    yield "deadline-most", b"\0" + create(_=deadline(3600))
    yield "deadline-nanos", b"\0" + create(_=deadline(60, 1))
    yield "no-target", b"\0" + create(_=lambda m: m.ClearField("target"))
    yield "twice", b"\0" + create() + create()[-10:]
    yield "utf8", b"\0" + create(description="Überwachung – écrivain 書く")
    yield "marker", b"\0" + create(description="x [tokend/1:00]")
    yield "star", b"\0" + create(_=lambda m: m.permissions.add(action=T.READ, database="*"))
    yield "unknown-field", b"\0" + create() + b"\x98\x06\x01"
    yield "explicit-default", b"\0" + create() + b"\x4a\0"
    for method, cls in ((1, T.GetOutcomeRequest), (2, T.RevokeTokenRequest)):
        m = cls(request_id=ID, principal=PRINCIPAL, service_id="tokens")
        m.issued_at.seconds = NOW
        if method == 2:
            m.reason = "left the team"
        yield f"method-{method}", bytes([method]) + m.SerializeToString(deterministic=True)
        m.deadline.seconds = NOW + 900
        yield f"method-{method}-deadline", bytes([method]) + m.SerializeToString(deterministic=True)


# ---- headers --------------------------------------------------------------------------------------------------------

NAMES = ["tokend-method", "tokend-key-id", "tokend-signature", "traceparent", "tracestate", "kafka_replyTopic",
         "kafka_replyPartition", "kafka_correlationId", "correlation-id", "REPLY_CORRELATION_ID", "x-request-id",
         "Tokend-Method", "ce_id"]
SIGNATURE = base64.b64encode(bytes(range(64)))


def outside(*headers, flags=0, partition=0, partitions=1, key=ID, value=b"\x0a\x01x"):
    out = bytes([flags, partition, partitions - 1]) + span(key)
    for name, data in headers:
        if name not in NAMES:
            out += bytes([len(NAMES)]) + span(name) + span(data)
        elif data is None:
            out += bytes([len(NAMES) + 1])
        else:
            out += bytes([NAMES.index(name)]) + span(data)
    return out + b"\xff" + value


def headers_seeds():
    signed = [("tokend-key-id", "t-2026a"), ("tokend-signature", SIGNATURE)]
    parent = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    yield "plain", outside()
    yield "signed", outside(*signed, ("tokend-method", "/tokend.v1.TokenService/CreateToken"))
    yield "outcome", outside(*signed, ("tokend-method", "/tokend.v1.TokenService/GetOutcome"))
    yield "revoke", outside(*signed, ("tokend-method", "/tokend.v1.TokenService/RevokeToken"),
                            value=b"\0\0\0\0\7\2\4\x0a\x01x")
    yield "framed", outside(*signed, value=b"\0\0\0\0\7\0\x0a\x01x")
    yield "framed-path", outside(*signed, value=b"\0\0\0\0\7\4\0\2\x0a\x01x")
    yield "broken-frame", outside(*signed, value=b"\0\0\0\0\7\xff\xff\xff\xff\xff")
    yield "trace", outside(*signed, parent, ("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"))
    yield "trace-later-version", outside((parent[0], "01" + parent[1][2:] + "-more"))
    yield "routing", outside(("kafka_replyTopic", "tokend.replies"), ("kafka_replyPartition", b"\0\0\0\0"))
    yield "wrong-routing", outside(("kafka_replyTopic", "elsewhere"), ("kafka_replyPartition", b"\0\0\0\1\2"))
    yield "echoed", outside(*((n, bytes([i]) * i) for i, n in enumerate(NAMES[7:11] * 2)))
    yield "echoed-too-many", outside(*((n, b"x") for n in NAMES[7:10] * 3))
    yield "echoed-too-long", outside(("correlation-id", b"x" * 257))
    yield "event", outside(*signed, flags=4)
    yield "partitions", outside(partition=3, partitions=6)
    yield "no-key", outside(flags=1)
    yield "no-value", outside(flags=2)
    yield "null-header", outside(("tokend-key-id", None))
    yield "doubled", outside(*signed, *signed)
    yield "case", outside(("Tokend-Method", "x"), ("TOKEND-SIGNATURE", "y"))
    yield "not-ascii", outside(("tokend-key-id", b"\xff\x00\n"), ("tokend-method", "ü"))


# ---- the Management API ---------------------------------------------------------------------------------------------

def token(**changes):
    t = {"accountId": ACCOUNT, "clusterId": CLUSTER, "id": UUID, "description": "orders writer [tokend/1:0011]",
         "permissions": [{"action": "read", "resource": "telemetry_a"}, {"action": "write", "resource": "*"}],
         "createdAt": "2026-11-24T08:00:00.123Z", "accessToken": TOKEN}
    t.update(changes)
    return {k: v for k, v in t.items() if v is not None}


def answer_seeds():
    def answer(flags, **changes):
        return bytes([flags]) + json.dumps(token(**changes)).encode()
    yield "created", answer(0)
    yield "clustered", answer(2, accountId=None, clusterId=None)
    yield "expires", answer(4, expiresAt="2026-11-25T08:00:00Z")
    yield "expires-rounded", answer(4, expiresAt="2026-11-25T09:00:00.5+01:00", expirationType="datetime")
    yield "null-expiry", answer(0).replace(b'"createdAt"', b'"expiresAt": null, "createdAt"')
    yield "other-permissions", answer(0, permissions=[{"action": "read", "resource": "*"}])
    yield "escaped", answer(0, description="ö\u2028\"\\/").replace(b"apiv1_", b"\\u0061piv1_")
    yield "nul", answer(0).replace(b"apiv1_", b"\\u0000apiv1_")
    yield "nul-in-description", answer(0).replace(b"0011]", b"0011] \\u0000x")
    yield "bad-escape", answer(0).replace(b"0011]", b"0011]\\u00zz")
    yield "backslash-nul", answer(0).replace(b"0011]", b"0011]\\u0f \\\0u0000")
    yield "twice", answer(0).replace(b'{"accountId"', b'{"id": "x", "accountId"')
    yield "behind", answer(0) + b"{}"
    yield "nested", b"\0" + b"[" * 50 + b"]" * 50
    yield "error", b"\1" + json.dumps({"code": 409, "message": "database telemetry_a is being created"}).encode()
    yield "error-echoes", b"\1" + json.dumps({"message": f"no: Bearer mgmt-secret-1234, got {TOKEN}."}).encode()
    yield "error-odd", b"\1" + json.dumps({"message": "a\tb \u202e \x7f é" * 20}).encode()


def list_seeds():
    def listed(*tokens, flags=0, pieces=b"", text=None):
        return bytes([flags]) + span(pieces) + (json.dumps(tokens).encode() if text is None else text)
    one = token(accessToken=None)
    revoked = token(accessToken=None, revokedAt="2026-11-24T09:00:00Z", description="x [tokend/1:22] [tokend/1:33]")
    other = token(accessToken=None, description="made by hand {[\"\\", id=UUID[::-1])
    yield "empty", listed()
    yield "one", listed(one, pieces=b"\0")
    yield "three", listed(one, other, revoked, pieces=b"\5\0\x30")
    yield "clustered", listed({k: v for k, v in one.items() if "Id" not in k}, flags=1)
    yield "nothing", listed(one, other, flags=2, pieces=b"\x10")
    yield "foreign", listed(token(accessToken=None, clusterId=ACCOUNT), pieces=b"\7")
    yield "cut", listed(text=json.dumps([one, other]).encode()[:-20], pieces=b"\2")
    yield "behind", listed(text=b" [ {} ] x")
    yield "comma", listed(text=b"[" + json.dumps(one).encode() + b",]")
    yield "comma-first", listed(text=b"[," + json.dumps(one).encode() + b"]")
    yield "object", listed(text=json.dumps(one).encode())
    yield "twice", listed(text=b'[{"id":1,"id":2}]')


# ---- tokenctl's files -----------------------------------------------------------------------------------------------

def document_seeds():
    def body(**changes):
        b = {"description": "orders writer", "permissions": [{"action": "read", "resource": "telemetry_a"},
                                                             {"action": "write", "resource": "*"}]}
        b.update(changes)
        return b"\0" + json.dumps(b, ensure_ascii=False).encode()
    yield "body", body()
    yield "expires", body(expirationType="datetime", expiresAt="2030-01-01T00:00:00+0000")
    yield "for-ever", body(expirationType="noExpiration")
    yield "utf8", body(description="Überwachung \\ \"")
    yield "escaped", body().replace(b"orders", b"\\u00e4\\u20ac\\ud83d\\ude00")
    yield "nul", body().replace(b"orders", b"\\u0000")
    yield "bad-escape", body().replace(b"telemetry_a", b"telemetry_a\\u00zz")
    yield "twice", body(permissions=[{"action": "read", "resource": "a"}] * 2)
    yield "comma", body().replace(b"]", b",]")
    yield "nested", b"\0" + b"[" * 40
    carried = {"topic": "tokend.replies", "partition": 3, "offset": 17, "key": ID, "value": "eA==",
               "headers": {"tokend-key-id": "svc-1", "tokend-signature": SIGNATURE.decode()}}
    yield "carried", b"\1" + json.dumps(carried, indent=1).encode()
    yield "carried-least", b"\1" + json.dumps({**carried, "topic": None, "headers": {}}).encode()
    yield "carried-far", b"\1" + json.dumps({**carried, "partition": -1, "offset": 1e300}).encode()


# ---- texts ----------------------------------------------------------------------------------------------------------

def text_seeds():
    for i, text in enumerate([
            "2026-11-24T08:20:00Z", "2026-11-24t08:20:60.123456789+0130", "0001-01-01 00:00:00-00:00",
            "9999-12-31T23:59:59.9Z",
            "2024-02-29T00:00:00z", "250ms", "10s", "15m", "1h", "90d", "3650d", "120", "Sun, 06 Nov 1994 08:49:37 GMT",
            "Tuesday, 24-Nov-26 08:05:00 GMT", "Tue Nov 24 08:05:00 2026", "Sat Nov  4 08:49:60 2034",
            SIGNATURE.decode(), "AAA=", "AA==", UUID, ID, "telemetry", "db/rp_1-X", "orders writer", "[tokend/1:00]",
            "\x1b[2J\u202eevil\u2066\"\\", "é" * 70, "x" * 200]):
        yield f"{i:02}", text.encode()
    yield "bad-utf8", b"\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80\xe2\x82" * 15


# ---- files ----------------------------------------------------------------------------------------------------------

POLICY = f"""version: 1
principals:
  - name: telemetry
    signing_keys:
      - {{id: t-2026a, ed25519: "{SIGN_KEYS[0]}", not_after: 2027-06-01T00:00:00Z}}
      - {{id: t-2026b, ed25519: "{SIGN_KEYS[1]}", not_before: 2026-06-01T00:00:00Z}}
    recipient_keys: [{{id: t-box1, suite: sealedbox-x25519, key: "{BOX_KEY}"}}]
    allow_inline_key: true
    grants:
      - {{clusters: [prod], databases: ["telemetry_*", db/1], actions: [read, write], max_ttl: 90d}}
      - {{clusters: ["*"], all_databases: true, actions: [read]}}
    limits: {{per_minute: 10, per_day: 200}}
"""


def policy_seeds():
    second = "  - name: billing\n    signing_keys: [{id: b-1, ed25519: \"" + SIGN_KEYS[2] + "\"}]\n"
    yield "full", POLICY
    yield "two", POLICY + second
    yield "least", "version: 1\nprincipals:\n" + second
    longer = POLICY.replace("telemetry_*", "telemetry_ab")
    yield "longer", longer.replace("all_databases: true", "databases: [telemetry]")
    yield "twice", POLICY + second + second
    yield "json", json.dumps({"version": 1, "principals": [{"name": "a", "signing_keys": [
        {"id": "k", "ed25519": SIGN_KEYS[3]}], "grants": [
        {"clusters": ["e*"], "databases": ["*"], "actions": ["write", "read"], "all_databases": False}]}]})
    yield "unknown-key", POLICY + "    colour: blue\n"
    yield "odd-key", POLICY + "    \"co\\e[2Jlour\\n\": blue\n"
    yield "low-order", POLICY.replace(BOX_KEY, base64.b64encode(bytes(32)).decode())
    yield "alias", POLICY.replace("[read, write]", "&a [read, write]").replace("actions: [read]", "actions: *a")
    yield "second-document", POLICY + "---\nversion: 2\n"
    yield "all-databases-false", POLICY.replace("all_databases: true", "all_databases: flase")
    yield "empty", ""


CONFIG = f"""service_id: tokens
namespace: default
instance: tokend-0
kafka: ["bootstrap.servers=broker:9092", "client.id=hunter2"]
kafka_secret_files: ["sasl.password=/run/secrets/kafka"]
topics: {{requests: tokend.requests, replies: tokend.replies, journal: tokend.journal, partitions: 6}}
topic_checks: strict
signing_key: {{id: svc-2026a, file: /run/secrets/signing.key}}
policy_file: /etc/tokend/policy.yaml
clusters:
  - {{name: prod, product: dedicated, url: "https://console.influxdata.com", account_id: {ACCOUNT},
     cluster_id: {CLUSTER}, management_token_file: /run/t, max_concurrency: 32, retiring: false}}
  - {{name: edge, product: clustered, url: "http://127.0.0.1:8080", management_token_file: /run/u, ca_file: /run/c}}
deadline_most: 1h
max_pending: 1000
workers: 0
ops: {{address: 127.0.0.1, port: 9464}}
"""


def config_seeds():
    yield "full", CONFIG
    yield "records", CONFIG + ("reply_schema_id: 7\ncloudevents: true\necho_headers: [x-request-id]\n"
                               "skip: [\"tokend.requests/3@1234\"]\n")
    yield "least", CONFIG.replace("ops: {address: 127.0.0.1, port: 9464}\n", "").replace("deadline_most: 1h\n", "")
    yield "owned", CONFIG.replace("client.id", "group.id")
    yield "password", CONFIG.replace("client.id", "sasl.password")
    yield "no-equals", CONFIG.replace("client.id=", "")
    yield "url", CONFIG.replace("https://console", "https://user:pass@console")
    yield "relative", CONFIG.replace("/run/", "").replace("/etc/", "")
    yield "unknown-key", CONFIG + "colour: blue\n"
    yield "odd-value", CONFIG.replace("service_id: tokens", "service_id: \"t\\e[2J\\u202e\"")
    yield "ipv6", CONFIG.replace("127.0.0.1, port", "\"::1\", port")
    yield "empty", "# nothing\n"


# ---- the journal ----------------------------------------------------------------------------------------------------

def record(state=J.INTENT, **changes):
    m = J.JournalRecord(format=1, lowest_reader=1, journal_id=bytes(16), seq=3, state=state, fingerprint=b"f" * 32,
                        request_digest=b"d" * 32, offset=5, deadline=NOW + 600, attempts=2)
    attempts = [m.attempt] if changes.pop("attempt", True) else []
    for where in attempts + [m.closed.add() for _ in range(changes.pop("closed", 1))]:
        where.uuid, where.number, where.cluster, where.cluster_digest = b"u" * 16, 1, "prod", b"c" * 32
        where.not_before_ms, where.not_after_ms, where.fate = NOW * 1000, NOW * 1000 + 30000, J.UNKNOWN
    if state == J.DONE and changes.pop("replied", True):
        m.create_reply.request_id, m.create_reply.status.message = ID, "created"
        m.create_reply.sealed_token, m.token_id, m.cluster = b"s" * 80, UUID, "prod"
        m.permissions.add(action=T.READ, database="telemetry_a")
        m.token_expires_at.seconds = NOW + 86400
    for name, value in changes.items():
        setattr(m, name, value)
    return m.SerializeToString(deterministic=True)


KEY = f"C{len(PRINCIPAL)}:{PRINCIPAL},{len(ID)}:{ID}"


def record_seeds():
    yield "intent", span(KEY) + record()
    yield "intent-first", span(KEY) + record(closed=0)
    yield "hand-over", span(KEY) + record(attempt=False, closed=3)
    yield "done", span(KEY) + record(J.DONE)
    yield "done-nothing", span(KEY) + record(J.DONE, attempt=False, closed=0)
    yield "answer", span("#3:17") + record(J.DONE, attempt=False, closed=0)
    yield "revoke", span(KEY.replace("C", "R")) + record()
    yield "newer", span(KEY) + record(lowest_reader=2)
    yield "loss", span(KEY) + record(J.LOSS)
    yield "many", span(KEY) + record(closed=30)
    yield "bad-key", span("C9:telemetry,99:x") + record()
    reply = T.RevokeTokenReply(request_id=ID, token_id=UUID)
    reply.status.code = 5
    told = b"\x7a" + span(reply.SerializeToString())
    yield "revoked", span(KEY.replace("C", "R")) + record(J.DONE, replied=False) + told


def journal_seeds():
    def made(which, shape, fingerprint=1, digest=1, offset=5, skip=0):
        return bytes([0, which, shape, fingerprint, digest, offset & 0xff, skip])
    opened = b"\3" + bytes([0, 0, 0])
    committed = b"\3" + bytes([1, 0, 4])
    text = b"\3" + bytes([3, 0, 4]) + span(f"tokend/1 {'00' * 16} 3 {NOW * 1000} tokens/default/tokend-0")
    life = made(0, 4) + made(1, 6, offset=6) + made(2, 0, offset=7) + made(0, 6, offset=5) + made(0x80, 2, offset=9)
    yield "records", life
    yield "opened", life + opened
    yield "committed", life + committed
    yield "metadata", life + text
    answer = record(J.DONE, attempt=False, closed=0)
    yield "raw", b"\2" + span(KEY) + span(record()) + b"\0" + b"\2" + span("#3:17") + span(answer) + b"\0" + opened
    yield "places", life + committed + bytes([0, 5, 0, 6, 0, 9, 7, 5, 0, 9, 7, 15, 0, 9])
    yield "lives", life + opened + bytes([1, 0, 1, 2, 6, 2, 1, 3, 6, 3, 2, 3, 3, 3, 2, 2, 1, 4, 2, 4, 1, 4])
    yield "strays", (made(0, 4, offset=-5) + made(1, 12, offset=3) + made(2, 4, offset=90) + opened +
                     bytes([4, 0, 50, 4, 0, 50, 5, 3, 4, 0, 50]))
    yield "again", (b"".join(made(i % 5, 4 + 8 * i, fingerprint=i, offset=i) for i in range(24)) + opened +
                    bytes([1, 1, 6, 1, 5, 2]))
    yield "full", made(1, 0xf4) + opened + bytes([1, 1])


# ---- replies --------------------------------------------------------------------------------------------------------

def secret(**changes):
    s = T.TokenSecret(service_id="tokens", request_id=ID, request_fingerprint=b"\x22" * 32, recipient_key_id="t-box1",
                      cluster="prod", account_id=ACCOUNT, cluster_id=CLUSTER, token_id=UUID, access_token=TOKEN,
                      description=f"orders writer [tokend/1:tokens:{PRINCIPAL}:3:{UUID}]")
    s.permissions.add(action=T.READ, database="telemetry_a")
    s.expires_at.seconds = NOW + 86400
    for name, value in changes.items():
        setattr(s, name, value)
    return s.SerializeToString(deterministic=True)


def reply_seeds():
    def reply(code=0, flags=0, box=secret(), **changes):
        m = T.CreateTokenReply(request_id=ID, principal=PRINCIPAL, suite=T.SEALEDBOX_X25519, recipient_key_id="t-box1",
                               attempts=1)
        m.status.code, m.status.about, m.status.message = code, T.OUTCOME, "why" if code else ""
        for name, value in changes.items():
            setattr(m, name, value)
        return bytes([flags]) + span(box) + m.SerializeToString(deterministic=True)
    yield "opened", reply()
    yield "framed", reply(flags=16)
    yield "foreign", reply(flags=1)
    yield "spoilt", reply(flags=2)
    yield "refused", reply(7, box=b"")
    yield "no-digest", reply(flags=4)
    yield "no-box", reply(flags=8)
    yield "nobody", reply(16, box=b"", principal="")
    yield "other-request", reply(request_id="x")
    yield "foreign-box", reply(box=secret(request_id="x"))
    yield "two-words", reply(box=secret(access_token=TOKEN.replace("_", " ")))
    yield "cluster", reply(box=secret(cluster="edge"))
    yield "empty-box", reply(box=b"")


def main():
    total = 0
    for name, make in sorted((n[:-len("_seeds")], f) for n, f in globals().items() if n.endswith("_seeds")):
        folder = CORPUS / name
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("seed-*"):
            old.unlink()
        for what, data in make():
            (folder / f"seed-{what}").write_bytes(data.encode() if isinstance(data, str) else data)
            total += 1
    print(f"{total} seeds below {CORPUS.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
