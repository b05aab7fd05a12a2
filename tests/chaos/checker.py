# SPDX-License-Identifier: Apache-2.0
"""The offline checker: what a run left behind, held against the promise, invariant by invariant.

It believes the topics (requests, replies read_committed, journal, dead letters), the committed offsets and the
sandbox's record of every POST and token, and nothing that tokend says of itself; logs and metrics are searched for
secrets only.

Most of it is the auditor of the end-to-end tests (tests/e2e/audit.py); here stands what only a run under fire needs:
time, the sweep, and what many requests at once may hide from one another.
"""

import collections

from google.protobuf.message import DecodeError

from audit import Audit
from canary import Canaries
from plan import DURATIONS
from requester import ID, MARKER, OUTCOME, digest_of_record, journal_pb, method_of_record, pb, unframed

INVARIANTS = [f"I{n}" for n in range(1, 13)]
MANY = 20  # of each invariant's sentences, so many are told

# INTENT appended, then at most: its commit begins (a transaction's life), the lease, and a slow machine.
POST_WITHIN_MS = DURATIONS["TRANSACTION"] + DURATIONS["LEASE"] + 1_000
RECOVERY_S = 120  # what a request may outlive its deadline by, with brokers and instances down in turn
RSS_MOST = 400 << 20
SKEW_MS = 1_000  # of an API on this machine


def in_window(token, attempt):
    return attempt.not_before_ms - SKEW_MS <= token["created_ms"] <= attempt.not_after_ms + SKEW_MS


def still_to_be_swept(entries, tokens):
    """By the journal's own word: a run need not wait longer once there is nothing."""
    done = [e for e in entries if e.own and e.record.state == journal_pb.DONE and e.attempt]
    given, attempts = {e.record.token_id for e in done}, {e.attempt: e.record.attempt for e in done}
    for token in tokens:
        marker = MARKER.search(token["description"])
        if token["post"] is not None and token["revokedAt"] is None and token["id"] not in given and marker:
            attempt = attempts.get(marker[4])
            if attempt is None or in_window(token, attempt):
                yield token


class Checker(Audit):
    def __init__(self, *arguments, metrics=(), **more):
        """metrics: (name, text) as tokend told them."""
        super().__init__(*arguments, **more)
        self.metrics = metrics
        self.counts = collections.Counter()
        self.intent_at = {}  # attempt -> (when its INTENT was appended, its Attempt)
        self.key_of = {}  # attempt -> (partition, key)
        self.last = {}  # (partition, key) -> its last record
        for e in self.journal:
            if e.own:
                self.last[e.partition, e.key] = e
            if e.own and e.attempt and e.record.state == journal_pb.INTENT:
                self.intent_at[e.attempt] = e.appended_ms, e.record.attempt
                self.key_of[e.attempt] = e.partition, e.key

    def look(self):
        super().look()
        self.posts_in_time()
        self.closed_for_good()
        self.ends_in_time()
        self.only_the_verified()
        self.memory()
        self.tally()
        return self

    def violations(self):
        """Invariant -> how many sentences."""
        return {i: sum(w.startswith(i + ":") for w in self.wrong) for i in INVARIANTS}

    def sentences(self):
        for i in INVARIANTS:
            said = [w for w in self.wrong if w.startswith(i + ":")]
            yield from said[:MANY]
            if len(said) > MANY:
                yield f"{i}: ... and {len(said) - MANY} more"

    # ---- I4, I6 ----------------------------------------------------------------------------------------------------

    def posts_in_time(self):
        for post in self.truth["posts"]:
            marker = MARKER.search(post["description"])
            if marker is None or marker[4] not in self.intent_at:
                continue  # said already, under I4
            appended_ms, attempt = self.intent_at[marker[4]]
            late_ms = post["at_ms"] - appended_ms
            self.that(late_ms >= 0, "I4", f"POST {post['seq']} came {-late_ms} ms before its INTENT")
            self.that(
                late_ms <= POST_WITHIN_MS and post["at_ms"] <= attempt.not_after_ms,
                "I6",
                f"POST {post['seq']} of {marker[4]} came {late_ms} ms after its INTENT",
            )

    # ---- closed[] --------------------------------------------------------------------------------------------------

    def closed_for_good(self):
        """closed[] never forgets, and in the end names all that was sent but the attempt that delivered."""
        known = collections.defaultdict(set)
        for e in self.journal:
            if not e.own:
                continue
            place = e.partition, e.key
            self.that(known[place] <= set(e.closed), "I5", f"{e.key}@{e.offset}: closed[] lost an attempt")
            known[place] = set(e.closed)
        for post in self.truth["posts"]:
            marker = MARKER.search(post["description"])
            place = self.key_of.get(marker[4]) if marker else None
            if place is None:
                continue
            last = self.last[place]
            self.that(
                last.record.state == journal_pb.DONE, "I1", f"{place[1]}: was begun and is not decided in the journal"
            )
            self.that(
                marker[4] in last.closed or marker[4] == last.attempt,
                "I5",
                f"{place[1]}: attempt {marker[4]} was sent, and its last record does not name it",
            )
            self.that(
                last.record.attempts >= len(last.closed),
                "I11",
                f"{place[1]}: {last.record.attempts} attempts, {len(last.closed)} closed",
            )

    # ---- I9 --------------------------------------------------------------------------------------------------------

    def ends_in_time(self):
        for m in self.replies:
            if method_of_record(m) != "CreateToken":
                continue
            reply = pb.CreateTokenReply.FromString(unframed(m.value()))
            asked = self.asked.get(reply.request_digest)
            if reply.replayed or reply.status.about != OUTCOME or asked is None:
                continue
            late_s = m.timestamp()[1] / 1000 - asked.deadline.seconds
            self.counts["longest past a deadline, s"] = max(self.counts["longest past a deadline, s"], round(late_s))
            self.that(late_s <= RECOVERY_S, "I9", f"{reply.request_id} ended {late_s:.0f} s after its deadline")

    @property
    def asked(self):
        """Record digest -> what was asked, where it can be read."""
        if "_asked" not in self.__dict__:
            self._asked = {}
            for m in self.requests:
                if m.key() is None or not ID.fullmatch(m.key()) or method_of_record(m) != "CreateToken":
                    continue
                try:
                    self._asked[digest_of_record(m)] = pb.CreateTokenRequest.FromString(unframed(m.value()))
                except DecodeError:
                    continue
        return self._asked

    def memory(self):
        for name, text in self.metrics:
            rss = [float(x.split()[-1]) for x in text.splitlines() if x.startswith("process_resident_memory_bytes ")]
            self.that(not rss or max(rss) <= RSS_MOST, "I9", f"{name}: {rss} bytes resident")

    # ---- I10 -------------------------------------------------------------------------------------------------------

    def only_the_verified(self):
        """No request's own life holds a record that was refused before it was known whose it is."""
        refused = {
            r.request_digest
            for r in (
                pb.CreateTokenReply.FromString(unframed(m.value()))
                for m in self.replies
                if method_of_record(m) == "CreateToken"
            )
            if r.principal == ""
        }
        for e in self.journal:
            self.that(
                not (e.own and e.record.request_digest in refused),
                "I10",
                f"journal {e.partition}@{e.offset}: a record of nobody's stands under {e.key}",
            )

    # ---- I5 --------------------------------------------------------------------------------------------------------

    def every_token_has_an_owner_or_a_closure(self):
        """The sweeps have had their time: beyond what was delivered nothing is alive that a POST made, but twins that
        were created outside a delivered attempt's window. What nobody's POST made is nobody's to delete."""
        delivered = {attempt: token for token, attempt in self.delivered.items()}
        for token in self.tokens.values():
            marker = MARKER.search(token["description"])
            if token["id"] in self.delivered:
                continue
            if token["post"] is None:
                self.that(token["revokedAt"] is None, "I3", f"planted token {token['id']} was deleted")
                continue
            self.counts["tokens that nobody received"] += 1
            if token["revokedAt"] is not None:
                self.counts["orphans deleted"] += 1
            elif marker and marker[4] in delivered and not in_window(token, self.intent_at[marker[4]][1]):
                self.counts["twins outside the window"] += 1
            else:
                self.that(False, "I5", f"token {token['id']} of {token['description']} lives, and nobody received it")

    # ---- I8 --------------------------------------------------------------------------------------------------------

    def no_string_anywhere(self):
        super().no_string_anywhere()
        canaries = Canaries().add_tokens(self.truth)
        for secret in self.secrets:
            canaries.add(secret, secret.encode())
        for name, text in self.metrics:
            self.that(not canaries.found_in(text.encode()), "I8", f"{name} holds a secret")

    # ---- figures ---------------------------------------------------------------------------------------------------

    def tally(self):
        self.counts["records"] = len(self.requests)
        self.counts["replies"] = len(self.replies)
        self.counts["dead letters"] = len(self.dead)
        self.counts["POSTs"] = len(self.truth["posts"])
        self.counts["tokens"] = len(self.tokens)
        self.counts["delivered"] = len(self.delivered)
        self.counts["revoked on request"] = len(self.revocations)
        self.counts["outcomes"] = sum(e.own and e.record.state == journal_pb.DONE for e in self.journal)
        self.reasons = collections.Counter()
        for m in self.replies:
            kind = pb.RevokeTokenReply if method_of_record(m) == "RevokeToken" else pb.CreateTokenReply
            reply = kind.FromString(unframed(m.value()))
            self.reasons[reply.status.reason or ("replayed" if reply.replayed else "OK")] += 1
