"""What a destination has to hold, in twenty lines: a third reading of the rules.

It shares no line with the planner or the validator.
"""

from __future__ import annotations

from typing import NamedTuple

from image_tools.oci.digest import Digest
from image_tools.oci.platform import Platform
from image_tools.validation.demand import Demand

Leaf = tuple[Digest, Platform, bool]


class Found(NamedTuple):
    """One leaf as the model sees it: what it is, and what an attestation is about."""

    leaf: Leaf
    subject: str


def fits(asked: Demand, where: Platform) -> str:
    """Return `no`, `unsure` or `yes`."""
    named = [(asked.architectures, where.architecture), (asked.systems, where.os)]
    for names, word in [*named, (asked.variants, where.variant)]:
        if names and word and word not in names:
            return "no"
    return "unsure" if any(names and not word for names, word in named) else "yes"


def expected(
    source: list[Found], there: list[Found], asked: Demand
) -> tuple[set[Leaf], set[Leaf], bool]:
    """Return the entries that are wanted, those that stay, and whether nothing is left out."""
    images = [one for one in source if not one.leaf[2]]
    answers = [fits(asked, one.leaf[1]) for one in images]
    plain = not any(one.leaf[1].is_known for one in images)
    usable = plain or "yes" in answers
    chosen = [
        o for o, fit in zip(images, answers, strict=True) if plain or (usable and fit != "no")
    ]
    subjects = {str(one.leaf[0]) for one in chosen}
    beside = [one for one in source if one.leaf[2] and asked.attestations]
    nothing_named = not (asked.architectures or asked.systems or asked.variants)
    every = len(chosen) == len(images) and (images or nothing_named)
    coming = [one for one in beside if one.subject in subjects or every]
    wanted = {one.leaf for one in [*chosen, *coming]}
    staying: list[Found] = []
    if not (asked.overwrite or plain):
        others = [o for o in there if o.leaf not in wanted]
        staying = [o for o in others if not o.leaf[2] and fits(asked, o.leaf[1]) == "no"]
        names = {str(one.leaf[0]) for one in staying}
        staying += [o for o in others if o.leaf[2] and o.subject in names]
    return wanted, {one.leaf for one in staying}, wanted == {one.leaf for one in source}
