"""The parts of `mmd train` that put networks beside a quote network that is there: companion networks, the cross-asset network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmd.inference.bundle import Bundle
    from mmd.learning.dataset import Dataset


def run_companion(dataset: Dataset, out: Path, work_dir: Path, *, seed: int, resume: bool) -> Bundle:
    """Trains order flow, adverse selection and risk into the bundle at `out`."""
    from mmd.inference.bundle import attach_companion
    from mmd.learning.companion_building import build_companion
    from mmd.learning.companion_labels import CompanionLabelSettings
    from mmd.learning.companion_training import CompanionSettings, train_companion
    from mmd.learning.progress import RowBar

    labels = CompanionLabelSettings()
    with RowBar("companion networks") as bar:
        weights = train_companion(dataset, labels, CompanionSettings(seed=seed), bar.on_stage, work_dir=work_dir, resume=resume)
        bar.on_stage("converting, and measuring on the test part")
        companion, files = build_companion(weights, dataset, labels)
    return attach_companion(out, companion, files)


def combination_summary(bundle: Bundle) -> str:
    """Weights and multipliers that the card has now."""
    card = bundle.card
    weights = ", ".join(f"{name} {weight:g}" for name, weight in card.fair_weights.items())
    lines = [f"{bundle.folder}: E = {weights}; spread x {card.spread_multiplier:g}"]
    if card.companion is not None:
        use = card.companion.use
        lines.append(
            f"  P(adverse): median {use.adverse_median:g}, slope {use.adverse_slope:g}, pulls at {use.adverse_pull:g}; "
            f"risk {'scales sizes' if use.risk_sizes else 'is not used'}"
        )
    return "\n".join(lines)


def companion_summary(bundle: Bundle) -> str:
    """Each head against its baselines by series."""
    from mmd.learning.companion_evaluation import HEADLINES

    companion = bundle.card.companion
    if companion is None:
        return f"{bundle.folder}: no companion networks"
    lines = [f"{bundle.folder}: companion networks, measured on the untouched last part of each series:"]
    for series, measures in companion.metrics.items():
        for own, baselines in HEADLINES.values():
            if own in measures:
                others = ", ".join(f"{name.rsplit('_', 1)[1]} {measures[name]:.3f}" for name in baselines if name in measures)
                lines.append(f"  {series:36s} {own} {measures[own]:.3f} ({others})")
    lines.append("  useful: " + ", ".join(f"{head} {'yes' if used else 'no'}" for head, used in companion.useful.items()))
    return "\n".join(lines)


def run_cross_asset(dataset: Dataset, out: Path, work_dir: Path, *, epochs: int, seed: int, resume: bool) -> Bundle:
    """Trains the cross-asset network into the bundle at `out`. Raises `ValueError` where no series were received together."""
    from mmd.inference.bundle import attach_cross_asset, load_bundle
    from mmd.learning.cross_asset_building import build_cross_asset
    from mmd.learning.cross_asset_training import CURVE_FILE, CrossSettings, train_cross_asset
    from mmd.learning.progress import CrossBar, RowBar
    from mmd.market.feature_settings import FeatureSettings, served_schemas

    # Before hours of training: is there a bundle to put it into?
    bundle = load_bundle(out, feature_schema_hash=served_schemas(FeatureSettings()))
    horizon = dataset.label_settings.horizon_seconds
    if bundle.card.horizon_seconds != horizon:
        raise ValueError(f"{out} is about {bundle.card.horizon_seconds:g} s: train with --horizon {bundle.card.horizon_seconds:g}")
    settings = CrossSettings(epochs=epochs, seed=seed)
    with CrossBar(settings.epochs) as bar:
        weights, _ = train_cross_asset(
            dataset, settings, work_dir, resume=resume, on_chunk=bar.on_chunk, on_epoch=bar.on_cross_epoch
        )
    with RowBar("cross-asset network") as stages:
        card, files = build_cross_asset(weights, dataset, bundle, on_stage=stages.on_stage)
    return attach_cross_asset(out, card, {**files, CURVE_FILE: (work_dir / CURVE_FILE).read_bytes()})


def take_cross_asset(dataset: Dataset, out: Path, source: Path) -> Bundle:
    """Puts the trained cross-asset network of one bundle into another, where its weight in E is fitted anew.

    Raises `BundleError` where it has none, `ValueError` where the horizons differ or no series were received together.
    """
    from mmd.inference.bundle import attach_cross_asset, load_bundle
    from mmd.inference.errors import BundleError
    from mmd.learning.cross_asset_building import WINDOW_FILE, measured
    from mmd.learning.cross_asset_training import CURVE_FILE
    from mmd.learning.progress import RowBar
    from mmd.market.feature_settings import FeatureSettings, served_schemas

    served = served_schemas(FeatureSettings())
    given, bundle = (load_bundle(folder, feature_schema_hash=served) for folder in (source, out))
    card = given.card.cross_asset
    if card is None:
        raise BundleError(f"{source}: has no cross-asset network to take")
    if card.horizon_seconds != bundle.card.horizon_seconds:
        raise ValueError(f"{source} is about {card.horizon_seconds:g} s, {out} about {bundle.card.horizon_seconds:g} s")
    with RowBar("cross-asset network") as stages:
        fitted = measured(card, given.cross_asset_files, dataset, bundle, on_stage=stages.on_stage)
    beside = {name: (source / name).read_bytes() for name in (WINDOW_FILE, CURVE_FILE) if name in given.card.files}
    return attach_cross_asset(out, fitted, {**given.cross_asset_files, **beside})


def cross_asset_summary(bundle: Bundle) -> str:
    """The network and E with it against what could be had without, by series."""
    cross = bundle.card.cross_asset
    if cross is None:
        return f"{bundle.folder}: no cross-asset network"
    lines = [f"{bundle.folder}: cross-asset network, IC on the untouched last part of each series that had references:"]
    for series, measures in cross.metrics.items():
        shown = ", ".join(f"{name} {measures[f'{name}.ic']:+.3f}" for name in ("price_head", "leader", "ridge"))
        lines.append(
            f"  {series:36s} {measures['cross_asset.ic']:+.3f} ({shown}); E {measures['fair_without.ic']:+.3f} without, "
            f"{measures['fair.ic']:+.3f} with it"
        )
    lines.append(f"  where it may be used, E is {cross.base_scale:g} x E without it + {cross.weight:g} x what it says")
    return "\n".join(lines)
