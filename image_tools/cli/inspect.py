"""`image-tools inspect`: from its options to its exit code."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator, Mapping

from image_tools.cli import render
from image_tools.cli.platforms import refuse_unknown
from image_tools.cli.reaching import image, reaching, start_logs
from image_tools.cli.redact import clean
from image_tools.cli.results import standard_width
from image_tools.cli.tables import Column, table
from image_tools.cli.text import human_bytes
from image_tools.commands.inspect import (
    InspectRequest,
    inspect_config,
    inspect_raw,
    to_json,
)
from image_tools.commands.inspect import inspect as inspected
from image_tools.commands.inspection import Attached, Inspection, PlatformImage
from image_tools.oci.platform import Platform
from image_tools.plan.selection import Selection

_COLUMNS = (
    Column("PLATFORM"),
    Column("DIGEST", least=len("sha256:") + 13, keep_end=False),
    Column("SIZE", right=True),
    Column("LAYERS", right=True),
    Column("CREATED"),
    Column("ATTESTATIONS", right=True),
)
_SECONDS = len("2024-01-31T11:22:33")


def inspect(options: Namespace, environ: Mapping[str, str]) -> int:
    """Show an image; 0, failures are raised."""
    start_logs(options, environ)
    request = InspectRequest(reference=image(options.reference), selection=_selection(options))
    with reaching(options, environ, {request.reference.registry}) as opening:
        if options.config:
            _show_config(inspect_config(request, opening), raw=options.raw)
        elif options.raw:
            render.out_bytes(inspect_raw(request, opening))
        else:
            _show(inspected(request, opening), options.format, standard_width(environ))
    return 0


def _selection(options: Namespace) -> Selection | None:
    refuse_unknown(
        options,
        architectures="override-arch",
        systems="override-os",
        variants="override-variant",
    )
    stated = (options.override_os, options.override_arch, options.override_variant)
    if not any(stated):
        return None
    system, architecture, variant = ((word or "").strip().lower() for word in stated)
    asked = Platform(system, architecture, variant)
    variant = variant and asked.normalized.variant
    return Selection(
        systems=_only(asked.os),
        architectures=_only(asked.normalized.architecture),
        variants=_only(variant),
    )


def _only(word: str) -> frozenset[str] | None:
    return frozenset({word}) if word else None


def _show_config(content: bytes, *, raw: bool) -> None:
    try:
        document = None if raw else json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        render.out_json(document)
    else:
        render.out_bytes(content)


def _show(found: Inspection, output_format: str, width: int | None) -> None:
    if output_format == "json":
        render.out_json(to_json(found))
        return
    rows = [_row(one) for one in found.images]
    lines = ["", *table(_COLUMNS, rows, width)] if rows else []
    render.out("\n".join([*_head(found), *lines]))


def _head(found: Inspection) -> Iterator[str]:
    facts = [
        ("image", found.reference),
        ("digest", str(found.digest)),
        ("type", found.media_type),
        ("size", "unknown" if found.size is None else human_bytes(found.size)),
        *(("attached", _attached(one, found)) for one in found.attached),
        *(("orphan", f"attestation {digest} of no listed image") for digest in found.orphans),
    ]
    for name, text in facts:
        yield f"{name:10}{clean(text)}"


def _attached(one: Attached, found: Inspection) -> str:
    about = (str(image.platform) for image in found.images if image.digest == one.subject)
    whose = "" if one.subject == found.digest else f" of {next(about, one.subject)}"
    return f"{one.kind}{whose} {one.digest}" + (f" ({one.tag})" if one.tag else "")


def _row(one: PlatformImage) -> tuple[str, ...]:
    size = "" if one.size is None else human_bytes(one.size)
    return (
        str(one.platform),
        str(one.digest),
        size if one.present else "missing",
        "" if one.layers is None else str(one.layers),
        one.created[:_SECONDS].replace("T", " "),
        str(len(one.attestations)) if one.attestations else "",
    )
