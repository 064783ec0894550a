"""Credential helpers: what they are given, what their answers mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_tools.errors import EnvironmentProblem, ToolMissing
from image_tools.logins.auth_file import Credentials
from image_tools.logins.credential_helper import CredentialHelper
from image_tools.machine.run import CompletedRun


def ended(stdout: str = "", stderr: str = "", **fields: object) -> CompletedRun:
    values = {"argv": ("x", "get"), "returncode": 0, **fields}
    return CompletedRun(stdout=stdout.encode(), stderr=stderr, **values)  # type: ignore[arg-type]


ANSWERS = {
    "login": (ended('{"ServerURL":"r","Username":"me","Secret":"s"}'), Credentials("me", "s")),
    "identity-token": (
        ended('{"Username":"<token>","Secret":"refresh"}'),
        Credentials("", identity_token="refresh"),
    ),
    "no-secret": (ended('{"Username":"","Secret":""}'), None),
    "not-found": (ended("credentials not found in native keychain\n", returncode=1), None),
    "not-found-on-stderr": (ended("", "Error: Credentials not found", returncode=2), None),
}


@pytest.mark.parametrize(("done", "login"), ANSWERS.values(), ids=ANSWERS)
def test_login_in_answer_of_helper_is_given(done: CompletedRun, login: Credentials | None) -> None:
    assert CredentialHelper("x", {}).login_in(done) == login


FAILURES = {
    "said-why": (
        ended("pass not initialized\nmore", returncode=1),
        "failed with 1: pass not initialized",
    ),
    "said-on-stderr": (
        ended("", "boom\x1b[1m\n", returncode=3),
        "failed with 3: boom [1m",
    ),
    "said-a-secret": (
        ended('{"Secret":"hidden"}', "boom", returncode=1),
        "failed with 1",
    ),
    "no-json": (ended("hidden"), "answered no JSON"),
    "list": (ended('["hidden"]'), "answered without Username and Secret"),
    "no-user": (ended('{"Secret":"hidden"}'), "answered without Username and Secret"),
    "timed-out": (ended(returncode=-15, timed_out=True), "gave no answer in 30 s"),
    "cancelled": (ended(returncode=-15, cancelled=True), "was stopped"),
}


@pytest.mark.parametrize(("done", "message"), FAILURES.values(), ids=FAILURES)
def test_login_in_unusable_answer_names_helper_and_no_secret(
    done: CompletedRun, message: str
) -> None:
    with pytest.raises(EnvironmentProblem) as caught:
        CredentialHelper("x", {}).login_in(done)

    assert (caught.value.message, caught.value.__cause__) == (
        f"docker-credential-x {message}",
        None,
    )


def test_ask_helper_runs_it_from_path_without_our_passwords(tmp_path: Path) -> None:
    helper = tmp_path / "docker-credential-ecr-login"
    helper.write_text("")
    helper.chmod(0o755)
    seen: list[tuple[object, ...]] = []

    def run(argv: tuple[str, ...], **given: object) -> CompletedRun:
        seen.append((argv, given["environment"], given["stdin"], given["timeout"]))
        return ended('{"Username":"me","Secret":"s"}')

    environ = {"PATH": str(tmp_path), "AWS_PROFILE": "x", "DOCKER_PASSWORD": "p"}

    found = CredentialHelper("ecr-login", environ, run).ask("r.example:5000")

    kept = {"PATH": str(tmp_path), "AWS_PROFILE": "x"}
    assert found == Credentials("me", "s")
    assert seen == [((str(helper), "get"), kept, b"r.example:5000", 30.0)]


@pytest.mark.parametrize("name", ["../evil", "a b", "x;y", "", "a/b", "é"])
def test_ask_helper_name_with_other_letters_is_refused(name: str) -> None:
    with pytest.raises(EnvironmentProblem, match="no name of a credential helper"):
        CredentialHelper(name, {}).ask("r.example")


def test_ask_helper_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match="docker-credential-nope is not in PATH"):
        CredentialHelper("nope", {"PATH": str(tmp_path)}).ask("r.example")


@pytest.mark.parametrize("path", ["", ".", "bin", ":/nowhere:."])
def test_ask_helper_planted_in_the_working_folder_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    for folder in (tmp_path, tmp_path / "bin"):
        folder.mkdir(exist_ok=True)
        (folder / "docker-credential-lab").write_text("#!/bin/sh\n")
        (folder / "docker-credential-lab").chmod(0o755)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ToolMissing, match="docker-credential-lab is not in PATH"):
        CredentialHelper("lab", {"PATH": path}).ask("r.example")
