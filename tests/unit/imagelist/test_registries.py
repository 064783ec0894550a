"""Which registry and project a name of the list means: flag, variable, list, docker.io."""

from __future__ import annotations

import pytest

from image_tools.errors import InvalidReference
from image_tools.imagelist.registries import Registries, choose_registries, in_projects
from image_tools.oci.reference import parse_name

# flag, variable, the list's name -> registry and repository read from, written to
NAMES = {
    "nothing": ("", "", "n", "docker.io/library/n", "docker.io/library/n"),
    "nothing-project": ("", "", "p/n", "docker.io/p/n", "docker.io/p/n"),
    "list": ("", "", "l.io/n", "l.io/n", "l.io/library/n"),
    "list-project": ("", "", "l.io/p/n", "l.io/p/n", "l.io/p/n"),
    "list-docker": ("", "", "docker.io/n", "docker.io/library/n", "docker.io/library/n"),
    "variable": ("", "v.io", "n", "v.io/n", "v.io/library/n"),
    "variable-over-list": ("", "v.io", "l.io/p/n", "v.io/p/n", "v.io/p/n"),
    "flag": ("f.io", "", "n", "f.io/n", "f.io/library/n"),
    "flag-over-list": ("f.io", "", "l.io/p/n", "f.io/p/n", "f.io/p/n"),
    "flag-over-variable": ("f.io", "v.io", "l.io/n", "f.io/n", "f.io/library/n"),
    "flag-docker": ("docker.io", "v.io", "l.io/n", "docker.io/library/n", "docker.io/library/n"),
    "alias": ("index.docker.io", "", "n", "docker.io/library/n", "docker.io/library/n"),
    "blank-flag": ("  ", "v.io", "n", "v.io/n", "v.io/library/n"),
    "transport": ("docker://f.io/", "", "p/n", "f.io/p/n", "f.io/p/n"),
    "upper-case": ("F.IO:5000", "", "p/n", "f.io:5000/p/n", "f.io:5000/p/n"),
    "ipv6": ("[::1]:5000", "", "p/n", "[::1]:5000/p/n", "[::1]:5000/p/n"),
    "localhost": ("localhost", "", "p/n", "localhost/p/n", "localhost/p/n"),
}


@pytest.mark.parametrize("variable", ["DOCKER_REGISTRY", "DEST_REGISTRY"])
@pytest.mark.parametrize(
    ("flag", "value", "name", "source", "destination"), NAMES.values(), ids=NAMES
)
def test_names_follow_flag_then_variable_then_list(
    flag, value, name, source, destination, variable
) -> None:
    environ = {"SOURCE_REGISTRY": value, variable: value}

    chosen = choose_registries(flag or None, flag or None, "library", environ)

    assert "/".join(chosen.source_name(parse_name(name))) == source
    assert "/".join(chosen.destination_name(parse_name(name))) == destination


def test_docker_registry_comes_before_dest_registry() -> None:
    chosen = choose_registries(
        None, None, "library", {"DEST_REGISTRY": "b.io", "DOCKER_REGISTRY": "a.io"}
    )

    assert chosen == Registries(destination="a.io")


# -d, --default-project, the list's name -> written to
PROJECTS = {
    "prefix": ("reg:5000/team", "library", "n", "reg:5000/team/n"),
    "prefix-before-project": ("reg:5000/team", "library", "p/n", "reg:5000/team/p/n"),
    "prefix-deep": ("reg:5000/a/b/", "library", "p/n", "reg:5000/a/b/p/n"),
    "prefix-replaces-registry": ("reg:5000/team", "library", "q.io/n", "reg:5000/team/n"),
    "prefix-on-docker": ("docker.io/team", "library", "n", "docker.io/team/n"),
    "default-project": ("reg:5000", "base", "n", "reg:5000/base/n"),
    "default-project-deep": ("reg:5000", "/a/b/", "n", "reg:5000/a/b/n"),
    "default-project-not-needed": ("reg:5000", "base", "p/n", "reg:5000/p/n"),
    "no-default-project": ("reg:5000", "", "n", "reg:5000/n"),
    "no-default-project-on-docker": ("docker.io", "", "n", "docker.io/library/n"),
}


@pytest.mark.parametrize(("flag", "project", "name", "expected"), PROJECTS.values(), ids=PROJECTS)
def test_destination_without_project_gets_the_prefix_or_the_default(
    flag, project, name, expected
) -> None:
    chosen = choose_registries(None, flag, project, {})

    assert "/".join(chosen.destination_name(parse_name(name))) == expected


def test_replacing_projects_keep_only_the_last_component() -> None:
    chosen = Registries(source_project="s", destination_project="d/e", destination_prefix="team")

    assert chosen.source_name(parse_name("q.io/a/b/n")) == ("q.io", "s/n")
    assert chosen.destination_name(parse_name("q.io/a/b/n")) == ("q.io", "team/d/e/n")


# the list's name -> read from, written to, with both projects replaced or none
REPLACED = {
    "seed-004-library": ("docker.io/library/nginx", "docker.io/s/nginx", "docker.io/u/nginx"),
    "seed-004-project": ("docker.io/cnrancher/hangar", "docker.io/s/hangar", "docker.io/u/hangar"),
    "no-project": ("nginx", "docker.io/s/nginx", "docker.io/u/nginx"),
    "other-registry": ("l.io/n", "l.io/s/n", "l.io/u/n"),
    "deep": ("l.io/a/b/c/n", "l.io/s/n", "l.io/u/n"),
}


@pytest.mark.parametrize(("name", "source", "destination"), REPLACED.values(), ids=REPLACED)
def test_projects_replace_those_of_every_name(name, source, destination) -> None:
    chosen = in_projects(Registries(), "s", " /u/ ")

    assert "/".join(chosen.source_name(parse_name(name))) == source
    assert "/".join(chosen.destination_name(parse_name(name))) == destination


@pytest.mark.parametrize("nothing", [None, "", " / "])
def test_projects_that_name_nothing_replace_nothing(nothing) -> None:
    assert in_projects(Registries(), nothing, nothing) == Registries()


@pytest.mark.parametrize(
    ("source", "destination", "reason"),
    [
        ("a b", None, "--source-project: 'a b' is not a repository name"),
        (None, "Team", "--destination-project: repository 'Team' must be lower case"),
        (None, "r.io:5000/team", "--destination-project: 'r.io:5000/team' is not a repository"),
    ],
)
def test_projects_wrong_text_names_the_flag(source, destination, reason) -> None:
    with pytest.raises(InvalidReference) as caught:
        in_projects(Registries(), source, destination)

    assert reason in str(caught.value)


WRONG = {
    "source-word": ("harbor", None, {}, "-s: 'harbor' alone is not known as a registry"),
    "destination-word": (None, "harbor/x", {}, "-d: 'harbor' alone is not known as a registry"),
    "variable": (None, None, {"SOURCE_REGISTRY": "a b.io"}, "SOURCE_REGISTRY: 'a b.io' is not a"),
    "other-variable": (None, None, {"DEST_REGISTRY": "r:0"}, "DEST_REGISTRY: registry 'r:0'"),
    "scheme": (None, "https://r.io", {}, "-d: a reference has no https:// in front: write 'r.io'"),
    "prefix-upper-case": (None, "r.io/Team", {}, "-d: repository 'Team' must be lower case"),
    "source-path": ("r.io/team", None, {}, "-s: the source is a registry without a path"),
    "slash-first": (None, "/team", {}, "-d: '/team' names no registry"),
}


@pytest.mark.parametrize(("source", "destination", "environ", "reason"), WRONG.values(), ids=WRONG)
def test_choose_registries_wrong_text_names_flag_or_variable(
    source, destination, environ, reason
) -> None:
    with pytest.raises(InvalidReference) as caught:
        choose_registries(source, destination, "library", environ)

    assert reason in str(caught.value)


def test_choose_registries_wrong_default_project_names_the_flag() -> None:
    with pytest.raises(InvalidReference, match=r"--default-project: .* lower case"):
        choose_registries(None, None, "Base", {})


def test_names_that_may_be_project_or_registry_are_refused_where_it_matters() -> None:
    stated = parse_name("Team/n")

    with pytest.raises(InvalidReference, match="may be a registry or a project"):
        Registries(destination="reg:5000").destination_name(stated)
    assert Registries().source_name(stated) == ("Team", "n")


def test_prefix_and_name_together_too_long_are_refused() -> None:
    chosen = Registries(destination="reg:5000", destination_prefix="t" * 100)

    with pytest.raises(InvalidReference, match="repository name of 256 characters"):
        chosen.destination_name(parse_name("n" * 155))
