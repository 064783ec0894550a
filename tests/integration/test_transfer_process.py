"""A job that is pickled and carried out in another process ends as it does in this one."""

from __future__ import annotations

import asyncio
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from image_tools.commands.list_run import ListRun
from image_tools.commands.request import ListRequest
from image_tools.commands.wiring import Surroundings, Wiring
from image_tools.exchange.ledger import Traffic
from image_tools.imagelist.entry import ImageList
from image_tools.imagelist.reader import read_list
from image_tools.imagelist.registries import Registries
from image_tools.report import Outcome, Report, Status
from image_tools.retry import RetryPolicy
from image_tools.run.context import RunContext
from image_tools.run.options import Options
from image_tools.run.progress import Progress
from image_tools.run.transfer_job import TransferJob, Transfers
from tests.helpers import images
from tests.helpers.documents import ROOT
from tests.helpers.fault_types import ALWAYS, Fault, Stage
from tests.helpers.faults import FaultRegistry
from tests.helpers.schema1 import schema1_image

CHILD = """
import os, pickle, sys
from image_tools.commands.archives import OpenDestination
from image_tools.commands.session import RunSession
from image_tools.commands.wiring import Surroundings, Wiring
from image_tools.errors import ImageToolsError
from image_tools.exchange.ledger import Traffic
from image_tools.imagelist.entry import ImageList
from image_tools.run.progress import Progress

request, job = pickle.load(sys.stdin.buffer)
with RunSession(os.environ) as session:
    wiring = Wiring(
        request=request,
        surroundings=Surroundings(environ=os.environ, progress=Progress()),
        workspace=session.workspace,
        source=None,
        destination=OpenDestination(),
        state=None,
    )
    transfers = session.wait(wiring.transfers(ImageList(name="", entries=(job.entry,))))
    traffic = Traffic()
    try:
        ended = session.wait(transfers.carry_out(job, traffic))
    except ImageToolsError as error:
        ended = error
    finally:
        session.wait(transfers.close())
        session.wait(transfers.context.endpoints.close())
pickle.dump((ended, traffic.bytes_written), sys.stdout.buffer)
"""


@dataclass
class OtherProcess:
    """Carries out each job in a process of its own; `jobs` are those it was given."""

    request: ListRequest
    here: Transfers
    jobs: list[TransferJob]

    def hurry(self) -> None:
        self.here.hurry()

    async def ready(self) -> None:
        await self.here.ready()

    async def carry_out(self, job: TransferJob, traffic: Traffic) -> Outcome:
        self.jobs.append(job)
        sent = pickle.dumps((self.request, job))
        ended, moved = pickle.loads(await asyncio.to_thread(in_another_process, sent))
        traffic.wrote(moved)
        if isinstance(ended, Exception):
            raise ended
        assert isinstance(ended, Outcome)
        return ended

    async def close(self) -> None:
        await self.here.close()


def in_another_process(sent: bytes) -> bytes:
    done = subprocess.run(
        [sys.executable, "-c", CHILD], cwd=ROOT, input=sent, stdout=subprocess.PIPE, check=True
    )
    return done.stdout


def mirrored(
    images: ImageList, tmp_path: Path, options: Options, jobs: list[TransferJob] | None = None
) -> Report:
    request = ListRequest(options=options, state=tmp_path / "state")

    class Away(Wiring):
        async def context(self, images: ImageList) -> RunContext:
            context = await Wiring.context(self, images)
            if jobs is not None:
                context.transfers = OtherProcess(request, context.transfers, jobs)
            return context

    surroundings = Surroundings(environ=os.environ, progress=Progress())
    with ListRun(request, surroundings, wiring=Away) as run:
        return run.run(images)


@pytest.fixture
def source() -> Iterator[FaultRegistry]:
    with FaultRegistry() as double:
        for name, image in IMAGES.items():
            double.load(f"team/{name}", "1.0", image)
        yield double


@pytest.fixture
def destinations() -> Iterator[tuple[FaultRegistry, FaultRegistry]]:
    with FaultRegistry() as one, FaultRegistry() as other:
        yield one, other


IMAGES = {
    "list": images.docker_list(1),
    "nested": images.nested_index(2),
    "chart": images.helm_chart(4),
    "old": schema1_image("good", 5, signed=True),
}


def listed(source: FaultRegistry, destination: FaultRegistry, *names: str) -> ImageList:
    lines = (f"{source.address}/team/{n} {destination.address}/team/{n} 1.0" for n in names)
    return read_list("\n".join(lines).encode(), "list.txt", Registries())


def bare(outcome: Outcome, destination: FaultRegistry) -> Outcome:
    """Return an outcome without what differs between two runs to two registries."""
    where = destination.address
    failed = outcome.status is Status.FAILED
    return replace(
        outcome,
        seconds=0.0,
        # What was under way when an image failed depends on the moment.
        bytes_moved=0 if failed else outcome.bytes_moved,
        raw=outcome.raw.replace(where, "there"),
        destination=outcome.destination.replace(where, "there"),
        # So does which of its blobs failed first.
        reason=re.sub("sha256:[0-9a-f]+", "DIGEST", outcome.reason.replace(where, "there")),
        warnings=tuple(text.replace(where, "there") for text in outcome.warnings),
    )


@pytest.mark.parametrize(
    ("names", "options"),
    [
        pytest.param(("nested", "chart", "old"), Options(), id="plain"),
        pytest.param(("list",), Options(keep_digest=True, arch_tags=True), id="tags"),
    ],
)
def test_jobs_carried_out_in_another_process_give_the_same_outcomes(
    source: FaultRegistry,
    destinations: tuple[FaultRegistry, FaultRegistry],
    tmp_path: Path,
    names: tuple[str, ...],
    options: Options,
) -> None:
    here, there = destinations
    jobs: list[TransferJob] = []
    expected = mirrored(listed(source, here, *names), tmp_path / "here", options)
    found = mirrored(listed(source, there, *names), tmp_path / "there", options, jobs)
    again = mirrored(listed(source, there, *names), tmp_path / "there", options, jobs)

    assert [bare(one, there) for one in found.outcomes] == [
        bare(one, here) for one in expected.outcomes
    ]
    assert {one.status for one in found.outcomes} == {Status.COPIED}
    assert there.tags == here.tags
    assert {one.status for one in again.outcomes} == {Status.UNCHANGED}
    assert len(jobs) == len(names)


def test_job_that_fails_in_another_process_ends_as_it_does_in_this_one(
    source: FaultRegistry, destinations: tuple[FaultRegistry, FaultRegistry], tmp_path: Path
) -> None:
    source.add(Fault(Stage.BLOB, 404, ALWAYS))
    options = Options(retry=RetryPolicy(times=0))
    here, there = destinations
    expected = mirrored(listed(source, here, "list"), tmp_path / "here", options)
    found = mirrored(listed(source, there, "list"), tmp_path / "there", options, [])

    assert [bare(one, there) for one in found.outcomes] == [
        bare(one, here) for one in expected.outcomes
    ]
    assert [(one.status, one.kind) for one in found.outcomes] == [(Status.FAILED, "not-found")]
