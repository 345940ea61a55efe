"""The tables of what was simulated, as Markdown, with the commit they are of."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence

from mmd.simulation.campaign import Tally
from mmd.simulation.invariants import INVARIANTS
from mmd.simulation.mutation_run import MutationResult
from mmd.simulation.story import KINDS

RULES = {
    1: "every order passes every check; exposure is the worst case of each side",
    2: "pause and halt; the latch survives",
    3: "unknown is a state, and counts",
    4: "only our own orders are touched",
    5: "ledger = exchange",
    6: "a silent daemon is a stopped one",
    7: "no quote on a book that is stale, gapped, crossed or being resynced",
    8: "secrets stay secret",
    9: "nothing is unbounded",
}
SIMULATION = """# The simulation: {seeds:,} seeds

`make sim SEEDS={seeds}` writes this page (commit {commit}). Each seed is a story of some seconds of virtual time: the core, the
shell's own dispatcher, latch and checkpoint on a disk in memory, the mock's matching engine, and lines on which anything may go
wrong. What must hold is checked after every event, what must hold in the end once everything is quiet.

{summary}

## What went wrong, how often

{faults}

## What was held against it

{invariants}
{violations}"""
MUTATION = """# The simulation, with the program broken on purpose

`make mutations` writes this page (commit {commit}). Each line is a function of the running program replaced by one that breaks a
safety rule; `seeds` is how many stories it took until an invariant broke, of at most {most}. The unbroken program breaks none.

{table}

| # | safety rule | mutations | noticed |
|---:|---|---:|---:|
{rules}
"""


def commit() -> str:
    """The commit of the working copy, marked where files differ from it."""
    asked = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or "unknown"


def summary(tally: Tally) -> str:
    """The figures in one table."""
    rows = [
        ("seeds", f"{tally.seeds:,}"),
        ("violations", f"{len(tally.violations):,}"),
        ("seeds a second", f"{tally.seeds / tally.seconds:.0f}" if tally.seconds else "-"),
        ("processor time a seed, ms", f"{tally.processor_seconds / tally.seeds * 1000:.0f}"),
        ("events of the core", f"{tally.events:,}"),
        ("events a seed, mean and most", f"{tally.events / tally.seeds:.0f} and {tally.most_events:,}"),
        *((name, f"{count:,}") for name, count in sorted(tally.counts.items())),
    ]
    return _table(("", ""), rows, right=(1,))


def simulation_page(tally: Tally, first: int) -> str:
    """docs/evidence/sim.md."""
    faults = [(f"`{kind}`", each.place, each.effect, f"{tally.injected.get(kind, 0):,}") for kind, each in KINDS.items()]
    broken = [name for _, name, _ in tally.violations]
    invariants = [(f"`{name}`", text, str(broken.count(name))) for name, text in INVARIANTS.items()]
    failing = "".join(f"\n- seed {seed}: {name}: {text}" for seed, name, text in tally.violations)
    return SIMULATION.format(
        seeds=tally.seeds,
        commit=commit(),
        summary=summary(tally),
        faults=_table(("fault", "where", "what it does", "struck"), faults, right=(3,)),
        invariants=_table(("invariant", "says", "broken"), invariants, right=(2,)),
        violations=failing,
    )


def mutation_table(results: Iterable[MutationResult]) -> str:
    """Line by line."""
    rows = [
        (
            str(each.rule),
            f"`{each.name}`",
            each.breaks,
            f"`{each.invariant}`" if each.invariant else "not noticed",
            str(each.seeds or "-"),
        )
        for each in results
    ]
    return _table(("rule", "mutation", "what is broken", "noticed by", "seeds"), rows, right=(0, 4))


def mutation_page(results: Sequence[MutationResult], most: int) -> str:
    """docs/evidence/mutations.md."""
    lines = []
    for number, rule in RULES.items():
        of_rule = [each for each in results if each.rule == number]
        lines.append(f"| {number} | {rule} | {len(of_rule)} | {sum(each.seeds is not None for each in of_rule)} |")
    return MUTATION.format(commit=commit(), most=most, table=mutation_table(results), rules="\n".join(lines))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]], right: tuple[int, ...]) -> str:
    marks = "|".join("---:" if place in right else "---" for place in range(len(head)))
    return "\n".join([f"| {' | '.join(head)} |", f"|{marks}|", *(f"| {' | '.join(row)} |" for row in rows)])
