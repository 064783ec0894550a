"""`image-tools login` and `logout`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from image_tools.cli import render
from image_tools.cli.options import Page, group, note, operand, option, switch
from image_tools.cli.redact import add_secret, clean
from image_tools.cli.shared_options import REGISTRY_NAMES, LogOptions, RegistryOptions
from image_tools.cli.text import is_terminal
from image_tools.errors import Unauthorized, UsageError

if TYPE_CHECKING:
    from image_tools.commands.opening import Opening
    from image_tools.logins.auth_file import Credentials
    from image_tools.web.tls import TlsChoice

_ADVICE = "give --username NAME and --password-stdin, and the password on standard input"
_REGISTRY = "the registry: HOST or HOST:PORT, such as docker.io"


class LoginOptions(RegistryOptions):
    """The options of `login`."""

    registry: str = operand("REGISTRY", _REGISTRY)
    username: str | None = option("the user name", short="u", metavar="NAME")
    password_stdin: bool = switch("read the password from standard input")
    password: str | None = option(
        "the password; others on this machine can see it while this runs", metavar="PASSWORD"
    )


class LogoutOptions(LogOptions):
    """The options of `logout`."""

    registry: str | None = operand("REGISTRY", _REGISTRY, optional=True)
    all: bool = switch("forget all logins", short="a")


def login(options: LoginOptions, environ: Mapping[str, str]) -> int:
    """Try a login and keep it; return 0. A login that is refused is raised."""
    from loguru import logger

    from image_tools.cli.logs import start_logs
    from image_tools.cli.reaching import registry_named, tls_of
    from image_tools.commands.login import log_in
    from image_tools.machine.signals import signals_raised

    start_logs(options, environ)
    registry = registry_named(options.registry)
    tls = tls_of(options)
    with signals_raised():
        given = _given(options) or _typed(registry, tls, options, environ)
        add_secret(given.password, given.username)
        with _reached(registry, tls, options, environ, given) as opening:
            found = log_in(registry, opening, environ)
    render.out(clean(f"logged in to {found.registry} as {found.username}"))
    for place in found.places:
        logger.info("the login is kept in {}", place)
    return 0


def _given(options: LoginOptions) -> Credentials | None:
    """Return the login in options, variables and standard input; None where it has to be typed."""
    from loguru import logger

    from image_tools.logins.auth_file import Credentials

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
    """Return the password on standard input, without the line end behind it."""
    password = sys.stdin.read()
    return password.removesuffix("\n").removesuffix("\r")


def _typed(
    registry: str, tls: TlsChoice, options: LoginOptions, environ: Mapping[str, str]
) -> Credentials:
    from image_tools.commands.login import speaks_plain
    from image_tools.logins.auth_file import Credentials
    from image_tools.run.login_prompt import ask_login
    from image_tools.run.preflight import Prompt

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
    options: LoginOptions,
    environ: Mapping[str, str],
    given: Credentials | None = None,
) -> Iterator[Opening]:
    from image_tools.commands.opening import RegistryAccess, opened
    from image_tools.retry import RetryPolicy
    from image_tools.run.endpoints import RegistryEnd

    access = RegistryAccess(
        end=RegistryEnd(registry=registry, login=given, tls=tls),
        retry=RetryPolicy(times=options.retry_times, delay=options.retry_delay),
    )
    with opened(access, {registry}, environ, on_secret=add_secret) as opening:
        yield opening


def logout(options: LogoutOptions, environ: Mapping[str, str]) -> int:
    """Forget logins; return 0, also where there was none: then nothing is left to do."""
    from loguru import logger

    from image_tools.cli.logs import start_logs
    from image_tools.cli.reaching import registry_named
    from image_tools.commands.login import log_out

    start_logs(options, environ)
    if (options.registry is None) != options.all:
        raise UsageError("name one registry, or give --all")
    registry = None if options.registry is None else registry_named(options.registry)
    found = log_out(registry, environ)
    for name, place in found.gone:
        render.out(clean(f"logged out of {name} ({place})"))
    if not found.gone:
        logger.warning("there is no login {}", f"for {registry}" if registry else "at all")
    return 0


LOGIN = Page(
    name="login",
    kind=LoginOptions,
    run=login,
    summary="try a login at a registry, and keep it",
    about="Try a login at a registry and keep it for all later commands. At a terminal skopeo "
    "asks for user name and password. A login that is refused is not kept.",
    groups=(
        group("Options", LoginOptions, "username password-stdin password debug"),
        group("Getting in", LoginOptions, REGISTRY_NAMES),
    ),
    notes=(
        note(
            "Where logins are kept",
            "$REGISTRY_AUTH_FILE where that is set, else docker's config.json ($DOCKER_CONFIG "
            "or ~/.docker): docker, buildx, skopeo and podman read it",
            "with a helper, where credHelpers or credsStore of that file name one",
            "files that are read before it are kept in line: auth.json of skopeo and podman",
        ),
        note(
            "Examples",
            "image-tools login reg.example:5000",
            "cat password.txt | image-tools login reg.example:5000 -u robot --password-stdin",
        ),
        note(
            "Exit codes",
            "0    the registry lets the login in, and it is kept",
            "1    it does not, or the registry cannot be reached",
            "3    this machine lacks something, such as skopeo, or a file cannot be written",
        ),
    ),
)

LOGOUT = Page(
    name="logout",
    kind=LogoutOptions,
    run=logout,
    summary="forget the login for a registry",
    about="Forget the login for a registry, or all of them, in all files and with all helpers "
    "where logins are looked for.",
    groups=(group("Options", LogoutOptions, "all debug"),),
    notes=(
        note(
            "Examples",
            "image-tools logout reg.example:5000",
            "image-tools logout --all",
        ),
        note("Exit codes", "0    there is no login any more, or there was none"),
    ),
)
