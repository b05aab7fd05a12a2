# SPDX-License-Identifier: Apache-2.0
"""Goal: rules act on the calls that they name and no others, the truth is whole, and the program is easy to start."""
import base64
import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.parse

import pytest
from conftest import ACCOUNT, BEARER, CLUSTER, CLUSTERED, DEDICATED, DEDICATED_2, PROGRAM, SECOND, Sandbox, until

UNKNOWN = "44444444-4444-4444-8444-444444444444"


# ---- which calls a rule acts on ------------------------------------------------------------------------------------


def test_rules_match_in_order_skip_and_end(sandbox):
    sandbox.faults({"description": "other", "fault": "error"},
                   {"after": 1, "times": 2, "fault": "error", "status": 502})
    assert [sandbox.create()[0] for _ in range(4)] == [200, 502, 502, 200]
    assert sandbox.create("an other")[0] == 500


def statuses(sandbox):
    """Of one call of each operation, on three clusters."""
    found = {}
    for path in (DEDICATED, DEDICATED_2, CLUSTERED):
        plant = {"description": "d", "cluster": NAMES[path]}
        item = f"{path}/{sandbox.ask('POST', 'control', '/control/plant', plant)[1]['id']}"
        found[path] = [sandbox.ask(*call)[0] for call in (
            ("POST", "api", path, {"description": "d"}), ("GET", "api", path), ("GET", "api", item),
            ("PATCH", "api", item, {"description": "d"}), ("DELETE", "api", item))]
    return [found[p] for p in (DEDICATED, DEDICATED_2, CLUSTERED)]


NAMES = {DEDICATED: CLUSTER, DEDICATED_2: SECOND, CLUSTERED: "clustered"}
GOOD = [200, 200, 200, 200, 204]
OPERATIONS = ["create", "list", "get", "update", "delete"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_rule_is_for_an_operation(sandbox, operation):
    sandbox.fault(operation=operation, fault="error", times=-1)
    bad = [500 if o == operation else g for o, g in zip(OPERATIONS, GOOD)]
    assert statuses(sandbox) == [bad, bad, bad]


def test_a_rule_is_for_any_operation_or_for_create(sandbox):
    sandbox.fault(operation="any", fault="error", times=-1)
    assert statuses(sandbox) == [[500] * 5] * 3
    sandbox.ask("DELETE", "control", "/faults")
    sandbox.fault(fault="error", times=-1)
    assert statuses(sandbox) == [[500] + GOOD[1:]] * 3


@pytest.mark.parametrize("rule, hit", [
    ({"cluster": CLUSTER}, [1, 0, 0]), ({"cluster": SECOND}, [0, 1, 0]), ({"cluster": "clustered"}, [0, 0, 1]),
    ({"account": ACCOUNT}, [1, 1, 0]), ({"account": UNKNOWN}, [0, 0, 0]),
    ({"account": ACCOUNT, "cluster": SECOND}, [0, 1, 0]),
])
def test_a_rule_is_for_a_cluster_or_an_account(sandbox, rule, hit):
    sandbox.fault(operation="any", fault="error", times=-1, **rule)
    assert statuses(sandbox) == [[500] * 5 if h else GOOD for h in hit]


def test_a_rule_knows_a_token_by_its_description_or_id(sandbox):
    orders, other, third = (f"{DEDICATED}/{sandbox.create(d)[1]['id']}" for d in ("orders", "other", "third"))
    sandbox.faults({"operation": "delete", "description": "orders", "fault": "error"},
                   {"operation": "any", "token_id": third[-36:], "fault": "error", "times": -1})
    assert sandbox.ask("DELETE", "api", other)[0] == 204
    assert [sandbox.ask("DELETE", "api", orders)[0] for _ in range(2)] == [500, 204]
    assert [sandbox.ask("GET", "api", p)[0] for p in (DEDICATED, third)] == [200, 500]
    assert sandbox.create("third")[0] == 200


def test_probability_is_seeded_for_each_rule(start):
    def run(seed, *before):
        s = start("--seed", seed)
        s.faults({"fault": "error", "status": 503, "probability": 0.5, "times": -1, "description": "a"},
                 {"fault": "throttle", "probability": 0.3, "times": -1, "description": "b"})
        for d in before:
            s.create(d)
        return [s.create(d)[0] for d in "ab" * 40]
    first = run("7")
    assert first == run("7") and first != run("8") and set(first) == {200, 503, 429}
    assert run("7", *"c" * 10) == first             # what no rule is for throws no dice
    assert [x for x in run("7", "b")[0::2]] == first[0::2]      # nor does another rule's call


def test_a_fault_file_is_as_good(tmp_path, start):
    rules = tmp_path / "rules.json"
    rules.write_text('[{"fault": "error", "status": 503, "name": "from the file"}]')
    s = start("--faults", str(rules))
    assert [s.create()[0] for _ in range(2)] == [503, 200] and s.posts()[0]["rule"] == "from the file"


def test_rules_can_be_looked_at(start):
    s = start()
    given = {"name": "first", "operation": "any", "fault": "cut", "description": "x", "token_id": UNKNOWN,
             "account": ACCOUNT, "cluster": CLUSTER, "after": 1, "times": 2, "probability": 0.5, "commit": True,
             "at": "body", "delay_ms": 1, "drip_ms": 2, "lag_ms": 3, "late_ms": 4, "status": 200, "retry_after": "5",
             "retry_date_s": 6, "location": "/7", "answer": "8", "shape": "html", "omit": "9", "pad": 10}
    s.faults(given, {"fault": "error"})
    first, second = s.ask("GET", "control", "/faults")[1]
    assert first == {**given, "acted": 0}
    assert second == {"name": "#2", "operation": "create", "fault": "error", "after": 0, "times": 1, "commit": False,
                      "acted": 0}
    assert s.create()[0] == 500
    second = s.ask("GET", "control", "/faults")[1][1]
    assert (second["times"], second["acted"]) == (0, 1)
    assert s.ask("DELETE", "control", "/faults")[0] == 204 and s.ask("GET", "control", "/faults")[1] == []


def test_spent_rules_make_room(sandbox):
    for _ in range(3):
        assert sandbox.faults(*[{"fault": "error", "times": 0}] * 400)[0] == 200
    assert sandbox.faults(*[{"fault": "error"}] * 1001)[0] == 400
    assert all(r["times"] == 0 for r in sandbox.ask("GET", "control", "/faults")[1])


@pytest.mark.parametrize("rule, named", [
    ({"fault": "cutt"}, "cutt"), ({"fault": "cut", "comit": True}, "comit"), ({}, "fault"), (7, "object"),
    ({"fault": "delay", "times": "x"}, "times"), ({"fault": "delay", "times": -2}, "times"),
    ({"fault": "error", "status": 99}, "99"), ({"fault": "error", "status": 600}, "600"),
    ({"fault": "cut", "at": "end"}, "end"), ({"fault": "cut", "commit": 1}, "commit"),
    ({"fault": "cut", "probability": 1.5}, "1.5"), ({"fault": "cut", "cluster": "X"}, "X"),
    ({"fault": "cut", "token_id": CLUSTER.replace("2", "A")}, "AAAA"), ({"fault": "cut", "name": "n" * 64}, "name"),
    ({"fault": "twice", "operation": "list"}, "list"), ({"fault": "pad"}, "create"),
    ({"fault": "late", "operation": "get"}, "get"), ({"fault": "short_token", "operation": "get"}, "short_token"),
])
def test_a_misspelt_rule_is_refused_and_all_with_it(sandbox, rule, named):
    status, body, _ = sandbox.faults({"fault": "error"}, rule)
    assert status == 400 and named in body["message"]
    assert sandbox.ask("GET", "control", "/faults")[1] == []


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b"[]x"])
def test_rules_are_an_array(sandbox, body):
    assert sandbox.ask("POST", "control", "/faults", body)[0] == 400


# ---- the truth -----------------------------------------------------------------------------------------------------


def test_every_post_is_in_the_truth_as_it_came(sandbox):
    bodies = [
        (DEDICATED, b'{ "description" : "x",\n "permissions": [] }', BEARER, 200),
        (DEDICATED, b'{"description": "x"}', "Bearer wrong", 401),
        (DEDICATED, b'{"description": "x"}', "Bearer sandbox-powerless-token", 403),
        (DEDICATED, b'{"description": "x",}', BEARER, 400),
        (DEDICATED, b"", BEARER, 400),
        (DEDICATED, b"\x00\xff", BEARER, 400),
        (DEDICATED, '{"description": "ü"}'.encode(), BEARER, 200),
        (DEDICATED.replace(ACCOUNT, UNKNOWN), b'{"description": "x"}', BEARER, 404),
        (DEDICATED.replace(CLUSTER, "nonsense"), b'{"description": "x"}', BEARER, 400),
        ("/api/v0/nothing", b"{}", BEARER, 404),
        (CLUSTERED, b'{"description": "x", "expiresAt": "2030-01-02T03:04:05Z"}', BEARER, 200),
    ]
    before = time.time() * 1000 - 1
    assert [sandbox.ask("POST", "api", path, body, auth)[0] for path, body, auth, _ in bodies] == [b[3] for b in bodies]
    posts = sandbox.posts()
    assert [p["path"] for p in posts] == [b[0] for b in bodies]
    assert [p["status"] for p in posts] == [b[3] for b in bodies] and all(p["answered"] for p in posts)
    for p, (_, body, _, status) in zip(posts, bodies):
        assert (base64.b64decode(p["body_base64"]) if p["body"] is None else p["body"].encode()) == body
        assert (p["token_id"] is not None) == (p["committed_ms"] is not None) == (status == 200)
        assert before <= p["at_ms"] <= time.time() * 1000 and p["fault"] is None and p["rule"] is None
    assert [p["seq"] for p in posts] == list(range(posts[0]["seq"], posts[0]["seq"] + len(posts)))
    assert [p["description"] for p in posts] == ["x", "x", "x", "", "", "", "ü", "x", "x", "", "x"]
    assert [p["product"] for p in posts] == ["dedicated"] * 9 + ["clustered"] * 2
    assert [(p["account_id"], p["cluster_id"]) for p in posts[6:9]] == [
        (ACCOUNT, CLUSTER), (UNKNOWN, CLUSTER), (ACCOUNT, "nonsense")]
    assert posts[10]["account_id"] is None and posts[10]["expiresAt"] == "2030-01-02T03:04:05Z"


def test_the_truth_says_which_rule_touched_a_post(sandbox):
    sandbox.faults({"name": "the first", "fault": "error"}, {"fault": "delay"})
    number = [r["name"] for r in sandbox.ask("GET", "control", "/faults")[1]][1]
    for _ in range(3):
        sandbox.create()
    assert [(p["fault"], p["rule"]) for p in sandbox.posts()] == [
        ("error", "the first"), ("delay", number), (None, None)]
    assert number.startswith("#")


def test_the_truth_of_a_token(sandbox):
    made = sandbox.create("d", permissions=[{"action": "read", "resource": "a"}])[1]
    (token,) = sandbox.truth()["tokens"]
    assert {k: token[k] for k in ("id", "description", "permissions", "createdAt", "accessToken")} == {
        k: made[k] for k in ("id", "description", "permissions", "createdAt", "accessToken")}
    assert (token["product"], token["account_id"], token["cluster_id"]) == ("dedicated", ACCOUNT, CLUSTER)
    assert token["post"] == sandbox.posts()[0]["seq"] and token["expiresAt"] is None and token["active"]
    assert token["revokedAt"] is None and token["deletedAt"] is None and token["created_ms"] == token["listable_ms"]
    assert sandbox.ask("DELETE", "api", f"{DEDICATED}/{made['id']}")[0] == 204
    (token,) = sandbox.truth()["tokens"]
    assert token["revokedAt"] == token["deletedAt"] >= token["createdAt"] and not token["active"]
    assert sandbox.ask("GET", "control", "/truth?tokens=alive")[1]["tokens"] == []


def test_calls_are_counted_by_cluster(sandbox):
    statuses(sandbox)
    sandbox.ask("GET", "api", DEDICATED)
    sandbox.ask("GET", "api", DEDICATED.replace(CLUSTER, UNKNOWN))
    s = sandbox.summary()
    once = {o: 1 for o in OPERATIONS}
    assert s["requests"] == {**{o: 3 for o in OPERATIONS}, "list": 5}
    assert [(c["product"], c["account_id"], c["cluster_id"], c["n_alive"]) for c in s["clusters"]] == [
        ("clustered", None, None, 1), ("dedicated", ACCOUNT, CLUSTER, 1), ("dedicated", ACCOUNT, SECOND, 1)]
    assert [c["requests"] for c in s["clusters"]] == [once, {**once, "list": 2}, once]
    assert (s["n_posts"], s["n_tokens"], s["n_alive"], s["n_pending"], s["in_flight"]) == (3, 6, 3, 0, 0)
    assert {k: v for k, v in sandbox.truth().items() if k not in ("posts", "tokens")} == s


def test_reset_forgets_all_but_rules_and_numbers(sandbox):
    sandbox.fault(fault="error", times=-1, commit=True)
    sandbox.create()
    seq = sandbox.posts()[0]["seq"]
    assert sandbox.ask("POST", "control", "/reset")[0] == 204
    s = sandbox.truth()
    assert s["posts"] == s["tokens"] == [] and not any(s["requests"].values())
    assert sandbox.create()[0] == 500 and sandbox.posts()[0]["seq"] == seq + 1


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


def test_a_planted_token_is_like_any_other_but_no_posts(sandbox):
    plant = {"description": "by hand", "cluster": SECOND, "permissions": [{"action": "read", "resource": "a"}],
             "expiresAt": "2040-01-01T00:00:00Z", "created_ms": 1700000000123}
    status, token, _ = sandbox.ask("POST", "control", "/control/plant", plant)
    assert status == 200 and token["createdAt"] == "2023-11-14T22:13:20.123Z" and token["clusterId"] == SECOND
    assert sandbox.ask("GET", "api", DEDICATED_2)[1] == [{k: v for k, v in token.items() if k != "accessToken"}]
    assert sandbox.ask("GET", "data", "/query?db=a", auth=f"Bearer {token['accessToken']}")[0] == 200
    assert sandbox.posts() == [] and sandbox.truth()["tokens"][0]["post"] is None
    assert sandbox.ask("POST", "control", "/control/plant", {"description": "d"})[1]["clusterId"] == CLUSTER
    assert sandbox.ask("POST", "control", "/control/plant", {"description": "d", "cluster": UNKNOWN})[0] == 400
    assert sandbox.ask("POST", "control", "/control/plant", {"cluster": SECOND})[0] == 400
    assert sandbox.ask("POST", "control", "/control/plant", {"description": "d", "permissions": 7})[0] == 400


def test_what_the_control_port_does_not_have(sandbox):
    status, body, _ = sandbox.ask("GET", "control", "/trut")
    assert status == 404 and "/trut" in body["message"]
    assert sandbox.ask("GET", "control", "/health")[1] == {"status": "ok"}


# ---- the program ---------------------------------------------------------------------------------------------------


def run(*options):
    return subprocess.run([PROGRAM, *options], capture_output=True, text=True, timeout=10)


@pytest.mark.parametrize("options, word", [
    (["--api-port", "70000"], "70000"), (["--data-port", "x"], '"x"'), (["--account-id", "X"], "X"),
    (["--cluster-id", UNKNOWN[:-1]], UNKNOWN[:-1]), (["--nothing"], "--help"), (["left"], "left"), (["--seed"], "seed"),
    (["--seed", "-1"], "-1"), (["--partitions", "0"], '"0"'), (["--activation-ms", "1h"], "1h"),
    (["--lag-ms", "3600001"], "3600001"), (["--address", "localhost"], "localhost"),
    (["--ready-file", ""], "ready-file"), (["--deleted-tokens", "kept"], "kept"), (["--cluster", ACCOUNT], ACCOUNT),
    (["--cluster", f"{ACCOUNT}/x"], f"{ACCOUNT}/x"),
    (["--cluster", f"{ACCOUNT}/{CLUSTER}"], CLUSTER), (["--cluster", f"{ACCOUNT}/{SECOND}"] * 2, SECOND),
    (["--management-token", "a", "--management-token-file", "b"], "--management-token-file"),
    (["--topic", "bad/name"], "bad/name"), (["--topic", "bad/name:3"], "bad/name:3"), (["--topic", "name:0"], "name:0"),
    (["--topic", "name:"], "name:"), (["--topic", ":3"], ":3"), (["--topic", "a:b:3"], "a:b:3"),
    (["--topic", "."], '"."'), (["--topic", ".."], '".."'), (["--topic", "n" * 250], "n" * 250),
    (["--topic", "näme"], "näme"),
    (["--topic", "name:10001"], "name:10001"), (["--topic", "twice", "--topic", "twice:2"], "twice:2"),
])
def test_what_is_wrong_with_the_command_line_is_said(options, word):
    r = run(*options)
    assert r.returncode == 2 and word in r.stderr and r.stdout == "" and len(r.stderr.splitlines()) <= 2


def test_what_keeps_it_from_starting_is_said(sandbox, tmp_path):
    port = str(urllib.parse.urlparse(sandbox.ready["api"]).port)
    bad = tmp_path / "bad.json"
    bad.write_text('[{"fault": "cutt"}]')
    for options, word in ((["--api-port", port], port), (["--faults", str(bad)], "cutt"),
                          (["--faults", "/nowhere"], "/nowhere"), (["--management-token-file", "/nowhere"], "/nowhere"),
                          (["--ready-file", "/nowhere/r"], "/nowhere/r"),
                          (["--ready-file", str(tmp_path)], str(tmp_path)), (["--address", "192.0.2.1"], "192.0.2.1")):
        r = run("--no-kafka", *(["--api-port", "0"] if port not in options else []), "--data-port", "0",
                "--control-port", "0", "--quiet", *options)
        assert r.returncode == 1 and word in r.stderr and len(r.stderr.splitlines()) == 1, r


def test_help_tells_every_option():
    r = run("--help")
    assert r.returncode == 0 and r.stderr == ""
    told = {w.strip(",") for w in r.stdout.split() if w.startswith("--")}
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "options.c"), encoding="utf-8") as f:
        options = {"--" + line.split('"')[1] for line in f if line.lstrip().startswith("[O_")}
    assert told == options and len(options) > 20
    assert run("--version").stdout.startswith("tokend-sandbox ")


def readme():
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "README.md"), encoding="utf-8") as f:
        return f.read()


def first_column(heading):
    """The words of a README's table, by its heading."""
    table = readme().split(f"\n| {heading} | |\n")[1].split("\n\n")[0]
    return {word for row in table.splitlines()[1:] for word in re.findall("`([^`]+)`", row.split("|")[1])}


def test_the_readme_tells_of_every_fault_and_member():
    tables = run("--list-faults").stdout
    assert tables in readme(), "print it anew: tokend-sandbox --list-faults"
    assert tables.count("\n| `") > 40


def test_the_readme_tells_the_truth_about_the_truth(sandbox):
    sandbox.create()
    truth = sandbox.truth()
    assert first_column("of a post") == set(truth["posts"][0])
    assert first_column("of a token") == set(truth["tokens"][0])
    for calls in first_column("control port"):
        *methods, path = calls.split()
        for method in methods:
            assert sandbox.ask(method, "control", path, {})[0] != 404, (method, path)


def test_the_readmes_rules_are_taken(sandbox):
    rules = re.findall(r"`(\{[^`]*\"fault\":[^`]*\})`", readme())
    assert len(rules) >= 8
    for rule in rules:
        assert sandbox.faults(json.loads(rule.replace("2222…", CLUSTER)))[0] == 200, rule


def test_a_ready_file_of_a_run_that_was_killed_is_replaced(tmp_path):
    first = Sandbox(str(tmp_path), "--no-kafka")
    first.process.kill()
    first.process.wait()
    assert os.path.exists(first.ready_file)
    second = Sandbox(str(tmp_path), "--no-kafka")       # waits for a file of its own
    assert second.ask("GET", "control", "/health")[0] == 200
    assert second.stop() == 0 and os.listdir(tmp_path) == []


def test_an_old_ready_file_is_gone_even_if_the_start_fails(tmp_path):
    ready = tmp_path / "ready.json"
    ready.write_text("old")
    r = run("--no-kafka", "--ready-file", str(ready), "--faults", "/nowhere")
    assert r.returncode == 1 and not ready.exists()


def test_a_run_removes_only_a_ready_file_of_its_own(tmp_path):
    first = Sandbox(str(tmp_path), "--no-kafka")
    second = Sandbox(str(tmp_path), "--no-kafka")
    assert first.stop() == 0
    with open(second.ready_file) as f:
        assert json.load(f)["pid"] == second.process.pid
    assert second.stop() == 0 and not os.path.exists(second.ready_file)


def test_what_is_ready_is_printed_unless_quiet(tmp_path):
    ports = ["--api-port", "0", "--data-port", "0", "--control-port", "0"]
    p = subprocess.Popen([PROGRAM, "--no-kafka", *ports, "--ready-file", str(tmp_path / "r")],
                         stdout=subprocess.PIPE, text=True)
    until("ready", (tmp_path / "r").exists)
    told = json.loads((tmp_path / "r").read_text())
    p.send_signal(signal.SIGINT)
    assert json.loads(p.communicate(timeout=10)[0]) == told and p.returncode == 0
    assert told["pid"] == p.pid and told["clusters"] == [
        {"product": "clustered"}, {"product": "dedicated", "account_id": ACCOUNT, "cluster_id": CLUSTER}]
    assert (told["account_id"], told["cluster_id"]) == (ACCOUNT, CLUSTER) and "bootstrap" not in told


def test_it_ends_while_calls_are_in_flight(tmp_path):
    s = Sandbox(str(tmp_path), "--no-kafka")
    s.faults({"fault": "hold"}, {"fault": "delay", "delay_ms": 60000}, {"fault": "drip", "drip_ms": 60000})
    callers = [threading.Thread(target=lambda: s.plain_bytes()) for _ in range(3)]
    for c in callers:
        c.start()
    until("all wait", lambda: s.summary()["in_flight"] == 3)
    assert s.stop() == 0
    for c in callers:
        c.join()


def test_the_bearer_may_stand_in_a_file(tmp_path, start):
    path = tmp_path / "token"
    path.write_text("from-a-file\n")
    s = start("--management-token-file", str(path))
    assert s.ask("GET", "api", DEDICATED, auth="Bearer from-a-file")[0] == 200
    assert s.ask("GET", "api", DEDICATED)[0] == 401


def test_the_embedded_kafka_carries_records(tmp_path):
    from confluent_kafka import Consumer, Producer, TopicPartition
    s = Sandbox(str(tmp_path), "--topic", "mine:2", "--topic", "A.b_c-d", "--partitions", "3")
    try:
        p = Producer({"bootstrap.servers": s.ready["bootstrap"]})
        topics = p.list_topics(timeout=10).topics
        assert {n: len(t.partitions) for n, t in topics.items()} == {"mine": 2, "A.b_c-d": 3}
        p.produce("mine", key=b"k", value=b"v", partition=1, headers=[("h", b"x")])
        assert p.flush(10) == 0
        c = Consumer({"bootstrap.servers": s.ready["bootstrap"], "group.id": "g", "fetch.wait.max.ms": 10})
        c.assign([TopicPartition("mine", 1, 0)])
        m = until("a record", lambda: c.poll(0.1))
        assert m.value() == b"v" and m.headers() == [("h", b"x")]
        c.close()
    finally:
        assert s.stop() == 0
