"""Signing what was copied with a sigstore key, by skopeo, under the destination's own name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from weakref import WeakValueDictionary

from loguru import logger

from image_tools.errors import EnvironmentProblem
from image_tools.machine.concurrency import together
from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Index, Manifest, RawManifest, index_bytes, parse
from image_tools.plan.referrers import cosign_tags
from image_tools.retry import RetryPolicy, repeat_async
from image_tools.run.job import Job
from image_tools.run.reader import Reader
from image_tools.run.scheduler import Scheduler
from image_tools.run.tools.toolbox import Toolbox, cause_of
from image_tools.tools.locate import SKOPEO_VARIABLE
from image_tools.tools.skopeo import (
    SIMPLE_SIGNING,
    SignRequest,
    SigstoreKey,
    SkopeoSetting,
    attachments_conf,
    sign_argv,
    trial_argv,
    write_index_folder,
)

LONGEST_PAYLOAD = 64 * 1024


@dataclass(slots=True, eq=False)
class Signer:
    """Runs skopeo to sign manifests that are at the destination already, with `key`."""

    toolbox: Toolbox
    reader: Reader
    scheduler: Scheduler
    retry: RetryPolicy
    key: SigstoreKey
    _once: asyncio.Lock = field(default_factory=asyncio.Lock)
    _setting: SkopeoSetting | None = None
    _useless: EnvironmentProblem | None = None
    _locks: WeakValueDictionary[tuple[str, Digest], asyncio.Lock] = field(
        default_factory=WeakValueDictionary
    )

    async def ready(self) -> SkopeoSetting:
        """Return the setting once the key has opened; raise EnvironmentProblem if it does not."""
        async with self._once:
            if self._useless is not None:
                raise self._useless
            if self._setting is None:
                try:
                    self._setting = await self._prepared()
                except EnvironmentProblem as error:
                    self._useless = error
                    raise
            return self._setting

    async def sign(self, job: Job, digests: Sequence[Digest]) -> None:
        """Sign the manifests of `digests`, each beside it; signatures that are there stay."""
        await together(self._sign(job, digest) for digest in dict.fromkeys(digests))

    async def _sign(self, job: Job, digest: Digest) -> None:
        # skopeo reads what is there and writes it again, longer: one at a time.
        key = (job.entry.destination.name, digest)
        async with self._locks.setdefault(key, asyncio.Lock()):
            await repeat_async(self.retry, lambda: self._attempt(job, digest))

    async def _attempt(self, job: Job, digest: Digest) -> None:
        setting = await self.ready()
        exchange = self.toolbox.exchange
        known = self.reader.known(digest)
        memory = {} if known is None else {digest: known}
        async with self.scheduler.tool(job.entry.number, job.lane):
            source = exchange.open_source(
                job.destination.store, job.destination.name, job.traffic, manifests=memory
            )
            written = exchange.open_destination(job.end.tracked, job.destination.name, job.traffic)
            try:
                request = SignRequest(
                    setting=setting,
                    key=self.key,
                    source=exchange.reference(source, f"@{digest}"),
                    destination=exchange.reference(written, f"@{digest}"),
                    identity=str(job.entry.destination.with_tag(job.tag)),
                )
                completed = await self.toolbox.run(sign_argv(request))
            finally:
                await exchange.close(source)
                await exchange.close(written)
        if (cause := cause_of(completed, job.entry.destination, source, written)) is not None:
            raise cause
        logger.info("{}: signed {}", job.entry.destination, digest)

    async def _prepared(self) -> SkopeoSetting:
        """Return the setting to sign with, once the key has signed an empty index."""
        tools = await self.toolbox.tools()
        folder = self.toolbox.new_folder("signing")
        conf = attachments_conf(self.toolbox.exchange.address)
        (folder / "exchange.yaml").write_bytes(conf)
        empty = RawManifest(media.OCI_INDEX, index_bytes(Index(media.OCI_INDEX, ())))
        source = self.toolbox.new_folder("nothing")
        write_index_folder(source, empty)
        argv = trial_argv(tools.setting, self.key, source, self.toolbox.new_folder("signed"))
        completed = await self.toolbox.run(argv)
        if completed.returncode != 0:
            raise _useless(tools.setting, self.key.private_key, completed.stderr)
        return replace(tools.setting, registries_d=folder)


def _useless(setting: SkopeoSetting, path: Path, said: str) -> EnvironmentProblem:
    """Return why signing failed: a skopeo before 1.9 or without sigstore, or a bad key."""
    if "unknown flag" in said or "sigstore disabled" in said:
        return EnvironmentProblem(
            f"{setting.skopeo} cannot sign with a sigstore key: it is too old, or built without"
            " sigstore, as Debian does",
            advice=f"name a skopeo 1.9 or newer, as its project builds it, in {SKOPEO_VARIABLE}",
        )
    last = said.strip().rpartition("\n")[2].rpartition('msg="')[2].rstrip('"')
    return EnvironmentProblem(
        f"{path}: skopeo cannot sign with this key: {last}",
        advice="look at --sigstore-private-key and --sigstore-passphrase-file",
    )


async def is_signed(reader: Reader, job: Job, digest: Digest) -> bool:
    """Return whether `digest` has a signature for the destination's name, by any signer."""
    tag = dict(cosign_tags(digest))["signature"]
    head = await job.destination.store.manifest_head(job.destination.name, tag)
    if head is None:
        return False
    found = parse(await reader.manifest(job.destination, head.digest))
    if not isinstance(found, Manifest):
        return False
    payloads = await together(
        reader.config(job.destination, layer)
        for layer in found.layers
        if layer.media_type == SIMPLE_SIGNING and layer.size <= LONGEST_PAYLOAD
    )
    return any(_names(payload, str(job.entry.destination)) for payload in payloads)


def _names(payload: bytes, reference: str) -> bool:
    """Return whether a signature's payload (containers-signature(5)) is for `reference`."""
    try:
        identity = json.loads(payload)["critical"]["identity"]["docker-reference"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return False
    return bool(identity == reference)
