"""What every test may ask for: the folder of recorded markets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# The suite is of the sources as written, whether or not they were compiled here; `make test-compiled` says otherwise.
os.environ.setdefault("MMD_CORE", "pure")

DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def market_data_folder() -> Path:
    """Recorded markets, found through MMD_DATA_DIR. Where there are none the test is skipped; with CI set that is a failure."""
    folder = Path(os.environ.get("MMD_DATA_DIR") or DEFAULT_FOLDER)
    if not folder.is_dir():
        word = f"no recorded markets in {folder}: set MMD_DATA_DIR to the folder that holds binance_raw/"
        if os.environ.get("CI"):
            pytest.fail(word)
        pytest.skip(word)
    return folder
