"""The bounded walk behind an index: pure; the caller reads the manifests."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from image_tools.errors import ImageToolsError, InvalidManifest
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import (
    MAXIMUM_ENTRIES,
    Index,
    Manifest,
    RawManifest,
    Schema1,
    parse,
)

DEEPEST_NESTING = 4  # levels of indexes, including the top one
MAXIMUM_NESTED_SIZE = 16 * 1024 * 1024  # bytes of all nested indexes, kept in memory
MOST_AT_ONCE = 32  # manifests in memory at the same time, each of up to 4 MiB

_TOO_MANY = f"the index leads to more than {MAXIMUM_ENTRIES} entries"
_TOO_LARGE = f"the nested indexes have more than {MAXIMUM_NESTED_SIZE >> 20} MiB together"

Parsed = Manifest | Index | Schema1
Answer = RawManifest | ImageToolsError
Wants = Callable[[Descriptor], bool]
OnManifest = Callable[[Descriptor, RawManifest, Parsed], None]


class Fault(Enum):
    """The kinds of faults that an entry can have.

    LOST: its manifest is missing, damaged or invalid, or is not the index that it is listed as.
    MISSTATED: its manifest has another size or type than the entry states; it was read anyway.
    BEYOND: the indexes are nested too deep, have too many entries, or are too large in total.
    """

    LOST = "lost"
    MISSTATED = "misstated"
    BEYOND = "beyond"


@dataclass(frozen=True, slots=True)
class EntryProblem:
    """An entry that could not be followed as stated, and why."""

    entry: Descriptor
    error: ImageToolsError
    fault: Fault


@dataclass(frozen=True, slots=True)
class Tree:
    """The result of a walk.

    `leaves` are all entries that are not indexes, in order, repeated as they are, with nested
    indexes opened in place; a manifest that is not an index is its own leaf. `nested` are the
    opened indexes below the top, innermost first, each once. An entry has each problem once.
    """

    leaves: tuple[Descriptor, ...] = ()
    nested: tuple[RawManifest, ...] = ()
    problems: tuple[EntryProblem, ...] = ()

    def checked(self, *tolerated: Fault) -> Tree:
        """Return this tree, or raise the error of the first problem that is not `tolerated`."""
        for problem in self.problems:
            if problem.fault not in tolerated:
                raise problem.error
        return self

    def entries_with(self, fault: Fault) -> tuple[Descriptor, ...]:
        """Return the entries with `fault`, each once."""
        return tuple(dict.fromkeys(p.entry for p in self.problems if p.fault is fault))


TreeWalk = Generator[tuple[Descriptor, ...], Sequence[Answer], Tree]


def says_index(entry: Descriptor) -> bool:
    """Return whether an entry is listed as an index."""
    return entry.media_type in media.INDEXES


def everything(_entry: Descriptor) -> bool:
    """Return True: the walk reads the manifest of every entry."""
    return True


def walk(
    top: RawManifest,
    *,
    digest: Digest | None = None,
    wants: Wants = says_index,
    on_manifest: OnManifest | None = None,
    repeats: bool = True,
) -> TreeWalk:
    """Yield batches of entries whose manifests are needed, and return the tree below `top`.

    The answers to a batch are sent in its order. `wants` names the entries to read; each digest is
    asked for once. `on_manifest` is called once for each manifest that could be read, `top` first.
    `digest` is the name of `top` if it may differ from the sha256 of its bytes. Without `repeats`,
    an index that appears many times is opened once. Raise InvalidManifest if `top` itself is not a
    manifest. Any other fault becomes a problem of the entry that leads there, so that one odd entry
    never makes the others unreachable.
    """
    state = _State(wants, on_manifest, repeats)
    root = _Node(replace(top.descriptor, digest=digest or top.digest))
    found = state.take(root.entry, top)
    if not isinstance(found, Index):
        return Tree((root.entry,))
    level = state.grow(root, found)
    for depth in range(1, DEEPEST_NESTING + 1):
        is_last = depth == DEEPEST_NESTING
        asked = state.unknown((node.entry for node in level), is_last=is_last)
        for start in range(0, len(asked), MOST_AT_ONCE):
            batch = asked[start : start + MOST_AT_ONCE]
            for entry, answer in zip(batch, (yield batch), strict=True):
                state.answered(entry, answer)
        level = [below for node in level for below in state.follow(node, is_last=is_last)]
    return Tree(tuple(_leaves(root)), tuple(state.opened(root)), tuple(state.problems.values()))


def run_walk(asking: TreeWalk, get: Callable[[Descriptor], RawManifest]) -> Tree:
    """Return the tree of a walk. `get` reads the manifests; its ImageToolsErrors are answers."""
    try:
        batch = next(asking)
        while True:
            batch = asking.send([_answer(get, entry) for entry in batch])
    except StopIteration as end:
        tree: Tree = end.value
        return tree


def _answer(get: Callable[[Descriptor], RawManifest], entry: Descriptor) -> Answer:
    try:
        return get(entry)
    except ImageToolsError as error:
        return error


@dataclass(slots=True, eq=False)
class _Node:
    """A place in the tree; the same entry may be at several."""

    entry: Descriptor
    is_leaf: bool = True
    below: list[_Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Known:
    """The content read for a digest. Only indexes are kept: 10,000 manifests can have 40 GB."""

    size: int
    raw: RawManifest | None = None
    index: Index | None = None
    beyond: str = ""

    @property
    def is_index(self) -> bool:
        """Return whether it is an index, even one that was too much to keep."""
        return self.index is not None or bool(self.beyond)


@dataclass(slots=True, eq=False)
class _State:
    wants: Wants
    on_manifest: OnManifest | None
    repeats: bool
    room: int = MAXIMUM_ENTRIES
    entries: int = 0  # of all nested indexes that were read, each once
    size: int = 0
    known: dict[Digest, _Known | ImageToolsError] = field(default_factory=dict)
    grown: set[Digest] = field(default_factory=set)
    problems: dict[tuple[Digest, Fault, str], EntryProblem] = field(default_factory=dict)

    def take(self, entry: Descriptor, raw: RawManifest) -> Parsed:
        """Return the content of `raw`, after calling `on_manifest`."""
        found = parse(raw)
        if self.on_manifest is not None:
            self.on_manifest(entry, raw, found)
        return found

    def unknown(self, entries: Iterable[Descriptor], *, is_last: bool) -> tuple[Descriptor, ...]:
        """Return the entries to read, each digest once, without indexes below the last level."""
        asked: dict[Digest, Descriptor] = {}
        for entry in entries:
            if entry.digest in self.known or (is_last and says_index(entry)):
                continue
            if self.wants(entry):
                asked.setdefault(entry.digest, entry)
        return tuple(asked.values())

    def answered(self, entry: Descriptor, answer: Answer) -> None:
        """Remember the answer to `entry`."""
        if isinstance(answer, ImageToolsError):
            self.known[entry.digest] = answer
            return
        try:
            found = self.take(entry, answer)
        except InvalidManifest as error:
            self.known[entry.digest] = InvalidManifest(f"{entry.digest}: {error}")
            return
        size = len(answer.content)
        known = self._kept(answer, found) if isinstance(found, Index) else _Known(size)
        self.known[entry.digest] = known

    def _kept(self, raw: RawManifest, index: Index) -> _Known:
        """Return what to keep of an index; beyond the limits, only which limit was reached."""
        size = len(raw.content)
        self.entries += len(index.entries)
        self.size += size
        if self.entries > MAXIMUM_ENTRIES:
            return _Known(size, beyond=_TOO_MANY)
        if self.size > MAXIMUM_NESTED_SIZE:
            return _Known(size, beyond=_TOO_LARGE)
        return _Known(size, raw, index)

    def follow(self, node: _Node, *, is_last: bool) -> list[_Node]:
        """Return the places below `node`; none if it is not an index or cannot be followed."""
        entry = node.entry
        if not self.wants(entry):
            return []
        node.is_leaf = not says_index(entry)
        if is_last and not node.is_leaf:
            return self._too_deep(entry)
        found = self.known[entry.digest]
        if isinstance(found, ImageToolsError):
            return self._problem(entry, Fault.LOST, found)
        self._compare(entry, found)
        if not found.is_index:
            return []
        node.is_leaf = False
        if is_last:
            return self._too_deep(entry)
        if found.index is None:
            return self._problem(entry, Fault.BEYOND, InvalidManifest(found.beyond))
        return self.grow(node, found.index)

    def grow(self, node: _Node, index: Index) -> list[_Node]:
        """Return the new places below `node`, one for each entry of its `index`.

        They are limited: four small indexes with ten thousand entries each could lead to 10^16.
        """
        node.is_leaf = False
        if not self.repeats and node.entry.digest in self.grown:
            return []
        if len(index.entries) > self.room:
            return self._problem(node.entry, Fault.BEYOND, InvalidManifest(_TOO_MANY))
        self.room -= len(index.entries)
        node.below = [_Node(entry) for entry in index.entries]
        self.grown.add(node.entry.digest)
        return node.below

    def opened(self, root: _Node) -> Iterable[RawManifest]:
        """Return the opened indexes below `root`, innermost first.

        By digest, since the entries of an index may have been opened elsewhere. Not recursive: a
        thousand indexes in one index may lead to one another in a chain.
        """
        inner: dict[Digest, RawManifest] = {}
        begun, waiting = set[Digest](), [node.entry.digest for node in reversed(root.below)]
        while waiting:
            known = self._index(waiting[-1]) if waiting[-1] in self.grown else None
            if known is None or waiting[-1] in inner:
                waiting.pop()
            elif waiting[-1] in begun:
                inner[waiting.pop()] = known[0]
            else:
                begun.add(waiting[-1])
                named = (entry.digest for entry in known[1].entries)
                waiting += reversed(dict.fromkeys(one for one in named if one not in begun))
        return inner.values()

    def _index(self, digest: Digest) -> tuple[RawManifest, Index] | None:
        known = self.known.get(digest)
        if not isinstance(known, _Known) or known.raw is None or known.index is None:
            return None
        return known.raw, known.index

    def _compare(self, entry: Descriptor, found: _Known) -> None:
        digest = entry.digest
        if says_index(entry) and not found.is_index:
            error = InvalidManifest(f"{digest} is listed as an index and is not one")
            self._problem(entry, Fault.LOST, error)
        if entry.media_type in media.MANIFESTS and found.is_index:
            error = InvalidManifest(f"{digest} is listed as an image and is an index")
            self._problem(entry, Fault.MISSTATED, error)
        if entry.size != found.size:
            said = f"{digest} has {found.size} bytes, the index says {entry.size}"
            self._problem(entry, Fault.MISSTATED, InvalidManifest(said))

    def _too_deep(self, entry: Descriptor) -> list[_Node]:
        said = f"indexes are nested more than {DEEPEST_NESTING} deep"
        return self._problem(entry, Fault.BEYOND, InvalidManifest(said))

    def _problem(self, entry: Descriptor, fault: Fault, error: ImageToolsError) -> list[_Node]:
        self.problems.setdefault(
            (entry.digest, fault, str(error)), EntryProblem(entry, error, fault)
        )
        return []


def _leaves(node: _Node) -> Iterable[Descriptor]:
    if node.is_leaf:
        yield node.entry
    for below in node.below:
        yield from _leaves(below)
