# SPDX-License-Identifier: Apache-2.0
"""The checker, shown what a run left behind with one thing changed: each time it has to name the invariant that is
broken by that, and what was not changed breaks none.

The rules that can be switched off (plan.aims) show that faults of tokend are found; this shows the checks that no such
rule reaches, and it takes seconds.
"""

import copy

from requester import journal_pb, method_of_record, pb, unframed

LATE_MS = 60_000


def alive(truth):
    return [t for t in truth["tokens"] if t["revokedAt"] is None and t["post"] is not None]


# ---- what is changed: each takes a checker that has read everything and looked at nothing ---------------------------


def nothing(_):
    pass


def a_reply_is_lost(c):
    c.replies.pop()


def a_reply_is_doubled(c):
    c.replies.append(next(m for m in c.replies if method_of_record(m) == "CreateToken"))


def a_done_is_lost(c):
    c.journal.remove(next(e for e in c.journal if e.record.state == journal_pb.DONE))


def a_delivered_token_dies(c):
    given = {e.record.token_id for e in c.journal if e.own and e.record.token_id}
    next(t for t in alive(c.truth) if t["id"] in given)["revokedAt"] = "now"


def a_post_comes_before_its_intent(c):
    c.truth["posts"][0]["at_ms"] -= LATE_MS


def a_post_is_sent_twice(c):
    c.truth["posts"].append(c.truth["posts"][0])


def an_orphan_lives(c):
    next(t for t in c.truth["tokens"] if t["revokedAt"] is not None)["revokedAt"] = None


def a_post_is_late(c):
    c.truth["posts"][0]["at_ms"] += LATE_MS


def an_offset_is_behind(c):
    partition = max(c.committed)
    c.committed = {**c.committed, partition: c.committed[partition] - 1}


def metrics_hold_a_piece_of_a_token(c):
    c.metrics = [("metrics", f'x{{y="{c.truth["tokens"][0]["accessToken"][10:42]}"}} 1')]


def memory_grows(c):
    c.metrics = [("metrics", "process_resident_memory_bytes 1e9")]


def a_request_ends_late(c):
    for asked in c.asked.values():
        asked.deadline.seconds -= LATE_MS


def a_record_of_nobody_is_begun(c):
    replies = (
        pb.CreateTokenReply.FromString(unframed(m.value()))
        for m in c.replies
        if method_of_record(m) == "CreateToken"
    )
    nobody = next(r for r in replies if r.principal == "")
    next(e for e in c.journal if e.own).record.request_digest = nobody.request_digest


def an_attempt_more(c):
    record = next(e for e in c.journal if e.own and e.attempt).record
    for n in range(6):
        record.closed.add(uuid=bytes([n]) * 16, fate=journal_pb.UNKNOWN)


def a_journal_has_two_ids(c):
    c.journal[0].record.journal_id = b"another journal!"


CASES = {
    nothing: None,
    a_reply_is_lost: "I1",
    a_reply_is_doubled: "I1",
    a_done_is_lost: "I7",
    a_delivered_token_dies: "I3",
    a_post_comes_before_its_intent: "I4",
    a_post_is_sent_twice: "I4",
    an_orphan_lives: "I5",
    a_post_is_late: "I6",
    an_offset_is_behind: "I7",
    metrics_hold_a_piece_of_a_token: "I8",
    memory_grows: "I9",
    a_request_ends_late: "I9",
    a_record_of_nobody_is_begun: "I10",
    an_attempt_more: "I11",
    a_journal_has_two_ids: "I12",
}


def unnoticed(read):
    """read() gives a checker that has not looked yet. Yields what it did not find."""
    for tamper, invariant in CASES.items():
        c = read()
        c.truth = copy.deepcopy(c.truth)
        c.tokens = {t["id"]: t for t in c.truth["tokens"]}
        tamper(c)
        found = {i for i, n in c.look().violations().items() if n}
        if (invariant is None and found) or (invariant is not None and invariant not in found):
            yield f"{tamper.__name__}: the checker finds {sorted(found) or 'nothing'}, and not {invariant or 'nothing'}"
