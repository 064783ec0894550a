"""Requests and the questions of the distribution spec they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.exchange.api import Endpoint, Route, byte_range, route

D = f"sha256:{'a' * 64}"
LONG = "team/" + "kubernetes" * 20

ROUTES = {
    "ping": ("GET", "/v2/", Route(Endpoint.PING)),
    "ping-no-slash": ("HEAD", "/v2", Route(Endpoint.PING)),
    "ping-posted": ("POST", "/v2/", Route(Endpoint.UNSUPPORTED)),
    "manifest-tag": (
        "GET",
        "/v2/s1/a/b/manifests/v1.0_x",
        Route(Endpoint.MANIFEST_GET, "s1", "a/b", "v1.0_x"),
    ),
    "manifest-digest": (
        "HEAD",
        f"/v2/s12/a/manifests/{D}",
        Route(Endpoint.MANIFEST_HEAD, "s12", "a", D),
    ),
    "manifest-put": (
        "PUT",
        "/v2/d3/a/manifests/latest",
        Route(Endpoint.MANIFEST_PUT, "d3", "a", "latest"),
    ),
    "manifest-deleted": (
        "DELETE",
        "/v2/d3/a/manifests/latest",
        Route(Endpoint.UNSUPPORTED, "d3", "a", "latest"),
    ),
    "blob": ("GET", f"/v2/s1/a/blobs/{D}", Route(Endpoint.BLOB_GET, "s1", "a", D)),
    "blob-head": ("HEAD", f"/v2/s1/a/blobs/{D}", Route(Endpoint.BLOB_HEAD, "s1", "a", D)),
    "blob-long-name": (
        "GET",
        f"/v2/s1/{LONG}/blobs/{D}",
        Route(Endpoint.BLOB_GET, "s1", LONG, D),
    ),
    "blob-wrong-digest": (
        "GET",
        "/v2/s1/a/blobs/sha256:xyz",
        Route(Endpoint.BLOB_GET, "s1", "a", "sha256:xyz"),
    ),
    "upload": ("POST", "/v2/d1/a/b/blobs/uploads/", Route(Endpoint.UPLOAD_BEGIN, "d1", "a/b")),
    "upload-no-slash": ("POST", "/v2/d1/a/blobs/uploads", Route(Endpoint.UPLOAD_BEGIN, "d1", "a")),
    "append": (
        "PATCH",
        "/v2/d1/a/blobs/uploads/1f-2",
        Route(Endpoint.UPLOAD_APPEND, "d1", "a", "1f-2"),
    ),
    "end": ("PUT", "/v2/d1/a/blobs/uploads/1f", Route(Endpoint.UPLOAD_END, "d1", "a", "1f")),
    "status": ("GET", "/v2/d1/a/blobs/uploads/1f", Route(Endpoint.UPLOAD_STATUS, "d1", "a", "1f")),
    "abort": (
        "DELETE",
        "/v2/d1/a/blobs/uploads/1f",
        Route(Endpoint.UPLOAD_ABORT, "d1", "a", "1f"),
    ),
    "tags": ("GET", "/v2/d1/a/tags/list", Route(Endpoint.TAGS, "d1", "a")),
    "repository-like-an-endpoint": (
        "GET",
        f"/v2/s1/manifests/blobs/tags/list/blobs/{D}",
        Route(Endpoint.BLOB_GET, "s1", "manifests/blobs/tags/list", D),
    ),
    "separators": (
        "GET",
        "/v2/s1/a.b/c__d/e--f/tags/list",
        Route(Endpoint.TAGS, "s1", "a.b/c__d/e--f"),
    ),
    "no-session": ("GET", "/v2/library/nginx/manifests/1", Route(Endpoint.UNKNOWN)),
    "no-repository": ("GET", "/v2/s1/manifests/1", Route(Endpoint.UNKNOWN)),
    "catalog": ("GET", "/v2/_catalog", Route(Endpoint.UNKNOWN)),
    "upper-case": ("GET", "/v2/s1/A/manifests/1", Route(Endpoint.UNKNOWN)),
    "line-end": ("GET", "/v2/s1/a/manifests/1\n", Route(Endpoint.UNKNOWN)),
    "other-path": ("GET", "/", Route(Endpoint.UNKNOWN)),
    "long-and-unknown": ("GET", f"/v2/s1/{'a' * 250}/nothing", Route(Endpoint.UNKNOWN)),
}


@pytest.mark.parametrize(("method", "path", "expected"), ROUTES.values(), ids=ROUTES)
def test_route_of_a_request_names_question_session_and_subject(method, path, expected) -> None:
    assert route(method, path) == expected


@given(st.text("sd1/abv2.manifestblobsuploads:-_A\n", max_size=120))
def test_route_of_any_path_is_an_answer(path) -> None:
    assert isinstance(route("GET", f"/v2/s1/{path}").endpoint, Endpoint)


WRITING = {Endpoint.MANIFEST_PUT} | {q for q in Endpoint if q.name.startswith("UPLOAD")}


@pytest.mark.parametrize("endpoint", Endpoint)
def test_endpoint_writes_when_only_a_destination_may_be_asked(endpoint) -> None:
    assert endpoint.writes is (endpoint in WRITING)


RANGES = {
    "none": (None, None),
    "from": ("bytes=5-", (5, None)),
    "from-to": ("bytes=5-9", (5, 9)),
    "one-byte": ("bytes=0-0", (0, 0)),
    "blanks-around": (" bytes=0-1 ", (0, 1)),
    "upper-case-unit": ("Bytes=0-1", (0, 1)),
    "backwards-is-invalid": ("bytes=9-5", None),
    "last-bytes": ("bytes=-5", None),
    "several": ("bytes=0-1,3-4", None),
    "other-unit": ("lines=0-1", None),
    "no-number": ("bytes=a-b", None),
    "other-digits": ("bytes=\u0665-", None),
    "huge": (f"bytes={'9' * 19}-", None),
    "empty": ("", None),
}


@pytest.mark.parametrize(("text", "expected"), RANGES.values(), ids=RANGES)
def test_byte_range_of_a_single_range(text, expected) -> None:
    assert byte_range({} if text is None else {"Range": text}) == expected
