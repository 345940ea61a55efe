"""The lines between the process and the exchange, the faults that are on, and what befalls what travels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from random import Random
from typing import Any

from mmd.mock.engine import EngineEvent
from mmd.simulation.settings import Surroundings
from mmd.simulation.story import MS, Fault, Story

ARRIVES_AFTER_CUT = 0.5
LATE_NS = 500 * MS
OVERTAKEN_NS = 80 * MS


class Line:
    """A connection: what is sent on it arrives in order, as long as it is open."""

    __slots__ = ("is_open", "last_back_ns", "last_there_ns", "life")

    def __init__(self, life: int) -> None:
        self.life = life
        self.is_open = True
        self.last_there_ns = 0
        self.last_back_ns = 0


class _Active:
    """A fault that is on, with its own chance, so that taking another out of the story does not change its draws."""

    __slots__ = ("ends_ns", "fault", "random")

    def __init__(self, fault: Fault, seed: int, now_ns: int) -> None:
        self.fault = fault
        self.ends_ns = now_ns + fault.lasting_ns
        self.random = Random(f"{seed} {fault.at_ns} {fault.kind}")


class Network:
    """Time, the faults that are on, and the travelling of frames and requests."""

    def __init__(self, story: Story, surroundings: Surroundings, start_ns: int) -> None:
        self.now_ns = start_ns
        self.random = Random(f"network {story.seed}")
        self.feed_latency_ns = surroundings.feed_latency_ns
        self.order_latency_ns = surroundings.order_latency_ns
        self.request_timeout_ns = surroundings.request_timeout_ns
        self.orders_per_10s = surroundings.orders_per_10s
        self.injected: Counter[str] = Counter()
        """How often each kind of fault struck."""
        self.travelling: dict[int, Any] = {}
        """Requests that may still be carried out."""
        self.published: Callable[[str, Sequence[EngineEvent]], None] = _nobody
        self.damage: Callable[[bytes], bytes] = bytes
        self._seed = story.seed
        self._on: dict[str, list[_Active]] = {}
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0

    # ---- time

    def at(self, due_ns: int, act: Callable[[], None]) -> None:
        """Do it then."""
        self._number += 1
        heappush(self._queue, (due_ns, self._number, act))

    def later(self, delay_ns: int, act: Callable[[], None]) -> None:
        """Do it after so long."""
        self.at(self.now_ns + delay_ns, act)

    def step(self, until_ns: int) -> bool:
        """Let the next thing happen; False when nothing is left to happen before `until_ns`."""
        if not self._queue or self._queue[0][0] > until_ns:
            return False
        due_ns, _, act = heappop(self._queue)
        if due_ns > self.now_ns:
            self.now_ns = due_ns
        act()
        return True

    # ---- faults

    def switch_on(self, fault: Fault) -> None:
        """From now on, for as long as it lasts."""
        self._on.setdefault(fault.kind, []).append(_Active(fault, self._seed, self.now_ns))

    def is_on(self, kind: str) -> bool:
        """Whether a fault of this kind is on now."""
        return any(active.ends_ns > self.now_ns for active in self._on.get(kind, ()))

    def strike(self, kind: str) -> bool:
        """Whether one strikes here and now."""
        for active in self._on.get(kind, ()):
            if active.ends_ns > self.now_ns and active.random.random() < active.fault.amount:
                self.injected[kind] += 1
                return True
        return False

    def ends_in_ns(self, kind: str) -> int:
        """How long it still lasts."""
        return max((active.ends_ns - self.now_ns for active in self._on.get(kind, ())), default=0)

    def backoff_ns(self) -> int:
        """Wait before a connection is tried again."""
        return self.random.randrange(50, 400) * MS

    def rest_delay_ns(self) -> int:
        """Half of a REST request."""
        return self.random.randrange(5, 40) * MS

    # ---- market frames

    def market_fates(self, line: Line, frames: Sequence[bytes]) -> list[tuple[int, list[bytes]]]:
        """When which of these arrive, those of one moment together."""
        due_ns = self.now_ns + self.feed_latency_ns
        if not self._on:
            line.last_back_ns = due_ns = max(due_ns, line.last_back_ns)
            return [(due_ns, list(frames))]
        if self.strike("delay_market"):
            due_ns += self.random.randrange(20 * MS, LATE_NS)
        if self.strike("freeze_market"):
            due_ns = max(due_ns, self.now_ns + self.ends_in_ns("freeze_market"))
        due_ns = max(due_ns, line.last_back_ns)
        line.last_back_ns = due_ns
        arriving: list[tuple[int, list[bytes]]] = [(due_ns, [])]
        for frame in frames:
            if self.strike("lose_market"):
                continue
            if self.strike("corrupt_market"):
                frame = self.damage(frame)
            if self.strike("reorder_market"):
                arriving.append((due_ns + self.random.randrange(OVERTAKEN_NS), [frame]))
                continue
            arriving[0][1].append(frame)
            if self.strike("duplicate_market"):
                arriving[0][1].append(frame)
        return [(due, together) for due, together in arriving if together]

    # ---- requests, replies and the user stream

    def request(self, request: Any, arrive: Callable[[], None]) -> None:
        """A request goes to the exchange, in order, if it gets there; one on a line that broke meanwhile may."""
        line = request.line
        if self.strike("lose_requests"):
            return
        due_ns = self.now_ns + self.order_latency_ns
        if self.strike("delay_requests"):
            due_ns += self.random.randrange(20 * MS, LATE_NS)
        line.last_there_ns = due_ns = max(due_ns, line.last_there_ns)
        key = id(request)
        self.travelling[key] = request

        def arrives() -> None:
            del self.travelling[key]
            if line.is_open or self.random.random() < ARRIVES_AFTER_CUT:
                arrive()

        self.at(due_ns, arrives)

    def carry_out_later(self, request: Any, arrive: Callable[[], None]) -> None:
        """The exchange sets it aside."""
        key = id(request)
        self.travelling[key] = request

        def arrives() -> None:
            del self.travelling[key]
            arrive()

        self.later(self.random.randrange(20 * MS, LATE_NS), arrives)

    def reply(self, line: Line, arrive: Callable[[], None]) -> None:
        """An answer comes back."""
        if self.strike("lose_replies"):
            return
        due_ns = self.now_ns + self.order_latency_ns
        if self.strike("delay_replies"):
            due_ns += self.random.randrange(20 * MS, LATE_NS)
        line.last_back_ns = due_ns = max(due_ns, line.last_back_ns)
        self.at(due_ns, arrive)

    def user_fates(self, line: Line) -> list[int]:
        """When an event of the user stream arrives: never, once or twice."""
        if self.strike("lose_user_events"):
            return []
        due_ns = self.now_ns + self.order_latency_ns
        if self.strike("reorder_user_events"):
            return [due_ns + self.random.randrange(OVERTAKEN_NS)]
        line.last_back_ns = due_ns = max(due_ns, line.last_back_ns)
        if self.strike("duplicate_user_events"):
            return [due_ns, due_ns + self.random.randrange(OVERTAKEN_NS)]
        return [due_ns]


def _nobody(_symbol: str, _events: Sequence[EngineEvent]) -> None:
    """No one listens yet."""
