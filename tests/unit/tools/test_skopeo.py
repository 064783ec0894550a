from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from image_tools.oci.manifest import RawManifest
from image_tools.oci.platform import Platform
from image_tools.tools.skopeo import (
    CopyRequest,
    DirectSource,
    LoginRequest,
    SkopeoSetting,
    copy_argv,
    index_only_argv,
    login_argv,
    write_index_folder,
)

SETTING = SkopeoSetting(
    skopeo="/usr/bin/skopeo",
    policy=Path("/run/policy.json"),
    authfile=Path("/run/auth.json"),
    tmpdir=Path("/run/tmp"),
    registries_conf=Path("/run/registries.conf"),
    registries_d=Path("/run/registries.d"),
)
MACHINES = replace(SETTING, registries_conf=None, registries_d=None)
OWN = ("/usr/bin/skopeo", "--policy", "/run/policy.json", "--tmpdir", "/run/tmp")
GIVEN = (*OWN, "--registries-conf", "/run/registries.conf", "--registries.d", "/run/registries.d")
FROM = ("--src-tls-verify=false", "--src-authfile", "/run/auth.json")
TO = ("--dest-tls-verify=false", "--dest-authfile", "/run/auth.json")
REQUEST = CopyRequest(setting=SETTING, source="h:1/s1/a@sha256:x", destination="h:1/s2/b@sha256:x")
ENDS = ("docker://h:1/s1/a@sha256:x", "docker://h:1/s2/b@sha256:x")
KEPT = ("copy", "--preserve-digests", "--remove-signatures")


@pytest.mark.parametrize(
    ("request_", "argv"),
    [
        pytest.param(REQUEST, (*GIVEN, *KEPT, *FROM, *TO, *ENDS), id="no-platform"),
        pytest.param(
            replace(REQUEST, platform=Platform("linux", "arm64")),
            (
                *GIVEN,
                *("--override-os", "linux", "--override-arch", "arm64"),
                *KEPT,
                *FROM,
                *TO,
                *ENDS,
            ),
            id="platform",
        ),
        pytest.param(
            replace(REQUEST, platform=Platform("linux", "arm", "v6", "1.0", ("x",))),
            (
                *GIVEN,
                *("--override-os", "linux", "--override-arch", "arm", "--override-variant", "v6"),
                *KEPT,
                *FROM,
                *TO,
                *ENDS,
            ),
            id="variant",
        ),
        pytest.param(
            replace(REQUEST, convert=True),
            (*GIVEN, "copy", "--format", "v2s2", "--remove-signatures", *FROM, *TO, *ENDS),
            id="schema-1",
        ),
        pytest.param(
            replace(REQUEST, setting=MACHINES, source_direct=DirectSource()),
            (*OWN, *KEPT, *TO, *ENDS),
            id="direct",
        ),
        pytest.param(
            replace(REQUEST, setting=MACHINES, source_direct=DirectSource(tls_verify=True)),
            (*OWN, *KEPT, "--src-tls-verify=true", *TO, *ENDS),
            id="direct-verified",
        ),
        pytest.param(
            replace(
                REQUEST,
                setting=MACHINES,
                source_direct=DirectSource(Path("/me/auth.json"), Path("/certs"), tls_verify=False),
            ),
            (
                *OWN,
                *KEPT,
                *("--src-tls-verify=false", "--src-authfile", "/me/auth.json"),
                *("--src-cert-dir", "/certs"),
                *TO,
                *ENDS,
            ),
            id="direct-with-login",
        ),
        pytest.param(
            replace(REQUEST, whole_index=True),
            (*GIVEN, "copy", "--all", *KEPT[1:], *FROM, *TO, *ENDS),
            id="whole-index",
        ),
    ],
)
def test_copy_argv_request_is_this_command_line(request_, argv):
    assert copy_argv(request_) == argv


def test_index_only_argv_folder_is_this_command_line():
    assert index_only_argv(SETTING, Path("/run/index"), "h:1/s2/b:v1") == (
        *GIVEN,
        *("copy", "--multi-arch", "index-only", "--preserve-digests", "--remove-signatures"),
        *TO,
        "dir:/run/index",
        "docker://h:1/s2/b:v1",
    )


def test_write_index_folder_index_is_kept_byte_for_byte(tmp_path):
    folder = tmp_path / "new" / "index"

    write_index_folder(folder, RawManifest("any/type", b"{ \xff\r\n}"))

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "version": b"Directory Transport Version: 1.1\n",
        "manifest.json": b"{ \xff\r\n}",
    }


@pytest.mark.parametrize(
    ("username", "verify", "words"),
    [
        ("", True, ("--tls-verify=true", "reg:5000")),
        ("robot", False, ("--tls-verify=false", "--username", "robot", "reg:5000")),
    ],
)
def test_login_argv_names_private_files_and_no_password(username, verify, words):
    request = LoginRequest(
        skopeo="/usr/bin/skopeo",
        registry="reg:5000",
        authfile=Path("/run/login.json"),
        registries_conf=Path("/run/registries.conf"),
        certificates=Path("/run/certificates"),
        tls_verify=verify,
        username=username,
    )
    files = ("--authfile", "/run/login.json", "--cert-dir", "/run/certificates")

    assert login_argv(request) == (
        *("/usr/bin/skopeo", "--registries-conf", "/run/registries.conf", "login"),
        *files,
        *words,
    )
