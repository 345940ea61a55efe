"""The venue's view against ours: fills recovered once, differences that heal and differences that stay."""

from __future__ import annotations

from mmd.execution.ledger import PositionLedger
from mmd.execution.reconciliation import Comparison, ReconciliationJudge, compare
from mmd.types.instrument import Instrument, atoms
from mmd.types.market import Side
from mmd.types.orders import Balance, Fill, OrderStatus, OrderUpdate, ReconciliationReport
from tests.unit.execution.order_desk import SECOND, SYMBOL, Desk

BTC = Instrument.create(SYMBOL, "BTC", "USDT", tick_size="0.01", lot_size="0.00001", min_notional="5")
LOT = BTC.lot_atoms
NEUTRAL = atoms("3")


class Books:
    """A desk with its ledger, and a venue whose base balance the test sets."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.ledger = PositionLedger(BTC)
        self.judge = ReconciliationJudge()
        self.base_atoms = NEUTRAL

    def report(self, *trades: Fill, open_orders: tuple[OrderUpdate, ...] = (), locked: int = 0) -> ReconciliationReport:
        balances = (Balance("BTC", self.base_atoms - locked, locked), Balance("USDT", 1, 0))
        return ReconciliationReport(self.desk.now, self.desk.now, balances, open_orders, trades)

    def compare(self, report: ReconciliationReport) -> Comparison:
        ledgers, bases = {SYMBOL: self.ledger}, {SYMBOL: "BTC"}
        return compare(report, self.desk.tracker, ledgers, bases, {SYMBOL: NEUTRAL})

    def round(self, *trades: Fill) -> str | None:
        """One reconciliation as the trader makes it, a second after the last."""
        self.desk.now += SECOND
        report = self.report(*trades)
        comparison = self.compare(report)
        for fill in comparison.fills_to_book:
            self.book(fill)
        return self.judge.judge(report, self.compare(report), self.desk.tracker)

    def book(self, fill: Fill) -> bool:
        self.desk.tracker.on_event(fill)
        return self.ledger.book(fill)


def trade(trade_id: int, lots: int = 5, *, name: str = "", number: int = 1, side: Side = Side.BUY) -> Fill:
    return Fill(1, SYMBOL, trade_id, name, number, side, 100, lots, 0, "USDT", True, trade_id)


def listed(name: str, number: int) -> OrderUpdate:
    return OrderUpdate(1, SYMBOL, name, number, Side.BUY, 100, 10, 0, OrderStatus.NEW, 1)


def test_agreement() -> None:
    books = Books()
    comparison = books.compare(books.report(locked=LOT))
    assert comparison.position_difference_atoms == {SYMBOL: 0}
    assert comparison.fills_to_book == comparison.adopt == comparison.query == ()
    assert books.round() is None


def test_lost_fills_are_booked_once_by_trade_id() -> None:
    books = Books()
    order = books.desk.place()
    known = books.desk.fill(order, 2, trade_id=50)
    books.ledger.book(known)
    books.base_atoms += 5 * LOT
    lost = trade(51, 3, number=order.exchange_order_id)
    comparison = books.compare(books.report(trade(50, 2, number=order.exchange_order_id), lost))
    assert [fill.trade_id for fill in comparison.fills_to_book] == [51]
    assert comparison.fills_to_book[0].client_order_id == order.client_order_id
    assert comparison.position_difference_atoms == {SYMBOL: 0}, "once they are booked"
    assert books.book(comparison.fills_to_book[0])
    assert not books.book(trade(51, 3, name=order.client_order_id)), "the stream brings it after all"
    assert books.ledger.position_atoms == 5 * LOT
    assert books.desk.at_risk() == 5
    assert books.compare(books.report(lost)).fills_to_book == ()


def test_trades_of_an_earlier_session_are_ours_by_their_prefix() -> None:
    """Positions unseen after a restart (hummingbot-api #243)."""
    books = Books()
    books.base_atoms += 4 * LOT
    comparison = books.compare(books.report(trade(9, 4, name="mmd-old7-2")))
    assert [fill.trade_id for fill in comparison.fills_to_book] == [9]
    assert comparison.position_difference_atoms == {SYMBOL: 0}


def test_others_trades_are_not_ours_and_nameless_ones_are_said() -> None:
    books = Books()
    comparison = books.compare(books.report(trade(9, name="web_1"), trade(10, number=99), trade(11, name="web_1")))
    assert comparison.fills_to_book == ()
    assert (comparison.foreign_trades, comparison.unattributed_trades) == (2, 1)
    assert comparison.reconciled_trade_ids == {SYMBOL: 9}, "a later report may name trade 10"
    assert books.compare(books.report(trade(11, name="web_1"))).reconciled_trade_ids == {SYMBOL: 11}


def test_a_halt_names_trades_that_may_be_its_cause() -> None:
    books = Books()
    books.base_atoms += 5 * LOT
    text = [books.round(trade(9, name="web_1"), trade(10, number=99)) for _ in range(3)][-1]
    assert text is not None
    assert "1 trades are of orders we cannot name" in text
    assert "1 trades are of others' orders" in text


def test_a_trade_of_our_order_that_somebody_amended_is_ours() -> None:
    books = Books()
    order = books.desk.place()
    name = order.client_order_id
    books.desk.update(order, OrderStatus.NEW, name="web_1", replaced=name, lots=6)
    comparison = books.compare(books.report(trade(9, name="web_1", number=order.exchange_order_id)))
    assert [fill.client_order_id for fill in comparison.fills_to_book] == [name]


def test_orders_are_sorted_into_ours_others_and_missing() -> None:
    books = Books()
    known, missing = books.desk.place(), books.desk.place()
    books.desk.now += 1
    report = books.report(
        open_orders=(listed(known.client_order_id, known.exchange_order_id), listed("mmd-old7-1", 70), listed("web_1", 71))
    )
    comparison = books.compare(report)
    assert comparison.foreign_orders == 1
    assert [update.client_order_id for update in comparison.adopt] == ["mmd-old7-1"]
    assert comparison.query == (missing.client_order_id,)
    assert books.desk.tracker.find("mmd-old7-1") is None, "comparing changes nothing"


def test_a_difference_that_stays_is_a_halt_with_the_numbers() -> None:
    books = Books()
    books.base_atoms -= atoms("0.25")
    assert [books.round(), books.round()] == [None, None]
    text = books.round()
    assert text is not None
    for part in (SYMBOL, "expected 3", "found 2.75", "difference -0.25"):
        assert part in text
    assert (books.judge.differing, books.judge.healed) == (3, 0)


def test_reports_too_close_together_count_once() -> None:
    books = Books()
    books.base_atoms += 1
    report = books.report()
    for _ in range(20):
        assert books.judge.judge(report, books.compare(report), books.desk.tracker) is None


def test_a_fill_on_its_way_raises_no_halt_and_heals() -> None:
    """The balance has it, neither the trade list nor the stream brought it yet. Forty times over."""
    books = Books()
    order = books.desk.place(lots=100)
    for number in range(1, 41):
        books.base_atoms += LOT
        assert books.round() is None
        books.book(trade(number, 1, name=order.client_order_id))
        assert books.round() is None
    assert books.judge.healed == 40


def test_fills_on_their_way_in_every_report_raise_no_halt_at_once() -> None:
    """Each report is one fill ahead of the stream, never by the same amount twice."""
    books = Books()
    order = books.desk.place(lots=100)
    for number in range(1, 9):
        books.base_atoms += number * LOT
        assert books.round() is None
        books.book(trade(number, number, name=order.client_order_id))
    assert books.round() is None
    assert books.judge.healed == 1


def test_a_difference_that_never_repeats_is_a_halt_in_the_end() -> None:
    books = Books()
    texts = []
    for _ in range(10):
        books.base_atoms += LOT
        texts.append(books.round())
    assert texts[:9] == [None] * 9
    assert texts[9] is not None


def test_while_anything_is_pending_or_unknown_nothing_is_judged() -> None:
    books = Books()
    order = books.desk.place(live=False)
    books.base_atoms += 5 * LOT
    assert [books.round() for _ in range(5)] == [None] * 5
    assert books.judge.inconclusive == 5
    books.desk.accept(order.client_order_id)
    assert [books.round(), books.round()] == [None, None]
    assert books.round() is not None


def test_a_reconciliation_converges() -> None:
    """nautilus #3622: it never did. What is booked is not booked again, and the next report agrees."""
    books = Books()
    order = books.desk.place()
    books.desk.update(order, OrderStatus.FILLED, 10)
    books.base_atoms += 10 * LOT
    recovered = trade(5, 10, number=order.exchange_order_id)
    assert [books.round(recovered) for _ in range(5)] == [None] * 5
    assert (books.ledger.position_atoms, books.desk.at_risk(), books.judge.differing) == (10 * LOT, 0, 0)


def test_fees_in_base_and_cross_rates_are_reckoned_with() -> None:
    eth_btc = Instrument.create("ETHBTC", "ETH", "BTC", tick_size="0.00001", lot_size="0.001")
    btc, eth = PositionLedger(BTC), PositionLedger(eth_btc)
    bought = Fill(1, SYMBOL, 1, "mmd-e1-1", 1, Side.BUY, 2_000_000, 100_000, atoms("0.001"), "BTC", True, 1)
    btc.book(bought)
    paid = Fill(1, "ETHBTC", 1, "mmd-e1-2", 2, Side.BUY, 7_000, 1_000, atoms("0.01"), "BNB", True, 1)
    ledgers, bases = {SYMBOL: btc, "ETHBTC": eth}, {SYMBOL: "BTC", "ETHBTC": "ETH"}
    balances = (Balance("BTC", NEUTRAL + atoms("0.999") - atoms("0.07"), 0), Balance("ETH", atoms("1"), 0))
    report = ReconciliationReport(2, 1, balances, (), (paid,))
    neutral = {SYMBOL: NEUTRAL, "ETHBTC": 0}
    comparison = compare(report, Desk().tracker, ledgers, bases, neutral)
    assert comparison.position_difference_atoms == {SYMBOL: 0, "ETHBTC": 0}
    eth.book(paid)
    comparison = compare(report, Desk().tracker, ledgers, bases, neutral)
    assert comparison.position_difference_atoms == {SYMBOL: 0, "ETHBTC": 0}
