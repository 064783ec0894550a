"""An archive served to others: pulled by skopeo, crane and ourselves, written by nobody."""

from __future__ import annotations

import base64
import http.client
import json
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import pytest

from tests.helpers import images
from tests.helpers.certificates import Certificates
from tests.helpers.client import Client, push, push_manifest
from tests.helpers.content import OCI_INDEX, Image, Manifest, compact
from tests.helpers.registry import Registry, plain_registry
from tests.helpers.running import image_tools, mirror
from tests.helpers.served import serving
from tests.helpers.signatures import NOTATION, entry_of, refer, tag_of
from tests.helpers.tools import newest, run

USER, PASSWORD = "robot", "open-Sesame"
NAME = "team/app"
ALL = ("--arch", "all", "--os", "all")


@dataclass(frozen=True)
class Saved:
    """An archive of one image with a referrer, and where it came from."""

    path: Path
    image: Image
    registry: str
    referrer: str

    @property
    def repository(self) -> str:
        return f"{self.registry}/{NAME}"


@pytest.fixture(scope="module")
def archives(
    tmp_path_factory: pytest.TempPathFactory,
    docker_registry: Path,
    module_environment: Mapping[str, str],
) -> Mapping[str, Saved]:
    folder, image, found = tmp_path_factory.mktemp("archives"), images.oci_index(5), {}
    with plain_registry() as source:
        for tag in ("1.0", "1.1"):
            push(source.endpoint, NAME, tag, image)
        referrer = refer(source, NAME, image.top.digest)
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX}
        data = compact({**index, "manifests": [entry_of(source, NAME, referrer)]})
        with Client(source) as client:
            tag = tag_of(image.top.digest, "")
            push_manifest(client, NAME, tag, Manifest.of(data, OCI_INDEX))
        listed = folder / "list.txt"
        listed.write_text(f"{source.address}/{NAME}:1.0\n{source.address}/{NAME}:1.1\n")
        for form, name in (("dir", "images"), ("gzip", "images.tar.gz")):
            words = ("-f", listed, "-d", folder / name, "--compress", form, *ALL)
            ran = image_tools("save", *words, environ=module_environment)
            assert ran.code == 0, ran.stderr
            found[form] = Saved(folder / name, image, source.address, referrer)
    return found


@pytest.fixture
def saved(archives: Mapping[str, Saved]) -> Saved:
    return archives["gzip"]


@pytest.mark.parametrize("form", ["dir", "gzip"])
def test_serve_is_pulled_from_by_skopeo_crane_and_mirror(
    archives: Mapping[str, Saved], registry: Registry, tmp_path: Path, form: str
) -> None:
    saved = archives[form]
    with serving(saved.path) as server:
        name = f"{server.address}/{NAME}"
        raw = run(
            newest("skopeo"), "inspect", "--raw", "--tls-verify=false", f"docker://{name}:1.0"
        )
        listed = run(newest("crane"), "ls", "--insecure", name)
        run(newest("crane"), "pull", "--insecure", f"{name}:1.0", tmp_path / "pulled.tar")
        lines = f"{name}:1.0\n"
        ran = mirror(tmp_path, lines, "-d", registry.address, *ALL)
    assert json.loads(raw.stdout) == json.loads(saved.image.top.data)
    assert listed.stdout.split() == ["1.0", "1.1"]
    assert (ran.code, ran.only()["digest"]) == (0, saved.image.top.digest), ran.stderr


def test_serve_lists_repositories_tags_and_referrers(saved: Saved) -> None:
    with serving(saved.path) as server:
        catalog = server.ask("GET", "/v2/_catalog")
        page = server.ask("GET", f"/v2/{NAME}/tags/list?n=1")
        rest = server.ask("GET", page[1]["Link"].split(">")[0].lstrip("<"))
        path = f"/v2/{NAME}/referrers/{saved.image.top.digest}"
        referrers = server.ask("GET", f"{path}?artifactType={NOTATION}")
        others = server.ask("GET", f"{path}?artifactType=application/none")
    assert json.loads(catalog[2]) == {"repositories": [saved.repository]}
    assert json.loads(page[2]) == {"name": NAME, "tags": ["1.0"]}
    assert json.loads(rest[2]) == {"name": NAME, "tags": ["1.1"]}
    assert referrers[1]["OCI-Filters-Applied"] == "artifactType"
    (found,) = json.loads(referrers[2])["manifests"]
    assert (found["digest"], found["artifactType"]) == (saved.referrer, NOTATION)
    assert json.loads(others[2])["manifests"] == []


def test_serve_answers_as_a_mirror_of_the_registry(saved: Saved) -> None:
    path = f"/v2/{NAME}/manifests/1.0"
    with serving(saved.path) as server:
        mirrored = server.ask("GET", f"{path}?ns={saved.registry}")
        of_others = server.ask("GET", f"{path}?ns=docker.io")
        head = server.ask("HEAD", path)
    assert (mirrored[0], mirrored[2]) == (200, saved.image.top.data)
    assert (of_others[0], json.loads(of_others[2])["errors"][0]["code"]) == (
        404,
        "MANIFEST_UNKNOWN",
    )
    assert (head[0], head[1]["Docker-Content-Digest"]) == (200, saved.image.top.digest)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", f"/v2/{NAME}/manifests/1.0", 405),
        ("DELETE", f"/v2/{NAME}/manifests/1.0", 405),
        ("POST", f"/v2/{NAME}/blobs/uploads/", 405),
        ("GET", f"/v2/{NAME}/blobs/sha256:" + "0" * 64, 404),
        ("GET", "/v2/none/such/manifests/1.0", 404),
        ("GET", f"/v2/{NAME}/manifests/../../../etc/passwd", 404),
        ("GET", "/etc/passwd", 404),
    ],
)
def test_serve_is_only_for_reading_what_is_there(
    saved: Saved, method: str, path: str, status: int
) -> None:
    with serving(saved.path) as server:
        assert server.ask(method, path)[0] == status


def test_serve_over_tls_lets_in_who_knows_the_password(
    saved: Saved, certificates: Certificates, tmp_path: Path
) -> None:
    users = tmp_path / "users"
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    users.write_text(f"# who may pull\n{USER}:{hashed}\n")
    pair = ("--tls-cert", certificates.server_certificate, "--tls-key", certificates.server_key)
    context = certificates.client_context()
    path = f"/v2/{NAME}/manifests/1.0"
    with serving(saved.path, "--htpasswd", users, *pair) as server:
        found = {
            name: server.ask("GET", path, headers, context)[0]
            for name, headers in {
                "nobody": {},
                "wrong password": _basic(USER, "wrong"),
                "unknown user": _basic("root", PASSWORD),
                "not basic": {"Authorization": "Bearer x"},
                "no base64": {"Authorization": "Basic %%"},
                "right": _basic(USER, PASSWORD),
                "right again": _basic(USER, PASSWORD),
            }.items()
        }
    refused = dict.fromkeys(list(found)[:-2], 401)
    assert found == {**refused, "right": 200, "right again": 200}


def test_serve_damaged_blob_breaks_off_and_is_named(
    archives: Mapping[str, Saved], tmp_path: Path
) -> None:
    saved, folder = archives["dir"], tmp_path / "images"
    shutil.copytree(saved.path, folder)
    blobs = folder / "blobs/sha256"
    child = (blobs / saved.image.leaves[0].digest.removeprefix("sha256:")).read_text()
    layer = json.loads(child)["layers"][0]["digest"]
    blob = blobs / layer.removeprefix("sha256:")
    blob.write_bytes(bytes(blob.stat().st_size))
    with serving(folder) as server:
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            server.ask("GET", f"/v2/{NAME}/blobs/{layer}")
        said = server.stop()
    assert f"blob {layer} is damaged" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_stopped_ends_with_the_code_of_the_signal(saved: Saved, number: int) -> None:
    with serving(saved.path) as server:
        said = server.stop(number)
        assert server.process.returncode == 128 + number
    assert "Traceback" not in said


def test_serve_to_other_machines_says_who_can_read(saved: Saved) -> None:
    with serving(saved.path, listen="0.0.0.0:0") as server:
        said = server.stop()
    assert "everybody who reaches 0.0.0.0 can read all images" in said


def test_serve_on_a_port_that_is_taken_says_so(saved: Saved, registry: Registry) -> None:
    ran = image_tools("serve", saved.path, "--listen", registry.address)
    assert ran.code == 3
    assert f"cannot listen on {registry.address}" in ran.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("none.tar.gz",), 2, "does not exist"),
        (("{archive}", "--tls-cert", "{users}"), 2, "are needed both"),
        (("{archive}", "--listen", "5000"), 2, "write HOST:PORT"),
        (("{archive}", "--htpasswd", "{users}"), 2, "no user with a bcrypt password"),
    ],
)
def test_serve_wrong_words_are_refused(
    saved: Saved, tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    (tmp_path / "users").write_text("robot:plain\n")
    names = {"archive": str(saved.path), "users": str(tmp_path / "users")}
    ran = image_tools("serve", *(word.format(**names) for word in words))
    assert ran.code == code, ran.stderr
    assert said in ran.stderr


def _basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
