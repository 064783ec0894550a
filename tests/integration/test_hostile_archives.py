"""1,000 archives changed at random, ours and those of others.

Never a wrong image, never another exception than one of ours, never a file outside the cache.
"""

from __future__ import annotations

import copy
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from image_tools.errors import ImageToolsError
from image_tools.oci.digest import Digest
from image_tools.oci.reference import Reference
from image_tools.stores.archive.archive import Archive
from image_tools.stores.archive.content import Form
from image_tools.stores.archive.image_contents import contents
from image_tools.stores.archive.opening import new_archive, read_archive
from image_tools.stores.archive.others.cache import Foreign
from image_tools.stores.archive.verify import verify
from tests.helpers import images
from tests.helpers.archive_files import add
from tests.helpers.content import Image
from tests.helpers.foreign import (
    IMAGE_NAME,
    PACKED,
    Odd,
    docker_save,
    docker_save_25,
    layout,
    predecessor,
    tar,
)

APP = images.docker_schema2(1)
SAVED = docker_save((["team/app:1.0"], [b"first" * 200, b"second" * 300]))
FOREIGN = {
    "layout": layout((APP, {IMAGE_NAME: "docker.io/team/app:1.0"})),
    "docker": SAVED,
    "docker 25": docker_save_25(SAVED),
    "predecessor": predecessor(("team/app", "1.0", images.oci_manifest(2))),
    "predecessor, old": predecessor(("team/app", "1.0", APP), shared=False),
}
EVIL_NAMES = (
    "../x",
    "/tmp/x",
    "a/../../x",
    "manifest.json",
    "index.json",
    "",
    ".",
    "x" * 5000,
    "a\0b",
)
EVIL_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    1 << 70,
    1.5,
    "",
    "../../etc/passwd",
    f"sha256:{'0' * 64}",
    f"sha256:{'0' * 63}",
    "x" * 5000,
    [],
    {},
    [[]],
    [None],
    "\ud800",
)
KINDS = (b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"S", b"g", b"x", b"L", b"K", b"V", b"\xff")
per_test = settings(
    max_examples=200,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda _descriptor: None)


def looked_into(path: Path) -> set[str]:
    """Read all of an archive; what its whole images hold, by digest."""
    base, found = path.parent, set[str]()
    try:
        with closing(read_archive(path, foreign=Foreign(cache=base / "cache"))) as archive:
            broken = dict(verify(archive.content))
            for image in contents(archive):
                if not image.problems and not any(broken.get(d) for d in image.sizes):
                    found |= _read(archive, image.reference, image.sizes)
    except ImageToolsError as error:
        said = str(error)
    else:
        said = "whole, or its images have problems"
    assert said
    return found


def _read(archive: Archive, reference: Reference, sizes: dict[Digest, int]) -> set[str]:
    top = archive.named_manifest(reference).digest
    for digest, size in sizes.items():
        with archive.content.open(digest) as file:
            content = file.read()
        digest.verify(content)
        assert len(content) == size
    # What the predecessor's archives hold by no digest may be anything: the index, which is made
    # here, and in the old layout the manifests, which lie under the names of platforms.
    stated = archive.manifest(top).content
    free = (
        {top, *(d for d in sizes if str(d).encode() in stated)} if b'"manifests"' in stated else ()
    )
    return {str(digest) for digest in sizes if digest not in free}


def probed(content: bytes) -> set[str]:
    """The same for the bytes of a file, with nothing left behind."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.tar"
        path.write_bytes(content)
        found = looked_into(path)
        assert {one.name for one in Path(folder).iterdir()} <= {"x.tar", "cache"}
        assert not any((Path(folder) / "cache").glob("*"))
    return found


def ours(form: Form, image: Image) -> bytes:
    """An archive file of this program."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        with closing(new_archive(path, form)) as archive:
            for blob in image.blobs:
                add(archive.content, blob.data)
            add(archive.content, image.top.data, compressible=True)
            raw = archive.manifest(Digest.parse(image.top.digest))
            archive.add_tag(Reference.parse("team/app:1.0"), raw)
            archive.publish()
        return path.read_bytes()


def packed(kind: str, ending: str) -> bytes:
    return PACKED[ending](tar(FOREIGN[kind].items()))


@st.composite
def changes(draw: st.DrawFn) -> list[tuple[str, float, bytes]]:
    one = st.tuples(
        st.sampled_from(("set", "insert", "delete", "cut", "zero", "copy")),
        st.floats(0, 1, exclude_max=True),
        st.binary(min_size=1, max_size=40),
    )
    return draw(st.lists(one, min_size=1, max_size=3))


def changed(content: bytes, wanted: list[tuple[str, float, bytes]]) -> bytes:
    for what, where, data in wanted:
        at = int(where * len(content))
        before, behind = content[:at], content[at:]
        content = {
            "set": before + data + behind[len(data) :],
            "insert": before + data + behind,
            "delete": before + behind[len(data) :],
            "cut": before,
            "zero": before + bytes(min(600, len(behind))) + behind[600:],
            "copy": before + content[at // 2 :][:1024] + behind,
        }[what]
    return content


ORIGINALS = {kind: probed(packed(kind, ".tar")) for kind in FOREIGN}
OURS = {form: ours(form, APP) for form in Form if form is not Form.FOLDER}


def test_archives_that_are_not_changed_are_whole() -> None:
    whole = {APP.top.digest, *(blob.digest for blob in APP.blobs)}
    assert {form: probed(content) for form, content in OURS.items()} == dict.fromkeys(OURS, whole)
    assert ORIGINALS["layout"] == whole
    assert ORIGINALS["predecessor, old"] == whole - {APP.top.digest}
    assert all(ORIGINALS.values()), ORIGINALS


@per_test
@given(form=st.sampled_from(sorted(OURS, key=str)), wanted=changes())
def test_changed_archive_of_ours_gives_no_wrong_image(
    form: Form, wanted: list[tuple[str, float, bytes]]
) -> None:
    whole = {APP.top.digest, *(blob.digest for blob in APP.blobs)}
    assert probed(changed(OURS[form], wanted)) <= whole


@per_test
@given(
    kind=st.sampled_from(sorted(FOREIGN)), ending=st.sampled_from(sorted(PACKED)), wanted=changes()
)
def test_changed_bytes_of_another_archive_give_no_wrong_image(
    kind: str, ending: str, wanted: list[tuple[str, float, bytes]]
) -> None:
    assert probed(changed(packed(kind, ending), wanted)) <= ORIGINALS[kind]


@per_test
@given(kind=st.sampled_from(sorted(FOREIGN)), wanted=changes())
def test_changed_bytes_in_a_packed_tar_give_no_wrong_image(
    kind: str, wanted: list[tuple[str, float, bytes]]
) -> None:
    content = changed(packed(kind, ".tar"), wanted)
    assert probed(PACKED[".tar.gz"](content)) <= ORIGINALS[kind]


@per_test
@given(kind=st.sampled_from(sorted(FOREIGN)), data=st.data())
def test_changed_entries_of_another_archive_give_no_wrong_image(
    kind: str, data: st.DataObject
) -> None:
    entries: list[tuple[str, bytes | Odd]] = [*FOREIGN[kind].items()]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(entries) - 1))
        other = data.draw(st.integers(0, len(entries) - 1))
        name, content = entries[at]
        what = data.draw(
            st.sampled_from(("rename", "kind", "twice", "drop", "swap", "case", "big"))
        )
        if what == "rename":
            entries[at] = (data.draw(st.sampled_from(EVIL_NAMES)), content)
        elif what == "kind":
            target = data.draw(st.sampled_from((*EVIL_NAMES, entries[other][0])))
            size = data.draw(st.sampled_from((0, 10, 5000)))
            entries[at] = (name, Odd(data.draw(st.sampled_from(KINDS)), target[:90], size))
        elif what == "twice":
            entries.insert(other, (name, entries[other][1]))
        elif what == "drop" and len(entries) > 1:
            del entries[at]
        elif what == "swap":
            entries[at], entries[other] = (name, entries[other][1]), (entries[other][0], content)
        elif what == "case":
            entries.insert(at, (name.upper(), content))
        else:
            entries[at] = (name, Odd(b"0", size=data.draw(st.sampled_from((1, 1 << 20, 1 << 33)))))
    assert probed(tar(entries)) <= ORIGINALS[kind]


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, below in inner:
        yield from _places(below, (*place, key))


@per_test
@given(kind=st.sampled_from(sorted(FOREIGN)), data=st.data())
def test_changed_documents_of_another_archive_give_no_wrong_image(
    kind: str, data: st.DataObject
) -> None:
    files = dict(FOREIGN[kind])
    documents = [n for n in sorted(files) if n.endswith((".json", "oci-layout"))]
    for _ in range(data.draw(st.integers(1, 2))):
        name = data.draw(st.sampled_from(documents))
        try:
            value = copy.deepcopy(json.loads(files[name]))
        except (ValueError, RecursionError):
            continue
        place = data.draw(st.sampled_from([*_places(value)]))
        evil = data.draw(st.sampled_from(EVIL_VALUES))
        if not place:
            text = data.draw(
                st.sampled_from((b"[" * 50_000, b'{"a":' * 900 + b"1" + b"}" * 900, b"NaN"))
            )
            files[name] = text
            continue
        inner = value
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = evil
        files[name] = json.dumps(value).encode()
    assert probed(tar(files.items())) <= ORIGINALS[kind]
