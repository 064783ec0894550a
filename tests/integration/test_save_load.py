"""Every kind of image through an archive of every form: saved, validated, loaded, pulled whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.archives import FORMS, run, write_list
from tests.helpers.client import push
from tests.helpers.content import Image
from tests.helpers.expected import rows, wanted_entries
from tests.helpers.images import KINDS, REGISTRY_KINDS
from tests.helpers.registry import Registry, plain_registry
from tests.helpers.running import Ran
from tests.helpers.walk import Pulled, pull_everything

FEW = ("docker_list", "oci_index", "nested_index", "attestations", "helm_chart", "schema1_signed")
NAMES = {**FORMS, "parts": "images.tar.gz"}
CHOSEN = {form: ("--compress", form) for form in FORMS} | {"parts": ("--part-size", "64K")}
ARTIFACTS = ("helm_chart", "empty_config_artifact")
SCHEMA1 = ("schema1_signed",)


@dataclass(frozen=True)
class Lab:
    """All kinds in the source, saved and loaded with and without a selection of platforms."""

    images: Mapping[str, Image]
    source: Registry
    destination: Registry
    folder: Path
    archive: Path
    ran: Mapping[str, Ran]
    fetched: Counter[str]
    asked: Mapping[str, Counter[str]]

    def outcome(self, command: str, kind: str) -> dict[str, Any]:
        return next(o for o in self.ran[command].outcomes if f"/{kind}:" in o["source"])

    def pulled(self, kind: str, project: str) -> Pulled:
        return pull_everything(self.destination.endpoint, f"{project}/kinds/{kind}", "1.0")


@pytest.fixture(scope="module", params=["dir", "gzip"])
def lab(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    docker_registry: Path,
    module_environment: Mapping[str, str],
) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp(f"archive-{request.param}")
    with filled(folder, request.param, REGISTRY_KINDS, module_environment) as found:
        yield found


@pytest.fixture(scope="module", params=["none", "zstd", "parts"])
def other_form(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    docker_registry: Path,
    module_environment: Mapping[str, str],
) -> Iterator[Lab]:
    """What is in a blob does not matter to its frame: a few kinds go through the other forms."""
    folder = tmp_path_factory.mktemp(f"archive-{request.param}")
    with filled(folder, request.param, FEW, module_environment) as found:
        yield found


@contextmanager
def filled(
    folder: Path, form: str, kinds: tuple[str, ...], module_environment: Mapping[str, str]
) -> Iterator[Lab]:
    """Save and load images of these kinds in an archive of this form."""
    with plain_registry() as source, plain_registry() as destination:
        images = {kind: KINDS[kind](7) for kind in kinds}
        for kind, image in images.items():
            push(source.endpoint, f"kinds/{kind}", "1.0", image)
        listed = write_list(folder, source.address, *(f"kinds/{kind}" for kind in images))
        source.clear_log()
        ran, asked, flags = dict[str, Ran](), dict[str, Counter[str]](), ["-j", "4"]
        environ = {**module_environment}
        for name, more in (("some", []), ("whole", ["--arch", "all", "--os", "all"])):
            archive = folder / f"{name}-{NAMES[form]}"
            into = ["-f", listed, "-d", archive, *flags, *more]
            ran[f"save {name}"] = run("save", folder, *into, *CHOSEN[form], **environ)
            if name == "some":
                blobs = (r for r in source.requests() if (r.method, r.what) == ("GET", "blobs"))
                fetched = Counter(str(request.reference) for request in blobs)
            source.clear_log()
            ran[f"again {name}"] = run("save", folder, *into, **environ)
            asked[name] = Counter(f"{r.method} {r.repository}" for r in source.requests())
            ran[f"save-validate {name}"] = run("save-validate", folder, *into, **environ)
            out = ["-s", archive, "-d", f"{destination.address}/{name}", *flags]
            ran[f"load {name}"] = run("load", folder, *out, **environ)
            out += ["--depth", "content"]
            ran[f"load-validate {name}"] = run("load-validate", folder, *out, **environ)
        yield Lab(
            images=images,
            source=source,
            destination=destination,
            folder=folder,
            archive=folder / f"some-{NAMES[form]}",
            ran=ran,
            fetched=fetched,
            asked=asked,
        )


def _is_listed(kind: str) -> bool:
    return kind not in ARTIFACTS + SCHEMA1


@pytest.mark.parametrize("kind", [kind for kind in REGISTRY_KINDS if _is_listed(kind)])
def test_archive_of_a_kind_brings_exactly_the_wanted_entries(lab: Lab, kind: str) -> None:
    check_wanted(lab, kind)


@pytest.mark.parametrize("kind", [kind for kind in FEW if _is_listed(kind)])
def test_archive_of_another_form_brings_exactly_the_wanted_entries(
    other_form: Lab, kind: str
) -> None:
    check_wanted(other_form, kind)


def test_commands_around_an_archive_of_another_form_all_end_well(other_form: Lab) -> None:
    assert {ran.code for ran in other_form.ran.values()} == {0}
    assert set(other_form.ran["again whole"].statuses) == {"unchanged"}
    assert set(other_form.ran["load-validate whole"].statuses) == {"passed"}
    volumes = len([*other_form.folder.glob("whole-*.part*")])
    assert (volumes > 1) is ("images.tar.gz" in other_form.archive.name)


def check_wanted(lab: Lab, kind: str) -> None:
    """What was wanted of a kind is in the archive, and came out of it."""
    image = lab.images[kind]
    wanted = wanted_entries(image)
    saved = lab.outcome("save some", kind)
    if not wanted:
        assert saved["status"] == "skipped"
        return
    loaded, pulled = lab.outcome("load some", kind), lab.pulled(kind, "some")
    assert (saved["status"], loaded["status"]) == ("copied", "copied"), (saved, loaded)
    assert saved["digest"] == loaded["digest"] == pulled.digest
    if pulled.digest == image.top.digest:
        assert pulled.data == image.top.data
        assert wanted == list(image.leaves)
        return
    assert rows(pulled.entries) == rows(wanted)


@pytest.mark.parametrize(
    "kind", [kind for kind in REGISTRY_KINDS if _is_listed(kind) and KINDS[kind](7).is_index]
)
def test_archive_of_all_platforms_keeps_bytes_and_digest(lab: Lab, kind: str) -> None:
    image, loaded = lab.images[kind], lab.outcome("load whole", kind)
    assert (loaded["status"], loaded["digest_preserved"]) == ("copied", True), loaded
    if kind != "orphan_attestation":
        pulled = lab.pulled(kind, "whole")
        assert (pulled.data, pulled.digest) == (image.top.data, image.top.digest)


@pytest.mark.parametrize("kind", ARTIFACTS)
def test_archive_of_an_artifact_keeps_its_manifest(lab: Lab, kind: str) -> None:
    assert lab.pulled(kind, "some").data == lab.images[kind].top.data


@pytest.mark.parametrize("kind", SCHEMA1)
def test_archive_of_schema_1_holds_a_list_of_one_schema_2_image(lab: Lab, kind: str) -> None:
    pulled = lab.pulled(kind, "some")
    assert [entry.platform for entry in pulled.entries] == [
        {"architecture": "amd64", "os": "linux"}
    ]
    assert pulled.entries[0].media_type.endswith("manifest.v2+json")


@pytest.mark.parametrize("part", ["some", "whole"])
def test_commands_around_an_archive_all_end_well(lab: Lab, part: str) -> None:
    assert {name: ran.code for name, ran in lab.ran.items() if part in name} == {
        f"{command} {part}": 0
        for command in ("save", "again", "save-validate", "load", "load-validate")
    }
    assert set(lab.ran[f"again {part}"].statuses) <= {"unchanged", "skipped"}
    assert set(lab.ran[f"load-validate {part}"].statuses) == {"passed"}


def test_save_fetches_each_blob_once(lab: Lab) -> None:
    assert set(lab.fetched.values()) == {1}


@pytest.mark.parametrize("part", ["some", "whole"])
def test_save_of_what_is_in_the_archive_costs_one_question_each(lab: Lab, part: str) -> None:
    unchanged = [o["source"] for o in lab.ran[f"again {part}"].outcomes if o["digest"]]
    names = [f"kinds/{source.rpartition('/')[2].partition(':')[0]}" for source in unchanged]
    assert {name: lab.asked[part][f"HEAD {name}"] for name in names} == dict.fromkeys(names, 1)
    assert [name for name in names if lab.asked[part][f"GET {name}"]] == []


def test_load_leaves_no_tag_but_the_wanted_ones(lab: Lab) -> None:
    repositories = lab.destination.storage / "docker/registry/v2/repositories"
    assert {path.name for path in repositories.glob("**/_manifests/tags/*")} == {"1.0"}


def test_archive_lies_alone_when_all_is_done(lab: Lab) -> None:
    names = {path.name for path in lab.folder.iterdir()} - {"list.txt", "state.db"}
    assert {name for name in names if not name.startswith("state.db")} == {
        lab.archive.name,
        lab.archive.name.replace("some", "whole"),
    }
