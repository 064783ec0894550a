"""Sources that skopeo reads by itself: a signature policy asks for it, or `--direct` does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from image_tools.errors import UsageError
from image_tools.logins.auth_file import Credentials, auth_document
from image_tools.oci.reference import Reference
from image_tools.run.endpoints import Endpoints, certificates_folder
from image_tools.run.tools.toolbox import Toolbox, under_policy
from image_tools.stores.remote.registries_conf import PullSource, as_text, overriding
from image_tools.tools.policy import SignaturePolicy
from image_tools.tools.skopeo import CopyRequest, DirectSource
from image_tools.web.tls import certificate_folders


@dataclass(slots=True, eq=False)
class DirectWay:
    """Decides which sources go past the exchange, and prepares skopeo for them."""

    policy: SignaturePolicy
    always: bool
    endpoints: Endpoints
    toolbox: Toolbox
    _answers: dict[Reference, bool] = field(default_factory=dict)

    def applies_to(self, source: Reference) -> bool:
        """Return whether skopeo reads `source` by itself."""
        if source not in self._answers:
            self._answers[source] = self.always or self.policy.demands(source)
        return self._answers[source]

    def advice(self, source: Reference) -> str:
        """Return what helps where skopeo cannot parse what it reads by itself."""
        if self.policy.demands(source):
            return "install a newer skopeo: the signature policy lets nothing else read this source"
        return "leave out --direct, or install a newer skopeo"

    async def request(self, source: Reference, request: CopyRequest, ending: str) -> CopyRequest:
        """Return `request` with the real source at `ending`, its own login, trust and policy."""
        setting = request.setting
        if self.policy.demands(source) and self.policy.path is not None:
            setting = under_policy(setting, self.policy.path)
        else:
            setting = under_policy(setting, setting.policy)
        folder, places = self.toolbox.new_folder("direct"), self.endpoints.source_places(source)
        setting = replace(setting, registries_conf=self._registries_conf(folder, source))
        registries = tuple(dict.fromkeys(place.registry for place in places))
        direct = DirectSource(
            authfile=await self._login(folder, source, places),
            certificates=self._certificates(folder, registries),
            tls_verify=self._verify(registries),
        )
        name = f"{source.name}{ending}"
        return replace(request, setting=setting, source=name, source_direct=direct)

    def _registries_conf(self, folder: Path, source: Reference) -> Path | None:
        """Return the registries.conf for skopeo, None if it finds the right one by itself.

        The file in the environment variable does not reach skopeo. Where the files name a
        destination of the run as a mirror, write one without it. Raise UsageError if a drop-in file
        would override that.
        """
        if self.endpoints.leaves_out_mirrors(source):
            if (file := overriding(self.endpoints.conf, source.name)) is not None:
                raise UsageError(
                    f"{source}: skopeo would read it from its own destination, a mirror in {file}",
                    advice="take that mirror out of the file, or let image-tools read the source",
                )
            path = folder / "registries.conf"
            path.write_text(as_text(source.name, self.endpoints.source_places(source)))
            return path
        chosen = self.endpoints.environ.get("CONTAINERS_REGISTRIES_CONF")
        return Path(chosen) if chosen else None

    def _verify(self, registries: Iterable[str]) -> bool | None:
        """Return what to tell skopeo of TLS; None leaves it to registries.conf."""
        tls = self.endpoints.source.tls
        if tls.verify is not None:
            return tls.verify
        return False if all(tls.allows_plain(_host(name)) for name in registries) else None

    def _certificates(self, folder: Path, registries: Iterable[str]) -> Path | None:
        """Return one folder with all trusted authorities: skopeo takes only one folder."""
        environ, ca_file = self.endpoints.environ, self.endpoints.source.tls.ca_file
        found = [one for name in registries for one in certificate_folders(name, environ)]
        return certificates_folder(ca_file, found, folder / "certificates")

    async def _login(self, folder: Path, source: Reference, places: Iterable[PullSource]) -> Path:
        """Return an auth file with the logins of `source` and of the places it is read from."""
        logins: dict[str, Credentials] = {}
        own = PullSource(source.registry, source.repository)
        for place in (own, *places):
            credentials = await self.endpoints.source_credentials(place.registry, place.repository)
            if credentials is not None:
                logins[place.registry] = credentials
        path = folder / "auth.json"
        path.touch(mode=0o600)
        path.write_bytes(auth_document(logins))
        return path


def _host(registry: str) -> str:
    host, colon, port = registry.rpartition(":")
    return host if colon and port.isdigit() else registry
