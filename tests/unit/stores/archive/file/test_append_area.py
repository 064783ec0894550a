"""The places in a growing file: none taken twice, and what is given back is used again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from image_tools.stores.archive.file.append_area import FreeSpace


@given(st.lists(st.integers(1, 5) | st.just(0), max_size=40), st.randoms(use_true_random=False))
def test_places_never_overlap_and_holes_are_the_rest(lengths, order) -> None:
    extents, taken = FreeSpace(10), dict[int, int]()
    for length in lengths:
        if length:
            taken[extents.reserve(length)] = length
        elif taken:
            offset = order.choice(sorted(taken))
            extents.release(offset, taken.pop(offset))

        parts = sorted([*taken.items(), *extents.holes])
        ends = [offset + size for offset, size in parts]
        assert [10, *ends[:-1]] == [offset for offset, _ in parts] or not parts
        assert extents.end == (ends[-1] if ends else 10)
        assert not extents.holes or extents.holes[-1][0] < max(taken)


def test_hole_of_the_same_length_is_taken_first() -> None:
    extents = FreeSpace(0, [(20, 5), (0, 10)])

    assert extents.holes == ((10, 10),)
    assert [extents.reserve(length) for length in (5, 10, 10)] == [25, 10, 30]
