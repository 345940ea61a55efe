"""The committed fixture bundle, and copies of it to damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mmd.inference.bundle import Bundle, load_bundle

FIXTURE = Path(__file__).resolve().parents[2] / "fixtures" / "tiny_bundle"


@pytest.fixture(scope="session")
def tiny_bundle() -> Bundle:
    return load_bundle(FIXTURE, feature_schema_hash="fixture")


@pytest.fixture
def copied_folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURE, tmp_path / "tiny_bundle"))
