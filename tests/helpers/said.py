"""What a part of the program logs while a test watches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from loguru import logger


@contextmanager
def listened() -> Iterator[list[str]]:
    """The messages logged inside, each as `LEVEL text`."""
    said: list[str] = []
    number = logger.add(lambda text: said.append(text.rstrip("\n")), format="{level} {message}")
    try:
        yield said
    finally:
        logger.remove(number)
