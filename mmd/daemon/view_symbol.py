"""One symbol of the live view as labelled cells: market, our two prices, where they come from, position and money."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from mmd.daemon.view_history import History
from mmd.types.report import OrderLine, QuoteLine, SymbolReport, TraderReport

BAR_CELLS = 12
SPARK_CELLS = 30
PARTS = {"microprice": "microprice", "price_head": "price head", "skew": "skew", "half_spread": "half-spread"}
"""How attributions are named here; the others show only where they are not zero."""
WITHIN = ("position_head", "spread_head")
"""Those that are within another: skew and half-spread."""

Chunk = tuple[str, str]
"""A piece of a cell that is never broken over lines, and its style."""


def flow(chunks: Sequence[Chunk], width: int) -> Text:
    """The chunks on as few lines of `width` characters as they fit; a chunk that is too long for a line is cut."""
    text = Text()
    used = 0
    for content, style in chunks:
        content = content if len(content) <= width else content[: max(1, width - 1)] + "…"
        if used and used + 2 + len(content) > width:
            text.append("\n")
            used = 0
        elif used:
            text.append("  ")
            used += 2
        text.append(content, style=style)
        used += len(content)
    return text


def bar(fraction: float, cells: int = BAR_CELLS) -> str:
    """A bar that is full at 1."""
    filled = min(cells, max(0, round(fraction * cells)))
    return "█" * filled + "░" * (cells - filled)


def used_style(fraction: float) -> str:
    """Green, yellow from a half, red from nine tenths."""
    return "red" if fraction >= 0.9 else "yellow" if fraction >= 0.5 else "green"


def symbol_rows(line: SymbolReport, report: TraderReport, history: History | None, width: int) -> dict[str, Text]:
    """Label to cell, in the order they are drawn, each cell at most `width` wide. Sparklines only with a history."""
    digits = _digits(line, report)
    rows = {
        "market": [
            (f"{line.bid:.{digits}f} / {line.ask:.{digits}f}", ""),
            (f"spread {_bps(line.ask - line.bid, line.mid):.2f} bps", "dim"),
        ],
        "mid": [(f"{line.mid:.{digits + 1}f}", "bold")],
        "our bid": _side(line, report, "BUY", digits),
        "our ask": _side(line, report, "SELL", digits),
        "quote": _quote(line),
        "in ticks": _attribution(line.quote),
        "predicts": _direction(line.quote),
        "position": _position(line, report),
        "PnL": _money(line),
        "fills": _fills(line),
        "data age": _data(line),
    }
    if history is not None:
        beside_mid = max(8, min(SPARK_CELLS, width - len(rows["mid"][0][0]) - 2))
        rows["mid"].append((history.mid(line.symbol, report.time_ns, beside_mid), "cyan"))
        rows["PnL"].append((history.pnl(line.symbol, report.time_ns, min(SPARK_CELLS, width)), "cyan"))
    return {label: flow([chunk for chunk in chunks if chunk[0]], width) for label, chunks in rows.items()}


def _digits(line: SymbolReport, report: TraderReport) -> int:
    prices = [line.bid, line.ask, *(order.price for order in report.open_orders if order.symbol == line.symbol)]
    if line.quote is not None:
        prices += [line.quote.bid, line.quote.ask]
    return max(len(f"{price:.10g}".partition(".")[2]) for price in prices)


def _bps(difference: float, mid: float) -> float:
    return difference / mid * 1e4 if mid else 0.0


def _side(line: SymbolReport, report: TraderReport, side: str, digits: int) -> list[Chunk]:
    """The newest order of ours on that side; without one, what the quote would be."""
    orders = [order for order in report.open_orders if order.symbol == line.symbol and order.side == side]
    if orders:
        newest: OrderLine = min(orders, key=lambda order: order.age_ns)
        price, quantity, standing = newest.price, newest.quantity, True
    elif line.quote is not None:
        price = line.quote.bid if side == "BUY" else line.quote.ask
        quantity, standing = line.quote.bid_quantity if side == "BUY" else line.quote.ask_quantity, False
    else:
        return [("-", "dim")]
    if not quantity:
        return [("withheld", "yellow")]
    colour = ("green" if side == "BUY" else "red") if standing else "dim"
    return [
        (f"{price:.{digits}f}", colour),
        (f"{_bps(price - line.mid, line.mid):+z.2f} bps", ""),
        (f"size {quantity:g}", ""),
        ("● resting", "green") if standing else ("○ no order", "dim"),
    ]


def _quote(line: SymbolReport) -> list[Chunk]:
    quote = line.quote
    if quote is None:
        return [("none yet", "yellow")]
    name, _, why = quote.source.partition(", for ")
    chunks = [(name if not why else f"fallback {name}", "green" if not why else "yellow")]
    if why:
        chunks.append((why, "yellow"))
    chunks += [(f"{network.replace('_', ' ')}: {reason}", "yellow") for network, reason in quote.refused.items()]
    return [*chunks, (f"spread {_bps(quote.spread, line.mid):.2f} bps", "dim")]


def _attribution(quote: QuoteLine | None) -> list[Chunk]:
    if quote is None:
        return [("-", "dim")]
    chunks = []
    for part, ticks in quote.attribution_ticks.items():
        if part == "mid":
            continue
        name = PARTS.get(part, part.replace("_", " "))
        if part in WITHIN:
            if round(ticks, 2):
                chunks.append((f"({name} {ticks:+z.2f})", "dim"))
        elif part in PARTS or round(ticks, 2):
            chunks.append((f"{name} {ticks:+z.2f}", ""))
    if quote.size_share < 1.0:
        chunks.append((f"size ×{quote.size_share:.2f}", ""))
    return chunks


def _direction(quote: QuoteLine | None) -> list[Chunk]:
    if quote is None:
        return [("-", "dim")]
    word, style = {1: ("▲ up", "green"), -1: ("▼ down", "red")}.get(quote.predicted_direction, ("■ flat", "dim"))
    return [(word, style), (f"confidence {quote.confidence:.2f}", "")]


def _position(line: SymbolReport, report: TraderReport) -> list[Chunk]:
    chunks = [(f"{line.position:+.6f}", "bold")]
    used = report.limits_used.get(f"position_{line.symbol}")
    if used is not None:
        chunks.append((f"{bar(used)} {used:.0%} of limit", used_style(used)))
    return chunks


def _money(line: SymbolReport) -> list[Chunk]:
    digits = 4 if max(abs(line.pnl), abs(line.realised), abs(line.unrealised), abs(line.fees)) < 10 else 2
    return [
        (f"{line.pnl:+z.{digits}f}", "bold green" if line.pnl >= 0 else "bold red"),
        (f"realised {line.realised:+z.{digits}f}", ""),
        (f"unrealised {line.unrealised:+z.{digits}f}", ""),
        (f"fees {line.fees:z.{digits}f}", ""),
        *([(f"funding {line.funding:+z.{digits}f}", "")] if line.funding else []),
    ]


def _fills(line: SymbolReport) -> list[Chunk]:
    markout = line.markouts_bps.get("1s")
    return [(str(line.fills), ""), (f"markout 1 s {'-' if markout is None else f'{markout:+z.2f} bps'}", "")]


def _data(line: SymbolReport) -> list[Chunk]:
    chunks = [(f"{line.data_age_ns / 1e6:.0f} ms", ""), (f"feed lag {line.feed_lag_ns / 1e6:.0f} ms", "dim")]
    if not line.book_valid:
        chunks.append((f"book invalid: {line.invalid_reason or 'no snapshot yet'}", "yellow"))
    return chunks
