"""Content digests (OCI image spec, descriptor.md, "Digests")."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from image_tools.errors import DigestMismatch, InvalidReference

_HEX_LENGTH = {"sha256": 64, "sha512": 128}
_LONGEST_IN_TAG = 64
_SHAPE = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A digest `algorithm:hex` of a registered algorithm, sha256 or sha512."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Return the digest in `text`. Raise InvalidReference if it cannot be computed."""
        algorithm, _, encoded = text.partition(":")
        if not _SHAPE.fullmatch(text):
            raise InvalidReference(f"{text!r} is not a digest: write sha256:<64 hex digits>")
        if algorithm not in _HEX_LENGTH:
            raise InvalidReference(f"digest algorithm {algorithm!r} is not supported")
        if not re.fullmatch(rf"[0-9a-f]{{{_HEX_LENGTH[algorithm]}}}", encoded):
            raise InvalidReference(
                f"{text!r} is not a digest: {algorithm} has {_HEX_LENGTH[algorithm]} hex digits"
            )
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, content: bytes) -> Digest:
        """Return the sha256 digest of `content`."""
        return cls("sha256", hashlib.sha256(content).hexdigest())

    def hasher(self) -> hashlib._Hash:
        """Return a new hash object of this digest's algorithm."""
        return hashlib.new(self.algorithm)

    def verify(self, content: bytes) -> None:
        """Raise DigestMismatch unless `content` has this digest."""
        found = self.hasher()
        found.update(content)
        if found.hexdigest() != self.hex:
            raise DigestMismatch(f"expected {self}, got {self.algorithm}:{found.hexdigest()}")

    @property
    def short(self) -> str:
        """Return the first twelve digits, for tables and log lines."""
        return self.hex[:12]

    @property
    def as_tag(self) -> str:
        """Return the tag `sha256-<hex>` (distribution spec, "Referrers Tag Schema").

        The tags of cosign start with it.
        """
        return f"{self.algorithm}-{self.hex[:_LONGEST_IN_TAG]}"

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"
