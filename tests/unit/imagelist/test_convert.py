"""Lists from one format to the other: what changes, what stays, what is meant."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.errors import InvalidList, InvalidReference, UsageError
from image_tools.imagelist.convert import Converted, to_default_format, to_mirror_format
from image_tools.imagelist.line import resolve_names, words
from image_tools.imagelist.registries import Registries

HEX = "ab" * 32
REG = Registries(destination="reg:5000")
TEAM = replace(REG, destination_prefix="team")
SOURCED = replace(REG, source="from:1")


def forward(text: str, registries: Registries = REG) -> str:
    return to_mirror_format(text.encode(), "list", registries).content.decode()


def back(text: str, registries: Registries = REG) -> str:
    return to_default_format(text.encode(), "list", registries).content.decode()


FORWARD = [
    ("nginx", REG, "docker.io/library/nginx reg:5000/library/nginx latest"),
    ("nginx:1.25", TEAM, "docker.io/library/nginx reg:5000/team/nginx 1.25"),
    ("a:5000/x/y/z:1", REG, "a:5000/x/y/z reg:5000/x/y/z 1"),
    ("[::1]:5000/x/y:1", REG, "[::1]:5000/x/y reg:5000/x/y 1"),
    ("quay.io/x/y:1", SOURCED, "from:1/x/y reg:5000/x/y 1"),
    (
        f"quay.io/x/y:1@sha256:{HEX}",
        REG,
        f"quay.io/x/y:1@sha256:{HEX} reg:5000/x/y 1",
    ),
    ("nginx", Registries(), "docker.io/library/nginx docker.io/library/nginx latest"),
    ("a/b c.io/d/e 1", Registries(), "a/b c.io/d/e 1"),
    ("a/b c.io/d/e 1", REG, "docker.io/a/b reg:5000/d/e 1"),
    ("a/b:2 c.io/d/e 1", REG, "docker.io/a/b:2 reg:5000/d/e 1"),
]


@pytest.mark.parametrize(("line", "registries", "expected"), FORWARD)
def test_to_mirror_format_names_are_complete(
    line: str, registries: Registries, expected: str
) -> None:
    assert forward(line, registries) == expected


BACK = [
    ("docker.io/library/nginx reg:5000/library/nginx 1", REG, "docker.io/library/nginx:1"),
    ("nginx reg:5000/team/library/nginx 1", TEAM, "docker.io/library/nginx:1"),
    ("nginx reg:5000/web/nginx 1", replace(REG, default_project="web"), "nginx:1"),
    ("a:5000/x/y/z reg:5000/x/y/z 1", Registries(), "a:5000/x/y/z:1"),
    (f"a.io/x/y@sha256:{HEX} reg:5000/x/y 1", REG, f"a.io/x/y:1@sha256:{HEX}"),
    ("x/y reg:5000/x/y 1", SOURCED, "from:1/x/y:1"),
    ("x/y:1", SOURCED, "from:1/x/y:1"),
    ("x/y:1", REG, "x/y:1"),
]


@pytest.mark.parametrize(("line", "registries", "expected"), BACK)
def test_to_default_format_says_the_same_in_one_word(
    line: str, registries: Registries, expected: str
) -> None:
    assert back(line, registries) == expected


@pytest.mark.parametrize(
    "line",
    [
        "nginx other:5000/library/nginx 1",
        "nginx reg:5000/web/nginx 1",
        "nginx:1.24 reg:5000/library/nginx 1",
    ],
)
def test_to_default_format_what_it_cannot_say_stays_and_is_named(line: str) -> None:
    found = to_default_format(f"{line}\n".encode(), "list", REG)

    assert (found.content, found.changed, found.problems) == (f"{line}\n".encode(), 0, ())
    assert [(one.line, one.raw) for one in found.kept] == [(1, line)]
    assert "would not say it: that goes to reg:5000/library/nginx:1" in found.kept[0].reason


def test_to_default_format_several_registries_have_to_be_chosen_from() -> None:
    with pytest.raises(UsageError, match="several registries: a:1, b:1") as caught:
        back("x/y a:1/x/y 1\nx/z b:1/x/z 1\n", Registries())

    assert "-d" in caught.value.advice


WHOLE = b"""\xef\xbb\xbf# head \xff
\r
  nginx:1\t # web\r
// end
A:1
\tx/y:2"""


def test_to_mirror_format_all_but_images_stays_byte_for_byte() -> None:
    found = to_mirror_format(WHOLE, "list", REG)

    assert found.content == (
        b"\xef\xbb\xbf# head \xff\n\r\n"
        b"  docker.io/library/nginx reg:5000/library/nginx 1\t # web\r\n"
        b"// end\nA:1\n\tdocker.io/x/y reg:5000/x/y 2"
    )
    assert (found.changed, found.kept) == (2, ())
    assert [(one.number, one.line, one.raw) for one in found.problems] == [(2, 5, "A:1")]


def test_convert_byte_order_mark_before_an_image_stays() -> None:
    assert back("\ufeffx/y reg:5000/x/y 1") == "\ufeffdocker.io/x/y:1"


@pytest.mark.parametrize("convert", [to_mirror_format, to_default_format])
def test_convert_wide_text_is_refused(convert) -> None:
    with pytest.raises(InvalidList, match="UTF-16"):
        convert("nginx".encode("utf-16"), "list", REG)


@pytest.mark.parametrize("convert", [to_mirror_format, to_default_format])
def test_convert_nothing_gives_nothing(convert) -> None:
    assert convert(b"", "list", REG) == Converted(content=b"", images=0, changed=0)


PATHS = st.sampled_from(["nginx", "library/nginx", "x/y", "x/y/z"])
HOSTS = st.sampled_from(["", "docker.io/", "a:5000/", "localhost/", "[::1]:5/", "reg:5000/"])
TAGS = st.sampled_from(["", ":1.25", f"@sha256:{HEX}", f":2@sha256:{HEX}"])
NAMES = st.builds("{}{}{}".format, HOSTS, PATHS, TAGS)
THREE = st.builds("{} {}{} {}".format, NAMES, HOSTS, PATHS, st.sampled_from(["1.25", "2"]))
LINES = st.one_of(NAMES, THREE, st.sampled_from(["", "# x", "a b", "A"]))
CHOICES = st.builds(
    Registries,
    source=st.sampled_from([None, "from:1"]),
    destination=st.sampled_from([None, "reg:5000"]),
    destination_prefix=st.sampled_from(["", "team"]),
)


def meanings(text: str, registries: Registries) -> list[object]:
    """What each line means: the source's content and the destination, or that it means nothing."""
    found: list[object] = []
    for line in text.split("\n"):
        try:
            source, destination = resolve_names(words(line), registries)
        except InvalidReference:
            found.append(None)
        else:
            found.append((source.name, source.target, destination))
    return found


@given(st.lists(LINES, max_size=5), CHOICES)
def test_to_mirror_format_means_what_the_list_meant(lines: list[str], chosen: Registries) -> None:
    registries = chosen if chosen.destination else replace(chosen, destination_prefix="")
    text = "\n".join(lines)

    assert meanings(forward(text, registries), Registries()) == meanings(text, registries)


@given(st.lists(LINES, max_size=5), st.sampled_from([REG, TEAM]))
def test_convert_there_and_back_means_the_same(lines: list[str], registries: Registries) -> None:
    mirror = forward("\n".join(lines), registries)
    default = back(mirror, registries)

    for before, after in zip(mirror.split("\n"), default.split("\n"), strict=True):
        chosen = registries if len(words(after)) == 1 else Registries()
        assert meanings(after, chosen) == meanings(before, Registries())
