"""The image list a command works on: read from a file or standard input, its faults said."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from loguru import logger

from image_tools.errors import InvalidList
from image_tools.imagelist.entry import ImageList, Problem
from image_tools.imagelist.line import resolve
from image_tools.imagelist.reader import Resolve, read_list
from image_tools.imagelist.registries import Registries

STANDARD_INPUT = "standard input"


def read_images(
    name: str, registries: Registries, *, skip_invalid: bool, resolved: Resolve = resolve
) -> ImageList:
    """The list in the file `name`, `-` is standard input; lines that cannot be read are logged.

    With `skip_invalid` they are warnings, and left out of what is given back. `resolved` says what
    a line means. InvalidList when the file cannot be read.
    """
    content, shown = list_content(name), shown_name(name)
    images = read_list(content, shown, registries, resolved)
    return said_problems(images, skip_invalid=skip_invalid)


def said_problems(images: ImageList, *, skip_invalid: bool) -> ImageList:
    """`images` after what is wrong with its lines was logged; see `read_images`."""
    for problem in images.problems:
        say_problem(problem, images.name, skipped=skip_invalid)
    if images.repeated:
        logger.info("{}: lines that repeat an earlier one: {}", images.name, images.repeated)
    return replace(images, problems=()) if skip_invalid else images


def list_content(name: str, option: str = "-f") -> bytes:
    """The bytes of the list file `name`, given with `option`; InvalidList when unreadable."""
    try:
        return _standard_input() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise InvalidList(
            f"the list {shown_name(name)} cannot be read: {error.strerror or error}",
            advice=f"give the list's file with {option} FILE, or - for standard input",
        ) from error


def shown_name(name: str) -> str:
    """What the list file `name` is called in messages."""
    return STANDARD_INPUT if name == "-" else name


def say_problem(problem: Problem, name: str, *, skipped: bool) -> None:
    """Log why a line of the list `name` cannot be used; a warning when it may be `skipped`."""
    level = "WARNING" if skipped else "ERROR"
    logger.log(level, "{}:{}: {}", name, problem.line, problem.reason)


def _standard_input() -> bytes:
    if sys.stdin.isatty():
        logger.info("type the list; Ctrl-D on an empty line ends it")
    return sys.stdin.buffer.read()
