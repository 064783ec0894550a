"""An archive in volumes: none too big, each of its own, what is lost is named and made again."""

from __future__ import annotations

import os
import random
import re
import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.errors import AlreadyRunning, ArchiveDamaged, NotFound, UsageError
from image_tools.oci.digest import Digest
from image_tools.stores.archive.content import FILE_FORMS, Form
from image_tools.stores.archive.file.archive_file import FileContent
from image_tools.stores.archive.file.toc import Piece
from image_tools.stores.archive.verify import verify
from image_tools.stores.archive.volumes.list import (
    BlobInVolume,
    ListedVolume,
    VolumeList,
    base_and_number,
    list_bytes,
    parse_list,
)
from image_tools.stores.archive.volumes.set import has_volumes
from image_tools.stores.archive.volumes.volumes import VolumeBlobs, VolumesContent
from tests.helpers.archive_files import INDEX, add, blobs_of, by_digest
from tests.helpers.examples import examples

PART = 100_000
NEW_INDEX = INDEX.replace(b"[]", b"[ ]")


def noise(number: int, size: int) -> bytes:
    return random.Random(number).randbytes(size)


BIG = noise(9, 350_000)
BLOBS = (*(noise(n, 30_000) for n in range(7)), BIG, b"text " * 2000, b"", b"x")


@pytest.fixture(params=FILE_FORMS, ids=lambda form: form.name)
def form(request: pytest.FixtureRequest) -> Form:
    return request.param


@pytest.fixture
def path(tmp_path: Path, form: Form) -> Path:
    return tmp_path / f"images{form.suffix}"


def made(path: Path, form: Form, *blobs: bytes) -> Path:
    with closing(VolumesContent.create(path, form, PART)) as content:
        for number, blob in enumerate(blobs):
            add(content, blob, known=number % 3 > 0, compressible=b"text" in blob)
        content.publish(INDEX)
    return path


def read(path: Path) -> tuple[bytes, dict[Digest, bytes]]:
    with closing(VolumesContent.reading(path)) as content:
        assert {problem for _, problem in verify(content)} == {None}
        return content.index(), blobs_of(content)


def part(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.part{number}")


def parts(path: Path) -> list[Path]:
    return sorted(path.parent.iterdir(), key=lambda found: (len(found.name), found.name))


def test_archive_is_found_by_any_of_its_names(path: Path, form: Form) -> None:
    made(path, form, *BLOBS)
    count = len(parts(path))

    assert parts(path) == [part(path, number) for number in range(1, count + 1)]
    assert count > 6
    for name in (path, part(path, 1), part(path, count)):
        assert has_volumes(name)
        assert read(name) == (INDEX, by_digest(*BLOBS))
    assert has_volumes(part(path, count + 1))
    assert all(found.stat().st_size <= PART for found in parts(path))


def test_volume_says_itself_what_is_in_it(path: Path, form: Form) -> None:
    made(path, form, *BLOBS)

    found: dict[Digest, bytes] = {}
    for name in parts(path):
        with closing(FileContent.reading(name)) as content:
            assert {problem for _, problem in verify(content)} == {None}
            found |= blobs_of(content)
    whole = by_digest(*BLOBS)
    assert {digest: blob for digest, blob in whole.items() if blob != BIG}.items() <= found.items()


@given(
    form=st.sampled_from(FILE_FORMS),
    contents=st.lists(
        st.tuples(st.integers(0, 250_000), st.booleans(), st.booleans()), min_size=1, max_size=8
    ),
)
@examples(25)
def test_archive_in_volumes_gives_back_every_blob(tmp_path_factory, form, contents) -> None:
    path = tmp_path_factory.mktemp("a") / "a"
    blobs = [noise(number, size) for number, (size, _, _) in enumerate(contents)]
    with closing(VolumesContent.create(path, form, PART)) as content:
        for blob, (_, known, compressible) in zip(blobs, contents, strict=True):
            add(content, blob, known=known, compressible=compressible)
        assert blobs_of(content) == by_digest(*blobs)
        content.publish(INDEX)

    assert read(path) == (INDEX, by_digest(*blobs))
    assert all(found.stat().st_size <= PART for found in parts(path))


@given(places=st.lists(st.integers(0, len(BIG) + 10), min_size=1, max_size=8))
@examples(15)
def test_blob_in_pieces_is_read_from_any_place(tmp_path_factory, places) -> None:
    path = made(tmp_path_factory.mktemp("a") / "a", Form.ZSTD, BIG)

    with closing(VolumesContent.reading(path)) as content, content.open(Digest.of(BIG)) as file:
        for place in places:
            file.seek(place)
            assert file.read(130_000) == BIG[place : place + 130_000]
        file.seek(-3, os.SEEK_END)
        assert file.read() == BIG[-3:]


def test_blob_in_volumes_unknown_is_not_found(path: Path, form: Form) -> None:
    with closing(VolumesContent.reading(made(path, form))) as content:
        assert content.size(Digest.of(b"?")) is None
        with pytest.raises(NotFound):
            content.open(Digest.of(b"?"))


def test_volumes_are_there_as_they_fill(path: Path, form: Form) -> None:
    with closing(VolumesContent.create(path, form, PART)) as content:
        blobs = [noise(number, 40_000) for number in range(4)]
        for blob in blobs:
            add(content, blob)
        with closing(FileContent.reading(part(path, 1))) as first:
            assert blobs_of(first) == by_digest(*blobs[:2])
        with pytest.raises(ArchiveDamaged, match=r"its last volume.* is missing; found: part1"):
            VolumesContent.reading(path)
        content.publish(INDEX)


@pytest.mark.parametrize("lost", [1, 3])
@pytest.mark.parametrize("how", ["missing", "cut", "other"])
def test_volume_lost_is_named_and_its_blobs_are_made_again(
    path: Path, form: Form, lost: int, how: str
) -> None:
    made(path, form, *BLOBS)
    with closing(FileContent.reading(part(path, lost))) as content:
        gone = blobs_of(content)
    if how == "missing":
        part(path, lost).unlink()
    elif how == "cut":
        os.truncate(part(path, lost), 50_000)
    else:
        other = path.parent / "other" / "a"
        other.parent.mkdir()
        part(made(other, form, *BLOBS), lost).replace(part(path, lost))
    why = {"missing": "is missing", "cut": "is damaged", "other": "belongs to another"}[how]

    with closing(VolumesContent.adding(path)) as content:
        (volume,), whole = content.lost, by_digest(*BLOBS)
        assert re.search(rf"\.part{lost} {why}.*: \d+ blobs, 0\.\d MiB", str(volume))
        missing = {digest for digest in volume.blobs if content.size(digest) is None}
        assert gone.keys() & whole.keys() == missing - {Digest.of(BIG)}
        for digest in missing:
            add(content, whole[digest])
        assert {content.size(digest) for digest in missing} == {len(whole[d]) for d in missing}
        content.publish(INDEX)
    assert read(path) == (INDEX, by_digest(*BLOBS))


def test_last_volume_lost_is_told(path: Path, form: Form) -> None:
    made(path, form, *BLOBS)
    parts(path)[-1].unlink()
    os.truncate(part(path, 2), 100)

    for begin in (VolumesContent.reading, VolumesContent.adding):
        with pytest.raises(ArchiveDamaged, match=r"last volume.*found: part1, .*part2 is damaged"):
            begin(path)


def test_added_blobs_make_new_volumes(path: Path, form: Form) -> None:
    made(path, form, *BLOBS)
    before = {name: name.read_bytes() for name in parts(path)}
    with closing(VolumesContent.adding(part(path, 2))) as content:
        add(content, BLOBS[0])
        add(content, noise(77, 150_000))
        content.note("tagged")
        content.publish(NEW_INDEX)

    assert read(path) == (NEW_INDEX, by_digest(*BLOBS, noise(77, 150_000)))
    assert {name: name.read_bytes() for name in before} == before
    assert len(parts(path)) > len(before)


def test_adding_nothing_to_volumes_changes_nothing(path: Path, form: Form) -> None:
    made(path, form, *BLOBS)
    before = parts(path)
    with closing(VolumesContent.adding(path)) as content:
        content.publish(INDEX)
    with closing(VolumesContent.adding(path)) as content:
        content.begin(50, compressible=False).drop()

    assert parts(path) == before


def test_new_archive_replaces_the_volumes_of_an_old_one(path: Path, form: Form) -> None:
    made(path, form, *BLOBS)
    made(path, form, b"small")

    assert read(path) == (INDEX, by_digest(b"small"))
    assert parts(path) == [part(path, 1)]


def test_new_archive_over_a_file_of_others_is_refused(path: Path, form: Form) -> None:
    part(path, 3).write_bytes(b"mine")

    with pytest.raises(UsageError, match="part3 is no volume"):
        VolumesContent.create(path, form, PART)
    assert part(path, 3).read_bytes() == b"mine"


def test_volumes_written_by_two_are_refused_to_the_second(path: Path, form: Form) -> None:
    with (
        closing(VolumesContent.create(path, form, PART)),
        pytest.raises(AlreadyRunning, match="another run"),
    ):
        VolumesContent.create(path, form, PART)


def test_volumes_too_small_are_refused(path: Path, form: Form) -> None:
    with pytest.raises(UsageError, match="too small"):
        VolumesContent.create(path, form, 1000)


def test_blobs_dropped_leave_room_in_volumes(path: Path, form: Form) -> None:
    with closing(VolumesContent.create(path, form, PART)) as content:
        failing = [content.begin(60_000, compressible=False) for _ in range(3)]
        big = content.begin(len(BIG), compressible=False)
        big.write(BIG[:300_000])
        for incoming in (*failing, big):
            incoming.drop()
        for blob in BLOBS:
            add(content, blob)
        content.publish(INDEX)

    assert read(path) == (INDEX, by_digest(*BLOBS))
    assert sum(found.stat().st_size for found in parts(path)) < sum(map(len, BLOBS)) + 100_000


def test_blobs_from_many_threads_all_arrive_in_volumes(path: Path, form: Form) -> None:
    content = VolumesContent.create(path, form, PART)
    blobs = [noise(n % 30, n % 30 * 5000) for n in range(40)]
    failed = list[BaseException]()

    def work(number: int) -> None:
        try:
            for place in range(number, len(blobs), 8):
                add(content, blobs[place], known=place % 3 > 0, compressible=place % 4 == 0)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    content.publish(INDEX)
    content.close()

    assert failed == []
    assert read(path) == (INDEX, by_digest(*blobs))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("whole") / "a", Form.GZIP, *BLOBS)


@given(data=st.data(), at=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
@examples(60)
def test_volumes_changed_anywhere_are_right_or_say_so(whole, data, at, change) -> None:
    name = data.draw(st.sampled_from(parts(whole)))
    content = name.read_bytes()
    near_end = data.draw(st.booleans())
    place = len(content) - 1 - int(at * 2500) if near_end else int(at * len(content))
    name.write_bytes(content[:place] + bytes([content[place] ^ change]) + content[place + 1 :])
    try:
        outcome = looked_into(whole)
    finally:
        name.write_bytes(content)

    assert outcome in {"right", "damaged"}


def looked_into(path: Path) -> str:
    try:
        content = VolumesContent.reading(path)
    except ArchiveDamaged:
        return "damaged"
    with closing(content):
        if content.lost or any(problem for _, problem in verify(content)):
            return "damaged"
        return "right" if blobs_of(content) == by_digest(*BLOBS) else "wrong"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.tar.gz.part2", ("a.tar.gz", 2)),
        ("a.part1.part12", ("a.part1", 12)),
        ("a.tar.gz", ("a.tar.gz", None)),
        ("a.part0", ("a.part0", None)),
        ("a.part", ("a.part", None)),
        (".part1", (".part1", None)),
    ],
)
def test_name_of_a_volume_is_taken_apart(name: str, expected: tuple[str, int | None]) -> None:
    base, number = base_and_number(Path("d") / name)

    assert (base, number) == (Path("d") / expected[0], expected[1])


def test_list_of_volumes_is_read_back() -> None:
    digest = Digest.of(b"")
    listing = VolumeList("f" * 32, PART, (ListedVolume(1, 5, digest, (BlobInVolume(digest, 5),)),))

    assert parse_list("a", list_bytes(listing)) == listing


LISTED_WRONG = (
    b'{"version":1,"set":"","partSize":1,"volumes":[{"number":1,"size":1,"table":5,"blobs":[]}]}'
)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"version":2}',
        b'{"version":1,"volumes":[5]}',
        LISTED_WRONG,
    ],
)
def test_list_of_volumes_damaged_is_told(text: bytes) -> None:
    with pytest.raises(ArchiveDamaged, match="a is damaged: its list of volumes"):
        parse_list("a", text)


def test_blobs_in_pieces_found_at_once_are_all_kept() -> None:
    """What one thread found before another blob came must not replace what has that blob."""
    blob = Digest.of(b"whole")
    has_come, go_on, entered = [], threading.Event(), threading.Event()

    def parts() -> Any:
        found = tuple(has_come)
        if not entered.is_set():
            entered.set()
            go_on.wait(10)
        return found

    entry = SimpleNamespace(piece=Piece(blob, 0, 5), size=5, digest=blob)
    blobs = VolumeBlobs(parts)
    threads = [threading.Thread(target=blobs.join) for _ in range(2)]
    threads[0].start()
    entered.wait(10)
    has_come.append(SimpleNamespace(entries=lambda: [entry], find=lambda _: None))
    threads[1].start()
    threads[1].join(0.2)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert blobs.size(blob) == 5
