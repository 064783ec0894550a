"""Versions of the tools: how they print them, and which are too old."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from image_tools.errors import EnvironmentProblem, ToolMissing, ToolTooOld
from image_tools.machine.cancel import Cancel
from image_tools.machine.run import CompletedRun, run
from image_tools.tools.locate import (
    BUILDX_ADVICE,
    BUILDX_VARIABLE,
    SKOPEO_ADVICE,
    SKOPEO_VARIABLE,
)

Tool = Literal["skopeo", "buildx"]
PROBE_SECONDS = 10.0
_PATH_ADVICE = f"look at the path, or at {SKOPEO_VARIABLE} and {BUILDX_VARIABLE}"


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A tool's version; `text` is how the tool writes it, with its suffix."""

    major: int
    minor: int
    patch: int = 0
    text: str = field(default="", compare=False)

    @property
    def is_known(self) -> bool:
        """Return whether the build has a version: buildx built from source prints 0.0.0."""
        return (self.major, self.minor, self.patch) != (0, 0, 0)

    def __str__(self) -> str:
        return self.text or f"{self.major}.{self.minor}.{self.patch}"


@dataclass(frozen=True, slots=True)
class _Rule:
    """How one tool prints its version when it is called with `word`, and what is too old."""

    title: str
    word: str
    printed: re.Pattern[str]
    minimum: Version
    why: str
    advice: str


_RULES: Mapping[Tool, _Rule] = {
    "skopeo": _Rule(
        "skopeo",
        "--version",
        re.compile(r"skopeo version v?(\d+)\.(\d+)(?:\.(\d+))?\S*", re.IGNORECASE),
        Version(1, 6),
        "it lacks --preserve-digests and --multi-arch",
        SKOPEO_ADVICE,
    ),
    # The plugin itself: run through `docker`, a private DOCKER_CONFIG would hide it.
    "buildx": _Rule(
        "docker buildx",
        "version",
        re.compile(r"docker/buildx v?(\d+)\.(\d+)(?:\.(\d+))?\S*"),
        Version(0, 11),
        "it makes a Docker list of OCI images",
        BUILDX_ADVICE,
    ),
}


def parse_version(tool: Tool, text: str) -> Version:
    """Return the version in what `tool` printed, also Debian's and Docker Desktop's builds.

    Raise EnvironmentProblem if there is none.
    """
    rule = _RULES[tool]
    found = rule.printed.search(text)
    if found is None:
        seen = text.strip().splitlines()[0][:80] if text.strip() else "nothing"
        raise EnvironmentProblem(
            f"this is no {rule.title}: asked for its version it printed {seen!r}",
            advice=_PATH_ADVICE,
        )
    major, minor, patch = (int(part or 0) for part in found.groups())
    return Version(major, minor, patch, found.group().split()[-1].removeprefix("v"))


def require(tool: Tool, version: Version) -> None:
    """Raise ToolTooOld for a skopeo before 1.6 or a buildx before 0.11."""
    rule = _RULES[tool]
    if version.is_known and version < rule.minimum:
        least = f"{rule.minimum.major}.{rule.minimum.minor}"
        raise ToolTooOld(
            f"{rule.title} {version} is too old: {rule.why}; {least} or newer is needed",
            advice=rule.advice,
        )


def probe(
    tool: Tool,
    path: Path,
    environment: Mapping[str, str],
    *,
    cancel: Cancel | None = None,
    run: Callable[..., CompletedRun] = run,
) -> Version:
    """Return the version of the tool at `path`, which is run once.

    Raise ToolMissing if it cannot be started, EnvironmentProblem if it prints no version of that
    tool, ToolTooOld if it is too old.
    """
    name, rule = str(path), _RULES[tool]
    try:
        completed = run(
            (name, rule.word), environment=environment, timeout=PROBE_SECONDS, cancel=cancel
        )
    except ToolMissing as error:
        raise error.copied(advice=rule.advice) from error
    if completed.timed_out:
        raise EnvironmentProblem(
            f"{name} did not tell its version in {PROBE_SECONDS:g} seconds", advice=_PATH_ADVICE
        )
    version = parse_version(
        tool, completed.stdout.decode(errors="replace").strip() or completed.stderr
    )
    require(tool, version)
    return version
