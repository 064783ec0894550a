"""`image-tools convert-list`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from image_tools.cli import render
from image_tools.cli.options import Page, changed, group, note, option, switch
from image_tools.cli.shared_options import (
    SPELLING,
    DestinationOptions,
    EndOptions,
    ListOptions,
    LogOptions,
)
from image_tools.errors import EnvironmentProblem, UsageError


class ConvertListOptions(EndOptions, LogOptions):
    """The options of `convert-list`."""

    input: str = changed(ListOptions, "file", short="i", required=True)
    output: str = option(
        "write the new list to FILE, - is standard output", default="-", short="o", metavar="FILE"
    )
    destination: str | None = changed(
        DestinationOptions,
        "destination",
        help="destination of all images, with a path if you like; with --reverse "
        "the one that is left out of the lines",
    )
    allow_empty: bool = changed(ListOptions, "allow_empty")
    reverse: bool = switch("to the default format; what that cannot say stays as it is")


def convert_list(options: ConvertListOptions, environ: Mapping[str, str]) -> int:
    """Write the list in the other format; return 1 where lines could not be read."""
    from loguru import logger

    from image_tools.cli.listing import accept_empty, list_content, say_problem, shown_name
    from image_tools.cli.logs import start_logs
    from image_tools.cli.request import chosen_registries
    from image_tools.imagelist.convert import to_default_format, to_mirror_format

    start_logs(options, environ)
    output = _output(options)
    name = shown_name(options.input)
    content = list_content(options.input, "-i")
    convert = to_default_format if options.reverse else to_mirror_format
    found = convert(content, name, chosen_registries(options, environ))
    if not found.images:
        accept_empty(name, allowed=options.allow_empty)
    for problem in found.kept:
        logger.warning("{}:{}: stays as it is: {}", name, problem.line, problem.reason)
    for problem in found.problems:
        say_problem(problem, name, skipped=False)
    if output is None:
        render.out_bytes(found.content)
    else:
        _write(output, found.content)
        logger.info("{}: lines converted: {}", output, found.changed)
    return int(bool(found.problems))


def _output(options: ConvertListOptions) -> Path | None:
    """Return the new list's file, None for standard output; UsageError for the list itself."""
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


def _write(path: Path, content: bytes) -> None:
    try:
        render.write_file(path, content)
    except OSError as error:
        raise EnvironmentProblem(f"{path} cannot be written: {error.strerror or error}") from error


CONVERT_LIST = Page(
    name="convert-list",
    kind=ConvertListOptions,
    run=convert_list,
    summary="convert an image list to the mirror format, or back",
    about="Convert an image list to the mirror format, SOURCE DESTINATION TAG, or with --reverse "
    "to the default format, one REFERENCE a line. Comments and blank lines stay where they are.",
    groups=(
        group(
            "Options",
            ConvertListOptions,
            "input output source destination default-project allow-empty reverse debug",
        ),
    ),
    notes=(
        note(
            "Examples",
            "image-tools convert-list -i list.txt -d reg.example:5000 -o mirror-list.txt",
            "image-tools convert-list -i mirror-list.txt --reverse",
        ),
        SPELLING,
        note(
            "Exit codes",
            "0    all lines were read",
            "1    some could not be: they stand in the new list",
            "2    the command line is wrong, or the list is empty: nothing is written",
        ),
    ),
)
