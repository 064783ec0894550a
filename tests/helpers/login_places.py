"""Where logins may lie for the program to find, and how a secret may be spelled."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.helpers.crossing import Crossing
from tests.helpers.endpoint import Login


@dataclass(frozen=True)
class Desk:
    """Where a login may be laid down for the program to find."""

    home: Path
    registry: str
    login: Login

    @property
    def content(self) -> str:
        """Give an auth file with the login."""
        pair = f"{self.login.username}:{self.login.password}"
        return auths({self.registry: {"auth": base64.b64encode(pair.encode()).decode()}})

    def write(self, name: str, content: str) -> Path:
        """Write a file below the home."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def helper(self) -> dict[str, str]:
        """Put docker-credential-lab into the path; it knows this registry alone."""
        answer = {"Username": self.login.username, "Secret": self.login.password}
        script = (
            "#!/bin/sh\nread -r server\n"
            f"if [ \"$1 $server\" = 'get {self.registry}' ]; then echo '{json.dumps(answer)}'\n"
            "else echo 'credentials not found in native keychain'; exit 1; fi\n"
        )
        path = self.write("bin/docker-credential-lab", script)
        path.chmod(0o755)
        return {"PATH": f"{path.parent}{os.pathsep}{os.environ['PATH']}"}


def named_file(desk: Desk) -> dict[str, str]:
    """Lay it where REGISTRY_AUTH_FILE says."""
    return {"REGISTRY_AUTH_FILE": str(desk.write("elsewhere.json", desk.content))}


def runtime_file(desk: Desk) -> dict[str, str]:
    """Lay it where skopeo login does."""
    desk.write("run/containers/auth.json", desk.content)
    return {}


def config_file(desk: Desk) -> dict[str, str]:
    """Lay it into containers' lasting file."""
    desk.write(".config/containers/auth.json", desk.content)
    return {}


def docker_file(desk: Desk) -> dict[str, str]:
    """Lay it where docker login does."""
    desk.write(".docker/config.json", desk.content)
    return {}


def own_helper(desk: Desk) -> dict[str, str]:
    """Leave it to a helper for this registry."""
    desk.write(".docker/config.json", json.dumps({"credHelpers": {desk.registry: "lab"}}))
    return desk.helper()


def store_helper(desk: Desk) -> dict[str, str]:
    """Leave it to the helper for all registries."""
    content = {"auths": {desk.registry: {}}, "credsStore": "lab"}
    desk.write(".docker/config.json", json.dumps(content))
    return desk.helper()


FOUND: tuple[Callable[[Desk], dict[str, str]], ...] = (
    named_file,
    runtime_file,
    config_file,
    docker_file,
    own_helper,
    store_helper,
)
"""Every way to lay a login down; each gives the variables that belong to it."""


def auths(entries: Mapping[str, Mapping[str, str]]) -> str:
    """Give an auth file with these entries."""
    return json.dumps({"auths": entries})


def variables(crossing: Crossing, login: Login) -> dict[str, str]:
    """Give the variables that hold a login for the guarded side."""
    return dict(zip(crossing.login_variables, (login.username, login.password), strict=True))


def spellings(secret: str, username: str, text: str) -> list[str]:
    """Give the spellings of a secret that stand in a text."""
    pair = f"{username}:{secret}".encode()
    spelled = (secret, quote(secret, safe=""), quote(secret), base64.b64encode(pair).decode())
    return [spelling for spelling in spelled if spelling in text]
