"""The table of refusals: what registries answer and tools print, each wording once.

The first row that applies counts, so the order is part of the table: what is specific comes before
what is general. The wordings are those of the products; `tests/unit/refusals/` names where each of
them is recorded.
"""

from __future__ import annotations

from image_tools.errors import UnknownFailure
from image_tools.refusals.general_rows import GENERAL
from image_tools.refusals.network_rows import NETWORK, PROXIES
from image_tools.refusals.push_rows import LIMITS, PUSHES
from image_tools.refusals.row import RefusalRow
from image_tools.refusals.tool_rows import ROOM, TOOLS

ROWS: tuple[RefusalRow, ...] = (*ROOM, *TOOLS, *PROXIES, *LIMITS, *NETWORK, *PUSHES, *GENERAL)
UNKNOWN = RefusalRow(kind=UnknownFailure)
