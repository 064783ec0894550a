"""Getting in: greetings, token servers with habits, refusals that count for one question only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from image_tools.stores.remote.registry import Remote
from tests.zoo.behaviour import Behaviour
from tests.zoo.registry import ZooRegistry
from tests.zoo.tokens import (
    AsksForTokens,
    Forbids,
    ForbidsWithChallenge,
    GrantsOneOfSeveralScopes,
    GreetsEverybody,
    GreetsWithPlaceholderScope,
    IdentityTokenByGetOnly,
    PushTokenCreatesRepository,
    RepeatedScopeRefused,
    TokenByPostOnly,
)
from tests.zoo.trip import LOGIN, NAME, ONE, SMALL, TAG, Trip, ask, filled, log_in, single

THREE = tuple(f"team/app{number}:1.0" for number in range(3))
PLACEHOLDER = "repository:user/image:pull"


def loaded(registry: ZooRegistry) -> ZooRegistry:
    for image in THREE:
        registry.load(image.partition(":")[0], TAG, SMALL)
    return registry


def scope(name: str, actions: str) -> str:
    return f"repository:{name}:{actions}"


# --- the scope of a greeting


def test_anonymous_pull_of_a_greeting_with_a_placeholder_asks_for_the_repository(
    tmp_path: Path,
) -> None:
    guards = GreetsWithPlaceholderScope(), AsksForTokens(public=True)
    with ZooRegistry(*guards) as source, ZooRegistry() as destination:
        loaded(source)
        trip = Trip(source=source, destination=destination, folder=tmp_path)
        ran = trip.mirror(images=THREE)

    assert ran.statuses == ["copied"] * 3, ran.stderr
    assert PLACEHOLDER not in source.scopes


def test_push_after_a_greeting_with_a_placeholder_asks_for_the_repository(
    tmp_path: Path, clean_environment: Path
) -> None:
    guards = GreetsWithPlaceholderScope(), AsksForTokens()
    with ZooRegistry() as source, ZooRegistry(*guards) as destination:
        loaded(source)
        log_in(clean_environment, destination)
        ran = Trip(source=source, destination=destination, folder=tmp_path).mirror(images=THREE)

    assert ran.statuses == ["copied"] * 3, ran.stderr
    assert PLACEHOLDER not in destination.scopes


@pytest.mark.parametrize("command", ["inspect", "list-tags"])
def test_question_after_a_greeting_with_a_placeholder_is_answered(command: str) -> None:
    with ZooRegistry(GreetsWithPlaceholderScope(), AsksForTokens(public=True)) as registry:
        filled(registry)
        ran = single(command, registry, ONE if command == "inspect" else NAME)

    assert (ran.code, registry.scopes) == (0, {scope(NAME, "pull")}), ran.stderr


# --- a refusal counts for its question


@pytest.mark.parametrize("forbids", [Behaviour, Forbids, ForbidsWithChallenge])
def test_wide_token_that_is_refused_leads_to_the_images_own_token(
    forbids: Callable[[], Behaviour],
) -> None:
    names = [image.partition(":")[0] for image in THREE]

    async def heads(store: Remote) -> list[bool]:
        store.expect(names, push=False)
        asked = (store.manifest_head(name, TAG) for name in names)
        return [head is not None for head in await asyncio.gather(*asked)]

    with ZooRegistry(forbids(), GrantsOneOfSeveralScopes(), AsksForTokens()) as registry:
        found = ask(loaded(registry), heads, LOGIN)

    assert found == [True] * 3
    narrow = {asked.scopes for asked in registry.token_requests if len(asked.scopes) == 1}
    assert {(scope(name, "pull"),) for name in names[1:]} <= narrow


@pytest.mark.parametrize("side", ["source", "destination"])
@pytest.mark.parametrize("forbids", [Behaviour, Forbids, ForbidsWithChallenge])
def test_mirror_where_tokens_serve_one_repository_copies_all(
    forbids: Callable[[], Behaviour], side: str, tmp_path: Path, clean_environment: Path
) -> None:
    guards: tuple[Behaviour, ...] = (forbids(), GrantsOneOfSeveralScopes(), AsksForTokens())
    ends = (guards, ()) if side == "source" else ((), guards)
    with ZooRegistry(*ends[0]) as source, ZooRegistry(*ends[1]) as destination:
        loaded(source)
        log_in(clean_environment, source, destination)
        ran = Trip(source=source, destination=destination, folder=tmp_path).mirror(images=THREE)

    assert ran.statuses == ["copied"] * 3, ran.stderr


def test_challenge_inside_a_403_is_followed() -> None:
    guards = GreetsEverybody(), ForbidsWithChallenge(always=True), AsksForTokens()
    with ZooRegistry(*guards) as registry:
        found = ask(filled(registry), lambda store: store.manifest_head(NAME, TAG), LOGIN)

    assert found is not None
    assert registry.scopes == {scope(NAME, "pull")}


# --- minimal rights


READERS: dict[str, Callable[[Trip], object]] = {
    "mirror-validate": lambda trip: trip.validate("digest"),
    "mirror-validate tree": lambda trip: trip.validate("tree"),
    "dry-run": lambda trip: trip.mirror("--dry-run"),
    "inventory": lambda trip: trip.inventory(),
    "inspect": lambda trip: single("inspect", trip.destination),
    "list-tags": lambda trip: single("list-tags", trip.destination, NAME),
    "doctor": lambda trip: trip.doctor(),
}


@pytest.mark.parametrize("is_there", [True, False], ids=["there", "missing"])
@pytest.mark.parametrize("reader", READERS)
def test_reading_command_never_asks_for_push(
    reader: str, is_there: bool, tmp_path: Path, clean_environment: Path
) -> None:
    creator = PushTokenCreatesRepository()
    with ZooRegistry() as source, ZooRegistry(creator, AsksForTokens()) as destination:
        filled(source)
        if is_there:
            filled(destination)
        log_in(clean_environment, destination)
        READERS[reader](Trip(source=source, destination=destination, folder=tmp_path))

    assert destination.actions <= {"pull", ""}, destination.scopes
    assert creator.created == set()


def test_mirror_asks_for_push_only_where_something_is_written(
    tmp_path: Path, clean_environment: Path
) -> None:
    with ZooRegistry() as source, ZooRegistry(AsksForTokens()) as destination:
        loaded(source)
        for image in THREE[:2]:
            destination.load(image.partition(":")[0], TAG, SMALL)
        log_in(clean_environment, destination)
        ran = Trip(source=source, destination=destination, folder=tmp_path).mirror(images=THREE)

    assert ran.statuses == ["unchanged", "unchanged", "copied"], ran.stderr
    pushed = {one for one in destination.scopes if "push" in one.rpartition(":")[2]}
    assert pushed == {scope("team/app2", "pull,push")}


def test_mirror_of_nothing_new_never_asks_for_push(tmp_path: Path, clean_environment: Path) -> None:
    with ZooRegistry() as source, ZooRegistry(AsksForTokens()) as destination:
        trip = Trip(source=loaded(source), destination=destination, folder=tmp_path)
        log_in(clean_environment, destination)
        assert trip.mirror(images=THREE).statuses == ["copied"] * 3
        trip.forget()
        ran = trip.mirror(images=THREE)

    assert ran.statuses == ["unchanged"] * 3
    assert destination.actions == {"pull"}


# --- ways to ask


def test_token_server_that_names_only_an_access_token_is_understood(
    tmp_path: Path, clean_environment: Path
) -> None:
    guards = TokenByPostOnly(), AsksForTokens(identities={"identity-1"})
    with ZooRegistry() as source, ZooRegistry(*guards) as destination:
        log_in(clean_environment, destination, identity="identity-1")
        trip = Trip(source=filled(source), destination=destination, folder=tmp_path)
        ran = trip.mirror()

    assert ran.statuses == ["copied"], ran.stderr
    assert {(asked.method, asked.grant) for asked in destination.token_requests} == {
        ("POST", "refresh")
    }


@pytest.mark.parametrize("status", [404, 405, 401])
def test_identity_token_that_cannot_be_posted_is_shown_with_get(
    status: int, tmp_path: Path, clean_environment: Path
) -> None:
    guards = IdentityTokenByGetOnly(status), AsksForTokens(identities={"identity-1"})
    with ZooRegistry() as source, ZooRegistry(*guards) as destination:
        log_in(clean_environment, destination, identity="identity-1")
        trip = Trip(source=loaded(source), destination=destination, folder=tmp_path)
        ran = trip.mirror(images=THREE)

    assert ran.statuses == ["copied"] * 3, ran.stderr
    posts = [asked for asked in destination.token_requests if asked.method == "POST"]
    assert len(posts) == 1


def test_repeated_scope_that_is_refused_is_asked_for_one_by_one(
    tmp_path: Path, clean_environment: Path
) -> None:
    with (
        ZooRegistry() as source,
        ZooRegistry(RepeatedScopeRefused(), AsksForTokens()) as destination,
    ):
        log_in(clean_environment, destination)
        trip = Trip(source=loaded(source), destination=destination, folder=tmp_path)
        ran = trip.mirror(images=THREE)

    assert ran.statuses == ["copied"] * 3, ran.stderr
