"""Docker's credential helpers: `docker-credential-NAME get`, store, erase, list."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from image_tools.errors import EnvironmentProblem, ToolMissing
from image_tools.logins.auth_file import Credentials
from image_tools.machine.cancel import Cancel
from image_tools.machine.run import CompletedRun, run
from image_tools.machine.trusted_paths import trusted_search_path

HELPER_SECONDS = 30.0
_NAME = re.compile(r"[A-Za-z0-9._-]+")
# The message of helpers that have no login (docker-credential-helpers, "credentials/error.go").
_NOT_FOUND = "credentials not found"
_TOKEN_USER = "<token>"
_LONGEST_WORDS = 200
# Passwords of this program's own options: no helper has to see them.
_OWN_PASSWORDS = frozenset(
    {"DOCKER_PASSWORD", "DEST_PASSWORD", "SOURCE_PASSWORD", "IMAGE_TOOLS_PASSWORD"}
)
_ADVICE = "run the helper by hand, or take it out of credHelpers and credsStore"


@dataclass(frozen=True, slots=True)
class CredentialHelper:
    """One helper as an auth file names it; `server` is a key as that file writes it.

    Every method blocks. EnvironmentProblem names the helper if it is missing, fails, takes more
    than 30 seconds or answers something else.
    """

    name: str
    environ: Mapping[str, str] = field(repr=False)
    run: Callable[..., CompletedRun] = run

    def ask(self, server: str, cancel: Cancel | None = None) -> Credentials | None:
        """Return the login that it keeps for `server`, None if it knows none."""
        return self.login_in(self._call("get", server, cancel))

    def keep(self, server: str, credentials: Credentials) -> None:
        """Let it keep a login for `server`."""
        login = {
            "ServerURL": server,
            "Username": credentials.username,
            "Secret": credentials.password,
        }
        self._answer_of(self._call("store", json.dumps(login)))

    def forget(self, server: str) -> bool:
        """Let it forget the login for `server`, and return whether it knew one."""
        if self.ask(server) is None:
            return False
        self._answer_of(self._call("erase", server))
        return True

    def servers(self) -> tuple[str, ...]:
        """Return the servers that it keeps logins for."""
        listed = self._json(self._answer_of(self._call("list")) or "{}")
        return tuple(listed) if isinstance(listed, dict) else ()

    def login_in(self, done: CompletedRun) -> Credentials | None:
        """Return the login in what it printed, None if it said that it knows none."""
        if done.returncode and _NOT_FOUND in f"{_text(done)}\n{done.stderr}".lower():
            self._refuse_unfinished(done)
            return None
        answer = self._json(self._answer_of(done))
        fields = answer if isinstance(answer, dict) else {}
        username, secret = fields.get("Username"), fields.get("Secret")
        if not isinstance(username, str) or not isinstance(secret, str):
            raise self._problem("answered without Username and Secret")
        if not secret:
            return None
        if username == _TOKEN_USER:
            return Credentials("", identity_token=secret)
        return Credentials(username, secret)

    def _call(self, action: str, stdin: str = "", cancel: Cancel | None = None) -> CompletedRun:
        environment = {name: v for name, v in self.environ.items() if name not in _OWN_PASSWORDS}
        environment["PATH"] = trusted_search_path(self.environ)
        return self.run(
            (self._path(), action),
            environment=environment,
            timeout=HELPER_SECONDS,
            stdin=stdin.encode(),
            cancel=cancel,
        )

    def _path(self) -> str:
        if not _NAME.fullmatch(self.name):
            raise EnvironmentProblem(
                f"{self.name!r} is no name of a credential helper: "
                "letters, digits, dot, dash, underline"
            )
        program = f"docker-credential-{self.name}"
        found = shutil.which(program, path=trusted_search_path(self.environ))
        if found is None:
            raise ToolMissing(
                f"{program} is not in PATH, though an auth file names it",
                advice="install it, or take it out of credHelpers and credsStore",
            )
        return str(Path(found).absolute())

    def _answer_of(self, done: CompletedRun) -> str:
        """Return what it printed, if it ended well."""
        self._refuse_unfinished(done)
        if done.returncode != 0:
            words = _first_line(_text(done), done.stderr)
            raise self._problem(f"failed with {done.returncode}{words}")
        return _text(done)

    def _refuse_unfinished(self, done: CompletedRun) -> None:
        if done.timed_out:
            raise self._problem(f"gave no answer in {HELPER_SECONDS:.0f} s")
        if done.cancelled:
            raise self._problem("was stopped")

    def _json(self, text: str) -> object:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            # Without the cause: its text would hold what the helper printed.
            raise self._problem("answered no JSON") from None

    def _problem(self, how: str) -> EnvironmentProblem:
        return EnvironmentProblem(f"docker-credential-{self.name} {how}", advice=_ADVICE)


def _text(done: CompletedRun) -> str:
    return done.stdout.decode(errors="replace")


def _first_line(stdout: str, stderr: str) -> str:
    """Return the first line that it printed; empty if there could be a login in JSON."""
    lines = [line.strip() for line in f"{stdout}\n{stderr}".splitlines() if line.strip()]
    if not lines or any(mark in line for line in lines for mark in "{}"):
        return ""
    said = "".join(letter if letter.isprintable() else " " for letter in lines[0])
    return f": {said[:_LONGEST_WORDS]}"
