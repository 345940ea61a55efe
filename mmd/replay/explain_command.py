"""`mmd explain`: why an order was sent, as text, as JSON, or as a picture."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmd import CORE
from mmd.compiled import CHOICE_VARIABLE
from mmd.replay.command import (
    BundleOption,
    ConfigOption,
    JsonOption,
    PredictionsOption,
    StateOption,
    fail,
    open_session,
    progress_bar,
    sessions_folder,
)

if TYPE_CHECKING:
    from mmd.journal.reader import SessionJournal

OrderArgument = Annotated[
    str, typer.Argument(metavar="ORDER_ID", help="Our client order id, or the exchange's (then with --session).")
]
SessionOption = Annotated[
    str, typer.Option("--session", help="The session that sent it; a client id names its own. `last` is the newest.")
]
PictureOption = Annotated[
    Path | None, typer.Option("--picture", help="Write a self-contained page with pictures to this file (HTML).")
]


def explain(
    order_id: OrderArgument,
    session: SessionOption = "",
    picture: PictureOption = None,
    predictions: PredictionsOption = "auto",
    bundle: BundleOption = None,
    state: StateOption = None,
    config: ConfigOption = None,
    json_output: JsonOption = False,
) -> None:
    """Why an order was sent: what book, features, networks, gate and limits said then, where its price came from, and its fate.

    The session is lived again up to that order, so all of this is what the core had before it, not what somebody logged.

    \b
    Examples:
      mmd explain mmd-mwxv60vl-1a
      mmd explain mmd-mwxv60vl-1a --picture why.html
      mmd explain 4711 --session last --json | jq .parts

    \b
    Exit codes: 0 explained, 2 there is no such order, or its session cannot be replayed.
    """
    _as_written()
    from mmd.journal.errors import JournalError
    from mmd.replay.errors import Diverged, ReplayError
    from mmd.replay.explanation import Explaining, find_order
    from mmd.replay.session import ReplayedSession

    try:
        journal = _session_of(order_id, session, sessions_folder(state, config))
        name = find_order(journal, order_id)
        replayed = ReplayedSession(journal.begin, predictions=predictions, bundle=bundle)
        with progress_bar(journal, "replaying") as on_progress:
            explained = Explaining(journal, replayed, name).run(on_progress)
        if picture is not None:
            from mmd.replay.explanation_page import page

            picture.write_text(page(explained), encoding="utf-8")
    except (JournalError, ReplayError, OSError) as error:
        fail(str(error))
    except Diverged as error:
        fail(f"the session does not come out again as it went out ({error}): see mmd replay --verify")
    if json_output:
        import msgspec

        typer.echo(msgspec.json.encode(explained).decode())
        return
    from rich.console import Console

    from mmd.replay.explanation_text import print_explanation

    print_explanation(explained, Console())
    if picture is not None:
        typer.echo(f"picture: {picture}")


def _session_of(order_id: str, session: str, root: Path) -> SessionJournal:
    """The session that was said, or the one whose epoch the client id bears."""
    if session:
        return open_session(root, session)
    parts = order_id.split("-")
    if len(parts) != 3:
        fail(f"{order_id} is no client order id of ours (as mmd-mwxv60vl-1a): say --session for an id of the exchange")
    return open_session(root, parts[1])


def _as_written() -> None:
    """Begin again on the core as it is written: to listen, functions take the place of methods, which compiled classes refuse."""
    if CORE.name != "pure":
        os.execve(sys.executable, [sys.executable, "-m", "mmd.cli", *sys.argv[1:]], {**os.environ, CHOICE_VARIABLE: "pure"})
