"""A TCP proxy on loopback that makes a registry look far away: every byte arrives later.

`python -m benchmarks.delaying_proxy PORT MS` carries on to 127.0.0.1:PORT, MS being the round trip,
and prints its own address. Bandwidth is not limited. Ends with its standard input.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PIECE = 256 * 1024
IN_FLIGHT = 64


@contextmanager
def far_away(address: str, milliseconds: int) -> Iterator[str]:
    """Give an address from which `address` is `milliseconds` away; itself when that is 0."""
    if milliseconds == 0:
        yield address
        return
    port = address.rpartition(":")[2]
    argv = [sys.executable, "-m", "benchmarks.delaying_proxy", port, str(milliseconds)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


async def _serve(port: int, seconds: float) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)  # The handshake takes a round trip.
        there = await asyncio.open_connection("127.0.0.1", port, limit=PIECE)
        await asyncio.gather(
            _carry(reader, there[1], seconds / 2), _carry(there[0], writer, seconds / 2)
        )

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=PIECE)
    host, own = server.sockets[0].getsockname()[:2]
    sys.stdout.write(f"{host}:{own}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float
) -> None:
    """Pass bytes on, each `seconds` after it came; the order and the end are kept."""
    line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(IN_FLIGHT)
    sending = asyncio.ensure_future(_send(line, writer))
    clock = asyncio.get_running_loop().time
    with suppress(OSError):
        while piece := await reader.read(PIECE):
            await line.put((clock() + seconds, piece))
    await line.put((clock() + seconds, b""))
    await sending


async def _send(line: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
    clock = asyncio.get_running_loop().time
    is_open = True
    while True:
        due, piece = await line.get()
        if (left := due - clock()) > 0:
            await asyncio.sleep(left)
        if not piece:
            writer.close()
            return
        if is_open:
            try:
                writer.write(piece)
                await writer.drain()
            except OSError:
                is_open = False  # The rest is taken and forgotten, so that nobody waits.


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2]) / 1000))
