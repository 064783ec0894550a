"""A folder from strangers: whatever was done to it, never a wrong byte and never a traceback."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from image_tools.errors import ImageToolsError
from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.oci.reference import Reference
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.content import Form
from image_tools.stores.archive.opening import add_to_archive, new_archive, read_archive
from image_tools.stores.archive.store import ArchiveStore
from tests.helpers.examples import examples

BLOBS = (b'{"architecture": "amd64", "os": "linux"}', b"layer" * 50)
NGINX = Reference.parse("nginx:1")


def _described(content: bytes, kind: str) -> dict[str, object]:
    return {"mediaType": kind, "digest": str(Digest.of(content)), "size": len(content)}


def _add(archive: Archive, content: bytes) -> None:
    incoming = archive.content.begin(len(content), compressible=True)
    incoming.write(content)
    incoming.finish(Digest.of(content))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "images"
    archive = new_archive(path, Form.FOLDER)
    for blob in BLOBS:
        _add(archive, blob)
    config, layer = BLOBS
    child = {
        "schemaVersion": 2,
        "mediaType": media.OCI_MANIFEST,
        "config": _described(config, media.OCI_CONFIG),
        "layers": [_described(layer, "text/plain")],
    }
    raw = RawManifest(media.OCI_MANIFEST, json.dumps(child).encode())
    archive.add_manifest(raw)
    index = {"schemaVersion": 2, "manifests": [_described(raw.content, media.OCI_MANIFEST)]}
    top = RawManifest(media.OCI_INDEX, json.dumps(index).encode())
    archive.add_manifest(top)
    archive.add_tag(NGINX, top)
    archive.publish()
    archive.close()
    return path


@st.composite
def _changes(draw: st.DrawFn) -> tuple[int, str, bytes, float]:
    """Which file, what is done to it, with which bytes, and how far into it."""
    kind = draw(st.sampled_from(["remove", "replace", "cut", "insert", "over", "link", "deep"]))
    text = draw(st.binary(max_size=12) | st.sampled_from([b"null", b"[]", b"{}", b'"', b"9" * 40]))
    return draw(st.integers(0, 10)), kind, text, draw(st.floats(0, 1))


def _change(path: Path, kind: str, text: bytes, where: float) -> None:
    content = path.read_bytes()
    at = int(where * len(content))
    path.unlink()
    if kind == "link":
        path.symlink_to("/etc/hostname")
    elif kind != "remove":
        path.write_bytes(
            {
                "replace": text,
                "cut": content[:at],
                "insert": content[:at] + text + content[at:],
                "over": content[:at] + text + content[at + len(text) :],
                "deep": b"[" * 3000 + content,
            }[kind]
        )


async def _blob(store: ArchiveStore, digest: Digest) -> bytes:
    async with store.blob("library/nginx", digest) as chunks:
        return b"".join([chunk async for chunk in chunks])


def _read(archive: Archive) -> Iterator[bytes]:
    """All that can be read of it, each piece once; what cannot be is explained."""
    store = ArchiveStore(archive, "docker.io")
    for image in archive.images:
        with suppress(ImageToolsError):
            yield asyncio.run(store.manifest(image.repository, image.tag or "")).content
    with suppress(ImageToolsError):
        asyncio.run(store.referrers("library/nginx", Digest.of(b"")))
    for digest in archive.reachable():
        with suppress(ImageToolsError):
            yield asyncio.run(_blob(store, digest))


@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_changes(), min_size=1, max_size=3))
def test_changed_folder_gives_right_bytes_or_an_explanation(
    whole: Path, tmp_path: Path, changes: list[tuple[int, str, bytes, float]]
) -> None:
    path = tmp_path / "images"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(whole, path)
    for number, *change in changes:
        files = sorted(found for found in path.rglob("*") if found.is_file())
        if files:
            _change(files[number % len(files)], *change)  # type: ignore[arg-type]
    known = {found.read_bytes() for found in whole.rglob("*") if found.is_file()}

    for opened in (read_archive, add_to_archive):
        with suppress(ImageToolsError):
            archive = opened(path)
            assert set(_read(archive)) <= known
            archive.close()
