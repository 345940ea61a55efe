"""Scenario files: what they mean, and that a mistake is told with its line and with what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmd.mock.faults import FaultBoard, ScenarioError, Timeline, load_scenario
from mmd.mock.faults.kinds import KINDS
from mmd.mock.faults.scenario import parse_scenario

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "s, line 1: there is no 'x' here; there are seed, clock, fault, random"),
        ("[faults]\n", "s, line 1: there is no 'faults' here; there are seed, clock, fault, random"),
        ('seed = "a"', "s, line 1: seed: Input should be a valid integer"),
        ('\nclock = "sun"', "s, line 2: clock: Input should be 'wall' or 'market'"),
        (
            '[[fault]]\nat = 1\nkind = "drop_frames"\n\n# why\nprobabilty = 1',
            "s, line 6: drop_frames has no 'probabilty' (did you mean 'probability'?); it has at, kind, seconds, probability, ",
        ),
        (
            '[[fault]]\nat = 1\nkind = "freeze"\n[[fault]]\nat = 2\nkind = "frooze"',
            "s, line 6: there is no fault 'frooze' (did you mean 'freeze'?); there are drop_frames, ",
        ),
        ('[[fault]]\nkind = "freeze"', "s, line 1: at: when it begins, s after the start, not None"),
        ('[[fault]]\nat = -1\nkind = "freeze"', "s, line 2: at: when it begins, s after the start, not -1"),
        ('[[fault]]\nat = 1\nkind = "freeze"\nseconds = 0', "s, line 4: freeze: seconds: Input should be greater than 0"),
        ("[random]\n\nevry = 1", "s, line 3: random has no 'evry'; it has every, start, until, longest, kinds"),
        ('[random]\nkinds = ["x"]', "s, line 2: random: kinds: Value error, there is no fault 'x'; there are drop_frames, "),
        ("fault = 3", "s, line 1: a fault is written as a table of its own, under [[fault]]"),
        ("seed = ", "s: Invalid value (at end of document)"),
    ],
)
def test_mistakes_are_told_with_their_line(text: str, message: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        parse_scenario(text, "s")
    assert str(raised.value).startswith(message)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="cannot be read"):
        load_scenario(tmp_path / "absent.toml")


def test_faults_begin_and_end_in_their_time() -> None:
    scenario = parse_scenario(
        '[[fault]]\nat = 2\nkind = "drop_frames"\nseconds = 3\n[[fault]]\nat = 1\nkind = "cut_connections"\n'
        '[[fault]]\nat = 4\nkind = "clock_offset"'
    )
    board = FaultBoard()
    acts: list[tuple[str, int]] = []
    board.on_act(lambda fault, now_ns: acts.append((fault.kind, now_ns)))
    timeline = Timeline(scenario, board, 100 * SECOND)
    on = {}
    for tenth in range(70):
        now_ns = 100 * SECOND + tenth * SECOND // 10
        timeline.advance(now_ns)
        on[tenth] = {active.fault.kind for active in board.active}
    assert acts == [("cut_connections", 101 * SECOND), ("drop_frames", 102 * SECOND), ("clock_offset", 104 * SECOND)]
    assert on[19] == set()
    assert on[20] == on[39] == {"drop_frames"}
    assert on[49] == {"drop_frames", "clock_offset"}
    assert on[50] == {"clock_offset"}
    assert board.clock_offset_ns == 5 * SECOND


def test_market_time_runs_with_the_speed() -> None:
    text = 'clock = "market"\n[[fault]]\nat = 20\nkind = "drop_frames"\nseconds = 10'
    board = FaultBoard()
    timeline = Timeline(parse_scenario(text), board, 0, speed=10.0)
    timeline.advance(2 * SECOND - 1)
    assert not board.active
    timeline.advance(2 * SECOND)
    assert board.active
    timeline.advance(3 * SECOND)
    assert not board.active


def test_faults_drawn_at_random_are_the_seeds() -> None:
    def drawn(seed: int) -> list[tuple[str, int]]:
        board = FaultBoard()
        acts: list[tuple[str, int]] = []
        board.on_act(lambda fault, now_ns: acts.append((str(fault), now_ns)))
        timeline = Timeline(parse_scenario(f"seed = {seed}\n[random]\nevery = 0.5\nuntil = 150"), board, 0)
        for second in range(200):
            timeline.advance(second * SECOND)
        return acts

    first = drawn(1)
    assert first == drawn(1)
    assert first != drawn(2)
    assert 200 < len(first) < 400
    assert max(now_ns for _, now_ns in first) <= 150 * SECOND
    assert {kind for kind in KINDS if any(f"kind='{kind}'" in text for text, _ in first)} == set(KINDS)
