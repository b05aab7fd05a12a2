# SPDX-License-Identifier: Apache-2.0
"""The auditor: believes nobody, reads the four topics, the committed offsets, the logs and the sandbox's truth, and
holds them against the promise. Invariants are those of service/PROTOCOL.md.

    Audit(...).check()      # AssertionError that lists all that is wrong

It wants a quiet world: whatever was sent is answered. It may be asked at any later time, of a service that runs or not.
"""

import collections
import dataclasses
import re
import time
import uuid

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from google.protobuf.message import DecodeError
from nacl.exceptions import CryptoError
from nacl.public import SealedBox

from canary import Canaries
from requester import (
    ID,
    MARKER,
    OUTCOME,
    REPLIES,
    digest_of_record,
    fingerprint_of_record,
    first,
    journal_pb,
    method_of_record,
    pb,
    unframed,
)

READ_WITHIN_S = 60
UNKNOWN_MOST = 5


def read_topics(kafka, topics, isolation="read_committed"):
    """All records of these topics, in order, up to their ends as they are now: {topic: [record]}."""
    # Asked of a reader of everything: the other kind is told of an end before the transactions that are still open.
    asker = Consumer({**kafka, "group.id": "nobody", "isolation.level": "read_uncommitted"})
    ends = {
        (t, p): asker.get_watermark_offsets(TopicPartition(t, p), timeout=30)[1]
        for t in topics
        for p in asker.list_topics(t, timeout=30).topics[t].partitions
    }
    asker.close()
    reader = Consumer(
        {
            **kafka,
            "group.id": "nobody",
            "isolation.level": isolation,
            "enable.partition.eof": True,
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 10,
        }
    )
    left, found, until = (
        {place for place in ends if ends[place] > 0},
        {t: [] for t in topics},
        time.monotonic() + READ_WITHIN_S,
    )
    reader.assign([TopicPartition(t, p, OFFSET_BEGINNING) for t, p in left])
    while left:
        assert time.monotonic() < until, f"{left} end before their high watermarks: a transaction is still open"
        for m in reader.consume(1000, 0.05):
            if m.error() is None:
                found[m.topic()].append(m)
            elif m.error().code() != KafkaError._PARTITION_EOF:
                raise AssertionError(m.error())
            elif m.offset() >= ends[m.topic(), m.partition()]:
                left.discard((m.topic(), m.partition()))
    reader.close()
    return {t: sorted(ms, key=lambda m: (m.partition(), m.offset())) for t, ms in found.items()}


def read_topic(kafka, topic):
    return read_topics(kafka, [topic])[topic]


def key_of(kind, principal, request_id):
    """The journal's key of a request's own life."""
    return f"{kind}{len(principal)}:{principal},{len(request_id)}:{request_id}".encode()


@dataclasses.dataclass
class Entry:
    """One committed journal record."""

    partition: int
    offset: int
    key: bytes
    record: object
    appended_ms: int

    @classmethod
    def of(cls, partition, offset, key, value, appended_ms):
        return cls(partition, offset, key, journal_pb.JournalRecord.FromString(value), appended_ms)

    @property
    def own(self):
        """Of a CreateToken's own life, not an answer under its place."""
        return self.key.startswith(b"C")

    @property
    def revocation(self):
        """Of a RevokeToken's own life."""
        return self.key.startswith(b"R")

    @property
    def closed(self):
        return {str(uuid.UUID(bytes=bytes(a.uuid))): a for a in self.record.closed}

    @property
    def attempt(self):
        return str(uuid.UUID(bytes=bytes(self.record.attempt.uuid))) if self.record.HasField("attempt") else None


class Audit:
    def __init__(self, kafka, prefix, service_id, truth, principals, committed=None, logs=(), secrets=(), skipped=(),
                 lost=()):
        """committed: {partition: offset} where a broker keeps it; logs: paths; secrets: strings to be found nowhere;
        skipped: the (partition, offset) that stand under `skip`; lost: entries of the journal that was there before."""
        self.service_id, self.truth, self.principals, self.committed = service_id, truth, principals, committed
        self.logs, self.secrets, self.skipped = logs, secrets, set(skipped)
        topics = [f"{prefix}.{t}" for t in ("requests", "replies", "journal", "deadletters")]
        self.requests, self.replies, journal, self.dead = read_topics(kafka, topics).values()
        self.journal = [
            *lost,
            *(Entry.of(m.partition(), m.offset(), m.key(), m.value(), m.timestamp()[1]) for m in journal),
        ]
        self.everything = [m for ms in read_topics(kafka, topics, "read_uncommitted").values() for m in ms]
        self.wrong = []
        self.tokens = {t["id"]: t for t in truth["tokens"]}
        self.delivered = {}  # token id -> the attempt that its reply's DONE names
        self.revoke_asked = self.who_asked_to_revoke()  # {(principal, request ID)}
        self.revocations = {}  # (principal, request ID) -> RevokeTokenReply, of those that were told so
        self.closed = {}  # attempt -> Attempt, over all committed records
        self.done_of = collections.defaultdict(list)  # token id -> the DONE that name it
        for e in self.journal:
            self.closed.update(e.closed)
            if e.key.startswith(b"C") and e.record.state == journal_pb.DONE and e.record.token_id:
                self.done_of[e.record.token_id].append(e)

    def that(self, holds, invariant, sentence):
        if not holds:
            self.wrong.append(f"{invariant}: {sentence}")

    def look(self):
        """Everything is held against the promise; what is wrong stands in self.wrong, by invariant."""
        self.one_answer_each()
        self.one_revocation_each()
        self.one_outcome_each()
        self.watermark()
        self.journal_in_order()
        self.posts()
        self.every_token_has_an_owner_or_a_closure()
        self.no_string_anywhere()

    def check(self):
        self.look()
        assert not self.wrong, "the audit found:\n  " + "\n  ".join(self.wrong)
        return self

    # ---- I1 --------------------------------------------------------------------------------------------------------

    def is_dead(self, m):
        """It gets a dead letter and no reply."""
        return m.key() is None or not ID.fullmatch(m.key()) or (m.partition(), m.offset()) in self.skipped

    def one_answer_each(self):
        good = [m for m in self.requests if not self.is_dead(m)]
        asked = collections.Counter((m.partition(), m.key(), digest_of_record(m)) for m in good)
        told = collections.Counter(
            (m.partition(), m.key(), REPLIES[method_of_record(m)].FromString(unframed(m.value())).request_digest)
            for m in self.replies
        )
        for what in asked.keys() | told.keys():
            self.that(
                asked[what] == told[what],
                "I1",
                f"{what[1]} in partition {what[0]}: {asked[what]} records, {told[what]} replies",
            )
        bad = collections.Counter((m.partition(), m.offset()) for m in self.requests if self.is_dead(m))
        dead = collections.Counter(
            (
                int(first(m.headers(), "tokend-dead-letter-partition")),
                int(first(m.headers(), "tokend-dead-letter-offset")),
            )
            for m in self.dead
        )
        for place in bad.keys() | dead.keys():
            self.that(
                bad[place] == dead[place] == 1,
                "I1",
                f"record {place}: {bad[place]} without a valid key or skipped, {dead[place]} dead letters",
            )

    # ---- I2, I3 of what is revoked -----------------------------------------------------------------------------------

    def who_asked_to_revoke(self):
        """Whoever can be read: a forged one is refused, and what it names stays alive unless another asked."""
        asked = set()
        for m in self.requests:
            if method_of_record(m) != "RevokeToken":
                continue
            try:
                request = pb.RevokeTokenRequest.FromString(unframed(m.value()))
            except DecodeError:
                continue
            asked.add((request.principal, request.request_id))
        return asked

    def one_revocation_each(self):
        """Once decided, the same for all that ask: which token, since when. Its one DONE says so, and it is dead."""
        told = collections.defaultdict(list)
        for m in self.replies:
            if method_of_record(m) == "RevokeToken":
                reply = pb.RevokeTokenReply.FromString(unframed(m.value()))
                if reply.status.code == 0:
                    told[reply.principal, reply.request_id].append(reply)
                else:
                    self.that(reply.status.about != OUTCOME, "I2", f"{reply.request_id}: a revocation fails for good")
        written = collections.defaultdict(list)
        for e in self.journal:
            if e.revocation:
                written[e.key].append((e.record.token_id, e.record.revoked_at))
        for who, replies in told.items():
            self.revocations[who] = replies[0]
            self.that(who in self.revoke_asked, "I3", f"{who}: a revocation that nobody asked for")
            said = {(r.token_id, r.revoked_at.seconds) for r in replies}
            fresh = sum(not r.replayed for r in replies)
            self.that(len(said) == 1 and fresh == 1, "I2", f"{who}: {fresh} fresh revocations, told {said}")
            done = written.pop(key_of("R", *who), [])
            self.that(done == list(said), "I2", f"{who}: the journal has the revocations {done}, replies tell {said}")
            token = self.tokens.get(replies[0].token_id)
            self.that(
                token is not None and token["revokedAt"] is not None,
                "I3",
                f"{who}: token {replies[0].token_id} is said to be deleted, and lives",
            )
        self.that(not written, "I2", f"revocations in the journal of which nobody was told: {dict(written)}")

    def tells_its_revocation(self, principal, reply, token_id):
        """A reply that tells of a token knows whether it was revoked, or was written before that was decided."""
        of = self.revocations.get((principal, reply.request_id))
        if of is not None:
            self.that(of.token_id == token_id, "I3", f"{reply.request_id}: {of.token_id} was deleted for {token_id}")
        if reply.HasField("revoked_at"):
            self.that(
                of is not None and of.revoked_at == reply.revoked_at,
                "I2",
                f"{reply.request_id}: revoked_at {reply.revoked_at.seconds} is not the revocation's",
            )

    # ---- I2 --------------------------------------------------------------------------------------------------------

    def one_outcome_each(self):
        prints = {digest_of_record(m): fingerprint_of_record(m) for m in self.requests}
        outcomes = collections.defaultdict(list)
        again = []  # what a GetOutcome was told
        for m in self.replies:
            if method_of_record(m) == "RevokeToken":
                continue
            reply = pb.CreateTokenReply.FromString(unframed(m.value()))
            if reply.status.about != OUTCOME:
                continue
            if method_of_record(m) == "GetOutcome":
                again.append(reply)
            else:
                outcomes[reply.principal, reply.request_id, prints.get(reply.request_digest)].append(reply)
        for reply in again:
            of = [key for key in outcomes if key[:2] == (reply.principal, reply.request_id)]
            self.that(len(of) == 1 and reply.replayed, "I2", f"{reply.request_id}: an outcome is told that nobody had")
            for key in of:
                outcomes[key].append(reply)
        # One that was begun and then skipped is decided without a reply of its own.
        begun_and_skipped = {
            fingerprint_of_record(m) for m in self.requests if (m.partition(), m.offset()) in self.skipped
        }
        for (principal, request_id, fingerprint), replies in outcomes.items():
            internal = replies[0].status.reason == "INTERNAL"
            self.that(
                sum(not r.replayed for r in replies) == (0 if internal and fingerprint in begun_and_skipped else 1),
                "I2",
                f"{request_id}: {[r.replayed for r in replies]} are replayed",
            )
            cores = set()
            for r in replies:
                core = pb.CreateTokenReply.FromString(r.SerializeToString())
                for stamped in ("request_digest", "replayed", "issued_at", "revoked_at"):
                    core.ClearField(stamped)
                cores.add(core.SerializeToString(deterministic=True))
            self.that(len(cores) == 1, "I2", f"{request_id} of {principal}: {len(cores)} different outcomes")
            if replies[0].status.code == 0:
                self.deliver(principal, replies[0], replies)

    def deliver(self, principal, reply, replies):
        """Its token: openable, alive unless its owner wanted it dead, and what the truth says; its DONE names it."""
        owner = self.principals.get(principal)
        try:
            secret = pb.TokenSecret.FromString(SealedBox(owner.box_key).decrypt(reply.sealed_token))
        except (CryptoError, AttributeError) as e:
            self.that(False, "I2", f"{reply.request_id}: {principal} cannot open its box: {e!r}")
            return
        token, marker = self.tokens.get(secret.token_id), MARKER.search(secret.description)
        done = self.done_of[secret.token_id]
        self.that(len(done) == 1, "I2", f"{reply.request_id}: {len(done)} DONE name its token")
        if token is None or not done or marker is None:
            self.that(token is not None, "I3", f"{reply.request_id}: the API never made token {secret.token_id}")
            return
        asked = [("*" if p.all_databases else p.database, pb.Action.Name(p.action).lower()) for p in secret.permissions]
        self.that(
            token["revokedAt"] is None or (principal, reply.request_id) in self.revoke_asked,
            "I3",
            f"{reply.request_id}: its token {secret.token_id} is dead, and its owner did not ask for that",
        )
        for each in replies:
            self.tells_its_revocation(principal, each, secret.token_id)
        self.that(
            token["accessToken"] == secret.access_token, "I3", f"{reply.request_id}: the string is not the token's"
        )
        self.that(token["description"] == secret.description, "I3", f"{reply.request_id}: the description differs")
        self.that(
            sorted((p["resource"], p["action"]) for p in token["permissions"]) == sorted(asked),
            "I3",
            f"{reply.request_id}: permissions {asked} became {token['permissions']}",
        )
        self.that(
            (token["expiresAt"] is not None) == secret.HasField("expires_at"),
            "I3",
            f"{reply.request_id}: the expiry differs",
        )
        self.that(
            done[0].attempt == marker[4],
            "I4",
            f"{reply.request_id}: DONE names attempt {done[0].attempt}, the marker {marker[4]}",
        )
        self.that(
            marker[4] not in self.closed,
            "I3",
            f"{reply.request_id}: the attempt that delivered is closed: it may be deleted",
        )
        self.that(secret.token_id not in self.delivered, "I2", f"token {secret.token_id} was delivered twice")
        self.delivered[secret.token_id] = marker[4]

    # ---- I7, and the journal's own order ---------------------------------------------------------------------------

    def watermark(self):
        answered = {(e.partition, e.record.offset) for e in self.journal if e.record.state == journal_pb.DONE}
        for m in self.requests:
            place = m.partition(), m.offset()
            self.that(place in answered, "I1", f"record {place} {m.key()}: no DONE in the journal names it")
            if self.committed is not None and m.offset() < self.committed.get(m.partition(), 0):
                self.that(
                    place in answered, "I7", f"the committed offset {self.committed[m.partition()]} passed {place}"
                )
        if self.committed is not None:
            for p in {m.partition() for m in self.requests}:
                end = max(m.offset() for m in self.requests if m.partition() == p) + 1
                self.that(
                    self.committed.get(p) == end,
                    "I7",
                    f"partition {p}: committed {self.committed.get(p)}, all answered up to {end}",
                )

    def journal_in_order(self):
        last, ids = collections.defaultdict(int), collections.defaultdict(set)
        for e in self.journal:
            self.that(
                e.record.seq > last[e.partition],
                "I12",
                f"journal {e.partition}@{e.offset}: seq {e.record.seq} after {last[e.partition]}",
            )
            last[e.partition] = e.record.seq
            if e.record.state == journal_pb.LOSS:  # an operator's word: another journal from here on
                ids[e.partition] = set()
            ids[e.partition].add(e.record.journal_id)
            unknown = sum(a.fate == journal_pb.UNKNOWN for a in e.record.closed)
            self.that(unknown <= UNKNOWN_MOST, "I11", f"{e.key}: {unknown} attempts of unknown fate")
        for p, seen in ids.items():
            self.that(len(seen) == 1, "I12", f"journal {p} has {len(seen)} ids")
        done = collections.Counter(
            (e.partition, e.key)
            for e in self.journal
            if (e.own or e.revocation) and e.record.state == journal_pb.DONE
        )
        for key, n in done.items():
            self.that(n == 1, "I2", f"{key}: {n} DONE")

    # ---- I4, I5 ----------------------------------------------------------------------------------------------------

    def posts(self):
        """No POST without a committed INTENT that carries its uuid; none twice."""
        intents = {e.attempt for e in self.journal if e.record.state == journal_pb.INTENT and e.attempt}
        sent = collections.Counter()
        for post in self.truth["posts"]:
            marker = MARKER.search(post["description"])
            self.that(
                marker is not None and marker[1] == self.service_id,
                "I4",
                f"a POST without our marker: {post['description']}",
            )
            if marker is not None:
                sent[marker[4]] += 1
                self.that(marker[4] in intents, "I4", f"POST {post['seq']}: no committed INTENT carries {marker[4]}")
        for attempt, n in sent.items():
            self.that(n == 1, "I4", f"attempt {attempt} was sent {n} times")

    def every_token_has_an_owner_or_a_closure(self):
        """A token that a POST made, that lives and was given to nobody, is named as closed, or as the twin of one that
        was delivered: it can be found, and deleted or counted."""
        made = {token_id for post in self.truth["posts"] for token_id in post["token_ids"]}
        twins = set(self.delivered.values())
        for token in self.tokens.values():
            marker = MARKER.search(token["description"])
            if token["revokedAt"] is None and token["id"] in made and token["id"] not in self.delivered:
                self.that(
                    marker is not None and (marker[4] in self.closed or marker[4] in twins),
                    "I5",
                    f"token {token['id']} lives, nobody has it, and nothing closes its attempt {marker and marker[4]}",
                )

    # ---- I8 --------------------------------------------------------------------------------------------------------

    def no_string_anywhere(self):
        """No token, no piece of one, and no other secret, in whatever form, in any record (aborted ones too) or log."""
        canaries = Canaries().add_tokens(self.truth)
        for secret in self.secrets:
            canaries.add(secret, secret.encode())
        for m in self.everything:
            found = canaries.found_in_record(m)
            self.that(not found, "I8", f"{found} in {m.topic()}[{m.partition()}]@{m.offset()}")
        for path in self.logs:
            found = canaries.found_in_file(path)
            self.that(not found, "I8", f"{found} in {path}")

    # ---- for tests that look closer --------------------------------------------------------------------------------

    def done(self, request_id):
        """The DONE of that request."""
        (entry,) = [
            e
            for e in self.journal
            if e.own and e.record.state == journal_pb.DONE and e.key.endswith(b":" + request_id.encode())
        ]
        return entry

    def orphans(self, description):
        """Tokens that were given to nobody, deleted since or not, and whose description holds that text."""
        return [t for t in self.tokens.values() if t["id"] not in self.delivered and description in t["description"]]
