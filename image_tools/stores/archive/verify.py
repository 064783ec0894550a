"""Read all of an archive once and report what in it is damaged."""

from __future__ import annotations

from collections.abc import Iterator

from image_tools.errors import CopyFailed, IntegrityError
from image_tools.oci.digest import Digest
from image_tools.stores.archive.content import Content, ReportsDamage

_CHUNK = 1 << 18


def verify(content: Content) -> Iterator[tuple[Digest, str | None]]:
    """Yield each blob with what is wrong with it, None for nothing, in one pass.

    A piece of a blob counts as a blob. Of a file it also reports where an ordinary tar would unpack
    something else.
    """
    if isinstance(content, ReportsDamage):
        yield from content.verify()
        return
    for digest, size in content.digests():
        yield digest, _problem(content, digest, size)


def _problem(content: Content, digest: Digest, size: int) -> str | None:
    try:
        with content.open(digest) as file:
            return difference(iter(lambda: file.read(_CHUNK), b""), digest, size, size)
    except (CopyFailed, IntegrityError, OSError) as error:
        return str(error)


def difference(chunks: Iterator[bytes], digest: Digest, size: int, length: int) -> str | None:
    """Return how `chunks` differ from a blob of `size` bytes and zeros up to `length` bytes."""
    hasher, taken = digest.hasher(), 0
    for chunk in chunks:
        inside = max(size - taken, 0)
        hasher.update(chunk[:inside])
        taken += len(chunk)
        if taken > length or chunk[inside:].strip(b"\0"):
            return f"more than {size} bytes"
    if taken != length:
        return f"only {min(taken, size)} of {size} bytes"
    return None if hasher.hexdigest() == digest.hex else "other bytes than its digest says"
