"""From options and environment to the registries a command asks."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from image_tools.cli import logs, render
from image_tools.cli.ending import endings_raised
from image_tools.cli.redact import add_secret
from image_tools.cli.request import login_from, readable_file
from image_tools.cli.text import coloured
from image_tools.commands.ends import RegistryEnd
from image_tools.commands.opening import Approach, Opening, opened
from image_tools.errors import InvalidReference, UsageError
from image_tools.imagelist.registries import choose_registries
from image_tools.logins.auth_file import Credentials, registry_of_key
from image_tools.oci.reference import (
    DOCKER_HUB,
    Reference,
    is_registry,
    on_registry,
    parse_name,
    parse_registry,
)
from image_tools.retry import RetryPolicy
from image_tools.web.tls import TlsChoice

Chosen = tuple[str | None, Credentials | None]


def start_logs(options: Namespace, environ: Mapping[str, str]) -> None:
    """Send log lines to standard error, debug ones with `--debug`."""
    logs.configure(
        render.log,
        level="DEBUG" if options.debug else "INFO",
        colours=coloured(sys.stderr, environ),
    )


@contextmanager
def reaching(
    options: Namespace,
    environ: Mapping[str, str],
    registries: Collection[str],
    *,
    writes: bool = False,
) -> Iterator[Opening]:
    """An Opening for `registries`, reached as options and environment say."""
    approach = Approach(
        end=side_of(options, environ, registries, writes=writes),
        retry=RetryPolicy(times=options.retry_times, delay=options.retry_delay),
        mirrors=not writes,
    )
    with endings_raised(), opened(approach, registries, environ, on_secret=add_secret) as opening:
        yield opening


def side_of(
    options: Namespace,
    environ: Mapping[str, str],
    registries: Collection[str],
    *,
    writes: bool = False,
) -> RegistryEnd:
    """How to reach `registries`: the login of the destination to write there, else the source's.

    To read from the chosen destination its login is used, too. No login goes to a registry that
    another variable chose.
    """
    source = getattr(options, "source", None)
    chosen = choose_registries(source, None, "", environ)
    destination_login = login_from(environ, "DOCKER") or login_from(environ, "DEST")
    destination = (chosen.destination, destination_login)
    registry, login = destination
    if not writes:
        registry, login = _to_read(
            (chosen.source, login_from(environ, "SOURCE")), destination, registries
        )
    tls = TlsChoice(options.tls_verify, readable_file("--ca-file", options.ca_file))
    return RegistryEnd(registry=registry, login=login, tls=tls)


def _to_read(source: Chosen, destination: Chosen, registries: Collection[str]) -> Chosen:
    is_source = source[0] is None or source[0] in registries
    if destination[0] in registries and not (is_source and source[1] is not None):
        return destination
    return source


def image(text: str) -> Reference:
    """The image `text` names, `latest` where it has neither tag nor digest."""
    found = Reference.parse(text)
    return found if found.tag or found.digest else found.with_tag("latest")


def image_to_delete(text: str) -> Reference:
    """The image `text` names; UsageError where it leaves open which one of the repository."""
    found = Reference.parse(text)
    if not (found.tag or found.digest):
        raise UsageError(f"{text} names no tag", advice=f"write {text}:TAG, or {text}@DIGEST")
    return found


def repository(text: str) -> Reference:
    """The repository `text` names; UsageError when there is a tag or a digest behind it."""
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
    """The registry `text` names, as docker's keys or with a scheme too; InvalidReference else."""
    name = registry_of_key(text)
    if "/" in name or not is_registry(name):
        raise InvalidReference(f"{text!r} is no registry", advice="write HOST or HOST:PORT")
    return parse_registry(name)
