"""The evaluation as a page of tables for the documentation, losing rows included."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mmd.inference.card import Card
from mmd.learning.companion_evaluation import HEADLINES
from mmd.learning.evidence import Evidence
from mmd.learning.importance import EVERYTHING, FEATURE, GROUP, SHUFFLED, TAKEN_AWAY
from mmd.learning.price_evaluation import HEAD, OURS, ROW, STEP, TENTH, TIME, PriceLine

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
        _cross_asset(evidence, card),
        _importance(evidence),
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
    titles = {
        TIME: "counted by time, each moment alike",
        TENTH: "counted by tenths of a second in which the book changed",
        ROW: "counted by row of the book file, trades aside",
        STEP: "counted by step, bursts weigh most",
    }
    for counted_by, title in titles.items():
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


CROSS_COLUMNS = ("cross_asset", "price_head", "leader", "ridge", "fair_without", "fair")


def _cross_asset(evidence: Evidence, card: Card) -> str:
    cross = card.cross_asset
    if cross is None or not evidence.cross_asset:
        return ""
    rows = []
    for series, measures in evidence.cross_asset.items():
        cells = [f"{_number(measures[f'{name}.ic'])} / {_number(measures[f'{name}.ic_sampled'])}" for name in CROSS_COLUMNS]
        rows.append([series, *cells, _share(measures["fair.better_in_draws"])])
    head = ["series", "cross-asset", "own network", "leader's move", "ridge", "E without it", "E with it", "with it better in"]
    return (
        "## Cross-asset network\n\nIC over the rows at which some other asset was fresh, by step / over samples of a quarter of a "
        "second. The own network is the quote network's price head; the ridge sees the own features and the other assets'. The "
        f"last column is the share of block-bootstrap draws of the samples. Where it may be used, "
        f"E is {cross.base_scale:g} x E without it + {cross.weight:g} x what it says (0: it added nothing on the validation part)."
        f"\n\n{_table(head, rows)}"
    )


def _importance(evidence: Evidence) -> str:
    if not evidence.importance:
        return ""
    series = list(dict.fromkeys(line.series for line in evidence.importance))
    texts = [
        "## What the inputs are worth\n\nIC of the price head over H by step that is lost; the mean over series also says what the "
        "spread head's pinball loss gains and the AUC of P(up) loses. Shuffled: over the rows of a stretch. Taken away: at its "
        "training mean; a ridge that is fitted anew without it loses what its column says.\n"
    ]
    for kind, how in ((GROUP, SHUFFLED), (GROUP, TAKEN_AWAY), (FEATURE, SHUFFLED)):
        lines = {(line.series, line.name): line for line in evidence.importance if (line.kind, line.how) == (kind, how)}
        means = sorted((line for key, line in lines.items() if key[0] == EVERYTHING), key=lambda line: -(line.price_ic_lost or 0.0))
        ridge = how == TAKEN_AWAY
        head = [kind, "mean", "spread", "P(up)", *(["ridge"] if ridge else []), *(name for name in series if name != EVERYTHING)]
        rows = []
        for mean in means:
            cells = [mean.price_ic_lost, mean.spread_pinball_gained, mean.p_up_auc_lost, *([mean.ridge_ic_lost] if ridge else [])]
            of_series = (lines.get((name, mean.name)) for name in series if name != EVERYTHING)
            cells += [None if line is None else line.price_ic_lost for line in of_series]
            rows.append([mean.name, *map(_number, cells)])
        texts.append(f"### {kind}s {how}\n\n{_table(head, rows)}")
    return "\n".join(texts)


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
