"""`image-tools version`: what runs here, and which tools it would use."""

from __future__ import annotations

import platform
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from image_tools import __version__
from image_tools.cli import logs, render
from image_tools.cli.redact import clean
from image_tools.cli.text import coloured
from image_tools.errors import EnvironmentProblem
from image_tools.tools.environment import version_environment
from image_tools.tools.locate import find_buildx, find_skopeo
from image_tools.tools.versions import Tool, probe

_FINDERS: Mapping[Tool, Callable[[Mapping[str, str]], Path]] = {
    "skopeo": find_skopeo,
    "buildx": find_buildx,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One thing with a version; `problem` says why there is none, or why it is of no use."""

    name: str
    version: str = ""
    path: str = ""
    problem: str = ""
    advice: str = ""

    def to_json(self) -> dict[str, Any]:
        """This part as a JSON object, without what is empty."""
        fields = {"version": self.version, "path": self.path}
        fields |= {"problem": self.problem, "advice": self.advice}
        return {name: value for name, value in fields.items() if value}


def version(options: Namespace, environ: Mapping[str, str]) -> int:
    """Show the versions; 0 even where a tool is missing: that is an answer, too."""
    logs.configure(
        render.log,
        level="DEBUG" if options.debug else "INFO",
        colours=coloured(sys.stderr, environ),
    )
    parts = found_parts(environ)
    if options.format == "json":
        render.out_json({part.name: part.to_json() for part in parts})
    else:
        render.out("\n".join(line for part in parts for line in _lines(part)))
    return 0


def found_parts(environ: Mapping[str, str]) -> tuple[Component, ...]:
    """The program, its Python and its packages, and the tools of this machine."""
    return (
        Component(name="image-tools", version=__version__, path=str(Path(__file__).parent.parent)),
        Component(name="python", version=platform.python_version(), path=sys.executable),
        Component(name="aiohttp", version=metadata.version("aiohttp")),
        *(_tool(name, environ) for name in _FINDERS),
        Component(name="platform", version=f"{sys.platform} {platform.machine()}"),
    )


def _tool(name: Tool, environ: Mapping[str, str]) -> Component:
    path = ""
    try:
        found = _FINDERS[name](environ)
        path = str(found)
        return Component(
            name=name, version=str(probe(name, found, version_environment(environ))), path=path
        )
    except EnvironmentProblem as problem:
        return Component(name=name, path=path, problem=problem.message, advice=problem.advice)


def _lines(part: Component) -> list[str]:
    told = clean(part.problem or part.version)
    first = f"{part.name:12}{told:16}{part.path if not part.problem else ''}".rstrip()
    rest = (clean(part.path) if part.problem else "", clean(part.advice))
    return [first, *(f"{'':12}{text}" for text in rest if text)]
