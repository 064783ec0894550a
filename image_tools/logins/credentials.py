"""The login for a repository: the user's own, from auth files, from credential helpers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from image_tools.errors import EnvironmentProblem
from image_tools.logins.auth_file import AuthFile, Credentials, server_key
from image_tools.logins.auth_store import auth_files, read_auth_file
from image_tools.logins.credential_helper import CredentialHelper
from image_tools.machine.cancel import Cancel

__all__ = ["Credentials", "Keyring"]
OpenHelper = Callable[[str, Mapping[str, str]], CredentialHelper]


@dataclass(frozen=True, slots=True)
class _Answer:
    """The answer of a helper, and its time (seconds of the keyring's clock)."""

    login: Credentials | EnvironmentProblem | None
    ended: float


class Keyring:
    """Finds the login for a repository; files are read once, helpers are asked every time.

    `explicit` goes before all files. `on_secret(secret, username)` is called with every secret that
    is found. `open_helper` gives a helper by its name, `clock` gives seconds.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        explicit: Credentials | None = None,
        *,
        on_secret: Callable[[str, str], None] | None = None,
        open_helper: OpenHelper = CredentialHelper,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environ, self._explicit, self._on_secret = environ, explicit, on_secret
        self._open_helper, self._clock = open_helper, clock
        self._files: dict[Path, AuthFile] = {}
        self._answers: dict[tuple[str, str], _Answer] = {}
        self._one_at_a_time = threading.Lock()

    def use(self, credentials: Credentials) -> None:
        """Return `credentials` from now on, whatever files and helpers say."""
        self._explicit = credentials

    async def find(self, registry: str, repository: str) -> Credentials | None:
        """Return the login for `repository` of `registry`, None if there is none.

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
            must_be = bool(self._environ.get("REGISTRY_AUTH_FILE"))
            self._files[path] = read_auth_file(path, must_be=must_be)
        return self._files[path]

    def _helped(self, name: str, server: str, cancel: Cancel) -> Credentials | None:
        begun = self._clock()
        with self._one_at_a_time:
            answer = self._answers.get((name, server))
            # An answer that came while this thread waited for the lock is newer than the question.
            if answer is None or answer.ended < begun:
                answer = self._asked(name, server, cancel)
        if isinstance(answer.login, EnvironmentProblem):
            # Many share it, and raising an error changes it.
            raise EnvironmentProblem(answer.login.message, advice=answer.login.advice)
        return answer.login

    def _asked(self, name: str, server: str, cancel: Cancel) -> _Answer:
        login: Credentials | EnvironmentProblem | None
        try:
            login = self._open_helper(name, self._environ).ask(server, cancel)
        except EnvironmentProblem as error:
            if cancel.is_set():
                raise
            login = error
        answer = self._answers[name, server] = _Answer(login, self._clock())
        return answer
