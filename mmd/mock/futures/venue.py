"""The futures venue: marks, funding, the dead-man's switch and listen keys beside what every venue does."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from mmd.mock.engine import EngineEvent
from mmd.mock.faults import FaultBoard
from mmd.mock.futures.config import FuturesConfig
from mmd.mock.futures.engine import FundingSettled, FuturesEngine
from mmd.mock.futures.instruments import COLLATERAL
from mmd.mock.futures.texts import FuturesTexts, MarkPriceEvent
from mmd.mock.futures.user_data import FuturesUserData
from mmd.mock.server.config import MockConfig
from mmd.mock.server.market import MarketFactory
from mmd.mock.server.order_replies import NS_PER_MS
from mmd.mock.server.state_store import StateStore
from mmd.mock.server.venue import Venue
from mmd.types.instrument import Instrument, atoms_text
from mmd.types.market import Side

_NS_PER_SECOND = 1_000_000_000
_INCOME_KEPT = 10_000
_encode = msgspec.json.Encoder().encode


class FuturesVenue(Venue):
    """See `Venue`. The state of futures accounts is not kept over a restart."""

    def __init__(
        self,
        config: MockConfig,
        futures: FuturesConfig,
        engine: FuturesEngine,
        clock: Callable[[], int],
        market_factory: MarketFactory,
        faults: FaultBoard | None = None,
    ) -> None:
        self.futures = futures
        self.contracts = engine
        super().__init__(config, engine, clock, StateStore(None, config.state_interval), market_factory, faults)
        self.listeners = FuturesUserData(engine, self.texts, futures.listen_key_seconds)
        self.user_data = self.listeners
        self.income: deque[FundingSettled] = deque(maxlen=_INCOME_KEPT)
        """Funding payments of all accounts, oldest first."""
        self.reduce_only: dict[int, tuple[str, str]] = {}
        """Open reduce-only orders by id, with account and symbol."""
        self.dual_side = False
        """What accounts are said to be in; orders are one-way whatever it says (a test sets it)."""
        self._countdowns: dict[tuple[str, str], int] = {}
        self._funding_ns = int(futures.funding_interval * _NS_PER_SECOND)
        self.next_funding_ns = self.market_ns - self.market_ns % self._funding_ns + self._funding_ns
        self._next_mark_ns = self.market_ns - self.market_ns % _NS_PER_SECOND + _NS_PER_SECOND

    def commission_rates(self) -> dict[str, str]:
        """Fees as fractions of the notional."""
        return {"maker": f"{self.futures.maker_fee:f}", "taker": f"{self.futures.taker_fee:f}"}

    def step(self) -> bool:
        """As every venue; and what falls due meanwhile: countdowns, listen keys, marks, funding."""
        behind = super().step()
        now_ns = self.clock_ns()
        self._fire_countdowns(now_ns)
        self.listeners.expire_keys(now_ns)
        while self.next_funding_ns <= self.market_ns:
            self._settle_funding(self.next_funding_ns)
            self.next_funding_ns += self._funding_ns
        if self._next_mark_ns <= self.market_ns:
            self._next_mark_ns = self.market_ns - self.market_ns % _NS_PER_SECOND + _NS_PER_SECOND
            self._broadcast_marks()
        return behind

    def publish(self, time_ns: int, symbol: str, events: Sequence[EngineEvent]) -> None:
        """As every venue; reduce-only orders that would no longer reduce are cancelled."""
        super().publish(time_ns, symbol, events)
        if self.reduce_only:
            self._cull_reduce_only(time_ns, symbol)

    def count_down(self, account: str, symbol: str, milliseconds: int) -> None:
        """Cancel all orders of the account in the symbol after so long, unless told again; 0: never."""
        if milliseconds:
            self._countdowns[account, symbol] = self.clock_ns() + milliseconds * NS_PER_MS
        else:
            self._countdowns.pop((account, symbol), None)

    def cancel_everything(self, account: str, symbol: str, now_ns: int) -> int:
        """Cancel every open order; returns how many there were."""
        orders = list(self.engine.open_orders(account, symbol))
        for order in orders:
            _, events = self.engine.cancel(account, symbol, now_ns, order_id=order.order_id)
            self.publish(now_ns, symbol, events)
        return len(orders)

    def _text(self, instrument: Instrument) -> FuturesTexts:
        return FuturesTexts(instrument, lambda: self.market_ns // NS_PER_MS)

    def _fire_countdowns(self, now_ns: int) -> None:
        for key, deadline_ns in list(self._countdowns.items()):
            if deadline_ns <= now_ns:
                del self._countdowns[key]
                self.cancel_everything(*key, self.market_ns)

    def _settle_funding(self, time_ns: int) -> None:
        for symbol in self.texts:
            for settled in self.contracts.settle_funding(symbol, self.futures.funding_rate, time_ns):
                self.income.append(settled)
                self.listeners.on_funding(settled)

    def _broadcast_marks(self) -> None:
        for symbol, text in self.texts.items():
            for stream in (f"{text.stream_prefix}@markPrice", f"{text.stream_prefix}@markPrice@1s"):
                if self.streams.has_readers(stream):
                    mark = text.price(self.contracts.mark_ticks(symbol))
                    rate, next_ms = f"{self.futures.funding_rate:f}", self.next_funding_ns // NS_PER_MS
                    time_ms = self.market_ns // NS_PER_MS
                    event = MarkPriceEvent("markPriceUpdate", time_ms, symbol, mark, mark, mark, rate, next_ms)
                    self.streams.broadcast(stream, _encode(event))

    def _cull_reduce_only(self, time_ns: int, symbol: str) -> None:
        for order_id, (account, name) in list(self.reduce_only.items()):
            if name != symbol:
                continue
            order = next((each for each in self.engine.open_orders(account, symbol) if each.order_id == order_id), None)
            if order is None:
                del self.reduce_only[order_id]
                continue
            if order.remaining_lots > self.reducible_lots(account, symbol, order.side):
                del self.reduce_only[order_id]
                _, events = self.engine.cancel(account, symbol, time_ns, order_id=order_id)
                self.publish(time_ns, symbol, events)

    def reducible_lots(self, account: str, symbol: str, side: Side) -> int:
        """How much of the position an order of this side would close."""
        return max(0, -side.sign * self.contracts.position(account, symbol).lots)

    def available_atoms(self, account: str) -> int:
        """Collateral that nothing binds."""
        return max(0, self.equity_atoms(account) - self.contracts.margin.initial_margin_atoms(account))

    def equity_atoms(self, account: str) -> int:
        """Wallet and unrealised profit."""
        return self.contracts.margin.equity_atoms(account, COLLATERAL)

    def wallet_text(self, account: str, asset: str) -> str:
        """The wallet of one asset."""
        found = [balance for balance in self.engine.balances(account) if balance.asset == asset]
        return atoms_text(found[0].total_atoms if found else 0)
