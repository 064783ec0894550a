"""Every command against every product, as a source and as a destination."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import images
from tests.helpers.running import Ran
from tests.helpers.signatures import sign, tag_of
from tests.zoo.products import PRODUCTS, Product
from tests.zoo.registry import ZooRegistry
from tests.zoo.trip import CHANGED, NAME, QUICK, SMALL, TAG, Trip, filled, log_in, single

CELLS = [(name, side) for name, product in PRODUCTS.items() for side in product.sides]
ALL = ("--arch", "all", "--os", "all")
MANY, SIGNED = "team/many:1.0", "team/signed:1.0"
# What comes of each step where nothing is refused.
EXPECTED = {
    "cold": "copied",
    "again": "unchanged",
    "digest": "passed",
    "tree": "passed",
    "content": "passed",
    "changed": "copied",
    "filtered": "copied",
    "signed": "copied",
    "save": "copied",
    "load": "copied",
    "list-tags": "0",
    "inspect": "0",
    "delete": "0",
}
SHORT = ("cold", "again", "list-tags", "inspect")


@dataclass(slots=True)
class Journey:
    """One pass through all steps; `words` is what each of them said."""

    trip: Trip
    side: str
    home: Path
    words: dict[str, str] = field(default_factory=dict)

    @property
    def product(self) -> ZooRegistry:
        """Return the end that is no plain core."""
        return self.trip.source if self.side == "source" else self.trip.destination

    def take(self, step: str) -> str:
        """Take a step; return its status, or its exit code as text, or `failed`."""
        ran: Ran = getattr(self, f"_{step.replace('-', '_')}")()
        self.words[step] = ran.stdout + ran.stderr
        if step in {"list-tags", "inspect", "delete"}:
            return str(ran.code) if not ran.code else "failed"
        outcomes = ran.outcomes if ran.stdout else []
        return outcomes[0]["status"] if len(outcomes) == 1 else "failed"

    def _cold(self) -> Ran:
        return self.trip.mirror(*QUICK)

    def _again(self) -> Ran:
        return self.trip.mirror(*QUICK)

    def _changed(self) -> Ran:
        filled(self.trip.source, CHANGED)
        return self.trip.mirror(*QUICK)

    def _filtered(self) -> Ran:
        self.trip.source.load(MANY.partition(":")[0], TAG, images.oci_index(5))
        return self.trip.mirror("--arch", "amd64", *QUICK, images=(MANY,))

    def _signed(self) -> Ran:
        source, name = self.trip.source, SIGNED.partition(":")[0]
        source.load(name, TAG, SMALL)
        sign(source.plain.endpoint, name, SMALL.top.digest, 1)
        return self.trip.mirror(*ALL, *QUICK, images=(SIGNED,))

    def _digest(self) -> Ran:
        return self.trip.validate("digest")

    def _tree(self) -> Ran:
        return self.trip.validate("tree")

    def _content(self) -> Ran:
        return self.trip.validate("content")

    def _save(self) -> Ran:
        return self.trip.save()

    def _load(self) -> Ran:
        # A trip with an archive that is there whatever the source shows.
        plain = Trip(
            source=self.trip.source.plain,
            destination=self.trip.destination,
            folder=self.trip.folder,
        )
        plain.archive.unlink(missing_ok=True)
        plain.save()
        self.trip.destination.store.tags[NAME].clear()
        return plain.load()

    def _list_tags(self) -> Ran:
        return single("list-tags", self.product, NAME)

    def _inspect(self) -> Ran:
        return single("inspect", self.product)

    def _delete(self) -> Ran:
        log_in(self.home, self.product)
        return single("delete", self.product, f"{NAME}:{TAG}", "-y")


@contextmanager
def journey(product: Product, side: str, folder: Path, home: Path) -> Iterator[Journey]:
    """Yield a journey between the product and a plain core, logged in where that is needed."""
    guarded, plain = ZooRegistry(*product.behaviours()), ZooRegistry()
    ends = (guarded, plain) if side == "source" else (plain, guarded)
    with ends[0], ends[1]:
        if side == "destination" or not product.public:
            log_in(home, guarded)
        trip = Trip(source=filled(ends[0]), destination=ends[1], folder=folder)
        yield Journey(trip, side, home)


def refusals(product: Product, side: str) -> dict[str, str]:
    """Return the steps that a product refuses at one side, with its words."""
    return dict(product.sending if side == "source" else product.taking)


def expected(product: Product, side: str) -> dict[str, str]:
    """Return what has to come of each step."""
    return {**EXPECTED, **dict.fromkeys(refusals(product, side), "failed")}


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return the command lines of every process that is started from now on."""
    started: list[object] = []
    start: Callable[..., Any] = subprocess.Popen._execute_child  # type: ignore[attr-defined]

    def note(self: object, args: object, *rest: object) -> Any:
        started.append(args)
        return start(self, args, *rest)

    monkeypatch.setattr(subprocess.Popen, "_execute_child", note)
    return started


@pytest.mark.parametrize(("name", "side"), CELLS)
def test_image_is_copied_once_and_found_again_with_two_heads(
    name: str,
    side: str,
    tmp_path: Path,
    clean_environment: Path,
    processes: list[object],
) -> None:
    product = PRODUCTS[name]
    wanted = {step: expected(product, side)[step] for step in SHORT}
    with journey(product, side, tmp_path, clean_environment) as way:
        found = {"cold": way.take("cold")}
        started = len(processes)
        way.trip.forget()
        found["again"] = way.take("again")
        asked = [
            [seen.method for seen in end.requests if "/v2/team" in seen.path and seen.status < 400]
            for end in way.trip.ends
        ]
        found |= {step: way.take(step) for step in ("list-tags", "inspect")}

    assert found == wanted, way.words
    if found["again"] == "unchanged":
        assert asked == [["HEAD"], ["HEAD"]]
        assert len(processes) == started


@pytest.mark.soak
@pytest.mark.parametrize(("name", "side"), CELLS)
def test_every_command_does_what_the_product_allows(
    name: str, side: str, tmp_path: Path, clean_environment: Path
) -> None:
    product = PRODUCTS[name]
    with journey(product, side, tmp_path, clean_environment) as way:
        found = {step: way.take(step) for step in EXPECTED}
        signature = tag_of(SMALL.top.digest) in way.trip.destination.tags["team/signed"]

    assert found == expected(product, side), way.words
    assert signature or found["signed"] == "failed"
    for step, words in refusals(product, side).items():
        assert words in way.words[step], step


def test_image_without_a_wanted_platform_is_skipped_and_remembered(tmp_path: Path) -> None:
    with ZooRegistry() as source, ZooRegistry() as destination:
        filled(source, images.windows_only(1))
        trip = Trip(source=source, destination=destination, folder=tmp_path)
        first = trip.mirror()
        trip.forget()
        again = trip.mirror()
        asked = [seen.method for seen in source.requests if "/manifests/" in seen.path]

    assert (first.statuses, again.statuses) == (["skipped"], ["skipped"])
    assert asked == ["HEAD"]
