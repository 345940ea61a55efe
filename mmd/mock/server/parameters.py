"""The parameters of one request, REST or WebSocket API, and their reading into typed values with Binance's refusals."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from urllib.parse import unquote_plus

import msgspec

from mmd.mock.server import errors
from mmd.types.decoding import UNREADABLE

_INTEGER = re.compile(r"[0-9]{1,20}")
_INTEGER_RANGE = "^[0-9]{1,20}$"
_DECIMAL = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
_DECIMAL_RANGE = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_CLIENT_ORDER_ID = re.compile(r"[a-zA-Z0-9\-_]{1,36}")
_CLIENT_ORDER_ID_RANGE = "^[a-zA-Z0-9-_]{1,36}$"
_SYMBOL = re.compile(r"[A-Z0-9\-_.]{1,20}")
_SYMBOL_RANGE = "^[A-Z0-9-_.]{1,20}$"
_MAX_DECIMALS = 8


class Parameters:
    """Name to text, as sent. Numbers of a JSON request keep the text they were written with."""

    __slots__ = ("values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def optional(self, name: str) -> str | None:
        """The text, or None where it was not sent. Raises -1105 where it was sent empty."""
        value = self.values.get(name)
        if value == "":
            raise errors.empty_parameter(name)
        return value

    def required(self, name: str) -> str:
        """The text. Raises -1102 where it is missing or empty."""
        value = self.values.get(name)
        if not value:
            raise errors.missing_parameter(name)
        return value

    def integer(self, name: str) -> int | None:
        """A whole number not below zero, or None. Raises -1100."""
        value = self.optional(name)
        if value is None:
            return None
        if not _INTEGER.fullmatch(value):
            raise errors.illegal_characters(name, _INTEGER_RANGE)
        return int(value)

    def limit(self, default: int, maximum: int) -> int:
        """The `limit` of a list, from 1 to `maximum`."""
        value = self.integer("limit")
        if value == 0:
            raise errors.bad_value("limit")
        return default if value is None else min(value, maximum)

    def decimal(self, name: str) -> Decimal | None:
        """An amount with up to eight decimals (trailing zeros do not count), or None. Raises -1100, -1111."""
        value = self.optional(name)
        if value is None:
            return None
        if not _DECIMAL.fullmatch(value):
            raise errors.illegal_characters(name, _DECIMAL_RANGE)
        if len(value.partition(".")[2].rstrip("0")) > _MAX_DECIMALS:
            raise errors.too_much_precision(name)
        return Decimal(value)

    def required_decimal(self, name: str) -> Decimal:
        """An amount. Raises -1102 where it is missing."""
        self.required(name)
        value = self.decimal(name)
        assert value is not None
        return value

    def client_order_id(self, name: str) -> str | None:
        """A client order id, or None. Raises -1100."""
        value = self.optional(name)
        if value is not None and not _CLIENT_ORDER_ID.fullmatch(value):
            raise errors.illegal_characters(name, _CLIENT_ORDER_ID_RANGE)
        return value

    def symbol_text(self, name: str = "symbol") -> str:
        """A symbol as text; whether it exists is for the venue to say. Raises -1102, -1100."""
        value = self.required(name)
        if not _SYMBOL.fullmatch(value):
            raise errors.illegal_characters(name, _SYMBOL_RANGE)
        return value

    def symbol_list(self, name: str = "symbols") -> list[str]:
        """A JSON array of symbols. Raises -1100."""
        legal_range = r'^\[("[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}){0,1}\]$'
        try:
            return msgspec.json.decode(self.required(name), type=list[str])
        except UNREADABLE as error:
            raise errors.illegal_characters(name, legal_range) from error

    def flag(self, name: str, default: bool) -> bool:
        """A Boolean. Raises -1130."""
        value = self.optional(name)
        if value is None:
            return default
        lowered = value.lower()
        if lowered not in ("true", "false"):
            raise errors.bad_value(name)
        return lowered == "true"

    def refuse_unknown(self, known: Iterable[str]) -> None:
        """What the REST API does with parameters an operation does not know. Raises -1101, -1104."""
        known_names = frozenset(known)
        read = sum(name in known_names for name in self.values)
        if read == len(self.values):
            return
        if not known_names:
            raise errors.too_many_parameters(0, len(self.values))
        raise errors.unread_parameters(read, len(self.values))


def parse_form(query: str, body: str) -> Parameters:
    """Parameters of a REST request, from raw query and form body; the query wins. Raises -1101 for one sent twice in one place."""
    values = _parse_part(body)
    values.update(_parse_part(query))
    return Parameters(values)


def parse_json_object(params: Mapping[str, msgspec.Raw]) -> Parameters:
    """Parameters of a WebSocket API request: strings unquoted, all else as its JSON text, null as good as absent."""
    values: dict[str, str] = {}
    for name, raw in params.items():
        text = bytes(raw).decode()
        if text.startswith('"'):
            values[name] = msgspec.json.decode(text, type=str)
        elif text != "null":
            values[name] = text
    return Parameters(values)


def _parse_part(part: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for pair in part.split("&"):
        if not pair:
            continue
        name, _, value = pair.partition("=")
        name = unquote_plus(name)
        if name in values:
            raise errors.duplicate_parameter()
        values[name] = unquote_plus(value)
    return values
