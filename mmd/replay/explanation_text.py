"""An explanation as text for the terminal."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mmd.replay.explanation import Explanation

_SHOWN_LEVELS = 6


def print_explanation(explained: Explanation, console: Console) -> None:
    """All of it."""
    console.print(_head(explained))
    console.print(_book(explained))
    for table in (_parts(explained), _networks(explained), _features(explained), _checks(explained), _fate(explained)):
        console.print(table)


def _head(e: Explanation) -> RenderableType:
    withheld = f"; withheld: {e.withheld}" if e.withheld else ""
    quoted = f"bid {_shown(e.quoted_bid)}, ask {_shown(e.quoted_ask)}, fair {e.fair:.10g}"
    exchange = f" (the venue's {e.exchange_order_id})" if e.exchange_order_id else ""
    return Group(
        Text(f"{e.side} {e.quantity:g} {e.symbol} at {e.price:.10g}", style="bold"),
        Text(f"{e.client_order_id}{exchange}, {e.what}; {e.seconds:.3f} s into session {e.session}, record {e.record:,}"),
        Text(f"quote by {e.source}: {quoted}, position {e.position:g}{withheld}"),
    )


def _shown(price: float) -> str:
    return f"{price:.10g}" if price else "none"


def _book(e: Explanation) -> Table:
    table = Table(title="the book when it was sent", title_justify="left", box=None)
    for heading in ("", "price", "quantity", "ours"):
        table.add_column(heading, justify="right")
    rows = [("ask", level) for level in reversed(e.asks[:_SHOWN_LEVELS])] + [("bid", level) for level in e.bids[:_SHOWN_LEVELS]]
    for side, level in rows:
        here = abs(level.price - e.price) < 1e-12
        ours = f"{level.ours:g}" if level.ours else ""
        table.add_row(
            side,
            f"{level.price:.10g}",
            f"{level.quantity:g}",
            ours + (" <- this order" if here else ""),
            style="bold" if here else "",
        )
    if not any(abs(level.price - e.price) < 1e-12 for _, level in rows):
        table.add_row(e.side, f"{e.price:.10g}", f"{e.quantity:g}", "<- this order, at a level of its own", style="bold")
    return table


def _parts(e: Explanation) -> Table:
    table = Table(title="where the price came from", title_justify="left", box=None)
    for heading in ("part", "ticks", "price then"):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    for part in e.parts:
        ticks = "" if part.name == "mid" else f"{part.ticks:+.3f}"
        table.add_row(part.name.replace("_", " "), ticks, f"{part.price_after:.10g}")
    return table


def _networks(e: Explanation) -> Table:
    how = {"recomputed": "evaluated again", "recorded": "from the record", "none": ""}[e.predictions]
    table = Table(title=f"the networks {how}".strip(), title_justify="left", box=None)
    for heading in ("network", "said", "gate"):
        table.add_column(heading)
    for head in e.heads:
        said = ", ".join(f"{name} {value:.4g}" for name, value in head.outputs.items()) if head.refusal != "absent" else ""
        table.add_row(head.network.replace("_", " "), said, head.refusal or "used")
    return table


def _features(e: Explanation) -> Table:
    table = Table(title="the features", title_justify="left", box=None, show_header=False)
    items = [(name, f"{value:.4g}") for name, value in e.features.items()]
    for at in range(0, len(items), 3):
        table.add_row(*(cell for pair in items[at : at + 3] for cell in pair))
    return table


def _checks(e: Explanation) -> Table:
    table = Table(
        title="the limits" if e.checks else "the limits: what only reduces an order is not checked", title_justify="left", box=None
    )
    for heading in ("check", "value", "limit", "", "use", ""):
        table.add_column(heading, justify="left" if heading in ("check", "") else "right")
    for line in e.checks:
        table.add_row(
            line.check,
            "" if line.value is None else f"{line.value:.6g}",
            "" if line.limit is None else f"{line.limit:g}",
            line.unit,
            "" if line.use is None else f"{line.use:.1%}",
            "passed" if line.passed else "DENIED",
        )
    return table


def _fate(e: Explanation) -> Table:
    table = Table(title="what became of it", title_justify="left", box=None, show_header=False)
    for line in e.fate:
        table.add_row(f"{line.seconds:+.4f} s", line.text)
    if not e.fate:
        table.add_row("", "nothing was heard of it before the journal ends")
    return table
