"""The image list of a verb, and what is said of its faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_tools.cli.listing import Reading, accept_empty_archive, list_content, read_images
from image_tools.errors import InvalidList, UsageError
from image_tools.imagelist.registries import Registries

INTO = Registries(destination="reg.example:5000")


def reading(content: bytes, *, skip_invalid: bool = False, allow_empty: bool = False) -> Reading:
    return Reading(content=content, skip_invalid=skip_invalid, allow_empty=allow_empty)


def test_read_images_invalid_line_is_a_problem_unless_it_may_be_skipped() -> None:
    content = b"nginx:1\na b c d\n"

    kept = read_images("list.txt", INTO, reading(content))
    skipped = read_images("list.txt", INTO, reading(content, skip_invalid=True))

    assert (len(kept.entries), len(kept.problems), len(kept.skipped)) == (1, 1, 0)
    assert (len(skipped.entries), len(skipped.problems), len(skipped.skipped)) == (1, 0, 1)


def test_read_images_empty_list_is_an_error_unless_it_may_be() -> None:
    with pytest.raises(InvalidList, match=r"list\.txt: the list is empty"):
        read_images("list.txt", INTO, reading(b"# nothing\n"))

    assert read_images("list.txt", INTO, reading(b"", allow_empty=True)).entries == ()


def test_list_content_unreadable_file_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(InvalidList) as caught:
        list_content(str(tmp_path / "none"), "-i")

    assert "No such file" in caught.value.message
    assert caught.value.advice == "give the list's file with -i FILE, or - for standard input"


def test_empty_archive_is_an_error_unless_it_may_be() -> None:
    with pytest.raises(UsageError, match=r"a\.tar: the archive has no images"):
        accept_empty_archive("a.tar", allowed=False)

    accept_empty_archive("a.tar", allowed=True)
