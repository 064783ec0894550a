"""Questions to the person at the terminal: a yes or no, and a login in the middle of a run."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from loguru import logger

from image_tools.cli import render
from image_tools.cli.progress import Display
from image_tools.cli.redact import add_secret, clean
from image_tools.cli.text import is_terminal
from image_tools.errors import EnvironmentProblem
from image_tools.logins.auth_file import Credentials
from image_tools.logins.auth_store import keep_login
from image_tools.run.preflight import Ask, Prompt

_YES = frozenset({"y", "yes"})


def agreed(question: str) -> bool:
    """Return whether the person at the terminal says yes to `question`; anything else is no."""
    render.prompt(clean(f"{question} [y/N] "))
    return sys.stdin.readline().strip().lower() in _YES


def asking(environ: Mapping[str, str], display: Display) -> Ask | None:
    """Asks for a login, which is kept as `login` keeps it; None where nobody can be asked."""
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        return None

    def ask(prompt: Prompt) -> Credentials | None:
        with display.paused():
            if prompt.reason:
                render.err(clean(prompt.reason))
            render.err(f"Log in to {prompt.registry}:")
            try:
                return _asked(prompt, environ)
            except EnvironmentProblem as problem:
                logger.warning("{}; {}", problem, problem.advice)
                return None

    return ask


def _asked(prompt: Prompt, environ: Mapping[str, str]) -> Credentials | None:
    # sh costs 60 ms, and hardly a run asks.
    from image_tools.run.login_prompt import ask_login

    found = ask_login(prompt, environ)
    if found is None:
        return None
    add_secret(found.password, found.username)
    for place in keep_login(prompt.registry, found, environ):
        logger.info("the login for {} is kept in {}", prompt.registry, place)
    return found
