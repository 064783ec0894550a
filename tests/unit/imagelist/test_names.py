"""The images a list names as sources."""

from __future__ import annotations

import pytest

from image_tools.errors import InvalidList
from image_tools.imagelist.names import read_names
from image_tools.imagelist.registries import Registries

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
