"""Every example of docs/airgap.md, run as a user runs it, each section in a folder of its own.

A new example wants its line in `PROMISES`; what must lie there before a section is in `SCENES`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import bcrypt
import pytest

from tests.helpers import images
from tests.helpers.client import push
from tests.helpers.content import Image
from tests.helpers.documents import shell_sections
from tests.helpers.example_lab import ETCD, HERE, ROBOT, ExampleLab
from tests.helpers.promises import COPIED, Promise, keep
from tests.helpers.running import image_tools
from tests.helpers.studio import Studio
from tests.helpers.tools import newest
from tests.helpers.walk import pull_everything


def changed_etcd(seed: int) -> Image:
    """Give an index whose arm64 is the same for every seed, its amd64 is not."""
    studio = Studio("etcd", 0)
    same = studio.child(images.ARM64)
    studio.seed = seed
    return studio.index([studio.child(images.AMD64), same])


EXAMPLES = shell_sections("docs/airgap.md")
NAMES = ("docker.io/library/nginx:1.25", "quay.io/coreos/etcd:v3.5.9")
LIST = "nginx:1.25\nquay.io/coreos/etcd:v3.5.9\n"
# Not filtered, the default platforms are all it has: in a new version it keeps its arm64.
OLD, NEW = (changed_etcd(seed) for seed in (21, 22))
BIG = images.shared_base(31, 31, (700_000, 600_000))
NGINX_ALONE = ("-f", "some-of-them.txt")
PUT = "2 images: 2 copied"
SAME = "2 images: 2 unchanged"


# --- scenes and results


def etcd(lab: ExampleLab, image: Image) -> None:
    push(lab.world, "coreos/etcd", "v3.5.9", image)


def save(lab: ExampleLab, name: str, *words: str) -> None:
    listed = () if "-f" in words else ("-f", "list.txt")
    ran = image_tools("save", *listed, "-d", lab.folder / name, *words)
    assert ran.code == 0, ran.stderr


def listed(lab: ExampleLab, name: str) -> list[str]:
    """Give the names of what is in an archive."""
    ran = image_tools("archive", "ls", lab.folder / name, "--json")
    assert ran.code == 0, ran.stderr
    return [image["reference"] for image in ran.report["images"]]


def holds(name: str, *wanted: str) -> Callable[[ExampleLab], None]:
    def check(lab: ExampleLab) -> None:
        assert listed(lab, name) == list(wanted)

    return check


def verified(lab: ExampleLab, name: str) -> None:
    ran = image_tools("archive", "verify", lab.folder / name)
    assert ran.code == 0, ran.stderr


def has_new_etcd(lab: ExampleLab) -> None:
    found = pull_everything(lab.here.endpoint, "coreos/etcd", "v3.5.9")
    assert found.digest == NEW.top.digest


def lose(lab: ExampleLab) -> None:
    (lab.folder / "images.tar.gz.part1").unlink()


def week(lab: ExampleLab) -> None:
    """Monday's archive, and Friday's delta."""
    etcd(lab, OLD)
    save(lab, "monday.tar.gz")
    etcd(lab, NEW)
    save(lab, "friday.tar.gz", "--base", "monday.tar.gz")
    shutil.copy(lab.folder / "monday.tar.gz", lab.folder / "images.tar.gz")


def served(lab: ExampleLab) -> None:
    """An archive, and what a server needs."""
    save(lab, "images.tar.gz", *NGINX_ALONE)
    hashed = bcrypt.hashpw(ROBOT.password.encode(), bcrypt.gensalt(4)).decode()
    (lab.folder / "users").write_text(f"{ROBOT.username}:{hashed}\n")
    (lab.folder / "server.pem").write_bytes(lab.company.server_certificate.read_bytes())
    (lab.folder / "server-key.pem").write_bytes(lab.company.server_key.read_bytes())


def partly(lab: ExampleLab) -> None:
    """An archive that lacks an image, and the list that says so."""
    save(lab, "images.tar.gz", *NGINX_ALONE)
    (lab.folder / "save-failed.txt").write_text(LIST.splitlines(keepends=True)[1])


def other_tools(lab: ExampleLab) -> None:
    save(lab, "images.tar", *NGINX_ALONE)
    save(lab, "saved-image-cache", "--compress", "dir", *NGINX_ALONE)


def small_volumes(lab: ExampleLab) -> None:
    """An image that fills more than one of the smallest volumes."""
    etcd(lab, BIG)


SCENES: dict[str, Callable[[ExampleLab], None]] = {
    "Volumes": small_volumes,
    "Looking into archives, and making others of them": week,
    "An archive as a registry": served,
    "Other tools": other_tools,
    "When something goes wrong": partly,
}
PASSED = "2 images: 2 passed"
PROMISES: dict[str, tuple[Promise, ...]] = {
    "The way there and back": (
        Promise(says=(PUT,), then=holds("images.tar.gz", *NAMES)),
        Promise(says=(PASSED,)),
        Promise(says=(COPIED, PUT), then=lambda lab: lab.holds("library/nginx", "1.25")),
        Promise(says=(PASSED,)),
        Promise(before=ExampleLab.renew, says=(COPIED, "1 image: 1 copied")),
        Promise(says=("Nothing was written.", f"copy       {HERE}/coreos/etcd:v3.5.9")),
    ),
    "Volumes": (
        Promise(says=(PUT,)),
        Promise(says=(COPIED, PUT)),
        Promise(before=lose, then=holds("images.tar.gz", *NAMES)),
    ),
    "Again": (
        Promise(says=(PUT,)),
        Promise(says=(SAME,), then=holds("images.tar.gz", *NAMES)),
    ),
    "Only what is new": (
        Promise(before=lambda lab: etcd(lab, OLD), says=(PUT,)),
        Promise(says=(COPIED, PUT)),
        Promise(says=(f"{HERE}: 2 images, 14 blobs",)),
        # Of nginx, which is filtered and unchanged, the index comes along.
        Promise(before=lambda lab: etcd(lab, NEW), says=(PUT, "931 B")),
        Promise(says=(PASSED,)),
        Promise(says=("what it relies on is there", "1 copied, 1 unchanged"), then=has_new_etcd),
        Promise(says=(f"{HERE}: 2 images, 14 blobs",)),
        Promise(says=("monday.tar.gz: 2 images, 14 blobs",)),
        Promise(
            before=lambda lab: (lab.folder / "friday.tar.gz").unlink(),
            says=("1 copied, 1 unchanged",),
            then=holds("friday.tar.gz", NAMES[1]),
        ),
    ),
    "When something goes wrong": (
        Promise(says=("1 image: 1 copied",), then=holds("images.tar.gz", *NAMES)),
        Promise(says=(PASSED,)),
    ),
    "Looking into archives, and making others of them": (
        Promise(says=NAMES),
        Promise(says=("2 images", "all as their digests say")),
        Promise(says=("3 copied",), then=lambda lab: verified(lab, "week.tar.gz")),
        Promise(then=holds("some.tar.gz", NAMES[0])),
    ),
    "An archive as a registry": (
        Promise(says=("1 image at http://127.0.0.1:",)),
        Promise(says=("1 image at https://",)),
        Promise(typed=(("Username: ", ROBOT.username), ("Password: ", ROBOT.password))),
    ),
    "Other tools": (),
}


# --- the runs


@pytest.fixture
def guide_lab(
    title: str, example_lab: ExampleLab, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ExampleLab]:
    """Give the user's folder with the scene of a section, and newer tools than this machine's."""
    folders = [str(newest(name).parent) for name in ("skopeo", "crane")]
    monkeypatch.setenv("PATH", os.pathsep.join([*folders, os.environ["PATH"]]))
    (example_lab.folder / "list.txt").write_text(LIST)
    (example_lab.folder / "some-of-them.txt").write_text(LIST.splitlines(keepends=True)[0])
    SCENES.get(title, lambda lab: None)(example_lab)
    yield example_lab
    etcd(example_lab, ETCD)


@pytest.mark.parametrize("title", EXAMPLES)
def test_guide_examples_do_what_the_document_says(
    title: str, guide_lab: ExampleLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The smallest size there is: the images of the lab are small.
    blocks = [block.replace("--part-size 4G", "--part-size 1M") for block in EXAMPLES[title]]

    keep(blocks, PROMISES[title], guide_lab, monkeypatch)


def test_every_promise_belongs_to_an_example_of_the_guide() -> None:
    assert PROMISES.keys() == EXAMPLES.keys()
