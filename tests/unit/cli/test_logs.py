"""Log lines, character by character."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import pytest
from loguru import logger

from image_tools.cli import logs, redact


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What was logged; the time is made the same for all."""
    written: list[str] = []
    yield written
    logging.basicConfig(handlers=[], force=True)
    redact.forget_secrets()


def at_11_22_33(lines: list[str]) -> list[str]:
    return [re.sub(r"^\d\d:\d\d:\d\d ", "11:22:33 ", line) for line in lines]


def test_line_with_several_jobs_names_entry_and_platform(lines: list[str]) -> None:
    logs.configure(lines.append, numbered=True)

    logger.info("nothing bound")
    with logger.contextualize(m_id=1):
        logger.warning("entry")
        with logger.contextualize(img_id=2):
            logger.info("text")

    assert at_11_22_33(lines) == [
        "11:22:33 [INFO] nothing bound\n",
        "11:22:33 [WARN] [M_ID:1] entry\n",
        "11:22:33 [INFO] [M_ID:1] [IMG_ID:2] text\n",
    ]


def test_line_with_one_job_has_no_numbers(lines: list[str]) -> None:
    logs.configure(lines.append)

    with logger.contextualize(m_id=1, img_id=2):
        logger.error("text")

    assert at_11_22_33(lines) == ["11:22:33 [ERRO] text\n"]


@pytest.mark.parametrize(
    ("level", "words"),
    [
        ("DEBUG", ["DEBU", "INFO", "WARN", "ERRO"]),
        ("INFO", ["INFO", "WARN", "ERRO"]),
        ("WARNING", ["WARN", "ERRO"]),
    ],
)
def test_lines_below_the_level_are_left_out(lines: list[str], level: str, words: list[str]) -> None:
    logs.configure(lines.append, level=level)

    for name in ("DEBUG", "INFO", "WARNING", "ERROR"):
        logger.log(name, "text")

    assert [line[10:14] for line in lines] == words


def test_line_of_outside_text_is_tamed(lines: list[str]) -> None:
    redact.add_secret("hunter22")
    logs.configure(lines.append)

    logger.info("{}", "first {x} <red>\r\n12:00:00 [INFO] forged\x1b[2J hunter22\n")

    assert at_11_22_33(lines) == [
        "11:22:33 [INFO] first {x} <red>\n    12:00:00 [INFO] forged ***\n"
    ]


def test_line_in_colours_colours_level_and_numbers_alone(lines: list[str]) -> None:
    logs.configure(lines.append, colours=True, numbered=True)

    with logger.contextualize(m_id=1):
        logger.info("text")

    assert at_11_22_33(lines) == ["11:22:33 \x1b[36m[INFO] [M_ID:1] \x1b[0mtext\n"]


@pytest.mark.parametrize(("level", "traced"), [("DEBUG", True), ("INFO", False)])
def test_line_of_exception_is_traced_at_debug_only(
    lines: list[str], level: str, traced: bool
) -> None:
    password = "hunter22"
    redact.add_secret(password)
    logs.configure(lines.append, level=level)

    try:
        raise ValueError(password)
    except ValueError:
        logger.exception("broken")

    text = "".join(lines)
    assert ("Traceback" in text) is traced
    assert password not in text


@pytest.mark.parametrize(
    ("level", "expected"), [("DEBUG", ["11:22:33 [DEBU] library: careful 1\n"]), ("INFO", [])]
)
def test_records_of_libraries_are_debug_lines(
    lines: list[str], level: str, expected: list[str]
) -> None:
    logs.configure(lines.append, level=level)

    logging.getLogger("library").warning("careful %d", 1)

    assert at_11_22_33(lines) == expected


def test_last_error_goes_to_standard_error(
    lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    logs.last_error("failed\nadvice: try again", colours=False)

    out, err = capsys.readouterr()
    assert (out, at_11_22_33([err])) == ("", ["11:22:33 [ERRO] failed\n    advice: try again\n"])
