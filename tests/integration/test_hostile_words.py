"""A registry whose every word commands a terminal: none reaches a screen, a log or a file."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from image_tools.oci import media
from image_tools.oci.digest import Digest
from tests.helpers.running import image_tools
from tests.helpers.threaded_server import ThreadedServer

EVIL = "a\x1b[2J\x9b1m\x1b]0;owned\x07\u202eb\rc\x85\ud800"
CONFIG = json.dumps({"os": EVIL, "architecture": EVIL, "created": EVIL}).encode()
PAIRS = {EVIL: EVIL, "org.opencontainers.image.title": EVIL}


def _described(content: bytes, media_type: str) -> dict[str, object]:
    digest = str(Digest.of(content))
    about = {"mediaType": media_type, "digest": digest, "size": len(content)}
    return {**about, "annotations": PAIRS, "artifactType": EVIL}


CHILD = json.dumps(
    {
        "schemaVersion": 2,
        "config": _described(CONFIG, media.OCI_CONFIG),
        "layers": [_described(b"layer", EVIL)],
        "annotations": PAIRS,
    }
).encode()
STATED = {"os": "linux", "architecture": "amd64", "variant": EVIL, "os.version": EVIL}
INDEX = json.dumps(
    {
        "schemaVersion": 2,
        "manifests": [
            {**_described(CHILD, media.OCI_MANIFEST), "platform": STATED},
            _described(CHILD, media.OCI_MANIFEST),
            {**_described(b"x", EVIL), "digest": EVIL},
        ][:2],
        "annotations": PAIRS,
    }
).encode()
REFUSAL = json.dumps({"errors": [{"code": EVIL, "message": EVIL}]}).encode()
TAGS = json.dumps({"name": EVIL, "tags": ["v1", EVIL, "a\nb"]}).encode()
RAW = EVIL.encode("utf-8", "replace")


class _Evil(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        status, kind, body = self._found(path)
        self.send_response(status, EVIL.encode("latin-1", "replace").decode("latin-1"))
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = _answer

    def _found(self, path: str) -> tuple[int, str, bytes]:
        contents = {
            "tags/list": TAGS,
            "manifests/good": INDEX,
            f"manifests/{Digest.of(INDEX)}": INDEX,
            f"manifests/{Digest.of(CHILD)}": CHILD,
            f"blobs/{Digest.of(CONFIG)}": CONFIG,
            "manifests/raw": RAW,
        }
        if path == "/v2/":
            return 200, "application/json", b"{}"
        found = contents.get(path.removeprefix("/v2/team/app/"))
        if found is None or self.command not in ("GET", "HEAD"):
            return 403, "application/json", RAW if "plain" in path else REFUSAL
        kind = media.OCI_MANIFEST if found == CHILD else media.OCI_INDEX
        return 200, kind if "manifests" in path else EVIL[:1], found

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def evil() -> Iterator[str]:
    server = ThreadedServer(_Evil)
    server.start()
    yield server.address
    server.stop()


COMMANDS = {
    "inspect": "inspect {r}/team/app:good",
    "inspect-json": "inspect {r}/team/app:good --format json",
    "inspect-raw": "inspect {r}/team/app:good --raw",
    "inspect-refused": "inspect {r}/team/app:evil --debug",
    "inspect-refused-plainly": "inspect {r}/team/app:plain --debug",
    "inspect-no-json": "inspect {r}/team/app:raw --debug",
    "list-tags": "list-tags {r}/team/app",
    "list-tags-json": "list-tags {r}/team/app --format json",
    "inspect-list": "inspect list -f list.txt",
    "inspect-list-csv": "inspect list -f list.txt --format csv",
    "inspect-list-json": "inspect list -f list.txt --format json",
    "mirror": "mirror -f list.txt -d {r}/other --no-state --debug --report report.json",
    "dry-run": "mirror -f list.txt -d {r}/other --no-state --dry-run --report report.json",
    "save": "save -f list.txt -d new.tar --debug --report report.json",
    "validate": "mirror-validate -f list.txt -d {r}/other --debug --report report.json",
    "delete": "delete {r}/team/app:good --yes",
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_words_of_a_registry_command_no_terminal(
    evil: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = "".join(f"{evil}/team/app:{tag}\n" for tag in ("good", "evil", "plain", "raw"))
    # What the list says is not to be trusted either.
    (tmp_path / "list.txt").write_text(f"{lines}{evil}/\x1b[2Jteam:1\n", "utf-8")
    words = shlex.split(f"{command.format(r=evil)} --retry-delay 1ms")

    ran = image_tools(*words, environ={"LANG": "C.UTF-8"})

    reports = [path.read_text() for path in tmp_path.glob("report.json")]
    reasons = [
        line
        for path in tmp_path.glob("*failed*")
        for line in path.read_text().splitlines()
        if line.startswith("#")
    ]
    said = [ran.stdout, ran.stderr, *reports, *reasons]
    assert ran.code in (0, 1), ran.stderr
    assert "bug in image-tools" not in ran.stderr
    assert [text for text in said if _commands(text)] == []


def _commands(text: str) -> list[str]:
    return [letter for letter in text if not (letter.isprintable() or letter in "\n\t")]
