"""Cards are read whole or refused with the field that is wrong."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mmd.inference.bundle import Bundle
from mmd.inference.card import Card, decode_card, encode_card
from mmd.inference.errors import BundleError


def changed(card: Card, path: str, value: Any) -> bytes:
    document = msgspec.json.decode(encode_card(card))
    place = document
    *parents, last = path.split(".")
    for part in parents:
        place = place[int(part)] if part.isdigit() else place[part]
    place[last] = value
    return msgspec.json.encode(document)


def test_a_card_survives_the_round_trip(tiny_bundle: Bundle) -> None:
    data = encode_card(tiny_bundle.card)
    assert decode_card(data, "here") == tiny_bundle.card
    assert encode_card(decode_card(data, "here")) == data
    assert data.endswith(b"}\n")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("feature_shcema_hash", "x", "unknown field `feature_shcema_hash`"),
        ("normalisation.median", [], "unknown field `median`"),
        ("variants.0.speed", 1, "unknown field `speed`"),
        ("stage", "production", "Invalid enum value 'production'"),
        ("network", "risk", "Invalid enum value 'risk'"),
        ("steps", 0, "steps must be above zero"),
        ("spread_min", 6.0, "expected 0 < spread_min < spread_max"),
        ("feature_names", ["a"], "feature_names has 1, market_mean has 20"),
        ("inventory_names", ["a"], "inventory_names has 1, inventory_mean has 5"),
        ("normalisation.market_std", [0.0] * 20, "every standard deviation must be above zero"),
        ("training_range.market_low", [9.0] * 20, "a low percentile lies above its high one"),
        ("fair_weights", {"microprice": -0.1}, r"fair_weights\[microprice\] must be a finite number that is not negative"),
        ("max_shift", -1.0, "max_shift must be"),
        ("max_target", None, "Expected `float`, got `null`"),
        ("preference", {"tflite-runtime": ["float16"]}, "preference of tflite-runtime names the variant 'float16'"),
        ("variants", [], "variants need names of their own and at least one"),
        ("variants.1.name", "int8", "variants need names of their own"),
        ("variants.0.tolerance", 0.0, "variant int8: tolerances must be above zero"),
        ("variants.0.file", "../elsewhere.tflite", "is no name of a file inside the bundle's folder"),
        ("files", {"card.json": "00"}, "is no name of a file inside the bundle's folder"),
    ],
)
def test_what_is_wrong_is_named(tiny_bundle: Bundle, path: str, value: Any, message: str) -> None:
    with pytest.raises(BundleError, match=message) as refused:
        decode_card(changed(tiny_bundle.card, path, value), "models/x/card.json")
    assert str(refused.value).startswith("models/x/card.json: not a valid card")


def test_a_card_that_is_no_json_is_refused() -> None:
    with pytest.raises(BundleError, match="not a valid card"):
        decode_card(b"{", "card.json")


def test_preference_orders_the_variants_of_a_runtime(tiny_bundle: Bundle) -> None:
    card = msgspec.structs.replace(tiny_bundle.card, preference={"tflite-runtime": ("float32", "int8_per_tensor")})
    assert [variant.name for variant in card.preferred("tflite-runtime")] == ["float32", "int8_per_tensor"]
    assert [variant.name for variant in card.preferred("ai-edge-litert")] == ["int8", "int8_per_tensor", "float32"]
    with pytest.raises(KeyError):
        card.variant("float16")
