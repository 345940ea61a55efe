"""A bundle that was changed, cut or built for other features does not load; one that misses its bounds is not written."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from mmd.inference.bundle import Bundle, load_bundle, write_bundle, write_card
from mmd.inference.card import Card, decode_card
from mmd.inference.errors import BundleError
from mmd.inference.predictor import QuotePredictor
from tests.unit.inference.make_fixture_bundle import golden_inputs, random_weights


def rehash(folder: Path, file: str) -> None:
    """As somebody does who means to get past the hashes."""
    card = load_card(folder)
    files = {**card.files, file: hashlib.sha256((folder / file).read_bytes()).hexdigest()}
    write_card(folder, msgspec.structs.replace(card, files=files))


def load_card(folder: Path) -> Card:
    return decode_card((folder / "card.json").read_bytes(), str(folder))


def tamper_with_a_weight(path: Path) -> None:
    """One weight of the first recurrent matrix becomes large; the rest of the file stays what it was."""
    weight = random_weights(32, 16, (32, 16), 8)["recurrent1"][3, 5].tobytes()
    data = path.read_bytes()
    assert data.count(weight) == 1
    path.write_bytes(data.replace(weight, np.float32(4.0).tobytes()))


def test_the_fixture_is_small_and_says_what_it_is(tiny_bundle: Bundle) -> None:
    assert sum(path.stat().st_size for path in tiny_bundle.folder.iterdir()) < 200_000
    assert set(tiny_bundle.models) == {"int8", "int8_per_tensor", "float32"}
    assert tiny_bundle.digest == hashlib.sha256((tiny_bundle.folder / "card.json").read_bytes()).hexdigest()


def test_a_changed_weight_is_seen_by_its_hash(copied_folder: Path) -> None:
    tamper_with_a_weight(copied_folder / "step_float32.tflite")
    with pytest.raises(BundleError, match=r"step_float32\.tflite: SHA-256 is .* the card says .* copy it again"):
        load_bundle(copied_folder, feature_schema_hash="fixture")


def test_a_changed_weight_with_its_hash_mended_is_seen_by_the_golden_vectors(copied_folder: Path) -> None:
    tamper_with_a_weight(copied_folder / "step_float32.tflite")
    rehash(copied_folder, "step_float32.tflite")
    bundle = load_bundle(copied_folder, feature_schema_hash="fixture")
    card = msgspec.structs.replace(bundle.card, preference={"ai-edge-litert": ("float32",)})
    with pytest.raises(BundleError, match="float32: does not reproduce its golden vectors: price_change is off by"):
        QuotePredictor(msgspec.structs.replace(bundle, card=card))


@pytest.mark.parametrize("file", ["step_int8.tflite", "golden_market.npy", "golden_int8_state.npy"])
def test_any_changed_byte_is_seen(copied_folder: Path, file: str) -> None:
    data = bytearray((copied_folder / file).read_bytes())
    data[-5] ^= 1
    (copied_folder / file).write_bytes(data)
    with pytest.raises(BundleError, match="SHA-256"):
        load_bundle(copied_folder, feature_schema_hash="fixture")


def test_a_missing_file_or_folder_is_named(copied_folder: Path) -> None:
    (copied_folder / "golden_market.npy").unlink()
    with pytest.raises(BundleError, match=r"golden_market\.npy: the card lists this file, but it is missing"):
        load_bundle(copied_folder, feature_schema_hash="fixture")
    with pytest.raises(BundleError, match="no such card"):
        load_bundle(copied_folder / "nowhere", feature_schema_hash="fixture")


def test_a_variant_whose_file_has_no_hash_is_refused(copied_folder: Path) -> None:
    card = load_card(copied_folder)
    for file, message in {"step_int8.tflite": "whose hash is not among", "golden_int8_state.npy": "does not list these"}.items():
        files = {name: value for name, value in card.files.items() if name != file}
        write_card(copied_folder, msgspec.structs.replace(card, files=files))
        with pytest.raises(BundleError, match=message):
            load_bundle(copied_folder, feature_schema_hash="fixture")


@pytest.mark.parametrize("content", [b"not an array", b""])
def test_golden_vectors_that_are_no_arrays_are_refused(copied_folder: Path, content: bytes) -> None:
    (copied_folder / "golden_market.npy").write_bytes(content)
    rehash(copied_folder, "golden_market.npy")
    with pytest.raises(BundleError, match=r"golden_market\.npy: not an \.npy file"):
        load_bundle(copied_folder, feature_schema_hash="fixture")


def test_golden_vectors_never_come_as_pickles(copied_folder: Path) -> None:
    np.save(copied_folder / "golden_market.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    rehash(copied_folder, "golden_market.npy")
    with pytest.raises(BundleError, match=r"not an \.npy file"):
        load_bundle(copied_folder, feature_schema_hash="fixture")


def test_other_features_than_those_it_was_trained_with_are_an_error(copied_folder: Path) -> None:
    with pytest.raises(BundleError, match=r"trained on features with schema fixture, but this code .* have abc"):
        load_bundle(copied_folder, feature_schema_hash="abc")
    assert load_bundle(copied_folder, feature_schema_hash=None).card.feature_schema_hash == "fixture"


def test_writing_gives_what_loading_gives(tiny_bundle: Bundle, tmp_path: Path) -> None:
    written = write_bundle(
        tmp_path / "new", tiny_bundle.card, tiny_bundle.models, tiny_bundle.golden.inputs, other_files={"window.tflite": b"proof"}
    )
    assert written.models == tiny_bundle.models
    assert written.card.files["window.tflite"] == hashlib.sha256(b"proof").hexdigest()
    assert QuotePredictor(written).variant_name == "int8"
    promoted = msgspec.structs.replace(written.card, stage="backtest")
    write_card(written.folder, promoted)
    assert load_bundle(written.folder, feature_schema_hash="fixture").card == promoted
    assert not list(written.folder.glob("*.new"))


def test_a_bundle_beyond_its_quantization_bound_is_not_written(tiny_bundle: Bundle, tmp_path: Path) -> None:
    strict = [msgspec.structs.replace(variant, reference_tolerance=1e-4) for variant in tiny_bundle.card.variants]
    card = msgspec.structs.replace(tiny_bundle.card, variants=tuple(strict))
    with pytest.raises(BundleError, match=r"variant int8 lies .* from the float network .* its bound is 0\.0001: not written"):
        write_bundle(tmp_path / "new", card, tiny_bundle.models, tiny_bundle.golden.inputs)
    assert not (tmp_path / "new").exists()


def test_graphs_that_are_missing_or_broken_are_not_written(tiny_bundle: Bundle, tmp_path: Path) -> None:
    some = {"int8": tiny_bundle.models["int8"]}
    with pytest.raises(BundleError, match="the card's variants are"):
        write_bundle(tmp_path / "new", tiny_bundle.card, some, tiny_bundle.golden.inputs)
    with pytest.raises(BundleError, match=r"variant int8: .* cannot load this graph"):
        write_bundle(tmp_path / "new", tiny_bundle.card, {**tiny_bundle.models, "int8": b"x"}, tiny_bundle.golden.inputs)
    narrow = msgspec.structs.replace(tiny_bundle.golden.inputs, market=tiny_bundle.golden.inputs.market[..., :-1])
    with pytest.raises(BundleError, match="golden market vectors have 19 columns, the graph takes 20"):
        write_bundle(tmp_path / "new", tiny_bundle.card, tiny_bundle.models, narrow)
    assert not (tmp_path / "new").exists()


@pytest.mark.long
def test_the_committed_fixture_is_what_its_script_makes(tiny_bundle: Bundle, tmp_path: Path) -> None:
    """Also shows that the converter at hand still makes graphs that load."""
    inputs = golden_inputs(random_weights(32, 16, (32, 16), 8))
    for name in ("market", "inventory", "state", "reference"):
        assert np.allclose(getattr(inputs, name), getattr(tiny_bundle.golden.inputs, name), atol=1e-6)
    script = Path(__file__).with_name("make_fixture_bundle.py")
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert QuotePredictor(load_bundle(tmp_path, feature_schema_hash="fixture")).variant_name == "int8"
