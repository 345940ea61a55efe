"""An explanation as one self-contained page: the book around the quote, the fair price, and the parts of the price, drawn."""

from __future__ import annotations

from html import escape

from mmd.replay.explanation import Explanation, Part

_STYLE = (
    "body{font:16px/1.45 system-ui,sans-serif;margin:0 auto;max-width:62rem;padding:0 .8rem;color:#222}h1{font-size:1.3rem}"
    "h2{font-size:1.05rem;margin:1.4rem 0 .3rem}svg{width:100%;height:auto}"
    "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ddd;padding:.2rem .4rem;text-align:left}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}.no{color:#b00;font-weight:bold}"
    "text{font:12px system-ui,sans-serif;fill:#333}"
)
_WIDTH, _ROW = 900, 22
_BID, _ASK, _OURS, _UP, _DOWN = "#3b7dd8", "#d8673b", "#f2c200", "#2a9d55", "#c43d3d"


def page(explained: Explanation) -> str:
    """The HTML."""
    e = explained
    title = f"{e.side} {e.quantity:g} {e.symbol} at {e.price:.10g}"
    checks = "".join(
        f"<tr><td>{escape(line.check)}</td>{_number(line.value)}{_number(line.limit)}<td>{escape(line.unit)}</td>"
        f"<td class=n>{'' if line.use is None else f'{line.use:.1%}'}</td>"
        f"<td class={'yes' if line.passed else 'no'}>{'passed' if line.passed else 'denied'}</td></tr>"
        for line in e.checks
    )
    heads = "".join(
        f"<tr><td>{escape(head.network)}</td><td>"
        + ("" if head.refusal == "absent" else escape(", ".join(f"{name} {value:.4g}" for name, value in head.outputs.items())))
        + f"</td><td>{escape(head.refusal or 'used')}</td></tr>"
        for head in e.heads
    )
    features = "".join(f"<tr><td>{escape(name)}</td>{_number(value)}</tr>" for name, value in e.features.items())
    fate = "".join(f"<tr><td class=n>{line.seconds:+.4f} s</td><td>{escape(line.text)}</td></tr>" for line in e.fate)
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f"<p>{escape(e.client_order_id)}, {escape(e.what)}; {e.seconds:.3f} s after the start of session {escape(e.session)}. "
        f"Quote by {escape(e.source)}; position {e.position:g}.</p>"
        f"<h2>The book when it was sent</h2>{book_picture(e)}<h2>Where the price came from</h2>{parts_picture(e)}"
        f"<h2>The networks and the gate</h2><table>{heads}</table>"
        "<h2>The limits</h2><table><tr><th>check<th>value<th>limit<th><th>use<th></tr>"
        f"{checks}</table><h2>What became of it</h2><table>{fate}</table>"
        f"<h2>The features</h2><table>{features}</table></body></html>"
    )


def book_picture(e: Explanation) -> str:
    """Levels as bars from the highest price down, with this order, our other quantity, and the fair price between them."""
    prices = {level.price: (level.quantity, level.ours, _ASK) for level in e.asks}
    prices |= {level.price: (level.quantity, level.ours, _BID) for level in e.bids}
    prices.setdefault(e.price, (0.0, 0.0, _BID if e.side == "buy" else _ASK))
    ladder = sorted(prices, reverse=True)
    most = max((quantity for quantity, _, _ in prices.values()), default=0.0) or 1.0
    most = max(most, e.quantity)
    rows = []
    for place, price in enumerate(ladder):
        quantity, ours, colour = prices[price]
        y = place * _ROW
        rows.append(f"<text x=4 y={y + 15}>{price:.10g}</text>{_bar(130, y, quantity / most, colour)}")
        if ours:
            rows.append(_bar(130, y, ours / most, _OURS))
        if price == e.price:
            width = max(4.0, e.quantity / most * (_WIDTH - 330))
            rows.append(f"<rect x=130 y={y + 3} width={width:.1f} height={_ROW - 6} fill=none stroke=#000 stroke-width=2 />")
            rows.append(f"<text x={_WIDTH - 190} y={y + 15} font-weight=bold>this order, {e.quantity:g}</text>")
        elif quantity:
            rows.append(f"<text x={_WIDTH - 190} y={y + 15}>{quantity:g}</text>")
    if e.fair:
        at = _between(ladder, e.fair) * _ROW
        rows.append(f"<line x1=120 x2={_WIDTH - 200} y1={at:.1f} y2={at:.1f} stroke=#000 stroke-dasharray='5 4' />")
        rows.append(f"<text x={_WIDTH - 320} y={at - 3:.1f}>fair {e.fair:.10g}</text>")
    return _svg(len(ladder) * _ROW + 6, "".join(rows))


def _between(ladder: list[float], price: float) -> float:
    """Where a price lies on the ladder, in rows from its top."""
    above = [place for place, each in enumerate(ladder) if each >= price]
    if not above:
        return 0.0
    place = above[-1]
    if place + 1 >= len(ladder):
        return place + 1.0
    high, low = ladder[place], ladder[place + 1]
    return place + 0.5 + (high - price) / (high - low)


def parts_picture(e: Explanation) -> str:
    """A waterfall from the mid to the order's price; up is dearer."""
    if not e.parts:
        return "<p>no quote stood behind it</p>"
    moves = e.parts[1:]
    reached = [part.price_after for part in e.parts]
    low, high = min(reached), max(reached)
    span = (high - low) or 1.0

    def x(price: float) -> float:
        return 210 + (price - low) / span * (_WIDTH - 340)

    rows = [f"<text x=4 y=15>mid {e.parts[0].price_after:.10g}</text><circle cx={x(reached[0]):.1f} cy=11 r=4 />"]
    for place, part in enumerate(moves, start=1):
        rows.append(_move(part, reached[place - 1], x, place * _ROW))
    y = len(e.parts) * _ROW
    rows.append(f"<text x=4 y={y + 15} font-weight=bold>price {e.parts[-1].price_after:.10g}</text>")
    rows.append(f"<circle cx={x(reached[-1]):.1f} cy={y + 11} r=4 />")
    return _svg(y + _ROW + 4, "".join(rows))


def _move(part: Part, before: float, x: object, y: int) -> str:
    assert callable(x)
    begin, end = sorted((x(before), x(part.price_after)))
    colour = _UP if part.ticks > 0 else _DOWN
    return (
        f"<text x=4 y={y + 15}>{escape(part.name.replace('_', ' '))}</text>"
        f"<rect x={begin:.1f} y={y + 3} width={max(1.0, end - begin):.1f} height={_ROW - 6} fill='{colour}' />"
        f"<text x={_WIDTH - 110} y={y + 15}>{part.ticks:+.2f} ticks</text>"
    )


def _bar(x: int, y: int, share: float, colour: str) -> str:
    return f"<rect x={x} y={y + 3} width={max(0.0, share) * (_WIDTH - 330):.1f} height={_ROW - 6} fill='{colour}' />"


def _svg(height: int, inside: str) -> str:
    return f"<svg viewBox='0 0 {_WIDTH} {height}' role=img>{inside}</svg>"


def _number(value: float | None) -> str:
    return f"<td class=n>{'' if value is None else f'{value:.6g}'}</td>"
