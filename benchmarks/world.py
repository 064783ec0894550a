"""What the benchmarks mirror: images of two platforms over shared bases, the same each time."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from tests.helpers import images
from tests.helpers.client import Client, push_blob, push_manifest
from tests.helpers.content import Image
from tests.helpers.registry import Registry
from tests.helpers.studio import Layer, Studio

# Of different sizes, as bases are: bytes of the lower and the upper layer.
BASES = tuple((4_000_000 * factor, 1_500_000 * factor) for factor in range(1, 6))
OWN_SIZES = (1_300_000, 400_000, 20_000)


@dataclass(frozen=True, slots=True)
class World:
    """A filled source: its repositories, each with the tag 1.0, and what it holds."""

    repositories: tuple[str, ...]
    manifests: int
    blobs: int
    unique_bytes: int


def fill(registry: Registry, count: int) -> World:
    """Push `count` images; a blob that several of them have is sent once and mounted."""
    places: dict[str, tuple[str, int]] = {}
    names, manifests = [], set[str]()
    with Client(registry) as client:
        for number in range(1, count + 1):
            image, name = _image(number), f"team{number % 4}/app{number:02}"
            _push(client, name, image, places)
            names.append(name)
            manifests.update(one.digest for one in image.manifests)
    return World(
        tuple(names), len(manifests), len(places), sum(size for _, size in places.values())
    )


def _image(number: int) -> Image:
    """One of few bases, and some layers of its own."""
    studio = Studio("bench", number)
    studio.layer_sizes = OWN_SIZES
    children = []
    for where in (images.AMD64, images.ARM64):
        owner = str(where["architecture"])
        base = _base(number % len(BASES), owner)
        for layer in base:
            studio.blob(layer.blob.data)
        children.append(studio.child(where, [*base, *studio.own_layers(owner)]))
    return studio.index(children)


@functools.cache
def _base(number: int, owner: str) -> tuple[Layer, ...]:
    name = f"bench-base-{number}-{owner}"
    studio = Studio(name, 0)
    return tuple(studio.layer(f"{name}-{at}", size) for at, size in enumerate(BASES[number]))


def _push(client: Client, name: str, image: Image, places: dict[str, tuple[str, int]]) -> None:
    for blob in image.blobs:
        if blob.digest in places:
            origin = places[blob.digest][0]
            query = f"?mount={blob.digest}&from={origin}"
            client.expect(201, "POST", f"/v2/{name}/blobs/uploads/{query}")
        else:
            push_blob(client, name, blob.data)
            places[blob.digest] = (name, len(blob.data))
    for manifest in image.manifests[:-1]:
        push_manifest(client, name, manifest.digest, manifest)
    push_manifest(client, name, "1.0", image.top)
