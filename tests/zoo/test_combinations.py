"""Habits that none of the products is known to have together: whatever combines must get along."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import images
from tests.helpers.signatures import sign, tag_of
from tests.zoo.behaviour import Behaviour
from tests.zoo.between import BlobsRedirected, RedirectsWrites, redirects_manifests
from tests.zoo.listing import FORMS, Pagination, ReferrersRefused, TagsRefused
from tests.zoo.pushing import (
    AbortRefused,
    BlobUnknown,
    LimitsUploads,
    ManifestPutAnswers,
    MountRefused,
    SinglePutRefused,
)
from tests.zoo.reading import (
    AbsentTagForbidden,
    HeadRefused,
    HeadWithoutDigest,
    HeadWithoutLength,
    HeadWithoutType,
    NotFoundPage,
    RangeRefused,
    SubjectUnderFallbackTag,
)
from tests.zoo.registry import ZooRegistry
from tests.zoo.sample import sample
from tests.zoo.tokens import (
    AsksForTokens,
    Forbids,
    ForbidsWithChallenge,
    GrantsOneOfSeveralScopes,
    GreetsWithPlaceholderScope,
    RepeatedScopeRefused,
)
from tests.zoo.trip import NAME, TAG, Trip, log_in

ALL = ("--arch", "all", "--os", "all")
MOST = 5
SEEDS = range(60)
# Nothing here keeps an image from being copied; the first are the outermost.
HABITS: dict[str, Callable[[], Behaviour]] = {
    "not-found-page": NotFoundPage,
    "forbids": Forbids,
    "forbids-with-challenge": ForbidsWithChallenge,
    "placeholder": GreetsWithPlaceholderScope,
    "repeated-scope": RepeatedScopeRefused,
    "one-scope": GrantsOneOfSeveralScopes,
    "absent-forbidden": AbsentTagForbidden,
    "head-400": lambda: HeadRefused(400),
    "head-405": lambda: HeadRefused(405),
    "blob-head-403": lambda: HeadRefused(403, ("blobs",)),
    "no-type": HeadWithoutType,
    "no-digest": HeadWithoutDigest,
    "no-length": HeadWithoutLength,
    "no-range": lambda: RangeRefused(400),
    "no-mount": lambda: MountRefused(500),
    "no-abort": AbortRefused,
    "no-single-put": SinglePutRefused,
    "put-204": ManifestPutAnswers,
    "blob-unknown": BlobUnknown,
    "limited": lambda: LimitsUploads(2),
    "referrers-403": lambda: ReferrersRefused(403),
    "referrers-page": lambda: ReferrersRefused("page"),
    "tags-refused": TagsRefused,
    "pages": lambda: Pagination(FORMS["several-values"]),
    "subject-tag": SubjectUnderFallbackTag,
    "blobs-elsewhere": BlobsRedirected,
    "uploads-elsewhere": lambda: RedirectsWrites(307),
    "manifests-elsewhere": lambda: redirects_manifests(308),
}
OF_TOKENS = {"forbids", "forbids-with-challenge", "placeholder", "repeated-scope", "one-scope"}


def some(choice: random.Random) -> tuple[str, ...]:
    """Return a few habits, in the order of the table."""
    chosen = set(choice.sample(sorted(HABITS), choice.randint(2, MOST)))
    return tuple(name for name in HABITS if name in chosen)


def registry_of(names: tuple[str, ...]) -> ZooRegistry:
    """Return a registry with these habits, which asks for tokens where they speak of them."""
    made = [(name, HABITS[name]()) for name in names]
    guards = [behaviour for name, behaviour in made if name in OF_TOKENS]
    rest = [behaviour for name, behaviour in made if name not in OF_TOKENS]
    return ZooRegistry(*guards, *([AsksForTokens()] if guards else []), *rest)


@pytest.mark.parametrize("seed", sample(SEEDS, *range(8)))
def test_signed_image_is_copied_between_registries_of_any_habits(
    seed: int, tmp_path: Path, clean_environment: Path
) -> None:
    choice = random.Random(seed)
    far, near = some(choice), some(choice)
    image = images.oci_index(1)
    with registry_of(far) as source, registry_of(near) as destination:
        log_in(clean_environment, source, destination)
        source.load(NAME, TAG, image)
        sign(source.plain.endpoint, NAME, image.top.digest, 1)
        trip = Trip(source=source, destination=destination, folder=tmp_path)
        ran, again = trip.mirror(*ALL), trip.mirror(*ALL)
        checked = trip.validate("content", *ALL)

    habits = f"{far} to {near}\n{ran.stderr}{again.stderr}{checked.stderr}"
    assert (ran.statuses, again.statuses) == (["copied"], ["unchanged"]), habits
    assert checked.statuses == ["passed"], habits
    signature = tag_of(image.top.digest)
    assert set(trip.digests()[NAME]) == {TAG, signature}, habits
