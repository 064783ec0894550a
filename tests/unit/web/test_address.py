"""Where a registry and its content are reached."""

from __future__ import annotations

import pytest
from yarl import URL

from image_tools.errors import TlsProblem, Unavailable
from image_tools.oci.digest import Digest
from image_tools.web.address import (
    endpoint,
    follow,
    named,
    next_page,
    root_url,
    same_origin,
    shown,
    with_digest,
)

DIGEST = Digest.of(b"")
BASE = URL("https://registry.example:5000/v2/a/b/blobs/uploads/", encoded=True)


@pytest.mark.parametrize(
    ("registry", "expected"),
    [
        ("docker.io", "https://registry-1.docker.io"),
        ("registry.example:5000", "https://registry.example:5000"),
        ("[::1]:5000", "https://[::1]:5000"),
    ],
)
def test_root_url_is_where_the_registry_answers(registry: str, expected: str) -> None:
    assert str(root_url(registry, "https")) == expected


@pytest.mark.parametrize(
    ("reference", "expected"),
    [(None, "r/a/b"), ("v1", "r/a/b:v1"), (DIGEST, f"r/a/b@{DIGEST}")],
)
def test_named_is_what_people_write(reference: str | Digest | None, expected: str) -> None:
    assert named("r", "a/b", reference) == expected


def test_endpoint_encodes_the_values_of_its_query() -> None:
    found = endpoint(URL("http://r:1"), "a/b/blobs/uploads/", mount="sha256:0", **{"from": "c/d"})

    assert str(found) == "http://r:1/v2/a/b/blobs/uploads/?mount=sha256%3A0&from=c%2Fd"


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/v2/u?_state=a%2Bb", "https://registry.example:5000/v2/u?_state=a%2Bb"),
        ("next", "https://registry.example:5000/v2/a/b/blobs/uploads/next"),
        ("https://other.example/u", "https://other.example/u"),
        ("http://registry.example:5000/u?x=1", "https://registry.example:5000/u?x=1"),
        ("http://registry.example/u", "https://registry.example:5000/u"),
        ("//other.example/u#part", "https://other.example/u"),
    ],
)
def test_follow_keeps_the_query_and_tls(location: str, expected: str) -> None:
    assert str(follow(BASE, location, "r/a", allows_plain=False)) == expected


@pytest.mark.parametrize(
    ("location", "allows_plain", "error"),
    [
        ("", True, Unavailable),
        ("ftp://x/y", True, Unavailable),
        ("http://[::1/", True, Unavailable),
        ("//[]@", True, Unavailable),
        ("http://other.example/u", False, TlsProblem),
    ],
)
def test_follow_to_where_nobody_should_go_is_refused(
    location: str, allows_plain: bool, error: type[Exception]
) -> None:
    with pytest.raises(error, match="r/a: "):
        follow(BASE, location, "r/a", allows_plain=allows_plain)


@pytest.mark.parametrize(("location", "mark"), [("http://r/u", "?"), ("http://r/u?s=a%2F", "&")])
def test_with_digest_adds_to_the_query_that_is_there(location: str, mark: str) -> None:
    found = with_digest(URL(location, encoded=True), DIGEST)

    assert str(found) == f"{location}{mark}digest=sha256%3A{DIGEST.hex}"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("https://r/a", "https://R:443/b", True),
        ("https://r/a", "http://r/a", False),
        ("https://r/a", "https://r:444/a", False),
    ],
)
def test_same_origin_compares_scheme_host_and_port(one: str, other: str, expected: bool) -> None:
    assert same_origin(URL(one, encoded=True), URL(other, encoded=True)) is expected


# Every form of RFC 8288 section 3 and its appendix B.3.
LINKS: list[tuple[tuple[str, ...], str | None]] = [
    ((), None),
    (("",), None),
    (('</v2/a/tags/list?last=x,y&n=2>; rel="next"',), "/v2/a/tags/list?last=x,y&n=2"),
    (('<one>; rel="prev", <two>; title="t"; rel=next',), "two"),
    (('<one>; rel="nextdoor"',), None),
    (("one; rel=next",), None),
    (("<one>; rel=last", "<two>; rel=next"), "two"),
    (('<one>; rel="last next"',), "one"),
    (('<one>; REL="NEXT"',), "one"),
    (('<one> ; rel = "next"',), "one"),
    (('<one>; title="a, <b>; rel=next", <two>; rel="next"',), "two"),
    (('<one>; title="no; rel=next"; rel="prev"',), None),
    (('<one>; rel="prev"; rel="next"',), None),
    (('<?last=b&n=1>; type="x"; rel="next"',), "?last=b&n=1"),
    (("<one>,<two>;rel=next",), "two"),
]


@pytest.mark.parametrize(("links", "expected"), LINKS)
def test_next_page_is_the_target_of_next(links: tuple[str, ...], expected: str | None) -> None:
    assert next_page(links) == expected


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://a.example:8443/b/c?token=x#y", "https://a.example:8443/b/c"),
        ("http://user:word@[::1]:5000/b", "http://[::1]:5000/b"),
    ],
)
def test_shown_url_hides_login_and_query(url: str, text: str) -> None:
    assert shown(url) == text
