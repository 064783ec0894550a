"""`login` and `logout`: a login is tried at its registry, then kept where all tools find it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from image_tools.commands.opening import Opening
from image_tools.errors import Unauthorized
from image_tools.logins.auth_store import forget_logins, keep_login


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A login that was let in, and where it is kept now: files, or helpers that files name."""

    registry: str
    username: str
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """The logins that are gone: registry and place of each."""

    gone: tuple[tuple[str, str], ...]


def log_in(registry: str, opening: Opening, environ: Mapping[str, str]) -> LoggedIn:
    """What was kept, once the login `opening` has for `registry` is let in.

    Unauthorized, and nothing kept, when it is not; EnvironmentProblem where it cannot be kept.
    """

    async def tried() -> LoggedIn:
        found = await opening.registry(registry).admission.login()
        assert found is not None
        return LoggedIn(registry, found.username, keep_login(registry, found, environ))

    try:
        return opening.run(tried())
    except Unauthorized as error:
        error.advice = (
            error.own_advice or "check the user name and the password: nothing was stored"
        )
        raise


def log_out(registry: str | None, environ: Mapping[str, str]) -> LoggedOut:
    """What is gone now: all logins for `registry`, None is all there are.

    EnvironmentProblem names a file or a helper that cannot be used.
    """
    return LoggedOut(forget_logins(registry, environ))


def speaks_plain(registry: str, opening: Opening) -> bool:
    """Whether `registry` speaks plain HTTP; raises why it does not answer."""

    async def asked() -> bool:
        return await opening.registry(registry).admission.is_plain()

    return opening.run(asked())
