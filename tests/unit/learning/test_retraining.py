"""A retraining proposes on evidence, overwrites nothing, and says when it comes to nothing; the whole round is a long test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmd.cli import app
from mmd.learning.retraining import Comparison, Proposal, compare, judge, next_steps, page, shadow_results

RUNNER = CliRunner()


def evaluation(**ics: float | None) -> bytes:
    verdicts = [
        {"series": series, "head_ic": ic, "best_baseline": "ridge", "baseline_ic": 0.2, "better_in_draws": None}
        for series, ic in ics.items()
    ]
    return json.dumps({"report": "evaluation", "price": {"verdicts": verdicts, "lines": []}}).encode()


def test_evaluations_are_compared_series_by_series() -> None:
    lines = compare(evaluation(a=0.1, b=None), evaluation(b=0.3, a=0.2))
    assert lines == (Comparison("a", 0.1, 0.2, "ridge", 0.2), Comparison("b", None, 0.3, "ridge", 0.2))
    with pytest.raises(ValueError, match="other series: b"):
        compare(evaluation(a=0.1), evaluation(a=0.1, b=0.2))
    with pytest.raises(ValueError, match="not an evaluation"):
        compare(b"{}", evaluation(a=0.1))


@pytest.mark.parametrize(
    ("pairs", "verdict", "why"),
    [
        ([(0.10, 0.15), (0.20, 0.21)], "promote", "mean gain in IC +0.0300 over 2 series"),
        ([(0.10, 0.30), (0.20, 0.17)], "keep", "clearly worse on s1"),
        ([(0.10, 0.10), (0.20, 0.20)], "keep", "no better on average"),
        ([(None, 0.30)], "keep", "no series tells"),
        ([], "keep", "no series tells"),
    ],
)
def test_only_what_is_better_and_nowhere_clearly_worse_is_recommended(
    pairs: list[tuple[float | None, float]], verdict: str, why: str
) -> None:
    found = judge([Comparison(f"s{number}", old, new, "ridge", 0.1) for number, (old, new) in enumerate(pairs)])
    assert found[0] == verdict
    assert why in found[1]


def test_the_page_says_what_to_type_and_nothing_where_nothing_is_to_be_done() -> None:
    comparisons = (Comparison("a", 0.1, None, "ridge", 0.2),)
    state = {"trader": {"shadow": [{"symbol": "BTCUSDT", "who": "champion", "fills": 3, "markouts_bps": {"1s": -0.5}}]}}
    steps = next_steps("promote", Path("new"), Path("e.json"))
    text = page(Proposal("now", "old", "new", ("d",), comparisons, shadow_results(state), "promote", "because", steps))
    assert "| a | +0.1000 | – | ridge | +0.2000 |" in text
    assert "| BTCUSDT | champion | 3 | -0.5000 |" in text
    assert "    mmd promote new --to backtest --evidence e.json" in text
    assert next_steps("keep", Path("new"), Path("e.json")) == ()
    assert shadow_results({"trader": {}}) == ()


def test_a_failed_round_is_told_and_counted(tmp_path: Path) -> None:
    done = RUNNER.invoke(app, ["retrain", "--data", "/no/such/folder", "--out", str(tmp_path)])
    assert done.exit_code == 1
    assert "round failed (1 in a row): mmd train ended with code 1" in done.output
    status = json.loads((tmp_path / "retrain-status.json").read_text())
    assert (status["failures_in_a_row"], status["last_success_utc"]) == (1, "")
    assert "mmd train" in status["last_error"]


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_whole_round_makes_a_bundle_and_a_proposal(tmp_path: Path) -> None:
    champion = Path(__file__).resolve().parents[3] / "models" / "quote-v1"
    command = [
        sys.executable, "-m", "mmd.cli", "retrain", "--data", "sim:1-2,0.25", "--champion", str(champion), "--out", str(tmp_path),
        "--epochs", "2",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"})
    assert done.returncode == 0, done.stderr[-3000:]
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    proposal = json.loads((folder / "proposal.json").read_text())
    assert {line["series"] for line in proposal["comparisons"]}
    assert proposal["verdict"] in ("promote", "keep")
    challenger = Path(proposal["challenger"])
    card = json.loads((challenger / "card.json").read_text())
    assert card["companion"] is not None
    assert card["cross_asset"] is not None, "two symbols of one simulation were received together"
    assert RUNNER.invoke(app, ["models", "check", str(challenger)]).exit_code == 0
    evidence = str(folder / "evaluation-challenger.json")
    promoted = RUNNER.invoke(app, ["promote", str(challenger), "--to", "backtest", "--evidence", evidence])
    assert promoted.exit_code == 0, promoted.output
