"""The daemon's process in the simulation: its own dispatcher, core, latch and checkpoint, on a disk in memory; mortal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, cast

import msgspec

from mmd.daemon.checkpoint import CheckpointError, CheckpointFile
from mmd.daemon.dispatcher import Dispatcher, ResumeRefused
from mmd.daemon.halt_file import HaltFile
from mmd.daemon.heartbeat import Life
from mmd.daemon.latency import StageClock
from mmd.exchanges.adapter import VenueCommand
from mmd.execution.client_order_ids import base36
from mmd.mock.engine import EngineEvent
from mmd.simulation.adapter import SimulatedAdapter
from mmd.simulation.disk import SimulatedDisk
from mmd.simulation.settings import draw_config
from mmd.simulation.story import MS, Story
from mmd.trader import Trader
from mmd.types.control import HaltRecord, HaltRequest, Shutdown, Timer
from mmd.types.market import BatchEnd
from mmd.types.orders import CancelOrder

TIMER_NS = 100 * MS
BEATS_PER_RETRY = 5
SWEEPS = 12
SWEEP_NS = 250 * MS
VENUE_ACCOUNT = "simulated"


class ProcessCrashed(BaseException):
    """The process ends here, in the middle of whatever it does. Nothing may catch it but the world."""


class Witness(Protocol):
    """Who sees everything the process does."""

    def started(self, process: SimulatedProcess) -> None:
        """It runs."""

    def before_event(self, event: Any) -> None:
        """It is about to hear this."""

    def after_event(self, event: Any) -> None:
        """It has dealt with this."""

    def on_send(self, command: VenueCommand) -> None:
        """It is about to send this."""

    def latch_written(self, record: HaltRecord) -> None:
        """The latch is on disk, it believes."""

    def resume_asked(self) -> None:
        """A person resumes."""

    def on_leaving(self) -> None:
        """The core says that it is done."""


class World(Protocol):
    """What the process needs of it."""

    disk: SimulatedDisk
    story: Story

    @property
    def witness(self) -> Witness:
        """Who looks on."""

    def wall_ns(self) -> int:
        """The machine's clock."""

    def elapsed_ns(self) -> int:
        """A clock that nobody sets."""

    def later(self, delay_ns: int, act: Callable[[], None]) -> None:
        """Do it after so long."""

    def on_step(self) -> None:
        """Something is about to be done; raises `ProcessCrashed` where this is the end."""

    def died(self, process: SimulatedProcess) -> None:
        """It is no more."""

    def heartbeat(self, life: Life) -> None:
        """So it says of itself to the guard."""

    def published(self, symbol: str, events: Sequence[EngineEvent]) -> None:
        """The exchange tells of what happened."""

    def open_orders_audit(self) -> list[tuple[str, str]]:
        """Symbol and client id of every order of ours, by the venue's word."""

    def make_adapter(self, process: SimulatedProcess) -> SimulatedAdapter:
        """Its way to the exchange."""


class _WatchedHaltFile(HaltFile):
    """Tells the witness what was written."""

    def __init__(self, disk: SimulatedDisk, witness: Witness) -> None:
        super().__init__(cast(Any, disk.directory))
        self._witness = witness

    def write(self, record: HaltRecord) -> None:
        super().write(record)
        self._witness.latch_written(record)

    def latch(self, record: HaltRecord) -> HaltRecord:
        standing = super().latch(record)
        self._witness.latch_written(standing)
        return standing


class SimulatedProcess:
    """One run of the daemon. Raises `CheckpointError` when it cannot start from what lies on the disk."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._witness = world.witness
        self.alive = True
        self.exited = False
        self._sweeping = False
        self._missed: list[tuple[Any, ...]] | None = None
        self.started_ns = world.wall_ns()
        self._utc_at_zero_ns = self.started_ns - world.elapsed_ns()
        self._beats = 0
        halt_file = self._halt_file = open_halt_file(world)
        checkpoint = CheckpointFile(cast(Any, world.disk.directory), VENUE_ACCOUNT)
        document, halt = checkpoint.read(), halt_file.read(self.started_ns)
        self.adapter = world.make_adapter(self)
        story = world.story
        config = draw_config(story.seed, story.symbols, base36(self.started_ns // MS), turns=story.turns)
        self.config = config
        try:
            self.trader = Trader(config, self.adapter.instruments, checkpoint=document, halt=halt)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"the checkpoint does not fit: {type(error).__name__}: {error}") from error
        self.dispatcher = Dispatcher(self.trader, self._send, halt_file, checkpoint, StageClock(), self.clock_ns)
        self._witness.started(self)
        self.adapter.start()
        world.later(TIMER_NS, self._beat)

    def clock_ns(self) -> int:
        """As the daemon's steady clock: the machine's as it stood at the start, carried on by one that nobody sets."""
        return self._utc_at_zero_ns + self._world.elapsed_ns()

    def stand_still(self, until: Callable[[Callable[[], None]], None]) -> None:
        """Stopped, as by SIGSTOP: what comes meanwhile is dealt with once `until` calls what it is given."""
        if self._missed is None:
            self._missed = []
            until(self._go_on)

    def _go_on(self) -> None:
        """The loop finds everything ready at once: sockets or the timer first, as it happens.

        What lay in the kernel's buffers meanwhile is read now, and bears the time of that.
        """
        missed, self._missed = self._missed or [], None
        now_ns = self.clock_ns()
        for batch in missed:
            self.deliver(*(msgspec.structs.replace(event, receive_ns=now_ns) for event in batch))

    def deliver(self, *events: Any) -> None:
        """Events, and the end of their batch."""
        if self._missed is not None:
            self._missed.append(events)
            return
        self._guarded(lambda: self._handle((*events, BatchEnd(self.clock_ns()))))

    def _guarded(self, act: Callable[[], None]) -> None:
        if not self.alive:
            return
        try:
            act()
        except ProcessCrashed:
            self._die()
            return
        if self.dispatcher.exited.done() and not self._sweeping:
            self._sweeping = True
            self._witness.on_leaving()
            self._sweep(SWEEPS)

    def _handle(self, events: Sequence[Any]) -> None:
        for event in events:
            self._world.on_step()
            self._witness.before_event(event)
            self.dispatcher(event)
            self._witness.after_event(event)

    def _send(self, command: VenueCommand) -> None:
        self._world.on_step()
        self._witness.on_send(command)
        self.adapter.send(command)

    def _beat(self) -> None:
        if not self.alive:
            return
        self._world.later(TIMER_NS, self._beat)
        if self._missed is not None:
            return
        self._guarded(self._pulse)
        self._beats += 1
        if self._beats % BEATS_PER_RETRY == 0:
            self._guarded(self.dispatcher.state.retry)

    def _pulse(self) -> None:
        """As the daemon's: a halt from outside first, then the heartbeat, then the core's timer."""
        now_ns = self.clock_ns()
        latched = self._halt_file.latched_by_another(now_ns)
        if latched is not None:
            self._handle((HaltRequest(now_ns, latched.reason, latched.actor),))
        self._world.heartbeat(Life.CUT_OFF if self.trader.cut_off else Life.RUNNING)
        self._handle((Timer(now_ns),))

    # ---- people

    def halt(self, reason: str) -> None:
        """A person halts it."""
        self._guarded(lambda: self._handle((HaltRequest(self.clock_ns(), reason, "cli"),)))

    def resume(self, reason: str) -> None:
        """A person resumes it, if it is halted."""
        if not self.alive or not self.trader.safeguards.latch.halted:
            return

        def act() -> None:
            self._witness.resume_asked()
            try:
                self.dispatcher.resume(reason, "cli")
            except ResumeRefused:
                return

        self._guarded(act)

    def leave(self) -> None:
        """It is asked to go."""
        self._guarded(lambda: self._handle((Shutdown(self.clock_ns(), "SIGTERM"),)))

    def _sweep(self, rounds: int) -> None:
        """As the daemon does before it goes: ask the venue itself what is open, and cancel it, until nothing is."""
        if not self.alive:
            return
        listed = self._world.open_orders_audit()
        if not listed or rounds == 0:
            self.exited = True
            self._die()
            return
        for symbol, name in listed:
            self._guarded(partial(self._send, CancelOrder(self.clock_ns(), name, symbol)))
        self._world.later(SWEEP_NS, lambda: self._sweep(rounds - 1))

    def _die(self) -> None:
        self.alive = False
        self.adapter.close()
        self._world.died(self)


def open_halt_file(world: World) -> HaltFile:
    """The latch on the world's disk, the witness looking on."""
    return _WatchedHaltFile(world.disk, world.witness)
