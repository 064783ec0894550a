"""A source that counts manifests as Docker Hub does: within its limit, with no 429 ever seen.

An image of these tests costs three: its index and two platforms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers import images
from tests.helpers.client import push
from tests.helpers.content import Image
from tests.helpers.fault_routes import Asked
from tests.helpers.fault_types import Fault, Reply, Stage
from tests.helpers.faults import FaultOptions, FaultRegistry
from tests.helpers.registry import Registry
from tests.helpers.running import Ran, image_tools, mirror
from tests.helpers.signatures import sign

TOO_MANY = 429


@dataclass(frozen=True)
class Lab:
    """A source with a limit, a destination without, and a folder for list, state, failed list."""

    source: FaultRegistry
    destination: Registry
    folder: Path

    def fill(self, count: int, image: Image | None = None, name: str = "app") -> list[str]:
        names = [f"team/{name}{number}" for number in range(count)]
        for seed, repository in enumerate(names):
            push(self.source.endpoint, repository, "1.0", image or images.oci_index(seed))
        self.source.requests.clear()
        return names

    def mirror(self, names: list[str], *words: str) -> Ran:
        return mirror(self.folder, self.lines(names), "-d", self.destination.address, *words)

    def again(self, *words: str) -> Ran:
        """Feed the failed list in again."""
        return mirror(self.folder, self.failed, "-d", self.destination.address, *words)

    def lines(self, names: list[str]) -> str:
        return "".join(f"{self.source.address}/{name}:1.0\n" for name in names)

    @property
    def failed(self) -> str:
        path = self.folder / "failed.txt"
        return path.read_text() if path.exists() else ""

    @property
    def failed_lines(self) -> list[str]:
        return [line for line in self.failed.splitlines() if not line.startswith("#")]

    @property
    def refused(self) -> int:
        return sum(seen.status == TOO_MANY for seen in self.source.requests)

    @property
    def pulls(self) -> Counter[str]:
        """How often each manifest was read, by repository and reference."""
        return Counter(
            f"{seen.repository}@{seen.reference}"
            for seen in self.source.requests
            if seen.method == "GET" and "/manifests/" in seen.path
        )


@contextmanager
def _lab(registry: Registry, folder: Path, **options: int) -> Iterator[Lab]:
    with FaultRegistry(FaultOptions(**options)) as source:  # type: ignore[arg-type]
        yield Lab(source, registry, folder)


@pytest.fixture
def lab(registry: Registry, tmp_path: Path) -> Iterator[Lab]:
    with _lab(registry, tmp_path, limit_manifest_gets=10) as found:
        yield found


def test_pull_limit_too_many_images_defers_the_rest_and_the_next_run_finishes(lab: Lab) -> None:
    names = lab.fill(5)
    first = lab.mirror(names, "-j", "4")
    done = {o["source"] for o in first.outcomes if o["status"] == "copied"}
    put_off = [o for o in first.outcomes if o["status"] == "deferred"]
    assert (first.code, len(done), len(put_off), lab.refused) == (5, 3, 2, 0)
    assert lab.failed_lines == [o["source"] for o in put_off]
    assert "of 10 left, its window of 6 h moves by" in lab.failed
    assert sum(lab.pulls.values()) <= 10
    finished = {key for key in lab.pulls if any(key.split("@")[0] in name for name in done)}

    lab.source.move_window()
    lab.source.requests.clear()
    second = lab.again("-j", "4")
    assert (second.code, second.statuses, lab.failed, lab.refused) == (0, ["copied"] * 2, "", 0)
    assert not finished & set(lab.pulls)
    assert max(lab.pulls.values()) == 1


def test_pull_limit_unchanged_images_cost_nothing(lab: Lab) -> None:
    names = lab.fill(3)
    assert lab.mirror(names).code == 0
    lab.source.requests.clear()
    again = lab.mirror(names, "--pull-budget", "0")
    assert (again.code, again.statuses, lab.pulls) == (0, ["unchanged"] * 3, Counter())


def test_pull_limit_cheap_images_go_first(lab: Lab) -> None:
    dear, cheap = lab.fill(3), lab.fill(4, images.docker_schema2(1), "single")
    ran = lab.mirror([*dear, *cheap], "-j", "4", "--pull-budget", "7")
    counts = Counter(ran.statuses)
    assert ran.statuses[3:] == ["copied"] * 4
    assert (ran.code, counts["deferred"], lab.refused) == (5, 1, 0)


def test_pull_limit_shorter_index_goes_first_where_the_cost_looks_the_same(lab: Lab) -> None:
    attested, plain = lab.fill(1, images.attestations(9), "attested"), lab.fill(3)
    ran = lab.mirror([*attested, *plain])
    assert (ran.statuses, lab.refused) == (["deferred", *["copied"] * 3], 0)


def test_pull_limit_another_client_pulls_too_no_request_is_refused(lab: Lab) -> None:
    names = lab.fill(4)
    lab.source.pull_elsewhere(6)
    ran = lab.mirror(names)
    assert (ran.code, Counter(ran.statuses), lab.refused) == (
        5,
        Counter(copied=1, deferred=3),
        0,
    )


@pytest.mark.parametrize(("budget", "copied"), [("0", 0), ("2", 0), ("7", 2), ("9", 3)])
def test_pull_budget_by_hand_bounds_the_run(lab: Lab, budget: str, copied: int) -> None:
    ran = lab.mirror(lab.fill(3), "--pull-budget", budget)
    assert Counter(ran.statuses)["copied"] == copied
    assert ran.code == (0 if copied == 3 else 5)
    assert sum(lab.pulls.values()) <= int(budget)
    if budget == "0":
        assert {seen.method for seen in lab.source.requests if seen.repository} == {"HEAD"}


def test_wait_for_quota_short_window_finishes_in_one_run(
    registry: Registry, tmp_path: Path
) -> None:
    with _lab(registry, tmp_path, limit_manifest_gets=6, limit_window=1) as lab:
        ran = lab.mirror(lab.fill(5), "-j", "4", "--wait-for-quota", "--timeout", "20s")
        assert (ran.code, ran.statuses, lab.refused) == (0, ["copied"] * 5, 0)
        assert "images waiting for it" in ran.stderr
        assert max(lab.pulls.values()) == 1


def test_wait_for_quota_image_dearer_than_the_limit_is_deferred(
    registry: Registry, tmp_path: Path
) -> None:
    with _lab(registry, tmp_path, limit_manifest_gets=2, limit_window=600) as lab:
        ran = lab.mirror(lab.fill(1), "--wait-for-quota")
        assert (ran.code, ran.statuses, lab.refused) == (5, ["deferred"], 0)


def test_pull_limit_dry_run_reads_indexes_alone_and_says_what_that_cost(lab: Lab) -> None:
    ran = lab.mirror(lab.fill(4), "--dry-run")
    found = ran.report
    assert (ran.code, sum(lab.pulls.values()), lab.refused) == (5, 4, 0)
    assert found["pulls"] == [
        {"registry": lab.source.address, "spent": 4, "left": 6, "limit": 10, "window": 21600}
    ]
    rows = [(row["action"], row["manifest_gets"], row["bytes_to_move"]) for row in found["rows"]]
    assert rows == [("copy", 3, None), ("copy", 3, None), ("defer", 3, None), ("defer", 3, None)]


def test_pull_limit_validation_reads_within_it(lab: Lab) -> None:
    names = lab.fill(5)
    lab.source.pull_elsewhere(7)
    listed = lab.folder / "list.txt"
    listed.write_text(lab.lines(names))
    words = ["-f", listed, "-d", lab.destination.address, "--format", "json", "--no-state"]
    ran = image_tools("mirror-validate", *words, "-o", lab.folder / "failed.txt", "-j", "4")
    counts = Counter(ran.statuses)
    assert (counts, sum(lab.pulls.values()), lab.refused) == (
        Counter(failed=3, deferred=2),
        3,
        0,
    )


def test_pull_limit_save_defers_what_does_not_fit(lab: Lab) -> None:
    listed = lab.folder / "list.txt"
    listed.write_text(lab.lines(lab.fill(5)))
    words = ["-f", listed, "-d", lab.folder / "images.tar", "--format", "json", "-j", "4"]
    words += ["-a", "amd64,arm64", "--os", "linux", "-o", lab.folder / "failed.txt"]
    ran = image_tools("save", *words)
    assert (ran.code, Counter(ran.statuses), lab.refused) == (
        5,
        Counter(copied=3, deferred=2),
        0,
    )


def test_pull_limit_eaten_by_others_under_way_is_not_hammered(lab: Lab, monkeypatch) -> None:
    names, answer = lab.fill(3), lab.source.answer

    def eaten(asked: Asked, body: bytes) -> Reply:
        if (asked.method, asked.what) == ("GET", "manifests"):
            lab.source.pull_elsewhere(10)
        return answer(asked, body)

    monkeypatch.setattr(lab.source, "answer", eaten)
    ran = lab.mirror(names)
    assert (ran.code, ran.statuses) == (5, ["deferred"] * 3)
    assert lab.refused == sum(lab.pulls.values()) <= len(names)


def test_pull_limit_refused_for_hours_defers_what_was_not_begun(
    registry: Registry, tmp_path: Path
) -> None:
    with _lab(registry, tmp_path) as lab:
        names = lab.fill(3)
        lab.source.add(Fault(Stage.HEAD_MANIFEST, TOO_MANY, times=None, retry_after=7200))
        ran = lab.mirror(names, "-j", "3")
        assert (ran.code, ran.statuses) == (5, ["deferred"] * 3)
        assert lab.refused <= len(names)


def test_pull_limit_of_a_mirror_is_its_own(lab: Lab, monkeypatch) -> None:
    lab.fill(4)
    conf = lab.folder / "registries.conf"
    mirror_of = f'[[registry.mirror]]\nlocation = "{lab.source.address}"\ninsecure = true\n'
    conf.write_text(f'[[registry]]\nlocation = "127.0.0.1:1"\ninsecure = true\n{mirror_of}')
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(conf))
    lines = "".join(f"127.0.0.1:1/team/app{number}:1.0\n" for number in range(4))
    ran = mirror(lab.folder, lines, "-d", lab.destination.address, "--retry-times", "0")
    counts = Counter(ran.statuses)
    assert (ran.code, counts, lab.refused) == (5, Counter(copied=3, deferred=1), 0)
    assert f"{lab.source.address} has 1 of 10 left" in lab.failed


def test_pull_limit_skopeo_reading_by_itself_is_counted(lab: Lab) -> None:
    ran = lab.mirror(lab.fill(3), "--direct")
    counts = Counter(ran.statuses)
    assert (ran.code, counts, lab.refused) == (5, Counter(copied=2, deferred=1), 0)


def test_pull_limit_signatures_belong_to_the_cost_of_their_images(lab: Lab) -> None:
    names = lab.fill(3)
    for seed, name in enumerate(names):
        sign(lab.source, name, images.oci_index(seed).top.digest, 1)
    lab.source.move_window()
    lab.source.requests.clear()
    first = lab.mirror(names, "-j", "4")
    assert (first.code, Counter(first.statuses)) == (5, Counter(copied=2, deferred=1))
    lab.source.move_window()
    assert (lab.again().statuses, lab.refused, sum(lab.pulls.values())) == (["copied"], 0, 12)
