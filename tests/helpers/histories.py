"""A source and a destination in memory that live through releases, runs, edits and losses.

`World.run` carries out what the planner decides, `World.validated` asks the validator, and
`World.is_right` the naive model.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from image_tools.errors import Different, DigestMismatch, InvalidManifest, NotFound, PlatformMissing
from image_tools.imagelist.entry import Entry
from image_tools.oci import media
from image_tools.oci.descriptor import ATTESTATION_SUBJECT, ATTESTATION_TYPE, Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Index, Manifest, RawManifest, index_bytes, parse
from image_tools.oci.platform import Platform
from image_tools.oci.reference import Reference
from image_tools.plan.inputs import DestinationImage, PlanOptions
from image_tools.plan.merge import select
from image_tools.plan.plan import Action, plan
from image_tools.plan.selection import Selection
from image_tools.run.deep_walk import Depth
from image_tools.run.job import Job
from image_tools.run.line.probe import Probed
from image_tools.run.reader import Reader, Repository
from image_tools.run.validation import Validation, compare_heads, validate
from image_tools.stores.store import ManifestHead
from image_tools.validation.demand import Demand
from tests.helpers.descriptors import UNKNOWN, platform
from tests.helpers.memory_store import MemoryStore
from tests.helpers.naive_model import Found, Leaf, expected

REPOSITORY, TAG = "app", "1"

# The same few manifests come in hundreds of histories.
_parsed = functools.cache(parse)


@dataclass(frozen=True)
class Part:
    """One entry of a source: an image of `where` in `release`.

    `says`: how much of its platform the entry states. `attested`: its attestation comes, too; with
    `orphan` only that comes. `nested`: it is in an index of its own kind within the index.
    """

    where: str = "linux/amd64"
    release: int = 1
    says: str = "all"
    attested: bool = False
    orphan: bool = False
    nested: bool = False


def flags(asked: Demand) -> Selection:
    """Return the same flags as the planner takes them."""
    return Selection(
        architectures=asked.architectures,
        systems=asked.systems,
        variants=asked.variants,
        attestations=asked.attestations,
    )


@functools.cache
def _written(name: str, where: Platform, kind: str) -> tuple[RawManifest, dict[Digest, bytes]]:
    """Return an image's manifest, and its config and layer."""
    config = json.dumps({**where.to_json(), "name": name}).encode()
    blobs, listed = dict[Digest, bytes](), []
    for content, type_ in ((config, kind), (name.encode(), "application/vnd.oci.layer")):
        digest = Digest.of(content)
        blobs[digest] = content
        listed.append({"mediaType": type_, "digest": str(digest), "size": len(content)})
    document = {"schemaVersion": 2, "config": listed[0], "layers": listed[1:]}
    return RawManifest(media.OCI_MANIFEST, json.dumps(document).encode()), blobs


@dataclass
class World:
    """Both ends; `facts` are the platforms that configs state, `wait` ends a coroutine."""

    wait: Callable[[Coroutine[Any, Any, Any]], Any]
    source: MemoryStore = field(default_factory=lambda: MemoryStore("source.example"))
    there: MemoryStore = field(default_factory=lambda: MemoryStore("there.example"))
    facts: dict[Digest, Platform] = field(default_factory=dict)
    promised: set[Leaf] = field(default_factory=set)

    # What the source does.

    def publish(self, parts: Iterable[Part], *, single: bool = False) -> None:
        """Move the source's tag to an index of `parts`, or to the first of them alone."""
        entries: list[Descriptor] = []
        nested: list[Descriptor] = []
        for part in parts:
            (nested if part.nested else entries).extend(self._entries(self.source, part))
        if single and (entries or nested):
            digest = (entries or nested)[0].digest
            self.source.repositories[REPOSITORY].tags[TAG] = digest
            return
        if nested:
            inner = self._index(self.source, nested)
            entries.append(inner.descriptor)
        self._index(self.source, entries, tag=TAG)

    def _entries(self, store: MemoryStore, part: Part) -> Iterator[Descriptor]:
        image = self._image(store, part)
        if not part.orphan:
            yield image
        if part.attested or part.orphan:
            about = {
                ATTESTATION_TYPE: "attestation-manifest",
                ATTESTATION_SUBJECT: str(image.digest),
            }
            raw = self._manifest(store, f"attestation of {image.digest}", UNKNOWN, media.OCI_CONFIG)
            yield Descriptor(
                media_type=raw.media_type,
                digest=raw.digest,
                size=len(raw.content),
                platform=UNKNOWN,
                annotations=tuple(sorted(about.items())),
            )

    def _image(self, store: MemoryStore, part: Part) -> Descriptor:
        where = platform(part.where)
        is_image = where.is_known
        config = media.OCI_CONFIG if is_image else "application/vnd.example.sbom"
        raw = self._manifest(store, f"{part.where} {part.release}", where, config)
        if is_image:
            self.facts[raw.digest] = where
        said = {"all": where, "system": Platform(os=where.os), "nothing": Platform()}[part.says]
        return Descriptor(
            media_type=raw.media_type,
            digest=raw.digest,
            size=len(raw.content),
            platform=said if is_image else where,
        )

    def _manifest(self, store: MemoryStore, name: str, where: Platform, kind: str) -> RawManifest:
        raw, blobs = _written(name, where, kind)
        store.repositories[REPOSITORY].blobs.update(blobs)
        store.add_manifest(REPOSITORY, raw)
        return raw

    def _index(
        self, store: MemoryStore, entries: Iterable[Descriptor], *, tag: str | None = None
    ) -> RawManifest:
        raw = RawManifest(media.OCI_INDEX, index_bytes(Index(media.OCI_INDEX, tuple(entries))))
        store.add_manifest(REPOSITORY, raw, tag)
        return raw

    # What a mirror run does: what the planner decides.

    def run(self, asked: Demand, *, behind: bool = False) -> Action:
        """Carry out the plan; `behind`: as a run that looks behind the tag."""
        lost = self.broken() if behind else frozenset()
        reader = Reader()
        top = self.top(self.source)
        assert top is not None
        image = self.wait(reader.source_image(Repository(self.source, REPOSITORY), top))
        wish = PlanOptions(
            selection=flags(asked),
            overwrite=asked.overwrite,
            keep_single=asked.keep_single,
            force=bool(lost),
            lost=lost,
        )
        decided = plan(image, select(image.leaves, flags(asked)), self._existing(), wish)
        if decided.action is Action.COPY:
            assert decided.final is not None
            for raw in (
                *(self._raw(self.source, one.digest) for one in decided.copies),
                *decided.nested,
            ):
                self._copy(raw, lost, behind=behind)
            final = decided.final
            published = final.exact or RawManifest(final.media_type, index_bytes(final.index))
            self._copy(published, lost, behind=behind)
            self.there.repositories[REPOSITORY].tags[TAG] = published.digest
        return decided.action

    def _existing(self) -> DestinationImage | None:
        top = self.top(self.there)
        if top is None:
            return None
        head = ManifestHead(top.digest, top.media_type, len(top.content))
        try:
            return self.wait(Reader().destination_image(Repository(self.there, REPOSITORY), head))
        except (InvalidManifest, NotFound, DigestMismatch):
            return None  # It is replaced.

    def _copy(self, raw: RawManifest, lost: frozenset[Digest], *, behind: bool) -> None:
        """Copy a manifest with its blobs, unless it is there: `behind`, with its blobs."""
        held = self.there.repositories[REPOSITORY]
        is_there = raw.digest in held.manifests and raw.digest not in lost
        if is_there and (not behind or self._is_whole(held, raw.digest)):
            return
        found = _parsed(raw)
        for blob in found.blobs if isinstance(found, Manifest) else ():
            held.blobs[blob.digest] = self.source.repositories[REPOSITORY].blobs[blob.digest]
        held.manifests[raw.digest] = raw

    def promise(self, asked: Demand, *, behind: bool) -> None:
        """Note in `promised` what a run has to leave: what is lost and was not wanted goes.

        An index that cannot be read is replaced.
        """
        there = [] if self.has_lost_an_index() else self.found(self.there)
        lost = self.broken() if behind else frozenset()
        source = self.found(self.source)
        left = [one for one in there if one.leaf[0] not in lost]
        wanted, kept, _ = expected(source, left, asked)
        self.promised = wanted | kept

    # What others do to the destination.

    def drop_tag(self) -> None:
        """Delete the tag."""
        self.there.repositories[REPOSITORY].tags.pop(TAG, None)

    def add(self, part: Part) -> None:
        """Push one more image, and list it."""
        added = tuple(self._entries(self.there, part))
        self._rewrite([*self._listed(), *added])

    def take_out(self, number: int) -> None:
        """List one entry less."""
        listed = self._listed()
        if listed:
            del listed[number % len(listed)]
            self._rewrite(listed)

    def turn(self) -> None:
        """List the same entries the other way round."""
        self._rewrite(self._listed()[::-1])

    def fill(self) -> None:
        """Let another tool copy the source as it is."""
        for store in (self.source.repositories[REPOSITORY],):
            held = self.there.repositories[REPOSITORY]
            held.blobs.update(store.blobs)
            held.manifests.update(store.manifests)
            held.tags.update(store.tags)

    def push_single(self, part: Part) -> None:
        """Let the tag lead to a single image."""
        self.there.repositories[REPOSITORY].tags[TAG] = self._image(self.there, part).digest

    def lose(self, number: int, *, blob: bool) -> None:
        """Let the garbage collector take a manifest behind the tag, or a blob of one."""
        behind = sorted(self._behind(), key=str)
        held = self.there.repositories[REPOSITORY]
        if not behind:
            return
        victim = behind[number % len(behind)]
        found = _parsed(held.manifests[victim]) if victim in held.manifests else None
        if blob and isinstance(found, Manifest):
            held.blobs.pop(found.blobs[number % 2].digest, None)
        else:
            held.manifests.pop(victim, None)

    def _rewrite(self, listed: list[Descriptor]) -> None:
        self._index(self.there, listed, tag=TAG)

    def _listed(self) -> list[Descriptor]:
        top = self.top(self.there)
        found = None if top is None else _parsed(top)
        return list(found.entries) if isinstance(found, Index) else []

    # What is there.

    def top(self, store: MemoryStore) -> RawManifest | None:
        """Return what the tag of `store` leads to."""
        held = store.repositories[REPOSITORY]
        return held.manifests.get(held.tags[TAG]) if TAG in held.tags else None

    def is_index(self, store: MemoryStore) -> bool:
        """Return whether the tag of `store` leads to an index."""
        top = self.top(store)
        return top is not None and isinstance(_parsed(top), Index)

    def found(self, store: MemoryStore) -> list[Found]:
        """Return the leaves below the tag; what is lost is still what it was."""
        top = self.top(store)
        if top is None:
            return []
        return list(self._found(store, top.descriptor))

    def _found(self, store: MemoryStore, entry: Descriptor) -> Iterator[Found]:
        raw = store.repositories[REPOSITORY].manifests.get(entry.digest)
        parsed = None if raw is None else _parsed(raw)
        if isinstance(parsed, Index):
            for below in parsed.entries:
                yield from self._found(store, below)
            return
        stated = entry.platform
        if not (entry.is_attestation or (stated.os and stated.architecture)):
            stated = stated.completed_from(self.facts.get(entry.digest, Platform()))
        yield Found((entry.digest, stated.normalized, entry.is_attestation), entry.subject)

    def _raw(self, store: MemoryStore, digest: Digest) -> RawManifest:
        return store.repositories[REPOSITORY].manifests[digest]

    def _behind(self) -> set[Digest]:
        """Return all manifests below the destination's tag, indexes among them."""
        seen: set[Digest] = set()
        waiting = [entry.digest for entry in self._listed()]
        while waiting:
            digest = waiting.pop()
            seen.add(digest)
            raw = self.there.repositories[REPOSITORY].manifests.get(digest)
            found = None if raw is None else _parsed(raw)
            waiting += [e.digest for e in found.entries] if isinstance(found, Index) else []
        return seen

    def broken(self) -> frozenset[Digest]:
        """Return what is lost below the destination's tag, and what has lost a blob."""
        held = self.there.repositories[REPOSITORY]
        top = self.top(self.there)
        alone = {top.digest} if top is not None else set()
        return frozenset(d for d in self._behind() | alone if not self._is_whole(held, d))

    def _is_whole(self, held: Any, digest: Digest) -> bool:
        if digest not in held.manifests:
            return False
        found = _parsed(held.manifests[digest])
        blobs = found.blobs if isinstance(found, Manifest) else ()
        return all(blob.digest in held.blobs for blob in blobs)

    # What a validation says.

    def is_right(self, asked: Demand, *, deep: bool) -> bool | None:
        """Return what the model says of the destination; None where an image is skipped."""
        source, there = self.found(self.source), self.found(self.there)
        wanted, kept, is_whole = expected(source, there, asked)
        if not wanted:
            return None
        top, origin = self.top(self.there), self.top(self.source)
        if top is None or origin is None:
            return False
        if deep and not self._is_complete({leaf[0] for leaf in wanted | kept}):
            return False
        is_same = top.digest == origin.digest
        if not self.is_index(self.source):
            is_artifact = not source[0].leaf[1].is_known
            if is_artifact or (asked.keep_single and not kept):
                return is_same
            is_whole = False  # There is no index whose bytes could be wanted.
        if not self.is_index(self.there):
            return False
        leaves = {one.leaf for one in there}
        if leaves != wanted | kept:
            return False
        return is_same if is_whole and not kept else True

    def _is_complete(self, digests: set[Digest]) -> bool:
        """Return whether these are whole, and all indexes between them and the tag are there."""
        held, broken = self.there.repositories[REPOSITORY], self.broken()
        leaves = {one.leaf[0] for one in self.found(self.there)}
        indexes = {d for d in self._behind() if d in held.manifests} - leaves
        lost = {d for d in self._behind() if d not in held.manifests and d in self._nested}
        return not (digests & broken) and not (indexes & broken) and not lost

    @property
    def _nested(self) -> set[Digest]:
        """Return every index that the source ever had."""
        raws = self.source.repositories[REPOSITORY].manifests.values()
        return {raw.digest for raw in raws if raw.media_type == media.OCI_INDEX}

    def has_lost_an_index(self) -> bool:
        """Return whether an index within the destination's is lost."""
        held = self.there.repositories[REPOSITORY]
        return any(d not in held.manifests for d in self._behind() & self._nested)

    def validated(self, asked: Demand, depth: Depth) -> Any:
        """Return the outcome of a validation, or what it raised."""
        return self.wait(self._validated(asked, Validation(depth=depth)))

    async def _validated(self, asked: Demand, wish: Validation) -> Any:
        context = cast("Any", SimpleNamespace(reader=Reader(), base=None))
        job = cast("Job", _Job(self))
        try:
            seen = await compare_heads(context, job, wish, asked)
            if not isinstance(seen, Probed):
                return seen
            return await validate(context, job, seen, wish, asked)
        except (Different, PlatformMissing) as error:
            return error


class _Job:
    tag = TAG

    def __init__(self, world: World) -> None:
        self.source = Repository(world.source, REPOSITORY)
        self.destination = Repository(world.there, REPOSITORY)
        self.entry = Entry(
            number=1,
            line=1,
            raw="",
            source=Reference.parse(f"source.example/{REPOSITORY}:{TAG}"),
            destination=Reference.parse(f"there.example/{REPOSITORY}:{TAG}"),
        )
