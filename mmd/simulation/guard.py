"""The guard of the simulation: judges the daemon's heartbeat by the guard's own rule, and does with its key what the guard does.

What is simulated here is its process, its file and its connection; the rule by which a daemon counts as lost is the real one.
"""

from __future__ import annotations

from mmd.daemon.heartbeat import Beat, Life
from mmd.daemon.heartbeat_watch import Health, HeartbeatWatch
from mmd.execution.client_order_ids import ClientOrderIds
from mmd.simulation.exchange import ACCOUNT, SimulatedExchange
from mmd.simulation.process import World, open_halt_file
from mmd.simulation.settings import PREFIX
from mmd.simulation.story import MS
from mmd.types.control import HaltRecord

TIMEOUT_SECONDS = 1.2
LOOK_NS = 200 * MS
TO_BE_CLEARED = (Health.LOST, Health.CUT_OFF, Health.NEVER_TRADED)


class SimulatedGuard:
    """Looks five times a second."""

    def __init__(self, world: World, exchange: SimulatedExchange) -> None:
        self._world = world
        self._exchange = exchange
        self._halt_file = open_halt_file(world)
        self._names = ClientOrderIds(PREFIX, "guard")
        self._watch = HeartbeatWatch(TIMEOUT_SECONDS)
        self._beat: Beat | None = None
        self._latched = False
        self.acted = 0

    def heard(self, life: Life) -> None:
        """The daemon's heartbeat."""
        count = 0 if self._beat is None else self._beat.count + 1
        self._beat = Beat(process=1, count=count, life=life, time_ns=0)

    def look(self, now_ns: int) -> None:
        """Whether the daemon lives; if not, see to it that nothing of ours does."""
        health = self._watch.look(self._beat, now_ns).health
        if health not in TO_BE_CLEARED:
            self._latched = False
            return
        if health is Health.LOST and not self._latched:
            self._latch(now_ns)
        self.cancel_ours(now_ns)

    def _latch(self, now_ns: int) -> None:
        record = HaltRecord(halted=True, reason="the daemon has been silent", actor="guard", time_ns=now_ns)
        try:
            self._halt_file.latch(record)
        except OSError:
            # Tried again at the next look; cancelling does not wait for it.
            return
        self._latched = True

    def cancel_ours(self, now_ns: int) -> None:
        """Listed, then cancelled one by one: strangers' orders stay. Repeated for as long as the daemon is silent."""
        if self._exchange.is_down:
            return
        for order in self._exchange.engine.open_orders(ACCOUNT):
            if self._names.is_ours(order.client_order_id):
                self._world.published(*self._exchange.cancel(order.symbol, order.client_order_id, now_ns))
                self.acted += 1
