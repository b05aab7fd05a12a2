# SPDX-License-Identifier: Apache-2.0
"""A search for secrets in bytes that must not hold them: logs, records, metrics, memory, a core file.

    c = Canaries()
    c.add_tokens(sandbox.truth())
    c.add("the management token", MANAGEMENT_TOKEN.encode())
    assert c.found_in(data) == []           # or the names of what is there, and in which form

A secret leaks whole or in part, and in whatever form somebody has put it: as it is, in base64 (of either alphabet, at
any place of a longer text, so in three ways), in hex. Each form is cut into pieces of PIECE_BYTES, one behind the
other and one at its end; of any 30 characters in a row of a form, one such piece lies in them whole. A piece is looked
up wherever it may begin, so the search takes as long for 20,000 tokens as for one.
"""

import base64
import mmap
import re

PIECE_BYTES = 15
RUN = re.compile(rb"[A-Za-z0-9+/_=-]{%d,}" % PIECE_BYTES)  # the characters of all forms: whatever else ends a piece
TOKEN_PREFIX = "apiv1_"  # of every token, and of none in particular


EMPTY = bytes(1 << 16)


def islands(data):
    """Where anything but zeros stands: most of a process's memory was never written to."""
    begin = None
    for at in range(0, len(data), len(EMPTY)):
        block = data[at : at + len(EMPTY)]
        if block == EMPTY[: len(block)]:
            if begin is not None:
                yield begin, data[begin:at]
            begin = None
        elif begin is None:
            begin = at
    if begin is not None:
        yield begin, data[begin:]


def base64_forms(secret):
    """At each of the three places that it may have in a text that is encoded whole, without what its neighbours
    decide."""
    for before, cut in ((0, 0), (1, 2), (2, 3)):
        inside = (before + len(secret)) * 8 // 6
        yield base64.b64encode(bytes(before) + secret)[cut:inside]


def forms_of(secret):
    yield "as it is", secret
    for form in base64_forms(secret):
        yield "in base64", form
        yield "in base64url", form.replace(b"+", b"-").replace(b"/", b"_")
    yield "in hex", secret.hex().encode()
    yield "in HEX", secret.hex().upper().encode()


def pieces_of(form):
    ends = [*range(PIECE_BYTES, len(form) + 1, PIECE_BYTES), len(form)]
    return [form[end - PIECE_BYTES : end] for end in ends]


class Canaries:
    def __init__(self):
        self.pieces = {}  # piece -> what it is a piece of
        self.binary = {}  # what is no text is looked for whole

    def add(self, name, secret):
        assert len(secret) >= PIECE_BYTES, f"{name}: too short to be told from anything else"
        if not RUN.fullmatch(secret):
            self.binary[name] = secret
        for form, text in forms_of(secret):
            if RUN.fullmatch(text):
                for piece in pieces_of(text):
                    self.pieces.setdefault(piece, f"{name}, {form}")
        return self

    def add_tokens(self, truth):
        """Each token that the sandbox made, whoever has it."""
        for token in truth["tokens"]:
            self.add_token(token["accessToken"])
        return self

    def add_token(self, token):
        return self.add(token, token.removeprefix(TOKEN_PREFIX).encode())

    def places_in(self, data):
        """Where each piece lies, and of what."""
        for begin, island in islands(data):
            for run in RUN.finditer(island):
                text = run[0]
                for at in range(len(text) - PIECE_BYTES + 1):
                    name = self.pieces.get(text[at : at + PIECE_BYTES])
                    if name is not None:
                        yield begin + run.start() + at, name
            for name, secret in self.binary.items():
                for found in re.finditer(re.escape(secret), island):
                    yield begin + found.start(), name

    def found_in(self, data):
        """The names of those that stand there."""
        return sorted({name for _, name in self.places_in(data)})

    def found_in_record(self, m):
        """The same for a Kafka message: its key, its value, and its headers."""
        parts = [m.key(), m.value(), *(v for _, v in m.headers() or ())]
        return sorted({name for part in parts if part for name in self.found_in(part)})

    def found_in_file(self, path):
        """The same for a file of any size."""
        if path.stat().st_size == 0:
            return []
        with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return self.found_in(data)
