"""What a part of the program logs while a test watches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from loguru import logger


@contextmanager
def listened() -> Iterator[list[str]]:
    """The messages logged inside, each as `LEVEL text`."""
    said: list[str] = []

    def hear(text: str) -> None:
        # A run before in this process may have set up a log that indents further lines.
        said.append(text.rstrip("\n").replace("\n    ", "\n"))

    number = logger.add(hear, format="{level} {message}")
    try:
        yield said
    finally:
        logger.remove(number)
