"""What images are called that state less than a whole name, as real programs leave them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from image_tools.errors import UsageError
from image_tools.oci.reference import Reference
from image_tools.stores.archive.image_contents import contents_at
from image_tools.stores.archive.opening import read_archive
from image_tools.stores.archive.others.cache import Foreign
from image_tools.stores.archive.others.image_names import NameAsked, unnamed
from tests.helpers import images
from tests.helpers.foreign import IMAGE_NAME, REF_NAME, docker_save, layout, write
from tests.helpers.said import listened

APP, WEB = images.oci_index(1), images.docker_list(2)
QUAY, TAGGED = "quay.io/team/app", "quay.io/team/app:1.0"
AT_APP = f"{QUAY}@{APP.top.digest}"
Said = dict[str, str]
LATEST = "quay.io/team/app:latest"


def read(
    folder: Path, *entries: tuple[images.Image, Said], names: tuple[str, ...] = (), lenient=False
) -> tuple[dict[str, str], list[str]]:
    """Give the digests of all images by their names, and the warnings."""
    path = write(folder / "some.tar", layout(*entries))
    given = tuple(Reference.parse(name) for name in names)
    with (
        listened() as said,
        closing(read_archive(path, foreign=Foreign(names=given, lenient=lenient))) as archive,
    ):
        found = {
            str(tag): str(one.descriptor.digest) for tag, one in archive.catalogue.tags.items()
        }
        for image in unnamed(archive):
            whole = contents_at(archive, image.digest)
            assert whole.problems == {}
            found[whole.name] = str(image.digest)
    return found, [line for line in said if line.startswith("WARNING")]


@pytest.mark.parametrize(
    ("said", "name", "warned"),
    [
        pytest.param({REF_NAME: QUAY}, LATEST, True, id="skopeo, buildah, podman"),
        pytest.param({IMAGE_NAME: QUAY}, LATEST, True, id="containerd"),
        pytest.param({IMAGE_NAME: AT_APP, REF_NAME: f"@{APP.top.digest}"}, LATEST, True, id="ctr"),
        pytest.param({REF_NAME: AT_APP}, LATEST, True, id="crane"),
        pytest.param({IMAGE_NAME: AT_APP, REF_NAME: APP.top.digest}, LATEST, True, id="hauler"),
        pytest.param({IMAGE_NAME: QUAY, REF_NAME: "1.0"}, TAGGED, False, id="in two parts"),
        pytest.param(
            {IMAGE_NAME: AT_APP, REF_NAME: f"1.0@{APP.top.digest}"}, TAGGED, False, id="nerdctl"
        ),
        pytest.param({IMAGE_NAME: f"{TAGGED}@{APP.top.digest}"}, TAGGED, False, id="both"),
        pytest.param({IMAGE_NAME: "app"}, "docker.io/library/app:latest", True, id="short"),
        pytest.param({REF_NAME: "team/app"}, "docker.io/team/app:latest", True, id="on the Hub"),
        pytest.param({REF_NAME: "localhost/app"}, "localhost/app:latest", True, id="podman"),
    ],
)
def test_repository_of_a_name_is_kept(tmp_path: Path, said: Said, name: str, warned: bool) -> None:
    found, warnings = read(tmp_path, (APP, said))

    assert found == {name: APP.top.digest}
    assert [("states no tag" in line and name in line) for line in warnings] == [True] * warned


@pytest.mark.parametrize(
    "said",
    [{}, {REF_NAME: "1.0"}, {REF_NAME: APP.top.digest}, {REF_NAME: f"1.0@{APP.top.digest}"}],
    ids=["nothing", "tag", "digest", "both"],
)
def test_image_without_a_repository_is_asked_about_and_never_called_after_the_file(
    tmp_path: Path, said: Said
) -> None:
    with pytest.raises(NameAsked, match=APP.top.digest) as caught:
        read(tmp_path, (APP, said))
    assert "--name REPOSITORY" in caught.value.advice
    assert caught.value.exit_code == 2

    assert read(tmp_path, (APP, said), lenient=True)[0] == {APP.top.digest: APP.top.digest}
    named, _ = read(tmp_path, (APP, said), names=("reg.example/a",))
    tag = "1.0" if "1.0" in said.get(REF_NAME, "") else "latest"
    assert named == {f"reg.example/a:{tag}": APP.top.digest}


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([(WEB, {REF_NAME: TAGGED})], None),
        ([(WEB, {REF_NAME: QUAY})], None),
        ([(WEB, {REF_NAME: f"{QUAY}@{WEB.top.digest}"})], None),
        ([(APP, {REF_NAME: TAGGED})], {TAGGED: APP.top.digest}),
        ([(APP, {REF_NAME: AT_APP})], {LATEST: APP.top.digest}),
        (
            [(WEB, {REF_NAME: "quay.io/team/web:1"})],
            {LATEST: APP.top.digest, "quay.io/team/web:1": WEB.top.digest},
        ),
    ],
    ids=["tagged", "without a tag", "by digest", "the same, tagged", "twice", "elsewhere"],
)
def test_name_with_a_digest_is_latest_only_alone_in_its_repository(
    tmp_path: Path, others: list[tuple[images.Image, Said]], expected: Said | None
) -> None:
    entries = ((APP, {REF_NAME: AT_APP}), *others)
    if expected is not None:
        assert read(tmp_path, *entries)[0] == expected
        return
    with pytest.raises(NameAsked) as caught:
        read(tmp_path, *entries)
    assert "--name" in caught.value.advice
    assert QUAY in str(caught.value)
    # Each of them gets a tag that is asked for.
    names = (f"{QUAY}:a@{APP.top.digest}", f"{QUAY}:b@{WEB.top.digest}")
    asked = names if REF_NAME in others[0][1] and others[0][1][REF_NAME] != TAGGED else names[:1]
    assert f"{QUAY}:a" in read(tmp_path, *entries, names=asked)[0]


def test_two_names_without_a_tag_in_one_repository_are_asked_about(tmp_path: Path) -> None:
    entries = ((APP, {REF_NAME: QUAY}), (WEB, {REF_NAME: QUAY}))
    with pytest.raises(NameAsked, match=r"holds images without a tag \(quay.io/team/app\)"):
        read(tmp_path, *entries)
    assert {*read(tmp_path, *entries, lenient=True)[0]} == {APP.top.digest, WEB.top.digest}


def test_name_without_a_tag_beside_another_latest_is_asked_about(tmp_path: Path) -> None:
    with pytest.raises(NameAsked, match=r"without a tag for quay\.io/team/app"):
        read(tmp_path, (APP, {REF_NAME: QUAY}), (WEB, {REF_NAME: LATEST}))


def test_given_name_goes_to_the_image_of_its_repository(tmp_path: Path) -> None:
    found, warnings = read(
        tmp_path,
        (APP, {REF_NAME: QUAY}),
        (WEB, {REF_NAME: "3"}),
        names=(f"{QUAY}:2", "reg.example/web"),
    )

    assert found == {f"{QUAY}:2": APP.top.digest, "reg.example/web:3": WEB.top.digest}
    assert warnings == []


def test_image_that_is_given_two_names_is_refused(tmp_path: Path) -> None:
    names = tuple(f"reg.example/app:{tag}@{APP.top.digest}" for tag in (1, 2))
    with pytest.raises(UsageError, match=r"two names: reg\.example/app:1 and reg\.example/app:2"):
        read(tmp_path, (APP, {}), names=names)


@pytest.mark.parametrize("said", [{}, {REF_NAME: LATEST}])
def test_name_that_two_images_would_have_is_refused(tmp_path: Path, said: Said) -> None:
    names = [f"{LATEST}@{image.top.digest}" for image in (APP, WEB)]
    with pytest.raises(UsageError, match=f"two images would be called {LATEST}: "):
        read(tmp_path, (APP, {}), (WEB, said), names=tuple(names[: 1 if said else 2]))


@pytest.mark.parametrize(
    ("tags", "names"),
    [
        ([QUAY], [LATEST]),
        ([f"{QUAY}@sha256:{'0' * 64}"], [LATEST]),
        (["nginx"], ["docker.io/library/nginx:latest"]),
        ([TAGGED, QUAY], [TAGGED, LATEST]),
        (["<none>:<none>"], None),
        (None, None),
    ],
)
def test_repo_tags_of_docker_save_follow_the_same_rules(
    tmp_path: Path, tags: list[str] | None, names: list[str] | None
) -> None:
    path = write(tmp_path / "saved.tar", docker_save((tags, [b"layer"])))
    if names is None:
        with pytest.raises(UsageError, match="without a name"):
            read_archive(path)
        return
    with closing(read_archive(path)) as archive:
        assert [str(tag) for tag in archive.images] == names
