"""A run over an image list between stores in memory, with stand-ins for skopeo and buildx."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from image_tools.commands.archives import ArchiveDestination
from image_tools.commands.list_run import ListRun
from image_tools.commands.request import ListRequest
from image_tools.commands.wiring import Surroundings, Wiring
from image_tools.imagelist.entry import ImageList
from image_tools.imagelist.line import into_archive
from image_tools.imagelist.reader import read_list
from image_tools.imagelist.registries import Registries
from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest, index_bytes
from image_tools.plan.plan import FinalIndex
from image_tools.run.endpoints import Endpoints
from image_tools.run.job import Job
from image_tools.run.progress import Progress
from image_tools.run.tools.assembler import Assembler, WrittenIndex
from image_tools.run.tools.copier import Copier
from image_tools.run.tools.own_client import OWN_CLIENT
from image_tools.run.tools.toolbox import Toolbox
from image_tools.stores.archive.content import Form
from image_tools.stores.remote.registry import Remote
from tests.helpers.memory_store import MemoryStore

_REASON = "a test has no tools"


class NoTools(Toolbox):
    """Tools that are always usable, since nobody uses them."""

    def hurry(self) -> None:
        """Look for nothing."""

    async def tools(self) -> Any:
        """Find nothing, and do not complain."""


class MemoryCopier(Copier):
    """Copies an image with our own client, as if no tool could read it."""

    def takes_several(self, job: Job) -> bool:
        """Return False: each platform is copied alone."""
        return False

    async def copy(self, job: Job, child: Any, ending: str, *, is_referrer: bool = False) -> None:
        """Place the blobs of `child` and write its manifest."""
        await self.foreign.bring(job, (child,))
        await self.place(job, (child,))
        await self.own.write(job, child.raw, ending, _REASON)


class MemoryAssembler(Assembler):
    """Writes indexes with our own client."""

    async def publish(
        self, job: Job, final: FinalIndex, nested: tuple[RawManifest, ...], tag: str | None
    ) -> WrittenIndex:
        """Write the nested indexes, then the index."""
        for inner in nested:
            await self.exactly(job, inner, None)
        raw = final.exact or RawManifest(final.media_type, index_bytes(final.index))
        return await self.exactly(job, raw, tag)

    async def exactly(self, job: Job, raw: RawManifest, tag: str | None) -> WrittenIndex:
        """Write the bytes of `raw`."""
        await self.own.write(job, raw, f"@{raw.digest}" if tag is None else f":{tag}", _REASON)
        return WrittenIndex(raw.digest, OWN_CLIENT)


def wiring_over(*stores: MemoryStore) -> type[Wiring]:
    """Return a Wiring whose registries are `stores`, by their names."""

    class MemoryWiring(Wiring):
        copiers = MemoryCopier
        assemblers = MemoryAssembler

        def toolbox(self) -> Toolbox:
            return NoTools(self.workspace, self.surroundings.environ, threads=1)

        def endpoints(self, images: ImageList) -> Endpoints:
            found = super().endpoints(images)
            for store in stores:
                found._registries[store.name] = cast(Remote, store)
                if found.source_archive is None:
                    found._stores[store.name] = store
            return found

    return MemoryWiring


def memory_run(request: ListRequest, home: Path, *stores: MemoryStore) -> ListRun:
    """Return a run of `request` between `stores`; it writes below `home` alone."""
    environ = {"HOME": str(home), "TMPDIR": str(home), "XDG_RUNTIME_DIR": str(home)}
    surroundings = Surroundings(environ=environ, progress=Progress())
    return ListRun(request, surroundings, wiring=wiring_over(*stores))


def add_image(store: MemoryStore, repository: str, tag: str, *platforms: str) -> Digest:
    """Put an index of one image per platform into `store`; return its digest."""
    children = [_child(store, repository, tag, platform) for platform in platforms]
    raw = _manifest(media.OCI_INDEX, manifests=children)
    return store.add_manifest(repository, raw, tag)


def _child(store: MemoryStore, repository: str, tag: str, platform: str) -> dict[str, Any]:
    system, architecture = platform.split("/")
    stated = {"os": system, "architecture": architecture}
    config = json.dumps({**stated, "created": "2024-01-31T11:22:33Z"}).encode()
    layer = f"{repository}:{tag} for {platform}".encode()
    raw = _manifest(
        media.OCI_MANIFEST,
        config=_blob(store, repository, media.OCI_CONFIG, config),
        layers=[_blob(store, repository, "application/vnd.oci.image.layer.v1.tar+gzip", layer)],
    )
    store.add_manifest(repository, raw)
    return {**raw.descriptor.to_json(), "platform": stated}


def _blob(store: MemoryStore, repository: str, media_type: str, content: bytes) -> dict[str, Any]:
    digest = store.add_blob(repository, content)
    return {"mediaType": media_type, "digest": str(digest), "size": len(content)}


def _manifest(media_type: str, **fields: Any) -> RawManifest:
    document = {"schemaVersion": 2, "mediaType": media_type, **fields}
    return RawManifest(media_type, json.dumps(document).encode())


def saved_archive(home: Path, store: MemoryStore, *platforms: str) -> tuple[Path, Digest]:
    """Save an image of `platforms` into a folder archive; return its path and the digest."""
    digest = add_image(store, "team/app", "1", *platforms)
    end = ArchiveDestination(path=home / "images", form=Form.FOLDER)
    request = ListRequest(command="save", destination=end, insecure_policy=True)
    registries = Registries(source=store.name)
    images = read_list(b"team/app:1\n", "list.txt", registries, into_archive)
    with memory_run(request, home, store) as run:
        assert run.run(images).exit_code == 0
    return end.path, digest
