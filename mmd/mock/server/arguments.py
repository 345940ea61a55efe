"""The short texts in which the command line writes settings of the mock exchange. A wrong one is told in a `ValueError`."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from mmd.mock.server.config import RateLimits

_BASIS_POINT = Decimal("0.0001")
_UNLIMITED = 1_000_000_000
RATE_LIMIT_PRESETS: dict[str, RateLimits] = {
    "default": RateLimits(),
    "strict": RateLimits(
        weight_per_minute=1_200,
        orders_per_10_seconds=50,
        orders_per_day=160_000,
        requests_per_5_minutes=6_100,
        refusals_before_ban=5,
        connections_per_5_minutes=60,
    ),
    "off": RateLimits(
        weight_per_minute=_UNLIMITED,
        orders_per_10_seconds=_UNLIMITED,
        orders_per_day=_UNLIMITED,
        requests_per_5_minutes=_UNLIMITED,
        refusals_before_ban=_UNLIMITED,
        connections_per_5_minutes=_UNLIMITED,
        stream_messages_per_second=_UNLIMITED,
    ),
}


def rate_limits(text: str) -> RateLimits:
    """A preset's name, single limits, or both: `strict`, `weight_per_minute=100`, `strict,orders_per_day=1000`."""
    chosen = RATE_LIMIT_PRESETS["default"]
    changes: dict[str, int] = {}
    for part in (each.strip() for each in text.split(",") if each.strip()):
        name, separator, value = part.partition("=")
        if not separator and name in RATE_LIMIT_PRESETS:
            chosen = RATE_LIMIT_PRESETS[name]
        elif separator and name in RateLimits.model_fields and value.isdigit():
            changes[name] = int(value)
        else:
            raise ValueError(
                f"rate limits {part!r}: expected {', '.join(RATE_LIMIT_PRESETS)}, or NAME=NUMBER with a name of "
                f"{', '.join(RateLimits.model_fields)}"
            )
    return RateLimits.model_validate(chosen.model_dump() | changes)


def fees(text: str) -> tuple[Decimal, Decimal]:
    """Maker's and taker's fee as `MAKER,TAKER`: fractions, or basis points with `bps` behind; below zero a rebate."""
    maker, separator, taker = text.partition(",")
    if not separator:
        raise ValueError(f"fees {text!r}: expected MAKER,TAKER as 0.0002,0.0005 or -0.5bps,5bps")
    return _fee(maker), _fee(taker)


def public_key(text: str, kind: str) -> tuple[str, str]:
    """Name and PEM of `KEY:PEM`, where PEM is a file or the text itself. `kind` is Ed25519 or RSA."""
    name, separator, rest = text.partition(":")
    if not separator or not name or not rest:
        raise ValueError(f"{kind} key {name!r}: expected KEY:FILE with a public key in PEM, or KEY:TEXT of one")
    pem = rest if "-----BEGIN" in rest else _read(rest, kind)
    expected = {"Ed25519": Ed25519PublicKey, "RSA": RSAPublicKey}[kind]
    try:
        loaded = serialization.load_pem_public_key(pem.encode())
    except ValueError as error:
        raise ValueError(f"{kind} key {name!r}: what was given is no public key in PEM ({error})") from error
    if not isinstance(loaded, expected):
        raise ValueError(f"{kind} key {name!r}: what was given is another kind of public key ({type(loaded).__name__})")
    return name, pem


def pairs(texts: Iterable[str], what: str, separator: str) -> dict[str, str]:
    """`LEFT<separator>RIGHT` texts as a dictionary."""
    found: dict[str, str] = {}
    for text in texts:
        left, between, right = text.partition(separator)
        if not between or not left.strip() or not right.strip():
            raise ValueError(f"{what} {text!r}: expected NAME{separator}VALUE")
        found[left.strip()] = right.strip()
    return found


def _fee(text: str) -> Decimal:
    number = text.strip()
    unit = _BASIS_POINT if number.endswith("bps") else Decimal(1)
    try:
        return Decimal(number.removesuffix("bps").strip()) * unit
    except InvalidOperation as error:
        raise ValueError(f"fee {text!r} is no number: expected a fraction as 0.0005, or basis points as 5bps") from error


def _read(path: str, kind: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{kind} key file {path!r} cannot be read: {error}") from error
