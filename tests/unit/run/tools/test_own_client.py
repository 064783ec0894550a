"""Our own client: exact bytes, counted, looked at again where the store was doubted, told once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from loguru import logger

from image_tools.errors import IntegrityError, Unavailable
from image_tools.exchange.ledger import Ledger
from image_tools.exchange.placing import Placer
from image_tools.exchange.sessions import TrackedStore
from image_tools.imagelist.entry import Entry
from image_tools.oci import media
from image_tools.oci.manifest import RawManifest
from image_tools.oci.reference import Reference
from image_tools.retry import RetryPolicy
from image_tools.run.endpoints import Destination
from image_tools.run.job import Job
from image_tools.run.reader import Repository
from image_tools.run.tools.own_client import OwnClient
from tests.helpers.memory_store import MemoryStore

RAW = RawManifest(media.DOCKER_MANIFEST, b'{ "odd":  "bytes" }')
PATIENT = RetryPolicy(times=2, delay=0.0)


def job_for(store: MemoryStore) -> Job:
    reference = Reference.parse("docker.io/library/x:1")
    entry = Entry(
        number=1,
        line=1,
        raw="docker.io/library/x:1",
        source=reference,
        destination=Reference.parse("r.example/library/x:1"),
    )
    ledger = Ledger()
    end = Destination(TrackedStore(store, ledger), Placer(store, ledger, PATIENT, 1))
    return Job(entry=entry, source=Repository(store, "library/x"), end=end)


@pytest.fixture
def told() -> Iterator[list[str]]:
    """Give the lines that are logged for people."""
    lines: list[str] = []
    number = logger.add(lambda text: lines.append(str(text)), format="{message}", level="INFO")
    yield lines
    logger.remove(number)


@pytest.mark.parametrize("ending", [":1", f"@{RAW.digest}"])
def test_write_manifest_is_stored_byte_for_byte_and_counted(ending: str) -> None:
    store = MemoryStore()
    job = job_for(store)

    asyncio.run(OwnClient(PATIENT).write(job, RAW, ending, "no tool can"))

    stored = asyncio.run(store.manifest("library/x", RAW.digest))
    assert stored == RAW
    assert asyncio.run(store.manifest_head("library/x", "1")) is not None or ending != ":1"
    assert (job.traffic.bytes_written, job.by_own_client) == (len(RAW.content), True)


def test_write_each_reason_is_told_once(told: list[str]) -> None:
    job, own = job_for(MemoryStore()), OwnClient(PATIENT)

    for reason in ("skopeo cannot parse A", "skopeo cannot parse A", "skopeo cannot parse B"):
        asyncio.run(own.write(job, RAW, ":1", reason))

    assert told == [
        "docker.io/library/x:1: skopeo cannot parse A; image-tools writes the manifest itself\n",
        "docker.io/library/x:1: skopeo cannot parse B; image-tools writes the manifest itself\n",
    ]


def test_write_failure_that_may_pass_is_repeated() -> None:
    store = MemoryStore()
    store.fail("put_manifest", lambda: Unavailable("away"), times=1)

    asyncio.run(OwnClient(PATIENT).write(job_for(store), RAW, ":1", "no tool can"))

    assert store.count("put_manifest") == 2


def test_write_manifest_the_store_failed_on_and_still_hides_is_an_error() -> None:
    class Hiding(MemoryStore):
        async def manifest_head(self, repository: str, reference: object) -> None:
            return None

    job = job_for(Hiding())
    job.end.ledger.forget("library/x", RAW.digest)

    with pytest.raises(IntegrityError, match="accepted the manifest and does not return it"):
        asyncio.run(OwnClient(PATIENT).write(job, RAW, ":1", "no tool can"))
    assert (job.traffic.bytes_written, job.by_own_client) == (0, False)
