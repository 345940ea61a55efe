"""`mmd retrain`: recorded sessions to a challenger, judged beside the champion, a time in shadow, a proposal; on a timer."""

from __future__ import annotations

import datetime
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from mmd.inference.shipped import DEFAULT_BUNDLE

EXIT_ERROR = 1
HALTED = 3
"""`mmd status` of a halted daemon: it watches all the same."""
TEST_SHARE = "0.15"
"""Of shorter data: what the training leaves alone, so that neither bundle is judged on rows that chose its epoch."""

DataOption = Annotated[
    list[str],
    typer.Option("--data", "-d", metavar="SOURCE", help="As `mmd train` takes it; may be repeated.", show_default=False),
]
ChampionOption = Annotated[Path, typer.Option("--champion", help="Bundle to beat.")]
OutOption = Annotated[Path, typer.Option("--out", help="Folder below which challengers and proposals go.")]
MinutesOption = Annotated[float, typer.Option("--minutes", min=0.0, help="No epoch begins after so many minutes (0: no limit).")]
EpochsOption = Annotated[int, typer.Option("--epochs", min=1, help="Passes over the training part at most.")]
ShadowOption = Annotated[
    float,
    typer.Option("--shadow-minutes", min=0.0, help="Have the running daemon watch the challenger so long (0: no shadow)."),
]
EveryOption = Annotated[float, typer.Option("--every", min=0.0, help="Hours between two rounds (0: one round and leave).")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of the training.")]
ArchitectureOption = Annotated[str, typer.Option("--architecture", help="Of the quote network, as `mmd train` takes it.")]


class RoundFailed(RuntimeError):
    """A round that came to nothing: which step, and what it said."""


def retrain(
    data: DataOption,
    champion: ChampionOption = DEFAULT_BUNDLE,
    out: OutOption = Path("retrained"),
    minutes: MinutesOption = 30.0,
    epochs: EpochsOption = 25,
    shadow_minutes: ShadowOption = 0.0,
    every: EveryOption = 0.0,
    seed: SeedOption = 1,
    architecture: ArchitectureOption = "row",
) -> None:
    """Train a challenger on recorded sessions, judge it beside the champion, and propose. It never promotes and never swaps.

    All networks are trained: quote, order flow, adverse selection, risk and, where the data holds several instruments of the same
    time, cross-asset. Each round writes OUT/TIME/ with the challenger's bundle, both evaluations, proposal.json and proposal.md,
    and overwrites nothing. OUT/retrain-status.json says what the last round did. With --every a failed round is told and counted,
    and the next one comes.

    \b
    Examples:
      mmd retrain --data recordings/ --champion models/quote-v3
      mmd retrain --data recordings/ --every 24 --shadow-minutes 60

    \b
    Exit codes: 0 a proposal was made (or it was stopped between rounds), 1 the round failed, 2 usage.
    """
    from mmd.learning.retraining import STATUS_FILE, Status

    wish = _Wish(tuple(data), champion, minutes, epochs, shadow_minutes, seed, architecture)
    status = Status(0, 0, "", "", "", "")
    while True:
        begun = time.monotonic()
        started = datetime.datetime.now(datetime.UTC)
        try:
            proposal = _round(out / started.strftime("%Y%m%dT%H%M%SZ"), started, wish)
            status = Status(status.rounds + 1, 0, started.isoformat(), started.isoformat(), "", str(proposal))
            typer.echo(proposal.read_text())
        except RoundFailed as error:
            failures = status.failures_in_a_row + 1
            status = Status(
                status.rounds + 1, failures, started.isoformat(), status.last_success_utc, str(error), status.last_proposal
            )
            typer.echo(f"mmd retrain: round failed ({failures} in a row): {error}", err=True)
        _write(out / STATUS_FILE, status)
        if not every:
            raise typer.Exit(EXIT_ERROR if status.failures_in_a_row else 0)
        time.sleep(max(0.0, every * 3600.0 - (time.monotonic() - begun)))


class _Wish(msgspec.Struct, frozen=True):
    """What was asked for on the command line."""

    data: tuple[str, ...]
    champion: Path
    minutes: float
    epochs: int
    shadow_minutes: float
    seed: int
    architecture: str


def _round(folder: Path, started: datetime.datetime, wish: _Wish) -> Path:
    """One round; where its page is. Raises `RoundFailed`."""
    from mmd.learning.retraining import PAGE_FILE, PROPOSAL_FILE, Proposal, compare, judge, next_steps, page, shadow_results

    champion = wish.champion
    challenger = folder / f"{champion.name.split('@')[0]}@{folder.name}"
    sources = [part for source in wish.data for part in ("--data", source)]
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise RoundFailed(f"{folder} cannot be made ({error.strerror or error})") from error
    _mmd(
        "train", "all", *sources, "--out", str(challenger), "--minutes", str(wish.minutes), "--epochs", str(wish.epochs),
        "--seed", str(wish.seed), "--architecture", wish.architecture, "--work-dir", str(folder / "training"),
    )  # fmt: skip
    evaluations = {name: folder / f"evaluation-{name}.json" for name in ("champion", "challenger")}
    for name, bundle in (("champion", champion), ("challenger", challenger)):
        evaluations[name].write_bytes(_mmd("evaluate", str(bundle), *sources, "--test-share", TEST_SHARE, "--json"))
    try:
        comparisons = compare(*(evaluations[name].read_bytes() for name in ("champion", "challenger")))
    except ValueError as error:
        raise RoundFailed(str(error)) from error
    shadow = shadow_results(_watch(challenger, wish.shadow_minutes)) if wish.shadow_minutes else ()
    verdict, why = judge(comparisons)
    proposal = Proposal(
        created_utc=started.isoformat(timespec="seconds"),
        champion=str(champion),
        challenger=str(challenger),
        data=wish.data,
        comparisons=comparisons,
        shadow=shadow,
        verdict=verdict,
        why=why,
        next_steps=next_steps(verdict, challenger, evaluations["challenger"]),
    )
    _write(folder / PROPOSAL_FILE, proposal)
    (folder / PAGE_FILE).write_text(page(proposal), encoding="utf-8")
    return folder / PAGE_FILE


def _mmd(*arguments: str, fine: tuple[int, ...] = (0,)) -> bytes:
    """A step in a process of its own, so that its memory goes when it is done; its progress is seen on standard error."""
    done = subprocess.run([sys.executable, "-m", "mmd.cli", *arguments], stdout=subprocess.PIPE, check=False)
    if done.returncode not in fine:
        raise RoundFailed(f"mmd {arguments[0]} ended with code {done.returncode}; what it said stands above")
    return done.stdout


def _watch(challenger: Path, minutes: float) -> dict[str, Any]:
    """Have the running daemon, found by the usual settings, watch the challenger; what it saw. Ends the shadow again."""
    _mmd("models", "challenge", str(challenger.absolute()))
    time.sleep(minutes * 60.0)
    state = msgspec.json.decode(_mmd("status", "--json", fine=(0, HALTED)), type=dict[str, Any])
    _mmd("models", "challenge", "none")
    return state


def _write(path: Path, document: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    fresh.replace(path)
