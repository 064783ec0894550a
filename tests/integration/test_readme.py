"""Every example of README.md, run as a user runs it, in the order of the document.

A shell reads each block; the names in it stay as they are, for a proxy leads them to registries of
this machine. A new example wants its line in `PROMISES`.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_tools.cli.catalogue import PAGES, page_of
from tests.helpers.client import delete_manifest, push
from tests.helpers.documents import blocks, shell_sections
from tests.helpers.example_lab import ETCD, HARBOR, HERE, LIST, NGINX, ROBOT, WRITER, ExampleLab
from tests.helpers.population import residents
from tests.helpers.promises import COPIED, MIRROR, Promise, keep
from tests.helpers.registry import Registry
from tests.helpers.report_schema import check_document
from tests.helpers.running import image_tools
from tests.helpers.shell import calls_of
from tests.helpers.signatures import sign, tag_of
from tests.helpers.studio import Studio
from tests.helpers.tools import every, newest, run

EXAMPLES = shell_sections("README.md")
PASSPHRASE = "correct horse"


# --- scenes and results


def keys(lab: ExampleLab) -> None:
    """A pair of keys as cosign.key and cosign.pub."""
    (lab.folder / "passphrase.txt").write_text(PASSPHRASE)
    words = ("--output-prefix", lab.folder / "cosign")
    words += ("--passphrase-file", lab.folder / "passphrase.txt")
    run(every("skopeo")[-1].path, "generate-sigstore-key", *words)
    (lab.folder / "cosign.private").rename(lab.folder / "cosign.key")
    lab.renew()


def cosign_accepts(lab: ExampleLab) -> None:
    """The line of docs/signatures.md, word for word."""
    cosign, *words = shlex.split(blocks("docs/signatures.md", "text")[0])
    assert cosign == "cosign"
    assert run(newest(cosign), *words, check=False).returncode == 0


def projects(lab: ExampleLab, public: bool) -> None:
    assert lab.harbor is not None
    assert lab.harbor.policy.projects == {"library": public}


def mirrored(lab: ExampleLab) -> None:
    push(lab.here, "library/nginx", "1.25", NGINX)


def lost(lab: ExampleLab) -> None:
    delete_manifest(lab.here, "library/nginx", NGINX.top.digest)


def listed(lab: ExampleLab, name: str, *lines: str) -> None:
    found = (lab.folder / name).read_text().splitlines()
    assert [line for line in found if not line.startswith("#")] == list(lines)


def archived(lab: ExampleLab, name: str, *wanted: str) -> None:
    ran = image_tools("archive", "ls", lab.folder / name, "--json")
    assert ran.code == 0, ran.stderr
    assert [image["reference"] for image in ran.report["images"]] == list(wanted)


def gone(lab: ExampleLab, name: str) -> None:
    assert not (lab.folder / name).exists()


def shelf(lab: ExampleLab) -> None:
    for tag in ("1.24", "1.23-again"):
        push(lab.here, "web/nginx", tag, ETCD)
    push(lab.here, "web/nginx", "1.25", NGINX)


def pieces_of_one(lab: ExampleLab) -> None:
    for repository, prefix, name in (
        ("team/api", "2.1-", "amd64"),
        ("team/api", "2.1-", "arm64"),
        ("web/nginx", "1.25-", "riscv64"),
    ):
        studio = Studio(name, 7)
        where: dict[str, object] = {"os": "linux", "architecture": name}
        push(lab.here, repository, prefix + name, studio.single(studio.child(where)))


def site(lab: ExampleLab) -> None:
    """A source of the company's own."""
    mirrored(lab)
    lab.routes[HARBOR] = lab.here.address
    (lab.folder / "list.txt").write_text("library/nginx:1.25\n")
    lab.renew()


def cron_result(lab: ExampleLab) -> None:
    report = json.loads((lab.folder / "var/lib/mirror/report.json").read_text())
    check_document(report)
    assert report["counts"]["copied"] == 1
    gone(lab, "var/lib/mirror/failed.txt")


ALL = ("amd64", "arm/v7", "s390x")
SAVED, NEWER = "docker.io/library/nginx:1.25", "quay.io/coreos/etcd:v3.5.9"
PROMISES: dict[str, tuple[Promise, ...]] = {
    # scripts/demo is run by test_demo.py.
    "Quick start": (Promise(says=(COPIED, "2 images: 2 copied")),),
    "Requirements": (Promise(says=("image-tools ", "skopeo ", "buildx ")),),
    "Choose platforms": (
        Promise(says=(COPIED,), then=lambda lab: lab.platforms("library/nginx", "1.25", "amd64")),
        Promise(
            says=(COPIED,),
            then=lambda lab: lab.platforms("library/nginx", "1.25", "amd64", "arm/v7"),
        ),
        Promise(
            says=(COPIED, "same digest"),
            then=lambda lab: lab.platforms("library/nginx", "1.25", *ALL),
        ),
    ),
    "Moving tags and merged indexes": (
        Promise(
            before=mirrored,
            says=(COPIED, "filtered"),
            then=lambda lab: lab.platforms("library/nginx", "1.25", "amd64"),
        ),
        Promise(code=1, says=("required platforms are missing: linux/arm64",)),
        Promise(
            says=(COPIED,),
            then=lambda lab: lab.holds("library/nginx", "1.25", "1.25-linux-amd64"),
        ),
        Promise(says=("1 unchanged",)),
    ),
    "Log in": (
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
    "Private CA, self-signed, plain HTTP": (
        MIRROR,
        Promise(before=lambda lab: lab.renew(plain=True), says=(COPIED,)),
    ),
    "Other projects, Harbor": (
        Promise(says=("copied  registry.example:5000/team/nginx:1.25",)),
        Promise(
            before=ExampleLab.build_harbor,
            says=("copied  harbor.example/library/nginx:1.25",),
            then=lambda lab: projects(lab, public=False),
        ),
        Promise(
            before=ExampleLab.build_harbor,
            says=("copied  harbor.example/library/nginx:1.25",),
            then=lambda lab: projects(lab, public=True),
        ),
    ),
    "Signatures": (
        Promise(
            says=("1 copied", "same digest"),
            then=lambda lab: lab.holds("library/nginx", "1.25", tag_of(NGINX.top.digest)),
        ),
        Promise(
            before=ExampleLab.renew,
            says=("1 copied", "does not take the source's"),
            then=lambda lab: lab.holds("library/nginx", "1.25"),
        ),
        Promise(before=keys, says=(COPIED, "signed sha256:"), then=cosign_accepts),
        Promise(
            before=ExampleLab.renew,
            says=("1 copied",),
            then=lambda lab: lab.holds("library/nginx", "1.25"),
        ),
    ),
    "Run it from cron": (Promise(then=cron_result),),
    "Repeat what failed": (
        Promise(says=("1 copied",), then=lambda lab: gone(lab, "mirror-failed.txt")),
    ),
    "Stay within a pull limit": (
        MIRROR,
        Promise(before=ExampleLab.renew, says=("1 image: 1 copied",)),
    ),
    "Look first": (
        Promise(
            says=("copy    registry.example:5000/library/nginx:1.25", "Nothing was written."),
            then=lambda lab: lab.holds("library/nginx"),
        ),
    ),
    "Check what is there": (
        Promise(before=mirrored, says=("PASS [docker.io/library/nginx:1.25] == [",)),
        Promise(
            before=lost,
            code=1,
            says=("FAILED [docker.io/library/nginx:1.25]",),
            then=lambda lab: listed(lab, "mirror-validate-failed.txt", "nginx:1.25  # depth=tree"),
        ),
        MIRROR,
    ),
    "Carry images across an air gap": (
        Promise(says=(f"{SAVED}: copied", "1 image: 1 copied")),
        MIRROR,
        Promise(says=("1 image: 1 passed",)),
        Promise(says=(f"{SAVED}: unchanged",)),
        Promise(says=("1 image: 1 passed",)),
        Promise(
            before=lambda lab: (lab.folder / "some-of-them.txt").write_text(LIST),
            says=(f"copied  {HERE}/team/nginx:1.25",),
        ),
        Promise(says=(f"{HERE}: 1 image, 5 blobs",)),
        Promise(says=("images.tar.gz: 1 image, 5 blobs",)),
        Promise(
            before=lambda lab: (lab.folder / "list.txt").write_text(f"{LIST}{NEWER}\n"),
            says=("1 copied, 1 unchanged",),
            then=lambda lab: archived(lab, "friday.tar.gz", NEWER),
        ),
        Promise(says=(SAVED, "amd64")),
        Promise(says=("all as their digests say",)),
        Promise(says=("2 copied",), then=lambda lab: archived(lab, "week.tar.gz", SAVED, NEWER)),
        Promise(says=(f"{SAVED}: copied",), then=lambda lab: archived(lab, "some.tar.gz", SAVED)),
        Promise(says=("2 images at http://127.0.0.1:",)),
    ),
    "Look at images and tags": (
        Promise(before=shelf, says=("linux/arm/v7", NGINX.top.digest)),
        Promise(says=(f"docker.io/library/nginx:1.25,found,{NGINX.top.digest}",)),
        Promise(says=("1.23-again\n1.24\n1.25\n",)),
        Promise(
            typed=(("Delete it? [y/N] ", "y"),),
            says=("tags that go with it: 1.23-again, 1.24",),
            then=lambda lab: lab.holds("web/nginx", "1.25"),
        ),
        Promise(
            then=lambda lab: listed(
                lab, "mirror-list.txt", f"docker.io/library/nginx {HERE}/library/nginx 1.25"
            )
        ),
        Promise(says=("complete ",)),
    ),
    "Put platforms together": (
        Promise(
            before=pieces_of_one,
            says=('"architecture": "arm64"',),
            then=lambda lab: lab.holds("team/api", "2.1-amd64", "2.1-arm64"),
        ),
        Promise(then=lambda lab: lab.platforms("web/nginx", "1.25", *ALL, "riscv64")),
    ),
    "Find out what is wrong": (
        Promise(says=("ok     skopeo",)),
        Promise(says=('"ok": true', '"name": "registry registry.example:5000"')),
    ),
    # The download itself is tested by test_install.py.
    "Without the Internet": (Promise(before=site, says=(COPIED,)),),
    "Type it in": (
        Promise(typed=((">>> ", "nginx:1.25"), (">>> ", "\x04")), says=(COPIED, "1 copied")),
    ),
    "Documentation": (
        Promise(says=("merge-manifest", "mirror-validate")),
        Promise(says=("--destination-project",)),
    ),
}


# --- the runs


@pytest.fixture
def own_settings(
    title: str, example_lab: ExampleLab, world: Registry, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Make what only some sections have: their trust, logins, tools and signatures."""
    if "Private CA" in title:
        assert world.options.certificates is not None
        monkeypatch.setenv("SSL_CERT_FILE", example_lab.trust(world.options.certificates))
    if "Harbor" in title:
        monkeypatch.setenv("DOCKER_USERNAME", ROBOT.username)
        monkeypatch.setenv("DOCKER_PASSWORD", ROBOT.password)
    signature = ""
    if title == "Signatures":
        monkeypatch.setenv("IMAGE_TOOLS_SKOPEO", str(every("skopeo")[-1].path))
        signature = sign(world, "library/nginx", NGINX.top.digest, 1)
    yield
    if signature:
        delete_manifest(world, "library/nginx", signature)


@pytest.mark.parametrize("title", EXAMPLES)
@pytest.mark.usefixtures("own_settings")
def test_examples_do_what_the_document_says(
    title: str, example_lab: ExampleLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(EXAMPLES[title], PROMISES[title], example_lab, monkeypatch)


def test_report_shown_in_the_document_is_what_a_run_writes(
    example_lab: ExampleLab, world: Registry
) -> None:
    shown = json.loads(blocks("docs/report.md", "json")[0])
    tools = next(one for one in residents() if one.repository == "library/tools")
    push(world, tools.repository, tools.tag, tools.image)
    (example_lab.folder / "list.txt").write_text(
        "".join(f"{one['raw']}\n" for one in shown["outcomes"])
    )
    (example_lab.folder / "mirror-failed.txt").unlink()  # One of another list would stay.
    words = ("-s", "source.example", "-d", HERE, "--report", "report.json")
    ran = image_tools("mirror", "-f", "list.txt", *words)

    assert ran.code == shown["exit_code"], ran.stderr
    assert timeless((example_lab.folder / "report.json").read_text()) == timeless(json.dumps(shown))
    written = (example_lab.folder / "mirror-failed.txt").read_text()
    assert at_home(written, example_lab) == blocks("docs/report.md", "text")[0]


def at_home(failed: str, lab: ExampleLab) -> str:
    """Give a failed list as somebody has it whose list lies in /home/me."""
    return failed.replace(str(lab.folder), "/home/me")


def timeless(report: str) -> object:
    """Give a report without its times, and without what zlib makes of the layers of an image."""
    report = re.sub(r'"(seconds|bytes_moved)": [0-9.]+', r'"\1": 0', report)
    return json.loads(re.sub(r"sha256:[0-9a-f]{64}", "sha256:…", report))


def test_failed_list_shown_in_the_document_is_what_a_validation_writes(
    example_lab: ExampleLab, world: Registry
) -> None:
    for side in (world, example_lab.here):
        push(side, "team/api", "2.0", NGINX)
    push(world, "team/app", "1.0", NGINX)
    layer = json.loads(NGINX.find(NGINX.leaves[0].digest).data)["layers"][0]["digest"]
    link = f"team/api/_layers/sha256/{layer.removeprefix('sha256:')}/link"
    (example_lab.here.storage / "docker/registry/v2/repositories" / link).unlink()
    example_lab.renew(
        storage=example_lab.here.storage
    )  # a registry remembers what it had, until it is restarted
    lines = ("source.example/team/app:1.0", "source.example/team/api:2.0")
    (example_lab.folder / "list.txt").write_text("".join(f"{line}\n" for line in lines))
    ran = image_tools("mirror-validate", "-f", "list.txt", "-d", HERE, "--depth", "tree")

    written = (example_lab.folder / "mirror-validate-failed.txt").read_text()
    shown = blocks("docs/validate.md", "text")[0]
    assert ran.code == 1
    assert re.sub(r"@sha256:\w{64}", "@sha256:2e4a…", at_home(written, example_lab)) == shown


def test_every_promise_belongs_to_an_example() -> None:
    assert PROMISES.keys() == EXAMPLES.keys()


def test_readme_has_an_example_of_every_command(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/demo").touch(mode=0o755)
    (tmp_path / "password.txt").touch()
    whole = "READER_PASSWORD= WRITER_PASSWORD=\n" + "".join(blocks("README.md", "sh"))
    calls = calls_of(whole, tmp_path)
    shown = {page_of(call.words)[0].name for call in calls if call.words[0] != "help"}

    assert shown == {page.name for page in PAGES}
    assert "help" in {call.words[0] for call in calls}
