"""Runs with an archive at one end: opened before the first line, published behind the last."""

from __future__ import annotations

import time
from contextlib import ExitStack

from loguru import logger

from image_tools.commands.list_run import ListRun
from image_tools.commands.request import ArchiveChoice, MirrorRequest
from image_tools.errors import AlreadyRunning, Interrupted
from image_tools.imagelist.entry import ImageList
from image_tools.oci.reference import Reference
from image_tools.plan.referrers import is_referrer_tag
from image_tools.run.memory import Base, FromArchive, Memory, OriginMemory
from image_tools.state import State
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.inventory import note_relied, relied_on
from image_tools.stores.archive.nothing import Nothing
from image_tools.stores.archive.opening import (
    Standing,
    add_to_archive,
    look,
    new_archive,
    read_archive,
    sweep,
)
from image_tools.stores.archive.others.cache import Foreign

_POLL_SECONDS = 0.25
# Beside an archive that is written it does not matter what its other images are called.
_AS_IT_IS = Foreign(lenient=True)


class OutOfArchive(ListRun):
    """A run whose images come out of the archive of its request."""

    def _open_archive(self, stack: ExitStack) -> None:
        path, foreign = _choice_of(self._request).path, self._request.foreign
        self._source_archive = read_archive(path, foreign=foreign)
        stack.callback(self._source_archive.close)

    def _memory(self) -> Memory | None:
        if self._state is None or self._source_archive is None:
            return None
        return FromArchive(self._state, self._source_archive)

    @property
    def images(self) -> tuple[Reference, ...]:
        """What is in the archive, in the order of the names.

        What lies beside images under tags of its own is left out: it comes with them.
        """
        assert self._source_archive is not None
        return tuple(one for one in self._source_archive.images if not is_referrer_tag(one))


class BesideArchive(ListRun):
    """A run that compares, or foresees, what would go into the archive of its request."""

    def _open_archive(self, stack: ExitStack) -> None:
        archive = self._destination_archive = self._opened()
        stack.callback(archive.close)
        if (base := self._request.base) is not None:
            archive.lent = {**base.sizes, **archive.lent}

    def _opened(self) -> Archive:
        return read_archive(_choice_of(self._request).path, foreign=_AS_IT_IS)

    def _base(self) -> Base | None:
        return None if self._request.base is None else Base(self._request.base)

    def _memory(self) -> Memory | None:
        assert self._destination_archive is not None
        return OriginMemory(self._destination_archive)

    def _remembered(self) -> State | None:
        return None  # The archive remembers.


class IntoArchive(BesideArchive):
    """A run whose images go into the archive of its request, which is whole again at its end."""

    def _lock(self, images: ImageList) -> None:
        """Nothing: who writes an archive has locked it since it was opened."""

    def _conclude(self) -> None:
        archive = self._destination_archive
        assert archive is not None
        if self._signal is not None:
            logger.warning("{} is not finished: run again, it goes on from here", archive.name)
            return
        if archive.lent:
            bases = [relied_on(archive), *([self._request.base] if self._request.base else [])]
            note_relied(archive, bases)
        archive.publish()
        if _choice_of(self._request).replace:
            sweep(archive)

    def _opened(self) -> Archive:
        choice = _choice_of(self._request)
        if self._request.dry_run:
            if _is_added_to(choice):
                return read_archive(choice.path, finished=False, foreign=_AS_IT_IS)
            return Archive(Nothing(str(choice.path)))
        limit = time.monotonic() + (self._request.wait_lock or 0.0)
        while True:
            try:
                return self._begun(choice)
            except AlreadyRunning as error:
                if self._signal is not None:
                    raise Interrupted(self._signal) from error
                if self._request.wait_lock is None or time.monotonic() >= limit:
                    error.advice = "wait for it with --wait-lock"
                    raise
                logger.debug("{}; waiting", error)
            self._waiting.wait(min(_POLL_SECONDS, limit - time.monotonic()))

    def _begun(self, choice: ArchiveChoice) -> Archive:
        # Whom we waited for may have made it.
        if _is_added_to(choice):
            return add_to_archive(choice.path)
        return new_archive(choice.path, choice.form, choice.part_size)


def _is_added_to(choice: ArchiveChoice) -> bool:
    return look(choice.path).standing is Standing.ARCHIVE and not choice.replace


def _choice_of(request: MirrorRequest) -> ArchiveChoice:
    assert request.archive is not None
    return request.archive
