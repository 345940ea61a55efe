"""Each mutation in turn: how many seeds it takes until an invariant breaks, and which."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

import msgspec

from mmd.simulation.campaign import silence
from mmd.simulation.mutations import MUTATIONS, Mutation
from mmd.simulation.story import draw_story
from mmd.simulation.world import run_story


class MutationResult(msgspec.Struct, frozen=True):
    """`seeds`: how many were needed; None where none of them noticed."""

    name: str
    rule: int
    breaks: str
    seeds: int | None
    invariant: str
    text: str

    @property
    def verdict(self) -> str:
        """In short."""
        return "NOT NOTICED" if self.seeds is None else f"{self.invariant} after {self.seeds} seeds"


def find(name: str) -> Mutation:
    """By name. Raises `ValueError`, naming those there are."""
    for mutation in MUTATIONS:
        if mutation.name == name:
            return mutation
    raise ValueError(f"there is no mutation {name!r}; there are {', '.join(each.name for each in MUTATIONS)}")


def run_mutation(name: str, seeds: int, first: int = 0) -> MutationResult:
    """Seed after seed until one notices."""
    mutation = find(name)
    with mutation.applied(), silence():
        for number in range(seeds):
            violation = run_story(draw_story(first + number)).violation
            if violation is not None:
                return MutationResult(name, mutation.rule, mutation.breaks, number + 1, *violation)
    return MutationResult(name, mutation.rule, mutation.breaks, None, "", "")


def run_mutations(
    seeds: int, only: Sequence[str] | None = None, *, processes: int | None = None
) -> Iterator[tuple[MutationResult, int]]:
    """All, or those named; each with how many there are. Raises `ValueError` for a name that is none."""
    names = [find(name).name for name in only] if only else [mutation.name for mutation in MUTATIONS]
    with ProcessPoolExecutor(processes or os.cpu_count()) as pool:
        for result in pool.map(run_mutation, names, [seeds] * len(names)):
            yield result, len(names)
