"""The end of a certificate, read from its bytes."""

from __future__ import annotations

import datetime
import ssl

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from image_tools.web.expiry import not_after

MOMENTS = (
    datetime.datetime(2024, 5, 1, 12, 30, 15, tzinfo=datetime.timezone.utc),
    # From 2050 on the time is written in another form (RFC 5280 section 4.1.2.5.2).
    datetime.datetime(2061, 12, 31, 23, 59, 59, tzinfo=datetime.timezone.utc),
)


def certificate(ends: datetime.datetime) -> bytes:
    begins = datetime.datetime(2001, 1, 1, tzinfo=datetime.timezone.utc)
    issued = trustme.CA().issue_cert("r.example", not_before=begins, not_after=ends)
    return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())


@pytest.mark.parametrize("ends", MOMENTS, ids=str)
def test_not_after_of_a_certificate_is_its_end(ends: datetime.datetime) -> None:
    assert not_after(certificate(ends)) == ends


@given(st.binary(max_size=200) | st.integers(0, 400).map(lambda n: certificate(MOMENTS[0])[:n]))
def test_not_after_of_other_bytes_is_refused(der: bytes) -> None:
    with pytest.raises((ValueError, IndexError)):
        not_after(der)
