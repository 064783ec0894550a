"""`image-tools completion`: the script that lets a shell complete our words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from image_tools.cli import render
from image_tools.cli.options import Page, group, note, operand
from image_tools.cli.shared_options import LogOptions

SHELLS = ("bash", "zsh", "fish")


class CompletionOptions(LogOptions):
    """The options of `completion`."""

    shell: str = operand("SHELL", "bash, zsh or fish", choices=SHELLS)


def script_for(shell: str, pages: Sequence[Page[Any]]) -> str:
    """Return the script for one of SHELLS that completes the verbs of `pages`."""
    from image_tools.cli.shells.bash import bash_script
    from image_tools.cli.shells.fish import fish_script
    from image_tools.cli.shells.zsh import zsh_script

    scripts = {"bash": bash_script, "zsh": zsh_script, "fish": fish_script}
    return scripts[shell](pages)


def completion_page(pages: Callable[[], Sequence[Page[Any]]]) -> Page[CompletionOptions]:
    """Return the page of `completion`, whose scripts complete all of `pages`, itself included."""

    def completion(options: CompletionOptions, _environ: Mapping[str, str]) -> int:
        render.out(script_for(options.shell, pages()).rstrip("\n"))
        return 0

    return Page(
        name="completion",
        kind=CompletionOptions,
        run=completion,
        summary="write a completion script for a shell",
        about="Write a script to standard output that lets a shell complete the commands, options "
        "and values of image-tools.",
        groups=(group("Options", CompletionOptions, "debug"),),
        notes=(
            note(
                "To have it in every session",
                "bash: echo 'source <(image-tools completion bash)' >> ~/.bashrc",
                "zsh:  echo 'source <(image-tools completion zsh)' >> ~/.zshrc, after compinit",
                "fish: image-tools completion fish > ~/.config/fish/completions/image-tools.fish",
            ),
        ),
    )
