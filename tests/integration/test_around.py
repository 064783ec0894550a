"""The commands around `mirror` on real registries: list-tags, inspect, inspect list, delete."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
from pathlib import Path

import pytest

from tests.helpers import images
from tests.helpers.certificates import Certificates
from tests.helpers.client import Client, manifest, push, push_blob, push_manifest, tags
from tests.helpers.content import IN_TOTO, OCI_INDEX, OCI_MANIFEST, Image, Manifest, compact
from tests.helpers.endpoint import LAB_LOGIN
from tests.helpers.registry import Registry, start_registry
from tests.helpers.registry_options import RegistryOptions
from tests.helpers.running import Ran, image_tools
from tests.helpers.token_server import TokenServer

NAME = "team/app"
INDEX = images.attestations(1)
SINGLE = images.docker_schema2(2)
LOGIN = {
    f"{side}_{what.upper()}": getattr(LAB_LOGIN, what)
    for side in ("SOURCE", "DOCKER")
    for what in ("username", "password")
}


def asked(registry: Registry) -> list[tuple[str, str]]:
    """Give method and subject of every request about the repository."""
    return [
        (request.method, request.path.removeprefix(f"/v2/{NAME}/"))
        for request in registry.requests()
        if request.repository == NAME
    ]


def note(registry: Registry, tag: str, kind: str = IN_TOTO) -> dict[str, object]:
    """Store a small artifact under a tag; give its descriptor."""
    with Client(registry) as client:
        digest = push_blob(client, NAME, b"{}")
        config = {"mediaType": kind, "digest": digest, "size": 2}
        value = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []}
        stored = Manifest.of(compact({**value, "annotations": {"tag": tag}}), OCI_MANIFEST)
        push_manifest(client, NAME, tag, stored)
    return {"mediaType": OCI_MANIFEST, "digest": stored.digest, "size": len(stored.data)}


def size_of(image: Image) -> int:
    """Give the bytes of all blobs of an image, without those of attestations."""
    about = {entry.digest for entry in image.entries if entry.subject is not None}
    values = [json.loads(one.data) for one in image.manifests if one.digest not in about]
    blobs = [
        blob
        for value in values
        for blob in ([value["config"], *value["layers"]] if "config" in value else [])
    ]
    return sum({blob["digest"]: blob["size"] for blob in blobs}.values())


# --- list-tags


@pytest.fixture
def tagged(registry: Registry) -> Registry:
    """Give a registry with one image under many tags."""
    for tag in ("latest", "v1.10", "1.9", "1.9-rc1", "2.0-alpine"):
        push(registry, NAME, tag, SINGLE)
    registry.clear_log()
    return registry


def test_list_tags_are_in_the_order_of_versions(tagged: Registry) -> None:
    ran = image_tools("list-tags", f"{tagged.address}/{NAME}")

    assert ran == Ran(code=0, stdout="1.9-rc1\n1.9\nv1.10\n2.0-alpine\nlatest\n", stderr="")
    assert asked(tagged) == [("GET", "tags/list")]


def test_list_tags_filter_as_json(tagged: Registry) -> None:
    words = ("--filter", "^v?1[.]", "-format", "json")
    ran = image_tools("list-tags", *words, f"docker://{tagged.address}/{NAME}")

    assert ran.report == {
        "schema": 1,
        "command": "list-tags",
        "repository": f"{tagged.address}/{NAME}",
        "total": 5,
        "tags": ["1.9-rc1", "1.9", "v1.10"],
    }


def test_list_tags_none_fits_is_said(tagged: Registry) -> None:
    ran = image_tools("list-tags", f"{tagged.address}/{NAME}", "--filter=x")

    assert (ran.code, ran.stdout) == (0, "")
    assert f"{tagged.address}/{NAME}: none of 5 tags" in ran.stderr


def test_list_tags_unknown_repository_fails(registry: Registry) -> None:
    ran = image_tools("list-tags", f"{registry.address}/no/such")

    assert (ran.code, ran.stdout) == (1, "")
    assert f"{registry.address}/no/such: reading the tags: not found (404" in ran.stderr


@pytest.mark.parametrize("login", [{}, LOGIN], ids=["nobody", "login"])
def test_list_tags_behind_login_and_private_authority(
    login: dict[str, str], tls_htpasswd_registry: Registry, certificates: Certificates
) -> None:
    push(tls_htpasswd_registry, NAME, "1.0", SINGLE)
    words = ("--ca-file", certificates.authority, "--retry-times", "0")
    ran = image_tools("list-tags", f"{tls_htpasswd_registry.address}/{NAME}", *words, environ=login)

    assert (ran.code, ran.stdout) == ((0, "1.0\n") if login else (1, ""))
    assert "not logged in" in ran.stderr or login


def test_list_tags_private_authority_unknown_says_what_to_do(tls_registry: Registry) -> None:
    ran = image_tools("list-tags", f"{tls_registry.address}/{NAME}", "--retry-times", "0")

    assert ran.code == 1
    assert "advice: trust its CA with --ca-file" in ran.stderr


def test_list_tags_other_registrys_login_is_not_told(htpasswd_registry: Registry) -> None:
    environ = {**LOGIN, "SOURCE_REGISTRY": "elsewhere.example", "DOCKER_REGISTRY": "there.example"}
    ran = image_tools("list-tags", f"{htpasswd_registry.address}/{NAME}", environ=environ)

    assert (ran.code, "not logged in" in ran.stderr) == (1, True)


# --- inspect


def test_inspect_index_tells_all_with_few_questions(registry: Registry) -> None:
    push(registry, NAME, "1.0", INDEX)
    hexed = INDEX.top.digest.replace(":", "-")
    note(registry, f"{hexed}.sig")
    signed = INDEX.leaves[1].digest
    note(registry, f"{signed.replace(':', '-')}.sig")
    referrer = {**note(registry, "sbom"), "artifactType": "application/spdx+json"}
    fallback = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [referrer]}
    made = Manifest.of(compact(fallback), OCI_INDEX)
    with Client(registry) as client:
        push_manifest(client, NAME, hexed, made)
    registry.clear_log()

    ran = image_tools("inspect", f"{registry.address}/{NAME}:1.0", "--format", "json")

    listed = [entry for entry in INDEX.entries if entry.subject is None]
    found = ran.report
    assert (found["digest"], found["media_type"]) == (INDEX.top.digest, INDEX.top.media_type)
    assert found["size"] == size_of(INDEX)
    assert [image["digest"] for image in found["images"]] == [entry.digest for entry in listed]
    assert [image["platform"] for image in found["images"]] == [
        "linux/amd64",
        "linux/arm64",
        "linux/s390x",
    ]
    assert [image["attestations"] for image in found["images"]] == [
        [entry.digest for entry in INDEX.entries if entry.subject == image.digest]
        for image in listed
    ]
    assert [(one["kind"], one["subject"], one["tag"]) for one in found["attached"]] == [
        ("signature", INDEX.top.digest, f"{hexed}.sig"),
        ("application/spdx+json", INDEX.top.digest, ""),
        ("signature", signed, f"{signed.replace(':', '-')}.sig"),
    ]
    subjects = (INDEX.top.digest, *(entry.digest for entry in listed))
    questions = [one for one in asked(registry) if not one[1].startswith("referrers/")]
    assert questions[0] == ("HEAD", "manifests/1.0")
    assert sorted(questions[1:]) == sorted(
        [
            *(("GET", f"manifests/{m}") for m in (INDEX.top.digest, *(e.digest for e in listed))),
            *(("GET", path) for path in _configs(INDEX)),
            *(
                ("HEAD", f"manifests/{subject.replace(':', '-')}{end}")
                for subject in subjects
                for end in (".sig", ".att", ".sbom", "")
            ),
            ("GET", f"manifests/{made.digest}"),
        ]
    )


def _configs(image: Image) -> list[str]:
    wanted = {entry.digest for entry in image.entries if entry.subject is None}
    values = [json.loads(m.data) for m in image.manifests if m.digest in wanted]
    return [f"blobs/{value['config']['digest']}" for value in values]


def test_inspect_table_shows_one_row_for_each_platform(registry: Registry) -> None:
    push(registry, NAME, "latest", INDEX)
    ran = image_tools("inspect", f"{registry.address}/{NAME}")

    head, _, rows = ran.stdout.partition("\n\n")
    assert [line.split()[0] for line in head.splitlines()] == ["image", "digest", "type", "size"]
    assert f"{registry.address}/{NAME}:latest" in head
    titles, *lines = [line.split() for line in rows.splitlines()]
    assert titles == ["PLATFORM", "DIGEST", "SIZE", "LAYERS", "CREATED", "ATTESTATIONS"]
    assert [(line[0], line[1], line[-1]) for line in lines] == [
        (f"linux/{name}", entry.digest, "1")
        for name, entry in zip(("amd64", "arm64", "s390x"), INDEX.entries, strict=False)
    ]


@pytest.mark.parametrize("kind", images.REGISTRY_KINDS)
def test_inspect_any_kind_of_image(kind: str, registry: Registry) -> None:
    image = images.KINDS[kind](3)
    push(registry, NAME, "1.0", image)
    ran = image_tools("inspect", f"{registry.address}/{NAME}:1.0", "--format=json")

    found = ran.report
    assert (ran.code, found["digest"], ran.stderr) == (0, image.top.digest, "")
    assert all(one["present"] for one in found["images"])
    if not kind.startswith("schema1"):
        assert found["size"] == size_of(image)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], INDEX.top.data),
        (["--override-arch", "arm64"], INDEX.manifests[1].data),
        (["-override-os=linux", "--override-arch=x86_64"], INDEX.manifests[0].data),
    ],
)
def test_inspect_raw_is_exactly_what_the_registry_holds(
    words: list[str], expected: bytes, registry: Registry
) -> None:
    push(registry, NAME, "1.0", INDEX)
    ran = image_tools("inspect", "--raw", *words, f"{registry.address}/{NAME}:1.0")

    assert (ran.code, ran.stdout.encode()) == (0, expected)


def test_inspect_raw_needs_one_question(registry: Registry) -> None:
    push(registry, NAME, "1.0", INDEX)
    registry.clear_log()
    image_tools("inspect", "--raw", f"{registry.address}/{NAME}@{INDEX.top.digest}")

    assert asked(registry) == [("GET", f"manifests/{INDEX.top.digest}")]


def test_inspect_config_of_one_platform(registry: Registry) -> None:
    push(registry, NAME, "1.0", INDEX)
    words = ("inspect", "--config", "--override-arch", "s390x", f"{registry.address}/{NAME}:1.0")
    shown, raw = image_tools(*words), image_tools(*words, "--raw")

    assert shown.report == raw.report
    assert (raw.report["architecture"], raw.code) == ("s390x", 0)
    assert raw.stdout.encode() in {blob.data for blob in INDEX.blobs}


def test_inspect_platform_missing_says_which_there_are(registry: Registry) -> None:
    push(registry, NAME, "1.0", INDEX)
    ran = image_tools("inspect", f"{registry.address}/{NAME}:1.0", "--override-arch", "riscv64")

    assert ran.code == 1
    assert f"{registry.address}/{NAME}:1.0: no image for riscv64" in ran.stderr
    assert "advice: it has linux/amd64, linux/arm64, linux/s390x" in ran.stderr


def test_inspect_absent_image_fails_after_one_head(registry: Registry) -> None:
    registry.clear_log()
    ran = image_tools("inspect", f"{registry.address}/{NAME}:2.0")

    assert (ran.code, asked(registry)) == (1, [("HEAD", "manifests/2.0")])
    assert f"{registry.address}/{NAME}:2.0: not found (404)" in ran.stderr


# --- inspect list


@pytest.fixture
def listed(registry: Registry, tmp_path: Path) -> Path:
    """Give a list of two images, an absent one, and a line that cannot be read."""
    push(registry, NAME, "1.0", INDEX)
    push(registry, NAME, "2.0", SINGLE)
    path = tmp_path / "list.txt"
    path.write_text(
        f"# images\n{NAME}:1.0\nA B\n\n{NAME}:2.0 elsewhere.example/x/y 2.0\n{NAME}:9\n"
    )
    return path


def test_inspect_list_gives_a_row_for_each_line(listed: Path, registry: Registry) -> None:
    ran = image_tools("inspect", "list", "-f", listed, "-s", registry.address, "--format=json")

    rows = ran.report["rows"]
    assert (ran.code, ran.report["exit_code"]) == (1, 1)
    assert ran.report["counts"] == {"found": 2, "failed": 1, "invalid": 1}
    assert [(row["line"], row["status"], row["digest"]) for row in rows] == [
        (2, "found", INDEX.top.digest),
        (3, "invalid", ""),
        (5, "found", SINGLE.top.digest),
        (6, "failed", ""),
    ]
    assert rows[0]["platforms"] == ["linux/amd64", "linux/arm64", "linux/s390x"]
    assert (rows[0]["attestations"], rows[0]["size"]) == (3, None)
    assert (rows[2]["platforms"], rows[2]["size"]) == (["linux/amd64"], size_of(SINGLE))
    assert (rows[3]["kind"], rows[1]["kind"]) == ("not-found", "invalid-line")
    assert f"{listed}:6: {registry.address}/{NAME}:9: not found (404)" in ran.stderr
    assert f"{listed}:3: 2 words" in ran.stderr


def test_inspect_list_asks_two_questions_for_an_index(listed: Path, registry: Registry) -> None:
    listed.write_text(f"{NAME}:1.0\n")
    registry.clear_log()
    ran = image_tools("inspect", "list", "-f", listed, "-s", registry.address)

    assert ran.code == 0
    assert asked(registry) == [
        ("HEAD", "manifests/1.0"),
        ("GET", f"manifests/{INDEX.top.digest}"),
    ]


def test_inspect_list_sizes_as_csv(listed: Path, registry: Registry) -> None:
    words = ("--sizes", "--format", "csv", "--skip-invalid")
    ran = image_tools("inspect", "list", "-f", listed, "-s", registry.address, *words)

    rows = list(csv.DictReader(io.StringIO(ran.stdout)))
    assert [(row["line"], row["status"], row["size"]) for row in rows] == [
        ("2", "found", str(size_of(INDEX))),
        ("5", "found", str(size_of(SINGLE))),
        ("6", "failed", ""),
    ]
    assert rows[0]["platforms"] == "linux/amd64,linux/arm64,linux/s390x"


def test_inspect_list_table_is_in_list_order(listed: Path, registry: Registry) -> None:
    ran = image_tools("inspect", "list", "-file", listed, "-source", registry.address)

    assert [line.split()[:2] for line in ran.stdout.splitlines()] == [
        ["STATUS", "IMAGE"],
        ["found", f"{registry.address}/{NAME}:1.0"],
        ["invalid", "A"],
        ["found", f"{registry.address}/{NAME}:2.0"],
        ["failed", f"{registry.address}/{NAME}:9"],
    ]


# --- delete


def test_delete_takes_every_tag_of_the_digest(registry: Registry) -> None:
    for tag in ("1.9", "1.10", "stable"):
        push(registry, NAME, tag, SINGLE)
    push(registry, NAME, "2.0", INDEX)
    ran = image_tools("delete", f"{registry.address}/{NAME}:stable", "-y")

    name = f"{registry.address}/{NAME}:stable@{SINGLE.top.digest}"
    assert ran == Ran(code=0, stdout=f"deleted {name}, tags: 1.9, 1.10, stable\n", stderr="")
    assert tags(registry, NAME) == ["2.0"]
    assert manifest(registry, NAME, SINGLE.top.digest) is None


def test_delete_by_digest_as_json(registry: Registry) -> None:
    push(registry, NAME, "1.0", SINGLE)
    reference = f"{registry.address}/{NAME}@{SINGLE.top.digest}"
    ran = image_tools("delete", reference, "--yes", "--format", "json")

    assert ran.report == {
        "schema": 1,
        "command": "delete",
        "reference": reference,
        "digest": SINGLE.top.digest,
        "media_type": SINGLE.top.media_type,
        "tags": ["1.0"],
        "deleted": True,
    }
    assert tags(registry, NAME) == []


def test_delete_where_it_is_not_allowed_is_explained(docker_registry: Path) -> None:
    with start_registry(RegistryOptions(delete_enabled=False)) as registry:
        push(registry, NAME, "1.0", SINGLE)
        ran = image_tools("delete", "-y", f"{registry.address}/{NAME}:1.0")

        assert (ran.code, ran.stdout) == (1, "")
        assert "the registry does not allow deleting (405" in ran.stderr
        assert "advice: have it turned on at the registry" in ran.stderr
        assert manifest(registry, NAME, "1.0") is not None


def test_delete_with_token_asks_for_the_right(
    token_registry: Registry, token_server: TokenServer
) -> None:
    push(token_registry, NAME, "1.0", SINGLE)
    token_server.requests.clear()
    ran = image_tools("delete", "-y", f"{token_registry.address}/{NAME}:1.0", environ=LOGIN)

    assert (ran.code, tags(token_registry, NAME)) == (0, [])
    scopes = {scope for request in token_server.requests for scope in request.scopes}
    assert f"repository:{NAME}:pull,push,delete" in scopes


def test_delete_absent_image_fails(registry: Registry) -> None:
    ran = image_tools("delete", "-y", f"{registry.address}/{NAME}:1.0")

    assert (ran.code, "not found (404)" in ran.stderr) == (1, True)


def test_delete_without_terminal_is_refused_before_any_question(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(registry, NAME, "1.0", SINGLE)
    registry.clear_log()
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    ran = image_tools("delete", f"{registry.address}/{NAME}:1.0")

    assert (ran.code, asked(registry)) == (2, [])
    assert "advice: add -y to delete without being asked" in ran.stderr


@pytest.mark.parametrize(
    ("answer", "code", "left"), [("y\n", 0, []), ("\n", 1, ["1.0"]), ("\x04", 1, ["1.0"])]
)
def test_delete_at_a_terminal_asks_first(
    answer: str, code: int, left: list[str], registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(registry, NAME, "1.0", SINGLE)
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer.encode())
        with open(theirs, closefd=False) as terminal:
            monkeypatch.setattr("sys.stdin", terminal)
            ran = image_tools("delete", f"{registry.address}/{NAME}:1.0")
    finally:
        os.close(ours)
        os.close(theirs)

    assert f"{registry.address}/{NAME}:1.0 is {SINGLE.top.digest}" in ran.stderr
    assert "tags that go with it: 1.0\nDelete it? [y/N] " in ran.stderr
    assert (ran.code, tags(registry, NAME)) == (code, left)
