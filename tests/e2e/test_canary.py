# SPDX-License-Identifier: Apache-2.0
"""Goal: the search for secrets finds each form of each piece of one, wherever it lies, and nothing else."""

import base64
import secrets

import pytest

from canary import EMPTY, PIECE_BYTES, Canaries

TOKEN = "apiv1_" + secrets.token_hex(32)
LINE = 2 * PIECE_BYTES  # of so many characters in a row one piece is whole


@pytest.fixture(scope="module")
def canaries():
    return Canaries().add_token(TOKEN).add("a key", bytes(range(200, 232)))


FORMS = {
    "as it is": lambda text: text,
    "in base64": base64.b64encode,
    "in base64url": base64.urlsafe_b64encode,
    "in hex": lambda text: text.hex().encode(),
    "in HEX": lambda text: text.hex().upper().encode(),
}


@pytest.mark.parametrize("before", range(3))
@pytest.mark.parametrize("form", FORMS)
def test_a_piece_is_found_in_each_form(canaries, form, before):
    """Of a longer text that was encoded whole; what its first and last characters encode is half the neighbour's."""
    text = FORMS[form](b"<" * before + TOKEN[6:].encode() + b">>>")
    at = text.index(FORMS[form](TOKEN[6:].encode())[:8]) if not form.startswith("in base64") else 8
    for begin in range(at, len(text) - LINE - 8):
        found = canaries.found_in(b"some:" + text[begin : begin + LINE] + b" more")
        assert len(found) >= 1 and all(TOKEN in name for name in found), begin


def test_it_is_told_where(canaries):
    """Far into memory that was never written to, and on both sides of where the search takes a breath."""
    for at in (0, 1, len(EMPTY) - 7, len(EMPTY), 3 * len(EMPTY) - 20):
        data = bytes(at) + TOKEN.encode() + bytes(2 * len(EMPTY))
        assert min(canaries.places_in(data)) == (at + 6, f"{TOKEN}, as it is")


def test_what_is_no_text_is_found_whole(canaries):
    key = bytes(range(200, 232))
    assert canaries.found_in(b"x" + key) == ["a key"] and canaries.found_in(key[1:]) == []
    assert "a key, in base64" in canaries.found_in(base64.b64encode(key))


def test_in_a_file(canaries, tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"")
    assert canaries.found_in_file(path) == []
    path.write_text(f"token={TOKEN}\n")
    assert canaries.found_in_file(path) == [f"{TOKEN}, as it is"]


def test_nothing_is_found_where_nothing_is(canaries):
    assert canaries.found_in(secrets.token_bytes(1 << 20)) == []
    assert canaries.found_in(secrets.token_hex(1 << 16).encode()) == []
    assert canaries.found_in(TOKEN[6 : 6 + PIECE_BYTES - 1].encode()) == []


def test_a_secret_that_is_too_short_is_refused():
    with pytest.raises(AssertionError):
        Canaries().add("short", b"x" * (PIECE_BYTES - 1))
