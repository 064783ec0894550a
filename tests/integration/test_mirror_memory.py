"""Large layers pass through without staying: memory, back-pressure, each blob once."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers.big_content import MIB, BigImages
from tests.helpers.big_registry import BigRegistry, big_destination, big_source
from tests.helpers.started import started

BOUND = 200 * MIB
PATIENCE = 90.0
# What the sockets between source, us, skopeo and destination hold of one stream.
BUFFERED = 40 * MIB


@dataclass(frozen=True, slots=True)
class Mirroring:
    """A run of `mirror` in a process of its own, under way."""

    process: subprocess.Popen[str]
    folder: Path
    peaks: list[int]

    def look(self) -> None:
        """Note the largest memory the process itself, not its tools, has had until now."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return
        found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
        self.peaks.extend(int(size) * 1024 for size in found)

    def until(self, condition: Callable[[], bool]) -> None:
        """Watch the memory until `condition()` holds or the process has ended."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None and not condition():
            assert time.monotonic() < deadline, self.words()
            self.look()
            time.sleep(0.02)

    def statuses(self) -> list[str]:
        """Wait for the end; give the status of every image."""
        self.until(lambda: False)
        report = json.loads((self.folder / "out").read_text() or '{"outcomes": []}')
        return [outcome["status"] for outcome in report["outcomes"]]

    def words(self) -> str:
        """Give what was said on stderr."""
        return (self.folder / "err").read_text()

    @property
    def peak(self) -> int:
        """Give the largest memory seen, in bytes."""
        return max(self.peaks)


@contextmanager
def mirroring(
    folder: Path, images: BigImages, source: BigRegistry, destination: BigRegistry, *way: str
) -> Iterator[Mirroring]:
    """Run `mirror -j 20` over `images` while the context lasts."""
    listed = "".join(f"{source.address}/{name}:1.0\n" for name in images.names)
    (folder / "list").write_text(listed)
    fixed = ("mirror", "-j", "20", "--format", "json", "-f", "list", "--no-state")
    with (
        (folder / "out").open("wb") as out,
        (folder / "err").open("wb") as err,
        started(folder, *fixed, "-d", destination.address, *way, stdout=out, stderr=err) as process,
    ):
        yield Mirroring(process, folder, [0])


def repeated(requests: list[str]) -> list[str]:
    """Give the digests that were asked for more than once."""
    return [digest for digest, times in Counter(requests).items() if times > 1]


def blobs_of(images: BigImages) -> set[str]:
    """Give the digests of all layers and configs."""
    configs = {blob.digest for image in images.images().values() for blob in image.blobs}
    return configs | {layer.digest for layer in images.layers}


def check_each_once(images: BigImages, source: BigRegistry, destination: BigRegistry) -> None:
    """Every blob was fetched once and sent once; all other repositories mounted it."""
    fetched, sent = source.asked("GET", "blobs"), destination.asked("PUT", "blobs/uploads")
    assert (repeated(fetched), repeated(sent)) == ([], [])
    assert set(fetched) == set(sent) == blobs_of(images)
    mounted = Counter(destination.asked("POST", "blobs/uploads"))
    assert mounted.pop(images.layers[0].digest) == images.count - 1
    # Whether mounting tells what is there is tried once.
    assert mounted.total() <= 1


@pytest.mark.parametrize(
    ("images", "way"),
    [
        pytest.param(BigImages(24, 32 * MIB, 128 * MIB), (), id="placed"),
        pytest.param(BigImages(20, 12 * MIB, 48 * MIB), ("--no-ahead",), id="by-skopeo"),
    ],
)
def test_mirror_large_layers_pass_once_in_bounded_memory(
    images: BigImages, way: tuple[str, ...], tmp_path: Path
) -> None:
    with (
        big_source(images) as source,
        big_destination() as destination,
        mirroring(tmp_path, images, source, destination, *way) as run,
    ):
        assert run.statuses() == ["copied"] * images.count, run.words()
        check_each_once(images, source, destination)
        assert run.peak < BOUND


@pytest.mark.parametrize("way", [(), ("--no-ahead",)], ids=["placed", "by-skopeo"])
def test_mirror_into_a_slow_destination_reads_little_more_than_it_takes(
    way: tuple[str, ...], tmp_path: Path
) -> None:
    images = BigImages(20, 1024 * MIB)
    with (
        big_source(images) as source,
        big_destination(8 * MIB) as destination,
        mirroring(tmp_path, images, source, destination, *way) as run,
    ):
        run.until(lambda: destination.book()["bytes"] > 16 * MIB)
        ahead = source.book()["bytes"] - destination.book()["bytes"]
    assert 0 < ahead < images.count * BUFFERED
    assert run.peak < BOUND
