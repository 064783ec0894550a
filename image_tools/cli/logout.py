"""`image-tools logout`: from its options to its exit code."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from loguru import logger

from image_tools.cli import render
from image_tools.cli.reaching import registry_named, start_logs
from image_tools.cli.redact import clean
from image_tools.commands.login import log_out
from image_tools.errors import UsageError


def logout(options: Namespace, environ: Mapping[str, str]) -> int:
    """Forget logins; 0, also where there was none: then nothing is left to do."""
    start_logs(options, environ)
    if (options.registry is None) != options.all:
        raise UsageError("name one registry, or give --all")
    registry = None if options.all else registry_named(options.registry)
    found = log_out(registry, environ)
    for name, place in found.gone:
        render.out(clean(f"logged out of {name} ({place})"))
    if not found.gone:
        logger.warning("there is no login {}", f"for {registry}" if registry else "at all")
    return 0
