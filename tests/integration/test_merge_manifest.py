"""`merge-manifest` on real registries: one index of several images, copied where it is needed."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from dataclasses import replace
from typing import Any

import pytest

from image_tools.commands.list_run import ListRun
from image_tools.commands.merge_manifest import MergeRequest
from image_tools.commands.merge_manifest import merge as merge_with
from image_tools.commands.request import ListRequest
from image_tools.commands.wiring import Surroundings
from image_tools.errors import Interrupted
from image_tools.oci.reference import Reference
from image_tools.run.progress import Progress
from tests.helpers import images
from tests.helpers.certificates import Certificates
from tests.helpers.client import manifest, push, tags
from tests.helpers.content import DOCKER_LIST, OCI_INDEX, Entry, Image
from tests.helpers.endpoint import LAB_LOGIN
from tests.helpers.registry import Registry
from tests.helpers.running import Ran, image_tools
from tests.helpers.schema1 import schema1_image
from tests.helpers.studio import Format, Studio
from tests.helpers.walk import pull_everything

DEST = "team/api"
LOGIN = {"DOCKER_USERNAME": LAB_LOGIN.username, "DOCKER_PASSWORD": LAB_LOGIN.password}


def single(where: dict[str, object], seed: int = 1, form: Format = Format.OCI) -> Image:
    """Give a single image whose platform only its config tells."""
    studio = Studio("single", seed, form)
    return studio.single(replace(studio.child(where), platform=None))


AMD, ARM, S390X = map(single, (images.AMD64, images.ARM64, images.S390X))
OTHER_AMD = single(images.AMD64, 2)
INDEX, ATTESTED = images.oci_index(1), images.attestations(1)


def merge(destination: Registry, *sources: str, **more: Any) -> Ran:
    """Merge sources, and options, into the destination."""
    return image_tools("merge-manifest", f"{destination.address}/{DEST}:1.0", *sources, **more)


def listed(ran: Ran) -> list[tuple[str, dict[str, object]]]:
    """Give digest and platform of every entry of the index that was written out."""
    return [(entry["digest"], entry["platform"]) for entry in json.loads(ran.stdout)["manifests"]]


def pushed(registry: Registry, **named: Image) -> list[str]:
    """Store images as tags of one repository; give their names."""
    for tag, image in named.items():
        push(registry, "from/parts", tag, image)
    return [f"{registry.address}/from/parts:{tag}" for tag in named]


def one(entry: Entry) -> tuple[str, object]:
    """Give digest and platform of an entry."""
    return entry.digest, entry.true_platform


@pytest.mark.parametrize("same", [False, True], ids=["other registry", "same registry"])
def test_merge_single_images_become_one_index(
    registry: Registry, source_registry: Registry, same: bool
) -> None:
    names = pushed(registry if same else source_registry, amd=AMD, arm=ARM)
    registry.clear_log()
    ran = merge(registry, *names)

    assert ran.code == 0, ran.stderr
    assert listed(ran) == [(AMD.top.digest, images.AMD64), (ARM.top.digest, images.ARM64)]
    found = pull_everything(registry, DEST, "1.0")
    assert (found.data.decode(), found.media_type) == (ran.stdout, OCI_INDEX)
    assert found.blobs.keys() == {blob.digest for image in (AMD, ARM) for blob in image.blobs}
    assert tags(registry, DEST) == ["1.0"]
    assert f"{registry.address}/{DEST}:1.0: written ({found.digest})" in ran.stderr
    mounts = [r for r in registry.requests() if r.mounted_from and r.status == 201]
    assert len(mounts) == (len(found.blobs) if same else 0)


def test_merge_dry_run_shows_the_index_and_writes_nothing(
    registry: Registry, source_registry: Registry
) -> None:
    names = pushed(source_registry, amd=AMD, attested=ATTESTED)
    words = ("--overwrite", "--dry-run", "--no-download")
    planned = merge(registry, *names, *words, environ={"IMAGE_TOOLS_SKOPEO": "/nowhere"})

    assert planned.code == 0, planned.stderr
    assert "6 images would be copied; nothing is written" in planned.stderr
    assert {request.method for request in registry.requests()} <= {"GET", "HEAD"}
    done = merge(registry, *names, "--overwrite")
    assert json.loads(done.stdout) == json.loads(planned.stdout)


def test_merge_again_is_unchanged(registry: Registry, source_registry: Registry) -> None:
    names = pushed(source_registry, amd=AMD, arm=ARM)
    first = merge(registry, *names)
    registry.clear_log()
    again = merge(registry, *names)

    assert (again.code, again.stdout) == (0, first.stdout)
    assert "unchanged" in again.stderr
    assert {request.method for request in registry.requests()} <= {"GET", "HEAD"}


def test_merge_destination_itself_is_extended(
    registry: Registry, source_registry: Registry
) -> None:
    push(registry, DEST, "1.0", ATTESTED)
    riscv = single({"architecture": "riscv64", "os": "linux"})
    ran = merge(registry, f"{registry.address}/{DEST}:1.0", *pushed(source_registry, riscv=riscv))

    assert ran.code == 0, ran.stderr
    images_of, attestations = ATTESTED.entries[:3], ATTESTED.entries[3:]
    assert listed(ran) == [*map(one, (*images_of, *riscv.entries, *attestations))]
    pull_everything(registry, DEST, "1.0")


def test_merge_replaces_what_is_no_source(registry: Registry, source_registry: Registry) -> None:
    push(registry, DEST, "1.0", ATTESTED)
    ran = merge(registry, *pushed(source_registry, amd=AMD, arm=ARM))

    assert [digest for digest, _ in listed(ran)] == [AMD.top.digest, ARM.top.digest]


def test_merge_index_that_holds_the_others_keeps_its_digest(
    registry: Registry, source_registry: Registry
) -> None:
    push(source_registry, "from/parts", "odd", images.odd_indent(1))
    child = f"{source_registry.address}/from/parts@{images.odd_indent(1).entries[0].digest}"
    ran = merge(registry, child, f"{source_registry.address}/from/parts:odd")

    assert ran.code == 0, ran.stderr
    assert ran.stdout.encode() == images.odd_indent(1).top.data
    assert pull_everything(registry, DEST, "1.0").digest == images.odd_indent(1).top.digest


FORMS = {
    "docker": ((Format.DOCKER, Format.DOCKER), DOCKER_LIST),
    "mixed": ((Format.DOCKER, Format.OCI), OCI_INDEX),
}


@pytest.mark.parametrize(("forms", "media_type"), FORMS.values(), ids=FORMS)
def test_merge_type_of_the_index_follows_its_entries(
    registry: Registry, source_registry: Registry, forms: tuple[Format, Format], media_type: str
) -> None:
    amd, arm = single(images.AMD64, 1, forms[0]), single(images.ARM64, 1, forms[1])
    ran = merge(registry, *pushed(source_registry, amd=amd, arm=arm))

    found = manifest(registry, DEST, "1.0")
    assert found is not None
    assert (found[1], found[0].decode()) == (media_type, ran.stdout)


def test_merge_two_images_of_one_platform_are_refused(
    registry: Registry, source_registry: Registry
) -> None:
    first, second, last = pushed(source_registry, amd=AMD, other=OTHER_AMD, arm=ARM)
    ran = merge(registry, first, second, last)

    assert (ran.code, ran.stdout) == (2, "")
    said = f"linux/amd64 is {AMD.top.digest} in {first} and {OTHER_AMD.top.digest} in {second}"
    assert said in ran.stderr
    assert "--overwrite" in ran.stderr
    assert tags(registry, DEST) == []

    forced = merge(registry, first, second, last, "--overwrite")
    assert [digest for digest, _ in listed(forced)] == [OTHER_AMD.top.digest, ARM.top.digest]


CHART = images.helm_chart(1)
OLD = schema1_image("signed", 1, signed=True)
# what cannot be merged -> exit code, words
WRONG = {
    "chart": (CHART, 1, "it states no platform"),
    "schema 1": (OLD, 1, "a Docker schema 1 image, which no index can hold"),
    "absent": (None, 1, "not found at the source"),
}


@pytest.mark.parametrize(("image", "code", "words"), WRONG.values(), ids=WRONG)
def test_merge_source_that_cannot_be_merged_is_named(
    registry: Registry, source_registry: Registry, image: Image | None, code: int, words: str
) -> None:
    names = pushed(source_registry, amd=AMD, **({"wrong": image} if image else {}))
    ran = merge(registry, names[0], f"{source_registry.address}/from/parts:wrong")

    assert (ran.code, ran.stdout) == (code, "")
    assert f"{source_registry.address}/from/parts:wrong: {words}" in ran.stderr
    assert {request.method for request in registry.requests()} <= {"GET", "HEAD"}


USAGE = {
    "one source": (["reg.test/a:1", "reg.test/b:1"], "merge-manifest needs SRC..."),
    "no source": (["reg.test/a:1"], "merge-manifest needs SRC"),
    "digest": ([f"reg.test/a@{AMD.top.digest}", "b", "c"], "write reg.test/a:TAG"),
    "no reference": (["reg.test/a:1", "b", "C::"], "is not a tag"),
}


@pytest.mark.parametrize(("words", "said"), USAGE.values(), ids=USAGE)
def test_merge_wrong_command_line_says_what_to_write(words: list[str], said: str) -> None:
    ran = image_tools("merge-manifest", *words)

    assert (ran.code, ran.stdout) == (2, "")
    assert said in ran.stderr


@pytest.mark.parametrize("early", [True, False], ids=["before", "under way"])
def test_merge_signal_ends_it(registry: Registry, early: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = Reference(f"127.0.0.1:{silent.getsockname()[1]}", "team/app", "1.0")
        request = MergeRequest(
            destination=Reference(registry.address, DEST, "1.0"), sources=(source, source)
        )
        connections: list[socket.socket] = []
        surroundings = Surroundings(environ=dict(os.environ), progress=Progress())
        with ListRun(ListRequest(), surroundings) as run:

            def stop() -> None:
                if not early:
                    # The connection is there when the run is, and closed with it.
                    connections.append(silent.accept()[0])
                run.cancel(signal.SIGTERM)

            stopping = threading.Thread(target=stop)
            stopping.start()
            if early:
                stopping.join()
            with pytest.raises(Interrupted) as caught:
                merge_with(request, run)
            stopping.join()
        for connection in connections:
            connection.close()

    assert caught.value.signal_exit_code == 143
    assert tags(registry, DEST) == []


def test_merge_destination_behind_login_and_private_authority(
    tls_htpasswd_registry: Registry, source_registry: Registry, certificates: Certificates
) -> None:
    names = pushed(source_registry, amd=AMD, arm=ARM)
    words = ("--ca-file", str(certificates.authority), "--debug")
    ran = merge(tls_htpasswd_registry, *names, *words, environ=LOGIN)

    assert ran.code == 0, ran.stderr
    assert len(pull_everything(tls_htpasswd_registry, DEST, "1.0").manifests) == 3
    assert LAB_LOGIN.password not in ran.stderr
