"""Where an option's value comes from: command line, variable, default."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Mapping
from typing import Any

import pytest

from image_tools.cli.catalogue import PAGES
from image_tools.cli.help import command_help
from image_tools.cli.options import Page, VerbOptions, narrowed, operand
from image_tools.cli.parsing import parse
from image_tools.cli.run_options import MirrorOptions
from image_tools.cli.verbs.load import LOAD_VALIDATE
from image_tools.cli.verbs.login import LOGIN, LOGOUT
from image_tools.cli.verbs.mirror import MIRROR, MIRROR_VALIDATE
from image_tools.cli.verbs.save import SAVE
from image_tools.cli.verbs.version import VERSION
from image_tools.errors import UsageError

DEFAULTS: dict[str, Any] = {
    "file": None,
    "source": None,
    "destination": None,
    "default_project": "library",
    "source_project": None,
    "destination_project": None,
    "skip_invalid": False,
    "allow_empty": False,
    "arch": ("amd64", "arm64"),
    "os": ("linux",),
    "variant": None,
    "allow_unknown_platform": False,
    "provenance": True,
    "no_arch_os_fail": False,
    "require_platforms": False,
    "keep_single": False,
    "force": False,
    "depth": "digest",
    "overwrite": False,
    "arch_tags": False,
    "dry_run": False,
    "skip_login": False,
    "repo_type": None,
    "harbor_https": True,
    "harbor_public": False,
    "jobs": 1,
    "timeout": 600.0,
    "retry_times": 3,
    "retry_delay": 1.0,
    "pull_budget": None,
    "wait_for_quota": False,
    "state": None,
    "no_state": False,
    "wait_lock": None,
    "no_ahead": False,
    "direct": False,
    "no_download": False,
    "tls_verify": None,
    "src_tls_verify": None,
    "dest_tls_verify": None,
    "ca_file": None,
    "policy": None,
    "insecure_policy": False,
    "remove_signatures": False,
    "keep_digest": False,
    "sigstore_private_key": None,
    "sigstore_passphrase_file": None,
    "failed": "mirror-failed.txt",
    "report": None,
    "format": "table",
    "all_rows": False,
    "quiet": False,
    "debug": False,
    "given": frozenset(),
}


def test_parse_nothing_given_is_all_defaults() -> None:
    assert vars(parse(MIRROR, [], {})) == DEFAULTS


CHOICES: dict[str, tuple[str, Mapping[str, str], str, Any]] = {
    "command-line": ("-j 4", {}, "jobs", 4),
    "variable": ("", {"IMAGE_TOOLS_JOBS": "4"}, "jobs", 4),
    "command-line-before-variable": ("-j 2", {"IMAGE_TOOLS_JOBS": "4"}, "jobs", 2),
    "empty-variable": ("", {"IMAGE_TOOLS_JOBS": ""}, "jobs", 1),
    "variable-with-dashes-in-name": ("", {"IMAGE_TOOLS_DRY_RUN": "1"}, "dry_run", True),
    "switch-off-against-variable": ("-force=false", {"IMAGE_TOOLS_FORCE": "1"}, "force", False),
    "last-of-two": ("-j 2 -j 3", {}, "jobs", 3),
    "repeated-list": ("-a arm -a riscv64", {}, "arch", ("arm", "riscv64")),
    "list-replaces-default": ("-a arm64", {}, "arch", ("arm64",)),
    "list-replaces-variable": ("-a arm", {"IMAGE_TOOLS_ARCH": "s390x"}, "arch", ("arm",)),
    "list-of-a-variable": ("", {"IMAGE_TOOLS_ARCH": "arm,s390x"}, "arch", ("arm", "s390x")),
    "no-limit": ("--timeout 0", {}, "timeout", None),
    "for-ever": ("--wait-lock", {}, "wait_lock", math.inf),
    "three-states": ("-tls-verify=false", {}, "tls_verify", False),
    "given": ("-j 2 -debug", {"IMAGE_TOOLS_FORCE": "1"}, "given", frozenset({"jobs", "debug"})),
}


@pytest.mark.parametrize(("text", "environ", "key", "expected"), CHOICES.values(), ids=CHOICES)
def test_parse_value_comes_from_the_nearest_place(
    text: str, environ: Mapping[str, str], key: str, expected: Any
) -> None:
    assert getattr(parse(MIRROR, text.split(), environ), key) == expected


@pytest.mark.parametrize(
    ("text", "environ", "message", "advice"),
    [
        pytest.param(
            "-j many",
            {},
            "--jobs: 'many' is not a whole number",
            "see image-tools mirror --help",
            id="command-line",
        ),
        pytest.param(
            "",
            {"IMAGE_TOOLS_TIMEOUT": "10"},
            "IMAGE_TOOLS_TIMEOUT: '10' has no unit: write 10s or 10m",
            "correct the variable or unset it",
            id="variable",
        ),
    ],
)
def test_parse_bad_value_names_its_place(
    text: str, environ: Mapping[str, str], message: str, advice: str
) -> None:
    with pytest.raises(UsageError) as caught:
        parse(MIRROR, text.split(), environ)

    assert (caught.value.message, caught.value.advice) == (message, advice)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-d A -d B", "-d is given twice"),
        ("-d A --destination=B", "-d is given twice"),
        ("-dA -d B", "-d is given twice"),
        ("-d '' -d B", "-d is given twice"),
        ("-s A -s B", "-s is given twice"),
        ("-f A -f B", "-f is given twice"),
        ("-o A --output B", "-o is given twice"),
        ("--report A --report B", "--report is given twice"),
        ("--ca-file A -ca-file=B", "--ca-file is given twice"),
        ("--state A --state B", "--state is given twice"),
        ("--destination-project A --destination-project B", "--destination-project is given twice"),
    ],
)
def test_parse_two_values_for_one_place_are_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(MIRROR, shlex.split(text), {"IMAGE_TOOLS_DESTINATION": "C"})

    assert caught.value.message == f"{said}: it takes one value"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_parse_every_option_that_names_a_place_takes_one_value(page: Page[Any]) -> None:
    numbers = {"jobs", "timeout", "format", "depth", "sample", "part-size", "compress", "repo-type"}
    numbers |= {"retry-times", "retry-delay", "pull-budget", "wait-lock"}
    lasting = {option.name for option in page.options if not option.is_single}

    assert lasting <= numbers | {
        option.name for option in page.options if option.bare or option.repeats
    }


@pytest.mark.parametrize("page", [MIRROR_VALIDATE, LOAD_VALIDATE], ids=lambda page: page.name)
def test_parse_state_of_a_validation_is_taken_and_said_to_have_no_effect(page: Page[Any]) -> None:
    (group,) = (g for g in page.groups if any(o.name == "state" for o in g.options))

    assert group.title.endswith("without effect here")
    assert "no-state" in {option.name for option in group.options}
    assert parse(page, ["-f", "A", "-s", "B", "--no-state"], {}).no_state


def test_parse_one_place_said_twice_is_one() -> None:
    found = parse(MIRROR, ["-d", "A", "--destination=A"], {"IMAGE_TOOLS_DESTINATION": "B"})

    assert found.destination == "A"


@pytest.mark.parametrize("page", [MIRROR, VERSION], ids=lambda page: page.name)
def test_pages_names_and_letters_are_used_once(page: Any) -> None:
    names = [
        name for option in page.options for name in (option.name, option.short, *option.aliases)
    ]

    stated = [name for name in names if name]

    assert sorted(stated) == sorted(set(stated))


class TwoWords(VerbOptions):
    one: str = operand("ONE", "")
    more: str = operand("MORE", "")


class SeveralWords(VerbOptions):
    one: str = operand("ONE", "")
    more: tuple[str, ...] = operand("MORE", "", several=True)


def words_for(several: bool) -> Page[Any]:
    kind = SeveralWords if several else TwoWords
    return Page(name="try", kind=kind, summary="", about="", groups=())


# words -> what the operands are, or what is said
OPERANDS: dict[str, tuple[bool, str, dict[str, Any] | str]] = {
    "two": (False, "a b", {"one": "a", "more": "b"}),
    "two, the last of several": (True, "a b", {"one": "a", "more": ("b",)}),
    "many": (True, "a b c d", {"one": "a", "more": ("b", "c", "d")}),
    "one too many": (False, "a b c", "unexpected argument 'c'"),
    "one too few": (False, "a", "try needs MORE"),
    "none of several": (True, "a", "try needs MORE"),
    "nothing": (True, "", "try needs ONE"),
}


@pytest.mark.parametrize(("several", "text", "expected"), OPERANDS.values(), ids=OPERANDS)
def test_parse_operands_are_taken_in_order(
    several: bool, text: str, expected: dict[str, Any] | str
) -> None:
    page = words_for(several)
    if isinstance(expected, str):
        with pytest.raises(UsageError, match=expected):
            parse(page, text.split(), {})
    else:
        assert vars(parse(page, text.split(), {})) == {**expected, "given": frozenset()}


@pytest.mark.parametrize(("words", "registry"), [([], None), (["r.example"], "r.example")])
def test_parse_operand_left_out_is_none(words: list[str], registry: str | None) -> None:
    assert parse(LOGOUT, words, {}).registry == registry
    assert "logout [REGISTRY] [OPTIONS]" in command_help(LOGOUT, 80)


def test_narrowed_options_keep_what_both_verbs_have() -> None:
    saved = parse(SAVE, ["-f", "list.txt", "-d", "a.tar", "-j", "3", "--arch=arm"], {})

    found = narrowed(MirrorOptions, saved, destination=None, force=True)

    assert (found.file, found.destination, found.jobs, found.arch) == (
        "list.txt",
        None,
        3,
        ("arm",),
    )
    assert (found.force, found.depth, found.state) == (True, "digest", None)
    assert found.given == {"file", "destination", "jobs", "arch"}


def test_options_cannot_be_changed_and_show_no_password() -> None:
    found = parse(LOGIN, ["r.example", "-u", "me", "--password", "hunter22"], {})

    with pytest.raises(dataclasses.FrozenInstanceError):
        found.username = "you"  # type: ignore[misc]
    assert "hunter22" not in repr(found)
