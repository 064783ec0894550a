"""The doubles, looked at by a client that has met the products: skopeo on its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.helpers import images
from tests.helpers.endpoint import LAB_LOGIN
from tests.helpers.tools import newest
from tests.zoo.products import PRODUCTS, Product
from tests.zoo.registry import ZooRegistry
from tests.zoo.sample import sample
from tests.zoo.trip import NAME, ONE, SMALL, TAG, filled

LOGIN = f"{LAB_LOGIN.username}:{LAB_LOGIN.password}"
# skopeo itself gives up where a blob is unknown for a moment, or must not be looked at, and shows
# its login to other hosts.
GIVES_UP = {"ghcr", "nexus", "gateway", "s3"}


def skopeo(*words: str) -> subprocess.CompletedProcess[str]:
    """Run skopeo without checking its end."""
    return subprocess.run(
        [newest("skopeo"), "--insecure-policy", *words],
        capture_output=True,
        text=True,
        check=False,
    )


def place(registry: ZooRegistry) -> str:
    return f"docker://{registry.address}/{ONE}"


def login(product: Product, side: str) -> list[str]:
    """Return the words of a login, none for anonymous reading."""
    return [] if product.public and side == "src" else [f"--{side}-creds", LOGIN]


@pytest.mark.parametrize("name", sample(PRODUCTS, "docker-hub", "ghcr", "acr", "gitlab"))
def test_skopeo_reads_from_the_product(name: str, tmp_path: Path) -> None:
    product = PRODUCTS[name]
    with ZooRegistry(*product.behaviours()) as registry:
        filled(registry, images.oci_index(1))
        done = skopeo(
            *("copy", "--all", "--src-tls-verify=false", *login(product, "src")),
            *(place(registry), f"dir:{tmp_path}"),
        )

    refused = product.sending.get("cold", "")
    assert (done.returncode == 0) is not bool(refused), done.stderr
    if not refused:
        found = json.loads((tmp_path / "manifest.json").read_text())
        assert [one["digest"] for one in found["manifests"]] == [
            entry.digest for entry in images.oci_index(1).entries
        ]


@pytest.mark.parametrize("name", sample(PRODUCTS, "ecr-missing", "quay", "artifactory"))
def test_skopeo_writes_to_the_product_what_it_takes(name: str) -> None:
    product = PRODUCTS[name]
    with ZooRegistry() as source, ZooRegistry(*product.behaviours()) as registry:
        done = skopeo(
            *("copy", "--src-tls-verify=false", "--dest-tls-verify=false"),
            *login(product, "dest"),
            *(place(filled(source)), place(registry)),
        )

    refused = bool(product.taking.get("cold")) or name in GIVES_UP
    assert (done.returncode == 0) is not refused, done.stderr
    assert registry.tags[NAME] == ({} if refused else {TAG: SMALL.top.digest})
