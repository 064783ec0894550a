"""`doctor`: find what is wrong on this machine and at its registries, and how to fix it."""

from __future__ import annotations

import email.utils
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from image_tools.commands.check_machine import (
    Check,
    CheckResult,
    Checkup,
    Machine,
    good,
    machine_checks,
    wrong,
)
from image_tools.commands.opening import Opening, ask_each
from image_tools.errors import EnvironmentProblem, ImageToolsError, TlsProblem, Unauthorized
from image_tools.logins.auth_file import AuthFile, parse_auth_file
from image_tools.logins.auth_store import auth_files
from image_tools.machine.concurrency import within
from image_tools.stores.remote.registry import Remote

LONGEST_ANSWER = 20.0
# Tokens carry times; servers accept a difference of about a minute.
MOST_CLOCK_DIFFERENCE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorRequest:
    """The registries to check beside this machine; `state` is the state file of runs."""

    registries: tuple[str, ...]
    state: Path


@dataclass(frozen=True, slots=True)
class _Visit:
    """The checks of one registry, and how many seconds its clock is ahead of ours."""

    checks: tuple[Check, ...]
    ahead: float | None = None


def known_registries(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the registries with a login in an auth file; unreadable files count as empty."""
    found = {name for path in auth_files(environ) for name in _file(path).registries}
    return tuple(sorted(found))


def doctor(
    request: DoctorRequest,
    opening: Opening,
    environ: Mapping[str, str],
    machine: Machine | None = None,
) -> Checkup:
    """Run all checks; a fault is a row of the result, not an exception."""
    own = tuple(machine_checks(environ, request.state, machine))

    async def visited() -> list[_Visit]:
        stores = [opening.registry(name) for name in request.registries]
        return await ask_each(stores, _visit)

    visits = opening.run(visited())
    checks = [check for visit in visits for check in visit.checks]
    return Checkup((*own, *checks, *_clock([visit.ahead for visit in visits])))


async def _visit(store: Remote) -> _Visit:
    found = await within(LONGEST_ANSWER, _checked(store))
    if found is not None:
        return found
    said = f"no answer within {LONGEST_ANSWER:.0f} s"
    return _Visit((wrong(f"registry {store.name}", said, _curl(store.name)),))


async def _checked(store: Remote) -> _Visit:
    name = f"registry {store.name}"
    try:
        greeting = await store.admission.greeting()
        ahead = _ahead(greeting.headers.get("Date", ""))
        scheme = "plain HTTP" if await store.admission.is_plain() else "TLS"
    except TlsProblem as problem:
        return _Visit((wrong(name, problem.message, _trust(store.name, problem)),))
    except EnvironmentProblem as problem:
        return _Visit((wrong(name, problem.message, problem.advice or _curl(store.name)),))
    except ImageToolsError as problem:
        logger.debug("{}", problem)
        return _Visit((wrong(name, _with_hint(problem), _curl(store.name)),))
    reached = good(name, f"reached over {scheme}")
    return _Visit((reached, await _login(store)), ahead)


async def _login(store: Remote) -> Check:
    name, remedy = f"login {store.name}", f"image-tools login {shlex.quote(store.name)}"
    try:
        found = await store.admission.login()
    except Unauthorized as problem:
        return wrong(name, problem.message, remedy)
    except EnvironmentProblem as problem:
        # A damaged file or a missing helper would stop a new login as well.
        mends = remedy in problem.advice or not problem.advice
        return wrong(name, problem.message, remedy if mends else problem.advice)
    except ImageToolsError as problem:
        return wrong(name, _with_hint(problem), _curl(store.name))
    if found is None and store.admission.demands_login:
        return wrong(name, "none, and the registry lets nobody in without one", remedy)
    if found is None:
        return Check(name=name, verdict=CheckResult.NOTE, finding="none: read as anybody may")
    return good(name, f"let in as {found.username or 'the owner of an identity token'}")


def _with_hint(problem: ImageToolsError) -> str:
    """Return the message with the hint of that error; the remedy has to be a command."""
    hint = problem.own_advice
    return f"{problem.message}; {hint}" if hint else problem.message


def _clock(differences: list[float | None]) -> list[Check]:
    """Compare our clock with the registries': one that agrees is enough."""
    known = [difference for difference in differences if difference is not None]
    if not known:
        return []
    least = min(known, key=abs)
    if abs(least) <= MOST_CLOCK_DIFFERENCE:
        return [good("clock", "agrees with the registries")]
    said = f"{abs(least):.0f} s {'behind' if least > 0 else 'ahead of'} the registries"
    return [wrong("clock", said, "sudo timedatectl set-ntp true")]


def _ahead(date: str) -> float | None:
    """Return how many seconds a server is ahead of us, by its Date field (RFC 9110)."""
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() - time.time()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def _file(path: Path) -> AuthFile:
    try:
        return parse_auth_file(path.read_bytes())
    except (OSError, ValueError):
        return AuthFile()


def _curl(registry: str) -> str:
    return f"curl -v {shlex.quote(f'https://{registry}/v2/')}"


def _trust(registry: str, problem: TlsProblem) -> str:
    if "unknown authority" not in problem.message:
        return problem.advice
    folder = f"~/.config/containers/certs.d/{registry}"
    return f"install -D -m 644 YOUR-CA.pem {folder}/ca.crt"
