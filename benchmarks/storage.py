"""docker-registry's folders, written and read without a registry: a thousand blobs in a second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.helpers.content import Image

_BLOBS = Path("docker/registry/v2/blobs/sha256")
_REPOSITORIES = Path("docker/registry/v2/repositories")


def write_image(storage: Path, repository: str, tag: str, image: Image) -> None:
    """Lay an image under a tag, as docker-registry 2.8 would have after it was pushed."""
    for blob in image.blobs:
        _write_data(storage, blob.digest, blob.data)
        _link(_home(storage, repository) / "_layers" / _path(blob.digest), blob.digest)
    for manifest in image.manifests:
        _write_data(storage, manifest.digest, manifest.data)
        revision = _home(storage, repository) / "_manifests/revisions" / _path(manifest.digest)
        _link(revision, manifest.digest)
    set_tag(storage, repository, tag, image.top.digest)


def set_tag(storage: Path, repository: str, tag: str, digest: str) -> None:
    """Let a tag lead to a manifest that lies there; a running registry follows at once."""
    folder = _home(storage, repository) / "_manifests/tags" / tag
    _link(folder / "index" / _path(digest), digest)
    _link(folder / "current", digest)


def tags_of(storage: Path) -> Iterator[tuple[str, str, str]]:
    """Give repository, tag and digest of every tag that is there."""
    root = storage / _REPOSITORIES
    for link in root.glob("**/_manifests/tags/*/current/link"):
        repository = link.parents[4].relative_to(root)
        yield str(repository), link.parents[1].name, link.read_text()


def _home(storage: Path, repository: str) -> Path:
    return storage / _REPOSITORIES / repository


def _path(digest: str) -> Path:
    return Path(digest.replace(":", "/"))


def _write_data(storage: Path, digest: str, data: bytes) -> None:
    value = digest.partition(":")[2]
    path = storage / _BLOBS / value[:2] / value / "data"
    if not path.exists():
        path.parent.mkdir(parents=True)
        path.write_bytes(data)


def _link(folder: Path, digest: str) -> None:
    """Write a link file; whoever reads meanwhile sees the old one or the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / "link.new"
    new.write_text(digest)
    new.replace(folder / "link")
