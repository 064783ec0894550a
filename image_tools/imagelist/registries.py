"""The registries and projects that complete the names of a list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from image_tools.errors import InvalidReference
from image_tools.oci.reference import (
    DOCKER_HUB,
    PartialReference,
    is_registry,
    on_registry,
    parse_path,
    parse_registry,
    refuse_scheme,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registries:
    """The registries and projects of a run; None and empty text leave them to the list.

    `destination_prefix` is put before the path in the list. `default_project` is for destinations
    without a project. The other projects replace all of the path but its last component.
    """

    source: str | None = None
    destination: str | None = None
    destination_prefix: str = ""
    default_project: str = "library"
    source_project: str | None = None
    destination_project: str | None = None

    def source_name(self, stated: PartialReference) -> tuple[str, str]:
        """Return registry and repository to read from. Raise InvalidReference if unclear."""
        registry = _registry(self.source, stated)
        path = _in_project(self.source_project, stated.path)
        return registry, parse_path(on_registry(registry, path))

    def destination_name(self, stated: PartialReference) -> tuple[str, str]:
        """Return registry and repository to write to. Raise InvalidReference if unclear."""
        registry = _registry(self.destination, stated)
        path = _in_project(self.destination_project, stated.path)
        project = self.destination_prefix or ("" if "/" in path else self.default_project)
        return registry, parse_path(on_registry(registry, f"{project}/{path}" if project else path))


def choose_registries(
    source_flag: str | None,
    destination_flag: str | None,
    default_project: str,
    environ: Mapping[str, str],
) -> Registries:
    """Return the registries of a run: the flag, else the variable, else the list's.

    Source: `source_flag`, SOURCE_REGISTRY. Destination: `destination_flag`, DOCKER_REGISTRY,
    DEST_REGISTRY; it may have a path, as in `registry.example:5000/team`. Empty text counts as
    unset. Raise InvalidReference, with the flag or variable, if one is not a registry.
    """
    source, _ = _first_stated(
        [("-s", source_flag), *_variables(environ, "SOURCE_REGISTRY")], _registry_alone
    )
    destination, prefix = _first_stated(
        [("-d", destination_flag), *_variables(environ, "DOCKER_REGISTRY", "DEST_REGISTRY")],
        _registry_and_path,
    )
    return Registries(
        source=source,
        destination=destination,
        destination_prefix=prefix,
        default_project=_project("--default-project", default_project),
    )


def in_projects(chosen: Registries, source: str | None, destination: str | None) -> Registries:
    """Return `chosen` with the projects that replace those of the list; None replaces nothing.

    Raise InvalidReference, with the flag, if one is not a project.
    """
    return replace(
        chosen,
        source_project=_project("--source-project", source or "") or None,
        destination_project=_project("--destination-project", destination or "") or None,
    )


def _variables(environ: Mapping[str, str], *names: str) -> list[tuple[str, str | None]]:
    return [(name, environ.get(name)) for name in names]


def _first_stated(
    choices: Iterable[tuple[str, str | None]], read: Callable[[str], tuple[str, str]]
) -> tuple[str | None, str]:
    for origin, text in choices:
        if stated := (text or "").strip():
            try:
                return read(stated)
            except InvalidReference as error:
                raise InvalidReference(f"{origin}: {error}") from error
    return None, ""


def _registry_alone(text: str) -> tuple[str, str]:
    registry, path = _registry_and_path(text)
    if path:
        raise InvalidReference(f"the source is a registry without a path: write {registry!r}")
    return registry, path


def _registry_and_path(text: str) -> tuple[str, str]:
    stated = text.removeprefix("docker://")
    refuse_scheme(stated)
    first, _, path = stated.rstrip("/").partition("/")
    if not first:
        raise InvalidReference(f"{text!r} names no registry: write HOST:PORT or HOST:PORT/PROJECT")
    if not is_registry(first):
        raise InvalidReference(
            f"{first!r} alone is not known as a registry:"
            f" write {first + ':PORT'!r}, or {DOCKER_HUB + '/' + first!r} for a project there"
        )
    return parse_registry(first), parse_path(path) if path else ""


def _project(flag: str, text: str) -> str:
    stated = text.strip().strip("/")
    try:
        return parse_path(stated) if stated else ""
    except InvalidReference as error:
        raise InvalidReference(f"{flag}: {error}") from error


def _registry(override: str | None, stated: PartialReference) -> str:
    if override and stated.registry and not is_registry(stated.registry.lower()):
        raise InvalidReference(
            f"{stated.registry!r} may be a registry or a project:"
            f" write {stated.registry.lower()!r} for a project, or add the registry's port"
        )
    return override or stated.registry or DOCKER_HUB


def _in_project(project: str | None, path: str) -> str:
    return f"{project}/{path.rpartition('/')[2]}" if project else path
