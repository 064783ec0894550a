"""What `doctor` finds: one check each, and all of them together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

SCHEMA = 1


class CheckResult(Enum):
    """How a check ended; a `NOTE` is worth reading, and no fault."""

    OK = "ok"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at: what was found, and the one command that mends it."""

    name: str
    verdict: CheckResult
    finding: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """This check as a JSON object."""
        return {
            "name": self.name,
            "verdict": self.verdict.value,
            "finding": self.finding,
            "remedy": self.remedy,
        }


@dataclass(frozen=True, slots=True)
class Checkup:
    """All checks, in the order they are shown."""

    checks: tuple[Check, ...]

    @property
    def exit_code(self) -> int:
        """1 when something is wrong, else 0."""
        return int(any(check.verdict is CheckResult.WRONG for check in self.checks))

    def to_json(self) -> dict[str, Any]:
        """The JSON object that scripts rely on."""
        return {
            "schema": SCHEMA,
            "command": "doctor",
            "ok": not self.exit_code,
            "checks": [check.to_json() for check in self.checks],
        }


def good(name: str, finding: str) -> Check:
    """A check that found all in order."""
    return Check(name=name, verdict=CheckResult.OK, finding=finding)


def wrong(name: str, finding: str, remedy: str) -> Check:
    """A check that found something to mend with `remedy`."""
    return Check(name=name, verdict=CheckResult.WRONG, finding=finding, remedy=remedy)
