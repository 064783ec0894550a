"""Runs of the program between two registries of the zoo, and questions to one of them."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from image_tools.errors import ImageToolsError
from image_tools.exchange.placing import MOST_WAYS
from image_tools.logins.credentials import Credentials, Keyring
from image_tools.oci.digest import Digest
from image_tools.retry import RetryPolicy
from image_tools.stores.remote.client import RemoteOptions
from image_tools.stores.remote.registry import Remote
from image_tools.web.connect import Timing
from image_tools.web.tls import TlsChoice
from tests.helpers import images
from tests.helpers.content import Image
from tests.helpers.endpoint import LAB_LOGIN
from tests.helpers.running import Ran, image_tools, mirror
from tests.zoo.registry import ZooRegistry

T = TypeVar("T")
NAME, TAG = "team/app", "1.0"
ONE = f"{NAME}:{TAG}"
# The cheapest to copy: one manifest, two blobs, one start of skopeo and none of buildx.
SMALL = images.helm_chart(1)
CHANGED = images.helm_chart(2)
LOGIN = Credentials(LAB_LOGIN.username, LAB_LOGIN.password)
QUICK = ("--retry-times", "1", "--retry-delay", "10ms")


@dataclass(frozen=True, kw_only=True)
class Trip:
    """A source, a destination, and a folder for list, state and failed list."""

    source: ZooRegistry
    destination: ZooRegistry
    folder: Path

    @property
    def ends(self) -> tuple[ZooRegistry, ZooRegistry]:
        """Return both registries."""
        return self.source, self.destination

    def mirror(self, *words: str, images: tuple[str, ...] = (ONE,)) -> Ran:
        """Mirror images of the source, named as `repository:tag`."""
        return mirror(self.folder, self.lines(images), "-d", self.destination.address, *words)

    def validate(self, depth: str, *words: str) -> Ran:
        """Compare both ends, as deep as `depth` says."""
        shown = ("--format", "json", "-o", str(self.folder / "validate-failed.txt"), *QUICK)
        return self._listed("mirror-validate", "--depth", depth, "--no-state", *shown, *words)

    def inventory(self) -> Ran:
        """Write down what is at the destination."""
        return self._listed("inventory")

    def doctor(self) -> Ran:
        """Look at both registries."""
        return self._listed("doctor")

    def save(self) -> Ran:
        """Save the image of the source into an archive."""
        words = ("-f", self._list(), "-d", self.archive, "--format", "json", *QUICK)
        return image_tools("save", *words, "-o", self.folder / "save-failed.txt")

    def load(self) -> Ran:
        """Load that archive into the destination."""
        words = ("-s", self.archive, "-d", self.destination.address, "--format", "json", *QUICK)
        return image_tools("load", *words, "-o", self.folder / "load-failed.txt")

    @property
    def archive(self) -> Path:
        """Return where the archive lies."""
        return self.folder / "saved.tar"

    def lines(self, images: tuple[str, ...]) -> str:
        """Return the list of these images of the source."""
        return "".join(f"{self.source.address}/{image}\n" for image in images)

    def forget(self) -> None:
        """Forget what both ends were asked for."""
        for end in self.ends:
            end.clear_log()
            end.token_requests.clear()

    def digests(self) -> dict[str, dict[str, str]]:
        """Return the digest of every tag at the destination, by repository."""
        tags = self.destination.store.tags
        return {name: dict(found) for name, found in tags.items() if found}

    def _list(self) -> Path:
        path = self.folder / "trip.txt"
        path.write_text(self.lines((ONE,)))
        return path

    def _listed(self, command: str, *words: str) -> Ran:
        ends = ("-f", self._list(), "-d", self.destination.address)
        return image_tools(command, *ends, *words)


def single(command: str, registry: ZooRegistry, image: str = ONE, *words: str) -> Ran:
    """Run a command about one image or repository of a registry: inspect, list-tags, delete."""
    return image_tools(command, f"{registry.address}/{image}", *QUICK, *words)


def log_in(home: Path, *registries: ZooRegistry, identity: str = "") -> None:
    """Leave the lab's login, or an identity token, for these registries where docker leaves it."""
    username = "00000000-0000-0000-0000-000000000000" if identity else LAB_LOGIN.username
    pair = f"{username}:{'' if identity else LAB_LOGIN.password}"
    entry = {"auth": base64.b64encode(pair.encode()).decode()}
    if identity:
        entry["identitytoken"] = identity
    path = home / ".docker" / "config.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps({"auths": {one.address: entry for one in registries}}))


def ask(
    registry: ZooRegistry,
    action: Callable[[Remote], Awaitable[T]],
    login: Credentials | None = None,
) -> T:
    """Return what `action` returns with the program's own client of a registry."""

    async def run() -> T:
        policy = RetryPolicy(times=1, delay=0.01)
        options = RemoteOptions(
            policy=policy, tls=TlsChoice(verify=False), timing=Timing(stall=2.0)
        )
        store = Remote(registry.address, Keyring({}, login), options, os.environ)
        try:
            return await action(store)
        finally:
            await store.close()

    return asyncio.run(run())


async def send(store: Remote, data: bytes, repository: str = NAME) -> None:
    """Send a blob as one upload, and another way where the registry took nothing of it."""
    for _ in range(MOST_WAYS):
        upload = await store.upload(repository)
        try:
            return await upload.put(Digest.of(data), len(data), _pieces(data))
        except ImageToolsError as error:
            if not error.another_way:
                raise
    raise AssertionError("the blob always went another way")


async def receive(store: Remote, digest: str, **part: int) -> bytes:
    """Return a blob, or the part from byte `first` to `last`."""
    async with store.blob(NAME, Digest.parse(digest), **part) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 1000):
        yield data[at : at + 1000]


def filled(registry: ZooRegistry, image: Image = SMALL) -> ZooRegistry:
    """Return the registry with `image` in it."""
    registry.load(NAME, TAG, image)
    return registry
