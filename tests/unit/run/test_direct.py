"""Sources that skopeo reads by itself: what helps where it cannot parse them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from image_tools.oci.reference import Reference
from image_tools.run.direct import DirectWay

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
