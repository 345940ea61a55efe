"""What the networks make of the market alone, one pass over its feature rows, kept on disk by the bundle's hash and the market's.

Order flow, adverse selection and risk see the market only, and so does their recurrent state: all that they say is worked out here,
by the very predictors that serve live. The quote network sees inventory too: here it is asked for one who holds nothing, and its
trunk, the market's part in its joined layer, is kept, so that what remains for one who holds something is `dense.heads`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from mmd.backtest.errors import BacktestError
from mmd.backtest.fast.dense import Dense, evaluated, taken_apart
from mmd.backtest.fast.kept import Arrays
from mmd.backtest.fast.layout import BEGINS, INVENTORY_INPUTS, PREDICTION, WARMS
from mmd.backtest.fast.market_pass import MarketColumns, MarketPass
from mmd.inference.bundle import Bundle, networks_digest
from mmd.inference.companion_gate import CompanionGate
from mmd.inference.gate import input_ranges, score_on
from mmd.inference.predictor import QuotePredictor
from mmd.inference.runtime import load_runtime
from mmd.inference.settings import GateSettings
from mmd.market.feature_settings import FeatureSettings

HOLDS_NOTHING = (0.0,) * INVENTORY_INPUTS
LARGEST_DIFFERENCE = 1e-5
"""Between the compiled quote network and the runtime's, beyond which it is not used."""
PROBES = 512
FORMAT = 1


@dataclass(frozen=True)
class NetworkPass:
    """Of one market and one bundle."""

    bundle: Bundle
    predictions: npt.NDArray[Any]
    """[steps] `layout.PREDICTION`."""
    trunk: npt.NDArray[np.float32]
    """[steps, width]"""
    dense: Dense
    has_companion: bool


def network_pass(columns: MarketColumns, symbol: str, bundle: Bundle, predictor: QuotePredictor, gate: GateSettings) -> NetworkPass:
    """Kept, or worked out. Raises `BacktestError` for networks that cannot be taken apart."""
    runtime = load_runtime(predictor.runtime_name)
    session = runtime.load(bundle.models[predictor.variant_name])
    dense = taken_apart(session)
    if int(dense.layers[0]) != INVENTORY_INPUTS:
        raise BacktestError(f"the networks have {dense.layers[0]} inventory inputs: run them with --speed exact")
    market = columns.passes[symbol]

    def make() -> Arrays:
        _probe(dense, session, bundle, market)
        trunk, _ = evaluated(dense, market.rows, np.zeros(INVENTORY_INPUTS, np.float32))
        return {"predictions": _predictions(market, bundle, predictor, gate), "trunk": trunk.ravel()}

    companion = "" if predictor.companion is None else predictor.companion.variant_name
    card = bundle.card
    about = (
        f"{networks_digest(bundle)} {predictor.variant_name} {companion} {runtime.name} {runtime.version} {card.training_range!r} "
        f"{card.steps} {card.companion and card.companion.steps} {gate.max_out_of_range_score!r}"
    )
    # The latencies of the feed and of orders change nothing of what is seen: one pass serves all.
    seen = hashlib.sha256(market.rows.tobytes() + market.steps["before"].tobytes()).hexdigest()
    arrays = columns.arrays(f"networks {FORMAT} {about} of rows {seen}", make)
    trunk = arrays["trunk"].reshape(-1, dense.width)
    return NetworkPass(bundle, arrays["predictions"], trunk, dense, predictor.companion is not None)


def _probe(dense: Dense, session: Any, bundle: Bundle, market: MarketPass) -> None:
    """Raises `BacktestError` where the compiled network is not the runtime's."""
    inside = bundle.card.training_range
    rng = np.random.default_rng(1)
    chosen = market.rows[np.linspace(0, len(market.rows) - 1, min(PROBES, len(market.rows))).astype(int)]
    width = session.inputs["market"].size
    rows = np.ascontiguousarray(chosen[:, :width])[np.isfinite(chosen[:, :width]).all(axis=1)]
    inventory = rng.uniform(inside.inventory_low, inside.inventory_high, (len(rows), INVENTORY_INPUTS)).astype(np.float32)
    _, found = evaluated(dense, rows, inventory)
    wanted = np.zeros_like(found)
    for number, row in enumerate(rows):
        session.inputs["market"][0], session.inputs["inventory"][0] = row, inventory[number]
        session.invoke()
        wanted[number] = [session.outputs[name].item() for name in ("price_change", "optimal_spread", "position_signal")]
    miss = float(np.abs(found - wanted).max(initial=0.0))
    if not miss <= LARGEST_DIFFERENCE:
        raise BacktestError(
            f"{bundle.folder}: compiled, the quote network differs from the runtime's by {miss:.2g}: run it with --speed exact"
        )


def _predictions(market: MarketPass, bundle: Bundle, predictor: QuotePredictor, settings: GateSettings) -> npt.NDArray[Any]:
    """Step after step as `Perception` goes, with the predictors that it has."""
    card, companion = bundle.card, predictor.companion
    beside = None
    if companion is not None and card.companion is not None:
        beside = CompanionGate(card, card.companion, settings)
        companion.signals[:] = 0.0
    ranges = input_ranges(card)[: len(card.feature_names)]
    kept_rows = FeatureSettings().ring_steps
    predictor.tell_inventory(HOLDS_NOTHING)
    found = np.zeros(len(market.rows), PREDICTION)
    begins = 0
    for number, (row, before) in enumerate(zip(market.rows, market.steps["before"].tolist(), strict=True)):
        if before == BEGINS:
            begins = number
        if before in (BEGINS, WARMS):
            recent = market.rows[max(begins, number - kept_rows) : number]
            predictor.warm(recent)
            if companion is not None:
                companion.warm(recent)
        values = row.tolist()
        predictor.step_on(values)
        said = found[number]
        heads = (predictor.price_change, predictor.optimal_spread, predictor.position_signal)
        said["price_change"], said["optimal_spread"], said["position_signal"] = heads
        outside = score_on(0.0, predictor.market.tolist(), ranges)
        said["outside"] = outside
        said["refused"] = predictor.steps < card.steps or not isfinite(sum(heads)) or outside == inf
        if companion is not None and beside is not None:
            companion.step_on(values)
            words = beside.judge(companion, values, inside=False, elapsed_ns=0)
            said["no_order_flow"], said["no_adverse"], said["no_risk"] = (bool(word) for word in words)
            said["p_up"], said["risk"] = companion.p_up, companion.risk
            said["p_adverse_bid"], said["p_adverse_ask"] = companion.p_adverse_bid, companion.p_adverse_ask
        else:
            said["no_order_flow"] = said["no_adverse"] = said["no_risk"] = True
    return found
