"""The exchange as a registry in its own right: the distribution spec, asked over HTTP."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from image_tools.errors import (
    AccessDenied,
    DigestMismatch,
    ImageToolsError,
    InvalidManifest,
    NotFound,
    RateLimited,
    TimedOut,
    TlsProblem,
    Unauthorized,
    Unavailable,
    UnknownFailure,
)
from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import MAXIMUM_MANIFEST_SIZE, RawManifest
from tests.helpers.exchange_lab import SECONDS, Answer, ExchangeLab, basic, running_lab
from tests.helpers.memory_store import Call, MemoryStore

CONTENT = bytes(range(256)) * 40
BLOB = Digest.of(CONTENT)
RAW = RawManifest(media.OCI_MANIFEST, b'{"schemaVersion":2,"config":{},"layers":[]}')
ABSENT = Digest.of(b"nowhere")
REPOSITORY = "team/app"


@pytest.fixture
def lab() -> Iterator[ExchangeLab]:
    """Give an exchange over two memory stores; nothing may be left behind by a test."""
    with running_lab() as running:
        running.source.add_blob(REPOSITORY, CONTENT)
        running.source.add_blob(REPOSITORY, b"")
        running.source.add_manifest(REPOSITORY, RAW, "v1")
        yield running
    assert running.ledger.flights == ()
    assert running.destination.open_uploads == []


@pytest.fixture
def source(lab: ExchangeLab) -> str:
    """Give the path of a source session."""
    return f"{lab.open_source(REPOSITORY).key}/{REPOSITORY}"


@pytest.fixture
def session(lab: ExchangeLab) -> SimpleNamespace:
    """Give a destination session with its path."""
    opened = lab.open_destination(REPOSITORY)
    return SimpleNamespace(it=opened, path=f"{opened.key}/{REPOSITORY}")


def begin(lab: ExchangeLab, path: str) -> str:
    """Begin an upload; give its path behind `/v2/`."""
    begun = lab.ask("POST", f"{path}/blobs/uploads/")
    assert (begun.status, begun.headers["range"]) == (202, "0-0")
    return begun.headers["location"].removeprefix("/v2/")


def upload(lab: ExchangeLab, path: str, content: bytes, digest: object = None) -> Answer:
    """Send a blob with POST and one PUT."""
    at = begin(lab, path)
    return lab.ask("PUT", f"{at}?digest={digest or Digest.of(content)}", body=content)


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.005)


# Getting in.

LOGINS = {
    "none": {},
    "wrong": basic("image-tools", "guess"),
    "empty": basic("image-tools", ""),
    "other-scheme": {"Authorization": "Bearer abc"},
    "no-text": {"Authorization": "Basic \xff\xfe"},
    # A page in a browser whose name was made to lead to 127.0.0.1 (DNS rebinding).
    "from-a-browser": {"Host": "evil.example", "Origin": "http://evil.example"},
}


@pytest.mark.parametrize("login", LOGINS.values(), ids=LOGINS)
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("GET", "s1/team/app/manifests/v1"), ("POST", "d9/x/blobs/uploads/")],
)
def test_request_without_the_login_of_the_run_is_challenged(lab, source, login, method, path):
    connection = lab.connect()
    connection.request(method, f"/v2/{path}", headers=login)
    told = connection.getresponse()

    assert told.status == 401
    assert told.getheader("WWW-Authenticate") == 'Basic realm="image-tools"'
    assert json.loads(told.read())["errors"][0]["code"] == "UNAUTHORIZED"
    connection.close()
    assert lab.source.calls == []


def test_ping_with_the_login_is_answered(lab):
    told = lab.ask("GET", "")

    assert (told.status, told.body) == (200, b"{}")
    assert told.headers["docker-distribution-api-version"] == "registry/2.0"


def test_port_listens_on_loopback_alone_and_closes_at_stop(lab):
    port = lab.exchange.port
    listening = {
        line.split()[1].partition(":")[0]
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
        if int(line.split()[1].partition(":")[2], 16) == port and line.split()[3] == "0A"
    }
    lab.await_(lab.exchange.stop())

    assert listening == {"0100007F"}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)


# What is not there, and what is not done.

REFUSED = {
    "no-session": ("GET", "s99/team/app/manifests/v1", 404, "NAME_UNKNOWN"),
    "other-repository": ("GET", "{s}/team/other/manifests/v1", 404, "NAME_UNKNOWN"),
    "longer-repository": ("GET", "{s}/team/app/x/manifests/v1", 404, "NAME_UNKNOWN"),
    "dots": ("GET", "{s}/team/../team/app/manifests/v1", 404, "NAME_UNKNOWN"),
    "written-dots": ("GET", "{s}/team/%2e%2e/team/app/manifests/v1", 404, "NAME_UNKNOWN"),
    "written-slash": ("GET", "{s}/team%2fapp/manifests/v1", 404, "NAME_UNKNOWN"),
    "written-slash-capital": ("GET", "{s}/team%2Fapp/manifests/v1", 404, "NAME_UNKNOWN"),
    "two-slashes": ("GET", "{s}/team//app/manifests/v1", 404, "NAME_UNKNOWN"),
    "upper-case": ("GET", "{s}/Team/app/manifests/v1", 404, "NAME_UNKNOWN"),
    "line-end": ("GET", "{s}/team/app/manifests/v1%0a", 404, "NAME_UNKNOWN"),
    "nul": ("GET", "{s}/team/app/manifests/v1%00", 404, "NAME_UNKNOWN"),
    "catalog": ("GET", "_catalog", 404, "NAME_UNKNOWN"),
    "no-endpoint": ("GET", "{s}/team/app", 404, "NAME_UNKNOWN"),
    "manifest-tag": ("GET", "{s}/team/app/manifests/v2", 404, "MANIFEST_UNKNOWN"),
    "manifest-digest": (
        "GET",
        f"{{s}}/team/app/manifests/{ABSENT}",
        404,
        "MANIFEST_UNKNOWN",
    ),
    "manifest-bad-digest": ("GET", "{s}/team/app/manifests/sha256:x", 400, "DIGEST_INVALID"),
    "blob": ("GET", f"{{s}}/team/app/blobs/{ABSENT}", 404, "BLOB_UNKNOWN"),
    "blob-at-destination": ("GET", f"{{d}}/team/app/blobs/{ABSENT}", 404, "BLOB_UNKNOWN"),
    "blob-bad-digest": ("GET", "{s}/team/app/blobs/sha256:abc", 400, "DIGEST_INVALID"),
    "blob-odd-algorithm": ("GET", "{s}/team/app/blobs/md5:abc", 400, "DIGEST_INVALID"),
    "source-upload": ("POST", "{s}/team/app/blobs/uploads/", 405, "UNSUPPORTED"),
    "source-manifest": ("PUT", "{s}/team/app/manifests/v1", 405, "UNSUPPORTED"),
    "source-upload-status": ("GET", "{s}/team/app/blobs/uploads/1", 405, "UNSUPPORTED"),
    "delete-manifest": ("DELETE", "{d}/team/app/manifests/v1", 405, "UNSUPPORTED"),
    "delete-blob": ("DELETE", f"{{d}}/team/app/blobs/{ABSENT}", 405, "UNSUPPORTED"),
    "ping-posted": ("POST", "", 404, "NAME_UNKNOWN"),
    "upload-status": ("GET", "{d}/team/app/blobs/uploads/1", 404, "BLOB_UPLOAD_UNKNOWN"),
    "upload-append": ("PATCH", "{d}/team/app/blobs/uploads/1", 404, "BLOB_UPLOAD_UNKNOWN"),
    "upload-end": (
        "PUT",
        f"{{d}}/team/app/blobs/uploads/1?digest={BLOB}",
        404,
        "BLOB_UPLOAD_UNKNOWN",
    ),
    "upload-abort": ("DELETE", "{d}/team/app/blobs/uploads/1", 404, "BLOB_UPLOAD_UNKNOWN"),
    "upload-mounts-nonsense": (
        "POST",
        "{d}/team/app/blobs/uploads/?mount=x&from=y",
        400,
        "DIGEST_INVALID",
    ),
    "tags-of-nothing": ("GET", "{d}/team/app/tags/list", 404, "NAME_UNKNOWN"),
}


@pytest.mark.parametrize(("method", "path", "status", "code"), REFUSED.values(), ids=REFUSED)
def test_question_that_cannot_be_answered_is_refused_in_the_specs_words(
    lab, source, session, method, path, status, code
):
    asked = path.format(s=source.partition("/")[0], d=session.it.key)

    told = lab.ask(method, asked)

    assert (told.status, told.code) == (status, code)
    assert told.headers["content-type"] == "application/json"


def test_session_closed_is_unknown(lab, source, session):
    opened = lab.open_source("team/other")
    lab.close(session.it, opened)

    for path in (session.path, f"{opened.key}/team/other"):
        assert lab.ask("GET", f"{path}/manifests/v1").code == "NAME_UNKNOWN"
    assert lab.ask("GET", f"{source}/manifests/v1").status == 200


# Pulling.


@pytest.mark.parametrize("reference", ["v1", str(RAW.digest), str(RAW.digest).replace(":", "%3A")])
def test_manifest_by_tag_and_digest_has_the_same_head_and_body(lab, source, reference):
    whole = lab.ask("GET", f"{source}/manifests/{reference}")
    head = lab.ask("HEAD", f"{source}/manifests/{reference}")

    assert (whole.status, whole.body) == (200, RAW.content)
    assert whole.headers["content-type"] == media.OCI_MANIFEST
    assert whole.headers["docker-content-digest"] == str(RAW.digest)
    assert (head.status, head.body) == (200, b"")
    assert {**whole.headers, "date": ""} == {**head.headers, "date": ""}


def test_manifest_by_digest_is_fetched_once_or_not_at_all(lab):
    known = RawManifest(media.OCI_INDEX, b"{}")
    opened = lab.open_source(REPOSITORY, manifests={known.digest: known})
    path = f"{opened.key}/{REPOSITORY}/manifests"

    got = [lab.ask("GET", f"{path}/{digest}").body for digest in (RAW.digest, known.digest) * 2]

    assert got == [RAW.content, known.content] * 2
    assert lab.source.calls == [Call("manifest", REPOSITORY, str(RAW.digest))]


def test_tags_hidden_are_unknown_while_digests_are_answered(lab):
    opened = lab.open_source(REPOSITORY, hides_tags=True)
    path = f"{opened.key}/{REPOSITORY}/manifests"

    assert lab.ask("HEAD", f"{path}/v1").status == 404
    assert lab.ask("HEAD", f"{path}/{RAW.digest}").status == 200


def test_tags_are_listed(lab, source):
    told = lab.ask("GET", f"{source}/tags/list")

    assert json.loads(told.body) == {"name": source, "tags": ["v1"]}


SIZE = len(CONTENT)
RANGES = {
    "whole": (None, 200, CONTENT, None),
    "from-to": ("bytes=10-19", 206, CONTENT[10:20], f"bytes 10-19/{SIZE}"),
    "open": (f"bytes={SIZE - 3}-", 206, CONTENT[-3:], f"bytes {SIZE - 3}-{SIZE - 1}/{SIZE}"),
    "all": ("bytes=0-", 206, CONTENT, f"bytes 0-{SIZE - 1}/{SIZE}"),
    "one": ("bytes=0-0", 206, CONTENT[:1], f"bytes 0-0/{SIZE}"),
    "end-too-far": ("bytes=5-999999", 206, CONTENT[5:], f"bytes 5-{SIZE - 1}/{SIZE}"),
    "behind": (f"bytes={SIZE}-", 416, None, f"bytes */{SIZE}"),
    "backwards": ("bytes=9-5", 200, CONTENT, None),
    "suffix-is-ignored": ("bytes=-5", 200, CONTENT, None),
    "several-are-ignored": ("bytes=0-1,4-5", 200, CONTENT, None),
    "other-unit": ("lines=0-1", 200, CONTENT, None),
}


@pytest.mark.parametrize("kept", [False, True], ids=["streamed", "from-memory"])
@pytest.mark.parametrize(("wanted", "status", "body", "part"), RANGES.values(), ids=RANGES)
def test_blob_range_gives_the_part(lab, kept, wanted, status, body, part):
    opened = lab.open_source(REPOSITORY, blobs={BLOB: CONTENT} if kept else {})
    headers = {} if wanted is None else {"Range": wanted}

    told = lab.ask("GET", f"{opened.key}/{REPOSITORY}/blobs/{BLOB}", headers=headers)

    assert (told.status, told.headers.get("content-range")) == (status, part)
    if body is None:
        assert told.code == "SIZE_INVALID"
    else:
        assert told.body == body
        assert told.headers["content-length"] == str(len(body))
        assert told.headers["docker-content-digest"] == str(BLOB)


@pytest.mark.parametrize("kept", [False, True], ids=["streamed", "from-memory"])
@pytest.mark.parametrize(("wanted", "status"), [(None, 200), ("bytes=0-", 416)])
def test_blob_without_bytes_is_given_whole_only(lab, kept, wanted, status):
    empty = Digest.of(b"")
    opened = lab.open_source(REPOSITORY, blobs={empty: b""} if kept else {})
    headers = {} if wanted is None else {"Range": wanted}

    told = lab.ask("GET", f"{opened.key}/{REPOSITORY}/blobs/{empty}", headers=headers)

    assert told.status == status
    assert status == 416 or told.body == b""


@pytest.mark.parametrize("where", ["blobs", "sizes", "store"])
def test_blob_head_tells_the_size(lab, where):
    known = {"blobs": {BLOB: CONTENT}, "sizes": {BLOB: SIZE}}
    opened = lab.open_source(REPOSITORY, **{where: known[where]} if where in known else {})

    told = lab.ask("HEAD", f"{opened.key}/{REPOSITORY}/blobs/{BLOB}")

    assert (told.status, told.headers["content-length"], told.body) == (200, str(SIZE), b"")
    assert told.headers["docker-content-digest"] == str(BLOB)
    assert lab.source.count("blob_size") == (where == "store")


@pytest.mark.parametrize("lie", [SIZE - 100, SIZE + 100])
def test_blob_of_another_size_than_its_manifest_says_breaks_the_line(lab, lie):
    opened = lab.open_source(REPOSITORY, sizes={BLOB: lie})
    connection = lab.connect()
    connection.request("GET", f"/v2/{opened.key}/{REPOSITORY}/blobs/{BLOB}", headers=lab.login)
    # The tool may have read all it was promised before the line breaks.
    with pytest.raises((http.client.IncompleteRead, OSError)) if lie > SIZE else nullcontext():
        connection.getresponse().read()
    connection.close()

    wait_until(lambda: opened.cause)
    said = f"the blob has {SIZE} bytes where {lie} were announced"
    assert (type(opened.cause), str(opened.cause)) == (InvalidManifest, said)


def test_blob_that_fails_in_the_middle_breaks_the_line_and_tells_why(lab, source):
    lab.source.chunk_size = 1000
    opened = lab.open_source(REPOSITORY)
    lab.source.fail("chunk", lambda: Unavailable("reset"))
    connection = lab.connect()
    connection.request("GET", f"/v2/{opened.key}/{REPOSITORY}/blobs/{BLOB}", headers=lab.login)

    with pytest.raises((http.client.IncompleteRead, OSError)):
        connection.getresponse().read()
    connection.close()
    wait_until(lambda: opened.cause)
    assert str(opened.cause) == "reset"


# Pushing blobs.


def test_push_by_post_and_put_stores_the_blob(lab, session):
    told = upload(lab, session.path, CONTENT)

    assert (told.status, told.headers["docker-content-digest"]) == (201, str(BLOB))
    assert told.headers["location"] == f"/v2/{session.path}/blobs/{BLOB}"
    assert lab.destination.places(BLOB) == [REPOSITORY]
    assert lab.ask("GET", f"{session.path}/blobs/{BLOB}").body == CONTENT
    assert lab.traffic.bytes_written == SIZE


def test_push_by_one_post_stores_the_blob(lab, session):
    told = lab.ask("POST", f"{session.path}/blobs/uploads/?digest={BLOB}", body=CONTENT)

    assert told.status == 201
    assert lab.destination.places(BLOB) == [REPOSITORY]


def test_push_of_packed_bytes_stores_them_as_they_are(lab, session):
    packed = gzip.compress(bytes(5 << 20))
    told = lab.ask(
        "POST",
        f"{session.path}/blobs/uploads/?digest={Digest.of(packed)}",
        body=packed,
        headers={"Content-Encoding": "gzip"},
    )

    assert told.status == 201
    assert lab.ask("GET", f"{session.path}/blobs/{Digest.of(packed)}").body == packed


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("cuts", [(SIZE,), (100, 5000, SIZE), (100, SIZE - 1)])
def test_push_in_pieces_stores_the_blob(lab, session, chunked, cuts):
    at, start = begin(lab, session.path), 0
    for stop in cuts:
        piece = CONTENT[start:stop]
        headers = {} if chunked else {"Content-Range": f"{start}-{stop - 1}"}
        told = lab.ask("PATCH", at, headers=headers, body=iter([piece]) if chunked else piece)
        assert (told.status, told.headers["range"]) == (202, f"0-{stop - 1}")
        at, start = told.headers["location"].removeprefix("/v2/"), stop
    known = lab.ask("GET", at)
    told = lab.ask("PUT", f"{at}?digest={BLOB}", body=CONTENT[start:] or None)

    assert (known.status, known.headers["range"]) == (204, f"0-{start - 1}")
    assert told.status == 201
    assert lab.destination.places(BLOB) == [REPOSITORY]
    assert lab.ask("GET", at).code == "BLOB_UPLOAD_UNKNOWN"


def test_push_of_a_body_of_unknown_length_by_put_stores_the_blob(lab, session):
    at = begin(lab, session.path)

    told = lab.ask("PUT", f"{at}?digest={BLOB}", body=iter([CONTENT[:7], CONTENT[7:]]))

    assert told.status == 201
    assert lab.destination.places(BLOB) == [REPOSITORY]


def test_push_of_an_empty_blob_stores_it(lab, session):
    assert upload(lab, session.path, b"").status == 201
    assert lab.destination.places(Digest.of(b"")) == [REPOSITORY]


def test_push_by_sha512_stores_the_blob(lab, session):
    digest = Digest("sha512", hashlib.sha512(CONTENT).hexdigest())

    assert upload(lab, session.path, CONTENT, digest).status == 201
    assert lab.destination.places(digest) == [REPOSITORY]


WRONG = {"other": str(ABSENT), "none": "", "nonsense": "sha256:abc", "algorithm": "md5:abc"}


@pytest.mark.parametrize("pieces", [False, True], ids=["one", "pieces"])
@pytest.mark.parametrize("digest", WRONG.values(), ids=WRONG)
def test_push_with_a_wrong_digest_is_refused(lab, session, pieces, digest):
    at = begin(lab, session.path)
    if pieces:
        lab.ask("PATCH", at, body=CONTENT)

    told = lab.ask("PUT", f"{at}?digest={digest}", body=None if pieces else CONTENT)

    assert (told.status, told.code) == (400, "DIGEST_INVALID")
    assert lab.destination.repositories[REPOSITORY].blobs == {}


@pytest.mark.parametrize("stated", ["50-99", "0-99", "150-199", "nonsense"])
def test_push_of_a_piece_out_of_order_is_refused(lab, session, stated):
    at = begin(lab, session.path)
    lab.ask("PATCH", at, body=CONTENT[:100])

    told = lab.ask("PATCH", at, headers={"Content-Range": stated}, body=CONTENT[100:150])

    assert told.status == 416
    assert lab.ask("GET", at).headers["range"] == "0-99"


@pytest.mark.parametrize("begun", [False, True])
def test_push_aborted_is_unknown_and_aborted_in_the_store(lab, session, begun):
    at = begin(lab, session.path)
    if begun:
        lab.ask("PATCH", at, body=CONTENT)

    assert lab.ask("DELETE", at).status == 204
    assert lab.ask("PATCH", at, body=CONTENT).code == "BLOB_UPLOAD_UNKNOWN"
    assert lab.destination.open_uploads == []
    assert lab.destination.count("abort") == begun


def test_push_whose_piece_failed_cannot_go_on(lab, session):
    at = begin(lab, session.path)
    lab.destination.fail("receive", lambda: Unavailable("reset"))

    assert lab.ask("PATCH", at, body=CONTENT).status == 403
    assert lab.ask("PATCH", at, body=CONTENT).code == "BLOB_UPLOAD_UNKNOWN"
    assert lab.destination.open_uploads == []


def test_push_that_waits_for_100_continue_is_welcomed(lab, session):
    at = begin(lab, session.path)
    with lab.raw(
        f"PUT /v2/{at}?digest={BLOB} HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: {SIZE}"
    ) as line:
        welcome = line.recv(1000)
        line.sendall(CONTENT)
        told = line.recv(1000)

    assert welcome == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert told.startswith(b"HTTP/1.1 201 ")


# Mounts and the ledger.


@pytest.mark.parametrize("quote", ["/", "%2F"])
def test_mount_from_another_session_of_the_store_moves_no_byte(lab, session, quote):
    other = lab.open_destination("team/base")
    assert upload(lab, f"{other.key}/team/base", CONTENT).status == 201
    written, origin = lab.traffic.bytes_written, f"{other.key}{quote}team{quote}base"

    told = lab.ask("POST", f"{session.path}/blobs/uploads/?mount={BLOB}&from={origin}")

    assert (told.status, told.headers["location"]) == (201, f"/v2/{session.path}/blobs/{BLOB}")
    assert lab.destination.places(BLOB) == [REPOSITORY, "team/base"]
    assert lab.traffic.bytes_written == written


MOUNTS = {
    "unknown-session": "d99/team/base",
    "no-origin": "",
    "source-session": "{s}",
    "real-name": "team/base",
    "without-the-blob": "{d}",
}


@pytest.mark.parametrize("origin", MOUNTS.values(), ids=MOUNTS)
def test_mount_from_elsewhere_begins_an_upload(lab, source, session, origin):
    said = origin.format(s=source, d=session.path)

    told = lab.ask("POST", f"{session.path}/blobs/uploads/?mount={BLOB}&from={said}")

    assert told.status == 202
    at = told.headers["location"].removeprefix("/v2/")
    assert lab.ask("PUT", f"{at}?digest={BLOB}", body=CONTENT).status == 201


REFUSALS = {
    "upload-begun": None,
    "not-found": NotFound("gone"),
    "denied": AccessDenied("no"),
    "unauthorized": Unauthorized("who"),
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_mount_the_store_refuses_begins_an_upload(lab, session, refusal):
    other = lab.open_destination("team/base")
    upload(lab, f"{other.key}/team/base", CONTENT)
    lab.destination.mounts = False
    if refusal is not None:
        lab.destination.fail("mount", lambda: refusal)

    told = lab.ask("POST", f"{session.path}/blobs/uploads/?mount={BLOB}&from={other.key}/team/base")

    assert (told.status, session.it.cause) == (202, None)


@pytest.mark.parametrize("mounts", [True, False])
def test_blob_head_mounts_what_the_store_holds_elsewhere(lab, session, mounts):
    other = lab.open_destination("team/base")
    upload(lab, f"{other.key}/team/base", CONTENT)
    lab.destination.mounts = mounts

    told = lab.ask("HEAD", f"{session.path}/blobs/{BLOB}")

    assert told.status == (200 if mounts else 404)
    if not mounts:
        # The upload of the refused mount is used, or given up where the tool sends pieces.
        at = begin(lab, session.path)
        lab.ask("PATCH", at, body=CONTENT)
        assert lab.ask("PUT", f"{at}?digest={BLOB}").status == 201
    assert lab.destination.places(BLOB) == [REPOSITORY, "team/base"]
    assert lab.destination.open_uploads == []


def test_blob_head_finds_what_a_refused_mount_hides(lab, session):
    other = lab.open_destination("team/base")
    upload(lab, f"{other.key}/team/base", CONTENT)
    lab.destination.mounts = False
    lab.destination.add_blob(REPOSITORY, CONTENT)

    assert lab.ask("HEAD", f"{session.path}/blobs/{BLOB}").status == 200
    assert lab.destination.open_uploads == []


def test_blob_wanted_by_two_sessions_is_brought_by_one(lab, session):
    other = lab.open_destination("team/other")
    assert lab.ask("HEAD", f"{session.path}/blobs/{BLOB}").status == 404
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(lab.ask, "HEAD", f"{other.key}/team/other/blobs/{BLOB}")
        wait_until(lambda: other.answering)
        assert not waiting.done()
        assert upload(lab, session.path, CONTENT).status == 201
        assert waiting.result(SECONDS).status == 200
    assert (lab.destination.count("put"), lab.destination.count("mount")) == (1, 1)


def test_blob_of_a_session_that_ends_without_it_goes_to_the_next(lab, session):
    other = lab.open_destination("team/other")
    lab.ask("HEAD", f"{session.path}/blobs/{BLOB}")
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(lab.ask, "HEAD", f"{other.key}/team/other/blobs/{BLOB}")
        wait_until(lambda: other.answering)
        lab.close(session.it)
        assert waiting.result(SECONDS).status == 404
    assert upload(lab, f"{other.key}/team/other", CONTENT).status == 201


def test_blob_mounted_after_all_lets_the_waiting_go_on(lab, session):
    base, other = lab.open_destination("team/base"), lab.open_destination("team/other")
    lab.ask("HEAD", f"{session.path}/blobs/{BLOB}")
    assert upload(lab, f"{base.key}/team/base", CONTENT).status == 201
    origin = f"{base.key}/team/base"

    assert (
        lab.ask("POST", f"{session.path}/blobs/uploads/?mount={BLOB}&from={origin}").status == 201
    )
    assert (session.it.awaited, lab.ledger.flights) == ({}, ())
    assert lab.ask("HEAD", f"{other.key}/team/other/blobs/{BLOB}").status == 200


@pytest.mark.parametrize("pieces", [False, True], ids=["one", "pieces"])
def test_blob_sent_twice_at_once_is_stored_once(lab, session, pieces):
    gate = lab.destination.hold("commit" if pieces else "receive")
    at = [begin(lab, session.path) for _ in range(2)]
    body = None if pieces else CONTENT
    for path in at if pieces else ():
        assert lab.ask("PATCH", path, body=CONTENT).status == 202
    with ThreadPoolExecutor() as pool:
        told = [pool.submit(lab.ask, "PUT", f"{path}?digest={BLOB}", body=body) for path in at]
        lab.await_(gate.reached.wait())
        wait_until(lambda: len(session.it.answering) == 2)
        lab.call(gate.open)
        assert [done.result(SECONDS).status for done in told] == [201, 201]
    assert lab.destination.count("commit" if pieces else "put") == 1
    assert lab.destination.places(BLOB) == [REPOSITORY]


def test_blob_sent_again_with_other_bytes_is_refused(lab, session):
    assert upload(lab, session.path, CONTENT).status == 201

    assert upload(lab, session.path, b"other", BLOB).code == "DIGEST_INVALID"


# Pushing manifests.


@pytest.mark.parametrize("reference", ["v1", str(RAW.digest)])
def test_push_of_a_manifest_stores_it_as_asked(lab, session, reference):
    headers = {"Content-Type": media.OCI_MANIFEST}

    told = lab.ask(
        "PUT", f"{session.path}/manifests/{reference}", headers=headers, body=RAW.content
    )

    assert (told.status, told.headers["docker-content-digest"]) == (201, str(RAW.digest))
    held = lab.destination.repositories[REPOSITORY]
    assert held.manifests == {RAW.digest: RAW}
    assert held.tags == ({"v1": RAW.digest} if reference == "v1" else {})
    assert session.it.pushed == [RAW]


def test_push_by_tag_leaves_no_tag_where_tags_become_digests(lab):
    opened = lab.open_destination(REPOSITORY, tags_become_digests=True)

    lab.ask("PUT", f"{opened.key}/{REPOSITORY}/manifests/v1", body=RAW.content)

    held = lab.destination.repositories[REPOSITORY]
    assert ([*held.manifests], held.tags) == ([RAW.digest], {})


NO_MANIFEST = {
    "other-digest": (str(ABSENT), RAW.content, "DIGEST_INVALID"),
    "no-digest": ("sha256:abc", RAW.content, "DIGEST_INVALID"),
    "too-large": ("v1", b" " * (MAXIMUM_MANIFEST_SIZE + 1), "MANIFEST_INVALID"),
    "checked": ("v1", b"not this one", "MANIFEST_INVALID"),
}


@pytest.mark.parametrize(("reference", "body", "code"), NO_MANIFEST.values(), ids=NO_MANIFEST)
def test_push_of_a_manifest_that_must_not_be_reaches_no_store(lab, reference, body, code):
    opened = lab.open_destination(
        REPOSITORY, check=lambda raw: "no" if raw.content.startswith(b"not") else None
    )

    told = lab.ask("PUT", f"{opened.key}/{REPOSITORY}/manifests/{reference}", body=body)

    assert (told.status, told.code) == (400, code)
    assert (lab.destination.calls, opened.pushed) == ([], [])
    assert opened.refusal == ("no" if body.startswith(b"not") else None)


INDEX = RawManifest(media.OCI_INDEX, b'{"schemaVersion":2,"manifests":[]}')


@pytest.fixture
def behind(lab: ExchangeLab) -> SimpleNamespace:
    """Give a destination session that may store one manifest while its tool goes on."""
    opened = lab.open_destination(REPOSITORY, behind=frozenset({RAW.digest}))

    def push(raw: RawManifest, reference: str) -> Answer:
        path = f"{opened.key}/{REPOSITORY}/manifests/{reference}"
        return lab.ask("PUT", path, headers={"Content-Type": raw.media_type}, body=raw.content)

    return SimpleNamespace(it=opened, push=push)


def test_push_that_comes_behind_is_answered_at_once_and_the_next_waits_for_it(lab, behind):
    gate = lab.destination.hold("put_manifest")
    child = Call("put_manifest", REPOSITORY, str(RAW.digest))

    assert behind.push(RAW, str(RAW.digest)).status == 201
    with ThreadPoolExecutor() as pool:
        index = pool.submit(behind.push, INDEX, "v1")
        lab.await_(gate.reached.wait())
        wait_until(lambda: len(behind.it.answering) == 2)
        assert (lab.destination.calls, behind.it.pushed) == ([child], [])
        lab.call(gate.open)
        assert index.result(SECONDS).status == 201
    assert behind.it.pushed == [RAW, INDEX]
    assert lab.destination.repositories[REPOSITORY].tags == {"v1": INDEX.digest}


def test_push_that_comes_behind_and_fails_leaves_no_index(lab, behind):
    error = AccessDenied("read only")
    lab.destination.fail("put_manifest", lambda: error)

    told = [behind.push(RAW, str(RAW.digest)), behind.push(INDEX, "v1")]

    assert [answer.status for answer in told] == [201, 403]
    assert (behind.it.cause, behind.it.pushed) == (error, [])
    assert lab.destination.repositories[REPOSITORY].tags == {}


def test_push_that_comes_behind_and_fails_is_the_cause_when_nothing_follows(lab, behind):
    error = AccessDenied("read only")
    lab.destination.fail("put_manifest", lambda: error)

    assert behind.push(RAW, str(RAW.digest)).status == 201
    wait_until(lambda: behind.it.cause is error)

    lab.close(behind.it)
    assert behind.it.pushed == []


def test_push_that_comes_behind_and_fails_on_a_bug_is_a_cause_too(lab, behind):
    lab.destination.fail("put_manifest", lambda: ValueError("oops"))

    assert behind.push(RAW, str(RAW.digest)).status == 201
    lab.await_(behind.it.settle())

    assert isinstance(behind.it.cause, UnknownFailure)
    assert "oops" in str(behind.it.cause)


def test_push_that_comes_behind_twice_is_stored_once(lab, behind):
    gate = lab.destination.hold("put_manifest")
    told = [behind.push(RAW, str(RAW.digest)).status for _ in range(2)]
    lab.call(gate.open)
    lab.await_(behind.it.settle())

    assert (told, behind.it.pushed) == ([201, 201], [RAW])
    assert lab.destination.count("put_manifest") == 1


def test_session_that_ends_gives_up_what_comes_behind(lab, behind):
    gate = lab.destination.hold("put_manifest")
    behind.push(RAW, str(RAW.digest))
    lab.await_(gate.reached.wait())

    lab.close(behind.it)

    lab.call(gate.open)
    assert (behind.it.answering, behind.it.pushed) == (set(), [])
    assert lab.destination.repositories[REPOSITORY].manifests == {}


# Failures of the store.

FAILURES: dict[str, tuple[ImageToolsError, int, str]] = {
    "not-found": (NotFound("gone"), 404, ""),
    "denied": (AccessDenied("no"), 403, "DENIED"),
    "unauthorized": (Unauthorized("who"), 403, "DENIED"),
    "limited": (RateLimited("slowly"), 403, "DENIED"),
    "unavailable": (Unavailable("reset"), 403, "DENIED"),
    "timed-out": (TimedOut("late"), 403, "DENIED"),
    "tls": (TlsProblem("who signs?"), 403, "DENIED"),
    "wrong-bytes": (DigestMismatch("other"), 400, "DIGEST_INVALID"),
    "odd-manifest": (InvalidManifest("odd"), 400, "MANIFEST_INVALID"),
}
QUESTIONS = {
    "manifest": ("manifest", "GET", "manifests/v1", "MANIFEST_UNKNOWN"),
    "put_manifest": ("put_manifest", "PUT", "manifests/v1", "MANIFEST_UNKNOWN"),
    "blob_size": ("blob_size", "HEAD", f"blobs/{BLOB}", "BLOB_UNKNOWN"),
    "blob": ("blob_size", "GET", f"blobs/{BLOB}", "BLOB_UNKNOWN"),
    "upload": ("upload", "POST", f"blobs/uploads/?digest={BLOB}", "NAME_UNKNOWN"),
    "put": ("put", "POST", f"blobs/uploads/?digest={BLOB}", "NAME_UNKNOWN"),
    "tags": ("tags", "GET", "tags/list", "NAME_UNKNOWN"),
}


@pytest.mark.parametrize(("error", "status", "code"), FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize(("operation", "method", "path", "unknown"), QUESTIONS.values())
def test_failure_of_a_store_is_final_for_the_tool_and_kept_as_the_cause(
    lab, session, operation, method, path, unknown, error, status, code
):
    lab.destination.fail(operation, lambda: error)
    body = CONTENT if method in ("PUT", "POST") else None

    told = lab.ask(method, f"{session.path}/{path}", body=body)

    assert told.status == status
    assert method == "HEAD" or told.code == (code or unknown)
    assert session.it.cause is error
    assert lab.destination.open_uploads == []


def test_cause_is_the_first_failure_that_is_more_than_an_unknown_name(lab, session):
    path = f"{session.path}/manifests"
    lab.ask("GET", f"{path}/signature")
    looked = session.it.cause
    for error in (RateLimited("first"), Unavailable("second"), NotFound("third")):
        lab.destination.fail("manifest", lambda raised=error: raised)
        lab.ask("GET", f"{path}/v1")

    assert isinstance(looked, NotFound)
    assert str(session.it.cause) == "first"


def test_bug_in_a_store_is_told_as_such_and_ends_the_tool(lab, session):
    lab.destination.fail("manifest", lambda: KeyError("oh"))

    told = lab.ask("GET", f"{session.path}/manifests/v1")

    assert (told.status, told.code) == (403, "DENIED")
    assert isinstance(session.it.cause, UnknownFailure)
    assert session.it.cause.exhausted
    assert "KeyError('oh')" in str(session.it.cause)


# The line itself.


def test_connection_is_kept_alive_over_every_kind_of_answer(lab, source, session):
    connection = lab.connect()
    asked = (
        ("GET", ""),
        ("HEAD", f"{source}/blobs/{BLOB}"),
        ("GET", f"{source}/blobs/{ABSENT}"),
        ("HEAD", f"{source}/manifests/none"),
        ("GET", f"{source}/blobs/{BLOB}"),
        ("POST", f"{session.path}/blobs/uploads/"),
        ("GET", f"{source}/manifests/v1"),
    )
    lab.ask("GET", "", connection=connection)
    line = connection.sock

    told = [lab.ask(method, path, connection=connection).status for method, path in asked]

    assert told == [200, 200, 404, 404, 200, 202, 200]
    assert connection.sock is line
    connection.close()


def test_many_at_once_are_all_answered(lab, source, session):
    contents = [bytes([number]) * 70_000 for number in range(40)]

    def there_and_back(content: bytes) -> bytes:
        assert upload(lab, session.path, content).status == 201
        assert lab.ask("GET", f"{source}/blobs/{BLOB}").body == CONTENT
        got: bytes = lab.ask("GET", f"{session.path}/blobs/{Digest.of(content)}").body
        return got

    with ThreadPoolExecutor(20) as pool:
        got = list(pool.map(there_and_back, contents))

    assert got == contents


def test_nonsense_on_the_line_is_refused_and_harms_nobody(lab, source):
    for nonsense in (b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"G" * 20_000):
        with socket.create_connection(("127.0.0.1", lab.exchange.port), SECONDS) as line:
            line.sendall(nonsense)
            line.shutdown(socket.SHUT_WR)
            assert not line.recv(1000).startswith(b"HTTP/1.1 2")
    assert lab.ask("GET", f"{source}/manifests/v1").status == 200


class FloodStore(MemoryStore):
    """Gives a blob without end as fast as it is taken, and says how much was."""

    given = 0

    async def _chunks(self, repository, digest, content, *, whole):
        while True:
            await self._happen("chunk", repository)
            self.given += 1 << 16
            yield bytes(1 << 16)


def test_reader_that_does_not_read_stops_the_source(lab):
    flood = FloodStore()
    digest = flood.add_blob(REPOSITORY, CONTENT)
    with running_lab(flood) as lab:
        opened = lab.open_source(REPOSITORY, sizes={digest: 1 << 40})
        path = f"/v2/{opened.key}/{REPOSITORY}/blobs/{digest}"
        with lab.raw(f"GET {path} HTTP/1.1"):
            wait_until(lambda: flood.given)
            seen = settled(lambda: flood.given)
        wait_until(lambda: not opened.answering)

    assert seen < 16 << 20


def test_store_that_does_not_take_stops_the_writer(lab, session):
    gate = lab.destination.hold("receive")
    at = begin(lab, session.path)
    with lab.raw(f"PATCH /v2/{at} HTTP/1.1\r\nContent-Length: {1 << 40}") as line:
        line.settimeout(0.5)
        sent = sent_until_stopped(line)
        lab.call(gate.open)
    wait_until(lambda: not session.it.answering)

    assert sent < 64 << 20


def sent_until_stopped(line: socket.socket) -> int:
    """Give the bytes that went out before the other side took no more."""
    sent = 0
    with suppress(TimeoutError):
        while sent < 64 << 20:
            sent += line.send(bytes(1 << 16))
    return sent


def settled(value: Callable[[], int]) -> int:
    """Give a value once it has stopped to change."""
    last = -1
    while last != value():
        last = value()
        time.sleep(0.2)
    return last


# Tools that go away.

HANG_UPS = {
    "put": "PUT /v2/{at}?digest={digest} HTTP/1.1\r\nContent-Length: 100000",
    "patch": "PATCH /v2/{at} HTTP/1.1\r\nContent-Length: 100000",
    "patch-chunked": "PATCH /v2/{at} HTTP/1.1\r\nTransfer-Encoding: chunked",
    "post": "POST /v2/{path}/blobs/uploads/?digest={digest} HTTP/1.1\r\nContent-Length: 100000",
    "manifest": "PUT /v2/{path}/manifests/v1 HTTP/1.1\r\nContent-Length: 100000",
}


@pytest.mark.parametrize("head", HANG_UPS.values(), ids=HANG_UPS)
def test_tool_that_hangs_up_while_it_sends_leaves_nothing(lab, session, head):
    at = begin(lab, session.path)
    written = head.format(at=at, path=session.path, digest=BLOB)
    with lab.raw(written) as line:
        line.sendall(b"5\r\nabcde\r\n" if "chunked" in written else b"abcde")
        wait_until(lambda: session.it.answering)
    wait_until(lambda: not session.it.answering)

    assert (lab.destination.open_uploads, session.it.cause) == ([], None)
    assert lab.destination.repositories[REPOSITORY].blobs == {}
    assert lab.destination.repositories[REPOSITORY].manifests == {}


def test_tool_that_hangs_up_while_it_reads_leaves_nothing(lab):
    flood = FloodStore()
    digest = flood.add_blob(REPOSITORY, CONTENT)
    with running_lab(flood) as lab:
        opened = lab.open_source(REPOSITORY, sizes={digest: 1 << 40})
        with lab.raw(f"GET /v2/{opened.key}/{REPOSITORY}/blobs/{digest} HTTP/1.1") as line:
            line.recv(100)
        wait_until(lambda: not opened.answering)

        assert (opened.cause, lab.exchange.port > 0) == (None, True)


@pytest.mark.parametrize("operation", ["blob_size", "mount", "put", "receive"])
def test_session_closed_while_its_store_is_silent_leaves_nothing(lab, session, operation):
    other = lab.open_destination("team/base")
    if operation == "mount":
        upload(lab, f"{other.key}/team/base", CONTENT)
    lab.destination.hold(operation, REPOSITORY)
    with ThreadPoolExecutor() as pool:
        if operation in ("blob_size", "mount"):
            asked = pool.submit(lab.ask, "HEAD", f"{session.path}/blobs/{BLOB}")
        else:
            asked = pool.submit(upload, lab, session.path, CONTENT)
        wait_until(lambda: lab.destination.count(operation.replace("receive", "put"), REPOSITORY))
        lab.close(session.it)

        with pytest.raises((http.client.HTTPException, OSError)):
            asked.result(SECONDS)
    assert (session.it.answering, session.it.awaited, session.it.uploads) == (set(), {}, {})
    assert (lab.ledger.flights, lab.destination.open_uploads) == ((), [])
