"""The distribution spec's checks of push and pull, with archives behind the exchange."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from image_tools.oci import media
from image_tools.oci.digest import Digest
from image_tools.oci.manifest import MAXIMUM_MANIFEST_SIZE, RawManifest
from image_tools.stores.archive.content import Form
from image_tools.stores.archive.opening import add_to_archive, new_archive, read_archive
from image_tools.stores.archive.store import ArchiveStore
from tests.helpers.exchange_lab import Answer, ExchangeLab, running_lab

REPOSITORY = "team/app"
CONTENT = bytes(range(256)) * 40
SIZE, BLOB, ABSENT = len(CONTENT), Digest.of(CONTENT), Digest.of(b"nowhere")
CONFIG = b"{}"
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": media.OCI_MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": str(Digest.of(CONFIG)),
            "size": len(CONFIG),
        },
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": str(BLOB),
                "size": SIZE,
            }
        ],
    }
).encode()
RAW = RawManifest(media.OCI_MANIFEST, MANIFEST)
FORMS = [*Form, "volumes"]


@pytest.fixture(params=FORMS, ids=lambda form: getattr(form, "value", form))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Form, int | None]:
    """Give where the archive is to lie, its form, and how big its volumes are to be."""
    if request.param == "volumes":
        return tmp_path / "images.tar.gz", Form.GZIP, 64 << 10
    return tmp_path / request.param.default_name, request.param, None


@contextmanager
def behind(store: ArchiveStore) -> Iterator[tuple[ExchangeLab, str]]:
    with running_lab(destination=cast("Any", store)) as lab:
        yield lab, f"{lab.open_destination(REPOSITORY).key}/{REPOSITORY}"


@pytest.fixture
def pushed(place: tuple[Path, Form, int | None]) -> Iterator[tuple[ExchangeLab, str]]:
    """Give an exchange before a new archive that is being written."""
    archive = new_archive(*place)
    with behind(ArchiveStore(archive, "docker.io")) as found:
        yield found
    archive.close()


# Each step: method, path behind the repository, headers, body; {up} is where the upload goes on.
BEGIN = ("POST", "blobs/uploads/", {}, b"", 202)
PUSHES = {
    "post-then-put": (BEGIN, ("PUT", f"{{up}}?digest={BLOB}", {}, CONTENT, 201)),
    "one-post": (("POST", f"blobs/uploads/?digest={BLOB}", {}, CONTENT, 201),),
    "one-piece": (
        BEGIN,
        ("PATCH", "{up}", {}, CONTENT, 202),
        ("PUT", f"{{up}}?digest={BLOB}", {}, b"", 201),
    ),
    "pieces": (
        BEGIN,
        ("PATCH", "{up}", {"Content-Range": "0-99"}, CONTENT[:100], 202),
        ("PATCH", "{up}", {"Content-Range": "100-4999"}, CONTENT[100:5000], 202),
        ("GET", "{up}", {}, b"", 204),
        ("PUT", f"{{up}}?digest={BLOB}", {}, CONTENT[5000:], 201),
    ),
    "piece-out-of-order-then-right": (
        BEGIN,
        ("PATCH", "{up}", {"Content-Range": "0-99"}, CONTENT[:100], 202),
        ("PATCH", "{up}", {"Content-Range": "150-199"}, CONTENT[150:200], 416),
        ("PUT", f"{{up}}?digest={BLOB}", {}, CONTENT[100:], 201),
    ),
    "mount-of-what-is-there": (
        ("POST", f"blobs/uploads/?digest={BLOB}", {}, CONTENT, 201),
        ("POST", f"blobs/uploads/?mount={BLOB}&from={{repository}}", {}, b"", 201),
    ),
    "mount-of-what-is-not-there": (
        ("POST", f"blobs/uploads/?mount={BLOB}&from={{repository}}", {}, b"", 202),
        ("PUT", f"{{up}}?digest={BLOB}", {}, CONTENT, 201),
    ),
    "twice": (
        ("POST", f"blobs/uploads/?digest={BLOB}", {}, CONTENT, 201),
        ("POST", f"blobs/uploads/?digest={BLOB}", {}, CONTENT, 201),
    ),
}
REFUSALS = {
    "wrong-digest": (BEGIN, ("PUT", f"{{up}}?digest={ABSENT}", {}, CONTENT, 400)),
    "wrong-digest-of-pieces": (
        BEGIN,
        ("PATCH", "{up}", {}, CONTENT, 202),
        ("PUT", f"{{up}}?digest={ABSENT}", {}, b"", 400),
    ),
    "no-digest": (BEGIN, ("PUT", "{up}", {}, CONTENT, 400)),
    "aborted": (BEGIN, ("DELETE", "{up}", {}, b"", 204), ("PATCH", "{up}", {}, CONTENT, 404)),
    "unknown-upload": (("PUT", f"blobs/uploads/1?digest={BLOB}", {}, CONTENT, 404),),
}


def carried_out(lab: ExchangeLab, path: str, steps: tuple[Any, ...]) -> list[int]:
    """Give the statuses of `steps`, asked one after the other."""
    found, at = [], ""
    for method, where, headers, body, _ in steps:
        asked = where.format(up=at, repository=path)
        asked = asked if where.startswith("{up}") else f"{path}/{asked}"
        told = lab.ask(method, asked, headers=headers, body=body)
        at = told.headers.get("location", f"/v2/{at}").removeprefix("/v2/")
        found.append(told.status)
    return found


@pytest.mark.parametrize("steps", PUSHES.values(), ids=PUSHES)
def test_push_into_an_archive_stores_the_blob(
    pushed: tuple[ExchangeLab, str], steps: tuple[Any, ...]
) -> None:
    lab, path = pushed
    assert carried_out(lab, path, steps) == [step[-1] for step in steps]
    assert lab.ask("GET", f"{path}/blobs/{BLOB}").body == CONTENT


@pytest.mark.parametrize("steps", REFUSALS.values(), ids=REFUSALS)
def test_push_into_an_archive_that_is_wrong_stores_nothing(
    pushed: tuple[ExchangeLab, str], steps: tuple[Any, ...]
) -> None:
    lab, path = pushed
    assert carried_out(lab, path, steps) == [step[-1] for step in steps]
    assert lab.ask("HEAD", f"{path}/blobs/{BLOB}").status == 404


def manifest(lab: ExchangeLab, path: str, reference: object, content: bytes = MANIFEST) -> Answer:
    headers = {"Content-Type": media.OCI_MANIFEST}
    return lab.ask("PUT", f"{path}/manifests/{reference}", headers=headers, body=content)


MANIFESTS = {
    "tag": ("v1", MANIFEST, 201, ""),
    "digest": (RAW.digest, MANIFEST, 201, ""),
    "other-digest": (ABSENT, MANIFEST, 400, "DIGEST_INVALID"),
    "nonsense-digest": ("sha256:x", MANIFEST, 400, "DIGEST_INVALID"),
    "too-big": ("v1", b" " * (MAXIMUM_MANIFEST_SIZE + 1), 400, "MANIFEST_INVALID"),
    "no-json": ("v1", b"<html>", 400, "MANIFEST_INVALID"),
}


@pytest.mark.parametrize(
    ("reference", "content", "status", "code"), MANIFESTS.values(), ids=MANIFESTS
)
def test_manifest_pushed_into_an_archive_is_checked(
    pushed: tuple[ExchangeLab, str], reference: object, content: bytes, status: int, code: str
) -> None:
    lab, path = pushed
    for blob in (CONFIG, CONTENT):
        lab.ask("POST", f"{path}/blobs/uploads/?digest={Digest.of(blob)}", body=blob)
    told = manifest(lab, path, reference, content)
    assert (told.status, told.code) == (status, code)
    found = lab.ask("GET", f"{path}/manifests/{RAW.digest}")
    assert found.status == (200 if status == 201 else 404)
    assert status != 201 or (found.body, told.headers["docker-content-digest"]) == (
        MANIFEST,
        str(RAW.digest),
    )


PULLS: dict[str, tuple[str, dict[str, str], int, bytes | None, str]] = {
    "manifest-by-tag": ("manifests/v1", {}, 200, MANIFEST, ""),
    "manifest-by-digest": (f"manifests/{RAW.digest}", {}, 200, MANIFEST, ""),
    "manifest-unknown-tag": ("manifests/v2", {}, 404, None, "MANIFEST_UNKNOWN"),
    "manifest-unknown-digest": (f"manifests/{ABSENT}", {}, 404, None, "MANIFEST_UNKNOWN"),
    "blob": (f"blobs/{BLOB}", {}, 200, CONTENT, ""),
    "blob-unknown": (f"blobs/{ABSENT}", {}, 404, None, "BLOB_UNKNOWN"),
    "blob-range": (f"blobs/{BLOB}", {"Range": "bytes=10-19"}, 206, CONTENT[10:20], ""),
    "blob-rest": (f"blobs/{BLOB}", {"Range": f"bytes={SIZE - 3}-"}, 206, CONTENT[-3:], ""),
    "blob-range-behind": (
        f"blobs/{BLOB}",
        {"Range": f"bytes={SIZE}-"},
        416,
        None,
        "SIZE_INVALID",
    ),
    "blob-bad-digest": ("blobs/sha256:abc", {}, 400, None, "DIGEST_INVALID"),
}


def filled(place: tuple[Path, Form, int | None]) -> Path:
    """Give the path of a published archive with one image."""
    archive = new_archive(*place)
    with behind(ArchiveStore(archive, "docker.io")) as (lab, path):
        for blob in (CONFIG, CONTENT):
            lab.ask("POST", f"{path}/blobs/uploads/?digest={Digest.of(blob)}", body=blob)
        assert manifest(lab, path, "v1").status == 201
    archive.publish()
    archive.close()
    return place[0]


def test_pull_from_a_published_archive_answers_as_the_spec_says(
    place: tuple[Path, Form, int | None],
) -> None:
    archive = read_archive(filled(place))
    with behind(ArchiveStore(archive, "docker.io")) as (lab, path):
        for name, (where, headers, status, body, code) in PULLS.items():
            told = lab.ask("GET", f"{path}/{where}", headers=headers)
            assert told.status == status, name
            assert (told.code == code) if body is None else (told.body == body), name
            head = lab.ask("HEAD", f"{path}/{where}")
            assert head.status == (200 if body is not None or status == 416 else status), name
        tags = json.loads(lab.ask("GET", f"{path}/tags/list").body)
        assert tags == {"name": path, "tags": ["v1"]}
    archive.close()


def test_archive_added_to_answers_for_what_was_there_and_what_came(
    place: tuple[Path, Form, int | None],
) -> None:
    archive = add_to_archive(filled(place))
    with behind(ArchiveStore(archive, "docker.io")) as (lab, path):
        assert manifest(lab, path, "v2").status == 201
        assert json.loads(lab.ask("GET", f"{path}/tags/list").body)["tags"] == ["v1", "v2"]
        assert lab.ask("HEAD", f"{path}/blobs/{BLOB}").headers["content-length"] == str(SIZE)
    archive.close()
