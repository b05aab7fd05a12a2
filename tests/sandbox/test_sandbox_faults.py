# SPDX-License-Identifier: Apache-2.0
"""Goal: each fault does what its row in the README says, in the answer and in the truth, before and after commit."""
import email.utils
import http.client
import json
import threading
import time

import pytest
from conftest import ACCOUNT, BEARER, CLUSTER, CLUSTERED, DEDICATED, until

CUT = (http.client.RemoteDisconnected, ConnectionError)
PHRASES = {400: "bad request", 401: "unauthorized", 403: "forbidden", 404: "not found", 409: "conflict",
           500: "internal server error"}        # the contract's own
OTHER = "99999999-9999-4999-8999-999999999999"


# ---- statuses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("commit", [False, True])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 425, 429,
                                    500, 501, 502, 503, 504])
def test_error_with_any_status(sandbox, status, commit):
    sandbox.fault(fault="error", status=status, commit=commit)
    got, body, headers = sandbox.create()
    assert got == status and body["code"] == status and body["message"] == PHRASES.get(status, body["message"].lower())
    assert headers["Content-Type"] == "application/json"
    (post,) = sandbox.posts()
    assert post["status"] == status and post["fault"] == "error" and post["answered"]
    assert len(sandbox.tokens()) == commit and (post["token_id"] is not None) == commit
    assert (post["committed_ms"] is not None) == commit
    assert sandbox.create()[0] == 200


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_says_where(sandbox, status):
    sandbox.fault(fault="error", status=status, location="http://127.0.0.1:1/elsewhere")
    got, body, headers = sandbox.create()
    assert got == status and headers["Location"] == "http://127.0.0.1:1/elsewhere" and sandbox.tokens() == {}


@pytest.mark.parametrize("commit", [False, True])
def test_throttle(sandbox, commit):
    sandbox.faults({"fault": "throttle", "retry_after": "7", "commit": commit},
                   {"fault": "throttle", "retry_date_s": 30, "commit": commit},
                   {"fault": "throttle", "status": 503, "retry_after": "1", "commit": commit})
    status, body, headers = sandbox.create()
    assert status == 429 and headers["Retry-After"] == "7" and body == {"code": 429, "message": "too many requests"}
    status, _, headers = sandbox.create()
    when = email.utils.parsedate_to_datetime(headers["Retry-After"]).timestamp()
    assert status == 429 and headers["Retry-After"].endswith(" GMT") and 20 < when - time.time() <= 30
    assert sandbox.create()[0] == 503
    assert len(sandbox.tokens()) == 3 * commit and [p["status"] for p in sandbox.posts()] == [429, 429, 503]


def test_another_status_of_a_good_answer(sandbox):
    sandbox.faults({"fault": "delay", "status": 201}, {"fault": "delay", "status": 202})
    for status in (201, 202):
        got, token, _ = sandbox.create()
        assert got == status and sandbox.tokens()[token["id"]]["accessToken"] == token["accessToken"]


def test_an_answer_word_by_word(sandbox):
    sandbox.fault(fault="error", status=503, answer="no healthy upstream")
    assert sandbox.raw("POST", "api", DEDICATED, {"description": "d"})[:2] == (503, b"no healthy upstream")


# ---- the way -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("commit", [False, True])
@pytest.mark.parametrize("fault, end", [("cut", "FIN"), ("reset", "RST")])
def test_cut_and_reset(sandbox, fault, end, commit):
    sandbox.faults(*({"fault": fault, "commit": commit, **at} for at in (
        {}, {"at": "start"}, {"at": "status"}, {"at": "headers"}, {"at": "body"}, {"mid_body": True})))
    seen = [sandbox.plain_bytes() for _ in range(6)]
    assert [e for _, e in seen] == [end] * 6
    start, at_start, status, headers, body, mid_body = (b for b, _ in seen)
    assert start == at_start == b"" and status == b"HTTP/1.1 200 OK\r\n"
    assert headers.startswith(status) and headers.endswith(b"\r\n\r\n") and b"Content-Length: " in headers
    for got in (body, mid_body):
        head, part = got.split(b"\r\n\r\n")
        length = int(head.split(b"Content-Length: ")[1].split()[0])
        assert length // 2 == len(part) and part.startswith(b'{"accountId":')
    assert len(sandbox.tokens()) == 6 * commit
    assert [p["status"] for p in sandbox.posts()] == [0, 0, 200, 200, 200, 200]
    assert not any(p["answered"] for p in sandbox.posts())


def test_any_fault_can_be_cut(sandbox):
    sandbox.fault(fault="error", status=502, at="body")
    got, end = sandbox.plain_bytes()
    assert got.startswith(b"HTTP/1.1 502 Bad Gateway\r\n") and end == "FIN" and got.endswith(b'{"code":502,"messa')


def test_delay(sandbox):
    sandbox.fault(fault="delay", delay_ms=300)
    begun = time.monotonic()
    assert sandbox.create()[0] == 200
    assert time.monotonic() - begun >= 0.29


def test_a_delay_that_does_nothing(sandbox):
    sandbox.fault(fault="delay", commit=False)
    status, token, _ = sandbox.create()
    assert status == 200 and len(token["accessToken"]) == 70 and sandbox.tokens() == {}


@pytest.mark.parametrize("commit", [False, True])
def test_drip(sandbox, commit):
    sandbox.fault(fault="drip", drip_ms=1, commit=commit)
    begun = time.monotonic()
    status, token, headers = sandbox.create()
    assert status == 200 and time.monotonic() - begun >= 0.25 and headers["Connection"] == "close"
    assert len(sandbox.tokens()) == commit and sandbox.posts()[0]["answered"]


def wait_in_flight(sandbox, n):
    until(f"{n} calls in flight", lambda: sandbox.summary()["in_flight"] == n)


def begin(sandbox):
    c = http.client.HTTPConnection(*sandbox.address, timeout=20)
    c.request("POST", DEDICATED, b'{"description": "d"}', {"Authorization": BEARER})
    return c, c.getresponse()


def test_a_drip_is_a_byte_a_second(sandbox):
    sandbox.fault(fault="drip")
    begun = time.monotonic()
    c, r = begin(sandbox)
    assert r.read(1) == b"{" and time.monotonic() - begun >= 0.99
    r.close()
    c.close()
    wait_in_flight(sandbox, 0)


def test_a_drip_begins_with_the_headers_and_ends_with_its_client(sandbox):
    sandbox.fault(fault="drip", drip_ms=3600000)
    c, r = begin(sandbox)
    assert r.status == 200 and int(r.getheader("Content-Length")) > 200
    assert not sandbox.posts()[0]["answered"] and sandbox.summary()["in_flight"] == 1
    r.close()
    c.close()
    wait_in_flight(sandbox, 0)
    assert not sandbox.posts()[0]["answered"]


def hold_one(sandbox):
    c = http.client.HTTPConnection(*sandbox.address, timeout=20)
    c.request("POST", DEDICATED, json.dumps({"description": "held"}), {"Authorization": BEARER})
    return c


@pytest.mark.parametrize("commit", [False, True])
def test_hold_until_released(sandbox, commit):
    sandbox.fault(fault="hold", commit=commit, times=-1)
    held = [hold_one(sandbox) for _ in range(200)]
    wait_in_flight(sandbox, 200)
    assert len(sandbox.tokens()) == 200 * commit
    assert sandbox.ask("POST", "control", "/control/release")[1] == {"released": 200}
    for c in held:
        with pytest.raises(CUT):
            c.getresponse()
        c.close()


def test_a_hold_ends_when_its_client_goes_away(sandbox):
    sandbox.fault(fault="hold", commit=True, times=2)
    gone, stays = hold_one(sandbox), hold_one(sandbox)
    wait_in_flight(sandbox, 2)
    gone.close()
    wait_in_flight(sandbox, 1)
    assert sandbox.ask("POST", "control", "/control/release")[1] == {"released": 1}
    stays.close()


def test_a_delay_is_not_released(sandbox):
    sandbox.fault(fault="delay", delay_ms=1500)
    answers = []
    caller = threading.Thread(target=lambda: answers.append(sandbox.create()[0]))
    begun = time.monotonic()
    caller.start()
    wait_in_flight(sandbox, 1)
    assert sandbox.ask("POST", "control", "/control/release")[1] == {"released": 0}
    caller.join()
    assert answers == [200] and time.monotonic() - begun >= 1.49


@pytest.mark.parametrize("operation, method, path", [("create", "POST", DEDICATED), ("list", "GET", DEDICATED)])
def test_endless(sandbox, operation, method, path):
    sandbox.fault(operation=operation, fault="endless")
    c = http.client.HTTPConnection(*sandbox.address, timeout=20)
    c.request(method, path, b'{"description": "d"}' if method == "POST" else None, {"Authorization": BEARER})
    r = c.getresponse()
    assert r.status == 200 and r.getheader("Content-Length") is None
    text = r.read(20 * 1024 * 1024)
    assert len(text) == 20 * 1024 * 1024 and text[-1000:] == b" " * 1000
    json.loads(text.strip() + (b"}" if method == "POST" else b"]"))
    r.close()
    c.close()
    wait_in_flight(sandbox, 0)


# ---- late, twice, lag ----------------------------------------------------------------------------------------------


def test_late(sandbox):
    sandbox.faults({"fault": "late", "late_ms": 3600000}, {"fault": "late", "late_ms": 3600000, "at": "start"},
                   {"fault": "late", "late_ms": 3600000, "status": 408})
    assert sandbox.create("first")[:2] == (504, {"code": 504, "message": "gateway timeout"})
    assert sandbox.plain_bytes("second") == (b"", "FIN")
    assert sandbox.create("third")[0] == 408
    truth = sandbox.truth()
    assert truth["tokens"] == [] and truth["n_pending"] == 3 and truth["n_tokens"] == 0
    assert [(p["status"], p["token_id"], p["token_ids"], p["committed_ms"]) for p in truth["posts"]] == [
        (504, None, [], None), (0, None, [], None), (408, None, [], None)]
    assert sandbox.listed() == []
    sandbox.settle()
    assert [t["description"] for t in sandbox.tokens().values()] == ["first", "second", "third"]
    assert sandbox.listed() == [p["token_id"] for p in sandbox.posts()]


def test_late_comes_by_itself(sandbox):
    sandbox.fault(fault="late", late_ms=300)
    before = time.time()
    assert sandbox.create()[0] == 504
    (token_id,) = until("it comes", sandbox.listed)
    assert time.time() - before >= 0.298      # the clock of the store has milliseconds
    token = sandbox.tokens()[token_id]
    assert token["created_ms"] >= before * 1000 + 299 and sandbox.posts()[0]["committed_ms"] == token["created_ms"]


def test_a_late_delete(sandbox):
    token_id = sandbox.create()[1]["id"]
    sandbox.fault(operation="delete", fault="late", late_ms=3600000)
    assert sandbox.ask("DELETE", "api", f"{DEDICATED}/{token_id}")[0] == 504
    assert sandbox.listed() == [token_id] and sandbox.summary()["n_pending"] == 1
    sandbox.settle()
    assert sandbox.listed() == [] and sandbox.ask("GET", "api", f"{DEDICATED}/{token_id}")[0] == 404


def test_twice(sandbox):
    sandbox.fault(fault="twice")
    status, token, _ = sandbox.create("two")
    assert status == 200 and len(sandbox.listed()) == 2
    (post,) = sandbox.posts()
    assert post["token_id"] == token["id"] == post["token_ids"][0] and post["token_ids"] == sandbox.listed()
    first, second = sandbox.tokens().values()
    assert first["description"] == second["description"] == "two" and first["accessToken"] != second["accessToken"]
    assert first["post"] == second["post"] == post["seq"]


def test_twice_and_lost_and_late(sandbox):
    sandbox.faults({"fault": "twice", "at": "start"}, {"fault": "twice", "late_ms": 3600000},
                   {"fault": "twice", "status": 504, "answer": "x"})
    assert sandbox.plain_bytes() == (b"", "FIN") and len(sandbox.tokens()) == 2
    token = sandbox.create()[1]
    assert len(sandbox.tokens()) == 3 and sandbox.posts()[1]["token_ids"] == [token["id"]]
    sandbox.settle()
    assert len(sandbox.tokens()) == 4 and len(sandbox.posts()[1]["token_ids"]) == 2
    assert sandbox.raw("POST", "api", DEDICATED, {"description": "d"})[:2] == (504, b"x") and len(sandbox.tokens()) == 6


def test_lag(sandbox):
    sandbox.fault(fault="lag", lag_ms=3600000)
    token = sandbox.create()[1]
    assert sandbox.listed() == [] and list(sandbox.tokens()) == [token["id"]]
    assert sandbox.ask("GET", "api", f"{DEDICATED}/{token['id']}")[0] == 200
    sandbox.settle()
    assert sandbox.listed() == [token["id"]]


def test_lag_ends_by_itself_and_goes_with_a_cut(sandbox):
    sandbox.fault(fault="cut", commit=True, lag_ms=300)
    before = time.time()
    assert sandbox.plain_bytes() == (b"", "FIN") and len(sandbox.tokens()) == 1
    until("it can be listed", sandbox.listed)
    assert time.time() - before >= 0.298      # the clock of the store has milliseconds
    (token,) = sandbox.tokens().values()
    assert token["listable_ms"] == token["created_ms"] + 300


def test_lag_as_a_setting_of_the_store(start):
    s = start("--lag-ms", "3600000")
    s.fault(fault="lag", lag_ms=0)
    (first, second) = (s.create()[1]["id"] for _ in range(2))
    assert s.listed() == [first] and s.ask("GET", "api", f"{DEDICATED}/{second}")[0] == 200
    s.settle()
    assert s.listed() == [first, second]


# ---- spoilt answers to a POST --------------------------------------------------------------------------------------

SPOILT = ["bad_json", "trailing_garbage", "duplicate_keys", "deep_json", "wrong_type", "missing_token", "short_token",
          "wrong_account", "wrong_cluster", "wrong_id", "wrong_permissions", "wrong_expiry", "truncate_description"]


def spoilt(sandbox, fault, path=DEDICATED, **more):
    """(what is true, what was answered: text, headers)"""
    sandbox.fault(fault=fault, **more)
    body = {"description": "a description [tokend/1:x]", "permissions": [{"action": "read", "resource": "a"}]}
    status, text, headers = sandbox.raw("POST", "api", path, body)
    assert status == 200 and int(headers["Content-Length"]) == len(text)
    truth = sandbox.truth()
    made = truth["posts"][-1]["token_id"]
    return next((t for t in truth["tokens"] if t["id"] == made), None), text.decode(), headers


@pytest.mark.parametrize("fault", SPOILT)
def test_a_spoilt_answer_is_of_a_true_token_unless_it_shall_not(sandbox, fault):
    assert spoilt(sandbox, fault)[0] is not None
    assert spoilt(sandbox, fault, commit=False)[0] is None
    assert len(sandbox.tokens()) == 1 and all(p["fault"] == fault for p in sandbox.posts())


def test_bad_json(sandbox):
    token, text, _ = spoilt(sandbox, "bad_json")
    assert text.startswith('{"accountId":') and not text.endswith("}")
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)


def test_trailing_garbage(sandbox):
    text = spoilt(sandbox, "trailing_garbage")[1]
    with pytest.raises(json.JSONDecodeError, match="Extra data"):
        json.loads(text)


def test_duplicate_keys(sandbox):
    token, text, _ = spoilt(sandbox, "duplicate_keys")
    pairs = json.loads(text, object_pairs_hook=list)
    ids, strings = ([v for k, v in pairs if k == name] for name in ("id", "accessToken"))
    assert ids == [OTHER, token["id"]] and strings == ["apiv1_" + "0" * 64, token["accessToken"]]


def test_deep_json(sandbox):
    text = spoilt(sandbox, "deep_json")[1]
    assert text.startswith('{"deep":' + "[" * 100000 + "]" * 100000 + ',"accountId":')
    with pytest.raises(RecursionError):
        json.loads(text)


@pytest.mark.parametrize("shape, right", [
    ("number", lambda o, t: o["accessToken"] == 42 and o["id"] == t["id"]),
    ("null", lambda o, t: o["accessToken"] is None and o["id"] == t["id"]),
    ("array", lambda o, t: [x["accessToken"] for x in o] == [t["accessToken"]]),
])
def test_wrong_type(sandbox, shape, right):
    token, text, _ = spoilt(sandbox, "wrong_type", shape=shape)
    assert right(json.loads(text), token)


def test_wrong_type_html_and_nothing(sandbox):
    _, text, headers = spoilt(sandbox, "wrong_type", shape="html")
    assert headers["Content-Type"] == "text/html" and "<h1>Bad Gateway</h1>" in text
    assert spoilt(sandbox, "wrong_type", shape="empty")[1] == ""


def test_missing_and_short_token(sandbox):
    assert "accessToken" not in json.loads(spoilt(sandbox, "missing_token")[1])
    token, text, _ = spoilt(sandbox, "short_token")
    assert json.loads(text)["accessToken"] == token["accessToken"][:63]


def test_wrong_account_and_cluster(sandbox):
    for fault, wrong, right in (("wrong_account", "accountId", ("clusterId", CLUSTER)),
                                ("wrong_cluster", "clusterId", ("accountId", ACCOUNT))):
        answer = json.loads(spoilt(sandbox, fault)[1])
        assert answer[wrong] == OTHER and answer[right[0]] == right[1]
        assert json.loads(spoilt(sandbox, fault, path=CLUSTERED)[1])[wrong] == OTHER    # there, any is wrong


def test_wrong_id(sandbox):
    first, text, _ = spoilt(sandbox, "wrong_id")
    assert json.loads(text)["id"] == OTHER
    _, text, _ = spoilt(sandbox, "wrong_id")
    assert json.loads(text)["id"] == first["id"]


def test_wrong_permissions_and_expiry(sandbox):
    token, text, _ = spoilt(sandbox, "wrong_permissions")
    assert json.loads(text)["permissions"] == token["permissions"] + [{"action": "write", "resource": "*"}]
    token, text, _ = spoilt(sandbox, "wrong_expiry")
    assert json.loads(text)["expiresAt"] == "2099-01-01T00:00:00Z" and token["expiresAt"] is None


def test_truncate_description(sandbox):
    token, text, _ = spoilt(sandbox, "truncate_description")
    shown = json.loads(text)["description"]
    assert token["description"] == "a description [tokend/1:x]" and token["description"].startswith(shown)
    assert 0 < len(shown) < len(token["description"])


# ---- lists, and single tokens --------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation, method", [
    ("list", "GET"), ("get", "GET"), ("delete", "DELETE"), ("update", "PATCH")])
def test_every_operation_fails(sandbox, operation, method):
    token_id = sandbox.create()[1]["id"]
    path = DEDICATED if operation == "list" else f"{DEDICATED}/{token_id}"
    sandbox.faults(*({"operation": operation, **f} for f in (
        {"fault": "error", "status": 503}, {"fault": "throttle"}, {"fault": "cut"}, {"fault": "reset"})))
    body = {"description": "new"} if method == "PATCH" else None
    assert sandbox.ask(method, "api", path, body)[0] == 503 and sandbox.ask(method, "api", path, body)[0] == 429
    assert [sandbox.plain_bytes(method=method, path=path) for _ in range(2)] == [(b"", "FIN"), (b"", "RST")]
    assert sandbox.tokens()[token_id]["description"] == "d"
    assert sandbox.ask(method, "api", path, body)[0] in (200, 204)


@pytest.mark.parametrize("method, operation", [("DELETE", "delete"), ("PATCH", "update")])
@pytest.mark.parametrize("commit", [False, True])
@pytest.mark.parametrize("fault", ["error", "cut", "delay"])
def test_a_change_may_be_made_or_not(sandbox, method, operation, commit, fault):
    item = f"{DEDICATED}/{sandbox.create('old')[1]['id']}"
    sandbox.fault(operation=operation, fault=fault, commit=commit)
    if fault == "cut":
        with pytest.raises(CUT):
            sandbox.ask(method, "api", item, {"description": "new"})
    else:
        good = 204 if method == "DELETE" else 200
        assert sandbox.ask(method, "api", item, {"description": "new"})[0] == (500 if fault == "error" else good)
    status, token, _ = sandbox.ask("GET", "api", item)
    changed = status == 404 if method == "DELETE" else token["description"] == "new"
    assert changed == commit


def test_spoilt_lists(sandbox):
    token_id = sandbox.create("a description [tokend/1:x]")[1]["id"]
    sandbox.faults(*({"operation": "list", **f} for f in (
        {"fault": "cut", "mid_body": True}, {"fault": "bad_json"}, {"fault": "truncate_description"},
        {"fault": "wrong_account"}, {"fault": "wrong_type"}, {"fault": "wrong_type", "shape": "array"})))
    with pytest.raises(http.client.IncompleteRead):
        sandbox.ask("GET", "api", DEDICATED)
    with pytest.raises(json.JSONDecodeError):
        sandbox.ask("GET", "api", DEDICATED)
    assert sandbox.ask("GET", "api", DEDICATED)[1][0]["description"] != "a description [tokend/1:x]"
    assert sandbox.ask("GET", "api", DEDICATED)[1][0]["accountId"] == OTHER
    assert sandbox.ask("GET", "api", DEDICATED)[1][0]["id"] == 42
    assert sandbox.ask("GET", "api", DEDICATED)[1]["tokens"][0]["id"] == token_id
    assert sandbox.ask("GET", "api", DEDICATED)[1][0]["description"] == "a description [tokend/1:x]"


def test_deep_and_doubled_lists(sandbox):
    sandbox.faults(*({"operation": "list", "fault": f} for f in ("deep_json", "duplicate_keys", "deep_json")))
    assert sandbox.raw("GET", "api", DEDICATED)[1] == b"[" * 100001 + b"]" * 100001
    token_id = sandbox.create()[1]["id"]
    (pairs,) = json.loads(sandbox.raw("GET", "api", DEDICATED)[1], object_pairs_hook=list)
    assert [v for k, v in pairs if k == "id"] == [OTHER, token_id] and "accessToken" not in dict(pairs)
    assert sandbox.raw("GET", "api", DEDICATED)[1].startswith(b"[" * 100001 + b"]" * 100000 + b',{"accountId":')


def test_a_list_that_leaves_out(sandbox):
    kept = [sandbox.create(d)[1]["id"] for d in ("orders", "billing")]
    sandbox.faults({"operation": "list", "fault": "leave_out", "omit": "order"},
                   {"operation": "list", "fault": "leave_out"})
    assert sandbox.listed() == [kept[1]] and sandbox.listed() == [] and sandbox.listed() == kept


@pytest.mark.parametrize("path", [DEDICATED, CLUSTERED])
@pytest.mark.parametrize("alive", [0, 1])
def test_a_padded_list(sandbox, path, alive):
    mine = [sandbox.create(path=path)[1] for _ in range(alive)]
    sandbox.faults({"operation": "list", "fault": "pad", "pad": 7}, {"operation": "list", "fault": "pad", "pad": 0})
    got = sandbox.ask("GET", "api", path)[1]
    assert len(got) == 7 + alive and len({t["id"] for t in got}) == 7 + alive
    assert [t["id"] for t in got[3:3 + alive]] == [t["id"] for t in mine]
    assert all(set(t) == set(got[0]) for t in got) and ("accountId" in got[0]) == (path == DEDICATED)
    assert sandbox.listed(path) == [t["id"] for t in mine]


def test_a_huge_list(sandbox):
    token_id = sandbox.create()[1]["id"]
    sandbox.fault(operation="list", fault="pad", pad=100000)
    text = sandbox.raw("GET", "api", DEDICATED)[1]
    assert len(text) > 25_000_000 and text.count(b'"id":') == 100001 and token_id.encode() in text


# ---- the bearer ----------------------------------------------------------------------------------------------------


def test_the_management_token_is_rotated(start):
    s = start()
    assert s.create()[0] == 200
    assert s.ask("POST", "control", "/control/management-token", {"token": "new-one"})[0] == 204
    assert s.create()[0] == 401 and s.ask("GET", "api", DEDICATED)[0] == 401
    assert s.ask("GET", "api", DEDICATED, auth="Bearer new-one")[0] == 200
    assert s.ask("POST", "control", "/control/management-token", {"tokn": "x"})[0] == 400
    assert s.ask("GET", "api", DEDICATED, auth="Bearer new-one")[0] == 200
