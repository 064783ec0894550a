"""Descriptors (OCI image spec, descriptor.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from image_tools.errors import InvalidManifest, InvalidReference
from image_tools.oci.digest import Digest
from image_tools.oci.platform import Platform

ATTESTATION_TYPE = "vnd.docker.reference.type"
ATTESTATION_SUBJECT = "vnd.docker.reference.digest"
_MAXIMUM_SIZE = 2**63 - 1  # "int64" in the specification
_COMPOSED_FIELDS = frozenset(
    {"mediaType", "digest", "size", "platform", "annotations", "artifactType"}
)
_FIELDS = _COMPOSED_FIELDS | {"urls", "data"}
_PLATFORM_FIELDS = frozenset({"architecture", "os", "os.version", "os.features", "variant"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A typed and sized link to content; `fields` is the JSON object it was read from."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform = Platform()
    annotations: tuple[tuple[str, str], ...] = ()
    artifact_type: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def from_json(cls, fields: object) -> Descriptor:
        """Return the descriptor in a parsed JSON value. Raise InvalidManifest if there is none."""
        if not isinstance(fields, dict):
            raise InvalidManifest("a descriptor is not a JSON object")
        refuse_look_alikes(fields, _FIELDS)
        size, media_type = fields.get("size"), fields.get("mediaType", "")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _MAXIMUM_SIZE:
            raise InvalidManifest("a descriptor's size is no number of bytes")
        if not isinstance(media_type, str):
            raise InvalidManifest(f"a descriptor has the media type {media_type!r}")
        platform, artifact_type = fields.get("platform"), fields.get("artifactType")
        return cls(
            media_type=media_type,
            digest=_digest(fields.get("digest")),
            size=size,
            platform=Platform.from_json(platform) if isinstance(platform, dict) else Platform(),
            annotations=pairs(fields.get("annotations")),
            artifact_type=artifact_type if isinstance(artifact_type, str) else "",
            fields=fields,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of this descriptor, with unknown fields as they were read."""
        known: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
        }
        if self.annotations:
            known["annotations"] = dict(self.annotations)
        if self.platform != Platform():
            known["platform"] = {**self._platform_extras(), **self.platform.to_json()}
        if self.artifact_type:
            known["artifactType"] = self.artifact_type
        kept = {name: self.fields[name] for name in self.fields if name not in _COMPOSED_FIELDS}
        return {**known, **kept}

    @property
    def has_rare_fields(self) -> bool:
        """Return whether it has fields that buildx does not write: `urls`, `data`, unknown ones."""
        return not self.fields.keys() <= _COMPOSED_FIELDS or bool(self._platform_extras())

    @property
    def is_attestation(self) -> bool:
        """Return whether it is an attestation entry, as BuildKit adds them to an index."""
        return dict(self.annotations).get(ATTESTATION_TYPE) == "attestation-manifest"

    @property
    def subject(self) -> str:
        """Return the digest of the image that an attestation is about; empty if it states none."""
        return dict(self.annotations).get(ATTESTATION_SUBJECT, "")

    @property
    def urls(self) -> tuple[str, ...]:
        """Return its `urls` as printable text. They are shown, never requested."""
        stated = self.fields.get("urls")
        texts = [one for one in stated if isinstance(one, str)] if isinstance(stated, list) else []
        return tuple("".join(c if c.isprintable() else "?" for c in one) for one in texts)

    def _platform_extras(self) -> dict[str, Any]:
        platform = self.fields.get("platform")
        if not isinstance(platform, dict):
            return {}
        return {name: platform[name] for name in platform if name not in _PLATFORM_FIELDS}


def refuse_look_alikes(fields: Mapping[str, Any], known: frozenset[str]) -> None:
    """Raise InvalidManifest if a name in `fields` differs from one of `known` only in case.

    Go's JSON reader accepts `Digest` for `digest`, and one digest must not mean two things.
    """
    unknown = fields.keys() - known
    if not unknown:
        return
    folded = {name.casefold() for name in known}
    for name in unknown:
        if name.casefold() in folded:
            raise InvalidManifest(f"the field {name!r} is no field, and looks like one")


def pairs(annotations: object) -> tuple[tuple[str, str], ...]:
    """Return the annotations of a JSON value as sorted pairs, without those that are not text."""
    if not isinstance(annotations, dict):
        return ()
    return tuple(
        sorted((k, v) for k, v in annotations.items() if isinstance(k, str) and isinstance(v, str))
    )


def _digest(text: object) -> Digest:
    if not isinstance(text, str):
        raise InvalidManifest(f"a descriptor has the digest {text!r}")
    try:
        return Digest.parse(text)
    except InvalidReference as error:
        raise InvalidManifest(f"a descriptor's digest is wrong: {error}") from error
