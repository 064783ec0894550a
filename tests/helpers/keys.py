"""Elliptic keys as Docker's libtrust writes them: key identity, JWK, raw ES256 signatures."""

from __future__ import annotations

import base64
import hashlib

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

COORDINATE_BYTES = 32


def base64url(data: bytes) -> str:
    """Give base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def key_of(seed: int) -> ec.EllipticCurvePrivateKey:
    """Give the same P-256 key for the same seed."""
    secret = int.from_bytes(hashlib.sha256(f"lab key {seed}".encode()).digest(), "big")
    return ec.derive_private_key(secret >> 1 or 1, ec.SECP256R1())


def key_identity(key: ec.EllipticCurvePrivateKey) -> str:
    """Give libtrust's fingerprint: 240 bits of the public key's sha256, base32 in twelve groups."""
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    text = base64.b32encode(hashlib.sha256(public).digest()[:30]).decode()
    return ":".join(text[at : at + 4] for at in range(0, len(text), 4))


def public_jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    """Give the public key as a JSON web key with libtrust's key identity."""
    numbers = key.public_key().public_numbers()
    return {
        "crv": "P-256",
        "kid": key_identity(key),
        "kty": "EC",
        "x": base64url(numbers.x.to_bytes(COORDINATE_BYTES, "big")),
        "y": base64url(numbers.y.to_bytes(COORDINATE_BYTES, "big")),
    }


def sign_es256(key: ec.EllipticCurvePrivateKey, message: bytes) -> str:
    """Give the base64url of r and s, 32 bytes each (RFC 7518 section 3.4)."""
    r, s = decode_dss_signature(
        key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    )
    return base64url(r.to_bytes(COORDINATE_BYTES, "big") + s.to_bytes(COORDINATE_BYTES, "big"))
