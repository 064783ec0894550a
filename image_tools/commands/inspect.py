"""`inspect`: one image of a registry, described, or its manifest or config as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from image_tools.commands.inspecting import Inspector
from image_tools.commands.inspection import Inspection
from image_tools.commands.opening import Opening
from image_tools.oci.reference import Reference
from image_tools.plan.selection import EVERYTHING, Selection
from image_tools.run.line.reader import Reader

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectRequest:
    """Which image, and which of its platforms; a selection of None is the whole image."""

    reference: Reference
    selection: Selection | None = None


def inspect(request: InspectRequest, opening: Opening) -> Inspection:
    """All about an image. NotFound when it is not there, PlatformMissing without such platform."""

    async def look() -> Inspection:
        inspector = _inspector(request, opening)
        return await inspector.image(request.selection or EVERYTHING, deep=True, attached=True)

    return opening.run(look())


def inspect_raw(request: InspectRequest, opening: Opening) -> bytes:
    """The bytes of the manifest, exactly; of a selection, the manifest of its first platform."""

    async def look() -> bytes:
        return await _inspector(request, opening).raw(request.selection)

    return opening.run(look())


def inspect_config(request: InspectRequest, opening: Opening) -> bytes:
    """The bytes of one platform's config: the first of the selection's, or this machine's."""

    async def look() -> bytes:
        return await _inspector(request, opening).config(request.selection)

    return opening.run(look())


def to_json(inspection: Inspection) -> dict[str, Any]:
    """The JSON document of `inspect`."""
    return {"schema": SCHEMA, "command": "inspect", **inspection.to_json()}


def _inspector(request: InspectRequest, opening: Opening) -> Inspector:
    store = opening.source(request.reference.registry)
    return Inspector(store, request.reference, Reader())
