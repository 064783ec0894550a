"""A source behind mirrors: who is asked, in which order, and whose answer counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from image_tools.errors import (
    DigestMismatch,
    EnvironmentProblem,
    ImageToolsError,
    NotFound,
    RateLimited,
    TlsProblem,
    Unauthorized,
    Unavailable,
)
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.stores.mirrored import Mirrored
from image_tools.stores.remote.registries_conf import RegistriesConf, parse
from image_tools.stores.store import ManifestHead

T = TypeVar("T")
TEXT = """
[[registry]]
prefix = "r.example"
location = "real.example/at"
[[registry.mirror]]
location = "one.example"
[[registry.mirror]]
location = "two.example"
insecure = true
pull-from-mirror = "digest-only"
"""
CONF = RegistriesConf(parse(TEXT, Path("x")))
CONTENT = b"content"
DIGEST = Digest.of(CONTENT)
RAW = RawManifest("type", CONTENT)
ABSENT = object()


class FakeStore:
    """A registry that has the content, has it not (`ABSENT`), or fails."""

    def __init__(self, registry: str, answer: object, asked: list[str]) -> None:
        self._registry, self._answer, self._asked = registry, answer, asked

    def _found(self, repository: str, reference: object) -> bool:
        self._asked.append(f"{self._registry}/{repository}")
        if isinstance(self._answer, type):
            mark = "@" if isinstance(reference, Digest) else ":"
            raise self._answer(f"{self._registry}/{repository}{mark}{reference}: no")
        return self._answer is not ABSENT

    async def manifest_head(self, repository: str, reference: str | Digest) -> ManifestHead | None:
        return ManifestHead(DIGEST, "type", 7) if self._found(repository, reference) else None

    async def manifest(self, repository: str, reference: str | Digest) -> RawManifest:
        if not self._found(repository, reference):
            raise NotFound(f"{self._registry}/{repository}: no")
        return RAW

    async def blob_size(self, repository: str, digest: Digest) -> int | None:
        return 0 if self._found(repository, digest) else None

    @asynccontextmanager
    async def blob(
        self, repository: str, digest: Digest, **_: object
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        if not self._found(repository, digest):
            raise NotFound(f"{self._registry}/{repository}: no")
        yield _one()
        self._asked.append("closed")

    async def tags(self, repository: str) -> tuple[str, ...]:
        self._found(repository, "tags")
        return ("v1",)

    async def referrers(self, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
        return (RAW.descriptor,) if self._found(repository, digest) else ()


async def _one() -> AsyncIterator[bytes]:
    yield CONTENT


def ask(
    answers: dict[str, object], action: Callable[[Mirrored], Awaitable[T]]
) -> tuple[T | ImageToolsError, list[str]]:
    """Give what `action` gives or raises, and who was asked; others than `answers` have it."""
    asked: list[str] = []

    def opened(registry: str, insecure: bool) -> FakeStore:
        assert insecure == (registry == "two.example")
        return FakeStore(registry, answers.get(registry.partition(".")[0]), asked)

    store = Mirrored("r.example", CONF, opened)  # type: ignore[arg-type]

    async def run() -> T:
        return await action(store)

    try:
        return asyncio.run(run()), asked
    except ImageToolsError as error:
        return error, asked


ONE, TWO, REAL = "one.example/a", "two.example/a", "real.example/at/a"


@pytest.mark.parametrize(
    ("answers", "reference", "places"),
    [
        ({}, "v1", [ONE]),
        ({"one": ABSENT}, "v1", [ONE, REAL]),
        ({"one": ABSENT}, DIGEST, [ONE, TWO]),
        ({"one": Unavailable, "two": RateLimited}, DIGEST, [ONE, TWO, REAL]),
        ({"one": Unauthorized, "two": TlsProblem}, DIGEST, [ONE, TWO, REAL]),
        ({"one": DigestMismatch}, "v1", [ONE, REAL]),
    ],
)
def test_first_place_that_has_the_manifest_answers(
    answers: dict[str, object], reference: str | Digest, places: list[str]
) -> None:
    head = ask(answers, lambda store: store.manifest_head("a", reference))
    whole = ask(answers, lambda store: store.manifest("a", reference))

    assert head == (ManifestHead(DIGEST, "type", 7), places)
    assert whole == (RAW, places)


@pytest.mark.parametrize("mirror", [ABSENT, Unavailable])
def test_manifest_that_no_place_has_is_absent(mirror: object) -> None:
    answers = {"one": mirror, "real": ABSENT}

    assert ask(answers, lambda store: store.manifest_head("a", "v1"))[0] is None
    error, _ = ask(answers, lambda store: store.manifest("a", "v1"))
    assert (type(error), str(error)) == (
        NotFound,
        "r.example/a: no (asked at real.example/at/a)",
    )


def test_failure_of_the_last_place_counts_and_names_what_the_user_asked_for() -> None:
    answers = {"one": ABSENT, "real": Unavailable}

    error, _ = ask(answers, lambda store: store.manifest_head("a", "v1"))

    assert (type(error), str(error)) == (
        Unavailable,
        "r.example/a:v1: no (asked at real.example/at/a)",
    )


def test_blob_comes_from_the_first_place_that_has_it_and_is_closed() -> None:
    async def read(store: Mirrored) -> bytes:
        assert await store.blob_size("a", DIGEST) == 0
        async with store.blob("a", DIGEST) as chunks:
            return b"".join([chunk async for chunk in chunks])

    assert ask({"one": ABSENT}, read) == (CONTENT, [ONE, TWO, ONE, TWO, "closed"])


def test_referrers_are_those_of_the_location() -> None:
    assert ask({}, lambda store: store.referrers("a", DIGEST)) == ((RAW.descriptor,), [REAL])


def test_tags_are_those_of_the_location() -> None:
    assert ask({}, lambda store: store.tags("a")) == (("v1",), [REAL])


def test_mirror_that_cannot_be_reached_is_left_alone() -> None:
    async def twice(store: Mirrored) -> None:
        await store.manifest("a", "v1")
        await store.manifest("b", "v1")

    assert ask({"one": Unavailable}, twice)[1] == [ONE, REAL, "real.example/at/b"]
    assert ask({"one": RateLimited}, twice)[1] == [ONE, REAL, "one.example/b", "real.example/at/b"]


def test_problem_of_this_machine_is_no_reason_to_ask_elsewhere() -> None:
    error, asked = ask({"one": EnvironmentProblem}, lambda store: store.manifest("a", "v1"))

    assert (type(error), asked) == (EnvironmentProblem, [ONE])


def test_mirror_that_is_left_out_is_not_asked() -> None:
    asked: list[str] = []
    store = Mirrored(
        "r.example",
        CONF,
        lambda registry, _: FakeStore(registry, None, asked),  # type: ignore[arg-type,return-value]
        lambda place: place.registry in ("one.example", "real.example"),
    )

    assert asyncio.run(store.manifest_head("a", DIGEST)) is not None
    assert asyncio.run(store.manifest_head("a", "v1")) is not None
    assert asked == [TWO, REAL]
