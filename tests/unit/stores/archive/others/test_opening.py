"""Archives of others: read through a private folder, named, and refused where they lie."""

from __future__ import annotations

import json
import shutil
import stat
from contextlib import closing
from pathlib import Path

import pytest

from image_tools.errors import ArchiveDamaged, DiskFull, EnvironmentProblem, UsageError
from image_tools.oci.digest import Digest
from image_tools.oci.reference import Reference
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.image_contents import contents
from image_tools.stores.archive.opening import check_archive, read_archive
from image_tools.stores.archive.others import cache as foreign_cache
from image_tools.stores.archive.others.blobs import survey
from image_tools.stores.archive.others.cache import Foreign
from image_tools.stores.archive.others.source import opened_source
from tests.helpers import images
from tests.helpers.content import Image
from tests.helpers.foreign import (
    IMAGE_NAME,
    PACKED,
    REF_NAME,
    Odd,
    docker_save,
    docker_save_25,
    hex_of,
    layout,
    predecessor,
    tar,
    write,
)

APP, WEB = images.oci_index(1), images.docker_list(2)
LAYERS = [b"first".ljust(700, b"."), b"second" * 300]
SAVED = docker_save((["team/app:1.0", "nginx"], LAYERS))
NAMED = {IMAGE_NAME: "docker.io/team/app:1.0"}


def found_in(archive: Archive) -> dict[str, str]:
    """The names and digests of all images; every image is whole."""
    found = {}
    with closing(archive):
        for image in contents(archive):
            assert image.problems == {}
            found[str(image.reference)] = str(image.digest)
    return found


def read(path: Path, *names: str) -> dict[str, str]:
    foreign = Foreign(names=tuple(Reference.parse(name) for name in names))
    return found_in(read_archive(path, foreign=foreign))


@pytest.mark.parametrize("ending", ["", *PACKED])
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (layout((APP, NAMED)), {"docker.io/team/app:1.0": APP.top.digest}),
        (
            layout((APP, {REF_NAME: "reg.example/a:1"}), (WEB, {REF_NAME: "reg.example/a"})),
            {"reg.example/a:1": APP.top.digest, "reg.example/a:latest": WEB.top.digest},
        ),
    ],
    ids=["whole name", "without a tag"],
)
def test_layout_of_others_is_read_by_its_names(
    tmp_path: Path, files: dict[str, bytes], expected: dict[str, str], ending: str
) -> None:
    path = write(tmp_path / f"Some{ending}", files)

    assert read(path) == expected
    assert [*tmp_path.iterdir()] == [path]


def test_layout_below_a_folder_of_its_tar_is_read(tmp_path: Path) -> None:
    files = {f"./here/{name}": content for name, content in layout((APP, NAMED)).items()}

    assert read(write(tmp_path / "x.tar", files)) == {"docker.io/team/app:1.0": APP.top.digest}


@pytest.mark.parametrize("ending", ["", *PACKED])
@pytest.mark.parametrize("packed", [False, True])
def test_docker_save_keeps_config_and_layers(tmp_path: Path, ending: str, packed: bool) -> None:
    path = write(tmp_path / f"x{ending}", docker_save((["team/app:1.0", "nginx"], LAYERS)))
    if packed:
        path = write(
            tmp_path / f"y{ending}", docker_save((["team/app:1.0", "nginx"], LAYERS), packed=True)
        )
    with closing(read_archive(path)) as archive:
        raw = archive.named_manifest(Reference.parse("team/app:1.0"))
        names = [str(image) for image in archive.images]
    value = json.loads(raw.content)
    ending = "+gzip" if packed else ""

    assert names == ["docker.io/library/nginx:latest", "docker.io/team/app:1.0"]
    assert f"{Digest.parse(value['config']['digest']).hex}.json" in SAVED
    assert [layer["mediaType"] for layer in value["layers"]] == [
        f"application/vnd.oci.image.layer.v1.tar{ending}"
    ] * 2
    if not packed:
        assert [layer["digest"] for layer in value["layers"]] == [
            f"sha256:{hex_of(layer)}" for layer in LAYERS
        ]


def test_docker_save_has_the_same_digest_every_time_and_in_both_layouts(tmp_path: Path) -> None:
    old = read(write(tmp_path / "old.tar", SAVED))
    new = read(write(tmp_path / "new.tar", docker_save_25(SAVED)))

    assert old == read(tmp_path / "old.tar")
    assert old["docker.io/team/app:1.0"] == new["docker.io/team/app:1.0"]


def test_docker_save_of_equal_layers_is_read_through_its_links(tmp_path: Path) -> None:
    files = dict(docker_save((["a:1"], [LAYERS[0]]), (["b:1"], [LAYERS[0]])))
    listed = json.loads(files["manifest.json"])
    real = listed[0]["Layers"][0]
    listed[1]["Layers"] = ["other/layer.tar"]
    entries: list[tuple[str, bytes | Odd]] = [
        *(files | {"manifest.json": json.dumps(listed).encode()}).items()
    ]
    entries.insert(0, ("other/layer.tar", Odd(b"2", f"../{real}")))
    (tmp_path / "x.tar").write_bytes(tar(entries))

    found = read(tmp_path / "x.tar")

    assert sorted(found) == ["docker.io/library/a:1", "docker.io/library/b:1"]


@pytest.mark.parametrize("ending", ["", ".tar.gz"])
@pytest.mark.parametrize("shared", [True, False], ids=["oci", "dir"])
def test_archive_of_the_predecessor_holds_an_index_per_image(
    tmp_path: Path, ending: str, shared: bool
) -> None:
    saved = (("library/nginx", "1.25", WEB), ("reg.example/team/app", "1", APP))
    top = "saved-image-cache/" if ending else ""
    path = write(tmp_path / f"saved{ending}", predecessor(*saved, top=top, shared=shared))
    found = {}
    with closing(read_archive(path)) as archive:
        for reference in archive.images:
            value = json.loads(archive.named_manifest(reference).content)
            found[str(reference)] = [(e["digest"], e["platform"]) for e in value["manifests"]]
        assert all(image.problems == {} for image in contents(archive))

    def rows(image: Image) -> list[object]:
        return [(leaf.digest, dict(leaf.true_platform or {})) for leaf in image.leaves]

    assert found == {"docker.io/library/nginx:1.25": rows(WEB), "reg.example/team/app:1": rows(APP)}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["team/x"], ["docker.io/team/x:1", "docker.io/team/x:2"]),
        (
            [f"team/x:9@{APP.top.digest}", "reg.example/y"],
            ["docker.io/team/x:9", "reg.example/y:2"],
        ),
        (
            [f"a@{APP.top.digest}", f"b@{WEB.top.digest}"],
            ["docker.io/library/a:1", "docker.io/library/b:2"],
        ),
    ],
)
def test_name_is_given_to_images_without_one(
    tmp_path: Path, names: list[str], expected: list[str]
) -> None:
    path = write(tmp_path / "x.tar", layout((APP, {REF_NAME: "1"}), (WEB, {REF_NAME: "2"})))

    assert sorted(read(path, *names)) == expected


@pytest.mark.parametrize(
    ("file", "files", "names", "said"),
    [
        ("x.tar", layout((APP, None), (WEB, None)), [], "--name REPOSITORY:TAG@DIGEST"),
        ("x.tar", layout((APP, None), (WEB, None)), ["a:1"], "--name REPOSITORY:TAG@DIGEST"),
        ("x.tar", layout((APP, None), (WEB, None)), ["a", "b"], "--name REPOSITORY:TAG@DIGEST"),
        ("x.tar", layout((APP, None)), [], f"--name REPOSITORY:TAG@{APP.top.digest}"),
        ("x.tar", layout((APP, {REF_NAME: "1"})), [], f"--name REPOSITORY[:TAG]@{APP.top.digest}"),
        ("x.tar", layout((APP, NAMED)), ["a:1"], "leave it out"),
        ("x.tar", layout((APP, None)), [f"a@sha256:{'0' * 64}"], "leave it out"),
        ("x.tar", layout((APP, None)), ["a:1", f"b@{APP.top.digest}"], "leave it out"),
    ],
)
def test_name_that_is_not_clear_is_asked_for(
    tmp_path: Path, file: str, files: dict[str, bytes], names: list[str], said: str
) -> None:
    path = write(tmp_path / file, files)

    with pytest.raises(UsageError) as caught:
        read(path, *names)

    assert said in caught.value.advice
    assert [*tmp_path.iterdir()] == [path]


def changed(
    name: str, content: bytes | None = None, files: object = None
) -> list[tuple[str, bytes | Odd]]:
    found = dict(files or SAVED)  # type: ignore[call-overload]
    if content is None:
        del found[name]
    else:
        found[name] = content
    return [*found.items()]


CONFIG = next(name for name in SAVED if name.endswith(".json") and name != "manifest.json")
LAYER = next(name for name in SAVED if name.endswith("layer.tar"))
OCI = layout((APP, NAMED))
BLOB = next(name for name in OCI if name.startswith("blobs"))
LIES: dict[str, tuple[list[tuple[str, bytes | Odd]], str]] = {
    "above": ([*SAVED.items(), ("../x", b"")], "would lie outside"),
    "absolute": ([*SAVED.items(), ("/etc/x", b"")], "would lie outside"),
    "amid": ([*SAVED.items(), ("a/../../x", b"")], "would lie outside"),
    "link out": ([*SAVED.items(), ("x", Odd(b"2", "../y"))], "leads outside"),
    "absolute link": ([*SAVED.items(), ("x", Odd(b"2", "/etc/passwd"))], "leads outside"),
    "hard link out": ([*SAVED.items(), ("x", Odd(b"1", "/etc/passwd"))], "would lie outside"),
    "device": ([*SAVED.items(), ("x", Odd(b"3"))], "is no file, folder or link"),
    "pipe": ([*SAVED.items(), ("x", Odd(b"6"))], "is no file, folder or link"),
    "sparse": ([*SAVED.items(), ("x", Odd(b"S"))], "is no file, folder or link"),
    "twice": ([*SAVED.items(), ("manifest.json", b"[]")], "two entries"),
    "by case": ([*SAVED.items(), ("Manifest.json", b"[]")], "two entries"),
    "too long": ([("x", Odd(b"0", size=1 << 20)), *SAVED.items()], "ends early"),
    "folder with bytes": ([("x", Odd(b"5", size=512)), *SAVED.items()], "has 512 bytes"),
    "control": ([*SAVED.items(), ("a\x1b[2J", b"")], "would lie outside"),
    "endless links": (
        [
            *changed(LAYER),
            (LAYER, Odd(b"2", "a")),
            (f"{LAYER.partition('/')[0]}/a", Odd(b"2", "layer.tar")),
        ],
        "is not in it",
    ),
    "deep": (changed("manifest.json", b"[" * 100_000), "is not JSON"),
    "no list": (changed("manifest.json", b"{}"), "is no list"),
    "no image": (changed("manifest.json", b"[1]"), "is no image"),
    "no config": (changed(CONFIG), "is not in it"),
    "config changed": (changed(CONFIG, b"{}"), "has the digest"),
    "layer missing": (changed(LAYER), "is not in it"),
    "layer changed": (changed(LAYER, b"!"), "is not the one its config names"),
    "blob changed": (changed(BLOB, b"!", OCI), "have the digest"),
    "no index": (changed("index.json", None, OCI), "'index.json' is not in it"),
    "version": (changed("oci-layout", b'{"imageLayoutVersion":"9"}', OCI), "layout version 9"),
    "nothing": ([("x", b"")], "holds no images"),
}


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
@pytest.mark.parametrize("lie", LIES)
def test_archive_that_lies_is_refused_by_name(tmp_path: Path, lie: str, ending: str) -> None:
    entries, said = LIES[lie]
    path = tmp_path / f"x{ending}"
    path.write_bytes(PACKED[ending](tar(entries)))

    with pytest.raises(ArchiveDamaged) as caught:
        read_archive(path)

    assert said in caught.value.message
    assert str(path) in caught.value.message
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04 zip", "it is a zip file"),
        (b"\xfd7zXZ", "packed with xz"),
        (tar(SAVED.items(), end=False), "ends early"),
        (tar(SAVED.items())[:-2000], "ends early"),
        (PACKED[".tar.gz"](tar(SAVED.items()))[:-30], "ends early"),
    ],
)
def test_file_that_is_no_whole_tar_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)

    with pytest.raises(ArchiveDamaged) as caught:
        read_archive(path)

    assert said in f"{caught.value} {caught.value.advice}"


@pytest.mark.parametrize("ending", ["", ".tar"])
def test_check_of_an_archive_of_others_unpacks_nothing(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"x{ending}", SAVED)
    (tmp_path / "zip").write_bytes(b"PK\x03\x04")

    check_archive(path)
    with pytest.raises(ArchiveDamaged, match="it is a zip file"):
        check_archive(tmp_path / "zip")
    with pytest.raises(UsageError, match="holds no archive"):
        check_archive(tmp_path)


def test_folder_with_a_link_out_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x", SAVED)
    (path / "link").symlink_to("/etc/passwd")

    with pytest.raises(ArchiveDamaged, match="leads outside"):
        read_archive(path)


def test_cache_is_private_and_kept_when_wanted(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tar", SAVED)
    caches = tmp_path / "caches"

    before = found_in(read_archive(path, foreign=Foreign(cache=caches, keep_cache=True)))

    (kept,) = caches.iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == stat.S_IMODE(caches.stat().st_mode) == 0o700
    assert sorted(one.name for one in kept.iterdir() if one.name != ".image-tools") == [
        "blobs",
        "index.json",
        "oci-layout",
    ]
    assert found_in(read_archive(kept)) == before
    assert found_in(read_archive(path, foreign=Foreign(cache=caches))) == before
    assert [*caches.iterdir()] == [kept]


def test_cache_of_a_killed_run_is_removed_and_that_of_a_living_one_not(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tar", SAVED)
    dead = tmp_path / "y.tar.gz.cache-dead1234"
    dead.mkdir()
    (dead / ".image-tools-cache").touch()

    with closing(read_archive(path)), closing(read_archive(path)):
        living = {one.name for one in tmp_path.iterdir()} - {"x.tar"}

    assert len(living) == 2
    assert dead.name not in living
    assert [*tmp_path.iterdir()] == [path]


def test_cache_that_cannot_be_made_names_the_option(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tar", SAVED)

    with pytest.raises(EnvironmentProblem) as caught:
        read_archive(path, foreign=Foreign(cache=path / "below"))

    assert "--cache DIR" in caught.value.advice


@pytest.mark.parametrize("ending", PACKED)
def test_archive_without_room_says_what_is_needed_and_free(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytes(3 << 20)
    path = write(tmp_path / f"x{ending}", {"big": content, **SAVED})
    usage = shutil.disk_usage(tmp_path)._replace(free=1 << 20)
    monkeypatch.setattr(foreign_cache.shutil, "disk_usage", lambda _path: usage)

    with pytest.raises(DiskFull, match=r"3\.0 MiB are needed, 1\.0 MiB are free") as caught:
        read_archive(path)

    assert "--cache DIR" in caught.value.advice
    assert [*tmp_path.iterdir()] == [path]


def test_archive_with_too_many_entries_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tar", {str(n): b"" for n in range(4)})

    with opened_source(path) as source, pytest.raises(ArchiveDamaged, match="more than 3 entries"):
        survey(source, foreign_cache.Cache.create(path, Foreign()), most=3)
