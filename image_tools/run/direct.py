"""Sources that skopeo reads by itself: a signature policy asks for it, or `--direct` does."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from image_tools.oci.reference import DOCKER_HUB, Reference
from image_tools.run.ends import Ends, certificates_folder
from image_tools.run.toolbox import Toolbox, under_policy
from image_tools.stores.remote.credentials import Credentials
from image_tools.tools.environment import auth_file
from image_tools.tools.policy import SignaturePolicy
from image_tools.tools.skopeo import CopyRequest, DirectSource

_HUB_LOGIN_KEY = "https://index.docker.io/v1/"


@dataclass(slots=True, eq=False)
class DirectWay:
    """Decides which sources go past the exchange, and prepares skopeo for them."""

    policy: SignaturePolicy
    always: bool
    ends: Ends
    toolbox: Toolbox
    _answers: dict[Reference, bool] = field(default_factory=dict)

    def applies_to(self, source: Reference) -> bool:
        """Whether skopeo reads `source` by itself."""
        if source not in self._answers:
            self._answers[source] = self.always or self.policy.demands(source)
        return self._answers[source]

    async def request(self, source: Reference, request: CopyRequest, ending: str) -> CopyRequest:
        """`request` with the real source at `ending`, its own login, trust and policy."""
        setting = request.setting
        if self.policy.demands(source) and self.policy.path is not None:
            setting = under_policy(setting, self.policy.path)
        else:
            setting = under_policy(setting, setting.policy)
        folder = self.toolbox.new_folder("direct")
        tls = self.ends.source.tls
        direct = DirectSource(
            authfile=_login(folder, source, await self.ends.source_credentials(source)),
            certificates=None
            if tls.ca_file is None
            else certificates_folder(tls.ca_file, folder / "certificates"),
            tls_verify=tls.verify is not False and not tls.allows_plain(_host(source.registry)),
        )
        name = f"{source.name}{ending}"
        return replace(request, setting=setting, source=name, source_direct=direct)


def _login(folder: Path, source: Reference, credentials: Credentials | None) -> Path:
    """An auth file with the login of `source` alone, empty without one."""
    key = _HUB_LOGIN_KEY if source.registry == DOCKER_HUB else source.registry
    if credentials is None:
        content = auth_file({})
    elif credentials.identity_token:
        entry = {"auth": "", "identitytoken": credentials.identity_token}
        content = json.dumps({"auths": {key: entry}}).encode()
    else:
        content = auth_file({key: (credentials.username, credentials.password)})
    path = folder / "auth.json"
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path


def _host(registry: str) -> str:
    host, colon, port = registry.rpartition(":")
    return host if colon and port.isdigit() else registry
