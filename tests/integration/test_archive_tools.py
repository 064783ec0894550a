"""Archives looked into, read whole, put together and taken apart."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers import images
from tests.helpers.client import push
from tests.helpers.content import Image
from tests.helpers.registry import plain_registry
from tests.helpers.running import Ran, image_tools
from tests.helpers.tools import every, run

ALL = ("--arch", "all", "--os", "all")


@dataclass(frozen=True)
class Lab:
    """Two archives of a registry: a folder of two images, and a file of one of them, newer."""

    registry: str
    old: Path
    new: Path
    first: Image
    second: Image
    newer: Image

    def name(self, image: str) -> str:
        return f"{self.registry}/team/{image}:1.0"


@pytest.fixture(scope="module")
def lab(
    tmp_path_factory: pytest.TempPathFactory,
    docker_registry: Path,
    module_environment: Mapping[str, str],
) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("archives")
    first, second, newer = images.oci_index(1), images.docker_list(2), images.oci_index(3)

    def save(into: str, *names: str) -> Path:
        listed = folder / "list.txt"
        listed.write_text("".join(f"{source.address}/team/{name}:1.0\n" for name in names))
        words = ("-f", listed, "-d", folder / into, *ALL)
        ran = image_tools("save", *words, environ=module_environment)
        assert ran.code == 0, ran.stderr
        return folder / into

    with plain_registry() as source:
        push(source.endpoint, "team/app", "1.0", first)
        push(source.endpoint, "team/web", "1.0", second)
        old = save("old.tar.zst", "app", "web")
        push(source.endpoint, "team/app", "1.0", newer)
        yield Lab(source.address, old, save("new.tar.gz", "app"), first, second, newer)


def listed(archive: Path) -> dict[str, str]:
    """Give names and digests of what `archive ls` shows."""
    ran = image_tools("archive", "ls", archive, "--json")
    assert ran.code == 0, ran.stderr
    return {image["reference"]: image["digest"] for image in ran.report["images"]}


def verified(archive: Path) -> Ran:
    return image_tools("archive", "verify", archive, "--format", "json")


def test_archive_ls_shows_platforms_sizes_and_digests(lab: Lab) -> None:
    ran = image_tools("archive", "ls", lab.old, "--format", "json")
    table = image_tools("archive", "ls", lab.old)

    found = {image["reference"]: image for image in ran.report["images"]}
    assert (ran.code, list(found)) == (0, [lab.name("app"), lab.name("web")])
    app = found[lab.name("app")]
    assert (app["digest"], app["source"]) == (lab.first.top.digest, lab.name("app"))
    assert app["platforms"] == ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"]
    assert ran.report["size"] >= app["size"] > 0
    assert lab.name("web") in table.stdout
    assert "amd64,arm64" in table.stdout


def test_archive_verify_finds_nothing_in_a_sound_archive(lab: Lab) -> None:
    ran = verified(lab.old)
    assert (ran.code, ran.report["damaged"], ran.report["images"]) == (0, [], 2)
    assert "all as their digests say" in ran.stderr


@pytest.mark.parametrize("damage", ["changed", "gone", "short"])
def test_archive_verify_names_what_is_damaged_and_who_needs_it(
    lab: Lab, tmp_path: Path, damage: str
) -> None:
    unpacked = tmp_path / "unpacked"
    words = ("-s", lab.old, "-d", unpacked, "--compress", "dir", "-o", tmp_path / "failed.txt")
    assert image_tools("archive", "export", *words).code == 0
    child = unpacked / "blobs/sha256" / lab.second.leaves[0].digest.removeprefix("sha256:")
    digest = json.loads(child.read_text())["layers"][-1]["digest"]
    blob = unpacked / "blobs/sha256" / digest.removeprefix("sha256:")
    content = blob.read_bytes()
    match damage:
        case "changed":
            blob.write_bytes(bytes(len(content)))
        case "short":
            blob.write_bytes(content[:-1])
        case _:
            blob.unlink()

    ran = verified(unpacked)

    assert ran.code == 1
    (found,) = ran.report["damaged"]
    assert (found["digest"], found["images"]) == (digest, [lab.name("web")])
    assert f"needed by {lab.name('web')}" in ran.stderr


@pytest.mark.parametrize("name", ["part.tar.gz", "part.tar", "part"])
def test_archive_export_copies_what_the_list_names(lab: Lab, tmp_path: Path, name: str) -> None:
    wanted = tmp_path / "list.txt"
    wanted.write_text(f"{lab.name('web')}\n")
    form = () if "." in name else ("--compress", "dir")
    words = ("-f", wanted, "-s", lab.old, "-d", tmp_path / name, *form)
    ran = image_tools("archive", "export", *words, "--format", "json", "-o", tmp_path / "failed")

    assert (ran.code, ran.statuses) == (0, ["copied"]), ran.stderr
    assert listed(tmp_path / name) == {lab.name("web"): lab.second.top.digest}
    assert verified(tmp_path / name).code == 0
    if "." in name:
        place = f"oci-archive:{tmp_path / name}:{lab.name('web')}"
        raw = run(every("skopeo")[-1].path, "inspect", "--raw", place)
        assert raw.stdout.encode() == lab.second.top.data


def test_archive_export_names_what_is_not_there(lab: Lab, tmp_path: Path) -> None:
    wanted, failed = tmp_path / "list.txt", tmp_path / "failed.txt"
    wanted.write_text(f"{lab.name('web')}\n{lab.name('none')}\n")
    words = ("-f", wanted, "-s", lab.old, "-d", tmp_path / "part.tar.gz", "-o", failed)
    ran = image_tools("archive", "export", *words, "--format", "json")

    assert (ran.code, ran.statuses) == (1, ["copied", "failed"])
    assert failed.read_text().splitlines()[-1] == lab.name("none")
    assert list(listed(tmp_path / "part.tar.gz")) == [lab.name("web")]


def test_archive_merge_puts_images_together_the_later_one_counts(lab: Lab, tmp_path: Path) -> None:
    merged = tmp_path / "merged.tar.gz"
    ran = image_tools("archive", "merge", lab.old, lab.new, "-o", merged, "--format", "json")

    assert (ran.code, ran.statuses) == (0, ["copied", "copied", "copied"]), ran.stderr
    assert listed(merged) == {
        lab.name("app"): lab.newer.top.digest,
        lab.name("web"): lab.second.top.digest,
    }
    assert verified(merged).code == 0


def test_archive_merge_into_one_of_them_is_refused(lab: Lab, tmp_path: Path) -> None:
    copy = tmp_path / "copy.tar.gz"
    shutil.copy(lab.new, copy)
    before = copy.read_bytes()
    ran = image_tools("archive", "merge", lab.old, copy, "-o", copy)
    assert ran.code == 2
    assert "cannot be merged into itself" in ran.stderr
    assert copy.read_bytes() == before


@pytest.mark.parametrize("command", ["ls", "verify"])
def test_archive_that_is_none_is_refused(tmp_path: Path, command: str) -> None:
    other = tmp_path / "other.tar.gz"
    other.write_bytes(b"no archive" * 100)
    assert image_tools("archive", command, tmp_path / "none").code == 2
    ran = image_tools("archive", command, other)
    assert ran.code == 1
    assert str(other) in ran.stderr
