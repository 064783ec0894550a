"""What a run reads is not what it writes: decided by the place that is really asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_tools.errors import UsageError
from image_tools.oci.reference import Reference
from image_tools.run.endpoints import WrittenPlaces
from image_tools.stores.remote.registries_conf import RegistriesConf, as_text, parse
from tests.helpers.said import listened

CONF = """
[[registry]]
prefix = "docker.io"
location = "docker.io"
[[registry.mirror]]
location = "127.0.0.1:5000"
insecure = true
[[registry.mirror]]
location = "cache.example/hub"
pull-from-mirror = "digest-only"
[[registry]]
prefix = "alias.example/apps"
location = "REG.example:443/team"
"""
NGINX = Reference.parse("docker.io/library/nginx:1")
RULES = RegistriesConf(parse(CONF, Path("r.conf")))


def written(*destinations: str) -> WrittenPlaces:
    places = WrittenPlaces(RULES)
    for text in destinations:
        places.add(Reference.parse(text))
    return places


@pytest.mark.parametrize(
    ("destination", "left"),
    [
        ("localhost:5000/library/nginx:1", ["cache.example", "docker.io"]),
        ("localhost:5000/library/nginx:other", ["cache.example", "docker.io"]),
        ("localhost:5000/mine/nginx:1", ["127.0.0.1:5000", "cache.example", "docker.io"]),
        ("cache.example/hub/library/nginx:1", ["127.0.0.1:5000", "docker.io"]),
        ("cache.example/library/nginx:1", ["127.0.0.1:5000", "cache.example", "docker.io"]),
    ],
)
def test_mirror_that_is_a_destination_is_not_read(destination: str, left: list[str]) -> None:
    assert [place.registry for place in written(destination).places(NGINX)] == left


def test_mirror_that_is_a_destination_is_told_once_and_becomes_known_line_by_line() -> None:
    places = written()
    assert len(places.places(NGINX)) == 3
    places.add(Reference.parse("localhost:5000/library/nginx:1"))
    with listened() as said:
        for _ in range(3):
            assert len(places.places(NGINX)) == 2

    assert said == [
        "INFO 127.0.0.1:5000/library/nginx is a mirror in registries.conf and a destination of"
        " this run: not read"
    ]


@pytest.mark.parametrize(
    ("source", "destination", "same"),
    [
        ("alias.example/apps/web:1", "reg.example/team/web:1", True),
        ("alias.example/apps/web", "reg.example/team/web:latest", True),
        ("alias.example/apps/web:1", "reg.example/team/web:2", False),
        (f"alias.example/apps/web:1@sha256:{'0' * 64}", "reg.example/team/web:1", False),
        ("alias.example/apps/web:1", "reg.example/other/web:1", False),
        ("localhost:5000/a:1", "[::1]:5000/a:1", True),
        ("reg.example/a:1", "reg.example:443/a:1", True),
        ("docker.io/library/nginx:1", "registry.hub.docker.com/library/nginx:1", True),
        ("docker.io/library/nginx:1", "127.0.0.1:5000/library/nginx:1", False),
    ],
)
def test_source_that_is_its_own_destination_is_refused(
    source: str, destination: str, same: bool
) -> None:
    ends = Reference.parse(source), Reference.parse(destination)
    if not same:
        written().check_apart(*ends)
        return
    with pytest.raises(UsageError, match="source and destination are the same place: "):
        written().check_apart(*ends)


def test_registries_conf_for_skopeo_leaves_out_the_same_mirrors() -> None:
    kept = written("localhost:5000/library/nginx:1").places(NGINX)
    text = as_text(NGINX.name, kept)

    (rule,) = parse(text, Path("r.conf"))
    assert rule.prefix == "docker.io/library/nginx"
    assert rule.location is not None
    assert rule.location.name == "docker.io/library/nginx"
    assert [(one.name, one.insecure, one.pull) for one in rule.mirrors] == [
        ("cache.example/hub/library/nginx", kept[0].insecure, kept[0].pull)
    ]
