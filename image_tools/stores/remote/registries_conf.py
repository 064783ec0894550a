"""registries.conf, as containers' tools read it: locations, mirrors, insecure, blocked.

See containers-registries.conf(5), version 2; `insecure` and `block` of version 1 are read too.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any

from image_tools.errors import EnvironmentProblem
from image_tools.oci.reference import on_registry

_TOML = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
_SYSTEM = Path("/etc/containers")
_DROP_INS = "registries.conf.d"


class Pull(Enum):
    """Which references a mirror is asked for."""

    ALL = "all"
    DIGEST_ONLY = "digest-only"
    TAG_ONLY = "tag-only"


@dataclass(frozen=True, slots=True)
class PullSource:
    """One repository where content may be found; `insecure`: without verified TLS."""

    registry: str
    repository: str
    insecure: bool = False
    pull: Pull = Pull.ALL


@dataclass(frozen=True, slots=True)
class Location:
    """The replacement of a prefix: `host[:port][/path]`."""

    name: str
    insecure: bool = False
    pull: Pull = Pull.ALL

    def place(self, rest: str) -> PullSource:
        """Return the repository for `rest`, which follows the prefix; empty or from a slash on."""
        registry, _, path = f"{self.name}{rest}".partition("/")
        return PullSource(registry, on_registry(registry, path), self.insecure, self.pull)


@dataclass(frozen=True, slots=True)
class Rule:
    """One `[[registry]]`: it applies to everything below `prefix`; `file` is where it is written.

    `prefix` is `host[:port][/path]`, or `*.domain[/path]` for every host of a domain. `location` is
    None where a domain's hosts keep their names.
    """

    prefix: str
    file: Path
    location: Location | None
    mirrors: tuple[Location, ...] = ()
    insecure: bool = False
    blocked: bool = False

    def rest(self, name: str) -> str | None:
        """Return what follows the prefix in `registry/repository`, None without a match."""
        end = self._end(name)
        return name[end:] if end is not None and name[end : end + 1] in ("", "/") else None

    def _end(self, name: str) -> int | None:
        if not self.prefix.startswith("*."):
            return len(self.prefix) if name.startswith(self.prefix) else None
        domain, slash, path = self.prefix[1:].partition("/")
        host = name.partition("/")[0]
        if not host.endswith(domain) or not name[len(host) :].startswith(slash + path):
            return None
        return len(host) + len(slash + path)

    def concerns(self, registry: str) -> bool:
        """Return whether anything on `registry` can match."""
        host = self.prefix.partition("/")[0]
        return registry.endswith(host[1:]) if host.startswith("*.") else registry == host


@dataclass(frozen=True, slots=True)
class RegistriesConf:
    """All rules, of which the longest matching prefix applies."""

    rules: tuple[Rule, ...] = ()

    def concerns(self, registry: str) -> bool:
        """Return whether a rule may apply to something on `registry`."""
        return any(rule.concerns(registry) for rule in self.rules)

    def sources(self, registry: str, repository: str) -> tuple[PullSource, ...]:
        """Return where to look for a repository: mirrors in order, then the location itself.

        Raise EnvironmentProblem where it is blocked.
        """
        name = f"{registry}/{repository}"
        found = [(rule, rest) for rule in self.rules if (rest := rule.rest(name)) is not None]
        if not found:
            return (PullSource(registry, repository),)
        rule, rest = max(found, key=lambda match: len(match[0].prefix))
        if rule.blocked:
            raise EnvironmentProblem(
                f"{name}: registries.conf blocks {rule.prefix}",
                advice=f"see {rule.file}",
            )
        own = rule.location.place(rest) if rule.location else PullSource(registry, repository)
        own = PullSource(own.registry, own.repository, rule.insecure)
        return (*(mirror.place(rest) for mirror in rule.mirrors), own)


def as_text(name: str, places: tuple[PullSource, ...]) -> str:
    """Return a registries.conf that says where the repository `name` is read."""
    *mirrors, own = places
    lines = ["[[registry]]", f"prefix = {json.dumps(name)}", *_lines(own)]
    for mirror in mirrors:
        lines += ["[[registry.mirror]]", *_lines(mirror)]
        if mirror.pull is not Pull.ALL:
            lines.append(f'pull-from-mirror = "{mirror.pull.value}"')
    return "\n".join((*lines, ""))


def _lines(place: PullSource) -> tuple[str, str]:
    location = json.dumps(f"{place.registry}/{place.repository}")
    return f"location = {location}", f"insecure = {json.dumps(place.insecure)}"


def overriding(conf: RegistriesConf, name: str) -> Path | None:
    """Return the drop-in file whose rule for exactly `name` overrides other files."""
    files = (rule.file for rule in conf.rules if rule.prefix == name)
    return next((file for file in files if file.parent.name == _DROP_INS), None)


def load(environ: Mapping[str, str], system: Path = _SYSTEM) -> RegistriesConf:
    """Return the rules of `$CONTAINERS_REGISTRIES_CONF`, else the user's, else the system's file.

    Files of `registries.conf.d` replace rules of the same prefix, the user's last. `system` is the
    system's folder. Raise EnvironmentProblem for a file that cannot be read.
    """
    rules: dict[str, Rule] = {}
    for file in _files(environ, system):
        rules.update({rule.prefix: rule for rule in parse(_read(file), file)})
    return RegistriesConf(tuple(rules.values()))


def parse(text: str, file: Path) -> tuple[Rule, ...]:
    """Return the rules in `text`; EnvironmentProblem names `file` when it is wrong."""
    try:
        document = _TOML.loads(text)
        return (*_version_1(document, file), *_version_2(document, file))
    except (ValueError, TypeError, AttributeError) as error:
        raise EnvironmentProblem(f"{file}: not a usable registries.conf: {error}") from error


def _version_2(document: Mapping[str, Any], file: Path) -> Iterator[Rule]:
    for table in document.get("registry", []):
        prefix = _name(table, "prefix") or _name(table, "location")
        if not prefix:
            raise ValueError("a [[registry]] has neither prefix nor location")
        location = _name(table, "location") or ("" if prefix.startswith("*.") else prefix)
        by_digest_only = table.get("mirror-by-digest-only") is True
        yield Rule(
            prefix,
            file,
            Location(location) if location else None,
            tuple(_mirror(mirror, by_digest_only) for mirror in table.get("mirror", [])),
            insecure=table.get("insecure") is True,
            blocked=table.get("blocked") is True,
        )


def _mirror(table: Mapping[str, Any], by_digest_only: bool) -> Location:
    location = _name(table, "location")
    if not location:
        raise ValueError("a [[registry.mirror]] has no location")
    pull = Pull.DIGEST_ONLY if by_digest_only else Pull(table.get("pull-from-mirror", "all"))
    return Location(location, table.get("insecure") is True, pull)


def _version_1(document: Mapping[str, Any], file: Path) -> Iterator[Rule]:
    lists = document.get("registries", {})
    insecure, blocked = (set(lists.get(n, {}).get("registries", [])) for n in ("insecure", "block"))
    for name in sorted(insecure | blocked):
        yield Rule(name, file, Location(name), insecure=name in insecure, blocked=name in blocked)


def _name(table: Mapping[str, Any], field: str) -> str:
    value = table.get(field, "")
    if not isinstance(value, str) or "://" in value:
        raise ValueError(f"{field} {value!r} is no host[:port][/path]")
    return value.rstrip("/")


def _files(environ: Mapping[str, str], system: Path) -> Iterator[Path]:
    own = Path(environ.get("HOME") or Path.home()) / ".config/containers"
    chosen = environ.get("CONTAINERS_REGISTRIES_CONF")
    main = Path(chosen) if chosen else own / "registries.conf"
    uses_own = not chosen and main.is_file()
    if not chosen and not uses_own:
        main = system / "registries.conf"
    if chosen or main.is_file():
        yield main
    # The system's drop-ins extend the system's file only, not a user's own file.
    for folder in (own,) if uses_own else (system, own):
        yield from sorted((folder / _DROP_INS).glob("*.conf"))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise EnvironmentProblem(f"{file}: cannot be read: {said}") from error
