"""The plan of one image: what to copy, and the final content of the tag."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from enum import Enum

from image_tools.errors import InvalidManifest
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.manifest import Index, RawManifest, parse
from image_tools.plan.inputs import DestinationImage, PlanOptions, SourceImage
from image_tools.plan.merge import has_platforms, merge, not_brought, staying
from image_tools.plan.selection import EVERYTHING


class Action(Enum):
    """The action for one image."""

    UNCHANGED = "unchanged"
    SKIP = "skip"
    COPY = "copy"


@dataclass(frozen=True, slots=True)
class FinalIndex:
    """The final content of the tag.

    `exact` are the source's bytes, if they are published; `media_type` and `entries` are the same
    in parsed form. An artifact is published as it is, without an index and without `entries`.
    """

    media_type: str
    entries: tuple[Descriptor, ...]
    exact: RawManifest | None = None
    annotations: tuple[tuple[str, str], ...] = ()

    @property
    def index(self) -> Index:
        """Return the index to write, if no exact bytes are published."""
        annotated = bool(self.annotations)
        return Index(self.media_type, self.entries, self.annotations, has_rare_fields=annotated)

    def difference(self, raw: RawManifest) -> str | None:
        """Return how `raw` differs from this index, or None; the order of entries is ignored."""
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
    """The decision for one image; `copies` are the wanted entries that are missing, in order.

    `kept` are entries of the tag that were not chosen and that the source does not have now.
    `removed` are entries that leave the tag: chosen ones that are gone at the source, and lost
    ones. `as_it_is`: the tag gets the source's manifest, which is not an index.
    """

    action: Action
    wanted: tuple[Descriptor, ...] = ()
    copies: tuple[Descriptor, ...] = ()
    nested: tuple[RawManifest, ...] = ()
    final: FinalIndex | None = None
    kept: tuple[Descriptor, ...] = ()
    removed: tuple[Descriptor, ...] = ()
    as_it_is: bool = False


def plan(
    source: SourceImage,
    wanted: tuple[Descriptor, ...],
    destination: DestinationImage | None,
    wish: PlanOptions,
) -> Plan:
    """Return the plan for one image; `wanted` are the selected leaves of `source`."""
    if not wanted:
        return Plan(action=Action.SKIP)
    if not has_platforms(source.leaves):
        wish = replace(wish, selection=EVERYTHING)
    staying = _staying(wanted, destination, wish)
    kept = not_brought(staying, wanted)
    as_it_is = source.artifact or (source.single and wish.keep_single and not kept)
    if as_it_is:
        final = FinalIndex(source.top.media_type, (), exact=source.top)
    else:
        final = final_index(source, wanted, staying, destination if kept else None)
    copies = tuple({e.digest: e for e in wanted if e.digest not in wish.present}.values())
    is_done = _is_done(final, destination) and not wish.force
    return Plan(
        action=Action.UNCHANGED if is_done else Action.COPY,
        wanted=wanted,
        copies=copies,
        nested=source.nested if final.exact is not None and not is_done else (),
        final=final,
        kept=_not_at_source(kept, source),
        removed=_removed(wanted, staying, destination),
        as_it_is=as_it_is,
    )


def final_index(
    source: SourceImage,
    wanted: tuple[Descriptor, ...],
    staying: tuple[Descriptor, ...] = (),
    annotated: DestinationImage | None = None,
) -> FinalIndex:
    """Return the final content of the tag: the source's bytes if they are just that.

    `staying` are the destination's entries to merge with. Annotations of the source's index win
    over those of `annotated`; a Docker list cannot have annotations.
    """
    entries = merge(wanted, staying)
    if not source.single and Counter(entries) == Counter(source.leaves):
        top = parse(source.top)
        return FinalIndex(
            top.media_type if isinstance(top, Index) else "", source.leaves, source.top
        )
    media_type = media.index_type_for(frozenset(e.media_type for e in entries))
    if media_type == media.DOCKER_LIST:
        return FinalIndex(media_type, entries)
    tops = [annotated.top] if annotated is not None and annotated.is_index else []
    tops += [] if source.single else [source.top]
    annotations = {name: value for top in tops for name, value in _annotations(top)}
    return FinalIndex(media_type, entries, annotations=tuple(sorted(annotations.items())))


def _staying(
    wanted: tuple[Descriptor, ...], destination: DestinationImage | None, wish: PlanOptions
) -> tuple[Descriptor, ...]:
    """Return the destination's entries to merge with; none if it is replaced."""
    if destination is None or wish.overwrite:
        return ()
    lost = wish.lost - {entry.digest for entry in wanted}
    there = tuple(entry for entry in destination.entries if entry.digest not in lost)
    return staying(there, wanted, wish.selection)


def _not_at_source(kept: tuple[Descriptor, ...], source: SourceImage) -> tuple[Descriptor, ...]:
    offered = {leaf.digest for leaf in source.leaves}
    return tuple(entry for entry in kept if entry.digest not in offered)


def _removed(
    wanted: tuple[Descriptor, ...],
    staying: tuple[Descriptor, ...],
    destination: DestinationImage | None,
) -> tuple[Descriptor, ...]:
    """Return the destination's images that are removed without a replacement."""
    if destination is None:
        return ()
    left = set(staying)
    gone = (entry for entry in not_brought(destination.entries, wanted) if entry not in left)
    return tuple(gone)


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
