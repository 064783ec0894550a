"""Options and operands of a verb as typed fields of a frozen class, and its help page.

A verb's options are a subclass of `VerbOptions`; each field is made by `option`, `switch`, `word`
or `operand`. Its page orders them for readers, and names the function that runs the verb.

All these classes are made at each start, `--help` too. Dataclasses would take 35 ms for it: they
compile the methods of each class.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from image_tools.cli import values

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: object) -> Callable[[type], type]:
        """Return the decorator that leaves a class as it is: it is read by type checkers."""
        return lambda kind: kind


VARIABLE_PREFIX = "IMAGE_TOOLS_"
FILE = "FILE"
BOOLEANS = ("true", "false")

T = TypeVar("T")
OptionsT = TypeVar("OptionsT", bound="VerbOptions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option: its spellings, how its text is read, and its line in the help.

    `bare` is the text of the option without a value, None where it needs one; `default` is read
    like a value from the command line. `repeats` joins the values of several uses, `once` refuses
    a second value; of others the last one counts (see `is_single`). `shown` replaces the default
    in the help; a shell offers `choices`; `required` options must be given.
    `stands_for` names the variable where the option's own name means something else in another
    verb.
    """

    name: str = ""
    help: str
    read: Callable[[str], Any] = str
    metavar: str = ""
    short: str = ""
    aliases: tuple[str, ...] = ()
    bare: str | None = None
    default: str | None = None
    repeats: bool = False
    once: bool = False
    shown: str = ""
    choices: tuple[str, ...] = ()
    required: bool = False
    stands_for: str = ""

    def __set_name__(self, owner: type, key: str) -> None:
        object.__setattr__(self, "name", key.replace("_", "-"))

    @property
    def key(self) -> str:
        """Return the field that holds the value."""
        return self.name.replace("-", "_")

    @property
    def initial(self) -> Any:
        """Return the value where none is given; TypeError where one must be."""
        if self.required:
            raise TypeError(f"{self.name} is missing")
        return None if self.default is None else self.read(self.default)

    @property
    def spellings(self) -> tuple[str, ...]:
        """Return the names without dashes: the short one, the long one, aliases."""
        return tuple(filter(None, (self.short, self.name, *self.aliases)))

    @property
    def is_single(self) -> bool:
        """Return whether a second, different value is an error.

        It is where the first place, file or name would silently get nothing.
        """
        return self.once or (self.read is str and not self.repeats)

    @property
    def variable(self) -> str:
        """Return the environment variable that stands for this option."""
        return VARIABLE_PREFIX + (self.stands_for or self.key).upper()

    @property
    def needs_value(self) -> bool:
        """Return whether a value has to follow."""
        return self.bare is None

    @property
    def takes_file(self) -> bool:
        """Return whether the value is the name of a file."""
        return self.metavar == FILE

    @property
    def offered(self) -> tuple[str, ...]:
        """Return the values a shell can offer; a switch has two, but only after `=`."""
        if self.choices:
            return self.choices
        return BOOLEANS if self.bare == "true" else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operand:
    """A word that a verb takes in addition to its options, `metavar` in the help.

    With `choices` no other word is taken. The last one may be `several`: it takes all words that
    are left, at least one, as a tuple. It may be `optional`: None without it.
    """

    name: str = ""
    metavar: str
    help: str
    choices: tuple[str, ...] = ()
    several: bool = False
    optional: bool = False

    def __set_name__(self, owner: type, key: str) -> None:
        object.__setattr__(self, "name", key)

    @property
    def initial(self) -> None:
        """Return the value where none is given; TypeError where one must be."""
        if not self.optional:
            raise TypeError(f"{self.name} is missing")


@dataclass(frozen=True, slots=True)
class Group:
    """Options that belong together, under one title."""

    title: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """A titled text below the options; its lines are shown as they are."""

    title: str
    lines: tuple[str, ...]


def note(title: str, *lines: str) -> Note:
    """Return a note of these lines."""
    return Note(title, lines)


def _no_run(_options: Any, _environ: Mapping[str, str]) -> int:
    raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[OptionsT]):
    """All the command line knows of one verb; its names may be two words, `inspect list`.

    `kind` is the class of its options; `run` takes them and the environment, and returns the exit
    code.
    """

    name: str
    summary: str
    about: str
    groups: tuple[Group, ...]
    notes: tuple[Note, ...] = ()
    aliases: tuple[str, ...] = ()
    kind: type[OptionsT]
    run: Callable[[OptionsT, Mapping[str, str]], int] = _no_run

    @property
    def options(self) -> tuple[Option, ...]:
        """Return the options of all groups."""
        return tuple(option for group in self.groups for option in group.options)

    @property
    def operands(self) -> tuple[Operand, ...]:
        """Return the operands, in the order in which `kind` declares them."""
        return tuple(made for made in declared(self.kind).values() if isinstance(made, Operand))


@overload
def option(help: str, *, default: str, read: Callable[[str], T], **more: Any) -> T: ...
@overload
def option(help: str, *, read: Callable[[str], T], **more: Any) -> T | None: ...
@overload
def option(help: str, *, default: str, **more: Any) -> str: ...
@overload
def option(help: str, *, required: Literal[True], **more: Any) -> str: ...
@overload
def option(help: str, **more: Any) -> str | None: ...
def option(help: str, **more: Any) -> Any:
    """Return a field of a verb's options; `more` are fields of Option.

    Its name is that of the field, with dashes. Without a default it is None, unless `required`.
    """
    return Option(help=help, **more)


def switch(help: str, *, short: str = "") -> bool:
    """Return a field for an option that is off unless it is named."""
    return option(help, short=short, read=values.boolean, bare="true", default="false")


def word(help: str, *choices: str, metavar: str, **more: Any) -> Any:
    """Return a field for an option that takes one of `choices`; shells offer them."""
    return option(help, read=values.one_of(*choices), metavar=metavar, choices=choices, **more)


@overload
def operand(metavar: str, help: str, *, several: Literal[True]) -> tuple[str, ...]: ...
@overload
def operand(metavar: str, help: str, *, optional: Literal[True]) -> str | None: ...
@overload
def operand(metavar: str, help: str, *, choices: tuple[str, ...] = ()) -> str: ...
def operand(metavar: str, help: str, **more: Any) -> Any:
    """Return a field for a word without dashes; `more` are fields of Operand."""
    return Operand(metavar=metavar, help=help, **more)


@dataclass_transform(
    kw_only_default=True, frozen_default=True, field_specifiers=(option, switch, word, operand)
)
class VerbOptions:
    """The options and operands of one command line, read and typed; they cannot be changed.

    `given` holds the keys of the options that stood on the command line.
    """

    given: frozenset[str]

    def __init__(self, *, given: frozenset[str] = frozenset(), **values: Any) -> None:
        known = declared(type(self))
        if unknown := values.keys() - known.keys():
            raise TypeError(f"{type(self).__name__} has no {sorted(unknown)}")
        defaults = {key: made.initial for key, made in known.items() if key not in values}
        vars(self).update(defaults, **values, given=given)

    def __setattr__(self, key: str, value: object) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {key!r}")


def declared(kind: type[VerbOptions]) -> dict[str, Any]:
    """Return the Option or Operand of each field of `kind` by key, those of bases first."""
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        found |= {k: made for k, made in vars(base).items() if isinstance(made, Option | Operand)}
    return found


def changed(kind: type[VerbOptions], key: str, **changes: Any) -> Any:
    """Return the field `key` of `kind` with other values for some fields of its Option."""
    return dataclasses.replace(declared(kind)[key], **changes)


def group(title: str, kind: type[VerbOptions], names: str, *, help: str = "") -> Group:
    """Return the options of `kind` with these `names`, separated by blanks, under one title.

    `help` is the help of all of them, instead of their own.
    """
    known = declared(kind)
    options = (known[name.replace("-", "_")] for name in names.split())
    return Group(title, tuple(dataclasses.replace(o, help=help) if help else o for o in options))


def narrowed(kind: type[OptionsT], options: VerbOptions, **changes: Any) -> OptionsT:
    """Return options of `kind` with the values of the fields that `options` also have.

    `changes` go first; what neither has is at its default.
    """
    shared = {*declared(kind), "given"} - changes.keys()
    taken = {key: value for key, value in vars(options).items() if key in shared}
    return kind(**taken, **changes)


def omitted(groups: Iterable[Group], names: Iterable[str]) -> tuple[Group, ...]:
    """Return `groups` without the options of these names, and without groups left empty."""
    hidden = frozenset(names)
    kept = (
        Group(one.title, tuple(option for option in one.options if option.name not in hidden))
        for one in groups
    )
    return tuple(one for one in kept if one.options)


def first_words(pages: Sequence[Page[Any]]) -> tuple[str, ...]:
    """Return the words a command line may begin with, `help` too."""
    return (*dict.fromkeys(page.name.split()[0] for page in pages), "help")


def second_words(pages: Sequence[Page[Any]], first: str) -> tuple[str, ...]:
    """Return the words that may follow `first` in the names of verbs: `list` after `inspect`."""
    names = (page.name.split() for page in pages)
    return tuple(words[1] for words in names if words[0] == first and len(words) > 1)


def operands_of(page: Page[Any], pages: Sequence[Page[Any]]) -> tuple[str, ...]:
    """Return the words a shell can offer where `page` takes an operand."""
    choices = tuple(word for operand in page.operands for word in operand.choices)
    return (*second_words(pages, page.name), *choices)
