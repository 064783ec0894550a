"""The one walk behind an index: its order, its bounds, and what one odd entry may not do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.errors import InvalidManifest, NotFound, Unavailable
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import MAXIMUM_ENTRIES, Index, Manifest, RawManifest
from image_tools.oci.tree import (
    MOST_AT_ONCE,
    EntryProblem,
    Fault,
    Parsed,
    Tree,
    Wants,
    everything,
    run_walk,
    says_index,
    walk,
)
from tests.helpers.descriptors import entry, index
from tests.helpers.examples import examples


@dataclass
class Store:
    """Manifests by digest, and which of them were asked for and looked at, in order."""

    manifests: dict[Digest, RawManifest] = field(default_factory=dict)
    asked: list[Digest] = field(default_factory=list)
    seen: list[Digest] = field(default_factory=list)

    def add(self, raw: RawManifest) -> Descriptor:
        self.manifests[raw.digest] = raw
        return raw.descriptor

    def image(self, name: str = "app") -> Descriptor:
        return self.add(image(name))

    def nested(self, depth: int) -> tuple[RawManifest, ...]:
        """So many indexes, each in the next, the outermost last."""
        found = [index(self.image())]
        for _ in range(depth - 1):
            found.append(index(self.add(found[-1])))
        return tuple(found)

    def get(self, wanted: Descriptor) -> RawManifest:
        self.asked.append(wanted.digest)
        if wanted.digest not in self.manifests:
            raise NotFound(f"{wanted.digest} is unknown")
        return self.manifests[wanted.digest]

    def look(self, wanted: Descriptor, _raw: RawManifest, _found: Parsed) -> None:
        self.seen.append(wanted.digest)

    def walk(self, top: RawManifest, wants: Wants = says_index) -> Tree:
        return run_walk(walk(top, wants=wants, on_manifest=self.look), self.get)


@pytest.fixture
def store() -> Store:
    return Store()


def image(name: str = "app") -> RawManifest:
    config = f'{{"mediaType":"{media.OCI_CONFIG}","digest":"{Digest.of(name.encode())}","size":1}}'
    return RawManifest(media.OCI_MANIFEST, f'{{"schemaVersion":2,"config":{config}}}'.encode())


def said(tree: Tree) -> list[tuple[Digest, Fault, str]]:
    return [(one.entry.digest, one.fault, str(one.error)) for one in tree.problems]


def knot(width: int, *, names: str = "abcd") -> tuple[RawManifest, Store]:
    """Indexes that all name each other `width` times, under digests that are none of theirs."""
    entries = [entry(name, media_type=media.OCI_INDEX) for name in names]
    store = Store()
    for one in entries:
        repeated = [replace(other, size=0) for other in entries] * (width // len(entries))
        store.manifests[one.digest] = index(*repeated)
    return store.manifests[entries[0].digest], store


def test_index_without_indexes_in_it_is_walked_without_a_question(store: Store) -> None:
    entries = (entry("a"), entry("b", "linux/arm64"), entry("a"))
    top = index(*entries)

    assert store.walk(top) == Tree(entries)
    assert (store.asked, store.seen) == ([], [top.digest])


def test_manifest_that_is_no_index_is_its_own_leaf(store: Store) -> None:
    top = image()

    assert store.walk(top, everything) == Tree((top.descriptor,))
    assert (store.asked, store.seen) == ([], [top.digest])


def test_top_is_seen_under_the_digest_it_was_asked_for_by(store: Store) -> None:
    name = Digest("sha512", "a" * 128)

    tree = run_walk(walk(image(), digest=name, on_manifest=store.look), store.get)

    assert (store.seen, tree.leaves[0].digest) == ([name], name)


def test_top_that_is_no_manifest_is_an_error(store: Store) -> None:
    with pytest.raises(InvalidManifest, match="not JSON"):
        store.walk(RawManifest(media.OCI_INDEX, b"{"))


def test_nested_indexes_are_opened_in_their_place_and_innermost_first(store: Store) -> None:
    first, second, last = entry("first"), entry("second"), entry("last")
    inner = index(second)
    outer = index(store.add(inner), first)
    top = index(first, store.add(outer), last, inner.descriptor)

    tree = store.walk(top)

    assert tree == Tree((first, second, first, last, second), (inner, outer))
    assert store.asked == [outer.digest, inner.digest]
    assert store.seen == [top.digest, outer.digest, inner.digest]


def test_walk_of_everything_reads_each_manifest_once_and_goes_by_its_content(store: Store) -> None:
    shared, other = store.image("shared"), store.image("other")
    hidden = replace(store.add(index(shared, other)), media_type="")
    top = index(shared, hidden, shared, hidden)

    tree = store.walk(top, everything)

    assert tree.leaves == (shared, shared, other, shared, shared, other)
    assert [raw.digest for raw in tree.nested] == [hidden.digest]
    assert tree.problems == ()
    assert store.asked == [shared.digest, hidden.digest, other.digest]


def test_walk_reads_what_is_wanted_and_nothing_else(store: Store) -> None:
    wanted, other = store.image("wanted"), store.image("other")
    nested = store.add(index(wanted, other))

    tree = store.walk(index(other, nested), lambda one: says_index(one) or one == wanted)

    assert tree.leaves == (other, wanted, other)
    assert store.asked == [nested.digest, wanted.digest]


def test_four_levels_of_indexes_are_walked_and_a_fifth_is_not_asked_for(store: Store) -> None:
    indexes = store.nested(5)

    whole = store.walk(indexes[3])
    store.asked.clear()
    cut = store.walk(indexes[4])

    assert (whole.leaves, whole.nested) == ((image().descriptor,), indexes[:3])
    assert cut.leaves == ()
    assert said(cut) == [
        (indexes[0].digest, Fault.BEYOND, "indexes are nested more than 4 deep"),
    ]
    assert indexes[0].digest not in store.asked


def test_fifth_level_that_is_said_to_be_an_image_is_not_opened(store: Store) -> None:
    hidden = replace(store.add(index(store.image())), media_type="")
    top = index(hidden)
    for _ in range(3):
        top = index(store.add(top))

    tree = store.walk(top, everything)

    assert (tree.leaves, [one.fault for one in tree.problems]) == ((), [Fault.BEYOND])
    assert image().digest not in store.asked


@pytest.mark.parametrize("wants", [says_index, everything])
def test_indexes_that_name_each_other_are_read_once(wants: Wants) -> None:
    top, store = knot(20)

    tree = store.walk(top, wants)

    assert len(store.asked) == len(set(store.asked)) == 4
    assert len(tree.nested) == 4
    assert Fault.BEYOND in {one.fault for one in tree.problems}
    with pytest.raises(InvalidManifest, match="leads to more than 10000 entries"):
        tree.checked(Fault.MISSTATED)


def test_index_that_is_there_often_is_opened_once_where_that_is_enough(store: Store) -> None:
    first = index(store.image())
    second = index(*[store.add(first)] * 20)
    # Named before what it leads to: what is innermost comes first all the same.
    top = index(*[store.add(second)] * 20, store.add(first))

    tree = run_walk(walk(top, wants=everything, on_manifest=store.look, repeats=False), store.get)

    assert (tree.nested, len(tree.leaves), tree.problems) == ((first, second), 1, ())
    assert len(store.asked) == len(set(store.asked)) == 3


def test_indexes_that_lead_to_one_another_in_a_row_are_opened_once(store: Store) -> None:
    row = [index(store.image())]
    for _ in range(1500):
        row.append(index(store.add(row[-1])))
    top = index(*map(store.add, row))

    tree = run_walk(walk(top, repeats=False), store.get)

    assert (tree.nested, len(tree.leaves)) == (tuple(row), 1)


def test_index_that_contains_itself_ends_at_the_deepest_level() -> None:
    top, store = knot(1, names="a")

    tree = store.walk(top)

    assert (tree.leaves, len(store.asked)) == ((), 1)
    assert [one.fault for one in tree.problems] == [Fault.MISSTATED, Fault.BEYOND]


@pytest.mark.parametrize("too_many", [False, True])
def test_entries_of_repeated_indexes_count_each_time(store: Store, too_many: bool) -> None:
    leaf = entry("leaf")
    inner = store.add(index(*[leaf] * 3000))
    rest = MAXIMUM_ENTRIES - 3 * 3001 + too_many

    tree = store.walk(index(*[inner] * 3, *[leaf] * rest))

    if too_many:
        assert said(tree) == [
            (inner.digest, Fault.BEYOND, "the index leads to more than 10000 entries")
        ]
        assert len(tree.leaves) == 6000 + rest
    else:
        assert (tree.problems, len(tree.leaves)) == ((), 9000 + rest)


def test_indexes_that_are_too_large_together_are_not_kept(store: Store) -> None:
    leaf = entry("leaf")
    large = [
        replace(leaf, annotations=(("pad", " " * (4 * 1024 * 1024 - 1000)), ("n", str(n))))
        for n in range(5)
    ]
    nested = [store.add(index(one)) for one in large]

    tree = store.walk(index(*nested))

    words = "the nested indexes have more than 16 MiB together"
    assert said(tree) == [(nested[4].digest, Fault.BEYOND, words)]
    assert (len(tree.leaves), len(tree.nested)) == (4, 4)


def test_indexes_with_too_many_entries_together_are_not_kept(store: Store) -> None:
    nested = [store.add(index(*[entry(str(n))] * 4999)) for n in range(4)]
    asking = walk(index(*nested))

    tree = run_walk(asking, store.get)

    assert [one.fault for one in tree.problems] == [Fault.BEYOND] * 3
    assert (len(tree.leaves), len(tree.nested)) == (4999, 1)


def test_top_with_more_entries_than_are_allowed_is_no_manifest(store: Store) -> None:
    with pytest.raises(InvalidManifest, match="10001 manifests"):
        store.walk(index(*[entry("leaf")] * (MAXIMUM_ENTRIES + 1)))


def test_one_digest_of_two_sizes_is_told_of_the_wrong_one_and_walked(store: Store) -> None:
    right = store.add(index(entry("leaf")))
    wrong = replace(right, size=3)

    tree = store.walk(index(wrong, right))

    words = f"{right.digest} has {right.size} bytes, the index says 3"
    assert said(tree) == [(wrong.digest, Fault.MISSTATED, words)]
    assert tree.problems[0].entry == wrong
    assert tree.leaves == (entry("leaf"), entry("leaf"))
    assert store.asked == [right.digest]
    assert tree.checked(Fault.MISSTATED) is tree


def test_one_digest_of_two_types_is_told_of_the_wrong_one(store: Store) -> None:
    right = store.add(index(entry("leaf")))
    wrong = replace(right, media_type=media.OCI_MANIFEST)
    store.manifests[entry("leaf").digest] = image()

    tree = store.walk(index(wrong, right), lambda one: one.digest == right.digest)

    words = f"{right.digest} is listed as an image and is an index"
    assert said(tree) == [(right.digest, Fault.MISSTATED, words)]
    assert tree.leaves == (entry("leaf"), entry("leaf"))


@pytest.mark.parametrize("wants", [says_index, everything])
def test_entry_that_is_said_to_be_an_index_and_is_none_hides_no_other(
    store: Store, wants: Wants
) -> None:
    good = store.image("good")
    lying = replace(store.image("lying"), media_type=media.DOCKER_LIST)

    tree = store.walk(index(lying, store.add(index(good))), wants)

    words = f"{lying.digest} is listed as an index and is not one"
    assert said(tree) == [(lying.digest, Fault.LOST, words)]
    assert tree.leaves == (good,)


@pytest.mark.parametrize("content", [None, b"{", b'{"schemaVersion": 2}'])
def test_nested_index_that_is_missing_or_damaged_hides_no_other(
    store: Store, content: bytes | None
) -> None:
    before, inside, after = entry("before"), entry("inside"), entry("after")
    lost = entry("lost", media_type=media.OCI_INDEX)
    if content is not None:
        store.manifests[lost.digest] = RawManifest(media.OCI_INDEX, content)
    whole = index(inside)

    tree = store.walk(index(before, lost, store.add(whole), after, lost))

    assert (tree.leaves, tree.nested) == ((before, inside, after), (whole,))
    assert tree.entries_with(Fault.LOST) == (lost,)
    assert str(lost.digest) in str(tree.problems[0].error)
    with pytest.raises(NotFound if content is None else InvalidManifest, match=lost.digest.hex):
        tree.checked()


def test_image_that_is_missing_stays_a_leaf_with_a_problem(store: Store) -> None:
    lost, good = entry("lost"), store.image("good")

    tree = store.walk(index(lost, good), everything)

    assert tree.leaves == (lost, good)
    assert tree.entries_with(Fault.LOST) == (lost,)


def test_failure_that_is_no_answer_ends_the_walk(store: Store) -> None:
    def broken(_entry: Descriptor) -> RawManifest:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_walk(walk(index(entry("a")), wants=everything), broken)


def test_any_error_of_ours_is_an_answer(store: Store) -> None:
    failure = Unavailable("gone")

    def broken(_entry: Descriptor) -> RawManifest:
        raise failure

    tree = run_walk(walk(index(entry("a")), wants=everything), broken)

    assert tree.problems == (EntryProblem(entry("a"), failure, Fault.LOST),)


def test_batches_are_small_so_that_they_fit_into_memory() -> None:
    entries = [entry(str(number)) for number in range(2 * MOST_AT_ONCE + 1)]
    asking = walk(index(*entries), wants=everything)
    lost = NotFound("lost")

    batches = [next(asking)]
    batches += [asking.send([lost] * len(batches[-1])) for _ in range(2)]

    assert [len(batch) for batch in batches] == [MOST_AT_ONCE, MOST_AT_ONCE, 1]
    assert [one for batch in batches for one in batch] == entries


# --- any graph of indexes, held against the plainest walk there is

graphs = st.dictionaries(
    st.sampled_from("ABCDE"), st.lists(st.sampled_from("ABCDExyz"), max_size=6), max_size=5
)


def plainly(graph: Mapping[str, list[str]], name: str, level: int) -> list[str]:
    """The leaves below `name`, walked again at every place."""
    found = []
    for below in graph[name]:
        if below.islower():
            found.append(below)
        elif below in graph and level < 4:
            found += plainly(graph, below, level + 1)
    return found


@given(graphs.filter(lambda graph: "A" in graph), st.booleans())
@examples(300)
def test_any_graph_is_walked_as_a_plain_walk_does_and_asked_once(
    graph: dict[str, list[str]], reads_all: bool
) -> None:
    def named(name: str) -> Descriptor:
        return entry(name, media_type=media.OCI_MANIFEST if name.islower() else media.OCI_INDEX)

    store = Store({named(name).digest: image(name) for name in "xyz"})
    for name, below in graph.items():
        store.manifests[named(name).digest] = index(*map(named, below))

    tree = store.walk(store.manifests[named("A").digest], everything if reads_all else says_index)

    assert len(store.asked) == len(set(store.asked))
    assert list(tree.leaves) == [named(name) for name in plainly(graph, "A", 1)]
    lost = {one.digest for one in tree.entries_with(Fault.LOST)}
    assert lost == set(store.asked) - store.manifests.keys()
    assert reads_all or {named(name).digest for name in "xyz"}.isdisjoint(store.asked)


def test_types_of_what_is_seen_are_told(store: Store) -> None:
    seen: list[tuple[Digest, type[Parsed]]] = []
    one = store.image()
    top = index(one)

    run_walk(
        walk(top, wants=everything, on_manifest=lambda e, _, f: seen.append((e.digest, type(f)))),
        store.get,
    )

    assert seen == [(top.digest, Index), (one.digest, Manifest)]
