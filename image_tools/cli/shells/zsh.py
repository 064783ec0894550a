"""The completion script for zsh, for its own completion system (compinit)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from image_tools import __version__
from image_tools.cli.options import Option, Page, first_words, operands_of

_SCRIPT = """\
#compdef image-tools
# zsh completion for image-tools {version}

_image-tools() {{
    local -a commands
    commands=(
{names}
    )
    if (( CURRENT == 2 )); then
        _describe command commands
        return
    fi
    local command=$words[2]
    shift words
    (( CURRENT-- ))
    case "$command $words[2]" in
{pairs}
    esac
    case $command in
{commands}
        help) _arguments ':command:({firsts})' ;;
    esac
}}

if [[ $funcstack[1] == _image-tools ]]; then
    _image-tools "$@"
else
    compdef _image-tools image-tools
fi
"""


def zsh_script(pages: Sequence[Page[Any]]) -> str:
    """Return the script for `pages`, to be sourced after compinit or put into $fpath."""
    return _SCRIPT.format(
        version=__version__,
        names="\n".join(_names(pages)),
        pairs="\n".join(_pairs(pages)),
        commands="\n".join(line for page in pages for line in _command(page, pages)),
        firsts=" ".join(first_words(pages)),
    )


def _names(pages: Sequence[Page[Any]]) -> Iterator[str]:
    for page in pages:
        if " " not in page.name:
            yield f"        {_quoted(f'{page.name}:{page.summary}')}"
    yield "        'help:show the help of a command'"


def _pairs(pages: Sequence[Page[Any]]) -> Iterator[str]:
    for page in pages:
        if " " in page.name:
            second = (
                f"(( CURRENT > 2 )) && {{ command='{page.name}'; shift words; (( CURRENT-- )) }}"
            )
            yield f"        '{page.name}') {second} ;;"


def _command(page: Page[Any], pages: Sequence[Page[Any]]) -> Iterator[str]:
    yield f"        '{page.name}')"
    yield "            _arguments -S \\"
    for option in page.options:
        yield f"                {_option(option)} \\"
    for operand, words in _operands(page, pages):
        yield f"                {_quoted(f':{operand}:{words}')} \\"
    yield "                '--help[show this help]' ;;"


def _operands(page: Page[Any], pages: Sequence[Page[Any]]) -> Iterator[tuple[str, str]]:
    offered = operands_of(page, pages)
    names = [operand.metavar for operand in page.operands] or ["command"] * bool(offered)
    for name in names:
        yield name, f"({' '.join(offered)})" if offered else " "


def _option(option: Option) -> str:
    about = f"[{_plain(option.help)}]"
    if option.needs_value:
        value = f":{_plain(option.metavar)}:{_action(option)}"
        ends = ("+", "=")
    else:
        offered = option.offered
        value = f"::{_plain(option.metavar or 'BOOL')}:({' '.join(offered)})"
        ends = ("", "=-")
        if not offered:
            value = f"::{_plain(option.metavar)}: "
    long = f"--{option.name}{ends[1]}{about}{value}"
    if not option.short:
        return _quoted(long)
    exclusive = f"(-{option.short} --{option.name})"
    short = f"-{option.short}{ends[0]}{about}{value if option.needs_value else ''}"
    return f"{_quoted(exclusive + short)} {_quoted(exclusive + long)}"


def _action(option: Option) -> str:
    if option.takes_file:
        return "_files"
    offered = option.offered
    return f"({' '.join(offered)})" if offered else " "


def _plain(text: str) -> str:
    """Return `text` with brackets and colons escaped: they have a meaning for _arguments."""
    return "".join(f"\\{letter}" if letter in "[]:\\" else letter for letter in text)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
