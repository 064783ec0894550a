"""What the benchmarks mirror: images of many kinds over shared bases, the same each time."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import io
import json
import random
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.storage import set_tag, write_image
from tests.helpers import images
from tests.helpers.content import Blob, Image, digest_of
from tests.helpers.studio import Format, Layer, Studio, index_value, platform

PPC64LE = platform("linux/ppc64le")
SUBSET = ("amd64", "arm64")
IMAGES_OF_A_GROUP = 10
# Median and spread of log-normal sizes, before they are scaled: layers of a base, own layers.
BASE_SIZES, OWN_SIZES = (2.6, 1.0), (-0.7, 1.4)
_SMALLEST = 300
_POOL = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What an image is made of; `attested`: one attestation beside each child."""

    form: Format
    platforms: tuple[Mapping[str, object], ...]
    attested: bool = False
    single: bool = False
    annotations: Mapping[str, str] = field(default_factory=dict)
    indent: int | None = None


_OCI, _DOCKER = Format.OCI, Format.DOCKER
_AMD64, _ARM64, _ARM_V7 = images.AMD64, images.ARM64, images.ARM_V7
SHAPES = (
    Shape(form=_OCI, platforms=(_AMD64, _ARM64), attested=True),
    Shape(form=_DOCKER, platforms=(_AMD64, images.ARM64_V8, _ARM_V7, images.S390X)),
    Shape(form=_OCI, platforms=(_AMD64, _ARM64, _ARM_V7), attested=True),
    Shape(form=_DOCKER, platforms=(_AMD64,), single=True),
    Shape(form=_OCI, platforms=(_AMD64, _ARM64, images.S390X, PPC64LE), indent=3),
    Shape(form=_OCI, platforms=(_AMD64, _ARM64), attested=True, annotations={"org.lab": "bench"}),
    Shape(form=_DOCKER, platforms=(_AMD64, images.ARM_V6, _ARM_V7, images.ARM64_V8)),
    Shape(form=_OCI, platforms=(_AMD64,), single=True),
    Shape(form=_OCI, platforms=(_AMD64, _ARM64), attested=True),
    Shape(form=_DOCKER, platforms=(_AMD64, _ARM64, images.WINDOWS_2022)),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A tag of the source and the digest it leads to."""

    repository: str
    tag: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A filled storage: every tag in the order of the list, and the size of everything in it.

    `sizes` has the bytes of each blob and manifest of the list, `subset` the digests of those that
    amd64 and arm64 need; `changed` is where one tag leads after the source has changed.
    """

    storage: Path
    places: tuple[Place, ...]
    sizes: Mapping[str, int]
    subset: frozenset[str]
    manifests: frozenset[str]
    changed: Place

    @property
    def unique_bytes(self) -> int:
        """Give the bytes of all distinct blobs and manifests."""
        return self.bytes_of(self.manifests) + self.blob_bytes

    @property
    def blob_bytes(self) -> int:
        """Give the bytes of all distinct blobs."""
        return sum(size for digest, size in self.sizes.items() if digest not in self.manifests)

    def bytes_of(self, digests: frozenset[str]) -> int:
        """Give the bytes of these."""
        return sum(self.sizes[digest] for digest in digests)

    def lines(self, address: str) -> list[str]:
        """Give the references of the list, at this address."""
        return [f"{address}/{place.repository}:{place.tag}" for place in self.places]

    def change(self, *, back: bool = False) -> None:
        """Let the one tag lead to its changed image, or back to the one of before."""
        place = self.changed
        before = next(
            one.digest
            for one in self.places
            if (one.repository, one.tag) == (place.repository, place.tag)
        )
        set_tag(self.storage, place.repository, place.tag, before if back else place.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One image of the list before it is made; `version` 1 is the changed one."""

    number: int
    repository: str
    tag: str
    group: int
    shape: Shape
    version: int = 0

    def layer_names(
        self, where: Mapping[str, object]
    ) -> tuple[tuple[str, tuple[float, float]], ...]:
        """Give names and size laws of a child's layers: base, shared by its platforms, own."""
        owner = "-".join(str(part) for part in where.values())
        base = [(f"base-{self.group}-{owner}-{at}", BASE_SIZES) for at in range(2)]
        common = (f"app-{self.number}-common", OWN_SIZES)
        own = [(f"app-{self.number}-{owner}-{at}", OWN_SIZES) for at in range(1 + self.number % 3)]
        last = (f"app-{self.number}-{owner}-last-{self.version}", (-1.5, 0.0))
        return (*base, common, *own, last)


def members(count: int) -> tuple[Member, ...]:
    """Give the images of a list of this length, those of one base together."""
    groups = max(1, count // IMAGES_OF_A_GROUP)
    found = []
    for number in range(count):
        house = number * 5 // 8
        found.append(
            Member(
                number=number,
                repository=f"team{house % 4}/app{house:04}",
                tag=f"{1 + number % 8}.0",
                group=house % groups,
                shape=SHAPES[number % len(SHAPES)],
            )
        )
    return tuple(sorted(found, key=lambda one: one.group))


def populate(storage: Path, count: int, megabytes: float) -> World:
    """Write `count` images of `megabytes` MB of distinct layers into a registry's storage."""
    wanted = members(count)
    scale = _scale(wanted, megabytes * 1e6)
    places: dict[int, Place] = {}
    sizes: dict[str, int] = {}
    subset, manifests = set[str](), set[str]()
    for member in wanted:
        image = _image(member, scale)
        write_image(storage, member.repository, member.tag, image)
        places[member.number] = Place(member.repository, member.tag, image.top.digest)
        sizes.update((blob.digest, len(blob.data)) for blob in image.blobs)
        sizes.update((one.digest, len(one.data)) for one in image.manifests)
        manifests.update(one.digest for one in image.manifests)
        subset.update(_subset(image))
    return World(
        storage=storage,
        places=tuple(place for _, place in sorted(places.items())),
        sizes=sizes,
        subset=frozenset(subset),
        manifests=frozenset(manifests),
        changed=_changed(storage, wanted[count // 2], scale),
    )


def _changed(storage: Path, member: Member, scale: float) -> Place:
    """Lay the changed image beside the first one, under a tag that is on no list."""
    image = _image(dataclasses.replace(member, version=1), scale)
    write_image(storage, member.repository, "changed", image)
    return Place(member.repository, member.tag, image.top.digest)


def _scale(wanted: tuple[Member, ...], total: float) -> float:
    laws = {
        name: law
        for member in wanted
        for where in member.shape.platforms
        for name, law in member.layer_names(where)
    }
    return total / sum(_weight(name, law) for name, law in laws.items())


def _weight(name: str, law: tuple[float, float]) -> float:
    return random.Random(name).lognormvariate(*law)


def _image(member: Member, scale: float) -> Image:
    shape = member.shape
    studio = Studio("bench", member.number, shape.form)
    children = []
    for where in shape.platforms:
        made = (
            _layer(name, max(_SMALLEST, int(scale * _weight(name, law))))
            for name, law in member.layer_names(where)
        )
        children.append(studio.child(where, [studio.keep(layer) for layer in made]))
    if shape.single:
        return studio.single(dataclasses.replace(children[0], platform=None))
    attested = [studio.attestation(one.digest) for one in children] if shape.attested else []
    entries = [*children, *attested]
    value = index_value(entries, studio.types.index)
    if shape.annotations:
        value["annotations"] = dict(shape.annotations)
    return studio.raw_index(value, entries, shape.indent)


@functools.lru_cache(maxsize=64)
def _layer(name: str, size: int) -> Layer:
    """Give a real tar of one file, in gzip's frame but stored: nobody has to compress for us."""
    pool = _pool()
    first = zlib.crc32(name.encode()) % (len(pool) // 2)
    cycles = pool[first:] * (size // (len(pool) - first) + 1)
    content = name.encode() + memoryview(cycles)[: max(0, size - len(name))]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo(f"opt/{name}")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    plain = buffer.getvalue()
    packed = gzip.compress(plain, compresslevel=0, mtime=0)
    return Layer(Blob.of(packed), "", digest_of(plain))


@functools.cache
def _pool() -> bytes:
    return random.Random("pool").randbytes(_POOL)


def _subset(image: Image) -> Iterator[str]:
    """Give all digests that amd64 and arm64 of Linux need, the index itself left out."""
    wanted = {
        leaf.digest
        for leaf in image.leaves
        if (where := leaf.true_platform)
        and where["os"] == "linux"
        and where["architecture"] in SUBSET
    }
    wanted |= {leaf.digest for leaf in image.leaves if leaf.subject in wanted}
    for digest in wanted:
        value = json.loads(image.find(digest).data)
        yield from (digest, value["config"]["digest"])
        yield from (layer["digest"] for layer in value["layers"])
