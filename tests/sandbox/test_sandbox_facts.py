# SPDX-License-Identifier: Apache-2.0
"""Goal: the API is the contract's, line by line: statuses, members, formats, no kindness that it did not promise."""
import re
import time
import uuid

import pytest
from conftest import ACCOUNT, BEARER, CLUSTER, CLUSTERED, DEDICATED, SECOND, until

UNKNOWN = "44444444-4444-4444-8444-444444444444"
BOTH = pytest.mark.parametrize("path", [DEDICATED, CLUSTERED])
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
CALLS = [("GET", ""), ("POST", ""), ("GET", "/"), ("PATCH", "/"), ("DELETE", "/")]
PHRASES = {400: "bad request", 401: "unauthorized", 403: "forbidden", 404: "not found", 405: "method not allowed"}


def is_error(answer, status):
    got, body, headers = answer
    assert (got, body) == (status, {"code": status, "message": PHRASES[status]})
    assert headers["Content-Type"] == "application/json"
    return True


def is_token(token, path, more=()):
    """All required members, none beside the optional ones, each in its format."""
    required = {"id", "description", "permissions", "createdAt", *more}
    if path == DEDICATED:
        required |= {"accountId", "clusterId"}
        assert (token["accountId"], token["clusterId"]) == (ACCOUNT, CLUSTER)
    assert required <= set(token) <= required | {"expiresAt", "revokedAt"}
    assert str(uuid.UUID(token["id"])) == token["id"] and uuid.UUID(token["id"]).version == 4
    assert isinstance(token["description"], str) and isinstance(token["permissions"], list)
    assert TIME.fullmatch(token["createdAt"])
    return True


# ---- operations ----------------------------------------------------------------------------------------------------


@BOTH
def test_create_answers_200_and_shows_the_string_this_once(sandbox, path):
    permissions = [{"action": "read", "resource": "a/b"}, {"action": "write", "resource": "*"}]
    status, token, headers = sandbox.create("mine", path, permissions=permissions, expiresAt="2030-01-02T03:04:05Z")
    assert status == 200 and headers["Content-Type"] == "application/json"
    assert is_token(token, path, ["accessToken", "expiresAt"])
    assert re.fullmatch(r"apiv1_[0-9a-f]{64}", token["accessToken"])
    assert (token["description"], token["permissions"], token["expiresAt"]) == (
        "mine", permissions, "2030-01-02T03:04:05Z")
    for answer in (sandbox.ask("GET", "api", f"{path}/{token['id']}"), sandbox.ask("GET", "api", path),
                   sandbox.ask("PATCH", "api", f"{path}/{token['id']}", {"description": "mine"})):
        shown = answer[1][0] if isinstance(answer[1], list) else answer[1]
        assert answer[0] == 200 and {**shown, "accessToken": token["accessToken"]} == token


@BOTH
def test_absent_members_are_absent_and_not_null(sandbox, path):
    token = sandbox.create(path=path)[1]
    for shown in (token, sandbox.ask("GET", "api", path)[1][0], sandbox.ask("GET", "api", f"{path}/{token['id']}")[1]):
        assert "expiresAt" not in shown and "revokedAt" not in shown and shown["permissions"] == []


@BOTH
def test_the_list_is_an_array_without_pages_or_filters(sandbox, path):
    assert sandbox.ask("GET", "api", path)[:2] == (200, [])
    ids = [sandbox.create(f"t{i}", path)[1]["id"] for i in range(300)]
    status, listed, _ = sandbox.ask("GET", "api", path + "?limit=2&offset=5&description=t1")
    assert status == 200 and [t["id"] for t in listed] == ids and all(is_token(t, path) for t in listed)


@BOTH
def test_update(sandbox, path):
    token = sandbox.create("old", path, permissions=[{"action": "read", "resource": "a"}],
                           expiresAt="2030-01-01T00:00:00Z")[1]
    item = f"{path}/{token['id']}"
    status, new, _ = sandbox.ask("PATCH", "api", item, {"description": "new", "expiresAt": "2040-01-01T00:00:00Z"})
    assert status == 200 and is_token(new, path)
    assert new == {k: v for k, v in {**token, "description": "new"}.items() if k != "accessToken"}  # expiry unchanged
    status, new, _ = sandbox.ask("PATCH", "api", item, {"permissions": []})
    assert status == 200 and (new["description"], new["permissions"]) == ("new", [])
    assert sandbox.ask("GET", "api", item)[1] == new


@pytest.mark.parametrize("body", [{}, {"expiresAt": "2040-01-01T00:00:00Z"}, {"description": 1}, {"description": None},
                                  {"permissions": None}, {"permissions": [{"action": 1}]}, [], b"", b"{"])
def test_bad_updates(sandbox, body):
    token = sandbox.create("old")[1]
    assert is_error(sandbox.ask("PATCH", "api", f"{DEDICATED}/{token['id']}", body), 400)
    assert sandbox.tokens()[token["id"]]["description"] == "old"


@BOTH
def test_delete_answers_204_without_a_body(sandbox, path):
    keeps, goes = (sandbox.create(path=path)[1]["id"] for _ in range(2))
    status, text, headers = sandbox.raw("DELETE", "api", f"{path}/{goes}")
    assert (status, text) == (204, b"") and "Content-Type" not in headers
    for method in ("GET", "DELETE", "PATCH"):
        assert is_error(sandbox.ask(method, "api", f"{path}/{goes}", {"description": "x"}), 404)
    assert sandbox.listed(path) == [keeps]


@pytest.mark.parametrize("method, at", [("PUT", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/"), ("PUT", "/")])
def test_other_methods(sandbox, method, at):
    item = sandbox.create()[1]["id"]
    assert is_error(sandbox.ask(method, "api", DEDICATED + (at and f"/{item}"), {"description": "x"}), 405)


# ---- who and where -------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("method, at", CALLS)
@pytest.mark.parametrize("auth, status", [
    (None, 401), ("Bearer wrong", 401), ("Bearer ", 401), ("Basic c2FuZGJveA==", 401),
    ("sandbox-management-token", 401), ("Bearer sandbox-powerless-token", 403)])
def test_every_operation_wants_the_bearer(sandbox, path, method, at, auth, status):
    item = sandbox.create("d", path)[1]["id"]
    assert is_error(sandbox.ask(method, "api", path + (at and f"/{item}"), {"description": "x"}, auth=auth), status)
    assert sandbox.tokens()[item]["description"] == "d" and len(sandbox.tokens()) == 1


@pytest.mark.parametrize("method, at", CALLS)
@pytest.mark.parametrize("change, status", [
    ((ACCOUNT, UNKNOWN), 404), ((CLUSTER, UNKNOWN), 404), ((ACCOUNT, "x"), 400), ((CLUSTER, "x"), 400),
    ((CLUSTER, CLUSTER[:-1]), 400), ((ACCOUNT, ACCOUNT.replace("-", "")), 400), (("/tokens", "/token"), 404),
    (("/v0", "/v1"), 404), (("/accounts/", "/account/"), 404)])
def test_malformed_and_unknown_places(sandbox, method, at, change, status):
    item = sandbox.create("d")[1]["id"]
    path = (DEDICATED + (at and f"/{item}")).replace(*change)
    assert is_error(sandbox.ask(method, "api", path, {"description": "x"}), status)
    assert sandbox.tokens()[item]["description"] == "d" and len(sandbox.tokens()) == 1


@BOTH
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_malformed_and_unknown_tokens(sandbox, path, method):
    sandbox.create("d", path)
    for token, status in (("x", 400), (UNKNOWN[:-1], 400), (UNKNOWN + "0", 400), ("{" + UNKNOWN + "}", 400),
                          (UNKNOWN, 404)):
        assert is_error(sandbox.ask(method, "api", f"{path}/{token}", {"description": "x"}), status)


def test_an_id_means_the_same_in_upper_case(sandbox):
    token = sandbox.create("d", DEDICATED.replace(ACCOUNT, ACCOUNT.upper()).replace(CLUSTER, CLUSTER.upper()))[1]
    sandbox.fault(operation="get", fault="error", token_id=token["id"])
    assert sandbox.ask("GET", "api", f"{DEDICATED}/{token['id'].upper()}")[0] == 500
    status, shown, _ = sandbox.ask("GET", "api", f"{DEDICATED}/{token['id'].upper()}")
    assert status == 200 and shown["id"] == token["id"] and is_token(shown, DEDICATED)
    assert sandbox.ask("DELETE", "api", f"{DEDICATED}/{token['id'].upper()}")[0] == 204


def test_a_cluster_has_tokens_of_its_own(sandbox):
    second = DEDICATED.replace(CLUSTER, SECOND)
    ids = {path: sandbox.create(path=path)[1]["id"] for path in (DEDICATED, second, CLUSTERED)}
    for path in ids:
        assert sandbox.listed(path) == [ids[path]]
        for other in ids:
            assert sandbox.ask("GET", "api", f"{path}/{ids[other]}")[0] == (200 if other == path else 404)


# ---- bodies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [
    b"", b"[]", b'{"description":"x",}', b'{"description":"x"} x', b"{}", b'{"description":1}', b'{"description":null}',
    b'{"description":"x","permissions":{}}', b'{"description":"x","permissions":null}',
    b'{"description":"x","permissions":[1]}', b'{"description":"x","permissions":[{"action":7}]}',
    b'{"description":"x","permissions":[{"action":"read","resource":""}]}',
    b'{"description":"x","permissions":[{"action":"read","resource":["a"]}]}',
    b'{"description":"x","permissions":[{"action":"read","resource":"' + b"a" * 65 + b'"}]}',
    b'{"description":"x","expiresAt":null}', b'{"description":"x","expiresAt":1893456000}',
    b'{"description":"x","expiresAt":"tomorrow"}', b'{"description":"x","expiresAt":"2030-01-02"}',
    b'{"description":"x","expiresAt":"2030-01-02T03:04:05"}',
    b'{"description":"x","expiresAt":"2030-01-02T03:04:05+0000"}',
    b'{"description":"x","expiresAt":"2030-13-02T03:04:05Z"}', b'{"description":"x"}\x00y', b'{"description":"\xff"}',
    b'''{"description":"x","permissions":[{"action":"write","resource":"b"},]}''',
])
def test_bad_bodies(sandbox, body):
    assert is_error(sandbox.ask("POST", "api", DEDICATED, body), 400)
    assert sandbox.tokens() == {}


@pytest.mark.parametrize("more", [
    {}, {"permissions": []}, {"permissions": [{}]}, {"permissions": [{"action": "read"}]},
    {"permissions": [{"resource": "a"}]}, {"permissions": [{"action": "fly", "resource": "a"}]},
    {"permissions": [{"action": "read", "resource": "*"}]}, {"permissions": [{"action": "read", "resource": "a" * 64}]},
    {"permissions": [{"action": "read", "resource": "ü" * 64}]},
    {"permissions": [{"action": "read", "resource": "a $/"}]},
    {"permissions": [{"action": "write", "resource": "b"}, {"action": "read", "resource": "a"},
                     {"action": "write", "resource": "b"}]},
    {"permissions": [{"action": "read", "resource": f"db{i}"} for i in range(1000)]},
    {"description": ""}, {"description": "ü" * 50000}, {"description": "two\nlines"},
    {"expiresAt": "2030-01-02T03:04:05.678+02:00"}, {"expiresAt": "2001-01-01T00:00:00Z"},
    {"expirationType": "datetime", "expiresAt": "2030-01-02T03:04:05Z"}, {"something": {"else": [1]}},
])
def test_the_api_is_as_lenient_as_the_contract(sandbox, more):
    status, token, _ = sandbox.ask("POST", "api", DEDICATED, {"description": "d", **more})
    assert status == 200 and is_token(token, DEDICATED, ["accessToken"])
    assert token["permissions"] == more.get("permissions", []) and token["description"] == more.get("description", "d")
    assert token.get("expiresAt") == more.get("expiresAt")


def test_nothing_is_unique(sandbox):
    ids = {sandbox.create("the same")[1]["id"] for _ in range(3)}
    assert len(ids) == 3 and set(sandbox.listed()) == ids
    assert len({t["accessToken"] for t in sandbox.tokens().values()}) == 3


def test_a_body_that_is_too_large(sandbox):
    status, body, _ = sandbox.ask("POST", "api", DEDICATED, b'{"description":"' + b"a" * (5 << 20) + b'"}')
    assert status == 413 and body["code"] == 413 and sandbox.tokens() == {}


def test_databases_may_have_to_exist(start):
    s = start("--database", "a")
    assert s.create(permissions=[{"action": "read", "resource": "*"}])[0] == 200
    token = s.create(permissions=[{"action": "read", "resource": "a"}])[1]
    assert is_error(s.create(permissions=[{"action": "read", "resource": "b"}]), 404)
    update = {"permissions": [{"action": "read", "resource": "b"}]}
    assert is_error(s.ask("PATCH", "api", f"{DEDICATED}/{token['id']}", update), 404)


# ---- where the contract is silent, by a switch ---------------------------------------------------------------------


def test_a_deleted_token_may_stay_as_a_revoked_one(start):
    s = start("--deleted-tokens", "revoked")
    token = s.create()[1]
    item = f"{DEDICATED}/{token['id']}"
    assert s.raw("DELETE", "api", item)[:2] == (204, b"")
    status, shown, _ = s.ask("GET", "api", item)
    assert status == 200 and TIME.fullmatch(shown["revokedAt"]) and is_token(shown, DEDICATED)
    assert s.ask("GET", "api", DEDICATED)[1] == [shown]
    assert s.ask("PATCH", "api", item, {"description": "x"})[0] == 409
    assert s.ask("DELETE", "api", item)[0] == 204 and s.ask("GET", "api", item)[1] == shown
    (true,) = s.truth()["tokens"]
    assert true["revokedAt"] == shown["revokedAt"] and true["deletedAt"] is None and not true["active"]
    assert s.summary()["n_alive"] == 0


def test_the_list_may_hide_revoked_ones(start):
    s = start("--deleted-tokens", "revoked", "--hide-revoked")
    item = f"{DEDICATED}/{s.create()[1]['id']}"
    assert s.ask("DELETE", "api", item)[0] == 204
    assert s.listed() == [] and "revokedAt" in s.ask("GET", "api", item)[1]


# ---- the data endpoint ---------------------------------------------------------------------------------------------


def use(sandbox, token, path, method=None, scheme="Bearer"):
    method = method or ("GET" if path.startswith("/query") else "POST")
    return sandbox.ask(method, "data", path, b"x" if method == "POST" else None, auth=f"{scheme} {token}")[0]


def test_data_wants_the_right(sandbox):
    reader = sandbox.create(permissions=[{"action": "read", "resource": "a"}])[1]["accessToken"]
    writer = sandbox.create(permissions=[{"action": "write", "resource": "*"}])[1]["accessToken"]
    assert [use(sandbox, reader, p) for p in ("/query?db=a", "/query?db=b", "/write?db=a")] == [200, 403, 403]
    assert [use(sandbox, writer, p) for p in ("/write?db=z", "/api/v2/write?bucket=y", "/query?db=z")] == [
        204, 204, 403]
    assert use(sandbox, reader, "/query?db=a", scheme="Token") == 200
    assert use(sandbox, reader, "/query?db=a", "POST") == 200


def test_data_knows_only_tokens_that_live(sandbox):
    permissions = [{"action": "read", "resource": "*"}]
    token = sandbox.create(permissions=permissions)[1]
    old = sandbox.create(permissions=permissions, expiresAt="2020-01-01T00:00:00Z")[1]["accessToken"]
    assert use(sandbox, old, "/query?db=a") == 401 and use(sandbox, "apiv1_none", "/query?db=a") == 401
    assert sandbox.ask("GET", "data", "/query?db=a", auth=None)[0] == 401
    assert use(sandbox, token["accessToken"], "/query?db=a") == 200
    sandbox.ask("DELETE", "api", f"{DEDICATED}/{token['id']}")
    assert use(sandbox, token["accessToken"], "/query?db=a") == 401


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/write?db=a", 405), ("GET", "/api/v2/write?bucket=a", 405), ("DELETE", "/query?db=a", 405),
    ("GET", "/query", 400), ("POST", "/write", 400), ("POST", "/api/v2/write?db=a", 400), ("GET", "/other?db=a", 404)])
def test_data_takes_nothing_else(sandbox, method, path, status):
    token = sandbox.create(permissions=[{"action": a, "resource": "*"} for a in ("read", "write")])[1]["accessToken"]
    assert use(sandbox, token, path, method) == status


def test_a_new_token_becomes_active(start):
    s = start("--activation-ms", "300")
    token = s.create(permissions=[{"action": "read", "resource": "a"}])[1]
    until("it is active", lambda: use(s, token["accessToken"], "/query?db=a") == 200)
    (true,) = s.truth()["tokens"]
    assert true["active"] and time.time() * 1000 >= true["created_ms"] + 300


def test_a_token_is_not_taken_before_it_is_active(start):
    s = start("--activation-ms", "3600000")
    token = s.create(permissions=[{"action": "read", "resource": "a"}])[1]
    assert use(s, token["accessToken"], "/query?db=a") == 401 and not s.tokens()[token["id"]]["active"]
    assert s.ask("GET", "api", f"{DEDICATED}/{token['id']}", auth=BEARER)[0] == 200
