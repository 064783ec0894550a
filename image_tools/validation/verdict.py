"""Why a destination does not pass, in the words of the earlier `mirror-validate`."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.platform import Platform

COPY_AGAIN = "copy this image again"
LOST = "feed the failed list to mirror: it copies what is missing"
# docker-registry 2.8, for example, keeps the first file of a digest and ignores later uploads.
KEPT = (
    "copying again does not repair what the registry believes it has: remove the damaged content "
    "from its storage and restart it, then feed the failed list to mirror"
)
REPAIR = "run save --repair with the same list: it fetches again what is damaged"
REPLACE = "feed the failed list to mirror: it replaces the destination's index"
REMOVE = "run mirror: it removes these platforms"
_PLATFORM_FIELDS = (
    ("arch", "architecture"),
    ("variant", "variant"),
    ("os", "os"),
    ("os.version", "os_version"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names of both sides in messages; `destination` is without its tag."""

    source: str
    destination: str
    tag: str

    @property
    def place(self) -> str:
        """Return `destination:tag`."""
        return f"{self.destination}:{self.tag}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The problems, one sentence each, and what to do; without `problems` it is a pass.

    `behind`: the fault is behind the destination's index, which does not show it. `source_spec` and
    `destination_spec` are the compared lists as JSON, for the log.
    """

    problems: tuple[str, ...] = ()
    advice: str = ""
    behind: bool = False
    source_spec: str = ""
    destination_spec: str = ""


def absent(names: Names) -> Verdict:
    """Return the verdict about a tag that does not exist at the destination."""
    return Verdict(
        problems=(f"[{names.place}]: destination manifest does not exists",),
        advice=f"check the destination, or {COPY_AGAIN}",
    )


def unknown_type(media_type: str, names: Names) -> Verdict:
    """Return the verdict about a destination that is not an index."""
    return Verdict(
        problems=(f"[{names.place}]: destination manifest MIME type unknown: {media_type}",),
        advice=f"{COPY_AGAIN}: the destination has to be a manifest list or an index",
        # It cannot be merged with, so only a run that looks behind the tag replaces it.
        behind=media_type in media.SCHEMA1,
    )


def empty(names: Names) -> Verdict:
    """Return the verdict about an index without entries."""
    message = f"[{names.place}]: destination manifest list is empty"
    return Verdict(problems=(message,), advice=COPY_AGAIN)


def unreadable(error: Exception, names: Names) -> Verdict:
    """Return the verdict about an index, or a nested one, that is lost or damaged."""
    return Verdict(
        problems=(f"[{names.place}]: destination manifest cannot be read: {error}",),
        advice=REPLACE,
        behind=True,
    )


def wrapped(names: Names) -> Verdict:
    """Return the verdict about an index, if --keep-single asks for the image itself."""
    message = f"[{names.place}]: the destination is an index, and --keep-single is given"
    return Verdict(problems=(message,), advice=f"{COPY_AGAIN}, or leave --keep-single out")


def digests_differ(source: Digest, destination: Digest) -> str:
    """Return the sentence about digests that differ."""
    return f'source digest "{source}" != dest digest "{destination}"'


def lists_differ(names: Names) -> str:
    """Return the sentence about lists that differ."""
    left, right = names.source, names.destination
    return f'source manifest "{left}" != dest "{right}", tag "{names.tag}"'


def length(images: tuple[Descriptor, ...]) -> tuple[str, ...]:
    """Return the sentence about a list that should have one image, unless it has."""
    return () if len(images) == 1 else ("destination manifest list length should be 1",)


def left_over(entry: Descriptor) -> str:
    """Return the sentence about a chosen platform, or an attestation, that should be gone."""
    if entry.is_attestation:
        return f"the destination has {_called(entry)}, which was not asked for"
    return f"the destination has {_called(entry)}, which was chosen and is not at the source"


def not_chosen(entry: Descriptor) -> str:
    """Return the sentence about an entry that --overwrite would remove."""
    return f"the destination has {_called(entry)}, which was not chosen, and --overwrite is given"


def elsewhere(layer: Descriptor, names: Names) -> str:
    """Return the warning about a foreign layer that only its `urls` have."""
    first = next(iter(layer.urls), "an unknown address")
    return (
        f"{names.place}: the foreign layer {layer.digest} is not at the source and not at the "
        f"destination; clients download it from {first}"
    )


def platform_problems(wanted: Platform, found: Platform) -> tuple[str, ...]:
    """Return a sentence like `source arch "x" != dest arch "y"` for each field that differs."""
    left, right = wanted.normalized, found.normalized
    if left.architecture != right.architecture:
        # A variant is part of its architecture: v8 of arm64 means nothing for amd64.
        left, right = replace(left, variant=""), replace(right, variant="")
    return tuple(
        f'source {word} "{getattr(wanted, field)}" != dest {word} "{getattr(found, field)}"'
        for word, field in _PLATFORM_FIELDS
        if getattr(left, field) != getattr(right, field)
    )


def spec(entries: tuple[Descriptor, ...]) -> str:
    """Return the entries as JSON, digest and platform, as the earlier program logged them."""
    rows = [_row(entry) for entry in entries]
    return json.dumps(rows, indent=4, ensure_ascii=False)


def _row(entry: Descriptor) -> dict[str, object]:
    platform = entry.platform
    fields = {
        "architecture": platform.architecture,
        "os": platform.os,
        "variant": platform.variant,
        "os.version": platform.os_version,
    }
    stated = {name: value for name, value in fields.items() if value}
    return {"digest": str(entry.digest), **({"platform": stated} if stated else {})}


def _called(entry: Descriptor) -> str:
    kind = "an attestation" if entry.is_attestation else str(entry.platform)
    return f"{kind} ({entry.digest})"
