# SPDX-License-Identifier: Apache-2.0
"""Goal: the bodies that InfluxDB's documentation gives to `curl --data` work with tokenctl word for word, and what
reaches the API is that body, but for the marker in the description and the forms of a time; the one with a comma too
many is refused by the comma's place, and so is all else that is no JSON, or asks for what is not known.
"""

import json
import subprocess

import pytest

from conftest import until
from requester import MARKER
from typed import here, tokenctl  # noqa: F401

READ_WRITE = """{
     "description": "Read/write token for DATABASE_NAME",
     "permissions": [
       {
         "action": "write",
         "resource": "DATABASE_NAME"
       },
       {
         "action": "read",
         "resource": "DATABASE_NAME"
       }
     ]%s
   }"""
UNTIL_2030 = ',\n     "expirationType": "datetime",\n     "expiresAt": "2030-01-01T00:00:00Z"'
ALL = READ_WRITE.replace("for DATABASE_NAME", "for all databases").replace('"DATABASE_NAME"', '"*"') % ""
READ_ONE = """{
     "description": "Read-only token for DATABASE_NAME",
     "permissions": [
       {
         "action": "read",
         "resource": "DATABASE_NAME"
       }
     ]
   }"""
READ_TWO = """{
     "description": "Read-only token for DATABASE_NAME and DATABASE2_NAME",
     "permissions": [
       {
         "action": "read",
         "resource": "DATABASE_NAME"
       },
       {
         "action": "read",
         "resource": "DATABASE2_NAME"
       }
     ]
   }"""
# The page's last one, its comma included.
MIXED = """{
     "description": "Read-only on DATABASE_NAME, read/write on DATABASE2_NAME",
     "permissions": [
       {
         "action": "read",
         "resource": "DATABASE_NAME"
       },
       {
         "action": "read",
         "resource": "DATABASE2_NAME"
       },
       {
         "action": "write",
         "resource": "DATABASE2_NAME"
       },
     ]
   }"""
BODIES = {
    "list example": READ_WRITE % UNTIL_2030,
    "datetime": (READ_WRITE % UNTIL_2030).replace('     "expi', '      "expi'),
    "noExpiration": READ_WRITE % ',\n     "expirationType": "noExpiration"',
    "all": ALL,
    "read-only": READ_ONE,
    "read-only-two": READ_TWO,
    "mixed, mended": MIXED.replace("},\n     ]", "}\n     ]"),
}


def expected(body):
    """What the API should get: noExpiration is what the absence of expiresAt says."""
    body = json.loads(body)
    if body.get("expirationType") == "noExpiration":
        del body["expirationType"]
    return body


@pytest.mark.mock
@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("how", ["file", "standard input"])
def test_the_page_s_bodies_reach_the_api_as_they_are(shared, tmp_path, name, how):
    (tmp_path / "body.json").write_text(BODIES[name])
    source = {"input": BODIES[name]} if how == "standard input" else {}
    done = shared.tokenctl(
        "--cluster",
        "edge" if name == "all" else "prod",
        "token",
        "create",
        "--format",
        "json",
        "--json",
        "-" if source else tmp_path / "body.json",
        **source,
    )
    assert done.returncode == 0, done.stderr
    token = json.loads(done.stdout)
    (post,) = [p for p in shared.sandbox.truth()["posts"] if p["token_id"] == token["id"]]
    sent, want = json.loads(post["body"]), expected(BODIES[name])
    description = sent.pop("description")
    assert MARKER.search(description) and description.startswith(want.pop("description") + " [tokend/1:")
    assert sent == want


@pytest.mark.mock
def test_seven_days_from_now_as_date_prints_it(shared):
    when = subprocess.run(
        ["date", "-d", "+7 days", "+%Y-%m-%dT%H:%M:%S%z"], capture_output=True, text=True
    ).stdout.strip()
    body = READ_WRITE % f', "expirationType": "datetime", "expiresAt": "{when}"'
    done = shared.tokenctl("token", "create", "--format", "json", "--json", "-", input=body)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert (
        made["expiresAt"].endswith("Z")
        and until("the token", lambda: [t for t in shared.sandbox.truth()["tokens"] if t["id"] == made["id"]])[0][
            "expiresAt"
        ][:19]
        == made["expiresAt"][:19]
    )


def test_a_reply_is_found_where_it_stands(shared):
    """On a real Kafka by the time of the request, on the sandbox's from the beginning; the service sends it once."""
    asked = [shared.tokenctl("token", "create", "--no-wait", "--json", "-", input=READ_ONE) for _ in range(3)]
    identities = [done.stdout.strip() for done in asked]
    assert [done.returncode for done in asked] == [0, 0, 0], asked
    for identity in reversed(identities):
        done = shared.tokenctl("token", "open", "--request-id", identity, "--format", "json")
        assert done.returncode == 0, done.stderr
        token = json.loads(done.stdout)
        assert token["request_id"] == identity and token["replayed"] is False
        assert token["accessToken"] in {
            t["accessToken"] for t in shared.sandbox.truth()["tokens"] if t["id"] == token["id"]
        }


def make(here, body, *more):
    return tokenctl("--config", here / "tokenctl.yaml", "request", "make", "--json", "-", *more, input=body)


def test_the_seventh_body_is_refused_by_its_comma(here):
    done = make(here, MIXED)
    assert (done.returncode, done.stdout) == (2, "")
    assert "standard input:15:9: a comma with nothing behind it: take the comma out" in done.stderr
    assert MIXED.splitlines()[15 - 1][9 - 1] == ","
    assert not (here / "state").exists()


PERMISSION = '{"action": "read", "resource": "a"}'


@pytest.mark.parametrize(
    "body, said",
    [
        ("", "standard input is empty"),
        ("   ", "standard input:1:4: the JSON ends too early"),
        ('{"description": "x"', "standard input:1:20: the JSON ends too early"),
        ('{"description": "x",}', "standard input:1:20: a comma with nothing behind it"),
        ('{\n "description" "x"}', "standard input:2:16: this is not JSON from here on: \\x22x\\x22}"),
        ('{"expirationType": "datetime", "expiresAt:" "2030"}', "standard input:1:45: this is not JSON from here on"),
        ('{"description": "äö", oops}', "standard input:1:23: this is not JSON from here on: oops}"),
        ("{} x", "standard input:1:4: this is not JSON from here on: x"),
        ("{}{}", "standard input:1:3: this is not JSON from here on"),
        ("// no\n{}", "standard input:1:1: this is not JSON from here on"),
        ("{'description': 'x'}", "standard input:1:2: this is not JSON from here on"),
        ('{"description": "a\\u0000b"}', "standard input:1:19: \\u0000 in a string"),
        ('{"description": "a\nb"}', "standard input:1:19: a control character in a string"),
        ('{"description": "a", "description": "b"}', 'standard input: "description" stands twice in one object'),
        ('{"permissions": [{"action": "read", "action": "write"}]}', '"action" stands twice'),
        ("[" * 40 + "]" * 40, "nested deeper"),
        ("[]", "standard input must be a JSON object"),
        (
            '{"frob\\u001b": 1}',
            'nothing is known of a member "frob\\x1b"; it may have description, expirationType, expiresAt, permissions',
        ),
        ('{"Description": "x"}', 'nothing is known of a member "Description"'),
        ('{"description": 1}', "description must be a string"),
        ('{"expiresAt": null}', "expiresAt must be a string"),
        ('{"description": "x"}', "permissions must be a list of at least one"),
        ('{"description": "x", "permissions": []}', "permissions must be a list of at least one"),
        ('{"description": "x", "permissions": {}}', "permissions must be a list of at least one"),
        ('{"description": "x", "permissions": ["read"]}', "permissions[0] must be a JSON object"),
        ('{"description": "x", "permissions": [{"action": "read"}]}', "permissions[0]: resource is missing"),
        (
            '{"description": "x", "permissions": [%s, {"resource": "a"}]}' % PERMISSION,
            "permissions[1]: action is missing",
        ),
        (
            '{"description": "x", "permissions": [{"action": "Read", "resource": "a"}]}',
            'permissions[0].action is read or write, not "Read"',
        ),
        (
            '{"description": "x", "permissions": [{"action": "read", "resource": "a", "db": "a"}]}',
            'nothing is known of a member "db"',
        ),
        (
            '{"description": "x", "permissions": [{"action": "read", "resource": "a b"}]}',
            'permissions[0].resource "a b"',
        ),
        (
            '{"description": "x", "permissions": [%s, %s]}' % (PERMISSION, PERMISSION),
            "permissions[1].resource a stands there twice",
        ),
        (
            '{"description": "x", "permissions": [%s], "expirationType": "datetime"}' % PERMISSION,
            "datetime, and there is no expiresAt",
        ),
        ('{"description": "x", "permissions": [%s], "expirationType": "never"}' % PERMISSION, 'not "never"'),
        (
            '{"permissions": [%s], "expiresAt": "2030-01-01T00:00:00Z", "expirationType": "noExpiration"}' % PERMISSION,
            "noExpiration, and expiresAt says otherwise",
        ),
        (
            '{"description": "x", "permissions": [%s], "expiresAt": "soon"}' % PERMISSION,
            'expiresAt "soon" is not a time',
        ),
        (
            '{"description": "x", "permissions": [%s], "expiresAt": "2020-01-01T00:00:00Z"}' % PERMISSION,
            "is in the past",
        ),
        ('{"permissions": [%s]}' % PERMISSION, "a description is missing"),
        ('{"description": " x", "permissions": [%s]}' % PERMISSION, 'the description " x"'),
    ],
)
def test_what_is_no_such_body_is_refused_by_name_and_place(here, body, said):
    done = make(here, body)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not (here / "state").exists()


def test_bytes_that_are_no_text_are_refused(here):
    (here / "body").write_bytes(b'{"description": "\xff"}')
    done = tokenctl("--config", here / "tokenctl.yaml", "request", "make", "--json", here / "body")
    assert done.returncode == 2 and f"{here}/body is not UTF-8 text" in done.stderr


@pytest.mark.parametrize(
    "more, said",
    [
        (["x"], "leave the description away"),
        (["--read-database", "a"], "leave --read-database"),
        (["--expires-at", "2030-01-01T00:00:00Z"], "leave --expires-at away"),
    ],
)
def test_a_body_stands_alone(here, more, said):
    done = make(here, READ_ONE, *more)
    assert (done.returncode, done.stdout) == (2, "") and said in done.stderr
