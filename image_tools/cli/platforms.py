"""The words that --arch, --os and --variant take, and the known word nearest to a wrong one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from image_tools.cli.options import VARIABLE_PREFIX
from image_tools.errors import InvalidPlatform
from image_tools.oci.platform import Platform


def _words_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


# All that Go knows or has reserved (internal/syslist/syslist.go of Go 1.24): images say it so.
_GO_ARCHITECTURES = _words_of(
    """
    386 amd64 amd64p32 arm arm64 arm64be armbe loong64 mips mips64 mips64le mips64p32 mips64p32le
    mipsle ppc ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm
    """
)
_GO_SYSTEMS = _words_of(
    """
    aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris
    wasip1 windows zos
    """
)
# Docker's examples of WebAssembly have wasi/wasm32 and wasi/wasm.
ARCHITECTURES = _GO_ARCHITECTURES | {"wasm32"}
SYSTEMS = _GO_SYSTEMS | {"wasi"}
# The most common come first: of two words that are equally near, the first is suggested.
_COMMON = ("amd64", "arm64", "arm", "386", "ppc64le", "s390x", "riscv64", "loong64", "linux")
# arm's v5 to v9 and amd64's v1 to v4 as OCI and containerd write them, and Go's words for others.
_VARIANT = re.compile(
    r"v?[1-9](\.[0-9])?|rva[0-9]{2}[us]64|power[0-9]{1,2}|softfloat|hardfloat|sse2|satconv|signext"
)
_TYPO = 0.7
_EVERYTHING = frozenset({"all", "*"})


def _normalized(word: str) -> str:
    return Platform(architecture=word).normalized.architecture


_ARMV7, _ARMV6 = "arm with --variant v7", "arm with --variant v6"
_MEANT_ARCHITECTURE = {
    **{alias: _normalized(alias) for alias in ("x86_64", "aarch64", "armhf", "i386")},
    **dict.fromkeys(("i486", "i586", "i686", "x86", "x86_32", "x86-32", "ia32"), "386"),
    **dict.fromkeys(("x64", "x86_64_v1", "intel", "intel64", "amd", "em64t"), "amd64"),
    **dict.fromkeys(("arm64v8", "armv8", "armv8l", "aarch64_be", "arm64e"), "arm64"),
    **dict.fromkeys(("armv7", "armv7l", "armv7hl", "armv7a", "arm32v7", "arm7", "armhfp"), _ARMV7),
    **dict.fromkeys(("armv6", "armv6l", "arm32v6", "arm6"), _ARMV6),
    **dict.fromkeys(("armv5", "armv5l", "arm32v5", "arm5"), "arm with --variant v5"),
    **dict.fromkeys(("arm32", "aarch32"), "arm"),
    **dict.fromkeys(("ppc64el", "powerpc64le", "power"), "ppc64le"),
    **dict.fromkeys(("loongarch64", "loong"), "loong64"),
    "powerpc": "ppc",
    "powerpc64": "ppc64",
    "mipsel": "mipsle",
    "mips64el": "mips64le",
    "rv64": "riscv64",
    "rv64gc": "riscv64",
    "wasm64": "wasm",
}
_MEANT_SYSTEM = {
    **dict.fromkeys(("macos", "macosx", "osx", "mac"), "darwin"),
    **dict.fromkeys(("win", "win32", "win64", "nt"), "windows"),
    **dict.fromkeys(("gnu", "ubuntu", "debian", "alpine", "gnu/linux"), "linux"),
    "sunos": "solaris",
    "zosmf": "zos",
    "wasip2": "wasip1",
}


@dataclass(frozen=True, slots=True)
class Named:
    """The words that an option holds, and its name."""

    option: str
    words: Iterable[str]

    @property
    def chosen(self) -> list[str]:
        """Return the words but those that stand for everything."""
        return [word for word in self.words if word and word not in _EVERYTHING]

    def shown(self, given: Collection[str]) -> str:
        """Return the option, or its variable where it is not one of the keys `given`."""
        key = self.option.replace("-", "_")
        return f"--{self.option}" if key in given else f"{VARIABLE_PREFIX}{key.upper()}"


def refuse_unknown(
    architectures: Named, systems: Named, variants: Named, *, given: Collection[str]
) -> None:
    """Raise InvalidPlatform for a word that no image has.

    `given` are the keys of the options on the command line; others come from variables.
    """
    for word in architectures.chosen:
        if _normalized(word) not in ARCHITECTURES:
            problem = f'{architectures.shown(given)}: unknown architecture "{word}"'
            raise _unknown(problem, _architecture_meant(word))
    for word in systems.chosen:
        if word not in SYSTEMS:
            problem = f'{systems.shown(given)}: unknown operating system "{word}"'
            raise _unknown(problem, _system_meant(word))
    for word in variants.chosen:
        if not _VARIANT.fullmatch(word):
            problem = f'{variants.shown(given)}: unknown variant "{word}"'
            raise _unknown(problem, _variant_meant(word))


def _unknown(problem: str, meant: str) -> InvalidPlatform:
    question = f": did you mean {meant}?" if meant else ""
    return InvalidPlatform(f"{problem}{question} (--allow-unknown-platform accepts it)")


def _architecture_meant(word: str) -> str:
    if word in SYSTEMS:
        return f"--os {word}"
    if word[:1] == "v" and word[1:].isdigit():
        return f"--variant {word}"
    return _MEANT_ARCHITECTURE.get(word) or _nearest(word, ARCHITECTURES, _MEANT_ARCHITECTURE)


def _variant_meant(word: str) -> str:
    number = re.search(r"v?([1-9])[a-z]*$", word)
    return f"v{number[1]}" if number else ""


def _system_meant(word: str) -> str:
    if _normalized(word) in ARCHITECTURES:
        return f"--arch {word}"
    return _MEANT_SYSTEM.get(word) or _nearest(word, SYSTEMS, _MEANT_SYSTEM)


def _nearest(word: str, known: frozenset[str], others: Mapping[str, str]) -> str:
    """Return the known word that is like `word`, else what one of the `others` means, else none."""
    common = [one for one in _COMMON if one in known]
    begun = [one for one in (*common, *sorted(known)) if len(word) > 2 and one.startswith(word)]
    if begun:
        return begun[0]
    if (found := _most_alike(word, [*common, *sorted(known)])) is not None:
        return found
    return others.get(_most_alike(word, [*others]) or "", "")


def _most_alike(word: str, choices: Sequence[str]) -> str | None:
    """Return the choice that is most like `word`, of equals the first; None where none is."""
    likeness = {one: SequenceMatcher(None, word, one).ratio() for one in choices}
    best = max(likeness, key=likeness.__getitem__)
    return best if likeness[best] >= _TYPO else None
