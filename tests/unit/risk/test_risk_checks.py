"""Each pre-trade check by an example, and their order: where two fail, the earlier one is the reason."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal

import pytest

from mmd import CORE
from mmd.risk.checks import PreTradeChecks, RiskView
from mmd.risk.limits import RiskLimits
from mmd.risk.order_rate import OrderRateBudget
from mmd.risk.reasons import DenialReason, denial_rows, denial_table
from mmd.types.instrument import Instrument, atoms
from mmd.types.market import Side
from mmd.types.orders import OrderBudgetReport

BTC = Instrument.create("BTCUSDT", "BTC", "USDT", tick_size="0.01", lot_size="0.00001", min_notional="5")
LIMITS = RiskLimits(
    max_order_notional=Decimal(1_000),
    max_position_notional=Decimal(2_000),
    max_gross_exposure_notional=Decimal(3_000),
    max_daily_loss=Decimal(50),
    max_drawdown=Decimal(80),
    max_orders_per_10s=3,
    max_open_orders=4,
)
BID, ASK = 1_999_900, 2_000_100
PRICE, LOTS = BTC.ticks("20000.00"), BTC.lots("0.01")  # 200 USDT
NOW = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000


class Bench:
    """The checks with a view in which everything passes."""

    def __init__(self) -> None:
        self.rate = OrderRateBudget(LIMITS)
        self.checks = PreTradeChecks(LIMITS, self.rate, [BTC])
        self.view = RiskView(
            symbol="BTCUSDT", now_ns=NOW, halted=False, mode_allows=True, bid_ticks=BID, ask_ticks=ASK, data_age_ns=0, feed_lag_ns=0
        )
        self.side, self.price, self.lots = Side.BUY, PRICE, LOTS

    def check(self, *, reduce_only: bool = False) -> DenialReason | None:
        return self.checks.check(self.view, self.side, self.price, self.lots, reduce_only=reduce_only)


def no_whole_number(*given: object) -> AbstractContextManager[object]:
    """The compiled core does not even take what is none: nothing passes there either."""
    refused = CORE.name == "compiled" and any(isinstance(each, float) for each in given)
    return pytest.raises(TypeError) if refused else nullcontext()


def halted(bench: Bench) -> None:
    bench.view.halted = True


def mode(bench: Bench) -> None:
    bench.view.mode_allows = False


def instrument(bench: Bench) -> None:
    bench.view.symbol = "DOGEUSDT"


def price_collar(bench: Bench) -> None:
    bench.view.bid_ticks, bench.view.ask_ticks = BID * 2, ASK * 2


def fat_finger(bench: Bench) -> None:
    bench.lots = BTC.lots("0.05001")


def position(bench: Bench) -> None:
    bench.view.position_atoms = atoms("0.2")


def gross_exposure(bench: Bench) -> None:
    bench.view.other_exposure_atoms = atoms(2_999)


def loss_budget(bench: Bench) -> None:
    bench.view.loss_used_atoms = atoms(50)


def drawdown(bench: Bench) -> None:
    bench.view.drawdown_atoms = atoms(80)


def order_rate(bench: Bench) -> None:
    bench.rate.record(NOW, 3)


def unfilled_orders(bench: Bench) -> None:
    bench.rate.on_venue_report(OrderBudgetReport(NOW, 80, 100, 10 * SECOND_NS))


def open_orders(bench: Bench) -> None:
    bench.view.open_orders = 4


def data_age(bench: Bench) -> None:
    bench.view.data_age_ns = 6 * SECOND_NS


def feed_lag(bench: Bench) -> None:
    bench.view.feed_lag_ns = 501_000_000


def self_trade(bench: Bench) -> None:
    bench.view.own_best_ask_ticks = PRICE


SPOIL: dict[DenialReason, Callable[[Bench], None]] = {
    DenialReason.HALTED: halted,
    DenialReason.MODE: mode,
    DenialReason.INSTRUMENT: instrument,
    DenialReason.PRICE_COLLAR: price_collar,
    DenialReason.FAT_FINGER: fat_finger,
    DenialReason.POSITION: position,
    DenialReason.GROSS_EXPOSURE: gross_exposure,
    DenialReason.LOSS_BUDGET: loss_budget,
    DenialReason.DRAWDOWN: drawdown,
    DenialReason.ORDER_RATE: order_rate,
    DenialReason.UNFILLED_ORDERS: unfilled_orders,
    DenialReason.OPEN_ORDERS: open_orders,
    DenialReason.DATA_AGE: data_age,
    DenialReason.FEED_LAG: feed_lag,
    DenialReason.SELF_TRADE: self_trade,
}
REDUCE_ONLY_PASSES = {
    DenialReason.HALTED,
    DenialReason.MODE,
    DenialReason.GROSS_EXPOSURE,
    DenialReason.LOSS_BUDGET,
    DenialReason.DRAWDOWN,
    DenialReason.UNFILLED_ORDERS,
    DenialReason.OPEN_ORDERS,
    DenialReason.SELF_TRADE,
}


def test_a_sound_order_passes_and_every_reason_has_an_example_in_order() -> None:
    assert Bench().check() is None
    assert list(SPOIL) == list(DenialReason)


@pytest.mark.parametrize("reason", DenialReason, ids=lambda reason: reason.value)
def test_each_reason_denies_and_is_counted(reason: DenialReason) -> None:
    bench = Bench()
    SPOIL[reason](bench)
    assert bench.check() is reason
    assert bench.check() is reason
    assert bench.checks.denials[reason] == 2
    assert sum(bench.checks.denials.values()) == 2


@pytest.mark.parametrize(
    ("first", "second"), list(itertools.combinations(DenialReason, 2)), ids=lambda reason: reason.value if reason else ""
)
def test_the_first_failing_check_is_the_reason(first: DenialReason, second: DenialReason) -> None:
    bench = Bench()
    SPOIL[second](bench)
    SPOIL[first](bench)
    assert bench.check() is first


def test_a_view_that_nobody_filled_lets_nothing_pass() -> None:
    bench = Bench()
    bench.view = RiskView()
    assert bench.check() is DenialReason.HALTED
    assert bench.check(reduce_only=True) is not None


@pytest.mark.parametrize(
    ("price", "lots"),
    [(0, LOTS), (-5, LOTS), (PRICE, 0), (PRICE, -LOTS), (PRICE, 1), (10**12, LOTS), (PRICE, 10**12), (float("nan"), LOTS)],
)
def test_orders_outside_the_filters(price: int, lots: int) -> None:
    bench = Bench()
    bench.price, bench.lots = price, lots
    with no_whole_number(price):
        assert bench.check() is DenialReason.INSTRUMENT


NAN = float("nan")


INFINITE = float("inf")
NO_MID = [
    (None, None),
    (None, ASK),
    (BID, None),
    (0, 0),
    (0, ASK),
    (ASK, BID),
    (BID, BID),
    (NAN, NAN),
    (NAN, ASK),
    (BID, NAN),
    (BID, INFINITE),
    (-INFINITE, ASK),
]


@pytest.mark.parametrize(("bid", "ask"), NO_MID)
def test_without_a_valid_mid_nothing_passes(bid: int | None, ask: int | None) -> None:
    bench = Bench()
    with no_whole_number(bid, ask):
        bench.view.bid_ticks, bench.view.ask_ticks = bid, ask
        assert bench.check() is DenialReason.PRICE_COLLAR
        bench.view.position_atoms, bench.side = atoms(1), Side.SELL
        assert bench.check(reduce_only=True) is DenialReason.PRICE_COLLAR


def test_the_collar_is_symmetric_and_exact() -> None:
    bench = Bench()
    for price, passes in [(2_020_000, True), (2_020_001, False), (1_980_000, True), (1_979_999, False)]:
        bench.price = price
        assert (bench.check() is None) is passes


def test_the_position_limit_is_exact_and_counts_what_is_at_risk_on_the_side() -> None:
    bench = Bench()
    bench.view.position_atoms = atoms("0.05")
    bench.view.buy_at_risk_lots = BTC.lots("0.04")
    assert bench.check() is None
    bench.lots += 1
    assert bench.check() is DenialReason.POSITION


def test_sides_are_never_netted() -> None:
    bench = Bench()
    bench.view.buy_at_risk_lots = BTC.lots("0.1")
    bench.view.sell_at_risk_lots = BTC.lots("0.05")
    assert bench.check() is DenialReason.POSITION
    bench.side = Side.SELL
    assert bench.check() is None


def test_cancel_plus_new_counts_both_until_the_old_one_is_surely_dead() -> None:
    bench = Bench()
    bench.view.position_atoms = atoms("0.08")
    bench.view.buy_at_risk_lots = BTC.lots("0.015")  # being cancelled
    assert bench.check() is DenialReason.POSITION
    bench.view.buy_at_risk_lots = 0
    assert bench.check() is None


def test_the_way_back_from_above_a_limit_is_open() -> None:
    bench = Bench()
    bench.view.position_atoms = atoms("0.3")
    bench.side = Side.SELL
    assert bench.check() is None
    bench.view.other_exposure_atoms = atoms(9_000)
    assert bench.check() is None
    bench.side = Side.BUY
    assert bench.check() is DenialReason.POSITION


def test_gross_exposure_adds_the_worst_case_of_every_symbol() -> None:
    bench = Bench()
    exposure = bench.checks.exposure_atoms("BTCUSDT", atoms("0.05"), BTC.lots("0.02"), BTC.lots("0.2"), BID, ASK)
    assert exposure == atoms(3_000)
    bench.view.other_exposure_atoms = atoms(2_800)
    assert bench.check() is None
    bench.view.other_exposure_atoms += 1
    assert bench.check() is DenialReason.GROSS_EXPOSURE


def test_an_order_answers_to_the_gross_limit_for_its_own_side_however_much_stands_on_the_other() -> None:
    # Since the buys were let pass the price has risen, or the other symbols' exposure has: a sell that does not exceed them would
    # keep the worst case above the limit for longer than they do.
    bench = Bench()
    bench.side = Side.SELL
    bench.view.buy_at_risk_lots = BTC.lots("0.03")
    bench.view.other_exposure_atoms = atoms(2_900)
    assert bench.check() is DenialReason.GROSS_EXPOSURE
    bench.view.other_exposure_atoms = atoms(2_800)
    assert bench.check() is None


def test_above_the_gross_limit_an_order_may_close_the_position_and_go_no_further() -> None:
    bench = Bench()
    bench.side = Side.SELL
    bench.view.position_atoms = bench.lots * BTC.lot_atoms
    bench.view.other_exposure_atoms = atoms(9_000)
    assert bench.check() is None
    bench.lots += 1
    assert bench.check() is DenialReason.GROSS_EXPOSURE


def test_a_position_that_cannot_be_valued_fills_the_gross_limit() -> None:
    checks = Bench().checks
    assert checks.exposure_atoms("BTCUSDT", 1, 0, 0, 0, 0) == atoms(3_000)
    assert checks.exposure_atoms("BTCUSDT", 0, 0, 0, 0, 0) == 0


def test_unknown_age_or_lag_denies() -> None:
    bench = Bench()
    bench.view.feed_lag_ns = None
    assert bench.check() is DenialReason.FEED_LAG
    bench.view.data_age_ns = None
    assert bench.check() is DenialReason.DATA_AGE


def test_self_trade_on_the_sell_side() -> None:
    bench = Bench()
    bench.side = Side.SELL
    bench.view.own_best_bid_ticks = PRICE - 1
    assert bench.check() is None
    bench.view.own_best_bid_ticks = PRICE
    assert bench.check() is DenialReason.SELF_TRADE


@pytest.mark.parametrize("reason", DenialReason, ids=lambda reason: reason.value)
def test_reduce_only_passes_what_would_keep_it_in_and_nothing_else(reason: DenialReason) -> None:
    bench = Bench()
    bench.side = Side.SELL
    bench.view.position_atoms = atoms("0.1")
    assert bench.check(reduce_only=True) is None
    if reason is DenialReason.POSITION:
        bench.view.position_atoms = 0
    else:
        SPOIL[reason](bench)
    if reason is DenialReason.SELF_TRADE:
        bench.view.own_best_bid_ticks = PRICE
    assert bench.check(reduce_only=True) is (None if reason in REDUCE_ONLY_PASSES else reason)


def test_reduce_only_never_grows_or_flips() -> None:
    bench = Bench()
    bench.view.position_atoms = atoms("0.010005")
    bench.side = Side.SELL
    assert bench.check(reduce_only=True) is None
    bench.lots += 1
    assert bench.check(reduce_only=True) is DenialReason.POSITION
    bench.lots -= 1
    bench.view.sell_at_risk_lots = 1
    assert bench.check(reduce_only=True) is DenialReason.POSITION
    bench.view.sell_at_risk_lots = 0
    bench.side = Side.BUY
    assert bench.check(reduce_only=True) is DenialReason.POSITION
    bench.view.position_atoms = -atoms("0.01")
    assert bench.check(reduce_only=True) is None


def test_the_table_of_reasons_comes_from_the_enum() -> None:
    rows = denial_rows()
    assert [code for _, code, _ in rows] == [reason.value for reason in DenialReason]
    assert all(text for _, _, text in rows)
    assert denial_table().count("\n") == len(rows) + 2
    assert "| 1 | `halted` |" in denial_table()


def test_a_position_is_worth_the_mid_or_the_orders_price_whichever_is_higher() -> None:
    bench = Bench()
    bench.view.position_atoms = atoms("0.09")
    bench.price = BTC.ticks("19900.00")
    assert bench.check() is None
    bench.lots += 1
    assert bench.check() is DenialReason.POSITION, "a low bid makes the position no cheaper"
    bench.lots -= 1
    bench.price = BTC.ticks("20000.01")
    assert bench.check() is DenialReason.POSITION
