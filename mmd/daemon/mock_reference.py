"""The reference page of the mock exchange, made from its table of operations, its streams and its settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from mmd.mock.engine_filters import (
    MARKET_LOT_DIVISOR,
    MAX_NUM_ORDER_AMENDS,
    MAX_NUM_ORDERS,
    PERCENT_PRICE_FACTOR,
)
from mmd.mock.futures.operation_tables import FUTURES_OPERATIONS
from mmd.mock.server.arguments import RATE_LIMIT_PRESETS
from mmd.mock.server.config import RateLimits
from mmd.mock.server.listen_key_operations import LISTEN_KEY_OPERATIONS
from mmd.mock.server.operation_tables import OPERATIONS
from mmd.mock.server.operations import API_PREFIX, Operation
from mmd.mock.server.stream_names import MARKET_STREAMS, SYMBOL_STREAMS
from mmd.mock.server.websocket_api import SESSION_METHODS, SESSION_WEIGHT

Table = Callable[[Sequence[str], Iterable[Sequence[str]]], str]


def mock_exchange_page(table: Table) -> str:
    """Everything that can be asked of the mock exchange. `table` writes one in Markdown."""
    operations = table(_OPERATION_HEADINGS, [_row(operation) for operation in OPERATIONS])
    listen_keys = table(_OPERATION_HEADINGS, [_row(operation) for operation in LISTEN_KEY_OPERATIONS])
    futures = table(_OPERATION_HEADINGS, [_row(operation) for operation in FUTURES_OPERATIONS])
    session = table(("method", "what"), [(f"`{name}`", text) for name, text in SESSION_METHODS.items()])
    streams = table(
        ("stream", "what"),
        [(f"`<symbol>@{kind}`", text) for kind, text in SYMBOL_STREAMS.items()]
        + [(f"`{name}`", text) for name, text in MARKET_STREAMS.items()],
    )
    presets = table(
        ("limit", "meaning", *RATE_LIMIT_PRESETS),
        [
            (f"`{name}`", field.description or "", *(_number(getattr(preset, name)) for preset in RATE_LIMIT_PRESETS.values()))
            for name, field in RateLimits.model_fields.items()
        ],
    )
    filters = table(("filter", "what it asks of an order here"), FILTERS)
    sections = (
        ("Operations", _OPERATIONS, operations),
        ("Listen keys", "Only with `--legacy-listen-keys`.", listen_keys),
        ("Methods of a WebSocket API connection", _SESSION, session),
        ("Streams", _STREAMS, streams),
        ("Filters", "In the order in which `exchangeInfo` lists them.", filters),
        ("USD-M futures", _FUTURES, futures),
        ("Limits", "`--rate-limits` takes a preset, single limits as `NAME=NUMBER`, or both.", presets),
    )
    parts = [f"## {heading}\n\n{text}\n\n{rows}" for heading, text, rows in sections]
    return "\n".join([f"# Mock exchange\n\n{_OPENING}\n", *parts, f"## Admin endpoints\n\n{_ADMIN}\n"])


_OPERATION_HEADINGS = ("REST", "WebSocket API", "what", "needs", "weight", "parameters")
_OPENING = (
    "`mmd mock` speaks Binance Spot's REST API (`/api/v3`), market streams (`/ws`, `/stream`) and WebSocket API (`/ws-api/v3`) on "
    "one port. How to run it: [how-to](../how-to/mock-exchange.md)."
)
_OPERATIONS = (
    "Weights count against the address. `signed` needs `timestamp` and `signature`, and may bring `recvWindow`; `key` needs the "
    "API key alone."
)
_SESSION = (
    f"Each weighs {SESSION_WEIGHT}, as does opening the connection. Every method, these and those above, may carry a `v3/` prefix; "
    "parameters that are not known are ignored here, where REST refuses them (-1104)."
)
_FUTURES = (
    "Only with `--futures`. Streams lie below `/fstream` (also as `/fstream/public`, `/fstream/market`): those of the table above "
    "with the fields that futures add, `pu` among them, and `<symbol>@markPrice`. User data: `/fstream/private/ws/KEY`. "
    "WebSocket API: `/ws-fapi/v1`. Positions are one-way, margin is cross, the mark is the mid of the book, nobody is liquidated, "
    "and the state is not kept on disk. How to trade there: [how-to](../how-to/usd-m-futures.md)."
)
_STREAMS = (
    "Paths: `/ws`, `/ws/<stream>`, `/ws/<number>`, `/stream`, `/stream?streams=a/b`. Requests: `SUBSCRIBE`, `UNSUBSCRIBE`, "
    "`LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`. `timeUnit=MICROSECOND` in the URL (REST: the header `X-MBX-TIME-UNIT`) "
    "gives times in microseconds."
)
_ADMIN = (
    "Open to loopback alone, or to whoever sends the admin token. `/mock/faults` switches [faults](faults.md); `POST "
    '/mock/transfers` with `{"account": …, "asset": …, "amount": …}` deposits, or with an amount below zero withdraws: the account '
    "hears of it as `balanceUpdate`."
)
FILTERS = (
    ("`PRICE_FILTER`", "price on the tick grid, between least and greatest"),
    ("`LOT_SIZE`", "quantity on the lot grid, between least and greatest"),
    ("`MARKET_LOT_SIZE`", f"a market order is at most 1/{MARKET_LOT_DIVISOR} of the largest order"),
    ("`NOTIONAL`", "least value of any order (a market order's at the last price), greatest value of a limit order"),
    ("`PERCENT_PRICE_BY_SIDE`", f"a limit price is within a factor of {PERCENT_PRICE_FACTOR} of the last price"),
    ("`ICEBERG_PARTS`", "nothing: iceberg orders are refused (-1106)"),
    ("`TRAILING_DELTA`", "nothing: trailing orders are refused (-1106)"),
    ("`MAX_NUM_ORDERS`", f"at most {MAX_NUM_ORDERS} open orders of an account on a symbol"),
    ("`MAX_NUM_ALGO_ORDERS`", "nothing: order types other than LIMIT, LIMIT_MAKER and MARKET are refused (-1116)"),
    ("`MAX_NUM_ORDER_LISTS`", "nothing: there are no order lists"),
    ("`MAX_NUM_ORDER_AMENDS`", f"at most {MAX_NUM_ORDER_AMENDS} amends of an order (-2038)"),
)


def _row(operation: Operation) -> tuple[str, ...]:
    rest = ""
    if operation.rest is not None:
        method, path = operation.rest
        rest = f"`{method} {path if path.startswith('/') else API_PREFIX + path}`"
    return (
        rest,
        f"`{operation.websocket}`" if operation.websocket else "",
        operation.summary,
        "" if operation.security.value == "none" else operation.security.value,
        operation.weight_text,
        ", ".join(f"`{name}`" for name in sorted(operation.parameters)),
    )


def _number(value: int) -> str:
    return "unlimited" if value >= 1_000_000_000 else str(value)
