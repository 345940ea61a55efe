"""The proof of the exports: Keras over a sequence, carried steps and the window graph agree; int8 forms come near them.

Windows of sixty steps, which take long to convert, are held to their steps in the shipped bundles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mmd.inference.golden import OUTPUT_NAMES, STATE_NAMES
from mmd.inference.runtime import LITERT, TensorSession, load_runtime
from mmd.learning.export import Form, export_step, export_window
from mmd.market.feature_table import MARKET_NAMES
from tests.unit.learning.small_network import SIZES, keras_heads, random_network

pytestmark = pytest.mark.training

STEPS = 12
RNG = np.random.default_rng(6)
MARKET = (RNG.normal(size=(STEPS, len(MARKET_NAMES))) * 2.0).astype(np.float32)
INVENTORY = RNG.uniform(-1, 1, (STEPS, 5)).astype(np.float32)
INT8_TOLERANCES = {Form.INT8: 0.02, Form.INT8_PER_TENSOR: 0.03}


@pytest.fixture(scope="module")
def network() -> tuple[Any, Any]:
    return random_network()


@pytest.fixture(scope="module")
def expected(network: tuple[Any, Any]) -> Any:
    return keras_heads(network[0], SIZES, MARKET, INVENTORY)


def carried(session: TensorSession) -> Any:
    """[steps, 3] from zero state."""
    rows = []
    for market, inventory in zip(MARKET, INVENTORY, strict=True):
        session.inputs["market"][0] = market
        session.inputs["inventory"][0] = inventory
        session.invoke()
        for name in STATE_NAMES:
            session.inputs[name][:] = session.outputs[f"{name}_out"]
        rows.append([session.outputs[name].item() for name in OUTPUT_NAMES])
    return np.array(rows)


def test_float_steps_equal_keras_and_the_window_to_1e_5(network: tuple[Any, Any], expected: Any) -> None:
    runtime = load_runtime(LITERT)
    steps = carried(runtime.load(export_step(network[1], Form.FLOAT32)))
    assert np.abs(steps - expected).max() < 1e-5
    assert expected.std(axis=0).min() > 1e-3, "the heads move, so that agreement means something"
    window = runtime.load(export_window(network[1], STEPS))
    window.inputs["market"][0] = MARKET
    window.inputs["inventory"][0] = INVENTORY[-1]
    window.invoke()
    assert np.array([window.outputs[name].item() for name in OUTPUT_NAMES]) == pytest.approx(steps[-1], abs=1e-5)


@pytest.mark.parametrize("form", list(INT8_TOLERANCES))
def test_int8_forms_load_and_come_within_their_tolerance(form: Form, network: tuple[Any, Any], expected: Any) -> None:
    graph = export_step(network[1], form)
    assert len(graph) < len(export_step(network[1], Form.FLOAT32)) * 0.7
    steps = carried(load_runtime(LITERT).load(graph))
    difference = np.abs(steps - expected).max()
    assert 0 < difference < INT8_TOLERANCES[form]
