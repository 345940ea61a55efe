"""A seeded session in virtual time with a journal, as the daemon keeps one: events, commands, requests as they would be written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from mmd.daemon.core_building import build_core, trader_config
from mmd.daemon.latency import StageClock
from mmd.daemon.session_journal import session_begin
from mmd.daemon.settings import Settings
from mmd.exchanges.binance.encode import RequestEncoder
from mmd.exchanges.binance.signing import HmacSigner
from mmd.inference.bundle import Bundle, load_bundle
from mmd.inference.runtime import load_runtime
from mmd.journal.codec import RecordEncoder
from mmd.journal.networks import JournaledPredictor
from mmd.journal.reader import SessionJournal
from mmd.journal.segments import SegmentFile, block
from mmd.journal.settings import JournalSettings
from mmd.journal.writer import JournalStatus, JournalWriter
from mmd.mock.engine import MatchingEngine
from mmd.mock.instruments import listed
from mmd.mock.simulation import SimulatedMarket, SimulationParameters
from mmd.mock.virtual_venue import VirtualVenue
from mmd.replay.verification import WRITTEN
from mmd.trader import Trader
from mmd.types.control import Shutdown
from mmd.types.instrument import atoms
from mmd.types.orders import ClockSync

SYMBOLS = ("BTCUSDT", "ETHUSDT")
START_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000
BUNDLE = Path(__file__).parents[2] / "models" / "quote-v2"
ROOMY = JournalSettings(min_free_bytes=0)
OFFSET_NS = 123_456_789
RECEIVE_WINDOW_MS = Settings().exchange.recv_window_ms


class JournaledTrader:
    """What a dispatcher and an adapter do for the journal, around a trader."""

    def __init__(self, trader: Trader, writer: JournalWriter) -> None:
        self._trader = trader
        self._writer = writer
        instruments = {symbol: desk.instrument for symbol, desk in trader.desks.items()}
        self._encoder = RequestEncoder(instruments, api_key="K", recv_window_ms=RECEIVE_WINDOW_MS, signer=HmacSigner("S"))
        self._requests = 0
        self.desks = trader.desks

    def on_event(self, event: Any) -> Sequence[Any]:
        if isinstance(event, ClockSync):
            event = msgspec.structs.replace(event, offset_ns=OFFSET_NS)
        self._writer.append(event)
        commands = self._trader.on_event(event)
        self._writer.extend(list(commands))
        for command in commands:
            if isinstance(command, WRITTEN):
                self._requests += 1
                # Every thirtieth is not written, as if the connection had been down.
                if self._requests % 30:
                    timestamp_ms = (command.decided_ns + OFFSET_NS) // 1_000_000
                    self._writer.append(self._encoder.encode(command, self._requests, timestamp_ms))
        return commands


def record_session(root: Path, seconds: float, *, strategy: str = "fixed", seed: int = 3, session: str = "s") -> JournalStatus:
    """A session into `root`/`session`."""
    settings = Settings.model_validate({"quoting": {"strategy": strategy}, "symbols": SYMBOLS})
    config = trader_config(settings, START_NS)
    engine = MatchingEngine(listed(SYMBOLS), maker_fee=Decimal("0.0001"))
    market = SimulatedMarket(engine, SimulationParameters(), seed=seed, start_ns=START_NS)
    engine.open_account("A", {"BTC": atoms("5"), "ETH": atoms("100"), "USDT": atoms("1000000")})
    writer = JournalWriter(root, session, ROOMY)
    bundle: Bundle | None = None
    predictors = {}
    if strategy == "neural":
        bundle = load_bundle(BUNDLE, feature_schema_hash=None)
        runtime = load_runtime("auto")
        predictors = {symbol: JournaledPredictor(bundle, runtime, symbol, lambda said: writer.append(said)) for symbol in SYMBOLS}
    trader = build_core(
        config,
        engine.instruments,
        checkpoint=None,
        halt=None,
        stages=StageClock(writer.append),
        bundle=bundle,
        predictors=predictors,
    )
    writer.begin(session_begin(settings, config, START_NS, engine.instruments, None, None, bundle, predictors))
    venue = VirtualVenue(engine, market, "A")
    venue.connect(JournaledTrader(trader, writer))  # type: ignore[arg-type]
    venue.run(START_NS + round(seconds * SECOND_NS))
    venue.deliver(Shutdown(venue.now_ns, "the session is over"))
    venue.run(venue.now_ns + SECOND_NS)
    return writer.close("over", venue.now_ns)


def rewrite(source: Path, root: Path, change: Callable[[int, Any], list[Any]], *, session: str = "changed") -> Path:
    """The same journal with other records: `change(number, record)` gives what takes each one's place, a list."""
    writer = JournalWriter(root, session, ROOMY)
    begin, *records = list(SessionJournal(source).records())[:-1]
    writer.begin(begin)
    for number, record in enumerate(records, start=1):
        for each in change(number, record):
            writer.append(each)
    writer.close("over", START_NS)
    return root / session


def write_without_end(folder: Path, records: Sequence[Any]) -> Path:
    """A journal of these records as a kill leaves it."""
    folder.mkdir()
    file = SegmentFile(folder, 0, folder.name, 0)
    file.write(block([RecordEncoder().encode(records)], len(records), 0, 1))
    file.close()
    return folder
