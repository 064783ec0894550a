from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from image_tools.commands.check_machine import (
    Check,
    CheckResult,
    Checkup,
    Machine,
    good,
    machine_checks,
    wrong,
)

WRONG = CheckResult.WRONG


BARE = Machine(system="Linux", os_release=Path("/nowhere"), plugin_folders=())


def checks(home: Path, machine: Machine = BARE, **environ: str) -> dict[str, list[Check]]:
    """Give the checks of a machine without tools, by name."""
    found: dict[str, list[Check]] = {}
    base = {"HOME": str(home), "PATH": "", "TMPDIR": str(home), "XDG_RUNTIME_DIR": str(home)}
    for check in machine_checks({**base, **environ}, home / "state/state.db", machine):
        found.setdefault(check.name, []).append(check)
    return found


@pytest.fixture
def docker_file(tmp_path: Path) -> Path:
    path = tmp_path / ".docker/config.json"
    path.parent.mkdir()
    path.write_text('{"auths": {"r.example": {"auth": "eDp5"}}}')
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("release", "command"),
    [
        ("ID=ubuntu\nID_LIKE=debian\n", "sudo apt-get install skopeo"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "sudo dnf install skopeo"),
        ("ID=alpine\n", "sudo apk add skopeo"),
        ("ID=other\n", "install it"),
        (None, "install it"),
    ],
)
def test_checks_tool_missing_gives_the_command_of_this_system(
    tmp_path: Path, release: str | None, command: str
) -> None:
    if release is not None:
        (tmp_path / "os-release").write_text(release)
    (check,) = checks(tmp_path, replace(BARE, os_release=tmp_path / "os-release"))["skopeo"]

    assert (check.verdict, check.finding) == (WRONG, "skopeo is not installed")
    assert check.remedy.startswith(command)


def others_may_read(path: Path) -> None:
    path.chmod(0o644)


def damage(path: Path) -> None:
    path.write_text("{")


@pytest.mark.parametrize(
    ("harm", "finding", "remedy"),
    [
        (others_may_read, "others on this machine may use it (mode 0644)", "chmod 600 {}"),
        (damage, "damaged, no auth file in JSON", "python3 -m json.tool {}"),
    ],
)
def test_checks_login_file_with_a_fault_says_what_mends_it(
    tmp_path: Path, docker_file: Path, harm: Callable[[Path], None], finding: str, remedy: str
) -> None:
    assert checks(tmp_path)["login file"] == [good("login file", str(docker_file))]
    harm(docker_file)

    expected = wrong("login file", f"{docker_file}: {finding}", remedy.format(docker_file))
    assert checks(tmp_path)["login file"] == [expected]


def test_checks_named_login_file_that_is_missing_is_wrong(tmp_path: Path) -> None:
    (check,) = checks(tmp_path, REGISTRY_AUTH_FILE=str(tmp_path / "none"))["login file"]

    assert (check.verdict, check.remedy) == (WRONG, "unset REGISTRY_AUTH_FILE")


@pytest.mark.parametrize(
    ("environ", "finding", "verdict"),
    [
        ({"HTTPS_PROXY": "http://me:secret@proxy:3128"}, "HTTPS_PROXY: proxy", CheckResult.OK),
        ({"https_proxy": "proxy:3128", "no_proxy": "*"}, "https_proxy: proxy", CheckResult.OK),
        ({"HTTP_PROXY": "socks5://proxy"}, "only http and https are spoken", WRONG),
        (
            {"HTTP_PROXY": "http://"},
            "HTTP_PROXY names no proxy: HOST:PORT or http://HOST:PORT is expected",
            WRONG,
        ),
    ],
)
def test_checks_proxy_is_named_without_its_login(
    tmp_path: Path, environ: dict[str, str], finding: str, verdict: CheckResult
) -> None:
    (check,) = checks(tmp_path, **environ)["proxy"]

    assert (finding in check.finding, check.verdict) == (True, verdict)
    assert "secret" not in check.finding
    assert check.remedy == ("unset HTTP_PROXY" if verdict is WRONG else "")


def test_checks_certificate_that_is_none_is_named(tmp_path: Path) -> None:
    folder = tmp_path / ".config/containers/certs.d/reg.example:5000"
    folder.mkdir(parents=True)
    (folder / "ca.crt").write_text("no certificate")
    system, own = checks(tmp_path)["certificates"]

    assert (system.verdict, own.verdict) == (CheckResult.OK, WRONG)
    assert own.finding == f"{folder}/ca.crt: no certificate in PEM format in it"
    assert own.remedy == f"ls -l {folder}/ca.crt"


def test_checks_policy_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / ".config/containers/policy.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    (check,) = checks(tmp_path)["signature policy"]

    assert (check.verdict, check.remedy) == (WRONG, f"ls -l {path}")


@pytest.mark.parametrize("name", ["temporary files", "state"])
def test_checks_full_disk_is_wrong(tmp_path: Path, name: str) -> None:
    assert [check.verdict for check in checks(tmp_path)[name]] == [CheckResult.OK]
    (check,) = checks(tmp_path, replace(BARE, free=lambda _: 1))[name]

    assert (check.verdict, check.finding) == (WRONG, f"0.0 GB free in {tmp_path}")


def test_checks_temporary_folder_that_is_a_file_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (check,) = checks(tmp_path, TMPDIR=str(tmp_path / "file"))["temporary files"]

    assert (check.verdict, check.remedy) == (WRONG, "export TMPDIR=FOLDER_WITH_ROOM")


@pytest.mark.parametrize(("verdicts", "code"), [("ok note", 0), ("ok wrong note", 1), ("", 0)])
def test_checkup_fails_when_something_is_wrong(verdicts: str, code: int) -> None:
    found = Checkup(
        tuple(Check(name="x", verdict=CheckResult(word), finding="y") for word in verdicts.split())
    )

    assert (found.exit_code, found.to_json()["ok"]) == (code, code == 0)
