# SPDX-License-Identifier: Apache-2.0
"""Goal: the sandbox behaves as InfluxDB's API does, misbehaves exactly as told, and tells the truth about both."""
import json
import os
import signal
import subprocess
import threading
import time
import urllib.parse

import pytest
from conftest import ACCOUNT, BEARER, CLUSTER, CLUSTERED, DEDICATED, PROGRAM, Sandbox


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
    assert [t["id"] for t in sandbox.ask("GET", "api", DEDICATED)[1]] == [ids[0], ids[2]]
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


def test_a_rule_knows_a_token_by_its_description(sandbox):
    orders, other = (f"{DEDICATED}/{sandbox.create(d)[1]['id']}" for d in ("orders", "other"))
    sandbox.faults({"operation": "delete", "description": "orders", "fault": "error"})
    assert sandbox.ask("DELETE", "api", other)[0] == 204
    assert sandbox.ask("DELETE", "api", orders)[0] == 500
    assert sandbox.ask("DELETE", "api", orders)[0] == 204


def test_spent_rules_make_room(sandbox):
    for _ in range(3):
        assert sandbox.faults(*[{"fault": "error", "times": 0}] * 400)[0] == 200
    assert sandbox.faults(*[{"fault": "error"}] * 1001)[0] == 400
    assert all(r["times"] == 0 for r in sandbox.ask("GET", "control", "/faults")[1])


def test_every_post_is_in_the_truth(sandbox):
    sandbox.ask("POST", "api", DEDICATED, {"description": "x"}, auth="Bearer wrong")
    sandbox.ask("POST", "api", DEDICATED, b"{")
    assert [(p["status"], p["answered"], p["token_id"]) for p in sandbox.truth()["posts"]] == [(401, True, None), (400, True, None)]


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


def test_the_readme_tells_of_every_fault_and_member():
    tables = subprocess.run([PROGRAM, "--list-faults"], capture_output=True, text=True, timeout=10, check=True).stdout
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "README.md"), encoding="utf-8") as f:
        assert tables in f.read(), "print it anew: tokend-sandbox --list-faults"
    assert tables.count("\n| `") > 40
