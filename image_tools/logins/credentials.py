"""Where logins come from: the user's own, auth files, credential helpers."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from image_tools.errors import EnvironmentProblem
from image_tools.logins.auth_file import (
    AuthFile,
    Credentials,
    parse_auth_file,
    server_key,
)
from image_tools.logins.credential_helper import ask_helper
from image_tools.machine.cancel import Cancel

__all__ = ["Credentials", "Keyring"]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a helper answered, and when (`time.monotonic()`)."""

    login: Credentials | EnvironmentProblem | None
    ended: float


class Keyring:
    """Finds the login for a repository; files are read once, helpers are asked every time.

    `explicit` goes before all files. `on_secret(secret, username)` hears of every secret found.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        explicit: Credentials | None = None,
        *,
        on_secret: Callable[[str, str], None] | None = None,
    ) -> None:
        self._environ, self._explicit, self._on_secret = environ, explicit, on_secret
        self._files: dict[Path, AuthFile] = {}
        self._answers: dict[tuple[str, str], _Answer] = {}
        self._one_at_a_time = threading.Lock()

    def use(self, credentials: Credentials) -> None:
        """Give `credentials` from now on, whatever files and helpers say."""
        self._explicit = credentials

    async def find(self, registry: str, repository: str) -> Credentials | None:
        """The login for `repository` of `registry`; None when there is none.

        EnvironmentProblem names the file or the helper that cannot be used.
        """
        found = self._explicit
        if found is None:
            cancel = Cancel()
            try:
                found = await asyncio.to_thread(self._search, registry, repository, cancel)
            finally:
                cancel.set()
        self._tell(found)
        return found

    def _tell(self, found: Credentials | None) -> None:
        if found is None or self._on_secret is None:
            return
        for secret in (found.password, found.identity_token):
            if secret:
                self._on_secret(secret, found.username)

    def _search(self, registry: str, repository: str, cancel: Cancel) -> Credentials | None:
        for path in auth_files(self._environ):
            found = self._search_file(path, registry, repository, cancel)
            if found is not None:
                return found
        return None

    def _search_file(
        self, path: Path, registry: str, repository: str, cancel: Cancel
    ) -> Credentials | None:
        file = self._file(path)
        own = file.helper_key(registry)
        if own is not None and (found := self._helped(file.helpers[own], own, cancel)):
            return found
        key = file.login_key(registry, repository)
        if key is not None:
            login = file.auths[key]
            if login is None:
                raise EnvironmentProblem(
                    f"{path}: the entry of {key} holds no user name and password",
                    advice=f"log in again: image-tools login {registry}",
                )
            return login
        if file.store and own is None:
            return self._helped(file.store, server_key(registry), cancel)
        return None

    def _file(self, path: Path) -> AuthFile:
        if path not in self._files:
            self._files[path] = _read(path, must_be=bool(self._environ.get("REGISTRY_AUTH_FILE")))
        return self._files[path]

    def _helped(self, name: str, server: str, cancel: Cancel) -> Credentials | None:
        begun = time.monotonic()
        with self._one_at_a_time:
            answer = self._answers.get((name, server))
            # Who waited here while another asked takes that answer: it is newer than the question.
            if answer is None or answer.ended < begun:
                answer = self._asked(name, server, cancel)
        if isinstance(answer.login, EnvironmentProblem):
            raise EnvironmentProblem(answer.login.message, advice=answer.login.advice)
        return answer.login

    def _asked(self, name: str, server: str, cancel: Cancel) -> _Answer:
        login: Credentials | EnvironmentProblem | None
        try:
            login = ask_helper(name, server, self._environ, cancel)
        except EnvironmentProblem as error:
            if cancel.is_set():
                raise
            login = error
        answer = self._answers[name, server] = _Answer(login, time.monotonic())
        return answer


def auth_files(environ: Mapping[str, str]) -> Iterator[Path]:
    """The files that may hold logins, the first first (containers-auth.json(5), docker's CLI)."""
    alone = environ.get("REGISTRY_AUTH_FILE")
    if alone:
        yield Path(alone)
        return
    home = Path(environ.get("HOME") or Path.home())
    runtime = environ.get("XDG_RUNTIME_DIR")
    # Without a runtime folder (root, cron) `skopeo login` writes below /run.
    yield (
        Path(runtime) / "containers/auth.json"
        if runtime
        else (Path(f"/run/containers/{os.getuid()}/auth.json"))
    )
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "containers/auth.json"
    yield Path(environ.get("DOCKER_CONFIG") or home / ".docker") / "config.json"


def _read(path: Path, *, must_be: bool) -> AuthFile:
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        if must_be:
            raise EnvironmentProblem(
                f"{path}: REGISTRY_AUTH_FILE names it, but it is not there"
            ) from error
        return AuthFile()
    except OSError as error:
        raise EnvironmentProblem(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return parse_auth_file(content)
    except ValueError:
        # Without the cause: a JSON error carries the whole text.
        raise EnvironmentProblem(
            f"{path}: damaged, no auth file in JSON", advice="repair it, or move it away"
        ) from None
