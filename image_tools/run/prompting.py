"""Which login somebody at a terminal is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from image_tools.logins.auth_file import Credentials
from image_tools.web.tls import TlsChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """Which login is asked for; `is_plain`: the registry speaks plain HTTP. `reason`: why."""

    registry: str
    tls: TlsChoice = TlsChoice()
    is_plain: bool = False
    username: str = ""
    reason: str = ""


Ask = Callable[[Prompt], Credentials | None]
