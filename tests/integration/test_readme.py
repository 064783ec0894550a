"""Every example of README.md and docs/, run as a user runs it, in the order of the document.

A shell reads each block; the names in it stay as they are, for a proxy leads them to registries of
this machine. A new example wants its line in `PROMISES`.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from image_tools.cli.catalogue import PAGES, page_of
from tests.helpers import images
from tests.helpers.certificates import Certificates, issue_certificates
from tests.helpers.client import delete_manifest, manifest, push, tags
from tests.helpers.content import Image
from tests.helpers.documents import ROOT, shell_sections
from tests.helpers.endpoint import Login
from tests.helpers.harbor import HarborPolicy, HarborServer
from tests.helpers.proxy import Proxy
from tests.helpers.registry import Registry, start_registry
from tests.helpers.registry_options import RegistryOptions
from tests.helpers.running import Ran, image_tools
from tests.helpers.shell import Call, calls_of
from tests.helpers.signatures import sign, tag_of
from tests.helpers.studio import Studio
from tests.helpers.tools import newest, run
from tests.helpers.typed import Typist

DOCUMENTS = ("README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))))
EXAMPLES = {
    f"{name.removesuffix('.md')}: {title}": blocks
    for name in DOCUMENTS
    for title, blocks in shell_sections(name).items()
}
HERE, HARBOR = "registry.example:5000", "harbor.example:443"
LOOPBACK = "127.0.0.1"
ROBOT, WRITER = Login("robot", "robot-Secret+1"), Login("writer", "writer-Secret+1")
LIST = "nginx:1.25\n"
SIGNED_LIST = "quay.io/coreos/etcd:v3.5.9\n"
PASSPHRASE = "correct horse"


def index(seed: int, *wanted: dict[str, object]) -> Image:
    """Give an index with just these platforms: each costs the start of a tool."""
    studio = Studio("readme", seed)
    return studio.index([studio.child(where) for where in wanted])


NGINX = index(1, images.AMD64, images.ARM_V7, images.S390X)
ETCD = index(2, images.AMD64, images.S390X)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Give the registries of the internet, with the images of the documents; etcd is signed."""
    names = ("registry-1.docker.io", "quay.io", LOOPBACK)
    certificates = issue_certificates(tmp_path_factory.mktemp("world"), names)
    with start_registry(RegistryOptions(certificates=certificates)) as registry:
        push(registry, "library/nginx", "1.25", NGINX)
        push(registry, "coreos/etcd", "v3.5.9", ETCD)
        sign(registry, "coreos/etcd", ETCD.top.digest, 1)
        yield registry


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Give the private authority of the registries that are written to."""
    names = ("registry.example", "harbor.example", LOOPBACK)
    return issue_certificates(tmp_path_factory.mktemp("company"), names)


class Lab:
    """What stands behind the names of the documents, and the folder of the user."""

    def __init__(self, world: Registry, company: Certificates, folder: Path) -> None:
        self.folder, self._world, self._company = folder, world, company
        self._open = ExitStack()
        internet = dict.fromkeys(("registry-1.docker.io:443", "quay.io:443"), world.address)
        self.proxy = self._open.enter_context(Proxy(routes=internet))
        self.routes = internet
        self.harbor: HarborServer | None = None
        self.renew()

    def close(self) -> None:
        self._open.close()

    def renew(self, login: Login | None = None, *, plain: bool = False) -> None:
        """Put an empty registry in the place of the destination."""
        options = RegistryOptions(certificates=None if plain else self._company, login=login)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What one command line of a document leads to.

    ``says`` are parts of its output; ``before`` sets the scene and ``then`` looks at the result.
    ``typed`` are prompts with their answers, for what is run at a terminal.
    """

    code: int = 0
    says: tuple[str, ...] = ()
    before: Callable[[Lab], object] = lambda lab: None
    then: Callable[[Lab], object] = lambda lab: None
    typed: tuple[tuple[str, str], ...] = ()


# --- scenes and results


def keys(lab: Lab) -> None:
    """A pair of keys as cosign.key and cosign.pub."""
    (lab.folder / "passphrase.txt").write_text(PASSPHRASE)
    words = ("--output-prefix", lab.folder / "cosign")
    words += ("--passphrase-file", lab.folder / "passphrase.txt")
    run(newest("skopeo"), "generate-sigstore-key", *words)
    (lab.folder / "cosign.private").rename(lab.folder / "cosign.key")
    lab.renew()


def cosign_accepts(lab: Lab) -> None:
    """The line of docs/signatures.md, word for word."""
    name = f"{HERE}/library/nginx:1.25"
    words = ("verify", "--key", lab.folder / "cosign.pub", "--insecure-ignore-tlog=true", name)
    assert run(newest("cosign"), *words, check=False).returncode == 0


def projects(lab: Lab, public: bool) -> None:
    assert lab.harbor is not None
    assert lab.harbor.policy.projects == {"library": public}


def mirrored(lab: Lab) -> None:
    push(lab.here, "library/nginx", "1.25", NGINX)


def lost(lab: Lab) -> None:
    delete_manifest(lab.here, "library/nginx", NGINX.top.digest)


def without_damage(lab: Lab) -> None:
    assert not (lab.folder / "mirror-validate-failed.txt").exists()


def listed(lab: Lab, name: str, *lines: str) -> None:
    found = (lab.folder / name).read_text().splitlines()
    assert [line for line in found if not line.startswith("#")] == list(lines)


def gone(lab: Lab, name: str) -> None:
    assert not (lab.folder / name).exists()


def shelf(lab: Lab) -> None:
    for tag in ("1.24", "1.23-again"):
        push(lab.here, "web/nginx", tag, ETCD)
    push(lab.here, "web/nginx", "1.25", NGINX)


def pieces_of_one(lab: Lab) -> None:
    for repository, prefix, name in (
        ("team/api", "2.1-", "amd64"),
        ("team/api", "2.1-", "arm64"),
        ("web/nginx", "1.25-", "riscv64"),
    ):
        studio = Studio(name, 7)
        where: dict[str, object] = {"os": "linux", "architecture": name}
        push(lab.here, repository, prefix + name, studio.single(studio.child(where)))


def site(lab: Lab) -> None:
    """A source of the company's own."""
    mirrored(lab)
    lab.routes[HARBOR] = lab.here.address
    (lab.folder / "list.txt").write_text("library/nginx:1.25\n")
    lab.renew()


def cron_result(lab: Lab) -> None:
    report = json.loads((lab.folder / "var/lib/mirror/report.json").read_text())
    assert report["counts"]["copied"] == 1
    gone(lab, "var/lib/mirror/failed.txt")


COPIED = "copied  registry.example:5000/library/nginx:1.25"
MIRROR = Promise(says=(COPIED, "1 image: 1 copied"))
ALL = ("amd64", "arm/v7", "s390x")
PROMISES: dict[str, tuple[Promise, ...]] = {
    # scripts/demo is run by test_demo.py.
    "README: Quick start": (Promise(says=(COPIED, "2 images: 2 copied")),),
    "README: Requirements": (Promise(says=("image-tools ", "skopeo ", "buildx ")),),
    "README: Choose platforms": (
        Promise(says=(COPIED,), then=lambda lab: lab.platforms("library/nginx", "1.25", "amd64")),
        Promise(
            says=(COPIED,),
            then=lambda lab: lab.platforms("library/nginx", "1.25", "amd64", "arm/v7"),
        ),
        Promise(
            says=(COPIED, "preserved"),
            then=lambda lab: lab.platforms("library/nginx", "1.25", *ALL),
        ),
    ),
    "README: Log in": (
        Promise(
            before=lambda lab: lab.renew(ROBOT),
            typed=(("Username: ", ROBOT.username), ("Password: ", ROBOT.password)),
            says=("logged in to registry.example:5000 as robot",),
        ),
        Promise(says=("logged in to registry.example:5000 as robot",)),
        MIRROR,
        Promise(says=("logged out of registry.example:5000",)),
        Promise(before=lambda lab: lab.renew(WRITER), says=(COPIED,)),
    ),
    "README: Private CA, self-signed, plain HTTP": (
        MIRROR,
        Promise(before=lambda lab: lab.renew(plain=True), says=(COPIED,)),
    ),
    "README: Other projects, Harbor": (
        Promise(says=("copied  registry.example:5000/team/nginx:1.25",)),
        Promise(
            before=Lab.build_harbor,
            says=("copied  harbor.example/library/nginx:1.25",),
            then=lambda lab: projects(lab, public=False),
        ),
        Promise(
            before=Lab.build_harbor,
            says=("copied  harbor.example/library/nginx:1.25",),
            then=lambda lab: projects(lab, public=True),
        ),
    ),
    "README: Signatures": (
        Promise(
            says=("1 copied", "preserved"),
            then=lambda lab: lab.holds("coreos/etcd", "v3.5.9", tag_of(ETCD.top.digest)),
        ),
        Promise(
            before=Lab.renew,
            says=("1 copied", "refuse"),
            then=lambda lab: lab.holds("coreos/etcd", "v3.5.9"),
        ),
        Promise(before=keys, says=("1 copied", "signed sha256:")),
        Promise(
            before=Lab.renew,
            says=("1 copied",),
            then=lambda lab: lab.holds("coreos/etcd", "v3.5.9"),
        ),
    ),
    "README: Run it from cron": (Promise(then=cron_result),),
    "README: Repeat what failed": (
        Promise(says=("1 copied",), then=lambda lab: gone(lab, "mirror-failed.txt")),
    ),
    "README: Look first": (
        Promise(
            says=("copy    registry.example:5000/library/nginx:1.25", "Nothing was written."),
            then=lambda lab: lab.holds("library/nginx"),
        ),
    ),
    "README: Check what is there": (
        Promise(before=mirrored, says=("PASS [docker.io/library/nginx:1.25] == [",)),
        Promise(
            before=lost,
            code=1,
            says=("FAILED [docker.io/library/nginx:1.25]",),
            then=lambda lab: listed(lab, "mirror-validate-failed.txt", "nginx:1.25"),
        ),
        MIRROR,
    ),
    "README: Look at images and tags": (
        Promise(before=shelf, says=("linux/arm/v7", NGINX.top.digest)),
        Promise(says=(f"docker.io/library/nginx:1.25,found,{NGINX.top.digest}",)),
        Promise(says=("1.23-again\n1.24\n1.25\n",)),
        Promise(
            typed=(("1.23-again", "y"),),
            then=lambda lab: lab.holds("web/nginx", "1.25"),
        ),
        Promise(
            then=lambda lab: listed(
                lab, "mirror-list.txt", f"docker.io/library/nginx {HERE}/library/nginx 1.25"
            )
        ),
        Promise(says=("complete ",)),
    ),
    "README: Put platforms together": (
        Promise(
            before=pieces_of_one,
            says=('"architecture": "arm64"',),
            then=lambda lab: lab.holds("team/api", "2.1-amd64", "2.1-arm64"),
        ),
        Promise(then=lambda lab: lab.platforms("web/nginx", "1.25", *ALL, "riscv64")),
    ),
    "README: Find out what is wrong": (
        Promise(says=("ok     skopeo",)),
        Promise(says=('"ok": true', '"name": "registry registry.example:5000"')),
    ),
    # The download itself is tested by test_install.py.
    "README: Without the Internet": (Promise(before=site, says=(COPIED,)),),
    "README: Type it in": (
        Promise(typed=((">>> ", "nginx:1.25"), (COPIED, ""), (">>> ", "\x04")), says=("1 copied",)),
    ),
    "README: Documentation": (
        Promise(says=("merge-manifest", "mirror-validate")),
        Promise(says=("--destination-project",)),
    ),
    "docs/validate: Validation": (Promise(before=mirrored, says=("PASS [",)),),
    "docs/signatures: Signing": (
        Promise(before=keys, says=(COPIED, "signed sha256:"), then=cosign_accepts),
    ),
}


# --- the runs


@pytest.fixture
def lab(
    world: Registry,
    company: Certificates,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Lab]:
    """Give a user's folder with list and password, and the way to the registries of the names."""
    monkeypatch.chdir(tmp_path)
    for folder in ("etc/mirror", "var/lib/mirror", "scripts"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("list.txt", "etc/mirror/list.txt", "mirror-failed.txt"):
        (tmp_path / name).write_text(LIST)
    (tmp_path / "password.txt").write_text(f"{ROBOT.password}\n")
    (tmp_path / "company-ca.pem").write_bytes(company.authority.read_bytes())
    (tmp_path / "scripts/demo").write_text("#!/bin/sh\n")
    (tmp_path / "scripts/demo").chmod(0o755)
    made = Lab(world, company, tmp_path)
    assert world.options.certificates is not None
    for name, value in {
        "HTTP_PROXY": made.proxy.url,
        "HTTPS_PROXY": made.proxy.url,
        "SSL_CERT_FILE": made.trust(world.options.certificates, company),
        "READER_PASSWORD": "reader-Secret",
        "WRITER_PASSWORD": WRITER.password,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }.items():
        monkeypatch.setenv(name, value)
    yield made
    made.close()


@pytest.fixture
def own_settings(title: str, lab: Lab, world: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make what only some sections have: their keys, logins and lists."""
    if "Private CA" in title:
        assert world.options.certificates is not None
        monkeypatch.setenv("SSL_CERT_FILE", lab.trust(world.options.certificates))
    if "Harbor" in title:
        monkeypatch.setenv("DOCKER_USERNAME", ROBOT.username)
        monkeypatch.setenv("DOCKER_PASSWORD", ROBOT.password)
    if "Sign" in title:
        monkeypatch.setenv("IMAGE_TOOLS_SKOPEO", str(newest("skopeo")))
    if title == "README: Signatures":
        (lab.folder / "list.txt").write_text(SIGNED_LIST)


def made(call: Call, promise: Promise, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """Give what a call says, in this process or at a terminal."""
    words = [word.replace("/etc/", "etc/").replace("/var/", "var/") for word in call.words]
    if promise.typed:
        with Typist(*words, environ=call.environ) as typist:
            for prompt, answer in promise.typed:
                typist.answer(prompt, answer)
            return Ran(code=typist.end(), stdout=typist.screen, stderr="")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(call.stdin)))
    return image_tools(*words, environ=call.environ)


@pytest.mark.parametrize("title", EXAMPLES)
@pytest.mark.usefixtures("own_settings")
def test_examples_do_what_the_document_says(
    title: str, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [call for block in EXAMPLES[title] for call in calls_of(block, lab.folder)]

    for call, promise in zip(calls, PROMISES[title], strict=True):
        promise.before(lab)
        ran = made(call, promise, lab, monkeypatch)
        told = f"image-tools {' '.join(call.words)}\n{ran.stdout}{ran.stderr}"
        assert ran.code == promise.code, told
        assert [part for part in promise.says if part not in ran.stdout + ran.stderr] == [], told
        assert "-q" not in call.words or ran.stdout + ran.stderr == "", told
        promise.then(lab)


def test_every_promise_belongs_to_an_example() -> None:
    assert PROMISES.keys() == EXAMPLES.keys()


def test_readme_has_an_example_of_every_command(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/demo").touch(mode=0o755)
    (tmp_path / "password.txt").touch()
    blocks = "READER_PASSWORD= WRITER_PASSWORD=\n" + "".join(
        block for title in EXAMPLES if title.startswith("README") for block in EXAMPLES[title]
    )
    calls = calls_of(blocks, tmp_path)
    shown = {page_of(call.words)[0].name for call in calls if call.words[0] != "help"}

    assert shown == {page.name for page in PAGES}
    assert "help" in {call.words[0] for call in calls}
