"""A destination that refuses a push for good is not sent another byte in this run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.fault_routes import Asked
from tests.helpers.fault_types import Reply, Stage
from tests.helpers.faults import FaultRegistry
from tests.helpers.images import docker_list
from tests.helpers.running import mirror

QUOTA = (
    403,
    "DENIED",
    "adding 29.0 MiB of storage resource, which when updated to current usage of 152.4 MiB will"
    " exceed the configured upper limit of 10.0 MiB.",
)
READ_ONLY = (403, "DENIED", "The system is in read only mode. Any modification is prohibited.")
IMMUTABLE = (
    412,
    "PRECONDITION",
    "Failed to process request due to 'x:1.0' configured as immutable.",
)


class Refusing(FaultRegistry):
    """A registry that refuses what `what` asks below `where`, in the words of a product."""

    def __init__(self, what: str, where: str, words: tuple[int, str, str]) -> None:
        super().__init__()
        self.what, self.where, self.words = what, where, words
        self.new_tags: frozenset[str] = frozenset()

    def answer(self, asked: Asked, body: bytes) -> Reply:
        """Give the refusal, or the answer of a registry in good health."""
        repository = asked.repository or ""
        is_meant = asked.method in ("PUT", "POST") and asked.what == self.what
        is_tag = not asked.rest.startswith("sha256:") and asked.rest not in self.new_tags
        if is_meant and repository.startswith(self.where) and (self.what != "manifests" or is_tag):
            status, code, message = self.words
            error = {"errors": [{"code": code, "message": message}]}
            return Reply(status, json.dumps(error).encode(), {"Content-Type": "application/json"})
        return super().answer(asked, body)

    @property
    def uploads(self) -> Counter[str]:
        """Give how many uploads each repository was asked for."""
        return Counter(
            seen.repository or "" for seen in self.requests if seen.stage is Stage.POST_UPLOAD
        )


@pytest.fixture
def source() -> Iterator[FaultRegistry]:
    """Give a source of images that share nothing."""
    with FaultRegistry() as double:
        for number, name in enumerate(("team/a", "team/b", "other/c")):
            double.load(name, "1.0", docker_list(number))
            double.load(name, "2.0", docker_list(number + 10))
        yield double


def lines(source: FaultRegistry, *names: str) -> str:
    return "".join(f"{source.address}/{name}\n" for name in names)


def test_quota_closes_the_project_and_no_other(source: FaultRegistry, tmp_path: Path) -> None:
    with Refusing("manifests", "team/", QUOTA) as destination:
        words = ("-d", destination.address, "-j", "1", "--retry-times", "0")
        listed = lines(source, "team/a:1.0", "team/b:1.0", "team/b:2.0", "other/c:1.0")
        ran = mirror(tmp_path, listed, *words)

        kinds = [one["kind"] for one in ran.outcomes]
        assert kinds == ["quota-exceeded"] * 3 + [""], ran.stderr
        first, *others = (one for one in ran.outcomes if one["kind"])
        tried = [one for one in (first, *others) if "not tried" not in one["reason"]]
        assert len(tried) == 1
        assert all("configured upper limit" in one["reason"] for one in others)
        assert all("raise its quota" in one["advice"] for one in (first, *others))
        untried = {"team/a", "team/b"} - {
            name for name in ("team/a", "team/b") if name in tried[0]["reason"]
        }
        # The preflight begins an upload and gives it up; no blob follows.
        assert all(destination.uploads[name] <= 1 for name in untried)
        assert not any(destination.blobs.get(name) for name in untried)


def test_read_only_registry_is_asked_once(source: FaultRegistry, tmp_path: Path) -> None:
    with Refusing("blobs/uploads", "", READ_ONLY) as destination:
        words = ("-d", destination.address, "-j", "1", "--retry-times", "0")
        listed = lines(source, "team/a:1.0", "team/a:2.0", "team/b:1.0", "other/c:1.0")
        ran = mirror(tmp_path, listed, *words)

        assert [one["kind"] for one in ran.outcomes] == ["read-only"] * 4, ran.stderr
        assert all("read only mode" in one["reason"] for one in ran.outcomes)
        assert sum(one["bytes_moved"] for one in ran.outcomes) == 0
        # Those that are looked at at once may each be tried once.
        assert max(destination.uploads.values()) == 1
        assert destination.count(Stage.PUT_BLOB) == 0


def test_immutable_tag_closes_the_tags_that_exist_and_lets_new_ones_in(
    source: FaultRegistry, tmp_path: Path
) -> None:
    with Refusing("manifests", "team/a", IMMUTABLE) as destination:
        destination.new_tags = frozenset({"3.0"})
        for tag in ("1.0", "2.0"):
            destination.load("team/a", tag, docker_list(40))
        destination.clear_log()
        before = set(destination.blobs["team/a"])
        listed = lines(source, "team/a:1.0", "team/a:2.0")
        listed += f"{source.address}/team/b:1.0 {destination.address}/team/a 3.0\n"
        words = ("-d", destination.address, "-j", "1", "--retry-times", "0", "--overwrite")
        ran = mirror(tmp_path, listed, *words)

        assert [one["kind"] for one in ran.outcomes] == ["tag-immutable"] * 2 + [""], ran.stderr
        untried = [one for one in ran.outcomes if "not tried" in one["reason"]]
        assert len(untried) == 1
        assert untried[0]["bytes_moved"] == 0
        assert "configured as immutable" in untried[0]["reason"]
        assert destination.tags["team/a"]["3.0"]
        # Two images of two platforms: nothing of the third was sent.
        brought = set(destination.blobs["team/a"]) - before
        ours = [docker_list(0), docker_list(10), docker_list(1)]
        left_out = [image for image in ours if not brought & {blob.digest for blob in image.blobs}]
        assert len(left_out) == 1
