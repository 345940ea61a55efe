"""What a seed stands for: the trader's settings, what the market does, what goes wrong and when, and how it ends.

A story is data. It is drawn from its seed whole, before anything runs, so that parts of it can be taken out again to see whether
it still fails. Times are ns since the story's beginning.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Literal

import msgspec

NS = 1_000_000_000
MS = 1_000_000

Ending = Literal["halt", "halt_crash", "shutdown", "crash", "run", "leave_anew"]
"""`halt_crash`: halted, and killed at once; it comes back. `crash`: killed, and it does not come back. `leave_anew` (never drawn):
killed, and asked to leave as soon as it is back."""
ENDINGS: tuple[Ending, ...] = ("halt", "halt_crash", "shutdown", "shutdown", "crash", "run", "run")
TURNING_SHARE = 0.1
MOVES = ("move", "move", "move", "take", "take", "take", "sweep")


class MarketStep(msgspec.Struct, frozen=True):
    """The market does something: `move` (the background's prices go by `amount` ticks), `take` (somebody takes `amount` lots, of a
    buyer or, below zero, of a seller) or `sweep` (the same, through several levels)."""

    at_ns: int
    symbol: int
    kind: str
    amount: int


class Fault(msgspec.Struct, frozen=True):
    """Something goes wrong at `at_ns`. What lasts is over after `lasting_ns`, and strikes with a probability of `amount`."""

    at_ns: int
    kind: str
    lasting_ns: int = 0
    amount: float = 0.0


class Story(msgspec.Struct, frozen=True):
    """Everything that is to happen. `until_ns`: from here on nothing goes wrong any more, and the ending begins."""

    seed: int
    until_ns: int
    symbols: int
    ending: Ending
    market: tuple[MarketStep, ...]
    faults: tuple[Fault, ...]
    turns: bool = False
    """The market pays for a while, then goes against us, over a crash: limits are set for that."""


class FaultKind(msgspec.Struct, frozen=True):
    """One kind of fault: where it strikes, what it does, how it is drawn (lasting ns, amount)."""

    place: str
    effect: str
    draw: Callable[[Random], tuple[int, float]]


def _window(least_ms: int, most_ms: int, *chances: float) -> Callable[[Random], tuple[int, float]]:
    return lambda random: (random.randrange(least_ms, most_ms) * MS, random.choice(chances))


def _act(*amounts: float) -> Callable[[Random], tuple[int, float]]:
    return lambda random: (0, random.choice(amounts))


KINDS: dict[str, FaultKind] = {
    "lose_market": FaultKind("market feed", "frames never arrive", _window(100, 1_500, 0.1, 0.5, 1.0)),
    "delay_market": FaultKind("market feed", "frames arrive late, and all behind them", _window(200, 1_500, 0.3, 1.0)),
    "duplicate_market": FaultKind("market feed", "frames arrive twice", _window(200, 1_500, 0.5)),
    "reorder_market": FaultKind("market feed", "frames are overtaken by later ones", _window(200, 1_500, 0.3)),
    "corrupt_market": FaultKind("market feed", "frames arrive damaged", _window(100, 500, 0.1, 0.5)),
    "freeze_market": FaultKind("market feed", "silence on an open line, then all at once", _window(300, 2_500, 1.0)),
    "cut_market": FaultKind("market feed", "the connection breaks", _act(0.0)),
    "lose_requests": FaultKind("order line", "requests never arrive", _window(100, 800, 0.3, 1.0)),
    "delay_requests": FaultKind("order line", "requests arrive late", _window(100, 1_000, 0.5, 1.0)),
    "lose_replies": FaultKind("order line", "requests are carried out and never answered", _window(100, 800, 0.3, 1.0)),
    "delay_replies": FaultKind("order line", "answers come late", _window(100, 1_000, 0.5, 1.0)),
    "lose_user_events": FaultKind("order line", "the user stream loses events", _window(100, 1_500, 0.3, 1.0)),
    "duplicate_user_events": FaultKind("order line", "the user stream says things twice", _window(200, 2_000, 0.5, 1.0)),
    "reorder_user_events": FaultKind("order line", "events of the user stream overtake each other", _window(200, 1_500, 0.5)),
    "cut_orders": FaultKind("order line", "the connection breaks", _act(0.0)),
    "server_errors": FaultKind("exchange", "5xx, whether the request was carried out or not", _window(100, 800, 0.3, 1.0)),
    "late_execution": FaultKind("exchange", "5xx, and the request is carried out some time later", _window(200, 1_200, 0.3, 1.0)),
    "refuse_orders": FaultKind("exchange", "new orders are refused", _window(100, 1_000, 0.5, 1.0)),
    "ban": FaultKind("exchange", "418: everything is refused for a while", _window(200, 1_500, 1.0)),
    "rest_down": FaultKind("exchange", "snapshots and account requests fail", _window(200, 1_500, 1.0)),
    "restart": FaultKind("exchange", "the exchange goes down and comes back with its state", _window(50, 800, 0.0)),
    "reset": FaultKind("exchange", "the exchange comes back without its state", _window(50, 800, 0.0)),
    "exchange_clock": FaultKind("exchange", "its clock steps (ms)", _act(-1_500, -90, -40, 90, 400, 1_500)),
    "deposit": FaultKind("exchange", "base arrives that no trade explains (atoms)", _act(5_000_000, -3_000_000)),
    "stranger": FaultKind("exchange", "somebody else uses the account by hand", _act(0.0, 1.0)),
    "crash": FaultKind("process", "killed at this step of the next event", _act(*range(12))),
    "power_loss": FaultKind("process", "the machine loses power at this step", _act(*range(12))),
    "stop": FaultKind("process", "stands still, as by SIGSTOP, and goes on", _window(300, 2_500, 1.0)),
    "wall_clock": FaultKind("process", "the machine's clock steps (ms)", _act(-1_500, -300, -80, 80, 300, 1_500)),
    "disk_full": FaultKind("process", "nothing can be written", _window(300, 2_000, 1.0)),
    "halt": FaultKind("person", "halts", _act(0.0)),
    "resume": FaultKind("person", "resumes, if it is halted", _act(0.0)),
    "burst": FaultKind("market", "the price runs away (ticks)", _act(-60, -25, 25, 60)),
}
"""Every kind by its name."""

RARE = frozenset({"reset", "deposit", "halt"})
"""Ends most stories: drawn less often."""


def draw_story(seed: int) -> Story:
    """The story of a seed: the same on every machine."""
    turning = Random(f"turning {seed}")
    if turning.random() < TURNING_SHARE:
        return _draw_turning(turning, seed)
    random = Random(f"story {seed}")
    symbols = random.choice((1, 2))
    until_ns = random.randrange(3_000, 6_000) * MS
    market: list[MarketStep] = []
    now = 300 * MS
    mean_ms = random.choice((60, 90, 150))
    while now < until_ns:
        now += round(random.expovariate(1.0) * mean_ms * MS) + MS
        kind = random.choice(MOVES)
        amount = random.choice((-4, -2, -1, 1, 2, 4)) if kind == "move" else random.choice((-1, 1)) * random.randrange(5, 120)
        market.append(MarketStep(now, random.randrange(symbols), kind, amount))
    return Story(seed, until_ns, symbols, random.choice(ENDINGS), tuple(market), _draw_faults(random, until_ns))


def _draw_turning(random: Random, seed: int) -> Story:
    """Takers of both sides pay us the spread; then prices run one way, and takers with them, and in between the process dies."""
    symbols = random.choice((1, 2))
    turn_ns, until_ns = random.randrange(2_500, 3_500) * MS, random.randrange(5_000, 6_000) * MS
    direction, mean_ms = random.choice((-1, 1)), random.choice((150, 200, 250))
    market: list[MarketStep] = []
    now, taker = 500 * MS, 1
    while now < until_ns:
        now += random.randrange(mean_ms // 2, mean_ms * 3 // 2) * MS
        for symbol in range(symbols):
            if now < turn_ns:
                market.append(MarketStep(now, symbol, "take", taker * random.randrange(40, 100)))
            elif random.random() < 0.4:
                market.append(MarketStep(now, symbol, "take", direction * random.randrange(40, 100)))
            else:
                market.append(MarketStep(now, symbol, "move", direction * random.choice((1, 2))))
        taker = -taker
    crash = KINDS["crash"].draw(random)
    faults = [Fault(turn_ns + random.randrange(100, 900) * MS, "crash", *crash)]
    return Story(seed, until_ns, symbols, random.choice(ENDINGS), tuple(market), tuple(faults), turns=True)


def _draw_faults(random: Random, until_ns: int) -> tuple[Fault, ...]:
    # A few kinds of many strikes each tell more than all kinds once: rare conjunctions turn up sooner.
    names = [name for name in KINDS if name not in RARE or random.random() < 0.25]
    chosen = random.sample(names, random.randint(2, 6))
    faults: list[Fault] = []
    for _ in range(random.randint(2, 9)):
        kind = random.choice(chosen)
        at_ns = random.randrange(600 * MS, until_ns)
        lasting_ns, amount = KINDS[kind].draw(random)
        faults.append(Fault(at_ns, kind, min(lasting_ns, until_ns - at_ns), amount))
    return tuple(sorted(faults, key=lambda fault: fault.at_ns))


def describe(fault: Fault) -> str:
    """One line."""
    lasting = f" for {fault.lasting_ns / MS:.0f} ms" if fault.lasting_ns else ""
    amount = f" ({fault.amount:g})" if fault.amount else ""
    return f"{fault.kind}{lasting}{amount}: {KINDS[fault.kind].effect}"
