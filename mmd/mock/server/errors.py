"""What the mock exchange answers when it refuses: Binance's code, text and HTTP status in one exception.

Clients match on the texts, so each text stands here once and word for word.
"""

from __future__ import annotations

import msgspec


class ErrorBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """The JSON of a refusal."""

    code: int
    msg: str
    data: object = None


class WireError(Exception):
    """A request is refused. `status` is the HTTP status (the WebSocket API's `status` too), `data` what some refusals carry along.

    `retry_at_ms` (429 and 418 only) is the venue's time from which the client may come again.
    """

    def __init__(self, code: int, message: str, *, status: int = 400, data: object = None, retry_at_ms: int | None = None) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message
        self.status = status
        self.data = data
        self.retry_at_ms = retry_at_ms
        self.account = ""
        """Whose request it was, where that is known."""

    def body(self) -> ErrorBody:
        """The JSON-able form."""
        return ErrorBody(self.code, self.message, self.data)


_INTERVAL_WORDS = {"S": "SECOND", "M": "MINUTE", "H": "HOUR", "D": "DAY"}


def too_much_weight(limit: int, retry_at_ms: int) -> WireError:
    """429: the address has used up its weight of this minute."""
    message = (
        f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API."
    )
    return WireError(-1003, message, status=429, retry_at_ms=retry_at_ms)


def too_many_requests(limit: int, retry_at_ms: int) -> WireError:
    """429: the address has sent too many requests, whatever they weigh."""
    message = f"Too many requests; current limit is {limit} raw requests per 5 MINUTE."
    return WireError(-1003, message, status=429, retry_at_ms=retry_at_ms)


def too_many_connections(limit: int, retry_at_ms: int) -> WireError:
    """429: the address has opened too many websockets."""
    message = f"Too many connection attempts; current limit is {limit} connections per 5 MINUTE."
    return WireError(-1003, message, status=429, retry_at_ms=retry_at_ms)


def banned(until_ms: int) -> WireError:
    """418: the address kept asking after it was told to stop."""
    message = (
        f"Way too much request weight used; IP banned until {until_ms}. "
        "Please use WebSocket Streams for live updates to avoid bans."
    )
    return WireError(-1003, message, status=418, retry_at_ms=until_ms)


def too_many_orders(limit: int, interval_number: int, interval_letter: str, retry_at_ms: int) -> WireError:
    """429: the account's count of unfilled orders is at its limit."""
    message = f"Too many new orders; current limit is {limit} orders per {interval_number} {_INTERVAL_WORDS[interval_letter]}."
    return WireError(-1015, message, status=429, retry_at_ms=retry_at_ms)


def unsupported_operation() -> WireError:
    """The method or path is not served here."""
    return WireError(-1020, "This operation is not supported.")


def timestamp_too_old() -> WireError:
    """The request is older than its recvWindow."""
    return WireError(-1021, "Timestamp for this request is outside of the recvWindow.")


def timestamp_ahead() -> WireError:
    """The request comes from the future."""
    return WireError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")


def bad_signature() -> WireError:
    """The signature does not fit the parameters as sent."""
    return WireError(-1022, "Signature for this request is not valid.")


def illegal_characters(name: str, legal_range: str) -> WireError:
    """A parameter's text does not match what is legal for it."""
    return WireError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal_range}'.")


def too_many_parameters(expected: int, received: int) -> WireError:
    """An operation without parameters was sent some."""
    return WireError(-1101, f"Too many parameters; expected '{expected}' and received '{received}'.")


def duplicate_parameter() -> WireError:
    """A parameter came twice."""
    return WireError(-1101, "Duplicate values for a parameter detected.")


def missing_parameter(name: str) -> WireError:
    """A mandatory parameter is missing or malformed."""
    return WireError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def missing_either(first: str, second: str) -> WireError:
    """One of two parameters must be sent."""
    return WireError(-1102, f"Param '{first}' or '{second}' must be sent, but both were empty/null!")


def unread_parameters(read: int, sent: int) -> WireError:
    """The REST API refuses parameters it does not know."""
    return WireError(-1104, f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.")


def empty_parameter(name: str) -> WireError:
    """An optional parameter was sent without a value."""
    return WireError(-1105, f"Parameter '{name}' was empty.")


def unwanted_parameter(name: str) -> WireError:
    """A parameter does not go with this order type."""
    return WireError(-1106, f"Parameter '{name}' sent when not required.")


def too_much_precision(name: str) -> WireError:
    """More than eight decimals."""
    return WireError(-1111, f"Parameter '{name}' has too much precision.")


def unknown_listen_key() -> WireError:
    """The listen key is not the account's, or has run out."""
    return WireError(-1125, "This listenKey does not exist.")


def bad_combination() -> WireError:
    """Optional parameters that exclude each other."""
    return WireError(-1128, "Combination of optional parameters invalid.")


def bad_value(name: str) -> WireError:
    """A parameter's value is none of the known ones."""
    return WireError(-1130, f"Data sent for parameter '{name}' is not valid.")


def receive_window_too_large() -> WireError:
    """recvWindow above a minute."""
    return WireError(-1131, "recvWindow must be less than 60000.")


def bad_interval() -> WireError:
    """No such kline interval."""
    return WireError(-1120, "Invalid interval.")


def bad_ticker_type() -> WireError:
    """A ticker is FULL or MINI."""
    return WireError(-1139, "Invalid ticker type.")


def bad_time_unit() -> WireError:
    """A time unit is one of two."""
    return WireError(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")


def bad_symbol_status() -> WireError:
    """No such symbol status."""
    return WireError(-1122, "Invalid symbolStatus.")


def duplicate_symbols() -> WireError:
    """A symbol was named twice."""
    return WireError(-1151, "Symbol is present multiple times in the list.")


def bad_symbol() -> WireError:
    """No such symbol."""
    return WireError(-1121, "Invalid symbol.")


def filter_failure(name: str) -> WireError:
    """An order breaks one of the symbol's filters."""
    return WireError(-1013, f"Filter failure: {name}")


def bad_key_format() -> WireError:
    """No API key was sent, or something that cannot be one."""
    return WireError(-2014, "API-key format invalid.", status=401)


def bad_key() -> WireError:
    """The API key is unknown."""
    return WireError(-2015, "Invalid API-key, IP, or permissions for action.", status=401)
