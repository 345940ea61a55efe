"""A fast run from its options to what it leaves: the same results as an exact one, by other means."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmd.backtest.account import FundingRecord
from mmd.backtest.errors import BacktestError
from mmd.backtest.fast import layout
from mmd.backtest.fast.layout import World
from mmd.backtest.fast.loop import run_records
from mmd.backtest.fast.market_pass import MarketPass
from mmd.backtest.fast.settings import Setup, world
from mmd.backtest.fast.world import addresses
from mmd.backtest.funding import NS_PER_MS
from mmd.backtest.matching import Matcher
from mmd.backtest.recorder import SymbolTrack
from mmd.execution.client_order_ids import base36
from mmd.quoting.quote import Quote, RawQuote
from mmd.risk.limits import RiskLimits
from mmd.risk.loss import LossBudget
from mmd.types.control import HaltRecord
from mmd.types.instrument import Instrument
from mmd.types.market import Side
from mmd.types.orders import Fill, FundingPaid

PIECE = 65_536
"""Market records between two reports of progress."""


@dataclass(frozen=True)
class FastRun:
    """What a fast session leaves."""

    track: SymbolTrack
    begin_ns: int
    end_ns: int
    sent: int
    placed: int
    refused: int
    events: int
    halt: HaltRecord | None
    seconds: float
    """CPU seconds, without compiling."""
    log: npt.NDArray[Any]
    """Every command about orders (`layout.LOG`), where that was asked for."""


def run_fast(setup: Setup, market: MarketPass, matcher: Matcher, on_progress: Callable[[int], None]) -> FastRun:
    """Raises `BacktestError` where the matcher fails."""
    w = world(setup, market)
    state = w.state
    state["matcher_ns"] = matcher.now_ns
    exchange = matcher.compiled_interface()
    records, done = market.records, 0
    # With nothing to do it only compiles, or finds what was compiled before.
    at = addresses(w)
    run_records(at.ctypes.data, exchange, 0)
    started = time.process_time()
    while state["record"][0] < len(records):
        stop = min(len(records), int(state["record"][0]) + PIECE)
        run_records(at.ctypes.data, exchange, stop)
        _check(w)
        on_progress(int(state["events_seen"][0]) - done)
        done = int(state["events_seen"][0])
        if state["record"][0] < stop:
            w = w._replace(fills=_longer(w.fills), log=_longer(w.log))
            at = addresses(w)
    return _results(setup, w, time.process_time() - started)


def _check(w: World) -> None:
    state = w.state[0]
    if state["error"]:
        raise BacktestError(f"{layout.ERRORS[int(state['error'])]} at {int(state['now_ns'])}")


def _longer(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.concatenate([array, np.zeros(max(len(array), 1), array.dtype)])


def _results(setup: Setup, w: World, seconds: float) -> FastRun:
    state, instrument = w.state[0], setup.instrument
    samples, fills = w.samples[: state["samples"]], w.fills[: state["fills"]]
    track = SymbolTrack(
        instrument,
        samples["time_ns"].tolist(),
        samples["mid_x2"].tolist(),
        (samples["position"] * instrument.lot_atoms).tolist(),
        samples["cash"].tolist(),
        samples["bid_ticks"].tolist(),
        samples["ask_ticks"].tolist(),
        samples["limit_lots"].tolist(),
        [_fill(setup, number, row) for number, row in enumerate(fills, 1)],
        fills["mid_x2"].tolist(),
        [_attribution(setup, row) for row in fills],
        [_funding(setup, row) for row in w.funding[: state["payments"]]],
    )
    return FastRun(
        track,
        int(state["begin_ns"]),
        int(state["end_ns"]),
        int(state["sent"]),
        int(state["placed"]),
        int(state["refused"]),
        int(state["events_seen"]),
        _halt(setup, w),
        seconds,
        w.log[: state["log"]],
    )


def client_order_id(setup: Setup, seq: int) -> str:
    """As `ClientOrderIds` makes them."""
    return f"{setup.config.client_order_id_prefix}-{setup.config.session}-{base36(seq)}"


def _fill(setup: Setup, number: int, row: Any) -> Fill:
    return Fill(
        int(row["receive_ns"]),
        setup.instrument.symbol,
        number,
        client_order_id(setup, int(row["seq"])),
        int(row["order"]),
        Side.BUY if row["side"] > 0 else Side.SELL,
        int(row["price_ticks"]),
        int(row["lots"]),
        int(row["fee"]),
        setup.instrument.quote_asset,
        True,
        int(row["exchange_ns"]),
    )


def _funding(setup: Setup, row: Any) -> FundingRecord:
    point, asset = setup.funding[int(row["point"])], setup.instrument.quote_asset
    at_ns = point.exchange_ns
    payment = FundingPaid(int(row["receive_ns"]), point.symbol, at_ns // NS_PER_MS, int(row["amount"]), asset, at_ns)
    return FundingRecord(payment, point, int(row["lots"]), int(row["mark_x2"]) / 2)


def _attribution(setup: Setup, row: Any) -> dict[str, float]:
    if not row["has_quote"]:
        return {}
    told = {name.removeprefix("quote_"): float(row[name]) for name in layout.FILL.names or () if name.startswith("quote_")}
    raw = RawQuote(
        told["micro"],
        told["head"],
        told["skew"],
        told["half_spread"],
        told["adverse_bid"],
        told["adverse_ask"],
        0,
        0,
        0.0,
        0,
        "",
        order_flow_shift=told["order_flow"],
        position_shift=told["position_head"],
        spread_shift=told["spread_head"],
    )
    bid, ask = int(row["quote_bid_ticks"]), int(row["quote_ask_ticks"])
    return Quote(setup.instrument.symbol, 0, bid, 0, ask, 0, told["fair"], told["mid"], raw).attribution.as_dict()


def _halt(setup: Setup, w: World) -> HaltRecord | None:
    state = w.state[0]
    if not state["halted"]:
        return None
    return HaltRecord(
        True,
        _halt_text(setup.config.risk, setup.instrument, state, setup),
        "core",
        int(state["halt_ns"]),
        int(state["halt_realised"]),
        int(state["halt_unrealised"]),
    )


def _halt_text(limits: RiskLimits, instrument: Instrument, state: Any, setup: Setup) -> str:
    code, value = int(state["halt"]), int(state["halt_value"])
    scope = "all symbols" if state["halt_scope"] == layout.EVERYTHING else instrument.symbol
    if code == layout.HALT_PAUSE:
        return f"pause of {scope} lasts {value / 1e9:.0f} s, max_pause_seconds is {limits.max_pause_seconds:g}"
    if code == layout.HALT_PAUSES:
        return f"{scope}: more than {limits.max_pauses_per_hour} pauses within an hour (max_pauses_per_hour)"
    if code == layout.HALT_FORGOTTEN:
        order = client_order_id(setup, value)
        return f"{instrument.symbol}: the venue has forgotten order {order}, which it had acknowledged"
    budget = LossBudget(limits)
    budget.loss_used_atoms = int(state["halt_loss_used"])
    budget.drawdown_atoms = int(state["halt_drawdown"])
    return budget.breach() or "a limit on losses"
