"""Our command lines in every installed version of the tools, against a registry with a login."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from image_tools.errors import ConnectionRefused, NotFound, PlatformMissing, Unauthorized
from image_tools.logins.auth_file import Credentials, auth_document
from image_tools.machine import run as process
from image_tools.oci import media
from image_tools.oci.descriptor import Descriptor
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import Index, RawManifest, index_bytes, parse
from image_tools.oci.platform import Platform
from image_tools.tools import buildx as buildx_lines
from image_tools.tools.diagnose import diagnose
from image_tools.tools.environment import child_environment, prepare_folders
from image_tools.tools.skopeo import (
    OPEN_POLICY,
    CopyRequest,
    SkopeoSetting,
    copy_argv,
    index_only_argv,
    write_index_folder,
)
from image_tools.tools.versions import probe
from tests.helpers import client, tools
from tests.helpers.endpoint import LAB_LOGIN
from tests.helpers.images import KINDS
from tests.helpers.registry import Registry, free_port, htpasswd_registry
from tests.helpers.walk import pull_everything

SECONDS = 60.0


def each(name: str) -> tuple[object, ...]:
    try:
        found = tools.versions(name)
    except tools.ToolNotFound:
        return (pytest.param(None, id="missing"),)  # the fixtures of the tier fail on it
    return tuple(pytest.param(tool, id=f"{name}-{tool.version}") for tool in found)


@pytest.fixture(scope="module")
def locked(docker_registry: Path) -> Iterator[Registry]:
    """Give one registry that asks for `LAB_LOGIN`; each test has repositories of its own."""
    with htpasswd_registry() as running:
        yield running


@pytest.fixture
def workspace(locked: Registry, tmp_path: Path) -> Path:
    """Give a run's private folder, with the login of `locked` where both tools look."""
    prepare_folders(tmp_path)
    login = auth_document({locked.address: Credentials(LAB_LOGIN.username, LAB_LOGIN.password)})
    for name in ("auth.json", "docker/config.json"):
        (tmp_path / name).write_bytes(login)
    (tmp_path / "policy.json").write_bytes(OPEN_POLICY)
    (tmp_path / "registries.conf").write_bytes(b"")
    (tmp_path / "registries.d").mkdir()
    return tmp_path


def setting_of(tool: tools.Tool, workspace: Path) -> SkopeoSetting:
    return SkopeoSetting(
        skopeo=str(tool.path),
        policy=workspace / "policy.json",
        authfile=workspace / "auth.json",
        tmpdir=workspace / "tmp",
        registries_conf=workspace / "registries.conf",
        registries_d=workspace / "registries.d",
    )


def run(argv: tuple[str, ...], workspace: Path) -> process.CompletedRun:
    environment = child_environment(workspace, os.environ)
    return process.run(argv, environment=environment, timeout=SECONDS)


def compose(tool: tools.Tool, workspace: Path, tag: str, index: Index) -> process.CompletedRun:
    files = []
    for number, entry in enumerate(index.entries):
        files.append(workspace / f"{number}.json")
        files[-1].write_bytes(buildx_lines.descriptor_file(entry))
    return run(buildx_lines.create_argv(str(tool.path), tag, files), workspace)


def raw_of(image: object) -> RawManifest:
    top = image.top  # type: ignore[attr-defined]
    return RawManifest(top.media_type, top.data)


def repository_of(test: str, tool: tools.Tool, name: str = "") -> str:
    return "/".join(part for part in ("lab", test, tool.name + tool.version, name) if part)


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        pytest.param(name, *case.values, id=case.id)  # type: ignore[attr-defined]
        for name in ("skopeo", "buildx")
        for case in each(name)
    ],
)
def test_probe_installed_version_is_read(name, tool, tmp_path):
    prepare_folders(tmp_path)

    version = probe(name, tool.path, child_environment(tmp_path, os.environ))

    if tool.version == "unknown":
        assert version.major >= 0
    else:
        assert f"{version.major}.{version.minor}.{version.patch}" == tool.version


@pytest.mark.parametrize("tool", each("skopeo"))
@pytest.mark.parametrize(
    "kind", ["oci_index", "docker_list", "plain_layers", "docker_plain_layers"]
)
def test_copy_argv_by_digest_keeps_the_digest(tool, kind, locked, workspace):
    image = KINDS[kind](1)
    source, target = (repository_of(f"copy-{kind}", tool, end) for end in ("from", "to"))
    client.push(locked, source, "v1", image)

    for entry in image.leaves:
        where = Platform.from_json(entry.platform or {})
        request = CopyRequest(
            setting=setting_of(tool, workspace),
            source=f"{locked.address}/{source}@{entry.digest}",
            destination=f"{locked.address}/{target}@{entry.digest}",
            platform=where,
        )
        completed = run(copy_argv(request), workspace)
        assert completed.returncode == 0, completed.stderr

    for leaf in image.leaves:
        pulled = pull_everything(locked, target, leaf.digest)
        assert pulled.data == image.find(leaf.digest).data
    assert client.tags(locked, target) == []


@pytest.mark.parametrize("tool", each("skopeo"))
@pytest.mark.parametrize("kind", ["odd_indent", "index_annotations", "duplicate_digests"])
def test_index_only_argv_pushes_the_exact_bytes(tool, kind, locked, workspace):
    image, repository = KINDS[kind](1), repository_of(f"index-{kind}", tool)
    client.push(locked, repository, "source", image)
    write_index_folder(workspace / "index", raw_of(image))

    argv = index_only_argv(
        setting_of(tool, workspace), workspace / "index", f"{locked.address}/{repository}:v1"
    )
    completed = run(argv, workspace)

    assert completed.returncode == 0, completed.stderr
    found = client.manifest(locked, repository, "v1")
    assert found is not None
    assert found[:2] == (image.top.data, image.top.media_type)


def noted(entries: tuple[Descriptor, ...]) -> tuple[Descriptor, ...]:
    """Entries with everything an entry may say, in letters that JSON writers treat differently."""
    first, *rest = entries
    where = Platform("windows", "arm", "v7", "10.0.17763.1", ("win32k", "größer"))
    words = (("org.example.名", 'quote " slash / back \\ ümlaut 漢字 ✓ 🐳'), ("z", ""))
    return (replace(first, platform=where, annotations=tuple(sorted(words))), *rest)


CHANGES: dict[str, Callable[[tuple[Descriptor, ...]], tuple[Descriptor, ...]]] = {
    "as-it-is": lambda entries: entries,
    "one": lambda entries: entries[:1],
    "reversed": lambda entries: entries[::-1],
    "noted": noted,
    "platform-twice": lambda entries: tuple(
        replace(entry, platform=Platform("linux", "arm64", "v8")) for entry in entries
    ),
    "bare-variant": lambda entries: (
        replace(entries[0], platform=Platform("linux", "arm64", "8")),
        *entries[1:],
    ),
    "unknown": lambda entries: (
        replace(entries[0], platform=Platform("unknown", "unknown")),
        *entries[1:],
    ),
    "features-order": lambda entries: (
        replace(entries[0], platform=Platform("linux", "amd64", "", "", ("b", "a"))),
        *entries[1:],
    ),
    "aliases": lambda entries: (
        replace(entries[0], platform=Platform("macos", "x86_64", "v1")),
        *entries[1:],
    ),
}
EXPRESSIBLE = tuple(
    (kind, change)
    for kind in KINDS
    if isinstance(index := parse(raw_of(KINDS[kind](1))), Index)
    for change in CHANGES
    if index.entries and (change == "as-it-is" or kind == "oci_index")
)


def wanted_index(kind: str, change: str) -> Index:
    index = parse(raw_of(KINDS[kind](1)))
    assert isinstance(index, Index)
    entries = CHANGES[change](index.entries)
    composed = media.index_type_for(frozenset(entry.media_type for entry in entries))
    return replace(index, entries=entries, media_type=composed)


@pytest.mark.parametrize("tool", each("buildx"))
@pytest.mark.parametrize(
    ("kind", "change"),
    [
        pytest.param(kind, change, id=f"{kind}-{change}")
        for kind, change in EXPRESSIBLE
        if buildx_lines.can_express(wanted_index(kind, change)) is None
    ],
)
def test_create_argv_index_it_can_express_is_exactly_that(tool, kind, change, locked, workspace):
    index, repository = wanted_index(kind, change), repository_of(f"list-{kind}", tool, change)
    client.push(locked, repository, "source", KINDS[kind](1))

    completed = compose(tool, workspace, f"{locked.address}/{repository}:v1", index)

    assert completed.returncode == 0, completed.stderr
    found = client.manifest(locked, repository, "v1")
    assert found is not None
    data, media_type, _ = found
    assert media_type == index.media_type
    assert json.loads(data) == json.loads(index_bytes(index))


def test_can_express_population_is_sorted_into_both_sorts():
    accepted = {
        kind
        for kind, change in EXPRESSIBLE
        if change == "as-it-is" and buildx_lines.can_express(wanted_index(kind, change)) is None
    }

    assert accepted >= {"oci_index", "docker_list", "windows", "arm_variants", "attestations"}
    assert not accepted & {"duplicate_digests", "index_annotations", "nested_index", "no_platform"}


@pytest.mark.parametrize("tool", each("skopeo"))
@pytest.mark.parametrize(
    ("where", "kind"),
    [
        ("lab/absent:v1", NotFound),
        (f"lab/absent@{Digest.of(b'none')}", NotFound),
        ("lab/x509:denied", NotFound),
    ],
)
def test_diagnose_real_skopeo_failure_is_its_kind(tool, where, kind, locked, workspace):
    setting = setting_of(tool, workspace)
    request = CopyRequest(
        setting=setting,
        source=f"{locked.address}/{where}",
        destination=f"{locked.address}/lab/never:v1",
    )

    completed = run(copy_argv(request), workspace)
    error = diagnose(completed.stderr, f"users.example/{where}", returncode=completed.returncode)

    assert type(error) is kind
    assert error.message.startswith(f"users.example/{where}: ")
    assert locked.address not in error.message


@pytest.mark.parametrize("tool", each("skopeo"))
def test_diagnose_real_skopeo_refusals_are_their_kinds(tool, locked, workspace):
    image = KINDS["oci_index"](1)
    repository = repository_of("refused", tool)
    client.push(locked, repository, "v1", image)
    setting = setting_of(tool, workspace)
    request = CopyRequest(
        setting=setting,
        source=f"{locked.address}/{repository}:v1",
        destination=f"{locked.address}/{repository}:v2",
        platform=Platform("linux", "mips"),
    )
    dead = f"127.0.0.1:{free_port()}/lab/x:v1"

    completed = [
        run(copy_argv(request), workspace) for request in (request, replace(request, source=dead))
    ]
    # skopeo 1.9.3 looks into docker's login file when its own knows nobody.
    for name in ("auth.json", "docker/config.json"):
        (workspace / name).write_bytes(auth_document({}))
    completed.append(run(copy_argv(request), workspace))

    kinds = [type(diagnose(done.stderr, "users.example/a:b")) for done in completed]
    assert kinds == [PlatformMissing, ConnectionRefused, Unauthorized]


@pytest.mark.parametrize("tool", each("buildx"))
def test_diagnose_real_buildx_refusals_are_their_kinds(tool, locked, workspace):
    index = wanted_index("oci_index", "one")
    dead = f"127.0.0.1:{free_port()}"
    completed = [compose(tool, workspace, f"{dead}/lab/denied:v1", index)]
    (workspace / "docker/config.json").write_bytes(auth_document({}))
    tag = f"{locked.address}/{repository_of('refused', tool)}:v1"
    completed.append(compose(tool, workspace, tag, index))

    errors = [diagnose(done.stderr, "users.example/a:b", tool="buildx") for done in completed]

    assert [type(error) for error in errors] == [ConnectionRefused, Unauthorized]
    assert all("127.0.0.1" not in error.message for error in errors)
