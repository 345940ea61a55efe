"""Order entry and user data are two connections here; to the core they are one channel, up while both are."""

from __future__ import annotations

from mmd.exchanges.binance.connection import Surroundings
from mmd.types.orders import OrderChannelStatus


class OrderChannel:
    """Tells the core when the last part comes up, and when the first goes down; an outage is told once."""

    def __init__(self, surroundings: Surroundings, *parts: str) -> None:
        self._surroundings = surroundings
        self._missing = set(parts)
        self._told: bool | None = None

    def up(self, part: str) -> None:
        """A part stands."""
        self._missing.discard(part)
        if not self._missing:
            self._tell(True, "")

    def down(self, part: str, detail: str) -> None:
        """A part fell, or could not be brought up."""
        self._missing.add(part)
        if self._told is not False:
            self._tell(False, f"{part}: {detail}")

    def _tell(self, connected: bool, detail: str) -> None:
        self._told = connected
        now_ns = self._surroundings.clock_ns()
        self._surroundings.outlet.batch([OrderChannelStatus(now_ns, connected, detail)], now_ns)
