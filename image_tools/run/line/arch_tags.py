"""The names of the tags that `--arch-tags` writes."""

from __future__ import annotations

from image_tools.errors import InvalidReference
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.platform import Platform
from image_tools.oci.reference import parse_tag
from image_tools.run.line.job import Job
from image_tools.run.options import Options


def arch_tag(tag: str, platform: Platform) -> str:
    """Return `TAG-OS-ARCHVARIANT`, with the system's version behind OS where one is stated.

    Raise InvalidReference when that is longer than a tag may be.
    """
    version = f"-{platform.os_version}" if platform.os_version else ""
    name = f"{tag}-{platform.os}{version}-{platform.architecture}{platform.variant}"
    try:
        return parse_tag(name)
    except InvalidReference as error:
        raise InvalidReference(f"--arch-tags: {error}") from error


def own_tag(options: Options, job: Job, child: Descriptor) -> str | None:
    """Return the tag that `--arch-tags` gives to one platform; None if it gets none."""
    if options.arch_tags and not child.is_attestation and child.platform.is_known:
        return arch_tag(job.tag, child.platform)
    return None
