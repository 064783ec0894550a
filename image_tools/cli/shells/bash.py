"""The completion script for bash, from 3.2 on; it needs no bash-completion package."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from image_tools import __version__
from image_tools.cli.options import Option, Page, first_words, operands_of, second_words

# bash hands `--format=json` over as three words, for `=` is in COMP_WORDBREAKS; where it is not,
# it is one. Options are compared without their dashes: one and two mean the same.
_SCRIPT = """\
# bash completion for image-tools {version}

_image_tools_offer() {{
    local line
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <(compgen -P "$prefix" "$@" -- "$word")
}}

_image_tools() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
    local command=${{COMP_WORDS[1]}} option= joined= prefix= options= operands= free= first=2
    COMPREPLY=()
    if (( COMP_CWORD == 1 )); then
        _image_tools_offer -W '{firsts}'
        return
    fi
    if (( COMP_CWORD > 2 )); then
        case "$command ${{COMP_WORDS[2]}}" in
{pairs}
        esac
    fi
    if [[ $word == '=' ]]; then
        option=$before joined=yes word=
    elif [[ $before == '=' ]]; then
        option=${{COMP_WORDS[COMP_CWORD-2]}} joined=yes
    elif [[ $word == -*=* ]]; then
        option=${{word%%=*}} joined=yes prefix=${{word%%=*}}= word=${{word#*=}}
    elif [[ $before == -* ]]; then
        option=$before
    fi
    option=${{option#-}}
    option=${{option#-}}
    case "$command $option" in
{values}
    esac
    if [[ $joined ]]; then
        case "$command $option" in
{joined}
        esac
        return
    fi
    case "$command" in
{commands}
    esac
    if (( COMP_CWORD == first )); then
        _image_tools_offer -W "$operands"
    fi
    if [[ $word == -* || ( -z $word && -z $free && $options ) ]]; then
        _image_tools_offer -W "$options --help"
    fi
}}

complete -F _image_tools image-tools
"""


def bash_script(pages: Sequence[Page[Any]]) -> str:
    """Return the script for `pages`; sourced, it completes `image-tools` and paths to it."""
    options = [(page, option) for page in pages for option in page.options]
    return _SCRIPT.format(
        version=__version__,
        firsts=" ".join(first_words(pages)),
        pairs="\n".join(_pairs(pages)),
        values="\n".join(_value(page, option) for page, option in options if option.needs_value),
        joined="\n".join(
            _value(page, option) for page, option in options if not option.needs_value
        ),
        commands="\n".join(_commands(pages)),
    )


def _pairs(pages: Sequence[Page[Any]]) -> Iterator[str]:
    for page in pages:
        if " " in page.name:
            yield f"            '{page.name}') command='{page.name}' first=3 ;;"
            first = page.name.split()[0]
            yield f"            'help {first}') command='help {first}' first=3 ;;"


def _value(page: Page[Any], option: Option) -> str:
    names = "|".join(f"'{page.name} {name}'" for name in option.spellings)
    offered = option.offered
    if option.takes_file:
        do = "compopt -o filenames 2>/dev/null; _image_tools_offer -f; "
    else:
        do = f"_image_tools_offer -W '{' '.join(offered)}'; " if offered else ""
    return f"        {names}) {do}return ;;"


def _commands(pages: Sequence[Page[Any]]) -> Iterator[str]:
    for page in pages:
        options = " ".join(f"--{option.name}" for option in page.options)
        operands = " ".join(operands_of(page, pages))
        free = "yes" if page.operands else ""
        yield f"        '{page.name}') options='{options}' operands='{operands}' free={free} ;;"
    names = " ".join(dict.fromkeys(page.name.split()[0] for page in pages))
    yield f"        help) operands='{names}' ;;"
    for first in first_words(pages):
        if seconds := second_words(pages, first):
            yield f"        'help {first}') operands='{' '.join(seconds)}' ;;"
