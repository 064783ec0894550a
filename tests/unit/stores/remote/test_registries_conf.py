"""registries.conf: where a repository is looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_tools.errors import EnvironmentProblem
from image_tools.stores.remote.registries_conf import (
    Pull,
    PullSource,
    RegistriesConf,
    load,
    parse,
)

FILE = Path("/x/registries.conf")
TEXT = """
unqualified-search-registries = ["docker.io"]
[[registry]]
prefix = "docker.io"
location = "cache.example:5000/hub"
insecure = true
[[registry.mirror]]
location = "one.example/hub/"
insecure = true
[[registry.mirror]]
location = "two.example"
pull-from-mirror = "digest-only"

[[registry]]
prefix = "docker.io/library"
location = "docker.io/library"
mirror-by-digest-only = true
[[registry.mirror]]
location = "three.example"

[[registry]]
location = "moved.example"
blocked = true

[[registry]]
prefix = "quay.example/team"
location = "docker.io"

[[registry]]
prefix = "*.corp.example"
insecure = true

[[registry]]
prefix = "*.corp.example/old"
location = "new.example/from-old"
"""
CONF = RegistriesConf(parse(TEXT, FILE))


@pytest.mark.parametrize(
    ("registry", "repository", "expected"),
    [
        (
            "docker.io",
            "team/app",
            (
                PullSource("one.example", "hub/team/app", insecure=True),
                PullSource("two.example", "team/app", pull=Pull.DIGEST_ONLY),
                PullSource("cache.example:5000", "hub/team/app", insecure=True),
            ),
        ),
        (
            "docker.io",
            "library/nginx",
            (
                PullSource("three.example", "nginx", pull=Pull.DIGEST_ONLY),
                PullSource("docker.io", "library/nginx"),
            ),
        ),
        (
            "docker.io",
            "library-of-mine/x",
            (
                PullSource("one.example", "hub/library-of-mine/x", insecure=True),
                PullSource("two.example", "library-of-mine/x", pull=Pull.DIGEST_ONLY),
                PullSource("cache.example:5000", "hub/library-of-mine/x", insecure=True),
            ),
        ),
        ("quay.example", "team/app", (PullSource("docker.io", "library/app"),)),
        ("quay.example", "other/app", (PullSource("quay.example", "other/app"),)),
        ("a.corp.example", "x/y", (PullSource("a.corp.example", "x/y", insecure=True),)),
        ("a.corp.example", "old/y", (PullSource("new.example", "from-old/y"),)),
        ("a.corp.example", "older/y", (PullSource("a.corp.example", "older/y", insecure=True),)),
        ("corp.example", "x", (PullSource("corp.example", "x"),)),
        ("docker.io.example", "x", (PullSource("docker.io.example", "x"),)),
    ],
)
def test_sources_are_the_mirrors_and_then_the_location(
    registry: str, repository: str, expected: tuple[PullSource, ...]
) -> None:
    assert CONF.sources(registry, repository) == expected


def test_blocked_registry_names_the_file() -> None:
    with pytest.raises(EnvironmentProblem, match=r"blocks moved\.example") as caught:
        CONF.sources("moved.example", "a/b")

    assert caught.value.advice == f"see {FILE}"


@pytest.mark.parametrize(
    ("registry", "expected"),
    [
        ("docker.io", True),
        ("quay.example", True),
        ("a.b.corp.example", True),
        ("corp.example", False),
        ("other.example", False),
    ],
)
def test_conf_concerns_registries_that_a_rule_may_match(registry: str, expected: bool) -> None:
    assert CONF.concerns(registry) is expected


def test_lists_of_version_1_count() -> None:
    text = '[registries.insecure]\nregistries = ["a:5000"]\n[registries.block]\nregistries=["b"]'
    conf = RegistriesConf(parse(text, FILE))

    assert conf.sources("a:5000", "x") == (PullSource("a:5000", "x", insecure=True),)
    with pytest.raises(EnvironmentProblem):
        conf.sources("b", "x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[registry", "not a usable registries.conf"),
        ("[[registry]]\ninsecure = true", "neither prefix nor location"),
        ("[[registry]]\nlocation = 5", "location 5 is no host"),
        ('[[registry]]\nlocation = "https://a"', "'https://a' is no host"),
        ('[[registry]]\nlocation = "a"\n[[registry.mirror]]\ninsecure = true', "no location"),
        (
            '[[registry]]\nlocation="a"\n[[registry.mirror]]\nlocation="b"\npull-from-mirror="x"',
            "'x' is not a valid Pull",
        ),
        ("registry = 3", "not a usable"),
        ("registries = 3", "not a usable"),
    ],
)
def test_file_that_is_wrong_is_named(text: str, words: str) -> None:
    with pytest.raises(EnvironmentProblem, match=words) as caught:
        parse(text, FILE)

    assert caught.value.message.startswith(f"{FILE}: ")


def write(folder: Path, name: str, location: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'[[registry]]\nprefix = "r"\nlocation = "{location}"\n')
    return path


def test_load_takes_the_named_file_then_the_users_then_the_systems(
    tmp_path: Path,
) -> None:
    system, home = tmp_path / "etc", tmp_path / "home"
    environ = {"HOME": str(home)}

    def location() -> str:
        return load(environ, system).sources("r", "x")[-1].registry

    found = [location()]
    write(system, "registries.conf", "system")
    found.append(location())
    write(system, "registries.conf.d/20.conf", "system-20")
    write(system, "registries.conf.d/10.conf", "system-10")
    found.append(location())
    drop_in = write(home / ".config/containers", "registries.conf.d/05.conf", "own-05")
    found.append(location())
    drop_in.unlink()
    write(home / ".config/containers", "registries.conf", "own")
    found.append(location())
    environ["CONTAINERS_REGISTRIES_CONF"] = str(write(tmp_path, "named.conf", "named"))
    found.append(location())
    for path in (system / "registries.conf.d").iterdir():
        path.unlink()
    found.append(location())

    assert found == ["r", "system", "system-20", "own-05", "own", "system-20", "named"]


def test_load_of_a_named_file_that_is_missing_is_a_problem(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "CONTAINERS_REGISTRIES_CONF": str(tmp_path / "absent")}

    with pytest.raises(EnvironmentProblem, match="absent: cannot be read: No such file"):
        load(environ)
