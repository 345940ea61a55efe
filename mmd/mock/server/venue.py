"""The heart of the mock exchange: the engine, its market, and where each operation's events go. It knows no sockets.

Every operation on the engine, be it of an account or of the market, passes through `publish`: first what must survive is recorded,
then the public and the accounts hear of it. Since the sockets are written later, by their own tasks, nothing is acknowledged before
it is recorded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import structlog

from mmd.mock.engine import BalancesChanged, EngineEvent, MatchingEngine, OrderReport, TradePrint
from mmd.mock.faults import FaultBoard
from mmd.mock.server import errors
from mmd.mock.server.config import MockConfig
from mmd.mock.server.fault_rim import OrderFaults
from mmd.mock.server.listen_keys import ListenKeys
from mmd.mock.server.market import MarketContext, MarketFactory
from mmd.mock.server.market_events import SymbolTexts
from mmd.mock.server.market_streams import MarketStreams
from mmd.mock.server.order_replies import NS_PER_MS, AmendmentLine
from mmd.mock.server.parameters import Parameters
from mmd.mock.server.rate_limits import RateLimiter
from mmd.mock.server.signatures import KeyRing
from mmd.mock.server.state_store import StateStore
from mmd.mock.server.trade_history import TradeHistory
from mmd.mock.server.user_data import UserDataHub
from mmd.types.instrument import ATOMS_PER_UNIT, Instrument, atoms_text
from mmd.types.market import Level

_NS_PER_SECOND = 1_000_000_000
_MAX_CATCH_UP_STEPS = 8
_AMENDMENTS_KEPT = 10_000

logger = structlog.get_logger(__name__)


class Venue:
    """One exchange, running on the time that `clock` (UTC ns) gives, market time scaled by `config.speed`."""

    history_limit = 1_000_000

    def __init__(
        self,
        config: MockConfig,
        engine: MatchingEngine,
        clock: Callable[[], int],
        store: StateStore,
        market_factory: MarketFactory,
        faults: FaultBoard | None = None,
    ) -> None:
        self.config = config
        self.faults = faults if faults is not None else FaultBoard()
        self._order_faults = OrderFaults(self.faults, engine, clock)
        self.engine = engine
        self.limiter = RateLimiter(config.rate_limits)
        self.keys = KeyRing(config)
        self.texts = {symbol: self._text(instrument) for symbol, instrument in engine.instruments.items()}
        self.histories = {symbol: TradeHistory(engine.last_trade_id(symbol)) for symbol in self.texts}
        self.user_data: UserDataHub = UserDataHub(engine, self.texts)
        self._clock = clock
        self._store = store
        self._started_ns = clock()
        self._advanced_ns = self._started_ns
        self._account_updates: dict[str, int] = {}
        self._amendments: dict[tuple[str, str], deque[AmendmentLine]] = {}
        self._fast_ns = int(config.fast_depth_interval * _NS_PER_SECOND)
        self._slow_ns = int(config.slow_depth_interval * _NS_PER_SECOND)
        # A replay scales time itself, so that its engine's time stays the wall clock's.
        self._speed = 1.0 if config.replay else config.speed
        self._slice_ns = int(config.pump_slice * _NS_PER_SECOND / (max(1.0, config.speed) if config.replay else 1.0))
        self._next_fast_ns = self._started_ns - self._started_ns % self._fast_ns + self._fast_ns
        self._next_slow_ns = self._started_ns - self._started_ns % self._slow_ns + self._slow_ns
        self._context = MarketContext(engine, config, self._started_ns, self._broadcast)
        self._market = market_factory(self._context)
        self.streams = MarketStreams(engine, self.texts, self.histories)
        self._context.streams = lambda: self.streams
        self._context.on_recorded_trade = self._record_trade
        self.listen_keys = ListenKeys(self.user_data, self.server_ms, self.streams.broadcast)

    def server_ms(self) -> int:
        """The time of requests: the wall clock's, in ms, and whatever a fault puts it off by."""
        return (self._clock() + self.faults.clock_offset_ns) // NS_PER_MS

    def clock_ns(self) -> int:
        """The wall clock, UTC ns."""
        return self._clock()

    @property
    def market_ns(self) -> int:
        """Where the market stands in its own time, UTC ns."""
        return self._advanced_ns

    def symbol(self, name: str) -> str:
        """`name`, if it is listed. Raises -1121."""
        if name not in self.texts:
            raise errors.bad_symbol()
        return name

    def chosen_symbols(self, parameters: Parameters) -> list[str]:
        """The symbols that `symbol` or `symbols` name; without either all. Raises -1121, -1100, -1128, -1151."""
        if "symbol" in parameters and "symbols" in parameters:
            raise errors.bad_combination()
        if "symbol" in parameters:
            return [self.symbol(parameters.symbol_text())]
        if "symbols" not in parameters:
            return list(self.texts)
        symbols = [self.symbol(name) for name in parameters.symbol_list()]
        if len(set(symbols)) != len(symbols):
            raise errors.duplicate_symbols()
        return symbols

    def last_ticks(self, symbol: str) -> int:
        """Price of the last public trade in ticks, 0 before the first."""
        trades = self.histories[symbol].trades
        return trades[-1].price_ticks if trades else self.engine.last_price_ticks(symbol)

    def depth(self, symbol: str, limit: int) -> tuple[int, list[Level], list[Level]]:
        """Update id and up to `limit` bids and asks, best first, as the public sees them."""
        return self._context.depth(symbol, limit)

    def commission_rates(self) -> dict[str, str]:
        """Fees as fractions."""
        return {
            "maker": atoms_text(int(self.config.maker_fee * ATOMS_PER_UNIT)),
            "taker": atoms_text(int(self.config.taker_fee * ATOMS_PER_UNIT)),
        }

    def account_updated_ns(self, account: str) -> int:
        """When the account's balances last changed, UTC ns (since this process started; before that, its start)."""
        return self._account_updates.get(account, self._started_ns)

    def step(self) -> bool:
        """Play the market up to now, but at most one slice and not past the next depth beat. False when it is up to date."""
        target_ns = self._market_target_ns()
        if target_ns <= self._advanced_ns:
            return False
        until_ns = min(target_ns, self._advanced_ns + self._slice_ns, self._next_fast_ns)
        self._market.advance(until_ns, self.publish)
        self._advanced_ns = until_ns
        if until_ns == self._next_fast_ns:
            self._next_fast_ns += self._fast_ns
            self._beat(until_ns)
        return self._advanced_ns < target_ns

    def catch_up(self) -> int:
        """Play the market up to now before an account acts, and return the time at which it acts (UTC ns)."""
        for _ in range(_MAX_CATCH_UP_STEPS):
            if not self.step():
                break
        return self._advanced_ns

    def amendments(self, account: str, symbol: str) -> deque[AmendmentLine]:
        """The newest amends of the account's orders on a symbol, oldest first."""
        return self._amendments.setdefault((account, symbol), deque(maxlen=_AMENDMENTS_KEPT))

    def transfer(self, account: str, asset: str, delta_atoms: int) -> None:
        """Deposit to an account, or with an amount below zero withdraw. Raises `Refusal` -2010, `ValueError` for an unknown one."""
        now_ns = self.catch_up()
        events = self.engine.transfer(account, asset, delta_atoms, now_ns)
        self.publish(now_ns, next(iter(self.texts)), events)

    def publish(self, time_ns: int, symbol: str, events: Sequence[EngineEvent]) -> None:
        """What one operation of the engine caused: record it, then tell everybody whom it concerns."""
        if not events:
            # An order of the market that came or went without a trade: nine operations of ten.
            if self._context.streams_from_engine:
                self.streams.on_operation(time_ns + self.faults.stamp_offset_ns, symbol, (), ())
            return
        concerns_accounts = False
        prints: list[TradePrint] = []
        for event in events:
            if isinstance(event, TradePrint):
                prints.append(event)
            elif isinstance(event, OrderReport):
                concerns_accounts = True
                trade = event.trade
                if trade is not None and trade.lots == event.executed_lots:
                    self.limiter.credit_first_fill(event.account, self.server_ms(), is_maker=trade.is_maker)
            else:
                concerns_accounts = True
                if isinstance(event, BalancesChanged):
                    self._account_updates[event.account] = event.time_ns
        if concerns_accounts:
            self._store.record(self.engine, events)
        if self._context.streams_from_engine:
            aggregates = self.histories[symbol].add(prints) if prints else []
            self.streams.on_operation(time_ns + self.faults.stamp_offset_ns, symbol, prints, aggregates)
        if concerns_accounts:
            self.user_data.on_operation(events)
            if self.faults.fills_partially:
                self._order_faults.on_events(events)

    def fill_due(self) -> None:
        """Carry out the partial fills that a fault has ordered."""
        if self._order_faults.has_fills:
            now_ns = self.catch_up()
            for symbol, events in self._order_faults.fill_due(now_ns):
                self.publish(now_ns, symbol, events)

    def _text(self, instrument: Instrument) -> SymbolTexts:
        """How this venue writes a symbol's numbers and frames."""
        return SymbolTexts(instrument)

    def _market_target_ns(self) -> int:
        now_ns = self._clock()
        if self._speed == 1.0:
            return now_ns
        return self._started_ns + int((now_ns - self._started_ns) * self._speed)

    def _record_trade(self, trade: TradePrint) -> None:
        self.histories[trade.symbol].add((trade,))

    def _beat(self, time_ns: int) -> None:
        from_engine = self._context.streams_from_engine
        stamp_ns = time_ns + self.faults.stamp_offset_ns
        if from_engine:
            self.streams.fast_beat(stamp_ns)
        if time_ns >= self._next_slow_ns:
            self._next_slow_ns = time_ns - time_ns % self._slow_ns + self._slow_ns
            if from_engine:
                self.streams.slow_beat(stamp_ns)
            self.streams.statistics_beat(time_ns, stamp_ns)

    def _broadcast(self, stream: str, frame: bytes) -> None:
        self.streams.broadcast(stream, frame)
