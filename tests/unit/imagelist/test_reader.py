"""Whole lists and typed lines: line ends, numbers, repetitions, conflicts, any bytes."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from image_tools.errors import InvalidList
from image_tools.imagelist.entry import Entry, ImageList, Problem
from image_tools.imagelist.reader import read_line, read_list, read_names
from image_tools.imagelist.registries import Registries
from image_tools.oci.digest import Digest
from image_tools.oci.reference import Reference

D = Digest("sha256", "a" * 64)
TO_REG = Registries(destination="reg:5000")


def read(content: bytes) -> ImageList:
    return read_list(content, "list.txt", TO_REG)


def shape(found: ImageList) -> list[tuple[int, int, str]]:
    """Number, line and destination or raw text of all that was found, in order."""
    said = [(e.number, e.line, str(e.destination)) for e in found.entries]
    return sorted(said + [(p.number, p.line, f"!{p.raw}") for p in found.problems])


A1 = (1, 1, "reg:5000/p/a:1")
LISTS = {
    "empty": (b"", []),
    "no-last-line-end": (b"p/a:1", [A1]),
    "comments-and-blanks": (b"# x\n\n  // y\np/a:1\n\n", [(1, 4, "reg:5000/p/a:1")]),
    "crlf": (b"p/a:1\r\n\r\np/b:1\r\n", [A1, (2, 3, "reg:5000/p/b:1")]),
    "old-mac": (b"p/a:1\rp/b:1", [A1, (2, 2, "reg:5000/p/b:1")]),
    "form-feed-is-no-line-end": (b"p/a:1\x0cp/b\x851\n", [(1, 1, "!p/a:1\x0cp/b\ufffd1")]),
    "mark": (codecs.BOM_UTF8 + b"p/a:1\n", [A1]),
    "mark-in-the-middle": (b"p/a:1\n" + codecs.BOM_UTF8 + b"p/b:1", [A1, (2, 2, "reg:5000/p/b:1")]),
    "mixed-formats": (b"p/a:1\nx/y p/b 2\n", [A1, (2, 2, "reg:5000/p/b:2")]),
    "problem-in-the-middle": (
        b"p/a:1\na b\np/c:1\n",
        [A1, (2, 2, "!a b"), (3, 3, "reg:5000/p/c:1")],
    ),
    "tag-and-digest": (f"p/a:1@{D}\n".encode(), [A1]),
    "bytes-in-a-comment": (b"p/a:1 # caf\xe9\n", [A1]),
    "bytes-in-a-name": (b"p/caf\xe9:1\n", [(1, 1, "!p/caf\N{REPLACEMENT CHARACTER}:1")]),
    "long-comment": (b"#" + b"x" * 300_000 + b"\np/a:1", [(1, 2, "reg:5000/p/a:1")]),
    "long-indent": (b" " * 300_000 + b"p/a:1", [A1]),
}


@pytest.mark.parametrize(("content", "expected"), LISTS.values(), ids=LISTS)
def test_read_list_numbers_entries_and_problems(content, expected) -> None:
    assert shape(read(content)) == expected


def test_read_list_keeps_entries_and_problems_whole() -> None:
    found = read(codecs.BOM_UTF8 + b"\tq.io/a/b:1 # why\r\na b\n")

    assert found == ImageList(
        name="list.txt",
        entries=(
            Entry(
                number=1,
                line=1,
                raw="\tq.io/a/b:1 # why",
                source=Reference("q.io", "a/b", "1"),
                destination=Reference("reg:5000", "a/b", "1"),
            ),
        ),
        problems=(
            Problem(
                number=2,
                line=2,
                raw="a b",
                reason="2 words: write SOURCE DESTINATION TAG, or one REFERENCE alone",
            ),
        ),
    )


REPEATED = {
    "same-line": b"p/a:1\np/a:1\np/b:1",
    "same-after-defaults": b"docker.io/p/a:1\np/a:1 # again\np/b:1",
    "both-formats": b"p/a:1\np/a reg:5000/p/a 1\np/b:1",
    "same-digest-other-tag": f"p/a:1@{D}\np/a@{D} p/a 1\np/b:1".encode(),
}


@pytest.mark.parametrize("content", REPEATED.values(), ids=REPEATED)
def test_read_list_line_said_twice_is_done_once(content) -> None:
    found = read(content)

    assert shape(found) == [A1, (2, 3, "reg:5000/p/b:1")]
    assert found.repeated == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"p/a:1 # depth=tree\np/b:1", [True, False]),
        (b"p/a:1\np/b:1\np/a:1 #depth=tree", [True, False]),
        (b"p/a:1 // depth=tree\np/b:1\np/a:1", [True, False]),
        (b"# depth=tree\np/a:1\np/b:1", [False, False]),
        (b"p/a:1\nx/y p/b 1 # depth=tree", [False, True]),
    ],
)
def test_read_list_keeps_the_wish_to_look_behind_a_tag(content, expected) -> None:
    assert [entry.look_behind for entry in read(content).entries] == expected


def test_read_line_keeps_the_wish_to_look_behind_a_tag() -> None:
    found = read_line("p/a:1 # depth=tree\n", 1, TO_REG)

    assert isinstance(found, Entry)
    assert found.look_behind


CONFLICTS = {
    "two-sources": b"\nx/a p/a 1\ny/a p/a 1",
    "two-tags": b"\nx/a:1 p/a 1\nx/a:2 p/a 1",
    "two-registries": b"\nx.io/p/a:1\ny.io/p/a:1",
    "tag-and-digest": f"\np/a:1\np/a:1@{D}".encode(),
}


@pytest.mark.parametrize("content", CONFLICTS.values(), ids=CONFLICTS)
def test_read_list_two_sources_for_one_destination_is_an_error(content) -> None:
    with pytest.raises(InvalidList) as caught:
        read(content)

    assert str(caught.value).startswith(
        "list.txt: lines 2 and 3 write different sources to reg:5000/p/a:1: "
    )
    assert "remove one of the lines" in caught.value.advice


def test_read_list_many_conflicts_are_counted() -> None:
    with pytest.raises(InvalidList, match=r"\(and 2 more such lines\)$"):
        read(b"x/a p/a 1\ny/a p/a 1\nz/a p/a 1\nz/b p/a 1")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
def test_read_list_of_wide_text_says_to_save_it_anew(encoding) -> None:
    content = "\ufeffp/a:1\n".encode(encoding)

    with pytest.raises(InvalidList, match=r"list\.txt is UTF-16 or UTF-32 text"):
        read(content)


TYPED = {
    "blank": (" \n", None),
    "comment": ("# a\n", None),
    "broken-keys": ("p/\udcffa:1\n", "!"),
    "entry": ("p/a:1\r\n", "reg:5000/p/a:1"),
    "problem": ("a b\n", "!"),
}


@pytest.mark.parametrize(("text", "expected"), TYPED.values(), ids=TYPED)
def test_read_line_of_typed_text_is_entry_problem_or_nothing(text, expected) -> None:
    found = read_line(text, 7, TO_REG)

    if isinstance(found, Problem):
        assert (expected, found.number, found.line) == ("!", 7, 7)
    elif found is None:
        assert expected is None
    else:
        assert (str(found.destination), found.number, found.line) == (expected, 7, 7)


names = st.sampled_from(["a", "p/a", "q.io/p/a", "[::1]:5/b", "localhost/b", "é", "A/b", f"a@{D}"])
tags = st.sampled_from(["", ":1", ":2", f":1@{D}", "@", ":"])
signs = st.sampled_from(["1", "2", "#", "//", "\ufeff", "#depth=tree", "depth=tree"])
words = st.builds(str.__add__, names, tags) | signs
lines = st.lists(words, max_size=4).map(" ".join)
ends = st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\t\n"])
lists = st.lists(st.builds(str.__add__, lines, ends), max_size=8).map("".join)


@given(lists.map(str.encode) | st.binary(max_size=80))
@example(b"a\x00b\xff\xfe\n\x1c\x85#")
def test_read_list_of_any_bytes_is_a_list_or_an_invalid_list(content) -> None:
    try:
        found = read(content)
    except InvalidList:
        return
    everything: list[Entry | Problem] = sorted(
        (*found.entries, *found.problems), key=lambda one: one.number
    )
    text = content.decode(errors="replace")
    assert [one.number for one in everything] == list(range(1, len(everything) + 1))
    assert [one.line for one in everything] == sorted({one.line for one in everything})
    assert all(one.raw in text for one in everything)
    again = read("\n".join(one.raw for one in everything).encode())
    assert [(e.source, e.destination) for e in again.entries] == [
        (e.source, e.destination) for e in found.entries
    ]
    marked = read("\n".join(f"{e.raw} # depth=tree" for e in found.entries).encode()).entries
    assert [e.destination for e in marked] == [e.destination for e in found.entries]
    assert all(e.look_behind for e in marked)
    assert [p.reason for p in again.problems] == [p.reason for p in found.problems]
    assert again.repeated == 0


HEX = "ab" * 32
LIST = f"""\
\ufeff# images
nginx
docker.io/library/nginx
quay.io/x/y@sha256:{HEX}
a/b c.io/d/e 1
a/b:2 c.io/d/e 1
a b
"""


def test_read_names_every_line_is_named_once_or_is_a_problem() -> None:
    names, problems = read_names(LIST.encode(), "list", Registries())

    assert [(one.line, str(one.reference)) for one in names] == [
        (2, "docker.io/library/nginx:latest"),
        (3, "docker.io/library/nginx:latest"),
        (4, f"quay.io/x/y@sha256:{HEX}"),
        (5, "docker.io/a/b:1"),
        (6, "docker.io/a/b:2"),
    ]
    assert [(one.number, one.line, one.raw) for one in problems] == [(6, 7, "a b")]


def test_read_names_source_registry_replaces_the_lists() -> None:
    names, _ = read_names(b"quay.io/x/y:1\r\n", "list", Registries(source="reg:5000"))

    assert [str(one.reference) for one in names] == ["reg:5000/x/y:1"]


def test_read_names_wide_text_is_refused() -> None:
    with pytest.raises(InvalidList, match="UTF-16"):
        read_names("nginx".encode("utf-16"), "list", Registries())
