"""`image-tools inspect list`."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

from image_tools.cli import render
from image_tools.cli.options import Page, changed, group, note, switch, word
from image_tools.cli.redact import clean
from image_tools.cli.shared_options import (
    READ_LOGIN,
    REGISTRY_NAMES,
    ListOptions,
    RegistryOptions,
    SourceOptions,
)
from image_tools.cli.tables import DIGEST, IMAGE, PLATFORMS, SIZE, Column, table
from image_tools.cli.text import human_bytes

if TYPE_CHECKING:
    from image_tools.commands.inspect_list import InspectListRequest, ListedImage, RowList

_COLUMNS = (Column("STATUS"), IMAGE, PLATFORMS, SIZE, DIGEST)


class InspectListOptions(SourceOptions, ListOptions, RegistryOptions):
    """The options of `inspect list`."""

    file: str = changed(ListOptions, "file", required=True)
    sizes: bool = switch("also read every platform's manifest, for the sizes")
    format: str = word(
        "write the result as a table or as json or csv",
        "table",
        "json",
        "csv",
        metavar="FORMAT",
        default="table",
    )


def inspect_list(options: InspectListOptions, environ: Mapping[str, str]) -> int:
    """Show one row for each line; return 1 where one was not found or is invalid."""
    from loguru import logger

    from image_tools.cli.listing import shown_name
    from image_tools.cli.logs import start_logs
    from image_tools.cli.reaching import reaching
    from image_tools.cli.results import standard_width
    from image_tools.commands.inspect_list import RowStatus
    from image_tools.commands.inspect_list import inspect_list as inspected

    start_logs(options, environ)
    request = _request(options, environ)
    registries = {named.reference.registry for named in request.names}
    with reaching(options, environ, registries, source=options.source) as opening:
        found = inspected(request, opening)
    for row in found.rows:
        if row.status is RowStatus.FAILED:
            advice = f"\n{row.advice}" if row.advice else ""
            logger.error("{}:{}: {}{}", shown_name(options.file), row.line, row.reason, advice)
    _show(found, options.format, standard_width(environ))
    return found.exit_code


def _request(options: InspectListOptions, environ: Mapping[str, str]) -> InspectListRequest:
    from image_tools.cli.listing import accept_empty, list_content, say_problem, shown_name
    from image_tools.cli.request import refuse_empty
    from image_tools.commands.inspect_list import InspectListRequest
    from image_tools.imagelist.reader import read_names
    from image_tools.imagelist.registries import choose_registries

    name = shown_name(options.file)
    refuse_empty(options)
    registries = choose_registries(options.source, None, "", environ)
    names, problems = read_names(list_content(options.file), name, registries)
    for problem in problems:
        say_problem(problem, name, skipped=options.skip_invalid)
    if options.skip_invalid:
        problems = ()
    if not names and not problems:
        accept_empty(name, allowed=options.allow_empty)
    return InspectListRequest(names=names, problems=problems, sizes=options.sizes)


def _show(found: RowList, output_format: str, width: int | None) -> None:
    if output_format == "json":
        render.out_json(found.to_json())
    elif output_format == "csv":
        render.out(_csv(found).rstrip("\n"))
    elif found.rows:
        render.out("\n".join(table(_COLUMNS, [_row(row) for row in found.rows], width)))


def _row(row: ListedImage) -> tuple[str, ...]:
    return (
        row.status.value,
        row.reference or row.raw.strip(),
        ",".join(name.removeprefix("linux/") for name in row.platforms),
        "" if row.size is None else human_bytes(row.size),
        row.digest,
    )


def _csv(found: RowList) -> str:
    """Return a line of titles and one for each row; several platforms are in one cell."""
    from image_tools.commands.inspect_list import ListedImage, RowStatus

    text = io.StringIO()
    titles = ListedImage(line=0, raw="", status=RowStatus.FOUND).to_json()
    writer = csv.DictWriter(text, titles, lineterminator="\n")
    writer.writeheader()
    for row in found.rows:
        cells = {**row.to_json(), "platforms": ",".join(row.platforms)}
        writer.writerow({name: _cell(value) for name, value in cells.items()})
    return text.getvalue()


def _cell(value: object) -> object:
    return clean(value) if isinstance(value, str) else value


INSPECT_LIST = Page(
    name="inspect list",
    kind=InspectListOptions,
    run=inspect_list,
    summary="show the images of a list, one row for each line",
    about="Show the images a list names, one row for each line: whether it is there, its digest "
    "and its platforms. Of SOURCE DESTINATION TAG lines the source is looked at.",
    groups=(
        group(
            "Options", InspectListOptions, "file source skip-invalid allow-empty sizes format debug"
        ),
        group("Getting in", InspectListOptions, REGISTRY_NAMES),
    ),
    notes=(
        note(
            "Examples",
            "image-tools inspect list -f list.txt -s reg.example:5000",
            "image-tools inspect list -f list.txt --sizes --format csv > images.csv",
        ),
        READ_LOGIN,
        note(
            "Exit codes",
            "0    every image was found",
            "1    some images were not, or lines could not be read",
            "2    the command line is wrong, or the list is empty",
        ),
    ),
)
