"""Why a destination is not what the plan wants: in the words users know from the predecessor."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

from image_tools.oci.descriptor import Descriptor
from image_tools.oci.platform import Platform
from image_tools.plan.images import DestinationImage, SourceImage

COPY_AGAIN = "copy this image again"
LOST = "feed the failed list back with --force: that brings what has been lost"
# docker-registry 2.8, for one, keeps the first file of a digest whatever is uploaded later.
KEPT = (
    "copying again cannot mend what the registry believes it has: remove the damaged content from "
    "its storage and restart it, then feed the failed list back with --force"
)
_PLATFORM_FIELDS = (
    ("arch", "architecture"),
    ("variant", "variant"),
    ("os", "os"),
    ("os.version", "os_version"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What people call both ends: `destination` without its tag."""

    source: str
    destination: str
    tag: str

    @property
    def place(self) -> str:
        """`destination:tag`."""
        return f"{self.destination}:{self.tag}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is wrong, one sentence each, and what to do; no `problems` is a pass.

    `source_spec` and `destination_spec` are JSON texts, for the log, where lists were compared.
    """

    problems: tuple[str, ...] = ()
    advice: str = ""
    source_spec: str = ""
    destination_spec: str = ""


def explain(
    source: SourceImage,
    wanted: tuple[Descriptor, ...],
    destination: DestinationImage | None,
    names: Names,
) -> Verdict:
    """Why a plan for `wanted` found something to do at `destination`."""
    if destination is None:
        return _absent(names)
    if source.artifact:
        found, expected = destination.top.digest, source.top.digest
        return Verdict(problems=(_digests(expected, found),), advice=COPY_AGAIN)
    if unfit := _unfit(destination, names):
        return unfit
    if source.single:
        return _single(wanted, destination, names)
    return _lists(wanted, destination, names)


def explain_converted(
    wanted: Platform, destination: DestinationImage | None, names: Names
) -> tuple[tuple[Descriptor, ...], Verdict]:
    """The entry that stands for a schema 1 image of platform `wanted`, and what is wrong.

    A conversion changes the digest, so that only the platform can be compared.
    """
    if destination is None:
        return (), _absent(names)
    if unfit := _unfit(destination, names):
        return (), unfit
    images = tuple(entry for entry in destination.entries if not entry.is_attestation)
    fitting = tuple(e for e in images if not platform_problems(wanted, e.platform))
    if fitting:
        return fitting[:1], Verdict()
    found = [p for e in images[:1] for p in platform_problems(wanted, e.platform)]
    return (), Verdict(problems=(*_length(images), *found), advice=COPY_AGAIN)


def unknown_type(media_type: str, names: Names) -> Verdict:
    """The destination is something else than a list."""
    return Verdict(
        problems=(f"[{names.place}]: destination manifest MIME type unknown: {media_type}",),
        advice=f"{COPY_AGAIN}: the destination has to be a manifest list or an index",
    )


def unreadable(error: Exception, names: Names) -> Verdict:
    """What lies under the destination's tag is lost or damaged, in part or whole."""
    return Verdict(
        problems=(f"[{names.place}]: destination manifest cannot be read: {error}",),
        advice="replace it: feed the failed list to mirror with --force --overwrite",
    )


def platform_problems(wanted: Platform, found: Platform) -> tuple[str, ...]:
    """`source arch "x" != dest arch "y"` and its kin, one for each field that differs."""
    left, right = wanted.normalized, found.normalized
    if left.architecture != right.architecture:
        # The variant belongs to the architecture: arm64's v8 is not amd64's.
        left, right = replace(left, variant=""), replace(right, variant="")
    return tuple(
        f'source {word} "{getattr(wanted, field)}" != dest {word} "{getattr(found, field)}"'
        for word, field in _PLATFORM_FIELDS
        if getattr(left, field) != getattr(right, field)
    )


def _absent(names: Names) -> Verdict:
    return Verdict(
        problems=(f"[{names.place}]: destination manifest does not exists",),
        advice=f"check the destination, or {COPY_AGAIN}",
    )


def _unfit(destination: DestinationImage, names: Names) -> Verdict | None:
    if not destination.is_index:
        return unknown_type(destination.top.media_type, names)
    if not destination.entries:
        message = f"[{names.place}]: destination manifest list is empty"
        return Verdict(problems=(message,), advice=COPY_AGAIN)
    return None


def _single(wanted: tuple[Descriptor, ...], destination: DestinationImage, names: Names) -> Verdict:
    images = tuple(entry for entry in destination.entries if not entry.is_attestation)
    problems = (*_length(images), *_entry_problems(wanted[0], images))
    return Verdict(problems=problems or _different(names), advice=COPY_AGAIN)


def _length(images: tuple[Descriptor, ...]) -> tuple[str, ...]:
    return () if len(images) == 1 else ("destination manifest list length should be 1",)


def _entry_problems(wanted: Descriptor, images: tuple[Descriptor, ...]) -> Iterator[str]:
    same = [entry for entry in images if entry.digest == wanted.digest]
    if same:
        yield from platform_problems(wanted.platform, same[0].platform)
        return
    rivals = [e for e in images if not platform_problems(wanted.platform, e.platform)]
    for entry in rivals or images[:1]:
        yield _digests(wanted.digest, entry.digest)


def _lists(wanted: tuple[Descriptor, ...], destination: DestinationImage, names: Names) -> Verdict:
    problems = [
        problem
        for entry in wanted
        for found in destination.entries
        if found.digest == entry.digest and not _has_twin(entry, destination)
        for problem in platform_problems(entry.platform, found.platform)
    ]
    return Verdict(
        problems=(*dict.fromkeys(problems), *_different(names)),
        advice=f"{COPY_AGAIN}: it brings what is missing and puts right what differs",
        source_spec=spec(wanted),
        destination_spec=spec(destination.entries),
    )


def _has_twin(entry: Descriptor, destination: DestinationImage) -> bool:
    return any(
        found.digest == entry.digest and not platform_problems(entry.platform, found.platform)
        for found in destination.entries
    )


def _different(names: Names) -> tuple[str, ...]:
    left, right = names.source, names.destination
    return (f'source manifest "{left}" != dest "{right}", tag "{names.tag}"',)


def _digests(source: object, destination: object) -> str:
    return f'source digest "{source}" != dest digest "{destination}"'


def spec(entries: tuple[Descriptor, ...]) -> str:
    """The entries as the predecessor logged them: digest and platform, empty fields left out."""
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
