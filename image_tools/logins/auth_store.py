"""The auth files of this machine: where docker, buildx, skopeo and this program find logins."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from image_tools.errors import EnvironmentProblem
from image_tools.logins.auth_file import (
    AuthFile,
    Credentials,
    parse_auth_file,
    registry_of_key,
    server_key,
    with_login,
    without_logins,
)
from image_tools.logins.credential_helper import CredentialHelper
from image_tools.machine.files import PRIVATE, replace_file
from image_tools.machine.folders import home_folder
from image_tools.machine.trusted_paths import refuse_planted

T = TypeVar("T")


def auth_files(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the files that may hold logins, in the order in which they are asked.

    containers-auth.json(5), then docker's config.json; REGISTRY_AUTH_FILE replaces them all.
    """
    if alone := environ.get("REGISTRY_AUTH_FILE"):
        yield Path(alone)
        return
    home = home_folder(environ)
    # Without a runtime folder (root, cron) `skopeo login` writes below /run.
    runtime = environ.get("XDG_RUNTIME_DIR")
    yield Path(runtime or f"/run/containers/{os.getuid()}") / (
        "containers/auth.json" if runtime else "auth.json"
    )
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "containers/auth.json"
    yield Path(environ.get("DOCKER_CONFIG") or home / ".docker") / "config.json"


def read_auth_file(path: Path, *, must_be: bool = False) -> AuthFile:
    """Return the logins in the file at `path`; none if it is not there.

    Raise EnvironmentProblem if it cannot be read, is damaged, or is missing though it `must_be`
    there.
    """
    content = _content(path)
    if content is None and must_be:
        raise EnvironmentProblem(f"{path}: REGISTRY_AUTH_FILE names it, but it is not there")
    return _parsed(path, content or b"")


def login_file(environ: Mapping[str, str]) -> Path:
    """Return the file new logins go to: REGISTRY_AUTH_FILE, else docker's config.json.

    Of all auth files docker's alone is read by docker, buildx, skopeo and podman.
    """
    *_, last = auth_files(environ)
    return last


def keep_login(
    registry: str, credentials: Credentials, environ: Mapping[str, str]
) -> tuple[str, ...]:
    """Keep a login, and return where: files, or helpers that files name.

    It goes to `login_file`, and replaces each older one that would be found first.
    EnvironmentProblem names a file or a helper that cannot be used.
    """
    last = login_file(environ)
    found = {path: _content(path) or b"" for path in auth_files(environ)}
    return tuple(
        _keep(path, content, registry, credentials, environ)
        for path, content in found.items()
        if path == last or _would_answer(_parsed(path, content), registry)
    )


def forget_logins(registry: str | None, environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Forget the logins for `registry` (None: all), and return registry and place of each."""
    gone: list[tuple[str, str]] = []
    for path in auth_files(environ):
        content = _content(path) or b""
        file = _parsed(path, content)
        # The file is written last: while it names a helper, the helper's login can be found again.
        gone += _forget_helped(path, file, registry, environ)
        left, keys = _edited(path, partial(without_logins, content, registry))
        if keys:
            _write(path, left)
        gone += [(registry_of_key(key), str(path)) for key in keys if key in file.auths]
    return tuple(gone)


def _would_answer(file: AuthFile, registry: str) -> bool:
    own = file.helper_key(registry) or file.login_key(registry, "")
    return bool(own or file.store)


def _keep(
    path: Path,
    content: bytes,
    registry: str,
    credentials: Credentials,
    environ: Mapping[str, str],
) -> str:
    helper = _helper(_parsed(path, content), registry)
    if helper is None:
        _write(path, _edited(path, partial(with_login, content, registry, credentials)))
        return str(path)
    name, server = helper
    # The edit first: a file that cannot be changed must not leave half a login behind.
    marked = _edited(path, partial(with_login, content, registry, None))
    CredentialHelper(name, environ).keep(server, credentials)
    _write(path, marked)
    return f"docker-credential-{name}, named in {path}"


def _helper(file: AuthFile, registry: str) -> tuple[str, str] | None:
    """Return the helper for `registry`, and what the registry is called there."""
    own = file.helper_key(registry)
    if own is not None:
        return file.helpers[own], own
    return (file.store, server_key(registry)) if file.store else None


def _forget_helped(
    path: Path, file: AuthFile, registry: str | None, environ: Mapping[str, str]
) -> list[tuple[str, str]]:
    wanted = _helped(file, environ) if registry is None else {_helper(file, registry)} - {None}
    return [
        (registry_of_key(server), f"docker-credential-{name}, named in {path}")
        for name, server in sorted(filter(None, wanted))
        if CredentialHelper(name, environ).forget(server)
    ]


def _helped(file: AuthFile, environ: Mapping[str, str]) -> set[tuple[str, str] | None]:
    """Return helper and server of every login that helpers of `file` may keep."""
    stored = CredentialHelper(file.store, environ).servers() if file.store else ()
    own = {(name, server) for server, name in file.helpers.items()}
    return {*own, *((file.store, server) for server in stored)}


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise EnvironmentProblem(f"{path}: cannot be read: {error.strerror}") from error


def _parsed(path: Path, content: bytes) -> AuthFile:
    return _edited(path, partial(parse_auth_file, content))


def _edited(path: Path, edit: Callable[[], T]) -> T:
    try:
        return edit()
    except ValueError:
        # Without the cause: a JSON error carries the whole text.
        raise EnvironmentProblem(
            f"{path}: damaged, no auth file in JSON", advice="repair it, or move it away"
        ) from None


def _write(path: Path, content: bytes) -> None:
    """Replace `path`, whole or not at all, by a file for its owner alone (0600)."""
    # A config.json is often a link into a folder of settings: the link stays.
    try:
        refuse_planted(path)
        path = path.resolve()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, content, mode=PRIVATE, keep_owner=True)
    except OSError as error:
        raise EnvironmentProblem(f"{path}: cannot be written: {error.strerror}") from error
