"""A run between stores in memory, with tools that write manifests by themselves.

The engine, the stages, the ledger, the quota and the scheduler are the real ones. `Lab.events`
tells in order what the stores were asked and what the tools did, with names instead of digests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

from image_tools.errors import ImageToolsError
from image_tools.exchange.ledger import Ledger, Traffic
from image_tools.exchange.placing import Placer
from image_tools.exchange.sessions import TrackedStore
from image_tools.imagelist.entry import Entry, ImageList
from image_tools.imagelist.reader import read_list
from image_tools.imagelist.registries import Registries
from image_tools.logins.auth_file import Credentials
from image_tools.oci import media
from image_tools.oci.descriptor import ATTESTATION_SUBJECT, ATTESTATION_TYPE, Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Index, RawManifest, index_bytes
from image_tools.oci.reference import Reference
from image_tools.plan.copy_all import CopyAll
from image_tools.plan.inputs import ChildManifest
from image_tools.plan.plan import FinalIndex
from image_tools.plan.referrers import cosign_tags
from image_tools.report import Outcome, Status
from image_tools.retry import RetryPolicy
from image_tools.run.context import RunContext, TransferContext
from image_tools.run.endpoints import Destination, Endpoints, RegistryEnd
from image_tools.run.job import Job
from image_tools.run.line.plan import plan_image, with_referrers
from image_tools.run.line.probe import Probed, probe
from image_tools.run.line.read import read
from image_tools.run.local_transfers import LocalTransfers
from image_tools.run.options import Options
from image_tools.run.preflight import Preflight
from image_tools.run.progress import Progress
from image_tools.run.quota import Quota
from image_tools.run.reader import Reader
from image_tools.run.referrers import ReferrerFinder
from image_tools.run.scheduler import Scheduler
from image_tools.run.tools.assembler import BUILDX, INDEX_ONLY, WrittenIndex
from image_tools.run.tools.own_client import ForeignLayers, OwnClient, placement
from image_tools.run.tools.referrers import ReferrerCopier
from image_tools.run.transfer_job import TransferJob
from image_tools.state import Remembered
from image_tools.stores.remote.limits.meter import Meter, Meters
from image_tools.stores.remote.registries_conf import RegistriesConf
from image_tools.stores.store import Chosen, ManifestHead, Store
from tests.helpers.descriptors import UNKNOWN, platform
from tests.helpers.memory_store import MemoryStore

SOURCE, DESTINATION = "src.example", "dst.example"
REPOSITORY, TAG = "team/app", "1"
AMD64, ARM64, S390X = "linux/amd64", "linux/arm64", "linux/s390x"
LINE = f"{SOURCE}/{REPOSITORY}:{TAG}"
QUICK = RetryPolicy(times=2, delay=0.0)
SINCE = "2026-01-01T00:00:00Z"
_MANIFESTS = frozenset({"manifest_head", "manifest", "put_manifest", "referrers", "tags"})

Tell = Callable[[str, str, str], None]


class LabStore(MemoryStore):
    """A store that tells what it is asked, and whose manifests count as pulls at its `meter`.

    `names` gives what its images are called in the events.
    """

    def __init__(self, name: str, tell: Tell, names: dict[Digest, str]) -> None:
        super().__init__(name)
        self.meter: Meter | None = None
        self._tell, self._names = tell, names

    def image(
        self,
        where: str = AMD64,
        name: str = "",
        *,
        stated: str | None = None,
        layers: Sequence[bytes] = (),
        foreign: Sequence[bytes] = (),
        repository: str = REPOSITORY,
    ) -> Descriptor:
        """Lay down an image; return its entry, which says `stated` where that is not `where`."""
        name = name or where
        config = json.dumps({**platform(where).to_json(), "name": name}).encode()
        listed = [
            _link(content, "application/vnd.oci.layer") for content in layers or (name.encode(),)
        ]
        listed += [
            {**_link(content, "application/vnd.foreign"), "urls": ["https://far.example/layer"]}
            for content in foreign
        ]
        for content in (config, *(layers or (name.encode(),))):
            self.add_blob(repository, content)
        document = {
            "schemaVersion": 2,
            "config": _link(config, media.OCI_CONFIG),
            "layers": listed,
        }
        raw = RawManifest(media.OCI_MANIFEST, json.dumps(document).encode())
        self.add(raw, name, repository=repository)
        return replace(raw.descriptor, platform=platform(where if stated is None else stated))

    def attestation(self, subject: Descriptor, repository: str = REPOSITORY) -> Descriptor:
        """Lay down BuildKit's attestation about `subject`; return its entry."""
        name = f"attestation of {self._names[subject.digest]}"
        made = self.image("unknown/unknown", name, repository=repository)
        about = {ATTESTATION_TYPE: "attestation-manifest", ATTESTATION_SUBJECT: str(subject.digest)}
        return replace(made, platform=UNKNOWN, annotations=tuple(sorted(about.items())))

    def index(
        self,
        *entries: Descriptor,
        tag: str | None = TAG,
        name: str = "index",
        repository: str = REPOSITORY,
    ) -> RawManifest:
        """Lay down an index, under `tag`."""
        raw = RawManifest(media.OCI_INDEX, index_bytes(Index(media.OCI_INDEX, entries)))
        return self.add(raw, name, tag, repository=repository)

    def referrer(
        self, subject: Digest, name: str, *, tag: str | None = None, repository: str = REPOSITORY
    ) -> RawManifest:
        """Lay down a signature that refers to `subject`, or has its tag of cosign's."""
        self.add_blob(repository, b"{}")
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "artifactType": "application/vnd.example.signature",
            "config": _link(b"{}", "application/vnd.oci.empty.v1+json"),
            "layers": [],
            "annotations": {"name": name},
        }
        if tag is None:
            document["subject"] = {**_link(b"", media.OCI_INDEX), "digest": str(subject)}
        raw = RawManifest(media.OCI_MANIFEST, json.dumps(document).encode())
        return self.add(raw, name, tag, repository=repository)

    def signature(self, subject: Digest, name: str = "signature") -> RawManifest:
        """Lay down a signature of `subject` under cosign's tag."""
        return self.referrer(subject, name, tag=dict(cosign_tags(subject))["signature"])

    def add(
        self, raw: RawManifest, name: str, tag: str | None = None, *, repository: str = REPOSITORY
    ) -> RawManifest:
        """Lay down a manifest that is called `name` in events."""
        self.add_manifest(repository, raw, tag)
        self._names[raw.digest] = name
        return raw

    def take(self, other: LabStore, repository: str = REPOSITORY) -> None:
        """Lay down all that `other` has in a repository, tags too."""
        there, here = other.repositories[repository], self.repositories[repository]
        here.blobs.update(there.blobs)
        here.manifests.update(there.manifests)
        here.tags.update(there.tags)

    def raw(self, digest: Digest, repository: str = REPOSITORY) -> RawManifest:
        """Return a manifest that lies here."""
        return self.repositories[repository].manifests[digest]

    def lose(self, digest: Digest, repository: str = REPOSITORY) -> None:
        """Take a manifest away."""
        del self.repositories[repository].manifests[digest]

    def tagged(self, tag: str = TAG, repository: str = REPOSITORY) -> Digest | None:
        """Return what `tag` leads to."""
        return self.repositories[repository].tags.get(tag)

    async def manifest_head(self, repository: str, reference: str | Digest) -> ManifestHead | None:
        head = await super().manifest_head(repository, reference)
        return None if head is None else replace(head, registry=self.name)

    async def manifest(self, repository: str, reference: str | Digest) -> RawManifest:
        if self.meter is None:
            return await super().manifest(repository, reference)
        sent = self.meter.begin(f"{self.name}/{repository}", is_pull=True)
        try:
            return await super().manifest(repository, reference)
        finally:
            self.meter.end(sent, None)

    async def _enter(self, operation: str, repository: str, subject: str = "") -> None:
        self._tell(self.name, operation, subject)
        await super()._enter(operation, repository, subject)


def _link(content: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}


class LabEndpoints(Endpoints):
    """Endpoints whose registries are stores in memory; one that is new is empty."""

    def __init__(self, lab: Lab, options: Options) -> None:
        super().__init__(
            source=RegistryEnd(),
            destination=RegistryEnd(),
            retry=options.retry,
            flights=options.flights,
            environ={},
            conf=RegistriesConf(),
            on_secret=lambda *_: None,
            source_archive=cast(Any, lab.source_archive),
            destination_archive=cast(Any, lab.destination_archive),
            meters=Meters(options.pull_budget),
        )
        self._lab, self._ends = lab, dict[str, Destination]()

    def source_store(self, registry: str) -> Store:
        store = self._lab.store(registry)
        store.meter = self.meters.of(registry)
        return store

    def destination_end(self, registry: str) -> Destination:
        if registry not in self._ends:
            store = self._lab.store(registry)
            tracked = TrackedStore(store, Ledger())
            self._ends[registry] = Destination(
                tracked, Placer(store, tracked.ledger, self.retry, self.flights)
            )
        return self._ends[registry]


class FakeToolbox:
    """Tools that are there, unless `missing` says why not."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.missing: ImageToolsError | None = None

    def hurry(self) -> None:
        self._lab.note("tools are wanted")

    async def tools(self) -> Any:
        if self.missing is not None:
            raise self.missing
        return SimpleNamespace()

    async def close(self) -> None:
        self._lab.note("tools are closed")


class _Tool:
    """What may fail as a test wishes: `failures` are raised by calls that begin so, once each."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.failures: list[tuple[str, Exception]] = []

    def _did(self, name: str, *what: object) -> None:
        event = " ".join([name, *map(str, what)])
        self._lab.note(event)
        for failure in self.failures:
            if f"{event} ".startswith(f"{failure[0]} "):
                self.failures.remove(failure)
                raise failure[1]


class FakeCopier(_Tool):
    """Places blobs as the real one, and writes the manifests that skopeo would write.

    `unreadable` are manifests that skopeo is known not to parse; `reads_directly`: skopeo reads
    the sources by itself; `converted` is what a schema 1 image becomes.
    """

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab)
        self.unreadable: set[Digest] = set()
        self.reads_directly = False
        self.converted: Callable[[Job], RawManifest] | None = None
        self.direct = SimpleNamespace(applies_to=lambda _source: self.reads_directly)
        self._foreign, self.own = ForeignLayers(QUICK), OwnClient(QUICK)

    async def copy(
        self, job: Job, child: ChildManifest, ending: str, *, is_referrer: bool = False
    ) -> None:
        self._did("copy", self._lab.named(ending))
        await self._foreign.bring(job, (child,))
        await self._placed(job, child)
        if child.digest in self.unreadable:
            await self.own.write(job, child.raw, ending, "skopeo cannot parse it")
        else:
            await job.end.store.put_manifest(
                job.destination.name, _reference(child, ending), child.raw
            )

    async def readable(self, children: tuple[ChildManifest, ...]) -> tuple[ChildManifest, ...]:
        return tuple(child for child in children if child.digest not in self.unreadable)

    def takes_several(self, job: Job) -> bool:
        return self._lab.options.ahead and not self.reads_directly

    async def place(self, job: Job, children: tuple[ChildManifest, ...]) -> None:
        self._did("place", *(self._lab.named(f"@{child.digest}") for child in children))
        for child in children:
            await self._placed(job, child)

    async def copy_several(self, job: Job, bundle: CopyAll, tag: str) -> None:
        ending = f"with :{tag}" if bundle.is_image else "without an index"
        names = [self._lab.named(f"@{child.digest}") for child in bundle.children]
        self._did("copy_several", *names, ending)
        await self._foreign.bring(job, bundle.children)
        for child in bundle.children:
            await job.end.store.put_manifest(job.destination.name, child.digest, child.raw)
        if bundle.is_image:
            await job.end.store.put_manifest(job.destination.name, tag, bundle.index)

    async def convert(self, job: Job, tag: str | None) -> RawManifest:
        self._did("convert", tag)
        assert self.converted is not None
        raw = self.converted(job)
        await job.end.store.put_manifest(job.destination.name, tag or raw.digest, raw)
        return raw

    async def _placed(self, job: Job, child: ChildManifest) -> None:
        for blob in child.manifest.blobs:
            await job.end.placer.place(placement(job, blob))


class FakeAssembler(_Tool):
    """Writes indexes into the destination store."""

    async def publish(
        self, job: Job, final: FinalIndex, nested: tuple[RawManifest, ...], tag: str | None
    ) -> WrittenIndex:
        for inner in nested:
            await self.exactly(job, inner, None)
        if final.exact is not None:
            return await self.exactly(job, final.exact, tag)
        raw = RawManifest(final.media_type, index_bytes(final.index))
        self._lab.names.setdefault(raw.digest, "merged")
        self._did("publish", self._lab.named(f"@{raw.digest}" if tag is None else f":{tag}"))
        await job.end.store.put_manifest(job.destination.name, tag or raw.digest, raw)
        return WrittenIndex(raw.digest, BUILDX)

    async def exactly(self, job: Job, raw: RawManifest, tag: str | None) -> WrittenIndex:
        self._did("exactly", self._lab.named(f"@{raw.digest}" if tag is None else f":{tag}"))
        await job.end.store.put_manifest(job.destination.name, tag or raw.digest, raw)
        return WrittenIndex(raw.digest, INDEX_ONLY)


class FakeSigner(_Tool):
    """Takes note of what is signed."""

    async def ready(self) -> None:
        self._did("key")

    async def sign(self, job: Job, digests: Sequence[Digest]) -> None:
        self._did("sign", *(self._lab.named(f"@{digest}") for digest in digests))


def _reference(child: ChildManifest, ending: str) -> str | Digest:
    return child.digest if ending.startswith("@") else ending[1:]


class LabMemory:
    """A memory in a dictionary; it dates what is kept with SINCE."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str, str], Remembered] = {}

    def recall(self, source: str, destination: str, selection: str) -> Remembered | None:
        return self.known.get((source, destination, selection))

    def remember(
        self, source: str, destination: str, selection: str, remembered: Remembered
    ) -> Remembered:
        kept = tuple(replace(one, since=SINCE) for one in remembered.kept)
        dated = replace(remembered, kept=kept)
        self.known[source, destination, selection] = dated
        return dated


@dataclass
class FakeAdmission:
    """A registry's door: `login_error` and `push_error` are raised for who asks."""

    tell: Callable[[str], None]
    credentials: Credentials | None = None
    login_error: ImageToolsError | None = None
    push_error: ImageToolsError | None = None

    async def is_plain(self) -> bool:
        return False

    async def login(self, repository: str = "") -> Credentials | None:
        self.tell("login")
        if self.login_error is not None:
            raise self.login_error
        return self.credentials

    def use(self, credentials: Credentials) -> None:
        self.credentials = credentials

    async def try_push(self, repository: str) -> None:
        self.tell("try_push")
        if self.push_error is not None:
            raise self.push_error


@dataclass
class FakeArchive:
    """What an archive knows: `lost` images, and what was chosen when its images were saved."""

    lost: set[Digest] = field(default_factory=set)
    saved: Chosen | None = None

    async def holds(self, digest: Digest) -> bool:
        return False

    async def is_whole(self, digest: Digest) -> bool:
        return digest not in self.lost

    def chosen(self, image: Reference) -> Chosen | None:
        return self.saved


class Lab:
    """Stores, tools and memory that outlive a run; `new_run` gives the context of the next one."""

    def __init__(self, **options: Any) -> None:
        self.options = replace(Options(jobs=2, retry=QUICK), **options)
        self.events: list[str] = []
        self.names: dict[Digest, str] = {}
        self.source_archive: FakeArchive | None = None
        self.destination_archive: FakeArchive | None = None
        self._stores: dict[str, LabStore] = {}
        self.toolbox, self.copier = FakeToolbox(self), FakeCopier(self)
        self.assembler, self.signer = FakeAssembler(self), FakeSigner(self)
        self.memory = LabMemory()
        self.progress = Progress()

    @property
    def source(self) -> LabStore:
        """Return the registry that is read."""
        return self.store(SOURCE)

    @property
    def destination(self) -> LabStore:
        """Return the registry that is written to."""
        return self.store(DESTINATION)

    def store(self, registry: str) -> LabStore:
        """Return the store of `registry`."""
        if registry not in self._stores:
            self._stores[registry] = LabStore(registry, self._asked, self.names)
        return self._stores[registry]

    # What happened.

    def note(self, event: str) -> None:
        """Take note of an event."""
        self.events.append(event)

    def named(self, text: str) -> str:
        """Return `text` with the names of what lies in the lab instead of digests."""
        for digest, name in self.names.items():
            text = text.replace(str(digest), name).replace(digest.as_tag, name)
        return text

    def asked(self, registry: str) -> list[str]:
        """Return what was asked of the manifests of `registry`."""
        return [
            event.removeprefix(f"{registry} ")
            for event in self.events
            if event.startswith(f"{registry} ")
        ]

    def _asked(self, registry: str, operation: str, subject: str) -> None:
        if operation in _MANIFESTS:
            self.note(f"{registry} {operation} {self.named(subject)}".rstrip())

    # A run.

    def new_run(
        self,
        options: Options | None = None,
        *,
        referrers: bool = False,
        signs: bool = False,
        preflight: bool = False,
        **more: Any,
    ) -> RunContext:
        """Return the context of a run over the stores, which looks for signatures if asked to."""
        self.options = chosen = self.options if options is None else options
        endpoints, reader = LabEndpoints(self, chosen), Reader()
        scheduler = Scheduler(chosen.dispatched, chosen.jobs)
        copier, assembler = cast(Any, self.copier), cast(Any, self.assembler)
        local = TransferContext(
            endpoints=endpoints,
            toolbox=cast(Any, self.toolbox),
            reader=reader,
            copier=copier,
            assembler=assembler,
            progress=self.progress,
            referrers=ReferrerCopier(reader, copier, assembler, chosen.overwrite)
            if referrers
            else None,
            signer=cast(Any, self.signer) if signs else None,
        )
        fields: dict[str, Any] = {
            "options": chosen,
            "endpoints": endpoints,
            "reader": reader,
            "scheduler": scheduler,
            "progress": self.progress,
            "quota": Quota(endpoints.meters, self.progress, waits=chosen.waits_for_quota),
            "transfers": LocalTransfers(local),
            "local": local,
            "reads_directly": copier.direct.applies_to,
            "state": self.memory,
            "preflight": Preflight(endpoints) if preflight else None,
            "referrers": ReferrerFinder(reader) if referrers else None,
        }
        return RunContext(**{**fields, **more})

    async def task(self, context: RunContext, entry: Entry | None = None) -> TransferJob:
        """Return what is planned for a line; its events are forgotten."""
        job = context.line_job(entry or entry_of())
        probed = await probe(context, job)
        assert isinstance(probed, Probed)
        planned = await plan_image(context, job, await read(context, job, probed))
        assert isinstance(planned, TransferJob)
        task = await with_referrers(context, job, planned)
        self.events.clear()
        return task

    def local_job(self, context: RunContext, task: TransferJob) -> Job:
        """Return a job as a process has it that carries out `task`."""
        job = Job.between(context.local.endpoints, task.entry, Traffic())
        job.mount_from, job.changes_tag = task.mount_from, task.changes_tag
        return job


class ImageLab(Lab):
    """A lab with an index of amd64 and arm64, or of `platforms`, at its source."""

    def __init__(self, *platforms: str, **options: Any) -> None:
        super().__init__(**options)
        self.entries = tuple(self.source.image(one) for one in platforms or (AMD64, ARM64))
        self.top = self.source.index(*self.entries)

    def single(self, entry: Descriptor) -> RawManifest:
        """Let the source's tag lead to one manifest."""
        self.top = self.source.add(self.source.raw(entry.digest), "image", TAG)
        return self.top

    @property
    def tools(self) -> list[str]:
        """Return what the tools did; requests are left out."""
        ends = (f"{SOURCE} ", f"{DESTINATION} ")
        return [event for event in self.events if not event.startswith(ends)]


def entry_of(
    number: int = 1,
    source: str = LINE,
    destination: str = f"{DESTINATION}/{REPOSITORY}:{TAG}",
    *,
    look_behind: bool = False,
) -> Entry:
    """Return the entry of one line."""
    return Entry(
        number=number,
        line=number,
        raw=f"{source} {destination}",
        source=Reference.parse(source),
        destination=Reference.parse(destination),
        look_behind=look_behind,
    )


def list_of(*lines: str) -> ImageList:
    """Return the list of these lines, read as a list is; its destination is DESTINATION."""
    content = "".join(f"{line}\n" for line in lines).encode()
    return read_list(content, "images.txt", Registries(destination=DESTINATION))


def head_of(raw: RawManifest) -> ManifestHead:
    """Return what a HEAD of `raw` tells."""
    return ManifestHead(raw.digest, raw.media_type, len(raw.content))


def outcome(status: Status, **more: Any) -> Outcome:
    """Return the outcome of the entry `entry_of()`."""
    entry = entry_of()
    base = Outcome(
        number=entry.number,
        line=entry.line,
        raw=entry.raw,
        source=str(entry.source),
        destination=str(entry.destination),
        status=status,
    )
    return replace(base, **more)


def schema1(architecture: str = "amd64") -> RawManifest:
    """Return an image of Docker's schema 1."""
    layers = [{"blobSum": str(Digest.of(b"layer"))}]
    document = {"schemaVersion": 1, "architecture": architecture, "fsLayers": layers}
    return RawManifest(media.DOCKER_SCHEMA1, json.dumps(document).encode())
