"""Competing makers: ladders of orders around each maker's own, late and imperfect, idea of the price."""

from __future__ import annotations

from math import exp, floor, sqrt, tanh

from mmd.mock.simulation.desk import Desk, RestingOrder
from mmd.mock.simulation.draws import Draws
from mmd.mock.simulation.parameters import MakerParameters, SimulationParameters, SymbolParameters
from mmd.types.market import Side

_FORESIGHT_ERROR_SECONDS = 1.5
_HYSTERESIS_STEPS = 0.75
_SIZE_SIGMA = 0.7
_TOO_LARGE = 4.0
_NEAR_RUNGS = 3
_INVENTORY_ORDERS = 10.0


class Wandering:
    """A number that reverts to 0 in `seconds` and has standard deviation `sigma` (Ornstein-Uhlenbeck), read at irregular times."""

    __slots__ = ("_draws", "_read_ns", "_seconds", "_sigma", "_value")

    def __init__(self, sigma: float, seconds: float, draws: Draws, now_ns: int) -> None:
        self._sigma = sigma
        self._seconds = seconds
        self._draws = draws
        self._read_ns = now_ns
        self._value = sigma * draws.normal()

    def at(self, now_ns: int) -> float:
        """The number now. Time must not go back."""
        keep = exp((self._read_ns - now_ns) * 1e-9 / self._seconds)
        self._read_ns = now_ns
        self._value = self._value * keep + self._sigma * sqrt(1 - keep * keep) * self._draws.normal()
        return self._value


class Maker:
    """One maker of one symbol. It wakes, estimates, and moves those of its orders that stand wrong; it takes nothing."""

    def __init__(
        self,
        desk: Desk,
        symbol: SymbolParameters,
        maker: MakerParameters,
        parameters: SimulationParameters,
        draws: Draws,
        now_ns: int,
    ) -> None:
        self._desk = desk
        self._maker = maker
        self._draws = draws
        self._latency_ns = int(maker.latency_ms * 1_000_000 * (0.5 + draws.uniform()))
        self._error = Wandering(maker.error_steps, maker.error_seconds, draws, now_ns)
        self._foresight_ns = parameters.foresight_ms * 1_000_000
        self._foresight_error = Wandering(parameters.foresight_noise_steps, _FORESIGHT_ERROR_SECONDS, draws, now_ns)
        self._foresight_scale = parameters.foresight_scale_steps
        self._withdrawal_steps = parameters.foresight_withdrawal_steps
        self._size_lean = parameters.foresight_size_lean
        self._inventory_seconds = parameters.inventory_seconds
        self._min_spread_ticks = parameters.min_spread_ticks
        self._size_lots = symbol.maker_size * maker.size_factor * desk.lots_per_unit
        self._inventory = 0.0
        self._woke_ns = now_ns
        self._fair = 0.0
        self._best = {Side.BUY: 0, Side.SELL: 0}
        self._orders: dict[Side, dict[int, RestingOrder]] = {Side.BUY: {}, Side.SELL: {}}
        self._ladder = [
            (rung, max(1, rung // 4), index < _NEAR_RUNGS, 1 + maker.size_growth * rung, maker.behind_factor if rung else 1.0)
            for index, rung in enumerate(maker.rungs)
        ]
        """Of each rung: steps from the first, the steps that its price is a multiple of, whether it is near, and two factors of
        its size."""

    def filled(self, side: Side, lots: int) -> None:
        """Inventory grows with what was bought."""
        self._inventory += side.sign * lots

    def act(self, now_ns: int) -> int:
        """Requote. Returns when it looks again."""
        desk, maker = self._desk, self._maker
        self._inventory *= exp((self._woke_ns - now_ns) * 1e-9 / self._inventory_seconds)
        self._woke_ns = now_ns
        known = desk.efficient_ticks(now_ns - self._latency_ns) / desk.step_ticks
        skew = maker.inventory_skew_steps * tanh(self._inventory / (_INVENTORY_ORDERS * self._size_lots))
        fair = known + self._error.at(now_ns) - skew
        outlook = self._outlook(now_ns)
        # The side the price moves towards is in danger: its orders leave before those of the other side are placed.
        sides = (Side.SELL, Side.BUY) if fair > self._fair else (Side.BUY, Side.SELL)
        self._fair = fair
        for side in sides:
            self._requote(side, fair, outlook * side.sign, now_ns)
        return now_ns + self._draws.wait_ns(maker.wakes_per_second)

    def _outlook(self, now_ns: int) -> float:
        """What the maker makes of the coming move, from -1 (down) to 1 (up)."""
        if not self._maker.foresight:
            return 0.0
        desk = self._desk
        coming = (desk.efficient_ticks(now_ns + self._foresight_ns) - desk.efficient_ticks(now_ns)) / desk.step_ticks
        return self._maker.foresight * tanh((coming + self._foresight_error.at(now_ns)) / self._foresight_scale)

    def _requote(self, side: Side, fair: float, favour: float, now_ns: int) -> None:
        """Bring one side's ladder to where it should stand. `favour` is the outlook seen from this side."""
        desk, sign = self._desk, side.sign
        anchor = sign * fair - self._maker.half_spread_steps - self._withdrawal_steps * max(0.0, -favour)
        best = self._best[side]
        if abs(anchor - best - 0.5) > _HYSTERESIS_STEPS:
            best = self._best[side] = floor(anchor)
        bid_ticks, _, ask_ticks, _ = desk.touch(now_ns)
        # Mirrored for sells: the highest step that keeps the least spread, and so does not take.
        limit = ((ask_ticks if side is Side.BUY else -bid_ticks) - self._min_spread_ticks) // desk.step_ticks
        first = min(best, limit)
        size = self._size_lots * exp(self._size_lean * favour)
        far, step = self._size_lots, sign * desk.step_ticks
        wanted: dict[int, float] = {}
        for rung, coarse, is_near, growth, behind in self._ladder:
            wanted[(first - rung) // coarse * coarse * step] = (size if is_near else far) * growth * behind
        self._replace(side, wanted, bid_ticks if side is Side.BUY else ask_ticks, now_ns)

    def _replace(self, side: Side, wanted: dict[int, float], touch_ticks: int, now_ns: int) -> None:
        desk, orders, sign = self._desk, self._orders[side], side.sign
        for price, order in list(orders.items()):
            lots = order.lots
            if lots <= 0 or sign * (price - touch_ticks) > 0 or lots > _TOO_LARGE * wanted.get(price, 0.0):
                del orders[price]
                if lots:
                    desk.pull(order, now_ns)
        for price, size in wanted.items():
            if price not in orders:
                lots = max(1, int(size * exp(_SIZE_SIGMA * self._draws.normal())))
                order_placed = desk.rest(side, price, lots, now_ns, self)
                if order_placed is not None:
                    orders[price] = order_placed
