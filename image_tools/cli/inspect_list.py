"""`image-tools inspect list`: from its options to its exit code."""

from __future__ import annotations

import csv
import io
from argparse import Namespace
from collections.abc import Mapping

from loguru import logger

from image_tools.cli import render
from image_tools.cli.listing import accept_empty, list_content, say_problem, shown_name
from image_tools.cli.reaching import reaching, start_logs
from image_tools.cli.redact import clean
from image_tools.cli.request import refuse_empty
from image_tools.cli.results import standard_width
from image_tools.cli.tables import Column, table
from image_tools.cli.text import human_bytes
from image_tools.commands.inspect_list import InspectListRequest, ListedImage, RowList, RowStatus
from image_tools.commands.inspect_list import inspect_list as inspected
from image_tools.imagelist.reader import read_names
from image_tools.imagelist.registries import choose_registries

_COLUMNS = (
    Column("STATUS"),
    Column("IMAGE", least=24),
    Column("PLATFORMS", least=12),
    Column("SIZE", right=True),
    Column("DIGEST", least=len("sha256:") + 13, keep_end=False),
)


def inspect_list(options: Namespace, environ: Mapping[str, str]) -> int:
    """Show one row for each line; 1 where one was not found or could not be read."""
    start_logs(options, environ)
    request = _request(options, environ)
    registries = {named.reference.registry for named in request.names}
    with reaching(options, environ, registries) as opening:
        found = inspected(request, opening)
    for row in found.rows:
        if row.status is RowStatus.FAILED:
            advice = f"\n{row.advice}" if row.advice else ""
            logger.error("{}:{}: {}{}", shown_name(options.file), row.line, row.reason, advice)
    _show(found, options.format, standard_width(environ))
    return found.exit_code


def _request(options: Namespace, environ: Mapping[str, str]) -> InspectListRequest:
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
    """One line of titles, one for each row; several platforms stand in one cell."""
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
