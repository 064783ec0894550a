"""What skopeo, crane and oras write is loaded, and what we write is read by them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from image_tools.oci.digest import Digest
from tests.helpers import images
from tests.helpers.archives import FORMS, write_list
from tests.helpers.archives import run as command
from tests.helpers.client import Client, fetch_manifest, push
from tests.helpers.foreign import PACKED, hex_of, predecessor, write
from tests.helpers.registry import Registry, plain_registry
from tests.helpers.running import Ran, image_tools
from tests.helpers.tools import newest, oldest, run
from tests.helpers.walk import pull_everything

INDEX, SINGLE = images.oci_index(1), images.docker_schema2(2)
ACCEPT = {"default": [{"type": "insecureAcceptAnything"}]}


@dataclass(frozen=True)
class Lab:
    """A registry with an index `team/app:1.0` and a single image `team/one:1.0`, and another."""

    source: Registry
    destination: Registry
    folder: Path
    environment: Mapping[str, str]

    @property
    def app(self) -> str:
        return f"{self.source.address}/team/app:1.0"

    @property
    def one(self) -> str:
        return f"{self.source.address}/team/one:1.0"

    def skopeo(self, tool: Path, *words: str) -> None:
        policy = self.folder / "policy.json"
        policy.write_text(json.dumps(ACCEPT))
        run(tool, "--policy", policy, "copy", "--src-tls-verify=false", *words)

    def load(self, archive: Path, into: str, *words: str) -> Ran:
        flags = ["-s", archive, "-d", f"{self.destination.address}/{into}", *words]
        return command("load", self.folder, *flags, **self.environment)


@pytest.fixture(scope="module")
def lab(
    tmp_path_factory: pytest.TempPathFactory,
    docker_registry: Path,
    module_environment: Mapping[str, str],
) -> Iterator[Lab]:
    with plain_registry() as source, plain_registry() as destination:
        push(source.endpoint, "team/app", "1.0", INDEX)
        push(source.endpoint, "team/one", "1.0", SINGLE)
        folder = tmp_path_factory.mktemp("lab")
        yield Lab(source, destination, folder, dict(module_environment))


def _oci(lab: Lab, tool: Path, path: Path) -> tuple[Path, str]:
    lab.skopeo(tool, "--all", f"docker://{lab.app}", f"oci:{path}/some:1.0")
    return path / "some", "library/some"


def _without_tag(lab: Lab, tool: Path, path: Path) -> tuple[Path, str]:
    name = "oci-archive:" + f"{path}/some.tar:quay.io/team/bare"
    lab.skopeo(tool, "--all", f"docker://{lab.app}", name)
    return path / "some.tar", "team/bare"


def _oci_archive(lab: Lab, tool: Path, path: Path) -> tuple[Path, str]:
    name = "oci-archive:" + f"{path}/some.tar:docker.io/team/app:1.0"
    lab.skopeo(tool, "--all", f"docker://{lab.app}", name)
    return path / "some.tar", "team/app"


def _crane(lab: Lab, tool: Path, path: Path) -> tuple[Path, str]:
    run(tool, "pull", "--insecure", "--format=oci", lab.app, path / "some")
    return path / "some", "library/some"


def _oras(lab: Lab, tool: Path, path: Path) -> tuple[Path, str]:
    run(tool, "copy", "--from-plain-http", "--to-oci-layout", lab.app, f"{path}/some:1.0")
    return path / "some", "library/some"


WRITERS: dict[str, tuple[str, Callable[[str], Path], Callable[[Lab, Path, Path], tuple[Path, str]]]]
WRITERS = {
    "oci, old skopeo": ("skopeo", oldest, _oci),
    "oci, new skopeo": ("skopeo", newest, _oci),
    "oci-archive, old skopeo": ("skopeo", oldest, _oci_archive),
    "oci-archive, new skopeo": ("skopeo", newest, _oci_archive),
    "oci-archive without a tag, old skopeo": ("skopeo", oldest, _without_tag),
    "oci-archive without a tag, new skopeo": ("skopeo", newest, _without_tag),
    "crane": ("crane", newest, _crane),
    "oras": ("oras", newest, _oras),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_layout_of_another_tool_is_loaded_with_its_digest(
    lab: Lab, tmp_path: Path, writer: str
) -> None:
    name, version, make = WRITERS[writer]
    archive, repository = make(lab, version(name), tmp_path)
    into = f"t{list(WRITERS).index(writer)}"
    tag = "1.0" if repository == "team/app" or name == "oras" else "latest"
    if make is _oci:
        tag = "1.0"
    is_named = repository.startswith("team/")
    if not is_named:
        asked = lab.load(archive, into)
        assert (asked.code, "--name REPOSITORY" in asked.stderr) == (2, True), asked.stderr
        assert INDEX.top.digest in asked.stderr

    ran = lab.load(archive, into, *(() if is_named else ("--name", repository)))

    assert (ran.code, ran.statuses) == (0, ["copied"]), ran.stderr
    pulled = pull_everything(lab.destination.endpoint, f"{into}/{repository}", tag)
    assert (pulled.digest, pulled.data) == (INDEX.top.digest, INDEX.top.data)
    assert ("quay.io/team/bare states no tag" in ran.stderr) is (repository == "team/bare")
    assert [*tmp_path.iterdir()] == [archive]


def _content(registry: Registry, repository: str) -> object:
    """What an image is: its config, whose diff ids its layers are found to have."""
    pulled = pull_everything(registry.endpoint, repository, "1.0")
    with Client(registry.endpoint) as client:

        def blob(described: Mapping[str, str]) -> bytes:
            path = f"/v2/{repository}/blobs/{described['digest']}"
            return client.expect(200, "GET", path).body

        found = fetch_manifest(client, repository, pulled.entries[0].digest)
        assert found is not None
        manifest = json.loads(found[0])
        config, layers = blob(manifest["config"]), map(blob, manifest["layers"])
        tars = [gzip.decompress(b) if b.startswith(b"\x1f\x8b") else b for b in layers]
    diff_ids = json.loads(config)["rootfs"]["diff_ids"]
    assert [f"sha256:{hex_of(layer)}" for layer in tars] == diff_ids
    return config


def _docker_archive(lab: Lab, tool: Path, path: Path) -> None:
    lab.skopeo(tool, f"docker://{lab.one}", "docker-archive:" + f"{path}:team/one:1.0")


def _tarball(lab: Lab, tool: Path, path: Path) -> None:
    run(tool, "pull", "--insecure", "--format=tarball", lab.one, path)


@pytest.mark.parametrize(
    ("name", "version", "make", "ending"),
    [
        ("skopeo", oldest, _docker_archive, ".tar"),
        ("skopeo", newest, _docker_archive, ".tar.zst"),
        ("crane", newest, _tarball, ".tar.gz"),
    ],
    ids=["old skopeo", "new skopeo", "crane"],
)
def test_docker_archive_of_another_tool_is_loaded_with_its_content(
    lab: Lab,
    tmp_path: Path,
    name: str,
    version: Callable[[str], Path],
    make: Callable[[Lab, Path, Path], None],
    ending: str,
) -> None:
    made, archive = tmp_path / "made.tar", tmp_path / f"some{ending}"
    make(lab, version(name), made)
    archive.write_bytes(PACKED[ending](made.read_bytes()))
    into = f"docker-{name}-{version.__name__}"

    first, again = lab.load(archive, into), lab.load(archive, into)

    assert (first.code, first.statuses, again.statuses) == (0, ["copied"], ["unchanged"])
    assert _content(lab.destination, f"{into}/team/one") == _content(lab.source, "team/one")


def test_archive_of_the_predecessor_is_loaded_with_its_platforms(lab: Lab, tmp_path: Path) -> None:
    archive = write(tmp_path / "saved-images.tar.gz", predecessor(("team/app", "1.0", INDEX)))

    ran = lab.load(archive, "old")
    validated = command(
        "load-validate", lab.folder, "-s", archive, "-d", f"{lab.destination.address}/old",
        **lab.environment,
    )  # fmt: skip

    assert (ran.code, ran.statuses, validated.statuses) == (0, ["copied"], ["passed"]), ran.stderr
    pulled = pull_everything(lab.destination.endpoint, "old/team/app", "1.0")
    assert [(e.digest, e.platform) for e in pulled.entries] == [
        (entry.digest, entry.platform) for entry in INDEX.entries
    ]


def test_image_without_a_name_is_shown_by_its_digest_and_published_by_nobody(
    lab: Lab, tmp_path: Path
) -> None:
    archive, made = tmp_path / "x.tar", tmp_path / "made.tar"
    lab.skopeo(newest("skopeo"), "--all", f"docker://{lab.app}", f"oci-archive:{archive}")
    into = ("-s", archive, "-d", f"{lab.destination.address}/nameless")

    shown = image_tools("archive", "ls", archive, "--format", "json")
    verified = image_tools("archive", "verify", archive, "--format", "json")
    refused = [
        command("load", lab.folder, *into, **lab.environment),
        command("load-validate", lab.folder, *into, **lab.environment),
        image_tools("archive", "export", "-s", archive, "-d", made),
        image_tools("archive", "merge", archive, "-o", made),
        image_tools("serve", archive),
    ]

    (image,) = shown.report["images"]
    assert (shown.code, image["reference"], image["digest"]) == (0, "", INDEX.top.digest)
    assert (verified.code, verified.report["images"]) == (0, 1), verified.stderr
    for ran in refused:
        assert (ran.code, INDEX.top.digest in ran.stderr) == (2, True), ran.stderr
        assert "--name" in ran.stderr
    assert not made.exists()


def test_name_and_cache_are_taken_and_what_is_kept_loads_again(lab: Lab, tmp_path: Path) -> None:
    archive, caches = tmp_path / "x.tar", tmp_path / "caches"
    lab.skopeo(newest("skopeo"), "--all", f"docker://{lab.app}", f"oci-archive:{archive}")
    flags = ("--name", "team/named:2", "--cache", str(caches), "--keep-cache")

    ran = lab.load(archive, "kept", *flags)

    (kept,) = caches.iterdir()
    again = lab.load(kept, "kept")
    assert (ran.statuses, again.statuses) == (["copied"], ["unchanged"]), ran.stderr
    assert f"{kept} is kept" in ran.stderr
    pulled = pull_everything(lab.destination.endpoint, "kept/team/named", "2")
    assert pulled.digest == INDEX.top.digest


@pytest.fixture(scope="module")
def ours(lab: Lab) -> dict[str, Path]:
    """Give an archive of this program in every form."""
    listed = write_list(lab.folder, lab.source.address, "team/app")
    found = {}
    for form, name in FORMS.items():
        found[form] = lab.folder / f"ours-{name}"
        words = ["-f", listed, "-d", found[form], "--arch", "all", "--os", "all"]
        ran = command("save", lab.folder, *words, "--compress", form, **lab.environment)
        assert ran.code == 0, ran.stderr
    return found


@pytest.mark.parametrize(
    ("form", "version"), [("gzip", oldest), *((form, newest) for form in FORMS)]
)
def test_archive_of_ours_is_copied_by_skopeo(
    lab: Lab, ours: dict[str, Path], form: str, version: Callable[[str], Path]
) -> None:
    kind = "oci" if form == "dir" else "oci-archive"
    into = f"{lab.destination.address}/skopeo-{form}-{version.__name__}"

    lab.skopeo(
        version("skopeo"), "--all", "--preserve-digests", "--dest-tls-verify=false",
        f"{kind}:{ours[form]}:{lab.app}", f"docker://{into}:1.0",
    )  # fmt: skip

    pulled = pull_everything(lab.destination.endpoint, into.partition("/")[2], "1.0")
    assert pulled.digest == INDEX.top.digest


@pytest.mark.parametrize("form", ["dir", "none"])
def test_archive_of_ours_is_copied_by_oras(lab: Lab, ours: dict[str, Path], form: str) -> None:
    into = f"{lab.destination.address}/oras-{form}:1.0"

    run(newest("oras"), "copy", "--from-oci-layout", "--to-plain-http",
        f"{ours[form]}@{INDEX.top.digest}", into)  # fmt: skip

    assert pull_everything(lab.destination.endpoint, f"oras-{form}", "1.0").data == INDEX.top.data


def test_folder_of_ours_is_pushed_by_crane(lab: Lab, ours: dict[str, Path]) -> None:
    into = f"{lab.destination.address}/crane"

    run(newest("crane"), "push", "--insecure", "--index", ours["dir"], f"{into}:1.0")

    # crane pushes the folder's index.json itself; the image is one of its entries.
    pulled = pull_everything(lab.destination.endpoint, "crane", str(Digest.parse(INDEX.top.digest)))
    assert pulled.data == INDEX.top.data
