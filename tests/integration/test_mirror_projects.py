"""`--source-project` and `--destination-project`, with the example that users know."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.helpers.client import push, tags
from tests.helpers.content import Image
from tests.helpers.crossing import SMALL
from tests.helpers.proxy import Proxy
from tests.helpers.registry import Registry
from tests.helpers.running import mirror
from tests.helpers.walk import pull_everything

DOCKER_HUB = "registry-1.docker.io:443"
EXAMPLE = "docker.io/library/nginx:latest\ndocker.io/cnrancher/hangar:latest\n"
COPYING = re.compile(r"\[INFO\] (.*?)(Copying \[.*)")


def arrived(registry: Registry, repository: str, tag: str, image: Image = SMALL) -> bool:
    """Tell whether a repository holds the whole image."""
    pulled = pull_everything(registry.endpoint, repository, tag)
    return pulled.blobs.keys() == {blob.digest for blob in image.blobs}


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_destination_project_takes_images_to_another_user_of_docker_hub(
    tls_registry: Registry, tmp_path: Path, jobs: str
) -> None:
    for name in ("library/nginx", "cnrancher/hangar"):
        push(tls_registry, name, "latest", SMALL)
    with Proxy(routes={DOCKER_HUB: tls_registry.address}) as proxy:
        words = ("--destination-project=username", "--tls-verify=false", "-j", jobs)
        ran = mirror(tmp_path, EXAMPLE, *words, environ={"HTTPS_PROXY": proxy.url})

    assert (ran.code, ran.statuses) == (0, ["copied"] * 2), ran.stderr
    said = sorted(COPYING.findall(ran.stderr), key=lambda found: found[1], reverse=True)
    assert [line for _, line in said] == [
        "Copying [docker.io/library/nginx:latest] => [docker.io/username/nginx:latest]",
        "Copying [docker.io/cnrancher/hangar:latest] => [docker.io/username/hangar:latest]",
    ]
    numbers = ["[M_ID:1] ", "[M_ID:2] "] if jobs == "2" else ["", ""]
    assert [prefix for prefix, _ in said] == numbers
    assert arrived(tls_registry, "username/nginx", "latest")
    assert arrived(tls_registry, "username/hangar", "latest")


def test_both_projects_replace_all_but_the_last_part(
    source_registry: Registry, registry: Registry, tmp_path: Path
) -> None:
    push(source_registry, "mine/nested/app", "1.0", SMALL)
    words = ("-s", source_registry.address, "-d", f"{registry.address}/prefix")
    projects = ("--source-project", "mine/nested", "--destination-project", "yours")
    ran = mirror(tmp_path, "quay.io/any/where/app:1.0\n", *words, *projects)

    assert ran.statuses == ["copied"], ran.stderr
    assert ran.only()["destination"] == f"{registry.address}/prefix/yours/app:1.0"
    assert arrived(registry, "prefix/yours/app", "1.0")


def test_unchanged_image_is_not_said_to_be_copied(
    source_registry: Registry, registry: Registry, tmp_path: Path
) -> None:
    push(source_registry, "team/app", "1.0", SMALL)
    lines = f"{source_registry.address}/team/app:1.0\n"
    words = ("-d", registry.address, "--destination-project", "other")

    said = [
        len(COPYING.findall(mirror(tmp_path, lines, *words, *more).stderr))
        for more in (("--dry-run",), (), ())
    ]
    assert said == [0, 1, 0]
    assert tags(registry, "other/app") == ["1.0"]


def test_two_sources_in_one_place_of_the_project_are_refused(
    registry: Registry, tmp_path: Path
) -> None:
    lines = "quay.io/a/app:1.0\nquay.io/b/app:1.0\n"
    ran = mirror(tmp_path, lines, "-d", registry.address, "--destination-project", "team")

    assert ran.code == 2
    assert f"{registry.address}/team/app:1.0" in ran.stderr
    assert registry.requests() == []


def test_project_in_upper_case_is_refused_with_what_to_write(tmp_path: Path) -> None:
    ran = mirror(tmp_path, EXAMPLE, "--destination-project=USERNAME")

    assert ran.code == 2
    assert "--destination-project: repository 'USERNAME' must be lower case" in ran.stderr
    assert "write 'username'" in ran.stderr
