"""Other ways of a copy, and logins, against every product."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import images
from tests.helpers.endpoint import LAB_LOGIN
from tests.helpers.running import image_tools
from tests.zoo.products import PRODUCTS
from tests.zoo.registry import ZooRegistry
from tests.zoo.sample import sample
from tests.zoo.trip import NAME, QUICK, TAG, Trip, filled, log_in

PAIR = ("-u", LAB_LOGIN.username, "--password")
# These show no manifest.
UNREADABLE = {"harbor-cve"}
WITHOUT_DOCKER = {"zot"}
GUARDED = [name for name in PRODUCTS if name not in {"zot", "crane"}]
TAKING = [name for name, product in PRODUCTS.items() if "cold" not in product.taking]


@pytest.mark.parametrize("name", PRODUCTS)
def test_login_is_tried_and_kept(name: str, clean_environment: Path) -> None:
    kept = clean_environment / ".docker" / "config.json"
    with ZooRegistry(*PRODUCTS[name].behaviours()) as registry:
        ran = image_tools("login", registry.address, *PAIR, LAB_LOGIN.password, *QUICK)

    assert ran.code == 0, ran.stderr
    assert registry.address in kept.read_text()
    assert registry.actions <= {"pull", ""}


@pytest.mark.parametrize("name", sample(GUARDED, "ghcr", "ecr", "acr", "gitea"))
def test_wrong_login_is_refused_and_not_kept(name: str, clean_environment: Path) -> None:
    kept = clean_environment / ".docker" / "config.json"
    with ZooRegistry(*PRODUCTS[name].behaviours()) as registry:
        ran = image_tools("login", registry.address, *PAIR, "wrong-Secret", *QUICK)

    assert ran.code == 1
    assert not kept.exists() or registry.address not in kept.read_text()


@pytest.mark.parametrize("name", sample(TAKING, "ghcr", "artifactory"))
@pytest.mark.parametrize("way", ["--no-ahead", "--direct"])
def test_platforms_arrive_where_skopeo_moves_the_layers(
    way: str, name: str, tmp_path: Path, clean_environment: Path
) -> None:
    product = PRODUCTS[name]
    image = images.oci_index(1) if name in WITHOUT_DOCKER else images.docker_list(1)
    with ZooRegistry() as source, ZooRegistry(*product.behaviours()) as destination:
        log_in(clean_environment, destination)
        trip = Trip(source=filled(source, image), destination=destination, folder=tmp_path)
        ran = trip.mirror(way, *QUICK, "--arch", "all")

    assert ran.statuses == ["copied"], ran.stderr
    assert trip.digests() == {NAME: {TAG: image.top.digest}}


@pytest.mark.parametrize("name", sample(PRODUCTS, "ghcr", "docker-hub"))
def test_platforms_arrive_where_skopeo_reads_the_source(
    name: str, tmp_path: Path, clean_environment: Path
) -> None:
    product = PRODUCTS[name]
    image = images.oci_index(1)
    with ZooRegistry(*product.behaviours()) as source, ZooRegistry() as destination:
        if not product.public:
            log_in(clean_environment, source)
        trip = Trip(source=filled(source, image), destination=destination, folder=tmp_path)
        ran = trip.mirror("--direct", *QUICK, "--arch", "amd64")

    assert ran.statuses == ["failed" if name in UNREADABLE else "copied"], ran.stderr


@pytest.mark.parametrize("name", sample(PRODUCTS, "ghcr", "quay", "artifactory"))
def test_inventory_and_doctor_find_what_is_there(
    name: str, tmp_path: Path, clean_environment: Path
) -> None:
    product = PRODUCTS[name]
    with ZooRegistry() as source, ZooRegistry(*product.behaviours()) as destination:
        log_in(clean_environment, destination)
        trip = Trip(source=filled(source), destination=filled(destination), folder=tmp_path)
        found, healthy = trip.inventory(), trip.doctor()

    is_shown = name not in UNREADABLE
    assert (found.code == 0, healthy.code) == (is_shown, 0), found.stderr + healthy.stdout
    assert destination.actions <= {"pull", ""}
