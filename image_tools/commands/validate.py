"""`mirror-validate`: an image list compared with its destinations; nothing is written there."""

from __future__ import annotations

from typing import ClassVar, TypeVar, cast

from image_tools.commands.list_run import ListRun
from image_tools.run.engine import Engine, Judge
from image_tools.run.gear import Gear
from image_tools.run.validating import Validation, look, validate

KindT = TypeVar("KindT", bound="ValidateRun")


class ValidateRun(ListRun):
    """One run of `mirror-validate`; `validation` says how deep it looks."""

    command = "mirror-validate"
    writes = False
    validation: ClassVar[Validation] = Validation()

    def _engine_over(self, gear: Gear) -> Engine:
        wish = self.validation
        judge = Judge(
            look=lambda gear, job: look(gear, job, wish),
            read=lambda gear, job, seen: validate(gear, job, seen, wish),
        )
        return Engine(gear, self._ended, judge)


def at_depth(validation: Validation, kind: type[KindT]) -> type[KindT]:
    """The `kind` of run that validates as `validation` says."""

    class AtDepth(kind):  # type: ignore[valid-type,misc]
        pass

    AtDepth.validation = validation
    return cast("type[KindT]", AtDepth)
