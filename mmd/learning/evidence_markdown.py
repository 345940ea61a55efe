"""The evaluation as a page of tables for the documentation, losing rows included."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mmd.inference.card import Card
from mmd.learning.companion_evaluation import HEADLINES
from mmd.learning.evidence import Evidence
from mmd.learning.price_evaluation import HEAD, OURS, STEP, TIME, PriceLine

MADE = "<!-- made by `mmd evaluate BUNDLE --data … --markdown FILE`; evaluate again instead of editing -->\n\n"


def markdown(evidence: Evidence, card: Card) -> str:
    """One page."""
    parts = [
        MADE + f"# What {evidence.bundle} is worth\n\n"
        f"Bundle `{evidence.bundle}`, {evidence.variant} on {evidence.runtime}, as it serves: row by row, at flat inventory. The "
        "test is the last day of each series, or the last part of one that is shorter than days; the network, and every baseline "
        f"that is fitted, know only what lies before it. H = {evidence.horizon_seconds:g} s. IC: Pearson correlation of what was "
        "said with what the mid did. Bold is the best of a row. Where the head is not, a baseline was better.\n",
        _own(evidence),
        _horizons(evidence),
        _spreads(evidence),
        _companion(card),
        _use(card),
    ]
    return "\n".join(part for part in parts if part)


def _shown(evidence: Evidence, counted_by: str, horizon: float) -> dict[str, dict[str, PriceLine]]:
    """Series to predictor to line: over all days where there are several, else of the one."""
    found: dict[str, dict[str, PriceLine]] = {}
    lines = [line for line in evidence.price.lines if line.counted_by == counted_by and line.horizon_seconds == horizon]
    whole = {line.series for line in lines if line.day == "all"}
    for line in lines:
        if line.day == "all" or line.series not in whole:
            found.setdefault(line.series, {})[line.predictor] = line
    return found


def _own(evidence: Evidence) -> str:
    texts = []
    for counted_by, title in ((TIME, "counted by time, each moment alike"), (STEP, "counted by step, bursts weigh most")):
        shown = _shown(evidence, counted_by, evidence.horizon_seconds)
        names = list(dict.fromkeys(name for lines in shown.values() for name in lines if name != "zero"))
        rows = [[series, *_cells([lines.get(name) for name in names])] for series, lines in shown.items()]
        texts.append(f"## IC over {evidence.horizon_seconds:g} s, {title}\n\n{_table(['series', *names], rows)}")
    verdicts = [
        [each.series, _number(each.head_ic), each.best_baseline, _number(each.baseline_ic), _share(each.better_in_draws)]
        for each in evidence.price.verdicts
    ]
    head = ["series", "head", "best baseline", "its IC", "head better in"]
    texts.append(
        "## The head against the best baseline\n\nBy time; the last column is the share of block-bootstrap draws (whole minutes, "
        f"paired) in which the head's IC is the higher one.\n\n{_table(head, verdicts)}"
    )
    return "\n".join(texts)


def _horizons(evidence: Evidence) -> str:
    horizons = sorted({line.horizon_seconds for line in evidence.price.lines})
    rows = []
    for series in dict.fromkeys(line.series for line in evidence.price.lines):
        cells = []
        for horizon in horizons:
            lines = _shown(evidence, TIME, horizon).get(series, {})
            rivals = [line.ic for name, line in lines.items() if name not in OURS and line.ic is not None]
            head = lines[HEAD].ic if HEAD in lines else None
            cells.append(f"{_number(head)} / {_number(max(rivals, default=None))}")
        rows.append([series, *cells])
    names = [f"{horizon:g} s" for horizon in horizons]
    return f"## By horizon, by time: head / best baseline\n\n{_table(['series', *names], rows)}"


def _spreads(evidence: Evidence) -> str:
    rows = [
        [each.series, str(each.rows), _number(each.pinball), _number(each.pinball_of_constant), _number(each.coverage)]
        for each in evidence.spread
    ]
    if not rows:
        return ""
    head = ["series", "rows", "pinball", "of a constant", "covers"]
    return f"## Spread head\n\nPinball loss of its place on the log scale (less is better).\n\n{_table(head, rows)}"


def _companion(card: Card) -> str:
    if card.companion is None:
        return ""
    texts = ["## Order flow, adverse selection, risk\n\nOn the card's test rows; AUC, and for risk rank correlation.\n"]
    for head, (own, baselines) in HEADLINES.items():
        rows = []
        for series, measures in card.companion.metrics.items():
            if own in measures:
                error = measures.get(f"{head}.calibration_error")
                briers = f"{_number(measures.get(f'{head}.brier'))} / {_number(measures.get(f'{head}.brier_of_rate'))}"
                cells = [_number(measures.get(name)) for name in (own, *baselines)]
                rows.append([series, *_bold(cells), briers, _number(error)])
        names = [name.split(".", 1)[1].replace("_", " ") for name in (own, *baselines)]
        used = "used" if card.companion.useful.get(head) else "not to be used: a baseline is better"
        texts.append(f"### `{head}`: {used}\n\n{_table(['series', *names, 'Brier / of the rate', 'calibration error'], rows)}")
    balance = ", ".join(f"`{name}` {value:g}" for name, value in card.companion.balance.items())
    return "\n".join(texts) + f"\nBalance of the training rows: {balance}.\n"


def _use(card: Card) -> str:
    weights = ", ".join(f"{name} {weight:g}" for name, weight in card.fair_weights.items())
    lost = card.quantization_loss
    return (
        f"## How it is used\n\nWeights of the fair price, fitted on the validation part: {weights}. Sides are withheld "
        f"beyond {card.pull_threshold:g} half-spreads (0: never). Largest target inventory: {card.max_target:g} of the limit. "
        f"Int8 costs the price head {lost.get('int8.price_change.mean_difference', 0.0):.2g} sigma in the mean, and "
        f"{lost.get('int8.price_change.ic_loss_of_worst', 0.0):.2g} of IC on the worst series. Stage: {card.stage}.\n"
    )


# ---- tables


def _cells(lines: Sequence[PriceLine | None]) -> list[str]:
    texts = [_number(line.ic if line else None) for line in lines]
    rivals = [place for place, line in enumerate(lines) if line is not None and line.ic is not None]
    if rivals:
        best = max(rivals, key=lambda place: lines[place].ic or 0.0)  # type: ignore[union-attr]
        texts[best] = f"**{texts[best]}**"
    head = lines[0]
    if head is not None and head.ic_low is not None and head.ic_high is not None:
        texts[0] += f" [{head.ic_low:.3f}, {head.ic_high:.3f}]"
    return texts


def _bold(cells: list[str]) -> list[str]:
    known = [cell for cell in cells if cell != "–"]
    best = max(known, key=float, default="")
    return [f"**{cell}**" if cell == best else cell for cell in cells]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
