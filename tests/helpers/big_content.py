"""Images with layers too large to store: their bytes are made while they are sent."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from tests.helpers.content import Image, compact, digest_of
from tests.helpers.studio import Format, Studio, platform

MIB = 1 << 20
TAIL = 32
# What gzip files begin with: skopeo looks at the first bytes of a layer.
BLOCK = (b"\x1f\x8b\x08\x00" + bytes(range(252))) * (MIB // 256)
SHARED = 0


@dataclass(frozen=True, slots=True)
class BigLayer:
    """A layer of `size` bytes: one block again and again, then a tail of its own."""

    number: int
    size: int

    @property
    def tail(self) -> bytes:
        """Give the last bytes, which tell this layer from all others."""
        return f"layer {self.number}".encode().ljust(TAIL, b".")

    @property
    def digest(self) -> str:
        """Give the sha256 digest; what layers of one size have in common is hashed once."""
        hasher = _common(self.size - TAIL).copy()
        hasher.update(self.tail)
        return f"sha256:{hasher.hexdigest()}"

    def pieces(self, first: int = 0) -> Iterator[memoryview]:
        """Give the bytes from `first` on, at most 1 MiB at a time."""
        yield from _repeated(first, self.size - TAIL)
        yield memoryview(self.tail)[max(0, first - (self.size - TAIL)) :]


@dataclass(frozen=True, slots=True)
class BigImages:
    """`count` images of one platform: a layer of each one's own, and one that all share.

    `own` and `shared` are sizes in bytes; no shared layer when it is 0.
    """

    count: int
    own: int
    shared: int = 0

    @property
    def names(self) -> list[str]:
        """Give the repositories; each has the tag 1.0."""
        return [f"big/app{number}" for number in range(1, self.count + 1)]

    @property
    def layers(self) -> list[BigLayer]:
        """Give every distinct layer, the shared one first."""
        own = [BigLayer(number, self.own) for number in range(1, self.count + 1)]
        return [BigLayer(SHARED, self.shared), *own] if self.shared else own

    @property
    def size(self) -> int:
        """Give the bytes of all distinct layers."""
        return sum(layer.size for layer in self.layers)

    def images(self) -> dict[str, Image]:
        """Give the manifests and configs by repository; the layers are no blobs of these."""
        below = [layer for layer in self.layers if layer.number == SHARED]
        own = (layer for layer in self.layers if layer.number != SHARED)
        return {name: _image([*below, layer]) for name, layer in zip(self.names, own, strict=True)}


def _image(layers: list[BigLayer]) -> Image:
    studio = Studio("big", layers[-1].number)
    where = platform("linux/amd64")
    types = Format.OCI.value
    diffs = [digest_of(layer.tail) for layer in layers]
    config = studio.blob(compact({**where, "rootfs": {"type": "layers", "diff_ids": diffs}}))
    value = {
        "schemaVersion": 2,
        "mediaType": types.manifest,
        "config": {
            "mediaType": types.config,
            "size": len(config.data),
            "digest": config.digest,
        },
        "layers": [
            {"mediaType": types.layer, "size": layer.size, "digest": layer.digest}
            for layer in layers
        ],
    }
    child = studio.entry(studio.manifest(value, types.manifest), where, config_platform=where)
    return studio.index([child])


def _repeated(first: int, end: int) -> Iterator[memoryview]:
    """Give bytes `first` to `end` of the endless row of blocks."""
    block = memoryview(BLOCK)
    while first < end:
        start = first % MIB
        piece = block[start : start + min(MIB - start, end - first)]
        first += len(piece)
        yield piece


@functools.cache
def _common(size: int) -> hashlib._Hash:
    hasher = hashlib.sha256()
    for piece in _repeated(0, size):
        hasher.update(piece)
    return hasher
