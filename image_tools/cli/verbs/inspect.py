"""`image-tools inspect`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from image_tools.cli import render
from image_tools.cli.options import Page, changed, group, note, operand, option, switch
from image_tools.cli.redact import clean
from image_tools.cli.shared_options import (
    IMAGE,
    READ_LOGIN,
    REGISTRY_NAMES,
    FormatOptions,
    PlatformOptions,
    RegistryOptions,
)
from image_tools.cli.tables import DIGEST, SIZE, Column, table
from image_tools.cli.text import human_bytes
from image_tools.oci.platform import Platform
from image_tools.plan.selection import Selection

if TYPE_CHECKING:
    from image_tools.commands.inspection import Attached, Inspection, PlatformImage

_COLUMNS = (
    Column("PLATFORM"),
    DIGEST,
    SIZE,
    Column("LAYERS", right=True),
    Column("CREATED"),
    Column("ATTESTATIONS", right=True),
)
_SECONDS = len("2024-01-31T11:22:33")


class InspectOptions(FormatOptions, RegistryOptions):
    """The options of `inspect`."""

    reference: str = operand("REF", IMAGE)
    raw: bool = switch("write the manifest's bytes exactly as the registry holds them")
    config: bool = switch("write the image's config; with --raw its exact bytes")
    override_arch: str | None = option("only this architecture", metavar="ARCH")
    override_os: str | None = option("only this operating system", metavar="OS")
    override_variant: str | None = option("only this variant", metavar="VARIANT")
    allow_unknown_platform: bool = changed(PlatformOptions, "allow_unknown_platform")


def inspect(options: InspectOptions, environ: Mapping[str, str]) -> int:
    """Show an image; return 0. Failures are raised."""
    from image_tools.cli.logs import start_logs
    from image_tools.cli.reaching import image, reaching
    from image_tools.cli.results import standard_width
    from image_tools.commands.inspect import InspectRequest, inspect_config, inspect_raw
    from image_tools.commands.inspect import inspect as inspected

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


def _selection(options: InspectOptions) -> Selection | None:
    from image_tools.cli.platforms import Named, refuse_unknown

    stated = (options.override_os, options.override_arch, options.override_variant)
    system, architecture, variant = ((word or "").strip().lower() for word in stated)
    if not options.allow_unknown_platform:
        refuse_unknown(
            architectures=Named("override-arch", (architecture,)),
            systems=Named("override-os", (system,)),
            variants=Named("override-variant", (variant,)),
            given=options.given,
        )
    if not any(stated):
        return None
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
        from image_tools.commands.inspect import to_json

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


INSPECT = Page(
    name="inspect",
    kind=InspectOptions,
    run=inspect,
    summary="show platforms, digests, sizes and signatures of an image",
    about="Show what a registry tells of an image without pulling it: its platforms with digest, "
    "size, layers, date and attestations, and what is attached to it, such as signatures.",
    groups=(
        group(
            "Options",
            InspectOptions,
            "raw config override-arch override-os override-variant allow-unknown-platform format "
            "debug",
        ),
        group("Getting in", InspectOptions, REGISTRY_NAMES),
    ),
    notes=(
        note(
            "Which platform",
            "--raw shows the index itself, or with --override-... the manifest of one platform",
            "--config shows the platform of this machine, or the one --override-... names",
        ),
        note(
            "Examples",
            "image-tools inspect nginx:1.25",
            "image-tools inspect --raw reg.example:5000/team/api:2.1.0",
            "image-tools inspect --config --override-arch arm64 nginx:1.25",
            "image-tools inspect list -f list.txt --format csv",
        ),
        READ_LOGIN,
    ),
)
