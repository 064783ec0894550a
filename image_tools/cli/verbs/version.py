"""`image-tools version`: what runs here, and the tools it would use."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from image_tools import __version__
from image_tools.cli import render
from image_tools.cli.options import Page, group
from image_tools.cli.redact import clean
from image_tools.cli.shared_options import FormatOptions
from image_tools.errors import EnvironmentProblem

if TYPE_CHECKING:
    from image_tools.tools.versions import Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A part with its version; `problem` says why there is none, or why it cannot be used."""

    name: str
    version: str = ""
    path: str = ""
    problem: str = ""
    advice: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return this part as a JSON object, without empty fields."""
        fields = {"version": self.version, "path": self.path}
        fields |= {"problem": self.problem, "advice": self.advice}
        return {name: value for name, value in fields.items() if value}


def version(options: FormatOptions, environ: Mapping[str, str]) -> int:
    """Show the versions; return 0 even where a tool is missing: that is an answer, too."""
    from image_tools.cli.logs import start_logs

    start_logs(options, environ)
    parts = found_parts(environ)
    if options.format == "json":
        render.out_json({part.name: part.to_json() for part in parts})
    else:
        render.out("\n".join(line for part in parts for line in _lines(part)))
    return 0


def found_parts(environ: Mapping[str, str]) -> tuple[Component, ...]:
    """Return the program, its Python and its packages, and the tools of this machine."""
    from importlib import metadata

    from image_tools.tools.locate import find_buildx, find_skopeo

    return (
        Component(name="image-tools", version=__version__, path=str(Path(__file__).parents[2])),
        Component(name="python", version=platform.python_version(), path=sys.executable),
        Component(name="aiohttp", version=metadata.version("aiohttp")),
        _tool("skopeo", find_skopeo, environ),
        _tool("buildx", find_buildx, environ),
        Component(name="platform", version=f"{sys.platform} {platform.machine()}"),
    )


def _tool(
    name: Tool, find: Callable[[Mapping[str, str]], Path], environ: Mapping[str, str]
) -> Component:
    from image_tools.tools.environment import version_environment
    from image_tools.tools.versions import probe

    path = ""
    try:
        found = find(environ)
        path = str(found)
        version = str(probe(name, found, version_environment(environ)))
        return Component(name=name, version=version, path=path)
    except EnvironmentProblem as problem:
        return Component(name=name, path=path, problem=problem.message, advice=problem.advice)


def _lines(part: Component) -> list[str]:
    told = clean(part.problem or part.version)
    first = f"{part.name:12}{told:16}{part.path if not part.problem else ''}".rstrip()
    rest = (clean(part.path) if part.problem else "", clean(part.advice))
    return [first, *(f"{'':12}{text}" for text in rest if text)]


VERSION = Page(
    name="version",
    kind=FormatOptions,
    run=version,
    summary="show the versions of this program and of its tools",
    about="Show the versions of image-tools and of the tools it works with, and where they are.",
    groups=(group("Options", FormatOptions, "format debug"),),
)
