"""Words of --arch and --os: which ones are known, and what the others may have meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.cli.catalogue import PAGES, page_of
from image_tools.cli.options import Page
from image_tools.cli.parsing import parse
from image_tools.cli.platforms import ARCHITECTURES, SYSTEMS, Named, refuse_unknown
from image_tools.cli.request import selection
from image_tools.cli.verbs.mirror import MIRROR
from image_tools.errors import InvalidPlatform, UsageError

HAVE_THEM = [page for page in PAGES if "arch" in {option.name for option in page.options}]
ENOUGH = {
    "save": "-f l -d a",
    "sync": "-f l -d a",
    "save-validate": "-f l -d a",
    "load": "-s a",
    "load-validate": "-s a",
    "archive export": "-s a -d b",
    "archive merge": "a b -o c",
}


def said(text: str, environ: Mapping[str, str] = {}, page: Page[Any] = MIRROR) -> str:
    options = parse(page, text.split(), environ)
    with pytest.raises(InvalidPlatform) as caught:
        selection(options)
    assert caught.value.exit_code == 2
    return caught.value.message


MEANT = {
    "amd46": "amd64",
    "adm64": "amd64",
    "arm46": "arm64",
    "AMD46": "amd64",
    "x64": "amd64",
    "x86": "386",
    "i686": "386",
    "x86_46": "amd64",
    "armv7": "arm with --variant v7",
    "armv7l": "arm with --variant v7",
    "arm64v8": "arm64",
    "ppc64el": "ppc64le",
    "loongarch64": "loong64",
    "v7": "--variant v7",
    "linux": "--os linux",
}


@pytest.mark.parametrize(("word", "meant"), MEANT.items(), ids=MEANT)
def test_unknown_architecture_is_refused_with_what_it_may_mean(word: str, meant: str) -> None:
    problem = f'--arch: unknown architecture "{word.lower()}": did you mean {meant}?'

    assert said(f"-a amd64,{word}") == f"{problem} (--allow-unknown-platform accepts it)"


MEANT_SYSTEMS = {
    "linus": "linux",
    "lin": "linux",
    "macos": "darwin",
    "win": "windows",
    "windwos": "windows",
    "amd64": "--arch amd64",
}


@pytest.mark.parametrize(("word", "meant"), MEANT_SYSTEMS.items(), ids=MEANT_SYSTEMS)
def test_unknown_system_is_refused_with_what_it_may_mean(word: str, meant: str) -> None:
    problem = f'--os: unknown operating system "{word}": did you mean {meant}?'

    assert said(f"--os {word}") == f"{problem} (--allow-unknown-platform accepts it)"


MEANT_VARIANTS = {"armv7": "v7", "v77": "v7", "arm-v6": "v6", "v8l": "v8"}


@pytest.mark.parametrize(("word", "meant"), MEANT_VARIANTS.items(), ids=MEANT_VARIANTS)
def test_unknown_variant_is_refused_with_what_it_may_mean(word: str, meant: str) -> None:
    problem = f'--variant: unknown variant "{word}": did you mean {meant}?'

    assert said(f"-a arm --variant {word}") == f"{problem} (--allow-unknown-platform accepts it)"


@pytest.mark.parametrize("word", ["v7", "7", "V6", "v8.1", "v3", "rva20u64", "power9", "all"])
def test_known_variant_is_taken(word: str) -> None:
    selection(parse(MIRROR, ["-a", "arm", "--variant", word], {}))


def test_unknown_word_that_is_like_none_has_no_suggestion() -> None:
    problem = '--arch: unknown architecture "sausage" (--allow-unknown-platform accepts it)'

    assert said("-a sausage") == problem


@pytest.mark.parametrize("text", ["", "-a amd64,all", "--os all"])
@pytest.mark.parametrize("name", ["ARCH", "OS"])
def test_unknown_word_of_a_variable_names_the_variable(text: str, name: str) -> None:
    if ("-a" in text and name == "ARCH") or ("--os" in text and name == "OS"):
        selection(parse(MIRROR, text.split(), {f"IMAGE_TOOLS_{name}": "amd46"}))  # Not looked at.
    else:
        assert said(text, {f"IMAGE_TOOLS_{name}": "sausage"}).startswith(f"IMAGE_TOOLS_{name}: ")


def test_unknown_word_beside_all_is_refused() -> None:
    assert 'unknown architecture "amd46"' in said("-a all,amd46")


@pytest.mark.parametrize("page", HAVE_THEM, ids=lambda page: page.name)
def test_every_command_with_platforms_refuses_and_allows_unknown_ones(page: Page) -> None:
    words = f"{ENOUGH.get(page.name, '')} -a amd46 --os linus"

    assert "did you mean amd64" in said(words, page=page)
    options = parse(page, [*words.split(), "--allow-unknown-platform"], {})
    assert selection(options).architectures == {"amd46"}
    options = parse(page, words.split(), {"IMAGE_TOOLS_ALLOW_UNKNOWN_PLATFORM": "1"})
    assert selection(options).systems == {"linus"}


def test_inspect_refuses_unknown_platforms_too() -> None:
    page, _ = page_of(["inspect"])
    options = parse(page, ["--override-arch", "amd46", "nginx"], {})

    with pytest.raises(InvalidPlatform, match='--override-arch: unknown architecture "amd46"'):
        refuse_unknown(
            architectures=Named("override-arch", [options.override_arch]),
            systems=Named("override-os", ["", "linux"]),
            variants=Named("override-variant", ()),
            given=options.given,
        )


ALIASES = ("x86_64", "x86-64", "aarch64", "armhf", "armel", "i386")


def test_known_words_are_taken() -> None:
    words = ",".join((*sorted(ARCHITECTURES), *ALIASES))

    found = selection(parse(MIRROR, ["-a", words, "--os", ",".join(sorted(SYSTEMS))], {}))

    assert (found.architectures, found.systems) == (ARCHITECTURES, SYSTEMS)


def test_whole_platform_keeps_its_own_message() -> None:
    with pytest.raises(UsageError, match="'linux/amd64' is a platform: name its parts"):
        parse(MIRROR, ["-a", "linux/amd64"], {})


@given(st.text("amdrx8_64-v.0", min_size=1, max_size=12), st.sampled_from(["arch", "os"]))
def test_any_word_is_taken_or_refused_with_a_known_suggestion(word: str, name: str) -> None:
    options = parse(MIRROR, [f"--{name}={word}"], {})
    found: list[str] = []
    try:
        selection(options)
    except InvalidPlatform as problem:
        found.append(problem.message)

    assert all(f'"{word}"' in message for message in found)
