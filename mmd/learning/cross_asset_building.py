"""From trained cross-asset weights to files and card: graphs, golden vectors, what quantization cost, weight in E, measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np

from mmd.inference.bundle import Bundle
from mmd.inference.cross_asset import CrossAssetCard, CrossAssetPredictor, CrossAssetVariant, golden_files, replay_cross_asset
from mmd.inference.errors import BundleError
from mmd.inference.golden import deviation
from mmd.inference.runtime import LITERT, TFLITE, Array, Runtime, load_runtime
from mmd.learning.cross_asset_evaluation import (
    CrossServed,
    OwnNetworks,
    cross_metrics,
    fit_ridge,
    fit_weights,
    serve_cross,
    served,
)
from mmd.learning.cross_asset_export import export_cross_step, export_cross_window
from mmd.learning.cross_asset_network import CrossWeights
from mmd.learning.cross_asset_rows import with_reference
from mmd.learning.cross_asset_training import CrossPart, cross_parts
from mmd.learning.dataset import TEST, TRAIN, VALIDATION, Dataset
from mmd.learning.evaluation import ic
from mmd.learning.export import Form
from mmd.market.reference import ASSET_NAMES, SLOW_SECONDS, STALE_SECONDS

FILES = {Form.INT8: "cross_asset_int8.tflite", Form.FLOAT32: "cross_asset_float32.tflite"}
WINDOW_FILE = "cross_asset_window_float32.tflite"
TOLERANCES = {Form.INT8: 2e-2, Form.FLOAT32: 1e-4}
MAX_LOSS = 0.15
"""Largest |int8 - float32| on the golden inputs that is accepted, sigma over H."""
MAX_MEAN_LOSS = 0.03
"""Mean of the same over the test rows."""
GOLDEN_SEQUENCES = 4
GOLDEN_STEPS = 24
WINDOW_STEPS = 60
MOST_ROWS = 100_000
"""Newest rows of each part that weights are fitted and measures are taken on."""


def build_cross_asset(
    weights: CrossWeights,
    dataset: Dataset,
    bundle: Bundle,
    *,
    runtime: Runtime | None = None,
    on_stage: Callable[[str], None] = lambda text: None,
    window_steps: int = WINDOW_STEPS,
) -> tuple[CrossAssetCard, dict[str, bytes]]:
    """The card and the files by name, for the bundle whose quote network it stands beside.

    Raises `BundleError` where quantization costs too much, `ValueError` where no test part has references.
    """
    used = runtime or load_runtime(LITERT)
    on_stage("converting")
    graphs = {form: export_cross_step(weights, form) for form in FILES}
    test = cross_parts(dataset, TEST, MOST_ROWS)
    if not test:
        raise ValueError("no two series of the test part were received together: nothing could be measured")
    inputs = _golden_inputs(test)
    answers = {form: replay_cross_asset(used.load(graph), inputs) for form, graph in graphs.items()}
    losses = {form: deviation(answers[form], answers[Form.FLOAT32]) for form in FILES}
    for form, miss in losses.items():
        if miss > MAX_LOSS:
            raise BundleError(f"cross-asset {form.value} lies {miss:.3g} sigma from float32, its bound is {MAX_LOSS:g}: not built")
    variants = {form: CrossAssetVariant(form.value, FILES[form], TOLERANCES[form], float(f"{losses[form]:.3g}")) for form in FILES}
    card = CrossAssetCard(
        variants=tuple(variants.values()),
        preference={LITERT: (Form.INT8.value, Form.FLOAT32.value), TFLITE: (Form.FLOAT32.value,)},
        steps=WINDOW_STEPS,
        horizon_seconds=dataset.label_settings.horizon_seconds,
        slots=weights.sizes.slots,
        names=ASSET_NAMES,
        slow_seconds=SLOW_SECONDS,
        stale_seconds=STALE_SECONDS,
        base_scale=1.0,
        weight=0.0,
        max_shift=bundle.card.max_shift,
        data_manifest={"sha256": dataset.sha256, **dataset.described},
    )
    files = {FILES[form]: graph for form, graph in graphs.items()}
    files |= golden_files(inputs, {form.value: answer for form, answer in answers.items()})
    complete = measured(card, files, dataset, bundle, runtime=used, on_stage=on_stage)
    return complete, {**files, WINDOW_FILE: export_cross_window(weights, window_steps)}


def measured(
    card: CrossAssetCard,
    files: Mapping[str, bytes],
    dataset: Dataset,
    bundle: Bundle,
    *,
    runtime: Runtime | None = None,
    on_stage: Callable[[str], None] = lambda text: None,
) -> CrossAssetCard:
    """The card of graphs that there are, with the weight in E and the measures that they have beside the bundle's other networks.

    Raises `BundleError` where quantization costs too much, `ValueError` where no test part has references.
    """
    used = runtime or load_runtime(LITERT)
    test = cross_parts(dataset, TEST, MOST_ROWS)
    if not test:
        raise ValueError("no two series of the test part were received together: nothing could be measured")
    on_stage("fitting its weight on the validation part")
    predictors = {variant.name: CrossAssetPredictor(_only(card, variant), files, used) for variant in card.variants}
    int8, float32 = predictors[Form.INT8.value], predictors[Form.FLOAT32.value]
    own = OwnNetworks.of(bundle, used)
    fit = fit_weights(_serve(cross_parts(dataset, VALIDATION, MOST_ROWS), int8, own))
    on_stage("measuring on the test part")
    found = _serve(test, int8, own)
    loss = _quantization_loss(test, int8, float32)
    if not loss["int8.mean_difference"] <= MAX_MEAN_LOSS:
        raise BundleError(
            f"cross-asset int8 lies {loss['int8.mean_difference']:.3g} sigma from float32 in the mean, its bound is "
            f"{MAX_MEAN_LOSS:g}: not built"
        )
    return msgspec.structs.replace(
        card,
        base_scale=fit.base_scale,
        weight=fit.weight,
        max_shift=fit.max_shift,
        metrics=cross_metrics(found, fit_ridge(cross_parts(dataset, TRAIN, MOST_ROWS)), fit),
        quantization_loss=loss,
        data_manifest={"sha256": dataset.sha256, **dataset.described},
    )


def _only(card: CrossAssetCard, variant: CrossAssetVariant) -> CrossAssetCard:
    return msgspec.structs.replace(card, variants=(variant,), preference={})


def _serve(parts: Sequence[CrossPart], cross: CrossAssetPredictor, own: OwnNetworks) -> list[CrossServed]:
    return [served(each, own, serve_cross(cross, each.rows)) for each in parts]


def _quantization_loss(test: Sequence[CrossPart], int8: CrossAssetPredictor, float32: CrossAssetPredictor) -> dict[str, float]:
    """Over the rows that count: |int8 - float32|, mean and largest, and the IC that int8 loses, mean and worst part."""
    differences, lost = [], []
    for each in test:
        counts = (each.part.labels.price_weight[each.part.span] > 0) & with_reference(each.rows)
        said, reference = (serve_cross(predictor, each.rows) for predictor in (int8, float32))
        counts &= np.isfinite(reference)
        move = each.part.labels.price_change[each.part.span][counts].astype(np.float64)
        differences.append(np.abs(said - reference)[counts])
        lost.append(ic(reference[counts], move) - ic(said[counts], move))
    difference = np.concatenate(differences)
    values = {
        "int8.mean_difference": float(difference.mean()),
        "int8.largest_difference": float(difference.max()),
        "int8.ic_loss": float(np.mean(lost)),
        "int8.ic_loss_of_worst": max(lost),
    }
    return {name: float(f"{value:.3g}") for name, value in values.items()}


def _golden_inputs(test: Sequence[CrossPart]) -> Array:
    """Runs of test rows of several series; in the last one the references are stale."""
    parts = [each for each in test if len(each.rows) >= GOLDEN_STEPS]
    sequences = []
    for number in range(GOLDEN_SEQUENCES):
        rows = parts[number * len(parts) // GOLDEN_SEQUENCES].rows
        start = (len(rows) - GOLDEN_STEPS) // 2
        chosen = rows[start : start + GOLDEN_STEPS].copy()
        if number == GOLDEN_SEQUENCES - 1:
            chosen[:, 1:] = 0.0
        sequences.append(chosen)
    return np.stack(sequences)
