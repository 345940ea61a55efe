"""Operations that need no key: time, exchange information, the book."""

from __future__ import annotations

import msgspec

from mmd.mock.server import errors
from mmd.mock.server.exchange_info import ExchangeInfo, exchange_info
from mmd.mock.server.market_events import DepthReply
from mmd.mock.server.operations import Caller, Operation, names
from mmd.mock.server.parameters import Parameters
from mmd.mock.server.venue import Venue

_MAX_DEPTH = 5000


class ServerTime(msgspec.Struct, frozen=True):
    """`time`."""

    serverTime: int


def _ping(venue: Venue, caller: Caller, parameters: Parameters) -> dict[str, object]:
    return {}


def _time(venue: Venue, caller: Caller, parameters: Parameters) -> ServerTime:
    return ServerTime(venue.server_ms())


def _exchange_info(venue: Venue, caller: Caller, parameters: Parameters) -> ExchangeInfo:
    status = parameters.optional("symbolStatus")
    if status not in (None, "TRADING", "HALT", "BREAK"):
        raise errors.bad_symbol_status()
    if status and ("symbol" in parameters or "symbols" in parameters):
        raise errors.bad_combination()
    symbols = venue.chosen_symbols(parameters)
    return exchange_info(venue, symbols if status in (None, "TRADING") and _permitted(parameters) else [])


def _permitted(parameters: Parameters) -> bool:
    """Whether `permissions` (a name, or a JSON array of names) leaves any symbol: all of them are for SPOT."""
    text = parameters.optional("permissions")
    return text is None or "SPOT" in text.strip('[]" ').replace('"', "").split(",")


def _depth(venue: Venue, caller: Caller, parameters: Parameters) -> DepthReply:
    symbol = venue.symbol(parameters.symbol_text())
    update_id, bids, asks = venue.depth(symbol, parameters.limit(100, _MAX_DEPTH))
    return venue.texts[symbol].depth_reply(update_id, bids, asks)


def _depth_weight(parameters: Parameters) -> int:
    limit = parameters.limit(100, _MAX_DEPTH)
    for upper, weight in ((100, 5), (500, 25), (1000, 50)):
        if limit <= upper:
            return weight
    return 250


GENERAL_OPERATIONS = (
    Operation(handler=_ping, summary="nothing, to see whether it answers", rest=("GET", "ping"), websocket="ping"),
    Operation(handler=_time, summary="the server's time", rest=("GET", "time"), websocket="time"),
    Operation(
        handler=_exchange_info,
        summary="rate limits, and each symbol's filters",
        rest=("GET", "exchangeInfo"),
        websocket="exchangeInfo",
        parameters=names("symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus"),
        weight=20,
    ),
    Operation(
        handler=_depth,
        summary="the book, with the id of its last update",
        rest=("GET", "depth"),
        websocket="depth",
        parameters=names("symbol", "limit", "symbolStatus"),
        weight=_depth_weight,
        weight_note="5, 25, 50, 250 for up to 100, 500, 1000, 5000 levels",
    ),
)
