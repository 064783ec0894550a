"""The table of contents and the footer: what was written is read, whatever else is refused."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from image_tools.errors import ArchiveDamaged
from image_tools.oci.digest import Digest
from image_tools.stores.archive.content import FILE_FORMS, Form
from image_tools.stores.archive.file.framing import header_length, stored_length
from image_tools.stores.archive.file.toc import (
    INDEX,
    LAYOUT_NAME,
    FileEntry,
    Piece,
    Table,
    VolumeNumber,
    blob_name,
    entry_value,
    parse_table,
    piece_name,
    table_bytes,
)
from image_tools.stores.archive.file.trailer import Footer, ending, ending_length, parse_ending

FIRST = {"image-tools": "contents", "version": 1}
HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
DIGESTS = st.builds(Digest, st.just("sha256"), HEX)
FOOTERS = st.builds(
    Footer, *[st.integers(0, (1 << 64) - 1)] * 3, st.binary(min_size=32, max_size=32)
)
BLOB = Digest.of(b"blob")


def entry_at(offset: int, digest: Digest, size: int, packed: int | None, form: Form) -> FileEntry:
    content = stored_length(form, size) if packed is None else packed
    length = header_length(form) + content
    return FileEntry(blob_name(digest), offset, length, size, digest, packed is None)


@st.composite
def tables(draw: st.DrawFn, form: Form) -> Table:
    entries, at = [], 0
    for digest in draw(st.lists(DIGESTS, max_size=5, unique=True)):
        size, packed = draw(st.integers(0, 1 << 40)), draw(st.none() | st.integers(0, 1 << 40))
        entries.append(entry_at(at, digest, size, packed, form))
        at = entries[-1].end
    numbers = st.integers(1, 1000)
    volume = draw(st.none() | st.builds(VolumeNumber, HEX.map(lambda text: text[:32]), numbers))
    return Table(tuple(entries), volume)


def end_of(table: Table) -> int:
    return table.entries[-1].end if table.entries else 0


def one(form: Form = Form.TAR) -> dict[str, object]:
    return entry_value(entry_at(0, BLOB, 10, None, form))


@given(form=st.sampled_from(FILE_FORMS), data=st.data())
def test_table_written_is_read_back(form, data) -> None:
    table = data.draw(tables(form))
    text = table_bytes(table)

    assert parse_table("a.tar", form, text, end_of(table)) == table
    assert len(text) % 512 == 0
    assert [json.loads(line) for line in text.splitlines()][1:] == [
        entry_value(entry) for entry in table.entries
    ]


def test_table_holds_pieces_and_the_files_of_a_layout() -> None:
    piece = Piece(BLOB, 5, 15)
    length = 1536 + 512
    entries = (
        FileEntry(LAYOUT_NAME, 0, length, 30, Digest.of(b"layout"), True),
        FileEntry(piece_name(piece, 10), length, length, 10, Digest.of(b"piece"), True, piece),
        FileEntry(INDEX, 2 * length, length, 2, Digest.of(b"{}"), True),
    )
    table = Table(entries)

    assert parse_table("a.tar", Form.TAR, table_bytes(table), 3 * length) == table


PIECE_OF_5 = {
    "name": f"blobs/sha256/{BLOB.hex}.00000000000000000001-00000000000000000011",
    "blob": str(BLOB),
    "start": 1,
    "whole": 5,
}
WRONG = {
    "not-json": ([FIRST, "{"], "Expecting"),
    "no-first-line": ([], "does not begin"),
    "other-first-line": ([{"a": 1}], "does not begin"),
    "first-line-a-list": ([[]], "does not begin"),
    "newer": ([FIRST | {"version": 2}], "newer version"),
    "volume-without-set": ([FIRST | {"volume": 1}], "no known set"),
    "set-no-text": ([FIRST | {"volume": 1, "set": 5}], "no known set"),
    "entry-a-list": ([FIRST, []], "unknown shape"),
    "entry-with-more": ([FIRST, one() | {"x": 1}], "unknown shape"),
    "name-upwards": ([FIRST, one() | {"name": "../../etc/passwd"}], "the name"),
    "name-absolute": ([FIRST, one() | {"name": "/etc/passwd"}], "the name"),
    "name-of-another-blob": ([FIRST, one() | {"name": f"blobs/sha256/{'0' * 64}"}], "the name"),
    "name-no-text": ([FIRST, one() | {"name": 1}], "no text"),
    "digest-no-text": ([FIRST, one() | {"digest": 1}], "no text"),
    "digest-of-nothing": ([FIRST, one() | {"digest": "sha256:.."}], "not a digest"),
    "offset-negative": ([FIRST, one() | {"offset": -1}], "no number"),
    "offset-true": ([FIRST, one() | {"offset": False}], "no number"),
    "offset-float": ([FIRST, one() | {"offset": 0.0}], "no number"),
    "size-huge": ([FIRST, one() | {"size": 1 << 63}], "no number"),
    "offset-elsewhere": ([FIRST, one() | {"offset": 5}], "does not begin where"),
    "length-short": ([FIRST, one() | {"length": 5}], "the length of"),
    "length-not-of-its-size": ([FIRST, one() | {"size": 1000}], "the length of"),
    "twice": ([FIRST, one(), one() | {"offset": 2048}], "is there twice"),
    "gap-at-the-end": ([FIRST, one()], "do not reach"),
    "deep": ([FIRST, "[" * 4000], "recursion|Expecting|unknown shape"),
    "long-line": ([FIRST, '"' + "x" * 5000 + '"'], "Unterminated"),
    "long-number": ([FIRST, "1" * 4500], "digits|unknown shape"),
    "piece-too-long": ([FIRST, one() | PIECE_OF_5], "the size of"),
}


@pytest.mark.parametrize(("lines", "said"), WRONG.values(), ids=WRONG)
def test_table_with_something_wrong_is_refused(lines: list[object], said: str) -> None:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)

    with pytest.raises(ArchiveDamaged, match=rf"a\.tar is damaged: its table.*({said})") as caught:
        parse_table("a.tar", Form.TAR, text.encode(), 99)

    assert caught.value.advice


@given(st.binary(max_size=300))
@example(b'"\xed\xa0\x80"')
@example(b"\xff\xfe[\0")
def test_table_of_any_bytes_is_refused(text) -> None:
    with pytest.raises(ArchiveDamaged, match=re.escape("a.tar is damaged")):
        parse_table("a.tar", Form.TAR, json.dumps(FIRST).encode() + b"\n" + text + b"\n.", 0)


@given(
    form=st.sampled_from(FILE_FORMS),
    footer=FOOTERS,
    place=st.integers(0),
    change=st.integers(1, 255),
)
def test_footer_is_read_back_and_with_any_byte_changed_it_is_none(
    form, footer, place, change
) -> None:
    data = bytearray(ending(form, footer))
    assert len(data) == ending_length(form)
    assert parse_ending(form, bytes(data)) == footer

    data[place % len(data)] ^= change

    assert parse_ending(form, bytes(data)) is None


@given(form=st.sampled_from(FILE_FORMS), data=st.binary(max_size=3000))
def test_footer_of_any_bytes_is_none(form, data) -> None:
    assert parse_ending(form, data) is None
