"""`image-tools completion`: the script that lets a shell complete our words."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence

from image_tools.cli import render
from image_tools.cli.catalogue import PAGES
from image_tools.cli.options import Page
from image_tools.cli.shells.bash import bash_script
from image_tools.cli.shells.fish import fish_script
from image_tools.cli.shells.zsh import zsh_script

SCRIPTS: Mapping[str, Callable[[Sequence[Page]], str]] = {
    "bash": bash_script,
    "zsh": zsh_script,
    "fish": fish_script,
}


def completion(options: Namespace, _environ: Mapping[str, str]) -> int:
    """Write the script for the shell of the options; 0."""
    render.out(SCRIPTS[options.shell](PAGES).rstrip("\n"))
    return 0
