"""Every kind of image over every way in, compared entry by entry and pulled whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.certificates import Certificates
from tests.helpers.client import push
from tests.helpers.content import Image
from tests.helpers.endpoint import LAB_LOGIN
from tests.helpers.expected import rows, wanted_entries
from tests.helpers.images import KINDS, REGISTRY_KINDS
from tests.helpers.registry import Registry, start_registry
from tests.helpers.registry_options import RegistryOptions
from tests.helpers.running import Ran, mirror
from tests.helpers.walk import Pulled, pull_everything

WAYS = ("http", "tls", "htpasswd")
NAMES = ("127.0.0.1", "registry.image-tools.test")
ARTIFACTS = ("helm_chart", "empty_config_artifact")
SCHEMA1 = ("schema1_signed",)
# What an image is like does not matter to the way in, nor the way to what is kept of it: for each
# change all kinds go over plain HTTP and a few over the other ways. The soak takes all over all.
FEW = ("docker_schema2", "docker_list", "oci_index", "attestations")
LOGINS = {
    f"{side}_{what}": value
    for side in ("SOURCE", "DOCKER")
    for what, value in (("USERNAME", LAB_LOGIN.username), ("PASSWORD", LAB_LOGIN.password))
}


@dataclass(frozen=True)
class Lab:
    """Both registries of one way in, the images in the source, and one run over all kinds."""

    images: Mapping[str, Image]
    destination: Registry
    ran: Ran
    again: Callable[..., Ran]

    def outcome(self, kind: str, ran: Ran | None = None) -> dict[str, Any]:
        found = (ran or self.ran).outcomes
        return next(o for o in found if f"/{kind}:" in o["destination"])

    def pulled(self, kind: str, project: str) -> Pulled:
        return pull_everything(self.destination.endpoint, f"{project}/{kind}", "1.0")


@contextmanager
def mirrored(
    way: str,
    kinds: Iterable[str],
    folder: Path,
    certificates: Certificates,
    module_environment: Mapping[str, str],
) -> Iterator[Lab]:
    """Mirror `kinds` between two registries of one way in."""
    options = RegistryOptions(
        certificates=certificates if way == "tls" else None,
        login=LAB_LOGIN if way == "htpasswd" else None,
    )
    environ = {**module_environment, **(LOGINS if way == "htpasswd" else {})}
    flags = ["-j", "4", *(["--ca-file", certificates.authority] if way == "tls" else [])]
    host = NAMES[1] if way == "tls" else NAMES[0]
    with start_registry(options) as source, start_registry(options) as destination:
        images = {kind: KINDS[kind](7) for kind in kinds}
        for kind, image in images.items():
            push(source.endpoint, f"kinds/{kind}", "1.0", image)
        lines = "".join(f"{source.at(host)}/kinds/{kind}:1.0\n" for kind in images)

        def run(project: str, *words: str) -> Ran:
            to = ("-d", f"{destination.at(host)}{project}")
            return mirror(folder, lines, *to, *flags, *words, environ=environ)

        yield Lab(images=images, destination=destination, ran=run(""), again=run)


@pytest.fixture(
    scope="module",
    params=[pytest.param(way, marks=pytest.mark.soak if way != "http" else ()) for way in WAYS],
)
def lab(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    docker_registry: Path,
    certificates: Certificates,
    module_environment: Mapping[str, str],
) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp(f"kinds-{request.param}")
    with mirrored(
        request.param, REGISTRY_KINDS, folder, certificates, module_environment
    ) as running:
        yield running


@pytest.fixture(scope="module")
def whole(lab: Lab) -> Ran:
    """Give a second run that takes all platforms of everything."""
    return lab.again("/whole", "--no-state", "--arch", "all", "--os", "all")


def _is_listed(kind: str) -> bool:
    return kind not in ARTIFACTS + SCHEMA1


def assert_kept(lab: Lab, kind: str) -> None:
    """Assert that of an image exactly the wanted entries were copied."""
    image = lab.images[kind]
    wanted = wanted_entries(image)
    outcome = lab.outcome(kind)
    if not wanted:
        assert (outcome["status"], outcome["digest"]) == ("skipped", "")
        return
    pulled = lab.pulled(kind, "kinds")
    assert outcome["status"] == "copied", outcome
    assert outcome["digest"] == pulled.digest
    found = pulled.entries
    if pulled.digest == image.top.digest:
        assert pulled.data == image.top.data
        assert wanted == list(image.leaves)
        return
    assert rows(found) == rows(wanted)
    docker_only = all("docker" in entry.media_type for entry in wanted)
    assert ("docker" in pulled.media_type) is docker_only


@pytest.mark.parametrize("kind", [kind for kind in REGISTRY_KINDS if _is_listed(kind)])
def test_mirror_of_a_kind_keeps_exactly_the_wanted_entries(lab: Lab, kind: str) -> None:
    assert_kept(lab, kind)


@pytest.mark.parametrize("way", WAYS[1:])
def test_mirror_over_tls_or_with_a_login_keeps_the_same(
    way: str,
    tmp_path: Path,
    docker_registry: Path,
    certificates: Certificates,
    module_environment: Mapping[str, str],
) -> None:
    kinds = (*FEW, *ARTIFACTS[:1], *SCHEMA1)
    with mirrored(way, kinds, tmp_path, certificates, module_environment) as lab:
        for kind in FEW:
            assert_kept(lab, kind)
        assert_same_manifest(lab, ARTIFACTS[0])
        assert_one_schema_2_image(lab, SCHEMA1[0])


@pytest.mark.parametrize(
    "kind", [kind for kind in REGISTRY_KINDS if _is_listed(kind) and KINDS[kind](7).is_index]
)
def test_mirror_unfiltered_keeps_bytes_and_digest(lab: Lab, whole: Ran, kind: str) -> None:
    image, outcome = lab.images[kind], lab.outcome(kind, whole)
    pulled = lab.pulled(kind, "whole/kinds")
    assert (outcome["status"], outcome["digest_preserved"]) == ("copied", True), outcome
    assert (pulled.data, pulled.digest) == (image.top.data, image.top.digest)


def assert_same_manifest(lab: Lab, kind: str) -> None:
    pulled, image = lab.pulled(kind, "kinds"), lab.images[kind]
    assert (lab.outcome(kind)["status"], pulled.data) == ("copied", image.top.data)


@pytest.mark.parametrize("kind", ARTIFACTS)
def test_mirror_of_an_artifact_keeps_its_manifest(lab: Lab, kind: str) -> None:
    assert_same_manifest(lab, kind)


def assert_one_schema_2_image(lab: Lab, kind: str) -> None:
    pulled = lab.pulled(kind, "kinds")
    assert lab.outcome(kind)["status"] == "copied"
    assert [entry.platform for entry in pulled.entries] == [
        {"architecture": "amd64", "os": "linux"}
    ]
    assert pulled.entries[0].media_type.endswith("manifest.v2+json")
    assert "converted to schema 2" in lab.ran.stderr


@pytest.mark.parametrize("kind", SCHEMA1)
def test_mirror_of_schema_1_becomes_a_list_of_one_schema_2_image(lab: Lab, kind: str) -> None:
    assert_one_schema_2_image(lab, kind)


def test_mirror_leaves_no_tag_behind_but_the_wanted_ones(lab: Lab) -> None:
    repositories = lab.destination.storage / "docker/registry/v2/repositories"
    assert {path.name for path in repositories.glob("**/_manifests/tags/*")} == {"1.0"}
