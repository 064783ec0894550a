"""Docker's credential helpers: `docker-credential-NAME get`, store, erase, list."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from image_tools.errors import EnvironmentProblem, ToolMissing
from image_tools.logins.auth_file import Credentials
from image_tools.machine.cancel import Cancel
from image_tools.machine.run import CompletedRun, run
from image_tools.machine.trusted_paths import trusted_search_path

HELPER_SECONDS = 30.0
_NAME = re.compile(r"[A-Za-z0-9._-]+")
# What helpers say instead of a login (docker-credential-helpers, "credentials/error.go").
_NOT_FOUND = "credentials not found"
_TOKEN_USER = "<token>"
_LONGEST_WORDS = 200
# Passwords of this program's own options: no helper has to see them.
_OWN_PASSWORDS = frozenset(
    {"DOCKER_PASSWORD", "DEST_PASSWORD", "SOURCE_PASSWORD", "IMAGE_TOOLS_PASSWORD"}
)
_ADVICE = "run the helper by hand, or take it out of credHelpers and credsStore"


def ask_helper(
    name: str, server: str, environ: Mapping[str, str], cancel: Cancel | None = None
) -> Credentials | None:
    """Return the login that the helper `name` keeps for `server`, None if it knows none.

    `server` is the key as the auth file writes it. EnvironmentProblem names the helper if it is
    missing, fails, takes more than 30 seconds or answers something else. Blocks.
    """
    return parse_answer(name, _run(name, "get", server.encode(), environ, cancel))


def store_with_helper(
    name: str, server: str, credentials: Credentials, environ: Mapping[str, str]
) -> None:
    """Let the helper `name` keep a login; EnvironmentProblem as in `ask_helper`."""
    login = {
        "ServerURL": server,
        "Username": credentials.username,
        "Secret": credentials.password,
    }
    _done(name, _run(name, "store", json.dumps(login).encode(), environ))


def erase_with_helper(name: str, server: str, environ: Mapping[str, str]) -> bool:
    """Let the helper `name` forget the login for `server`, and return whether it knew one."""
    if ask_helper(name, server, environ) is None:
        return False
    _done(name, _run(name, "erase", server.encode(), environ))
    return True


def listed_by_helper(name: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the servers that the helper `name` keeps logins for."""
    done = _run(name, "list", b"", environ)
    _done(name, done)
    try:
        listed = json.loads(done.stdout or b"{}")
    except (ValueError, RecursionError):
        raise _problem(name, "answered no JSON") from None
    return tuple(listed) if isinstance(listed, dict) else ()


def _run(
    name: str,
    action: str,
    stdin: bytes,
    environ: Mapping[str, str],
    cancel: Cancel | None = None,
) -> CompletedRun:
    path = _path(name, environ)
    environment = {key: value for key, value in environ.items() if key not in _OWN_PASSWORDS}
    environment["PATH"] = trusted_search_path(environ)
    return run(
        (path, action),
        environment=environment,
        timeout=HELPER_SECONDS,
        stdin=stdin,
        cancel=cancel,
    )


def _done(name: str, done: CompletedRun) -> None:
    _refuse_unfinished(name, done)
    if done.returncode != 0:
        said = done.stdout.decode(errors="replace")
        raise _problem(name, f"failed with {done.returncode}{_words(said, done.stderr)}")


def parse_answer(name: str, done: CompletedRun) -> Credentials | None:
    """Return the login in what a helper printed, None if it said that it knows none."""
    _refuse_unfinished(name, done)
    said = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        if _NOT_FOUND in f"{said}\n{done.stderr}".lower():
            return None
        raise _problem(name, f"failed with {done.returncode}{_words(said, done.stderr)}")
    try:
        answer = json.loads(said)
    except (ValueError, RecursionError):
        # Without the cause: its text would hold what the helper printed.
        raise _problem(name, "answered no JSON") from None
    return _login(name, answer)


def _refuse_unfinished(name: str, done: CompletedRun) -> None:
    if done.timed_out or done.cancelled:
        how = f"gave no answer in {HELPER_SECONDS:.0f} s" if done.timed_out else "was stopped"
        raise _problem(name, how)


def _login(name: str, answer: object) -> Credentials | None:
    fields = answer if isinstance(answer, dict) else {}
    username, secret = fields.get("Username"), fields.get("Secret")
    if not isinstance(username, str) or not isinstance(secret, str):
        raise _problem(name, "answered without Username and Secret")
    if not secret:
        return None
    if username == _TOKEN_USER:
        return Credentials("", identity_token=secret)
    return Credentials(username, secret)


def _path(name: str, environ: Mapping[str, str]) -> str:
    if not _NAME.fullmatch(name):
        raise EnvironmentProblem(
            f"{name!r} is no name of a credential helper: letters, digits, dot, dash, underline"
        )
    found = shutil.which(f"docker-credential-{name}", path=trusted_search_path(environ))
    if found is None:
        raise ToolMissing(
            f"docker-credential-{name} is not in PATH, though an auth file names it",
            advice="install it, or take it out of credHelpers and credsStore",
        )
    return str(Path(found).absolute())


def _words(stdout: str, stderr: str) -> str:
    """Return the first line of what it said; empty if that could be a login in JSON."""
    lines = [line.strip() for line in f"{stdout}\n{stderr}".splitlines() if line.strip()]
    if not lines or any(mark in line for line in lines for mark in "{}"):
        return ""
    said = "".join(letter if letter.isprintable() else " " for letter in lines[0])
    return f": {said[:_LONGEST_WORDS]}"


def _problem(name: str, how: str) -> EnvironmentProblem:
    return EnvironmentProblem(f"docker-credential-{name} {how}", advice=_ADVICE)
