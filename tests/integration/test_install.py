"""Downloading skopeo from a loopback server, with a real binary."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from image_tools.errors import (
    AccessDenied,
    DigestMismatch,
    EnvironmentProblem,
    Interrupted,
    NotFound,
    TlsProblem,
    Unavailable,
    UnknownFailure,
)
from image_tools.machine.cancel import Cancel
from image_tools.retry import RetryPolicy
from image_tools.tools.install import Download, download_for, install_skopeo
from image_tools.tools.locate import downloaded_skopeo, find_skopeo
from image_tools.tools.versions import probe
from tests.helpers.certificates import Certificates
from tests.helpers.threaded_server import ThreadedServer
from tests.helpers.tools import every

CUT_AT = 1_000_000
CHUNK = 256 * 1024
AT_ONCE = RetryPolicy(delay=0.0)


@dataclass
class Files:
    """What the server has and does, and what it was asked."""

    content: bytes
    etag: str = '"v1"'
    cuts: int = 0
    status: int = 200
    location: str = ""
    seen: list[tuple[str, str]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    address: str = ""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def download(self) -> Download:
        return self.at(f"http://{self.address}/skopeo")

    def at(self, url: str) -> Download:
        return Download(url=url, sha256=self.sha256, policy=AT_ONCE)


class Answer(BaseHTTPRequestHandler):
    """GET with Range and If-Range; as a proxy it answers for every host."""

    def __init__(self, files: Files, *arguments: object) -> None:
        self.files = files
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        files = self.files
        files.seen.append((self.path, self.headers.get("Range", "")))
        files.logins.append(
            self.headers.get("Proxy-Authorization") or self.headers.get("Authorization") or ""
        )
        if files.status != 200:
            self._head(files.status, 0, ("Location", files.location))
            return
        start = self._start()
        body = files.content[start:]
        if start:
            last = len(files.content) - 1
            self._head(206, len(body), ("Content-Range", f"bytes {start}-{last}/{last + 1}"))
        else:
            self._head(200, len(body))
        if files.cuts:
            files.cuts -= 1
            body = body[:CUT_AT]
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def _start(self) -> int:
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(found[1]) if found and self.headers["If-Range"] == self.files.etag else 0

    def _head(self, status: int, length: int, *fields: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Length", str(length)), ("ETag", self.files.etag), *fields):
            if value:
                self.send_header(name, value)
        self.end_headers()


@pytest.fixture
def files() -> Iterator[Files]:
    """Give a server that has a real skopeo."""
    # The installed one: those that scripts/toolbox fetched are small scripts around a program.
    programs = [tool.path.resolve() for tool in every("skopeo")]
    served = Files(max(programs, key=lambda path: path.stat().st_size).read_bytes())
    server = ThreadedServer(partial(Answer, served))  # type: ignore[arg-type]
    server.start()
    served.address = server.address
    yield served
    server.stop()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return downloaded_skopeo({"HOME": str(tmp_path)})


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_install_skopeo_real_binary_runs_and_is_found(files, target, tmp_path):
    steps: list[tuple[int, int | None]] = []

    installed = install_skopeo(
        files.download, target, environ={}, on_progress=lambda *step: steps.append(step)
    )

    environ = {"HOME": str(tmp_path), "PATH": "/nowhere"}
    size = len(files.content)
    assert installed == target == find_skopeo(environ)
    assert probe("skopeo", installed, environ).major == 1
    assert (steps[0], steps[-1]) == ((0, size), (size, size))
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert left_in(target.parent) == ["skopeo"]


def test_install_skopeo_variables_fill_in_the_machine(files, target):
    environ = {
        "IMAGE_TOOLS_SKOPEO_URL": f"http://me:word@{files.address}/skopeo-{{arch}}",
        "IMAGE_TOOLS_SKOPEO_SHA256": files.sha256,
    }

    install_skopeo(download_for("aarch64", "Linux", environ), target, environ=environ)

    assert files.seen == [("/skopeo-arm64", "")]
    assert files.logins == ["Basic " + base64.b64encode(b"me:word").decode()]


def test_install_skopeo_wrong_sum_leaves_nothing_executable(files, target):
    secret = f"http://me:secret@{files.address}/skopeo?token=secret"
    wrong = replace(files.at(secret), sha256="0" * 64)

    with pytest.raises(DigestMismatch) as caught:
        install_skopeo(wrong, target, environ={})

    assert str(caught.value) == (
        f"{files.download.url}: sha256 is {files.sha256}, expected {'0' * 64}; removed"
    )
    assert left_in(target.parent) == []
    assert len(files.seen) == 1


def test_install_skopeo_no_checksum_asks_nobody(files):
    with pytest.raises(EnvironmentProblem, match="without a checksum"):
        download_for("x86_64", "Linux", {"IMAGE_TOOLS_SKOPEO_URL": files.download.url})

    assert files.seen == []


def test_install_skopeo_cut_transfer_is_resumed(files, target):
    files.cuts = 2

    install_skopeo(files.download, target, environ={})

    assert files.seen == [
        ("/skopeo", ""),
        ("/skopeo", f"bytes={CUT_AT}-"),
        ("/skopeo", f"bytes={2 * CUT_AT}-"),
    ]
    assert target.read_bytes() == files.content


def test_install_skopeo_always_cut_keeps_the_part_for_the_next_run(files, target):
    files.cuts = 4

    with pytest.raises(Unavailable, match=f"cut after {4 * CUT_AT} of {len(files.content)} bytes"):
        install_skopeo(files.download, target, environ={})
    (part,) = (path for path in target.parent.iterdir() if path.suffix == ".part")
    kept = (part.stat().st_size, part.stat().st_mode & 0o777)
    install_skopeo(files.download, target, environ={})

    assert kept == (4 * CUT_AT, 0o600)
    assert files.seen[4:] == [("/skopeo", f"bytes={4 * CUT_AT}-")]
    assert target.read_bytes() == files.content
    assert left_in(target.parent) == ["skopeo"]


@pytest.mark.parametrize("etag", ['"v2"', 'W/"v1"', ""])
def test_install_skopeo_other_version_starts_anew(files, target, etag):
    files.etag = '"v1"' if etag == '"v2"' else etag
    files.cuts = 4
    with pytest.raises(Unavailable):
        install_skopeo(files.download, target, environ={})
    files.etag, files.seen = etag, []

    install_skopeo(files.download, target, environ={})

    assert len(files.seen) == 1
    assert target.read_bytes() == files.content


@pytest.mark.parametrize(
    ("status", "kind", "requests"),
    [(404, NotFound, 1), (403, AccessDenied, 1), (418, UnknownFailure, 1), (503, Unavailable, 4)],
)
def test_install_skopeo_refused_says_what_to_do(files, target, status, kind, requests):
    files.status = status

    with pytest.raises(kind) as caught:
        install_skopeo(files.download, target, environ={})

    assert str(caught.value).startswith(f"{files.download.url}: {status}")
    assert ("IMAGE_TOOLS_SKOPEO_URL" in caught.value.advice) is (status < 500)
    assert len(files.seen) == requests
    assert left_in(target.parent) == []


@pytest.mark.parametrize(
    ("location", "words"), [("/skopeo", "redirects"), ("ftp://a.example/b", "redirected to where")]
)
def test_install_skopeo_bad_redirect_is_refused(files, target, location, words):
    files.status, files.location = 302, location

    with pytest.raises(Unavailable, match=words):
        install_skopeo(files.download, target, environ={})

    assert not target.exists()


def test_install_skopeo_proxy_carries_the_request(files, target):
    environ = {"http_proxy": f"http://me:word@{files.address}", "NO_PROXY": "other.example"}
    download = files.at("http://files.example/skopeo")

    install_skopeo(download, target, environ=environ)

    assert files.seen == [("http://files.example/skopeo", "")]
    assert files.logins == ["Basic " + base64.b64encode(b"me:word").decode()]


def test_install_skopeo_no_proxy_goes_directly(files, target):
    environ = {"HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": "127.0.0.1"}

    install_skopeo(files.download, target, environ=environ)

    assert files.seen == [("/skopeo", "")]


def test_install_skopeo_private_authority_needs_its_file(files, target, certificates: Certificates):
    server = ThreadedServer(partial(Answer, files), certificates.server_context())  # type: ignore[arg-type]
    server.start()
    download = files.at(f"https://{server.address}/skopeo")
    try:
        with pytest.raises(TlsProblem, match="signed by an unknown authority"):
            install_skopeo(download, target, environ={})
        install_skopeo(download, target, environ={"SSL_CERT_FILE": str(certificates.authority)})
        files.status, files.location = 302, files.download.url
        with pytest.raises(TlsProblem, match="leads from TLS to plain HTTP"):
            install_skopeo(
                replace(download, sha256="0" * 64),
                target,
                environ={"SSL_CERT_FILE": str(certificates.authority)},
            )
    finally:
        server.stop()

    assert target.read_bytes() == files.content


def test_install_skopeo_cancelled_stops_and_keeps_the_part(files, target):
    cancel = Cancel()

    with pytest.raises(Interrupted):
        install_skopeo(
            files.download,
            target,
            environ={},
            on_progress=lambda done, _: cancel.set() if done > CHUNK else None,
            cancel=cancel,
        )
    install_skopeo(files.download, target, environ={})

    assert files.seen[1][1].startswith("bytes=")
    assert target.read_bytes() == files.content


INSTALL = """
import sys
from pathlib import Path
from image_tools.tools.install import Download, install_skopeo
print(install_skopeo(Download(url=sys.argv[1], sha256=sys.argv[2]), Path(sys.argv[3]), environ={}))
"""


def test_install_skopeo_two_processes_download_once(files, target):
    argv = (sys.executable, "-c", INSTALL, files.download.url, files.sha256, str(target))
    start = partial(subprocess.run, argv, capture_output=True, text=True, check=True, timeout=60)

    with ThreadPoolExecutor(2) as pool:
        done = [future.result() for future in [pool.submit(start), pool.submit(start)]]

    assert [run.stdout.strip() for run in done] == [str(target)] * 2
    assert files.seen == [("/skopeo", "")]
    assert target.read_bytes() == files.content
