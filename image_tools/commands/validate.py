"""`mirror-validate`: an image list compared with its destinations; nothing is written there."""

from __future__ import annotations

from typing import ClassVar, TypeVar, cast

from image_tools.commands.list_run import ListRun
from image_tools.commands.request import MirrorRequest
from image_tools.run.context import RunContext
from image_tools.run.engine import Engine, Mode
from image_tools.run.line.validate import Validation, look, validate
from image_tools.state import State
from image_tools.validation.demand import Demand

KindT = TypeVar("KindT", bound="ValidateRun")


class ValidateRun(ListRun):
    """One run of `mirror-validate`; `validation` says how deep it looks."""

    command = "mirror-validate"
    writes = False
    validation: ClassVar[Validation] = Validation()

    def _engine_over(self, gear: RunContext) -> Engine:
        wish, asked = self.validation, asked_of(self._request)
        judge = Mode(
            look=lambda gear, job: look(gear, job, wish, asked),
            read=lambda gear, job, seen: validate(gear, job, seen, wish, asked),
        )
        return Engine(gear, self._ended, judge)

    def _remembered(self) -> State | None:
        return None  # What an earlier run believed is just what is to be checked.


def asked_of(request: MirrorRequest) -> Demand:
    """Return what the flags of `request` ask for."""
    chosen = request.selection
    return Demand(
        architectures=chosen.architectures,
        systems=chosen.systems,
        variants=chosen.variants,
        attestations=chosen.attestations,
        overwrite=request.overwrite,
        keep_single=request.keep_single,
        require_platforms=request.require_platforms,
        missing_platform_fails=request.missing_platform_fails,
        names_platforms=request.names_platforms,
    )


def at_depth(validation: Validation, kind: type[KindT]) -> type[KindT]:
    """The `kind` of run that validates as `validation` says."""

    class AtDepth(kind):  # type: ignore[valid-type,misc]
        pass

    AtDepth.validation = validation
    return cast("type[KindT]", AtDepth)
