"""Signature policies: which images have to be signed (containers-policy.json(5))."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from image_tools.errors import EnvironmentProblem
from image_tools.machine.folders import home_folder
from image_tools.oci.reference import Reference

MACHINE_POLICY = Path("/etc/containers/policy.json")
_OPEN = "insecureAcceptAnything"


@dataclass(frozen=True, slots=True)
class SignaturePolicy:
    """A policy file; without one (`path` None) everything is accepted."""

    path: Path | None = None
    document: Mapping[str, Any] = field(default_factory=dict)

    def demands(self, source: Reference) -> bool:
        """Return whether `source` must be signed, or refused: the most specific scope decides."""
        if self.path is None:
            return False
        scopes = self.document.get("transports", {}).get("docker", {})
        for scope in _scopes(source):
            if scope in scopes:
                return _asks(scopes[scope])
        return _asks(scopes.get("", self.document.get("default")))


def read_policy(
    chosen: Path | None, environ: Mapping[str, str], machine: Path = MACHINE_POLICY
) -> SignaturePolicy:
    """Return the policy in `chosen`, else the user's, else that in `machine`.

    Raise EnvironmentProblem if a file cannot be read or is no policy.
    """
    home = home_folder(environ)
    usual = (home / ".config/containers/policy.json", machine)
    for path in (chosen,) if chosen is not None else usual:
        if chosen is not None or path.exists():
            return SignaturePolicy(path, _document(path))
    return SignaturePolicy()


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise EnvironmentProblem(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise EnvironmentProblem(f"{path}: no JSON: {error}") from error
    if not isinstance(document, dict) or not _is_usable(document):
        raise EnvironmentProblem(f"{path}: no signature policy, see containers-policy.json(5)")
    return document


def _is_usable(document: dict[str, Any]) -> bool:
    transports = document.get("transports", {})
    if not isinstance(document.get("default"), list) or not isinstance(transports, dict):
        return False
    return isinstance(transports.get("docker", {}), dict)


def _scopes(source: Reference) -> Iterator[str]:
    """Yield the scopes that name `source`, the most specific first."""
    name = source.name
    if source.tag and source.digest is None:
        yield f"{name}:{source.tag}"
    if source.digest is not None:
        yield f"{name}@{source.digest}"
    while True:
        yield name
        name, slash, _ = name.rpartition("/")
        if not slash:
            break
    host = source.registry.partition(":")[0]
    while "." in host:
        host = host.partition(".")[2]
        yield f"*.{host}"


def _asks(requirements: object) -> bool:
    if not isinstance(requirements, list) or not requirements:
        return True
    return any(not isinstance(r, dict) or r.get("type") != _OPEN for r in requirements)
