"""From trained companion weights to files and card: graphs, golden vectors, what quantization cost, measures beside baselines."""

from __future__ import annotations

import numpy as np

from mmd.inference.companion import (
    OUTPUTS,
    STATES,
    CompanionCard,
    CompanionVariant,
    golden_files,
    replay_companion,
)
from mmd.inference.errors import BundleError
from mmd.inference.golden import deviation
from mmd.inference.runtime import LITERT, TFLITE, Array, Runtime, TensorSession, load_runtime
from mmd.learning.companion_evaluation import CompanionRows, companion_metrics, head_is_useful
from mmd.learning.companion_export import export_companion
from mmd.learning.companion_labels import CompanionLabelSettings
from mmd.learning.companion_training import CompanionWeights
from mmd.learning.dataset import TEST, TRAIN, Dataset, Part
from mmd.learning.export import Form
from mmd.market.companion_inputs import ADVERSE_NAMES, ORDER_FLOW_NAMES, RISK_NAMES

FILES = {Form.INT8: "companion_int8.tflite", Form.FLOAT32: "companion_float32.tflite"}
TOLERANCES = {Form.INT8: 2e-2, Form.FLOAT32: 1e-4}
MAX_LOSS = 0.15
"""Largest |int8 - float32| of a probability on the golden inputs that is accepted."""
WARM_STEPS = 100
GOLDEN_SEQUENCES = 4
GOLDEN_STEPS = 24
MOST_TEST_ROWS = 150_000


def build_companion(
    weights: CompanionWeights,
    dataset: Dataset,
    labels: CompanionLabelSettings,
    runtime: Runtime | None = None,
) -> tuple[CompanionCard, dict[str, bytes]]:
    """The card and the files by name. Raises `BundleError` where quantization costs too much."""
    used = runtime or load_runtime(LITERT)
    graphs = {form: export_companion(weights, form) for form in FILES}
    sessions = {form: used.load(graph) for form, graph in graphs.items()}
    inputs = _golden_inputs(dataset)
    answers = {form: replay_companion(session, inputs) for form, session in sessions.items()}
    losses = {form: deviation(answers[form], answers[Form.FLOAT32]) for form in FILES}
    for form, loss in losses.items():
        if loss > MAX_LOSS:
            raise BundleError(f"companion {form.value} lies {loss:.3g} from float32, its bound is {MAX_LOSS:g}: not built")
    metrics = _metrics(sessions[Form.INT8], dataset, labels)
    card = CompanionCard(
        variants=tuple(CompanionVariant(form.value, FILES[form], TOLERANCES[form], float(f"{losses[form]:.3g}")) for form in FILES),
        preference={LITERT: (Form.INT8.value, Form.FLOAT32.value), TFLITE: (Form.FLOAT32.value,)},
        steps=WARM_STEPS,
        horizon_seconds=dataset.label_settings.horizon_seconds,
        fees_bps=labels.fees_bps,
        risk_window_seconds=labels.risk_window_seconds,
        order_flow_names=ORDER_FLOW_NAMES,
        adverse_names=ADVERSE_NAMES,
        risk_names=RISK_NAMES,
        balance={name: float(f"{value:.4g}") for name, value in weights.balance.items()},
        metrics=metrics,
        useful={head: head_is_useful(head, metrics) for head in ("p_up", "p_adverse", "risk")},
    )
    files = {FILES[form]: graph for form, graph in graphs.items()}
    files |= golden_files(inputs, {form.value: answer for form, answer in answers.items()})
    return card, files


def _golden_inputs(dataset: Dataset) -> Array:
    """Runs of test rows of several series; in every second one the signals speak."""
    parts = [part for part in dataset.parts[TEST] if part.rows >= GOLDEN_STEPS]
    sequences = []
    for number in range(GOLDEN_SEQUENCES):
        part = parts[number * len(parts) // GOLDEN_SEQUENCES]
        rows = np.asarray(part.session.market[part.span])[:GOLDEN_STEPS]
        signals = np.tile(np.array([[-0.5, 0.3]], dtype=np.float32) * (number % 2), (GOLDEN_STEPS, 1))
        sequences.append(np.concatenate([rows, signals], axis=1))
    return np.stack(sequences).astype(np.float32)


def serve_companion(session: TensorSession, part: Part) -> Array:
    """[rows, 4], from zero state, without signals."""
    market, invoke = session.inputs["market"][0], session.invoke
    for name in STATES:
        session.inputs[name][:] = 0.0
    session.inputs["signals"][:] = 0.0
    carried = tuple((session.inputs[name], session.outputs[f"{name}_out"]) for name in STATES)
    heads = tuple(session.outputs[name].reshape(()) for name in OUTPUTS)
    rows = np.asarray(part.session.market[part.span])
    answers = np.zeros((len(rows), len(OUTPUTS)), dtype=np.float32)
    for index, row in enumerate(rows):
        market[:] = row
        invoke()
        for state, state_out in carried:
            state[:] = state_out
        answers[index] = [head.item() for head in heads]
    return answers


def _metrics(session: TensorSession, dataset: Dataset, labels: CompanionLabelSettings) -> dict[str, dict[str, float]]:
    by_series: dict[str, list[CompanionRows]] = {}
    for part in dataset.parts[TEST]:
        shown = Part(part.session, part.labels, part.start, min(part.stop, part.start + MOST_TEST_ROWS))
        by_series.setdefault(part.session.series, []).append(CompanionRows(shown, serve_companion(session, shown)))
    return companion_metrics(by_series, dataset.parts[TRAIN], dataset.label_settings, labels, WARM_STEPS)
