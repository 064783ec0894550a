"""Sources that skopeo reads by itself: what helps where it cannot parse them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from image_tools.errors import UsageError
from image_tools.oci.reference import Reference
from image_tools.run.endpoints import WrittenPlaces
from image_tools.run.tools.direct import DirectWay
from image_tools.stores.remote.registries_conf import RegistriesConf, parse

SOURCE = Reference.parse("docker.io/library/nginx:1")


@pytest.mark.parametrize(
    ("demands", "advice"),
    [
        (
            True,
            "install a newer skopeo: the signature policy lets nothing else read this source",
        ),
        (False, "leave out --direct, or install a newer skopeo"),
    ],
)
def test_advice_says_what_can_be_done_about_it(demands: bool, advice: str) -> None:
    policy: Any = SimpleNamespace(demands=lambda source: source == SOURCE and demands)
    nothing: Any = None

    assert DirectWay(policy, not demands, nothing, nothing).advice(SOURCE) == advice


@pytest.mark.parametrize("folder", ["registries.conf.d", "containers"])
def test_drop_in_that_names_the_destination_as_a_mirror_is_refused(
    tmp_path: Path, folder: str
) -> None:
    """No other file counts more for skopeo: it would read the destination."""
    text = (
        f'[[registry]]\nprefix = "{SOURCE.name}"\n[[registry.mirror]]\nlocation = "reg.example"\n'
    )
    conf = RegistriesConf(parse(text, tmp_path / folder / "own.conf"))
    ends: Any = WrittenPlaces(conf)
    ends = SimpleNamespace(conf=conf, leaves_out_mirrors=lambda _: True, source_places=ends.places)
    nothing: Any = None
    way = DirectWay(nothing, True, ends, nothing)

    if folder == "containers":
        written = way._registries_conf(tmp_path, SOURCE)
        assert written is not None
        assert SOURCE.name in written.read_text()
        return
    with pytest.raises(UsageError, match=r"a mirror in .*own\.conf"):
        way._registries_conf(tmp_path, SOURCE)
