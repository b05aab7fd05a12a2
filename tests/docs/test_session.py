# SPDX-License-Identifier: Apache-2.0
"""Goal: the README's session with the sandbox, typed as it stands there, does what it says.

TOKEND_BUILD names the folder of the built programs (default build/release).
"""
import contextlib
import json
import os
import re
import signal
import subprocess

from test_docs import README, ROOT, blocks

BUILD = ROOT / os.environ.get("TOKEND_BUILD", "build/release")
MOST_S = 60


def typed(session, folder):
    """What it says on standard output. What it leaves running is ended, whatever became of it."""
    environment = {**os.environ, "PATH": f"{BUILD}:{os.environ['PATH']}"}
    with open(folder / "said", "w") as said, open(folder / "errors", "w") as errors:
        shell = subprocess.Popen(["bash", "-ec", session + "\nkill $(jobs -p)\nwait"], cwd=folder, env=environment,
                                 stdin=subprocess.DEVNULL, stdout=said, stderr=errors, start_new_session=True)
        try:
            status = shell.wait(MOST_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
    assert status == 0, (folder / "errors").read_text()
    return (folder / "said").read_text()


def test_a_cut_answer_costs_a_token_and_delivers_one(tmp_path):
    assert {p.name for p in BUILD.glob("token*")} >= {"tokend", "tokenctl", "tokend-sandbox"}, f"{BUILD} is not built"
    (session,) = blocks(README, "sh")
    said = typed(session, tmp_path)
    delivered = re.findall(r"apiv1_[0-9a-f]{64}", said)
    truth = json.loads(said[said.rindex('{"requests"'):])
    assert len(delivered) == 1 and truth["n_posts"] == truth["n_tokens"] == 2
    assert delivered[0] not in (tmp_path / "tokend.log").read_text()
