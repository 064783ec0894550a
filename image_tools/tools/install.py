"""skopeo for a machine that has none: one static binary, checked before it may run."""

from __future__ import annotations

import hashlib
import math
import re
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from image_tools.errors import (
    AlreadyRunning,
    CopyFailed,
    DigestMismatch,
    DiskFull,
    EnvironmentProblem,
    Interrupted,
    TimedOut,
    ToolMissing,
    Unavailable,
)
from image_tools.machine.cancel import Cancel
from image_tools.machine.files import is_full, sync_folder
from image_tools.machine.locks import try_lock, wait_for_lock
from image_tools.tools.fetch import Fetcher, shown
from image_tools.tools.locate import SKOPEO_ADVICE, SKOPEO_VARIABLE
from image_tools.tools.transfer import CHUNK, ContentRange, OnProgress, Watch, transfer

URL_VARIABLE = "IMAGE_TOOLS_SKOPEO_URL"
SHA256_VARIABLE = "IMAGE_TOOLS_SKOPEO_SHA256"
RESUMES = 3
LOCK_SECONDS = 0.1
PAUSE_SECONDS = 0.2

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
    """Where a binary lies, and the sum it must have: 64 hexadecimal digits."""

    url: str
    sha256: str


def download_for(machine: str, system: str, environ: Mapping[str, str]) -> Download:
    """The skopeo for this machine; `machine` and `system` as the module `platform` names them.

    IMAGE_TOOLS_SKOPEO_URL, where `{arch}` stands for amd64 or arm64, and IMAGE_TOOLS_SKOPEO_SHA256
    replace the default. EnvironmentProblem when one of them is missing or wrong, ToolMissing where
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
    download: Download,
    target: Path,
    *,
    environ: Mapping[str, str],
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
) -> Path:
    """`target`, an executable file with the sum of `download`; nothing is loaded when it is there.

    Of two processes at once the second waits and finds the file. A cut transfer is resumed up to
    three times, and by the next run. `on_progress` gets the bytes that arrived and all bytes.
    Raises DigestMismatch, NotFound, Unavailable and their like, DiskFull, EnvironmentProblem where
    the folder cannot be written, Interrupted when `cancel` is set.
    """
    part = ContentRange(target.with_name(f"{target.name}.{download.sha256[:16]}.part"))
    watch = Watch(on_progress=on_progress, cancel=cancel)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target, cancel):
            if not _has_sum(target, download):
                _load(download, part, Fetcher(environ, advice=_ADVICE), watch)
                _put_in_place(part, target)
            target.chmod(0o755)
    except OSError as error:
        raise _local(error, target) from error
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
def _alone(target: Path, cancel: Cancel | None) -> Iterator[None]:
    """Hold the lock beside `target`; waits for it. The system frees it when we die."""
    with target.with_name(f".{target.name}.lock").open("ab") as held:

        def lock() -> None:
            if not try_lock(held.fileno()):
                raise AlreadyRunning(f"another run installs {target}")

        try:
            wait_for_lock(lock, math.inf, cancel or Cancel(), poll=LOCK_SECONDS)
        except AlreadyRunning as error:
            raise Interrupted(signal.SIGINT) from error
        yield


def _load(download: Download, part: ContentRange, fetcher: Fetcher, watch: Watch) -> None:
    """Nothing; `part` holds the bytes with the wanted sum."""
    for left in reversed(range(RESUMES + 1)):
        if _has_sum(part.file, download):
            return
        try:
            transfer(download.url, part, fetcher, watch)
            break
        except CopyFailed as error:
            _pause(0, watch.cancel)
            if not left or not (error.temporary and isinstance(error, (Unavailable, TimedOut))):
                raise
            _pause(PAUSE_SECONDS, watch.cancel)
    _pause(0, watch.cancel)
    if not _has_sum(part.file, download):
        got = _sum(part.file)
        part.remove()
        raise DigestMismatch(
            f"{shown(download.url)}: sha256 is {got}, expected {download.sha256}; removed",
            advice=f"a proxy changes content, or {SHA256_VARIABLE} is of another file",
        )


def _put_in_place(part: ContentRange, target: Path) -> None:
    part.file.chmod(0o755)
    part.file.replace(target)
    part.forget_validator()
    sync_folder(target.parent)


def _has_sum(file: Path, download: Download) -> bool:
    return file.is_file() and _sum(file) == download.sha256


def _sum(file: Path) -> str:
    seen = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            seen.update(chunk)
    return seen.hexdigest()


def _pause(seconds: float, cancel: Cancel | None) -> None:
    if cancel is None:
        time.sleep(seconds)
    elif cancel.is_set() or cancel.wait(seconds):
        raise Interrupted(signal.SIGINT)


def _local(error: OSError, target: Path) -> DiskFull | EnvironmentProblem:
    said = f"{error.filename or target}: {error.strerror or error}"
    if is_full(error):
        return DiskFull(f"skopeo cannot be installed: {said}")
    return EnvironmentProblem(f"skopeo cannot be installed: {said}", advice=_ADVICE)
