"""A hint of an error's own, and kinds that callers catch by what they are."""

from __future__ import annotations

import pytest

from image_tools.errors import (
    AccessDenied,
    CertificateExpired,
    ConnectionRefused,
    CopyFailed,
    DiskFull,
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
