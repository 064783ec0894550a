"""Why TLS failed, and when a certificate ended."""

from __future__ import annotations

import datetime
import ssl

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from image_tools.web.tls_failures import not_after, speaks_no_tls, tls_cause


def refused(code: int, message: str = "said") -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, message
    return error


def failed(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] words")
    error.reason = reason
    return error


def behind(cause: BaseException) -> OSError:
    outer = OSError("outer")
    outer.__cause__ = cause
    return outer


@pytest.mark.parametrize(
    ("error", "cause", "no_tls"),
    [
        (OSError("x"), None, False),
        (refused(19), "is signed by an unknown authority (said)", False),
        (behind(refused(10)), "has expired", False),
        (refused(9), "is not valid yet", False),
        (refused(62), "is for another name (said)", False),
        (refused(1), "is not accepted (said)", False),
        (behind(failed("WRONG_VERSION_NUMBER")), "does not speak TLS, or speaks plain", True),
        (failed("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "wants a client certificate", False),
        (failed("TLSV1_ALERT_UNKNOWN_CA"), "does not accept our client certificate", False),
        (failed("NO_CIPHERS"), "TLS with r:1 failed: no ciphers", False),
        (behind(ConnectionResetError()), None, True),
    ],
)
def test_cause_of_a_failed_handshake_is_plain_words(
    error: BaseException, cause: str | None, no_tls: bool
) -> None:
    found = tls_cause(error, "r:1")

    assert (found is None) == (cause is None)
    assert (cause or "") in (found or "")
    assert speaks_no_tls(error) is no_tls


@pytest.mark.parametrize("reason", ["SSLV3_ALERT_BAD_CERTIFICATE", "TLSV1_ALERT_UNKNOWN_CA"])
@pytest.mark.parametrize(
    ("shown", "cause"), [(True, "does not accept our client"), (False, "wants a client certif")]
)
def test_cause_of_a_refused_client_certificate_depends_on_whether_one_was_shown(
    reason: str, shown: bool, cause: str
) -> None:
    assert cause in (tls_cause(failed(reason), "r:1", shown=shown) or "")


def test_chain_of_errors_that_leads_to_itself_ends() -> None:
    one, other = OSError("one"), OSError("other")
    one.__cause__, other.__context__ = other, one

    assert tls_cause(one, "r") is None


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
