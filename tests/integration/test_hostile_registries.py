"""Registries that send what no registry sends: soon an error of ours, and little memory."""

from __future__ import annotations

import asyncio
import gzip
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from image_tools.errors import ImageToolsError, InvalidManifest, Unavailable
from image_tools.logins.credentials import Credentials, Keyring
from image_tools.machine.run import run
from image_tools.oci.manifest import MAXIMUM_MANIFEST_SIZE, parse
from image_tools.retry import RetryPolicy
from image_tools.stores.remote.client import RemoteOptions
from image_tools.stores.remote.registry import Remote
from image_tools.web.connect import Timing
from image_tools.web.tls import TlsChoice

PING = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
MIB = 1 << 20
OPTIONS = RemoteOptions(
    policy=RetryPolicy(times=0, delay=0.0),
    tls=TlsChoice(verify=False),
    timing=Timing(connect=0.5, stall=0.5, commit=0.5),
)


def answer(body: bytes = b"{}", *lines: bytes, status: bytes = b"200 OK") -> tuple[bytes, bytes]:
    """Give an answer that is right but for its body and `lines`, and nothing behind it."""
    head = (b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *lines, b"", b"")
    return b"\r\n".join(head) + body, b""


def chunked(head: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + head


def moved(location: bytes) -> tuple[bytes, bytes]:
    return answer(b"", b"Location: " + location, status=b"302 Found")


def asked(challenge: bytes) -> tuple[bytes, bytes]:
    return answer(b"", b"WWW-Authenticate: " + challenge, status=b"401 Unauthorized")


def full_of(part: bytes) -> bytes:
    """Give as much JSON as a manifest may have, all of it `part`."""
    count = MAXIMUM_MANIFEST_SIZE // (len(part) + 1) - 20
    return b'{"manifests":[' + (part + b",") * count + part + b"]}"


Case = tuple[bytes, bytes]
# What is sent first, and what follows for ever.
ODD: dict[str, Case] = {
    "10,000-headers": answer(b"{}", *[b"X-A: b"] * 10_000),
    "endless-headers": (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 1000),
    "endless-header": (b"HTTP/1.1 200 OK\r\nX: ", b"a" * 9000),
    "endless-reason": (b"HTTP/1.1 200 ", b"a" * 9000),
    "endless-beginnings": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "endless-body": (b"HTTP/1.1 200 OK\r\n\r\n", b" " * 65536),
    "endless-crumbs": (chunked(), b"1\r\na\r\n"),
    "endless-chunk-extension": (chunked(b"1;"), b"a" * 1000),
    "endless-trailers": (chunked(b"0\r\n"), b"X-A: b\r\n" * 1000),
    "no-http": (b"\x00\xff" * 1000, b""),
    "long-line": (b"x" * MIB, b""),
    "length-negative": answer(b"", b"Content-Length: -1"),
    "length-absurd": (b"HTTP/1.1 200 OK\r\nContent-Length: 1%s\r\n\r\n" % (b"0" * 30), b""),
    "two-lengths": answer(b"{}", b"Content-Length: 9"),
    "packed": answer(gzip.compress(b" " * 20 * MIB), b"Content-Encoding: gzip"),
    "no-media-type": answer(b"{}", b"Content-Type: a/\xff\x1b[2J"),
    "deep": answer(b'{"manifests":' * (MIB // 16)),
    "deep-refusal": answer(b"[" * 60_000, status=b"400 Bad"),
    "told-sha512": answer(b"{}", b"Docker-Content-Digest: sha512:" + b"a" * 128),
    "moved-to-bytes": moved(b"http://\xff\xfe/"),
    "moved-to-no-port": moved(b"http://a:999999/"),
    "moved-to-long-name": moved(b"http://" + b"a" * 300 + b"/"),
    "moved-to-empty-label": moved(b"http://a..b/"),
    "moved-to-false-name": moved("http://xn--\u2603/%zz".encode()),
    "moved-to-blank": moved(b"http://a b/"),
    "moved-to-file": moved(b"file:///etc/passwd"),
    "moved-in-a-circle": moved(b"../manifests/../../../../v2/\xff"),
    "realm-no-port": asked(b'Bearer realm="http://127.0.0.1:99999/"'),
    "realm-bytes": asked(b'Bearer realm="https://\xff/",service="\xff"'),
    "realm-file": asked(b'Bearer realm="file:///etc/passwd"'),
}


async def _serve(case: Case, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    first, rest = case
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            if b" /v2/ " in head:
                writer.write(PING)
                continue
            writer.write(first)
            while rest:
                writer.write(rest)
                await writer.drain()
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


@asynccontextmanager
async def registry(case: Case) -> AsyncIterator[Remote]:
    """Give a store at a registry that answers to everything but the ping with `case`."""
    tasks: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(_serve(case, reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0, limit=MIB)
    port = server.sockets[0].getsockname()[1]
    store = Remote(f"127.0.0.1:{port}", Keyring({}, Credentials("u", "secret")), OPTIONS, {})
    try:
        yield store
    finally:
        await store.close()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def read(case: Case, question: Callable[[Remote], Awaitable[object]]) -> object:
    async def story() -> object:
        async with registry(case) as store:
            return await question(store)

    return asyncio.run(story())


async def manifest(store: Remote) -> object:
    return parse(await store.manifest("a/b", "v1"))


@pytest.mark.parametrize("case", ODD.values(), ids=ODD)
def test_manifest_of_a_hostile_registry_is_soon_an_error(case: Case) -> None:
    with pytest.raises(ImageToolsError) as caught:
        read(case, manifest)

    assert len(caught.value.message) < 900


@pytest.mark.parametrize("name", ["endless-beginnings", "long-line"])
def test_head_and_tags_of_a_hostile_registry_are_soon_an_error(name: str) -> None:
    questions: tuple[Callable[[Remote], Awaitable[object]], ...] = (
        lambda store: store.manifest_head("a/b", "v1"),
        lambda store: store.tags("a/b"),
    )
    for question in questions:
        with pytest.raises(ImageToolsError):
            read(ODD[name], question)


def test_tags_that_are_none_are_left_out() -> None:
    names = '["v1","a\\nb","\\u001b[2J","../x","","' + "a" * 128 + '","' + "a" * 129 + '",3]'

    found = read(answer(f'{{"tags":{names}}}'.encode()), lambda store: store.tags("a/b"))

    assert found == ("v1", "a" * 128)


# Python 3.13 of Debian 13 needs 274 MiB for what takes 3.11 of Debian 12 less than 250.
MEMORY_BOUND = 300 * MIB
GREEDY: dict[str, Case] = {
    "100-mb": (b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n", b" " * 65536),
    "100,000-children": answer(full_of(b'{"size":1}')),
    "empty-lists": answer(full_of(b"[]")),
    "numbers": answer(full_of(b"1")),
    "packed": ODD["packed"],
    "endless": ODD["endless-body"],
}


def greedy() -> None:
    """Ask every greedy registry; a process of its own, whose memory is bounded."""
    for case in GREEDY.values():
        with pytest.raises((InvalidManifest, Unavailable)):
            read(case, manifest)


def test_memory_for_hostile_answers_is_bounded() -> None:
    code = (
        "import pathlib, re, tests.integration.test_hostile_registries as lab; lab.greedy();"
        "said = pathlib.Path('/proc/self/status').read_text();"
        "print(int(re.search(r'VmHWM:\\s+(\\d+)', said)[1]) * 1024)"
    )

    done = run((sys.executable, "-c", code), environment=dict(os.environ), timeout=60)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < MEMORY_BOUND
