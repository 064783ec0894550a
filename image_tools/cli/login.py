"""`image-tools login`: from its options to its exit code."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from loguru import logger

from image_tools.cli import render
from image_tools.cli.ending import endings_raised
from image_tools.cli.reaching import registry_named, start_logs
from image_tools.cli.redact import add_secret, clean
from image_tools.cli.request import readable_file
from image_tools.cli.text import is_terminal
from image_tools.commands.ends import RegistryEnd
from image_tools.commands.login import log_in, speaks_plain
from image_tools.commands.opening import Approach, Opening, opened
from image_tools.errors import Unauthorized, UsageError
from image_tools.logins.auth_file import Credentials
from image_tools.retry import RetryPolicy
from image_tools.run.preflight import Prompt
from image_tools.web.tls import TlsChoice

_ADVICE = "give --username NAME and --password-stdin, and the password on standard input"


def login(options: Namespace, environ: Mapping[str, str]) -> int:
    """Try a login and keep it; 0, or 1 where the registry refuses it."""
    start_logs(options, environ)
    registry = registry_named(options.registry)
    tls = TlsChoice(options.tls_verify, readable_file("--ca-file", options.ca_file))
    with endings_raised():
        given = _given(options) or _typed(registry, tls, options, environ)
        add_secret(given.password, given.username)
        with _reached(registry, tls, options, environ, given) as opening:
            found = log_in(registry, opening, environ)
    render.out(clean(f"logged in to {found.registry} as {found.username}"))
    for place in found.places:
        logger.info("the login is kept in {}", place)
    return 0


def _given(options: Namespace) -> Credentials | None:
    """The login in options, variables and standard input; None where it has to be typed."""
    if options.password is not None and options.password_stdin:
        raise UsageError("--password and --password-stdin contradict each other")
    if options.password is None and not options.password_stdin:
        if is_terminal(sys.stdin):
            return None
        raise UsageError("there is no terminal to ask at for a password", advice=_ADVICE)
    if not options.username:
        raise UsageError("a password needs its user name", advice=_ADVICE)
    if "password" in options.given:
        logger.warning(
            "everybody on this machine can see --password while this runs, and the shell may "
            "remember it: --password-stdin is safer"
        )
    password = _read() if options.password is None else options.password
    if not password:
        raise UsageError("the password is empty")
    return Credentials(options.username, password)


def _read() -> str:
    """The password on standard input, without the line end behind it."""
    password = sys.stdin.read()
    return password.removesuffix("\n").removesuffix("\r")


def _typed(
    registry: str, tls: TlsChoice, options: Namespace, environ: Mapping[str, str]
) -> Credentials:
    from image_tools.run.login_prompt import ask_login

    # Asked before a password is typed: a wrong name, or a wrong certificate.
    with _reached(registry, tls, options, environ) as opening:
        is_plain = speaks_plain(registry, opening)
    prompt = Prompt(registry=registry, tls=tls, is_plain=is_plain, username=options.username or "")
    found = ask_login(prompt, environ)
    if found is None:
        raise Unauthorized(f"{registry}: not logged in", advice="try again: nothing was stored")
    return Credentials(found.username, found.password)


@contextmanager
def _reached(
    registry: str,
    tls: TlsChoice,
    options: Namespace,
    environ: Mapping[str, str],
    given: Credentials | None = None,
) -> Iterator[Opening]:
    approach = Approach(
        end=RegistryEnd(registry=registry, login=given, tls=tls),
        retry=RetryPolicy(times=options.retry_times, delay=options.retry_delay),
    )
    with opened(approach, {registry}, environ, on_secret=add_secret) as opening:
        yield opening
