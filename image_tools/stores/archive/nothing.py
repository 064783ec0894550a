"""The content of an archive that is not there yet: for runs that only foresee."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NoReturn

from image_tools.errors import NotFound
from image_tools.oci.digest import Digest


class Nothing:
    """A `Content` without anything in it, into which nothing can be written."""

    def __init__(self, name: str) -> None:
        self.name = name

    def index(self) -> bytes:
        """No bytes."""
        return b""

    def size(self, _digest: Digest) -> int | None:
        """None."""
        return None

    def digests(self) -> Iterator[tuple[Digest, int]]:
        """None of them."""
        return iter(())

    def open(self, digest: Digest) -> BinaryIO:
        """Raises NotFound."""
        raise NotFound(f"{self.name}: blob {digest} is not in it")

    def begin(self, _size: int | None, *, compressible: bool) -> NoReturn:
        """Raises NotImplementedError."""
        raise NotImplementedError(compressible)

    def note(self, line: str) -> None:
        """Raises NotImplementedError."""
        raise NotImplementedError(line)

    def notes(self) -> tuple[str, ...]:
        """No lines."""
        return ()

    def publish(self, _index: bytes) -> None:
        """Raises NotImplementedError."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing."""
