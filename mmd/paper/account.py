"""The paper account: an engine whose only holder is us, its markets, and the files in which it survives a restart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mmd.exchanges.adapter import AdapterError, VenueOrder
from mmd.mock.engine import EngineEvent, MatchingEngine, SnapshotError
from mmd.mock.engine_commands import AccountCommand, AccountEvent, EngineCommands
from mmd.mock.replay.matcher import QueueMatcher
from mmd.mock.server.state_store import StateError, StateStore
from mmd.paper.market import FollowedMarket
from mmd.paper.settings import PaperSettings
from mmd.types.instrument import Instrument, atoms
from mmd.types.orders import RequestReconciliation

ACCOUNT = "paper"
CHECKPOINT_SECONDS = 5.0
EVENTS_BETWEEN_CLEARINGS = 1_000


class PaperAccount:
    """Opened or brought back from `directory`, whose orders of an earlier run are gone: nobody has watched the market for them.

    Raises `AdapterError` where the files cannot be used or a traded asset has no balance to begin with.
    """

    def __init__(self, settings: PaperSettings, instruments: Mapping[str, Instrument], directory: Path, now_ns: int) -> None:
        self._store = StateStore(directory, CHECKPOINT_SECONDS)
        try:
            self.engine = self._engine(settings, instruments, now_ns)
            self._store.begin(self.engine)
        except (StateError, SnapshotError, OSError) as error:
            self._store.abandon()
            raise AdapterError(f"the paper account in {directory} cannot be used: {error}") from error
        except BaseException:
            self._store.abandon()
            raise
        self._commands = EngineCommands(self.engine, ACCOUNT)
        self._happened: list[EngineEvent] = []
        self._countdown = EVENTS_BETWEEN_CLEARINGS
        self.markets = {symbol: FollowedMarket(QueueMatcher(self.engine, symbol, self._on_market)) for symbol in instruments}

    def _engine(self, settings: PaperSettings, instruments: Mapping[str, Instrument], now_ns: int) -> MatchingEngine:
        maker_fee, taker_fee = settings.maker_fee, settings.taker_fee
        saved = self._store.load()
        if saved is not None:
            engine = MatchingEngine.restore(saved, instruments.values(), maker_fee=maker_fee, taker_fee=taker_fee)
            for order in engine.open_orders(ACCOUNT):
                engine.cancel(ACCOUNT, order.symbol, now_ns, order_id=order.order_id)
            return engine
        for instrument in instruments.values():
            for asset in (instrument.base_asset, instrument.quote_asset):
                if asset not in settings.balances:
                    raise AdapterError(
                        f"the paper account is to trade {instrument.symbol} but begins without {asset}: set paper.balances.{asset} "
                        f"(MMD_PAPER__BALANCES__{asset}) and the others it shall hold"
                    )
        engine = MatchingEngine(instruments.values(), maker_fee=maker_fee, taker_fee=taker_fee)
        engine.open_account(ACCOUNT, {asset: atoms(amount) for asset, amount in settings.balances.items()})
        return engine

    # ---- orders

    def carry_out(self, command: AccountCommand, now_ns: int, receive_ns: int) -> list[AccountEvent]:
        """Do it now; what it caused is on disk when this returns. Answers come before what the order met."""
        events, answers = self._commands.carry_out(command, now_ns, receive_ns)
        if not isinstance(command, RequestReconciliation):
            self._on_market(command.symbol, events)
        return [*answers, *self.take_events(receive_ns)]

    def take_events(self, receive_ns: int) -> list[AccountEvent]:
        """What happened to the account since the last call."""
        happened, self._happened = self._happened, []
        return [told for event in happened for told in self._commands.account_events(event, receive_ns)]

    def open_orders(self, symbols: Sequence[str], prefix: str) -> tuple[VenueOrder, ...]:
        """Ours by prefix, as a venue lists them."""
        found = []
        for symbol in symbols:
            instrument = self.engine.instruments[symbol]
            for order in self.engine.open_orders(ACCOUNT, symbol):
                if order.client_order_id.startswith(f"{prefix}-"):
                    found.append(
                        VenueOrder(
                            order.client_order_id,
                            symbol,
                            order.side.name,
                            instrument.price_text(order.price_ticks),
                            instrument.quantity_text(order.lots),
                            instrument.quantity_text(order.executed_lots),
                        )
                    )
        return tuple(found)

    # ---- keeping

    async def checkpoint_if_due(self) -> None:
        """Write the account whole, now and then; its journal has every change at once."""
        await self._store.checkpoint_if_due(self.engine)

    def clear_depth_changes(self) -> None:
        """Nobody takes the engine's own diffs: forget them now and then."""
        self._countdown -= 1
        if self._countdown <= 0:
            self._countdown = EVENTS_BETWEEN_CLEARINGS
            for symbol in self.engine.instruments:
                self.engine.take_depth_changes(symbol)

    def close(self) -> None:
        """Write it once more, and give the files free."""
        self._store.close(self.engine)

    def _on_market(self, symbol: str, events: Sequence[EngineEvent]) -> None:
        if any(self._commands.account_events(event, 0) for event in events):
            self._store.record(self.engine, events)
            self._happened.extend(events)
