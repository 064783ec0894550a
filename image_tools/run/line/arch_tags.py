"""Names of the tags that `--arch-tags` writes."""

from __future__ import annotations

from image_tools.errors import InvalidReference
from image_tools.oci.platform import Platform
from image_tools.oci.reference import parse_tag


def arch_tag(tag: str, platform: Platform) -> str:
    """`TAG-OS-ARCHVARIANT`, with the system's version behind OS where one is stated.

    InvalidReference when that is longer than a tag may be.
    """
    version = f"-{platform.os_version}" if platform.os_version else ""
    name = f"{tag}-{platform.os}{version}-{platform.architecture}{platform.variant}"
    try:
        return parse_tag(name)
    except InvalidReference as error:
        raise InvalidReference(f"--arch-tags: {error}") from error
