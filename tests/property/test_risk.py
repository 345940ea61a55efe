"""No sequence of allowed placements, fills, cancels and lost answers takes the worst case above a limit."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mmd.risk.checks import PreTradeChecks, RiskView
from mmd.risk.limits import RiskLimits
from mmd.risk.loss import LossBudget
from mmd.risk.order_rate import OrderRateBudget
from mmd.types.instrument import Instrument, atoms
from mmd.types.market import Side

INSTRUMENTS = {
    "BTCUSDT": Instrument.create("BTCUSDT", "BTC", "USDT", tick_size="0.01", lot_size="0.00001", min_notional="5"),
    "ETHUSDT": Instrument.create("ETHUSDT", "ETH", "USDT", tick_size="0.01", lot_size="0.0001", min_notional="5"),
}
TOUCH = {"BTCUSDT": (1_999_995, 2_000_005), "ETHUSDT": (99_990, 100_010)}
LIMITS = RiskLimits(
    max_order_notional=Decimal(600),
    max_position_notional=Decimal(1_000),
    max_gross_exposure_notional=Decimal(1_500),
    max_orders_per_10s=100_000,
    max_orders_per_day=1_000_000,
    max_open_orders=6,
)


@dataclass
class Order:
    symbol: str
    side: Side
    left: int
    state: str = "live"


@dataclass
class Account:
    """The truth about one symbol, reckoned apart from the checks."""

    position_lots: int = 0
    orders: list[Order] = field(default_factory=list)

    def at_risk(self, side: Side) -> int:
        return sum(order.left for order in self.orders if order.side is side)

    def worst_lots(self) -> int:
        return max(abs(self.position_lots + self.at_risk(Side.BUY)), abs(self.position_lots - self.at_risk(Side.SELL)))


def notional(symbol: str, lots: int) -> Decimal:
    instrument, (bid, ask) = INSTRUMENTS[symbol], TOUCH[symbol]
    return instrument.quantity(lots) * instrument.price(bid + ask) / 2


class Exposure(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.checks = PreTradeChecks(LIMITS, OrderRateBudget(LIMITS), INSTRUMENTS.values())
        self.accounts = {symbol: Account() for symbol in INSTRUMENTS}
        self.orders: list[Order] = []

    def view(self, symbol: str) -> RiskView:
        account, instrument = self.accounts[symbol], INSTRUMENTS[symbol]
        bid, ask = TOUCH[symbol]
        (other,) = (name for name in INSTRUMENTS if name != symbol)
        far = self.accounts[other]
        return RiskView(
            symbol=symbol,
            halted=False,
            mode_allows=True,
            bid_ticks=bid,
            ask_ticks=ask,
            position_atoms=account.position_lots * instrument.lot_atoms,
            buy_at_risk_lots=account.at_risk(Side.BUY),
            sell_at_risk_lots=account.at_risk(Side.SELL),
            other_exposure_atoms=self.checks.exposure_atoms(
                other,
                far.position_lots * INSTRUMENTS[other].lot_atoms,
                far.at_risk(Side.BUY),
                far.at_risk(Side.SELL),
                *TOUCH[other],
            ),
            open_orders=len(self.orders),
            data_age_ns=0,
            feed_lag_ns=0,
        )

    @rule(
        symbol=st.sampled_from(sorted(INSTRUMENTS)),
        side=st.sampled_from(list(Side)),
        offset=st.integers(-50, 50),
        usd=st.integers(1, 700),
    )
    def place(self, symbol: str, side: Side, offset: int, usd: int) -> None:
        bid, ask = TOUCH[symbol]
        price = (bid + ask) // 2 + offset
        instrument = INSTRUMENTS[symbol]
        lots = usd * 100_000_000 // (price * instrument.notional_atoms)
        if self.checks.check(self.view(symbol), side, price, lots) is None:
            order = Order(symbol, side, lots)
            self.orders.append(order)
            self.accounts[symbol].orders.append(order)

    def _gone(self, order: Order) -> None:
        self.orders.remove(order)
        self.accounts[order.symbol].orders.remove(order)

    @rule(place=st.integers(0, 10), share=st.fractions(0, 1))
    def fill(self, place: int, share: Decimal) -> None:
        """Whatever its state: an order that is being cancelled or whose fate is unknown can still fill."""
        if not self.orders:
            return
        order = self.orders[place % len(self.orders)]
        lots = max(1, int(order.left * share))
        order.left -= lots
        self.accounts[order.symbol].position_lots += order.side.sign * lots
        if order.left == 0:
            self._gone(order)

    @rule(place=st.integers(0, 10), state=st.sampled_from(["unknown", "cancelling"]))
    def answer_is_lost(self, place: int, state: str) -> None:
        if self.orders:
            self.orders[place % len(self.orders)].state = state

    @rule(place=st.integers(0, 10))
    def cancel_is_confirmed(self, place: int) -> None:
        if self.orders:
            self._gone(self.orders[place % len(self.orders)])

    @rule(symbol=st.sampled_from(sorted(INSTRUMENTS)), side=st.sampled_from(list(Side)), lots=st.integers(1, 100_000))
    def reduce(self, symbol: str, side: Side, lots: int) -> None:
        """A reduce-only order that is let through and fills at once never grows or flips the position."""
        bid, ask = TOUCH[symbol]
        account = self.accounts[symbol]
        if self.checks.check(self.view(symbol), side, bid if side is Side.SELL else ask, lots, reduce_only=True) is None:
            before = account.position_lots
            after = before + side.sign * (lots + account.at_risk(side))
            assert abs(after) < abs(before)
            assert after * before >= 0
            account.position_lots += side.sign * lots

    @invariant()
    def no_position_can_pass_its_limit(self) -> None:
        for symbol, account in self.accounts.items():
            assert notional(symbol, account.worst_lots()) <= LIMITS.max_position_notional

    @invariant()
    def gross_exposure_cannot_pass_its_limit(self) -> None:
        worst = sum((notional(symbol, account.worst_lots()) for symbol, account in self.accounts.items()), Decimal(0))
        assert worst <= LIMITS.max_gross_exposure_notional

    @invariant()
    def open_orders_are_bounded(self) -> None:
        assert len(self.orders) <= LIMITS.max_open_orders


TestExposure = Exposure.TestCase
TestExposure.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)

DAY = 86_400_000_000_000
MARKS = st.lists(
    st.one_of(
        st.tuples(st.just("mark"), st.integers(0, DAY // 3), st.one_of(st.none(), st.integers(-200, 200))),
        st.tuples(st.just("restart"), st.just(0), st.none()),
    ),
    max_size=60,
)


@given(MARKS)
@settings(max_examples=200, deadline=None)
def test_no_restart_ever_refills_the_loss_budget(events: list[tuple[str, int, int | None]]) -> None:
    steady, restarted = LossBudget(LIMITS), LossBudget(LIMITS)
    on_disk = restarted.state()
    now = 20_000 * DAY
    step = atoms(LIMITS.max_drawdown) // 100
    for what, elapsed, pnl in events:
        if what == "restart":
            restarted = LossBudget(LIMITS)
            restarted.restore(on_disk)
        else:
            now += elapsed
            pnl_atoms = None if pnl is None else atoms(pnl)
            steady.on_mark(now, pnl_atoms)
            restarted.on_mark(now, pnl_atoms)
            if restarted.persist_due:
                on_disk = restarted.state()
        if what == "mark" and pnl is not None:
            assert restarted.drawdown_atoms >= steady.drawdown_atoms
            assert restarted.drawdown_atoms <= steady.drawdown_atoms + step


@given(st.lists(st.tuples(st.integers(0, 4_000_000_000), st.integers(1, 3)), max_size=80), st.integers(1, 12), st.integers(1, 60))
@settings(max_examples=200, deadline=None)
def test_no_window_of_ten_seconds_holds_more_orders_than_allowed(wishes: list[tuple[int, int]], limit: int, per_day: int) -> None:
    budget = OrderRateBudget(RiskLimits(max_orders_per_10s=limit, max_orders_per_day=per_day))
    now, sent = 10**18, []
    for wait, count in wishes:
        now += wait
        if budget.allows(now, count):
            budget.record(now, count)
            sent += [now] * count
    assert len(sent) <= per_day
    assert all(sum(start <= at < start + 10_000_000_000 for at in sent) <= limit for start in sent)
