"""The floor: an HTTP copier without tools, checks or second thoughts. A contestant, no product.

`python -m benchmarks.floor SOURCE DESTINATION CA LOGIN [ARCH,...]` reads `repository:tag` lines.
Each blob is pulled once, pushed once and mounted elsewhere; each manifest is put as it is.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import sys
from collections.abc import AsyncIterator, Collection, Iterator
from typing import Any

import aiohttp

CONNECTIONS = 32
BLOBS_AT_ONCE = 24
PIECE = 256 * 1024
TYPES = ",".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
Manifest = tuple[str, str, bytes]  # reference, media type, content


class Registry:
    """One end: a connection pool and a token for the whole run."""

    def __init__(self, address: str, authority: str) -> None:
        """Give a registry that trusts this authority."""
        context = ssl.create_default_context(cafile=authority)
        connector = aiohttp.TCPConnector(limit=CONNECTIONS, ssl=context)
        self.session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        self.root = f"https://{address}/v2/"
        self.headers: dict[str, str] = {"Accept": TYPES}

    async def sign_in(self, login: str, repositories: Collection[str], actions: str) -> None:
        """Ask for one token for everything, when one is demanded."""
        async with self.session.get(self.root) as answer:
            challenge = answer.headers.get("WWW-Authenticate", "")
        if not challenge.startswith("Bearer "):
            return
        said = dict(part.split("=", 1) for part in challenge[7:].split(","))
        said = {name: value.strip('"') for name, value in said.items()}
        query = [("service", said["service"])]
        query += [("scope", f"repository:{name}:{actions}") for name in repositories]
        coded = base64.b64encode(login.encode()).decode()
        headers = {"Authorization": f"Basic {coded}"}
        async with self.session.get(said["realm"], params=query, headers=headers) as answer:
            self.headers["Authorization"] = f"Bearer {(await answer.json())['token']}"

    def ask(self, method: str, path: str, **more: Any) -> Any:
        """Give the request as a context; `path` below /v2/ or a whole address."""
        url = path if path.startswith("http") else self.root + path
        headers = {**self.headers, **more.pop("headers", {})}
        return self.session.request(method, url, headers=headers, **more)

    async def digest(self, repository: str, reference: str) -> str:
        """Give a manifest's digest; empty when there is none."""
        async with self.ask("HEAD", f"{repository}/manifests/{reference}") as answer:
            return str(answer.headers["Docker-Content-Digest"]) if answer.status == 200 else ""

    async def manifest(self, repository: str, reference: str) -> Manifest:
        """Give a manifest."""
        async with self.ask("GET", f"{repository}/manifests/{reference}") as answer:
            answer.raise_for_status()
            return reference, answer.content_type, await answer.read()

    async def put_manifest(self, repository: str, manifest: Manifest) -> None:
        """Write a manifest under its reference."""
        reference, media_type, data = manifest
        path = f"{repository}/manifests/{reference}"
        headers = {"Content-Type": media_type}
        async with self.ask("PUT", path, data=data, headers=headers) as answer:
            answer.raise_for_status()


class Copier:
    """Carries a list; knows which repository of the destination has which blob."""

    def __init__(self, source: Registry, destination: Registry, wanted: Collection[str]) -> None:
        """Begin with nothing known."""
        self.source, self.destination, self.wanted = source, destination, wanted
        self.owners: dict[str, asyncio.Future[str]] = {}
        self.brought: dict[tuple[str, str], asyncio.Task[None]] = {}
        self.places = asyncio.Semaphore(BLOBS_AT_ONCE)

    async def mirror(self, repository: str, tag: str) -> None:
        """Bring one image to the destination, unless it is there."""
        here, there = await asyncio.gather(
            self.source.digest(repository, tag), self.destination.digest(repository, tag)
        )
        if here == there:
            return
        top, children = await self._read(repository, tag)
        blobs = {
            blob["digest"]: blob["size"]
            for _, _, data in (children or (top,))
            for blob in _blobs(json.loads(data))
        }
        await asyncio.gather(*(self._once(repository, *blob) for blob in blobs.items()))
        put = self.destination.put_manifest
        await asyncio.gather(*(put(repository, child) for child in children))
        await put(repository, top)

    async def _read(self, repository: str, tag: str) -> tuple[Manifest, tuple[Manifest, ...]]:
        top = await self.source.manifest(repository, tag)
        value = json.loads(top[2])
        if "manifests" not in value:
            return top, ()
        kept = [one for one in value["manifests"] if self._wants(one)]
        digests = {one["digest"] for one in kept}
        about = "vnd.docker.reference.digest"
        kept += [
            one
            for one in value["manifests"]
            if self.wanted and one.get("annotations", {}).get(about) in digests
        ]
        if len(kept) < len(value["manifests"]):
            top = (tag, top[1], json.dumps({**value, "manifests": kept}).encode())
        read = (self.source.manifest(repository, one["digest"]) for one in kept)
        return top, tuple(await asyncio.gather(*read))

    def _wants(self, entry: dict[str, Any]) -> bool:
        where = entry["platform"]
        return not self.wanted or (where["os"] == "linux" and where["architecture"] in self.wanted)

    def _once(self, repository: str, digest: str, size: int) -> asyncio.Task[None]:
        """Two images of one repository do not bring the same blob twice."""
        key = repository, digest
        if key not in self.brought:
            self.brought[key] = asyncio.ensure_future(self._bring(repository, digest, size))
        return self.brought[key]

    async def _bring(self, repository: str, digest: str, size: int) -> None:
        async with self.destination.ask("HEAD", f"{repository}/blobs/{digest}") as answer:
            if answer.status == 200:
                return
        if (owner := self.owners.get(digest)) is not None:
            await self._mount(repository, digest, await owner)
            return
        owner = self.owners[digest] = asyncio.get_running_loop().create_future()
        async with self.places:
            await self._send(repository, digest, size)
        owner.set_result(repository)

    async def _mount(self, repository: str, digest: str, owner: str) -> None:
        if owner == repository:
            return
        query = {"mount": digest, "from": owner}
        async with self.destination.ask(
            "POST", f"{repository}/blobs/uploads/", params=query
        ) as answer:
            assert answer.status == 201, answer.status

    async def _send(self, repository: str, digest: str, size: int) -> None:
        begun = self.destination.ask("POST", f"{repository}/blobs/uploads/")
        pulled = self.source.ask("GET", f"{repository}/blobs/{digest}")
        async with begun as upload, pulled as blob:
            location = upload.headers["Location"]
            target = f"{location}{'&' if '?' in location else '?'}digest={digest}"
            headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
            pieces = _pieces(blob)
            async with self.destination.ask("PUT", target, data=pieces, headers=headers) as done:
                assert done.status == 201, done.status


async def _pieces(blob: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async for piece in blob.content.iter_chunked(PIECE):
        yield piece


def _blobs(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return iter((manifest["config"], *manifest["layers"]))


async def main(words: list[str], lines: list[str]) -> None:
    """Mirror the lines."""
    source, destination = (Registry(address, words[2]) for address in words[:2])
    pairs = [line.rpartition(":")[::2] for line in lines]
    names = {repository for repository, _ in pairs}
    try:
        await asyncio.gather(
            source.sign_in(words[3], names, "pull"),
            destination.sign_in(words[3], names, "pull,push"),
        )
        copier = Copier(source, destination, words[4].split(",") if len(words) > 4 else ())
        await asyncio.gather(*(copier.mirror(*pair) for pair in pairs))
    finally:
        await source.session.close()
        await destination.session.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:], sys.stdin.read().split()))
