# SPDX-License-Identifier: Apache-2.0
"""What root can see of a live process: its memory, area by area, and the core files that a debugger makes of it."""

import dataclasses
import pathlib
import re
import subprocess

from conftest import BUILD

SANITIZED = any(name in (BUILD / "tokend").read_bytes() for name in (b"__asan_init", b"__tsan_init"))

@dataclasses.dataclass
class Area:
    line: str  # of maps
    flags: set  # VmFlags: lo is locked, dd is left out of a core file
    data: bytes


def areas_of(pid):
    """All that can be read."""
    entries = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", pathlib.Path(f"/proc/{pid}/smaps").read_text(), flags=re.M)
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for entry in filter(None, entries):
            line = entry.splitlines()[0]
            begin, end, rights = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()
            begin, end = int(begin, 16), int(end, 16)
            if rights[0] != "r" or end > 1 << 63:
                continue
            flags = set(re.search(r"^VmFlags:(.*)$", entry, re.M)[1].split())
            try:
                memory.seek(begin)
                yield Area(line, flags, memory.read(end - begin))
            except OSError:
                pass  # a guard page, or the kernel's


def core_of(pid, directory, everything):
    """A core file. It is what the kernel would write if it were allowed to; or everything, with what the process asked
    to be left out."""
    path = directory / f"{'everything' if everything else 'core'}-{pid}"
    command = ["gcore", *(["-a"] if everything else []), "-o", str(path), str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    core = path.with_name(f"{path.name}.{pid}")
    assert done.returncode == 0 and core.exists(), done.stdout + done.stderr
    return core
