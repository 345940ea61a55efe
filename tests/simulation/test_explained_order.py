"""What is told of an order is what the core had before it: prices add up, limits agree with the checks, the fate is the venue's."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from mmd import CORE
from mmd.journal.reader import SessionJournal
from mmd.replay.errors import ReplayError
from mmd.replay.explanation import Explaining, Explanation, find_order, sent_name
from mmd.replay.explanation_page import page
from mmd.replay.explanation_text import print_explanation
from mmd.replay.limits import check_lines, look
from mmd.replay.session import ReplayedSession
from mmd.risk.checks import PreTradeChecks, RiskView
from mmd.risk.limits import RiskLimits
from mmd.risk.order_rate import OrderRateBudget
from mmd.types.instrument import Instrument
from mmd.types.market import Side
from mmd.types.orders import Fill, OrderAccepted, PlaceOrder, ReplaceOrder
from tests.simulation.journaled_world import record_session


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("explained")
    record_session(root, 30, strategy="neural")
    return root / "s"


def explain(folder: Path, order_id: str, predictions: str = "recorded") -> Explanation:
    if CORE.name == "compiled":
        pytest.skip("it is explained on the core as written, which the command sees to")
    journal = SessionJournal(folder)
    name = find_order(journal, order_id)
    return Explaining(journal, ReplayedSession(journal.begin, predictions=predictions), name).run()  # type: ignore[arg-type]


def test_every_order_of_a_session_can_be_explained_and_its_parts_add_up_to_its_price(folder: Path) -> None:
    sent = [record for record in SessionJournal(folder).records() if isinstance(record, PlaceOrder | ReplaceOrder)]
    assert len(sent) > 10
    for command in sent[:: len(sent) // 6]:
        told = explain(folder, sent_name(command))
        assert told.sent_ns == command.decided_ns
        tick = 0.01
        assert told.price == pytest.approx(command.price_ticks * tick)
        assert told.parts[-1].price_after == pytest.approx(told.price, abs=1e-6)
        assert told.parts[0].price_after == pytest.approx((told.bid + told.ask) / 2)
        assert sum(part.ticks for part in told.parts) == pytest.approx(command.price_ticks)
        assert told.price in (told.quoted_bid, told.quoted_ask)
        assert told.source == "neural" or told.source.startswith("avellaneda-stoikov")
        assert [head.network for head in told.heads][:2] == ["quote", "order_flow"]
        assert len(told.features) > 20
        # It was sent, so every check had passed, and none is above its limit.
        assert all(line.passed for line in told.checks)
        assert told.checks[0].check == "halted"
        assert len(told.checks) == 15
        assert all(line.use <= 1.0 for line in told.checks if line.use is not None)
        assert told.bids[0].price < told.asks[0].price


def test_an_order_is_found_by_the_exchanges_id_and_its_fills_are_told(folder: Path) -> None:
    records = list(SessionJournal(folder).records())
    fill = next(record for record in records if isinstance(record, Fill))
    told = explain(folder, f"{fill.symbol}:{fill.exchange_order_id}")
    assert told.client_order_id == fill.client_order_id
    assert told.exchange_order_id == fill.exchange_order_id
    assert any(f"trade {fill.trade_id}" in line.text for line in told.fate)
    seconds = [line.seconds for line in told.fate]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0


def test_a_replacement_says_whose_place_it_took_and_who_took_its_own(folder: Path) -> None:
    records = list(SessionJournal(folder).records())
    later = next(
        record
        for record in records
        if isinstance(record, ReplaceOrder)
        and any(isinstance(one, ReplaceOrder) and one.client_order_id == record.cancel_client_order_id for one in records)
    )
    told = explain(folder, later.cancel_client_order_id)
    assert told.what.startswith("in the place of ")
    assert any("we asked: in the place of" in line.text for line in told.fate)


def test_evaluated_again_it_says_the_same(folder: Path) -> None:
    accepted = next(record for record in SessionJournal(folder).records() if isinstance(record, OrderAccepted))
    recorded, again = (explain(folder, accepted.client_order_id, how) for how in ("recorded", "recomputed"))
    assert (recorded.predictions, again.predictions) == ("recorded", "recomputed")
    assert recorded.heads == again.heads
    assert recorded.parts == again.parts


def test_text_and_picture_hold_it_all(folder: Path) -> None:
    told = explain(folder, "mmd-loyw3v28-5")
    console = Console(file=io.StringIO(), width=160)
    print_explanation(told, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for needed in (told.client_order_id, "price head", "out_of_range_score", "position", "passed", "touch_imbalance"):
        assert needed in text
    drawn = page(told)
    assert drawn.count("<svg") == 2
    assert "this order" in drawn
    assert "http" not in drawn


def test_an_order_that_the_session_never_sent_is_refused(folder: Path) -> None:
    for name in ("mmd-loyw3v28-zzz", "99999999"):
        with pytest.raises(ReplayError, match="sent no order"):
            explain(folder, name)


def test_a_check_that_fails_is_the_last_and_says_how_far_it_went() -> None:
    btc = Instrument.create("BTCUSDT", "BTC", "USDT", tick_size="0.01", lot_size="0.00001", min_notional="5")
    limits = RiskLimits(max_position_notional=1_000)
    rate = OrderRateBudget(limits)
    checks = PreTradeChecks(limits, rate, [btc])
    view = RiskView(
        symbol="BTCUSDT", now_ns=1, halted=False, mode_allows=True, bid_ticks=6_000_000, ask_ticks=6_000_100,
        position_atoms=1_000_000, buy_at_risk_lots=0, data_age_ns=10**6, feed_lag_ns=0,
    )  # fmt: skip
    denied = checks.check(view, Side.BUY, 6_000_000, 1_000)
    lines = check_lines(look(view, rate, Side.BUY, 6_000_000, 1_000, denied, False), checks, btc)
    assert lines[-1].check == "position"
    assert not lines[-1].passed
    # 0.02 BTC at the mid, 60,000.50.
    assert lines[-1].value == pytest.approx(1_200.01)
    assert lines[-1].use == pytest.approx(1.20001)
    sold = checks.check(view, Side.SELL, 6_000_200, 1_000)
    lines = check_lines(look(view, rate, Side.SELL, 6_000_200, 1_000, sold, False), checks, btc)
    assert all(line.passed for line in lines)
    by_name = {line.check: line for line in lines}
    # Selling what we hold: nothing is left on that side, and the gross is what we hold.
    assert by_name["position"].value == pytest.approx(0.0)
    assert by_name["gross_exposure"].value == pytest.approx(600.02)
    assert by_name["open_orders"].use == pytest.approx(0.1)
