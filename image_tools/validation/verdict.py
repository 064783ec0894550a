"""Why a destination does not pass, in the words users know from the predecessor."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.platform import Platform

COPY_AGAIN = "copy this image again"
LOST = "feed the failed list to mirror: it copies what is missing"
# docker-registry 2.8, for one, keeps the first file of a digest whatever is uploaded later.
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
    """What is wrong, one sentence each, and what to do; a verdict without `problems` is a pass.

    `behind`: the destination's index itself does not show it. `source_spec` and `destination_spec`
    are JSON texts, for the log, where lists were compared.
    """

    problems: tuple[str, ...] = ()
    advice: str = ""
    behind: bool = False
    source_spec: str = ""
    destination_spec: str = ""


def absent(names: Names) -> Verdict:
    """Return the verdict about a tag that is not at the destination."""
    return Verdict(
        problems=(f"[{names.place}]: destination manifest does not exists",),
        advice=f"check the destination, or {COPY_AGAIN}",
    )


def unknown_type(media_type: str, names: Names) -> Verdict:
    """Return the verdict about a destination that is something else than a list."""
    return Verdict(
        problems=(f"[{names.place}]: destination manifest MIME type unknown: {media_type}",),
        advice=f"{COPY_AGAIN}: the destination has to be a manifest list or an index",
        # Nothing can be merged with it: only who looks behind the tag replaces it.
        behind=media_type in media.SCHEMA1,
    )


def empty(names: Names) -> Verdict:
    """Return the verdict about an index without entries."""
    message = f"[{names.place}]: destination manifest list is empty"
    return Verdict(problems=(message,), advice=COPY_AGAIN)


def unreadable(error: Exception, names: Names) -> Verdict:
    """Return the verdict about an index, or one nested in it, that is lost or damaged."""
    return Verdict(
        problems=(f"[{names.place}]: destination manifest cannot be read: {error}",),
        advice=REPLACE,
        behind=True,
    )


def wrapped(names: Names) -> Verdict:
    """Return the verdict about an index where --keep-single wants the image itself."""
    message = f"[{names.place}]: the destination is an index, and --keep-single is given"
    return Verdict(problems=(message,), advice=f"{COPY_AGAIN}, or leave --keep-single out")


def digests_differ(source: Digest, destination: Digest) -> str:
    """Return the sentence about two digests that have to be equal."""
    return f'source digest "{source}" != dest digest "{destination}"'


def lists_differ(names: Names) -> str:
    """Return the sentence about two lists that do not agree."""
    left, right = names.source, names.destination
    return f'source manifest "{left}" != dest "{right}", tag "{names.tag}"'


def length(images: tuple[Descriptor, ...]) -> tuple[str, ...]:
    """Return the sentence about a list that has to be of one image, unless it is."""
    return () if len(images) == 1 else ("destination manifest list length should be 1",)


def left_over(entry: Descriptor) -> str:
    """Return the sentence about a chosen platform, or an attestation, that ought to have gone."""
    if entry.is_attestation:
        return f"the destination has {_called(entry)}, which was not asked for"
    return f"the destination has {_called(entry)}, which was chosen and is not at the source"


def not_chosen(entry: Descriptor) -> str:
    """Return the sentence about an entry that --overwrite would drop."""
    return f"the destination has {_called(entry)}, which was not chosen, and --overwrite is given"


def elsewhere(layer: Descriptor, names: Names) -> str:
    """Return the warning about a foreign layer that is only at the addresses it names."""
    first = next(iter(layer.urls), "an unknown address")
    return (
        f"{names.place}: the foreign layer {layer.digest} is not at the source and not at the "
        f"destination; clients download it from {first}"
    )


def platform_problems(wanted: Platform, found: Platform) -> tuple[str, ...]:
    """Return `source arch "x" != dest arch "y"` and its kin, one for each field that differs."""
    left, right = wanted.normalized, found.normalized
    if left.architecture != right.architecture:
        # The variant belongs to the architecture: arm64's v8 is not amd64's.
        left, right = replace(left, variant=""), replace(right, variant="")
    return tuple(
        f'source {word} "{getattr(wanted, field)}" != dest {word} "{getattr(found, field)}"'
        for word, field in _PLATFORM_FIELDS
        if getattr(left, field) != getattr(right, field)
    )


def spec(entries: tuple[Descriptor, ...]) -> str:
    """Return the entries as the predecessor logged them: digest, and the platform's fields."""
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
