"""Archives in volumes: saved, loaded elsewhere, and mended when one is lost or damaged."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers.archives import FORMS, run, write_list
from tests.helpers.content import Image
from tests.helpers.fault_types import Stage
from tests.helpers.faults import FaultOptions, FaultRegistry
from tests.helpers.images import AMD64, ARM64
from tests.helpers.registry import Registry
from tests.helpers.running import Ran, image_tools
from tests.helpers.signatures import sign, tag_of
from tests.helpers.studio import Studio
from tests.helpers.walk import pull_everything

PART = 90_000
NAMES = ("team/one", "team/two", "team/three")
ALL = ("--arch", "all", "--os", "all", "-j", "4")


def image(seed: int) -> Image:
    """Give an image of two platforms, with a layer that is bigger than a volume."""
    studio = Studio("volumes", seed)
    studio.layer_sizes = (50_000, 30_000) if seed else (200_000, 3_000)
    return studio.index([studio.child(AMD64), studio.child(ARM64)])


BLOBS = {blob.digest for seed in range(3) for blob in image(seed).blobs}

VOLUMES = ("--part-size", str(PART))
ARCHIVES: dict[str, tuple[str, ...]] = {
    "gzip in volumes": VOLUMES,
    "none in volumes": VOLUMES,
    "zstd": (),
    "dir": ("--compress=dir",),
}


@dataclass(frozen=True)
class Lab:
    """A source whose access log is read, a destination, and an archive."""

    source: FaultRegistry
    destination: Registry
    archive: Path

    @property
    def folder(self) -> Path:
        return self.archive.parent

    def save(self, *words: str | Path, names: tuple[str, ...] = NAMES) -> Ran:
        listed = write_list(self.folder, self.source.address, *names)
        return run("save", self.folder, "-f", listed, "-d", self.archive, *ALL, *words)

    def load(self) -> Ran:
        words = ("-s", self.archive, "-d", self.destination.address)
        return run("load", self.folder, *words)

    def verify(self) -> Ran:
        return image_tools("archive", "verify", self.archive, "--format", "json")

    def parts(self) -> list[Path]:
        found = self.folder.glob(f"{self.archive.name}.part*")
        return sorted(found, key=lambda path: (len(path.name), path.name))

    def fetched(self) -> Counter[str]:
        seen = self.source.requests
        return Counter(str(s.reference) for s in seen if s.stage in (Stage.BLOB, Stage.CONFIG))

    def reference(self, name: str) -> str:
        return f"{self.source.address}/{name}:1.0"

    def is_loaded(self) -> bool:
        """Whether the destination holds all images with the source's digests."""
        ends = (self.source, self.destination.endpoint)
        pulled = [[pull_everything(end, name, "1.0") for name in NAMES] for end in ends]
        return pulled[0] == pulled[1]


@dataclass(frozen=True)
class Saved:
    """What all tests of this module begin with: a source, and a folder with its archives."""

    source: FaultRegistry
    folder: Path


@pytest.fixture(scope="module")
def saved(
    tmp_path_factory: pytest.TempPathFactory, module_environment: Mapping[str, str]
) -> Iterator[Saved]:
    folder = tmp_path_factory.mktemp("saved")
    with FaultRegistry(FaultOptions(referrers=True)) as source:
        for seed, name in enumerate(NAMES):
            source.load(name, "1.0", image(seed))
        sign(source, "team/one", image(0).top.digest, 1)
        listed = write_list(folder, source.address, *NAMES)
        for form, words in ARCHIVES.items():
            into = folder / form / FORMS[form.partition(" ")[0]]
            into.parent.mkdir()
            fixed = ("-f", listed, "-d", into, *ALL, *words)
            ran = run("save", folder, *fixed, **module_environment)
            assert ran.statuses == ["copied"] * 3, ran.stderr
        yield Saved(source, folder)


def lab_of(saved: Saved, registry: Registry, folder: Path, form: str) -> Lab:
    """Give a copy of the archive of one form, and a source whose log is empty."""
    shutil.copytree(saved.folder / form, folder, dirs_exist_ok=True)
    write_list(folder, saved.source.address, *NAMES)
    saved.source.clear_log()
    return Lab(saved.source, registry, folder / FORMS[form.partition(" ")[0]])


@pytest.fixture
def gzip_lab(saved: Saved, registry: Registry, tmp_path: Path) -> Lab:
    return lab_of(saved, registry, tmp_path, "gzip in volumes")


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def gone_from(archive: Path) -> set[str]:
    """Give what `archive verify` finds missing or damaged."""
    found = image_tools("archive", "verify", archive, "--format", "json").report
    return {damage["digest"] for damage in found["damaged"]}


@pytest.mark.parametrize("form", ["gzip", "none"])
def test_volumes_are_small_and_load_from_elsewhere(
    saved: Saved, registry: Registry, tmp_path: Path, form: str
) -> None:
    lab = lab_of(saved, registry, tmp_path, f"{form} in volumes")
    sizes = [path.stat().st_size for path in lab.parts()]
    assert len(sizes) > 5
    assert max(sizes) <= PART
    elsewhere = tmp_path / "usb" / "renamed"
    elsewhere.parent.mkdir()
    for number, path in enumerate(lab.parts(), start=1):
        path.rename(elsewhere.with_name(f"renamed.part{number}"))

    moved = Lab(lab.source, lab.destination, elsewhere.with_name("renamed.part2"))
    assert moved.load().statuses == ["copied"] * 3
    assert lab.fetched() == {}
    assert lab.is_loaded()
    listed = image_tools("archive", "ls", elsewhere, "--json").report
    assert [one["reference"] for one in listed["images"]] == sorted(map(lab.reference, NAMES))
    assert moved.verify().code == 0


LOSSES: dict[str, tuple[Callable[[Path], object], str]] = {
    "deleted": (Path.unlink, "is missing"),
    "truncated": (lambda path: os.truncate(path, 50_000), "is damaged"),
    "end flipped": (lambda path: flip(path, -5), "is damaged|is not"),
}


@pytest.mark.parametrize(
    ("form", "loss"), [("gzip", "deleted"), ("none", "truncated"), ("gzip", "end flipped")]
)
def test_volume_lost_is_named_and_only_its_blobs_are_fetched_again(
    saved: Saved, registry: Registry, tmp_path: Path, form: str, loss: str
) -> None:
    lab = lab_of(saved, registry, tmp_path, f"{form} in volumes")
    lose, why = LOSSES[loss]
    lose(lab.parts()[1])

    refused = [lab.load(), lab.save("--part")]
    assert [(ran.code, ran.stdout) for ran in refused] == [(1, "")] * 2
    for ran in refused:
        assert re.search(rf"part2.*({why}).* blobs, .*needed by {lab.source.address}", ran.stderr)
        assert f"save --repair -f LIST -d {lab.archive}" in ran.stderr
    checked = lab.verify()
    assert (checked.code, len(checked.report["lost"])) == (1, 1)
    gone, before = gone_from(lab.archive), {path: path.read_bytes() for path in lab.parts()}
    lab.source.clear_log()

    ran = lab.save("--repair")
    assert (ran.code, set(ran.statuses)) == (0, {"copied"})
    assert set(lab.fetched()) == gone & BLOBS
    assert set(lab.fetched().values()) == {1}
    assert f"{len(gone)} blobs fetched again" in ran.stderr
    assert {path: path.read_bytes() for path in before} == before
    assert max(path.stat().st_size for path in lab.parts()) <= PART
    assert lab.load().statuses == ["copied"] * 3
    assert lab.is_loaded()
    assert lab.verify().code == 0


def test_repair_of_what_is_whole_asks_nobody(gzip_lab: Lab) -> None:
    ran = gzip_lab.save("--repair")

    assert (ran.code, ran.outcomes, gzip_lab.source.requests) == (0, [], [])
    assert gzip_lab.save().statuses == ["unchanged"] * 3


def test_byte_flipped_in_a_volume_is_mended_in_its_place(gzip_lab: Lab) -> None:
    lab = gzip_lab
    before = [path.read_bytes() for path in lab.parts()]
    flip(lab.parts()[2], 40_000)
    checked = lab.verify().report
    damaged = [damage["digest"] for damage in checked["damaged"]]
    assert damaged
    assert lab.load().code == 1

    ran = lab.save("--repair")
    assert (ran.code, sum(lab.fetched().values())) == (0, 1)
    assert [path.read_bytes() for path in lab.parts()] == before
    assert lab.verify().code == 0


@pytest.mark.parametrize("form", ["dir", "zstd"])
def test_blob_damaged_in_one_piece_is_mended(
    saved: Saved, registry: Registry, tmp_path: Path, form: str
) -> None:
    lab = lab_of(saved, registry, tmp_path, form)
    before = {path: path.read_bytes() for path in files(lab.archive)}
    for path in files(lab.archive):
        if path.stat().st_size > 20_000:
            flip(path, 10_000)
    gone = gone_from(lab.archive)
    lab.source.clear_log()

    assert lab.save("--repair").code == 0
    assert (set(lab.fetched()), set(lab.fetched().values())) == (gone, {1})
    assert {path: path.read_bytes() for path in files(lab.archive)} == before
    assert lab.verify().code == 0


def files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.glob("blobs/sha256/*"))


def test_last_volume_lost_is_made_again_from_the_list(gzip_lab: Lab) -> None:
    lab = gzip_lab
    lab.parts()[-1].unlink()
    assert "last volume" in lab.load().stderr

    assert lab.save("--repair").statuses == ["copied"] * 3
    assert set(lab.fetched()) & BLOBS < BLOBS
    assert lab.load().statuses == ["copied"] * 3
    assert lab.is_loaded()


def test_repair_with_too_short_a_list_says_what_it_still_lacks(gzip_lab: Lab) -> None:
    lab = gzip_lab
    for path in lab.parts()[1:-1]:
        path.unlink()

    ran = lab.save("--repair", names=NAMES[:1])
    assert ran.code == 1
    assert f"something is missing of {lab.reference('team/three')}" in ran.stderr
    assert lab.load().code == 1
    arrived = set(lab.fetched())
    lab.source.clear_log()
    assert lab.save("--repair").code == 0
    assert arrived & set(lab.fetched()) == set()
    assert lab.verify().code == 0


def test_repair_brings_what_was_saved_though_the_tag_has_moved(gzip_lab: Lab) -> None:
    lab = gzip_lab
    lab.source.load("team/two", "1.0", image(9))
    for path in lab.parts()[:-1]:
        path.unlink()

    assert lab.save("--repair").code == 0
    listed = image_tools("archive", "ls", lab.archive, "--json").report["images"]
    assert image(1).top.digest in {one["digest"] for one in listed}
    assert lab.save().statuses == ["unchanged", "copied", "unchanged"]
    lab.source.load("team/two", "1.0", image(1))


def test_signature_lost_is_fetched_with_its_image(
    saved: Saved, registry: Registry, tmp_path: Path
) -> None:
    lab = lab_of(saved, registry, tmp_path, "dir")
    found = json.loads((lab.archive / "index.json").read_text())["manifests"]
    tag = tag_of(image(0).top.digest)
    entry = next(e for e in found if tag in json.dumps(e))
    (lab.archive / "blobs" / entry["digest"].replace(":", "/")).unlink()

    assert lab.save("--repair").only()["source"].startswith(lab.reference("team/one"))
    assert lab.verify().code == 0


def test_sync_adds_volumes_and_leaves_the_others(gzip_lab: Lab) -> None:
    lab = gzip_lab
    before = {path: path.read_bytes() for path in lab.parts()}
    lab.source.load("team/four", "1.0", image(4))
    listed = write_list(lab.folder, lab.source.address, "team/four")

    ran = run("sync", lab.folder, "-f", listed, "-d", lab.parts()[0], *ALL)
    assert (ran.code, ran.statuses) == (0, ["copied"])
    assert {path: path.read_bytes() for path in before} == before
    assert len(lab.parts()) > len(before)
    assert max(path.stat().st_size for path in lab.parts()) <= PART
    assert lab.verify().report["images"] > 3


def test_volumes_are_merged_exported_and_compared(gzip_lab: Lab, tmp_path: Path) -> None:
    lab, one = gzip_lab, tmp_path / "one.tar"
    words = ("-s", lab.archive, "-d", one, "--part-size", "64K")
    exported = image_tools("archive", "export", *words, *ALL, "-o", tmp_path / "failed.txt")
    assert exported.code == 0, exported.stderr
    merged = ("-o", tmp_path / "all.tar.zst", *ALL)
    assert image_tools("archive", "merge", one, lab.archive, *merged).code == 0
    assert not one.exists()
    listed = lab.folder / "list.txt"
    ran = run("save-validate", tmp_path, "-f", listed, "-d", one, *ALL, "--depth=content")
    assert ran.statuses == ["passed"] * 3
