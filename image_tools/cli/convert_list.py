"""`image-tools convert-list`: from its options to its exit code."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from loguru import logger

from image_tools.cli import render
from image_tools.cli.listing import accept_empty, list_content, say_problem, shown_name
from image_tools.cli.reaching import start_logs
from image_tools.cli.request import chosen_registries
from image_tools.commands.convert_list import ConvertListRequest
from image_tools.commands.convert_list import convert_list as converted
from image_tools.errors import EnvironmentProblem, UsageError
from image_tools.imagelist.convert import Converted


def convert_list(options: Namespace, environ: Mapping[str, str]) -> int:
    """Write the list in the other format; 1 where lines could not be read."""
    start_logs(options, environ)
    output = _output(options)
    name = shown_name(options.input)
    request = ConvertListRequest(
        content=list_content(options.input, "-i"),
        name=name,
        registries=chosen_registries(options, environ),
        reverse=options.reverse,
    )
    found = converted(request)
    if not found.images:
        accept_empty(name, allowed=options.allow_empty)
    for problem in found.kept:
        logger.warning("{}:{}: stays as it is: {}", name, problem.line, problem.reason)
    for problem in found.problems:
        say_problem(problem, name, skipped=False)
    _write(output, found)
    return int(bool(found.problems))


def _output(options: Namespace) -> Path | None:
    """Where the list goes, None is standard output; UsageError when that is its own input."""
    if options.output == "-":
        return None
    path = Path(options.output)
    render.check_result_file("--output", path)
    source = Path(options.input)
    if options.input != "-" and path.exists() and source.exists() and path.samefile(source):
        raise UsageError(
            f"--output: {path} is the list that is read", advice="write to another file"
        )
    return path


def _write(path: Path | None, found: Converted) -> None:
    if path is None:
        render.out_bytes(found.content)
        return
    try:
        render.write_file(path, found.content)
    except OSError as error:
        raise EnvironmentProblem(f"{path} cannot be written: {error.strerror or error}") from error
    logger.info("{}: lines converted: {}", path, found.changed)
