"""Which archive a command line means, and what is asked before one is replaced."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from image_tools.cli.app import main
from image_tools.cli.archive_choice import (
    chosen_archive,
    existing_archive,
    may_begin,
    repaired_archive,
)
from image_tools.cli.parsing import parse
from image_tools.cli.verbs.save import SAVE
from image_tools.commands.archives import ArchiveDestination
from image_tools.errors import UsageError
from image_tools.oci import media
from image_tools.oci.manifest import RawManifest
from image_tools.oci.reference import Reference
from image_tools.stores.archive.content import Form
from image_tools.stores.archive.opening import new_archive

EMPTY_INDEX = RawManifest(media.OCI_INDEX, b'{"schemaVersion": 2, "manifests": []}')


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def choice(words: str, path: Path | None = None) -> tuple[ArchiveDestination, bool]:
    """What `save` with these words means, and whether it may begin."""
    options = parse(SAVE, ["-f", "x", *(["-d", str(path)] if path else []), *words.split()], {})
    found = chosen_archive(options)
    return found, may_begin(found, options, asks=not options.dry_run)


def lay(path: Path, what: str) -> None:
    if what == "text":
        path.write_text("dear diary")
    elif what == "other folder":
        (path / "x").mkdir(parents=True)
    elif what != "nothing":
        archive = new_archive(path, Form(what))
        archive.add_manifest(EMPTY_INDEX)
        archive.add_tag(Reference.parse("nginx:1"), EMPTY_INDEX)
        archive.publish()
        archive.close()


@pytest.mark.parametrize(
    ("words", "name", "form"),
    [
        ("", "saved-images.tar.gz", Form.GZIP),
        ("--compress zstd", "saved-images.tar.zst", Form.ZSTD),
        ("-compress=dir", "saved-image-cache", Form.FOLDER),
        ("-c none", "saved-images.tar", Form.TAR),
        ("-d x.tar.zst", "x.tar.zst", Form.ZSTD),
        ("-d x", "x", Form.GZIP),
        ("-d x.tar.gz --compress zstd", "x.tar.gz", Form.ZSTD),
    ],
)
def test_archive_has_its_name_by_the_form_and_its_form_by_the_name(
    words: str, name: str, form: Form
) -> None:
    found = chosen_archive(parse(SAVE, ["-f", "x", *words.split()], {}))

    assert found == ArchiveDestination(path=Path(name), form=form)


def test_archive_may_be_named_by_its_variable() -> None:
    options = parse(SAVE, ["-f", "x"], {"IMAGE_TOOLS_ARCHIVE": "x", "IMAGE_TOOLS_DESTINATION": "y"})

    assert chosen_archive(options).path == Path("x")


@pytest.mark.parametrize("words", ["", "-y", "--dry-run"])
@pytest.mark.parametrize("what", ["nothing", "gzip", "dir"])
def test_what_loses_nothing_begins_unasked(tmp_path: Path, what: str, words: str) -> None:
    lay(tmp_path / "x", what)

    assert choice(words, tmp_path / "x")[1] is True


@pytest.mark.parametrize(
    ("what", "words"), [("text", ""), ("gzip", "--replace"), ("dir", "--replace --compress dir")]
)
@pytest.mark.parametrize(("answer", "agreed"), [("y\n", True), ("\n", False), ("", False)])
def test_replacing_is_asked_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    what: str,
    words: str,
    answer: str,
    agreed: bool,
) -> None:
    lay(tmp_path / "x", what)
    monkeypatch.setattr(sys, "stdin", Terminal(answer))

    assert choice(words, tmp_path / "x")[1] is agreed
    assert f"{tmp_path}/x is" in capsys.readouterr().err


@pytest.mark.parametrize(("what", "words"), [("text", ""), ("gzip", "--replace")])
def test_replacing_without_anybody_to_ask_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, words: str
) -> None:
    lay(tmp_path / "x", what)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))

    with pytest.raises(UsageError) as caught:
        choice(words, tmp_path / "x")
    assert "-y" in caught.value.advice
    assert choice(f"{words} -y", tmp_path / "x")[1] is True


@pytest.mark.parametrize(
    ("what", "words", "message"),
    [
        ("other folder", "", "a folder with other things in it"),
        ("other folder", "-y", "a folder with other things in it"),
        ("gzip", "--compress zstd", "has the form gzip"),
        ("gzip", "--compress dir", "has the form gzip"),
        ("gzip", "--compress dir --replace -y", "is a file"),
        ("text", "--compress dir -y", "is a file"),
        ("dir", "--replace -y", "is a folder"),
        ("dir", "--compress gzip", "has the form dir"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, what: str, words: str, message: str) -> None:
    lay(tmp_path / "x", what)

    with pytest.raises(UsageError, match=message):
        choice(words, tmp_path / "x")


@pytest.mark.parametrize("what", ["nothing", "text", "other folder"])
def test_archive_to_sync_has_to_be_there(tmp_path: Path, what: str) -> None:
    lay(tmp_path / "x", what)

    with pytest.raises(UsageError):
        existing_archive(str(tmp_path / "x"))
    lay(tmp_path / "y", "zstd")
    assert existing_archive(str(tmp_path / "y")).form is Form.ZSTD


@pytest.mark.parametrize(
    ("words", "size"),
    [
        ("", None),
        ("--part", (4 << 30) - 1),
        ("--part-size 4G", (4 << 30) - 1),
        ("--part-size 64k", 64 << 10),
        ("--part --part-size=1GB", 10**9),
        ("--part=false", None),
    ],
)
def test_volumes_are_made_where_they_are_asked_for(words: str, size: int | None) -> None:
    options = parse(SAVE, ["-f", "x", "-d", "x.tar.part2", *words.split()], {})
    name = "x.tar" if size else "x.tar.part2"

    assert chosen_archive(options).part_size == size
    assert chosen_archive(options).path == Path(name)


@pytest.mark.parametrize(
    ("what", "words", "message"),
    [
        ("nothing", "--part --compress dir", "a folder has no volumes"),
        ("nothing", "--part-size 1000", "65536 bytes at least"),
        ("gzip", "--part", "is no archive in volumes"),
    ],
)
def test_volumes_that_cannot_be_are_refused(
    tmp_path: Path, what: str, words: str, message: str
) -> None:
    lay(tmp_path / "x", what)

    with pytest.raises(UsageError, match=message):
        choice(words, tmp_path / "x")


def test_archive_in_volumes_keeps_its_size(tmp_path: Path) -> None:
    archive = new_archive(tmp_path / "x", Form.ZSTD, 70_000)
    archive.add_manifest(EMPTY_INDEX)
    archive.add_tag(Reference.parse("nginx:1"), EMPTY_INDEX)
    archive.publish()
    archive.close()

    assert choice("--part-size 1M", tmp_path / "x")[1] is True
    found = existing_archive(str(tmp_path / "x.part1"))
    assert found == ArchiveDestination(path=tmp_path / "x", form=Form.ZSTD, part_size=70_000)


@pytest.mark.parametrize(
    ("what", "words", "message"),
    [
        ("gzip", "--replace", "--repair and --replace exclude"),
        ("gzip", "--dry-run", "--repair and --dry-run exclude"),
        ("nothing", "", "does not exist"),
    ],
)
def test_repair_of_what_is_not_there_is_refused(
    tmp_path: Path, what: str, words: str, message: str
) -> None:
    lay(tmp_path / "x", what)
    line = ["-f", "x", "-d", str(tmp_path / "x"), "--repair", *words.split()]
    options = parse(SAVE, line, {})

    with pytest.raises(UsageError, match=message):
        repaired_archive(chosen_archive(options), dry_run=options.dry_run)


def test_export_over_a_file_that_is_no_archive_needs_a_yes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    source, diary = tmp_path / "a.tar", tmp_path / "diary.tar"
    lay(source, "none")
    lay(diary, "text")

    code = main(["archive", "export", "-s", str(source), "-d", str(diary)], {"HOME": "/"})

    assert (code, diary.read_text()) == (2, "dear diary")
    assert "nobody can be asked whether to replace it" in capsys.readouterr().err
