"""Inventories: what is written is read again, and what is none is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.errors import ArchiveDamaged
from image_tools.oci.digest import Digest
from image_tools.oci.reference import Reference
from image_tools.stores.archive.catalogue import Origin
from image_tools.stores.archive.inventory import HeldImage, Inventory, parse_inventory

DIGESTS = [Digest.of(bytes([number])) for number in range(8)]
REFERENCES = [Reference("docker.io", f"library/app{number}", "1.0") for number in range(4)]
origins = st.none() | st.builds(
    Origin, st.text(max_size=20), st.sampled_from(DIGESTS), st.text(max_size=9)
)


@st.composite
def inventories(draw: st.DrawFn) -> Inventory:
    sizes = draw(st.dictionaries(st.sampled_from(DIGESTS), st.integers(0, 2**62), max_size=8))
    blobs = st.lists(st.sampled_from([*sizes]), unique=True) if sizes else st.just([])
    images = {
        reference: HeldImage(
            reference=reference,
            digest=draw(st.sampled_from(DIGESTS)),
            blobs=tuple(draw(blobs)),
            origin=draw(origins),
        )
        for reference in draw(st.lists(st.sampled_from(REFERENCES), unique=True))
    }
    return Inventory(draw(st.text(max_size=20)), images, sizes)


@given(inventories())
def test_inventory_written_is_read_again(inventory: Inventory) -> None:
    assert parse_inventory(inventory.to_bytes(), "there.json") == inventory


@given(
    st.binary()
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=9) | st.sampled_from([str(DIGESTS[0]), 1]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["kind", "schema", "name", "images", "blobs", "reference"]), inner
            )
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode())
)
def test_inventory_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(ArchiveDamaged, match=r"there\.json"):
        parse_inventory(content, "there.json")


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"kind": "other"},
        {"blobs": [["sha256:short", 1]]},
        {"blobs": [[str(DIGESTS[0]), -1]]},
        {"images": [{"reference": "a/b:1", "digest": str(DIGESTS[0]), "blobs": [7]}]},
        {"images": [{"reference": "UPPER", "digest": str(DIGESTS[0]), "blobs": []}]},
    ],
)
def test_inventory_with_one_wrong_thing_is_refused(change: dict[str, object]) -> None:
    document = json.loads(Inventory("there").to_bytes())
    with pytest.raises(ArchiveDamaged, match="is no inventory"):
        parse_inventory(json.dumps({**document, **change}).encode(), "there.json")


def test_only_keeps_what_is_about_the_blobs() -> None:
    one, two = DIGESTS[:2]
    images = {
        reference: HeldImage(reference=reference, digest=one, blobs=blobs)
        for reference, blobs in zip(REFERENCES, [(one,), (one, two), (two,)], strict=False)
    }
    found = Inventory("there", images, {one: 1, two: 2}).only([two, DIGESTS[5]])
    assert found.sizes == {two: 2}
    assert {str(r): held.blobs for r, held in found.images.items()} == {
        str(REFERENCES[1]): (two,),
        str(REFERENCES[2]): (two,),
    }
    assert found.holders() == {two: (REFERENCES[1], REFERENCES[2])}
