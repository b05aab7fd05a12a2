#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the test vectors of the contract:  tests/vectors/make.py [FOLDER]

Written from the contract alone: the .proto files, Ed25519, X25519 and SHA-256. Nothing of the service's code is asked.
Every key comes of a fixed seed and every box of a fixed ephemeral key, so that two runs write the same bytes; a test
holds the files beside this script against a run of it. README.md says what each member means.

Add a vector: add it where its file is made (making/), run this script, commit what it wrote.
"""

import json
import pathlib
import sys

from making.bad_replies import bad_replies
from making.bad_requests import bad_requests
from making.curves import recipient_keys, signatures
from making.kafka import frames, partitions
from making.keys import world
from making.odd_replies import odd_replies
from making.replies import good_boxes, good_replies
from making.requests import good_requests


def main(folder):
    requests = {r.name: r for r in good_requests()}
    boxes = {b.name: b for b in good_boxes(requests)}
    files = {
        "world": world(),
        "requests": [r.vector() for r in requests.values()],
        "boxes": [b.vector() for b in boxes.values()],
        "replies": [r.vector(box) for r, box in good_replies(requests, boxes)],
        "bad_requests": bad_requests(requests),
        "odd_replies": odd_replies(requests, boxes),
        "bad_replies": bad_replies(requests, boxes),
        "signatures": signatures(requests),
        "recipient_keys": recipient_keys(),
        "partitions": partitions(),
        "frames": frames(requests),
    }
    for name, content in files.items():
        text = json.dumps(content, indent=2, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent)
