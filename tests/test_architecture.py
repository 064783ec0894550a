from __future__ import annotations

import ast
import gc
import graphlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

LAYERS = {
    "__main__": 9,
    "cli": 8,
    "commands": 7,
    "run": 6,
    "plan": 5,
    "validation": 5,
    "exchange": 4,
    "stores": 3,
    "tools": 3,
    "imagelist": 3,
    "state": 3,
    "report": 2,
    "logins": 2,
    "machine": 1,
    "web": 1,
    "retry": 1,
    "oci": 0,
    "refusals": 0,
    "errors": 0,
}
SIDEWAYS = {("oci", "errors"), ("refusals", "errors")}

HOMES: dict[str, tuple[str, ...]] = {
    "plumbum": ("machine",),
    "sh": ("machine",),
    "tenacity": ("retry",),
    "loguru": tuple(room for room, layer in LAYERS.items() if layer not in (0, 5)),
    "aiohttp": ("exchange", "stores", "web", "cli"),
    "multidict": ("exchange", "stores", "web"),
    "yarl": ("exchange", "stores", "web"),
    "rich": ("cli",),
    "typing_extensions": ("cli",),  # for type checkers alone
    "tomli": ("stores", "tools"),
    "zstandard": ("stores",),
    "bcrypt": ("exchange",),
    "argparse": (),
    "subprocess": (),
    "multiprocessing": (),
}
PURE_ROOMS = ("oci", "refusals", "errors", "plan", "validation")
IMPURE = {
    "asyncio",
    "concurrent",
    "datetime",
    "http",
    "logging",
    "multiprocessing",
    "os",
    "pathlib",
}
IMPURE |= {"queue", "random", "secrets", "select", "shutil", "signal", "socket", "sqlite3", "ssl"}
IMPURE |= {"tempfile", "threading", "time", "urllib"}
# Imported inside functions, by room: what is only needed by some runs.
LAZY = {
    "cli": {"rich", "aiohttp", "readline", "importlib", "loguru", "image_tools"},
    "commands": {"image_tools"},
    "run": {"image_tools"},
    "machine": {"image_tools"},
}
EXITS = {"sys.exit", "exit", "quit", "SystemExit"}
STARTS = {"os.system", "os.popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.posix_spawnp"}
STARTS |= {"asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell", "pty.fork"}
LONGEST_MODULE = 400
LONGEST_FUNCTION = 50


@dataclass(frozen=True)
class Import:
    line: int
    target: str
    inside_function: bool

    @property
    def package(self) -> str:
        return self.target.partition(".")[0]


@dataclass(frozen=True)
class Module:
    name: str
    source: str
    is_package: bool = False

    @property
    def room(self) -> str:
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 else ""

    @cached_property
    def tree(self) -> ast.Module:
        # Python 3.11 loses count when what is collected meanwhile parses too, as a traceback does.
        gc.disable()
        try:
            return ast.parse(self.source)
        finally:
            gc.enable()

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        return tuple(ast.walk(self.tree))

    @cached_property
    def functions(self) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef, ...]:
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
        return tuple(node for node in self.nodes if isinstance(node, kinds))

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        hidden = {id(node) for function in self.functions for node in ast.walk(function)}
        return tuple(
            Import(node.lineno, target, id(node) in hidden)
            for node in self.nodes
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for target in imported_names(node)
        )

    @cached_property
    def names_used(self) -> tuple[tuple[int, str], ...]:
        nodes = (node for node in self.nodes if isinstance(node, (ast.Name, ast.Attribute)))
        return tuple((node.lineno, dotted(node)) for node in nodes)


def dotted(node: ast.AST) -> str:
    """The source of a name with its dots; what comes out of a call or an index begins with "?"."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else "?"


def imported_names(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    base = "" if isinstance(node, ast.Import) else "." * node.level + (node.module or "") + "."
    yield from (base + alias.name for alias in node.names)


def room_of(target: str) -> str:
    """The room an import of our own package leads to; empty for other packages and the root."""
    parts = target.split(".")
    if parts[0] != "image_tools" or target in ("image_tools", "image_tools.__version__"):
        return ""
    return parts[1]


def wrong_arrows(module: Module) -> Iterator[str]:
    for found in module.imports:
        room = room_of(found.target)
        if found.target.startswith("."):
            yield f"{found.line}: relative import {found.target}"
        elif not room or room == module.room or (module.room, room) in SIDEWAYS:
            continue
        elif room not in LAYERS or module.room not in LAYERS:
            yield f"{found.line}: {module.room} -> {room}: not both are in LAYERS"
        elif LAYERS[room] >= LAYERS[module.room]:
            yield f"{found.line}: {module.room} -> {room} does not go downwards"


def strangers(module: Module) -> Iterator[str]:
    for found in module.imports:
        package = found.package
        ours = package in ("", "image_tools") or package in sys.stdlib_module_names
        if package in HOMES and module.room not in HOMES[package]:
            yield f"{found.line}: {package} is not at home in {module.name}"
        elif package not in HOMES and not ours:
            yield f"{found.line}: {package} has no home in HOMES"
        elif package == "aiohttp" and module.room == "cli" and not found.inside_function:
            yield f"{found.line}: aiohttp in cli/ only inside a function"
        elif package in IMPURE and module.room in PURE_ROOMS:
            yield f"{found.line}: {package} in a pure room"


def hidden_imports(module: Module) -> Iterator[str]:
    for found in module.imports:
        if found.inside_function and found.package not in LAZY.get(module.room, ()):
            yield f"{found.line}: {found.target} is imported inside a function"


def reexports(module: Module) -> Iterator[str]:
    if module.is_package:
        yield from (f"{found.line}: an __init__ imports {found.target}" for found in module.imports)


def misplaced_calls(module: Module) -> Iterator[str]:
    for line, name in module.names_used:
        if name == "print" and module.name != "image_tools.cli.render":
            yield f"{line}: print belongs to cli/render.py"
        if name in EXITS and module.name != "image_tools.__main__":
            yield f"{line}: {name} belongs to __main__.py"
        if name in STARTS or name.startswith(("os.exec", "os.spawn")):
            yield f"{line}: {name}: programs are started in machine/ only"


def too_long(module: Module) -> Iterator[str]:
    lines = len(module.source.splitlines())
    if lines > LONGEST_MODULE:
        yield f"{LONGEST_MODULE}: {lines} lines in one module"
    for function in module.functions:
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        if length > LONGEST_FUNCTION:
            yield f"{function.lineno}: {function.name} has {length} lines"


RULES = (wrong_arrows, strangers, hidden_imports, reexports, misplaced_calls, too_long)


def read_module(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    name = ".".join(parts[:-1] if is_package else parts)
    return Module(name, path.read_text(encoding="utf-8"), is_package)


MODULES = tuple(read_module(path) for path in sorted((ROOT / "image_tools").rglob("*.py")))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_package_every_module_keeps_rule(rule: Callable[[Module], Iterator[str]]) -> None:
    broken = [f"{module.name}:{text}" for module in MODULES for text in rule(module)]

    assert broken == []


def test_package_every_room_has_a_layer() -> None:
    assert {module.room for module in MODULES} - {"", *LAYERS} == set()


def graph() -> dict[str, set[str]]:
    """Give for each module the modules of ours that it imports."""
    names = {module.name for module in MODULES}
    return {
        module.name: {
            target
            for found in module.imports
            for target in (found.target, found.target.rpartition(".")[0])
            if target in names
        }
        for module in MODULES
    }


def test_options_of_commands_that_only_ask_import_nothing_of_a_run() -> None:
    eager = {
        module.name: {
            target
            for found in module.imports
            if not found.inside_function
            for target in (found.target, found.target.rpartition(".")[0])
        }
        for module in MODULES
    }
    reached, left = set[str](), {"image_tools.cli.reaching"}
    while left:
        reached |= left
        left = set().union(*(eager[name] for name in left)) & eager.keys() - reached

    # What `inspect` and `list-tags` import costs each of them a fifth of a second.
    assert reached & {"image_tools.commands.wiring", "image_tools.run.context"} == set()


def test_package_imports_have_no_cycle() -> None:
    order = tuple(graphlib.TopologicalSorter(graph()).static_order())

    assert {module.name for module in MODULES} == set(order)


VALIDATING = {f"image_tools.run.{name}" for name in ("validation", "deep_walk")}


def test_validation_shares_neither_plan_nor_state_with_the_planner() -> None:
    assert {module.name for module in MODULES} >= VALIDATING
    validators = [m for m in MODULES if m.room == "validation" or m.name in VALIDATING]
    rooms = {
        module.name: {room_of(found.target) for found in module.imports} - {"", "validation"}
        for module in validators
    }

    assert {name: found & {"plan", "state"} for name, found in rooms.items()} == {
        module.name: set() for module in validators
    }
    pure = [found for name, found in rooms.items() if name not in VALIDATING]
    assert set().union(*pure) == {"oci"}


STAGES = ("probe", "read", "plan", "transfer", "publish", "confirm", "remember")


def test_line_consists_of_its_stages_and_each_imports_only_earlier_ones() -> None:
    line = "image_tools.run.line"
    found = {name: targets for name, targets in graph().items() if name.startswith(f"{line}.")}
    later = {
        (stage, other)
        for place, stage in enumerate(STAGES)
        for other in STAGES[place + 1 :]
        if f"{line}.{other}" in found[f"{line}.{stage}"]
    }

    assert set(found) == {f"{line}.{stage}" for stage in STAGES}
    # An image that turns out to be as wanted, or to have no wanted platform, is remembered at once.
    assert later == {("plan", "remember")}


def test_package_every_class_name_is_defined_once() -> None:
    places: dict[str, list[str]] = {}
    for module in MODULES:
        for node in module.nodes:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(module.name)

    assert {name: found for name, found in places.items() if len(found) > 1} == {}


# Tests of several modules, or of what is not in the package.
OF_SEVERAL = {
    "conftest",
    "refusals.wordings",
    "run.pipeline",
    "stores.archive.file.archive_file_damage",
    "stores.archive.folder_damage",
    "stores.remote.tokens.accepted_logins",
    "tools.skopeo_signing",
    "validation.histories",
}


def test_unit_tests_mirror_the_package() -> None:
    names = {module.name.removeprefix("image_tools.") for module in MODULES}
    unit = ROOT / "tests" / "unit"
    tested = {
        ".".join((*path.relative_to(unit).parent.parts, path.stem.removeprefix("test_")))
        for path in unit.rglob("test_*.py")
    }

    assert tested - names - OF_SEVERAL == set()


def test_package_every_module_is_imported_by_another() -> None:
    imported = set().union(*graph().values())
    others = {module.name for module in MODULES if not module.is_package} - imported

    assert others == {"image_tools.__main__"}


def test_package_is_imported_without_a_warning() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import image_tools.__main__"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stderr, done.returncode) == ("", 0)


@pytest.mark.parametrize(
    ("rule", "name", "source"),
    [
        pytest.param(wrong_arrows, "oci.digest", "import image_tools.cli.app", id="upwards"),
        pytest.param(wrong_arrows, "report", "from image_tools import state", id="sideways"),
        pytest.param(wrong_arrows, "errors", "from image_tools.oci import digest", id="errors-oci"),
        pytest.param(wrong_arrows, "plan.plan", "from . import schedule", id="relative"),
        pytest.param(wrong_arrows, "run.jobs", "import image_tools.attic", id="unknown-room"),
        pytest.param(strangers, "run.jobs", "from plumbum import local", id="plumbum"),
        pytest.param(strangers, "machine", "import subprocess", id="subprocess"),
        pytest.param(strangers, "cli.app", "import argparse", id="argparse"),
        pytest.param(strangers, "oci.index", "from loguru import logger", id="loguru-in-oci"),
        pytest.param(strangers, "plan.plan", "import time", id="clock-in-plan"),
        pytest.param(strangers, "stores.remote", "import requests", id="homeless"),
        pytest.param(strangers, "cli.app", "import aiohttp", id="eager-aiohttp"),
        pytest.param(hidden_imports, "run.jobs", "def f():\n import json", id="hidden"),
        pytest.param(hidden_imports, "cli.app", "def f():\n import json", id="hidden-not-lazy"),
        pytest.param(misplaced_calls, "cli.app", "print(1)", id="print"),
        pytest.param(misplaced_calls, "cli.app", "import sys\nsys.exit(1)", id="exit"),
        pytest.param(misplaced_calls, "cli.app", "raise SystemExit(1)", id="system-exit"),
        pytest.param(misplaced_calls, "run.jobs", "import os\nos.system('ls')", id="os-system"),
        pytest.param(too_long, "state", "x = 1\n" * (LONGEST_MODULE + 1), id="module"),
        pytest.param(too_long, "state", "def f():\n" + " x = 1\n" * 50, id="function"),
    ],
)
def test_rule_broken_by_module_is_noticed(
    rule: Callable[[Module], Iterator[str]], name: str, source: str
) -> None:
    assert len(list(rule(Module(f"image_tools.{name}", source)))) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        pytest.param("cli.app", "def f():\n import rich.table", id="lazy-rich"),
        pytest.param("oci.digest", "from image_tools.errors import Problem", id="oci-errors"),
        pytest.param("cli.app", "from image_tools import __version__", id="version"),
        pytest.param("stores.remote.client", "import aiohttp", id="aiohttp"),
        pytest.param("cli.render", "print(1)", id="print"),
        pytest.param("__main__", "import sys\nsys.exit(1)", id="exit"),
        pytest.param("run.jobs", "from image_tools.run import events", id="same-room"),
    ],
)
def test_rules_kept_by_module_are_silent(name: str, source: str) -> None:
    module = Module(f"image_tools.{name}", source)

    assert [text for rule in RULES for text in rule(module)] == []


def test_reexport_in_package_is_noticed() -> None:
    module = Module("image_tools.oci", "from image_tools.oci import digest", is_package=True)

    assert len(list(reexports(module))) == 1
