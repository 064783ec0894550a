"""The image list of a verb: read from a file or standard input, its invalid lines logged."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from loguru import logger

from image_tools.cli.shared_options import ListOptions
from image_tools.errors import InvalidList, UsageError
from image_tools.imagelist.entry import ImageList, Problem
from image_tools.imagelist.line import resolve
from image_tools.imagelist.origin import STANDARD_INPUT
from image_tools.imagelist.reader import Resolve, read_list
from image_tools.imagelist.registries import Registries


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a list is read: whether faults are accepted, and how a line is resolved.

    `content` is the list where it was read before: standard input gives it only once.
    """

    skip_invalid: bool = False
    allow_empty: bool = False
    resolved: Resolve = resolve
    content: bytes | None = None


def reading_of(options: ListOptions, *, resolved: Resolve = resolve) -> Reading:
    """Return how the options of a verb want their list to be read."""
    return Reading(
        skip_invalid=options.skip_invalid, allow_empty=options.allow_empty, resolved=resolved
    )


def read_images(name: str, registries: Registries, reading: Reading) -> ImageList:
    """Return the list in the file `name`, `-` is standard input; its invalid lines are logged.

    Raise InvalidList when the file cannot be read, and for an empty list unless that is allowed.
    """
    content = list_content(name) if reading.content is None else reading.content
    images = read_list(content, shown_name(name), registries, reading.resolved)
    images = said_problems(images, skip_invalid=reading.skip_invalid)
    if not images.entries and not images.problems:
        accept_empty(images.name, allowed=reading.allow_empty)
    return images


def accept_empty(name: str, *, allowed: bool) -> None:
    """Warn that the list `name` is empty; raise InvalidList unless that is `allowed`."""
    if not allowed:
        raise InvalidList(
            f"{name}: the list is empty",
            advice="check what wrote the list, or add --allow-empty where that may happen",
        )
    logger.warning("{} names no image", name)


def accept_empty_archive(name: str, *, allowed: bool) -> None:
    """Warn that there is no image in the archive `name`.

    Raise UsageError unless that is `allowed`.
    """
    if not allowed:
        raise no_images(f"{name}: the archive has")
    logger.warning("{} has no images", name)


def said_problems(images: ImageList, *, skip_invalid: bool) -> ImageList:
    """Log the invalid lines of `images`; return it, without them if they are to be skipped."""
    for problem in images.problems:
        say_problem(problem, images.name, skipped=skip_invalid)
    if images.repeated:
        logger.info("{}: lines that repeat an earlier one: {}", images.name, images.repeated)
    return replace(images, problems=(), skipped=images.problems) if skip_invalid else images


def no_images(what: str) -> UsageError:
    """Return the error for archives without images; `what` is the start of the sentence."""
    return UsageError(
        f"{what} no images",
        advice="check what wrote the archive, or add --allow-empty where that may happen",
    )


def list_content(name: str, option: str = "-f") -> bytes:
    """Return the bytes of the list file `name`, given with `option`.

    Raise InvalidList if unreadable.
    """
    try:
        return _standard_input() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise InvalidList(
            f"the list {shown_name(name)} cannot be read: {error.strerror or error}",
            advice=f"give the list's file with {option} FILE, or - for standard input",
        ) from error


def shown_name(name: str) -> str:
    """Return the name of the list file `name` in messages."""
    return STANDARD_INPUT if name == "-" else name


def say_problem(problem: Problem, name: str, *, skipped: bool) -> None:
    """Log why a line of the list `name` cannot be used; a warning when it may be `skipped`."""
    level = "WARNING" if skipped else "ERROR"
    logger.log(level, "{}:{}: {}", name, problem.line, problem.reason)


def _standard_input() -> bytes:
    if sys.stdin.isatty():
        logger.info("type the list; Ctrl-D on an empty line ends it")
    return sys.stdin.buffer.read()
