"""One open archive: its content, and its images by name."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from image_tools.errors import ArchiveDamaged, DigestMismatch, InvalidManifest, NotFound
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import (
    MAXIMUM_MANIFEST_SIZE,
    Index,
    Manifest,
    RawManifest,
    Schema1,
    parse,
)
from image_tools.oci.reference import Reference
from image_tools.oci.tree import Fault, Parsed, everything, run_walk, walk
from image_tools.stores.archive.catalogue import (
    Origin,
    nameless_note,
    origin_note,
    parse_catalogue,
    referrer,
    replayed,
    subject_of,
    tag_note,
)
from image_tools.stores.archive.content import Content, RemovesBlobs, add_blob


class Archive:
    """The images in `content`. Blocking, and safe for many threads.

    An unfinished archive is continued. With `new`, the tags that were published before are dropped
    with the next `publish`. `base_sizes` are the sizes in bytes of blobs that images rely on and
    that are kept elsewhere. In a repair, `damaged` are blobs that count as absent, and `fetched`
    the sizes in bytes of those that were brought again.
    """

    def __init__(self, content: Content, *, writing: bool = False, new: bool = False) -> None:
        self.content, self.writing = content, writing
        self.name = content.name
        published = parse_catalogue(content.index(), self.name)
        if writing:
            published.index_bytes()  # Fails now rather than at the end of a long run.
        notes = content.notes()
        self.catalogue = replayed(published.without_tags() if new else published, notes)
        self.base_sizes: Mapping[Digest, int] = {}
        self.damaged: Collection[Digest] = ()
        self.fetched: Mapping[Digest, int] = {}
        self._new, self._changed = new, new or bool(notes)
        # The event loop adds origins while threads add images.
        self._lock = threading.Lock()
        self._referrers: defaultdict[Digest, dict[Digest, Descriptor]] | None = None

    @property
    def images(self) -> tuple[Reference, ...]:
        """Return the references of all tags, sorted."""
        return tuple(sorted(self.catalogue.tags))

    def tagged(self, reference: Reference) -> Descriptor | None:
        """Return the descriptor a tag leads to, None when there is no such tag."""
        found = self.catalogue.tags.get(reference)
        return None if found is None else found.descriptor

    def manifest(self, digest: Digest) -> RawManifest:
        """Return the manifest of `digest`, verified.

        Raise NotFound when it is absent, ArchiveDamaged when its bytes have another digest,
        InvalidManifest when they are no manifest.
        """
        size = self.content.size(digest)
        if size is None:
            raise NotFound(f"{self.name}: manifest {digest} is not in it")
        if size > MAXIMUM_MANIFEST_SIZE:
            raise InvalidManifest(
                f"{self.name}: {digest} has {size} bytes: too many for a manifest"
            )
        with self.content.open(digest) as file:
            content = file.read(MAXIMUM_MANIFEST_SIZE + 1)
        try:
            digest.verify(content)
        except DigestMismatch as error:
            raise damaged_blob(self.name, digest) from error
        return RawManifest(self._media_type(RawManifest("", content)), content)

    def named_manifest(self, reference: Reference) -> RawManifest:
        """Return the manifest a tag leads to; raise ArchiveDamaged if its entry differs."""
        entry = self.tagged(reference)
        if entry is None:
            raise NotFound(f"{self.name}: {reference} is not in it")
        try:
            found = self.manifest(entry.digest)
        except NotFound as error:
            raise ArchiveDamaged(f"{self.name}: {reference}: {entry.digest} is missing") from error
        # A manifest that does not state its media type gets that of its entry.
        stated = RawManifest(entry.media_type or found.media_type, found.content)
        real = self._media_type(stated)
        if (real, len(found.content)) != (stated.media_type, entry.size):
            raise ArchiveDamaged(
                f"{self.name}: {reference}: index.json says {entry.media_type} of {entry.size}"
                f" bytes, it is {real} of {len(found.content)}"
            )
        return stated

    def blob_size(self, digest: Digest) -> int | None:
        """Return the size in bytes of a blob that is in the archive or in its base, else None."""
        size = self.content.size(digest)
        return self.base_sizes.get(digest) if size is None else size

    def missing(self, raw: RawManifest) -> tuple[Digest, ...]:
        """Return the blobs of an image that neither the archive nor its base has in full."""
        found = parse(raw)
        blobs = self._needed(found) if isinstance(found, Manifest) else ()
        return tuple(blob.digest for blob in blobs if self.blob_size(blob.digest) != blob.size)

    def add_manifest(self, raw: RawManifest) -> None:
        """Add a manifest durably; raise NotFound when one of its blobs is missing."""
        for digest in self.missing(raw):
            raise NotFound(f"{self.name}: blob {digest} of {raw.digest} is not in it")
        self._add(raw)

    def rely_on(self, record: RawManifest | None) -> None:
        """Keep `record`, which says what the base has and where it is; None when nothing is."""
        if record is not None:
            self._add(record)
        with self._lock:
            self.catalogue = self.catalogue.relying_on(
                None if record is None else record.descriptor
            )

    def add_tag(self, reference: Reference, raw: RawManifest) -> None:
        """Point a tag at a manifest that is in the archive, durably."""
        descriptor = replace(raw.descriptor, media_type=self._media_type(raw))
        with self._lock:
            self.content.note(tag_note(reference, descriptor))
            self.catalogue = self.catalogue.tagged(reference, descriptor)
            self._note_referrer(raw)
            self._changed = True

    def add_referrer(self, raw: RawManifest) -> None:
        """Note a manifest that is in the archive, if it has a subject, durably."""
        if subject_of(raw) is None:
            return
        with self._lock:
            self.content.note(nameless_note(raw.descriptor))
            self.catalogue = self.catalogue.with_nameless(raw.descriptor)
            self._note_referrer(raw)
            self._changed = True

    def add_origin(self, reference: Reference, origin: Origin) -> None:
        """Remember where the image under a tag came from, durably."""
        with self._lock:
            known = self.catalogue.tags.get(reference)
            if known is None or known.origin == origin:
                return
            self.content.note(origin_note(reference, origin))
            self.catalogue = self.catalogue.with_origin(reference, origin)
            self._changed = True

    def origin(self, reference: Reference) -> Origin | None:
        """Return where the image under a tag came from, None when unknown."""
        known = self.catalogue.tags.get(reference)
        return None if known is None else known.origin

    def referrers(self, digest: Digest) -> tuple[Descriptor, ...]:
        """Return the manifests that name `digest` as their subject."""
        with self._lock:
            if self._referrers is None:
                self._referrers = defaultdict(dict)
                for raw in self._entries():
                    self._note_referrer(raw)
            return tuple(self._referrers.get(digest, {}).values())

    def is_whole(self, digest: Digest, *, with_base: bool = False) -> bool:
        """Return whether everything a manifest leads to is here, within the bounds of a walk.

        With `with_base`, blobs of the base count as here.
        """
        blobs: dict[Digest, int] = {}

        def look(_entry: Descriptor, _raw: RawManifest, found: Parsed) -> None:
            if isinstance(found, Manifest):
                blobs.update({blob.digest: blob.size for blob in self._needed(found)})

        try:
            asking = walk(self.manifest(digest), wants=everything, on_manifest=look)
        except (ArchiveDamaged, InvalidManifest):
            return True  # It is here; its damage is reported when it is read.
        except NotFound:
            return False
        tree = run_walk(asking, lambda entry: self.manifest(entry.digest))
        wrong = (NotFound, ArchiveDamaged)
        if any(p.fault is Fault.BEYOND or isinstance(p.error, wrong) for p in tree.problems):
            return False
        size = self.blob_size if with_base else self.content.size
        return all(size(digest) == stated for digest, stated in blobs.items())

    def reachable(self) -> frozenset[Digest]:
        """Return the digests of all manifests and blobs that a tag or a referrer leads to.

        An index that an image was selected from is among them if it was kept (`--keep-digest`).
        """
        tags = self.catalogue.tags.values()
        kept = [tagged.origin.digest for tagged in tags if tagged.origin is not None]
        starts = [tagged.descriptor.digest for tagged in tags]
        starts += [digest for digest in kept if self.content.size(digest) is not None]
        return self._reachable([*starts, *(entry.digest for entry in self.catalogue.nameless)])

    def sweep(self) -> None:
        """Remove the blobs that nothing leads to, where the content can: in a folder."""
        if isinstance(self.content, RemovesBlobs):
            reachable = self.reachable()
            for digest, _ in tuple(self.content.digests()):
                if digest not in reachable:
                    self.content.forget(digest)

    def _needed(self, found: Manifest) -> tuple[Descriptor, ...]:
        """Return the blobs an image must have here; a foreign layer only if it was here once."""
        here = (layer for layer in found.foreign if layer.digest in self.damaged)
        return (*found.blobs, *here)

    def _reachable(self, waiting: list[Digest]) -> frozenset[Digest]:
        """Return everything that `waiting` leads to, however deep; the rest is removed.

        This is no walk of `oci.tree`, whose bounds are those of one image: it visits each manifest
        of the archive once.
        """
        found = set[Digest]()
        while waiting:
            digest = waiting.pop()
            if digest not in found:
                found.add(digest)
                waiting += self._below(digest)
        return frozenset(found)

    def _below(self, digest: Digest) -> list[Digest]:
        try:
            found = parse(self.manifest(digest))
        except (ArchiveDamaged, InvalidManifest, NotFound):
            return []
        if isinstance(found, Manifest):
            here = (one for one in found.foreign if self.content.size(one.digest) is not None)
            return [blob.digest for blob in (*found.blobs, *here)]
        return [entry.digest for entry in found.entries] if isinstance(found, Index) else []

    def publish(self) -> None:
        """Make what was added the archive, durably and at once.

        Does nothing when nothing was added, and never replaces an archive by an empty one.
        """
        if self._changed and (self.catalogue.tags or not self._new):
            self.content.publish(self.catalogue.index_bytes())
            self._changed = False

    def close(self) -> None:
        """Close all files; what arrived without a `publish` stays for the next run."""
        self.content.close()

    def _add(self, raw: RawManifest) -> None:
        size, chunks = len(raw.content), (raw.content,)
        add_blob(self.content, raw.digest, size, chunks, compressible=True)
        self._changed = True

    def _media_type(self, raw: RawManifest) -> str:
        try:
            found = parse(raw)
        except InvalidManifest as error:
            raise InvalidManifest(f"{self.name}: {raw.digest}: {error}") from error
        if isinstance(found, Schema1):
            raise InvalidManifest(f"{self.name}: {raw.digest} is a schema 1 image")
        return found.media_type

    def _entries(self) -> Iterable[RawManifest]:
        tagged = (tagged.descriptor for tagged in self.catalogue.tags.values())
        for entry in (*tagged, *self.catalogue.nameless):
            try:
                yield self.manifest(entry.digest)
            except (NotFound, InvalidManifest):
                continue

    def _note_referrer(self, raw: RawManifest) -> None:
        subject = subject_of(raw)
        if subject is not None and self._referrers is not None:
            self._referrers[subject][raw.digest] = referrer(raw)


def damaged_blob(name: str, digest: Digest) -> ArchiveDamaged:
    """Return the error of a blob whose bytes have another digest."""
    return ArchiveDamaged(f"{name}: blob {digest} is damaged: its bytes have another digest")
