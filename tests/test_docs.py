"""What the documents say, held against the program and against each other."""

from __future__ import annotations

import inspect
import json
import re
import shlex
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from typing import Any
from urllib.parse import unquote

import pytest

from benchmarks.__main__ import options as benchmark_options
from image_tools import errors
from image_tools.cli.catalogue import PAGES, page_of
from image_tools.cli.help import with_help_pages
from image_tools.cli.options import Option, Page
from image_tools.cli.parsing import parse
from image_tools.cli.run_options import EXIT_CODES
from image_tools.cli.verbs.mirror import MIRROR
from image_tools.imagelist.entry import Entry
from image_tools.imagelist.reader import read_line, read_list
from image_tools.imagelist.registries import Registries, choose_registries
from image_tools.report import (
    DryRunPlan,
    Outcome,
    PlanAction,
    PlanRow,
    Pulls,
    Report,
    Status,
)
from image_tools.tools import install, locate
from tests.helpers.documents import (
    FENCE,
    HEADING,
    ROOT,
    blocks,
    commands,
    pieces,
    prose_of,
    rows,
    spans,
    text_of,
)
from tests.helpers.fault_cells import CELLS
from tests.helpers.fault_declared import rule_of
from tests.helpers.fault_page import with_tables
from tests.helpers.fault_rules import COPIED, EXCEPTIONS, GENERAL
from tests.helpers.population import POPULATION
from tests.test_architecture import LAYERS
from tests.zoo.products import PRODUCTS

DOCUMENTS = (
    *("README.md", "README_zh.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md"),
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
SPAN = re.compile(r"`([^`\n]+)`")
# tests/integration/test_airgap_guide.py runs its examples.
RUN_THEMSELVES = ("docs/airgap.md", "docs/airgap_zh.md")
TRANSLATED = {"README.md": "README_zh.md", "docs/airgap.md": "docs/airgap_zh.md"}
both = pytest.mark.parametrize(("english", "chinese"), TRANSLATED.items(), ids=TRANSLATED)
NO_ERRORS = {"interrupted", "invalid-line"}


# --- documents in two languages


@both
def test_both_languages_have_the_same_headings(english: str, chinese: str) -> None:
    found = ([level for level, _ in HEADING.findall(prose_of(n))] for n in (english, chinese))

    assert next(found) == next(found)


@both
def test_both_languages_have_the_same_code(english: str, chinese: str) -> None:
    assert FENCE.findall(text_of(english)) == FENCE.findall(text_of(chinese))


@both
def test_both_languages_have_tables_of_the_same_shape(english: str, chinese: str) -> None:
    found = (
        [line.count("|") for line in text_of(name).splitlines() if line.startswith("|")]
        for name in (english, chinese)
    )

    assert next(found) == next(found)


@both
def test_both_languages_name_the_same_code_words(english: str, chinese: str) -> None:
    assert set(spans(prose_of(english))) == set(spans(prose_of(chinese)))


# --- commands


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_commands_are_understood(name: str) -> None:
    for command in commands(name):
        _, *words = shlex.split(command)
        if words[0] == "help":
            words = [*words[1:], "--help"] if words[1:] else ["version"]
        page, rest = page_of(words)
        parse(page, [word for word in rest if word != "--help"], {})


def test_readme_has_commands_to_understand() -> None:
    assert len(list(commands("README.md"))) > 10


@pytest.mark.parametrize(
    "name", [n for n in DOCUMENTS if n.startswith("docs/") and n not in RUN_THEMSELVES]
)
def test_documents_examples_are_those_of_the_readme_which_are_run(name: str) -> None:
    found = {piece for code in blocks(name, "sh") for piece in lines_of(code)}

    assert found <= {piece for code in blocks("README.md", "sh") for piece in lines_of(code)}


def lines_of(code: str) -> Iterator[str]:
    for line in code.replace("\\\n", " ").splitlines():
        yield from pieces(line)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_help_examples_are_understood(page: Page[Any]) -> None:
    lines = [line for note in page.notes if note.title == "Examples" for line in note.lines]
    found = [piece for line in lines for piece in pieces(line)]

    assert len(found) >= len(lines)
    for command in found:
        meant, words = page_of(shlex.split(command)[1:])
        parse(meant, words, {})


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_options_exist(name: str) -> None:
    known = {option.name for page in PAGES for option in page.options}
    known |= {alias for option in MIRROR.options for alias in option.aliases} | {"help", "version"}
    of_others = {"preserve-digests", "multi-arch", "to-oci-layout"}
    if "benchmarks" in name:
        of_others |= {"all", *re.findall(r"--([a-z-]+)", benchmark_options().format_help())}
    said = {
        word
        for span in spans(prose_of(name))
        for word in re.findall(r"(?<![\w-])--([a-z][a-z-]+)", span)
    }

    assert said - known - of_others == set()


# --- docs/cli.md


def spelling(option: Option) -> list[str]:
    short = [f"-{option.short}"] if option.short else []
    if option.bare is None:
        return [*short, f"--{option.name} {option.metavar}"]
    is_switch = option.bare == "true" and option.default == "false"
    return [*short, f"--{option.name}" + ("" if is_switch else f"[={option.metavar or 'BOOL'}]")]


def shown_default(option: Option) -> str:
    return option.shown or ("" if option.default in (None, "false") else str(option.default))


@pytest.mark.parametrize("group", MIRROR.groups, ids=lambda group: group.title)
def test_cli_page_lists_the_options_of_each_group(group) -> None:
    found = rows(text_of("docs/cli.md"), f"### {group.title}")

    assert [spans(row[0]) for row in found] == [spelling(option) for option in group.options]
    assert [row[2].strip("|` ") for row in found] == [shown_default(o) for o in group.options]


def test_cli_page_holds_the_help_of_every_command() -> None:
    written = text_of("docs/cli.md")

    assert written == with_help_pages(written, PAGES), "run scripts/manual"


def test_faults_page_holds_the_tables_of_the_fault_lab() -> None:
    written = text_of("docs/faults.md")

    assert f"{len(CELLS)} cells" in written
    assert written == with_tables(written), "run scripts/manual"


def test_faults_page_has_no_rule_without_a_cell() -> None:
    rules = {rule_of(cell) for cell in CELLS}

    assert [rule for rule in (*EXCEPTIONS, *GENERAL) if rule not in rules] == []


def test_faults_page_names_kinds_of_failure_that_exist() -> None:
    ends = {end for rule in (*EXCEPTIONS, *GENERAL) for end in (rule.once, rule.always)}

    assert ends - {
        error("").kind for error in known_errors() if error is not errors.Interrupted
    } == {COPIED, ""}


@pytest.mark.parametrize("name", ["README.md", "docs/cli.md", "README_zh.md"])
def test_exit_codes_are_those_of_the_help(name: str) -> None:
    heading = "## 退出码" if name.endswith("zh.md") else "## Exit codes"
    found = rows(text_of(name), heading)
    wanted = [re.split(r"\s+", line, maxsplit=1) for line in EXIT_CODES.lines]

    assert [row[0] for row in found] == [code for code, _ in wanted]
    if not name.endswith("zh.md"):
        meanings = [row[1].rstrip(" |").partition(" (reserved")[0] for row in found]
        assert meanings == [meaning for _, meaning in wanted]


def test_exit_codes_of_errors_are_all_told() -> None:
    told = {int(line.split()[0]) for line in EXIT_CODES.lines} | {143}

    assert {error.exit_code for error in known_errors()} | {errors.BUG_EXIT_CODE} <= told


def test_variables_named_in_documents_exist() -> None:
    known = {option.variable for page in PAGES for option in page.options}
    known |= {locate.SKOPEO_VARIABLE, locate.BUILDX_VARIABLE}
    known |= {install.URL_VARIABLE, install.SHA256_VARIABLE}
    said = {v for n in DOCUMENTS for v in re.findall(r"IMAGE_TOOLS_[A-Z0-9]\w+", text_of(n))}

    assert said - known == set()


# --- docs/report.md


def known_errors() -> list[type[errors.ImageToolsError]]:
    found = (value for _, value in inspect.getmembers(errors, inspect.isclass))
    return [value for value in found if issubclass(value, errors.ImageToolsError)]


def test_report_example_has_the_keys_of_the_report() -> None:
    document = json.loads(blocks("docs/report.md", "json")[0])
    outcome = Outcome(
        number=1, line=1, raw="", source="", destination="", status=Status.COPIED
    ).to_json()

    assert list(document) == list(Report(command="mirror", outcomes=()).to_json())
    assert [list(found) for found in document["outcomes"]] == [list(outcome)] * 3
    assert list(document["counts"]) == [status.value for status in Status]


def test_report_plan_keys_are_those_of_the_plan() -> None:
    row = PlanRow(number=1, source="", destination="", action=PlanAction.COPY)
    pulls = Pulls(registry="", spent=0, left=0)
    plan = DryRunPlan((row,), (pulls,)).to_json("mirror")
    said = prose_of("docs/report.md").partition("## The plan")[2].partition("## ")[0]

    named = {*plan, *plan["rows"][0], *plan["pulls"][0], *(a.value for a in PlanAction)}
    assert named <= set(spans(said))


def test_report_statuses_are_all_told() -> None:
    found = [spans(row[0])[0] for row in rows(text_of("docs/report.md"), "## Status")]

    assert found == [status.value for status in Status]


def test_report_kinds_of_failure_exist_and_are_all_told() -> None:
    told = {spans(row[0])[0] for row in rows(text_of("docs/report.md"), "## Kinds of failure")}
    known = {error("").kind for error in known_errors() if error is not errors.Interrupted}
    images = {
        error("").kind
        for error in known_errors()
        if issubclass(error, (errors.CopyFailed, errors.IntegrityError))
        and error is not errors.CopyFailed
    }

    assert told <= known | NO_ERRORS
    assert told >= images | NO_ERRORS


# --- docs/list-format.md and the list of the demonstration


CHOICES = {
    "With `-d registry.example:5000`:": "registry.example:5000",
    "With `-d registry.example:5000/team`:": "registry.example:5000/team",
    "Without `-d` and without its variables:": None,
}


@pytest.mark.parametrize(("heading", "flag"), CHOICES.items())
def test_list_format_lines_mean_what_the_tables_say(heading: str, flag: str | None) -> None:
    registries = choose_registries(None, flag, "library", {})
    table = [
        [spans(cell)[0] for cell in row] for row in rows(text_of("docs/list-format.md"), heading)
    ]
    found = [read_line(line, 1, registries) for line, _, _ in table]

    assert [
        [entry.raw, str(entry.source), str(entry.destination)]
        for entry in found
        if isinstance(entry, Entry)
    ] == table


def test_list_format_wrong_lines_are_wrong() -> None:
    registries = choose_registries(None, "registry.example:5000", "library", {})
    lines = [
        spans(row[0])[0] for row in rows(text_of("docs/list-format.md"), "## Lines that cannot")
    ]

    assert [line for line in lines if isinstance(read_line(line, 1, registries), Entry)] == []
    assert len(lines) == 4


def test_readme_list_is_readable() -> None:
    content = blocks("README.md", "text")[0].encode()
    images = read_list(content, "README.md", Registries(destination="registry.example:5000"))

    assert (len(images.entries), images.problems) == (4, ())


def test_demo_list_names_the_whole_population() -> None:
    content = (ROOT / "examples/demo.txt").read_bytes()
    images = read_list(content, "demo.txt", Registries(source="a:1", destination="b:1"))
    named = {(entry.source.repository, entry.source.tag) for entry in images.entries}

    assert (images.problems, images.repeated) == ((), 0)
    assert named == {(repository, tag) for repository, tag, _ in POPULATION}


# --- docs/architecture.md, and the documents beside it about the inside

INSIDE = (
    *("docs/architecture.md", "docs/tools.md", "docs/registries.md", "docs/archives.md"),
    *("docs/runtime.md", "CONTRIBUTING.md"),
)
STAGES = ("probe", "read", "plan", "transfer", "publish", "confirm", "remember")


def test_architecture_names_every_folder_of_the_package() -> None:
    said = set(re.findall(r"`([a-z_/]+/)`", text_of("docs/architecture.md")))
    package = ROOT / "image_tools"
    folders = {path.parent.name for path in package.rglob("__init__.py")} - {package.name}

    assert folders - {name.strip("/").rpartition("/")[2] for name in said} == set()


def test_architecture_says_of_every_command_what_it_does_with_the_plan() -> None:
    table = rows(text_of("docs/architecture.md"), "**Every run is a copy")

    assert {name for row in table for name in spans(row[0])} == {page.name for page in PAGES}


@pytest.mark.parametrize("name", INSIDE)
def test_architecture_names_modules_that_exist(name: str) -> None:
    said = set(re.findall(r"`([a-z_/]+(?:\.py|/))`", text_of(name)))
    places = (*ROOT.glob("image_tools/**/*"), *ROOT.glob("tests/**/*.py"))
    there = {str(path.relative_to(ROOT)) for path in places}

    missing = {
        one for one in said if not any(f"/{path}".endswith(f"/{one.rstrip('/')}") for path in there)
    }
    assert {one for one in missing if not (ROOT / one).exists()} == set()


def test_architecture_names_the_layers_of_its_test() -> None:
    table = rows(text_of("docs/architecture.md"), "## Rooms and layers")
    named = {
        room.strip("/").removesuffix(".py"): int(row[0].strip("| "))
        for row in table
        for room in spans(row[1])
    }

    assert named == {room: layer for room, layer in LAYERS.items() if room != "__main__"}


def test_architecture_names_each_stage_of_a_line() -> None:
    stage = re.compile(r"^\d\. \*\*(\w+)\*\* \(`(run/line/\w+\.py)`", re.MULTILINE)
    found = [(name.lower(), path) for name, path in stage.findall(text_of("docs/architecture.md"))]

    assert found == [(name, f"run/line/{name}.py") for name in STAGES]


def test_architecture_is_short_enough_for_ten_minutes() -> None:
    assert len(prose_of("docs/architecture.md").split()) < 2500


def test_architecture_picture_is_that_of_the_imports() -> None:
    loader = SourceFileLoader("picture", str(ROOT / "scripts/picture"))
    spec = spec_from_loader("picture", loader)
    assert spec is not None
    script = module_from_spec(spec)
    sys.modules["picture"] = script  # Its dataclasses look for their module there.
    loader.exec_module(script)

    assert text_of("docs/architecture.svg") == script.picture(), "run scripts/picture"


# --- links


def anchors(name: str) -> set[str]:
    titles = (title.lower().replace("`", "") for _, title in HEADING.findall(prose_of(name)))
    return {re.sub(r"[^\w -]", "", title).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_links_lead_somewhere(name: str) -> None:
    for link in LINK.findall(prose_of(name)):
        if "://" in link:
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(str(target.resolve().relative_to(ROOT))), link


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "README.md"])
def test_documents_scripts_exist(name: str) -> None:
    said = set(re.findall(r"(?<![\w/])(?:scripts|tests|\.ci)/[\w./]+", text_of(name)))

    assert [path for path in sorted(said) if not (ROOT / path.rstrip(".")).exists()] == []


@pytest.mark.parametrize("name", ["benchmarks/README.md", "docs/security.md"])
def test_documents_tests_named_exist(name: str) -> None:
    named = set(re.findall(r"`(test_\w+)`", text_of(name)))
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }

    assert named - defined == set()
    assert named


@pytest.mark.parametrize("heading", ["## Against strangers", "## Against locals"])
def test_security_promises_all_have_a_test(heading: str) -> None:
    promises = rows(text_of("docs/security.md"), heading)

    assert [
        row[0] for row in promises if not any(s.startswith("test_") for s in spans(row[1]))
    ] == []
    assert len(promises) > 5


_SOURCE = re.compile(r"[\w./-]+#\d+|https?://\S+[\w/]")


@pytest.mark.parametrize("name", PRODUCTS)
def test_compatibility_names_the_sources_of_every_product(name: str) -> None:
    written = text_of("docs/compatibility.md")

    sources = _SOURCE.findall(PRODUCTS[name].behaviours.__doc__ or "")

    assert [source for source in sources if source not in written] == []
