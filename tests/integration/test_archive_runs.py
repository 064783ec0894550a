"""Runs over archives that meet with trouble, with each other, or with what is there already."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from image_tools.stores.archive.content import Form
from image_tools.stores.archive.opening import new_archive, read_archive
from tests.helpers import images
from tests.helpers.archives import FORMS, run, write_list
from tests.helpers.client import manifest, push, tags
from tests.helpers.content import Image
from tests.helpers.fault_types import ALWAYS, Fault, Kind, Stage
from tests.helpers.faults import FaultOptions, FaultRegistry
from tests.helpers.images import KINDS
from tests.helpers.registry import Registry
from tests.helpers.running import Ran
from tests.helpers.signatures import identities, public_key, refer, sign, tag_of
from tests.helpers.started import started
from tests.helpers.tools import newest
from tests.helpers.tools import run as run_tool
from tests.helpers.walk import pull_everything

NAMES = ("team/one", "team/two", "team/three")
ALL = ("--arch", "all", "--os", "all")


@dataclass(frozen=True)
class Lab:
    """A source that can fail, a destination, and an archive of one form in a folder."""

    source: FaultRegistry
    destination: Registry
    folder: Path
    archive: Path

    def load_source(self, name: str = "team/one", kind: str = "oci_index", seed: int = 1) -> Image:
        image = KINDS[kind](seed)
        self.source.load(name, "1.0", image)
        return image

    def save(self, *words: str | Path, names: tuple[str, ...] = NAMES[:1], **environ: str) -> Ran:
        listed = write_list(self.folder, self.source.address, *names)
        fixed = ("-f", listed, "-d", self.archive, *self.form)
        return run("save", self.folder, *fixed, *words, **environ)

    def load(self, *words: str | Path) -> Ran:
        fixed = ("-s", self.archive, "-d", self.destination.address)
        return run("load", self.folder, *fixed, *words)

    def fetched(self) -> Counter[str]:
        """Give how often each blob was asked for since the log was cleared."""
        seen = self.source.requests
        return Counter(str(s.reference) for s in seen if s.stage in (Stage.BLOB, Stage.CONFIG))

    @property
    def form(self) -> tuple[str, ...]:
        return ("--compress=dir",) if self.archive.name == FORMS["dir"] else ()

    def reference(self, name: str = "team/one") -> str:
        return f"{self.source.address}/{name}:1.0"


@pytest.fixture(params=["dir", "gzip"])
def lab(request: pytest.FixtureRequest, registry: Registry, tmp_path: Path) -> Iterator[Lab]:
    with FaultRegistry(FaultOptions(referrers=True)) as source:
        yield Lab(source, registry, tmp_path, tmp_path / FORMS[request.param])


@pytest.fixture
def folder_lab(registry: Registry, tmp_path: Path) -> Iterator[Lab]:
    with FaultRegistry(FaultOptions(referrers=True)) as source:
        yield Lab(source, registry, tmp_path, tmp_path / "images")


def _first(form: str, other: str) -> pytest.MarkDecorator:
    """Let `lab` be of one form, and of the other in the soak: both do alike."""
    forms = [form, pytest.param(other, marks=pytest.mark.soak)]
    return pytest.mark.parametrize("lab", forms, indirect=True)


in_a_folder, in_a_file = _first("dir", "gzip"), _first("gzip", "dir")


def _until(condition: object, what: str) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"waited too long: {what}"
        time.sleep(0.01)


def _arrived(lab: Lab) -> set[str]:
    """Give the blobs that a run which was ended has left."""
    form = Form.FOLDER if lab.form else Form.GZIP
    archive = new_archive(lab.archive, form)
    try:
        return {str(digest) for digest, _ in archive.content.digests()}
    finally:
        archive.close()


def _has_something(lab: Lab) -> bool:
    journal = lab.archive.with_name(f"{lab.archive.name}.partial.journal")
    if journal.exists():
        return journal.read_text().count(" blob ") > 2
    return len([*lab.archive.glob("blobs/sha256/*")]) > 2


@pytest.mark.parametrize(
    ("lab", "number"),
    [
        pytest.param("gzip", signal.SIGKILL, id="gzip-KILL"),
        pytest.param("dir", signal.SIGTERM, id="dir-TERM"),
        pytest.param("dir", signal.SIGKILL, id="dir-KILL", marks=pytest.mark.soak),
        pytest.param("gzip", signal.SIGTERM, id="gzip-TERM", marks=pytest.mark.soak),
    ],
    indirect=["lab"],
)
def test_save_that_was_ended_goes_on_and_fetches_nothing_twice(
    lab: Lab, number: signal.Signals
) -> None:
    for seed, name in enumerate(NAMES):
        lab.load_source(name, "docker_list", seed)
    write_list(lab.folder, lab.source.address, *NAMES)
    lab.source.add(Fault(Stage.BLOB, Kind.HANG, ALWAYS, after=6))
    words = ("-f", "list.txt", "-d", str(lab.archive), *lab.form)
    with started(lab.folder, "save", *words) as process:
        _until(lambda: lab.source.count(Stage.BLOB) > 6 and _has_something(lab), "a blob arrives")
        os.kill(process.pid, number)
        process.wait(timeout=20)
    lab.source.release()
    lab.source.clear_faults()
    assert lab.load().code in (1, 2)
    arrived = _arrived(lab)
    assert arrived
    lab.source.clear_log()
    assert set(lab.save(names=NAMES).statuses) <= {"copied", "unchanged"}
    assert set(lab.fetched().values()) == {1}
    assert arrived & set(lab.fetched()) == set()
    assert lab.load().statuses == ["copied"] * 3
    assert [path.name for path in lab.folder.glob("images*")] == [lab.archive.name]


@in_a_file
def test_save_with_a_failed_image_takes_its_failed_list(lab: Lab) -> None:
    for seed, name in enumerate(NAMES):
        lab.load_source(name, seed=seed)
    lab.source.add(Fault(Stage.CHILD, 403, ALWAYS, "team/two"))
    first = lab.save(names=NAMES)
    failed = lab.folder / "save-failed.txt"
    lines = [line for line in failed.read_text().splitlines() if line[0] != "#"]
    assert (first.code, first.statuses) == (1, ["copied", "failed", "copied"])
    assert lines == [lab.reference("team/two")]
    lab.source.clear_faults()
    second = run("save", lab.folder, "-f", failed, "-d", lab.archive)
    assert (second.code, second.statuses, failed.exists()) == (0, ["copied"], False)
    assert lab.load().statuses == ["copied"] * 3


@in_a_file
def test_save_of_nothing_that_is_there_leaves_nothing(lab: Lab) -> None:
    ran = lab.save()
    assert (ran.code, ran.only()["kind"]) == (1, "not-found")
    assert [*lab.folder.glob("images*")] == []


def test_sync_adds_what_is_new_and_leaves_the_rest(lab: Lab) -> None:
    lab.load_source("team/one", seed=1)
    lab.save()
    lab.load_source("team/two", seed=2)
    lab.source.clear_log()
    listed = write_list(lab.folder, lab.source.address, *NAMES[:2])
    ran = run("sync", lab.folder, "-f", listed, "-d", lab.archive)
    assert (ran.code, ran.statuses) == (0, ["unchanged", "copied"])
    one = [(s.method, s.stage) for s in lab.source.requests if s.repository == "team/one"]
    assert one == [("HEAD", Stage.HEAD_MANIFEST)]
    assert lab.load().statuses == ["copied"] * 2


def test_sync_without_an_archive_is_refused(lab: Lab) -> None:
    listed = write_list(lab.folder, lab.source.address, "team/one")
    ran = run("sync", lab.folder, "-f", listed, "-d", lab.archive)
    assert (ran.code, ran.stdout) == (2, "")
    assert "does not exist" in ran.stderr


@in_a_file
def test_save_of_more_platforms_adds_them_to_the_image(lab: Lab) -> None:
    image = lab.load_source()
    assert lab.save("--arch", "amd64").only()["platforms"] == ["linux/amd64"]
    lab.source.clear_log()
    assert lab.save("--arch", "arm64").statuses == ["copied"]
    assert len(lab.fetched()) == len(pull_everything(lab.source, "team/one", "1.0").blobs) // 4
    loaded = lab.load().only()
    found = pull_everything(lab.destination.endpoint, "team/one", "1.0")
    assert [entry.digest for entry in found.entries] == [e.digest for e in image.leaves[:2]]
    assert loaded["platforms"] == ["linux/amd64", "linux/arm64"]


@in_a_file
def test_save_of_a_moved_tag_brings_the_new_image(lab: Lab) -> None:
    lab.load_source(seed=1)
    lab.save(*ALL)
    image = lab.load_source(seed=2)
    assert lab.save(*ALL, "--overwrite").only()["digest"] == image.top.digest
    assert lab.load().only()["digest"] == image.top.digest


@pytest.mark.parametrize(
    "way", [(), ("--no-ahead",), ("--direct",)], ids=["ahead", "not", "direct"]
)
@in_a_file
def test_save_and_load_every_way(lab: Lab, way: tuple[str, ...]) -> None:
    image = lab.load_source()
    assert lab.save(*ALL, *way, "--tls-verify=false").statuses == ["copied"]
    assert lab.load(*(word for word in way if word != "--direct")).statuses == ["copied"]
    assert pull_everything(lab.destination.endpoint, "team/one", "1.0").digest == image.top.digest


@in_a_file
def test_signatures_come_into_the_archive_and_out_of_it(lab: Lab) -> None:
    image = lab.load_source()
    digest = image.top.digest
    signature = sign(lab.source, "team/one", digest, 1)
    about = refer(lab.source, "team/one", digest)
    again = refer(lab.source, "team/one", about, text="the signature is signed")
    saved = lab.save(*ALL).only()
    assert (saved["status"], saved["warnings"]) == ("copied", [])
    loaded = lab.load()
    assert (loaded.statuses, loaded.only()["warnings"]) == (["copied"], [])
    there = lab.destination.endpoint
    assert tags(there, "team/one") == sorted(
        ["1.0", tag_of(digest), tag_of(digest, ""), tag_of(about, "")]
    )
    assert identities(there, "team/one", digest, public_key(1)) == ["app"]
    for subject, referrer in ((digest, about), (about, again)):
        found = manifest(there, "team/one", tag_of(subject, ""))
        assert found is not None
        assert [entry["digest"] for entry in json.loads(found[0])["manifests"]] == [referrer]
    assert signature in {entry["digest"] for entry in _entries(lab)}


def _entries(lab: Lab) -> list[dict[str, str]]:
    archive = read_archive(lab.archive)
    found: list[dict[str, str]] = json.loads(archive.content.index())["manifests"]
    archive.close()
    return found


def test_damaged_blob_is_named_and_never_loaded(folder_lab: Lab) -> None:
    lab = folder_lab
    lab.load_source("team/one", seed=1)
    lab.load_source("team/two", seed=2)
    lab.save(names=NAMES[:2])
    child = pull_everything(lab.source, "team/one", "1.0").entries[0]
    layer = json.loads(manifest(lab.source, "team/one", child.digest)[0])["layers"][0]["digest"]  # type: ignore[index]
    path = lab.archive / "blobs/sha256" / layer.partition(":")[2]
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    ran = lab.load()
    assert (ran.code, ran.statuses) == (1, ["failed", "copied"])
    assert ran.outcomes[0]["kind"] == "archive-damaged"
    assert layer in ran.outcomes[0]["reason"]
    assert layer not in lab.destination.stored_blobs()
    listed = lab.folder / "list.txt"
    checked = run("save-validate", lab.folder, "-f", listed, "-d", lab.archive, "--depth=content")
    assert "run save --repair with the same list" in checked.outcomes[0]["advice"]
    assert checked.statuses == ["failed", "passed"]
    assert layer in checked.outcomes[0]["reason"]
    again = lab.save("--replace", "--yes", names=NAMES[:2])
    assert again.statuses == ["copied", "copied"], again.stdout
    assert lab.load("-f", lab.folder / "load-failed.txt").statuses == ["copied"]


def test_save_replacing_a_folder_keeps_what_it_needs_and_drops_the_rest(folder_lab: Lab) -> None:
    lab = folder_lab
    lab.load_source("team/one", seed=1)
    lab.load_source("team/two", seed=2)
    lab.save(names=NAMES[:2])
    lab.source.clear_log()
    assert lab.save("--replace", "-y", names=NAMES[1:2]).statuses == ["copied"]
    assert lab.fetched() == {}
    assert lab.load().only()["source"] == lab.reference("team/two")
    wanted = pull_everything(lab.destination.endpoint, "team/two", "1.0")
    found = {f"sha256:{path.name}" for path in lab.archive.glob("blobs/sha256/*")}
    assert found == {*wanted.blobs, *wanted.manifests}


@in_a_folder
def test_load_of_a_list_takes_only_what_it_names(lab: Lab) -> None:
    for seed, name in enumerate(NAMES):
        lab.load_source(name, seed=seed)
    lab.save(names=NAMES)
    listed = lab.folder / "some.txt"
    listed.write_text(
        f"{lab.reference('team/two')}\n{lab.source.address}/team/three:1.0 x.example/new/name 2\n"
        f"{lab.reference('team/four')}\n"
    )
    ran = lab.load("-f", listed)
    assert ran.statuses == ["copied", "copied", "failed"]
    assert f"image [{lab.reference('team/four')}] not exists in archive" in ran.stdout
    assert tags(lab.destination.endpoint, "new/name") == ["2"]
    assert lab.load("-f", lab.folder / "load-failed.txt", "--project", "p").statuses == ["failed"]
    assert lab.load("--project", "p").statuses == ["copied"] * 3
    assert tags(lab.destination.endpoint, "p/one") == ["1.0"]


@pytest.mark.parametrize("wait", [False, True])
@in_a_file
def test_second_run_on_one_archive_waits_or_is_refused(lab: Lab, wait: bool) -> None:
    lab.load_source()
    lab.save()
    lab.load_source("team/two", seed=2)
    descriptor = os.open(lab.archive, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    words = ["--wait-lock=300ms"] if wait else []
    ran = lab.save(*words, names=NAMES[:2])
    os.close(descriptor)
    assert (ran.code, ran.stdout) == (4, "")
    assert "--wait-lock" in ran.stderr
    assert lab.save("--wait-lock", names=NAMES[:2]).statuses == ["unchanged", "copied"]


@in_a_folder
def test_save_dry_run_writes_nothing(lab: Lab) -> None:
    lab.load_source()
    plan = lab.save("--dry-run").report
    assert [row["action"] for row in plan["rows"]] == ["copy"]
    assert plan["bytes_to_move"] > 0
    assert [*lab.folder.glob("images*")] == []
    lab.save()
    again = lab.save("--dry-run").report
    assert [row["action"] for row in again["rows"]] == ["unchanged"]
    loading = lab.load("--dry-run").report
    assert ([row["action"] for row in loading["rows"]], loading["command"]) == (["copy"], "load")


@in_a_folder
def test_load_validate_says_what_differs(lab: Lab) -> None:
    lab.load_source()
    lab.save()
    words = ("-s", lab.archive, "-d", lab.destination.address, "-compress=dir")
    absent = run("load-validate", lab.folder, *words)
    assert absent.code == 1
    assert "destination manifest does not exists" in absent.only()["reason"]
    assert lab.reference() in (lab.folder / "load-validate-failed.txt").read_text()
    push(lab.destination.endpoint, "team/one", "1.0", images.oci_index(5))
    other = run("load-validate", lab.folder, *words)
    assert (other.code, other.only()["kind"]) == (1, "different")
    assert "srcSpec" in other.stderr
    assert lab.load("--overwrite").statuses == ["copied"]
    assert run("load-validate", lab.folder, *words).statuses == ["passed"]


@pytest.mark.parametrize("name", ["oci_index", "oci_manifest"])
def test_archive_is_read_by_skopeo_under_the_image_name(lab: Lab, name: str) -> None:
    image = lab.load_source(kind=name)
    saved = lab.save(*ALL).only()
    transport = "oci" if lab.archive.is_dir() else "oci-archive"
    place = f"{transport}:{lab.archive}:{lab.reference()}"
    raw = run_tool(newest("skopeo"), "inspect", "--raw", place).stdout
    entry = next(e for e in _entries(lab) if e["digest"] == saved["digest"])
    assert len(raw) == entry["size"]
    if name == "oci_index":
        assert raw.encode() == image.top.data


def test_load_of_what_skopeo_has_written(folder_lab: Lab) -> None:
    lab = folder_lab
    image = lab.load_source()
    source = f"docker://{lab.reference()}"
    there = f"oci:{lab.archive}:docker.io/team/one:1.0"
    flags = ("copy", "--all", "--src-tls-verify=false", "--insecure-policy")
    run_tool(newest("skopeo"), *flags, source, there)
    assert lab.load().only()["digest"] == image.top.digest


@pytest.fixture
def parts_lab(registry: Registry, tmp_path: Path) -> Iterator[Lab]:
    with FaultRegistry(FaultOptions(referrers=True)) as source:
        lab = Lab(source, registry, tmp_path, tmp_path / "images.tar.gz")
        for seed, name in enumerate(NAMES):
            source.load(name, "1.0", images.shared_base(seed, seed, (700_000, 600_000)))
        ran = lab.save("--part-size", "1M", names=NAMES)
        assert ran.statuses == ["copied"] * 3, ran.stderr
        yield lab


def _volumes(lab: Lab) -> list[Path]:
    return sorted(lab.folder.glob("images.tar.gz.part*"), key=lambda path: len(path.name))


def test_archive_in_volumes_is_loaded_by_any_of_its_names(parts_lab: Lab) -> None:
    lab = parts_lab
    found = _volumes(lab)
    assert len(found) > 6
    assert max(path.stat().st_size for path in found) <= 1 << 20
    assert lab.save("--part", names=NAMES).statuses == ["unchanged"] * 3
    assert lab.save(names=NAMES).statuses == ["unchanged"] * 3
    assert _volumes(lab) == found
    assert lab.load().statuses == ["copied"] * 3
    words = ("-s", found[1], "-d", lab.destination.address, "--depth=content")
    assert run("load-validate", lab.folder, *words).statuses == ["passed"] * 3
    listed = write_list(lab.folder, lab.source.address, *NAMES)
    words = ("-f", listed, "-d", lab.archive, "--depth=content")
    assert run("save-validate", lab.folder, *words).statuses == ["passed"] * 3


def test_lost_volume_is_named_and_only_what_was_in_it_comes_again(parts_lab: Lab) -> None:
    lab = parts_lab
    lost = _volumes(lab)[2]
    archive = read_archive(lab.archive)
    everything = {str(digest): size for digest, size in archive.content.digests()}
    archive.close()
    lost.unlink()
    for ran in (lab.load(), lab.save(names=NAMES)):
        assert (ran.code, ran.stdout) == (1, "")
        assert lost.name in ran.stderr
        assert "save --repair" in ran.stderr
    lab.source.clear_log()
    assert "copied" in lab.save("--repair", names=NAMES).statuses
    fetched = lab.fetched()
    assert 0 < sum(everything[digest] for digest in fetched) <= 3 << 20
    assert set(fetched.values()) == {1}
    assert lab.load().statuses == ["copied"] * 3


def test_lost_blob_of_a_folder_comes_again(folder_lab: Lab) -> None:
    lab = folder_lab
    lab.load_source()
    lab.save()
    child = pull_everything(lab.source, "team/one", "1.0").entries[0]
    layers = json.loads(manifest(lab.source, "team/one", child.digest)[0])["layers"]  # type: ignore[index]
    gone, damaged = (layer["digest"] for layer in layers)
    (lab.archive / "blobs/sha256" / gone.partition(":")[2]).unlink()
    path = lab.archive / "blobs/sha256" / damaged.partition(":")[2]
    path.write_bytes(bytes(path.stat().st_size))
    lab.source.clear_log()
    assert lab.save().statuses == ["copied"]
    assert lab.fetched() == {gone: 1}
    assert lab.save("--repair").statuses == ["copied"]
    assert lab.fetched() == {gone: 1, damaged: 1}
    assert lab.load().statuses == ["copied"]


def test_full_disk_ends_the_run_and_what_has_arrived_stays(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, name in enumerate(NAMES):
        lab.load_source(name, seed=seed)
    synced, left = os.fdatasync, [14]

    def full(descriptor: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        synced(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", full)
        ran = lab.save(names=NAMES)
    assert (ran.code, ran.stdout) == (1, "")
    assert "MiB are free" in ran.stderr
    assert "make room" in ran.stderr
    lines = (lab.folder / "save-failed.txt").read_text().splitlines()
    # How far it came, and with which image first, is up to the threads.
    failed = [line for line in lines if line[0] != "#"]
    assert failed
    assert failed == [line for line in map(lab.reference, NAMES) if line in failed]
    arrived = _arrived(lab)
    assert arrived
    lab.source.clear_log()
    again = lab.save(names=NAMES)
    assert again.code == 0
    assert set(again.statuses) <= {"copied", "unchanged"}
    assert arrived & set(lab.fetched()) == set()


@contextmanager
def _most_bytes(*folders: Path) -> Iterator[list[int]]:
    """Give the most that files below `folders` took while the context lasts."""
    most, ended = [0], threading.Event()

    def taken() -> int:
        total = 0
        # Not rglob: that fails over a folder which goes away meanwhile.
        for place, _, names in (found for folder in folders for found in os.walk(folder)):
            for name in names:
                with suppress(OSError):
                    total += Path(place, name).lstat().st_size
        return total

    def watch() -> None:
        while not ended.wait(0.005):
            most[0] = max(most[0], taken())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        ended.set()
        thread.join()
        most[0] = max(most[0], taken())


def test_save_and_load_take_no_more_disk_than_a_blob_per_worker(
    lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    largest = 400_000
    for seed, name in enumerate(NAMES):
        lab.source.load(name, "1.0", images.shared_base(seed, sizes=(largest, 100_000)))
    temporary = tmp_path_factory.mktemp("tmp")
    with _most_bytes(lab.folder, temporary) as saving:
        saved = lab.save("-j", "2", names=NAMES, TMPDIR=str(temporary))
    archive = sum(path.stat().st_size for path in lab.folder.rglob("*") if path.is_file())
    with _most_bytes(lab.folder, temporary) as loading:
        fixed = ("-s", lab.archive, "-d", lab.destination.address, "-j", "2")
        loaded = run("load", lab.folder, *fixed, TMPDIR=str(temporary))
    assert saved.statuses == loaded.statuses == ["copied"] * 3
    assert archive > 2 * largest
    assert saving[0] <= archive + 2 * largest
    assert loading[0] <= archive + 100_000
