"""WWW-Authenticate headers: as registries send them, and whatever else may come."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_tools.stores.remote.tokens.challenge import Challenge, parse_challenges

REALM = "https://auth.example/token"
TOKEN = string.ascii_letters + string.digits + "!#$%&'*+.^_`|~-"

HEADERS = {
    "none": ([], ()),
    "empty": (["", " , ,"], ()),
    "basic": (['Basic realm="Registry"'], (Challenge("basic", {"realm": "Registry"}),)),
    "bearer": (
        [f'Bearer realm="{REALM}",service="r.example",scope="repository:a/b:pull,push"'],
        (
            Challenge(
                "bearer",
                {"realm": REALM, "service": "r.example", "scope": "repository:a/b:pull,push"},
            ),
        ),
    ),
    "names-in-any-case": (
        ['bEARER Realm="A", SERVICE="B"'],
        (Challenge("bearer", {"realm": "A", "service": "B"}),),
    ),
    "blanks-around": (
        ['  Bearer   realm = "A" ,\tservice =b '],
        (Challenge("bearer", {"realm": "A", "service": "b"}),),
    ),
    "escaped-quotes": (
        [r'Basic realm="a \"b\" \\c"'],
        (Challenge("basic", {"realm": r'a "b" \c'}),),
    ),
    "two-in-one-header": (
        ['Basic realm="x", Bearer realm="y",error="invalid_token"'],
        (
            Challenge("basic", {"realm": "x"}),
            Challenge("bearer", {"realm": "y", "error": "invalid_token"}),
        ),
    ),
    "two-headers": (
        ['Bearer realm="y"', "Basic"],
        (Challenge("bearer", {"realm": "y"}), Challenge("basic")),
    ),
    "scheme-alone-then-scheme": (
        ['Negotiate, Basic realm="x"'],
        (Challenge("negotiate"), Challenge("basic", {"realm": "x"})),
    ),
    "token68": (
        ['Negotiate YWJj==, Basic realm="x"'],
        (Challenge("negotiate"), Challenge("basic", {"realm": "x"})),
    ),
    "first-of-two-values": (['Basic realm="x",realm="y"'], (Challenge("basic", {"realm": "x"}),)),
    "unquoted-url": ([f"Bearer realm={REALM}"], (Challenge("bearer", {"realm": REALM}),)),
    "garbage-before": (['@@@ Basic realm="x"'], (Challenge("basic", {"realm": "x"}),)),
}


@pytest.mark.parametrize(("headers", "expected"), HEADERS.values(), ids=HEADERS)
def test_parse_challenges_header_gives_schemes_and_parameters(
    headers: list[str], expected: tuple[Challenge, ...]
) -> None:
    assert parse_challenges(headers) == expected


def test_challenge_parameters_cannot_be_changed() -> None:
    (challenge,) = parse_challenges(['Basic realm="x"'])

    with pytest.raises(TypeError):
        challenge.parameters["realm"] = "y"  # type: ignore[index]


@given(st.lists(st.text(alphabet=st.sampled_from('aB= ,"\\\t:/@é'), max_size=40), max_size=3))
def test_parse_challenges_any_text_never_fails(headers: list[str]) -> None:
    found = parse_challenges(headers)

    assert all(challenge.scheme == challenge.scheme.lower() != "" for challenge in found)


NAMES = st.text(alphabet=TOKEN.lower().replace("=", ""), min_size=1, max_size=8).map(str.lower)
VALUES = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
PARAMETERS = st.dictionaries(NAMES, VALUES, min_size=1, max_size=4)


@given(st.lists(st.tuples(NAMES, PARAMETERS), min_size=1, max_size=3))
def test_parse_challenges_what_was_written_comes_back(
    wanted: list[tuple[str, dict[str, str]]],
) -> None:
    header = ", ".join(f"{scheme} {_written(parameters)}" for scheme, parameters in wanted)

    assert parse_challenges([header]) == tuple(Challenge(*pair) for pair in wanted)


def _written(parameters: dict[str, str]) -> str:
    quoted = {
        name: value.replace("\\", r"\\").replace('"', r"\"") for name, value in parameters.items()
    }
    return ",".join(f'{name}="{value}"' for name, value in quoted.items())


def test_parse_challenges_of_a_flood_reads_the_beginning_alone() -> None:
    headers = [f"{'a' * 8000}@", f"{'Basic ' * 2000}", *["Basic"] * 10_000]

    found = parse_challenges(headers)

    assert {challenge.scheme for challenge in found} == {"basic"}
    assert len(found) < 2000
