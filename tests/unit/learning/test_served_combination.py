"""What an evaluation calls the combined prediction is what the quoter makes of the same heads, row by row."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from mmd.learning.serving import ServedSession
from mmd.quoting.neural import expected_move
from mmd.quoting.quote import QuoteContext
from tests.unit.quoting.test_prediction import ALL


def test_the_evaluated_combination_is_the_quoted_one() -> None:
    rng = np.random.default_rng(4)
    rows = 50
    bids, spreads = rng.integers(10_000, 11_000, rows), rng.integers(1, 9, rows)
    lots = rng.integers(1, 99, (2, rows))
    sigma, price, p_up = rng.uniform(1, 9, rows), rng.normal(size=rows) * 2, rng.uniform(size=rows)
    mid, weight = bids + spreads / 2, lots[0] / lots.sum(axis=0)
    session = SimpleNamespace(sigma_ticks=sigma, mid_ticks=mid, microprice_ticks=bids + spreads * weight - mid)
    served = ServedSession(session, price, np.full(rows, 0.5), np.zeros(rows), 2.0 * p_up - 1.0)  # type: ignore[arg-type]
    model = msgspec.structs.replace(ALL, max_shift=1.0)
    weights = {
        "microprice": model.microprice_weight,
        "price_head": model.price_head_weight,
        "order_flow": model.order_flow_weight,
    }
    evaluated = served.expected_move_bps(weights, model.max_shift)
    for row in range(rows):
        context = QuoteContext(
            bid_ticks=int(bids[row]),
            bid_lots=int(lots[0, row]),
            ask_ticks=int(bids[row] + spreads[row]),
            ask_lots=int(lots[1, row]),
            sigma_ticks=float(sigma[row]),
        )
        quoted = sum(expected_move(context, model, float(price[row]), float(2.0 * p_up[row] - 1.0), 0.0))
        assert evaluated[row] == pytest.approx(1e4 * quoted / mid[row])
    assert (np.abs(evaluated) >= 1e4 * sigma / mid * 0.999).any(), "some are bounded"
