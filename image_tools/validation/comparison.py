"""Whether a destination has exactly what was asked for, and what may stay with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from image_tools.oci.descriptor import Descriptor
from image_tools.oci.platform import Platform
from image_tools.validation.contents import (
    AtDestination,
    AtSource,
    ComparedEntries,
    compare_entries,
)
from image_tools.validation.demand import Choice, Demand, Match
from image_tools.validation.verdict import (
    COPY_AGAIN,
    REMOVE,
    Names,
    Verdict,
    absent,
    digests_differ,
    empty,
    left_over,
    length,
    lists_differ,
    not_chosen,
    platform_problems,
    spec,
    unknown_type,
    wrapped,
)

PASS = Verdict()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The result of a comparison.

    `complete` are the entries whose content must be complete. `stale` are images that may stay, but
    that the source does not have now.
    """

    verdict: Verdict = PASS
    complete: tuple[Descriptor, ...] = ()
    stale: tuple[Descriptor, ...] = ()


def compare(
    source: AtSource,
    choice: Choice,
    there: AtDestination | None,
    asked: Demand,
    names: Names,
) -> Comparison:
    """Return how `there` compares with `choice`, the demanded part of `source`."""
    if there is None:
        return Comparison(verdict=absent(names))
    if source.is_artifact or _stays_single(source, there, asked):
        return _same(source, choice, there)
    if unfit := _unfit(there, names):
        return Comparison(verdict=unfit)
    contents = compare_entries(there.leaves, choice, asked)
    verdict = _single(there, contents, asked, names)
    if source.is_index:
        verdict = _list(source, choice, there, contents, names)
    known = {leaf.digest for leaf in source.leaves}
    return Comparison(
        verdict=verdict,
        complete=(*choice.wanted, *contents.kept),
        stale=tuple(k for k in contents.kept if not k.is_attestation and k.digest not in known),
    )


def compare_converted(
    wanted: Platform, there: AtDestination | None, asked: Demand, names: Names
) -> Comparison:
    """Return how `there` compares with a schema 1 image of platform `wanted`.

    The conversion changes the digest, so only platforms can be compared.
    """
    if there is None:
        return Comparison(verdict=absent(names))
    if not (asked.keep_single and there.leaves) and (unfit := _unfit(there, names)):
        return Comparison(verdict=unfit)
    images = tuple(leaf for leaf in there.leaves if not leaf.is_attestation)
    fitting = tuple(one for one in images if not platform_problems(wanted, one.platform))
    others = tuple(one for one in images if one not in frozenset(fitting))
    kept = tuple(o for o in others if asked.standing(o.platform) is Match.EXCLUDED)
    extras = tuple(other for other in others if other not in frozenset(kept))
    problems = [not_chosen(one) for one in kept if asked.overwrite]
    problems += [left_over(one) for one in extras if fitting]
    if not fitting:
        found = (p for one in images[:1] for p in platform_problems(wanted, one.platform))
        problems = [*length(images), *found]
    if problems:
        return Comparison(verdict=Verdict(problems=tuple(problems), advice=COPY_AGAIN))
    return Comparison(complete=(*fitting, *kept), stale=kept)


def _stays_single(source: AtSource, there: AtDestination, asked: Demand) -> bool:
    return asked.keep_single and not source.is_index and not there.is_index


def _same(source: AtSource, choice: Choice, there: AtDestination) -> Comparison:
    if source.digest == there.digest:
        return Comparison(complete=choice.wanted)
    problem = digests_differ(source.digest, there.digest)
    return Comparison(verdict=Verdict(problems=(problem,), advice=COPY_AGAIN))


def _unfit(there: AtDestination, names: Names) -> Verdict | None:
    if not there.is_index:
        return unknown_type(there.media_type, names)
    return None if there.leaves else empty(names)


def _single(
    there: AtDestination, contents: ComparedEntries, asked: Demand, names: Names
) -> Verdict:
    """Return the verdict about the index with one entry that a single image becomes."""
    dropped = (*contents.left_over, *contents.not_chosen)
    if not contents.missing and not dropped:
        is_single = asked.keep_single and not contents.kept
        return wrapped(names) if is_single else PASS
    kept = frozenset(contents.kept)
    images = tuple(e for e in there.leaves if not e.is_attestation and e not in kept)
    problems = [*length(images)] if len(images) > 1 else []
    for entry in contents.missing:
        problems += _entry_problems(entry, there.leaves)
    problems += _extras(contents)
    return Verdict(problems=tuple(problems) or (lists_differ(names),), advice=_advice(contents))


def _entry_problems(wanted: Descriptor, leaves: tuple[Descriptor, ...]) -> Iterator[str]:
    images = tuple(leaf for leaf in leaves if not leaf.is_attestation)
    same = [image for image in images if image.digest == wanted.digest]
    if same:
        yield from platform_problems(wanted.platform, same[0].platform)
        return
    rivals = [e for e in images if not platform_problems(wanted.platform, e.platform)]
    for image in rivals or images[:1]:
        yield digests_differ(wanted.digest, image.digest)


def _list(
    source: AtSource, choice: Choice, there: AtDestination, contents: ComparedEntries, names: Names
) -> Verdict:
    problems = [*dict.fromkeys(_misnamed(contents, there)), *_extras(contents)]
    # If all of it is wanted and nothing else stays, the index must have the source's bytes.
    has_moved = choice.is_whole and not contents.kept and source.digest != there.digest
    if not (contents.missing or problems or has_moved):
        return PASS
    if not (contents.missing or problems):
        problems.append(digests_differ(source.digest, there.digest))
    return Verdict(
        problems=(*problems, lists_differ(names)),
        advice=_advice(contents),
        source_spec=spec(choice.wanted),
        destination_spec=spec(there.leaves),
    )


def _misnamed(contents: ComparedEntries, there: AtDestination) -> Iterator[str]:
    """Yield the wrong platforms of images that the destination has."""
    called = {leaf.digest: leaf.platform for leaf in reversed(there.leaves)}
    for wanted in contents.missing:
        if wanted.digest in called:
            yield from platform_problems(wanted.platform, called[wanted.digest])


def _extras(contents: ComparedEntries) -> Iterator[str]:
    """Yield the entries that the destination should not have.

    The old image of a platform is not named if its new one is missing, since that one is named. An
    attestation is not named if its image is.
    """
    digests = {entry.digest for entry in contents.missing}
    platforms = {entry.platform.normalized for entry in contents.missing}
    going = {str(entry.digest) for entry in contents.left_over}
    for entry in contents.left_over:
        if entry.platform.normalized in platforms or entry.digest in digests:
            continue
        if not (entry.is_attestation and entry.subject in going):
            yield left_over(entry)
    yield from map(not_chosen, contents.not_chosen)


def _advice(contents: ComparedEntries) -> str:
    if contents.missing:
        return f"{COPY_AGAIN}: mirror copies what is missing and replaces what differs"
    return REMOVE if contents.left_over or contents.not_chosen else COPY_AGAIN
