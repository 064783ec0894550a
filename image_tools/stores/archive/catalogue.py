"""The names in an archive: index.json as values (image spec, image-layout.md).

A tag is an entry with the annotations `org.opencontainers.image.ref.name` and containerd's
`io.containerd.image.name`, both the whole reference. Entries without a name are referrers.
Entries of other programs without a whole reference are kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from image_tools.errors import ArchiveDamaged, ImageToolsError, InvalidManifest, InvalidReference
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor, pairs
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.oci.reference import Reference, parse_tag
from image_tools.report import Kept
from image_tools.stores.store import Chosen

REF_NAME = "org.opencontainers.image.ref.name"
IMAGE_NAME = "io.containerd.image.name"
MOST_ENTRIES = 200_000
_ORIGIN = "image-tools.source"
_ORIGIN_DIGEST = "image-tools.source.digest"
_SELECTION = "image-tools.selection"
_KEPT = "image-tools.kept"
_RELIED = "image-tools.relies-on"
_OWN = frozenset({REF_NAME, IMAGE_NAME, _ORIGIN, _ORIGIN_DIGEST, _SELECTION, _KEPT})
_KNOWN = frozenset({"schemaVersion", "mediaType", "manifests"})


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an image came from when it was last saved: its reference and its digest.

    `selection` is the state's key of the selected platforms (`run.options.Options.state_key`).
    `kept` are entries that stayed in its index without having been chosen.
    """

    source: str
    digest: Digest
    selection: str
    kept: tuple[Kept, ...] = field(default=(), compare=False)

    @property
    def chosen(self) -> Chosen | None:
        """Return the architectures, systems and variants that were chosen; None if unreadable."""
        parts = self.selection.split("/")
        if len(parts) != len(Chosen._fields):
            return None
        words = [part.split("+")[0] for part in parts]
        return Chosen(*(None if word == "*" else frozenset(word.split(",")) for word in words))


@dataclass(frozen=True, slots=True)
class Tagged:
    """The content that a tag leads to; the descriptor is without the annotations that name it."""

    descriptor: Descriptor
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All tags of an archive, the nameless entries, and the other fields of index.json."""

    tags: Mapping[Reference, Tagged] = field(default_factory=dict)
    nameless: tuple[Descriptor, ...] = ()
    extras: Mapping[str, Any] = field(default_factory=dict)

    def tagged(self, reference: Reference, descriptor: Descriptor) -> Catalogue:
        """Return this catalogue with `reference` leading to `descriptor`."""
        return replace(self, tags={**self.tags, reference: Tagged(descriptor)})

    def with_origin(self, reference: Reference, origin: Origin) -> Catalogue:
        """Return this catalogue with the origin of the image under `reference`."""
        known = self.tags[reference]
        return replace(self, tags={**self.tags, reference: replace(known, origin=origin)})

    def with_nameless(self, descriptor: Descriptor) -> Catalogue:
        """Return this catalogue with one more nameless entry, unless it has that one."""
        if any(entry.digest == descriptor.digest for entry in self.nameless):
            return self
        return replace(self, nameless=(*self.nameless, descriptor))

    def with_stated(self, descriptor: Descriptor, name: Reference) -> Catalogue:
        """Return this catalogue with an entry that states `name`, which has no tag."""
        stated = replace(descriptor, annotations=((IMAGE_NAME, str(name)),))
        return replace(self, nameless=(*self.nameless, stated))

    @property
    def relied(self) -> Digest | None:
        """Return the digest of the record of blobs that are kept elsewhere."""
        annotations = self.extras.get("annotations")
        text = annotations.get(_RELIED) if isinstance(annotations, dict) else None
        try:
            return Digest.parse(text) if isinstance(text, str) else None
        except InvalidReference:
            return None

    def relying_on(self, record: Descriptor | None) -> Catalogue:
        """Return this catalogue with another such record; None when nothing is kept elsewhere."""
        known = self.extras.get("annotations")
        annotations = dict(known) if isinstance(known, dict) else {}
        annotations.pop(_RELIED, None)
        if record is not None:
            annotations[_RELIED] = str(record.digest)
        extras = {name: self.extras[name] for name in self.extras if name != "annotations"}
        return replace(
            self, extras={**extras, **({"annotations": annotations} if annotations else {})}
        )

    def named(self, entry: Descriptor, reference: Reference) -> Catalogue:
        """Return this catalogue with one of the nameless entries named `reference`."""
        return self.tagged(reference, _bare(entry)).without(entry)

    def without(self, entry: Descriptor) -> Catalogue:
        """Return this catalogue without one of the nameless entries."""
        return replace(self, nameless=tuple(one for one in self.nameless if one != entry))

    def without_tags(self) -> Catalogue:
        """Return this catalogue without any entries."""
        return Catalogue(extras=self.extras)

    def index_bytes(self) -> bytes:
        """Return index.json: the tags sorted by name, then the nameless entries.

        Raise ArchiveDamaged when something that was read is nested too deep to be written again.
        """
        named = [_entry(reference, self.tags[reference]) for reference in sorted(self.tags)]
        document = {
            "schemaVersion": 2,
            "mediaType": media.OCI_INDEX,
            "manifests": [*named, *(entry.to_json() for entry in self.nameless)],
            **self.extras,
        }
        try:
            text = json.dumps(document, indent=2, ensure_ascii=False)
        except RecursionError as error:
            raise ArchiveDamaged("something in index.json is nested too deep") from error
        return f"{text}\n".encode(errors="replace")


def parse_catalogue(content: bytes, name: str) -> Catalogue:
    """Return the catalogue in the bytes of an index.json, an empty one for no bytes.

    `name` is for messages. Raise ArchiveDamaged when it is no index, or gives one name to two
    manifests.
    """
    if not content:
        return Catalogue()
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _damaged(name, f"index.json is not JSON: {error}") from error
    listed = document.get("manifests") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise _damaged(name, "index.json is no index")
    if len(listed) > MOST_ENTRIES:
        raise _damaged(name, f"index.json has {len(listed)} entries")
    extras = {key: document[key] for key in document.keys() - _KNOWN}
    return _sorted(name, (_descriptor(name, fields) for fields in listed), extras)


def _sorted(name: str, entries: Iterable[Descriptor], extras: Mapping[str, Any]) -> Catalogue:
    tags: dict[Reference, Tagged] = {}
    nameless: list[Descriptor] = []
    for entry in entries:
        reference = reference_of(entry)
        if reference is None:
            nameless.append(entry)
            continue
        found = Tagged(_bare(entry), _origin(entry))
        if tags.setdefault(reference, found).descriptor.digest != entry.digest:
            raise _damaged(name, f"index.json has two images under {reference}")
    return Catalogue(tags, tuple(nameless), extras)


def reference_of(entry: Descriptor) -> Reference | None:
    """Return the whole reference that names an entry, None when it states less than that."""
    whole = next((name for name in _names_of(entry) if name.tag is not None), None)
    return None if whole is None else Reference(whole.registry, whole.repository, whole.tag)


def repository_of(entry: Descriptor) -> Reference | None:
    """Return the name of an entry without a tag, maybe with a digest; None when it states none."""
    return next((name for name in _names_of(entry) if name.tag is None), None)


def tag_of(entry: Descriptor) -> str | None:
    """Return the tag that an entry states beside its name, or alone (oras, skopeo)."""
    text = dict(entry.annotations).get(REF_NAME, "").partition("@")[0]
    try:
        return parse_tag(text)
    except InvalidReference:
        return None


def _names_of(entry: Descriptor) -> Iterator[Reference]:
    annotations = dict(entry.annotations)
    for key in (IMAGE_NAME, REF_NAME):
        text = annotations.get(key, "")
        if not _is_name(text, key):
            continue
        try:
            yield Reference.parse(text)
        except InvalidReference:
            continue


def _is_name(text: str, key: str) -> bool:
    """Return whether `text` names an image: `REF_NAME` may be a tag or a digest alone."""
    name, _, digest = text.partition("@")
    if key == IMAGE_NAME:
        return bool(name)
    is_digest = not digest and name.count(":") == 1 and _is_digest(name)
    return ("/" in name or ":" in name) and not is_digest


def _is_digest(text: str) -> bool:
    try:
        return bool(Digest.parse(text))
    except InvalidReference:
        return False


def tag_note(reference: Reference, descriptor: Descriptor) -> str:
    """Return the journal's line for a tag that was set."""
    return json.dumps({"tag": str(reference), "descriptor": descriptor.to_json()})


def origin_note(reference: Reference, origin: Origin) -> str:
    """Return the journal's line for where the image under a tag came from."""
    said = {"source": origin.source, "digest": str(origin.digest), "selection": origin.selection}
    return json.dumps({"origin": str(reference), **said, "kept": _kept_text(origin.kept)})


def nameless_note(descriptor: Descriptor) -> str:
    """Return the journal's line for a nameless entry."""
    return json.dumps({"descriptor": descriptor.to_json()})


def replayed(catalogue: Catalogue, notes: Iterable[str]) -> Catalogue:
    """Return `catalogue` after the notes of a killed run; those that cannot be read are skipped."""
    for note in notes:
        try:
            catalogue = _replayed(catalogue, json.loads(note))
        except (ImageToolsError, ValueError, LookupError, TypeError, RecursionError):
            continue
    return catalogue


def _replayed(catalogue: Catalogue, said: Any) -> Catalogue:
    if "origin" in said:
        kept = _kept(said.get("kept", "[]"))
        origin = Origin(said["source"], Digest.parse(said["digest"]), said["selection"], kept)
        return catalogue.with_origin(Reference.parse(said["origin"]), origin)
    descriptor = Descriptor.from_json(said["descriptor"])
    if "tag" in said:
        return catalogue.tagged(Reference.parse(said["tag"]), descriptor)
    return catalogue.with_nameless(descriptor)


def _entry(reference: Reference, tagged: Tagged) -> dict[str, Any]:
    annotations = dict(tagged.descriptor.annotations) | {
        IMAGE_NAME: str(reference),
        REF_NAME: str(reference),
    }
    if (origin := tagged.origin) is not None:
        annotations[_ORIGIN] = origin.source
        annotations[_ORIGIN_DIGEST] = str(origin.digest)
        annotations[_SELECTION] = origin.selection
        annotations |= {_KEPT: _kept_text(origin.kept)} if origin.kept else {}
    return replace(tagged.descriptor, annotations=tuple(sorted(annotations.items()))).to_json()


def _bare(entry: Descriptor) -> Descriptor:
    kept = tuple((key, value) for key, value in entry.annotations if key not in _OWN)
    return replace(entry, annotations=kept)


def _origin(entry: Descriptor) -> Origin | None:
    annotations = dict(entry.annotations)
    try:
        digest = Digest.parse(annotations[_ORIGIN_DIGEST])
        kept = _kept(annotations.get(_KEPT, "[]"))
        return Origin(annotations[_ORIGIN], digest, annotations[_SELECTION], kept)
    except (LookupError, InvalidReference, TypeError, ValueError):
        return None


def _kept_text(kept: tuple[Kept, ...]) -> str:
    return json.dumps([one.to_json() for one in kept])


def _kept(text: str) -> tuple[Kept, ...]:
    return tuple(map(Kept.from_json, json.loads(text)))


def _descriptor(name: str, fields: object) -> Descriptor:
    try:
        return Descriptor.from_json(fields)
    except InvalidManifest as error:
        raise _damaged(name, f"an entry of index.json: {error}") from error


def _damaged(name: str, what: str) -> ArchiveDamaged:
    return ArchiveDamaged(f"{name}: {what}")


def subject_of(raw: RawManifest) -> Digest | None:
    """Return the digest that a manifest names as its subject, None without one."""
    subject = _object(raw).get("subject")
    stated = subject.get("digest") if isinstance(subject, dict) else None
    try:
        return Digest.parse(stated) if isinstance(stated, str) else None
    except InvalidReference:
        return None


def referrer(raw: RawManifest) -> Descriptor:
    """Return a manifest as a list of referrers shows it: with artifact type and annotations."""
    document = _object(raw)
    config = document.get("config")
    kind = document.get("artifactType") or (
        config.get("mediaType") if isinstance(config, dict) else None
    )
    return replace(
        raw.descriptor,
        annotations=pairs(document.get("annotations")),
        artifact_type=kind if isinstance(kind, str) else "",
    )


def _object(raw: RawManifest) -> dict[str, Any]:
    try:
        found = json.loads(raw.content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
