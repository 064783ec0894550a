"""Unpacking: every file of a foreign archive becomes a blob, named by the digest of its bytes.

No file is ever created under a name from the archive. A digest in a name is compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from image_tools.errors import ArchiveDamaged, InvalidReference
from image_tools.oci.digest import Digest
from image_tools.stores.archive.content import Content, add_blob, damaged
from image_tools.stores.archive.others.cache import Cache
from image_tools.stores.archive.others.source import EntryContent, ForeignArchive
from image_tools.stores.archive.others.tar import Kind, Member

MOST_MEMBERS = 500_000
LONGEST_DOCUMENT = 64 << 20
_BLOB_NAME = re.compile(r"(?:.*/)?(?:blobs|share)/(sha256|sha512)/([^/]+)")
_MOST_HOPS = 8


@dataclass(frozen=True, slots=True)
class Survey:
    """The content of an archive by its headers: entries by name, and the sum of their sizes."""

    name: str
    members: dict[str, Member]
    total: int

    def file(self, path: str) -> Member:
        """Return the file under a name, through links; raise ArchiveDamaged when there is none."""
        found = self.members.get(path)
        for _ in range(_MOST_HOPS):
            if found is None or found.kind is not Kind.LINK:
                break
            found = self.members.get(found.target)
        if found is None or found.kind is not Kind.FILE:
            raise damaged(self.name, f"{path[:200]!r} is not in it")
        return found


def survey(source: ForeignArchive, cache: Cache, *, most: int = MOST_MEMBERS) -> Survey:
    """Return the entries of an archive, of which there may be up to `most`.

    Raise DiskFull when the cache has no room for it. Raise ArchiveDamaged for more entries, and
    for two with one name, also if only their case differs: two tools might read different ones.
    """
    members, folded, total, room = dict[str, Member](), set[str](), 0, cache.room
    for member, _ in source.members():
        if member.kind is Kind.FOLDER:
            continue
        if member.name.casefold() in folded:
            raise damaged(source.name, f"it has two entries {member.name[:200]!r}")
        if len(members) >= most:
            raise damaged(source.name, f"it has more than {most} entries")
        folded.add(member.name.casefold())
        members[member.name] = member
        total += member.size
        if total > room and source.packed:
            # To continue would mean to unpack everything, whatever its size.
            raise cache.refuse(source.name, total, or_more=True)
    if total > room:
        raise cache.refuse(source.name, total, or_more=False)
    return Survey(source.name, members, total)


@dataclass(frozen=True, slots=True)
class Blobs:
    """The unpacked files: the digest of each by its name, and the content with the bytes."""

    found: Survey
    content: Content
    digests: dict[str, Digest]

    @property
    def name(self) -> str:
        """Return the archive's path."""
        return self.found.name

    def digest(self, path: str) -> Digest:
        """Return the digest of a file; raise ArchiveDamaged when it is not in the archive."""
        return self.digests[self.found.file(path).name]

    def size(self, digest: Digest) -> int:
        """Return the size of a blob in bytes; raise ArchiveDamaged when it is missing."""
        size = self.content.size(digest)
        if size is None:
            raise damaged(self.name, f"blob {digest} is not in it")
        return size

    def open(self, digest: Digest) -> BinaryIO:
        """Return the bytes of a blob."""
        return self.content.open(digest)

    def document(self, path: str) -> Any:
        """Return the JSON value in a file of up to 64 MiB; raise ArchiveDamaged."""
        try:
            return json.loads(self.read(path))
        except (ValueError, RecursionError) as error:
            raise damaged(self.name, f"{path} is not JSON: {error}") from error

    def read(self, path: str) -> bytes:
        """Return the bytes of a document; raise ArchiveDamaged when it is over 64 MiB."""
        digest = self.digest(path)
        if self.size(digest) > LONGEST_DOCUMENT:
            raise damaged(self.name, f"{path} has more than 64 MiB")
        with self.open(digest) as file:
            return file.read(LONGEST_DOCUMENT)

    def keep(self, document: bytes) -> Digest:
        """Store a manifest or index that was assembled here, and return its digest."""
        digest = Digest.of(document)
        add_blob(self.content, digest, len(document), (document,), compressible=True)
        return digest


def unpack(source: ForeignArchive, found: Survey, content: Content) -> Blobs:
    """Store every file of the archive under its digest, in one pass.

    Raise ArchiveDamaged when a file is not what its name says, or the archive has changed.
    """
    digests = dict[str, Digest]()
    for member, body in source.members():
        if member.kind is Kind.FOLDER:
            continue
        if found.members.get(member.name) != member or member.name in digests:
            raise ArchiveDamaged(f"{source.name} changes while it is read")
        if member.kind is Kind.FILE:
            digests[member.name] = _stored(source.name, member, body, content)
    if len(digests) < sum(member.kind is Kind.FILE for member in found.members.values()):
        raise ArchiveDamaged(f"{source.name} changes while it is read")
    return Blobs(found, content, digests)


def _stored(name: str, member: Member, body: EntryContent, content: Content) -> Digest:
    stated = _stated(member.name)
    hasher = (stated or Digest.of(b"")).hasher()
    incoming = content.begin(member.size, compressible=False)
    try:
        for data in _counted(name, member, body):
            hasher.update(data)
            incoming.write(data)
        digest = Digest(stated.algorithm if stated else "sha256", hasher.hexdigest())
        if stated not in (None, digest):
            raise damaged(name, f"the bytes of {member.name} have the digest {digest}")
        incoming.finish(digest)
    except BaseException:
        incoming.drop()
        raise
    return digest


def _counted(name: str, member: Member, body: EntryContent) -> Iterator[bytes]:
    left = member.size
    for data in body:
        left -= len(data)
        if left < 0:
            break
        yield data
    if left:
        raise ArchiveDamaged(f"{name}: {member.name} changes while it is read")


def _stated(path: str) -> Digest | None:
    """Return the digest that the name of a blob states, if any."""
    match = _BLOB_NAME.fullmatch(path)
    try:
        return Digest.parse(f"{match[1]}:{match[2]}") if match else None
    except InvalidReference:
        return None
