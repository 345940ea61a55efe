"""Clear the market while our own event loop stands still: the watchdog's thread does it, with an adapter and a loop of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from mmd.daemon.settings import Settings
from mmd.daemon.sweep import Sweeper
from mmd.daemon.venue import make_adapter
from mmd.exchanges.adapter import AdapterError, ExchangeAdapter

log = structlog.get_logger(__name__)

CLOCK_SLACK_SECONDS = 1.0


def quiet_seconds(recv_window_ms: int) -> float:
    """How long after the last order may have left it can still arrive: its receive window, and slack for the clocks."""
    return recv_window_ms / 1000 + CLOCK_SLACK_SECONDS


def clear_market(settings: Settings, give_up: Callable[[], bool]) -> None:
    """Cancel everything of ours until the venue says that nothing is left, or `give_up` does. Blocks; raises nothing."""
    try:
        cleared = asyncio.run(_clear(settings, give_up))
    except Exception as error:
        # The thread that calls this is the last one that works: it must live on, and the guard acts beside it.
        log.critical("the market could not be cleared from beside the stalled loop", exc_info=error)
    else:
        log.critical(
            "cleared the market from beside the stalled loop" if cleared else "the event loop turns again; it cancels itself"
        )


async def _clear(settings: Settings, give_up: Callable[[], bool]) -> bool:
    adapter = make_adapter(settings, _on_failure)
    try:
        return await sweeper_of(settings, adapter).clear(give_up)
    finally:
        await adapter.close()


def sweeper_of(settings: Settings, adapter: ExchangeAdapter) -> Sweeper:
    """For all of the daemon's orders, whichever process sent them."""
    quiet = quiet_seconds(settings.exchange.recv_window_ms)
    return Sweeper(adapter, settings.client_order_id_prefix, quiet_seconds=quiet, monotonic=time.monotonic)


def _on_failure(error: BaseException, where: str) -> None:
    raise AdapterError(f"nothing was started that could fail: {where}") from error
