"""Help pages: whole, narrow enough, and honest about defaults."""

from __future__ import annotations

from typing import Any

import pytest

from image_tools.cli.help import command_help, overview
from image_tools.cli.options import Group, Option, Page, VerbOptions
from image_tools.cli.text import cells
from image_tools.cli.verbs.mirror import MIRROR
from image_tools.cli.verbs.version import VERSION

PAGES = (MIRROR, VERSION)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_help_any_width_keeps_within_it(page: Page[Any], width: int) -> None:
    text = command_help(page, width)
    # Examples and names are not broken, to be copied; at 80 columns all fit.
    prose = [line for line in text.splitlines() if width >= 80 or line.count(" ") > 12]

    assert max(cells(line) for line in prose) <= min(width, 100)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_help_every_option_and_default_is_on_the_page(page: Page[Any]) -> None:
    text = " ".join(command_help(page, 80).split())

    for option in page.options:
        assert f"--{option.name}" in text
        assert not option.short or f"-{option.short}, --{option.name}" in text
        assert option.default in (None, "false") or f"(default: {option.default})" in text


def test_help_page_is_laid_out_in_columns() -> None:
    options = (
        Option(name="file", short="f", metavar="FILE", help="read FILE"),
        Option(name="force", help="do it", bare="true", default="false"),
        Option(name="check", help="look", bare="true", default="true"),
        Option(name="a-rather-long-option", metavar="NUMBER", help="count", default="3"),
    )
    page = Page(
        name="try",
        kind=VerbOptions,
        summary="",
        about="Try it.",
        groups=(Group("Options", options),),
    )

    assert command_help(page, 80).splitlines() == [
        "Usage: image-tools try [OPTIONS]",
        "",
        "Try it.",
        "",
        "Options:",
        "  -f, --file FILE           read FILE",
        "      --force               do it",
        "      --check[=BOOL]        look (default: true)",
        "      --a-rather-long-option NUMBER",
        "                            count (default: 3)",
    ]


def test_overview_names_every_command_with_its_summary() -> None:
    text = overview(PAGES, 80)

    for page in PAGES:
        assert f"  {page.name:12}{page.summary}" in text
    assert max(map(len, text.splitlines())) <= 80
