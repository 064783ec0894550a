"""`mirror-validate`: an image list compared with its destinations; nothing is written there."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, ClassVar, TypeVar, cast

from image_tools.commands.list_run import ListRun
from image_tools.report import Outcome
from image_tools.run.engine import Engine
from image_tools.run.gear import Gear
from image_tools.run.job import Job
from image_tools.run.validating import Validation, validate

KindT = TypeVar("KindT", bound="ValidateRun")


class ValidateRun(ListRun):
    """One run of `mirror-validate`; `validation` says how deep it looks."""

    command = "mirror-validate"
    writes = False
    validation: ClassVar[Validation] = Validation()

    def _engine_over(self, gear: Gear) -> Engine:
        return Engine(gear, self._ended, self._judge)

    def _judge(self, gear: Gear, job: Job) -> Coroutine[Any, Any, Outcome]:
        return validate(gear, job, self.validation)


def at_depth(validation: Validation, kind: type[KindT]) -> type[KindT]:
    """The `kind` of run that validates as `validation` says."""

    class AtDepth(kind):  # type: ignore[valid-type,misc]
        pass

    AtDepth.validation = validation
    return cast("type[KindT]", AtDepth)
