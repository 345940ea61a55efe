"""What a run leaves for its results: fills with the mids around them, and samples of mid, position, cash and standing quotes.

Money is in quote atoms and comes of the trader's own ledger; mids are those of the trader's own book, so of what was known then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mmd.backtest.account import FillRecord, FundingRecord
from mmd.backtest.venue import BacktestVenue
from mmd.trader import Trader
from mmd.types.instrument import Instrument
from mmd.types.orders import Fill

LEAST_SAMPLE_NS = 100_000_000
MOST_SAMPLES = 200_000


@dataclass
class SymbolTrack:
    """Columns by sample and by fill. Prices in ticks (mids doubled), position in base atoms, money in quote atoms."""

    instrument: Instrument
    times: list[int] = field(default_factory=list)
    mids_x2: list[int] = field(default_factory=list)
    """0 while the book is invalid."""
    positions: list[int] = field(default_factory=list)
    cash: list[int] = field(default_factory=list)
    """Realised profit minus cost and fees: the quote balance's change."""
    bids: list[int] = field(default_factory=list)
    asks: list[int] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)
    """Position limit at that moment, lots."""
    fills: list[Fill] = field(default_factory=list)
    fill_mids_x2: list[int] = field(default_factory=list)
    attributions: list[dict[str, float]] = field(default_factory=list)
    """Of the newest quote at the time of each fill."""
    funding: list[FundingRecord] = field(default_factory=list)


class Recorder:
    """Samples every `sample_ns`, and at each fill."""

    def __init__(self, instruments: Mapping[str, Instrument], sample_ns: int) -> None:
        self.tracks = {symbol: SymbolTrack(instrument) for symbol, instrument in instruments.items()}
        self.sample_ns = sample_ns
        self.begin_ns = self.end_ns = 0
        self._next_ns = 0
        self._last_mids_x2 = dict.fromkeys(instruments, 0)
        self._trader: Trader | None = None
        self._venue: BacktestVenue | None = None

    def watch(self, trader: Trader, venue: BacktestVenue) -> None:
        """Whom to look at."""
        self._trader, self._venue = trader, venue

    def begin(self, now_ns: int) -> None:
        """Trading begins."""
        self.begin_ns = self._next_ns = now_ns

    def on_time(self, now_ns: int) -> None:
        """Take a sample if one is due."""
        if self.begin_ns and now_ns >= self._next_ns and not self.end_ns:
            self._next_ns = now_ns - now_ns % self.sample_ns + self.sample_ns
            self._sample(now_ns)

    def on_fill(self, record: FillRecord) -> None:
        """A fill, before the trader hears of it."""
        assert self._trader is not None
        fill = record.fill
        track = self.tracks[fill.symbol]
        desk = self._trader.desks[fill.symbol]
        track.fills.append(fill)
        track.fill_mids_x2.append(self.mid_x2(fill.symbol))
        track.attributions.append(desk.quote.attribution.as_dict() if desk.quote is not None else {})

    def on_funding(self, record: FundingRecord) -> None:
        """A payment, before the trader hears of it."""
        self.tracks[record.payment.symbol].funding.append(record)

    def finish(self, now_ns: int) -> None:
        """The data has ended: what is held is worth the last mid."""
        if self.begin_ns:
            self._sample(now_ns)
            self.end_ns = now_ns

    def mid_x2(self, symbol: str) -> int:
        """The mid that the trader knows, or last knew, in half ticks; 0 before the first."""
        assert self._trader is not None
        book = self._trader.desks[symbol].book
        if book.valid:
            self._last_mids_x2[symbol] = book.bid_ticks + book.ask_ticks
        return self._last_mids_x2[symbol]

    def _sample(self, now_ns: int) -> None:
        assert self._trader is not None
        assert self._venue is not None
        for symbol, track in self.tracks.items():
            desk = self._trader.desks[symbol]
            bid, ask = self._venue.standing(symbol)
            track.times.append(now_ns)
            track.mids_x2.append(self.mid_x2(symbol))
            track.positions.append(desk.ledger.position_atoms)
            track.cash.append(desk.ledger.cash_atoms)
            track.bids.append(bid[0])
            track.asks.append(ask[0])
            track.limits.append(self._trader.safeguards.position_limit_lots(desk) if desk.book.valid else 0)
