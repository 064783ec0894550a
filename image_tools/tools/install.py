"""A download of skopeo for a machine without it: one static binary, checked before it may run."""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
import signal
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from image_tools.errors import (
    AlreadyRunning,
    CopyFailed,
    DigestMismatch,
    EnvironmentProblem,
    Interrupted,
    TlsProblem,
    ToolMissing,
    refused_by_system,
)
from image_tools.machine.cancel import Cancel
from image_tools.machine.files import sync_folder
from image_tools.machine.locks import try_lock, wait_for_lock
from image_tools.retry import RetryPolicy, announce_retry, repeat_async
from image_tools.tools.locate import SKOPEO_ADVICE, SKOPEO_VARIABLE
from image_tools.web.address import shown
from image_tools.web.connect import Connections
from image_tools.web.download import OnProgress, PartialFile, download
from image_tools.web.tls import TlsChoice

URL_VARIABLE = "IMAGE_TOOLS_SKOPEO_URL"
SHA256_VARIABLE = "IMAGE_TOOLS_SKOPEO_SHA256"
_LOCK_SECONDS = 0.1
_CHUNK = 256 * 1024

_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
# The static build 1.16.1, the one that the task names with these sums.
_DEFAULT_URL = (
    "https://github.com/lework/skopeo-binary/releases/download/v1.16.1/skopeo-linux-{arch}"
)
_DEFAULT_SHA256 = {
    "amd64": "8813fb7fcd7a723196ac287683dd929d280f6fe7f0782eace452fe1e3ff2b7eb",
    "arm64": "3272f15f469af843d325134ff8a77a069d647c5f247766715c098b8f0622b627",
}
_ADVICE = (
    f"name another place in {URL_VARIABLE} and its sum in {SHA256_VARIABLE}, or install skopeo "
    f"yourself (Debian, Ubuntu, Fedora: the package skopeo), or name it in {SKOPEO_VARIABLE}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """Where a binary lies, and the SHA-256 sum it must have: 64 hexadecimal digits.

    A transfer that is cut is resumed as `policy` says.
    """

    url: str
    sha256: str
    policy: RetryPolicy = RetryPolicy()


def download_for(machine: str, system: str, environ: Mapping[str, str]) -> Download:
    """Return the skopeo for this machine; `machine` and `system` as the module `platform` has them.

    IMAGE_TOOLS_SKOPEO_URL, where `{arch}` stands for amd64 or arm64, and IMAGE_TOOLS_SKOPEO_SHA256
    replace the default. Raise EnvironmentProblem if one of them is missing or wrong, ToolMissing if
    nothing fits the machine.
    """
    if system == "Darwin":
        raise ToolMissing("skopeo is not installed", advice="brew install skopeo")
    arch = _ARCHITECTURES.get(machine.lower(), machine.lower())
    url, sha256 = environ.get(URL_VARIABLE, ""), environ.get(SHA256_VARIABLE, "")
    if url or sha256:
        return _chosen(url.replace("{arch}", arch), sha256)
    if system != "Linux" or arch not in _DEFAULT_SHA256:
        raise ToolMissing(
            f"skopeo is not installed, and there is none to download for {system} {machine}",
            advice=SKOPEO_ADVICE,
        )
    return Download(url=_DEFAULT_URL.format(arch=arch), sha256=_DEFAULT_SHA256[arch])


def install_skopeo(
    wanted: Download,
    target: Path,
    *,
    environ: Mapping[str, str],
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
) -> Path:
    """Return `target`, now an executable file with the sum of `wanted`; blocks.

    If the file is there already, nothing is downloaded. A second process waits for the first. A
    cut transfer is resumed, also by the next run. `on_progress` is told the bytes that have
    arrived and the size of the file. Raise DigestMismatch, what `download` raises, DiskFull,
    EnvironmentProblem if the folder cannot be written, Interrupted if `cancel` is set.
    """
    part = PartialFile(target.with_name(f"{target.name}.{wanted.sha256[:16]}.part"))
    cancel = cancel or Cancel()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target, cancel):
            if not _has_sum(target, wanted):
                work = _fetch(wanted, part, environ, on_progress)
                asyncio.run(_until_set(cancel, work))
                _check(wanted, part)
                _put_in_place(part, target)
            target.chmod(0o755)
    except OSError as error:
        error.filename = error.filename or str(target)
        raise refused_by_system(error, "skopeo cannot be installed", advice=_ADVICE) from error
    return target


def _chosen(url: str, sha256: str) -> Download:
    if not url or not sha256:
        there, lacking = (URL_VARIABLE, SHA256_VARIABLE) if url else (SHA256_VARIABLE, URL_VARIABLE)
        raise EnvironmentProblem(
            f"{there} is set and {lacking} is not: nothing is downloaded without a checksum",
            advice=f"set both, {SHA256_VARIABLE} to what sha256sum prints for the file",
        )
    digits = sha256.strip().lower().removeprefix("sha256:")
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise EnvironmentProblem(f"{SHA256_VARIABLE} is no SHA-256 sum: 64 hexadecimal digits")
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise EnvironmentProblem(f"{URL_VARIABLE} is no http or https address")
    return Download(url=url, sha256=digits)


@contextmanager
def _locked(target: Path, cancel: Cancel) -> Iterator[None]:
    """Hold the lock beside `target`; the system releases it if this process dies."""
    with target.with_name(f".{target.name}.lock").open("ab") as held:

        def lock() -> None:
            if not try_lock(held.fileno()):
                raise AlreadyRunning(f"another run installs {target}")

        try:
            wait_for_lock(lock, math.inf, cancel, poll=_LOCK_SECONDS)
        except AlreadyRunning:
            raise Interrupted(signal.SIGINT) from None
        yield


async def _until_set(cancel: Cancel, work: Coroutine[None, None, None]) -> None:
    """Await `work`; Interrupted as soon as `cancel` is set, by whatever thread."""
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)

    def stop() -> None:
        loop.call_soon_threadsafe(task.cancel)

    cancel.add_callback(stop)
    try:
        await task
    except asyncio.CancelledError:
        if not cancel.is_set():
            raise
        raise Interrupted(signal.SIGINT) from None
    finally:
        cancel.remove_callback(stop)


async def _fetch(
    wanted: Download,
    part: PartialFile,
    environ: Mapping[str, str],
    on_progress: OnProgress | None,
) -> None:
    """Bring the whole file to `part`."""
    if _has_sum(part.path, wanted):
        return
    connections = Connections(TlsChoice(), environ)
    action = partial(download, connections, wanted.url, part, on_progress=on_progress)
    try:
        await repeat_async(wanted.policy, action, on_retry=announce_retry)
    except CopyFailed as error:
        raise _with_advice(error) from error
    finally:
        await connections.close()


def _with_advice(error: CopyFailed) -> CopyFailed:
    """Return `error` with what helps here in place of what helps with a registry."""
    if isinstance(error, TlsProblem):
        return error.copied(advice=f"name the authority's file in SSL_CERT_FILE, or {_ADVICE}")
    return error if error.temporary else error.copied(advice=_ADVICE)


def _check(wanted: Download, part: PartialFile) -> None:
    if _has_sum(part.path, wanted):
        return
    got = _sum(part.path)
    part.remove()
    raise DigestMismatch(
        f"{shown(wanted.url)}: sha256 is {got}, expected {wanted.sha256}; removed",
        advice=f"a proxy changes content, or {SHA256_VARIABLE} is of another file",
    )


def _put_in_place(part: PartialFile, target: Path) -> None:
    part.path.chmod(0o755)
    part.finish(target)
    sync_folder(target.parent)


def _has_sum(file: Path, wanted: Download) -> bool:
    return file.is_file() and _sum(file) == wanted.sha256


def _sum(file: Path) -> str:
    seen = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            seen.update(chunk)
    return seen.hexdigest()
