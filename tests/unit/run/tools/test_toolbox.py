"""Whose word counts when a tool has failed."""

from __future__ import annotations

import pytest

from image_tools.errors import (
    ImageToolsError,
    ManifestUnsupported,
    NotFound,
    RateLimited,
    Unavailable,
    UnknownFailure,
)
from image_tools.exchange.ledger import Traffic
from image_tools.exchange.sessions import ToolSession
from image_tools.machine.run import CompletedRun
from image_tools.oci.reference import Reference
from image_tools.run.tools.toolbox import cause_of
from tests.helpers.memory_store import MemoryStore

REFERENCE = Reference.parse("docker.io/library/nginx:1")
WORDS = 'time="x" level=fatal msg="reading manifest v1 in x: manifest unknown"\n'
LIMITED, AWAY = RateLimited("slow down"), Unavailable("away")


def session(cause: ImageToolsError | None) -> ToolSession:
    found = ToolSession(key="s1", store=MemoryStore(), repository="r", traffic=Traffic())
    found.cause = cause
    return found


def ended(code: int, stderr: str = "", tool: str = "/opt/bin/skopeo") -> CompletedRun:
    return CompletedRun(argv=(tool, "copy"), returncode=code, stderr=stderr)


@pytest.mark.parametrize("cause", [None, LIMITED])
def test_cause_of_a_run_that_went_well_is_none(cause: ImageToolsError | None) -> None:
    assert cause_of(ended(0, WORDS), REFERENCE, session(cause)) is None


@pytest.mark.parametrize(
    ("causes", "cause"),
    [([LIMITED], LIMITED), ([None, AWAY], AWAY), ([LIMITED, AWAY], LIMITED)],
)
@pytest.mark.parametrize("code", [1, -9])
def test_cause_the_exchange_saw_comes_before_the_words_of_the_tool(
    causes: list[ImageToolsError | None], cause: ImageToolsError, code: int
) -> None:
    assert cause_of(ended(code, WORDS), REFERENCE, *map(session, causes)) is cause


@pytest.mark.parametrize("causes", [[], [None], [None, None]])
def test_cause_without_a_word_of_the_exchange_is_what_the_tool_said(causes: list[None]) -> None:
    found = cause_of(ended(1, WORDS), REFERENCE, *map(session, causes))

    assert isinstance(found, NotFound)
    assert str(found).startswith("docker.io/library/nginx:1: ")
    assert "manifest unknown" in str(found)


@pytest.mark.parametrize(
    ("tool", "name"), [("/opt/bin/skopeo", "skopeo"), ("/usr/lib/docker-buildx", "buildx")]
)
@pytest.mark.parametrize(
    ("code", "words"), [(-9, "was killed by signal 9"), (-15, "was killed by signal 15")]
)
def test_cause_of_a_killed_tool_names_tool_and_signal(
    tool: str, name: str, code: int, words: str
) -> None:
    found = cause_of(ended(code, tool=tool), REFERENCE)

    assert (type(found), str(found)) == (UnknownFailure, f"{REFERENCE}: {name} {words}")


UNPARSED = 'time="x" level=fatal msg="x: unsupported docker v2s2 media type: \\"text/plain\\""\n'


def test_cause_tool_cannot_parse_is_a_manifest_unsupported_that_is_not_repeated() -> None:
    found = cause_of(ended(1, UNPARSED), REFERENCE, session(None))

    assert isinstance(found, ManifestUnsupported)
    assert not found.temporary
    assert str(found).endswith('unsupported docker v2s2 media type: "text/plain"')


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        pytest.param(1, UnknownFailure("unsupported schema version 2"), id="words-of-a-registry"),
        pytest.param(-9, None, id="killed"),
    ],
)
def test_cause_somebody_else_says_unsupported_is_no_reason_to_do_it_ourselves(
    code: int, cause: ImageToolsError | None
) -> None:
    found = cause_of(ended(code, UNPARSED), REFERENCE, session(cause))

    assert type(found) is UnknownFailure
