"""An archive of every form answers as a registry does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from image_tools.errors import (
    ArchiveDamaged,
    CopyFailed,
    DigestMismatch,
    IntegrityError,
    InvalidManifest,
    NotFound,
)
from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.oci.reference import Reference
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.catalogue import Origin
from image_tools.stores.archive.content import Form
from image_tools.stores.archive.opening import add_to_archive, new_archive, read_archive
from image_tools.stores.archive.store import PIECE, ArchiveStore
from image_tools.stores.store import ManifestHead, Upload

CONFIG = b'{"architecture": "amd64", "os": "linux"}'
LAYER = bytes(range(256)) * 10_000
NAME = "library/nginx"
NGINX = Reference("docker.io", NAME, "1")


def described(content: bytes, media_type: str) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}


def manifest(*layers: bytes, **more: object) -> RawManifest:
    document = {
        "schemaVersion": 2,
        "mediaType": media.OCI_MANIFEST,
        "config": described(CONFIG, media.OCI_CONFIG),
        "layers": [described(layer, "text/plain") for layer in layers],
        **more,
    }
    return RawManifest(media.OCI_MANIFEST, json.dumps(document).encode())


async def chunks(content: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def put(store: ArchiveStore, content: bytes, digest: Digest | None = None) -> Digest:
    digest = digest or Digest.of(content)
    upload = await store.upload(NAME)
    try:
        await upload.put(digest, len(content), chunks(content))
    except BaseException:
        await upload.abort()
        raise
    return digest


async def whole(store: ArchiveStore, digest: Digest, **part: int) -> bytes:
    async with store.blob(NAME, digest, **part) as found:
        return b"".join([chunk async for chunk in found])


class Site:
    """One archive at a path, which can be opened again."""

    def __init__(self, path: Path, form: Form) -> None:
        self.path, self.form = path, form
        self.archive = new_archive(path, form)

    @property
    def store(self) -> ArchiveStore:
        return ArchiveStore(self.archive, "docker.io")

    def again(self, opened: Callable[[Path], Archive], *, publish: bool = True) -> ArchiveStore:
        if publish:
            self.archive.publish()
        self.archive.close()
        self.archive = opened(self.path)
        return self.store

    def now_and_later(self) -> Iterator[ArchiveStore]:
        yield self.store
        yield self.again(read_archive)

    async def image(self, *layers: bytes, tag: str | None = "1", **more: object) -> RawManifest:
        for blob in (CONFIG, *layers):
            await put(self.store, blob)
        raw = manifest(*layers, **more)
        await self.store.put_manifest(NAME, tag or raw.digest, raw)
        return raw


@pytest.fixture(params=[Form.FOLDER, Form.GZIP], ids=lambda form: form.value)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path / "images", request.param)
    yield found
    found.archive.close()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path / "images", Form.FOLDER)
    yield found
    found.archive.close()


@pytest.mark.parametrize("content", [b"", b"{}", LAYER, b"\x1f\x8b" + LAYER], ids=len)
def test_blob_put_is_there_now_and_later(site: Site, content: bytes) -> None:
    async def work() -> None:
        digest = await put(site.store, content)
        await site.image()
        for store in site.now_and_later():
            assert await store.blob_size(NAME, digest) == len(content)
            assert await whole(store, digest) == content

    asyncio.run(work())


@pytest.mark.parametrize(
    ("first", "last"), [(0, 0), (5, None), (PIECE - 1, PIECE + 1), (0, 10**9), (7, 7)]
)
def test_part_of_a_blob_is_what_was_asked_for(site: Site, first: int, last: int | None) -> None:
    async def work() -> bytes:
        digest = await put(site.store, LAYER)
        return await whole(site.store, digest, first=first, **({"last": last} if last else {}))

    found = asyncio.run(work())

    assert found == LAYER[first : last + 1 if last else None]


def test_part_behind_the_end_is_not_satisfiable(site: Site) -> None:
    async def work() -> None:
        digest = await put(site.store, b"12345")
        await whole(site.store, digest, first=5)

    with pytest.raises(CopyFailed) as caught:
        asyncio.run(work())
    assert caught.value.status == 416


def test_upload_in_pieces_is_one_blob(site: Site) -> None:
    async def work() -> bytes:
        digest = Digest("sha512", Digest("sha512", "0" * 128).hasher().hexdigest())
        hasher = digest.hasher()
        hasher.update(LAYER * 2)
        digest = Digest("sha512", hasher.hexdigest())
        upload: Upload = await site.store.upload(NAME)
        await upload.append(chunks(LAYER))
        await upload.append(chunks(LAYER))
        await upload.commit(digest)
        return await whole(site.store, digest)

    assert asyncio.run(work()) == LAYER * 2


@pytest.mark.parametrize(
    ("size", "digest", "error"),
    [
        (len(LAYER), Digest.of(b"other"), DigestMismatch),
        (len(LAYER) - 1, Digest.of(LAYER), IntegrityError),
        (len(LAYER) + 1, Digest.of(LAYER), IntegrityError),
    ],
)
def test_upload_that_is_wrong_leaves_nothing(
    site: Site, size: int, digest: Digest, error: type[Exception]
) -> None:
    async def work() -> None:
        upload = await site.store.upload(NAME)
        try:
            await upload.put(digest, size, chunks(LAYER))
        finally:
            await upload.abort()
            await upload.abort()

    with pytest.raises(error):
        asyncio.run(work())
    assert [*site.archive.content.digests()] == []


def test_upload_cancelled_leaves_nothing(site: Site) -> None:
    async def stuck() -> AsyncIterator[bytes]:
        yield LAYER
        await asyncio.sleep(60)

    async def work() -> None:
        upload = await site.store.upload(NAME)
        task = asyncio.ensure_future(upload.put(Digest.of(LAYER), 2 * len(LAYER), stuck()))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await upload.abort()

    asyncio.run(work())
    assert [*site.archive.content.digests()] == []


def test_mount_needs_only_the_archive_to_have_the_blob(site: Site) -> None:
    async def work() -> tuple[bool, bool]:
        digest = await put(site.store, LAYER)
        upload = await site.store.mount("b", Digest.of(b"absent"), "a")
        assert upload is not None
        await upload.abort()
        return await site.store.mount("b", digest, "a") is None, upload is not None

    assert asyncio.run(work()) == (True, True)


def test_manifest_under_a_tag_is_there_now_and_later(site: Site) -> None:
    async def work() -> None:
        raw = await site.image(LAYER)
        head = ManifestHead(raw.digest, raw.media_type, len(raw.content))
        for store in site.now_and_later():
            assert await store.manifest_head(NAME, "1") == head
            assert await store.manifest_head("library/other", raw.digest) == head
            assert await store.manifest(NAME, "1") == raw
            assert await store.manifest(NAME, raw.digest) == raw
            assert await store.tags(NAME) == ("1",)
            assert await ArchiveStore(site.archive, "quay.io").manifest_head(NAME, "1") is None

    asyncio.run(work())


@pytest.mark.parametrize("reference", ["2", Digest.of(b"absent"), Digest.of(LAYER)], ids=str)
def test_manifest_that_is_not_there_is_unknown(site: Site, reference: str | Digest) -> None:
    async def work() -> None:
        await site.image(LAYER)
        assert await site.store.manifest_head(NAME, reference) is None
        with pytest.raises((NotFound, InvalidManifest)):
            await site.store.manifest(NAME, reference)
        with pytest.raises(NotFound):
            await site.store.tags("library/other")

    asyncio.run(work())


def test_manifest_without_its_blobs_is_not_taken(site: Site) -> None:
    async def work() -> None:
        await put(site.store, CONFIG)
        await site.store.put_manifest(NAME, "1", manifest(LAYER))

    with pytest.raises(NotFound, match=str(Digest.of(LAYER))):
        asyncio.run(work())
    assert site.archive.images == ()


def test_manifest_under_another_digest_is_not_taken(site: Site) -> None:
    with pytest.raises(DigestMismatch):
        asyncio.run(site.store.put_manifest(NAME, Digest.of(b"other"), manifest()))
    assert [*site.archive.content.digests()] == []


def test_referrers_are_listed_now_and_later(site: Site) -> None:
    async def work() -> None:
        subject = await site.image()
        about = {"subject": described(subject.content, subject.media_type)}
        more = {"artifactType": "text/x-signature", "annotations": {"by": "me"}}
        raw = await site.image(b"signature", tag=None, **about, **more)
        for store in site.now_and_later():
            (found,) = await store.referrers("any/name", subject.digest)
            assert found.to_json() == {**raw.descriptor.to_json(), **more}
            assert await store.referrers(NAME, raw.digest) == ()

    asyncio.run(work())


def test_archive_that_was_not_published_goes_on(site: Site) -> None:
    origin = Origin("source", Digest.of(b"source"), "all")

    async def work() -> RawManifest:
        raw = await site.image(LAYER)
        site.archive.add_origin(NGINX, origin)
        return raw

    raw = asyncio.run(work())
    store = site.again(lambda path: new_archive(path, site.form), publish=False)

    assert asyncio.run(store.manifest(NAME, "1")) == raw
    assert site.archive.origin(NGINX) == origin
    assert [image.tag for image in ArchiveStore(site.archive, "docker.io").archive.images] == ["1"]


def test_archive_is_added_to_and_keeps_what_it_has(site: Site) -> None:
    first = asyncio.run(site.image(LAYER))
    site.again(add_to_archive)
    second = asyncio.run(site.image(b"other", tag="2"))
    store = site.again(read_archive)

    assert asyncio.run(store.tags(NAME)) == ("1", "2")
    assert asyncio.run(store.manifest(NAME, "1")) == first
    assert asyncio.run(store.manifest(NAME, "2")) == second


def test_image_whose_blobs_are_gone_has_to_be_brought_again(folder: Site) -> None:
    raw = asyncio.run(folder.image(LAYER))
    folder.again(add_to_archive)
    (folder.path / "blobs/sha256" / Digest.of(LAYER).hex).unlink()

    assert asyncio.run(folder.store.manifest_head(NAME, raw.digest)) is None
    folder.archive.close()
    folder.archive = read_archive(folder.path)
    assert asyncio.run(folder.store.manifest_head(NAME, raw.digest)) is not None


@pytest.mark.parametrize("change", [b"", LAYER[:-1], LAYER + b"x", b"x" + LAYER[1:]], ids=len)
def test_damaged_blob_gives_its_last_bytes_to_nobody(folder: Site, change: bytes) -> None:
    digest = asyncio.run(put(folder.store, LAYER))
    (folder.path / "blobs/sha256" / digest.hex).write_bytes(change)
    got = bytearray()

    async def work() -> None:
        async with folder.store.blob(NAME, digest) as found:
            async for chunk in found:
                got.extend(chunk)

    with pytest.raises(ArchiveDamaged, match=f"{digest} is damaged"):
        asyncio.run(work())
    assert len(got) < len(LAYER)


def test_damaged_manifest_is_named_to_readers_and_brought_again_by_writers(
    folder: Site,
) -> None:
    raw = asyncio.run(folder.image())
    place = folder.path / "blobs/sha256" / raw.digest.hex
    store = folder.again(add_to_archive)
    place.write_bytes(b"{}")

    assert asyncio.run(store.manifest_head(NAME, "1")) is None
    assert asyncio.run(folder.image()) == raw
    assert place.read_bytes() == raw.content
    place.write_bytes(b"{}")
    with pytest.raises(ArchiveDamaged, match=str(raw.digest)):
        asyncio.run(folder.again(read_archive).manifest_head(NAME, "1"))


@pytest.mark.parametrize(
    ("field", "value"),
    [("size", 1), ("mediaType", media.OCI_INDEX), ("mediaType", "text/plain")],
)
def test_entry_that_lies_about_its_manifest_is_named(
    folder: Site, field: str, value: object
) -> None:
    asyncio.run(folder.image())
    folder.again(read_archive)
    index = json.loads((folder.path / "index.json").read_text())
    index["manifests"][0][field] = value
    (folder.path / "index.json").write_text(json.dumps(index))

    with pytest.raises(ArchiveDamaged, match=r"docker.io/library/nginx:1: index.json says"):
        asyncio.run(folder.again(read_archive, publish=False).manifest(NAME, "1"))


def test_sweeping_leaves_what_tags_and_referrers_lead_to(folder: Site) -> None:
    async def work() -> set[Digest]:
        subject = await folder.image(LAYER)
        await put(folder.store, b"left over")
        about = {"subject": described(subject.content, subject.media_type)}
        raw = await folder.image(b"signature", tag=None, **about)
        index = {"schemaVersion": 2, "manifests": [described(subject.content, media.OCI_MANIFEST)]}
        top = RawManifest(media.OCI_INDEX, json.dumps(index).encode())
        await folder.store.put_manifest(NAME, "1", top)
        kept = RawManifest(media.OCI_INDEX, b'{"schemaVersion": 2, "manifests": []}')
        await folder.store.put_manifest(NAME, kept.digest, kept)
        folder.archive.add_origin(NGINX, Origin("source", kept.digest, "all"))
        found = {Digest.of(blob) for blob in (CONFIG, LAYER, b"signature")}
        return found | {subject.digest, raw.digest, top.digest, kept.digest}

    wanted = asyncio.run(work())

    assert folder.archive.reachable() == wanted
