"""`image-tools doctor`: from its options to its exit code."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from image_tools.cli import render
from image_tools.cli.listing import Reading, read_images
from image_tools.cli.reaching import reaching, start_logs
from image_tools.cli.redact import clean
from image_tools.cli.request import chosen_registries
from image_tools.commands.check_machine import Check, Checkup
from image_tools.commands.doctor import DoctorRequest, known_registries
from image_tools.commands.doctor import doctor as examined
from image_tools.imagelist.registries import Registries
from image_tools.state import default_state_path

_MARK = 7
_NAME = 18


def doctor(options: Namespace, environ: Mapping[str, str]) -> int:
    """Show all checks; 1 when something is wrong."""
    start_logs(options, environ)
    chosen = chosen_registries(options, environ)
    registries = _registries(options, chosen, environ)
    request = DoctorRequest(registries=registries, state=default_state_path(environ))
    # A login in variables is for the destination the options choose, too.
    reached = {**environ, **({"DOCKER_REGISTRY": chosen.destination} if chosen.destination else {})}
    with reaching(options, reached, registries, writes=True) as opening:
        found = examined(request, opening, environ)
    if options.format == "json":
        render.out_json(found.to_json())
    else:
        render.out(_table(found))
    return found.exit_code


def _registries(
    options: Namespace, chosen: Registries, environ: Mapping[str, str]
) -> tuple[str, ...]:
    """Those of login files, of the list and of the options, each once."""
    wanted = [*known_registries(environ), *filter(None, (chosen.source, chosen.destination))]
    if options.file:
        # Whatever the list says, the rest is worth looking at.
        reading = Reading(skip_invalid=True, allow_empty=True)
        for entry in read_images(options.file, chosen, reading).entries:
            wanted += (entry.source.registry, entry.destination.registry)
    return tuple(dict.fromkeys(wanted))


def _table(found: Checkup) -> str:
    width = max(_NAME, *(len(check.name) for check in found.checks))
    return "\n".join(line for check in found.checks for line in _lines(check, width))


def _lines(check: Check, width: int) -> list[str]:
    first = f"{check.verdict.value:{_MARK}}{check.name:{width}}  {check.finding}"
    remedy = [f"{'':{_MARK}}mend it: {check.remedy}"] if check.remedy else []
    return [clean(line) for line in (first, *remedy)]
