"""The plan of one image: what is missing at the destination, and what its tag holds in the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum

from image_tools.errors import InvalidManifest
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Index, RawManifest, parse
from image_tools.plan.images import DestinationImage, SourceImage
from image_tools.plan.merge import merge


class Action(Enum):
    """What has to be done for one image."""

    UNCHANGED = "unchanged"
    SKIP = "skip"
    COPY = "copy"


@dataclass(frozen=True, slots=True)
class FinalIndex:
    """What the tag holds in the end.

    `exact` is set where the source's own bytes are published; `media_type` and `entries` say the
    same in parsed form. An artifact is published as it is: no index, `entries` empty.
    """

    media_type: str
    entries: tuple[Descriptor, ...]
    exact: RawManifest | None = None
    annotations: tuple[tuple[str, str], ...] = ()

    @property
    def index(self) -> Index:
        """The index to write where nothing exact is published."""
        annotated = bool(self.annotations)
        return Index(self.media_type, self.entries, self.annotations, has_rare_fields=annotated)

    def difference(self, raw: RawManifest) -> str | None:
        """Why `raw` is not this index, None when it is; the order of entries does not matter."""
        if self.exact is not None:
            same = raw.digest == self.exact.digest
            return None if same else f"expected {self.exact.digest}, got {raw.digest}"
        try:
            found = parse(raw)
        except InvalidManifest as error:
            return f"it is no index: {error}"
        if not isinstance(found, Index):
            return "it is no index"
        if found.media_type != self.media_type:
            return f"its type is {found.media_type}, not {self.media_type}"
        if found.annotations != self.annotations:
            return "its annotations are different"
        return _difference(self.entries, found.entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do for one image: `copies` are the wanted entries still missing, in index order."""

    action: Action
    wanted: tuple[Descriptor, ...] = ()
    copies: tuple[Descriptor, ...] = ()
    nested: tuple[RawManifest, ...] = ()
    final: FinalIndex | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How the user wants the destination: `present` are children known to lie there already."""

    overwrite: bool = False
    force: bool = False
    present: frozenset[Digest] = frozenset()


def plan(
    source: SourceImage,
    wanted: tuple[Descriptor, ...],
    destination: DestinationImage | None,
    wish: Wish,
) -> Plan:
    """The plan for one image; `wanted` are the selected leaves of `source`."""
    if not any(not entry.is_attestation for entry in wanted):
        return Plan(action=Action.SKIP, reason="no wanted platform in the source")
    final = final_index(source, wanted, None if wish.overwrite else destination)
    copies = tuple({e.digest: e for e in wanted if e.digest not in wish.present}.values())
    if _is_done(final, destination) and not wish.force:
        return Plan(action=Action.UNCHANGED, wanted=wanted, copies=copies, final=final)
    nested = source.nested if final.exact is not None else ()
    return Plan(action=Action.COPY, wanted=wanted, copies=copies, nested=nested, final=final)


def final_index(
    source: SourceImage, wanted: tuple[Descriptor, ...], existing: DestinationImage | None
) -> FinalIndex:
    """What the destination's tag is to hold: the source's own bytes whenever they say just that.

    `existing` is what to merge with. Annotations of the index are kept, the source's before those
    of `existing`; a Docker list has no place for them.
    """
    if source.artifact:
        return FinalIndex(source.top.media_type, (), exact=source.top)
    entries = merge(wanted, existing.entries if existing is not None else ())
    if not source.single and entries == source.leaves:
        top = parse(source.top)
        return FinalIndex(top.media_type if isinstance(top, Index) else "", entries, source.top)
    media_type = media.index_type_for(frozenset(e.media_type for e in entries))
    if media_type == media.DOCKER_LIST:
        return FinalIndex(media_type, entries)
    tops = [existing.top] if existing is not None and existing.is_index else []
    tops += [] if source.single else [source.top]
    annotations = {name: value for top in tops for name, value in _annotations(top)}
    return FinalIndex(media_type, entries, annotations=tuple(sorted(annotations.items())))


def _annotations(top: RawManifest) -> tuple[tuple[str, str], ...]:
    found = parse(top)
    return found.annotations if isinstance(found, Index) else ()


def _is_done(final: FinalIndex, destination: DestinationImage | None) -> bool:
    if destination is None or destination.lost:
        return False
    return final.difference(destination.top) is None


def _difference(wanted: tuple[Descriptor, ...], found: tuple[Descriptor, ...]) -> str | None:
    for entry in Counter(wanted) - Counter(found):
        return f"the entry {entry.digest} ({entry.platform}) is missing or different"
    for entry in Counter(found) - Counter(wanted):
        return f"the entry {entry.digest} is too much"
    return None
