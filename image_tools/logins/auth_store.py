"""Where logins are kept: laid down so that docker, buildx, skopeo and this program find them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from image_tools.logins.credential_helper import (
    erase_with_helper,
    listed_by_helper,
    store_with_helper,
)
from image_tools.logins.credentials import auth_files
from image_tools.machine.files import PRIVATE, replace_file
from image_tools.machine.trusted_paths import refuse_planted

T = TypeVar("T")


def login_file(environ: Mapping[str, str]) -> Path:
    """The file new logins go to: REGISTRY_AUTH_FILE, else docker's config.json.

    Of all auth files docker's alone is read by docker, buildx, skopeo and podman.
    """
    *_, last = auth_files(environ)
    return last


def keep_login(
    registry: str, credentials: Credentials, environ: Mapping[str, str]
) -> tuple[str, ...]:
    """Where the login is kept now: files, or helpers that files name.

    Beside `login_file` it is replaced wherever an older one would be found before it.
    EnvironmentProblem names a file or a helper that cannot be used.
    """
    last = login_file(environ)
    found = {path: _read(path) for path in auth_files(environ)}
    return tuple(
        _keep(path, content, registry, credentials, environ)
        for path, content in found.items()
        if path == last or _would_answer(_parsed(path, content), registry)
    )


def forget_logins(registry: str | None, environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The logins for `registry`, None is all, that are gone now: registry and place of each."""
    gone: list[tuple[str, str]] = []
    for path in auth_files(environ):
        content = _read(path)
        file = _parsed(path, content)
        # The file last: while it names a helper's login, the helper can be found again.
        gone += _forget_helped(path, file, registry, environ)
        left, keys = _edited(path, partial(without_logins, content, registry))
        if keys:
            _write(path, left)
        said = [registry_of_key(key) for key in keys if key in file.auths]
        gone += [(name, str(path)) for name in said]
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
    store_with_helper(name, server, credentials, environ)
    _write(path, marked)
    return f"docker-credential-{name}, named in {path}"


def _helper(file: AuthFile, registry: str) -> tuple[str, str] | None:
    """The helper for `registry` and what the registry is called there."""
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
        if erase_with_helper(name, server, environ)
    ]


def _helped(file: AuthFile, environ: Mapping[str, str]) -> set[tuple[str, str] | None]:
    """Every login that helpers of `file` may keep."""
    stored = listed_by_helper(file.store, environ) if file.store else ()
    own = {(name, server) for server, name in file.helpers.items()}
    return {*own, *((file.store, server) for server in stored)}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return b""
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
    """Replace `path`, whole or not at all, for its owner's eyes alone (0600)."""
    # A config.json is often a link into a folder of settings: the link stays.
    try:
        refuse_planted(path)
        path = path.resolve()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, content, mode=PRIVATE, keep_owner=True)
    except OSError as error:
        raise EnvironmentProblem(f"{path}: cannot be written: {error.strerror}") from error
