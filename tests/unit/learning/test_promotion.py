"""Stages: one up at a time, on a report about these very networks; down at any time, and then the evidence is gone."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from mmd.cli import app
from mmd.inference.bundle import Bundle, content_digest, load_bundle, write_card
from mmd.inference.card import STAGES, Stage
from mmd.learning.evidence import Evidence
from mmd.learning.price_evaluation import PriceEvidence
from mmd.learning.promotion import REPORTS, PromotionError, promoted

FIXTURE = Path(__file__).resolve().parents[2] / "fixtures" / "tiny_bundle"
SHIPPED = Path(__file__).resolve().parents[3] / "models" / "quote-v1"
NOW = "2026-01-02T03:04:05+00:00"
runner = CliRunner()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURE, tmp_path / "bundle"))


def loaded(folder: Path) -> Bundle:
    return load_bundle(folder, feature_schema_hash=None)


def report(folder: Path, kind: str, content: str | None = None) -> Path:
    path = folder.parent / f"{kind}.json"
    path.write_text(json.dumps({"report": kind, "bundle_content": content or content_digest(loaded(folder).card)}))
    return path


def raise_to(folder: Path, stage: Stage) -> None:
    for step in STAGES[1 : STAGES.index(stage) + 1]:
        write_card(folder, promoted(loaded(folder), step, report(folder, REPORTS[step][0]), NOW))


def test_a_bundle_climbs_stage_by_stage_and_its_card_holds_the_evidence(folder: Path) -> None:
    content = content_digest(loaded(folder).card)
    raise_to(folder, "live")
    card = loaded(folder).card
    assert card.stage == "live"
    assert [one.stage for one in card.evidence] == ["backtest", "paper", "live"]
    for one in card.evidence:
        assert one.sha256 == hashlib.sha256((folder.parent / one.report).read_bytes()).hexdigest()
        assert one.created_utc == NOW
    assert content_digest(card) == content, "promotion changes nothing that evidence is about"


@pytest.mark.parametrize("to", ["paper", "live"])
def test_no_stage_is_skipped(folder: Path, to: Stage) -> None:
    with pytest.raises(PromotionError, match="is at stage none; the next is backtest"):
        promoted(loaded(folder), to, report(folder, "paper"), NOW)


def test_going_down_drops_the_evidence_above_and_asks_for_none(folder: Path) -> None:
    raise_to(folder, "live")
    card = promoted(loaded(folder), "backtest", None, NOW)
    assert card.stage == "backtest"
    assert [one.stage for one in card.evidence] == ["backtest"]
    write_card(folder, card)
    with pytest.raises(PromotionError, match="at stage backtest already"):
        promoted(loaded(folder), "backtest", None, NOW)


def test_a_report_of_other_networks_of_another_kind_or_of_none_is_refused(folder: Path, tmp_path: Path) -> None:
    bundle = loaded(folder)
    with pytest.raises(PromotionError, match="asks for evidence: give --evidence REPORT, made by mmd evaluate"):
        promoted(bundle, "backtest", None, NOW)
    with pytest.raises(PromotionError, match=r"is about networks 000000000000…, but those of .* make a report of this bundle"):
        promoted(bundle, "backtest", report(folder, "evaluation", "0" * 64), NOW)
    with pytest.raises(PromotionError, match="is a report of 'paper'; stage backtest asks for"):
        promoted(bundle, "backtest", report(folder, "paper"), NOW)
    (tmp_path / "text").write_text("splendid results")
    with pytest.raises(PromotionError, match="not JSON"):
        promoted(bundle, "backtest", tmp_path / "text", NOW)
    (tmp_path / "list").write_text("[]")
    with pytest.raises(PromotionError, match="is no report"):
        promoted(bundle, "backtest", tmp_path / "list", NOW)
    with pytest.raises(PromotionError, match="cannot be read"):
        promoted(bundle, "backtest", tmp_path / "nowhere", NOW)


def test_other_weights_are_another_bundle_to_the_evidence(folder: Path) -> None:
    card = loaded(folder).card
    changed = msgspec.structs.replace(card, files={**card.files, "step_float32.tflite": "0" * 64})
    weighed = msgspec.structs.replace(card, fair_weights={"microprice": 2.0})
    assert len({content_digest(card), content_digest(changed), content_digest(weighed)}) == 3


def test_what_mmd_evaluate_writes_is_evidence(folder: Path, tmp_path: Path) -> None:
    bundle = loaded(folder)
    price = PriceEvidence(lines=[], hours=[], verdicts=[])
    evidence = Evidence(1, "b", bundle.digest, content_digest(bundle.card), "int8", "r", 1.0, [], "", price, [], [])
    (tmp_path / "evaluation.json").write_bytes(msgspec.json.encode(evidence))
    assert promoted(bundle, "backtest", tmp_path / "evaluation.json", NOW).stage == "backtest"


def test_the_command_promotes_and_says_what_is_wrong(folder: Path) -> None:
    done = runner.invoke(app, ["promote", str(folder), "--to", "backtest", "--evidence", str(report(folder, "evaluation"))])
    assert (done.exit_code, loaded(folder).card.stage) == (0, "backtest"), done.output
    assert "none → backtest" in done.output
    refused = runner.invoke(app, ["promote", str(folder), "--to", "live", "--evidence", str(report(folder, "paper"))])
    assert refused.exit_code == 1
    assert "the next is paper" in refused.output
    assert runner.invoke(app, ["promote", str(folder), "--to", "production"]).exit_code == 2
    assert loaded(folder).card.stage == "backtest"


def test_check_tells_serving_bundles_from_others(folder: Path) -> None:
    good = runner.invoke(app, ["models", "check", str(SHIPPED), "--json"])
    assert good.exit_code == 0, good.output
    assert all(one["problem"] == "" for one in json.loads(good.stdout)[str(SHIPPED)])
    (folder / "step_int8.tflite").write_bytes(b"cut")
    bad = runner.invoke(app, ["models", "check", str(SHIPPED), str(folder)])
    assert bad.exit_code == 1
    # The fixture's features are nobody's.
    assert "refused" in bad.output


def test_list_names_a_damaged_bundle_and_why(folder: Path) -> None:
    (folder / "step_int8.tflite").unlink()
    rows = json.loads(runner.invoke(app, ["models", "list", str(folder.parent), "--json"]).stdout)
    (row,) = rows
    assert "step_int8.tflite: the card lists this file, but it is missing" in row["problem"]
    assert runner.invoke(app, ["models", "list", str(folder)]).exit_code == 1


def test_show_and_diff_speak_of_the_card(folder: Path, tmp_path: Path) -> None:
    shown = json.loads(runner.invoke(app, ["models", "show", str(folder), "--json"]).stdout)
    assert shown == json.loads(msgspec.json.encode(loaded(folder).card))
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    assert "no difference" in runner.invoke(app, ["models", "diff", str(folder), str(other)]).output
    write_card(other, msgspec.structs.replace(loaded(other).card, max_shift=9.0, stage="backtest"))
    told = json.loads(runner.invoke(app, ["models", "diff", str(folder), str(other), "--json"]).stdout)
    assert told["max_shift"][1] == 9.0
    assert set(told) == {"max_shift", "stage"}
