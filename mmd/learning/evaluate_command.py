"""`mmd evaluate`: what a bundle is worth on data, beside baselines on the same rows; its predictions as a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mmd.learning.evidence import Evidence
    from mmd.learning.price_evaluation import PriceLine

EXIT_ERROR = 1

BundleArgument = Annotated[Path, typer.Argument(help="Folder of a bundle, such as models/quote-v1.", show_default=False)]
DataOption = Annotated[
    list[str],
    typer.Option(
        "--data",
        "-d",
        metavar="SOURCE",
        help="A folder of NAME.book.parquet with NAME.trades.parquet or of recorded Binance frames (with sub-folders), one book "
        "file, or sim:SEEDS,HOURS; may be repeated.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
PredictionsOption = Annotated[
    Path | None,
    typer.Option("--predictions", metavar="OUT.parquet", help="Write what each head says at each step, of all rows of the data."),
]
ReportOption = Annotated[Path | None, typer.Option("--report", metavar="OUT.html", help="Write a page with plots.")]
MarkdownOption = Annotated[Path | None, typer.Option("--markdown", metavar="OUT.md", help="Write a page of tables.")]
OnlyOption = Annotated[
    bool, typer.Option("--predictions-only", help="Leave out the evaluation, which fits baselines and takes longer.")
]
CrossAssetOption = Annotated[
    bool, typer.Option("--cross-asset", help="A column more among the predictions: what the cross-asset network says.")
]
ImportanceOption = Annotated[
    bool,
    typer.Option("--importance", help="Also shuffle and take away features and groups of them: what is each worth? Takes minutes."),
]
TestShareOption = Annotated[
    float, typer.Option("--test-share", min=0.01, max=0.49, help="Last share that is the test where data is shorter than days.")
]


def evaluate(
    bundle: BundleArgument,
    data: DataOption,
    json_output: JsonOption = False,
    predictions: PredictionsOption = None,
    report: ReportOption = None,
    markdown: MarkdownOption = None,
    predictions_only: OnlyOption = False,
    cross_asset: CrossAssetOption = False,
    importance: ImportanceOption = False,
    test_share: TestShareOption = 0.3,
) -> None:
    """Judge a bundle on data, as it serves: every head by series and day, beside baselines on the same rows.

    The test is the last day of each series, or the last share of a shorter one; baselines are fitted on what lies before it. Moves
    are counted by step and by time, over 0.1 s to 5 min. Needs the extra `train`.

    \b
    Examples:
      mmd evaluate models/quote-v3 --data ../shared/data --markdown docs/models.md
      mmd evaluate models/quote-v1 --data day.book.parquet --predictions out.parquet --predictions-only
      mmd evaluate models/quote-v1 --data ../shared/data/us_equity --json --report report.html
      mmd evaluate models/quote-v3 --data ../shared/data --importance --report report.html

    \b
    Exit codes: 0 done, 1 bundle or data cannot be read, 2 usage.
    """
    from mmd.inference.bundle import load_bundle
    from mmd.inference.errors import BundleError
    from mmd.learning.errors import SourceError

    try:
        from mmd.learning.data import parse_data
        from mmd.learning.progress import RowBar
        from mmd.market.feature_settings import FeatureSettings, served_schemas

        loaded = load_bundle(bundle, feature_schema_hash=served_schemas(FeatureSettings()))
        sources = [source for text in data for source in parse_data(text)]
        if predictions is not None:
            from mmd.learning.predictions import write_predictions

            with RowBar("predictions") as bar:
                lines = write_predictions(loaded, sources, predictions, bar.on_rows, cross_asset=cross_asset)
            typer.echo(f"{lines} predictions in {predictions}", err=True)
        if predictions_only:
            return
        from mmd.learning.dataset import SplitSettings
        from mmd.learning.evidence import gather

        with RowBar("reading rows") as bar:
            evidence = gather(loaded, sources, SplitSettings(test_share=test_share), bar, importance=importance)
        if markdown is not None:
            from mmd.learning.evidence_markdown import markdown as tables

            markdown.parent.mkdir(parents=True, exist_ok=True)
            markdown.write_text(tables(evidence, loaded.card), encoding="utf-8")
        if report is not None:
            from mmd.learning.evidence_page import page

            report.parent.mkdir(parents=True, exist_ok=True)
            report.write_text(page(evidence), encoding="utf-8")
            typer.echo(f"report in {report}", err=True)
    except ImportError as error:
        _fail(f"{error}: evaluation needs the extra `train`, install it with: pip install 'mmd[train]'")
    except (BundleError, SourceError, OSError) as error:
        _fail(str(error))
    else:
        _print(evidence, json_output)


def _print(evidence: Evidence, json_output: bool) -> None:
    if json_output:
        import msgspec

        typer.echo(msgspec.json.encode(evidence).decode())
        return
    typer.echo(summary(evidence))


def summary(evidence: Evidence) -> str:
    """The price head by series over its own horizon, counted both ways, and the other heads in a line each."""
    from mmd.learning.importance import EVERYTHING, SHUFFLED

    lines = [
        f"{evidence.bundle} ({evidence.variant} on {evidence.runtime}), H = {evidence.horizon_seconds:g} s; "
        "information coefficient, counted by time [95 %] / by step:"
    ]
    own = [line for line in evidence.price.lines if line.horizon_seconds == evidence.horizon_seconds]
    for verdict in evidence.price.verdicts:
        lines.append(f"  {verdict.series}")
        found = [line for line in own if line.series == verdict.series]
        days = list(dict.fromkeys(line.day for line in found))
        day = "all" if "all" in days else days[-1] if days else ""
        for name in dict.fromkeys(line.predictor for line in found):
            by_time, by_step = (
                next((line for line in found if (line.predictor, line.counted_by, line.day) == (name, count, day)), None)
                for count in ("time", "step")
            )
            lines.append(f"    {name:12s} {_shown(by_time, True)} / {_shown(by_step, False)}")
        if verdict.better_in_draws is not None:
            lines.append(
                f"    the head has the higher IC than the best baseline ({verdict.best_baseline}) in "
                f"{100 * verdict.better_in_draws:.0f} % of bootstrap draws"
            )
    for series, measures in evidence.cross_asset.items():
        lines.append(
            f"  cross-asset on {series}: IC by step {measures['cross_asset.ic']:+.3f} (own {measures['price_head.ic']:+.3f}, "
            f"leader {measures['leader.ic']:+.3f}, ridge {measures['ridge.ic']:+.3f}); "
            f"E {measures['fair_without.ic']:+.3f} without it, {measures['fair.ic']:+.3f} with it"
        )
    for spread in evidence.spread:
        lines.append(
            f"  spread of {spread.series}: pinball {spread.pinball}, of a constant {spread.pinball_of_constant}, "
            f"covers {spread.coverage}"
        )
    important = [line for line in evidence.importance if line.series == EVERYTHING and line.how == SHUFFLED]
    for line in sorted(important, key=lambda line: (line.kind, -(line.price_ic_lost or 0.0))):
        lines.append(f"  {line.kind} {line.name} shuffled: price IC {-(line.price_ic_lost or 0.0):+.4f}")
    return "\n".join(lines)


def _shown(line: PriceLine | None, interval: bool) -> str:
    if line is None or line.ic is None:
        return "   –  "
    text = f"{line.ic:+.3f}"
    if interval and line.ic_low is not None and line.ic_high is not None:
        text += f" [{line.ic_low:+.3f}, {line.ic_high:+.3f}]"
    return text


def _fail(message: str) -> None:
    typer.echo(f"mmd evaluate: {message}", err=True)
    raise typer.Exit(EXIT_ERROR)
