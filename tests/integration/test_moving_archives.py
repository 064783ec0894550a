"""What tags hold after images came through archives, and what is said about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.client import push
from tests.helpers.moving import ALL, MovingLab, entries, made, platform_of
from tests.helpers.registry import Registry
from tests.helpers.running import Ran, image_tools


@pytest.fixture
def lab(source_registry: Registry, registry: Registry, tmp_path: Path) -> MovingLab:
    return MovingLab(source_registry, registry, tmp_path)


def _saved(lab: MovingLab, name: str, *words: str) -> Path:
    line = lab.folder / "saved.txt"
    line.write_text(f"{lab.source.address}/team/app:1.0\n")
    path = lab.folder / name
    ran = image_tools("save", "-f", line, "-d", path, *words)
    assert ran.code == 0, ran.stderr
    return path


def _saving(lab: MovingLab, path: Path, *words: str) -> Ran:
    to = ["-d", path, "--format", "json", "-o", lab.folder / "save-failed.txt"]
    return image_tools("save", "-f", lab.folder / "saved.txt", *to, *words)


def _loaded(lab: MovingLab, path: Path, *words: str, command: str = "load") -> Ran:
    to = ["-s", path, "-d", lab.destination.address, "--format", "json"]
    return image_tools(command, *to, "-o", lab.folder / "load-failed.txt", *words)


def test_load_of_archives_with_one_platform_each_unites_them(lab: MovingLab) -> None:
    release = lab.release(1, "linux/amd64", "linux/arm64")
    amd64, arm64 = (_saved(lab, f"{a}.tar", "-a", a) for a in ("amd64", "arm64"))

    first, second = _loaded(lab, amd64), _loaded(lab, arm64)

    assert (first.statuses, second.statuses) == (["copied"], ["copied"]), second.stderr
    assert lab.held() == entries(release)
    for path in (amd64, arm64):
        checked = _loaded(lab, path, command="load-validate")
        assert checked.statuses == ["passed"], checked.stderr


def test_load_of_a_newer_archive_removes_what_was_chosen_and_is_gone(lab: MovingLab) -> None:
    lab.release(1, "linux/amd64", "linux/arm64")
    assert _loaded(lab, _saved(lab, "old.tar")).statuses == ["copied"]
    release = lab.release(2, "linux/amd64")
    new = _saved(lab, "new.tar")
    assert _loaded(lab, new, command="load-validate").statuses == ["failed"]

    assert _loaded(lab, new).statuses == ["copied"]

    assert lab.top()[1] == release.top.digest
    assert _loaded(lab, new, command="load-validate").statuses == ["passed"]


def test_load_asks_each_archive_what_was_chosen_though_their_images_are_equal(
    lab: MovingLab,
) -> None:
    lab.release(1, "linux/amd64", "linux/arm/v7")
    assert _loaded(lab, _saved(lab, "old.tar", *ALL)).statuses == ["copied"]
    release = lab.release(2, "linux/amd64")
    narrow, all_of_it = _saved(lab, "narrow.tar"), _saved(lab, "all.tar", *ALL)
    assert [one["platform"] for one in _loaded(lab, narrow).only()["kept"]] == ["linux/arm/v7"]
    assert _loaded(lab, all_of_it, command="load-validate").statuses == ["failed"]

    assert _loaded(lab, all_of_it).statuses == ["copied"]

    assert lab.top()[1] == release.top.digest
    assert _loaded(lab, all_of_it, command="load-validate").statuses == ["passed"]


def test_load_of_everything_replaces_what_was_there(lab: MovingLab) -> None:
    push(lab.destination.endpoint, "team/app", "1.0", made(7, ["linux/s390x", "linux/amd64"]))
    lab.release(1, "linux/amd64", "linux/arm64")
    path = _saved(lab, "amd64.tar", "-a", "amd64")

    merged = _loaded(lab, path)
    assert [one["platform"] for one in merged.only()["kept"]] == ["linux/s390x"]
    assert _loaded(lab, path, "--arch", "all", "--os", "all").statuses == ["copied"]

    assert [where for where, _ in lab.held()] == ["linux/amd64"]
    ran = _loaded(lab, path, "--arch", "all", "--os", "all", command="load-validate")
    assert ran.statuses == ["passed"]


def test_save_tells_each_time_what_the_archive_keeps_and_reads_nothing_for_it(
    lab: MovingLab,
) -> None:
    lab.release(1, "linux/amd64", "linux/s390x")
    _saved(lab, "images.tar", "-a", "all", "--os", "all")
    lab.release(2, "linux/amd64", "linux/s390x")
    line = lab.folder / "saved.txt"
    words = ("-f", line, "-d", lab.folder / "images.tar", "-a", "amd64", "--format", "json")

    moved = image_tools("save", *words)
    lab.source.clear_log()
    again = image_tools("save", *words)

    assert (moved.statuses, again.statuses) == (["copied"], ["unchanged"])
    assert [one["platform"] for one in again.only()["kept"]] == ["linux/s390x"]
    assert moved.only()["kept"] == again.only()["kept"]
    asked = [(r.method, r.what) for r in lab.source.requests() if r.what != "ping"]
    assert asked == [("HEAD", "manifests")]
    assert image_tools("save-validate", *words).statuses == ["passed"]


@pytest.mark.parametrize("lost", ["manifest", "layer"])
def test_save_drops_a_kept_platform_that_the_archive_has_lost(lab: MovingLab, lost: str) -> None:
    old = lab.release(1, "linux/amd64", "linux/arm/v7")
    archive = _saved(lab, "images", "--compress", "dir", *ALL)
    release = lab.release(2, "linux/amd64")
    assert _saving(lab, archive).statuses == ["copied"]
    gone = next(entry.digest for entry in old.leaves if platform_of(entry) == "linux/arm/v7")
    if lost == "layer":
        gone = json.loads(old.find(gone).data)["layers"][0]["digest"]
    (archive / "blobs/sha256" / gone.removeprefix("sha256:")).unlink()
    planned = _saving(lab, archive, "--dry-run").report["rows"]
    assert [one["action"] for one in planned] == ["copy"]
    assert _saving(lab, archive, "--repair").code == 1

    ran = _saving(lab, archive)

    assert ran.statuses == ["copied"], ran.stderr
    assert any("removed linux/arm/v7" in said for said in ran.only()["warnings"])
    assert ran.only()["digest"] == release.top.digest
    assert image_tools("archive", "verify", archive).code == 0
    assert _saving(lab, archive).statuses == ["unchanged"]


def test_save_fails_over_a_damaged_manifest_until_the_archive_is_repaired(lab: MovingLab) -> None:
    release = lab.release(1, "linux/amd64", "linux/arm64")
    archive = _saved(lab, "images", "--compress", "dir")
    damaged = archive / "blobs/sha256" / release.leaves[0].digest.removeprefix("sha256:")
    content = damaged.read_bytes()
    damaged.chmod(0o644)
    damaged.write_bytes(content.replace(b"schemaVersion", b"schemaversion"))

    ran = _saving(lab, archive)

    assert (ran.code, ran.statuses) == (1, ["failed"]), ran.stderr
    assert "save --repair" in ran.only()["advice"]
    assert _saving(lab, archive, "--repair").code == 0
    assert damaged.read_bytes() == content
    assert _saving(lab, archive).statuses == ["unchanged"]


def test_archive_merge_unites_platforms_without_a_warning(lab: MovingLab) -> None:
    release = lab.release(1, "linux/amd64", "linux/arm64")
    amd64, arm64 = (_saved(lab, f"{a}.tar", "-a", a) for a in ("amd64", "arm64"))
    merged = lab.folder / "merged.tar"

    ran = image_tools("archive", "merge", amd64, arm64, "-o", merged, "--format", "json")

    assert (ran.statuses, [one["warnings"] for one in ran.outcomes]) == (["copied"] * 2, [[], []])
    assert _loaded(lab, merged).statuses == ["copied"]
    assert lab.held() == entries(release)


def test_archive_export_of_named_platforms_tells_what_the_other_archive_keeps(
    lab: MovingLab,
) -> None:
    lab.release(1, "linux/amd64", "linux/s390x")
    old = _saved(lab, "old.tar", *ALL)
    lab.release(2, "linux/amd64", "linux/s390x")
    new = _saved(lab, "new.tar", *ALL)

    words = ("-s", new, "-d", old, "-a", "amd64", "-y", "--format", "json")
    ran = image_tools("archive", "export", *words)

    assert [one["platform"] for one in ran.only()["kept"]] == ["linux/s390x"], ran.stderr
    assert "[WARN" in ran.stderr
