from __future__ import annotations

import pytest

from image_tools.errors import InvalidReference
from image_tools.oci.platform import Platform
from image_tools.run.line.platforms import arch_tag


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        (Platform("linux", "amd64"), "1.25-linux-amd64"),
        (Platform("linux", "arm", "v7"), "1.25-linux-armv7"),
        (Platform("linux", "arm64", "v8"), "1.25-linux-arm64v8"),
        (Platform("windows", "amd64", "", "10.0.17763.1"), "1.25-windows-10.0.17763.1-amd64"),
    ],
)
def test_arch_tag_of_a_platform_names_system_and_architecture(
    platform: Platform, expected: str
) -> None:
    assert arch_tag("1.25", platform) == expected


def test_arch_tag_longer_than_a_tag_may_be_is_refused() -> None:
    with pytest.raises(InvalidReference, match="--arch-tags: tag of 1"):
        arch_tag("t" * 120, Platform("linux", "amd64"))
