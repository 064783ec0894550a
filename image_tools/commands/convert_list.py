"""`convert-list`: an image list from the default format to the mirror format, or back."""

from __future__ import annotations

from dataclasses import dataclass, field

from image_tools.imagelist.convert import Converted, to_default_format, to_mirror_format
from image_tools.imagelist.registries import Registries


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertListRequest:
    """A list's bytes and its name for messages; `reverse` is to the default format."""

    content: bytes = field(repr=False)
    name: str
    registries: Registries
    reverse: bool = False


def convert_list(request: ConvertListRequest) -> Converted:
    """The list in the other format; lines that cannot be converted stay, and are named."""
    convert = to_default_format if request.reverse else to_mirror_format
    return convert(request.content, request.name, request.registries)
