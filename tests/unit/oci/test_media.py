"""The media type of an index follows its children."""

from __future__ import annotations

import pytest

from image_tools.oci import media

TYPES = {
    "nothing": ([], media.OCI_INDEX),
    "docker": ([media.DOCKER_MANIFEST], media.DOCKER_LIST),
    "oci": ([media.OCI_MANIFEST], media.OCI_INDEX),
    "mixed": ([media.DOCKER_MANIFEST, media.OCI_MANIFEST], media.OCI_INDEX),
    "nested-docker": ([media.DOCKER_MANIFEST, media.DOCKER_LIST], media.DOCKER_LIST),
    "unknown": ([media.DOCKER_MANIFEST, ""], media.OCI_INDEX),
}


@pytest.mark.parametrize(("children", "expected"), TYPES.values(), ids=TYPES)
def test_index_type_is_dockers_only_over_docker_children(children, expected) -> None:
    assert media.index_type_for(frozenset(children)) == expected
