"""The names of volumes, and the list of all volumes in the last of them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from image_tools.errors import InvalidReference
from image_tools.oci.digest import Digest
from image_tools.stores.archive.content import damaged
from image_tools.stores.archive.file.toc import FileEntry, Piece, some_text, whole_number

BIGGEST_LIST = 16 << 20
_VERSION = 1
_NAME = re.compile(r"(.+)\.part([1-9][0-9]{0,5})")


@dataclass(frozen=True, slots=True)
class BlobInVolume:
    """A blob in a volume, or a piece of one; `size` in bytes is that of what is in the volume."""

    digest: Digest
    size: int
    piece: Piece | None = None

    @property
    def blob(self) -> tuple[Digest, int]:
        """Return the digest and size in bytes of the whole blob."""
        return (self.piece.blob, self.piece.whole) if self.piece else (self.digest, self.size)


@dataclass(frozen=True, slots=True)
class ListedVolume:
    """A volume in the list: its size in bytes and the digest of its table."""

    number: int
    size: int
    table: Digest
    holds: tuple[BlobInVolume, ...]


@dataclass(frozen=True, slots=True)
class VolumeList:
    """All volumes of a set but the one with the list; none exceeds `part_size` bytes."""

    set_id: str
    part_size: int
    volumes: tuple[ListedVolume, ...]


def volume_path(base: Path, number: int) -> Path:
    """Return the path of a volume: `images.tar.gz.part2` for `images.tar.gz` and 2."""
    return base.with_name(f"{base.name}.part{number}")


def base_and_number(path: Path) -> tuple[Path, int | None]:
    """Return `images.tar.gz` and 2 for `images.tar.gz.part2`; for other names the path and None."""
    found = _NAME.fullmatch(path.name)
    return (path.with_name(found[1]), int(found[2])) if found else (path, None)


def volume_numbers(base: Path, ending: str = "") -> tuple[int, ...]:
    """Return the numbers of the files named as volumes of `base`, followed by `ending`, sorted."""
    prefix = f"{base.name}.part"
    if not base.parent.is_dir():
        return ()
    names = [path.name for path in base.parent.iterdir() if path.name.startswith(prefix)]
    cut = [name[: len(name) - len(ending)] for name in names if name.endswith(ending)]
    found = (base_and_number(base.with_name(name)) for name in cut)
    return tuple(sorted(n for whole, n in found if n is not None and whole == base))


def blobs_in(entries: tuple[FileEntry, ...]) -> tuple[BlobInVolume, ...]:
    """Return the blobs and pieces among some entries."""
    blobs = (entry for entry in entries if entry.name.startswith("blobs/"))
    return tuple(BlobInVolume(entry.digest, entry.size, entry.piece) for entry in blobs)


def list_bytes(volumes: VolumeList) -> bytes:
    """Return the list as JSON."""
    value = {
        "version": _VERSION,
        "set": volumes.set_id,
        "partSize": volumes.part_size,
        "volumes": [_listed_value(volume) for volume in volumes.volumes],
    }
    return json.dumps(value, separators=(",", ":")).encode()


def _listed_value(volume: ListedVolume) -> dict[str, Any]:
    return {
        "number": volume.number,
        "size": volume.size,
        "table": str(volume.table),
        "blobs": [_held_value(blob) for blob in volume.holds],
    }


def _held_value(blob: BlobInVolume) -> list[str | int]:
    value: list[str | int] = [str(blob.digest), blob.size]
    if blob.piece:
        value += [str(blob.piece.blob), blob.piece.start, blob.piece.whole]
    return value


def parse_list(archive: str, content: bytes) -> VolumeList:
    """Return the list written in `content`; raise ArchiveDamaged when it is none, or too long."""
    if len(content) > BIGGEST_LIST:
        raise damaged(archive, "its list of volumes is too big")
    try:
        value = json.loads(content)
        if value["version"] != _VERSION:
            raise ValueError("written by a newer version of this program")
        volumes = tuple(_listed(volume) for volume in value["volumes"])
        return VolumeList(some_text(value["set"]), whole_number(value["partSize"]), volumes)
    except (ValueError, KeyError, TypeError, IndexError, InvalidReference, RecursionError) as error:
        raise damaged(archive, f"its list of volumes: {error}") from error


def _listed(value: Any) -> ListedVolume:
    numbers = whole_number(value["number"]), whole_number(value["size"])
    return ListedVolume(
        *numbers, Digest.parse(some_text(value["table"])), tuple(map(_held, value["blobs"]))
    )


def _held(value: Any) -> BlobInVolume:
    digest, size = Digest.parse(some_text(value[0])), whole_number(value[1])
    if len(value) == 2:
        return BlobInVolume(digest, size)
    blob, start, whole = value[2:]
    piece = Piece(Digest.parse(some_text(blob)), whole_number(start), whole_number(whole))
    return BlobInVolume(digest, size, piece)
