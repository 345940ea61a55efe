"""Signatures of requests. The HMAC key is mixed in once; each request continues from a copy of that state."""

from __future__ import annotations

import base64
import hashlib
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mmd.exchanges.adapter import CredentialsError
from mmd.exchanges.settings import ExchangeSettings

_BLOCK_BYTES = 64


class SigningKeyError(CredentialsError):
    """A key that cannot sign: absent, or not of the kind the setting asks for. The text never shows the key."""


class Signer(Protocol):
    """Signs the text of a request's parameters."""

    def sign(self, payload: bytes) -> str:
        """The signature as the venue wants it written."""


class NoSigner:
    """Of an adapter for market data only: whatever asks it to sign is a mistake."""

    def sign(self, payload: bytes) -> str:
        """Raises `SigningKeyError`."""
        raise SigningKeyError("nothing is signed here: this adapter was made for market data only")


class HmacSigner:
    """HMAC-SHA256, hexadecimal (RFC 2104), from the key's two hash states: copying those costs less than copying `hmac`'s."""

    def __init__(self, secret: str) -> None:
        if not secret:
            raise SigningKeyError("no key to sign with: set api_secret, or ed25519_private_key for an Ed25519 key")
        key = secret.encode()
        if len(key) > _BLOCK_BYTES:
            key = hashlib.sha256(key).digest()
        key = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key))

    def sign(self, payload: bytes) -> str:
        """64 hexadecimal digits."""
        inner = self._inner.copy()
        inner.update(payload)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest()


class Ed25519Signer:
    """Ed25519, base64."""

    def __init__(self, private_key_pem: str) -> None:
        try:
            key = load_pem_private_key(private_key_pem.encode(), password=None)
        except (ValueError, TypeError) as error:
            raise SigningKeyError(
                "ed25519_private_key is no unencrypted PEM private key (make one with `openssl genpkey -algorithm ed25519`)"
            ) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise SigningKeyError(f"ed25519_private_key holds a key of another kind ({type(key).__name__}): it must be Ed25519")
        self._key = key

    def sign(self, payload: bytes) -> str:
        """88 characters of base64."""
        return base64.b64encode(self._key.sign(payload)).decode()


def signer_of(settings: ExchangeSettings) -> Signer:
    """The signer that the settings hold keys for. Raises `SigningKeyError`."""
    if settings.ed25519_private_key is not None:
        return Ed25519Signer(settings.ed25519_private_key.get_secret_value())
    return HmacSigner(settings.api_secret.get_secret_value())
