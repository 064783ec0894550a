"""Whether a repository has a blob is one request where the store mounts, two elsewhere."""

from __future__ import annotations

import asyncio

import pytest

from image_tools.errors import AccessDenied, DigestMismatch, Unavailable
from image_tools.exchange.ledger import Ledger
from image_tools.exchange.presence import (
    SENT_UNTIL_TRIAL,
    BlobPresence,
    Presence,
    check_kept,
    find_blob,
)
from image_tools.oci.digest import Digest
from tests.helpers.memory_store import MemoryStore

NAME = "team/app"
HERE, ABSENT = b"here", b"absent"


def look(mounts: bool = True, sent: int = SENT_UNTIL_TRIAL) -> tuple[Presence, MemoryStore]:
    """A look into a store that holds HERE, after some blobs were sent."""
    store = MemoryStore(mounts=mounts)
    store.add_blob(NAME, HERE)
    made = Presence(store)

    async def send() -> None:
        for _ in range(sent):
            await made.learn(flight(HERE))

    asyncio.run(send())
    return made, store


def flight(content: bytes, *, doubted: bool = False):
    ledger, digest = Ledger(), Digest.of(content)
    if doubted:
        ledger.forget(NAME, digest)
    found = ledger.ask(NAME, digest).flight
    assert found is not None
    return found


def counts(store: MemoryStore) -> tuple[int, int, int]:
    return store.count("blob_size"), store.count("mount"), store.count("upload")


@pytest.mark.parametrize("content", [HERE, ABSENT])
@pytest.mark.parametrize(
    ("mounts", "sent", "doubted", "here", "absent"),
    [
        pytest.param(True, SENT_UNTIL_TRIAL, False, (1, 2, 0), (0, 2, 0), id="mounts"),
        pytest.param(True, SENT_UNTIL_TRIAL, True, (1, 1, 0), (1, 1, 1), id="doubted"),
        pytest.param(False, SENT_UNTIL_TRIAL, False, (1, 1, 0), (1, 1, 1), id="does-not-mount"),
        pytest.param(True, SENT_UNTIL_TRIAL - 1, False, (1, 0, 0), (1, 0, 1), id="not-tried-yet"),
    ],
)
def test_look_asks_for_a_blob(content, mounts, sent, doubted, here, absent):
    made, store = look(mounts, sent)
    found = asyncio.run(made.begin(flight(content, doubted=doubted), len(content)))
    assert (found is None) == (content == HERE)
    assert counts(store) == (here if content == HERE else absent)


@pytest.mark.parametrize("kind", [AccessDenied, Unavailable, DigestMismatch])
def test_look_store_that_stops_mounting_is_asked_the_long_way(kind):
    made, store = look()
    store.fail("mount", lambda: kind("no"))
    assert asyncio.run(made.begin(flight(HERE), len(HERE))) is None
    assert asyncio.run(made.begin(flight(HERE), len(HERE))) is None
    assert counts(store) == (2, 2, 0)


@pytest.mark.parametrize("sent", [0, SENT_UNTIL_TRIAL])
def test_look_blob_of_another_size_is_sent_and_looked_at_again(sent):
    made, store = look(sent=sent)
    wanted = flight(HERE)
    assert asyncio.run(made.begin(wanted, len(HERE) + 1)) is not None
    with pytest.raises(DigestMismatch, match=r"has 4 bytes of it, not 5, and keeps them"):
        asyncio.run(check_kept(store, wanted, len(HERE) + 1))
    assert store.count("blob_size") == 2


@pytest.mark.parametrize("status", [500, 503])
def test_look_store_that_fails_on_a_blob_gets_it_anew_and_is_looked_at_again(status):
    made, store = look(sent=0)
    wanted = flight(HERE)
    store.fail("blob_size", lambda: Unavailable("no", status=status))
    if status != 500:
        with pytest.raises(Unavailable):
            asyncio.run(made.begin(wanted, len(HERE)))
        return
    assert asyncio.run(made.begin(wanted, len(HERE))) is not None
    asyncio.run(check_kept(store, wanted, len(HERE)))
    assert counts(store) == (2, 0, 1)


@pytest.mark.parametrize(
    ("content", "size", "found"),
    [
        (HERE, 4, BlobPresence(4)),
        (HERE, None, BlobPresence(4)),
        (HERE, 5, BlobPresence(is_other=True)),
        (ABSENT, 6, BlobPresence()),
        (ABSENT, None, BlobPresence()),
    ],
)
def test_looked_for_blob_is_there_only_in_its_size(content, size, found):
    _, store = look(sent=0)
    assert asyncio.run(find_blob(store, NAME, Digest.of(content), size)) == found
    assert store.count("blob_size") == 1
