"""`mirror --repo-type harbor`: missing projects are created, once, and only when needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import images
from tests.helpers.certificates import Certificates
from tests.helpers.client import push
from tests.helpers.crossing import NAME, SMALL
from tests.helpers.endpoint import LAB_LOGIN
from tests.helpers.proxy import Proxy
from tests.helpers.registry import Registry
from tests.helpers.running import Ran, image_tools, mirror
from tests.helpers.walk import pull_everything
from tests.zoo.harbor import DROPPED, Harbor, ProjectCall

HARBOR = ("--repo-type", "harbor")
LOGIN = {"DOCKER_USERNAME": LAB_LOGIN.username, "DOCKER_PASSWORD": LAB_LOGIN.password}
LOOKED, CREATED = ProjectCall("HEAD", "team", 404), ProjectCall("POST", "team", 201)
BROKEN = ProjectCall("POST", "team", DROPPED)


@pytest.fixture
def harbor() -> Iterator[Harbor]:
    """Give a Harbor over plain HTTP without any project."""
    with Harbor() as server:
        yield server


@pytest.fixture
def source(source_registry: Registry) -> Registry:
    """Give a source with one small image under three names."""
    for repository in ("team/app", "team/tool", "web/site"):
        push(source_registry, repository, "1.0", SMALL)
    return source_registry


def run(
    folder: Path,
    source: Registry,
    harbor: Harbor,
    *words: str | Path,
    names: str = "team/app",
) -> Ran:
    """Mirror images to the Harbor; no password is seen anywhere."""
    lines = "".join(f"{source.address}/{name}:1.0\n" for name in names.split())
    ran = mirror(folder, lines, "-d", harbor.address, *HARBOR, *words, environ=LOGIN)
    assert LAB_LOGIN.password not in ran.stdout + ran.stderr
    return ran


@pytest.mark.parametrize("public", [True, False], ids=["public", "private"])
def test_missing_project_is_created_once_and_never_again(
    source: Registry, harbor: Harbor, tmp_path: Path, public: bool
) -> None:
    first = run(tmp_path, source, harbor, f"--harbor-public={str(public).lower()}")

    assert (first.statuses, first.code) == (["copied"], 0), first.stderr
    assert harbor.policy.projects == {"team": public}
    assert harbor.calls == [LOOKED, CREATED]
    assert f"{harbor.address}/team: the project was missing and is created" in first.stderr
    pulled = pull_everything(harbor.plain.endpoint, "team/app", "1.0")
    assert pulled.blobs.keys() == {blob.digest for blob in SMALL.blobs}

    again = run(tmp_path, source, harbor, "--no-state")
    assert (again.statuses, harbor.calls) == (["unchanged"], [LOOKED, CREATED])


def test_multi_platform_image_and_its_index_reach_the_new_project(
    source: Registry, harbor: Harbor, tmp_path: Path
) -> None:
    push(source, "team/app", "1.0", images.oci_index(1))
    ran = run(tmp_path, source, harbor, "--arch", "amd64")

    assert ran.statuses == ["copied"], ran.stderr
    assert harbor.created == ["team"]


def test_many_images_ask_once_for_each_project(
    source: Registry, harbor: Harbor, tmp_path: Path
) -> None:
    ran = run(tmp_path, source, harbor, "-j", "4", names="team/app web/site team/tool")

    assert ran.statuses == ["copied"] * 3, ran.stderr
    assert sorted(harbor.created) == ["team", "web"]
    assert len([call for call in harbor.calls if call.method == "POST"]) == 2


def test_same_project_of_two_registries_is_created_at_both(
    source: Registry, harbor: Harbor, tmp_path: Path
) -> None:
    with Harbor() as other:
        places = (harbor.address, other.address)
        lines = "".join(f"{source.address}/team/app {place}/team/app 1.0\n" for place in places)
        auths = {place: {"auth": "bGFiLXVzZXI6bGFiLVNlY3JldCsxOi9A"} for place in places}
        (tmp_path / "auth.json").write_text(str({"auths": auths}).replace("'", '"'))
        environ = {"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}
        ran = mirror(tmp_path, lines, *HARBOR, environ=environ)

        assert ran.statuses == ["copied"] * 2, ran.stderr
        assert (harbor.created, other.created) == (["team"], ["team"])


# how the project stands -> what the API is asked and answers
STANDING = {
    "not seen by who may create": ({"unknown": 403}, [ProjectCall("HEAD", "team", 403), CREATED]),
    "there": ({"projects": {"team": True}}, [ProjectCall("POST", "team", 409)]),
    "there for a robot that may only push": (
        {"projects": {"team": True}, "may_create": False},
        [ProjectCall("POST", "team", 403), ProjectCall("HEAD", "team", 200)],
    ),
    "created by somebody else meanwhile": (
        {"projects": {"team": True}, "refusals": [409]},
        [ProjectCall("POST", "team", 409)],
    ),
    "after an error": ({"refusals": [500]}, [LOOKED, ProjectCall("POST", "team", 500), CREATED]),
    "after a rest": ({"refusals": [429]}, [LOOKED, ProjectCall("POST", "team", 429), CREATED]),
    "after a cut": (
        {"refusals": [DROPPED]},
        [LOOKED, ProjectCall("POST", "team", DROPPED), CREATED],
    ),
}


@pytest.mark.parametrize(("policy", "calls"), STANDING.values(), ids=STANDING)
def test_project_in_any_standing_lets_the_image_in(
    source: Registry,
    harbor: Harbor,
    tmp_path: Path,
    policy: dict[str, object],
    calls: list[ProjectCall],
) -> None:
    for name, value in policy.items():
        setattr(harbor.policy, name, value)
    ran = run(tmp_path, source, harbor)

    assert ran.statuses == ["copied"], ran.stderr
    assert harbor.calls == calls


BY_HAND = "create the project team at {place} by hand (Projects, New Project)"
# what creating is answered -> kind of the failure, its words, its advice, how often it is asked
REFUSED = {
    400: ("unknown-failure", "the registry refused (400 LAB_400", BY_HAND, 1),
    401: (
        "unauthorized",
        "not logged in (401 LAB_401",
        BY_HAND + ", or log in to {place} again",
        1,
    ),
    403: ("access-denied", "access denied (403 LAB_403", "an account that may create projects", 1),
    404: (
        "not-found",
        "not found (404 LAB_404",
        "leave --repo-type out if {place} is no Harbor",
        1,
    ),
    308: ("unknown-failure", "the API is elsewhere (308", "leave --harbor-https=false out", 1),
    413: ("unknown-failure", "too large", "client_max_body_size", 1),
    429: ("rate-limited", "too many requests (429", "run again with the failed list", 2),
    500: ("unavailable", "the registry failed (500 LAB_500", "run again with the failed list", 2),
    507: ("disk-full", "no space at the registry (507", BY_HAND, 1),
    DROPPED: ("unavailable", "the connection to {place} broke", "run again with the failed", 2),
}


@pytest.mark.parametrize(
    ("status", "kind", "words", "advice", "asked"),
    [(status, *rest) for status, rest in REFUSED.items()],
    ids=REFUSED,
)
def test_project_not_created_is_a_clear_failure(
    source: Registry,
    harbor: Harbor,
    tmp_path: Path,
    status: int,
    kind: str,
    words: str,
    advice: str,
    asked: int,
) -> None:
    harbor.policy.refusals = [status] * 9
    # What may pass is tried again by an image that comes later: then there is but one.
    names = "team/app" if asked > 1 else "team/app team/tool"
    ran = run(tmp_path, source, harbor, "--retry-times", "1", "-j", "2", names=names)

    assert (ran.code, set(ran.statuses)) == (1, {"failed"})
    for outcome in ran.outcomes:
        assert outcome["kind"] == kind
        assert f"{harbor.address}/team: " in outcome["reason"]
        assert words.format(place=harbor.address) in outcome["reason"]
        assert advice.format(place=harbor.address) in outcome["advice"]
    # Whoever waits for the same project shares the answer.
    assert [call for call in harbor.calls if call.method == "POST"] == [
        ProjectCall("POST", "team", status)
    ] * asked


def test_wrong_password_is_shown_once(source: Registry, harbor: Harbor, tmp_path: Path) -> None:
    wrong = {**LOGIN, "DOCKER_PASSWORD": "wrong-Secret"}
    lines = f"{source.address}/team/app:1.0\n{source.address}/web/site:1.0\n"
    ran = mirror(tmp_path, lines, "-d", harbor.address, *HARBOR, environ=wrong)

    assert [outcome["kind"] for outcome in ran.outcomes] == ["unauthorized"] * 2
    assert harbor.calls == []


def test_missing_project_without_the_option_fails(
    source: Registry, harbor: Harbor, tmp_path: Path
) -> None:
    ran = run(tmp_path, source, harbor, "--repo-type=")

    assert (ran.only()["kind"], harbor.calls) == ("unauthorized", [])


# what keeps an image from being copied -> its status
NOTHING_TO_COPY = {
    "absent": ("team/none", (), "failed"),
    "no wanted platform": ("team/index", ("--arch", "s390x", "--os", "plan9"), "skipped"),
}


@pytest.mark.parametrize(("name", "words", "status"), NOTHING_TO_COPY.values(), ids=NOTHING_TO_COPY)
def test_no_project_is_created_for_what_is_not_copied(
    source: Registry,
    harbor: Harbor,
    tmp_path: Path,
    name: str,
    words: tuple[str, ...],
    status: str,
) -> None:
    push(source, "team/index", "1.0", images.oci_index(1))
    ran = run(tmp_path, source, harbor, *words, names=name)

    assert (ran.statuses, harbor.created) == ([status], [])


def test_dry_run_plans_a_copy_into_the_missing_project(
    source: Registry, harbor: Harbor, tmp_path: Path
) -> None:
    ran = run(tmp_path, source, harbor, "--dry-run")

    row = ran.report["rows"][0]
    blobs = {blob.digest: len(blob.data) for blob in SMALL.blobs}
    assert (row["action"], row["bytes_to_move"]) == ("copy", sum(blobs.values()))
    assert harbor.calls == [LOOKED]


def test_validate_says_that_nothing_is_there(
    source: Registry, harbor: Harbor, tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_text(f"{source.address}/team/app:1.0\n")
    files = ("-f", tmp_path / "list.txt", "-o", tmp_path / "failed.txt", "--no-state")
    words = ("-d", harbor.address, "--format", "json")
    ran = image_tools("mirror-validate", *files, *words, *HARBOR, environ=LOGIN)

    assert "destination manifest does not exists" in ran.only()["reason"]
    assert harbor.calls == [LOOKED]


def test_destination_without_project_is_refused(
    source: Registry, harbor: Harbor, tmp_path: Path
) -> None:
    lines = f"{source.address}/team/app app 1.0\n"
    words = ("-d", harbor.address, "--default-project=", *HARBOR)
    ran = mirror(tmp_path, lines, *words, environ=LOGIN)

    assert f"write {harbor.address}/PROJECT/app" in ran.only()["reason"]
    assert harbor.created == []


@pytest.fixture
def tls_harbor(certificates: Certificates) -> Iterator[Harbor]:
    """Give a Harbor over TLS with the private authority."""
    with Harbor(certificates=certificates) as server:
        yield server


def test_api_is_reached_with_the_trust_of_the_destination(
    source: Registry, tls_harbor: Harbor, certificates: Certificates, tmp_path: Path
) -> None:
    ran = run(tmp_path, source, tls_harbor, "--ca-file", certificates.authority)

    assert (ran.statuses, tls_harbor.calls) == (["copied"], [LOOKED, CREATED]), ran.stderr


def test_api_is_reached_by_the_proxy_of_the_destination(
    source: Registry, tls_harbor: Harbor, certificates: Certificates, tmp_path: Path
) -> None:
    place = f"{NAME}:{tls_harbor.address.rpartition(':')[2]}"
    lines = f"{source.address}/team/app {place}/team/app 1.0\n"
    with Proxy() as proxy:
        environ = {**LOGIN, "https_proxy": proxy.url, "http_proxy": proxy.url}
        words = (*HARBOR, "--ca-file", certificates.authority, "--retry-times", "0")
        plain = mirror(tmp_path, lines, *words, "--harbor-https=false", environ=environ)
        asked = [(passed.method, passed.target) for passed in proxy.passed]

        # Plain HTTP at a port that speaks TLS: the user said so, and is told what came of it.
        assert ("HEAD", place) in asked
        assert (plain.only()["kind"], tls_harbor.calls) == ("unavailable", [])
        assert f"{place}/team: the connection to {place} broke" in plain.only()["reason"]

        proxy.passed.clear()
        ran = mirror(tmp_path, lines, *words, environ=environ)
        assert ran.statuses == ["copied"], ran.stderr
        assert {(p.method, p.target) for p in proxy.passed} == {("CONNECT", place)}
    assert tls_harbor.created == ["team"]
