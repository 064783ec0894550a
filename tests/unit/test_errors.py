"""A hint of an error's own, and kinds that callers catch by what they are."""

from __future__ import annotations

import errno

import pytest

from image_tools.errors import (
    AccessDenied,
    CertificateExpired,
    ConnectionRefused,
    CopyFailed,
    DiskFull,
    EnvironmentProblem,
    ImageToolsError,
    NameUnknown,
    NotFound,
    ProxyRefused,
    QuotaExceeded,
    ReadOnly,
    RepositoryMissing,
    TagImmutable,
    TlsProblem,
    TypeRefused,
    Unavailable,
    refused_by_system,
)


def test_own_advice_is_that_of_the_error_and_not_of_its_class() -> None:
    assert (Unavailable("x").own_advice, Unavailable("x").advice) == ("", "try again later")
    assert Unavailable("x", advice="look there").own_advice == "look there"


@pytest.mark.parametrize(
    ("kind", "word", "caught_as", "temporary"),
    [
        (QuotaExceeded, "quota-exceeded", CopyFailed, False),
        (ReadOnly, "read-only", CopyFailed, False),
        (TypeRefused, "type-refused", CopyFailed, False),
        (TagImmutable, "tag-immutable", AccessDenied, False),
        (RepositoryMissing, "repository-missing", NotFound, False),
        (CertificateExpired, "certificate-expired", TlsProblem, False),
        (ProxyRefused, "proxy-refused", Unavailable, False),
        (ConnectionRefused, "connection-refused", Unavailable, True),
        (NameUnknown, "name-unknown", Unavailable, True),
    ],
)
def test_kind_of_a_refusal_has_its_word_and_is_caught_as_before(
    kind: type[CopyFailed], word: str, caught_as: type[CopyFailed], temporary: bool
) -> None:
    error = kind("x")

    assert (error.kind, error.temporary, isinstance(error, caught_as)) == (word, temporary, True)
    # A full disk ends the whole run of a save: a quota at some registry must not.
    assert not isinstance(error, DiskFull)


def test_copied_error_differs_in_what_is_given() -> None:
    error = TagImmutable("x", status=409, advice="look there")
    error.answered = True
    own = error.copied("y", advice="look here")

    assert (type(own), str(own), own.message, own.advice) == (TagImmutable, "y", "y", "look here")
    assert (own.status, own.answered, own.closes) == (409, True, "tags")
    assert (str(error), error.advice) == ("x", "look there")
    assert (str(error.copied()), error.copied().advice) == ("x", "look there")


@pytest.mark.parametrize(
    ("number", "file", "kind", "said"),
    [
        (errno.ENOSPC, "/a", DiskFull, "it: /a: said the system"),
        (errno.EDQUOT, None, DiskFull, "it: said the system"),
        (errno.EACCES, "/a", EnvironmentProblem, "it: /a: said the system"),
        (errno.EROFS, None, EnvironmentProblem, "it: said the system"),
    ],
)
def test_refused_by_system_is_a_full_disk_or_a_problem_of_this_machine(
    number: int, file: str | None, kind: type[ImageToolsError], said: str
) -> None:
    found = refused_by_system(OSError(number, "said the system", file), "it", advice="do")

    assert (type(found), str(found)) == (kind, said)
    assert found.advice == ("do" if kind is EnvironmentProblem else DiskFull.advice)
