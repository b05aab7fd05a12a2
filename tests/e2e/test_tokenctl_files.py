# SPDX-License-Identifier: Apache-2.0
"""Goal: keys are made, shown and exported without a secret ever shown; config check finds what would otherwise be a
timeout; help and manual pages tell of every command and flag, and are good troff.
"""

import base64
import hashlib
import os
import re
import shutil
import stat
import subprocess

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from typed import BUILD, here, init, raw, secret_of, tokenctl  # noqa: F401

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
COMMANDS = re.findall(r"^  ((?:[a-z]+ )?[a-z]+)  ", tokenctl("help").stdout, re.M)


def public_of(kind, path):
    private = X25519PrivateKey if kind == "box" else Ed25519PrivateKey
    return raw(private.from_private_bytes(secret_of(path)).public_key())


def fingerprint(public):
    return "sha256:" + hashlib.sha256(public).hexdigest()[:16]


def shown(text):
    """The lines `name  value` that keys make and keys show print, as (name, value)."""
    return [tuple(line.split(None, 1)) for line in text.splitlines() if re.match(r"[a-z]+  +\S", line)]


# ---- keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, public_line, private_line",
    [
        ("signing", {"id": "next", "ed25519": "PUBLIC"}, "signing_key"),
        ("box", {"id": "next", "suite": "sealedbox-x25519", "key": "PUBLIC"}, "box_key"),
        ("service", {"id": "next", "ed25519": "PUBLIC"}, "signing_key"),
    ],
)
def test_a_pair_is_made_and_the_lines_to_paste_are_printed(tmp_path, kind, public_line, private_line):
    path = tmp_path / "next.key"
    done = tokenctl("keys", "make", kind, path)
    assert (done.returncode, done.stderr) == (0, "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    public = public_of(kind, path)
    text = base64.b64encode(public).decode()
    assert shown(done.stdout) == [
        ("file", str(path)),
        ("kind", kind),
        ("id", "next"),
        ("public", text),
        ("fingerprint", fingerprint(public)),
    ]
    pasted = [yaml.safe_load(line) for line in done.stdout.splitlines() if line.startswith("  ")]
    assert pasted == [
        [{k: text if v == "PUBLIC" else v for k, v in public_line.items()}],
        {private_line: {"id": "next", "file": str(path)}},
    ]
    assert path.read_text().strip() not in done.stdout


def test_a_key_is_never_written_over(tmp_path):
    path = tmp_path / "a.key"
    assert tokenctl("keys", "make", "box", path).returncode == 0
    before = path.read_text()
    done = tokenctl("keys", "make", "box", path)
    assert (done.returncode, done.stdout) == (2, "") and f"{path} exists already" in done.stderr
    assert path.read_text() == before


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["make"], "wants two words"),
        (["make", "signing"], "wants two words"),
        (["make", "frob", "f"], 'not "frob"'),
        (["make", "box", "a b.key"], '"a b"'),
        (["make", "box", "f", "--id", "a:b"], '"a:b" is not 1 to 64'),
        (["make", "box", "/nowhere/at/all"], "/nowhere/at"),
        (["show"], "wants one FILE"),
        (["show", "/nowhere"], "/nowhere"),
        (["show", "/etc/hostname"], "/etc/hostname is no key file"),
        (["show", "--kind", "frob", "f"], 'not "frob"'),
        (["export"], "tokend.yaml"),
        (["export", "signing.key"], '"signing.key" is not ID=FILE'),
        (["export", "a=/nowhere"], "/nowhere"),
    ],
)
def test_wrong_key_commands_are_told_by_name(tmp_path, arguments, said):
    done = tokenctl("keys", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name, kind", [("telemetry.signing.key", "signing"), ("telemetry.box.key", "box")])
def test_a_key_of_a_profile_is_shown_by_its_name_there(here, name, kind):
    done = tokenctl("--config", here / "tokenctl.yaml", "keys", "show", here / name)
    assert (done.returncode, done.stderr) == (0, "")
    public = public_of(kind, here / name)
    assert shown(done.stdout) == [
        ("file", str(here / name)),
        ("kind", f"{kind} ({kind}_key of profile default)"),
        ("id", f"telemetry-{'sign' if kind == 'signing' else 'box'}-1"),
        ("public", base64.b64encode(public).decode()),
        ("fingerprint", fingerprint(public)),
    ]
    assert (here / name).read_text().strip() not in done.stdout


def test_a_key_of_no_profile_is_shown_as_either_or_as_one_says(here):
    path = here / "signing.key"
    either, one = tokenctl("keys", "show", path), tokenctl("keys", "show", "--kind", "signing", path)
    publics = [base64.b64encode(public_of(kind, path)).decode() for kind in ("signing", "box")]
    assert [value for name, value in shown(either.stdout) if name == "public"] == [
        f"{publics[0]} (as a signing key)",
        f"{publics[1]} (as a box key)",
    ]
    assert [value for name, value in shown(one.stdout) if name == "public"] == [publics[0]]


def test_a_key_that_others_can_read_is_warned_of(here):
    (here / "telemetry.box.key").chmod(0o644)
    done = tokenctl("--config", here / "tokenctl.yaml", "keys", "show", here / "telemetry.box.key")
    assert done.returncode == 0 and "can be read by others on this machine; chmod 600 mends it" in done.stderr


def test_the_service_s_keys_are_exported_as_requesters_pin_them(here):
    assert tokenctl("keys", "make", "service", here / "next.key").returncode == 0
    pinned = yaml.safe_load((here / "tokenctl.yaml").read_text())["profiles"][0]["service_keys"]
    for where in (
        ["--config", here / "tokenctl.yaml", "keys", "export"],
        ["keys", "export", "--tokend-config", here / "tokend.yaml"],
    ):
        done = tokenctl(*where)
        assert done.returncode == 0, done.stderr
        assert yaml.safe_load(done.stdout) == {"service_keys": pinned}
    both = tokenctl("keys", "export", f"tokend-1={here}/signing.key", f"tokend-2={here}/next.key")
    assert yaml.safe_load(both.stdout) == {
        "service_keys": pinned
        + [{"id": "tokend-2", "ed25519": base64.b64encode(public_of("service", here / "next.key")).decode()}]
    }


# ---- config check ---------------------------------------------------------------------------------------------------


def check(here, *more):
    return tokenctl("--config", here / "tokenctl.yaml", "config", "check", *more)


def with_token(here):
    (here / "management-token").write_text("secret\n")
    (here / "management-token").chmod(0o600)


def test_what_init_writes_is_good(here):
    with_token(here)
    done = check(here, "--tokend-config", here / "tokend.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{here}/tokend.yaml: good", f'profile "default" in {here}/tokenctl.yaml: good']
    assert check(here, here / "tokenctl.yaml").returncode == 0


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    "spoil, said",
    [
        (lambda d: (d / "tokenctl.yaml").unlink(), "tokenctl init makes one"),
        (lambda d: (d / "tokenctl.yaml").write_text("profiles: [}"), "tokenctl.yaml"),
        (lambda d: (d / "telemetry.box.key").unlink(), "box_key: "),
        (lambda d: (d / "telemetry.signing.key").write_text("frob\n"), "telemetry.signing.key is no key file"),
        (lambda d: (d / "telemetry.signing.key").chmod(0o644), "telemetry.signing.key can be read by others"),
        (
            lambda d: change(d / "tokenctl.yaml", "bootstrap.servers", "bootstrap.frob"),
            'No such configuration property: "bootstrap.frob"',
        ),
        (lambda d: (d / "state").write_text(""), "is no directory that can be written to"),
        (lambda d: change(d / "tokenctl.yaml", 'ed25519: "', 'ed25519: "A'), "is not the base64 of 32 bytes"),
        (lambda d: (d / "tokenctl.yaml").write_text((d / "tokenctl.yaml").read_text() * 2), "profiles"),
        (lambda d: (d / "management-token").unlink(), "cluster main: "),
        (lambda d: (d / "management-token").chmod(0o604), "management-token can be read by others"),
        (lambda d: (d / "signing.key").unlink(), "signing_key: "),
        (lambda d: change(d / "tokend.yaml", "policy_file", "policy_fiel"), "policy_fiel"),
        (lambda d: change(d / "policy.yaml", "version: 1", "version: 7"), "policy.yaml"),
        (
            lambda d: change(d / "tokenctl.yaml", "tokend.requests", "frob"),
            "writes to the topic frob, the service reads tokend.requests",
        ),
        (
            lambda d: change(d / "tokenctl.yaml", "tokend.replies", "frob"),
            "reads the topic frob, the service writes to tokend.replies",
        ),
        (lambda d: change(d / "tokenctl.yaml", "partitions: 6", "partitions: 7"), "says 7 partitions, the service 6"),
        (
            lambda d: change(d / "tokenctl.yaml", 'cluster: "main"', 'cluster: "mars"'),
            "names the cluster mars, which the service does not",
        ),
        (
            lambda d: change(d / "tokenctl.yaml", "telemetry-sign-1", "frob"),
            "signs with the key frob, which the policy does not give",
        ),
        (
            lambda d: change(d / "tokenctl.yaml", "telemetry-box-1", "frob"),
            "sealed to the key frob, which the policy does not give",
        ),
        (
            lambda d: change(d / "tokenctl.yaml", 'principal: "telemetry"', 'principal: "billing"'),
            "does not give to principal billing",
        ),
        (
            lambda d: shutil.copy(d / "signing.key", d / "telemetry.signing.key"),
            "another key by the name telemetry-sign-1 than",
        ),
        (
            lambda d: shutil.copy(d / "signing.key", d / "telemetry.box.key"),
            "another key by the name telemetry-box-1 than",
        ),
        (
            lambda d: shutil.copy(d / "telemetry.signing.key", d / "signing.key"),
            "does not believe the service's key tokend-1",
        ),
    ],
)
def test_what_is_wrong_is_found(here, spoil, said):
    with_token(here)
    spoil(here)
    done = check(here, "--tokend-config", here / "tokend.yaml")
    assert done.returncode == 1
    assert said in done.stderr
    assert "finding" in done.stderr.splitlines()[-1]


def test_all_findings_are_told(here):
    (here / "telemetry.box.key").unlink()
    (here / "telemetry.signing.key").chmod(0o644)
    done = check(here, "--tokend-config", here / "tokend.yaml")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == "tokenctl: 3 findings"
    assert all(name in done.stderr for name in ("management-token", "telemetry.box.key", "telemetry.signing.key"))


def test_each_profile_is_checked(here):
    path = here / "tokenctl.yaml"
    text = path.read_text()
    block = text[text.index("  - name:") :]
    path.write_text(text + block.replace("telemetry.box.key", "gone.key") + block.replace("default", "third"))
    done = check(here)
    assert done.returncode == 1
    assert 'two profiles of the name "default"' in done.stderr
    assert 'profile "third"' in done.stdout


# ---- help and manual pages ------------------------------------------------------------------------------------------


def test_there_are_commands():
    assert {"token create", "token open", "request make", "reply open", "keys make", "config check"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_reads_like_a_manual_page(command):
    page = tokenctl("help", *command.split()).stdout
    sections = re.findall(r"^[A-Z ]+$", page, re.M)
    assert sections[:3] == ["NAME", "SYNOPSIS", "DESCRIPTION"] and {"GLOBAL OPTIONS", "EXIT STATUS", "FILES"} <= set(
        sections
    )
    assert page.startswith(f"NAME\n    tokenctl {command} - ")
    assert f"SYNOPSIS\n    tokenctl [global flags] {command}" in page
    assert page == tokenctl(*command.split(), "--help").stdout
    filled = [line for line in page.splitlines() if not line.startswith("        tokenctl ")]
    assert max(map(len, filled)) <= 80


def rendered(page):
    """The page as man shows it; good troff is silent."""
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", "-P-c", "-rLL=400n", "-rHY=0"],      # wide, and no word is divided
        input=page, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return re.sub(".\b", "", done.stdout).replace("−", "-").replace("‐", "-")


def test_the_manual_tells_of_every_command_and_flag():
    page = rendered(tokenctl("help", "--man").stdout)
    for command in COMMANDS:
        assert f"tokenctl {command}" in page
        for flag in re.findall(r"^    (?:-\w, )?(--[a-z-]+)", tokenctl("help", *command.split()).stdout, re.M):
            assert flag in page
    assert r"$(date -d \"+7 days\"".replace("\\", "") in page


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_s_page_says_what_its_help_says(command):
    def words(text):
        return " ".join(text.split())

    page = words(rendered(tokenctl("help", "--man", *command.split()).stdout))
    for section in re.split(r"^[A-Z ]+$", tokenctl("help", *command.split()).stdout, flags=re.M):
        for paragraph in filter(None, map(words, section.split("\n\n"))):
            assert paragraph in page


@pytest.mark.parametrize("name, section", [("tokend", 8), ("tokend-sandbox", 1)])
def test_a_page_by_hand_has_every_flag_of_its_program(name, section):
    with open(f"{ROOT}/service/man/{name}.{section}") as f:
        page = rendered(f.read())
    told = subprocess.run(
        [os.path.abspath(os.path.join(BUILD, name)), "--help"], capture_output=True, text=True, timeout=60
    ).stdout
    flags = set(re.findall(r"--[a-z-]+", told))
    assert len(flags) > 3 and not {flag for flag in flags if flag not in page}


def test_make_install_installs_programs_and_pages(tmp_path):
    subprocess.run(
        [
            "make",
            "-s",
            "-C",
            ROOT,
            "-o",
            "all",
            f"B={os.path.relpath(os.path.abspath(BUILD), ROOT)}",
            "install",
            f"DESTDIR={tmp_path}",
            "PREFIX=/usr",
        ],
        check=True,
        timeout=60,
        capture_output=True,
    )
    installed = {
        str(p.relative_to(tmp_path / "usr")): stat.S_IMODE(p.stat().st_mode) for p in tmp_path.rglob("*") if p.is_file()
    }
    assert installed == {
        "bin/tokend": 0o755,
        "bin/tokenctl": 0o755,
        "bin/tokend-sandbox": 0o755,
        "share/man/man1/tokenctl.1": 0o644,
        "share/man/man1/tokend-sandbox.1": 0o644,
        "share/man/man8/tokend.8": 0o644,
    }
    assert (tmp_path / "usr/share/man/man1/tokenctl.1").read_text() == tokenctl("help", "--man").stdout
