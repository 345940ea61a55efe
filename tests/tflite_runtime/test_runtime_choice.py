"""Which runtime is used, and which variant of a bundle serves on it. Runs in both environments."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from mmd.inference.bundle import Bundle
from mmd.inference.errors import BundleError, ModelRefused, RuntimeUnavailable
from mmd.inference.golden import deviation, replay
from mmd.inference.predictor import QuotePredictor
from mmd.inference.runtime import LITERT, TFLITE, Runtime, load_runtime

HAS_LITERT = importlib.util.find_spec("ai_edge_litert") is not None
REPOSITORY = Path(__file__).resolve().parents[2]
on_litert = pytest.mark.skipif(not HAS_LITERT, reason="about ai-edge-litert; here tflite-runtime is installed")
on_tflite = pytest.mark.skipif(HAS_LITERT, reason="about tflite-runtime; `make setup-tflite` makes its environment")


def preferring(bundle: Bundle, *names: str) -> Bundle:
    card = msgspec.structs.replace(bundle.card, preference={LITERT: names, TFLITE: names})
    return msgspec.structs.replace(bundle, card=card)


def test_importing_the_room_loads_no_runtime() -> None:
    program = (
        "import sys; import mmd.inference.predictor, mmd.inference.gate; "
        "heavy = {'tensorflow', 'keras', 'ai_edge_litert', 'tflite_runtime', 'pydantic', 'asyncio'} & set(sys.modules); "
        "sys.exit(', '.join(sorted(heavy)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_predictor_never_imports_tensorflow() -> None:
    program = (
        "import sys; from pathlib import Path; from mmd.inference.bundle import load_bundle; "
        "from mmd.inference.predictor import QuotePredictor; "
        "QuotePredictor(load_bundle(Path('tests/fixtures/tiny_bundle'), feature_schema_hash='fixture')).step(); "
        "sys.exit('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_auto_takes_the_runtime_that_is_installed() -> None:
    assert load_runtime().name == (LITERT if HAS_LITERT else TFLITE)
    absent = TFLITE if HAS_LITERT else LITERT
    with pytest.raises(RuntimeUnavailable, match=f"install the package {absent}"):
        load_runtime(absent)
    with pytest.raises(RuntimeUnavailable, match="expected auto, ai-edge-litert or tflite-runtime"):
        Runtime("onnxruntime")


@on_litert
def test_litert_serves_int8_per_channel(tiny_bundle: Bundle) -> None:
    predictor = QuotePredictor(tiny_bundle)
    assert (predictor.variant_name, predictor.runtime_name, predictor.refused_variants) == ("int8", LITERT, {})


@on_tflite
def test_tflite_runtime_refuses_int8_per_channel_and_takes_the_next_variant(tiny_bundle: Bundle) -> None:
    predictor = QuotePredictor(tiny_bundle)
    assert (predictor.variant_name, predictor.runtime_name) == ("int8_per_tensor", TFLITE)
    assert "FULLY_CONNECTED" in predictor.refused_variants["int8"]
    with pytest.raises(BundleError, match=r"no variant can serve on tflite-runtime 2\.14\.0: int8: .*FULLY_CONNECTED"):
        QuotePredictor(preferring(tiny_bundle, "int8"))


def test_the_card_may_prefer_another_order_for_a_runtime(tiny_bundle: Bundle) -> None:
    assert QuotePredictor(preferring(tiny_bundle, "float32", "int8_per_tensor")).variant_name == "float32"


def test_nothing_preferred_here_is_an_error(tiny_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="the card prefers none here"):
        QuotePredictor(preferring(tiny_bundle))


def test_garbage_is_refused_by_name_of_the_runtime() -> None:
    with pytest.raises(ModelRefused, match="cannot load this graph"):
        load_runtime().load(b"no flatbuffer at all")


@pytest.mark.parametrize("variant_name", ["int8_per_tensor", "float32"])
@pytest.mark.parametrize("hold_views", [True, False])
def test_variants_agree_with_the_float_network(tiny_bundle: Bundle, variant_name: str, hold_views: bool) -> None:
    session = load_runtime().load(tiny_bundle.models[variant_name], hold_views=hold_views)
    answers = replay(session, tiny_bundle.golden.inputs)
    assert deviation(answers.outputs, tiny_bundle.golden.inputs.reference) < (1e-5 if variant_name == "float32" else 0.02)


def test_a_graph_that_answers_otherwise_than_recorded_does_not_serve(tiny_bundle: Bundle) -> None:
    """As a runtime does that loads a graph and evaluates it wrongly: here the answers on record are another graph's."""
    swapped = {**tiny_bundle.golden.answers}
    outputs = swapped["float32"].outputs.copy()
    outputs[-1, -1, 0] += np.float32(0.001)
    swapped["float32"] = msgspec.structs.replace(swapped["float32"], outputs=outputs)
    wrong = msgspec.structs.replace(tiny_bundle, golden=msgspec.structs.replace(tiny_bundle.golden, answers=swapped))
    with pytest.raises(
        BundleError, match=r"float32: does not reproduce its golden vectors: price_change is off by 0\.001 \(tolerance"
    ):
        QuotePredictor(preferring(wrong, "float32"))
    predictor = QuotePredictor(preferring(wrong, "float32", "int8_per_tensor"))
    assert predictor.variant_name == "int8_per_tensor"
    assert "golden vectors" in predictor.refused_variants["float32"]


def test_a_graph_of_another_shape_than_the_card_says_does_not_serve(tiny_bundle: Bundle) -> None:
    card = tiny_bundle.card
    normalisation, inside = card.normalisation, card.training_range
    fewer = msgspec.structs.replace(
        card,
        feature_names=card.feature_names[:-1],
        normalisation=msgspec.structs.replace(
            normalisation, market_mean=normalisation.market_mean[:-1], market_std=normalisation.market_std[:-1]
        ),
        training_range=msgspec.structs.replace(inside, market_low=inside.market_low[:-1], market_high=inside.market_high[:-1]),
    )
    with pytest.raises(BundleError, match=r"market is \(1, 20\), expected \(1, 19\)"):
        QuotePredictor(msgspec.structs.replace(tiny_bundle, card=fewer))
