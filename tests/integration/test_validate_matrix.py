"""Kinds of images, ways to damage them, depths of a validation: what each sees, in which words.

And what becomes of the damage when the failed list is fed back to `mirror`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from image_tools.validation.verdict import KEPT, LOST
from tests.helpers import damage
from tests.helpers.client import push
from tests.helpers.damage import TAG, Damage, Spot
from tests.helpers.endpoint import LAB_LOGIN
from tests.helpers.images import KINDS
from tests.helpers.registry import Registry, plain_registry, start_registry
from tests.helpers.registry_options import RegistryOptions
from tests.helpers.running import Ran, image_tools

DEPTHS = ("digest", "tree", "content")
CHART = ("helm_chart",)
SINGLE = ("docker_schema2",)
NESTED = ("nested_index",)
FLAT = ("docker_list", "oci_index", "attestations")
# A single image is an index at its destination, a chart is none.
INDEXES = (*FLAT, *NESTED, *SINGLE)
ALL = (*INDEXES, *CHART)


@dataclass(frozen=True)
class Row:
    """Images of `kinds` with one damage: how many of `DEPTHS` pass, and what the others say.

    `why` says what the depths that pass cannot know. Damage to content, which all repositories
    of a registry share, needs `own` images.
    """

    damage: Damage
    kinds: tuple[str, ...]
    passing: int
    words: str
    why: str
    overwrite: bool = False
    own: bool = False
    closed: bool = False

    @property
    def name(self) -> str:
        more = [word for word in ("overwrite", "closed") if getattr(self, word)]
        return "-".join([self.damage.__name__.replace("_", "-"), *more, str(self.passing)])

    def expected(self, depth: str, words: str) -> tuple[str, str, str]:
        if DEPTHS.index(depth) < self.passing:
            return "passed", "", ""
        return "failed", "unauthorized" if self.closed else "different", words


MATRIX = (
    Row(damage.unchanged, ALL, 3, "", "there is nothing to find"),
    Row(
        *(damage.unchanged, ALL, 0, ": not logged in (401)"),
        "an end that cannot be read is no difference, and no pass",
        closed=True,
    ),
    Row(
        *(damage.lose_tag, ALL, 0, "]: destination manifest does not exists"),
        "a HEAD tells",
    ),
    Row(
        *(damage.replace_by_single, INDEXES, 0),
        "]: destination manifest MIME type unknown: "
        "application/vnd.docker.distribution.manifest.v2+json",
        "a HEAD tells",
    ),
    Row(
        *(damage.replace_by_single, CHART, 0, 'source digest "{digest}" != dest digest "sha256:'),
        "a HEAD tells",
    ),
    Row(
        *(damage.change_platform, INDEXES, 0, 'source arch "{arch}" != dest arch "riscv64"'),
        "the index tells",
    ),
    Row(
        *(damage.add_platform, (*FLAT, *NESTED, *SINGLE), 0),
        "), which was chosen and is not at the source",
        "the index tells: with all architectures this one is chosen, too",
    ),
    Row(
        *(damage.add_other_system, (*FLAT, *NESTED, *SINGLE), 3, ""),
        "no damage: a system that is not chosen stays",
    ),
    Row(
        *(damage.add_other_system, (*FLAT, *NESTED, *SINGLE), 0),
        "), which was not chosen, and --overwrite is given",
        "the index tells",
        overwrite=True,
    ),
    Row(
        *(damage.lose_child, INDEXES, 1, "]: child manifest does not exists"),
        "the index is whole and still lists the child",
    ),
    Row(
        *(damage.lose_inner_index, NESTED, 1, "]: child manifest does not exists"),
        "the index is whole and still lists the one inside",
    ),
    Row(
        *(damage.corrupt_manifest, INDEXES, 1, "]: the manifest is damaged: "),
        "the index is whole and still lists the child",
        own=True,
    ),
    Row(
        *(damage.garble_manifest, ("docker_list",), 1, "]: the manifest cannot be read: "),
        "the index is whole and still lists the child",
        own=True,
    ),
    Row(
        *(damage.lose_blob, ALL, 1, "]: blob does not exists"),
        "no manifest changes when a blob goes",
    ),
    Row(
        *(damage.lose_content, ALL, 2, "]: the blob cannot be read: "),
        "docker-registry remembers the blob: it answers a HEAD, and breaks off a GET",
        own=True,
    ),
    Row(
        *(damage.corrupt_content, ALL, 2, "]: the blob is damaged: "),
        "the size is right: only reading shows the bytes",
        own=True,
    ),
)


@dataclass(frozen=True)
class Lab:
    """A source, a destination that was mirrored to, and the same destination behind a login."""

    source: Registry
    destination: Registry
    closed: Registry
    spots: Mapping[tuple[str, str], Spot]
    folder: Path
    environ: Mapping[str, str]

    def spot(self, row: Row, kind: str) -> Spot:
        """Give the place of one damage: a twin of the whole image where content stays as it is."""
        if row.own:
            return self.spots[row.name, kind]
        return self.spots["whole", kind].twin(f"{row.name}/{kind}")

    def line(self, row: Row, kind: str) -> str:
        there = self.closed if row.closed else self.destination
        return f"{self.origin(row, kind)} {there.address}/{row.name}/{kind} {TAG}"

    def origin(self, row: Row, kind: str) -> str:
        return f"{self.source.address}/{row.name if row.own else 'whole'}/{kind}"

    def run(self, command: str, lines: list[str], *words: str | Path) -> Ran:
        listed = self.folder / "list.txt"
        listed.write_text("".join(f"{line}\n" for line in lines))
        return self.feed(command, listed, *words)

    def feed(self, command: str, listed: Path, *words: str | Path) -> Ran:
        fixed = ["-f", listed, "-o", self.folder / f"{command}-failed.txt", "--format", "json"]
        fixed += ["--arch", "all", "--retry-delay", "10ms", "--no-state", "-j", "4"]
        return image_tools(command, *fixed, *words, environ=self.environ)


@pytest.fixture(scope="module")
def lab(
    docker_registry: Path,
    module_environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("matrix")
    with (
        plain_registry() as source,
        plain_registry() as there,
        start_registry(RegistryOptions(login=LAB_LOGIN, storage=there.storage)) as closed,
    ):
        groups = [("whole", ALL), *((row.name, row.kinds) for row in MATRIX if row.own)]
        spots = {
            (name, kind): Spot(there, f"{name}/{kind}", KINDS[kind](seed))
            for seed, (name, kinds) in enumerate(groups)
            for kind in kinds
        }
        _push(source, spots.values())
        made = Lab(source, there, closed, spots, folder, module_environment)
        mirrored = [s for (name, kind), s in spots.items() if name == "whole" or kind in SINGLE]
        lines = [f"{source.address}/{spot.repository}:{TAG}" for spot in mirrored]
        ran = made.run("mirror", lines, "-d", there.address)
        assert set(ran.statuses) == {"copied"}, ran.stderr
        # Of whole lists and charts mirror keeps all bytes: those of own rows are just pushed.
        _push(there, [spot for spot in spots.values() if spot not in mirrored])
        yield made


def _push(registry: Registry, spots: Iterable[Spot]) -> None:
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(push, registry, s.repository, TAG, s.image) for s in spots]:
            done.result()


@pytest.fixture(scope="module")
def outcomes(lab: Lab) -> dict[tuple[str, str, str], dict[str, Any]]:
    """What every depth says of every damaged image: all of one depth in one run."""
    cells = [(row, kind) for row in MATRIX for kind in row.kinds]
    for row, kind in cells:
        row.damage(lab.spot(row, kind))
    found = {}
    for depth in DEPTHS:
        for overwrite in (False, True):
            chosen = [(row, kind) for row, kind in cells if row.overwrite is overwrite]
            words = ["--depth", depth, *(["--overwrite"] if overwrite else [])]
            ran = lab.run("mirror-validate", [lab.line(*cell) for cell in chosen], *words)
            for (row, kind), outcome in zip(chosen, ran.outcomes, strict=True):
                found[row.name, kind, depth] = outcome
    return found


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("row", MATRIX, ids=lambda row: row.name)
def test_validate_damaged_image_says_at_every_depth_what_it_sees(
    lab: Lab, outcomes: dict[tuple[str, str, str], dict[str, Any]], row: Row, depth: str
) -> None:
    seen, expected = {}, {}
    for kind in row.kinds:
        outcome = outcomes[row.name, kind, depth]
        image = lab.spots["whole", kind].image
        first = image.leaves[0].true_platform or {}
        words = row.words.format(
            digest=image.top.digest,
            source=f"{lab.origin(row, kind)}:{TAG}",
            arch=first.get("architecture"),
        )
        expected[kind] = row.expected(depth, words)
        said = words if words in outcome["reason"] else outcome["reason"]
        seen[kind] = outcome["status"], outcome["kind"], said if outcome["reason"] else ""
    assert seen == expected, row.why


ROUND_TRIP: tuple[tuple[Damage, str], ...] = (
    (damage.lose_tag, "docker_schema2"),
    (damage.lose_tag, "nested_index"),
    (damage.lose_tag, "helm_chart"),
    (damage.replace_by_single, "nested_index"),
    (damage.replace_by_single, "helm_chart"),
    (damage.change_platform, "docker_schema2"),
    (damage.change_platform, "nested_index"),
    (damage.add_platform, "docker_list"),
    (damage.lose_child, "docker_schema2"),
    (damage.lose_child, "nested_index"),
    (damage.lose_child, "attestations"),
    (damage.lose_inner_index, "nested_index"),
    (damage.lose_blob, "docker_schema2"),
    (damage.lose_blob, "nested_index"),
    (damage.lose_blob, "helm_chart"),
)


def test_failed_list_fed_to_mirror_heals_all_a_registry_can_take(lab: Lab) -> None:
    lines = []
    for breaks, kind in ROUND_TRIP:
        spot = lab.spots["whole", kind].twin(f"healed/{breaks.__name__}/{kind}")
        breaks(spot)
        origin = f"{lab.source.address}/whole/{kind}"
        lines.append(f"{origin} {lab.destination.address}/{spot.repository} {TAG}")
    failed = lab.folder / "mirror-validate-failed.txt"

    broken = lab.run("mirror-validate", lines, "--depth", "content")
    told = failed.read_text().splitlines()
    mended = lab.feed("mirror", failed)
    healed = lab.run("mirror-validate", lines, "--depth", "content")

    assert broken.statuses == ["failed"] * len(lines)
    # After a deep validation mirror looks behind every tag: one run repairs all of it.
    marked = [f"{line}  # depth=tree" for line in lines]
    assert [line for line in told if not line.startswith("#")] == marked
    assert (mended.code, mended.statuses) == (0, ["copied"] * len(lines)), mended.stderr
    assert (healed.code, healed.statuses) == (0, ["passed"] * len(lines)), healed.stderr
    assert not failed.exists()


def test_damaged_content_is_beyond_mirror_until_its_registry_knows_it_is_gone(lab: Lab) -> None:
    spots = [
        Spot(lab.destination, f"kept/{breaks.__name__}", KINDS["docker_list"](seed))
        for seed, breaks in enumerate((damage.lose_content, damage.corrupt_content), start=50)
    ]
    for registry in (lab.source, lab.destination):
        _push(registry, spots)
    damage.lose_content(spots[0])
    damage.corrupt_content(spots[1])
    lines = [f"{lab.source.address}/{spot.repository}:{TAG}" for spot in spots]
    failed = lab.folder / "mirror-validate-failed.txt"
    running = ("-d", lab.destination.address)

    found = lab.run("mirror-validate", lines, "--depth", "content", *running)
    forced = lab.feed("mirror", failed, "--force", *running)
    still = lab.run("mirror-validate", lines, "--depth", "content", *running)
    damage.lose_content(spots[1])
    with start_registry(RegistryOptions(storage=lab.destination.storage)) as restarted:
        there = ("-d", restarted.address)
        gone = lab.run("mirror-validate", lines, "--depth", "tree", *there)
        mended = lab.feed("mirror", failed, *there)
        whole = lab.run("mirror-validate", lines, "--depth", "content", *there)

    assert found.statuses == still.statuses == gone.statuses == ["failed", "failed"]
    assert [outcome["advice"] for outcome in found.outcomes] == [KEPT, KEPT]
    assert [outcome["advice"] for outcome in gone.outcomes] == [LOST, LOST]
    assert forced.statuses == mended.statuses == ["copied", "copied"]
    assert whole.statuses == ["passed", "passed"]
