"""The frames of an archive file, read by the libraries that others would read them with."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from image_tools.stores.archive.content import FILE_FORMS, Form
from image_tools.stores.archive.file.framing import (
    BLOCK,
    HEADER,
    Compressed,
    Stored,
    content_position,
    end_frame,
    footer_frame,
    form_of,
    header_frame,
    header_length,
    longest_content,
    padded,
    stored,
    stored_length,
    tar_header,
)

SIZES = (0, 1, 511, 512, 513, 65535, 65536, (128 << 10) - 1, 128 << 10, (128 << 10) + 1, 300_000)
SHA256, SHA512 = f"blobs/sha256/{'a' * 64}", f"blobs/sha512/{'b' * 128}"


def unwrapped(form: Form, data: bytes) -> bytes:
    """What the library of this form makes of several frames."""
    if form is Form.GZIP:
        return gzip.decompress(data)
    if form is Form.ZSTD:
        reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
        return reader.read()
    return data


def content_of(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@pytest.mark.parametrize("name", [SHA256, SHA512, "index.json"])
@pytest.mark.parametrize("size", [0, 1, 8**11 - 1, 8**11, 1 << 50])
def test_header_is_understood_by_tarfile_and_of_one_length(name: str, size: int) -> None:
    header = tar_header(name, size)

    with tarfile.open(fileobj=io.BytesIO(header)) as archive:
        found = archive.next()
    assert found is not None
    told = (found.name, found.size, found.mode, found.mtime, found.uid, found.isreg())
    assert told == (name, size, 0o644, 0, 0, True)
    assert len(header) == HEADER


def test_header_without_pax_is_plain_ustar() -> None:
    found = tarfile.TarInfo.frombuf(tar_header(SHA256, 5)[2 * BLOCK :], "ascii", "strict")

    assert (found.name, found.size) == (SHA256, 5)


def test_header_of_too_long_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        tar_header("a" * 500, 1)


@pytest.mark.parametrize("form", FILE_FORMS)
def test_header_frame_has_its_announced_length_and_unwraps(form: Form) -> None:
    frame = header_frame(form, SHA512, 1 << 40)

    assert len(frame) == header_length(form)
    assert unwrapped(form, frame) == tar_header(SHA512, 1 << 40)


@pytest.mark.parametrize("form", FILE_FORMS)
@pytest.mark.parametrize("size", SIZES)
def test_stored_frame_unwraps_to_padded_content(form: Form, size: int) -> None:
    content = content_of(size)
    frame = stored(form, content)

    assert len(frame) == stored_length(form, size)
    assert unwrapped(form, frame) == content.ljust(padded(size), b"\0")


@given(
    form=st.sampled_from(FILE_FORMS),
    pieces=st.lists(st.integers(0, 140_000), max_size=6),
    data=st.data(),
)
def test_stored_frame_is_the_same_in_any_pieces_and_mapped(form, pieces, data) -> None:
    content = content_of(sum(pieces))
    frame, view, grown = Stored(form, len(content)), memoryview(content), bytearray()
    for piece in pieces:
        grown += b"".join(frame.encode(view[:piece]))
        view = view[piece:]
    grown += b"".join(frame.end())

    assert grown == stored(form, content)
    if content:
        offset = data.draw(st.integers(0, len(content) - 1))
        at, in_one_piece = content_position(form, offset)
        expected = content[offset:][:in_one_piece]
        assert grown[at : at + len(expected)] == expected


@given(form=st.sampled_from(FILE_FORMS), length=st.integers(0, 1 << 40) | st.integers(0, 200_000))
def test_fitting_content_is_the_longest_whose_frame_fits(form, length) -> None:
    size = longest_content(form, length)

    assert size % BLOCK == 0
    assert stored_length(form, size) <= length
    assert stored_length(form, size + BLOCK) > length


@pytest.mark.parametrize("form", [Form.GZIP, Form.ZSTD])
@pytest.mark.parametrize("size", SIZES)
def test_compressed_frame_unwraps_to_padded_content(form: Form, size: int) -> None:
    content = content_of(size)
    frame = Compressed(form)
    grown = frame.encode(content[:100]) + frame.encode(content[100:]) + frame.end()

    assert unwrapped(form, grown) == content.ljust(padded(size), b"\0")


@pytest.mark.parametrize("form", FILE_FORMS)
def test_end_is_two_blocks_of_zeros(form: Form) -> None:
    assert unwrapped(form, end_frame(form)) == bytes(1024)


@pytest.mark.parametrize("form", FILE_FORMS)
def test_footer_is_seen_by_nobody(form: Form) -> None:
    assert unwrapped(form, end_frame(form) + footer_frame(form, b"x" * 146)) == bytes(1024)


@pytest.mark.parametrize("form", FILE_FORMS)
def test_form_is_known_by_the_first_bytes(form: Form) -> None:
    assert form_of(header_frame(form, "oci-layout", 30)[:BLOCK]) is form


@pytest.mark.parametrize("start", [b"", b"\x1f", b"PK\3\4", bytes(512), b"ustar"])
def test_form_of_something_else_is_none(start: bytes) -> None:
    assert form_of(start) is None


@pytest.mark.parametrize(
    ("name", "size", "sha256"),
    [
        ("oci-layout", 30, "fdb221ce5ae6038c24a219cb530c0e53bea6d6da7789a800681b3da65bc7993f"),
        (SHA256, 0, "c13643016996729a6f87d6a7bcde3d5bd3f2884eeeaf75010d8dda2a86997fd3"),
        (SHA512, 8**11 - 1, "d8b5033c50ea199cb867e0892e977ad49300ea624a91c24fb829d6be70c20133"),
        ("index.json", 8**11, "10ec2cfda0647555de850cea79f8d772ec5e7309d391f935fd7e54ae384c557c"),
    ],
)
def test_header_has_the_bytes_of_every_archive_so_far(name: str, size: int, sha256: str) -> None:
    assert hashlib.sha256(tar_header(name, size)).hexdigest() == sha256


@pytest.mark.parametrize(
    ("form", "sha256"),
    [
        (Form.TAR, "1cad7142e45e841802c7d2f20153a0aa492a8df2e54b0fa8a0a70d0c27103c2a"),
        (Form.GZIP, "e82f9a3378710976644b64017b5eba34249b2434fd77beb80dc2c9547d8d5f57"),
        (Form.ZSTD, "94f813d172ca9ea5e095118cc92654ed4b6dc2bbd78abc62593cf1a403023577"),
    ],
)
def test_stored_frames_have_the_bytes_of_every_archive_so_far(form: Form, sha256: str) -> None:
    frames = header_frame(form, "oci-layout", 30) + stored(form, b"x" * 70_000)
    frames += end_frame(form) + footer_frame(form, b"p")

    assert hashlib.sha256(frames).hexdigest() == sha256
