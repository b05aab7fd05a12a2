# SPDX-License-Identifier: Apache-2.0
"""The messages of proto/, for tests: modules made now, and descriptors of any folder of .proto files."""

import atexit
import pathlib
import shutil
import subprocess
import sys
import tempfile

from google.protobuf.descriptor_pb2 import FileDescriptorSet

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROTO = ROOT / "proto"
FILES = ("tokend/v1/token.proto", "tokend/v1/journal.proto")


def protoc(folder, *output):
    subprocess.run(["protoc", f"-I{folder}", *output, *FILES], check=True)


def descriptors(folder):
    """File name -> FileDescriptorProto, as protoc reads it in that folder."""
    with tempfile.NamedTemporaryFile(prefix="tokend-protos.") as f:
        protoc(folder, f"--descriptor_set_out={f.name}")
        found = FileDescriptorSet.FromString(f.read())
    return {file.name: file for file in found.file}


def _modules():
    directory = tempfile.mkdtemp(prefix="tokend-protos.")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    protoc(PROTO, f"--python_out={directory}")
    sys.path.insert(0, directory)
    from tokend.v1 import journal_pb2, token_pb2

    return token_pb2, journal_pb2


token_pb2, journal_pb2 = _modules()
