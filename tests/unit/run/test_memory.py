"""What archives remember, and what is one place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.oci.reference import Reference
from image_tools.retry import RetryPolicy
from image_tools.run.endpoints import Endpoints, RegistryEnd
from image_tools.run.memory import Base, FromArchive, OriginMemory, PassedOn
from image_tools.state import Remembered, State
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.catalogue import Origin
from image_tools.stores.archive.content import Form
from image_tools.stores.archive.inventory import HeldImage, Inventory
from image_tools.stores.archive.opening import new_archive
from image_tools.stores.archive.store import ArchiveStore
from image_tools.stores.remote.registries_conf import RegistriesConf, parse
from image_tools.stores.store import ManifestHead
from tests.helpers.run_lab import entry_of

NGINX = "docker.io/library/nginx:1"
RAW = RawManifest(media.OCI_INDEX, b'{"schemaVersion": 2, "manifests": []}')
SOURCE = Digest.of(b"source")


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    found = new_archive(tmp_path / "images", Form.FOLDER)
    found.add_manifest(RAW)
    found.add_tag(Reference.parse(NGINX), RAW)
    yield found
    found.close()


MIRRORED = """
[[registry]]
prefix = "alias.example/apps"
location = "REG.example:443/team"
[[registry]]
location = "alias.example"
blocked = false
[[registry]]
location = "mirrored.example"
[[registry.mirror]]
location = "cache.example"
"""


def ends(conf: RegistriesConf = RegistriesConf(), **archives: Archive) -> Endpoints:  # noqa: B008
    return Endpoints(
        source=RegistryEnd(),
        destination=RegistryEnd(),
        retry=RetryPolicy(),
        flights=1,
        environ={},
        conf=conf,
        on_secret=lambda *_: None,
        **archives,
    )


@pytest.mark.parametrize(
    ("source", "selection", "known"),
    [(NGINX, "all", True), ("quay.io/x:1", "all", False), (NGINX, "linux/amd64", False)],
)
def test_archive_recalls_what_was_saved_for_the_same_wish(
    archive: Archive, source: str, selection: str, known: bool
) -> None:
    memory = OriginMemory(archive)
    memory.remember(NGINX, NGINX, "all", Remembered(SOURCE, RAW.digest))

    expected = Remembered(SOURCE, RAW.digest) if known else None
    assert memory.recall(source, NGINX, selection) == expected


def test_archive_remembers_nothing_of_what_it_has_not(archive: Archive) -> None:
    memory, other = OriginMemory(archive), "docker.io/library/other:1"
    memory.remember(other, other, "all", Remembered(SOURCE, RAW.digest))

    assert memory.recall(other, other, "all") is None


def test_memory_out_of_archives_is_not_that_of_registries(archive: Archive, tmp_path: Path) -> None:
    state = State.open(tmp_path / "state.db")
    known = Remembered(SOURCE, RAW.digest)
    memory = FromArchive(state, archive)
    memory.remember(NGINX, "reg.example/nginx:1", "all", known)

    assert memory.recall(NGINX, "reg.example/nginx:1", "all") == known
    assert state.recall(NGINX, "reg.example/nginx:1", "all") is None
    state.close()


@pytest.mark.parametrize("end", ["source_archive", "destination_archive"])
def test_archive_stands_for_every_registry_at_its_end(archive: Archive, end: str) -> None:
    both = ends(**{end: archive})
    hub, quay = Reference.parse(NGINX), Reference.parse("quay.io/a/b:1")

    stores = [
        both.source_store(one.registry)
        if end == "source_archive"
        else both.destination_end(one.registry).store
        for one in (hub, quay)
    ]

    assert [(type(s), getattr(s, "registry", "")) for s in stores] == [
        (ArchiveStore, "docker.io"),
        (ArchiveStore, "quay.io"),
    ]
    assert both.mount_place(hub, hub) is None
    both.expect([hub, quay], [hub, quay])


def test_all_registries_of_an_archive_share_one_ledger(archive: Archive) -> None:
    both = ends(destination_archive=archive)
    one, other = both.destination_end("docker.io"), both.destination_end("quay.io")

    assert one.ledger is other.ledger
    nginx = Reference.parse(NGINX)
    assert ends().mount_place(nginx, nginx) == "library/nginx"


@pytest.mark.parametrize(
    ("source", "destination", "place"),
    [
        ("127.0.0.1:5000/a/b:1", "localhost:5000/c:1", "a/b"),
        ("alias.example/apps/web:1", "reg.example/x:1", "team/web"),
        ("alias.example/apps/web:1", "alias.example/x:1", None),
        ("mirrored.example/a:1", "mirrored.example/b:1", "a"),
        ("mirrored.example/a:1", "mirrored.example/a:2", None),
    ],
    ids=["other-name", "location", "elsewhere", "behind-a-mirror", "to-be-seen-first"],
)
def test_blobs_are_mounted_from_the_place_that_is_really_asked(
    source: str, destination: str, place: str | None
) -> None:
    conf = RegistriesConf(parse(MIRRORED, Path("r.conf")))

    found = ends(conf=conf).mount_place(Reference.parse(source), Reference.parse(destination))
    assert found == place


ORIGIN = Origin("src.example/nginx:1", SOURCE, "wish")


@pytest.mark.parametrize(
    ("origin", "there", "passed"),
    [(ORIGIN, SOURCE, True), (ORIGIN, RAW.digest, False), (None, SOURCE, False)],
    ids=["as it was", "changed on its way", "origin unknown"],
)
def test_archive_passes_the_origin_of_an_image_on_to_another_one(
    archive: Archive, tmp_path: Path, origin: Origin | None, there: Digest, passed: bool
) -> None:
    if origin is not None:
        archive.add_origin(Reference.parse(NGINX), origin)
    other = new_archive(tmp_path / "other", Form.FOLDER)
    other.add_manifest(RAW)
    other.add_tag(Reference.parse("dst.example/nginx:1"), RAW)
    memory, ended = PassedOn(archive, other), Remembered(SOURCE, there)

    assert memory.remember(NGINX, "dst.example/nginx:1", "wish", ended) == ended
    assert other.origin(Reference.parse("dst.example/nginx:1")) == (ORIGIN if passed else None)
    assert memory.recall(NGINX, "dst.example/nginx:1", "wish") is None
    other.close()


HELD, OTHER = Digest.of(b"held"), Digest.of(b"other")


@pytest.mark.parametrize(
    ("source", "media_type", "origin", "is_there"),
    [
        (HELD, media.OCI_INDEX, None, True),
        (HELD, media.OCI_MANIFEST, None, False),
        (SOURCE, media.OCI_INDEX, Origin(str(entry_of().source), SOURCE, "wish"), True),
        (OTHER, media.OCI_INDEX, Origin(str(entry_of().source), SOURCE, "wish"), False),
        (SOURCE, media.OCI_INDEX, Origin(str(entry_of().source), SOURCE, "another wish"), False),
        (SOURCE, media.OCI_INDEX, None, False),
    ],
    ids=["same index", "same manifest", "same origin", "moved", "another wish", "unknown"],
)
def test_base_has_an_image_unchanged(
    source: Digest, media_type: str, origin: Origin | None, is_there: bool
) -> None:
    entry = entry_of()
    held = HeldImage(reference=entry.destination, digest=HELD, origin=origin)
    base = Base(Inventory("far", images={entry.destination: held}))

    found = base.unchanged(entry, ManifestHead(source, media_type, 1), "wish")

    assert found == (HELD if is_there else None)


def test_base_that_lacks_an_image_says_nothing_of_it() -> None:
    head = ManifestHead(HELD, media.OCI_INDEX, 1)

    assert Base(Inventory("far")).unchanged(entry_of(), head, "wish") is None
