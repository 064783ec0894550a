"""References, `registry/repository[:tag][@digest]`, the names people write, the order of tags.

Grammar: OCI distribution spec ("Pulling manifests") for repository and tag, and the `reference`
package of CNCF Distribution for the registry, as in docker and skopeo.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering

from image_tools.errors import InvalidReference
from image_tools.oci.digest import Digest

DOCKER_HUB = "docker.io"
OFFICIAL_PROJECT = "library"
MAXIMUM_REPOSITORY_LENGTH = 255
_MAXIMUM_LENGTH = 1024
DOCKER_HUB_ALIASES = frozenset({"index.docker.io", "registry-1.docker.io"})
_LABEL = r"[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::([0-9]{{1,5}}))?")
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_IMAGE_ID = re.compile(r"[0-9a-f]{64}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_TAG_PARTS = re.compile(r"[0-9]+|[^0-9._-]+")
_VERSION = re.compile(r"[vV]?(?=[0-9])")
# Pre-releases: semver.org section 11, and common habits.
_EARLIER = re.compile(
    r"(?:alpha|beta|canary|dev|ea|m|milestone|nightly|pre|preview|rc|snapshot|unstable)",
    re.IGNORECASE,
)
_BEFORE_END, _END, _WORD, _NUMBER = range(4)
_TagPart = tuple[int, int, str]


@total_ordering
@dataclass(frozen=True, slots=True)
class Reference:
    """An image in a registry: parsed and complete, without a default tag."""

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Return the reference in `text`, read as docker does, or raise InvalidReference.

        Without a registry it is on docker.io, where a name of one component is in `library`.
        """
        partial = parse_name(text)
        registry = partial.registry or DOCKER_HUB
        return cls(registry, on_registry(registry, partial.path), partial.tag, partial.digest)

    @property
    def name(self) -> str:
        """Return `registry/repository`."""
        return f"{self.registry}/{self.repository}"

    @property
    def target(self) -> str | Digest:
        """Return what to request from the repository: the digest, else the tag, else `latest`."""
        return self.digest or self.tag or "latest"

    def with_tag(self, tag: str) -> Reference:
        """Return this repository with `tag`, without a digest."""
        return Reference(self.registry, self.repository, tag)

    def with_digest(self, digest: Digest) -> Reference:
        """Return this repository with `digest`, without a tag: the tools do not accept both."""
        return Reference(self.registry, self.repository, None, digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"

    def __lt__(self, other: Reference) -> bool:
        return self._order() < other._order()

    def _order(self) -> tuple[str, str, str, str]:
        return self.registry, self.repository, self.tag or "", str(self.digest or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialReference:
    """A name as people write it; `path` is what follows the registry, unchanged."""

    registry: str | None
    path: str
    tag: str | None = None
    digest: Digest | None = None


def parse_name(text: str) -> PartialReference:
    """Return the parts of `text`, which may start with `docker://`, or raise InvalidReference.

    The first of several components is a registry if it has a dot, a colon or an upper-case letter,
    or is `localhost` (docker's rule). Aliases of docker.io become `docker.io`.
    """
    name, at, digest_text = _without_scheme(text).partition("@")
    digest = Digest.parse(digest_text) if at else None
    name, tag = _split_tag(name)
    first, slash, rest = name.partition("/")
    if slash and is_registry(first):
        registry, path = parse_registry(first), rest
    else:
        registry, path = None, name
    return PartialReference(registry=registry, path=parse_path(path), tag=tag, digest=digest)


def is_registry(component: str) -> bool:
    """Return whether docker reads this first component of a name as a registry."""
    return (
        component == "localhost"
        or "." in component
        or ":" in component
        or component != component.lower()
    )


def parse_registry(text: str) -> str:
    """Return the registry `host[:port]` in `text`, canonical, or raise InvalidReference.

    The host is written in lower case, unless only an upper-case letter marks it as a registry.
    """
    match = _REGISTRY.fullmatch(text)
    if not match:
        raise InvalidReference(_registry_reason(text))
    if match[1] and not 0 < int(match[1]) < 65536:
        raise InvalidReference(f"registry {text!r} has no possible port: use 1 to 65535")
    if len(text) > 255 + len(":65535"):
        raise InvalidReference(f"registry host of {len(text)} characters: at most 255 are allowed")
    lowered = text.lower()
    if lowered in DOCKER_HUB_ALIASES:
        return DOCKER_HUB
    return lowered if is_registry(lowered) else text


def parse_path(text: str) -> str:
    """Return `text` if it is a repository's path or a part of one, else raise InvalidReference."""
    if len(text) > MAXIMUM_REPOSITORY_LENGTH:
        raise InvalidReference(
            f"repository name of {len(text)} characters:"
            f" at most {MAXIMUM_REPOSITORY_LENGTH} are allowed"
        )
    if _PATH.fullmatch(text):
        return text
    if _PATH.fullmatch(text.lower()):
        raise InvalidReference(f"repository {text!r} must be lower case: write {text.lower()!r}")
    raise InvalidReference(_path_reason(text))


def parse_tag(text: str) -> str:
    """Return `text` if it is a tag, else raise InvalidReference."""
    if len(text) > 128:
        raise InvalidReference(f"tag of {len(text)} characters: at most 128 are allowed")
    if not _TAG.fullmatch(text):
        raise InvalidReference(
            f"{text!r} is not a tag: use 1 to 128 letters, digits, '_', '.', '-',"
            " the first no '.' or '-'"
        )
    return text


def is_tag(text: str) -> bool:
    """Return whether `text` can be a tag."""
    return _TAG.fullmatch(text) is not None


def on_registry(registry: str, path: str) -> str:
    """Return the repository of `path` on `registry`: on docker.io, `library/` may be left out."""
    if registry == DOCKER_HUB and "/" not in path:
        return f"{OFFICIAL_PROJECT}/{path}"
    return path


def refuse_scheme(text: str) -> None:
    """Raise InvalidReference if `text` starts with a `scheme://`."""
    if scheme := _SCHEME.match(text):
        raise InvalidReference(
            f"a reference has no {scheme[0]} in front: write {text[scheme.end() :]!r}"
        )


def tag_key(tag: str) -> tuple[bool, tuple[_TagPart, ...], str]:
    """Return a sort key for tags: versions by their numbers first, then words.

    1.9 comes before 1.10. A leading `v` and the kind of separator ('.', '-', '_') do not matter. A
    pre-release (`-rc1`) comes before its release, any other suffix (`-alpine`) after it.
    """
    version = _VERSION.match(tag)
    texts = _TAG_PARTS.findall(tag[version.end() :] if version else tag)
    parts = tuple(_part(text, early=version is not None) for text in texts)
    return version is None, (*parts, (_END, 0, "")), tag


def _without_scheme(text: str) -> str:
    if len(text) > _MAXIMUM_LENGTH:
        raise InvalidReference(f"a word of {len(text)} characters is no reference")
    stated = text.removeprefix("docker://")
    refuse_scheme(stated)
    if not stated:
        raise InvalidReference("the reference is empty")
    if _IMAGE_ID.fullmatch(stated):
        raise InvalidReference(f"{stated!r} is an image ID: write the image's name and tag")
    return stated


def _split_tag(name: str) -> tuple[str, str | None]:
    start = name.rfind("/") + 1
    path, colon, tag = name[start:].partition(":")
    if name.startswith("[") and not start:
        raise InvalidReference(f"{name!r} names no repository: write {name + '/REPOSITORY'!r}")
    if not colon:
        return name, None
    return name[:start] + path, parse_tag(tag)


def _registry_reason(text: str) -> str:
    if text.count(":") > 1 and "[" not in text:
        return f"{text!r} is not a registry: write an IPv6 address in brackets, [::1]:5000"
    return f"{text!r} is not a registry: write HOST or HOST:PORT"


def _path_reason(text: str) -> str:
    if not text:
        return "the repository name is empty: write REGISTRY/REPOSITORY"
    if text.startswith("/") or text.endswith("/") or "//" in text:
        return f"repository {text!r} has an empty part: check its slashes"
    return (
        f"{text!r} is not a repository name: use a-z and 0-9,"
        " between them single '.' or '_', '__', or '-'"
    )


def _part(text: str, *, early: bool) -> _TagPart:
    if "0" <= text[0] <= "9":
        # Compared as text: Python does not convert numbers of over 4300 digits.
        digits = text.lstrip("0")
        return _NUMBER, len(digits), digits
    rank = _BEFORE_END if early and _EARLIER.fullmatch(text) else _WORD
    return rank, 0, text.lower()
