"""`mirror-validate`: an image list compared with its destinations; nothing is written there."""

from __future__ import annotations

from typing import ClassVar, TypeVar, cast

from image_tools.commands.list_run import ListRun
from image_tools.commands.request import MirrorRequest
from image_tools.report import Outcome
from image_tools.run.context import RunContext
from image_tools.run.engine import Engine
from image_tools.run.validation import ValidateMode, Validation
from image_tools.state import State
from image_tools.validation.demand import Demand

KindT = TypeVar("KindT", bound="ValidateRun")


class ValidateRun(ListRun):
    """One run of `mirror-validate`; `validation` says how deep it looks."""

    command = "mirror-validate"
    writes = False
    validation: ClassVar[Validation] = Validation()

    def _engine_over(self, context: RunContext) -> Engine[Outcome]:
        mode = ValidateMode(context, self.validation, asked_of(self._request))
        return Engine(context, mode, self._ended)

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
