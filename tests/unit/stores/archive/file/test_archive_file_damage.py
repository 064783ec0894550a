"""An archive file that was changed, forged, or has no room: told, never believed."""

from __future__ import annotations

import errno
import os
import random
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from image_tools.errors import ArchiveDamaged, CopyFailed, DiskFull, IntegrityError
from image_tools.oci.digest import Digest
from image_tools.stores.archive.content import FILE_FORMS, Form
from image_tools.stores.archive.file.archive_file import FileContent, file_form
from image_tools.stores.archive.file.reading import FileSource
from image_tools.stores.archive.file.toc import FileEntry, Table
from image_tools.stores.archive.file.trailer import read_trailer, trailer_bytes
from image_tools.stores.archive.verify import verify
from tests.helpers.archive_files import INDEX, add, blobs_of, by_digest
from tests.helpers.examples import examples

BLOBS = (b"", b"text " * 300, random.Random(1).randbytes(70_000), random.Random(2).randbytes(600))


@pytest.fixture(params=FILE_FORMS, ids=lambda form: form.name)
def form(request: pytest.FixtureRequest) -> Form:
    return request.param


@pytest.fixture
def path(tmp_path: Path, form: Form) -> Path:
    return tmp_path / f"images{form.suffix}"


def made(path: Path, form: Form, *blobs: bytes) -> Path:
    with closing(FileContent.create(path, form)) as content:
        for blob in blobs:
            add(content, blob, compressible=b"text" in blob)
        content.publish(INDEX)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[Form, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    return {form: made(folder / form.name, form, *BLOBS).read_bytes() for form in FILE_FORMS}


def looked_into(path: Path) -> str:
    """Read all there is: what of it cannot be right, `verify` has to say."""
    try:
        content = FileContent.reading(path)
    except ArchiveDamaged as error:
        return "damaged" if str(path) in error.message else error.message
    with closing(content):
        problems = dict(verify(content))
        right = content.index() == INDEX
        for digest, size in content.digests():
            right &= is_right(content, digest, size) or problems[digest] is not None
    return "right" if right else "wrong"


def is_right(content: FileContent, digest: Digest, size: int) -> bool:
    """Whether a blob can be read, is one of ours and has its digest; no other error."""
    try:
        with content.open(digest) as file:
            found = file.read(size + 1)
        digest.verify(found)
    except IntegrityError:
        return False
    return found in BLOBS


@st.composite
def changes(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    at, other = draw(st.floats(0, 1)), draw(st.integers(0, 255))
    kind, long = (
        draw(st.sampled_from(["cut", "flip", "put", "zero", "lose", "twice"])),
        draw(st.integers(1, 2000)),
    )

    def changed(data: bytes) -> bytes:
        # The places near the end decide more than those in the middle of a blob.
        place = int(at * (len(data) - 1)) if other % 2 else max(len(data) - 1 - int(at * 6000), 0)
        before, behind = data[:place], data[place:]
        return {
            "cut": before,
            "flip": before + bytes([behind[0] ^ (other or 1)]) + behind[1:],
            "put": before + bytes([other]) * long + behind,
            "zero": before + bytes(len(behind[:long])) + behind[long:],
            "lose": before + behind[long:],
            "twice": before + behind[:long] + behind,
        }[kind]

    return changed


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch") / "a"


@given(form=st.sampled_from(FILE_FORMS), change=changes())
@examples(500)
def test_archive_changed_anywhere_is_right_or_says_so(whole, scratch, form, change) -> None:
    scratch.write_bytes(change(whole[form]))

    assert looked_into(scratch) in {"right", "damaged"}


@given(form=st.sampled_from(FILE_FORMS), at=st.floats(0, 1, exclude_max=True))
@examples(50)
def test_archive_cut_anywhere_is_never_recognised(whole, scratch, form, at) -> None:
    scratch.write_bytes(whole[form][: int(at * len(whole[form]))])

    assert file_form(scratch) is None
    with pytest.raises(ArchiveDamaged, match="does not end as an archive"):
        FileContent.reading(scratch)


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b", b"ustar", bytes(20_000), b"x" * 20_000])
def test_file_of_something_else_is_not_recognised(scratch: Path, content: bytes) -> None:
    scratch.write_bytes(content)

    assert file_form(scratch) is None


def test_folder_is_not_recognised(tmp_path: Path) -> None:
    assert file_form(tmp_path) is None


def test_verify_names_what_is_damaged(path: Path, form: Form) -> None:
    made(path, form, *BLOBS)
    with closing(FileContent.reading(path)) as content:
        broken = content.find(Digest.of(BLOBS[2]))
        renamed = content.find(Digest.of(BLOBS[3]))
        assert broken is not None
        assert renamed is not None
    data = bytearray(path.read_bytes())
    data[broken.end - 2000] ^= 1
    data[renamed.offset + 40] ^= 1
    path.write_bytes(data)

    with closing(FileContent.reading(path)) as content:
        found = {digest: problem for digest, problem in verify(content) if problem}
    assert set(found) == {broken.digest, renamed.digest}
    assert found[renamed.digest] == "its tar header is not what it was"


def forged(path: Path, digest: Digest, change: Callable[[FileEntry], FileEntry]) -> None:
    """Write the table anew, with another entry for one blob."""
    with path.open("r+b") as file:
        source = FileSource(str(path), file.fileno())
        found = read_trailer(source, path.stat().st_size)
        assert found is not None
        entries = tuple(change(e) if e.digest == digest else e for e in found.body.entries)
        file.seek(found.start)
        file.write(trailer_bytes(replace(found, body=Table(entries))))
        file.truncate()


@pytest.mark.parametrize("form", [Form.GZIP, Form.ZSTD])
def test_blob_that_unpacks_to_more_than_it_says_is_stopped(tmp_path: Path, form: Form) -> None:
    path = tmp_path / "bomb"
    with closing(FileContent.create(path, form)) as content:
        bomb = add(content, bytes(8 << 20), compressible=True)
        content.publish(INDEX)
    forged(path, bomb, lambda entry: replace(entry, size=10))

    tracemalloc.start()
    with closing(FileContent.reading(path)) as content:
        with content.open(bomb) as file:
            assert file.read() == bytes(10)
        problems = [problem for _, problem in verify(content) if problem]
        assert problems == ["its tar header is not what it was"]
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_blob_that_unpacks_to_less_than_it_says_is_damaged(path: Path, form: Form) -> None:
    made(path, form, *BLOBS)
    digest = Digest.of(BLOBS[1])
    forged(path, digest, lambda entry: replace(entry, size=entry.size + 600, stored=False))

    with closing(FileContent.reading(path)) as content, content.open(digest) as file:
        with pytest.raises(ArchiveDamaged, match="ends early"):
            file.read()
        assert dict(verify(content))[digest] == "its tar header is not what it was"


def test_table_and_index_too_big_are_refused(path: Path, form: Form) -> None:
    made(path, form, *BLOBS)

    with path.open("rb") as file:
        source, size = FileSource(str(path), file.fileno()), path.stat().st_size
        with pytest.raises(ArchiveDamaged, match=r"index\.json has 34 bytes"):
            read_trailer(source, size, biggest_index=10)
        with pytest.raises(ArchiveDamaged, match="table of contents is too big"):
            read_trailer(source, size, biggest_table=100)


def test_frame_that_wants_much_memory_is_refused(tmp_path: Path) -> None:
    wide = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    path = made(tmp_path / "a", Form.ZSTD, b"text")
    with closing(FileContent.create(tmp_path / "b", Form.ZSTD)) as content:
        incoming = content.begin(None, compressible=True)
        incoming._frame._compressor = zstandard.ZstdCompressor(  # type: ignore[attr-defined]
            compression_params=wide
        ).compressobj()
        incoming.write(b"text" * 100)
        digest = Digest.of(b"text" * 100)
        incoming.finish(digest)
        with content.open(digest) as file, pytest.raises(ArchiveDamaged, match="memory"):
            file.read()
    assert path.exists()


NO_ROOM = OSError(errno.ENOSPC, "No space left on device")


def refusing(error: OSError) -> Callable[..., Any]:
    def refuse(*_words: object) -> None:
        raise error

    return refuse


def test_full_disk_says_what_is_needed_and_keeps_what_arrived(
    path: Path, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = FileContent.create(path, form)
    add(content, BLOBS[2])
    incoming = content.begin(3 << 20, compressible=False)
    incoming.write(b"x" * (1 << 20))
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", refusing(NO_ROOM))
        with pytest.raises(DiskFull, match=rf"no room for {path}: 2\.0 MiB more are need"):
            incoming.write(b"x" * (1 << 20))
        incoming.drop()
        patch.setattr(os, "fdatasync", refusing(NO_ROOM))
        with pytest.raises(DiskFull, match=str(path)):
            add(content, BLOBS[3], compressible=True)
    content.close()

    with closing(FileContent.create(path, form)) as content:
        add(content, BLOBS[1])
        content.publish(INDEX)
        assert blobs_of(content) == by_digest(BLOBS[1], BLOBS[2])


def test_disk_plainly_too_small_is_told_before_a_byte(path: Path, form: Form) -> None:
    with closing(FileContent.create(path, form)) as content:
        with pytest.raises(DiskFull, match=r"4,398,\d{3},\d{3},\d{3}\.\d MiB more are needed"):
            content.begin(1 << 62, compressible=False)
        assert path.with_name(f"{path.name}.partial").stat().st_size < 5000


def test_disk_that_refuses_for_another_reason_says_it(
    path: Path, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(FileContent.create(path, form)) as content:
        monkeypatch.setattr(os, "pwritev", refusing(OSError(errno.EIO, "Input/output error")))
        with pytest.raises(CopyFailed, match=f"{path} cannot be written: Input/output error"):
            add(content, BLOBS[2])
        monkeypatch.undo()


def test_archive_in_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(CopyFailed, match="No such file"):
        FileContent.create(tmp_path / "missing" / "a.tar", Form.TAR)


def test_saved_tail_of_another_file_is_not_believed(path: Path, form: Form) -> None:
    made(path, form, *BLOBS)
    with closing(FileContent.adding(path)) as content:
        add(content, b"new")
    side = path.with_name(f"{path.name}.tail")
    path.unlink()
    stale = side.read_bytes()
    made(path, form, b"other" * 5000)
    side.write_bytes(stale)

    with closing(FileContent.reading(path)) as content:
        assert blobs_of(content) == by_digest(b"other" * 5000)
    with closing(FileContent.adding(path)) as content:
        assert blobs_of(content) == by_digest(b"other" * 5000)
        add(content, b"new")
        content.publish(INDEX)
        assert blobs_of(content) == by_digest(b"other" * 5000, b"new")


@pytest.mark.parametrize("spoil", [b"", b"imgtail1", bytes(100)])
def test_saved_tail_damaged_makes_the_archive_damaged(path: Path, form: Form, spoil: bytes) -> None:
    made(path, form, *BLOBS)
    with closing(FileContent.adding(path)) as content:
        add(content, b"new")
    path.with_name(f"{path.name}.tail").write_bytes(spoil)

    assert file_form(path) is None
    with pytest.raises(ArchiveDamaged):
        FileContent.adding(path)
