"""An archive that is served: what is warned about, and what keeps it from being served."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from image_tools.commands.serve import Served, ServeRequest, serve
from image_tools.errors import EnvironmentProblem, ImageToolsError, UsageError
from image_tools.machine.cancel import Cancel
from tests.helpers.memory_run import saved_archive
from tests.helpers.memory_store import MemoryStore


@pytest.fixture
def request_(tmp_path: Path) -> ServeRequest:
    path, _ = saved_archive(tmp_path, MemoryStore("src.example"), "linux/amd64")
    return ServeRequest(archive=path, port=0)


def served(request: ServeRequest) -> tuple[Served, int]:
    """Serve, and stop as soon as the port is open."""
    stopped, heard = Cancel(), list[Served]()

    def on_ready(found: Served) -> None:
        heard.append(found)
        stopped.set()

    read = serve(request, on_ready, stopped)
    (found,) = heard
    return found, read


def test_serve_tells_its_address_and_ends_when_it_is_stopped(request_: ServeRequest) -> None:
    found, read = served(request_)

    assert found.address.startswith("127.0.0.1:")
    assert (found.images, found.warnings, read) == (1, (), 0)


def test_serve_on_all_addresses_warns_who_can_read(request_: ServeRequest) -> None:
    found, _ = served(replace(request_, host="0.0.0.0"))

    assert found.warnings == (
        "everybody who reaches 0.0.0.0 can read all images (--htpasswd FILE)",
    )


def test_serve_with_passwords_but_without_tls_warns(request_: ServeRequest, tmp_path: Path) -> None:
    htpasswd = tmp_path / "htpasswd"
    htpasswd.write_text("me:$2y$05$" + "a" * 53 + "\n")
    found, _ = served(replace(request_, host="0.0.0.0", htpasswd=htpasswd))

    assert found.warnings == ("passwords and images are sent in the clear (--tls-cert, --tls-key)",)


@pytest.mark.parametrize(
    ("text", "error"), [(None, EnvironmentProblem), ("no certificate", UsageError)]
)
def test_serve_with_a_wrong_certificate_is_refused(
    request_: ServeRequest, tmp_path: Path, text: str | None, error: type[ImageToolsError]
) -> None:
    path = tmp_path / "cert.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(error, match=r"cert\.pem"):
        served(replace(request_, tls=(path, path)))
