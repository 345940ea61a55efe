"""What the market alone decides, one pass over its events: the book and its features after each batch, kept on disk.

The events go through the live desk's own book, steps and features. Whoever quotes afterwards needs only what is written down here.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmd.backtest.calibration import Calibration
from mmd.backtest.conversion import ConvertedMarket, FeedTimes
from mmd.backtest.data import MarketSource
from mmd.backtest.fast.compiling import cache_home
from mmd.backtest.fast.kept import Arrays, Kept, cache_limit, file_hash
from mmd.backtest.fast.layout import BATCH_END, BEGINS, FEED_DOWN, FEED_UP, GOES_ON, MARKET, NONE, STEP, WARMS
from mmd.backtest.latency import Latency
from mmd.backtest.runner import Options, calibrated, convert_source
from mmd.market.feature_settings import FeatureSettings, schema_hash
from mmd.risk.limits import RiskLimits
from mmd.trader.desk import SymbolDesk
from mmd.trader.settings import TraderConfig
from mmd.types.instrument import Instrument
from mmd.types.market import DepthSnapshot, DepthUpdate, FeedState, FeedStatus, MarketTrade, TouchUpdate
from mmd.types.stages import NoTimer

ROOMS = (
    "types", "market", "recording", "data", "backtest", "exchanges/binance", "learning", "inference", "trader", "backtest/fast",
)  # fmt: skip
FEED_LAG_SETTINGS = ("feed_lag_window_seconds",)
FORMAT = 3
KEPT_IN_MEMORY = 3
"""Passes that a process keeps for its next run; each may have some hundred MB."""


@dataclass(frozen=True)
class MarketPass:
    """One symbol's market, worked out."""

    market: ConvertedMarket
    records: npt.NDArray[Any]
    steps: npt.NDArray[Any]
    rows: npt.NDArray[np.float32]
    """Feature rows [steps, features], in the order of `steps`."""
    repairs: dict[str, int]


@dataclass
class CacheUse:
    """What the cache did for a run."""

    seconds: float = 0.0
    """CPU seconds that working out took."""
    found: int = 0
    corrupt: int = 0


_memory: OrderedDict[str, MarketPass] = OrderedDict()
_memory_of_arrays: OrderedDict[str, Arrays] = OrderedDict()


def _remember(memory: OrderedDict[str, Any], key: str, found: Any) -> None:
    memory[key] = found
    memory.move_to_end(key)
    while len(memory) > KEPT_IN_MEMORY:
        memory.popitem(last=False)


def forget() -> None:
    """Drop what this process keeps in memory; what is on disk stays."""
    _memory.clear()
    _memory_of_arrays.clear()


class MarketColumns:
    """Passes by source, from the cache or made anew."""

    def __init__(self, options: Options, limits: RiskLimits) -> None:
        self._options = options
        self._limits = limits
        self.use = CacheUse()
        self._kept = Kept(cache_home() / "columns", cache_limit())
        self.passes: dict[str, MarketPass] = {}
        self._keys: dict[str, str] = {}

    def market(self, source: MarketSource, latency: Latency) -> ConvertedMarket:
        """The source's pass, and its market for the matcher. Raises what reading and converting raise."""
        key = self._keys[source.symbol] = self._key(source, latency)
        found = _memory.get(key)
        if found is not None:
            self.use.found += 1
        elif (kept := self._read(key)) is not None:
            found = _unpacked(*kept)
        if found is not None:
            source.repairs.update(found.repairs)
        else:
            started = time.process_time()
            recorder = PassRecorder(source.instrument, self._limits)
            market = convert_source(source, self._options, latency, recorder.passing)
            found = MarketPass(market, *recorder.columns(), dict(source.repairs))
            self._kept.write(key, *_packed(found))
            self.use.seconds += time.process_time() - started
        _remember(_memory, key, found)
        self.passes[source.symbol] = found
        return found.market

    def calibration(
        self, source: MarketSource, options: Options, until_ns: int, begin_ns: int, horizon_seconds: float
    ) -> Calibration:
        """A calibration, kept like the rest."""
        key = f"calibration {until_ns} {begin_ns} {horizon_seconds!r} of {self._keys[source.symbol]}"
        kept = self._read(key)
        if kept is not None:
            return Calibration(**kept[0])
        started = time.process_time()
        made = calibrated(source, options, until_ns, begin_ns, horizon_seconds)
        self._kept.write(key, asdict(made), {})
        self.use.seconds += time.process_time() - started
        return made

    def arrays(self, key: str, make: Callable[[], Arrays]) -> Arrays:
        """Any other arrays, by all that they depend on."""
        found = _memory_of_arrays.get(key)
        if found is not None:
            self.use.found += 1
        elif (kept := self._read(key)) is not None:
            found = kept[1]
        else:
            started = time.process_time()
            found = make()
            self._kept.write(key, {}, found)
            self.use.seconds += time.process_time() - started
        _remember(_memory_of_arrays, key, found)
        return found

    def _key(self, source: MarketSource, latency: Latency) -> str:
        """Everything that the pass depends on: data, period, latency of the feed, feature schema, and the code."""
        options = self._options
        parts = {
            "format": FORMAT,
            "symbol": source.symbol,
            "files": [file_hash(path) for path in source.files],
            "instrument": repr(source.instrument),
            "period": [options.begin_ns, options.end_ns],
            "fills": [options.modelled(source), repr(options.fill_model)],
            "feed": [latency.feed_ns, latency.floor_ns, source.window, source.stamped],
            "schema": schema_hash(FeatureSettings()),
            "limits": [str(getattr(self._limits, name)) for name in FEED_LAG_SETTINGS],
            "code": _code_hash(),
        }
        return json.dumps(parts, sort_keys=True)

    def _read(self, key: str) -> tuple[dict[str, Any], Arrays] | None:
        kept = self._kept.read(key)
        self.use.found += kept is not None
        self.use.corrupt = self._kept.corrupt
        return kept


class PassRecorder:
    """A desk that never quotes, and what it knows after each batch."""

    def __init__(self, instrument: Instrument, limits: RiskLimits) -> None:
        config = TraderConfig(session="pass", risk=limits)
        self._desk = SymbolDesk(config, instrument, NoTimer(), None, None)
        self._records: list[tuple[Any, ...]] = []
        self._steps: list[tuple[Any, ...]] = []
        self._rows: list[list[float]] = []
        self._first_step = 0
        self._interrupted = False
        self._handlers: dict[type, Callable[[Any], None]] = {
            TouchUpdate: self._desk.on_touch_update,
            DepthUpdate: self._desk.on_depth_update,
            MarketTrade: self._desk.on_trade,
            DepthSnapshot: self._desk.on_depth_snapshot,
        }

    def passing(self, events: Iterable[Any]) -> Iterator[Any]:
        """The events, each taken in on the way."""
        desk, handlers = self._desk, self._handlers
        now_ns = count = 0
        for event in events:
            receive_ns = event.receive_ns
            if receive_ns != now_ns:
                if count:
                    self._record(now_ns, BATCH_END, count)
                else:
                    desk.invalidate("the feed begins")
                    self._record(receive_ns, FEED_UP, 0)
                now_ns, count = receive_ns, 0
            count += 1
            if type(event) is FeedStatus:
                down = event.state is FeedState.DISCONNECTED
                desk.invalidate(f"feed {event.state.value} {event.detail}".strip())
                self._record(receive_ns, FEED_DOWN if down else FEED_UP, 0)
            else:
                before, dirty = desk.steps, desk.dirty
                desk.dirty = False
                handlers[type(event)](event)
                if desk.steps != before:
                    self._step(receive_ns)
                elif desk.dirty and not desk.book.valid:
                    self._interrupted = True
                desk.dirty = desk.dirty or dirty
            yield event
        if count:
            self._record(now_ns, BATCH_END, count)

    def columns(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.float32]]:
        """Records, steps and feature rows."""
        rows = np.array(self._rows, np.float32).reshape(len(self._rows), -1)
        return np.array(self._records, MARKET), np.array(self._steps, STEP), rows

    def _step(self, receive_ns: int) -> None:
        book, perception = self._desk.book, self._desk.perception
        features, said = perception.stream.features, perception.prediction
        before = BEGINS if features.steps == 1 else WARMS if said.refusal else GOES_ON
        touch = (book.bid_ticks, book.bid_lots, book.ask_ticks, book.ask_lots)
        self._steps.append((receive_ns, *touch, before, features.variance, self._interrupted))
        self._rows.append(features.values)
        # Without networks nobody else takes an interruption's word back.
        said.refusal, self._interrupted = "", False

    def _record(self, receive_ns: int, kind: int, events: int) -> None:
        desk, book = self._desk, self._desk.book
        lag_ns = desk.feed_lag.lag_ns
        features = desk.perception.stream.features
        steps = len(self._steps)
        self._records.append(
            (
                receive_ns,
                book.receive_ns,
                book.bid_ticks,
                book.bid_lots,
                book.ask_ticks,
                book.ask_lots,
                NONE if lag_ns is None else lag_ns,
                kind,
                events,
                self._first_step,
                steps - self._first_step,
                features.variance,
                desk.reach.ticks,
                book.valid,
                desk.dirty,
                features.warm,
                bool(desk.perception.prediction.refusal),
            )
        )
        self._first_step = steps
        desk.dirty = False


def _packed(made: MarketPass) -> tuple[dict[str, Any], Arrays]:
    market = made.market
    about = {
        "repairs": made.repairs,
        "times": asdict(market.times),
        "market": [market.begin_ns, market.end_ns, market.count, market.trades, market.gaps],
        "width": made.rows.shape[1],
    }
    arrays = {"events": market.events, "records": made.records, "steps": made.steps, "rows": made.rows.ravel()}
    if market.order_latency is not None:
        arrays["order_latency"] = market.order_latency
    return about, arrays


def _unpacked(about: dict[str, Any], arrays: Arrays) -> MarketPass:
    begin_ns, end_ns, count, trades, gaps = about["market"]
    market = ConvertedMarket(
        arrays["events"], FeedTimes(**about["times"]), arrays.get("order_latency"), begin_ns, end_ns, count, trades, gaps
    )
    rows = arrays["rows"].reshape(-1, about["width"]) if about["width"] else arrays["rows"].reshape(0, 0)
    return MarketPass(market, arrays["records"], arrays["steps"], rows, about["repairs"])


@cache
def _code_hash() -> str:
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for room in ROOMS:
        for path in sorted((root / room).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
