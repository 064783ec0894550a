"""Deleting: success is claimed after looking again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.zoo.behaviour import Behaviour
from tests.zoo.refusing import (
    DeleteByTagRefused,
    DeleteLeavesTags,
    DeleteRefused,
    DeleteWantsTagsFirst,
)
from tests.zoo.registry import ZooRegistry
from tests.zoo.tokens import AsksForTokens
from tests.zoo.trip import CHANGED, NAME, ONE, SMALL, TAG, filled, log_in, single

DELETED: dict[str, tuple[Behaviour, ...]] = {
    "core": (),
    "tags-first": (DeleteWantsTagsFirst(),),
    "by-digest-only": (DeleteByTagRefused(),),
}


@pytest.mark.parametrize("case", DELETED)
def test_image_is_deleted_with_its_tags(case: str) -> None:
    with ZooRegistry(*DELETED[case]) as registry:
        for tag in (TAG, "latest"):
            registry.load(NAME, tag, SMALL)
        registry.load(NAME, "other", CHANGED)
        ran = single("delete", registry, ONE, "-y")

    assert ran.code == 0, ran.stderr
    assert registry.tags[NAME] == {"other": CHANGED.top.digest}
    assert SMALL.top.digest not in registry.manifests[NAME]


def test_tag_that_survives_its_digest_is_an_error() -> None:
    """crane's registry deletes no tag by its name either."""
    with ZooRegistry(DeleteByTagRefused(), DeleteLeavesTags()) as registry:
        ran = single("delete", filled(registry), ONE, "-y")

    assert ran.code == 1
    assert "run again to delete the tag itself" in ran.stderr
    assert "deleted" not in ran.stdout


def test_tag_that_survives_its_digest_goes_with_its_name_when_it_is_run_again() -> None:
    with ZooRegistry(DeleteLeavesTags()) as registry:
        first = single("delete", filled(registry), ONE, "-y")
        again = single("delete", registry, ONE, "-y")
        left = registry.tags[NAME]

    assert (first.code, again.code, left) == (1, 0, {})


@pytest.mark.parametrize("status", [400, 403, 409])
@pytest.mark.parametrize("words", ["not in project staging", "the role has tags of another team"])
def test_plain_refusal_deletes_no_tag(status: int, words: str) -> None:
    with ZooRegistry(DeleteRefused(status, words)) as registry:
        ran = single("delete", filled(registry), ONE, "-y")
        left = registry.tags[NAME]

    assert (ran.code, left) == (1, {TAG: SMALL.top.digest})
    assert [seen.path for seen in registry.asked("DELETE", "manifests") if TAG in seen.path] == []


@pytest.mark.parametrize("status", [405, 403])
def test_registry_that_deletes_nothing_says_so(status: int) -> None:
    with ZooRegistry(DeleteRefused(status)) as registry:
        ran = single("delete", filled(registry), ONE, "-y")

    assert ran.code == 1
    assert registry.tags[NAME] == {TAG: SMALL.top.digest}


def test_delete_asks_for_the_right_to_delete_one_repository_alone(
    clean_environment: Path,
) -> None:
    with ZooRegistry(AsksForTokens()) as registry:
        log_in(clean_environment, registry)
        ran = single("delete", filled(registry), ONE, "-y")

    assert ran.code == 0, ran.stderr
    assert {one.rpartition(":")[0] for one in registry.scopes} == {f"repository:{NAME}"}
