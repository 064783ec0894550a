"""Emptying a pipe: what is kept, what is handed on, and what goes wrong meanwhile."""

from __future__ import annotations

import io
from typing import Any

import pytest

from image_tools.machine.child import CHUNK, STDERR_BOUND, Pump


class Pieces:
    """A pipe that gives its bytes in exactly these pieces, then ends or breaks."""

    def __init__(self, *pieces: bytes, error: Exception | None = None) -> None:
        self.pieces, self.error = list(pieces), error

    def read(self, size: int = -1) -> bytes:
        if not self.pieces and self.error is not None:
            raise self.error
        return self.pieces.pop(0) if self.pieces else b""


def pumped(stream: Any, bound: int = 100) -> tuple[Pump, list[bytes]]:
    lines: list[bytes] = []
    found = Pump(stream, bound, lines.append)
    found.start()
    found.join()
    return found, lines


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ([], []),
        ([b"a\nb\n"], [b"a", b"b"]),
        ([b"a", b"b\nc", b"\n"], [b"ab", b"c"]),
        ([b"a\n\nb"], [b"a", b"", b"b"]),
        ([b"\xc3", b"\xa9\n"], ["é".encode()]),
        ([b"x" * 50_000, b"y" * 50_000, b"\nz"], [b"x" * 50_000 + b"y" * 50_000, b"", b"z"]),
    ],
)
def test_pump_hands_on_whole_lines_and_the_unfinished_last_one(
    pieces: list[bytes], lines: list[bytes]
) -> None:
    found, heard = pumped(Pieces(*pieces), bound=1_000_000)

    assert heard == lines
    assert (bytes(found.kept), found.seen) == (b"".join(pieces), len(b"".join(pieces)))


def test_pump_line_without_an_end_is_handed_on_in_bounded_pieces() -> None:
    found, heard = pumped(Pieces(*[b"x" * 40_000] * 20))

    assert b"".join(heard) == b"x" * 800_000
    assert max(map(len, heard)) <= 2 * 64 * 1024
    assert (len(found.kept), found.seen) == (100, 800_000)


def test_pump_of_stderr_keeps_the_end() -> None:
    pieces = [b"%05d\n" % number * 1000 for number in range(99)]

    found, _ = pumped(Pieces(*pieces), bound=STDERR_BOUND)

    assert found.kept[-STDERR_BOUND:] == b"".join(pieces)[-STDERR_BOUND:]
    assert len(found.kept) <= 2 * STDERR_BOUND


@pytest.mark.parametrize("error", [ValueError("closed file"), OSError("bad descriptor")])
def test_pump_of_a_pipe_that_breaks_keeps_what_came(error: Exception) -> None:
    found, heard = pumped(Pieces(b"a\nb", error=error))

    assert (bytes(found.kept), heard, found.failure) == (b"a\nb", [b"a"], None)


def test_pump_with_a_hearer_that_fails_empties_the_pipe_and_keeps_the_failure() -> None:
    heard = []

    def hear(line: bytes) -> None:
        heard.append(line)
        raise KeyError(line)

    stream: Any = Pieces(b"a\nb\n", b"c\n")
    found = Pump(stream, 100, hear)
    found.start()
    found.join()

    assert (heard, repr(found.failure), bytes(found.kept)) == (
        [b"a"],
        "KeyError(b'a')",
        b"a\nb\nc\n",
    )


def test_pump_of_something_without_a_descriptor_has_no_more() -> None:
    assert Pump(io.BytesIO(b"x"), 100, print).has_more() is False


def test_pump_reads_no_more_at_once_than_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    class Asked(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            sizes.append(size)
            return super().read(size)

    pumped(Asked(bytes(200_000)))

    assert set(sizes) == {CHUNK}
