"""The remote store against real registries, and against one that fails as told."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from image_tools.errors import (
    AccessDenied,
    ConnectionRefused,
    DigestMismatch,
    DiskFull,
    ImageToolsError,
    InvalidManifest,
    NotFound,
    RateLimited,
    TimedOut,
    TlsProblem,
    Unauthorized,
    Unavailable,
)
from image_tools.logins.credentials import Credentials, Keyring
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.retry import RetryPolicy
from image_tools.stores.mirrored import Mirrored
from image_tools.stores.remote.client import RemoteOptions
from image_tools.stores.remote.registries_conf import load
from image_tools.stores.remote.registry import Remote
from image_tools.stores.store import ManifestHead
from image_tools.web.connect import Timing
from image_tools.web.tls import TlsChoice
from tests.helpers.certificates import Certificates
from tests.helpers.client import push
from tests.helpers.content import Blob, Manifest
from tests.helpers.endpoint import LAB_LOGIN
from tests.helpers.fault_types import Fault, Kind, Stage
from tests.helpers.faults import FaultOptions, FaultRegistry
from tests.helpers.images import KINDS, REGISTRY_KINDS
from tests.helpers.registry import Registry
from tests.helpers.token_server import TokenServer

T = TypeVar("T")
LOGIN = Credentials(LAB_LOGIN.username, LAB_LOGIN.password)
QUICK = RetryPolicy(times=2, delay=0.01, maximum=0.05)
BLOB = Blob.of(bytes(range(256)) * 8192)
DIGEST = Digest.parse(BLOB.digest)


def ask(
    address: str,
    action: Callable[[Remote], Awaitable[T]],
    *,
    login: Credentials | None = None,
    **options: object,
) -> T:
    """Give what `action` gives with a store at `address`."""

    async def run() -> T:
        async with opened(address, login=login, **options) as store:
            return await action(store)

    return asyncio.run(run())


@asynccontextmanager
async def opened(
    address: str, *, login: Credentials | None = None, **options: object
) -> AsyncIterator[Remote]:
    chosen = RemoteOptions(**{"policy": QUICK, **options})  # type: ignore[arg-type]
    store = Remote(address, Keyring(os.environ, login), chosen, os.environ)
    try:
        yield store
    finally:
        await store.close()


async def pieces(data: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def head(store: Remote) -> ManifestHead | None:
    return await store.manifest_head("a/b", "v1")


async def manifest(store: Remote) -> RawManifest:
    return await store.manifest("a/b", "v1")


async def whole_blob(store: Remote) -> bytes:
    return await receive(store, "a/b", DIGEST)


async def send(store: Remote, repository: str, data: bytes) -> None:
    started = await store.upload(repository)
    await started.put(Digest.of(data), len(data), pieces(data))


async def receive(store: Remote, repository: str, digest: Digest, **part: int) -> bytes:
    async with store.blob(repository, digest, **part) as chunks:
        return b"".join([chunk async for chunk in chunks])


@pytest.mark.parametrize(
    ("fixture", "options"),
    [
        ("registry", {}),
        ("htpasswd_registry", {"login": LOGIN}),
        ("token_registry", {"login": LOGIN}),
        ("tls_registry", {"tls": TlsChoice(verify=False)}),
        ("tls_htpasswd_registry", {"login": LOGIN, "tls": TlsChoice(verify=False)}),
    ],
)
def test_registry_takes_mounts_and_gives_everything(
    fixture: str, options: dict[str, object], request: pytest.FixtureRequest
) -> None:
    running: Registry = request.getfixturevalue(fixture)
    manifest = KINDS["oci_manifest"](1)
    raw = RawManifest(manifest.top.media_type, manifest.top.data)

    async def everything(store: Remote) -> None:
        assert await store.manifest_head("a/b", "v1") is None
        assert await store.blob_size("a/b", DIGEST) is None
        for blob in (*manifest.blobs, BLOB):
            await send(store, "a/b", blob.data)
        assert await store.mount("c/d", DIGEST, "a/b") is None
        assert await store.blob_size("c/d", DIGEST) == len(BLOB.data)
        await store.put_manifest("a/b", "v1", raw)
        await store.put_manifest("a/b", raw.digest, raw)
        head = ManifestHead(raw.digest, raw.media_type, len(raw.content))
        assert await store.manifest_head("a/b", "v1") == head
        assert await store.manifest("a/b", "v1") == await store.manifest("a/b", raw.digest) == raw
        assert await receive(store, "c/d", DIGEST) == BLOB.data
        assert await receive(store, "c/d", DIGEST, first=5, last=9) == BLOB.data[5:10]
        assert await receive(store, "c/d", DIGEST, first=len(BLOB.data) - 3) == BLOB.data[-3:]
        assert await store.tags("a/b") == ("v1",)

    ask(running.address, everything, **options)


def test_private_authority_of_the_choice_or_of_the_environment_is_trusted(
    tls_registry: Registry, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TlsProblem, match="unknown authority"):
        ask(tls_registry.address, head)

    named = TlsChoice(verify=True, ca_file=certificates.authority)
    assert ask(tls_registry.address, head, tls=named) is None

    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    assert ask(tls_registry.address, head) is None


def test_client_certificate_is_taken_from_the_folder_of_the_registry(
    client_certificate_registry: Registry, certificates: Certificates, clean_environment: Path
) -> None:
    address = client_certificate_registry.address
    choice = TlsChoice(verify=True, ca_file=certificates.authority)
    with pytest.raises(TlsProblem, match="client certificate"):
        ask(address, head, tls=choice)

    folder = clean_environment / ".config/containers/certs.d" / address
    folder.mkdir(parents=True)
    (folder / "client.cert").write_bytes(certificates.client_certificate.read_bytes())
    (folder / "client.key").write_bytes(certificates.client_key.read_bytes())

    assert ask(address, head, tls=choice) is None


@pytest.mark.parametrize(
    ("choice", "outcome"),
    [
        pytest.param(TlsChoice(), None, id="loopback"),
        pytest.param(TlsChoice(verify=False), None, id="allowed"),
        pytest.param(TlsChoice(verify=True), TlsProblem, id="refused"),
    ],
)
def test_plain_registry_is_spoken_to_where_plain_http_is_allowed(
    registry: Registry, choice: TlsChoice, outcome: type[Exception] | None
) -> None:
    if outcome is None:
        assert ask(registry.address, head, tls=choice) is None
    else:
        with pytest.raises(outcome, match=r"127\.0\.0\.1:\d+/a/b:v1: .* plain HTTP"):
            ask(registry.address, head, tls=choice)


@pytest.mark.parametrize("kind", REGISTRY_KINDS)
def test_manifest_of_every_kind_is_read_by_tag_and_by_digest(kind: str, registry: Registry) -> None:
    top = push(registry, "a/b", "v1", KINDS[kind](1))
    digest = Digest.parse(top)

    async def both(store: Remote) -> tuple[ManifestHead | None, RawManifest, RawManifest]:
        return (
            await store.manifest_head("a/b", "v1"),
            await store.manifest("a/b", "v1"),
            await store.manifest("a/b", digest),
        )

    seen, by_tag, by_digest = ask(registry.address, both)

    assert seen is not None
    assert (seen.digest, seen.media_type) == (digest, KINDS[kind](1).top.media_type)
    assert by_tag.media_type == by_digest.media_type == seen.media_type


def test_upload_in_pieces_is_committed_and_an_aborted_one_is_forgotten(registry: Registry) -> None:
    async def both(store: Remote) -> None:
        kept, given_up = await store.upload("a/b"), await store.upload("a/b")
        await kept.append(pieces(BLOB.data[:1_000_000]))
        await kept.append(pieces(BLOB.data[1_000_000:]))
        await kept.commit(DIGEST)
        await given_up.append(pieces(b"x" * 10))
        await given_up.abort()
        assert await receive(store, "a/b", DIGEST) == BLOB.data
        with pytest.raises(Unavailable, match="no longer knows this upload"):
            await given_up.commit(Digest.of(b"x" * 10))

    ask(registry.address, both)


def test_empty_blob_is_sent_and_received(registry: Registry) -> None:
    async def both(store: Remote) -> bytes:
        await send(store, "a/b", b"")
        return await receive(store, "a/b", Digest.of(b""))

    assert ask(registry.address, both) == b""


def test_unknown_repository_has_no_tags(registry: Registry) -> None:
    with pytest.raises(NotFound, match=r"127\.0\.0\.1:\d+/a/b: "):
        ask(registry.address, lambda store: store.tags("a/b"))


def test_many_questions_share_connections_and_one_token(
    token_registry: Registry, token_server: TokenServer
) -> None:
    async def many(store: Remote) -> None:
        names = [f"team/app{number}" for number in range(30)]
        store.expect(names, push=False)
        heads = await asyncio.gather(*(store.manifest_head(name, "v1") for name in names))
        assert heads == [None] * 30

    ask(token_registry.address, many, login=LOGIN)

    assert len(token_server.requests) == 1


@pytest.mark.parametrize("fixture", ["htpasswd_registry", "token_registry"])
@pytest.mark.parametrize("login", [None, Credentials("somebody", "hunter2")])
def test_guarded_registry_without_its_login_is_unauthorized(
    fixture: str, login: Credentials | None, request: pytest.FixtureRequest
) -> None:
    guarded: Registry = request.getfixturevalue(fixture)

    with pytest.raises(Unauthorized) as caught:
        ask(guarded.address, head, login=login)

    assert "hunter2" not in str(caught.value)


FAILURES = [
    (401, Unauthorized),
    (403, AccessDenied),
    (429, RateLimited),
    (500, Unavailable),
    (503, Unavailable),
    (Kind.RESET, Unavailable),
    (Kind.HTML, Unavailable),
    (Kind.REDIRECT_NOWHERE, Unavailable),
]


# After a HEAD that was refused or out of order the manifest itself is asked for.
# What may pass is asked again the next time, for a GET counts as a pull.
BY_GET = {403: 1, 500: 3, 503: 6, Kind.HTML: 3}


@pytest.mark.parametrize(("kind", "heads"), BY_GET.items(), ids=str)
def test_failing_head_is_answered_by_the_manifest(
    fault_registry: FaultRegistry, kind: Kind | int, heads: int
) -> None:
    image = KINDS["oci_manifest"](1)
    fault_registry.load("a/b", "v1", image)
    fault_registry.add(Fault(Stage.HEAD_MANIFEST, kind, times=None, retry_after=0))

    async def twice(store: Remote) -> list[ManifestHead | None]:
        return [await store.manifest_head("a/b", "v1") for _ in range(2)]

    digest = Digest.parse(image.top.digest)
    found = ManifestHead(digest, image.top.media_type, len(image.top.data))
    assert ask(fault_registry.address, twice) == [found] * 2
    assert fault_registry.count(Stage.HEAD_MANIFEST) == heads
    assert fault_registry.count(Stage.MANIFEST) == 2


@pytest.mark.parametrize("stage", [Stage.HEAD_MANIFEST, Stage.MANIFEST], ids=lambda s: s.name)
@pytest.mark.parametrize(("kind", "error"), FAILURES, ids=lambda value: getattr(value, "name", ""))
def test_failing_manifest_is_a_failure_and_never_absent(
    fault_registry: FaultRegistry, stage: Stage, kind: Kind | int, error: type[ImageToolsError]
) -> None:
    fault_registry.load("a/b", "v1", KINDS["oci_manifest"](1))
    fault_registry.add(Fault(stage, kind, times=None, retry_after=0))
    if stage is Stage.HEAD_MANIFEST and kind in BY_GET:
        fault_registry.add(Fault(Stage.MANIFEST, kind, times=None, retry_after=0))
    question = head if stage is Stage.HEAD_MANIFEST else manifest

    with pytest.raises(error, match=r"127\.0\.0\.1:\d+/a/b:v1: "):
        ask(fault_registry.address, question)

    # aiohttp asks once more by itself when an idempotent request finds its connection dead.
    times = 2 if kind is Kind.RESET else 1
    assert fault_registry.count(stage) == times * (3 if error.temporary else 1)


@pytest.mark.parametrize("times", [1, None])
def test_manifest_head_that_tells_another_digest_is_asked_once_more(
    fault_registry: FaultRegistry, times: int | None
) -> None:
    image = KINDS["oci_manifest"](1)
    digest = Digest.parse(image.top.digest)
    fault_registry.load("a/b", "v1", image)
    fault_registry.add(Fault(Stage.HEAD_MANIFEST, Kind.WRONG_BYTES, times=times))

    async def by_digest(store: Remote) -> ManifestHead | None:
        return await store.manifest_head("a/b", digest)

    if times is None:
        with pytest.raises(DigestMismatch, match="in its place"):
            ask(fault_registry.address, by_digest)
    else:
        found = ask(fault_registry.address, by_digest)
        assert found == ManifestHead(digest, image.top.media_type, len(image.top.data))
    assert fault_registry.count(Stage.HEAD_MANIFEST) == 2


@pytest.mark.parametrize("kind", [Kind.WRONG_BYTES, Kind.WRONG_LENGTH])
def test_tags_that_cannot_be_read_are_asked_for_again(
    fault_registry: FaultRegistry, kind: Kind
) -> None:
    fault_registry.load("a/b", "v1", KINDS["oci_manifest"](1))
    fault_registry.add(Fault(Stage.TAGS, kind))

    assert ask(fault_registry.address, lambda store: store.tags("a/b")) == ("v1",)
    assert fault_registry.count(Stage.TAGS) == 2


def test_upload_in_which_the_token_ends_is_a_login_problem_that_may_pass() -> None:
    with FaultRegistry(FaultOptions(tokens=True)) as double:
        double.add(Fault(Stage.PUT_BLOB, Kind.EXPIRED_TOKEN))

        with pytest.raises(Unauthorized, match="the login ended during the upload") as caught:
            ask(double.address, lambda store: send(store, "a/b", BLOB.data))

    assert (caught.value.temporary, caught.value.status) == (True, 401)


@pytest.mark.parametrize("kind", [429, 502, 504, Kind.RESET, Kind.CUT_BODY, Kind.WRONG_BYTES])
def test_manifest_failing_once_is_read_again(
    fault_registry: FaultRegistry, kind: Kind | int
) -> None:
    image = KINDS["oci_manifest"](1)
    fault_registry.load("a/b", "v1", image)
    fault_registry.add(Fault(Stage.MANIFEST, kind, retry_after=0))

    assert ask(fault_registry.address, manifest).content == image.top.data


def test_unknown_manifest_is_none_by_head_and_not_found_by_get(
    fault_registry: FaultRegistry,
) -> None:
    assert ask(fault_registry.address, head) is None
    with pytest.raises(NotFound, match="MANIFEST_UNKNOWN"):
        ask(fault_registry.address, manifest)


def test_rate_limited_registry_is_left_alone_as_long_as_it_asks(
    fault_registry: FaultRegistry,
) -> None:
    fault_registry.load("a/b", "v1", KINDS["oci_manifest"](1))
    fault_registry.add(Fault(Stage.HEAD_MANIFEST, 429, retry_after=1))

    async def several(store: Remote) -> list[ManifestHead | None]:
        return list(await asyncio.gather(*(store.manifest_head("a/b", "v1") for _ in range(6))))

    assert None not in ask(fault_registry.address, several, window=1)
    first, *others = [
        seen.started for seen in fault_registry.requests if seen.stage is Stage.HEAD_MANIFEST
    ]
    assert len(others) == 6
    assert min(others) - first >= 0.99


def test_rest_too_long_to_wait_for_fails_at_once(fault_registry: FaultRegistry) -> None:
    fault_registry.add(Fault(Stage.HEAD_MANIFEST, 429, times=None, retry_after=3600))

    with pytest.raises(RateLimited, match="retry after 3600 s"):
        ask(fault_registry.address, head)

    assert fault_registry.count(Stage.HEAD_MANIFEST) == 1


@pytest.mark.parametrize(
    "kind", [Kind.CUT_BODY, Kind.RESET_IN_BODY, Kind.RESET, 500, 429], ids=lambda k: str(k)
)
@pytest.mark.parametrize("ranges", [True, False])
def test_blob_that_breaks_is_continued(kind: Kind | int, ranges: bool) -> None:
    with FaultRegistry(FaultOptions(ranges=ranges)) as double:
        double.blobs["a/b"][BLOB.digest] = BLOB.data
        double.add(Fault(Stage.BLOB, kind, times=2, retry_after=0))

        assert ask(double.address, whole_blob) == BLOB.data
        cut = kind in (Kind.CUT_BODY, Kind.RESET_IN_BODY)
        asked = [seen.headers.get("Range") for seen in double.requests if seen.stage is Stage.BLOB]
        assert len(asked) == 3
        assert all(asked[1:]) if cut else not any(asked)


def test_blob_cut_for_good_is_given_up_after_tries_without_progress(
    fault_registry: FaultRegistry,
) -> None:
    fault_registry.blobs["a/b"][BLOB.digest] = BLOB.data
    fault_registry.add(Fault(Stage.BLOB, Kind.CUT_BODY), Fault(Stage.BLOB, 503, times=None))

    with pytest.raises(Unavailable, match=f"a/b@{BLOB.digest}: ") as caught:
        ask(fault_registry.address, whole_blob)

    assert caught.value.exhausted
    assert fault_registry.count(Stage.BLOB) == 4


@pytest.mark.parametrize("kind", [Kind.WRONG_BYTES, Kind.WRONG_LENGTH])
def test_wrong_blob_is_noticed_before_its_last_chunk(
    fault_registry: FaultRegistry, kind: Kind
) -> None:
    fault_registry.blobs["a/b"][BLOB.digest] = BLOB.data
    fault_registry.add(Fault(Stage.BLOB, kind))
    received: list[bytes] = []

    async def collect(store: Remote) -> None:
        async with store.blob("a/b", DIGEST) as chunks:
            async for chunk in chunks:
                received.append(chunk)

    with pytest.raises(DigestMismatch, match=BLOB.digest):
        ask(fault_registry.address, collect)

    assert len(b"".join(received)) < len(BLOB.data)


def test_unknown_blob_has_no_size_and_is_not_found(fault_registry: FaultRegistry) -> None:
    assert ask(fault_registry.address, lambda store: store.blob_size("a/b", DIGEST)) is None
    with pytest.raises(NotFound, match="BLOB_UNKNOWN"):
        ask(fault_registry.address, whole_blob)


@pytest.mark.parametrize("stage", [Stage.HEAD_MANIFEST, Stage.MANIFEST, Stage.BLOB, Stage.PING])
def test_silent_registry_is_given_up(fault_registry: FaultRegistry, stage: Stage) -> None:
    fault_registry.load("a/b", "v1", KINDS["oci_manifest"](1))
    fault_registry.blobs["a/b"][BLOB.digest] = BLOB.data
    fault_registry.add(Fault(stage, Kind.HANG, times=None))
    question = {Stage.MANIFEST: manifest, Stage.BLOB: whole_blob}.get(stage, head)
    once = RetryPolicy(times=0)

    with pytest.raises(TimedOut):
        ask(fault_registry.address, question, timing=Timing(stall=0.3), policy=once)


def test_dead_registry_names_the_reference_and_is_asked_once_by_many() -> None:
    with FaultRegistry() as double:
        address = double.address

    async def many(store: Remote) -> list[object]:
        questions = (store.manifest_head("a/b", f"v{number}") for number in range(50))
        return list(await asyncio.gather(*questions, return_exceptions=True))

    errors = ask(address, many)

    assert {type(error) for error in errors} == {ConnectionRefused}
    said = f"{address}/a/b:v49: {address} cannot be reached: connection refused"
    assert str(errors[49]) == said


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (500, Unavailable),
        (429, RateLimited),
        (403, AccessDenied),
        (404, Unavailable),
        (507, DiskFull),
        (Kind.RESET_IN_BODY, Unavailable),
        (Kind.RESET_AFTER, Unavailable),
    ],
)
def test_upload_that_fails_says_why_and_leaves_nothing(
    fault_registry: FaultRegistry, kind: Kind | int, error: type[ImageToolsError]
) -> None:
    fault_registry.add(Fault(Stage.PUT_BLOB, kind, retry_after=0))

    with pytest.raises(error, match=f"a/b@{BLOB.digest}: "):
        ask(fault_registry.address, lambda store: send(store, "a/b", BLOB.data))

    assert fault_registry.count(Stage.PUT_BLOB) == 1


def test_upload_whose_source_fails_raises_the_failure_of_the_source(registry: Registry) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        raise RateLimited("source/a: too many requests")

    async def put(store: Remote) -> None:
        begun = await store.upload("a/b")
        try:
            await begun.put(DIGEST, len(BLOB.data), broken())
        finally:
            await begun.abort()

    with pytest.raises(RateLimited, match="source/a"):
        ask(registry.address, put)


@pytest.mark.parametrize("size", [len(BLOB.data) - 1, len(BLOB.data) + 1])
def test_upload_of_another_size_than_announced_fails(registry: Registry, size: int) -> None:
    async def put(store: Remote) -> None:
        begun = await store.upload("a/b")
        await begun.put(DIGEST, size, pieces(BLOB.data))

    with pytest.raises(Unavailable, match=f"{size}"):
        ask(registry.address, put)

    assert registry.stored_blobs() == frozenset()


def test_upload_of_wrong_bytes_is_a_digest_mismatch(registry: Registry) -> None:
    async def put(store: Remote) -> None:
        begun = await store.upload("a/b")
        await begun.put(DIGEST, len(BLOB.data), pieces(BLOB.data[::-1]))

    with pytest.raises(DigestMismatch, match="DIGEST_INVALID"):
        ask(registry.address, put)


def test_mount_refused_gives_the_upload_begun_instead(registry: Registry) -> None:
    async def mounted(store: Remote) -> None:
        begun = await store.mount("c/d", DIGEST, "a/b")
        assert begun is not None
        await begun.put(DIGEST, len(BLOB.data), pieces(BLOB.data))
        assert await store.blob_size("c/d", DIGEST) == len(BLOB.data)

    ask(registry.address, mounted)


def test_manifest_put_lost_answer_is_put_again(fault_registry: FaultRegistry) -> None:
    image = KINDS["oci_manifest"](1)
    fault_registry.load("a/b", "old", image)
    fault_registry.add(Fault(Stage.PUT_MANIFEST, Kind.RESET_AFTER), Fault(Stage.PUT_MANIFEST, 503))
    raw = RawManifest(image.top.media_type, image.top.data)

    ask(fault_registry.address, lambda store: store.put_manifest("a/b", "v1", raw))

    assert fault_registry.tags["a/b"]["v1"] == image.top.digest
    assert fault_registry.count(Stage.PUT_MANIFEST) == 3


def test_commit_lost_answer_finds_the_blob_stored(fault_registry: FaultRegistry) -> None:
    fault_registry.add(Fault(Stage.PUT_BLOB, Kind.RESET_AFTER))

    async def commit(store: Remote) -> None:
        begun = await store.upload("a/b")
        await begun.append(pieces(BLOB.data))
        await begun.commit(DIGEST)

    ask(fault_registry.address, commit)

    assert fault_registry.blobs["a/b"] == {BLOB.digest: BLOB.data}


def test_manifest_larger_than_four_mebibytes_is_invalid(fault_registry: FaultRegistry) -> None:
    image = KINDS["oci_manifest"](1)
    fault_registry.load("a/b", "v1", image)
    huge = Manifest.of(b" " * (4 * 1024 * 1024) + image.top.data, image.top.media_type)
    fault_registry.manifests["a/b"][huge.digest] = huge
    fault_registry.tags["a/b"]["v1"] = huge.digest

    with pytest.raises(InvalidManifest, match="a/b:v1"):
        ask(fault_registry.address, manifest)


def test_token_that_ended_is_replaced_and_nobody_notices() -> None:
    with FaultRegistry(FaultOptions(login=LAB_LOGIN, tokens=True)) as double:
        double.load("a/b", "v1", KINDS["oci_manifest"](1))

        async def twice(store: Remote) -> None:
            assert await store.manifest_head("a/b", "v1") is not None
            double.expire_tokens()
            await store.put_manifest("a/b", "v2", await store.manifest("a/b", "v1"))

        ask(double.address, twice, login=LOGIN)

        assert double.tags["a/b"].keys() == {"v1", "v2"}


def test_cancelled_upload_is_aborted_and_frees_its_connection(registry: Registry) -> None:
    async def cancelled(store: Remote) -> None:
        begun = await store.upload("a/b")
        never = asyncio.Event()

        async def endless() -> AsyncIterator[bytes]:
            yield b"x" * 1000
            await never.wait()

        sending = asyncio.ensure_future(begun.put(DIGEST, len(BLOB.data), endless()))
        await asyncio.sleep(0.2)
        sending.cancel()
        await asyncio.wait({sending})
        await begun.abort()
        assert sending.cancelled()
        await send(store, "a/b", BLOB.data)

    ask(registry.address, cancelled)

    assert "DELETE" in {seen.method for seen in registry.requests()}


def test_blob_is_copied_within_one_registry_through_a_window_of_one(registry: Registry) -> None:
    async def copy(store: Remote) -> bytes:
        await send(store, "a/b", BLOB.data)
        async with store.blob("a/b", DIGEST) as chunks:
            begun = await store.upload("c/d")
            await begun.put(DIGEST, len(BLOB.data), chunks)
        return await receive(store, "c/d", DIGEST)

    assert ask(registry.address, copy, window=1) == BLOB.data


def test_mirrors_of_registries_conf_are_asked_before_the_location(
    registry: Registry, source_registry: Registry, tmp_path: Path
) -> None:
    image, more = KINDS["oci_manifest"](1), KINDS["oci_index"](2)
    push(registry, "cache/a/b", "v1", image)
    push(source_registry, "a/b", "v2", more)
    conf = tmp_path / "registries.conf"
    conf.write_text(
        f'[[registry]]\nprefix = "hub.example"\nlocation = "{source_registry.address}"\n'
        f'[[registry.mirror]]\nlocation = "{registry.address}/cache"\n'
        '[[registry.mirror]]\nlocation = "127.0.0.1:9"\npull-from-mirror = "tag-only"\n'
    )

    async def read() -> list[RawManifest | tuple[str, ...] | None]:
        async with (
            opened(registry.address) as near,
            opened(source_registry.address) as real,
            opened("127.0.0.1:9") as dead,
        ):
            stores = {store.name: store for store in (near, real, dead)}
            rules = load({"CONTAINERS_REGISTRIES_CONF": str(conf)})
            store = Mirrored("hub.example", rules, lambda name, _: stores[name])
            found = [await store.manifest("a/b", tag) for tag in ("v1", "v2")]
            with pytest.raises(NotFound, match=r"hub\.example/a/b:v3: .*MANIFEST_UNKNOWN"):
                await store.manifest("a/b", "v3")
            return [*found, await store.tags("a/b")]

    expected = [RawManifest(made.top.media_type, made.top.data) for made in (image, more)]
    assert asyncio.run(read()) == [*expected, ("v2",)]
