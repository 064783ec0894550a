"""`image-tools doctor`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from image_tools.cli import render
from image_tools.cli.options import Page, changed, group, note
from image_tools.cli.redact import clean
from image_tools.cli.shared_options import (
    REGISTRY_NAMES,
    EndOptions,
    FormatOptions,
    ListOptions,
    RegistryOptions,
)

if TYPE_CHECKING:
    from image_tools.commands.check_machine import Check, Checkup
    from image_tools.imagelist.registries import Registries

_MARK = 7
_NAME = 18


class DoctorOptions(EndOptions, FormatOptions, RegistryOptions):
    """The options of `doctor`."""

    file: str | None = changed(
        ListOptions, "file", help="also look at the registries of the image list in FILE"
    )
    retry_times: int = changed(RegistryOptions, "retry_times", default="0")


def doctor(options: DoctorOptions, environ: Mapping[str, str]) -> int:
    """Show all checks; return 1 when something is wrong."""
    from image_tools.cli.logs import start_logs
    from image_tools.cli.reaching import reaching
    from image_tools.cli.request import chosen_registries
    from image_tools.commands.doctor import DoctorRequest
    from image_tools.commands.doctor import doctor as examined
    from image_tools.state import default_state_path

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
    options: DoctorOptions, chosen: Registries, environ: Mapping[str, str]
) -> tuple[str, ...]:
    """Return those of login files, of the list and of the options, each once."""
    from image_tools.cli.listing import Reading, read_images
    from image_tools.commands.doctor import known_registries

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


DOCTOR = Page(
    name="doctor",
    kind=DoctorOptions,
    run=doctor,
    summary="say what is wrong here, and the command that mends it",
    about="Look at all that a mirror needs: skopeo and buildx, the signature policy, login files, "
    "certificates, proxies, room on disks, and the registries there are logins for: whether they "
    "answer, whether they let the login in, whether the clocks agree. Nothing is changed.",
    groups=(
        group("Options", DoctorOptions, "file source destination default-project format debug"),
        group("Getting in", DoctorOptions, REGISTRY_NAMES),
    ),
    notes=(
        note(
            "Examples",
            "image-tools doctor",
            "image-tools doctor -f list.txt -d reg.example:5000 --format json",
        ),
        note(
            "Exit codes",
            "0    nothing is wrong",
            "1    something is",
        ),
    ),
)
