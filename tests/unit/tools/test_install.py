from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from image_tools.errors import EnvironmentProblem, ToolMissing
from image_tools.tools.install import Download, download_for, install_skopeo

RELEASE = "https://github.com/lework/skopeo-binary/releases/download/v1.16.1/skopeo-linux-"
AMD64 = Download(
    url=f"{RELEASE}amd64",
    sha256="8813fb7fcd7a723196ac287683dd929d280f6fe7f0782eace452fe1e3ff2b7eb",
)
ARM64 = Download(
    url=f"{RELEASE}arm64",
    sha256="3272f15f469af843d325134ff8a77a069d647c5f247766715c098b8f0622b627",
)
SUM = "0123456789abcdef" * 4
URL, SHA256 = "IMAGE_TOOLS_SKOPEO_URL", "IMAGE_TOOLS_SKOPEO_SHA256"


@pytest.mark.parametrize(
    ("machine", "environ", "download"),
    [
        ("x86_64", {}, AMD64),
        ("AMD64", {}, AMD64),
        ("aarch64", {}, ARM64),
        ("arm64", {URL: "", SHA256: ""}, ARM64),
        (
            "aarch64",
            {URL: "https://files.example/skopeo-{arch}?{x}", SHA256: f" sha256:{SUM.upper()}\n"},
            Download(url="https://files.example/skopeo-arm64?{x}", sha256=SUM),
        ),
        (
            "riscv64",
            {URL: "http://files.example/{arch}", SHA256: SUM},
            Download(url="http://files.example/riscv64", sha256=SUM),
        ),
    ],
)
def test_download_for_linux_machine_is_its_binary(machine, environ, download):
    assert download_for(machine, "Linux", environ) == download


@pytest.mark.parametrize(
    ("system", "machine", "environ", "kind", "words"),
    [
        ("Darwin", "arm64", {}, ToolMissing, "brew install skopeo"),
        ("Linux", "riscv64", {}, ToolMissing, "the package skopeo"),
        ("FreeBSD", "amd64", {}, ToolMissing, "FreeBSD amd64"),
        ("Linux", "x86_64", {URL: "https://a/b"}, EnvironmentProblem, "without a checksum"),
        ("Linux", "x86_64", {SHA256: SUM}, EnvironmentProblem, f"{URL} is not"),
        ("Linux", "x86_64", {URL: "https://a/b", SHA256: "abc"}, EnvironmentProblem, "64 hex"),
        ("Linux", "x86_64", {URL: "file:///b", SHA256: SUM}, EnvironmentProblem, "http or https"),
    ],
)
def test_download_for_impossible_wish_is_refused(system, machine, environ, kind, words):
    with pytest.raises(kind) as caught:
        download_for(machine, system, environ)

    assert type(caught.value) is kind
    assert words in f"{caught.value.message} {caught.value.advice}"


def test_install_skopeo_file_already_there_loads_nothing(tmp_path):
    target = tmp_path / "skopeo"
    target.write_bytes(b"program")
    target.chmod(0o600)
    download = Download(
        url="http://nowhere.invalid/", sha256=hashlib.sha256(b"program").hexdigest()
    )

    assert install_skopeo(download, target, environ={}) == target
    assert target.stat().st_mode & 0o777 == 0o755


def test_install_skopeo_file_in_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "bin").write_bytes(b"")

    with pytest.raises(EnvironmentProblem) as caught:
        install_skopeo(Download(url="http://a/", sha256=SUM), tmp_path / "bin/skopeo", environ={})

    assert str(caught.value) == f"skopeo cannot be installed: {tmp_path}/bin: File exists"


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_install_skopeo_unusable_cert_file_is_named(tmp_path: Path, content):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    wanted = Download(url="https://127.0.0.1:1/skopeo", sha256=SUM)

    with pytest.raises(EnvironmentProblem, match=r"ca\.pem"):
        install_skopeo(wanted, tmp_path / "skopeo", environ={"SSL_CERT_FILE": str(file)})
