"""The images that earlier runs finished. It saves requests, and is never a source of truth."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

from loguru import logger

from image_tools.errors import EnvironmentProblem, InvalidReference
from image_tools.machine.folders import state_folder
from image_tools.machine.locks import exclusive
from image_tools.machine.trusted_paths import refuse_planted
from image_tools.oci.digest import Digest
from image_tools.report import Kept

VERSION = 1
_BUSY_MILLISECONDS = 10_000
_BESIDE = ("-wal", "-shm", "-journal", ".lock")
_SKIPPED = "skipped "
_TABLE = """
CREATE TABLE IF NOT EXISTS finished (
    source TEXT NOT NULL,
    destination TEXT NOT NULL,
    selection TEXT NOT NULL,
    source_digest TEXT NOT NULL,
    destination_digest TEXT NOT NULL,
    PRIMARY KEY (destination, selection, source)
) WITHOUT ROWID
"""
# A separate table, so that older versions of the program can use the file.
_KEPT_TABLE = """
CREATE TABLE IF NOT EXISTS kept (
    source TEXT NOT NULL,
    destination TEXT NOT NULL,
    selection TEXT NOT NULL,
    entries TEXT NOT NULL,
    PRIMARY KEY (destination, selection, source)
) WITHOUT ROWID
"""
_RECALL = """
SELECT source_digest, destination_digest, entries
FROM finished LEFT JOIN kept USING (destination, selection, source)
WHERE destination = ? AND selection = ? AND source = ?
"""


@dataclass(frozen=True, slots=True)
class Remembered:
    """The digests of both sides when an image was last finished.

    `destination_digest` is None if the image was skipped, since the source `offered` only other
    platforms. `kept` are entries of the tag that were not chosen and that the source did not have.
    """

    source_digest: Digest
    destination_digest: Digest | None
    offered: tuple[str, ...] = ()
    kept: tuple[Kept, ...] = field(default=(), compare=False)


def default_state_path(environ: Mapping[str, str]) -> Path:
    """Return `image-tools/state.db` below XDG_STATE_HOME, else below ~/.local/state."""
    return state_folder(environ) / "state.db"


class State:
    """A sqlite file; several threads and processes can use it at the same time."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection, self._path = connection, path
        self._lock = threading.Lock()
        self._writable = True

    @classmethod
    def open(cls, path: Path) -> State:
        """Return the state in `path`, created if missing; a damaged file is moved aside.

        Raise EnvironmentProblem if the file cannot be used, or a newer program wrote it.
        """
        if path.is_dir():
            raise _unusable(path, "it is a folder")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            for ending in ("", *_BESIDE):
                refuse_planted(path.with_name(path.name + ending))
            # Two processes that open a damaged file would both move it aside.
            with exclusive(path.with_name(f"{path.name}.lock")):
                return cls(_sound(path), path)
        except sqlite3.Error as error:
            raise _unusable(path, str(error)) from error
        except OSError as error:
            raise _unusable(path, error.strerror or str(error)) from error

    def recall(self, source: str, destination: str, selection: str) -> Remembered | None:
        """Return what is remembered of this image; None if nothing is, or it cannot be read."""
        try:
            with self._lock:
                found = self._connection.execute(_RECALL, (destination, selection, source))
                row = found.fetchone()
            return None if row is None else _remembered(*row)
        except (sqlite3.Error, InvalidReference, ValueError, TypeError, KeyError) as error:
            logger.debug("{}: {}", self._path, error)
            return None

    def remember(
        self, source: str, destination: str, selection: str, remembered: Remembered
    ) -> Remembered:
        """Store what both sides have now, and return it with the dates of what was kept.

        If the state cannot be written, a warning says so once.
        """
        if remembered.kept:
            earlier = self.recall(source, destination, selection)
            remembered = _dated(remembered, () if earlier is None else earlier.kept)
        image = (source, destination, selection)
        row = (*image, str(remembered.source_digest), _ending(remembered))
        try:
            with self._lock, self._connection:
                self._connection.execute("REPLACE INTO finished VALUES (?, ?, ?, ?, ?)", row)
                self._remember_kept(image, remembered.kept)
        except sqlite3.Error as error:
            if self._writable:
                logger.warning("{}: nothing is remembered of this run: {}", self._path, error)
            self._writable = False
        return remembered

    def _remember_kept(self, image: tuple[str, str, str], kept: tuple[Kept, ...]) -> None:
        if kept:
            entries = json.dumps([one.to_json() for one in kept])
            self._connection.execute("REPLACE INTO kept VALUES (?, ?, ?, ?)", (*image, entries))
            return
        where = "source = ? AND destination = ? AND selection = ?"
        self._connection.execute(f"DELETE FROM kept WHERE {where}", image)

    def close(self) -> None:
        """Close the file."""
        with self._lock, suppress(sqlite3.Error):
            self._connection.close()


def _dated(remembered: Remembered, earlier: tuple[Kept, ...]) -> Remembered:
    """Return `remembered` with the date on which each kept entry was first found."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    known = {one.digest: one.since for one in earlier}
    dated = tuple(replace(one, since=known.get(one.digest) or now) for one in remembered.kept)
    return replace(remembered, kept=dated)


def _ending(remembered: Remembered) -> str:
    """Return how an image ended, as text. To older programs, a skipped one is unknown."""
    if remembered.destination_digest is not None:
        return str(remembered.destination_digest)
    return _SKIPPED + json.dumps(remembered.offered)


def _remembered(source: str, ending: str, entries: str | None) -> Remembered:
    if not ending.startswith(_SKIPPED):
        kept = tuple(map(Kept.from_json, json.loads(entries or "[]")))
        return Remembered(Digest.parse(source), Digest.parse(ending), kept=kept)
    offered = json.loads(ending.removeprefix(_SKIPPED))
    return Remembered(Digest.parse(source), None, tuple(map(str, offered)))


def _sound(path: Path) -> sqlite3.Connection:
    try:
        return _connected(path)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        aside = _moved_aside(path)
        why = " ".join(str(error).split())
        logger.warning("{}: damaged ({}), moved to {}; beginning anew", path, why, aside)
        return _connected(path)


def _connected(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}")
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found > VERSION:
            raise _unusable(path, "written by a newer version of this program")
        damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise sqlite3.DatabaseError(damage)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        with connection:
            connection.execute(_TABLE)
            connection.execute(_KEPT_TABLE)
            connection.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        connection.close()
        raise
    return connection


def _unusable(path: Path, why: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"the state file {path} cannot be used: {why}",
        advice="give another file with --state, or go without with --no-state",
    )


def _moved_aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    for ending in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + ending).replace(f"{aside}{ending}")
    return aside
