"""`login` and `logout`: try a login at its registry and store it where all tools find it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from image_tools.commands.opening import Opening
from image_tools.errors import Unauthorized
from image_tools.logins.auth_store import forget_logins, keep_login


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A login that the registry accepted; `places` are the files or helpers it is stored in."""

    registry: str
    username: str
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """The logins that were removed: registry and place of each."""

    gone: tuple[tuple[str, str], ...]


def log_in(registry: str, opening: Opening, environ: Mapping[str, str]) -> LoggedIn:
    """Store the login that `opening` has for `registry`, once the registry accepts it.

    Raise Unauthorized when it does not: nothing is stored then. Raise EnvironmentProblem when it
    cannot be stored.
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
    """Remove all logins for `registry`, or for all registries when it is None.

    EnvironmentProblem names the file or the helper that cannot be used.
    """
    return LoggedOut(forget_logins(registry, environ))


def speaks_plain(registry: str, opening: Opening) -> bool:
    """Return whether `registry` speaks plain HTTP; raise why it does not answer."""

    async def asked() -> bool:
        return await opening.registry(registry).admission.is_plain()

    return opening.run(asked())
