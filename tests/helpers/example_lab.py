"""What stands behind the names in the documents: registries of this machine, led to by a proxy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.helpers import images
from tests.helpers.certificates import Certificates
from tests.helpers.client import manifest, tags
from tests.helpers.content import Image
from tests.helpers.endpoint import Login
from tests.helpers.proxy import Proxy
from tests.helpers.registry import Registry, start_registry
from tests.helpers.registry_options import RegistryOptions
from tests.helpers.served import serving
from tests.helpers.studio import Studio
from tests.zoo.harbor import Harbor, HarborPolicy

HERE, HARBOR = "registry.example:5000", "harbor.example:443"
SERVED = "archive.example:5000"
WORLD_NAMES = ("registry-1.docker.io", "quay.io", "source.example", "127.0.0.1")
COMPANY_NAMES = ("registry.example", "harbor.example", "archive.example", "127.0.0.1")
ROBOT = Login("robot", "robot-Secret+1")
WRITER = Login("writer", "writer-Secret+1")
LIST = "nginx:1.25\n"


def index(seed: int, *wanted: dict[str, object]) -> Image:
    """Give an index with just these platforms: each costs the start of a tool."""
    studio = Studio("readme", seed)
    return studio.index([studio.child(where) for where in wanted])


NGINX = index(1, images.AMD64, images.ARM_V7, images.S390X)
ETCD = index(2, images.AMD64, images.S390X)


class ExampleLab:
    """The registries of the documents and the folder of their user; to be closed.

    `world` answers for the sources. The destination `here`, and a Harbor, are of the company.
    """

    def __init__(self, world: Registry, company: Certificates, folder: Path) -> None:
        """Start the proxy and an empty destination."""
        self.world, self.folder, self.company = world, folder, company
        self._open = ExitStack()
        self.routes = {f"{name}:443": world.address for name in WORLD_NAMES}
        self.proxy = self._open.enter_context(Proxy(routes=self.routes))
        self.harbor: Harbor | None = None
        self.renew()

    def close(self) -> None:
        """Stop everything."""
        self._open.close()

    def furnish(self) -> None:
        """Put into the folder what the documents speak of."""
        for folder in ("etc/mirror", "var/lib/mirror", "scripts"):
            (self.folder / folder).mkdir(parents=True)
        for name in ("list.txt", "etc/mirror/list.txt", "mirror-failed.txt"):
            (self.folder / name).write_text(LIST)
        (self.folder / "password.txt").write_text(f"{ROBOT.password}\n")
        (self.folder / "company-ca.pem").write_bytes(self.company.authority.read_bytes())
        (self.folder / "scripts/demo").write_text("#!/bin/sh\n")
        (self.folder / "scripts/demo").chmod(0o755)

    def renew(
        self, login: Login | None = None, *, plain: bool = False, storage: Path | None = None
    ) -> None:
        """Put another registry in the place of the destination, an empty one without `storage`."""
        options = RegistryOptions(
            certificates=None if plain else self.company, login=login, storage=storage
        )
        self.here = self._open.enter_context(start_registry(options))
        self.routes[HERE] = self.here.address

    def build_harbor(self) -> None:
        """Put an empty Harbor behind its name, where ROBOT may create projects."""
        server = Harbor(HarborPolicy(login=ROBOT), self.company)
        self.harbor = server
        self._open.enter_context(server)
        self.routes[HARBOR] = server.address

    def serve(self, words: Sequence[str], environ: Mapping[str, str]) -> str:
        """Serve an archive until the end, under SERVED; give what the server says of itself."""
        archive, *rest = words
        served = serving(self.folder / archive, *rest, environ=environ)
        server = self._open.enter_context(served)
        self.routes[SERVED] = server.address
        return server.log.read_text()

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
