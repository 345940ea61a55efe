"""What the tests that run on both runtimes share. They import nothing but numpy, msgspec, pytest and mmd.inference."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmd.inference.bundle import Bundle, load_bundle

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def tiny_bundle() -> Bundle:
    """Tiny layers, random weights, the real signature; made by tests/unit/inference/make_fixture_bundle.py."""
    return load_bundle(TESTS / "fixtures" / "tiny_bundle", feature_schema_hash="fixture")
