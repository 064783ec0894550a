"""One index out of several images: request in, index out."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from image_tools.commands.merge_manifest import MergeRequest, merge
from image_tools.commands.request import ListRequest
from image_tools.errors import Interrupted, NotFound, UsageError
from image_tools.oci.manifest import Index, parse
from image_tools.oci.reference import Reference
from image_tools.retry import RetryPolicy
from image_tools.run.merge_manifest import Merged
from image_tools.run.options import Options
from tests.helpers.memory_run import add_image, memory_run
from tests.helpers.memory_store import MemoryStore

AMD, ARM = "linux/amd64", "linux/arm64"
REQUEST = ListRequest(options=Options(retry=RetryPolicy(times=0, delay=0.0)), insecure_policy=True)


@pytest.fixture
def source() -> MemoryStore:
    store = MemoryStore("src.example")
    add_image(store, "amd", "1", AMD)
    add_image(store, "arm", "1", ARM)
    return store


@pytest.fixture
def destination() -> MemoryStore:
    return MemoryStore("dest.example")


def request(*sources: str, overwrite: bool = False, dry_run: bool = False) -> MergeRequest:
    return MergeRequest(
        destination=Reference("dest.example", "app", "1"),
        sources=tuple(Reference("src.example", source, "1") for source in sources),
        overwrite=overwrite,
        dry_run=dry_run,
    )


def merged(
    wanted: MergeRequest, home: Path, source: MemoryStore, destination: MemoryStore
) -> Merged:
    with memory_run(REQUEST, home, source, destination) as run:
        return merge(wanted, run)


def platforms(found: Merged) -> list[str]:
    index = parse(found.index)
    assert isinstance(index, Index)
    return [str(entry.platform) for entry in index.entries]


def test_merge_publishes_all_platforms_under_the_tag(
    tmp_path: Path, source: MemoryStore, destination: MemoryStore
) -> None:
    found = merged(request("amd", "arm"), tmp_path, source, destination)

    assert (platforms(found), found.changed, len(found.copied)) == ([AMD, ARM], True, 2)
    assert destination.repositories["app"].tags == {"1": found.index.digest}

    again = merged(request("amd", "arm"), tmp_path, source, destination)

    assert (again.index, again.changed, again.copied) == (found.index, False, ())


def test_merge_dry_run_plans_the_same_index_and_writes_nothing(
    tmp_path: Path, source: MemoryStore, destination: MemoryStore
) -> None:
    planned = merged(request("amd", "arm", dry_run=True), tmp_path, source, destination)

    assert destination.repositories["app"].tags == {}
    assert planned == merged(request("amd", "arm"), tmp_path, source, destination)


def test_merge_of_one_platform_twice_needs_overwrite(
    tmp_path: Path, source: MemoryStore, destination: MemoryStore
) -> None:
    add_image(source, "newer", "1", AMD)
    with pytest.raises(UsageError):
        merged(request("amd", "newer"), tmp_path, source, destination)

    found = merged(request("amd", "newer", overwrite=True), tmp_path, source, destination)

    assert platforms(found) == [AMD]


def test_merge_of_what_is_not_there_is_an_error(
    tmp_path: Path, source: MemoryStore, destination: MemoryStore
) -> None:
    with pytest.raises(NotFound, match=r"src\.example/none:1: not found at the source"):
        merged(request("amd", "none"), tmp_path, source, destination)


def test_merge_after_a_signal_is_interrupted(tmp_path: Path, source: MemoryStore) -> None:
    with memory_run(REQUEST, tmp_path, source, MemoryStore("dest.example")) as run:
        run.cancel(signal.SIGTERM)
        with pytest.raises(Interrupted):
            merge(request("amd"), run)
