"""Every behaviour of the zoo names the public source of what it does."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

import pytest

from tests.test_architecture import ROOT, Module, dotted, read_module, too_long

SOURCE = re.compile(r"\w#\d|https://|RFC \d{4}|distribution-spec|\w\.(?:py|go)\b|\w/\w+/\w+/")
ZOO = tuple(read_module(path) for path in sorted((ROOT / "tests" / "zoo").glob("*.py")))


def without_source(module: Module) -> Iterator[str]:
    """Yield the behaviours of the zoo that name no public source."""
    classes = [node for node in module.nodes if isinstance(node, ast.ClassDef)]
    for node in classes:
        is_behaviour = "Behaviour" in [dotted(base) for base in node.bases]
        if is_behaviour and not SOURCE.search(ast.get_docstring(node) or ""):
            yield f"{node.lineno}: {node.name} names no public source"


@pytest.mark.parametrize("rule", [without_source, too_long], ids=lambda rule: rule.__name__)
def test_zoo_every_module_keeps_rule(rule: Callable[[Module], Iterator[str]]) -> None:
    modules = [one for one in ZOO if rule is too_long or ".test_" not in one.name]

    assert [f"{module.name}:{text}" for module in modules for text in rule(module)] == []


def test_zoo_behaviour_without_source_is_noticed() -> None:
    source = 'class Odd(Behaviour):\n """Does something odd."""'

    assert len(list(without_source(Module("tests.zoo.odd", source)))) == 1
