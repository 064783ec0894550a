"""Unpacking: every file of a foreign archive becomes a blob, named by the digest of its bytes.

No file is ever made by a name from the archive. What a name says of the digest is compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from image_tools.errors import ArchiveDamaged, InvalidReference
from image_tools.oci.digest import Digest
from image_tools.stores.archive.content import Content, damaged
from image_tools.stores.archive.others.cache import Cache
from image_tools.stores.archive.others.source import EntryContent, ForeignArchive
from image_tools.stores.archive.others.tar import Kind, Member

MOST_MEMBERS = 500_000
LONGEST_DOCUMENT = 64 << 20
_BLOB_NAME = re.compile(r"(?:.*/)?(?:blobs|share)/(sha256|sha512)/([^/]+)")
_MOST_HOPS = 8


@dataclass(frozen=True, slots=True)
class Survey:
    """What an archive holds by its headers: entries by name, and the sum of their sizes."""

    name: str
    members: dict[str, Member]
    total: int

    def file(self, path: str) -> Member:
        """The file under a name, through links; ArchiveDamaged when there is none."""
        found = self.members.get(path)
        for _ in range(_MOST_HOPS):
            if found is None or found.kind is not Kind.LINK:
                break
            found = self.members.get(found.target)
        if found is None or found.kind is not Kind.FILE:
            raise damaged(self.name, f"{path[:200]!r} is not in it")
        return found


def survey(source: ForeignArchive, cache: Cache, *, most: int = MOST_MEMBERS) -> Survey:
    """What is in an archive; DiskFull when the cache has no room for it.

    ArchiveDamaged when it has too many entries, or two of one name: the second might be what one
    tool reads and the first what another does, and so with names that differ by case alone.
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
            # Going on would unpack all of it, however much that is.
            raise cache.refuse(source.name, total, or_more=True)
    if total > room:
        raise cache.refuse(source.name, total, or_more=False)
    return Survey(source.name, members, total)


@dataclass(frozen=True, slots=True)
class Blobs:
    """What was unpacked: the digest of every file by its name, and where the bytes are."""

    found: Survey
    content: Content
    digests: dict[str, Digest]

    @property
    def name(self) -> str:
        """The archive's path."""
        return self.found.name

    def digest(self, path: str) -> Digest:
        """The digest of a file; ArchiveDamaged when it is not in the archive."""
        return self.digests[self.found.file(path).name]

    def size(self, digest: Digest) -> int:
        """The size of a blob in bytes; ArchiveDamaged when it is not there."""
        size = self.content.size(digest)
        if size is None:
            raise damaged(self.name, f"blob {digest} is not in it")
        return size

    def open(self, digest: Digest) -> BinaryIO:
        """The bytes of a blob."""
        return self.content.open(digest)

    def document(self, path: str) -> Any:
        """The JSON value in a file; ArchiveDamaged when it is none, or over 64 MiB."""
        try:
            return json.loads(self.read(path))
        except (ValueError, RecursionError) as error:
            raise damaged(self.name, f"{path} is not JSON: {error}") from error

    def read(self, path: str) -> bytes:
        """All bytes of a document."""
        digest = self.digest(path)
        if self.size(digest) > LONGEST_DOCUMENT:
            raise damaged(self.name, f"{path} has more than 64 MiB")
        with self.open(digest) as file:
            return file.read(LONGEST_DOCUMENT)

    def keep(self, document: bytes) -> Digest:
        """Store a manifest or index that was made of what the archive says."""
        digest = Digest.of(document)
        incoming = self.content.begin(len(document), compressible=True)
        try:
            incoming.write(document)
            incoming.finish(digest)
        except BaseException:
            incoming.drop()
            raise
        return digest


def unpack(source: ForeignArchive, found: Survey, content: Content) -> Blobs:
    """Store every file of the archive under its digest, in one pass.

    ArchiveDamaged when a file is not what its name says, or the archive has changed.
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
    """The digest that the name of a blob states."""
    match = _BLOB_NAME.fullmatch(path)
    try:
        return Digest.parse(f"{match[1]}:{match[2]}") if match else None
    except InvalidReference:
        return None
