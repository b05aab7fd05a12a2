# SPDX-License-Identifier: Apache-2.0
"""Goal: proto/ keeps the contract's ground rules, and no number, name or place that a released version gave a meaning
is ever given another one (tests/compat/TAG/proto is what each of them had).

A field may be added; one that goes leaves its number and its name behind as `reserved`. Messages are added behind
the others, because Schema Registry counts them. Each rule is seen to catch what it forbids, on a copy with that very
change.
"""

import re
import shutil
import subprocess

import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

from protos import FILES, PROTO, ROOT, descriptors

KEPT = sorted((ROOT / "tests" / "compat").glob("v*/proto"))
TOKEN, JOURNAL = FILES
ORDER = ["CreateTokenRequest", "GetOutcomeRequest", "RevokeTokenRequest", "CreateTokenReply", "RevokeTokenReply"]


# ---- then and now --------------------------------------------------------------------------------------------------


def by_name(items):
    return {item.name: item for item in items}


def reserved(message, number, name):
    """Both are given up for good? Ranges of messages exclude their end, those of enums include it."""
    past = 0 if message.DESCRIPTOR.name == "DescriptorProto" else 1
    return name in message.reserved_name and any(r.start <= number < r.end + past for r in message.reserved_range)


def shape(field, message):
    """What the wire and generated code know of a field, its number apart."""
    oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else None
    return field.name, Field.Type.Name(field.type), Field.Label.Name(field.label), field.type_name, oneof


def compare_numbered(where, then, now, numbered_then, numbered_now, describe):
    """Fields of a message, values of an enum: each is as it was, or reserved."""
    names = {item.name for item in numbered_now.values()}
    for number, old in numbered_then.items():
        new = numbered_now.get(number)
        if new is None and old.name in names:
            yield f"{where}.{old.name} had the number {number}"
        elif new is None and not reserved(now, number, old.name):
            yield f"{where}.{old.name} = {number} is gone, and not reserved"
        elif new is not None and describe(new, now) != describe(old, then):
            yield f"{where} = {number} was {describe(old, then)}, and is {describe(new, now)}"
    for given_up in then.reserved_range:
        past = 0 if then.DESCRIPTOR.name == "DescriptorProto" else 1
        for number in range(given_up.start, min(given_up.end + past, given_up.start + 1000)):
            if number in numbered_now:
                yield f"{where} = {number} was reserved, and is used again"
    for name in set(then.reserved_name) & names:
        yield f"{where}.{name} was reserved, and is used again"


def compare_enums(where, then, now):
    for old in then:
        new = by_name(now).get(old.name)
        if new is None:
            yield f"{where}{old.name} is gone"
            continue
        numbered = [{v.number: v for v in e.value} for e in (old, new)]
        yield from compare_numbered(where + old.name, old, new, *numbered, lambda v, _: v.name)


def compare_messages(where, then, now):
    for old in then:
        new = by_name(now).get(old.name)
        if new is None:
            yield f"{where}{old.name} is gone"
            continue
        numbered = [{f.number: f for f in m.field} for m in (old, new)]
        yield from compare_numbered(where + old.name, old, new, *numbered, shape)
        yield from compare_messages(f"{where}{old.name}.", old.nested_type, new.nested_type)
        yield from compare_enums(f"{where}{old.name}.", old.enum_type, new.enum_type)


def compare_services(then, now):
    for old in then:
        new = by_name(now).get(old.name)
        for rpc in old.method:
            same = by_name(new.method).get(rpc.name) if new is not None else None
            if same != rpc:
                yield f"rpc {old.name}.{rpc.name} is gone or changed"


def compare(then, now):
    """Every way in which a file breaks with what it was."""
    for name, old in then.items():
        new = now.get(name)
        if new is None:
            yield f"{name} is gone"
            continue
        if (old.package, old.syntax) != (new.package, new.syntax):
            yield f"{name}: its package or syntax changed"
        yield from compare_messages("", old.message_type, new.message_type)
        yield from compare_enums("", old.enum_type, new.enum_type)
        yield from compare_services(old.service, new.service)
        order = [[m.name for m in file.message_type] for file in (old, new)]
        if order[1][: len(order[0])] != order[0]:
            yield f"{name}: the messages stand in another order"


@pytest.mark.parametrize("kept", KEPT, ids=[p.parent.name for p in KEPT])
def test_nothing_that_was_released_has_another_meaning(kept):
    assert list(compare(descriptors(kept), descriptors(PROTO))) == []


def test_every_release_was_kept():
    """All tags behind us; the one that stands here can be kept only after it was made."""
    if not (ROOT / ".git").exists():
        pytest.skip("a copy without history")
    told = ["git", "-C", str(ROOT), "tag", "--merged", "HEAD", "--no-contains", "HEAD", "v*"]
    done = subprocess.run(told, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"git says: {done.stderr}")
    missing = set(done.stdout.split()) - {p.parent.name for p in KEPT}
    assert KEPT and not missing, f"run tests/compat/keep {' '.join(sorted(missing))}"


# ---- the ground rules ----------------------------------------------------------------------------------------------


def reached(messages, name, path=()):
    """Complaints about a message and all that it holds."""
    if name in path:
        yield f"{name} holds itself"
        return
    message = messages[name]
    if message.options.map_entry:
        yield f"{path[-1]} holds a map"
    for f in message.field:
        where = f"{name}.{f.name}"
        if f.type in (Field.TYPE_FLOAT, Field.TYPE_DOUBLE):
            yield f"{where} is a float"
        if f.proto3_optional:
            yield f"{where} is optional"
        if f.label == Field.LABEL_REPEATED and f.type != Field.TYPE_MESSAGE:
            yield f"{where} may be packed or not"  # two encodings of one value
        if f.type == Field.TYPE_MESSAGE:
            yield from reached(messages, f.type_name, (*path, name))


def all_messages(file):
    """Full name -> message, nested ones too."""

    def below(prefix, messages):
        for m in messages:
            yield f"{prefix}.{m.name}", m
            yield from below(f"{prefix}.{m.name}", m.nested_type)

    return dict(below("." + file.package, file.message_type))


def broken_rules(files):
    token = files[TOKEN]
    messages = {**all_messages(token), ".google.protobuf.Timestamp": timestamp()}
    (service,) = token.service
    for rpc in service.method:
        if rpc.client_streaming or rpc.server_streaming:
            yield f"{rpc.name} streams: one record is one call"
        for name in (rpc.input_type, rpc.output_type):
            yield from reached(messages, name)
    yield from reached(messages, ".tokend.v1.TokenSecret")
    names = [m.name for m in token.message_type]
    if names[: len(ORDER)] != ORDER:
        yield f"the messages stand in another order: {names}"
    if [rpc.input_type for rpc in service.method] != [f".tokend.v1.{name}" for name in ORDER[: len(service.method)]]:
        yield "the requests do not stand in the order of the methods"


def timestamp():
    from google.protobuf import timestamp_pb2
    from google.protobuf.descriptor_pb2 import DescriptorProto

    message = DescriptorProto()
    timestamp_pb2.Timestamp.DESCRIPTOR.CopyToProto(message)
    return message


def test_ground_rules():
    assert list(broken_rules(descriptors(PROTO))) == []


def test_a_recipient_key_and_a_permission_are_oneofs():
    """Two of these are refused by the strict walk only because the .proto says that they exclude one another."""
    messages = by_name(descriptors(PROTO)[TOKEN].message_type)
    assert {f.name for f in messages["Permission"].field if f.HasField("oneof_index")} == {"database", "all_databases"}
    assert {f.name for f in messages["Recipient"].field if f.HasField("oneof_index")} == {"key_id", "inline_key"}


# ---- each rule catches what it forbids -----------------------------------------------------------------------------


def changed(tmp_path, file, pattern, text):
    """A copy of proto/ with one change."""
    copy = tmp_path / "proto"
    shutil.copytree(PROTO, copy)
    path = copy / file
    before = path.read_text()
    after, n = re.subn(pattern, text, before, count=1, flags=re.S | re.M)
    assert n == 1 and after != before, "nothing was changed"
    path.write_text(after)
    return descriptors(copy)


REASON = r"  string reason = 6;\n(?=\}\n\n// The answer to CreateToken)"
OUTCOME_MESSAGE, REVOKE_MESSAGE = (
    r"(message GetOutcomeRequest \{.*?\n\}\n)",
    r"(message RevokeTokenRequest \{.*?\n\}\n)",
)

BREAKS = {  # what is done: file, the place, its new text, what is said
    "renumbered": (TOKEN, "string description = 5;", "string description = 1500;", "description had the number 5"),
    "another type": (TOKEN, "uint32 attempts = 8;", "uint64 attempts = 8;", "CreateTokenReply = 8 was"),
    "another name": (TOKEN, "string token_id = 5;", "string token = 5;", "RevokeTokenReply = 5 was"),
    "made repeated": (TOKEN, "Target target = 4;", "repeated Target target = 4;", "CreateTokenRequest = 4 was"),
    "another message": (TOKEN, "Target target = 4;", "Recipient target = 4;", "CreateTokenRequest = 4 was"),
    "left its oneof": (
        TOKEN,
        r"    bool all_databases = 3;\n  \}",
        r"  }\n  bool all_databases = 3;",
        "Permission = 3 was",
    ),
    "gone": (TOKEN, REASON, "", "reason = 6 is gone"),
    "gone, its number reserved": (TOKEN, REASON, "  reserved 6;\n", "reason = 6 is gone"),
    "gone, its name reserved": (TOKEN, REASON, '  reserved "reason";\n', "reason = 6 is gone"),
    "used again": (TOKEN, REASON, '  reserved "reason";\n  bytes why = 6;\n', "RevokeTokenRequest = 6 was"),
    "enum renumbered": (TOKEN, "NEW_ID = 3;", "NEW_ID = 9;", "NEW_ID had the number 3"),
    "enum value gone": (TOKEN, r"  HPKE_RESERVED = 2;\n", "", "HPKE_RESERVED = 2 is gone"),
    "enum value renamed": (TOKEN, "  WRITE = 2;", "  APPEND = 2;", "Action = 2 was"),
    "messages swapped": (TOKEN, OUTCOME_MESSAGE + "(.*?)" + REVOKE_MESSAGE, r"\3\2\1", "another order"),
    "a message before others": (
        TOKEN,
        "^message CreateTokenReply",
        "message A {}\nmessage CreateTokenReply",
        "another order",
    ),
    "an rpc gone": (TOKEN, r"  rpc GetOutcome\(.*?\);\n", "", "rpc TokenService.GetOutcome"),
    "an rpc's other answer": (
        TOKEN,
        r"returns \(RevokeTokenReply\)",
        "returns (CreateTokenReply)",
        "TokenService.RevokeToken",
    ),
    "journal renumbered": (JOURNAL, "int64 deadline = 9;", "int64 deadline = 2200;", "deadline had the number 9"),
    "journal's enum": (JOURNAL, "UNKNOWN = 3;", "UNKNOWN = 4;", "UNKNOWN had the number 3"),
}


@pytest.mark.parametrize("file, pattern, text, said", BREAKS.values(), ids=BREAKS)
def test_it_is_seen(tmp_path, file, pattern, text, said):
    found = list(compare(descriptors(PROTO), changed(tmp_path, file, pattern, text)))
    assert any(said in line for line in found), found


ADDITIONS = {
    "a field": (TOKEN, REASON, "  string reason = 6;\n  string ticket = 700;\n"),
    "a message": (TOKEN, r"\Z", "\nmessage Extra {\n  string x = 1;\n}\n"),
    "an enum value": (TOKEN, r"  HPKE_RESERVED = 2;\n", "  HPKE_RESERVED = 2;\n  SUITE_MORE = 300;\n"),
    "an rpc": (
        TOKEN,
        r"(returns \(RevokeTokenReply\);)",
        r"\1\n  rpc Again(GetOutcomeRequest) returns (CreateTokenReply);",
    ),
    "a field given up in good order": (TOKEN, REASON, '  reserved 6;\n  reserved "reason";\n'),
    "an enum value given up in good order": (
        TOKEN,
        "  HPKE_RESERVED = 2;",
        '  reserved 2;\n  reserved "HPKE_RESERVED";',
    ),
}


@pytest.mark.parametrize("file, pattern, text", ADDITIONS.values(), ids=ADDITIONS)
def test_it_is_allowed(tmp_path, file, pattern, text):
    assert list(compare(descriptors(PROTO), changed(tmp_path, file, pattern, text))) == []


def test_what_was_given_up_stays_so(tmp_path):
    given_up = changed(tmp_path, TOKEN, REASON, '  reserved 6;\n  reserved "reason";\n')
    found = list(compare(given_up, descriptors(PROTO)))
    assert any("= 6 was reserved" in line for line in found) and any(".reason was reserved" in line for line in found)


RULES = {
    "a map": (REASON, "  string reason = 6;\n  map<string, string> labels = 700;\n", "a map"),
    "a float": (REASON, "  string reason = 6;\n  double weight = 700;\n", "weight is a float"),
    "optional": (REASON, "  optional string reason = 6;\n", "reason is optional"),
    "recursion": (
        r"  string cluster_id = 3;\n(?=\}\n\n// One right)",
        "  string cluster_id = 3;\n  Target other = 400;\n",
        "holds itself",
    ),
    "repeated numbers": (REASON, "  string reason = 6;\n  repeated int32 codes = 700;\n", "packed or not"),
    "inside what is held": (
        r"  string key = 1;\n",
        "  string key = 1;\n  float f = 300;\n",
        "StatusDetail.f is a float",
    ),
    "in the box": (
        r"  string access_token = 11;\n",
        "  optional string access_token = 11;\n",
        "access_token is optional",
    ),
    "order": (OUTCOME_MESSAGE + "(.*?)" + REVOKE_MESSAGE, r"\3\2\1", "another order"),
    "a stream": (r"returns \(RevokeTokenReply\)", "returns (stream RevokeTokenReply)", "RevokeToken streams"),
}


@pytest.mark.parametrize("pattern, text, said", RULES.values(), ids=RULES)
def test_the_rule_holds(tmp_path, pattern, text, said):
    found = list(broken_rules(changed(tmp_path, TOKEN, pattern, text)))
    assert any(said in line for line in found), found
