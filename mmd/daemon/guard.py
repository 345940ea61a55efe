"""The guard: a process that watches the daemon's heartbeat and, when it is lost, latches the halt and clears the market.

It shares nothing with the daemon but the state directory: its own key, its own connections, its own event loop. What it does is
written so that doing it twice, or while the daemon is alive after all, does no harm: orders are cancelled, none is ever sent.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable

import msgspec
import structlog

from mmd.daemon.guard_port import GuardPort
from mmd.daemon.halt_file import HaltFile
from mmd.daemon.heartbeat import DAEMON_NAME, GUARD_NAME, Heartbeat, HeartbeatError, Life, read_heartbeat
from mmd.daemon.heartbeat_watch import Health, HeartbeatWatch, Judgement
from mmd.daemon.rescue import sweeper_of
from mmd.daemon.settings import Settings
from mmd.daemon.state_lock import StateLock
from mmd.daemon.sweep import SweepCounts
from mmd.daemon.venue import make_adapter
from mmd.exchanges.adapter import AdapterError
from mmd.types.control import HaltRecord

log = structlog.get_logger(__name__)

LOCK_NAME = "guard-lock"

PEACEFUL = frozenset({Health.ALIVE, Health.AWAITED, Health.LEFT_CLEAN})
"""States of the daemon in which its orders are its own affair."""


class GuardState(msgspec.Struct):
    """What the guard says of itself at its port."""

    daemon: str = Health.AWAITED.value
    silent_seconds: float = 0.0
    market_clear: bool | None = None
    """None while there was no cause to look."""
    rescues: int = 0
    """Times the daemon was lost."""
    latched_on_disk: bool | None = None
    last_rescue_seconds: float | None = None
    """From the verdict to the market's being clear."""
    sweep: SweepCounts = msgspec.field(default_factory=SweepCounts)


async def run_guard(settings: Settings, *, on_ready: Callable[[str], None] | None = None) -> bool:
    """Watch until SIGTERM or SIGINT. `on_ready` hears the port's URL once the guard is on watch.

    False where it was told to end before it had cleared the market of a daemon that cannot.

    Raises `StateLockError`, `ControlError`, `OSError`, `ValueError` (no key of its own) when it cannot start.
    """
    with StateLock(settings.state_dir, LOCK_NAME):
        guard = Guard(settings)
        try:
            return await guard.watch(on_ready)
        finally:
            await guard.close()


class Guard:
    """One watch. `state` is what /state shows."""

    def __init__(self, settings: Settings) -> None:
        exchange = settings.guard.exchange(settings.exchange)
        self._settings = settings.model_copy(update={"exchange": exchange})
        self._guard = settings.guard
        self._watch = HeartbeatWatch(settings.guard.timeout_seconds)
        self._halt_file = HaltFile(settings.state_dir)
        self._heartbeat = Heartbeat(settings.state_dir / GUARD_NAME)
        self._adapter = make_adapter(self._settings, _on_adapter_failure)
        self._sweeper = sweeper_of(self._settings, self._adapter)
        self._over = asyncio.Event()
        self._dealt_with: Health | None = None
        self._judgement = Judgement(Health.AWAITED, 0.0)
        self.state = GuardState(sweep=self._sweeper.counts)
        self._port = GuardPort(settings.guard, self.state)
        self._life = Life.LEFT
        """What is said of us once we are gone."""

    async def watch(self, on_ready: Callable[[str], None] | None) -> bool:
        """Look, and act, until told to end. False where the market is not known to be clear then, and should be."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._over.set)
        await self._port.start()
        log.info(
            "on watch", state_dir=str(self._settings.state_dir), timeout_seconds=self._guard.timeout_seconds, url=self._port.url
        )
        if on_ready is not None:
            on_ready(self._port.url)
        beating = loop.create_task(self._beat(), name="guard's heartbeat")
        acting = loop.create_task(self._act(), name="guard's rescue")
        ended = loop.create_task(self._over.wait(), name="end of the watch")
        done, _ = await asyncio.wait((beating, acting, ended), return_when=asyncio.FIRST_COMPLETED)
        for part in (beating, acting):
            part.cancel()
        ended.cancel()
        await asyncio.gather(beating, acting, ended, return_exceptions=True)
        for part in (beating, acting):
            if part in done:
                # A part that died ends the guard: its heartbeat stops, and a daemon that requires one pauses.
                part.result()
        if self._judgement.health not in PEACEFUL and not self.state.market_clear:
            log.critical(
                "told to end before the market was clear: orders of ours may be open, and nobody watches them now",
                daemon=self.state.daemon,
                orders_cancelled=self.state.sweep.orders,
                last_error=self.state.sweep.last_error,
            )
            return False
        self._life = Life.LEFT_CLEAN
        log.info("watch ended")
        return True

    async def close(self) -> None:
        """Close what was opened."""
        await self._port.stop()
        await self._adapter.close()
        self._heartbeat.close(self._life, time.time_ns())

    async def _beat(self) -> None:
        """Look at the daemon and show that we are here, whatever a rescue is waiting for."""
        while True:
            self._judgement = self._look()
            self.state.daemon = self._judgement.health.value
            self.state.silent_seconds = self._judgement.silent_seconds
            self._heartbeat.beat(time.time_ns())
            await asyncio.sleep(self._guard.interval_seconds)

    def _look(self) -> Judgement:
        try:
            beat = read_heartbeat(self._settings.state_dir / DAEMON_NAME)
        except (HeartbeatError, OSError) as error:
            log.error("the daemon's heartbeat cannot be read", error=str(error))
            beat = None
        return self._watch.look(beat, time.monotonic_ns())

    async def _act(self) -> None:
        patrol_at = 0.0
        while True:
            health = self._judgement.health
            if health in PEACEFUL:
                self._dealt_with = None
                self.state.market_clear = None
            elif health is not self._dealt_with:
                await self._rescue(health)
                patrol_at = time.monotonic() + self._guard.patrol_seconds
            elif time.monotonic() >= patrol_at:
                # What a stopped process had under way may arrive whenever it is let go on.
                await self._sweeper.clear(self._daemon_is_back)
                patrol_at = time.monotonic() + self._guard.patrol_seconds
            await asyncio.sleep(self._guard.interval_seconds)

    async def _rescue(self, health: Health) -> None:
        begun = time.monotonic()
        self.state.market_clear = False
        if health is Health.LOST:
            self.state.rescues += 1
            reason = f"guard: no heartbeat of the daemon for {self._judgement.silent_seconds:.1f} s"
            log.critical("the daemon is lost: latching the halt and cancelling everything of ours", reason=reason)
            self._latch(reason)
        else:
            log.warning("cancelling everything of ours: the daemon cannot", daemon=health.value)
        if await self._sweeper.clear(self._daemon_is_back):
            self.state.market_clear = True
            self.state.last_rescue_seconds = time.monotonic() - begun
            log.warning("the market is clear of our orders", seconds=round(self.state.last_rescue_seconds, 2))
        else:
            log.warning("the daemon's heart beats again; it halts and cancels by itself")
        self._dealt_with = health

    def _latch(self, reason: str) -> None:
        try:
            self._halt_file.latch(HaltRecord(halted=True, reason=reason, actor="guard", time_ns=time.time_ns()))
        except OSError as error:
            self.state.latched_on_disk = False
            log.critical("the halt latch cannot be written", error=str(error))
        else:
            self.state.latched_on_disk = True

    def _daemon_is_back(self) -> bool:
        return self._judgement.health in (Health.ALIVE, Health.LEFT_CLEAN)


def _on_adapter_failure(error: BaseException, where: str) -> None:
    raise AdapterError(f"nothing was started that could fail: {where}") from error


def guard_until_signal(settings: Settings) -> bool:
    """Run the event loop. As `run_guard`."""
    return asyncio.run(run_guard(settings))
