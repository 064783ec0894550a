"""What a client needs to know to talk to a registry of the lab."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Login:
    """A user name with its password."""

    username: str
    password: str = field(repr=False)


LAB_LOGIN = Login("lab-user", "lab-Secret+1:/@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a registry listens; ``tls`` None is plain HTTP, ``login`` None is anonymous."""

    address: str
    tls: ssl.SSLContext | None = None
    login: Login | None = None

    @property
    def url(self) -> str:
        """Give the root URL, without a closing slash."""
        return f"{'https' if self.tls else 'http'}://{self.address}"
