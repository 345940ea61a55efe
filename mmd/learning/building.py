"""From trained weights to a bundle on disk: graphs, what quantization cost, fitted use, honest measures, golden vectors, the card.

A bundle whose quantization costs more than its bound is not built.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mmd.inference.bundle import Bundle, write_bundle
from mmd.inference.card import Card, Normalisation, TrainingRange, Variant
from mmd.inference.drift import Bins, reference_bins
from mmd.inference.errors import BundleError
from mmd.inference.golden import GoldenInputs, state_names
from mmd.inference.runtime import LITERT, TFLITE, Array, Runtime, load_runtime
from mmd.learning.architecture import QuoteWeights
from mmd.learning.batches import Walk, WalkSizes
from mmd.learning.dataset import TEST, TRAIN, VALIDATION, Dataset, Part
from mmd.learning.evaluation import Served, by_series, constant_places, ic, joined, series_metrics, serve
from mmd.learning.export import STEP_FILES, WINDOW_FILE, Form, export_step, export_window
from mmd.learning.fitting import Fit, fit
from mmd.market.feature_settings import FIRST_SCHEMA_NAMES, FeatureSettings, first_schema_hash, schema_hash
from mmd.market.feature_table import INVENTORY_NAMES, MARKET_NAMES

RANGE_PERCENTILES = (0.1, 99.9)
PREFERENCE = {
    LITERT: (Form.INT8.value, Form.INT8_PER_TENSOR.value, Form.FLOAT32.value),
    # Per-channel int8 is refused there, and per tensor is slower there than float32.
    TFLITE: (Form.FLOAT32.value, Form.INT8_PER_TENSOR.value),
}
GOLDEN_SEQUENCES = 4
GOLDEN_STEPS = 16
TOLERANCES = {Form.FLOAT32: 1e-4, Form.INT8: 2e-2, Form.INT8_PER_TENSOR: 2e-2}
"""Between runtimes and processors. Int8 forms round activations, where a last bit may tip a whole quantum."""
REFERENCE_TOLERANCES = {Form.FLOAT32: 1e-4, Form.INT8: 0.1, Form.INT8_PER_TENSOR: 0.1}


class BuildSettings(BaseModel):
    """Bounds on what quantization may cost, measured on the test part."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_price_difference: float = Field(default=0.03, description="Mean |int8 - float| of the price head, sigma over H.", gt=0)
    max_place_difference: float = Field(default=0.01, description="Mean |int8 - float| of the spread's place.", gt=0)
    max_position_difference: float = Field(default=0.02, description="Mean |int8 - float| of the position head.", gt=0)
    max_ic_loss: float = Field(default=0.01, description="Loss of the price head's IC, worst series.", gt=0)


def build_bundle(
    folder: Path,
    weights: QuoteWeights,
    dataset: Dataset,
    *,
    name: str,
    version: str,
    created_utc: str,
    walk: WalkSizes,
    settings: BuildSettings | None = None,
    extra_files: dict[str, bytes] | None = None,
    window_steps: int = 60,
) -> Bundle:
    """Write the bundle to `folder` and return it as it loads. Raises `BundleError` where quantization costs too much."""
    runtime = load_runtime(LITERT)
    dataset = dataset.narrowed(weights.sizes.market)
    graphs = {form: export_step(weights, form) for form in Form}
    warm = walk.warm_steps
    fitted = fit(_serve(runtime, graphs[Form.INT8], dataset.parts[VALIDATION], warm), dataset.label_settings)
    served = {form: _serve(runtime, graphs[form], dataset.parts[TEST], warm) for form in Form}
    loss = quantization_loss(served)
    _check(loss, settings or BuildSettings())
    card = Card(
        name=name,
        version=version,
        created_utc=created_utc,
        feature_schema_hash=_schema_of(weights.sizes.market),
        feature_names=MARKET_NAMES[: weights.sizes.market],
        inventory_names=INVENTORY_NAMES,
        steps=warm,
        horizon_seconds=dataset.label_settings.horizon_seconds,
        spread_min=dataset.label_settings.spread_min,
        spread_max=dataset.label_settings.spread_max,
        normalisation=_normalisation(weights),
        training_range=_training_range(dataset, walk),
        drift_reference=drift_reference(dataset),
        variants=tuple(
            Variant(form.value, STEP_FILES[form], TOLERANCES[form], REFERENCE_TOLERANCES[form])
            for form in (Form.INT8, Form.INT8_PER_TENSOR, Form.FLOAT32)
        ),
        preference=PREFERENCE,
        fair_weights=fitted.fair_weights,
        pull_threshold=fitted.pull_threshold,
        spread_multiplier=fitted.spread_multiplier,
        max_shift=round(fitted.max_shift, 4),
        max_target=fitted.max_target,
        metrics=_metrics(served[Form.INT8], dataset, fitted),
        quantization_loss=_rounded(loss),
        data_manifest=dataset.manifest(),
        built_with={
            package: importlib.metadata.version(package) for package in ("tensorflow-cpu", "keras", "ai-edge-litert", "numpy")
        },
    )
    models = {form.value: graph for form, graph in graphs.items()}
    others = {WINDOW_FILE: export_window(weights, window_steps), **(extra_files or {})}
    return write_bundle(
        folder, card, models, golden_inputs(dataset, runtime, graphs[Form.FLOAT32]), other_files=others, runtime=runtime
    )


def _schema_of(width: int) -> str:
    """The hash of the schema whose rows are so wide."""
    if width == len(FIRST_SCHEMA_NAMES):
        return first_schema_hash(FeatureSettings())
    return schema_hash(FeatureSettings())


def _serve(runtime: Runtime, graph: bytes, parts: Sequence[Part], warm_steps: int) -> list[Served]:
    session = runtime.load(graph)
    return [serve(session, part, warm_steps) for part in parts if part.rows > warm_steps]


# ---- what quantization cost


def quantization_loss(served: dict[Form, list[Served]]) -> dict[str, float]:
    """Mean and largest |int8 - float| of each head over the test part, and the price head's loss of IC (mean and worst series)."""
    reference = np.concatenate([each.outputs for each in served[Form.FLOAT32]])
    losses = {}
    for form in (Form.INT8, Form.INT8_PER_TENSOR):
        difference = np.abs(np.concatenate([each.outputs for each in served[form]]) - reference)
        for column, head in enumerate(("price_change", "optimal_spread", "position_signal")):
            losses[f"{form.value}.{head}.mean_difference"] = float(difference[:, column].mean())
            losses[f"{form.value}.{head}.largest_difference"] = float(difference[:, column].max())
        ics, references = _price_ics(served[form]), _price_ics(served[Form.FLOAT32])
        lost = [references[series] - ics[series] for series in ics]
        losses[f"{form.value}.price_change.ic_loss"] = float(np.mean(lost))
        losses[f"{form.value}.price_change.ic_loss_of_worst"] = max(lost)
    return losses


def _price_ics(served: Sequence[Served]) -> dict[str, float]:
    return {series: ic(joined(parts, "price"), joined(parts, "move")) for series, parts in by_series(served).items()}


def _check(loss: dict[str, float], settings: BuildSettings) -> None:
    bounds = {
        "price_change.mean_difference": settings.max_price_difference,
        "optimal_spread.mean_difference": settings.max_place_difference,
        "position_signal.mean_difference": settings.max_position_difference,
        "price_change.ic_loss_of_worst": settings.max_ic_loss,
    }
    beyond = [
        f"{form.value}.{name} is {loss[f'{form.value}.{name}']:.4g}, its bound {bound:g}"
        for form in (Form.INT8, Form.INT8_PER_TENSOR)
        for name, bound in bounds.items()
        if not loss[f"{form.value}.{name}"] <= bound
    ]
    if beyond:
        raise BundleError(f"quantization costs too much, no bundle was built: {'; '.join(beyond)}. Train longer, or on more data.")


# ---- the card's parts


def _metrics(served: Sequence[Served], dataset: Dataset, fitted: Fit) -> dict[str, dict[str, float]]:
    """Per series, and their mean as "mean over series"."""
    settings = dataset.label_settings
    constants = constant_places(dataset.parts[TRAIN], settings.spread_quantile)
    metrics = {
        series: _rounded(_series(parts, dataset, constants.get(series, 0.0), fitted)) for series, parts in by_series(served).items()
    }
    names = next(iter(metrics.values()))
    metrics["mean over series"] = _rounded({name: float(np.mean([each[name] for each in metrics.values()])) for name in names})
    return metrics


def _series(parts: Sequence[Served], dataset: Dataset, constant_place: float, fitted: Fit) -> dict[str, float]:
    return series_metrics(
        parts, dataset.label_settings, constant_place, fitted.fair_weights, fitted.pull_threshold, fitted.spread_multiplier
    )


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.5g}") for name, value in values.items()}


def _normalisation(weights: QuoteWeights) -> Normalisation:
    scaling = weights.scaling
    return Normalisation(
        market_mean=_floats(scaling.market_mean),
        market_std=_floats(scaling.market_std),
        inventory_mean=_floats(scaling.inventory_mean),
        inventory_std=_floats(scaling.inventory_std),
    )


def _training_range(dataset: Dataset, walk: WalkSizes) -> TrainingRange:
    market = np.concatenate([part.session.market[part.span] for part in dataset.parts[TRAIN]])
    inventory = Walk(dataset.parts[TRAIN], dataset.label_settings, walk, seed=0, shuffle=False).inventory()
    low, high = (np.percentile(market, percentile, axis=0) for percentile in RANGE_PERCENTILES)
    held_low, held_high = (np.percentile(inventory, percentile, axis=0) for percentile in RANGE_PERCENTILES)
    return TrainingRange(_floats(low), _floats(high), _floats(held_low), _floats(held_high))


def drift_reference(dataset: Dataset) -> tuple[Bins, ...]:
    """The bins of each market input over the training part."""
    market = np.concatenate([part.session.market[part.span] for part in dataset.parts[TRAIN]])
    return tuple(reference_bins(column) for column in market.T)


def _floats(array: Array) -> tuple[float, ...]:
    return tuple(float(f"{value:.7g}") for value in array)


def golden_inputs(dataset: Dataset, runtime: Runtime, reference: bytes) -> GoldenInputs:
    """Short runs of test rows with random inventory: the first from zero state, the others from states that real rows led to."""
    rng = np.random.default_rng(0)
    session = runtime.load(reference)
    states = state_names(session)
    rows, held, begins, answers = [], [], [], []
    for number in range(GOLDEN_SEQUENCES):
        part = dataset.parts[TEST][number * len(dataset.parts[TEST]) // GOLDEN_SEQUENCES]
        warm = 0 if number == 0 else min(60, part.rows - GOLDEN_STEPS)
        market = part.session.market[part.span][: warm + GOLDEN_STEPS]
        inventory = np.zeros((GOLDEN_STEPS, len(INVENTORY_NAMES)), dtype=np.float32)
        inventory[:] = [rng.uniform(-1, 1), rng.uniform(0, 6), rng.normal(), rng.uniform(-0.2, 0.2), rng.uniform(0, 1)]
        for name in states:
            session.inputs[name][:] = 0.0
        outputs = []
        for index, row in enumerate(market):
            if index == warm:
                begins.append(np.concatenate([np.zeros(0, dtype=np.float32), *(session.inputs[name][0] for name in states)]))
            session.inputs["market"][0] = row
            session.inputs["inventory"][0] = inventory[max(0, index - warm)]
            session.invoke()
            for name in states:
                session.inputs[name][:] = session.outputs[f"{name}_out"]
            outputs.append([session.outputs[name].item() for name in ("price_change", "optimal_spread", "position_signal")])
        rows.append(market[warm:])
        held.append(inventory)
        answers.append(np.array(outputs[warm:], dtype=np.float32))
    return GoldenInputs(market=np.stack(rows), inventory=np.stack(held), state=np.stack(begins), reference=np.stack(answers))
