"""How far TLS is trusted."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from image_tools.errors import EnvironmentProblem
from image_tools.web.tls import (
    TlsChoice,
    certificate_folders,
    is_loopback,
    shared_context,
    shows_certificate,
    tls_context,
)
from tests.helpers.certificates import Certificates, issue_certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("registry.localhost.", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost.example", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("nas", False),
    ],
)
def test_loopback_is_known_by_name_and_address(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("verify", "host", "expected"),
    [
        (None, "localhost", True),
        (None, "registry.example", False),
        (True, "localhost", False),
        (False, "registry.example", True),
    ],
)
def test_plain_http_is_allowed_by_choice_or_on_loopback(
    verify: bool | None, host: str, expected: bool
) -> None:
    assert TlsChoice(verify).allows_plain(host) is expected


@pytest.mark.parametrize(("name", "expected"), [("me.cert", True), ("ca.crt", False)])
def test_client_certificate_is_one_in_a_folder_of_the_registry(
    tmp_path: Path, name: str, expected: bool
) -> None:
    folder = tmp_path / ".config/containers/certs.d/r:1"
    folder.mkdir(parents=True)
    (folder / name).touch()
    environ = {"HOME": str(tmp_path)}

    found = [shows_certificate(registry, environ) for registry in ("r:1", "r:2")]

    assert found == [expected, False]


def test_context_verifies_unless_told_not_to(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}

    strict = tls_context(TlsChoice(), "r", environ)
    loose = tls_context(TlsChoice(verify=False), "r", environ)

    assert (strict.verify_mode, strict.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (loose.verify_mode, loose.check_hostname) == (ssl.CERT_NONE, False)


def test_context_is_shared_by_registries_without_a_folder_while_in_use(tmp_path: Path) -> None:
    (tmp_path / ".config/docker/certs.d/own").mkdir(parents=True)
    environ = {"HOME": str(tmp_path), "SSL_CERT_DIR": str(tmp_path / "none")}

    one, same = (shared_context(TlsChoice(), name, environ) for name in ("a", "b"))
    others = [
        shared_context(TlsChoice(), "own", environ),
        shared_context(TlsChoice(verify=False), "a", environ),
        shared_context(TlsChoice(), "a", {**environ, "SSL_CERT_DIR": str(tmp_path)}),
    ]

    assert one is same
    assert one not in others


def test_authorities_come_from_choice_environment_and_folder(
    certificates: Certificates, tmp_path: Path
) -> None:
    folder = tmp_path / ".config/containers/certs.d/r:5000"
    folder.mkdir(parents=True)
    (folder / "any.crt").write_bytes(certificates.authority.read_bytes())
    elsewhere = tmp_path / "authorities"
    elsewhere.mkdir()
    (elsewhere / "x.pem").write_bytes(certificates.authority.read_bytes())
    (elsewhere / "README").write_text("no certificate")
    home, nothing = {"HOME": str(tmp_path)}, {"SSL_CERT_DIR": str(tmp_path / "none")}
    named = TlsChoice(ca_file=certificates.authority)

    counts = [
        len(tls_context(choice, registry, home | environ).get_ca_certs())
        for choice, registry, environ in (
            (TlsChoice(), "r", nothing),
            (TlsChoice(), "r:5000", nothing),
            (named, "r", nothing),
            (TlsChoice(), "r", {"SSL_CERT_FILE": str(certificates.authority)}),
            (TlsChoice(), "r", {"SSL_CERT_DIR": str(elsewhere)}),
        )
    ]

    assert counts == [0, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"a.crt": "no PEM"}, "a.crt: no certificate in PEM format"),
        ({"a.cert": "x"}, "a.key: missing, the key of a.cert"),
        ({"a.cert": "x", "a.key": "y"}, "a.cert: not usable with a.key"),
    ],
)
def test_folder_with_a_broken_file_names_it(
    files: dict[str, str], text: str, tmp_path: Path
) -> None:
    folder = tmp_path / ".config/docker/certs.d/r"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_text(content)

    with pytest.raises(EnvironmentProblem, match=text):
        tls_context(TlsChoice(), "r", {"HOME": str(tmp_path)})


def test_authority_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match=r"absent\.pem: cannot be read: No such file"):
        tls_context(TlsChoice(ca_file=tmp_path / "absent.pem"), "r", {"HOME": str(tmp_path)})


def test_folders_of_the_user_go_before_those_of_the_system() -> None:
    folders = certificate_folders("r:1", {"HOME": "/home/u"})

    assert [str(folder) for folder in folders] == [
        "/home/u/.config/containers/certs.d/r:1",
        "/home/u/.config/docker/certs.d/r:1",
        "/etc/containers/certs.d/r:1",
        "/etc/docker/certs.d/r:1",
    ]
