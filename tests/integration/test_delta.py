"""Deltas: only what the far side lacks is saved, and load looks for the rest before it writes."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.client import Client, push, push_manifest, tags
from tests.helpers.content import OCI_INDEX, Image, Manifest, compact
from tests.helpers.images import oci_index, oci_index_untyped
from tests.helpers.registry import Registry, plain_registry, start_registry
from tests.helpers.registry_options import RegistryOptions
from tests.helpers.running import Ran, image_tools
from tests.helpers.tools import run
from tests.helpers.walk import pull_everything

ALL = ("--arch", "all", "--os", "all")
NAMES = [f"app{number}" for number in range(10)]
CHANGED = "app3"


OLD, NEW = oci_index(3), oci_index(77)


@dataclass(frozen=True)
class Lab:
    """Ten images, saved; then one of them got another amd64, and kept its other platforms.

    `digests` are those of the images as they are now.
    """

    source: Registry
    folder: Path
    digests: Mapping[str, str]

    @property
    def lines(self) -> Path:
        return self.folder / "list.txt"

    @property
    def first(self) -> Path:
        return self.folder / "monday.tar.gz"

    def name(self, image: str) -> str:
        return f"{self.source.address}/team/{image}:1.0"

    def save(self, name: str, *words: str | Path) -> Ran:
        into = ("-f", self.lines, "-d", self.folder / name, "-o", self.folder / "save-failed.txt")
        return image_tools("save", *into, *ALL, "--format", "json", *words)

    def load(self, archive: Path, registry: Registry, *words: str | Path) -> Ran:
        flags = ("-d", registry.address, "--no-state", "--retry-delay", "10ms", "--format", "json")
        failed = ("-o", self.folder / "load-failed.txt")
        return image_tools("load", "-s", archive, *flags, *failed, *words)


@pytest.fixture(scope="module")
def lab(
    tmp_path_factory: pytest.TempPathFactory,
    docker_registry: Path,
    module_environment: Mapping[str, str],
) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("delta")
    # What does not change matters by its number: these have the fewest platforms.
    images = {name: oci_index_untyped(number) for number, name in enumerate(NAMES)}
    images |= {NAMES[0]: oci_index(0), CHANGED: OLD}
    with plain_registry() as source:
        for name, image in images.items():
            push(source.endpoint, f"team/{name}", "1.0", image)
        lines = folder / "list.txt"
        lines.write_text("".join(f"{source.address}/team/{name}:1.0\n" for name in NAMES))
        words = ("-f", lines, "-d", folder / "monday.tar.gz", *ALL)
        ran = image_tools("save", *words, environ=module_environment)
        assert ran.code == 0, ran.stderr
        digests = {name: image.top.digest for name, image in images.items()}
        yield Lab(source, folder, {**digests, CHANGED: _changed(source)})


@pytest.fixture(scope="module")
def loaded_once(
    lab: Lab, tmp_path_factory: pytest.TempPathFactory, module_environment: Mapping[str, str]
) -> Path:
    """Give the storage of a far side that holds the first archive."""
    storage = tmp_path_factory.mktemp("far-side") / "storage"
    words = ("--no-state", "-o", lab.folder / "load-failed.txt")
    with plain_registry() as registry:
        into = ("-s", lab.first, "-d", registry.address)
        assert image_tools("load", *into, *words, environ=module_environment).code == 0
        shutil.copytree(registry.storage, storage)
    return storage


@pytest.fixture
def far_side(loaded_once: Path, tmp_path: Path) -> Iterator[Registry]:
    """Give a registry of its own that holds the first archive."""
    storage = shutil.copytree(loaded_once, tmp_path / "storage")
    with start_registry(RegistryOptions(storage=storage)) as registry:
        yield registry


def _changed(source: Registry) -> str:
    """Let the changed image's tag lead to its new amd64 and its old other platforms."""
    push(source.endpoint, f"team/{CHANGED}", "new", NEW)
    index = json.loads(OLD.top.data)
    index["manifests"][0] = json.loads(NEW.top.data)["manifests"][0]
    made = Manifest.of(compact(index), OCI_INDEX)
    with Client(source) as client:
        push_manifest(client, f"team/{CHANGED}", "1.0", made)
    return made.digest


def configs(image: Image) -> set[str]:
    """Give the digests of the configs of all platforms."""
    return {json.loads(image.find(e.digest).data)["config"]["digest"] for e in image.leaves}


def new_blobs() -> set[str]:
    """Give the digests of the blobs of the new amd64."""
    child = json.loads(NEW.find(NEW.leaves[0].digest).data)
    return {blob["digest"] for blob in (child["config"], *child["layers"])}


def held(archive: Path) -> dict[str, Any]:
    ran = image_tools("archive", "inventory", archive)
    assert ran.code == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def blobs_in(archive: Path) -> set[str]:
    """Give the digests of the configs and layers in a file, as tar lists it."""
    listed = run("tar", "tzf", archive).stdout.split()
    names = {f"sha256:{name.rpartition('/')[2]}" for name in listed if "/sha256/" in name}
    return {
        digest
        for digest in names
        if not unpacked(archive, digest).startswith((b'{"schemaVersion"', b'{"schema"'))
    }


def unpacked(archive: Path, digest: str) -> bytes:
    name = f"blobs/sha256/{digest.removeprefix('sha256:')}"
    with tarfile.open(archive) as tar:
        member = tar.extractfile(name)
        assert member is not None
        return member.read()


@pytest.mark.parametrize("base", ["archive", "inventory", "registry", "registry's inventory"])
def test_delta_holds_only_what_the_far_side_lacks(
    lab: Lab, far_side: Registry, tmp_path: Path, base: str
) -> None:
    registry = far_side
    there = tmp_path / "there.json"
    match base:
        case "archive":
            what: str | Path = lab.first
        case "inventory":
            what = there
            assert image_tools("archive", "inventory", lab.first, "-o", there).code == 0
        case "registry":
            what = registry.address
        case _:
            what = there
            words = ("-f", lab.lines, "-d", registry.address, "-o", there)
            assert image_tools("inventory", *words).code == 0
    lab.source.clear_log()

    ran = lab.save(f"{base.replace(' ', '-')}.tar.gz", "--base", what)

    assert ran.code == 0, ran.stderr
    statuses = dict(zip(NAMES, ran.statuses, strict=True))
    assert statuses == {**dict.fromkeys(NAMES, "unchanged"), CHANGED: "copied"}
    delta = lab.folder / f"{base.replace(' ', '-')}.tar.gz"
    fetched = {r.reference for r in lab.source.requests() if (r.method, r.what) == ("GET", "blobs")}
    # skopeo reads the configs of the old platforms, too: it wants to know what it copies.
    assert fetched - configs(OLD) == new_blobs()
    assert [image["reference"] for image in held(delta)["images"]] == [lab.name(CHANGED)]
    assert blobs_in(delta) == new_blobs()

    loaded = lab.load(delta, registry)

    assert (loaded.code, loaded.statuses) == (0, ["copied"]), loaded.stderr
    for name, digest in lab.digests.items():
        assert pull_everything(registry.endpoint, f"team/{name}", "1.0").digest == digest


def test_delta_with_nothing_new_is_no_archive(lab: Lab, tmp_path: Path) -> None:
    same = tmp_path / "list.txt"
    same.write_text(f"{lab.name(NAMES[0])}\n")
    words = ("-f", same, "-d", tmp_path / "nothing.tar.gz", "-o", tmp_path / "failed.txt", *ALL)
    ran = image_tools("save", *words, "--base", lab.first, "--format", "json")
    assert (ran.code, ran.statuses) == (0, ["unchanged"]), ran.stderr
    assert [*tmp_path.iterdir()] == [same]


def test_delta_onto_a_registry_without_its_base_writes_nothing(
    lab: Lab, registry: Registry
) -> None:
    assert lab.save("alone.tar.gz", "--base", lab.first).code == 0
    ran = lab.load(lab.folder / "alone.tar.gz", registry)
    assert ran.code == 1
    assert f"relies on {lab.first}" in ran.stderr
    assert f"load {lab.first} first" in ran.stderr
    assert tags(registry, f"team/{CHANGED}") == []


def test_delta_is_loaded_beside_a_base_under_another_project(lab: Lab, registry: Registry) -> None:
    assert lab.load(lab.first, registry, "--project", "mirror").code == 0
    assert lab.save("moved.tar.gz", "--base", lab.first).code == 0
    ran = lab.load(lab.folder / "moved.tar.gz", registry, "--project", "mirror")
    assert (ran.code, ran.statuses) == (0, ["copied"]), ran.stderr
    pulled = pull_everything(registry.endpoint, f"mirror/{CHANGED}", "1.0")
    assert pulled.digest == lab.digests[CHANGED]


@pytest.mark.parametrize("depth", ["digest", "tree", "content"])
def test_delta_is_looked_into_and_verified_without_its_base(lab: Lab, depth: str) -> None:
    assert lab.save("looked.tar.gz", "--base", lab.first).code == 0
    archive = lab.folder / "looked.tar.gz"
    assert image_tools("archive", "ls", archive).code == 0
    assert image_tools("archive", "verify", archive).code == 0
    words = ("-f", lab.lines, "-d", archive, *ALL, "-o", lab.folder / "failed.txt")
    ran = image_tools("save-validate", *words, "--base", lab.first, "--depth", depth)
    assert ran.code == 0, ran.stderr


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"{}", 1, "is no inventory"),
        (b'{"kind":"image-tools inventory","schema":9}', 1, "is no inventory"),
        (b"something", 1, "is no archive"),
        (None, 2, "there is no such file"),
    ],
)
def test_delta_wrong_base_is_refused(
    lab: Lab, tmp_path: Path, content: bytes | None, code: int, said: str
) -> None:
    base = tmp_path / "Base file"
    if content is not None:
        base.write_bytes(content)
    ran = lab.save("none.tar.gz", "--base", base)
    assert ran.code == code, ran.stderr
    assert said in ran.stderr
    assert not (lab.folder / "none.tar.gz").exists()


def test_delta_saved_again_is_unchanged(lab: Lab) -> None:
    for expected in ("copied", "unchanged"):
        ran = lab.save("again.tar.gz", "--base", lab.first)
        statuses = dict(zip(NAMES, ran.statuses, strict=True))
        assert statuses == {**dict.fromkeys(NAMES, "unchanged"), CHANGED: expected}, ran.stderr
    assert blobs_in(lab.folder / "again.tar.gz") == new_blobs()
