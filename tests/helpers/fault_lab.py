"""The fault lab: many cells in one run of the program, each with a failing registry of its own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from image_tools.commands.list_tags import ListTagsRequest, list_tags
from image_tools.commands.opening import RegistryAccess, opened
from image_tools.errors import ImageToolsError
from image_tools.oci.reference import Reference
from image_tools.retry import RetryPolicy
from image_tools.run import endpoints as ends
from image_tools.run.endpoints import RegistryEnd
from image_tools.stores.remote.client import RemoteOptions
from image_tools.web import pacing
from image_tools.web.connect import Timing
from tests.helpers import fault_types, images
from tests.helpers.content import SCHEMA1_TYPES, Image
from tests.helpers.fault_cells import Cell, Side, Step
from tests.helpers.fault_declared import attempts_of, rule_of, tag_of
from tests.helpers.fault_rules import COPIED, REPEATS
from tests.helpers.fault_store import RegistryContent
from tests.helpers.fault_types import Seen, Stage
from tests.helpers.faults import FaultOptions, FaultRegistry
from tests.helpers.running import mirror
from tests.helpers.schema1 import schema1_image
from tests.helpers.stored import problems_of
from tests.helpers.studio import Studio

STALL_SECONDS = 2.5
TAG = "1.0"
PLATFORMS = (images.AMD64, images.ARM64)


@dataclass(frozen=True, slots=True)
class Result:
    """How a cell ended.

    ``end`` is ``copied`` or the word of the failure, ``attempts`` the requests for one thing that
    were let fail, ``tag`` is ``old``, ``new`` or ``-`` (nothing is written at all), ``problems``
    what is wrong at the destination, ``said`` the reason and the warnings.
    """

    end: str
    exit_code: int
    has_advice: bool
    attempts: int
    tag: str
    problems: tuple[str, ...] = ()
    said: str = ""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make all waiting short: for a silent registry, after a 429, for the next token."""
    timing = Timing(
        connect=STALL_SECONDS,
        stall=STALL_SECONDS,
        commit=STALL_SECONDS,
        # Shorter than the patience, as in earnest.
        keepalive=STALL_SECONDS / 2,
    )
    policy = RetryPolicy(times=REPEATS, delay=0.01)
    options = partial(RemoteOptions, timing=timing, token_policy=policy)
    monkeypatch.setattr(ends, "RemoteOptions", options)
    monkeypatch.setattr(pacing, "FIRST_REST", 0.02)


def results(cells: Sequence[Cell], folder: Path) -> dict[Cell, Result]:
    """Give how each of the cells ends; all that mirror are lines of one list."""
    asking = [cell for cell in cells if cell.step is Step.SOURCE_TAGS]
    streaming = [cell for cell in cells if cell.step is Step.PATCH]
    others = [cell for cell in cells if cell not in asking and cell not in streaming]
    found = {cell: _asked(cell) for cell in asking}
    found |= _mirrored(others, folder)
    return found | _mirrored(streaming, folder, "--no-ahead")


def complaints(cell: Cell, result: Result) -> list[str]:
    """Give how a cell ended otherwise than declared; all failures of one image exit with 1."""
    end, attempts, tag = rule_of(cell).end(cell), attempts_of(cell), tag_of(cell)
    copied = end == COPIED
    declared = (end, 0 if copied else 1, not copied, tag)
    found = (result.end, result.exit_code, result.has_advice, result.tag)
    complaints = [*result.problems]
    if found != declared:
        complaints.append(f"{found} is not {declared}")
    if not 1 <= result.attempts <= attempts:
        complaints.append(f"{result.attempts} attempts, not 1 to {attempts}")
    if copied and result.said:
        complaints.append("more was said than a line in the log")
    return [f"{cell}: {complaint} ({result.said})" for complaint in complaints]


@dataclass(frozen=True, slots=True)
class _Bench:
    """One cell set up: the registry that fails, both ends and what lies at them."""

    cell: Cell
    failing: FaultRegistry
    source: FaultRegistry
    destination: FaultRegistry
    image: Image
    old: Image

    @property
    def repository(self) -> str:
        return f"lab/cell{self.cell.number}"

    @property
    def line(self) -> str:
        place = self.repository
        source, destination = self.source.address, self.destination.address
        return f"{source}/{place}:{TAG} {destination}/{place} {TAG}\n"

    def fill(self) -> None:
        """Lay everything in, and let it fail."""
        self.source.load(self.repository, TAG, self.image)
        self.destination.load(self.repository, TAG, self.old)
        if self.cell.step in (Step.BLOB_HEAD, Step.CHILD_HEAD):
            # What is asked about is there already.
            blobs = self.source.blobs[self.repository]
            for digest in self._blobs_of_last():
                self.destination.blobs[self.repository][digest] = blobs[digest]
        if self.cell.step is Step.CHILD_HEAD:
            last = self.image.find(self.image.entries[-1].digest)
            self.destination.manifests[self.repository][last.digest] = last
        self.failing.add(self._fault())

    def _blobs_of_last(self) -> tuple[str, str]:
        """Give the digests of the last platform's config and layer."""
        if not self.image.is_index:
            return "", ""
        value = json.loads(self.image.find(self.image.entries[-1].digest).data)
        return value["config"]["digest"], value["layers"][-1]["digest"]

    def _fault(self) -> fault_types.Fault:
        """The fault of the cell; of several things alike the last one suffers."""
        step, fault = self.cell.step, self.cell.fault
        config, layer = self._blobs_of_last()
        reference = {
            Step.HEAD: TAG,
            Step.READ_BACK: TAG,
            Step.TAG_PUT: TAG,
            Step.CHILD_HEAD: self.image.entries[-1].digest,
            Step.CHILD_PUT: self.image.entries[-1].digest,
            Step.SOURCE_CHILD: self.image.entries[-1].digest,
            Step.SOURCE_CONFIG: config,
            Step.SOURCE_BLOB: layer,
            Step.BLOB_HEAD: layer,
            Step.CHILD: self.old.entries[-1].digest,
        }.get(step)
        return fault_types.Fault(
            step.stage,
            fault.kind,
            self.cell.times,
            reference=reference,
            # The first of the tag's HEADs is the probe; the first upload is the preflight's.
            after=1 if step in (Step.READ_BACK, Step.PUT) else 0,
            retry_after=fault.retry_after,
            pause=0.01,
        )

    def result(self, outcome: dict[str, object]) -> Result:
        """Judge the line by its outcome, the requests and what lies at the destination."""
        store = self.destination.store
        top = store.tags[self.repository][TAG]
        copied = outcome["status"] == "copied"
        # The old image has a platform that was not chosen: what is said of it is no fault's.
        warned = [w for w in outcome["warnings"] if not w.startswith("the tag keeps ")]  # type: ignore[attr-defined]
        said = [outcome["reason"], *warned]
        return Result(
            end="copied" if copied else str(outcome["kind"] or outcome["status"]),
            exit_code=0 if copied else 1,
            has_advice=bool(outcome["advice"]),
            attempts=attempts(self.failing.requests),
            tag="old" if top == self.old.top.digest else "new",
            problems=tuple(self._problems(store, top)),
            said=" | ".join(map(str, filter(None, said))),
        )

    def _problems(self, store: RegistryContent, top: str) -> Iterator[str]:
        yield from problems_of(store, self.repository, TAG)
        if top == self.old.top.digest:
            return
        listed = {entry["digest"] for entry in _listed(store, self.repository, top)}
        missing = [entry.digest for entry in self.image.entries if entry.digest not in listed]
        if self.image.top.media_type not in SCHEMA1_TYPES:
            yield from (f"{digest} of the image is not listed" for digest in missing)
        merges = rule_of(self.cell).merges
        if merges and self.old.entries[-1].digest not in listed:
            yield "a platform of the old index is lost"


def attempts(requests: Sequence[Seen]) -> int:
    """Give how often one and the same thing was asked for and failed, at the most."""
    counts = Counter(_thing(seen) for seen in requests if seen.fault is not None)
    return max(counts.values(), default=0)


def _thing(seen: Seen) -> tuple[object, ...]:
    uploads = (Stage.POST_UPLOAD, Stage.PATCH_UPLOAD, Stage.PUT_BLOB)
    place = seen.query if seen.stage is Stage.PUT_BLOB else seen.path
    return seen.method, "" if seen.stage in uploads[:2] else place


def _listed(store: RegistryContent, repository: str, digest: str) -> list[dict[str, str]]:
    found = store.manifest(repository, digest)
    listed: list[dict[str, str]] = json.loads(found.data).get("manifests", []) if found else []
    return listed


def image_of(cell: Cell) -> Image:
    """Give what is mirrored: an index of two platforms with content of its own, or schema 1."""
    if cell.step is Step.SOURCE_BLOB_HEAD:
        return schema1_image("schema1", cell.number, signed=False)
    studio = Studio("fault", cell.number)
    studio.layer_sizes = (3000,)
    return studio.index([studio.child(where) for where in PLATFORMS])


def old_image(cell: Cell) -> Image:
    """Give what the tag holds before: one platform more, which a merge has to keep."""
    if cell.step in (Step.CHILD, Step.CONFIG):
        # Without platforms in the index, the configs have to be read.
        return images.no_platform(cell.number)
    studio = Studio("fault-old", cell.number)
    studio.layer_sizes = (500,)
    return studio.index([studio.child(where) for where in (*PLATFORMS, images.S390X)])


@contextmanager
def _benches(cells: Sequence[Cell]) -> Iterator[list[_Bench]]:
    made: list[FaultRegistry] = []

    def registry(*, tokens: bool = False) -> FaultRegistry:
        options = FaultOptions(tokens=tokens, partial_indexes=True, partial_images=True)
        made.append(FaultRegistry(options).__enter__())
        return made[-1]

    try:
        calm = registry()
        yield [_bench(cell, registry(tokens=cell.needs_tokens), calm) for cell in cells]
    finally:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda one: one.__exit__(), made))


def _bench(cell: Cell, failing: FaultRegistry, calm: FaultRegistry) -> _Bench:
    is_source = cell.step.side is Side.SOURCE
    bench = _Bench(
        cell=cell,
        failing=failing,
        source=failing if is_source else calm,
        destination=calm if is_source else failing,
        image=image_of(cell),
        old=old_image(cell),
    )
    bench.fill()
    return bench


def _mirrored(cells: Sequence[Cell], folder: Path, *words: str) -> dict[Cell, Result]:
    if not cells:
        return {}
    with _benches(cells) as benches:
        lines = "".join(bench.line for bench in benches)
        fixed = ("--no-state", "-j", "3", "--retry-times", str(REPEATS))
        ran = mirror(folder, lines, *fixed, *words)
        (folder / "log.txt").write_text(ran.stderr)
        (folder / "report.json").write_text(ran.stdout)
        found = {
            bench.cell: bench.result(outcome)
            for bench, outcome in zip(benches, ran.outcomes, strict=True)
        }
    assert ran.code == max(result.exit_code for result in found.values())
    return found


def _asked(cell: Cell) -> Result:
    with _benches([cell]) as (bench,):
        registry = bench.source.address
        asked = ListTagsRequest(repository=Reference(registry, bench.repository))
        policy = RetryPolicy(times=REPEATS, delay=0.01)
        try:
            with opened(RegistryAccess(end=RegistryEnd(), retry=policy), {registry}, {}) as opening:
                found = list_tags(asked, opening)
        except ImageToolsError as error:
            end, code, advice = error.kind, error.exit_code, error.advice
            said = str(error)
        else:
            end, code, advice, said = "copied", 0, "", ""
            assert found.tags == (TAG,)
        return Result(end, code, bool(advice), attempts(bench.failing.requests), "-", (), said)
