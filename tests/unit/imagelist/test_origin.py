"""The header of a failed list: what it says, what is read from it, and which ones are the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.imagelist.origin import ListOrigin, origin_in

LIST = ListOrigin(name="list.txt", place="/work/list.txt", destination="reg:5000")
TITLE = "# failed lines of list.txt, ready to be fed in again\n"


def test_header_states_list_and_destination() -> None:
    assert LIST.header == f"{TITLE}# list: /work/list.txt\n# destination: reg:5000\n"
    assert ListOrigin(name="list.txt").header == TITLE


HEADERS = {
    "whole": (LIST.header.encode() + b"# not found\nnginx\n", LIST),
    "windows": (LIST.header.replace("\n", "\r\n").encode(), LIST),
    "indented, as a log shows it": (b"\xef\xbb\xbf    " + LIST.header.encode(), LIST),
    "earlier release": (TITLE.encode() + b"# not found\nnginx\n", ListOrigin(name="list.txt")),
    "title alone": (TITLE.rstrip().encode(), ListOrigin(name="list.txt")),
    "half": (TITLE.encode() + b"# list: /work/list.txt\nnginx\n", ListOrigin(name="list.txt")),
    "no header": (b"# not found\nnginx\n", None),
    "behind a line": (b"nginx\n" + LIST.header.encode(), None),
    "empty": (b"", None),
    "bytes": (b"\xff\xfe\x00", None),
}


@pytest.mark.parametrize(("content", "expected"), HEADERS.values(), ids=HEADERS)
def test_origin_is_read_from_a_header(content: bytes, expected: ListOrigin | None) -> None:
    assert origin_in(content) == expected


SAME = {
    "same": (LIST, True),
    "other name of the list": (
        ListOrigin(name="x", place=LIST.place, destination="reg:5000"),
        True,
    ),
    "other list": (ListOrigin(name="list.txt", place="/x/list.txt", destination="reg:5000"), False),
    "other destination": (ListOrigin(name="list.txt", place=LIST.place, destination="x"), False),
    "earlier release": (ListOrigin(name="list.txt"), True),
    "earlier release, other list": (ListOrigin(name="x"), False),
}


@pytest.mark.parametrize(("other", "expected"), SAME.values(), ids=SAME)
def test_origins_are_the_same_by_place_and_destination(other: ListOrigin, expected: bool) -> None:
    assert (LIST.is_of(other), other.is_of(LIST)) == (expected, expected)


names = st.text(st.characters(), min_size=1, max_size=20)


@given(names, names, names)
def test_origin_of_any_names_is_that_of_its_header(name: str, place: str, goes_to: str) -> None:
    origin = ListOrigin(name=name, place=f"/{place}", destination=f"to {goes_to}")

    found = origin_in(origin.header.encode() + b"# why\nnginx\n")

    assert found is not None
    assert found.is_of(origin)
