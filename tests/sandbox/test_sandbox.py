# SPDX-License-Identifier: Apache-2.0
"""Goal: the sandbox behaves as InfluxDB's API does, misbehaves exactly as told, and tells the truth about both."""
import http.client
import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join(ROOT, os.environ.get("TOKEND_BUILD", "build/release"), "tokend-sandbox")
ACCOUNT, CLUSTER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
DEDICATED = f"/api/v0/accounts/{ACCOUNT}/clusters/{CLUSTER}/tokens"
CLUSTERED = "/api/v0/tokens"
BEARER = "Bearer sandbox-management-token"


class Sandbox:
    def __init__(self, directory, *options):
        self.ready_file = os.path.join(directory, "ready.json")
        ports = ("--api-port", "0", "--data-port", "0", "--control-port", "0")
        self.process = subprocess.Popen([PROGRAM, *ports, "--quiet", "--ready-file", self.ready_file, *options])
        for _ in range(300):
            if os.path.exists(self.ready_file) or self.process.poll() is not None:
                break
            time.sleep(0.05)
        with open(self.ready_file) as f:
            self.ready = json.load(f)

    def ask(self, method, port, path, body=None, auth=BEARER):
        """(status, parsed body or None, headers)"""
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.ready[port] + path, data=data, method=method)
        if auth:
            request.add_header("Authorization", auth)
        try:
            with urllib.request.urlopen(request, timeout=10) as r:
                text = r.read()
                return r.status, json.loads(text) if text else None, r.headers
        except urllib.error.HTTPError as e:
            text = e.read()
            return e.code, json.loads(text) if text else None, e.headers

    def create(self, description="d", path=DEDICATED, **more):
        return self.ask("POST", "api", path, {"description": description, **more})

    def faults(self, *rules):
        return self.ask("POST", "control", "/faults", list(rules))

    def truth(self):
        return self.ask("GET", "control", "/truth")[1]

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(10)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    s = Sandbox(str(tmp_path_factory.mktemp("sandbox")), "--no-kafka")
    yield s
    assert s.stop() == 0


@pytest.fixture
def sandbox(shared):
    shared.ask("DELETE", "control", "/faults")
    shared.ask("POST", "control", "/reset")
    return shared


def test_create_answers_200_with_all_that_was_asked(sandbox):
    permissions = [{"action": "read", "resource": "a/b"}, {"action": "write", "resource": "*"}]
    status, token, headers = sandbox.create("mine", permissions=permissions, expiresAt="2030-01-02T03:04:05Z",
                                            expirationType="datetime")
    assert status == 200 and headers["Content-Type"] == "application/json"
    assert token["description"] == "mine" and token["permissions"] == permissions
    assert token["accountId"] == ACCOUNT and token["clusterId"] == CLUSTER
    assert token["expiresAt"] == "2030-01-02T03:04:05Z" and token["createdAt"].endswith("Z") and "." in token["createdAt"]
    assert token["accessToken"].startswith("apiv1_") and len(token["accessToken"]) == 70


def test_clustered_has_no_account_and_never_expires_unless_asked(sandbox):
    status, token, _ = sandbox.create(path=CLUSTERED)
    assert status == 200 and "accountId" not in token and "clusterId" not in token and "expiresAt" not in token
    assert token["permissions"] == []


def test_the_token_string_is_shown_once(sandbox):
    token = sandbox.create()[1]
    assert "accessToken" not in sandbox.ask("GET", "api", f"{DEDICATED}/{token['id']}")[1]
    assert "accessToken" not in sandbox.ask("GET", "api", DEDICATED)[1][0]


def test_list_update_and_delete(sandbox):
    ids = [sandbox.create(f"t{i}")[1]["id"] for i in range(3)]
    assert [t["id"] for t in sandbox.ask("GET", "api", DEDICATED)[1]] == ids
    assert sandbox.ask("PATCH", "api", f"{DEDICATED}/{ids[0]}", {"description": "new"})[1]["description"] == "new"
    assert sandbox.ask("PATCH", "api", f"{DEDICATED}/{ids[0]}", {})[0] == 400
    assert sandbox.ask("DELETE", "api", f"{DEDICATED}/{ids[1]}")[:2] == (204, None)
    assert sandbox.ask("DELETE", "api", f"{DEDICATED}/{ids[1]}")[0] == 404
    assert [t["id"] for t in sandbox.ask("GET", "api", CLUSTERED)[1]] == [ids[0], ids[2]]
    deleted = [t for t in sandbox.truth()["tokens"] if t["id"] == ids[1]][0]
    assert deleted["revokedAt"] and not deleted["active"]


@pytest.mark.parametrize("path, auth, status", [
    (DEDICATED, "Bearer wrong", 401), (DEDICATED, None, 401), ("/api/v0/nothing", BEARER, 404),
    (DEDICATED.replace("1111-11", "1112-11"), BEARER, 404), (DEDICATED.replace(ACCOUNT, "x"), BEARER, 400),
    (DEDICATED + "/x", BEARER, 400), (DEDICATED + "/" + ACCOUNT, BEARER, 404),
])
def test_errors_say_code_and_message(sandbox, path, auth, status):
    got, body, _ = sandbox.ask("GET", "api", path, auth=auth)
    assert got == status and body["code"] == status and body["message"]


@pytest.mark.parametrize("body", [
    b"", b"[]", b'{"description":"x",}', b'{"description":"x"} x', b"{}", b'{"description":1}',
    b'{"description":"x","permissions":{}}', b'{"description":"x","permissions":[{"action":"read","resource":""}]}',
    b'{"description":"x","expiresAt":"tomorrow"}', b'{"description":"x","expiresAt":"2030-01-02T03:04:05+0000"}',
    b'{"description":"x"}\x00y', b'{"description":"\xff"}',
])
def test_bad_bodies(sandbox, body):
    assert sandbox.ask("POST", "api", DEDICATED, body)[0] == 400
    assert sandbox.truth()["tokens"] == []


def use(sandbox, token, path):
    method = "GET" if path.startswith("/query") else "POST"
    return sandbox.ask(method, "data", path, b"x" if method == "POST" else None, auth=f"Bearer {token}")[0]


def test_data_wants_the_right(sandbox):
    reader = sandbox.create(permissions=[{"action": "read", "resource": "a"}])[1]["accessToken"]
    writer = sandbox.create(permissions=[{"action": "write", "resource": "*"}])[1]["accessToken"]
    old = sandbox.create(permissions=[{"action": "read", "resource": "*"}], expiresAt="2020-01-01T00:00:00Z")[1]["accessToken"]
    assert [use(sandbox, reader, p) for p in ("/query?db=a", "/query?db=b", "/write?db=a")] == [200, 403, 403]
    assert [use(sandbox, writer, p) for p in ("/write?db=z", "/api/v2/write?bucket=y", "/query?db=z")] == [204, 204, 403]
    assert use(sandbox, old, "/query?db=a") == 401 and use(sandbox, "apiv1_none", "/query?db=a") == 401


def test_a_new_token_is_not_active_at_once(tmp_path):
    s = Sandbox(str(tmp_path), "--no-kafka", "--activation-ms", "700", "--database", "a")
    try:
        token = s.create(permissions=[{"action": "read", "resource": "a"}])[1]["accessToken"]
        assert use(s, token, "/query?db=a") == 401
        end = time.time() + 10
        while use(s, token, "/query?db=a") == 401 and time.time() < end:
            time.sleep(0.05)
        assert use(s, token, "/query?db=a") == 200
        assert s.create(permissions=[{"action": "read", "resource": "b"}])[0] == 404
    finally:
        assert s.stop() == 0
    assert not os.path.exists(s.ready_file)


def test_throttle_and_error(sandbox):
    sandbox.faults({"fault": "throttle", "retry_after": "7"}, {"fault": "error", "status": 503},
                   {"fault": "error", "commit": True})
    status, body, headers = sandbox.create()
    assert status == 429 and headers["Retry-After"] == "7" and body["code"] == 429
    assert sandbox.create()[0] == 503 and sandbox.truth()["tokens"] == []
    assert sandbox.create()[0] == 500 and len(sandbox.truth()["tokens"]) == 1
    assert sandbox.create()[0] == 200
    posts = sandbox.truth()["posts"]
    assert [p["status"] for p in posts] == [429, 503, 500, 200]
    assert [p["fault"] for p in posts] == ["throttle", "error", "error", None]
    assert posts[0]["token_id"] is None and posts[2]["token_id"] and all(p["answered"] for p in posts)


@pytest.mark.parametrize("commit", [False, True])
def test_cut(sandbox, commit):
    sandbox.faults({"fault": "cut", "commit": commit})
    with pytest.raises((http.client.RemoteDisconnected, urllib.error.URLError, ConnectionError)):
        sandbox.create()
    truth = sandbox.truth()
    assert len(truth["tokens"]) == commit
    assert truth["posts"][0]["status"] == 0 and not truth["posts"][0]["answered"]


def test_cut_in_mid_body(sandbox):
    sandbox.faults({"fault": "cut", "commit": True, "mid_body": True})
    with pytest.raises(http.client.IncompleteRead):
        sandbox.create()
    truth = sandbox.truth()
    assert len(truth["tokens"]) == 1 and not truth["posts"][0]["answered"]


def test_hold_until_released(sandbox):
    sandbox.faults({"fault": "hold", "commit": True, "times": -1})
    address = urllib.parse.urlparse(sandbox.ready["api"])
    held = []
    for i in range(200):
        c = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
        c.request("POST", DEDICATED, json.dumps({"description": f"h{i}"}), {"Authorization": BEARER})
        held.append(c)
    end = time.time() + 10
    while sandbox.truth()["in_flight"] < 200 and time.time() < end:
        time.sleep(0.02)
    truth = sandbox.truth()
    assert truth["in_flight"] == 200 and len(truth["tokens"]) == 200
    assert sandbox.ask("POST", "control", "/control/release")[1] == {"released": 200}
    for c in held:
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            c.getresponse()


def hold_one(sandbox):
    address = urllib.parse.urlparse(sandbox.ready["api"])
    c = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
    c.request("POST", DEDICATED, json.dumps({"description": "held"}), {"Authorization": BEARER})
    return c


def wait_in_flight(sandbox, n):
    end = time.time() + 10
    while sandbox.ask("GET", "control", "/truth/summary")[1]["in_flight"] != n and time.time() < end:
        time.sleep(0.02)
    assert sandbox.ask("GET", "control", "/truth/summary")[1]["in_flight"] == n


def test_a_hold_ends_when_its_client_goes_away(sandbox):
    sandbox.faults({"fault": "hold", "commit": True, "times": 2})
    gone, stays = hold_one(sandbox), hold_one(sandbox)
    wait_in_flight(sandbox, 2)
    gone.close()
    wait_in_flight(sandbox, 1)
    assert sandbox.ask("POST", "control", "/control/release")[1] == {"released": 1}
    stays.close()


@pytest.mark.parametrize("method, operation", [("DELETE", "delete"), ("PATCH", "update")])
@pytest.mark.parametrize("commit", [False, True])
def test_a_change_may_be_made_before_the_error(sandbox, method, operation, commit):
    item = f"{DEDICATED}/{sandbox.create('old')[1]['id']}"
    sandbox.faults({"operation": operation, "fault": "error", "commit": commit})
    assert sandbox.ask(method, "api", item, {"description": "new"})[0] == 500
    status, token, _ = sandbox.ask("GET", "api", item)
    changed = status == 404 if method == "DELETE" else token["description"] == "new"
    assert changed == commit


def test_a_rule_knows_a_token_by_its_description(sandbox):
    orders, other = (f"{DEDICATED}/{sandbox.create(d)[1]['id']}" for d in ("orders", "other"))
    sandbox.faults({"operation": "delete", "description": "orders", "fault": "error"})
    assert sandbox.ask("DELETE", "api", other)[0] == 204
    assert sandbox.ask("DELETE", "api", orders)[0] == 500
    assert sandbox.ask("DELETE", "api", orders)[0] == 204


def test_spoilt_lists(sandbox):
    sandbox.create("a description [tokend/1:x]")
    sandbox.faults(*({"operation": "list", **f} for f in (
        {"fault": "cut", "mid_body": True}, {"fault": "bad_json"}, {"fault": "truncate_description"}, {"fault": "wrong_account"})))
    with pytest.raises(http.client.IncompleteRead):
        sandbox.ask("GET", "api", DEDICATED)
    with pytest.raises(json.JSONDecodeError):
        sandbox.ask("GET", "api", DEDICATED)
    assert sandbox.ask("GET", "api", DEDICATED)[1][0]["description"] != "a description [tokend/1:x]"
    assert sandbox.ask("GET", "api", DEDICATED)[1][0]["accountId"] != ACCOUNT
    assert sandbox.ask("GET", "api", DEDICATED)[1][0]["description"] == "a description [tokend/1:x]"


def test_clustered_may_answer_with_an_account(sandbox):
    sandbox.faults({"fault": "wrong_account"})
    assert sandbox.create(path=CLUSTERED)[1]["accountId"] != ACCOUNT


def test_spent_rules_make_room(sandbox):
    for _ in range(3):
        assert sandbox.faults(*[{"fault": "error", "times": 0}] * 400)[0] == 200
    assert sandbox.faults(*[{"fault": "error"}] * 1001)[0] == 400
    assert all(r["times"] == 0 for r in sandbox.ask("GET", "control", "/faults")[1])


def test_every_post_is_in_the_truth(sandbox):
    sandbox.ask("POST", "api", DEDICATED, {"description": "x"}, auth="Bearer wrong")
    sandbox.ask("POST", "api", DEDICATED, b"{")
    assert [(p["status"], p["answered"], p["token_id"]) for p in sandbox.truth()["posts"]] == [(401, True, None), (400, True, None)]


def test_a_throttled_call_may_create_all_the_same(sandbox):
    sandbox.faults({"fault": "throttle", "commit": True})
    assert sandbox.create()[0] == 429 and len(sandbox.truth()["tokens"]) == 1


def test_a_delay_is_not_released(sandbox):
    sandbox.faults({"fault": "delay", "delay_ms": 600})
    answers = []
    caller = threading.Thread(target=lambda: answers.append(sandbox.create()[0]))
    begun = time.monotonic()
    caller.start()
    while sandbox.truth()["in_flight"] == 0:
        time.sleep(0.01)
    assert sandbox.ask("POST", "control", "/control/release")[1] == {"released": 0}
    caller.join()
    assert answers == [200] and time.monotonic() - begun >= 0.59


def test_a_reset_may_come_at_any_time(sandbox):
    over = threading.Event()

    def reset():
        while not over.is_set():
            sandbox.ask("POST", "control", "/reset")
    resetter = threading.Thread(target=reset)
    resetter.start()
    answers = {sandbox.create()[0] for _ in range(300)}
    over.set()
    resetter.join()
    assert answers <= {200, 500} and sandbox.create()[0] == 200


def test_delay(sandbox):
    sandbox.faults({"fault": "delay", "delay_ms": 300})
    begun = time.monotonic()
    assert sandbox.create()[0] == 200
    assert time.monotonic() - begun >= 0.29


def test_spoilt_answers(sandbox):
    sandbox.faults({"fault": "truncate_description"}, {"fault": "wrong_account"}, {"fault": "missing_token"}, {"fault": "bad_json"})
    assert sandbox.create("a description [tokend/1:x]")[1]["description"] != "a description [tokend/1:x]"
    assert sandbox.create()[1]["accountId"] != ACCOUNT
    assert "accessToken" not in sandbox.create()[1]
    with pytest.raises(json.JSONDecodeError):
        sandbox.create()
    assert len(sandbox.truth()["tokens"]) == 4


def test_rules_match_in_order_skip_and_end(sandbox):
    sandbox.faults({"description": "other", "fault": "error"}, {"after": 1, "times": 2, "fault": "error", "status": 502})
    assert [sandbox.create()[0] for _ in range(4)] == [200, 502, 502, 200]
    assert sandbox.create("an other")[0] == 500
    sandbox.faults({"operation": "list", "fault": "error"})
    assert sandbox.create()[0] == 200 and sandbox.ask("GET", "api", DEDICATED)[0] == 500


def test_probability_is_seeded(tmp_path):
    def run(seed):
        s = Sandbox(str(tmp_path), "--no-kafka", "--seed", seed)
        try:
            s.faults({"fault": "error", "probability": 0.5, "times": -1})
            return [s.create()[0] for _ in range(40)]
        finally:
            s.stop()
    first = run("7")
    assert first == run("7") and first != run("8") and 200 in first and 500 in first


@pytest.mark.parametrize("rule, named", [
    ({"fault": "cutt"}, "cutt"), ({"fault": "cut", "comit": True}, "comit"), ({}, "fault"), ({"fault": "delay", "times": "x"}, "times"),
])
def test_a_misspelt_rule_is_refused_whole(sandbox, rule, named):
    status, body, _ = sandbox.faults({"fault": "error"}, rule)
    assert status == 400 and named in body["message"]
    assert sandbox.ask("GET", "control", "/faults")[1] == []


@pytest.mark.parametrize("options, word", [
    (["--api-port", "70000"], "70000"), (["--account-id", "X"], "X"), (["--nothing"], "--help"), (["left"], "left"),
])
def test_usage(options, word):
    r = subprocess.run([PROGRAM, *options], capture_output=True, text=True, timeout=10)
    assert r.returncode == 2 and word in r.stderr


def test_a_port_that_is_taken_is_said(sandbox):
    port = str(urllib.parse.urlparse(sandbox.ready["api"]).port)
    r = subprocess.run([PROGRAM, "--no-kafka", "--api-port", port], capture_output=True, text=True, timeout=10)
    assert r.returncode == 1 and port in r.stderr


def test_the_embedded_kafka_carries_records(tmp_path):
    from confluent_kafka import Consumer, Producer, TopicPartition
    s = Sandbox(str(tmp_path), "--topic", "mine:2")
    try:
        p = Producer({"bootstrap.servers": s.ready["bootstrap"]})
        p.produce("mine", key=b"k", value=b"v", partition=1, headers=[("h", b"x")])
        assert p.flush(10) == 0
        c = Consumer({"bootstrap.servers": s.ready["bootstrap"], "group.id": "g", "fetch.wait.max.ms": 10})
        c.assign([TopicPartition("mine", 1, 0)])
        end = time.time() + 10
        m = None
        while m is None and time.time() < end:
            m = c.poll(1)
        assert m.value() == b"v" and m.headers() == [("h", b"x")]
        c.close()
    finally:
        s.process.send_signal(signal.SIGINT)
        assert s.process.wait(10) == 0
