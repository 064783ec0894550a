"""`doctor` beside real registries: what it says of each, and of the machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.certificates import Certificates
from tests.helpers.endpoint import LAB_LOGIN, Login
from tests.helpers.login_places import Desk, auths, docker_file
from tests.helpers.registry import Registry, free_port
from tests.helpers.running import image_tools
from tests.helpers.token_server import TokenServer

WRONG = Login(LAB_LOGIN.username, "wrong-Secret+2")


def doctor(*words: str | Path) -> tuple[int, dict[str, dict[str, Any]]]:
    """Give the exit code and the checks by name, of a home that others cannot read."""
    ran = image_tools("doctor", "--format", "json", *words)
    assert LAB_LOGIN.password not in ran.stdout + ran.stderr
    return ran.code, {check["name"]: check for check in ran.report["checks"]}


def lay_down(home: Path, registry: str, login: Login) -> None:
    docker_file(Desk(home, registry, login))
    (home / ".docker/config.json").chmod(0o600)


def test_doctor_finds_a_machine_in_order(
    htpasswd_registry: Registry, clean_environment: Path
) -> None:
    here = htpasswd_registry.address
    lay_down(clean_environment, here, LAB_LOGIN)
    code, found = doctor()

    assert {name: check["verdict"] for name, check in found.items()} == {
        "skopeo": "ok",
        "buildx": "ok",
        "signature policy": "ok",
        "login file": "ok",
        "certificates": "ok",
        "temporary files": "ok",
        "state": "ok",
        f"registry {here}": "ok",
        f"login {here}": "ok",
        "clock": "ok",
    }
    assert code == 0
    assert found[f"login {here}"]["finding"] == f"let in as {LAB_LOGIN.username}"


@pytest.mark.parametrize("kind", ["basic", "token"])
def test_doctor_finds_a_login_that_is_refused(
    htpasswd_registry: Registry,
    token_registry: Registry,
    token_server: TokenServer,
    clean_environment: Path,
    kind: str,
) -> None:
    here = (htpasswd_registry if kind == "basic" else token_registry).address
    lay_down(clean_environment, here, WRONG)
    code, found = doctor()

    assert (code, found[f"login {here}"]["verdict"]) == (1, "wrong")
    assert "wrong user name or password" in found[f"login {here}"]["finding"]
    assert found[f"login {here}"]["remedy"] == f"image-tools login {here}"


def test_doctor_finds_that_a_login_is_missing(htpasswd_registry: Registry) -> None:
    here = htpasswd_registry.address
    code, found = doctor("-d", here)

    assert (code, found[f"login {here}"]["verdict"]) == (1, "wrong")
    assert found[f"login {here}"]["remedy"] == f"image-tools login {here}"


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        ("{bad", "repair it, or move it away"),
        ('{"credHelpers": {"%s": "absent"}}', "install it, or take it out of"),
        ('{"auths": {"%s": {"auth": "!!!"}}}', "image-tools login "),
    ],
)
def test_doctor_says_what_mends_a_login_that_cannot_be_read(
    htpasswd_registry: Registry, clean_environment: Path, content: str, remedy: str
) -> None:
    here = htpasswd_registry.address
    path = clean_environment / ".docker/config.json"
    path.write_text(content.replace("%s", here))
    path.chmod(0o600)
    code, found = doctor("-d", here)

    assert (code, found[f"login {here}"]["verdict"]) == (1, "wrong")
    assert found[f"login {here}"]["remedy"].startswith(remedy)


def test_doctor_looks_at_the_registries_of_a_list(
    registry: Registry, tls_registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    closed, strange = f"localhost:{free_port()}", tls_registry.at("localhost")
    (tmp_path / "list.txt").write_text(
        f"{registry.address}/a {closed}/a 1\n{strange}/a {closed}/b 1\nnot a line at all\n"
    )
    code, found = doctor("-f", tmp_path / "list.txt")
    trusted = doctor("-f", tmp_path / "list.txt", "--ca-file", certificates.authority)[1]

    assert code == 1
    assert found[f"registry {registry.address}"]["finding"] == "reached over plain HTTP"
    assert found[f"login {registry.address}"]["verdict"] == "note"
    assert found[f"registry {closed}"]["remedy"] == f"curl -v https://{closed}/v2/"
    assert "unknown authority" in found[f"registry {strange}"]["finding"]
    assert found[f"registry {strange}"]["remedy"].endswith(f"certs.d/{strange}/ca.crt")
    assert trusted[f"registry {strange}"]["finding"] == "reached over TLS"


def test_doctor_table_shows_the_command_that_mends(clean_environment: Path) -> None:
    path = clean_environment / ".docker/config.json"
    path.write_text(auths({}))
    path.chmod(0o640)
    ran = image_tools("doctor")

    assert ran.code == 1
    assert "wrong  login file" in ran.stdout
    assert f"       mend it: chmod 600 {path}\n" in ran.stdout
    path.chmod(0o600)
    assert image_tools("doctor").code == 0


def test_doctor_finds_a_registries_conf_that_is_no_toml(clean_environment: Path) -> None:
    folder = clean_environment / ".config/containers"
    folder.mkdir(parents=True)
    (folder / "registries.conf").write_text("no toml [")
    code, found = doctor()

    assert (code, found["registries.conf"]["verdict"]) == (1, "wrong")
    assert "not a usable registries.conf" in found["registries.conf"]["finding"]


def test_doctor_json_is_one_document(clean_environment: Path) -> None:
    document = json.loads(image_tools("doctor", "--format", "json").stdout)

    assert list(document) == ["schema", "command", "ok", "checks"]
    assert document["ok"] is True
