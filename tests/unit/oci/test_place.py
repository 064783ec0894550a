"""One place has one key, however it is written."""

from __future__ import annotations

import pytest

from image_tools.oci.place import key_of, place_key, registry_key
from image_tools.oci.reference import Reference

SAME = [
    ("docker.io", "index.docker.io"),
    ("docker.io", "registry-1.docker.io"),
    ("docker.io", "Registry.Hub.Docker.com:443"),
    ("reg.example", "REG.Example"),
    ("reg.example", "reg.example:443"),
    ("reg.example", "reg.example."),
    ("reg.example:5000", "reg.example:05000"),
    ("localhost:5000", "127.0.0.1:5000"),
    ("localhost:5000", "[::1]:5000"),
    ("localhost:5000", "[0:0:0:0:0:0:0:1]:5000"),
    ("localhost:5000", "[::ffff:127.0.0.1]:5000"),
    ("localhost:5000", "0.0.0.0:5000"),
    ("localhost", "127.0.0.1:443"),
    ("[fd00::1]:5000", "[FD00:0::1]:5000"),
]
OTHER = [
    ("reg.example", "reg.example:5000"),
    ("reg.example", "reg.example:80"),
    ("localhost:5000", "localhost:5001"),
    ("127.0.0.1:5000", "127.0.0.2:5000"),
    ("docker.io", "quay.io"),
    ("[fd00::1]", "[fd00::2]"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_registry_key_is_the_same_for_all_names_of_one_registry(one: str, other: str) -> None:
    assert registry_key(one) == registry_key(other)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_registry_key_of_other_registries_differs(one: str, other: str) -> None:
    assert registry_key(one) != registry_key(other)


def test_place_key_of_a_single_name_on_docker_hub_is_in_library() -> None:
    nginx = Reference.parse("nginx:1")

    assert place_key("index.docker.io", "nginx") == key_of(nginx)
    assert place_key("reg.example", "nginx") != place_key("reg.example", "library/nginx")
