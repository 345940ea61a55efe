"""`python -m mmd.simulation`: seeds by the thousand, one seed told, and the table of mutations."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmd import CORE
from mmd.compiled import CHOICE_VARIABLE
from mmd.simulation import evidence
from mmd.simulation.campaign import Tally, run_campaign, silence
from mmd.simulation.mutation_run import MutationResult, run_mutations
from mmd.simulation.shrink import explain_failure
from mmd.simulation.story import describe, draw_story
from mmd.simulation.world import run_story

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console = Console()
FAILURES_SHOWN = 3


@app.callback()
def main() -> None:
    """Core, exchange, network and disk in one world on virtual time, with everything going wrong that can."""


@app.command()
def run(
    seeds: Annotated[int, typer.Option(help="how many seeds", min=1)] = 1_000,
    first: Annotated[int, typer.Option(help="the first of them", min=0)] = 0,
    processes: Annotated[int | None, typer.Option(help="processes (default: one for each processor)", min=1)] = None,
    write: Annotated[Path | None, typer.Option(help="write the table to this page")] = None,
) -> None:
    """Run seeds; a failing one is shrunk and told. Exit code 1 if any failed.

    Example: python -m mmd.simulation run --seeds 10000 --write docs/evidence/sim.md
    """
    with _progress() as bar:
        task = bar.add_task("seeds", total=seeds, detail="")

        def show(tally: Tally) -> None:
            rate = tally.seeds / tally.seconds if tally.seconds else 0.0
            bar.update(task, completed=tally.seeds, detail=f"{rate:.0f} a second, {len(tally.violations)} violations")

        tally = run_campaign(first, seeds, processes=processes, progress=show)
    console.print(evidence.summary(tally))
    if write is not None:
        write.write_text(evidence.simulation_page(tally, first))
        console.print(f"written to {write}")
    for seed, invariant, _ in tally.violations[:FAILURES_SHOWN]:
        with silence():
            console.print(explain_failure(draw_story(seed), invariant), markup=False, highlight=False)
    if tally.violations:
        raise typer.Exit(1)


@app.command()
def tell(seed: Annotated[int, typer.Argument(help="the seed", min=0)]) -> None:
    """Tell the story of one seed, whole. Exit code 1 if it fails.

    Example: python -m mmd.simulation tell 4711
    """
    story = draw_story(seed)
    with silence():
        outcome = run_story(story, telling=True)
    console.print(f"{story.symbols} symbols, ending: {story.ending}", markup=False, highlight=False)
    for fault in story.faults:
        console.print(f"  {fault.at_ns / 1e9:7.3f} {describe(fault)}", markup=False, highlight=False)
    for line in outcome.told:
        console.print(line, markup=False, highlight=False)
    console.print(f"{outcome.events} events; {outcome.counts}", markup=False, highlight=False)
    if outcome.violation is not None:
        raise typer.Exit(1)


@app.command()
def mutations(
    seeds: Annotated[int, typer.Option(help="seeds within which each must be caught", min=1)] = 400,
    only: Annotated[list[str] | None, typer.Option(help="only this one (may be given several times)")] = None,
    processes: Annotated[int | None, typer.Option(help="processes (default: one for each processor)", min=1)] = None,
    write: Annotated[Path | None, typer.Option(help="write the table to this page")] = None,
) -> None:
    """Break each safety rule in turn and see how many seeds it takes to notice. Exit code 1 if one goes unnoticed.

    Example: python -m mmd.simulation mutations --only fills_doubled
    """
    if CORE.name != "pure":
        # Compiled code does not look replaced functions up: begin again on the core as it is written.
        command = [sys.executable, "-m", "mmd.simulation", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, CHOICE_VARIABLE: "pure"})
    results: list[MutationResult] = []
    with _progress() as bar:
        task = bar.add_task("mutations", total=None, detail="")
        for result, total in run_mutations(seeds, only, processes=processes):
            results.append(result)
            bar.update(task, completed=len(results), total=total, detail=f"{result.name}: {result.verdict}")
    console.print(evidence.mutation_table(results), markup=False, highlight=False)
    if write is not None:
        write.write_text(evidence.mutation_page(results, seeds))
        console.print(f"written to {write}")
    if any(result.seeds is None for result in results):
        raise typer.Exit(1)


def _progress() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    return Progress(*columns, console=console, transient=True)
