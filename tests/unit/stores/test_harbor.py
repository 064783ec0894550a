"""Harbor's projects: looked for after a refusal, created once, whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from image_tools.errors import (
    AccessDenied,
    CopyFailed,
    InvalidReference,
    NotFound,
    Unauthorized,
    Unavailable,
)
from image_tools.logins.credentials import Keyring
from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.stores.harbor import Harbor, HarborSetting
from image_tools.stores.remote.api import ApiAnswer
from image_tools.stores.remote.registry import Remote, RemoteOptions
from image_tools.stores.store import ManifestHead

HEAD = ManifestHead(Digest.of(b"there"), media.OCI_INDEX, 5)
REFUSED = Unauthorized("r.example/team/app:1: not logged in (401)", status=401)


class Lab(Harbor):
    """A Harbor whose API answers by heart: a status, or a failure to raise."""

    def __init__(self, *answers: int | CopyFailed) -> None:
        keyring = Keyring({"HOME": "/nowhere"})
        super().__init__("r.example", keyring, RemoteOptions(), {}, HarborSetting())
        self.answers = list(answers)
        self.asked: list[tuple[str, str]] = []

    async def _ask(self, method: str, name: str, repository: str, expected: set[int]) -> ApiAnswer:
        self.asked.append((method, name))
        await asyncio.sleep(0)
        answer = self.answers.pop(0)
        if isinstance(answer, CopyFailed):
            raise answer
        return ApiAnswer(answer, {})


@pytest.fixture
def heads(monkeypatch: pytest.MonkeyPatch) -> list[ManifestHead | CopyFailed | None]:
    """Give what the registry answers to HEADs, one after the other."""
    answers: list[ManifestHead | CopyFailed | None] = []

    async def head(_self: Remote, _repository: str, _reference: object) -> ManifestHead | None:
        await asyncio.sleep(0)
        answer = answers.pop(0)
        if isinstance(answer, CopyFailed):
            raise answer
        return answer

    monkeypatch.setattr(Remote, "manifest_head", head)
    return answers


async def gathered(harbor: Harbor, *repositories: str) -> list[bool | BaseException]:
    found = (harbor.ensure_project(repository) for repository in repositories)
    return await asyncio.gather(*found, return_exceptions=True)


# how the project's HEAD is answered -> what is raised, None where the image counts as absent
LOOKS: dict[str, tuple[int | CopyFailed, type[CopyFailed] | None]] = {
    "there": (200, Unauthorized),
    "missing": (404, None),
    "not to be seen": (403, None),
    "login refused": (Unauthorized("no", status=401), Unauthorized),
    "error": (Unavailable("no", status=500), Unavailable),
    "no answer": (Unavailable("no"), Unavailable),
}


@pytest.mark.parametrize(("answer", "stands"), LOOKS.values(), ids=LOOKS)
def test_refusal_stands_only_where_the_project_is_there(heads, answer, stands) -> None:
    heads += [REFUSED, REFUSED]
    harbor = Lab(answer)

    async def story() -> None:
        for _ in range(2):
            if stands is not None:
                with pytest.raises(stands):
                    await harbor.manifest_head("team/app", "1")
                harbor.answers = [answer]
            else:
                assert await harbor.manifest_head("team/app", "1") is None

    asyncio.run(story())
    # What is missing is not asked for again.
    assert len(heads) == (0 if stands else 1)


@pytest.mark.parametrize("head", [HEAD, None])
def test_plain_answer_asks_nothing_more(heads, head) -> None:
    heads.append(head)
    harbor = Lab()

    assert asyncio.run(harbor.manifest_head("team/app", "1")) == head
    assert harbor.asked == []


@pytest.mark.parametrize("error", [NotFound("n", status=404), Unavailable("u", status=503)])
def test_other_failure_is_no_missing_project(heads, error) -> None:
    heads.append(error)
    harbor = Lab()

    with pytest.raises(type(error)):
        asyncio.run(harbor.manifest_head("team/app", "1"))
    assert harbor.asked == []


def test_project_of_an_image_that_is_there_is_not_created(heads) -> None:
    heads.append(HEAD)
    harbor = Lab()

    async def story() -> bool:
        await harbor.manifest_head("team/app", "1")
        return await harbor.ensure_project("team/app")

    assert (asyncio.run(story()), harbor.asked) == (False, [])


def test_project_created_while_it_was_asked_about_is_asked_again(heads) -> None:
    heads += [REFUSED, HEAD]
    harbor = Lab(201)

    async def story() -> Sequence[object]:
        return await asyncio.gather(
            harbor.ensure_project("team/other"), harbor.manifest_head("team/app", "1")
        )

    assert asyncio.run(story()) == [True, HEAD]
    assert harbor.asked == [("POST", "team")]


def test_project_is_created_once_by_whoever_comes_first() -> None:
    harbor = Lab(201, 409)
    found = asyncio.run(gathered(harbor, "team/a", "team/b/c", "web/d", "team/a"))

    assert found == [True, False, False, False]
    assert harbor.asked == [("POST", "team"), ("POST", "web")]


@pytest.mark.parametrize(("look", "lets_in"), [(200, True), (404, False), (403, False)])
def test_right_to_create_is_needed_only_where_the_project_is_missing(look, lets_in) -> None:
    harbor = Lab(403, look)
    [found] = asyncio.run(gathered(harbor, "team/a"))

    assert (found is False) == lets_in
    assert isinstance(found, AccessDenied) != lets_in


def test_failure_is_shared_by_all_who_wait_and_tried_again_later() -> None:
    harbor = Lab(Unavailable("down", status=503), 201)

    async def story() -> list[bool | BaseException]:
        return [*await gathered(harbor, "team/a", "team/b"), *await gathered(harbor, "team/c")]

    first, second, third = asyncio.run(story())
    assert (str(first), str(second), third) == ("down", "down", True)
    assert isinstance(second, Unavailable)
    assert second.advice.startswith("run again with the failed list, or create the project team")


def test_failure_that_will_not_pass_is_not_tried_again() -> None:
    harbor = Lab(NotFound("r.example/team: not found", status=404))

    async def story() -> list[bool | BaseException]:
        return [*await gathered(harbor, "team/a"), *await gathered(harbor, "team/b")]

    assert [type(error) for error in asyncio.run(story())] == [NotFound, NotFound]
    assert harbor.asked == [("POST", "team")]


def test_first_who_is_cancelled_leaves_the_project_to_the_next() -> None:
    harbor = Lab(201, 201)

    async def story() -> bool:
        first = asyncio.ensure_future(harbor.ensure_project("team/a"))
        second = asyncio.ensure_future(harbor.ensure_project("team/b"))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(story())


def test_repository_without_project_is_refused() -> None:
    with pytest.raises(InvalidReference, match=r"write r\.example/PROJECT/app"):
        asyncio.run(Lab().ensure_project("app"))
