"""An archive file: what is put in comes out, whatever happens in between."""

from __future__ import annotations

import os
import random
import shutil
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.errors import (
    AlreadyRunning,
    DigestMismatch,
    NotFound,
    UsageError,
)
from image_tools.oci.digest import Digest
from image_tools.stores.archive.content import FILE_FORMS, Form
from image_tools.stores.archive.file.archive_file import FileContent, file_form
from image_tools.stores.archive.verify import verify
from tests.helpers.archive_files import INDEX, Killed, add, blobs_of, by_digest, killed_at
from tests.helpers.examples import examples

SIZES = (0, 1, 511, 512, 513, 65535, 65536, (128 << 10) + 1)
SEVERAL = (b"", b"one", b"two" * 1000, random.Random(1).randbytes(70_000))
NEW_INDEX = INDEX.replace(b"[]", b"[ ]")
few = examples(25)


@pytest.fixture(params=FILE_FORMS, ids=lambda form: form.name)
def form(request: pytest.FixtureRequest) -> Form:
    return request.param


@pytest.fixture
def path(tmp_path: Path, form: Form) -> Path:
    return tmp_path / f"images{form.suffix}"


def made(path: Path, form: Form, *blobs: bytes, index: bytes = INDEX) -> Path:
    with closing(FileContent.create(path, form)) as content:
        for number, blob in enumerate(blobs):
            add(content, blob, compressible=number % 2 == 0)
        content.publish(index)
    return path


def read(path: Path) -> tuple[bytes, dict[Digest, bytes]]:
    with closing(FileContent.reading(path)) as content:
        return content.index(), blobs_of(content)


def beside(path: Path) -> list[str]:
    return sorted(found.name for found in path.parent.iterdir())


def abandon(content: FileContent) -> None:
    """What a killed process leaves: the lock is gone, nothing is tidied."""
    os.close(content.source.descriptor)


CONTENTS = st.lists(
    st.tuples(
        st.sampled_from(SIZES) | st.integers(0, 3000),
        st.integers(0, 255),
        st.booleans(),
        st.booleans(),
    ),
    max_size=6,
)


@few
@given(form=st.sampled_from(FILE_FORMS), contents=CONTENTS, order=st.randoms(use_true_random=False))
def test_archive_gives_back_every_blob(tmp_path_factory, form, contents, order) -> None:
    path = tmp_path_factory.mktemp("a") / "a"
    blobs = [bytes([fill]) * size for size, fill, _, _ in contents]
    with closing(FileContent.create(path, form)) as content:
        for blob, (_, _, known, compressible) in zip(blobs, contents, strict=True):
            add(content, blob, known=known, compressible=compressible)
        assert blobs_of(content) == by_digest(*blobs)
        content.publish(INDEX)
    order.shuffle(blobs)

    assert read(path) == (INDEX, by_digest(*blobs))
    assert file_form(path) is form
    with closing(FileContent.reading(path)) as content:
        assert {problem for _, problem in verify(content)} == {None}


@few
@given(
    form=st.sampled_from(FILE_FORMS),
    places=st.lists(st.integers(0, 200_100), min_size=1, max_size=8),
)
def test_blob_is_read_from_any_place(tmp_path_factory, form, places) -> None:
    blob = random.Random(0).randbytes(200_000)
    path = made(tmp_path_factory.mktemp("a") / "a", form, blob[:-1], blob)

    with closing(FileContent.reading(path)) as content:
        for wanted in (blob[:-1], blob):
            with content.open(Digest.of(wanted)) as file:
                for place in places:
                    assert file.seek(place) == place
                    assert file.read(70_000) == wanted[place : place + 70_000]
                assert file.seek(-5, os.SEEK_END) == len(wanted) - 5
                assert file.read() == wanted[-5:]


def test_blob_open_outlives_its_archive(path: Path, form: Form) -> None:
    content = FileContent.reading(made(path, form, *SEVERAL))
    file = content.open(Digest.of(SEVERAL[-1]))
    content.close()

    assert file.read() == SEVERAL[-1]
    file.close()


def test_blob_unknown_is_not_found(path: Path, form: Form) -> None:
    with closing(FileContent.reading(made(path, form))) as content:
        assert content.size(Digest.of(b"?")) is None
        with pytest.raises(NotFound, match=str(Digest.of(b"?"))):
            content.open(Digest.of(b"?"))


def test_archive_of_equal_content_has_equal_bytes(tmp_path: Path, form: Form) -> None:
    one, two = (made(tmp_path / name, form, *SEVERAL) for name in "ab")

    assert one.read_bytes() == two.read_bytes()


def test_blob_twice_is_stored_once(path: Path, form: Form) -> None:
    with closing(FileContent.create(path, form)) as content:
        for _ in range(3):
            add(content, SEVERAL[-1])
        content.publish(INDEX)

    assert read(path) == (INDEX, by_digest(SEVERAL[-1]))
    assert path.stat().st_size < 1.2 * len(SEVERAL[-1])


def test_blob_of_other_size_than_announced_is_refused(path: Path, form: Form) -> None:
    with closing(FileContent.create(path, form)) as content:
        long, short = (content.begin(5, compressible=False) for _ in range(2))
        with pytest.raises(DigestMismatch, match="more bytes came than the 5"):
            long.write(b"123456")
        long.drop()
        short.write(b"1234")
        with pytest.raises(DigestMismatch, match="1 of 5 bytes are missing"):
            short.finish(Digest.of(b"1234"))
        content.publish(INDEX)

    assert read(path) == (INDEX, {})


@pytest.mark.parametrize("kept", [(0, 2), (1, 2), (2,), (0, 1), (1,)])
def test_blobs_dropped_amid_others_leave_no_holes(path: Path, form: Form, kept) -> None:
    blobs = [random.Random(n).randbytes(size) for n, size in enumerate((700_000, 5000, 400_000))]
    with closing(FileContent.create(path, form)) as content:
        coming = [content.begin(len(blob), compressible=False) for blob in blobs]
        for number, (incoming, blob) in enumerate(zip(coming, blobs, strict=True)):
            incoming.write(blob)
            if number in kept:
                incoming.finish(Digest.of(blob))
            else:
                incoming.drop()
        content.publish(INDEX)

    expected = [blobs[number] for number in kept]
    assert read(path) == (INDEX, by_digest(*expected))
    assert path.stat().st_size < sum(map(len, expected)) + 20_000


def test_publish_with_a_blob_on_its_way_is_refused(path: Path, form: Form) -> None:
    with closing(FileContent.create(path, form)) as content:
        content.begin(5, compressible=False)
        with pytest.raises(RuntimeError):
            content.publish(INDEX)


def test_blobs_from_many_threads_all_arrive(path: Path, form: Form) -> None:
    content = FileContent.create(path, form)
    blobs = [random.Random(n % 60).randbytes(n % 60 * 997) for n in range(80)]
    failed = list[BaseException]()

    def work(number: int) -> None:
        try:
            for place in range(number, len(blobs), 8):
                spoilt = content.begin(1000 + place, compressible=False)
                spoilt.write(b"x" * 900)
                known, compressible = place % 3 > 0, place % 4 == 0
                add(content, blobs[place], known=known, compressible=compressible)
                spoilt.drop()
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


def test_added_blobs_join_those_that_were_there(path: Path, form: Form) -> None:
    made(path, form, *SEVERAL)
    before = path.read_bytes()
    with closing(FileContent.adding(path)) as content:
        assert content.index() == INDEX
        start = content.entries()[-1].end
        add(content, b"new")
        add(content, b"one")
        with closing(FileContent.reading(path)) as reader:
            assert (reader.index(), blobs_of(reader)) == (INDEX, by_digest(*SEVERAL))
        content.publish(NEW_INDEX)
        add(content, b"newer")
        content.publish(INDEX)

    assert read(path) == (INDEX, by_digest(*SEVERAL, b"new", b"newer"))
    assert path.read_bytes()[:start] == before[:start]
    assert beside(path) == [path.name]


def test_adding_nothing_leaves_the_file_as_it_was(path: Path, form: Form) -> None:
    made(path, form, *SEVERAL)
    before = path.read_bytes()
    with closing(FileContent.adding(path)) as content:
        content.publish(INDEX)
    with closing(FileContent.adding(path)) as content:
        content.begin(100_000, compressible=False).drop()

    assert path.read_bytes() == before
    assert beside(path) == [path.name]


def test_new_archive_without_anything_leaves_nothing(path: Path, form: Form) -> None:
    FileContent.create(path, form).close()

    assert beside(path) == []


def test_archive_resumed_has_what_had_arrived(path: Path, form: Form) -> None:
    first = FileContent.create(path, form)
    failing = first.begin(300_000, compressible=False)
    for blob in SEVERAL:
        add(first, blob)
    first.note("a tag\twas set")
    failing.write(b"x" * 200_000)
    abandon(first)

    assert not path.exists()
    with closing(FileContent.create(path, form)) as content:
        assert blobs_of(content) == by_digest(*SEVERAL)
        assert content.notes() == ("a tag\twas set",)
        add(content, b"y" * 300_000)
        content.publish(INDEX)
        assert content.notes() == ()
    assert read(path) == (INDEX, by_digest(*SEVERAL, b"y" * 300_000))
    assert beside(path) == [path.name]


def test_archive_resumed_without_its_data_has_what_is_left(path: Path, form: Form) -> None:
    first = FileContent.create(path, form)
    for blob in SEVERAL:
        add(first, blob)
    partial, lost = path.with_name(f"{path.name}.partial"), first.entries()[-1]
    abandon(first)
    os.truncate(partial, lost.end - 1)

    with closing(FileContent.create(path, form)) as content:
        assert blobs_of(content) == by_digest(*SEVERAL[:-1])


def test_archive_resumed_without_any_data_begins_anew(path: Path, form: Form) -> None:
    first = FileContent.create(path, form)
    add(first, b"one")
    abandon(first)
    path.with_name(f"{path.name}.partial").unlink()

    with closing(FileContent.create(path, form)) as content:
        assert blobs_of(content) == {}
        content.publish(INDEX)
    assert read(path) == (INDEX, {})


def test_archive_resumed_in_another_form_is_refused(path: Path, form: Form) -> None:
    first = FileContent.create(path, form)
    add(first, b"one")
    first.close()
    other = Form.TAR if form is Form.GZIP else Form.GZIP

    with pytest.raises(UsageError, match="another form") as caught:
        FileContent.create(path, other)
    assert f"{path.name}.partial.journal" in caught.value.advice


def test_archive_written_by_two_is_refused_to_the_second(path: Path, form: Form) -> None:
    with closing(FileContent.create(path, form)) as content:
        with pytest.raises(AlreadyRunning, match="another run"):
            FileContent.create(path, form)
        content.publish(INDEX)
        with pytest.raises(AlreadyRunning, match="another run"):
            FileContent.adding(path)


def adding(path: Path, _form: Form) -> FileContent:
    return FileContent.adding(path)


@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.soak)])
@pytest.mark.parametrize("begin", [FileContent.create, adding])
def test_archive_killed_at_any_step_is_the_old_or_the_new(
    tmp_path: Path, form: Form, begin: Callable[[Path, Form], FileContent], stride: int
) -> None:
    old, new = SEVERAL[:2], (b"new", b"n" * 5000, b"e" * 70_000)
    states = [(INDEX, by_digest(*old)), (NEW_INDEX, by_digest(*new))]
    if begin is adding:
        states[1] = (NEW_INDEX, by_digest(*old, *new))
    before = made(tmp_path / "before", form, *old)
    steps = 0
    while True:
        path = Path(shutil.copy(before, tmp_path / f"{steps}"))
        finished = set[Digest]()
        with killed_at(steps) as was_killed, suppress(Killed):
            with_holes(begin(path, form), new, finished)
        if not was_killed():
            break
        steps += stride

        assert read(path) in states
        with closing(begin(path, form)) as content:
            # Behind the step that counts, a new archive has them already, not the next one.
            assert finished <= set(blobs_of(content)) or read(path) == states[1]
            for blob in new:
                add(content, blob)
            content.publish(NEW_INDEX)
        assert read(path) == states[1]
        assert [name for name in beside(path) if name.startswith(f"{path.name}.")] == []
    assert steps > 20
    assert read(path) == states[1]


def with_holes(content: FileContent, new: tuple[bytes, ...], finished: set[Digest]) -> None:
    """Add three blobs behind one that fails, and publish; never tidied when killed."""
    try:
        failing = content.begin(100_000, compressible=False)
        for number, blob in enumerate(new):
            finished.add(add(content, blob, compressible=number == 1))
        content.note("tagged")
        failing.write(b"x" * 50_000)
        failing.drop()
        content.publish(NEW_INDEX)
    finally:
        abandon(content)


def test_new_archive_has_no_notes_of_one_that_was_finished(path: Path, form: Form) -> None:
    first = FileContent.create(path, form)
    add(first, b"one")
    first.note("of the first")
    journal = path.with_name(f"{path.name}.partial.journal")
    said = journal.read_bytes()
    first.publish(INDEX)
    first.close()
    # Killed between the last two steps: the file has its name, and the journal is still there.
    journal.write_bytes(said)

    with closing(FileContent.create(path, form)) as content:
        assert content.notes() == ()
        assert blobs_of(content) == {}
    assert beside(path) == [path.name]
