"""What the examples of a document lead to: each is run as a user runs it, and looked at after."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from tests.helpers.example_lab import HERE, ExampleLab
from tests.helpers.running import Ran, image_tools
from tests.helpers.shell import Call, calls_of
from tests.helpers.typed import Typist


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What one command line of a document leads to.

    ``says`` are parts of its output; ``before`` sets the scene and ``then`` looks at the result.
    ``typed`` are prompts with their answers, for what is run at a terminal. A ``serve`` goes on
    while those behind it are run.
    """

    code: int = 0
    says: tuple[str, ...] = ()
    before: Callable[[ExampleLab], object] = lambda lab: None
    then: Callable[[ExampleLab], object] = lambda lab: None
    typed: tuple[tuple[str, str], ...] = ()


COPIED = f"copied  {HERE}/library/nginx:1.25"
MIRROR = Promise(says=(COPIED, "1 image: 1 copied"))


def keep(
    blocks: Sequence[str],
    promises: Sequence[Promise],
    lab: ExampleLab,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Run the shell blocks of a section, in order, and check what was promised of each call."""
    left = iter(promises)
    for block in blocks:
        for call in calls_of(block, lab.folder):
            promise = next(left, None)
            assert promise is not None, call.words
            promise.before(lab)
            ran = _made(call, promise, lab, monkeypatch)
            said = ran.stdout + ran.stderr
            told = f"image-tools {' '.join(call.words)}\n{said}"
            assert ran.code == promise.code, told
            assert [part for part in promise.says if part not in said] == [], told
            assert "-q" not in call.words or said == "", told
            promise.then(lab)
    assert list(left) == []


def _made(call: Call, promise: Promise, lab: ExampleLab, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """Give what a call says, in this process, at a terminal, or as a server that stays."""
    words = [word.replace("/etc/", "etc/").replace("/var/", "var/") for word in call.words]
    if words[0] == "serve":
        return Ran(code=0, stdout="", stderr=lab.serve(words[1:], call.environ))
    if promise.typed:
        with Typist(*words, environ=call.environ) as typist:
            for prompt, answer in promise.typed:
                typist.answer(prompt, answer)
            return Ran(code=typist.end(), stdout=typist.screen, stderr="")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(call.stdin)))
    return image_tools(*words, environ=call.environ)
