"""From the name of a bundle to one predictor for each symbol: the part of networks that reads files, so it is not the core's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from mmd.inference.bundle import Bundle, load_bundle
from mmd.inference.companion import Companion
from mmd.inference.cross_asset import CrossAssetPredictor
from mmd.inference.errors import BundleError
from mmd.inference.predictor import QuotePredictor
from mmd.inference.runtime import Runtime, load_runtime
from mmd.market.feature_settings import FeatureSettings, served_schemas

PACKAGE = Path(__file__).resolve().parents[1]
SEARCHED = (Path(), PACKAGE.parent, PACKAGE, Path("/"))
"""Folders in which a relative name is looked for: here, beside the source, in an installed package, and an image's root."""


def find_bundle(folder: Path) -> Path:
    """The folder of a bundle. Raises `BundleError`, naming every place that was looked at."""
    candidates = [folder] if folder.is_absolute() else [base / folder for base in SEARCHED]
    for candidate in candidates:
        if (candidate / "card.json").is_file():
            return candidate
    places = ", ".join(str(candidate) for candidate in candidates)
    raise BundleError(f"no bundle at {places}: set networks.bundle to a bundle's folder, or quoting.strategy to avellaneda-stoikov")


PredictorFactory = Callable[[Bundle, Runtime, str], QuotePredictor]
"""Makes the predictor of one symbol, with the networks beside it."""


def plain_predictor(bundle: Bundle, runtime: Runtime, _symbol: str) -> QuotePredictor:
    """As the core needs it, and nothing beside."""
    beside, across = bundle.card.companion, bundle.card.cross_asset
    companion = None if beside is None else Companion(beside, bundle.companion_files, runtime)
    cross_asset = None if across is None else CrossAssetPredictor(across, bundle.cross_asset_files, runtime)
    return QuotePredictor(bundle, runtime, companion=companion, cross_asset=cross_asset)


def load_networks(
    folder: Path, symbols: Iterable[str], runtime: str, make: PredictorFactory = plain_predictor
) -> tuple[Bundle, dict[str, QuotePredictor]]:
    """The bundle, verified against the running feature code, and all its networks with states of their own for each symbol.

    Raises `BundleError` where files, features or golden vectors do not agree, `RuntimeUnavailable` where no runtime is installed.
    """
    bundle = load_bundle(find_bundle(folder), feature_schema_hash=served_schemas(FeatureSettings()))
    return bundle, make_predictors(bundle, symbols, runtime, make)


def make_predictors(
    bundle: Bundle, symbols: Iterable[str], runtime: str = "auto", make: PredictorFactory = plain_predictor
) -> dict[str, QuotePredictor]:
    """All of a bundle's networks, with states of their own for each symbol.

    Raises `BundleError` where graphs and golden vectors do not agree, `RuntimeUnavailable` where no runtime is installed.
    """
    used = load_runtime(runtime)
    return {symbol: make(bundle, used, symbol) for symbol in symbols}
