"""The checks of `doctor` on this machine: tools, policy, files, proxies, free disk space."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from image_tools.errors import EnvironmentProblem, ToolMissing
from image_tools.logins.auth_file import parse_auth_file
from image_tools.logins.auth_store import auth_files
from image_tools.report import json_of
from image_tools.stores.remote.registries_conf import load
from image_tools.tools.environment import version_environment
from image_tools.tools.locate import find_buildx, find_skopeo
from image_tools.tools.policy import read_policy
from image_tools.tools.versions import Tool, probe
from image_tools.web.proxies import proxy_for
from image_tools.web.tls import TlsChoice, certificate_folders, tls_context

SCHEMA = 1
# Blobs are streamed; little is written to disk, but a full disk stops everything.
LEAST_FREE = 256 * 1024 * 1024
_INSTALLERS = {
    "debian": "sudo apt-get install",
    "fedora": "sudo dnf install",
    "rhel": "sudo dnf install",
    "suse": "sudo zypper install",
    "alpine": "sudo apk add",
    "arch": "sudo pacman -S",
}
_PACKAGES: Mapping[Tool, str] = {"skopeo": "skopeo", "buildx": "docker-buildx"}


class CheckResult(Enum):
    """How a check ended; a `NOTE` is not a fault."""

    OK = "ok"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check: what it found, and the one command that fixes it."""

    name: str
    verdict: CheckResult
    finding: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Checkup:
    """All checks, in the order in which they are shown."""

    checks: tuple[Check, ...]

    @property
    def exit_code(self) -> int:
        """Return 1 when a check found a fault, else 0."""
        return int(any(check.verdict is CheckResult.WRONG for check in self.checks))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that scripts rely on."""
        return {
            "schema": SCHEMA,
            "command": "doctor",
            "ok": not self.exit_code,
            "checks": [json_of(check) for check in self.checks],
        }


def good(name: str, finding: str) -> Check:
    """Return a check that found no fault."""
    return Check(name=name, verdict=CheckResult.OK, finding=finding)


def wrong(name: str, finding: str, remedy: str) -> Check:
    """Return a check that found a fault; `remedy` fixes it."""
    return Check(name=name, verdict=CheckResult.WRONG, finding=finding, remedy=remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The facts about a machine that the checks need, apart from the environment.

    `free` returns the free bytes of the disk behind a folder.
    """

    system: str = field(default_factory=platform.system)
    os_release: Path = Path("/etc/os-release")
    plugin_folders: Sequence[str] | None = None
    free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free


def machine_checks(
    environ: Mapping[str, str], state: Path, machine: Machine | None = None
) -> Iterator[Check]:
    """Yield every check of this machine; `state` is the state file of runs."""
    machine = machine or Machine()
    for tool in _PACKAGES:
        yield _tool(tool, environ, machine)
    yield _policy(environ)
    yield from _registries_conf(environ)
    yield from _auth_files(environ)
    yield from _certificates(environ)
    yield from _proxies(environ)
    temporary = Path(environ.get("TMPDIR") or tempfile.gettempdir())
    for name, folder, remedy in (
        ("temporary files", temporary, "export TMPDIR=FOLDER_WITH_ROOM"),
        ("state", state.parent, "export XDG_STATE_HOME=FOLDER_WITH_ROOM"),
    ):
        yield _room(name, folder, remedy, machine)


def _tool(tool: Tool, environ: Mapping[str, str], machine: Machine) -> Check:
    try:
        if tool == "skopeo":
            path = find_skopeo(environ)
        else:
            path = find_buildx(environ, machine.plugin_folders)
        version = probe(tool, path, version_environment(environ))
    except ToolMissing as problem:
        return wrong(tool, problem.message, _install(tool, machine) or problem.advice)
    except EnvironmentProblem as problem:
        return wrong(tool, problem.message, problem.advice)
    return good(tool, f"{version}, {path}")


def _install(tool: Tool, machine: Machine) -> str:
    """Return the command that installs `tool` on this system; empty where it is unknown."""
    if machine.system == "Darwin":
        return f"brew install {_PACKAGES[tool]}"
    try:
        text = machine.os_release.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    lines = (line.partition("=") for line in text.splitlines())
    release = {name: value.strip("\"'") for name, _, value in lines}
    words = [release.get("ID", ""), *release.get("ID_LIKE", "").split()]
    installer = next((_INSTALLERS[word] for word in words if word in _INSTALLERS), "")
    return f"{installer} {_PACKAGES[tool]}" if installer else ""


def _policy(environ: Mapping[str, str]) -> Check:
    try:
        policy = read_policy(None, environ)
    except EnvironmentProblem as problem:
        return wrong("signature policy", problem.message, _look_at(problem))
    if policy.path is None:
        return good("signature policy", "none: every image is accepted")
    return good("signature policy", str(policy.path))


def _registries_conf(environ: Mapping[str, str]) -> Iterator[Check]:
    try:
        load(environ)
    except EnvironmentProblem as problem:
        yield wrong("registries.conf", problem.message, _look_at(problem))


def _auth_files(environ: Mapping[str, str]) -> Iterator[Check]:
    for path in auth_files(environ):
        name, quoted = "login file", shlex.quote(str(path))
        try:
            parse_auth_file(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            if environ.get("REGISTRY_AUTH_FILE"):
                yield wrong(
                    name,
                    f"{path}: REGISTRY_AUTH_FILE names it, but it is not there",
                    "unset REGISTRY_AUTH_FILE",
                )
        except OSError as error:
            yield wrong(name, f"{path}: cannot be read: {error.strerror}", f"ls -l {quoted}")
        except ValueError:
            yield wrong(
                name, f"{path}: damaged, no auth file in JSON", f"python3 -m json.tool {quoted}"
            )
        else:
            yield _secrecy(path)


def _secrecy(path: Path) -> Check:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        said = f"{path}: others on this machine may use it (mode {mode:04o})"
        return wrong("login file", said, f"chmod 600 {shlex.quote(str(path))}")
    return good("login file", str(path))


def _certificates(environ: Mapping[str, str]) -> Iterator[Check]:
    """Yield a check of the system's authorities, then of every certs.d folder."""
    yield _context("certificates", "", environ, "the system's authorities")
    parents = dict.fromkeys(folder.parent for folder in certificate_folders("x", environ))
    names = sorted({path.name for parent in parents for path in _folders(parent)})
    for name in names:
        yield _context("certificates", name, environ, f"certs.d of {name}")


def _folders(parent: Path) -> list[Path]:
    try:
        return [path for path in parent.iterdir() if path.is_dir()]
    except OSError:
        return []


def _context(name: str, registry: str, environ: Mapping[str, str], finding: str) -> Check:
    try:
        # A folder for the registry "//" can only be certs.d itself.
        context = tls_context(TlsChoice(), registry or "//", environ)
    except EnvironmentProblem as problem:
        return wrong(name, problem.message, _look_at(problem))
    count = context.cert_store_stats()["x509_ca"]
    return good(name, f"{finding}: {count} authorities")


def _proxies(environ: Mapping[str, str]) -> Iterator[Check]:
    for scheme in ("http", "https"):
        name = f"{scheme.upper()}_PROXY"
        shown = name if environ.get(name) else name.lower()
        try:
            # No NO_PROXY can name this host.
            proxy = proxy_for(scheme, "registry.invalid", 0, {**environ, "no_proxy": ""})
        except EnvironmentProblem as problem:
            yield wrong("proxy", problem.message, f"unset {shown}")
            continue
        if proxy:
            yield good("proxy", f"{shown}: {urlsplit(proxy).hostname}")


def _room(name: str, folder: Path, remedy: str, machine: Machine) -> Check:
    existing = folder.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return wrong(name, f"{existing} is no folder this user may write to", remedy)
    free = machine.free(existing)
    said = f"{free / 1e9:.1f} GB free in {existing}"
    return good(name, said) if free >= LEAST_FREE else wrong(name, said, remedy)


def _look_at(problem: EnvironmentProblem) -> str:
    """Return the command that shows the file a problem is about."""
    return f"ls -l {shlex.quote(problem.message.partition(': ')[0])}"
