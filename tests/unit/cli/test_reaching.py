"""Which login goes where, and what a word on the command line names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from image_tools.cli import redact
from image_tools.cli.parsing import parse
from image_tools.cli.reaching import image, image_to_delete, repository, side_of
from image_tools.cli.verbs.inspect import INSPECT
from image_tools.errors import UsageError
from image_tools.logins.auth_file import Credentials

READ, WRITE = Credentials("reader", "read-secret"), Credentials("writer", "write-secret")
READER = {"SOURCE_USERNAME": "reader", "SOURCE_PASSWORD": "read-secret"}
WRITER = {"DOCKER_USERNAME": "writer", "DOCKER_PASSWORD": "write-secret"}
DEST = {"DEST_USERNAME": "writer", "DEST_PASSWORD": "write-secret"}
ONE = "reg:5000"
LOGINS: dict[str, tuple[bool, dict[str, str], tuple[str | None, Credentials | None]]] = {
    "nothing": (False, {}, (None, None)),
    "read": (False, {**READER, **WRITER}, (None, READ)),
    "read-chosen-source": (False, {**READER, "SOURCE_REGISTRY": ONE}, (ONE, READ)),
    "read-other-source": (False, {**READER, "SOURCE_REGISTRY": "a:1"}, ("a:1", READ)),
    "read-from-destination": (False, {**WRITER, "DOCKER_REGISTRY": ONE}, (ONE, WRITE)),
    "read-from-destination-of-other-source": (
        False,
        {**READER, **WRITER, "SOURCE_REGISTRY": "a:1", "DOCKER_REGISTRY": f"{ONE}/team"},
        (ONE, WRITE),
    ),
    "read-never-with-destinations-login": (False, WRITER, (None, None)),
    "write": (True, {**READER, **WRITER}, (None, WRITE)),
    "write-second-name": (True, {**DEST, "DEST_REGISTRY": ONE}, (ONE, WRITE)),
    "write-other-destination": (True, {**WRITER, "DOCKER_REGISTRY": "a:1"}, ("a:1", WRITE)),
    "write-never-with-sources-login": (True, READER, (None, None)),
}


@pytest.fixture(autouse=True)
def _no_secrets_left() -> Iterator[None]:
    yield
    redact.forget_secrets()


@pytest.mark.parametrize(("writes", "environ", "expected"), LOGINS.values(), ids=LOGINS)
def test_side_login_is_for_the_registry_it_was_meant_for(
    writes: bool, environ: dict[str, str], expected: tuple[str | None, Credentials | None]
) -> None:
    options = parse(INSPECT, ["nginx", "--tls-verify=false"], {})
    side = side_of(options, environ, {ONE}, writes=writes)

    assert ((side.registry, side.login), side.tls.verify) == (expected, False)


HEX = "ab" * 32
NAMED: list[tuple[Callable[[str], Any], str, str]] = [
    (image, "nginx", "docker.io/library/nginx:latest"),
    (image, "docker://a:1/x:2", "a:1/x:2"),
    (image, f"a:1/x@sha256:{HEX}", f"a:1/x@sha256:{HEX}"),
    (image_to_delete, "a:1/x:2", "a:1/x:2"),
    (repository, "nginx", "docker.io/library/nginx"),
    (repository, "[::1]:5000/x/y", "[::1]:5000/x/y"),
]


@pytest.mark.parametrize(("read", "text", "expected"), NAMED)
def test_word_names_what_people_mean(read: Callable[[str], Any], text: str, expected: str) -> None:
    assert str(read(text)) == expected


@pytest.mark.parametrize(
    ("read", "text", "advice"),
    [
        (image_to_delete, "a:1/x", "write a:1/x:TAG, or a:1/x@DIGEST"),
        (repository, "a:1/x:2", "write a:1/x"),
        (repository, "10.0.0.1:5000", "write 10.0.0.1:5000/REPOSITORY"),
        (repository, "localhost:5000", "write localhost:5000/REPOSITORY"),
        (repository, f"nginx@sha256:{HEX}", "write docker.io/library/nginx"),
    ],
)
def test_word_that_leaves_something_open_is_refused(
    read: Callable[[str], Any], text: str, advice: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read(text)

    assert caught.value.advice == advice
