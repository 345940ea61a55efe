"""The world of one story: time, the exchange, the process that comes and goes, the guard, and everybody's faults."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any

import msgspec

from mmd.daemon.checkpoint import CheckpointError
from mmd.daemon.heartbeat import Life
from mmd.exchanges.binance.market_frames import depth_frame, touch_frame, trade_frame
from mmd.mock.engine import EngineEvent, TradePrint
from mmd.simulation.adapter import SimulatedAdapter
from mmd.simulation.auditor import Auditor
from mmd.simulation.disk import SimulatedDisk, disks_in_memory
from mmd.simulation.exchange import SimulatedExchange
from mmd.simulation.guard import LOOK_NS, SimulatedGuard
from mmd.simulation.invariants import Violation, require
from mmd.simulation.network import Network
from mmd.simulation.process import ProcessCrashed, SimulatedProcess
from mmd.simulation.settings import SECRET, draw_surroundings
from mmd.simulation.story import MS, NS, Fault, Story, describe
from mmd.types.market import NO_UPDATE_ID, DepthUpdate, MarketTrade, Side, TouchUpdate
from mmd.types.orders import ExternalBalanceChange

START_NS = 1_700_000_000 * NS
DEPTH_NS = 200 * MS
QUIET_MOVE_NS = 300 * MS
QUIET_NS = 5 * NS
TOLD_LINES = 4_000
MARKET_EVENTS, TURNING_EVENTS = 540, 680
"""Once the core has heard so many events the market trades no more, so that with the quiet end a story costs a thousand at most; a
turning market's come later, and little else happens there."""
LARGEST_FILE_BYTES = 20_000
BROKEN = f"reset by peer: wss://venue/?signature={SECRET}"


class Outcome(msgspec.Struct, frozen=True):
    """What became of a story. `violation` is the invariant's name and the text, or None."""

    seed: int
    violation: tuple[str, str] | None
    events: int
    """Events that the core handled."""
    injected: dict[str, int]
    """How often each kind of fault struck."""
    counts: dict[str, int]
    """Orders, fills, restarts, halts: whether much happened at all."""
    told: tuple[str, ...]


class SimulatedWorld:
    """Made for one story, run once. With `telling` it keeps a line for everything that matters."""

    def __init__(self, story: Story, *, telling: bool = False) -> None:
        self.story = story
        self.surroundings = draw_surroundings(story.seed, story.symbols, turns=story.turns)
        random = Random(f"world {story.seed}")
        self._random = random
        self.network = Network(story, self.surroundings, START_NS)
        self.exchange = SimulatedExchange(self.surroundings, random)
        self.disk = SimulatedDisk(random)
        self.disk.on_step = self.on_step
        self.disk.full = lambda: self.network.strike("disk_full")
        self._auditor = Auditor(self.network, self.exchange)
        self.guard = SimulatedGuard(self, self.exchange)
        self.process: SimulatedProcess | None = None
        self.counts: Counter[str] = Counter()
        self.told: list[str] | None = [] if telling else None
        self._wall_offset_ns = 0
        self._steps_to_crash: int | None = None
        self._loses_power = False
        self._guard_looks = False
        self._over = False
        self._touches: dict[str, Sequence[int]] = {}
        self._quiet_ns = 0
        self.network.published = self.published

    # ---- what others ask of it

    @property
    def witness(self) -> Auditor:
        """Who looks on."""
        return self._auditor

    def elapsed_ns(self) -> int:
        """A clock that nobody sets."""
        return self.network.now_ns

    def wall_ns(self) -> int:
        """The machine's clock."""
        return self.network.now_ns + self._wall_offset_ns

    def later(self, delay_ns: int, act: Callable[[], None]) -> None:
        """After so long."""
        self.network.later(delay_ns, act)

    def on_step(self) -> None:
        """Here the process may die."""
        if self._steps_to_crash is not None and not self._guard_looks:
            if self._steps_to_crash == 0:
                self._steps_to_crash = None
                raise ProcessCrashed
            self._steps_to_crash -= 1

    def heartbeat(self, life: Life) -> None:
        """What the daemon shows of itself."""
        self.guard.heard(life)

    def open_orders_audit(self) -> list[tuple[str, str]]:
        """Asked over a connection of its own."""
        return [(order.symbol, order.client_order_id) for order in self.exchange.ours()]

    def make_adapter(self, process: SimulatedProcess) -> SimulatedAdapter:
        """A process's way to the exchange."""
        adapter = SimulatedAdapter(self.network, self.exchange, process)
        self.network.damage = adapter.damaged
        return adapter

    def tell(self, text: str) -> None:
        """A line of the story."""
        if self.told is not None and len(self.told) < TOLD_LINES:
            self.told.append(f"{(self.network.now_ns - START_NS) / NS:7.3f} {text}")

    # ---- the process

    def _start_process(self) -> None:
        self.counts["starts"] += 1
        self.tell("the process starts")
        try:
            self.process = SimulatedProcess(self)
        except CheckpointError as error:
            raise Violation("start", str(error)) from error
        except ProcessCrashed:
            self._after_death()
            return
        if self.told is not None:
            listen(self, self.process)
        if self._over and self.story.ending == "leave_anew":
            self.process.leave()

    def died(self, process: SimulatedProcess) -> None:
        """Exited or killed."""
        self.process = None
        self._steps_to_crash = None
        self.counts["orders"] += process.trader.orders.orders_sent
        self.counts["fills"] += sum(desk.fills for desk in process.trader.desks.values())
        if process.exited:
            self.tell("the process has left")
            self.guard.heard(Life.LEFT_CLEAN)
            self.counts["exits"] += 1
            self.witness.on_exit()
            return
        self._after_death()

    def _after_death(self) -> None:
        self.counts["deaths"] += 1
        self.tell("the process is dead" + (", the power was lost" if self._loses_power else ""))
        if self._loses_power:
            self._loses_power = False
            self.disk.lose_power()
        if not self._over or self.story.ending != "crash":
            self.later(self._random.randrange(100, 900) * MS, self._start_process)

    # ---- the market

    def published(self, symbol: str, events: Sequence[EngineEvent]) -> None:
        """Frames and user events of what happened."""
        process = self.process
        if process is None:
            return
        clock_ns = self.exchange.clock_ns(self.network.now_ns)
        instrument = self.exchange.instruments[symbol]
        frames: list[bytes] = []
        for event in events:
            if isinstance(event, TradePrint):
                aggressor = Side.SELL if event.buyer_is_maker else Side.BUY
                frames.append(
                    trade_frame(
                        instrument, MarketTrade(symbol, 0, clock_ns, event.trade_id, event.price_ticks, event.lots, aggressor)
                    )
                )
            else:
                told = self.exchange.account_events(event)
                if told:
                    process.adapter.publish_user(told)
        touch = self.exchange.engine.touch(symbol)
        if touch[1:] != self._touches.get(symbol) and touch[1] and touch[3]:
            self._touches[symbol] = touch[1:]
            frames.append(touch_frame(instrument, TouchUpdate(symbol, 0, clock_ns, *touch)))
        if frames:
            process.adapter.publish_market(frames)

    def _depth_beat(self) -> None:
        self.later(DEPTH_NS, self._depth_beat)
        if self.exchange.is_down:
            return
        clock_ns = self.exchange.clock_ns(self.network.now_ns)
        for symbol, instrument in self.exchange.instruments.items():
            changes = self.exchange.engine.take_depth_changes(symbol)
            if changes is not None:
                self.exchange.note_book(symbol)
                update = DepthUpdate(
                    symbol, 0, clock_ns, changes.first_update_id, changes.final_update_id, NO_UPDATE_ID, changes.bids, changes.asks
                )
                if self.process is not None:
                    self.process.adapter.publish_market([depth_frame(instrument, update)])

    def _quiet_move(self) -> None:
        """The lines are whole, and nobody trades: prices go to and fro so that they can be seen to be fresh."""
        self.later(QUIET_MOVE_NS, self._quiet_move)
        if not self.exchange.is_down:
            self._quiet_ns += 1
            for symbol in self.exchange.symbols:
                self.published(symbol, self.exchange.move(symbol, 1 if self._quiet_ns % 2 else -1, self.network.now_ns))

    def _market_step(self, step: Any) -> None:
        if not self.exchange.is_down and self.witness.checks < (TURNING_EVENTS if self.story.turns else MARKET_EVENTS):
            self.published(*self.exchange.act(step, self.network.now_ns))

    # ---- faults

    def _fault(self, fault: Fault) -> None:
        self.tell(f"FAULT {describe(fault)}")
        act = getattr(self, f"_fault_{fault.kind}", None)
        if act is None:
            self.network.switch_on(fault)
        else:
            self.network.injected[fault.kind] += 1
            act(fault)

    def _fault_cut_market(self, fault: Fault) -> None:
        if self.process is not None:
            self.process.adapter.cut_feed(BROKEN)

    def _fault_cut_orders(self, fault: Fault) -> None:
        if self.process is not None:
            self.process.adapter.cut_orders(BROKEN)

    def _fault_restart(self, fault: Fault, *, keep_state: bool = True) -> None:
        if self.exchange.is_down:
            return
        self.exchange.go_down()
        for cut in ("cut_feed", "cut_orders"):
            if self.process is not None:
                getattr(self.process.adapter, cut)("the exchange is down")

        def come_up() -> None:
            happened = self.exchange.come_up(self.network.now_ns, keep_state=keep_state)
            self.tell("the exchange is back" + ("" if keep_state else ", without its state"))
            for symbol, events in happened:
                self.published(symbol, events)

        self.later(fault.lasting_ns, come_up)

    def _fault_reset(self, fault: Fault) -> None:
        self._fault_restart(fault, keep_state=False)

    def _fault_exchange_clock(self, fault: Fault) -> None:
        self.exchange.offset_ns += round(fault.amount) * MS

    def _fault_deposit(self, fault: Fault) -> None:
        if self.exchange.is_down:
            return
        amount = round(fault.amount)
        _, asset = self.exchange.deposit(amount, self.network.now_ns)
        if self.process is not None:
            self.process.adapter.publish_user([ExternalBalanceChange(0, asset, amount)])

    def _fault_stranger(self, fault: Fault) -> None:
        if not self.exchange.is_down:
            self.published(*self.exchange.stranger(bool(fault.amount), self.network.now_ns))

    def _fault_crash(self, fault: Fault) -> None:
        if self.process is not None:
            self._steps_to_crash = round(fault.amount)

    def _fault_power_loss(self, fault: Fault) -> None:
        if self.process is not None:
            self._steps_to_crash = round(fault.amount)
            self._loses_power = True

    def _fault_stop(self, fault: Fault) -> None:
        if self.process is not None:
            self.process.stand_still(partial(self.later, fault.lasting_ns))

    def _fault_wall_clock(self, fault: Fault) -> None:
        self._wall_offset_ns += round(fault.amount) * MS

    def _fault_halt(self, fault: Fault) -> None:
        if self.process is not None:
            self.process.halt("a person has a bad feeling")

    def _fault_resume(self, fault: Fault) -> None:
        if self.process is not None:
            self.process.resume("a person has looked into it")

    def _fault_burst(self, fault: Fault) -> None:
        if not self.exchange.is_down:
            for symbol in self.exchange.symbols:
                self.published(symbol, self.exchange.move(symbol, round(fault.amount), self.network.now_ns))

    # ---- the story

    def run(self) -> None:
        """From beginning to end. Raises `Violation`."""
        story, network = self.story, self.network
        self.exchange.open_market(network.now_ns)
        network.at(START_NS + 50 * MS, self._start_process)
        network.at(START_NS + 75 * MS, self._depth_beat)
        for step in story.market:
            network.at(START_NS + step.at_ns, partial(self._market_step, step))
        for fault in story.faults:
            network.at(START_NS + fault.at_ns, partial(self._fault, fault))
        network.at(START_NS + story.until_ns, self._end)
        self._look()
        while network.step(START_NS + story.until_ns + QUIET_NS):
            pass
        self.tell("everything is quiet")
        for name, content in self.disk.contents():
            require(SECRET.encode() not in content, "secrets", f"{name} on the disk holds one")
            require(len(content) < LARGEST_FILE_BYTES, "bounds", f"{name} on the disk is {len(content)} bytes long")
        self.witness.finish(self.process)

    def _look(self) -> None:
        self.later(LOOK_NS, self._look)
        self._guard_looks = True
        self.guard.look(self.network.now_ns)
        self._guard_looks = False

    def _end(self) -> None:
        """Nothing goes wrong any more; the story comes to its ending."""
        self._over = True
        self._quiet_move()
        self._take_leave()

    def _take_leave(self) -> None:
        ending = self.story.ending
        if ending == "run":
            return
        if self.process is None:
            if self.counts["exits"] or ending in ("crash", "leave_anew"):
                return
            self.later(300 * MS, self._take_leave)
            return
        self.tell(f"ending: {ending}")
        if ending.startswith("halt"):
            self.process.halt("the end of the story")
            if ending == "halt_crash" and self.process is not None:
                self._steps_to_crash = self._random.randrange(3)
        elif ending == "shutdown":
            self.process.leave()
        else:
            self._steps_to_crash = 0
            self.process.deliver()


def listen(world: SimulatedWorld, process: SimulatedProcess) -> None:
    """Tell of everything but the market that the process hears, and of all it sends."""
    send, handle = process.adapter.send, process.dispatcher

    def told_send(command: Any) -> None:
        world.tell(f"  sends {command}")
        send(command)

    class Told:
        def __call__(self, event: Any) -> None:
            if type(event).__name__ not in ("TouchUpdate", "DepthUpdate", "MarketTrade", "BatchEnd", "Timer", "DepthSnapshot"):
                world.tell(f"  hears {event}")
            was = process.trader.safeguards.latch.halted
            handle(event)
            if process.trader.safeguards.latch.halted and not was:
                world.tell(f"  halts: {process.trader.safeguards.latch.record.reason}")

        def __getattr__(self, name: str) -> Any:
            return getattr(handle, name)

    process.adapter.send = told_send  # type: ignore[method-assign]
    process.dispatcher = Told()  # type: ignore[assignment]


def run_story(story: Story, *, telling: bool = False) -> Outcome:
    """Let it happen. Never raises for what the story brings to light; errors of the simulation itself do come out."""

    async def within_a_loop() -> Outcome:
        # The dispatcher makes futures, which want a loop to be made in; nothing here ever waits.
        return _run(story, telling)

    with disks_in_memory():
        return asyncio.run(within_a_loop())


def _run(story: Story, telling: bool) -> Outcome:
    world = SimulatedWorld(story, telling=telling)
    violation: tuple[str, str] | None = None
    try:
        world.run()
    except Violation as found:
        violation = (found.name, found.text)
        world.tell(f"VIOLATION {found}")
    if world.process is not None:
        world.counts["orders"] += world.process.trader.orders.orders_sent
        world.counts["fills"] += sum(desk.fills for desk in world.process.trader.desks.values())
    world.counts["halted"] = int(world.witness.ever_halted)
    world.counts["cancelled by the guard"] = world.guard.acted
    return Outcome(
        story.seed, violation, world.witness.checks, dict(world.network.injected), dict(world.counts), tuple(world.told or ())
    )
