"""The core: ties market, quoting, risk and execution together. An event goes in, commands come out; nothing here does I/O."""

from mmd.trader.commands import Command
from mmd.trader.core import Event, Trader
from mmd.trader.settings import TraderConfig

__all__ = ["Command", "Event", "Trader", "TraderConfig"]
