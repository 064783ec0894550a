"""Reading all of an archive once, to say what in it is damaged."""

from __future__ import annotations

from collections.abc import Iterator

from image_tools.errors import CopyFailed, IntegrityError
from image_tools.oci.digest import Digest
from image_tools.stores.archive.content import Content
from image_tools.stores.archive.file.framed import FramedContent
from image_tools.stores.archive.file.framing import header_length, padded
from image_tools.stores.archive.file.reading import CHUNK, unpacked
from image_tools.stores.archive.file.tail import is_there
from image_tools.stores.archive.file.toc import FileEntry
from image_tools.stores.archive.volumes.volumes import VolumesContent


def verify(content: Content) -> Iterator[tuple[Digest, str | None]]:
    """Each blob with what is wrong with it, or None; in one pass through the file.

    A piece of a blob counts as a blob. Of a file it says, too, whether an ordinary tar would unpack
    it the same way.
    """
    if isinstance(content, FramedContent):
        for entry in content.files():
            yield entry.digest, framed_problem(content, entry)
    elif isinstance(content, VolumesContent):
        for part in content.parts:
            yield from verify(part)
    else:
        for digest, size in content.digests():
            yield digest, problem(content, digest, size)


def problem(content: Content, digest: Digest, size: int) -> str | None:
    """What is wrong with a blob that should have `size` bytes, None when nothing is."""
    try:
        with content.open(digest) as file:
            return _difference(iter(lambda: file.read(CHUNK), b""), digest, size, size)
    except (CopyFailed, IntegrityError, OSError) as error:
        return str(error)


def framed_problem(content: FramedContent, entry: FileEntry) -> str | None:
    """What is wrong with an entry of a file, None when nothing is."""
    form, source = content.form, content.source
    try:
        if not is_there(form, source, entry):
            return "its tar header is not what it was"
        start = entry.offset + header_length(form)
        chunks = unpacked(form, source, start, entry.end)
        return _difference(chunks, entry.digest, entry.size, padded(entry.size))
    except IntegrityError as error:
        return str(error)


def _difference(chunks: Iterator[bytes], digest: Digest, size: int, all_of_it: int) -> str | None:
    """What is wrong with `size` bytes of content and zeros up to `all_of_it` bytes."""
    hasher, taken = digest.hasher(), 0
    for chunk in chunks:
        inside = max(size - taken, 0)
        hasher.update(chunk[:inside])
        taken += len(chunk)
        if taken > all_of_it or chunk[inside:].strip(b"\0"):
            return f"more than {size} bytes"
    if taken != all_of_it:
        return f"only {min(taken, size)} of {size} bytes"
    return None if hasher.hexdigest() == digest.hex else "other bytes than its digest says"
