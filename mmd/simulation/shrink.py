"""A story that fails, made as short as it still fails: faults taken out, then what the market does, then time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from mmd.simulation.story import MS, Story, describe
from mmd.simulation.world import Outcome, run_story

T = TypeVar("T")
MOST_RUNS = 400
TOLD_LINES = 40


class Shrinker:
    """Keeps the shortest story in which the same invariant breaks. `runs` counts how many were tried."""

    def __init__(self, story: Story, invariant: str, run: Callable[[Story], Outcome] = run_story) -> None:
        self.story = story
        self.runs = 0
        self._invariant = invariant
        self._run = run

    def shrink(self) -> Story:
        """Until nothing more can be taken out, or enough was tried."""
        before: Story | None = None
        while before != self.story and self.runs < MOST_RUNS:
            before = self.story
            self._without_faults()
            self._without_market()
            self._shorter()
        return self.story

    def _fails(self, story: Story) -> bool:
        if self.runs >= MOST_RUNS:
            return False
        self.runs += 1
        violation = self._run(story).violation
        if violation is None or violation[0] != self._invariant:
            return False
        self.story = story
        return True

    def _without_faults(self) -> None:
        _remove(lambda kept: self._fails(msgspec.structs.replace(self.story, faults=tuple(kept))), self.story.faults)

    def _without_market(self) -> None:
        _remove(lambda kept: self._fails(msgspec.structs.replace(self.story, market=tuple(kept))), self.story.market)

    def _shorter(self) -> None:
        story = self.story
        happenings = [step.at_ns for step in story.market] + [fault.at_ns + fault.lasting_ns for fault in story.faults]
        until_ns = max(happenings, default=0) + 100 * MS
        if until_ns < story.until_ns:
            self._fails(msgspec.structs.replace(story, until_ns=until_ns))


def _remove(fails: Callable[[Sequence[T]], bool], parts: Sequence[T]) -> None:
    """Take out ever smaller pieces (delta debugging), keeping each removal after which it still fails."""
    kept = list(parts)
    size = len(kept)
    while size:
        start = 0
        while start < len(kept):
            without = kept[:start] + kept[start + size :]
            if fails(without):
                kept = without
            else:
                start += size
        size //= 2


def script(story: Story, outcome: Outcome) -> str:
    """The failing story for people: what happened to it, what was said at the end, and how to see it again."""
    assert outcome.violation is not None
    name, text = outcome.violation
    lines = [f"seed {story.seed}: {name}: {text}", f"{story.symbols} symbols, ending: {story.ending}; what went wrong:"]
    lines += [f"  {fault.at_ns / 1e9:7.3f} {describe(fault)}" for fault in story.faults] or ["  nothing"]
    lines.append(f"the market did {len(story.market)} things; the last lines of the story:")
    lines += [f"  {line}" for line in outcome.told[-TOLD_LINES:]]
    lines.append(f"again: make sim SEED={story.seed}")
    return "\n".join(lines)


def explain_failure(story: Story, invariant: str, run: Callable[..., Outcome] = run_story) -> str:
    """Shrink it and tell it."""
    shortest = Shrinker(story, invariant, run).shrink()
    return script(shortest, run(shortest, telling=True))
