"""Run the program as its users do, in this process, and give back what it said."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from image_tools.cli.app import main
from tests.helpers.report_schema import check_outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One finished run: its exit code and both outputs."""

    code: int
    stdout: str
    stderr: str

    @property
    def report(self) -> dict[str, Any]:
        """Give the report that `--format json` wrote."""
        assert self.stdout, f"no report, exit {self.code}: {self.stderr}"
        found: dict[str, Any] = json.loads(self.stdout)
        return found

    @property
    def outcomes(self) -> list[dict[str, Any]]:
        """Give the outcomes of that report."""
        found: list[dict[str, Any]] = self.report["outcomes"]
        return found

    @property
    def statuses(self) -> list[str]:
        """Give the status of every outcome, in list order."""
        return [outcome["status"] for outcome in self.outcomes]

    def only(self) -> dict[str, Any]:
        """Give the one outcome there is."""
        assert len(self.outcomes) == 1, self.stdout
        return self.outcomes[0]


def image_tools(*words: str | Path, environ: Mapping[str, str] | None = None) -> Ran:
    """Run a command line; `environ` comes on top of this process's environment.

    JSON that it writes is checked against the published schema.
    """
    # Bytes below the text: some commands write what a registry holds as it is.
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    err = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words], {**os.environ, **(environ or {})})
    written = out.buffer.getvalue().decode()  # type: ignore[attr-defined]
    check_outputs([str(word) for word in words], written)
    return Ran(code=code, stdout=written, stderr=err.getvalue())


def mirror(
    folder: Path,
    lines: str,
    *words: str | Path,
    environ: Mapping[str, str] | None = None,
) -> Ran:
    """Mirror a list of `lines`; list, failed list and state lie in `folder`."""
    listed = folder / "list.txt"
    listed.write_text(lines)
    fixed = ["-f", listed, "--format", "json"]
    if "-o" not in words:
        fixed += ["-o", folder / "failed.txt"]
    if not any(str(word).startswith("--state") or word == "--no-state" for word in words):
        fixed += ["--state", folder / "state.db"]
    if not any(str(word).startswith("--retry-delay") for word in words):
        fixed += ["--retry-delay", "10ms"]
    return image_tools("mirror", *fixed, *words, environ=environ)
