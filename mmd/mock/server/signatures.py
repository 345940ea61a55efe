"""API keys: who signs, whether the signature fits the request as sent, and whether the request's clock is acceptable."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from mmd.mock.server import errors
from mmd.mock.server.config import MockConfig
from mmd.mock.server.parameters import Parameters

_DEFAULT_RECEIVE_WINDOW_MS = Decimal(5000)
_MAX_RECEIVE_WINDOW_MS = Decimal(60_000)
_AHEAD_MS = 1000
_MICROSECONDS_FROM = 100_000_000_000_000


class ApiKey:
    """One key: the account it opens and how its signatures are checked."""

    __slots__ = ("_public_key", "_secret", "account", "name")

    def __init__(self, name: str, account: str, *, secret: str | None = None, public_key_pem: str | None = None) -> None:
        self.name = name
        self.account = account
        self._secret = None if secret is None else hmac.new(secret.encode(), digestmod=hashlib.sha256)
        self._public_key = None if public_key_pem is None else _load_public_key(name, public_key_pem)

    @property
    def kind(self) -> str:
        """How the venue calls this kind of key."""
        return "HMAC_SHA256" if self._secret is not None else "ED25519" if self.is_ed25519 else "RSA"

    @property
    def is_ed25519(self) -> bool:
        """Only such keys may log a WebSocket API session on."""
        return isinstance(self._public_key, Ed25519PublicKey)

    def verify(self, payload: bytes, signature: str) -> None:
        """Raises -1022 unless `signature` is this key's over `payload`: hex HMAC-SHA256 (case does not matter), else base64."""
        if self._secret is not None:
            digest = self._secret.copy()
            digest.update(payload)
            if not hmac.compare_digest(digest.hexdigest().encode(), signature.lower().encode()):
                raise errors.bad_signature()
            return
        try:
            raw = base64.b64decode(signature, validate=True)
            if isinstance(self._public_key, Ed25519PublicKey):
                self._public_key.verify(raw, payload)
            elif isinstance(self._public_key, RSAPublicKey):
                self._public_key.verify(raw, payload, padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, binascii.Error, ValueError) as error:
            raise errors.bad_signature() from error


class KeyRing:
    """Every key the exchange knows."""

    def __init__(self, config: MockConfig) -> None:
        self._keys: dict[str, ApiKey] = {}
        for name, secret in config.accounts.items():
            self._keys[name] = ApiKey(name, config.account_of(name), secret=secret)
        for name, pem in config.public_keys.items():
            self._keys[name] = ApiKey(name, config.account_of(name), public_key_pem=pem)

    def find(self, name: str | None) -> ApiKey:
        """The key of that name. Raises -2014 where none was sent, -2015 where it is unknown."""
        if not name:
            raise errors.bad_key_format()
        key = self._keys.get(name)
        if key is None:
            raise errors.bad_key()
        return key


def check_clock(parameters: Parameters, server_ms: int) -> None:
    """Whether `timestamp` (ms or µs) and `recvWindow` (ms) fit the server's time. Raises -1102, -1100, -1131, -1021."""
    if not parameters.values.get("timestamp"):
        raise errors.missing_parameter("timestamp")
    timestamp = parameters.integer("timestamp")
    assert timestamp is not None
    window = _receive_window(parameters.optional("recvWindow"))
    timestamp_ms = Decimal(timestamp) / 1000 if timestamp >= _MICROSECONDS_FROM else Decimal(timestamp)
    if timestamp_ms >= server_ms + _AHEAD_MS:
        raise errors.timestamp_ahead()
    if server_ms - timestamp_ms > window:
        raise errors.timestamp_too_old()


def rest_payload(query: str, body: str) -> bytes:
    """What a REST request signs: query and body as sent, joined with nothing, without `signature`."""
    return (_without_signature(query) + _without_signature(body)).encode()


def websocket_payload(values: Mapping[str, str]) -> bytes:
    """What a WebSocket API request signs: every parameter but `signature`, sorted by name, joined raw."""
    return "&".join(f"{name}={values[name]}" for name in sorted(values) if name != "signature").encode()


def _without_signature(part: str) -> str:
    return "&".join(pair for pair in part.split("&") if not pair.startswith("signature="))


def _receive_window(text: str | None) -> Decimal:
    if text is None:
        return _DEFAULT_RECEIVE_WINDOW_MS
    try:
        window = Decimal(text)
    except InvalidOperation as error:
        raise errors.bad_value("recvWindow") from error
    if not window.is_finite() or window < 0:
        raise errors.bad_value("recvWindow")
    if window > _MAX_RECEIVE_WINDOW_MS:
        raise errors.receive_window_too_large()
    return window


def _load_public_key(name: str, pem: str) -> Ed25519PublicKey | RSAPublicKey:
    key = serialization.load_pem_public_key(pem.encode())
    if not isinstance(key, Ed25519PublicKey | RSAPublicKey):
        raise ValueError(f"public key of {name!r} is a {type(key).__name__}: give an Ed25519 or RSA public key in PEM")
    return key
