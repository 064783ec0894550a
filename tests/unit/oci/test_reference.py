"""References against the grammar of the distribution spec and docker's reading of it."""

from __future__ import annotations

import random
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from image_tools.errors import InvalidReference
from image_tools.oci.digest import Digest
from image_tools.oci.reference import (
    PartialReference,
    Reference,
    parse_name,
    parse_path,
    parse_registry,
    parse_tag,
    tag_key,
)

SHA256 = Digest("sha256", "a" * 64)
SHA512 = Digest("sha512", "b" * 128)

REFERENCES = {
    "single-name": ("nginx", Reference("docker.io", "library/nginx")),
    "single-name-tag": ("nginx:1.25", Reference("docker.io", "library/nginx", "1.25")),
    "single-name-with-dot": ("my.app", Reference("docker.io", "library/my.app")),
    "name-localhost": ("localhost:1", Reference("docker.io", "library/localhost", "1")),
    "project": ("rancher/shell:v1", Reference("docker.io", "rancher/shell", "v1")),
    "three-plain-components": ("a/b/c", Reference("docker.io", "a/b/c")),
    "docker-hub-single": ("docker.io/nginx", Reference("docker.io", "library/nginx")),
    "docker-hub-project": ("docker.io/a/b", Reference("docker.io", "a/b")),
    "index-docker-io": ("index.docker.io/nginx:1", Reference("docker.io", "library/nginx", "1")),
    "registry-1": ("registry-1.docker.io/a/b", Reference("docker.io", "a/b")),
    "registry-dot": ("quay.io/a/b:v1", Reference("quay.io", "a/b", "v1")),
    "registry-single-component": ("gcr.example/pause", Reference("gcr.example", "pause")),
    "port": ("reg:5000/a:1", Reference("reg:5000", "a", "1")),
    "port-no-tag": ("reg:5000/a/b", Reference("reg:5000", "a/b")),
    "localhost": ("localhost/a", Reference("localhost", "a")),
    "localhost-port": ("localhost:5000/a:x", Reference("localhost:5000", "a", "x")),
    "ipv4-port": ("127.0.0.1:5000/a", Reference("127.0.0.1:5000", "a")),
    "ipv6": ("[::1]/a:1", Reference("[::1]", "a", "1")),
    "ipv6-port": ("[2001:DB8::1]:443/a/b:1", Reference("[2001:db8::1]:443", "a/b", "1")),
    "deep": ("r.example/a/b/c/d/e/f:t", Reference("r.example", "a/b/c/d/e/f", "t")),
    "registry-upper-case-dot": ("Quay.IO/a/b", Reference("quay.io", "a/b")),
    "registry-upper-case-word": ("MyHost/a", Reference("MyHost", "a")),
    "separators": ("a.b/c_d/e__f/g---h", Reference("a.b", "c_d/e__f/g---h")),
    "tag-128": (f"a:{'t' * 128}", Reference("docker.io", "library/a", "t" * 128)),
    "tag-underscore-first": ("a:_x", Reference("docker.io", "library/a", "_x")),
    "tag-upper-case": ("a:V1.0-RC_1", Reference("docker.io", "library/a", "V1.0-RC_1")),
    "digest": (f"a@{SHA256}", Reference("docker.io", "library/a", None, SHA256)),
    "sha512": (f"r.example/a@{SHA512}", Reference("r.example", "a", None, SHA512)),
    "tag-and-digest": (f"q.io/a/b:v1@{SHA256}", Reference("q.io", "a/b", "v1", SHA256)),
    "port-tag-digest": (f"r:5000/a:1@{SHA256}", Reference("r:5000", "a", "1", SHA256)),
    "docker-transport": ("docker://quay.io/a:1", Reference("quay.io", "a", "1")),
    "repository-255": (f"q.io/{'a' * 255}", Reference("q.io", "a" * 255)),
    "image-id-with-project": (f"a/{'c' * 64}", Reference("docker.io", f"a/{'c' * 64}")),
}


@pytest.mark.parametrize(("text", "expected"), REFERENCES.values(), ids=REFERENCES)
def test_parse_reference_valid_gives_all_parts(text: str, expected: Reference) -> None:
    assert Reference.parse(text) == expected


@pytest.mark.parametrize("expected", [r for _, r in REFERENCES.values()], ids=REFERENCES)
def test_parse_reference_of_its_own_text_gives_the_same(expected: Reference) -> None:
    assert Reference.parse(str(expected)) == expected


INVALID = {
    "empty": ("", "the reference is empty"),
    "only-transport": ("docker://", "the reference is empty"),
    "blank-inside": ("a b", "is not a repository name"),
    "https": ("https://quay.io/a", "no https:// in front: write 'quay.io/a'"),
    "http": ("http://reg:5000/a:1", "no http:// in front: write 'reg:5000/a:1'"),
    "https-in-docker": ("docker://https://quay.io/a", "no https:// in front"),
    "other-transport": ("oci-archive://x", "no oci-archive:// in front"),
    "upper-case": ("quay.io/Team/App", "must be lower case: write 'team/app'"),
    "upper-case-single": ("Nginx", "must be lower case: write 'nginx'"),
    "image-id": ("c" * 64, "is an image ID"),
    "empty-component": ("quay.io/a//b", "has an empty part"),
    "trailing-slash": ("quay.io/a/", "has an empty part"),
    "leading-slash": ("/a", "has an empty part"),
    "only-registry": ("quay.io/", "the repository name is empty"),
    "registry-without-repository": ("[::1]:5000", "names no repository"),
    "only-tag": (":1", "the repository name is empty"),
    "empty-tag": ("a:", "'' is not a tag"),
    "tag-dot-first": ("a:.1", "is not a tag"),
    "tag-dash-first": ("a:-1", "is not a tag"),
    "tag-129": (f"a:{'t' * 129}", "tag of 129 characters"),
    "two-tags": ("q.io/a:1:2", "is not a tag"),
    "tag-not-ascii": ("a:ü", "is not a tag"),
    "empty-digest": ("a@", "'' is not a digest"),
    "short-digest": ("a@sha256:abc", "64 hex digits"),
    "upper-case-digest": (f"a@sha256:{'A' * 64}", "64 hex digits"),
    "unknown-algorithm": (f"a@md5:{'a' * 32}", "'md5' is not supported"),
    "two-digests": (f"a@{SHA256}@{SHA256}", "is not a digest"),
    "digest-before-tag": (f"a@{SHA256}:1", "is not a digest"),
    "dot-dot": ("q.io/a..b", "is not a repository name"),
    "three-underscores": ("q.io/a___b", "is not a repository name"),
    "mixed-separators": ("q.io/a.-b", "is not a repository name"),
    "leading-separator": ("q.io/-a", "is not a repository name"),
    "trailing-separator": ("q.io/a-", "is not a repository name"),
    "parent-folder": ("q.io/../a", "is not a repository name"),
    "relative-path": ("./a", "'.' is not a registry"),
    "not-ascii": ("q.io/büro", "is not a repository name"),
    "ipv6-without-brackets": ("::1:5000/a", "write an IPv6 address in brackets"),
    "ipv6-zone": ("[fe80::1%eth0]:5000/a", "is not a registry"),
    "registry-underscore": ("my_reg:5000/a", "is not a registry"),
    "registry-dash-first": ("-reg.io/a", "is not a registry"),
    "port-empty": ("reg:/a", "is not a registry"),
    "port-word": ("reg:x/a", "is not a registry"),
    "port-zero": ("reg:0/a", "no possible port"),
    "port-65536": ("reg:65536/a", "no possible port"),
    "repository-256": (f"q.io/{'a' * 256}", "repository name of 256 characters"),
    "host-too-long": (f"{'a' * 260}.io/a", "at most 255"),
    "endless": ("a" * 5_000_000, "a word of 5000000 characters"),
    "comment-sign": ("nginx#1", "is not a repository name"),
    "line-end": ("nginx\n", "is not a repository name"),
    "tag-line-end": ("nginx:1\n", "is not a tag"),
}


@pytest.mark.parametrize(("text", "reason"), INVALID.values(), ids=INVALID)
def test_parse_reference_invalid_says_why_and_stays_short(text: str, reason: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        Reference.parse(text)

    assert reason in str(caught.value)
    assert len(str(caught.value)) < 1500


NAMES = {
    "single": ("nginx", PartialReference(registry=None, path="nginx")),
    "docker-hub": ("docker.io/nginx", PartialReference(registry="docker.io", path="nginx")),
    "project": ("a/b:1", PartialReference(registry=None, path="a/b", tag="1")),
    "everything": (
        f"reg:5000/a/b:1@{SHA256}",
        PartialReference(registry="reg:5000", path="a/b", tag="1", digest=SHA256),
    ),
}


@pytest.mark.parametrize(("text", "expected"), NAMES.values(), ids=NAMES)
def test_parse_name_keeps_the_path_as_written(text: str, expected: PartialReference) -> None:
    assert parse_name(text) == expected


@pytest.mark.parametrize(
    ("reference", "text", "name", "target"),
    [
        pytest.param(Reference("r", "a/b"), "r/a/b", "r/a/b", "latest", id="bare"),
        pytest.param(Reference("r", "a", "1"), "r/a:1", "r/a", "1", id="tag"),
        pytest.param(
            Reference("r", "a", None, SHA256), f"r/a@{SHA256}", "r/a", SHA256, id="digest"
        ),
        pytest.param(Reference("r", "a", "1", SHA256), f"r/a:1@{SHA256}", "r/a", SHA256, id="both"),
    ],
)
def test_reference_texts_follow_its_parts(
    reference: Reference, text: str, name: str, target: str | Digest
) -> None:
    assert (str(reference), reference.name, reference.target) == (text, name, target)


def test_with_tag_leaves_the_digest_out() -> None:
    assert Reference("r", "a", "1", SHA256).with_tag("2") == Reference("r", "a", "2")


def test_with_digest_leaves_the_tag_out() -> None:
    expected = Reference("r", "a", None, SHA512)

    assert Reference("r", "a", "1", SHA256).with_digest(SHA512) == expected


def test_references_with_and_without_parts_have_an_order() -> None:
    expected = [
        Reference("a", "x"),
        Reference("a", "x", None, SHA256),
        Reference("a", "x", "1"),
        Reference("a", "x", "1", SHA256),
        Reference("b", "a"),
    ]

    assert sorted([expected[i] for i in (3, 1, 4, 0, 2)]) == expected
    assert expected[0] <= expected[1]


@pytest.mark.parametrize(
    "parse", [parse_path, parse_registry, parse_tag], ids=["path", "registry", "tag"]
)
@pytest.mark.parametrize("text", ["", " ", "a b", "ä", "a\n"], ids=repr)
def test_parse_part_invalid_is_refused(parse: object, text: str) -> None:
    assert callable(parse)
    with pytest.raises(InvalidReference):
        parse(text)


alphanumeric = st.text("abz019", min_size=1, max_size=4)
components = st.builds(
    "".join,
    st.lists(
        st.tuples(alphanumeric, st.sampled_from([".", "_", "__", "-", "--"])), max_size=2
    ).flatmap(lambda pairs: alphanumeric.map(lambda end: [*map("".join, pairs), end])),
)
paths = st.lists(components, min_size=1, max_size=4).map("/".join)
ports = st.one_of(st.just(""), st.integers(1, 65535).map(":{}".format))
hosts = st.sampled_from(
    ["localhost", "a.example", "10.0.0.1", "[::1]", "x-y.z", "docker.io", "Lan"]
)
registries = st.builds(str.__add__, hosts, ports)
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
digests = st.binary(max_size=4).map(Digest.of)


@given(registries, paths, st.none() | tags, st.none() | digests)
def test_any_reference_survives_text_and_back(
    registry: str, path: str, tag: str | None, digest: Digest | None
) -> None:
    text = f"{registry}/{path}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")

    parsed = Reference.parse(text)

    assert (parsed.tag, parsed.digest) == (tag, digest)
    assert Reference.parse(str(parsed)) == parsed


@given(st.text(string.ascii_letters[:30] + "0:/@.-_[]# \n\0é", max_size=40) | st.text())
@example("[::1]:5000")
@example("a" * 64)
def test_any_text_is_a_reference_or_an_invalid_reference(text: str) -> None:
    try:
        parsed = Reference.parse(text)
    except InvalidReference:
        return
    assert Reference.parse(str(parsed)) == parsed


ORDERS = {
    "numbers": "1 1.9 1.10 1.10.1 1.11 2 10",
    "v-prefix": "1.9 v1.10 1.11 v2",
    "pre-releases": "1.0-alpha 1.0-alpha.2 1.0-beta 1.0-rc1 1.0-rc.2 1.0-rc10 1.0 1.0.1-rc1 1.0.1",
    "suffixes": "1.25 1.25-alpine 1.25-alpine3.18 1.25-bookworm 1.25.1 1.25.1-alpine",
    "words-last": "1.0 20240131 latest main",
    "dates": "2024-01-31 2024-02-01 2024.10.1",
    "leading-zeros": "1.09 1.9 1.010",
    "same-but-for-spelling": "1.0 v1.0 1.0.0",
    "words-of-pre-releases-alone": "beta latest nightly stable",
    "capitals": "1.0-RC1 1.0-rc2 1.0",
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_tag_key_sorts_as_people_count(order: str) -> None:
    tags = order.split()
    mixed = random.Random(0).sample(tags, len(tags))

    assert sorted(mixed, key=tag_key) == tags


def test_tag_key_many_digits_are_no_trouble() -> None:
    assert sorted(["9" * 5000, "1" + "0" * 5000], key=tag_key)[0] == "9" * 5000


@given(st.lists(st.text(alphabet="v019.-_rcA²٣é", min_size=1), unique=True))
def test_tag_key_any_texts_have_one_order(tags: list[str]) -> None:
    assert sorted(tags, key=tag_key) == sorted(sorted(tags), key=tag_key)
