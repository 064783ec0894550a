"""Rows of the table: full storage, this machine, and its tools."""

from __future__ import annotations

from image_tools.errors import (
    DiskFull,
    PlatformMissing,
    PolicyRejected,
    ToolTooOld,
    Unauthorized,
    UnknownFailure,
)
from image_tools.refusals import hints
from image_tools.refusals.row import TOOL, RefusalRow

ROOM = (
    RefusalRow(
        DiskFull,
        "no space at the registry",
        words=r"no space left|not enough space|insufficient storage|disk quota"
        r"|disk usage is too high",
    ),
    RefusalRow(DiskFull, "no space at the registry", statuses=(507,)),
)

TOOLS = (
    RefusalRow(
        UnknownFailure,
        stages=TOOL,
        words=r"Manifest list must be converted to type",
        temporary=False,
    ),
    RefusalRow(
        UnknownFailure,
        stages=TOOL,
        words=r"unsupported docker v2s2 media type|rootfs\.diff\.tar\.zstd",
        hint=hints.ZSTD,
        temporary=False,
    ),
    RefusalRow(ToolTooOld, stages=TOOL, words=r"unknown (?:shorthand )?flag", hint=hints.OLD_TOOL),
    RefusalRow(
        PolicyRejected,
        stages=TOOL,
        words=r"rejected by policy|Source image rejected|loading trust policy",
    ),
    RefusalRow(
        Unauthorized,
        stages=TOOL,
        words=r"reading JSON file|executable file not found|reading username: EOF",
        hint=hints.LOGIN_FILE,
    ),
    RefusalRow(UnknownFailure, stages=TOOL, words=r"too many open files", hint=hints.OPEN_FILES),
    RefusalRow(
        UnknownFailure,
        stages=TOOL,
        words=r"no such file or directory|no descriptor found for reference"
        r"|(?:open|mkdir|l?stat|write) …: permission denied",
        hint=hints.FILES,
        temporary=False,
    ),
    RefusalRow(
        UnknownFailure,
        stages=TOOL,
        words=r"invalid (?:source|destination) name|invalid reference format|must be lowercase"
        r"|both a tag and digest|unknown transport|no tags specified|no sources specified",
        hint=hints.UNSUITABLE,
        temporary=False,
    ),
    RefusalRow(
        PlatformMissing,
        stages=TOOL,
        words=r"no image found in (?:image index|manifest list) for architecture"
        r"|none of the manifests match the provided platforms",
    ),
)
