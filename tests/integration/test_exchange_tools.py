"""Every installed skopeo and buildx in front of the exchange, over stores in memory."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from image_tools.errors import CopyFailed, DigestMismatch, NotFound, RateLimited, Unavailable
from image_tools.exchange.sessions import ToolSession
from image_tools.logins.auth_file import Credentials, auth_document
from image_tools.machine import run as process
from image_tools.machine.cancel import Cancel
from image_tools.machine.workspace import Workspace
from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Index, Manifest, RawManifest, index_bytes, parse
from image_tools.tools.buildx import create_argv, descriptor_file
from image_tools.tools.environment import child_environment, prepare_folders
from image_tools.tools.skopeo import (
    OPEN_POLICY,
    CopyRequest,
    SkopeoSetting,
    copy_argv,
    index_only_argv,
    write_index_folder,
)
from tests.helpers import tools
from tests.helpers.content import Image
from tests.helpers.exchange_lab import ExchangeLab, running_lab
from tests.helpers.images import KINDS, shared_base
from tests.helpers.memory_store import Call, MemoryStore

SECONDS = 60.0
NOBODY = "65534"
MIB = 1 << 20
ROOT = Path(__file__).resolve().parents[2]
FROM, TO = "team/app", "mirror/team/app"


def each(name: str) -> tuple[object, ...]:
    try:
        found = tools.versions(name)
    except tools.ToolNotFound:
        return (pytest.param(None, id="missing"),)  # the fixtures of the tier fail on it
    # The oldest has most to work around, the newest is most alike to what comes next.
    ends = (found[0], found[-1])
    return tuple(
        pytest.param(
            tool, id=f"{name}-{tool.version}", marks=() if tool in ends else pytest.mark.soak
        )
        for tool in found
    )


every_skopeo = pytest.mark.parametrize("tool", each("skopeo"))
every_buildx = pytest.mark.parametrize("tool", each("buildx"))


@dataclass(slots=True)
class Bench:
    """A lab with the private folder and the login that a run gives to its tools."""

    lab: ExchangeLab
    folder: Path
    cancel: Cancel | None = None

    def equip(self, skopeo: Path) -> SkopeoSetting:
        """Give the setting of a skopeo."""
        return SkopeoSetting(
            skopeo=str(skopeo),
            policy=self.folder / "policy.json",
            authfile=self.folder / "auth.json",
            tmpdir=self.folder / "tmp",
            registries_conf=self.folder / "registries.conf",
            registries_d=self.folder / "registries.d",
        )

    def run(self, argv: tuple[str, ...], cancel: Cancel | None = None) -> process.CompletedRun:
        """Run a tool in the environment a run gives it."""
        environment = child_environment(self.folder, os.environ)
        done = process.run(argv, environment=environment, timeout=SECONDS, cancel=cancel)
        assert not done.timed_out, done.stderr
        return done

    def copy(
        self,
        tool: tools.Tool,
        sessions: tuple[ToolSession, ToolSession],
        endings: tuple[str, str],
        **more: Any,
    ) -> process.CompletedRun:
        """Run `skopeo copy` between two sessions."""
        named = map(self.lab.exchange.reference, sessions, endings)
        request = CopyRequest(
            setting=self.equip(tool.path), source=next(named), destination=next(named), **more
        )
        return self.run(copy_argv(request), self.cancel)

    def sessions(self, source: str = FROM, target: str = TO) -> tuple[ToolSession, ToolSession]:
        """Open a session at either end."""
        return self.lab.open_source(source), self.lab.open_destination(target)

    def bring(
        self, tool: tools.Tool, digest: Digest, *names: str
    ) -> tuple[ToolSession, ToolSession]:
        """Copy a manifest by digest, which must end well; give the closed sessions."""
        sessions = self.sessions(*names)
        done = self.copy(tool, sessions, (f"@{digest}", f"@{digest}"))
        assert done.returncode == 0, done.stderr
        self.lab.close(*sessions)
        return sessions

    def compose(
        self, tool: tools.Tool, session: ToolSession, index: Index, tag: str = ":v1"
    ) -> process.CompletedRun:
        """Run buildx over the descriptors of an index."""
        files = []
        for number, entry in enumerate(index.entries):
            files.append(self.folder / f"{number}.json")
            files[-1].write_bytes(descriptor_file(entry))
        name = self.lab.exchange.reference(session, tag)
        return self.run(create_argv(str(tool.path), name, files))


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Give a lab and the workspace of a run, at the place where a run has it."""
    with running_lab() as lab, Workspace.create({}) as workspace:
        prepare_folders(workspace.path)
        login = auth_document({lab.exchange.address: Credentials(*lab.exchange.login)})
        for name in ("auth.json", "docker/config.json"):
            workspace.write_private(name, login)
        workspace.write_private("policy.json", OPEN_POLICY)
        workspace.write_private("registries.conf", b"")
        (workspace.path / "registries.d").mkdir()
        yield Bench(lab, workspace.path)
    assert lab.ledger.flights == ()
    assert lab.destination.open_uploads == []


def lay(store: MemoryStore, repository: str, image: Image, *, manifests: bool = True) -> None:
    """Put a whole image into a store, under the tag `v1`."""
    for blob in image.blobs:
        store.add_blob(repository, blob.data)
    for made in image.manifests if manifests else ():
        raw = RawManifest(made.media_type, made.data)
        tag = "v1" if made is image.top else None
        store.add_manifest(repository, raw, tag)


def first_of(image: Image) -> tuple[Digest, Manifest]:
    """Give the first platform of an image."""
    made = image.find(image.leaves[0].digest)
    raw = RawManifest(made.media_type, made.data)
    manifest = parse(raw)
    assert isinstance(manifest, Manifest)
    return raw.digest, manifest


def index_of(image: Image) -> Index:
    index = parse(RawManifest(image.top.media_type, image.top.data))
    assert isinstance(index, Index)
    return index


def sizes(manifest: Manifest) -> int:
    return sum(blob.size for blob in manifest.blobs)


# Copies.


@every_skopeo
@pytest.mark.parametrize("kind", ["oci_index", "docker_list", "plain_layers", "empty_layers"])
def test_skopeo_streams_what_is_absent_once(bench, tool, kind):
    image = KINDS[kind](1)
    lay(bench.lab.source, FROM, image)
    digest, manifest = first_of(image)

    _, written = bench.bring(tool, digest)

    held, blobs = bench.lab.destination.repositories[TO], {b.digest for b in manifest.blobs}
    assert ([*held.manifests], {*held.blobs}, held.tags) == ([digest], blobs, {})
    assert [raw.digest for raw in written.pushed] == [digest]
    assert bench.lab.source.count("manifest") == 1
    assert bench.lab.destination.count("commit") == len(blobs)
    if kind != "empty_layers":  # whose one layer skopeo fetches twice, at once
        written_bytes = sizes(manifest) + len(held.manifests[digest].content)
        assert bench.lab.source.count("blob") == len(blobs)
        assert bench.lab.traffic.bytes_read == sizes(manifest)
        assert bench.lab.traffic.bytes_written == written_bytes


@every_skopeo
def test_skopeo_sends_nothing_that_is_there(bench, tool):
    image = KINDS["oci_index"](1)
    lay(bench.lab.source, FROM, image)
    lay(bench.lab.destination, TO, image, manifests=False)
    digest, manifest = first_of(image)

    bench.bring(tool, digest)

    assert [*bench.lab.destination.repositories[TO].manifests] == [digest]
    assert bench.lab.destination.count("upload") == 0
    assert bench.lab.traffic.bytes_read == manifest.config.size


@every_skopeo
def test_skopeo_after_placing_asks_the_stores_for_the_manifest_alone(bench, tool):
    image = KINDS["oci_index"](1)
    lay(bench.lab.source, FROM, image)
    lay(bench.lab.destination, TO, image, manifests=False)
    digest, manifest = first_of(image)
    raw = bench.lab.source.repositories[FROM].manifests[digest]
    config = bench.lab.source.repositories[FROM].blobs[manifest.config.digest]
    for blob in manifest.blobs:
        bench.lab.ledger.note(TO, blob.digest, blob.size)
    source = bench.lab.open_source(
        FROM,
        manifests={digest: raw},
        blobs={manifest.config.digest: config},
        sizes={blob.digest: blob.size for blob in manifest.blobs},
    )
    destination = bench.lab.open_destination(TO)

    done = bench.copy(tool, (source, destination), (f"@{digest}", f"@{digest}"))

    assert done.returncode == 0, done.stderr
    assert bench.lab.source.calls == []
    assert [call.operation for call in bench.lab.destination.calls] in (
        ["put_manifest"],
        ["manifest", "put_manifest"],
    )


@every_skopeo
@pytest.mark.parametrize("mounts", [True, False], ids=["mounts", "no-mounts"])
def test_skopeos_at_once_bring_a_shared_blob_once(bench, tool, mounts):
    images = [shared_base(seed) for seed in range(4)]
    bench.lab.destination.mounts = mounts
    for number, image in enumerate(images):
        lay(bench.lab.source, f"team/app{number}", image)
    found = [first_of(image) for image in images]

    with ThreadPoolExecutor(4) as pool:
        running = [
            pool.submit(bench.bring, tool, digest, f"team/app{number}", f"mirror/app{number}")
            for number, (digest, _) in enumerate(found)
        ]
        for done in running:
            done.result(SECONDS)

    for number, (digest, manifest) in enumerate(found):
        held = bench.lab.destination.repositories[f"mirror/app{number}"]
        assert [*held.manifests] == [digest]
        assert {*held.blobs} == {blob.digest for blob in manifest.blobs}
    if mounts:
        unique = {blob.digest for _, manifest in found for blob in manifest.blobs}
        assert bench.lab.source.count("blob") == len(unique)
        assert bench.lab.destination.count("commit") == len(unique)


@every_skopeo
@pytest.mark.parametrize("kind", ["schema1_signed", "schema1_unsigned"])
def test_skopeo_conversion_by_tag_leaves_a_digest_and_no_tag(bench, tool, kind):
    lay(bench.lab.source, FROM, KINDS[kind](1))
    source = bench.lab.open_source(FROM)
    destination = bench.lab.open_destination(TO, tags_become_digests=True)

    done = bench.copy(tool, (source, destination), (":v1", ":v1"), convert=True)

    assert done.returncode == 0, done.stderr
    held = bench.lab.destination.repositories[TO]
    raw = destination.pushed[-1]
    manifest = parse(raw)
    assert isinstance(manifest, Manifest)
    assert (raw.media_type, held.tags) == (media.DOCKER_MANIFEST, {})
    assert held.manifests == {raw.digest: raw}
    assert {*held.blobs} >= {blob.digest for blob in manifest.blobs}


@every_skopeo
@pytest.mark.parametrize("kind", ["odd_indent", "index_annotations", "duplicate_digests"])
@pytest.mark.parametrize("by_tag", [True, False], ids=["tag", "digest"])
def test_skopeo_index_only_keeps_every_byte(bench, tool, kind, by_tag):
    image = KINDS[kind](1)
    lay(bench.lab.destination, TO, image)
    raw = RawManifest(image.top.media_type, image.top.data)
    del bench.lab.destination.repositories[TO].manifests[raw.digest]
    write_index_folder(bench.folder / "index", raw)
    session = bench.lab.open_destination(TO, hides_tags=True)
    name = bench.lab.exchange.reference(session, ":v2" if by_tag else f"@{raw.digest}")

    done = bench.run(index_only_argv(bench.equip(tool.path), bench.folder / "index", name))

    assert done.returncode == 0, done.stderr
    assert session.pushed == [raw]
    assert bench.lab.destination.repositories[TO].manifests[raw.digest] == raw
    assert ("v2" in bench.lab.destination.repositories[TO].tags) == by_tag


# Lists.


@every_buildx
@pytest.mark.parametrize("kind", ["oci_index", "docker_list", "attestations", "windows"])
def test_buildx_writes_the_list_and_asks_for_little(bench, tool, kind):
    image = KINDS[kind](1)
    lay(bench.lab.destination, TO, image)
    index = index_of(image)
    wanted = index_bytes(index)
    session = bench.lab.open_destination(TO, hides_tags=True)

    done = bench.compose(tool, session, index)

    assert done.returncode == 0, done.stderr
    assert [raw.digest for raw in session.pushed] == [Digest.of(wanted)]
    assert bench.lab.destination.count("put_manifest") == 1
    assert bench.lab.destination.count("upload") == bench.lab.destination.count("mount") == 0
    assert bench.lab.asked_little(10 * len(index.entries))


@every_buildx
def test_buildx_with_children_from_memory_asks_the_store_for_nothing(bench, tool):
    image = KINDS["attestations"](1)
    lay(bench.lab.destination, TO, image)
    index = index_of(image)
    children = {
        e.digest: bench.lab.destination.repositories[TO].manifests[e.digest] for e in index.entries
    }
    parsed = [manifest for raw in children.values() if isinstance(manifest := parse(raw), Manifest)]
    known = {blob.digest: blob.size for manifest in parsed for blob in manifest.blobs}
    session = bench.lab.open_destination(TO, hides_tags=True, manifests=children, sizes=known)

    done = bench.compose(tool, session, index)

    assert done.returncode == 0, done.stderr
    assert bench.lab.destination.calls == [Call("put_manifest", TO, "v1")]


@every_buildx
def test_buildx_refused_by_the_check_writes_nothing(bench, tool):
    image = KINDS["oci_index"](1)
    lay(bench.lab.destination, TO, image)
    held = dict(bench.lab.destination.repositories[TO].tags)
    session = bench.lab.open_destination(TO, hides_tags=True, check=lambda raw: "not this")

    done = bench.compose(tool, session, index_of(image), ":v2")

    assert done.returncode != 0
    assert (session.refusal, session.cause, session.pushed) == ("not this", None, [])
    assert bench.lab.destination.repositories[TO].tags == held
    assert bench.lab.destination.count("put_manifest") == 0
    assert bench.lab.asked_little(40)


# Failures of a store: the tool ends at once, the session knows why.

ERRORS: dict[str, Callable[[], CopyFailed]] = {
    "limited": lambda: RateLimited("asks to slow down", retry_after=60),
    "unavailable": lambda: Unavailable("reset"),
    "not-found": lambda: NotFound("gone"),
}
PLACES = {
    "source-manifest": ("source", "manifest"),
    "source-blob": ("source", "blob"),
    "source-chunk": ("source", "chunk"),
    "destination-look": ("destination", "blob_size"),
    "destination-upload": ("destination", "upload"),
    "destination-bytes": ("destination", "receive"),
    "destination-commit": ("destination", "commit"),
    "destination-manifest": ("destination", "put_manifest"),
}


# A look that is answered with "unknown" is no failure: the blob is sent then. A body that breaks
# is asked for again by newer skopeos, after two seconds: once is enough to see.
FAILURES = tuple(
    pytest.param(*place, error, id=f"{where}-{name}")
    for where, place in PLACES.items()
    for name, error in ERRORS.items()
    if (where, name) != ("destination-look", "not-found")
    and (where, name == "unavailable") != ("source-chunk", False)
)


@every_skopeo
@pytest.mark.parametrize(("end", "operation", "error"), FAILURES)
def test_skopeo_ends_at_once_when_a_store_fails(bench, tool, end, operation, error):
    image = KINDS["oci_index"](1)
    lay(bench.lab.source, FROM, image)
    digest, _ = first_of(image)
    getattr(bench.lab, end).fail(operation, error, times=1000)
    sessions = bench.sessions()

    done = bench.copy(tool, sessions, (f"@{digest}", f"@{digest}"))
    bench.lab.close(*sessions)

    causes = dict(zip(("source", "destination"), sessions, strict=True))
    assert done.returncode != 0
    assert type(causes[end].cause) is type(error())
    assert bench.lab.asked_little(40)
    assert bench.lab.destination.repositories[TO].manifests == {}


@every_buildx
@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_buildx_ends_at_once_when_a_store_fails(bench, tool, error):
    image = KINDS["oci_index"](1)
    lay(bench.lab.destination, TO, image)
    bench.lab.destination.fail("put_manifest", error, times=1000)
    session = bench.lab.open_destination(TO, hides_tags=True)

    done = bench.compose(tool, session, index_of(image), ":v2")

    assert done.returncode != 0
    assert type(session.cause) is type(error())
    assert bench.lab.asked_little(40)


@every_skopeo
def test_skopeo_given_wrong_bytes_writes_no_manifest(bench, tool):
    image = KINDS["oci_index"](1)
    lay(bench.lab.source, FROM, image)
    digest, manifest = first_of(image)
    blobs = bench.lab.source.repositories[FROM].blobs
    layer = manifest.layers[0].digest
    blobs[layer] = bytes(len(blobs[layer]))
    sessions = bench.sessions()

    done = bench.copy(tool, sessions, (f"@{digest}", f"@{digest}"))
    bench.lab.close(*sessions)

    assert done.returncode != 0
    assert isinstance(sessions[0].cause, DigestMismatch)
    assert layer not in bench.lab.destination.repositories[TO].blobs
    assert bench.lab.destination.repositories[TO].manifests == {}


@every_skopeo
def test_skopeo_killed_in_an_upload_leaves_the_blob_to_the_next(bench, tool):
    image = KINDS["oci_index"](1)
    lay(bench.lab.source, FROM, image)
    digest, _ = first_of(image)
    gate = bench.lab.destination.hold("receive", "mirror/first")
    sessions = bench.sessions(FROM, "mirror/first")
    bench.cancel = Cancel()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(bench.copy, tool, sessions, (f"@{digest}", f"@{digest}"))
        bench.lab.await_(gate.reached.wait())
        claimed = len(sessions[1].awaited)
        bench.cancel.set()
        assert first.result(SECONDS).cancelled
        bench.cancel = None
        second = pool.submit(bench.bring, tool, digest, FROM, "mirror/second")
        bench.lab.close(*sessions)
        second.result(SECONDS)

    assert claimed > 0
    assert (sessions[1].awaited, sessions[1].uploads) == ({}, {})
    assert [*bench.lab.destination.repositories["mirror/second"].manifests] == [digest]
    assert not bench.lab.destination.repositories["mirror/first"].blobs


# Other users of the machine.


def as_nobody(*argv: str) -> subprocess.CompletedProcess[str]:
    words = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *argv]
    return subprocess.run(
        words, capture_output=True, text=True, timeout=SECONDS, check=False, cwd="/", env={}
    )


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to act as a second local user")
def test_other_user_gets_neither_in_nor_at_the_login(bench):
    bench.lab.source.add_blob(FROM, b"secret")
    session, written = bench.sessions()
    base = f"http://{bench.lab.exchange.address}/v2/"
    ask = ("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}")

    told = {
        path: as_nobody(*ask, *more, base + path).stdout
        for path, more in {
            "": (),
            f"{session.key}/{FROM}/blobs/{Digest.of(b'secret')}": (),
            f"{session.key}/{FROM}/tags/list": ("-u", "image-tools:guess"),
            f"{written.key}/{TO}/blobs/uploads/": ("-X", "POST"),
        }.items()
    }
    seen = [
        as_nobody("cat", str(bench.folder / name)) for name in ("auth.json", "docker/config.json")
    ]

    assert {*told.values()} == {"401"}
    assert [(done.returncode, done.stdout) for done in seen] == [(1, "")] * 2
    assert all("Permission denied" in done.stderr for done in seen)
    assert bench.lab.source.calls == bench.lab.destination.calls == []


def test_login_lies_in_private_files_and_in_no_command_line(bench, skopeo):
    tool = tools.versions("skopeo")[0]
    request = CopyRequest(setting=bench.equip(skopeo), source="x", destination="y")
    words = [*copy_argv(request), *child_environment(bench.folder, os.environ).values()]

    modes = [
        stat.S_IMODE((bench.folder / name).stat().st_mode)
        for name in (".", "auth.json", "docker", "docker/config.json")
    ]

    assert tool.path == skopeo
    assert modes == [0o700, 0o600, 0o700, 0o600]
    assert not [word for word in words if bench.lab.exchange.password in word]


# Large blobs.


@every_skopeo
def test_large_blob_passes_without_staying_in_memory(tool):
    size = 300 * MIB
    words = [sys.executable, "-m", "tests.helpers.exchange_flood", str(tool.path), str(size)]
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=SECONDS, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    cost = json.loads(done.stdout)

    assert (cost["returncode"], cost["stderr"]) == (0, "")
    assert cost["taken"] - size < MIB  # the config
    assert cost["read"] == cost["taken"]
    assert cost["ahead"] < 40 * MIB
    assert cost["growth"] < 40 * MIB
