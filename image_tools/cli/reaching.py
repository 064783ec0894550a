"""From options and environment to the registries and archives that a verb asks."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from image_tools.cli.redact import add_secret
from image_tools.cli.shared_options import CacheOptions, RegistryOptions
from image_tools.commands.opening import Opening, RegistryAccess, opened
from image_tools.errors import InvalidReference, UsageError
from image_tools.imagelist.registries import choose_registries
from image_tools.logins.auth_file import Credentials, registry_of_key
from image_tools.machine.signals import signals_raised
from image_tools.oci.reference import (
    DOCKER_HUB,
    Reference,
    is_registry,
    on_registry,
    parse_name,
    parse_registry,
)
from image_tools.retry import RetryPolicy
from image_tools.run.endpoints import RegistryEnd
from image_tools.stores.archive.others.cache import Foreign
from image_tools.web.tls import TlsChoice

Chosen = tuple[str | None, Credentials | None]


@contextmanager
def reaching(
    options: RegistryOptions,
    environ: Mapping[str, str],
    registries: Collection[str],
    *,
    source: str | None = None,
    writes: bool = False,
) -> Iterator[Opening]:
    """Yield an Opening for `registries`, reached as options and environment say; see `side_of`."""
    access = RegistryAccess(
        end=side_of(options, environ, registries, source=source, writes=writes),
        retry=RetryPolicy(times=options.retry_times, delay=options.retry_delay),
        mirrors=not writes,
    )
    with signals_raised(), opened(access, registries, environ, on_secret=add_secret) as opening:
        yield opening


def side_of(
    options: RegistryOptions,
    environ: Mapping[str, str],
    registries: Collection[str],
    *,
    source: str | None = None,
    writes: bool = False,
) -> RegistryEnd:
    """Return how to reach `registries`; `source` is the registry that an option chose.

    To write there, the login of the destination is used, else that of the source. To read from the
    chosen destination its login is used, too. No login goes to a registry that another variable
    chose.
    """
    chosen = choose_registries(source, None, "", environ)
    destination_login = login_from(environ, "DOCKER") or login_from(environ, "DEST")
    destination = (chosen.destination, destination_login)
    registry, login = destination
    if not writes:
        registry, login = _to_read(
            (chosen.source, login_from(environ, "SOURCE")), destination, registries
        )
    return RegistryEnd(registry=registry, login=login, tls=tls_of(options))


def tls_of(options: RegistryOptions) -> TlsChoice:
    """Return how certificates are verified; UsageError for a --ca-file that cannot be read."""
    return TlsChoice(options.tls_verify, readable_file("--ca-file", options.ca_file))


def login_from(environ: Mapping[str, str], prefix: str) -> Credentials | None:
    """Return the login in PREFIX_USERNAME and PREFIX_PASSWORD.

    Raise UsageError when one is missing. The password is added to the secrets of the redaction.
    """
    names = (f"{prefix}_USERNAME", f"{prefix}_PASSWORD")
    username, password = (environ.get(name, "") for name in names)
    if not username and not password:
        return None
    if not (username and password):
        there, missing = names if username else reversed(names)
        raise UsageError(
            f"{there} is set, {missing} is not", advice="set both variables, or none of them"
        )
    add_secret(password, username)
    return Credentials(username, password)


def readable_file(option: str, name: str | None) -> Path | None:
    """Return the file `name` of `option`, None without one.

    Raise UsageError when it is unreadable.
    """
    if not name:
        return None
    path = Path(name)
    if not path.is_file():
        what = "is no file" if path.exists() else "does not exist"
        raise UsageError(f"{option}: {path} {what}")
    if not os.access(path, os.R_OK):
        raise UsageError(f"{option}: {path} cannot be read")
    return path


def _to_read(source: Chosen, destination: Chosen, registries: Collection[str]) -> Chosen:
    is_source = source[0] is None or source[0] in registries
    if destination[0] in registries and not (is_source and source[1] is not None):
        return destination
    return source


def image(text: str) -> Reference:
    """Return the image that `text` names, `latest` where it has neither tag nor digest."""
    found = Reference.parse(text)
    return found if found.tag or found.digest else found.with_tag("latest")


def image_to_delete(text: str) -> Reference:
    """Return the image that `text` names; UsageError without a tag or a digest."""
    found = Reference.parse(text)
    if not (found.tag or found.digest):
        raise UsageError(f"{text} names no tag", advice=f"write {text}:TAG, or {text}@DIGEST")
    return found


def repository(text: str) -> Reference:
    """Return the repository that `text` names; UsageError for a tag or a digest behind it."""
    stated = parse_name(text)
    registry = stated.registry or DOCKER_HUB
    found = Reference(registry, on_registry(registry, stated.path))
    # HOST:PORT alone reads like a name with its tag.
    if (stated.tag or "").isdigit() and ("." in stated.path or stated.path == "localhost"):
        raise UsageError(f"{text} names no repository", advice=f"write {text}/REPOSITORY")
    if stated.tag or stated.digest:
        raise UsageError(f"{text} is more than a repository", advice=f"write {found}")
    return found


def registry_named(text: str) -> str:
    """Return the registry that `text` names, also as docker's keys or with a scheme."""
    name = registry_of_key(text)
    if "/" in name or not is_registry(name):
        raise InvalidReference(f"{text!r} is no registry", advice="write HOST or HOST:PORT")
    return parse_registry(name)


def foreign_of(
    options: CacheOptions, names: Iterable[str] | None = (), *, lenient: bool
) -> Foreign:
    """Return how an archive of another program is opened; its images have the `names`.

    InvalidReference for a name that is none. Where it is `lenient`, images may stay without one.
    """
    try:
        references = tuple(map(Reference.parse, names or ()))
    except InvalidReference as error:
        raise InvalidReference(f"--name: {error}") from error
    cache = Path(options.cache) if options.cache else None
    return Foreign(cache=cache, keep_cache=options.keep_cache, names=references, lenient=lenient)
