from __future__ import annotations

import pytest

from image_tools.errors import InvalidList
from image_tools.imagelist.archived import into_archive, out_of_archive
from image_tools.imagelist.reader import read_list
from image_tools.imagelist.registries import Registries

DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64


@pytest.mark.parametrize(
    ("line", "source", "name"),
    [
        ("nginx", "docker.io/library/nginx:latest", "docker.io/library/nginx:latest"),
        ("quay.io/a/b:1", "quay.io/a/b:1", "quay.io/a/b:1"),
        (f"nginx:1@{DIGEST}", f"docker.io/library/nginx:1@{DIGEST}", "docker.io/library/nginx:1"),
        ("nginx reg.example/web/nginx 1.25", "docker.io/library/nginx:1.25", None),
        (f"a/b@{DIGEST} x.example/c 2", f"docker.io/a/b@{DIGEST}", "docker.io/a/b:2"),
        ("nginx:1 docker.io/library/nginx 1", "docker.io/library/nginx:1", None),
    ],
)
def test_line_into_an_archive_keeps_the_name_of_its_source(
    line: str, source: str, name: str | None
) -> None:
    (entry,) = read_list(line.encode(), "list", Registries(), into_archive).entries

    assert (str(entry.source), str(entry.destination)) == (source, name or source)


def test_line_into_an_archive_with_a_bare_digest_is_a_problem() -> None:
    images = read_list(f"nginx@{DIGEST}".encode(), "list", Registries(), into_archive)

    assert "nginx:TAG@sha256" in images.problems[0].reason


def test_lines_that_mean_one_image_of_an_archive_are_one() -> None:
    lines = b"nginx x.example/a 1\nnginx:1 x.example/b 2\nnginx:1\n"
    images = read_list(lines, "list", Registries(), into_archive)

    assert ([str(e.source) for e in images.entries], images.repeated) == (
        ["docker.io/library/nginx:1"],
        2,
    )


def test_lines_that_mean_two_images_of_one_name_are_refused() -> None:
    lines = f"nginx:1@{DIGEST}\nnginx:1@{OTHER}\n".encode()

    with pytest.raises(InvalidList, match=r"different sources to docker.io/library/nginx:1"):
        read_list(lines, "list", Registries(), into_archive)


@pytest.mark.parametrize(
    ("line", "name", "destination"),
    [
        ("nginx:1", "docker.io/library/nginx:1", "reg.example/library/nginx:1"),
        (f"nginx:1@{DIGEST}", "docker.io/library/nginx:1", "reg.example/library/nginx:1"),
        (f"a/b@{DIGEST} x.example/c 2", "docker.io/a/b:2", "reg.example/library/c:2"),
        ("nginx x.example/web/n 2", "docker.io/library/nginx:2", "reg.example/web/n:2"),
    ],
)
def test_line_out_of_an_archive_finds_what_the_same_line_saved(
    line: str, name: str, destination: str
) -> None:
    registries = Registries(destination="reg.example")
    (entry,) = read_list(line.encode(), "list", registries, out_of_archive).entries
    (saved,) = read_list(line.encode(), "list", Registries(), into_archive).entries

    assert (str(entry.source), str(entry.destination)) == (name, destination)
    assert saved.destination == entry.source


def test_line_out_of_an_archive_to_nowhere_is_a_problem() -> None:
    images = read_list(b"nginx:1", "list", Registries(), out_of_archive)

    assert "give another destination" in images.problems[0].reason
