"""Builds the context of a run from its request: stores, tools, policy, key, quota."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from loguru import logger

from image_tools.commands.archives import ArchiveDestination, ArchiveSource, OpenDestination
from image_tools.commands.request import ListRequest, SigningKey
from image_tools.errors import EnvironmentProblem
from image_tools.imagelist.entry import ImageList
from image_tools.machine.workspace import Workspace
from image_tools.run.context import RunContext, TransferContext
from image_tools.run.endpoints import Endpoints, OnSecret, RegistryEnd
from image_tools.run.local_transfers import LocalTransfers
from image_tools.run.memory import Base, FromArchive, Memory, PassedOn
from image_tools.run.preflight import Ask, Preflight
from image_tools.run.progress import Progress
from image_tools.run.quota import Quota
from image_tools.run.reader import Reader
from image_tools.run.referrers import ReferrerFinder
from image_tools.run.scheduler import Scheduler
from image_tools.run.tools.assembler import Assembler
from image_tools.run.tools.copier import Copier
from image_tools.run.tools.direct import DirectWay
from image_tools.run.tools.referrers import ReferrerCopier
from image_tools.run.tools.signer import Signer
from image_tools.run.tools.toolbox import Toolbox
from image_tools.state import State
from image_tools.stores.archive.archive import Archive
from image_tools.stores.remote.limits.meter import Meters
from image_tools.stores.remote.registries_conf import load
from image_tools.tools.policy import MACHINE_POLICY, SignaturePolicy, read_policy
from image_tools.tools.skopeo import SigstoreKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The values that a run gets from the process it runs in.

    `on_secret` is told every password, with its user name, before it is used. `clean` takes such
    secrets out of texts. `ask` asks the person at the terminal for a login, None where there is no
    such person.
    """

    environ: Mapping[str, str]
    progress: Progress
    on_secret: OnSecret = lambda *_: None
    clean: Callable[[str], str] = str
    ask: Ask | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """The input for the context of a run: the request, and the ends that are open.

    `copiers` and `assemblers` are the classes that run the tools.
    """

    copiers: ClassVar[type[Copier]] = Copier
    assemblers: ClassVar[type[Assembler]] = Assembler

    request: ListRequest
    surroundings: Surroundings
    workspace: Workspace
    source: Archive | None
    destination: OpenDestination
    state: State | None

    async def context(self, images: ImageList) -> RunContext:
        """Return a context for `images`; it belongs to the event loop this runs on."""
        request, progress = self.request, self.surroundings.progress
        options, base = request.options, self._base()
        endpoints = self.endpoints(images)
        if base is not None:
            endpoints.note_base(base.inventory.read_from)
        reader, scheduler = Reader(), Scheduler(options.dispatched, options.jobs)
        local = self._transfer_context(endpoints, reader, scheduler)
        context = RunContext(
            options=options,
            endpoints=endpoints,
            reader=reader,
            scheduler=scheduler,
            progress=progress,
            quota=Quota(endpoints.meters, progress, waits=options.waits_for_quota),
            transfers=LocalTransfers(local),
            local=local,
            reads_directly=local.copier.direct.applies_to,
            state=self._memory(),
            preflight=None if request.skip_login else Preflight(endpoints, self.surroundings.ask),
            referrers=None if request.remove_signatures else ReferrerFinder(reader),
            base=base,
        )
        progress.bytes_source = lambda: context.traffic.bytes_written
        return context

    async def transfers(self, images: ImageList) -> LocalTransfers:
        """Return what carries out the transfers of `images`, without all that decides about them.

        So it is in a process that gets its jobs from another one. Close its endpoints at the end.
        """
        options = self.request.options
        scheduler = Scheduler(options.dispatched, options.jobs)
        return LocalTransfers(self._transfer_context(self.endpoints(images), Reader(), scheduler))

    def _transfer_context(
        self, endpoints: Endpoints, reader: Reader, scheduler: Scheduler
    ) -> TransferContext:
        """Return what this process carries out transfers with."""
        request, options = self.request, self.request.options
        toolbox = self.toolbox()
        direct = DirectWay(self._policy(), options.direct, endpoints, toolbox)
        copier = self.copiers(toolbox, options, reader, scheduler, direct)
        assembler = self.assemblers(toolbox, reader, scheduler, options.retry, copier.own)
        referrers, signer = None, None
        if not request.remove_signatures:
            referrers = ReferrerCopier(reader, copier, assembler, options.overwrite)
        if request.signing_key is not None:
            key = key_of(request.signing_key, self.workspace)
            signer = Signer(toolbox, reader, scheduler, options.retry, key)
        return TransferContext(
            endpoints=endpoints,
            toolbox=toolbox,
            reader=reader,
            copier=copier,
            assembler=assembler,
            progress=self.surroundings.progress,
            referrers=referrers,
            signer=signer,
        )

    def endpoints(self, images: ImageList) -> Endpoints:
        """Return the stores of the run, which are opened when first used."""
        source, destination = self.request.source, self.request.destination
        environ = self.surroundings.environ
        return Endpoints(
            source=_registries(source, {entry.source.registry for entry in images.entries}),
            destination=_registries(
                destination, {entry.destination.registry for entry in images.entries}
            ),
            retry=self.request.options.retry,
            flights=self.request.options.flights,
            environ=environ,
            conf=load(environ),
            on_secret=self.surroundings.on_secret,
            source_archive=self.source,
            destination_archive=self.destination.archive,
            meters=Meters(self.request.options.pull_budget),
        )

    def toolbox(self) -> Toolbox:
        """Return the tools of the run, which are found when first used."""
        progress = self.surroundings.progress

        def show_download(done: int, total: int | None) -> None:
            of_total = f" of {total / 1e6:.0f}" if total else ""
            progress.begin("skopeo", f"downloading skopeo: {done / 1e6:.0f}{of_total} MB")
            if done == total:
                progress.end("skopeo")

        return Toolbox(
            self.workspace,
            self.surroundings.environ,
            threads=self.request.options.jobs + 1,
            download=self.request.download,
            on_download=show_download,
        )

    def _policy(self) -> SignaturePolicy:
        if self.source is not None:
            # A policy is about registries: it was applied when the archive was saved.
            return SignaturePolicy()
        return policy_of(self.request, self.surroundings.environ)

    def _memory(self) -> Memory | None:
        """Return what earlier runs finished: in the archive that is written, else in the state."""
        if self.source is not None and self.destination.archive is not None:
            return PassedOn(self.source, self.destination.archive)
        if self.source is not None and self.state is not None:
            return FromArchive(self.state, self.source)
        return self.destination.memory() or self.state

    def _base(self) -> Base | None:
        end = self.request.destination
        if isinstance(end, RegistryEnd) or end.base is None:
            return None
        return Base(end.base)


def _registries(
    end: RegistryEnd | ArchiveSource | ArchiveDestination, registries: set[str]
) -> RegistryEnd:
    return end.among(registries) if isinstance(end, RegistryEnd) else RegistryEnd()


def policy_of(
    request: ListRequest, environ: Mapping[str, str], machine: Path = MACHINE_POLICY
) -> SignaturePolicy:
    """Return the signature policy of a run; a policy that accepts everything is logged.

    `machine` is the policy that applies to all users of this machine.
    """
    if request.insecure_policy:
        logger.info("--insecure-policy: no signature policy is applied to any source")
        return SignaturePolicy()
    policy = read_policy(request.policy, environ, machine)
    if policy.path is None:
        logger.info(
            "this machine has no signature policy: images are accepted, signed or not"
            " (--policy FILE applies one)"
        )
    else:
        logger.debug("the signature policy is {}", policy.path)
    return policy


def key_of(key: SigningKey, workspace: Workspace) -> SigstoreKey:
    """Return the key for skopeo; a passphrase without a file is written to the private folder."""
    file = key.passphrase_file
    if file is None:
        file = workspace.write_private("passphrase", key.passphrase.encode())
    return SigstoreKey(key.private_key.absolute(), file.absolute())


def key_id(key: SigningKey | None) -> str:
    """Return a short name for `key`, made from its content; empty without one.

    Raise EnvironmentProblem when it cannot be read.
    """
    if key is None:
        return ""
    try:
        return hashlib.sha256(key.private_key.read_bytes()).hexdigest()[:12]
    except OSError as error:
        raise EnvironmentProblem(f"{key.private_key}: {error.strerror}") from error
