"""What people, the guard and the shell want: halt, flatten, resume, leave, quote with other networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmd.market.signals import ExternalSignal
from mmd.trader.accounts import ReconciliationRoutine
from mmd.trader.commands import Outbox
from mmd.trader.flatten import Flattening
from mmd.trader.order_desk import OrderDesk
from mmd.trader.safeguards import Safeguards
from mmd.trader.swap import ChallengeNetworks, SwapNetworks
from mmd.types.control import FlattenRequest, GuardStatus, HaltRequest, PauseReason, PersistHalt, ResumeRequest, Shutdown

if TYPE_CHECKING:
    from mmd.trader.core import Trader


class ControlEvents:
    """The control side of one trader; `trader` is asked for what concerns the whole of it (halt, quotes, the end)."""

    def __init__(
        self,
        trader: Trader,
        safeguards: Safeguards,
        orders: OrderDesk,
        accounts: ReconciliationRoutine,
        flattening: Flattening,
        outbox: Outbox,
    ) -> None:
        self._trader = trader
        self._desks = trader.desks
        self._safeguards = safeguards
        self._orders = orders
        self._accounts = accounts
        self._flattening = flattening
        self._outbox = outbox

    def on_guard(self, event: GuardStatus) -> None:
        """The guard is there, or is not: without it nothing may stand."""
        self._trader.now_ns = event.receive_ns
        self._safeguards.pause_all(PauseReason.GUARD_LOST, not event.alive, event.receive_ns)
        for desk in self._desks.values():
            self._trader.refresh(desk, event.receive_ns)

    def on_halt(self, event: HaltRequest) -> None:
        """Halt; a flattening under way ends, too."""
        self._trader.now_ns = event.receive_ns
        self._flattening.stop()
        self._trader.halt(event.reason, event.actor)

    def on_flatten(self, event: FlattenRequest) -> None:
        """Halt, and work towards no position."""
        self._trader.now_ns = event.receive_ns
        self._trader.halt(event.reason, event.actor)
        self._flattening.begin(event)

    def on_resume(self, event: ResumeRequest) -> None:
        """Lift the halt, if there is a reason to; ledgers are compared before anything is sent."""
        self._trader.now_ns = event.receive_ns
        if not self._safeguards.latch.halted or not event.reason.strip():
            return
        self._flattening.stop()
        self._outbox.put(PersistHalt(self._safeguards.latch.resume(event.reason, event.actor, event.receive_ns)))
        self._safeguards.errors.succeeded()
        self._safeguards.pauses.forgive(event.receive_ns)
        if self._orders.channel_up:
            self._safeguards.pause_all(PauseReason.RECONCILING, True, event.receive_ns)
            self._outbox.put(self._accounts.request("resume", event.receive_ns))

    def on_shutdown(self, event: Shutdown) -> None:
        """Cancel everything, and leave once it is gone."""
        self._trader.now_ns = event.receive_ns
        self._orders.leaving = True
        for desk in self._desks.values():
            self._orders.withdraw(desk, event.receive_ns)
        self._trader.leave_when_clear()

    def on_challenge(self, event: ChallengeNetworks) -> None:
        """Other networks are watched in shadow, or none."""
        self._trader.watch(event.bundle)
        for symbol, desk in self._desks.items():
            desk.challenge(event.bundle, event.predictors.get(symbol))

    def on_signal(self, event: ExternalSignal) -> None:
        """News from outside."""
        self._trader.signals.on_signal(event)

    def on_swap(self, event: SwapNetworks) -> None:
        """Other networks serve from now on."""
        self._trader.now_ns = event.receive_ns
        self._trader.serve(event.bundle)
        for symbol, desk in self._desks.items():
            desk.use(event.bundle, event.predictors[symbol])
