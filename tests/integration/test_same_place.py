"""What is read is never what is written, whatever registries.conf and the list call it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import images
from tests.helpers.faults import FaultRegistry
from tests.helpers.running import Ran, image_tools, mirror

LINE = "hub.example/apps/app:1.0\n"
OLD, NEW = images.oci_index(2), images.oci_index(3)
NOT_READ = "is a mirror in registries.conf and a destination of this run: not read"


@pytest.fixture
def destination() -> Iterator[FaultRegistry]:
    with FaultRegistry() as double:
        yield double


@pytest.fixture
def behind_mirrors(
    fault_registry: FaultRegistry, destination: FaultRegistry, clean_environment: Path
) -> FaultRegistry:
    """Give a source that registries.conf mirrors to the destination, and lays at a location."""
    path = clean_environment / ".config/containers/registries.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '[[registry]]\nprefix = "hub.example/apps"\ninsecure = true\n'
        f'location = "{fault_registry.address}/team"\n'
        f'[[registry.mirror]]\nlocation = "{destination.address}/apps"\ninsecure = true\n'
    )
    return fault_registry


def named(destination: FaultRegistry) -> str:
    """Give another name of the destination than the one in registries.conf."""
    return destination.address.replace("127.0.0.1", "localhost")


def copied(folder: Path, destination: FaultRegistry, *way: str) -> Ran:
    return mirror(folder, LINE, "-d", named(destination), "--arch", "all", "--os", "all", *way)


@pytest.mark.parametrize("way", [(), ("--direct",)], ids=" ".join)
def test_mirror_of_the_source_that_is_the_destination_is_not_read(
    behind_mirrors: FaultRegistry, destination: FaultRegistry, tmp_path: Path, way: tuple[str, ...]
) -> None:
    for image in (OLD, NEW):
        behind_mirrors.load("team/app", "1.0", image)
        ran = copied(tmp_path, destination, *way, "--overwrite")
        assert ran.statuses == ["copied"], ran.stderr
        assert destination.tags["apps/app"]["1.0"] == image.top.digest
        assert ran.stderr.count(NOT_READ) == 1


def test_validate_of_a_destination_that_is_a_mirror_of_the_source_compares_two_places(
    behind_mirrors: FaultRegistry, destination: FaultRegistry, tmp_path: Path
) -> None:
    behind_mirrors.load("team/app", "1.0", NEW)
    destination.load("apps/app", "1.0", OLD)
    listed = tmp_path / "list.txt"
    listed.write_text(LINE)
    words = ("-f", listed, "-d", named(destination), "--arch", "all", "--os", "all")
    ran = image_tools("mirror-validate", *words, "-o", tmp_path / "failed.txt", "--format", "json")

    assert ran.statuses == ["failed"], ran.stderr


@pytest.mark.parametrize("command", ["save", "save-validate"])
def test_mirror_of_the_source_that_is_the_base_is_not_read(
    behind_mirrors: FaultRegistry, destination: FaultRegistry, tmp_path: Path, command: str
) -> None:
    behind_mirrors.load("team/app", "1.0", NEW)
    destination.load("apps/app", "1.0", OLD)
    (tmp_path / "list.txt").write_text(LINE)
    words = [
        "-f",
        tmp_path / "list.txt",
        "-d",
        tmp_path / "new.tar",
        "--arch",
        "all",
        "--os",
        "all",
    ]
    words += ["-o", tmp_path / "failed.txt", "--base", named(destination), "--format", "json"]
    ran = image_tools("save", *words)

    assert ran.statuses == ["copied"], ran.stderr
    assert ran.stderr.count(NOT_READ.replace("a destination", "the base")) == 1

    if command == "save-validate":
        behind_mirrors.load("team/app", "1.0", images.oci_index(4))
        assert image_tools(command, *words).statuses == ["failed"]


def test_source_that_is_really_the_destination_is_no_green_line(
    behind_mirrors: FaultRegistry, tmp_path: Path
) -> None:
    behind_mirrors.load("team/app", "1.0", OLD)
    place = f"{named(behind_mirrors)}/team/app"
    for source in ("hub.example/apps/app", f"{behind_mirrors.address}/team/app"):
        ran = mirror(tmp_path, f"{source} {place} 1.0\n", "--no-state")
        outcome = ran.only()
        assert (ran.code, outcome["status"], outcome["kind"]) == (1, "failed", "usage-error"), (
            ran.stderr
        )
        assert outcome["reason"].startswith("source and destination are the same place: ")
