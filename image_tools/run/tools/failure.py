"""Why a tool run failed: what the exchange saw comes before what the tool said."""

from __future__ import annotations

from pathlib import Path

from image_tools.errors import ImageToolsError, ManifestUnsupported
from image_tools.exchange.sessions import ToolSession
from image_tools.machine.run import CompletedRun
from image_tools.oci.reference import Reference
from image_tools.tools.diagnose import diagnose, last_line
from image_tools.tools.unreadable import cannot_parse


def cause_of(
    completed: CompletedRun, reference: Reference, *sessions: ToolSession
) -> ImageToolsError | None:
    """The failure of a tool run about `reference`, None when it went well.

    The first of `sessions` whose store failed names the cause; only without one the last words of
    the tool do. ManifestUnsupported is never a registry's answer: only a tool says that.
    """
    if completed.returncode == 0:
        return None
    for session in sessions:
        if session.cause is not None:
            return session.cause
    tool = Path(completed.argv[0]).name.removeprefix("docker-")
    error = diagnose(completed.stderr, str(reference), returncode=completed.returncode, tool=tool)
    if completed.returncode > 0 and cannot_parse(last_line(completed.stderr)) is not None:
        return ManifestUnsupported(error.message)
    return error
