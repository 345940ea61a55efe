"""The shipped bundle was trained on the features that this code computes."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmd.inference.bundle import load_bundle
from mmd.inference.shipped import DEFAULT_BUNDLE
from mmd.market.feature_settings import FeatureSettings, served_schemas
from mmd.market.feature_table import INVENTORY_NAMES, MARKET_NAMES

SHIPPED = Path(__file__).resolve().parents[3] / DEFAULT_BUNDLE


def test_the_shipped_bundle_matches_the_running_features() -> None:
    if not SHIPPED.exists():
        pytest.skip("quote-v1 is not built yet: mmd train quote --out models/quote-v1")
    card = load_bundle(SHIPPED, feature_schema_hash=served_schemas(FeatureSettings())).card
    assert card.feature_names == MARKET_NAMES[: len(card.feature_names)]
    assert card.inventory_names == INVENTORY_NAMES
