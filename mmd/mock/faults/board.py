"""The faults that are on, and how often each kind has struck. Time comes in with every call; what must be done is handed out.

The board decides; carrying out is the server's business (or the simulation's). Acts (a cut, a restart) are handed to whoever
registered with `on_act`, at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from random import Random
from typing import Any, TypeVar

from mmd.mock.faults.kinds import (
    ClockOffset,
    Fault,
    FrameFault,
    Freeze,
    LastingFault,
    PartialFills,
    RateLimitBan,
    RefuseConnections,
    RefuseOrders,
    RequestFault,
)

NS_PER_SECOND = 1_000_000_000
MAX_ACTIVE = 1_000
ActHandler = Callable[[Fault, int], None]

F = TypeVar("F", bound=Fault)


class ActiveFault:
    """A fault that is on. Each connection it befalls has a random generator of its own, so that no other disturbs it."""

    __slots__ = ("_generators", "_seed", "ends_ns", "fault", "fault_id", "left")

    def __init__(self, fault_id: int, fault: Fault, ends_ns: int | None, seed: int) -> None:
        self.fault_id = fault_id
        self.fault = fault
        self.ends_ns = ends_ns
        """None: stays on until it is cleared."""
        self.left: int | None = getattr(fault, "count", None)
        """How often it may still strike; None: any number of times."""
        self._seed = seed
        self._generators: dict[int, Random] = {}

    def random(self, connection: int) -> Random:
        """The generator for one connection (0: what belongs to none)."""
        generator = self._generators.get(connection)
        if generator is None:
            generator = self._generators[connection] = Random(f"{self._seed}/{self.fault_id}/{connection}")
        return generator

    def forget(self, connection: int) -> None:
        """The connection has ended."""
        self._generators.pop(connection, None)


class FaultBoard:
    """Switches faults on and off, and answers what is on. All times in ns of one clock, whichever the caller uses."""

    def __init__(self, seed: int = 1) -> None:
        self.seed = seed
        self.injected: Counter[str] = Counter()
        """How often each kind has struck."""
        self.spared: set[int] = set()
        """Connections that nothing befalls (but a restart): those of observers."""
        self.version = 0
        """Grows whenever what is on has changed."""
        self._active: dict[int, ActiveFault] = {}
        self._last_id = 0
        self._act_handlers: list[ActHandler] = []
        self.frame_faults: tuple[ActiveFault, ...] = ()
        self.request_faults: tuple[ActiveFault, ...] = ()
        self.clock_offset_ns = 0
        self.stamp_offset_ns = 0
        self.refuses_orders = self.fills_partially = False

    # ---- on and off

    def on_act(self, handler: ActHandler) -> None:
        """Call `handler` with every fault as it is switched on, and the time."""
        self._act_handlers.append(handler)

    def switch_on(self, fault: Fault, now_ns: int) -> int:
        """Switch a fault on (or let an act happen); its number. Raises `OverflowError` where far too many are on."""
        if len(self._active) >= MAX_ACTIVE:
            raise OverflowError(f"{MAX_ACTIVE} faults are on already: clear some")
        self._last_id += 1
        if isinstance(fault, LastingFault):
            ends_ns = None if fault.seconds is None else now_ns + round(fault.seconds * NS_PER_SECOND)
            self._active[self._last_id] = ActiveFault(self._last_id, fault, ends_ns, self.seed)
            if isinstance(fault, ClockOffset | Freeze):
                self.injected[fault.kind] += 1
            self._sort()
        else:
            self.injected[fault.kind] += 1
        for handler in self._act_handlers:
            handler(fault, now_ns)
        return self._last_id

    def clear(self, fault_id: int | None = None, kind: str | None = None) -> list[int]:
        """Switch off one, all of a kind, or all; returns the numbers of those that were on."""
        gone = [
            active.fault_id
            for active in self._active.values()
            if (fault_id is None or active.fault_id == fault_id) and (kind is None or active.fault.kind == kind)
        ]
        for each in gone:
            del self._active[each]
        if gone:
            self._sort()
        return gone

    def expire(self, now_ns: int) -> None:
        """Switch off what is over."""
        over = [active.fault_id for active in self._active.values() if active.ends_ns is not None and active.ends_ns <= now_ns]
        for each in over:
            del self._active[each]
        if over:
            self._sort()

    @property
    def active(self) -> list[ActiveFault]:
        """Everything that is on, oldest first."""
        return list(self._active.values())

    def spare(self, connection: int, spared: bool = True) -> None:
        """From now on nothing befalls this connection (but a restart), or all does again."""
        self.spared.add(connection) if spared else self.spared.discard(connection)
        self.version += 1

    def forget_connection(self, connection: int) -> None:
        """A connection has ended."""
        self.spared.discard(connection)
        for active in self._active.values():
            active.forget(connection)

    # ---- what is on

    def strike(self, active: ActiveFault, connection: int) -> bool:
        """Whether it befalls this frame, request or order; if so, it is counted, and ended where that was its last."""
        fault: Any = active.fault
        if active.fault_id not in self._active:
            return False
        if fault.probability < 1.0 and active.random(connection).random() >= fault.probability:
            return False
        self.injected[fault.kind] += 1
        if active.left is not None:
            active.left -= 1
            if active.left <= 0:
                del self._active[active.fault_id]
                self._sort()
        return True

    def frozen_until_ns(self, channel: str, connection: int, now_ns: int) -> int:
        """Until when this connection is silent; 0 when it is not. `channel` is `rest`, `market` or `order_entry`."""
        if connection and connection in self.spared:
            return 0
        until = 0
        for active in self._of(Freeze, now_ns):
            fault = active.fault
            assert isinstance(fault, Freeze)
            alone = fault.connection is not None or fault.channel != "all"
            if (channel == "rest" and alone) or fault.connection not in (None, connection) or fault.channel not in ("all", channel):
                continue
            until = max(until, active.ends_ns or 0)
        return until

    def banned(self, channel: str, connection: int, now_ns: int) -> tuple[int, int] | None:
        """HTTP status and end (ns) of a ban that holds for `rest` or `order_entry`."""
        if connection and connection in self.spared:
            return None
        bans = [a for a in self._of(RateLimitBan, now_ns) if getattr(a.fault, "channel", "") in ("all", channel)]
        if not bans:
            return None
        longest = max(bans, key=lambda active: active.ends_ns or 0)
        return int(getattr(longest.fault, "status", 418)), longest.ends_ns or now_ns + 10 * NS_PER_SECOND

    def refused_connection(self, channel: str, now_ns: int) -> int:
        """HTTP status with which a new websocket is refused; 0: it is let in."""
        for active in self._of(RefuseConnections, now_ns):
            fault = active.fault
            if isinstance(fault, RefuseConnections) and fault.channel in ("all", channel):
                self.injected[fault.kind] += 1
                return fault.status
        return 0

    def refused_order(self, account: str, symbol: str, now_ns: int) -> RefuseOrders | None:
        """The fault that refuses this order."""
        return self._struck_order(RefuseOrders, account, symbol, now_ns)

    def partial_fill(self, account: str, symbol: str, now_ns: int) -> PartialFills | None:
        """The fault that fills this order in part."""
        return self._struck_order(PartialFills, account, symbol, now_ns)

    def _struck_order(self, kind: type[F], account: str, symbol: str, now_ns: int) -> F | None:
        for active in self._of(kind, now_ns):
            fault: Any = active.fault
            chosen = (not fault.accounts or account in fault.accounts) and (not fault.symbols or symbol in fault.symbols)
            if chosen and self.strike(active, 0):
                found: F = fault
                return found
        return None

    def _of(self, kind: type[Fault], now_ns: int) -> Iterable[ActiveFault]:
        return [
            active
            for active in self._active.values()
            if isinstance(active.fault, kind) and (active.ends_ns is None or active.ends_ns > now_ns)
        ]

    def _sort(self) -> None:
        """Keep at hand what is asked for often."""
        self.version += 1
        on = list(self._active.values())
        self.frame_faults = tuple(active for active in on if isinstance(active.fault, FrameFault))
        self.request_faults = tuple(active for active in on if isinstance(active.fault, RequestFault))
        offsets = [active.fault for active in on if isinstance(active.fault, ClockOffset)]
        self.clock_offset_ns = sum(fault.milliseconds for fault in offsets) * 1_000_000
        self.stamp_offset_ns = sum(fault.milliseconds for fault in offsets if fault.stamps) * 1_000_000
        self.refuses_orders = any(isinstance(active.fault, RefuseOrders) for active in on)
        self.fills_partially = any(isinstance(active.fault, PartialFills) for active in on)
