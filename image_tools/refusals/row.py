"""A row of the table of refusals: when it applies, and what it means."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cache

from image_tools.errors import CopyFailed, ImageToolsError, Scope
from image_tools.refusals.case import Case, Stage

TOOL = frozenset({Stage.TOOL})
PUSHING = frozenset({Stage.PUSHING})
FOURS = range(400, 500)
NO_ANSWERS = range(400)
NO_FAILURES = range(500)


@dataclass(frozen=True, slots=True)
class RefusalRow:
    """A kind of failure and its conditions; an empty condition always holds.

    `words`, `host` (the registry) and `media` (the type that was pushed) are regular expressions;
    `pages` asks for a web page, or for none. `said` is the sentence before the registry's words;
    `hint`, `temporary` and `closes` replace those of the kind. Braces in `said` and `hint` are
    filled with the fields of the case and the named groups of the expressions.
    """

    kind: type[ImageToolsError]
    said: str = "the registry refused"
    hint: str = ""
    _: KW_ONLY
    stages: frozenset[Stage] = frozenset()
    statuses: Sequence[int] = ()
    codes: Sequence[str] = ()
    words: str = ""
    host: str = ""
    media: str = ""
    pages: bool | None = None
    by_proxy: bool = False
    foreign: bool = False
    temporary: bool | None = None
    closes: Scope | None = None

    def found(self, case: Case) -> dict[str, str] | None:
        """Return the named groups of the expressions if this row applies, else None."""
        if not all(self._conditions(case)):
            return None
        groups: dict[str, str] = {}
        texts = (case.words, case.registry, case.media_type)
        for expression, text in zip((self.words, self.host, self.media), texts, strict=True):
            if not expression:
                continue
            if (match := _compiled(expression).search(text)) is None:
                return None
            groups |= {name: value or "" for name, value in match.groupdict().items()}
        return groups

    def error(self, message: str, *, status: int | None, hint: str) -> ImageToolsError:
        """Return a new error of this row's kind."""
        advice = hint or None
        if not issubclass(self.kind, CopyFailed):
            error = self.kind(message, advice=advice)
        else:
            error = self.kind(message, status=status, advice=advice)
            if self.closes is not None:
                error.closes = self.closes
        if self.temporary is not None:
            error.temporary = self.temporary
        return error

    def _conditions(self, case: Case) -> Iterator[bool]:
        yield not self.stages or bool(self.stages & case.stages)
        yield not self.statuses or case.status in self.statuses
        yield not self.codes or case.code in self.codes
        yield self.pages is None or self.pages is case.is_page
        yield not self.by_proxy or case.by_proxy
        yield not self.foreign or bool(case.foreign)


@cache
def _compiled(expression: str) -> re.Pattern[str]:
    """Return the compiled expression: a run without refusals compiles none."""
    return re.compile(expression, re.IGNORECASE | re.DOTALL)
