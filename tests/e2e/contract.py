# SPDX-License-Identifier: Apache-2.0
"""What a requester is told, by cause: (code, reason, about, retry), typed once more from the contract and from nothing
of the service's code. Tests compare replies with this, and rows.py sees to it that no row is without a test."""

from urllib.parse import unquote

from requester import OUTCOME, RECORD, pb

NONE, NEVER, SAME_RECORD, NEW_ID, LATER = pb.RETRY_UNSPECIFIED, pb.NEVER, pb.SAME_RECORD, pb.NEW_ID, pb.LATER

SAYS = {
    "CREATED": (0, "", OUTCOME, NONE),
    "REVOKED": (0, "", OUTCOME, NONE),
    "UNDECODABLE": (3, "INVALID_REQUEST", RECORD, NEW_ID),
    "INVALID_FIELD": (3, "INVALID_REQUEST", OUTCOME, NEW_ID),
    "INVALID_RECORD": (3, "INVALID_RECORD", RECORD, SAME_RECORD),
    "WRONG_PARTITION": (3, "WRONG_PARTITION", RECORD, SAME_RECORD),
    "WRONG_REPLY_TOPIC": (3, "WRONG_REPLY_TOPIC", RECORD, SAME_RECORD),
    "CLOCK_SKEW": (3, "CLOCK_SKEW", RECORD, LATER),
    "BAD_SIGNATURE": (16, "BAD_SIGNATURE", RECORD, SAME_RECORD),
    "UNKNOWN_KEY": (16, "UNKNOWN_KEY", RECORD, SAME_RECORD),
    "KEY_EXPIRED": (16, "KEY_EXPIRED", RECORD, SAME_RECORD),
    "WRONG_PRINCIPAL": (7, "WRONG_PRINCIPAL", RECORD, NEW_ID),
    "UNKNOWN_METHOD": (12, "UNKNOWN_METHOD", RECORD, NEVER),
    "POLICY_DENIED": (7, "POLICY_DENIED", OUTCOME, NEVER),
    "QUOTA": (8, "QUOTA", OUTCOME, LATER),
    "REQUEST_ID_REUSED": (6, "REQUEST_ID_REUSED", RECORD, NEW_ID),
    "NO_OUTCOME": (5, "NO_OUTCOME", RECORD, NEVER),
    "STILL_IN_FLIGHT": (4, "IN_FLIGHT", RECORD, LATER),
    "TARGET_GONE": (9, "TARGET_GONE", RECORD, NEVER),
    "PAST_WINDOW": (4, "PAST_WINDOW", RECORD, NEVER),
    "UPSTREAM_REJECTED": (3, "UPSTREAM_REJECTED", OUTCOME, NEW_ID),
    "TARGET_NOT_FOUND": (9, "TARGET_NOT_FOUND", OUTCOME, NEVER),
    "TARGET_RETIRED": (9, "TARGET_RETIRED", OUTCOME, NEVER),
    "UPSTREAM_CONFLICT": (10, "UPSTREAM_CONFLICT", OUTCOME, NEW_ID),
    "UPSTREAM_BACKLOG": (14, "UPSTREAM_BACKLOG", OUTCOME, LATER),
    "UPSTREAM_AUTH": (14, "UPSTREAM_AUTH", OUTCOME, LATER),
    "UPSTREAM_THROTTLED": (8, "UPSTREAM_THROTTLED", OUTCOME, LATER),
    "UPSTREAM_UNREACHABLE": (4, "UPSTREAM_UNREACHABLE", OUTCOME, LATER),
    "NOT_STARTED": (4, "NOT_STARTED", OUTCOME, LATER),
    "UPSTREAM_AMBIGUOUS": (14, "UPSTREAM_AMBIGUOUS", OUTCOME, LATER),
    "INTERNAL": (13, "INTERNAL", OUTCOME, NEVER),
}


def check(reply, cause, *words, details=None, replayed=False):
    """It says so, whole: in the signed body, whose message holds these words, and in the headers that only show it."""
    status = reply.status
    assert reply.said == SAYS[cause], status
    assert all(word in status.message for word in words), (words, status.message)
    assert len(status.message.encode()) < 768
    assert details is None or reply.details == details, status
    headers = dict(reply.headers)
    assert headers["grpc-status"] == b"%d" % status.code
    assert unquote(headers["grpc-message"].decode("ascii")) == status.message
    assert reply.message.replayed == replayed
    # What comes with OK, and with nothing else: a box, or which token is gone since when.
    brought = ["sealed_token"] if hasattr(reply.message, "sealed_token") else ["token_id", "revoked_at"]
    assert [f.name for f, _ in reply.message.ListFields() if f.name in brought] == (brought if status.code == 0 else [])
    assert reply.message.principal or status.about == RECORD
    return reply


def told(world, r, request, cause, *words, posts=0, made=0, details=None, replayed=False, **how):
    """Ask, and be told that; so many POSTs and tokens come of it. For a world where nothing else is under way."""
    before = world.sandbox.ask("GET", "/truth/summary")
    reply = check(r.ask(request, **how), cause, *words, details=details, replayed=replayed)
    after = world.sandbox.ask("GET", "/truth/summary")
    assert (after["n_posts"] - before["n_posts"], after["n_tokens"] - before["n_tokens"]) == (posts, made)
    return reply
