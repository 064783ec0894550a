"""Every kind of image through an archive of every form: saved, validated, loaded, pulled whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
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


# What is in a blob does not matter to its frame: for each change a few kinds go through the other
# forms. The soak takes every kind through every form.
SAMPLE = ("dir-some", "gzip-whole", "none-some", "zstd-whole", "parts-whole")
SOAK = ("dir-whole", "gzip-some", "none-whole", "zstd-some", "parts-some")


@dataclass(frozen=True)
class Lab:
    """Some kinds in an archive of one form, with or without a selection of platforms, and out."""

    is_whole: bool
    images: Mapping[str, Image]
    destination: Registry
    folder: Path
    archive: Path
    ran: Mapping[str, Ran]
    fetched: Counter[str]
    asked: Counter[str]

    def outcome(self, command: str, kind: str) -> dict[str, Any]:
        return next(o for o in self.ran[command].outcomes if f"/{kind}:" in o["source"])

    def pulled(self, kind: str) -> Pulled:
        return pull_everything(self.destination.endpoint, f"kinds/{kind}", "1.0")


@pytest.fixture(scope="module")
def source(docker_registry: Path) -> Iterator[Registry]:
    """Give a registry with all kinds."""
    with plain_registry() as running:
        for kind in REGISTRY_KINDS:
            push(running.endpoint, f"kinds/{kind}", "1.0", KINDS[kind](7))
        yield running


def through(*routes: str) -> pytest.MarkDecorator:
    """Let `lab` take these routes alone."""
    chosen = [pytest.param(way, marks=pytest.mark.soak if way in SOAK else ()) for way in routes]
    return pytest.mark.parametrize("lab", chosen, indirect=True, scope="module")


some = through("dir-some", "gzip-some", "zstd-some", "parts-some")
whole = through("dir-whole", "gzip-whole", "none-whole")
all_kinds = through("dir-some", "gzip-whole", *SOAK)
others = through(*SAMPLE[2:], *SOAK[2:])
either = through(*SAMPLE, *SOAK)


@pytest.fixture(scope="module")
def lab(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    source: Registry,
    module_environment: Mapping[str, str],
) -> Iterator[Lab]:
    form, _, part = request.param.partition("-")
    folder = tmp_path_factory.mktemp(f"archive-{request.param}")
    kinds = REGISTRY_KINDS if form in ("dir", "gzip") or request.param in SOAK else FEW
    listed = write_list(folder, source.address, *(f"kinds/{kind}" for kind in kinds))
    archive, more = folder / NAMES[form], ["--arch", "all", "--os", "all"]
    into = ["-f", listed, "-d", archive, "-j", "4", *(more if part == "whole" else ())]
    with plain_registry() as destination:
        out = ["-s", archive, "-d", destination.address, "-j", "4"]

        def ran(command: str, *words: str | Path) -> Ran:
            return run(command, folder, *words, **module_environment)

        source.clear_log()
        saved = ran("save", *into, *CHOSEN[form])
        blobs = (r for r in source.requests() if (r.method, r.what) == ("GET", "blobs"))
        fetched = Counter(str(request.reference) for request in blobs)
        source.clear_log()
        again = ran("save", *into)
        asked = Counter(f"{r.method} {r.repository}" for r in source.requests())
        yield Lab(
            is_whole=part == "whole",
            images={kind: KINDS[kind](7) for kind in kinds},
            destination=destination,
            folder=folder,
            archive=archive,
            ran={
                "save": saved,
                "again": again,
                "save-validate": ran("save-validate", *into),
                "load": ran("load", *out),
                "load-validate": ran("load-validate", *out, "--depth", "content"),
            },
            fetched=fetched,
            asked=asked,
        )


def _is_listed(kind: str) -> bool:
    return kind not in ARTIFACTS + SCHEMA1


@some
@pytest.mark.parametrize("kind", [kind for kind in REGISTRY_KINDS if _is_listed(kind)])
def test_archive_of_a_kind_brings_exactly_the_wanted_entries(lab: Lab, kind: str) -> None:
    image = lab.images[kind]
    wanted = wanted_entries(image)
    saved = lab.outcome("save", kind)
    if not wanted:
        assert saved["status"] == "skipped"
        return
    loaded, pulled = lab.outcome("load", kind), lab.pulled(kind)
    assert (saved["status"], loaded["status"]) == ("copied", "copied"), (saved, loaded)
    assert saved["digest"] == loaded["digest"] == pulled.digest
    if pulled.digest == image.top.digest:
        assert pulled.data == image.top.data
        assert wanted == list(image.leaves)
        return
    assert rows(pulled.entries) == rows(wanted)


@whole
@pytest.mark.parametrize(
    "kind", [kind for kind in REGISTRY_KINDS if _is_listed(kind) and KINDS[kind](7).is_index]
)
def test_archive_of_all_platforms_keeps_bytes_and_digest(lab: Lab, kind: str) -> None:
    check_whole(lab, kind)


@others
@pytest.mark.parametrize("kind", [kind for kind in FEW if _is_listed(kind)])
def test_archive_of_another_form_brings_the_image(lab: Lab, kind: str) -> None:
    if lab.is_whole:
        check_whole(lab, kind)
    else:
        assert rows(lab.pulled(kind).entries) == rows(wanted_entries(lab.images[kind]))


def check_whole(lab: Lab, kind: str) -> None:
    """All of a kind came out of the archive, with its own bytes."""
    image, loaded = lab.images[kind], lab.outcome("load", kind)
    assert (loaded["status"], loaded["digest_preserved"]) == ("copied", True), loaded
    if kind != "orphan_attestation":
        pulled = lab.pulled(kind)
        assert (pulled.data, pulled.digest) == (image.top.data, image.top.digest)


@all_kinds
@pytest.mark.parametrize("kind", ARTIFACTS)
def test_archive_of_an_artifact_keeps_its_manifest(lab: Lab, kind: str) -> None:
    assert lab.pulled(kind).data == lab.images[kind].top.data


@either
@pytest.mark.parametrize("kind", SCHEMA1)
def test_archive_of_schema_1_holds_a_list_of_one_schema_2_image(lab: Lab, kind: str) -> None:
    pulled = lab.pulled(kind)
    assert [entry.platform for entry in pulled.entries] == [
        {"architecture": "amd64", "os": "linux"}
    ]
    assert pulled.entries[0].media_type.endswith("manifest.v2+json")


@either
def test_commands_around_an_archive_all_end_well(lab: Lab) -> None:
    assert {name: ran.code for name, ran in lab.ran.items()} == dict.fromkeys(lab.ran, 0)
    assert set(lab.ran["again"].statuses) <= {"unchanged", "skipped"}
    assert set(lab.ran["load-validate"].statuses) == {"passed"}


@through("parts-whole")
def test_archive_in_parts_lies_in_several_files(lab: Lab) -> None:
    assert len([*lab.folder.glob("images.tar.gz.part*")]) > 1


@either
def test_save_fetches_each_blob_once(lab: Lab) -> None:
    assert set(lab.fetched.values()) == {1}


@either
def test_save_of_what_is_in_the_archive_costs_one_question_each(lab: Lab) -> None:
    unchanged = [o["source"] for o in lab.ran["again"].outcomes if o["digest"]]
    names = [f"kinds/{source.rpartition('/')[2].partition(':')[0]}" for source in unchanged]
    assert {name: lab.asked[f"HEAD {name}"] for name in names} == dict.fromkeys(names, 1)
    assert [name for name in names if lab.asked[f"GET {name}"]] == []


@either
def test_load_leaves_no_tag_but_the_wanted_ones(lab: Lab) -> None:
    repositories = lab.destination.storage / "docker/registry/v2/repositories"
    assert {path.name for path in repositories.glob("**/_manifests/tags/*")} == {"1.0"}


@either
def test_archive_lies_alone_when_all_is_done(lab: Lab) -> None:
    names = {path.name for path in lab.folder.iterdir()} - {"list.txt"}
    assert all(name.startswith((lab.archive.name, "state.db")) for name in names), names
    assert not [name for name in names if "partial" in name or "journal" in name]
