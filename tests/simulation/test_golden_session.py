"""What the trader sends is pinned: the whole outbound stream of seeded sessions, signatures too, and every quote with its account.

A change that is meant to make the core faster must leave all of it as it is. One that changes behaviour on purpose writes the new
figures here, and says why in its commit: `python -m tests.simulation.test_golden_session` prints them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from mmd.execution.settings import ExecutionSettings
from mmd.inference.bundle import Bundle, load_bundle
from mmd.inference.companion import Companion, CompanionCard, CompanionUse
from mmd.inference.heads import HeadWeights
from mmd.inference.predictor import QuotePredictor
from mmd.mock.instruments import listed
from mmd.quoting.settings import QuotingSettings
from mmd.risk.limits import RiskLimits
from mmd.trader import Trader, TraderConfig
from mmd.types.report import TraderReport
from tests.simulation.golden_world import SYMBOLS, GoldenWorld

SECONDS = 25
TIGHT: dict[str, Any] = {
    "max_orders_per_10s": 60,
    "max_position_notional": 1_300,
    "max_gross_exposure_notional": 2_000,
    "max_open_orders": 4,
    "max_daily_loss": 5,
    "price_collar_bps": 1.2,
    "max_feed_lag_ms": 300.0,
    "max_order_notional": 605,
}


class ScriptedPredictor(QuotePredictor):
    """Evaluates its network, but says what a script of whole numbers says: a network's last bits differ between processors."""

    __slots__ = ()

    def step(self) -> None:
        super().step()
        self._say()

    def step_on(self, row: Sequence[float]) -> None:
        super().step_on(row)
        self._say()

    def _say(self) -> None:
        number = self.steps
        self.price_change = ((number * 37) % 101 - 50) / 64
        self.optimal_spread = (number * 13 % 64) / 64
        self.position_signal = ((number * 29) % 65 - 32) / 32
        if number % 97 == 0:
            self.price_change = float("nan")


class ScriptedCompanion(Companion):
    """No graph at all: the gates and the quotes are what is pinned."""

    __slots__ = ()

    def __init__(self, card: CompanionCard) -> None:
        self.card, self.steps = card, 0
        self.signals = np.zeros(2, dtype=np.float32)
        self.reset()

    def reset(self) -> None:
        self.steps = 0
        self.p_up = self.p_adverse_bid = self.p_adverse_ask = self.risk = float("nan")

    def warm(self, window: NDArray[Any]) -> None:
        self.reset()
        for row in window:
            self.step_on(row)

    def step_on(self, row: Sequence[float]) -> None:
        self.steps = number = self.steps + 1
        self.p_up = (number * 31 % 128) / 128
        self.p_adverse_bid, self.p_adverse_ask = (number * 11 % 64) / 64, (number * 23 % 64) / 64
        self.risk = (number * 7 % 64) / 64
        if number % 89 == 0:
            self.risk = float("nan")
        if number % 61 == 0:
            self.p_adverse_bid = float("nan")


def a_companion(bundle: Bundle) -> CompanionCard:
    return CompanionCard(
        variants=(),
        steps=20,
        horizon_seconds=1.0,
        fees_bps=0.0,
        risk_window_seconds=10.0,
        order_flow_names=bundle.card.feature_names[:8],
        adverse_names=bundle.card.feature_names[:15],
        risk_names=bundle.card.feature_names[12:],
        use=CompanionUse(adverse_median=0.5, adverse_slope=0.75, adverse_pull=0.875, risk_median=0.5, risk_sizes=True),
    )


def a_bundle() -> Bundle:
    folder = Path(__file__).parents[1] / "fixtures" / "tiny_bundle"
    bundle = load_bundle(folder, feature_schema_hash=None)
    card = bundle.card
    inside = msgspec.structs.replace(
        card.training_range,
        market_low=(-2.5,) * len(card.feature_names),
        market_high=(2.5,) * len(card.feature_names),
        inventory_low=(-1.0,) * len(card.inventory_names),
        inventory_high=(1.0, 8.0, 5.0, 1.0, 1.0),
    )
    weights = {"microprice": 0.5, "price_head": 0.7}
    return msgspec.structs.replace(
        bundle, card=msgspec.structs.replace(card, training_range=inside, fair_weights=weights, max_target=0.25, pull_threshold=0.4)
    )


def a_session(
    strategy: Any, *, tight: bool, seed: int, pull: bool = False, loss: float | None = None, tolerance: float = 0.02,
    companion: bool = False, spread: float = 1.0,
) -> GoldenWorld:  # fmt: skip
    bundle = a_bundle() if strategy == "neural" else None
    if bundle is not None and companion:
        weights = {**bundle.card.fair_weights, "order_flow": 0.4}
        card = msgspec.structs.replace(bundle.card, companion=a_companion(bundle), fair_weights=weights)
        bundle = msgspec.structs.replace(bundle, card=card)
    if bundle is not None:
        heads = HeadWeights(spread=spread)
        bundle = msgspec.structs.replace(bundle, card=msgspec.structs.replace(bundle.card, head_weights=heads))
    predictors = {} if bundle is None else {symbol: _scripted(bundle) for symbol in SYMBOLS}
    limits = TIGHT if tight else {"max_orders_per_10s": 2_000, "max_daily_loss": 100_000, "max_drawdown": 100_000}
    if loss is not None:
        limits = {**limits, "max_daily_loss": loss}
    config = TraderConfig(
        session="golden",
        # Not the defaults, which change with what is learnt of markets: quotes so near that everything happens often.
        quoting=QuotingSettings(
            strategy=strategy, pull=pull, min_half_spread_ticks=1.0, skew_factor=1.0, half_spread_reach=0.2, half_spread_sigmas=0.3
        ),
        execution=ExecutionSettings(minimum_quote_life_ms=20, aggressive_tolerance_half_spreads=tolerance),
        risk=RiskLimits(**limits),
    )
    trader = Trader(config, _instruments(), bundle=bundle, predictors=predictors)
    world = GoldenWorld(trader, seed, hostile=True)
    world.run(SECONDS)
    return world


def _scripted(bundle: Bundle) -> ScriptedPredictor:
    card = bundle.card.companion
    return ScriptedPredictor(bundle, companion=None if card is None else ScriptedCompanion(card))


def _instruments() -> dict[str, Any]:
    return {instrument.symbol: instrument for instrument in listed(SYMBOLS)}


def account(world: GoldenWorld) -> dict[str, Any]:
    report = world.trader.report(world.now)
    return {
        "stream": world.digest[:16],
        "quotes": world.quotes[:16],
        "made": world.made,
        "sent": dict(sorted(world.sent.items())),
        "denials": report.risk_denials,
        "pauses": report.pause_counts,
        "refusals": report.gate_refusals,
        **({"refusals beside": beside} if (beside := _beside(report)) else {}),
        "fills": report.fills,
        "steps": report.steps,
        "halted": report.halt.reason if report.halt.halted else "",
    }


def _beside(report: TraderReport) -> dict[str, dict[str, int]]:
    return {name: dict(sorted(counts.items())) for name, counts in report.network_refusals.items() if name != "quote"}


SESSIONS: dict[str, dict[str, Any]] = {
    "fixed": {"strategy": "fixed", "tight": False, "seed": 1},
    "fixed, tight limits": {"strategy": "fixed", "tight": True, "seed": 2},
    "fixed, out of money": {"strategy": "fixed", "tight": False, "seed": 7, "loss": 2.0, "tolerance": 1.0},
    "avellaneda-stoikov": {"strategy": "avellaneda-stoikov", "tight": False, "seed": 3},
    "neural": {"strategy": "neural", "tight": False, "seed": 4},
    "neural, pulling": {"strategy": "neural", "tight": False, "seed": 5, "pull": True},
    "neural, tight limits": {"strategy": "neural", "tight": True, "seed": 6},
    "neural, as far as trades reach": {"strategy": "neural", "tight": False, "seed": 9, "spread": 0.0},
    "neural, all networks": {"strategy": "neural", "tight": False, "seed": 8, "pull": True, "companion": True},
}

GOLDEN: dict[str, dict[str, Any]] = {
    "fixed": {
        "denials": {"position": 168, "self_trade": 470},
        "fills": 191,
        "halted": "",
        "made": 9116,
        "pauses": {"book_invalid": 2, "order_channel_down": 1, "reconciling": 2, "starting": 1},
        "quotes": "91e2120a1acc86ca",
        "refusals": {},
        "sent": {
            "CancelOrder": 229,
            "Exit": 1,
            "PersistLedger": 264,
            "PlaceOrder": 353,
            "QueryOrder": 72,
            "ReplaceOrder": 1109,
            "RequestDepthSnapshot": 2,
            "RequestReconciliation": 2,
        },
        "steps": 6178,
        "stream": "b3060a52eb337ae3",
    },
    "fixed, tight limits": {
        "denials": {"gross_exposure": 26, "open_orders": 38, "order_rate": 1, "position": 15, "self_trade": 374},
        "fills": 52,
        "halted": "",
        "made": 6672,
        "pauses": {"book_invalid": 2, "reconciling": 1, "starting": 1},
        "quotes": "760438d006ea0083",
        "refusals": {},
        "sent": {
            "CancelOrder": 68,
            "Exit": 1,
            "PersistLedger": 63,
            "PlaceOrder": 93,
            "QueryOrder": 13,
            "ReplaceOrder": 71,
            "RequestDepthSnapshot": 2,
            "RequestReconciliation": 1,
        },
        "steps": 6306,
        "stream": "de3fc5c74a6f94fb",
    },
    "fixed, out of money": {
        "denials": {},
        "fills": 33,
        "halted": "daily loss 2.02800958 has reached max_daily_loss 2",
        "made": 945,
        "pauses": {"book_invalid": 2, "reconciling": 1, "starting": 1},
        "quotes": "885dbd65fd19ea1d",
        "refusals": {},
        "sent": {
            "AmendOrder": 11,
            "CancelOrder": 7,
            "Exit": 1,
            "PersistHalt": 1,
            "PersistLedger": 42,
            "PlaceOrder": 24,
            "QueryOrder": 9,
            "ReplaceOrder": 99,
            "RequestDepthSnapshot": 2,
            "RequestReconciliation": 1,
        },
        "steps": 6165,
        "stream": "804c0ba3ff789dd8",
    },
    "avellaneda-stoikov": {
        "denials": {"self_trade": 3},
        "fills": 69,
        "halted": "",
        "made": 3973,
        "pauses": {"book_invalid": 2, "reconciling": 1, "starting": 1},
        "quotes": "771cf66745ab10c6",
        "refusals": {},
        "sent": {
            "CancelOrder": 32,
            "Exit": 1,
            "PersistLedger": 107,
            "PlaceOrder": 79,
            "QueryOrder": 34,
            "ReplaceOrder": 642,
            "RequestDepthSnapshot": 2,
            "RequestReconciliation": 1,
        },
        "steps": 6270,
        "stream": "be090c76bb82eca5",
    },
    "neural": {
        "denials": {"self_trade": 163},
        "fills": 29,
        "halted": "",
        "made": 4543,
        "pauses": {"book_invalid": 2, "order_channel_down": 1, "reconciling": 2, "starting": 1},
        "quotes": "f56d51081a8a725b",
        "refusals": {"cold": 14, "not_finite": 64, "out_of_range": 174},
        "sent": {
            "CancelOrder": 165,
            "Exit": 1,
            "PersistLedger": 81,
            "PlaceOrder": 193,
            "QueryOrder": 34,
            "ReplaceOrder": 849,
            "RequestDepthSnapshot": 2,
            "RequestReconciliation": 2,
        },
        "steps": 6299,
        "stream": "fc7cba4b19f5ef95",
    },
    "neural, pulling": {
        "denials": {"self_trade": 150},
        "fills": 49,
        "halted": "",
        "made": 4083,
        "pauses": {"book_invalid": 2, "reconciling": 1, "starting": 1},
        "quotes": "71cd9a5cab8e3b3d",
        "refusals": {"cold": 14, "not_finite": 62, "out_of_range": 193},
        "sent": {
            "CancelOrder": 501,
            "Exit": 1,
            "PersistLedger": 90,
            "PlaceOrder": 503,
            "QueryOrder": 44,
            "ReplaceOrder": 303,
            "RequestDepthSnapshot": 2,
            "RequestReconciliation": 1,
        },
        "steps": 6081,
        "stream": "77eec7ab6de53ee6",
    },
    "neural, tight limits": {
        "denials": {"gross_exposure": 5, "open_orders": 7, "position": 2, "price_collar": 86, "self_trade": 1},
        "fills": 6,
        "halted": "",
        "made": 2338,
        "pauses": {"book_invalid": 2, "reconciling": 2, "starting": 1},
        "quotes": "70648947c2ec4558",
        "refusals": {"cold": 14, "not_finite": 63, "out_of_range": 214},
        "sent": {
            "CancelOrder": 40,
            "Exit": 1,
            "PersistHalt": 2,
            "PersistLedger": 12,
            "PlaceOrder": 42,
            "QueryOrder": 8,
            "ReplaceOrder": 17,
            "RequestDepthSnapshot": 2,
            "RequestReconciliation": 2,
        },
        "steps": 6208,
        "stream": "5511ba5c47ddcdbd",
    },
    "neural, as far as trades reach": {
        "denials": {"self_trade": 82},
        "fills": 39,
        "halted": "",
        "made": 4029,
        "pauses": {"book_invalid": 4, "feed_disconnected": 2, "reconciling": 1, "starting": 1},
        "quotes": "cfe03d84f387ad9b",
        "refusals": {"cold": 14, "not_finite": 59, "out_of_range": 198},
        "sent": {
            "CancelOrder": 132,
            "Exit": 1,
            "PersistLedger": 85,
            "PlaceOrder": 156,
            "QueryOrder": 32,
            "ReplaceOrder": 739,
            "RequestDepthSnapshot": 4,
            "RequestReconciliation": 1,
        },
        "steps": 5860,
        "stream": "6069e5775dab64ae",
    },
    "neural, all networks": {
        "denials": {"self_trade": 82},
        "fills": 62,
        "halted": "",
        "made": 4302,
        "pauses": {"book_invalid": 2, "order_channel_down": 1, "reconciling": 2, "starting": 1},
        "quotes": "625cf4a3ad68aa8a",
        "refusals": {"cold": 14, "not_finite": 62, "out_of_range": 199},
        "refusals beside": {
            "adverse_selection": {"not_finite": 99, "out_of_range": 43},
            "order_flow": {"cold": 38},
            "risk": {"not_finite": 68, "out_of_range": 196},
        },
        "sent": {
            "AmendOrder": 133,
            "CancelOrder": 587,
            "Exit": 1,
            "PersistLedger": 108,
            "PlaceOrder": 590,
            "QueryOrder": 51,
            "ReplaceOrder": 306,
            "RequestDepthSnapshot": 2,
            "RequestReconciliation": 2,
        },
        "steps": 6107,
        "stream": "9d5beaf89410cbf0",
    },
}


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_sends_what_it_sent_before(name: str) -> None:
    assert account(a_session(**SESSIONS[name])) == GOLDEN[name]


def test_the_sessions_go_every_way_that_matters() -> None:
    sent = {kind for golden in GOLDEN.values() for kind in golden["sent"]}
    assert sent >= {"PlaceOrder", "ReplaceOrder", "CancelOrder", "AmendOrder", "QueryOrder", "PersistHalt", "PersistLedger", "Exit"}
    denied = {reason for golden in GOLDEN.values() for reason in golden["denials"]}
    assert len(denied) >= 6, denied
    assert all(golden["fills"] > 5 and golden["made"] > 900 for golden in GOLDEN.values())
    assert {"out_of_range", "not_finite", "cold"} <= set(GOLDEN["neural"]["refusals"])
    beside = GOLDEN["neural, all networks"]["refusals beside"]
    assert "cold" in beside["order_flow"]
    assert beside["adverse_selection"].keys() >= {"not_finite", "out_of_range"}
    assert beside["risk"].keys() >= {"not_finite", "out_of_range"}


if __name__ == "__main__":
    import pprint
    import sys

    for each, settings in SESSIONS.items():
        played = a_session(**settings)
        exact = hashlib.sha256(repr(played.exact_quotes).encode()).hexdigest()[:16]
        sys.stdout.write(f"{each!r}: {pprint.pformat(account(played), width=132)},  # to the last bit here: {exact}\n")
