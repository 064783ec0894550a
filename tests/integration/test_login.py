"""`login` and `logout` at real registries: tried first, kept where everybody finds it."""

from __future__ import annotations

import base64
import io
import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.helpers import images
from tests.helpers.certificates import Certificates
from tests.helpers.client import push
from tests.helpers.endpoint import LAB_LOGIN
from tests.helpers.registry import Registry
from tests.helpers.running import Ran, image_tools
from tests.helpers.token_server import TokenServer
from tests.helpers.typed import Typist

NAME, SECRET = LAB_LOGIN.username, LAB_LOGIN.password
ENTRY = {"auth": base64.b64encode(f"{NAME}:{SECRET}".encode()).decode()}
# A helper that keeps what it is told in a folder beside it.
HELPER = """#!/bin/sh
cd "$(dirname "$0")/kept" || exit 1
file() { printf %s "$1" | tr -c 'a-zA-Z0-9' _; }
server() { sed 's/.*"ServerURL": "\\([^"]*\\)".*/\\1/' "$1"; }
case $1 in
store) cat > new; mv new "$(file "$(server new)")" ;;
get) read -r server; cat "$(file "$server")" 2>/dev/null && exit 0
  echo 'credentials not found in native keychain'; exit 1 ;;
erase) read -r server; rm "$(file "$server")" ;;
list) printf '{'; sep=; for f in *; do [ -f "$f" ] || continue
  printf '%s"%s": "x"' "$sep" "$(server "$f")"; sep=,; done
  printf '}' ;;
esac
"""


@pytest.fixture
def docker_file(clean_environment: Path) -> Path:
    """Give docker's config.json in the home of this test."""
    return clean_environment / ".docker/config.json"


def log_in(
    monkeypatch: pytest.MonkeyPatch, registry: str, *words: str | Path, password: str = SECRET
) -> Ran:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
    return image_tools("login", registry, "-u", NAME, "--password-stdin", *words)


def written(path: Path) -> dict[str, object]:
    document = json.loads(path.read_text())
    assert isinstance(document, dict)
    return document


@pytest.fixture
def helper(clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put docker-credential-lab into the path; give the folder of what it keeps."""
    program = clean_environment / "bin/docker-credential-lab"
    (program.parent / "kept").mkdir(parents=True)
    program.write_text(HELPER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return program.parent / "kept"


def test_login_over_tls_is_kept_in_dockers_file_beside_everything_else(
    tls_htpasswd_registry: Registry,
    certificates: Certificates,
    docker_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = tls_htpasswd_registry.at("localhost")
    before = {"auths": {"other.example": {"auth": "eDp5"}}, "HttpHeaders": {"é": "ü"}, "n": 1.0}
    docker_file.write_text(json.dumps(before))
    docker_file.chmod(0o644)

    ran = log_in(monkeypatch, here, "--ca-file", certificates.authority)

    assert (ran.code, ran.stdout) == (0, f"logged in to {here} as {NAME}\n"), ran.stderr
    assert f"kept in {docker_file}" in ran.stderr
    assert written(docker_file) == {
        **before,
        "auths": {"other.example": {"auth": "eDp5"}, here: ENTRY},
    }
    assert stat.S_IMODE(docker_file.stat().st_mode) == 0o600
    assert SECRET not in ran.stdout + ran.stderr


def test_login_wrong_password_is_said_and_nothing_is_kept(
    htpasswd_registry: Registry, docker_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = log_in(monkeypatch, htpasswd_registry.address, password="wrong-Secret+2")

    assert ran.code == 1
    assert f"{htpasswd_registry.address}: wrong user name or password" in ran.stderr
    assert "nothing was stored" in ran.stderr
    assert "wrong-Secret+2" not in ran.stderr
    assert not docker_file.exists()


@pytest.mark.parametrize(("password", "code"), [(SECRET, 0), ("wrong-Secret+2", 1)])
def test_login_at_a_token_server_is_tried_there(
    token_registry: Registry,
    token_server: TokenServer,
    docker_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    password: str,
    code: int,
) -> None:
    ran = log_in(monkeypatch, token_registry.address, password=password)

    assert (ran.code, docker_file.exists()) == (code, code == 0), ran.stderr
    assert [(asked.grant, asked.scopes) for asked in token_server.requests] == [("basic", ())]


def test_login_is_found_by_skopeo_and_by_mirror(
    htpasswd_registry: Registry,
    skopeo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    push(htpasswd_registry.endpoint, "team/app", "1.0", images.helm_chart(1))
    assert log_in(monkeypatch, htpasswd_registry.address).code == 0

    done = subprocess.run(
        [skopeo, "login", "--get-login", htpasswd_registry.address],
        capture_output=True,
        text=True,
        check=False,
    )
    listed = image_tools("list-tags", f"{htpasswd_registry.address}/team/app")

    assert (done.stdout, listed.stdout) == (f"{NAME}\n", "1.0\n"), done.stderr


def test_login_replaces_an_older_one_that_would_be_found_first(
    htpasswd_registry: Registry,
    clean_environment: Path,
    docker_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here, old = htpasswd_registry.address, clean_environment / "run/containers/auth.json"
    old.parent.mkdir()
    old.write_text(json.dumps({"auths": {here: {"auth": "eDp5"}, "other": {"auth": "eDp5"}}}))

    assert log_in(monkeypatch, here).code == 0
    assert written(old) == {"auths": {here: ENTRY, "other": {"auth": "eDp5"}}}
    assert written(docker_file) == {"auths": {here: ENTRY}}


def test_login_goes_to_the_file_the_variable_names(
    htpasswd_registry: Registry,
    docker_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = tmp_path / "new/auth.json"
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(chosen))

    assert log_in(monkeypatch, htpasswd_registry.address).code == 0
    assert written(chosen) == {"auths": {htpasswd_registry.address: ENTRY}}
    assert not docker_file.exists()


@pytest.mark.parametrize("own", [True, False], ids=["credHelpers", "credsStore"])
def test_login_and_logout_go_through_a_helper(
    htpasswd_registry: Registry,
    helper: Path,
    docker_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    own: bool,
) -> None:
    here = htpasswd_registry.address
    named: dict[str, object] = {"credHelpers": {here: "lab"}} if own else {"credsStore": "lab"}
    docker_file.write_text(json.dumps(named))

    ran = log_in(monkeypatch, here)
    assert ran.code == 0, ran.stderr
    assert f"docker-credential-lab, named in {docker_file}" in ran.stderr
    assert written(docker_file) == {**named, "auths": {here: {}}}
    (kept,) = helper.iterdir()
    login = {"ServerURL": here, "Username": NAME, "Secret": SECRET}
    assert json.loads(kept.read_text()) == login
    assert image_tools("doctor").stdout.count(f"let in as {NAME}") == 1

    gone = image_tools("logout", "--all")
    assert (gone.code, [*helper.iterdir()]) == (0, [])
    assert f"logged out of {here} (docker-credential-lab" in gone.stdout
    assert written(docker_file) == {**named, "auths": {}}


def test_logout_forgets_one_registry_everywhere(clean_environment: Path, docker_file: Path) -> None:
    other = clean_environment / ".config/containers/auth.json"
    other.parent.mkdir()
    for path in (docker_file, other):
        path.write_text(json.dumps({"auths": {"a.example": ENTRY, "b.example": ENTRY}, "x": [1]}))

    ran = image_tools("logout", "https://a.example/v1/")

    assert ran.code == 0
    assert (
        ran.stdout
        == f"logged out of a.example ({other})\nlogged out of a.example ({docker_file})\n"
    )
    assert [written(path) for path in (docker_file, other)] == [
        {"auths": {"b.example": ENTRY}, "x": [1]}
    ] * 2
    assert "there is no login for a.example" in image_tools("logout", "a.example").stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("login", "reg.example"), "no terminal to ask at"),
        (("login", "reg.example", "--password-stdin"), "needs its user name"),
        (("login", "reg.example/team", "-u", "x", "--password-stdin"), "is no registry"),
        (("login", "team", "-u", "x", "--password-stdin"), "is no registry"),
        (("login", "reg.example", "-u", "x", "--password=y", "--password-stdin"), "contradict"),
        (("login", "reg.example", "-u", "x", "--password-stdin"), "is empty"),
        (("logout",), "name one registry"),
        (("logout", "reg.example", "--all"), "name one registry"),
    ],
)
def test_login_not_said_rightly_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    ran = image_tools(*words)

    assert (ran.code, said in ran.stderr) == (2, True), ran.stderr


def test_login_with_password_option_warns_that_others_see_it(htpasswd_registry: Registry) -> None:
    ran = image_tools("login", htpasswd_registry.address, "-u", NAME, f"--password={SECRET}")

    assert ran.code == 0
    assert "everybody on this machine can see --password" in ran.stderr
    assert SECRET not in ran.stderr


def test_login_into_a_damaged_file_leaves_it_alone(
    htpasswd_registry: Registry, docker_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker_file.write_text("{ not json")
    ran = log_in(monkeypatch, htpasswd_registry.address)

    assert (ran.code, docker_file.read_text()) == (3, "{ not json")
    assert f"{docker_file}: damaged" in ran.stderr


def test_login_typed_at_a_terminal_is_kept(
    tls_htpasswd_registry: Registry, certificates: Certificates, docker_file: Path
) -> None:
    here = tls_htpasswd_registry.at("localhost")
    with Typist("login", here, "--ca-file", certificates.authority) as typist:
        typist.log_in(NAME, SECRET)
        code = typist.end()

    assert code == 0, typist.screen
    assert written(docker_file) == {"auths": {here: ENTRY}}
    assert SECRET not in typist.screen


def test_login_typed_wrongly_is_not_kept(htpasswd_registry: Registry, docker_file: Path) -> None:
    with Typist("login", htpasswd_registry.address) as typist:
        typist.log_in(NAME, "wrong")
        code = typist.end()

    assert (code, docker_file.exists()) == (1, False), typist.screen
    assert f"{htpasswd_registry.address}: not logged in" in typist.screen
