"""What two heads tell of a line, and what a destination is asked that does not show its tag."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from image_tools.errors import (
    AccessDenied,
    ArchiveDamaged,
    CopyFailed,
    ImageToolsError,
    NotFound,
    PlatformMissing,
    RateLimited,
    Unauthorized,
    Unavailable,
)
from image_tools.logins.auth_file import Credentials
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import RawManifest
from image_tools.report import Change, Kept, Outcome, Status
from image_tools.run.context import RunContext
from image_tools.run.line.probe import Probed, probe
from image_tools.run.options import Options
from image_tools.state import Remembered
from image_tools.stores.store import Abilities
from tests.helpers.quick_loop import run
from tests.helpers.run_lab import (
    AMD64,
    ARM64,
    DESTINATION,
    SINCE,
    SOURCE,
    TAG,
    FakeAdmission,
    FakeArchive,
    Lab,
    entry_of,
    head_of,
    outcome,
)

HEADS = [f"{SOURCE} manifest_head 1", f"{DESTINATION} manifest_head 1"]
OTHER = Digest.of(b"other")
KEPT = Kept(platform="linux/s390x", digest=str(OTHER), since=SINCE)


def stocked(**options: Any) -> Lab:
    """Return a lab whose source has an index."""
    lab = Lab(**options)
    lab.source.index(lab.source.image(AMD64), lab.source.image(ARM64))
    return lab


def copied(**options: Any) -> Lab:
    """Return a lab whose destination has the source's index."""
    lab = stocked(**options)
    lab.destination.take(lab.source)
    return lab


def filtered(**options: Any) -> Lab:
    """Return a lab whose destination has an index of one of the source's platforms."""
    lab = stocked(**options)
    lab.destination.index(lab.destination.image(AMD64), name="old index")
    return lab


def remembered(lab: Lab, source: Digest, there: Digest | None, **more: Any) -> None:
    entry = entry_of()
    key = str(entry.source), str(entry.destination), lab.options.state_key
    lab.memory.known[key] = Remembered(source, there, **more)


def top(lab: Lab) -> RawManifest:
    digest = lab.source.tagged()
    assert digest is not None
    return lab.source.raw(digest)


def there(lab: Lab) -> RawManifest:
    digest = lab.destination.tagged()
    assert digest is not None
    return lab.destination.raw(digest)


def probed(lab: Lab, *, look_behind: bool = False, **more: Any) -> Probed | Outcome:
    context = lab.new_run(**more)
    return run(probe(context, context.line_job(entry_of(look_behind=look_behind))))


def refusal_of(lab: Lab, kind: type[ImageToolsError], **more: Any) -> str:
    with pytest.raises(kind) as caught:
        probed(lab, **more)
    return str(caught.value)


def test_probe_same_digest_at_both_ends_is_unchanged_after_two_heads() -> None:
    lab = copied()

    assert probed(lab) == outcome(
        Status.UNCHANGED,
        digest=str(top(lab).digest),
        source_digest=str(top(lab).digest),
        digest_preserved=True,
        change=Change.SAME_DIGEST,
    )
    assert lab.events == HEADS


def test_probe_digests_as_remembered_is_unchanged_and_tells_what_the_tag_keeps() -> None:
    lab = filtered()
    remembered(lab, top(lab).digest, there(lab).digest, kept=(KEPT,))

    found = probed(lab)

    assert isinstance(found, Outcome)
    assert found == outcome(
        Status.UNCHANGED,
        digest=str(there(lab).digest),
        source_digest=str(top(lab).digest),
        digest_preserved=False,
        change=Change.FILTERED,
        kept=(KEPT,),
        warnings=found.warnings,
    )
    assert [str(OTHER) in warning for warning in found.warnings] == [True]
    assert lab.events == HEADS


@pytest.mark.parametrize(
    "options",
    [
        {"force": True},
        {"overwrite": True},
        {"arch_tags": True},
        {"key_id": "key"},
        {"require_platforms": True},
        {"missing_platform_fails": True},
        {"selection": replace(Options().selection, attestations=False)},
    ],
    ids=lambda options: next(iter(options)),
)
def test_probe_same_digest_is_not_enough_for_some_wishes(options: dict[str, Any]) -> None:
    lab = copied(**options)

    assert probed(lab) == Probed(head_of(top(lab)), head_of(top(lab)))


@pytest.mark.parametrize("keep_single", [False, True])
def test_probe_same_single_image_is_unchanged_only_where_it_is_to_stay_single(
    keep_single: bool,
) -> None:
    lab = Lab(keep_single=keep_single)
    image = lab.source.image(AMD64)
    raw = lab.source.add(lab.source.raw(image.digest), "image", TAG)
    lab.destination.take(lab.source)

    found = probed(lab)

    assert found == (
        outcome(
            Status.UNCHANGED,
            digest=str(raw.digest),
            source_digest=str(raw.digest),
            digest_preserved=True,
            change=Change.SAME_DIGEST,
        )
        if keep_single
        else Probed(head_of(raw), head_of(raw))
    )


def test_probe_forced_run_does_not_trust_what_is_remembered() -> None:
    lab = filtered(force=True)
    remembered(lab, top(lab).digest, there(lab).digest)

    assert probed(lab) == Probed(head_of(top(lab)), head_of(there(lab)))


@pytest.mark.parametrize(
    ("known", "is_news"),
    [("nothing", False), ("another source", True), ("another destination", False)],
)
def test_probe_source_that_has_moved_since_is_news(known: str, is_news: bool) -> None:
    lab = filtered()
    if known == "another source":
        remembered(lab, OTHER, there(lab).digest)
    if known == "another destination":
        remembered(lab, top(lab).digest, OTHER)

    assert probed(lab) == Probed(head_of(top(lab)), head_of(there(lab)), is_news)


def test_probe_new_destination_is_news() -> None:
    lab = stocked()

    assert probed(lab) == Probed(head_of(top(lab)), None, True)


@pytest.mark.parametrize("archive", [False, True])
def test_probe_source_that_is_unknown_is_not_found(archive: bool) -> None:
    lab = Lab()
    if archive:
        lab.source.abilities = Abilities(archive=FakeArchive())

    assert refusal_of(lab, NotFound) == (
        "image [src.example/team/app:1] not exists in archive src.example"
        if archive
        else "src.example/team/app:1: not found at the source"
    )


@pytest.mark.parametrize("end", [SOURCE, DESTINATION])
def test_probe_end_that_cannot_be_reached_is_the_failure_of_the_line(end: str) -> None:
    lab = stocked()
    lab.store(end).fail("manifest_head", lambda: Unavailable(f"{end} is down"))

    assert refusal_of(lab, Unavailable) == f"{end} is down"


# Skipped before, and skipped again.


def test_probe_source_without_wanted_platforms_is_skipped_as_long_as_it_does_not_move() -> None:
    lab = filtered()
    remembered(lab, top(lab).digest, None, offered=("linux/s390x",))

    assert probed(lab) == outcome(
        Status.SKIPPED,
        reason="src.example/team/app:1: none of the wanted platforms; the source has: linux/s390x",
    )


def test_probe_source_that_was_skipped_and_has_moved_is_looked_at() -> None:
    lab = filtered()
    remembered(lab, OTHER, None, offered=("linux/s390x",))

    assert probed(lab) == Probed(head_of(top(lab)), head_of(there(lab)), True)


def test_probe_forced_run_looks_at_what_was_skipped() -> None:
    lab = filtered(force=True)
    remembered(lab, top(lab).digest, None, offered=("linux/s390x",))

    assert probed(lab) == Probed(head_of(top(lab)), head_of(there(lab)))


def test_probe_source_that_was_skipped_fails_where_a_missing_platform_does() -> None:
    lab = filtered(missing_platform_fails=True)
    remembered(lab, top(lab).digest, None, offered=())

    assert refusal_of(lab, PlatformMissing).endswith("the source has: none")


# A destination that does not show its tag.


def hidden(status: int, kind: type[CopyFailed] = AccessDenied) -> Callable[[], CopyFailed]:
    def made() -> CopyFailed:
        error = kind("hidden", status=status)
        error.answered = True
        return error

    return made


class TagList:
    """A registry's list of tags: whether it has the one that is asked for."""

    def __init__(self, answer: bool | None) -> None:
        self.answer = answer

    async def lists_tag(self, repository: str, tag: str) -> bool | None:
        return self.answer


def hiding(
    status: int,
    *,
    lists: bool | None = None,
    kind: type[CopyFailed] = AccessDenied,
    push_error: ImageToolsError | None = None,
    login: Credentials | None = None,
    **options: Any,
) -> Lab:
    lab = stocked(**options)
    lab.destination.fail("manifest_head", hidden(status, kind))
    admission = FakeAdmission(lab.note, credentials=login, push_error=push_error)
    lab.destination.abilities = Abilities(admission=admission, tag_lists=TagList(lists))
    return lab


WAY_OUT = "use --overwrite to replace the tag without reading it"
UNREADABLE = "hidden: the current tag cannot be read"


@pytest.mark.parametrize(
    ("status", "lists", "overwrite", "failure", "pushes"),
    [
        (403, False, False, None, True),
        (403, None, False, None, True),
        (403, True, False, UNREADABLE, False),
        (403, True, True, None, False),
        (412, False, False, UNREADABLE, False),
        (412, None, True, None, False),
        (451, None, False, UNREADABLE, False),
        (400, None, False, UNREADABLE, False),
    ],
    ids=[
        "403, not listed",
        "403, no list",
        "403, listed",
        "403, listed, overwrite",
        "412, policy",
        "412, overwrite",
        "451",
        "400",
    ],
)
def test_probe_hidden_tag_is_new_where_none_is_listed_and_pushes_are_taken(
    status: int, lists: bool | None, overwrite: bool, failure: str | None, pushes: bool
) -> None:
    lab = hiding(status, lists=lists, overwrite=overwrite)

    if failure is None:
        assert probed(lab) == Probed(head_of(top(lab)), None, True)
    else:
        assert refusal_of(lab, AccessDenied) == failure
    assert lab.events == [*HEADS, *(["try_push"] if pushes else [])]


@pytest.mark.parametrize(
    ("own", "advice"),
    [
        ("", "use --overwrite to replace the tag without reading it"),
        (
            "ask the owner",
            "ask the owner; or use --overwrite to replace the tag without reading it",
        ),
    ],
    ids=["none of its own", "its own"],
)
def test_probe_hidden_tag_that_has_to_be_merged_names_the_way_out(own: str, advice: str) -> None:
    lab = stocked()

    def made() -> CopyFailed:
        error = AccessDenied("hidden", status=412, advice=own or None)
        error.answered = True
        return error

    lab.destination.fail("manifest_head", made)

    with pytest.raises(AccessDenied) as caught:
        probed(lab)

    assert (str(caught.value), caught.value.advice) == (UNREADABLE, advice)


def test_probe_hidden_tag_of_a_repository_without_pushes_fails_with_the_first_refusal() -> None:
    lab = hiding(403, push_error=AccessDenied("no pushes"))

    assert refusal_of(lab, AccessDenied) == "hidden"


def test_probe_hidden_tag_is_not_tried_in_a_dry_run() -> None:
    lab = hiding(403, dry_run=True)

    assert refusal_of(lab, AccessDenied) == UNREADABLE
    assert lab.events == HEADS


@pytest.mark.parametrize(
    "made",
    [
        lambda: AccessDenied("a proxy says no", status=403),
        hidden(429, RateLimited),
        hidden(503, Unavailable),
        hidden(412, Unavailable),
        hidden(409),
        lambda: Unauthorized("a token server says no", status=401),
    ],
    ids=[
        "not the registry",
        "rate limit",
        "unavailable",
        "unavailable, by its words",
        "another status",
        "a token server",
    ],
)
def test_probe_refusal_that_is_not_about_the_tag_is_the_failure(
    made: Callable[[], CopyFailed],
) -> None:
    lab = stocked()
    lab.destination.fail("manifest_head", made)
    lab.destination.abilities = Abilities(admission=FakeAdmission(lab.note))

    refusal_of(lab, type(made()))

    assert lab.events == HEADS


def test_probe_repository_that_only_a_push_creates_is_looked_at_again_after_it() -> None:
    lab = hiding(401, kind=Unauthorized, login=Credentials("me", "secret"))

    assert probed(lab) == Probed(head_of(top(lab)), None, True)
    assert lab.events == [*HEADS, "login", "try_push", f"{DESTINATION} manifest_head 1"]


def test_probe_repository_that_only_a_push_creates_and_has_the_tag_is_compared() -> None:
    lab = hiding(401, kind=Unauthorized, login=Credentials("me", "secret"))
    lab.destination.take(lab.source)

    found = probed(lab)

    assert isinstance(found, Outcome)
    assert found.status is Status.UNCHANGED


@pytest.mark.parametrize("refused", ["no login", "login", "push"])
def test_probe_repository_that_stays_closed_fails_with_the_first_refusal(refused: str) -> None:
    login = None if refused == "no login" else Credentials("me", "secret")
    lab = hiding(401, kind=Unauthorized, login=login)
    admission = lab.destination.abilities.admission
    assert isinstance(admission, FakeAdmission)
    if refused == "login":
        admission.login_error = Unauthorized("wrong password")
    if refused == "push":
        admission.push_error = AccessDenied("no pushes")

    assert refusal_of(lab, Unauthorized) == "hidden"


@pytest.mark.parametrize(
    ("still", "overwrite", "failure"),
    [
        (hidden(403), False, UNREADABLE),
        (hidden(403), True, None),
        (hidden(401, Unauthorized), False, UNREADABLE),
        (hidden(503, Unavailable), True, "hidden"),
    ],
    ids=["hidden", "hidden, overwrite", "closed", "down"],
)
def test_probe_repository_that_takes_pushes_and_stays_hidden(
    still: Callable[[], CopyFailed], overwrite: bool, failure: str | None
) -> None:
    lab = hiding(401, kind=Unauthorized, login=Credentials("me", "secret"), overwrite=overwrite)
    lab.destination.fail("manifest_head", still)

    if failure is None:
        assert probed(lab) == Probed(head_of(top(lab)), None, True)
    else:
        assert refusal_of(lab, CopyFailed) == failure


@pytest.mark.parametrize("takes", [True, False])
def test_probe_push_is_tried_once_for_all_tags_of_a_repository_with_the_preflight(
    takes: bool,
) -> None:
    lab = hiding(403, push_error=None if takes else AccessDenied("no pushes"))
    lab.destination.fail("manifest_head", hidden(403))
    context = lab.new_run(preflight=True)

    async def both() -> list[str]:
        said = []
        for number in (1, 2):
            try:
                await probe(context, context.line_job(entry_of(number)))
            except AccessDenied as error:
                said.append(str(error))
        return said

    assert run(both()) == ([] if takes else ["hidden", "hidden"])
    assert lab.events.count("try_push") == 1


def test_probe_without_a_memory_compares_both_heads() -> None:
    lab = filtered()

    assert probed(lab, state=None) == Probed(head_of(top(lab)), head_of(there(lab)))


# An archive as the destination, and what the far side has.


class FarSide:
    """An inventory: what the far side has of every image."""

    def __init__(self, held: Digest | None) -> None:
        self.held = held
        self.asked: list[str] = []

    def unchanged(self, _entry: object, _source: object, selection: str) -> Digest | None:
        self.asked.append(selection)
        return self.held


@pytest.mark.parametrize("held", [OTHER, None])
def test_probe_image_that_the_far_side_has_is_unchanged(held: Digest | None) -> None:
    lab, base = stocked(), FarSide(held)

    found = probed(lab, base=base)

    assert base.asked == [lab.options.state_key]
    assert found == (
        Probed(head_of(top(lab)), None, True)
        if held is None
        else outcome(
            Status.UNCHANGED,
            digest=str(OTHER),
            source_digest=str(top(lab).digest),
            digest_preserved=False,
            change=Change.FILTERED,
        )
    )


@pytest.mark.parametrize("case", ["forced", "in the archive too"])
def test_probe_far_side_is_not_asked(case: str) -> None:
    lab = stocked(force=True) if case == "forced" else copied()
    base = FarSide(OTHER)

    found = probed(lab, base=base)

    assert base.asked == []
    assert isinstance(found, Probed if case == "forced" else Outcome)


def test_probe_archive_that_has_lost_something_is_looked_behind() -> None:
    lab = copied()
    amd64, *_ = lab.destination.repositories["team/app"].manifests
    lab.destination.abilities = Abilities(archive=FakeArchive(lost={top(lab).digest}))
    lab.destination.lose(amd64)

    assert probed(lab) == Probed(head_of(top(lab)), head_of(top(lab)), False, frozenset({amd64}))


def test_probe_archive_that_has_lost_something_and_nothing_can_tell_it_is_read_anew() -> None:
    lab = copied()
    lab.destination.abilities = Abilities(archive=FakeArchive(lost={top(lab).digest}))

    assert probed(lab) == Probed(head_of(top(lab)), head_of(top(lab)))


def test_probe_archive_that_is_damaged_names_the_repair() -> None:
    lab = copied(look_behind=True)
    lab.destination.fail("manifest", lambda: ArchiveDamaged("damaged"), times=9)

    with pytest.raises(ArchiveDamaged, match="damaged") as caught:
        probed(lab)

    assert "save --repair" in caught.value.advice


@pytest.mark.parametrize("asks", ["the run", "the line"])
def test_probe_that_looks_behind_an_unchanged_tag_finds_what_is_lost(asks: str) -> None:
    lab = copied(look_behind=asks == "the run")
    amd64, *_ = lab.destination.repositories["team/app"].manifests
    lab.destination.lose(amd64)

    assert probed(lab, look_behind=asks == "the line") == Probed(
        head_of(top(lab)), head_of(top(lab)), False, frozenset({amd64})
    )


def test_probe_that_looks_behind_a_whole_tag_is_unchanged() -> None:
    lab = copied(look_behind=True)

    found = probed(lab)

    assert isinstance(found, Outcome)
    assert found.status is Status.UNCHANGED


# What a line wants of a pull limit.


@pytest.mark.parametrize(
    ("tops_only", "cost", "least"), [(False, 4, 3), (True, 1, 1)], ids=["copies", "indexes only"]
)
def test_wanted_is_estimated_from_the_size_of_the_index(
    tops_only: bool, cost: int, least: int
) -> None:
    lab = stocked()
    context: RunContext = lab.new_run()
    job = context.line_job(entry_of())

    async def wanted() -> Any:
        found = await probe(context, job)
        assert isinstance(found, Probed)
        wish = found.wanted(context, job, tops_only=tops_only)
        await wish.ask()
        return wish

    found = run(wanted())

    assert (found.registry, found.listed, found.number) == (SOURCE, SOURCE, 1)
    assert found.size == head_of(top(lab)).size
    assert (found.need.cost, found.need.least) == (cost, least)
    assert lab.asked(SOURCE) == ["manifest_head 1", "manifest_head 1"]
