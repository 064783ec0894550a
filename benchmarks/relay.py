"""A TCP relay on loopback that makes a server look far away: round-trip time and bandwidth.

`python -m benchmarks.relay PORT RTT_MS MBIT` carries on to 127.0.0.1:PORT and prints its own
address (MBIT 0: no bound). It ends with its standard input. All connections share the bandwidth
of each way, in turn, so that a small answer does not wait behind all of a large one. A connection
begins one round trip late; the slow start of TCP is not played.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.child import child

QUANTUM = 64 * 1024
# What a connection may keep waiting before its sender has to wait.
WAITING = 512 * 1024
# So much may leave at once after a pause: the relay may be late on a busy machine.
BURST_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Link:
    """How far a registry is: round trip in milliseconds, bandwidth of each way (0: no bound)."""

    milliseconds: int = 0
    megabits: int = 0

    @property
    def name(self) -> str:
        """Give the name under which it is chosen and reported."""
        return f"{self.milliseconds}ms-{self.megabits}mbit" if self != Link() else "loopback"


@contextmanager
def far_away(address: str, link: Link) -> Iterator[str]:
    """Give an address from which `address` is as far as `link`; itself when that is no way."""
    if link == Link():
        yield address
        return
    with relay_to(address, link) as relayed:
        yield relayed


@contextmanager
def relay_to(address: str, link: Link) -> Iterator[str]:
    """Give the address of a relay in a process of its own."""
    numbers = (address.rpartition(":")[2], str(link.milliseconds), str(link.megabits))
    with child("benchmarks.relay", *numbers) as (said, _):
        yield said[0]


class Way:
    """One direction of the link: serves the pipes that have something, a quantum each in turn."""

    def __init__(self, seconds: float, rate: float) -> None:
        """Begin an idle way of this delay; `rate` in bytes per second, 0 without bound."""
        self.seconds = seconds
        self._rate = rate
        self._ready: deque[Pipe] = deque()
        self._budget, self._at = 0.0, 0.0
        self._is_waiting = False
        self._loop = asyncio.get_running_loop()

    def ready(self, pipe: Pipe) -> None:
        """Serve a pipe from now on, until it is empty or blocked."""
        if not pipe.is_queued and pipe.can_send:
            pipe.is_queued = True
            self._ready.append(pipe)
            if not self._is_waiting:
                self._serve()

    def _serve(self) -> None:
        self._is_waiting = False
        now = self._loop.time()
        if self._rate:
            earned = self._budget + (now - self._at) * self._rate
            self._budget, self._at = min(earned, self._rate * BURST_SECONDS), now
        while self._ready:
            if self._rate and self._budget <= 0:
                self._is_waiting = True
                self._loop.call_at(now - self._budget / self._rate, self._serve)
                return
            pipe = self._ready.popleft()
            pipe.is_queued = False
            self._budget -= pipe.send(QUANTUM if self._rate else WAITING, now + self.seconds)
            if pipe.can_send:
                pipe.is_queued = True
                self._ready.append(pipe)


class Pipe:
    """One direction of one connection: what waits for the way, and what is on it."""

    def __init__(self, way: Way, reading: asyncio.Transport, writing: asyncio.Transport) -> None:
        """Join what is read here to what is written there."""
        self.is_queued = self.is_blocked = False
        self._way, self._in, self._out = way, reading, writing
        self._waiting: deque[memoryview] = deque()
        self._size = 0
        self._flying: deque[memoryview | None] = deque()
        self._has_ended = False
        self._loop = asyncio.get_running_loop()

    @property
    def can_send(self) -> bool:
        """Tell whether there is something that may be sent."""
        return bool(self._waiting) and not self.is_blocked

    def take(self, data: bytes) -> None:
        """Take what was read; the sender waits when it is too much."""
        self._waiting.append(memoryview(data))
        self._size += len(data)
        if self._size > WAITING:
            self._in.pause_reading()
        self._way.ready(self)

    def end(self) -> None:
        """Let the other side know, after all before has arrived, that no more will come."""
        self._has_ended = True
        if not self._waiting:
            self._fly(None, self._loop.time() + self._way.seconds)

    def block(self, is_blocked: bool) -> None:
        """Send no more for now, or go on."""
        self.is_blocked = is_blocked
        self._way.ready(self)

    def send(self, most: int, due: float) -> int:
        """Put up to so many bytes on the way; give how many."""
        piece = self._waiting.popleft()
        if len(piece) > most:
            self._waiting.appendleft(piece[most:])
            piece = piece[:most]
        before, self._size = self._size, self._size - len(piece)
        if self._size <= WAITING < before and not self._in.is_closing():
            self._in.resume_reading()
        self._fly(piece, due)
        if self._has_ended and not self._waiting:
            self._fly(None, due)
        return len(piece)

    def _fly(self, piece: memoryview | None, due: float) -> None:
        self._flying.append(piece)
        if self._way.seconds:
            self._loop.call_at(due, self._arrive)
        else:
            self._arrive()

    def _arrive(self) -> None:
        piece = self._flying.popleft()  # Timers of one moment have no order, pieces do.
        if self._out.is_closing():
            return
        if piece is None:
            self._out.close()
        else:
            self._out.write(piece)


class End(asyncio.Protocol):
    """One socket of a relayed connection; `sends` reads from it, `receives` writes to it."""

    sends: Pipe | None = None
    receives: Pipe | None = None
    transport: asyncio.Transport
    _early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; nothing is read before both ends are there."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.pause_reading()

    def join(self, sends: Pipe, receives: Pipe) -> None:
        """Begin to read."""
        self.sends, self.receives = sends, receives
        if self._early:
            sends.take(self._early)
        if not self.transport.is_closing():
            self.transport.resume_reading()
        else:
            sends.end()

    def data_received(self, data: bytes) -> None:
        """Pass it on, or keep it: before Python 3.11 a pause comes into force a moment late."""
        if self.sends is not None:
            self.sends.take(data)
        else:
            self._early += data

    def pause_writing(self) -> None:
        """Let the way leave out this connection."""
        if self.receives is not None:
            self.receives.block(True)

    def resume_writing(self) -> None:
        """Go on."""
        if self.receives is not None:
            self.receives.block(False)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's words
        """Tell the other end."""
        if self.sends is not None:
            self.sends.end()
        if self.receives is not None:
            self.receives.block(False)  # What still comes is forgotten.


class _Entrance(End):
    """The end a client connected to."""

    def __init__(self, port: int, up: Way, down: Way) -> None:
        self._port, self._up, self._down = port, up, down

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connect to the server, a round trip later."""
        super().connection_made(transport)
        self._connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._up.seconds + self._down.seconds)
        try:
            _, exit_ = await loop.create_connection(End, "127.0.0.1", self._port)
        except OSError:
            self.transport.abort()
            return
        up = Pipe(self._up, self.transport, exit_.transport)
        down = Pipe(self._down, exit_.transport, self.transport)
        exit_.join(down, up)
        self.join(up, down)


async def _main(port: int, milliseconds: int, megabits: int) -> None:
    loop = asyncio.get_running_loop()
    ways = [Way(milliseconds / 2000, megabits * 1e6 / 8) for _ in range(2)]
    server = await loop.create_server(lambda: _Entrance(port, *ways), "127.0.0.1", 0, backlog=1024)
    host, own = server.sockets[0].getsockname()[:2]
    sys.stdout.write(f"{host}:{own}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main(*(int(word) for word in sys.argv[1:4])))
