"""Noise traders: market orders, limit orders and cancels that excite one another and know nothing."""

from __future__ import annotations

from math import exp

from mmd.mock.simulation.desk import Desk, RestingOrder
from mmd.mock.simulation.draws import Draws
from mmd.mock.simulation.hawkes import HawkesFlow
from mmd.mock.simulation.parameters import SimulationParameters, SymbolParameters
from mmd.types.market import Side

_SIDES = (Side.BUY, Side.SELL)


class NoiseTraders:
    """All noise traders of one symbol, as one stream of orders."""

    def __init__(self, desk: Desk, symbol: SymbolParameters, parameters: SimulationParameters, draws: Draws, start_ns: int) -> None:
        self._desk = desk
        self._symbol = symbol
        self._parameters = parameters
        self._draws = draws
        self._flow = HawkesFlow(parameters.children, parameters.excitation_seconds, draws, start_ns)
        self._reaction_ns = parameters.watching_latency_ms * 1_000_000
        self._resting: tuple[list[RestingOrder], list[RestingOrder]] = ([], [])

    def open(self, now_ns: int) -> int:
        """Rest as many limit orders as usually rest; returns when the flow begins."""
        for _ in range(int(self._parameters.limit_order_rate * self._parameters.limit_order_seconds)):
            for side in _SIDES:
                self.rest(side, now_ns)
        return self._schedule(now_ns)

    def act(self, now_ns: int) -> int:
        """The next event of the flow, if any happens now. Returns when to look again."""
        kind = self._flow.fire(now_ns)
        if kind is not None:
            side = _SIDES[kind % 2]
            if kind < 2:
                self._take(side, now_ns)
            elif kind < 4:
                self.rest(side, now_ns)
            else:
                self._pull(side, now_ns)
        return self._schedule(now_ns)

    def withdraw_stale(self, now_ns: int) -> None:
        """Those who watch cancel what stands a step or more on the wrong side of the price they last saw."""
        seen = self._desk.efficient_ticks(now_ns - self._reaction_ns)
        step = self._symbol.step_ticks
        for side, resting in zip(_SIDES, self._resting, strict=True):
            for index in range(len(resting) - 1, -1, -1):
                order = resting[index]
                if (order.price_ticks - seen) * side.sign > step and self._draws.uniform() < self._parameters.watching_share:
                    self._remove(resting, index, now_ns)

    def rest(self, side: Side, now_ns: int, *, join: bool = False) -> None:
        """One limit order: inside the spread, at the touch (always with `join`) or behind it."""
        parameters, draws, step = self._parameters, self._draws, self._symbol.step_ticks
        bid_ticks, _, ask_ticks, _ = self._desk.touch(now_ns)
        sign = side.sign
        # Mirrored for sells, so that a greater number is a better price on either side.
        own, other = (bid_ticks, ask_ticks) if side is Side.BUY else (-ask_ticks, -bid_ticks)
        place = 1.0 if join else draws.uniform()
        if place < parameters.improve_share and other - own > step:
            price = (own // step + 1) * step
        elif join or place < parameters.improve_share + parameters.join_share:
            price = own
        else:
            price = (own // step - int(draws.exponential() * parameters.depth_steps)) * step
        if draws.uniform() < parameters.off_grid_share:
            price += int(draws.uniform() * step)
        price = min(price, other - parameters.min_spread_ticks)
        lots = self._lots(self._symbol.limit_size, self._symbol.limit_size_sigma, self._symbol.order_size_max)
        order = self._desk.rest(side, sign * price, lots, now_ns, None)
        if order is not None:
            self._resting[_SIDES.index(side)].append(order)

    def _take(self, side: Side, now_ns: int) -> None:
        symbol = self._symbol
        bid_ticks, _, ask_ticks, _ = self._desk.touch(now_ns)
        touch = ask_ticks if side is Side.BUY else bid_ticks
        limit = touch + side.sign * int(touch * self._parameters.protection_bps * 1e-4)
        self._desk.take(side, limit, self._lots(symbol.order_size, symbol.order_size_sigma, symbol.order_size_max), now_ns)

    def _pull(self, side: Side, now_ns: int) -> None:
        resting = self._resting[_SIDES.index(side)]
        if resting:
            self._remove(resting, int(self._draws.uniform() * len(resting)), now_ns)

    def _remove(self, resting: list[RestingOrder], index: int, now_ns: int) -> None:
        order = resting[index]
        resting[index] = resting[-1]
        resting.pop()
        if order.lots:
            self._desk.pull(order, now_ns)

    def _lots(self, median: float, sigma: float, largest: float) -> int:
        size = min(median * exp(sigma * self._draws.normal()), largest)
        return max(1, int(size * self._desk.lots_per_unit))

    def _schedule(self, now_ns: int) -> int:
        parameters = self._parameters
        activity = self._desk.prices.activity_at(now_ns)
        orders = parameters.market_order_rate * activity
        limits = parameters.limit_order_rate * activity
        # Each resting order is as likely to be cancelled as any other, so that their number reverts whatever arrives.
        bids, asks = (len(each) / parameters.limit_order_seconds for each in self._resting)
        return self._flow.schedule(now_ns, (orders, orders, limits, limits, bids, asks))


class Watchers:
    """Those noise traders who look at the market now and then, and withdraw orders that have become foolish."""

    def __init__(self, noise: NoiseTraders, parameters: SimulationParameters, draws: Draws) -> None:
        self._noise = noise
        self._rate = parameters.watching_wakes_per_second
        self._draws = draws

    def act(self, now_ns: int) -> int:
        """Withdraw. Returns when they look again."""
        self._noise.withdraw_stale(now_ns)
        return now_ns + self._draws.wait_ns(self._rate)
