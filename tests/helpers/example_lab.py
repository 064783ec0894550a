"""What stands behind the names in the documents: registries of this machine, led to by a proxy."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

from tests.helpers.certificates import Certificates
from tests.helpers.client import manifest, tags
from tests.helpers.content import Image
from tests.helpers.endpoint import Login
from tests.helpers.harbor import HarborPolicy, HarborServer
from tests.helpers.proxy import Proxy
from tests.helpers.registry import Registry, start_registry
from tests.helpers.registry_options import RegistryOptions
from tests.helpers.studio import Studio

HERE, HARBOR = "registry.example:5000", "harbor.example:443"
WORLD_NAMES = ("registry-1.docker.io", "quay.io", "source.example", "127.0.0.1")
COMPANY_NAMES = ("registry.example", "harbor.example", "127.0.0.1")
ROBOT = Login("robot", "robot-Secret+1")


def index(seed: int, *wanted: dict[str, object]) -> Image:
    """Give an index with just these platforms: each costs the start of a tool."""
    studio = Studio("readme", seed)
    return studio.index([studio.child(where) for where in wanted])


class ExampleLab:
    """The registries of the documents and the folder of their user; to be closed.

    `world` answers for the sources. The destination `here`, and a Harbor, are of the company.
    """

    def __init__(self, world: Registry, company: Certificates, folder: Path) -> None:
        """Start the proxy and an empty destination."""
        self.folder, self._company = folder, company
        self._open = ExitStack()
        self.routes = {f"{name}:443": world.address for name in WORLD_NAMES}
        self.proxy = self._open.enter_context(Proxy(routes=self.routes))
        self.harbor: HarborServer | None = None
        self.renew()

    def close(self) -> None:
        """Stop everything."""
        self._open.close()

    def renew(
        self, login: Login | None = None, *, plain: bool = False, storage: Path | None = None
    ) -> None:
        """Put another registry in the place of the destination, an empty one without `storage`."""
        options = RegistryOptions(
            certificates=None if plain else self._company, login=login, storage=storage
        )
        self.here = self._open.enter_context(start_registry(options))
        self.routes[HERE] = self.here.address

    def build_harbor(self) -> None:
        """Put an empty Harbor behind its name, where ROBOT may create projects."""
        tls = self._company.server_context()
        behind = self._open.enter_context(start_registry())
        server = HarborServer(behind, HarborPolicy(login=ROBOT), tls)
        self.harbor = self._open.enter_context(server)
        self.routes[HARBOR] = server.address

    def trust(self, *certificates: Certificates) -> str:
        """Give the path of a file with these authorities."""
        path = self.folder / "authorities.pem"
        path.write_bytes(b"".join(one.authority.read_bytes() for one in certificates))
        return str(path)

    def holds(self, repository: str, *wanted: str) -> None:
        """Check the tags of a repository of the destination."""
        assert tags(self.here, repository) == sorted(wanted)

    def platforms(self, repository: str, tag: str, *wanted: str) -> None:
        """Check the platforms that an index of the destination lists."""
        found = manifest(self.here, repository, tag)
        assert found is not None
        listed = [entry["platform"] for entry in json.loads(found[0])["manifests"]]
        names = [f"{one['architecture']}/{one.get('variant', '')}".rstrip("/") for one in listed]
        assert names == list(wanted)
