"""hftbacktest as a plain object: one exchange with queue positions, latencies and one clock, in ticks and lots.

Called through the library's own C interface, so that nothing is compiled at start. The exchange alone gets market data: the core
keeps its own book, and so the only thing that can happen at our end is an order's response, at which `advance` stops.

Two habits of hftbacktest 2.4.4's exchange with partial fills are met here. An order of which exactly the rest is filled stays in
its book, and the next trade at that price is an error: so orders are a quarter of a lot short, which no whole number of lots can
fill exactly, and what is left is rounded up. Its account books only the last of several fills: it is not used.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import ceil
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from hftbacktest import BacktestAsset, build_hashmap_backtest
from hftbacktest import binding as library

from mmd.backtest.errors import BacktestError
from mmd.types.market import Side

QueueModel = Literal["risk-averse", "probability"]
QUEUE_MODELS: tuple[QueueModel, ...] = ("risk-averse", "probability")
PROBABILITY_POWER = 3.0
"""hftbacktest's power model 3, n = 3: a decrease comes from before us with probability (front ÷ all)³."""

SHORT_OF_A_LOT = 0.25
_POST_ONLY, _LIMIT = 1, 0
_TIMEOUT, _ENDED, _RESPONSE = 0, 1, 3


class MatchStatus(IntEnum):
    """hftbacktest's word for an order."""

    NONE = 0
    NEW = 1
    EXPIRED = 2
    FILLED = 3
    CANCELED = 4
    PARTIALLY_FILLED = 5


class _OrderLayout(ctypes.Structure):
    _fields_ = (
        ("qty", ctypes.c_double),
        ("leaves_qty", ctypes.c_double),
        ("exec_qty", ctypes.c_double),
        ("exec_price_tick", ctypes.c_int64),
        ("price_tick", ctypes.c_int64),
        ("tick_size", ctypes.c_double),
        ("exch_timestamp", ctypes.c_int64),
        ("local_timestamp", ctypes.c_int64),
        ("order_id", ctypes.c_uint64),
        ("_q1", ctypes.c_uint64),
        ("_q2", ctypes.c_uint64),
        ("maker", ctypes.c_bool),
        ("order_type", ctypes.c_uint8),
        ("req", ctypes.c_uint8),
        ("status", ctypes.c_uint8),
        ("side", ctypes.c_int8),
        ("time_in_force", ctypes.c_uint8),
    )


@dataclass(frozen=True)
class OrderView:
    """An order as our end knows it at this moment."""

    status: MatchStatus
    remaining_lots: int
    asked_lots: int
    """What was asked for when it was placed, or last reduced."""
    exchange_ns: int
    busy: bool
    """Whether a request is under way: until its answer, what was asked for is not what the exchange has."""


@dataclass(frozen=True)
class OrderLatency:
    """Ways of orders, ns. `recorded` (rows of request, exchange and response time) rules where it is given."""

    entry_ns: int
    response_ns: int
    recorded: npt.NDArray[Any] | None = None


class Matcher:
    """One market a number, in the order of `markets`: each an array of hftbacktest's events in ticks and lots."""

    def __init__(self, markets: Sequence[npt.NDArray[Any]], latencies: Sequence[OrderLatency], queue: QueueModel) -> None:
        self._kept = (tuple(markets), tuple(latencies))
        self._pointer = build_hashmap_backtest(
            [_asset(market, latency, queue) for market, latency in zip(markets, latencies, strict=True)]
        )
        self.now_ns = min(int(market["exch_ts"][0]) for market in markets)
        if library.hashmapbt_elapse(self._pointer, 0) != _TIMEOUT:
            raise BacktestError("hftbacktest does not take the converted data")

    def advance(self, until_ns: int) -> bool:
        """Let the exchange go on. True at the next response of an order, which may be earlier than `until_ns`.

        Raises `BacktestError` where the data has ended or hftbacktest reports an error.
        """
        if until_ns <= self.now_ns:
            return False
        code = library.hashmapbt_wait_next_feed(self._pointer, True, until_ns - self.now_ns)
        if code not in (_TIMEOUT, _RESPONSE):
            what = "the data has ended" if code == _ENDED else f"hftbacktest reports error {code}"
            raise BacktestError(f"{what} at {self.now_ns}, on the way to {until_ns}")
        if code == _TIMEOUT:
            self.now_ns = until_ns
            return False
        self.now_ns = int(library.hashmapbt_current_timestamp(self._pointer))
        return True

    def place(self, market: int, number: int, side: Side, price_ticks: int, lots: int) -> None:
        """Send a post-only order; `number` is new. Raises `BacktestError`."""
        send = library.hashmapbt_submit_buy_order if side is Side.BUY else library.hashmapbt_submit_sell_order
        quantity = lots - SHORT_OF_A_LOT
        _check(send(self._pointer, market, number, float(price_ticks), quantity, _POST_ONLY, _LIMIT, False), "place", number)

    def cancel(self, market: int, number: int) -> None:
        """Send a cancel for an order without another request under way. Raises `BacktestError`."""
        _check(library.hashmapbt_cancel(self._pointer, market, number, False), "cancel", number)

    def reduce(self, market: int, number: int, price_ticks: int, remaining_lots: int) -> None:
        """Ask for fewer lots at the same price, keeping the place in the queue. Raises `BacktestError`."""
        quantity = remaining_lots - SHORT_OF_A_LOT
        _check(library.hashmapbt_modify(self._pointer, market, number, float(price_ticks), quantity, False), "reduce", number)

    def order(self, market: int, number: int) -> OrderView:
        """What has come to our end of an order. Raises `BacktestError` for one that was never placed, or is forgotten."""
        orders = library.hashmapbt_orders(self._pointer, market)
        address = library.orders_get(orders, number)
        if not address:
            raise BacktestError(f"hftbacktest does not know order {number}")
        seen = _OrderLayout.from_address(address)
        status = MatchStatus(seen.status)
        done = status is MatchStatus.FILLED
        return OrderView(
            status, 0 if done else ceil(seen.leaves_qty), ceil(seen.qty), seen.exch_timestamp, seen.req != MatchStatus.NONE
        )

    def forget_finished(self, market: int) -> None:
        """Drop orders that are no longer open from our end's list."""
        library.hashmapbt_clear_inactive_orders(self._pointer, market)

    def compiled_interface(self) -> Any:
        """hftbacktest's own object for code that numba compiles, of the same exchange. Not to be used after `close`."""
        return library.HashMapMarketDepthBacktest_(self._pointer)

    def close(self) -> None:
        """Give its memory back. Nothing may be called afterwards."""
        library.hashmapbt_close(self._pointer)


def _asset(market: npt.NDArray[Any], latency: OrderLatency, queue: QueueModel) -> Any:
    asset = BacktestAsset().data(market).linear_asset(1.0).tick_size(1.0).lot_size(1.0).partial_fill_exchange()
    # Fees are ours to book, exactly; the library's account is not used.
    asset = asset.trading_value_fee_model(0.0, 0.0)
    if latency.recorded is None:
        asset = asset.constant_order_latency(latency.entry_ns, latency.response_ns)
    else:
        asset = asset.intp_order_latency(np.ascontiguousarray(latency.recorded))
    return asset.risk_adverse_queue_model() if queue == "risk-averse" else asset.power_prob_queue_model3(PROBABILITY_POWER)


def _check(code: int, what: str, number: int) -> None:
    if code != 0:
        raise BacktestError(f"hftbacktest refuses to {what} order {number}: error {code}")
