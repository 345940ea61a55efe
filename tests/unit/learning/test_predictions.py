"""Predictions and evaluation of the shipped bundle on files it never saw: complete, causal, whatever the file lacks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars
import pytest
from typer.testing import CliRunner

from mmd.cli import app
from mmd.inference.bundle import Bundle, load_bundle
from mmd.inference.predictor import QuotePredictor
from mmd.inference.shipped import DEFAULT_BUNDLE
from mmd.learning.data import CACHE_VARIABLE, load_rows, parse_data
from mmd.learning.predictions import write_predictions
from mmd.market.feature_settings import FeatureSettings, served_schemas
from tests.unit.learning.made_files import Columns, made_book, made_trades, written

DEFAULT = Path(__file__).resolve().parents[3] / DEFAULT_BUNDLE
COLUMNS = ["ts_ns", "symbol", "price_change_bps_1s", "spread", "position", "p_up", "p_adverse", "risk"]


@pytest.fixture(autouse=True)
def _rows_in_a_folder_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(DEFAULT, feature_schema_hash=served_schemas(FeatureSettings()))


def predicted(bundle: Bundle, folder: Path, book: Columns, trades: Columns | None = None) -> polars.DataFrame:
    out = folder / "out.parquet"
    lines = write_predictions(bundle, parse_data(str(written(folder, book, trades))), out)
    table = polars.read_parquet(out)
    assert len(table) == lines
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
    return table


def test_every_warm_moment_has_a_line_and_says_what_the_predictor_says(bundle: Bundle, tmp_path: Path) -> None:
    book = made_book(700)
    table = predicted(bundle, tmp_path, book, made_trades(book))
    assert table.columns == COLUMNS
    (source,) = parse_data(str(tmp_path))
    (session,) = load_rows(source, 1.0, min_rows=1).sessions
    assert table["ts_ns"].to_list() == np.unique(session.receive_ns[bundle.card.steps :]).tolist()
    predictor = QuotePredictor(bundle)
    for row in session.market:
        predictor.market[:] = row[: len(predictor.market)]
        predictor.step()
    last = session.rows - 1
    assert table["ts_ns"][-1] == session.receive_ns[last]
    bps = 1e4 * session.sigma_ticks[last] / session.mid_ticks[last]
    assert table["price_change_bps_1s"][-1] == pytest.approx(predictor.price_change * bps)
    assert table["position"][-1] == pytest.approx(predictor.position_signal)
    assert table["spread"].min() > 0  # type: ignore[operator]
    assert table["symbol"].unique().to_list() == ["AAA"]


@pytest.mark.parametrize("lacking", ["sizes", "trades", "levels"])
def test_a_file_that_lacks_something_is_predicted_nonetheless(bundle: Bundle, tmp_path: Path, lacking: str) -> None:
    book = made_book(600, levels=1 if lacking == "levels" else 3)
    if lacking == "sizes":
        book = {name: column for name, column in book.items() if "_sz_" not in name}
    table = predicted(bundle, tmp_path, book, None if lacking == "trades" else made_trades(book))
    numbers = table.select(COLUMNS[2:5]).to_numpy()
    assert len(table) > 200
    assert np.isfinite(numbers).all()


def test_no_prediction_moves_when_the_future_is_another(bundle: Bundle, tmp_path: Path) -> None:
    book = made_book(700)
    table = predicted(bundle, tmp_path / "as_it_was", book)
    cut_ns = book["ts_ns"][450]
    cut_short = {name: column[:450] for name, column in book.items()}
    other = {
        name: [value * 1.3 if "_px_" in name and row >= 450 else value for row, value in enumerate(column)]
        for name, column in book.items()
    }
    before = table.filter(polars.col("ts_ns") < cut_ns)
    assert len(before) > 100
    for name, changed in (("cut_short", cut_short), ("another", other)):
        again = predicted(bundle, tmp_path / name, changed).filter(polars.col("ts_ns") < cut_ns)
        assert again.equals(before)


def test_the_scale_of_prices_and_sizes_makes_no_difference_beyond_their_grid(bundle: Bundle, tmp_path: Path) -> None:
    book = made_book(600)
    table = predicted(bundle, tmp_path / "one", book)
    scaled = {
        name: [value * (100.0 if "_px_" in name else 0.001) for value in column] if "_" in name and name != "ts_ns" else column
        for name, column in book.items()
    }
    other = predicted(bundle, tmp_path / "other", scaled)
    np.testing.assert_allclose(table["price_change_bps_1s"], other["price_change_bps_1s"], atol=1e-9)


def test_the_command_prints_figures_of_head_and_baselines_and_writes_the_page(tmp_path: Path) -> None:
    book = made_book(2_500)
    path = written(tmp_path, book, made_trades(book))
    report, out = tmp_path / "report.html", tmp_path / "predictions.parquet"
    arguments = ["evaluate", str(DEFAULT), "--data", str(path), "--json", "--report", str(report), "--predictions", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    evidence = json.loads(result.stdout)
    lines = evidence["price"]["lines"]
    assert {line["predictor"] for line in lines} >= {
        "price head", "fair", "zero", "last value", "imbalance", "microprice", "ridge", "trees",
    }  # fmt: skip
    assert {line["counted_by"] for line in lines} == {"step", "row", "tenth", "time"}
    assert {line["horizon_seconds"] for line in lines} >= {0.1, 1.0, 10.0}
    # The market is a random walk that no feature foretells: nobody is far from 0, the head not either.
    own = [line for line in lines if line["horizon_seconds"] == 1.0 and line["predictor"] == "price head"]
    assert all(line["ic_low"] < 0.1 and line["ic_high"] > -0.1 for line in own)
    assert "plotly" in report.read_text()
    assert polars.read_parquet(out).columns == COLUMNS


def test_what_is_wrong_is_said_in_a_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", str(DEFAULT), "--data", str(tmp_path / "nothing")])
    assert result.exit_code == 1
    assert "mmd evaluate: data" in result.stderr
    result = CliRunner().invoke(app, ["evaluate", str(tmp_path), "--data", str(tmp_path)])
    assert result.exit_code == 1
    assert "no such card" in result.stderr
