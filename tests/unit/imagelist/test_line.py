"""Lines of a list: what is a word, what is a comment, which references they mean."""

from __future__ import annotations

import pytest

from image_tools.errors import InvalidList, InvalidReference
from image_tools.imagelist.line import (
    asks_to_look_behind,
    into_archive,
    out_of_archive,
    resolve,
    words,
)
from image_tools.imagelist.reader import read_list
from image_tools.imagelist.registries import Registries
from image_tools.oci.digest import Digest
from image_tools.oci.reference import Reference

D = Digest("sha256", "a" * 64)
TO_REG = Registries(destination="reg:5000")

WORDS = {
    "empty": ("", []),
    "blank": (" \t \r", []),
    "hash": ("# nginx a 1", []),
    "hash-without-blank": ("#nginx", []),
    "slashes": ("// nginx a 1", []),
    "indented-comment": ("\t  # nginx", []),
    "comment-behind": ("nginx # why", ["nginx"]),
    "slashes-behind": ("a b 1 //why", ["a", "b", "1"]),
    "sign-inside-a-word": ("a#b c//d", ["a#b", "c//d"]),
    "transport": ("docker://a b 1", ["docker://a", "b", "1"]),
    "leading-blanks": ("   a b 1", ["a", "b", "1"]),
    "tabs": ("\ta\tb\t\t1\t", ["a", "b", "1"]),
    "carriage-return": ("a b 1\r", ["a", "b", "1"]),
    "mark": ("\ufeffa b 1", ["a", "b", "1"]),
    "mark-and-comment": ("\ufeff# a", []),
    "no-break-space": ("a\u00a0b\u30001", ["a", "b", "1"]),
    "long": ("a " * 50_000, ["a"] * 50_000),
}


@pytest.mark.parametrize(("text", "expected"), WORDS.values(), ids=WORDS)
def test_words_of_a_line_end_at_a_comment(text, expected) -> None:
    assert words(text) == expected


ASKED = {
    "nginx # depth=tree": True,
    "nginx #depth=tree": True,
    "nginx // depth=tree": True,
    "nginx //depth=tree": True,
    "a b 1\t# the web, depth=tree, see below": True,
    "nginx # why # depth=tree": True,
    "nginx # depth=trees": False,
    "nginx # depth=digest": False,
    "nginx depth=tree": False,
    "nginx#depth=tree": False,
    "nginx": False,
}


@pytest.mark.parametrize(("text", "expected"), ASKED.items(), ids=ASKED)
def test_comment_behind_an_image_may_ask_to_look_behind_its_tag(text, expected) -> None:
    assert asks_to_look_behind(text) is expected


def ref(registry: str, repository: str, tag: str | None, digest: Digest | None = None) -> Reference:
    return Reference(registry, repository, tag, digest)


RESOLVED = {
    "one-name": ("nginx", ref("docker.io", "library/nginx", "latest"), "library/nginx", "latest"),
    "one-tag": ("nginx:1", ref("docker.io", "library/nginx", "1"), "library/nginx", "1"),
    "one-deep": ("q.io/a/b/c:1", ref("q.io", "a/b/c", "1"), "a/b/c", "1"),
    "one-short-elsewhere": ("q.io/pause:3", ref("q.io", "pause", "3"), "library/pause", "3"),
    "one-port": ("r:5001/a/b:1", ref("r:5001", "a/b", "1"), "a/b", "1"),
    "one-localhost": ("localhost/a/b", ref("localhost", "a/b", "latest"), "a/b", "latest"),
    "one-ipv6": ("[::1]:5001/a/b:1", ref("[::1]:5001", "a/b", "1"), "a/b", "1"),
    "one-tag-and-digest": (
        f"nginx:1@{D}",
        ref("docker.io", "library/nginx", "1", D),
        "library/nginx",
        "1",
    ),
    "three": ("nginx a/b 1", ref("docker.io", "library/nginx", "1"), "a/b", "1"),
    "three-no-project": ("nginx web 1", ref("docker.io", "library/nginx", "1"), "library/web", "1"),
    "three-source-tag": ("nginx:1 a/b 2", ref("docker.io", "library/nginx", "1"), "a/b", "2"),
    "three-digest": (
        f"q.io/n@{D} a/b 2",
        ref("q.io", "n", None, D),
        "a/b",
        "2",
    ),
    "three-tag-and-digest": (f"q.io/n:1@{D} a/b 2", ref("q.io", "n", "1", D), "a/b", "2"),
    "three-localhost": ("localhost:1/n a/b 2", ref("localhost:1", "n", "2"), "a/b", "2"),
    "three-ipv6": ("[::1]/n [fe80::1]:5/b 2", ref("[::1]", "n", "2"), "library/b", "2"),
    "three-docker-transport": (
        "docker://q.io/n docker://q.io/m 2",
        ref("q.io", "n", "2"),
        "library/m",
        "2",
    ),
    "three-255": (f"q.io/{'a' * 255} a/b 1", ref("q.io", "a" * 255, "1"), "a/b", "1"),
    "three-tag-128": (f"q.io/n a/b {'t' * 128}", ref("q.io", "n", "t" * 128), "a/b", "t" * 128),
}


@pytest.mark.parametrize(("line", "source", "repository", "tag"), RESOLVED.values(), ids=RESOLVED)
def test_resolve_a_line_gives_both_references(line, source, repository, tag) -> None:
    assert resolve(line.split(), TO_REG) == (source, Reference("reg:5000", repository, tag))


REFUSED = {
    "two-words": ("a b", "2 words: write SOURCE DESTINATION TAG"),
    "four-words": ("a b c d", "4 words"),
    "digest-without-tag": (f"q.io/n@{D}", f"write 'q.io/n:TAG@{D}'"),
    "digest-without-tag-way-out": (f"q.io/n@{D}", f"'q.io/n@{D} DESTINATION TAG'"),
    "digest-as-tag": (f"a b {D}", "is a digest: write it behind SOURCE"),
    "at-digest-as-tag": (f"a b @{D}", "is a digest"),
    "tag-too-long": (f"a b {'t' * 129}", "tag of 129 characters"),
    "tag-with-colon": ("a b :1", "is not a tag"),
    "destination-with-tag": ("a b:1 2", "has a tag or digest of its own"),
    "destination-with-digest": (f"a b@{D} 2", "has a tag or digest of its own"),
    "repository-256": (f"q.io/{'a' * 256}", "repository name of 256 characters"),
    "destination-256-with-project": (f"q.io/{'a' * 255}", "repository name of 263 characters"),
    "not-utf-8": ("caf\N{REPLACEMENT CHARACTER} b 1", "save the list as UTF-8"),
    "zero-byte": ("a\0b", "save the list as UTF-8"),
    "itself": ("reg:5000/a/b:1", "source and destination are both reg:5000/a/b:1"),
    "itself-three": ("reg:5000/a/b x/../b 1", "is not a repository name"),
    "long-word": ("a" * 70_000, "a word of 70000 characters"),
}


@pytest.mark.parametrize(("line", "reason"), REFUSED.values(), ids=REFUSED)
def test_resolve_a_wrong_line_says_what_to_write(line, reason) -> None:
    with pytest.raises(InvalidReference) as caught:
        resolve(line.split(), TO_REG)

    assert reason in str(caught.value)
    assert len(str(caught.value)) < 1500


def test_resolve_a_digest_to_another_tag_of_its_own_repository_is_allowed() -> None:
    source, destination = resolve(f"reg:5000/a/b@{D} reg:5000/a/b 2".split(), Registries())

    assert (str(source), str(destination)) == (f"reg:5000/a/b@{D}", "reg:5000/a/b:2")


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
