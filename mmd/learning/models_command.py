"""`mmd models` and `mmd promote`: what bundles there are, whether they serve here, how two differ, what stage they are at."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from mmd.inference.bundle import Bundle
    from mmd.inference.verification import Verdict

models = typer.Typer(name="models", help="Look at bundles of networks.", no_args_is_help=True, rich_markup_mode=None)

EXIT_ERROR = 1
EXIT_USAGE = 2
HERE = Path("models")
SHIPPED = Path(__file__).resolve().parents[1] / "models"
LONGEST = 100
SHOWN_FIRST = ("name", "version", "created_utc", "network", "stage", "horizon_seconds", "steps", "feature_schema_hash")

FoldersArgument = Annotated[list[Path], typer.Argument(help="Folders of bundles.", show_default=False)]
FolderArgument = Annotated[Path, typer.Argument(help="Folder of a bundle, such as models/quote-v1.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


@models.command("list")
def list_bundles(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder that holds bundles (default: ./models, else those that ship).")
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Every bundle below a folder: name, version, stage, horizon, size.

    \b
    Examples:
      mmd models list
      mmd models list /srv/models --json
    """
    from mmd.inference.card import CARD_FILE

    folder = folder or (HERE if HERE.is_dir() else SHIPPED)
    found = sorted(card.parent for card in folder.glob(f"*/{CARD_FILE}"))
    if not found:
        _fail(f"no bundle below {folder.absolute()}: train one with `mmd train`, or give the folder that holds them")
    rows = [_row(each) for each in found]
    if json_output:
        typer.echo(json.dumps(rows, indent=2))
    else:
        _table(
            ("bundle", "network", "version", "stage", "horizon s", "kB", "networks", "problem"),
            [list(row.values()) for row in rows],
        )


@models.command()
def show(folder: FolderArgument, json_output: JsonOption = False) -> None:
    """What a bundle's card says.

    \b
    Examples:
      mmd models show models/quote-v1
      mmd models show models/quote-v1 --json | jq .metrics
    """
    bundle = _load(folder)
    document = _document(bundle)
    if json_output:
        typer.echo(json.dumps(document, indent=2))
        return
    typer.echo(f"{folder}: networks {_content(bundle)}, card {bundle.digest}")
    for key in (*SHOWN_FIRST, *(key for key in document if key not in SHOWN_FIRST)):
        typer.echo(f"  {key:22s} {_short(document[key])}")
    if bundle.card.companion is not None:
        from mmd.learning.companion_command import combination_summary

        useful = ", ".join(f"{head} {'yes' if used else 'no'}" for head, used in bundle.card.companion.useful.items())
        typer.echo(f"{combination_summary(bundle)}\n  better than their baselines: {useful}")


@models.command()
def check(folders: FoldersArgument, json_output: JsonOption = False) -> None:
    """Whether bundles would serve here: hashes, features, and each variant's golden vectors on each installed runtime.

    \b
    Examples:
      mmd models check models/*
      mmd models check models/quote-v1 --json

    \b
    Exit codes: 0 each of them serves, 1 some do not.
    """
    from mmd.inference.errors import BundleError
    from mmd.inference.verification import installed_runtimes, verify

    runtimes = installed_runtimes()
    if not runtimes:
        _fail("no runtime for networks is installed: pip install ai-edge-litert")
    results: dict[str, Any] = {}
    for folder in folders:
        try:
            results[str(folder)] = verify(_load_serving(folder), runtimes)
        except BundleError as error:
            results[str(folder)] = str(error)
    if json_output:
        import msgspec

        typer.echo(json.dumps(msgspec.to_builtins(results), indent=2))
    else:
        _print_verdicts(results)
    if not all(_serves(result) for result in results.values()):
        raise typer.Exit(EXIT_ERROR)


@models.command()
def diff(first: FolderArgument, second: FolderArgument, json_output: JsonOption = False) -> None:
    """What differs between two bundles' cards, numbers by name.

    \b
    Example:
      mmd models diff models/quote-v2 models/quote-v3
    """
    one, other = (_flat(_document(_load(folder))) for folder in (first, second))
    rows = [
        (key, one.get(key, ""), other.get(key, ""))
        for key in dict.fromkeys((*one, *other))
        if one.get(key, "") != other.get(key, "")
    ]
    if json_output:
        typer.echo(json.dumps({key: [here, there] for key, here, there in rows}, indent=2))
    elif rows:
        _table(("what", str(first), str(second)), [[key, _short(here), _short(there)] for key, here, there in rows])
    else:
        typer.echo("no difference")


def promote(
    folder: FolderArgument,
    to: Annotated[str, typer.Option("--to", help="none, backtest, paper or live.", show_default=False)],
    evidence: Annotated[Path | None, typer.Option("--evidence", help="Report (JSON) about this very bundle.")] = None,
) -> None:
    """Move a bundle one stage up on the evidence of a report, or down. `mmd run` refuses a bundle below its mode's stage.

    \b
    Examples:
      mmd promote models/quote-v3 --to backtest --evidence evaluation.json
      mmd promote models/quote-v3 --to none
    """
    from mmd.inference.bundle import write_card
    from mmd.inference.card import STAGES
    from mmd.learning.promotion import PromotionError, promoted

    if to not in STAGES:
        _fail(f"there is no stage {to!r}: expected {', '.join(STAGES)}", EXIT_USAGE)
    bundle = _load(folder)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    try:
        card = promoted(bundle, to, evidence, now)
        write_card(folder, card)
    except (PromotionError, OSError) as error:
        _fail(str(error))
    typer.echo(f"{folder}: {bundle.card.stage} → {card.stage}")


@models.command("weigh")
def weigh(
    folder: FolderArgument,
    evidence: Annotated[Path, typer.Option("--evidence", help="Report of `mmd evidence ablate` about these networks.")],
) -> None:
    """Give each head the weight that its ablation leaves it, and note in the card what that rests on. The stage begins anew.

    \b
    Example:
      mmd models weigh models/quote-v2 --evidence docs/evidence/ablation.json
    """
    from mmd.inference.bundle import write_card
    from mmd.learning.head_evidence import HeadEvidenceError, weighed_card

    bundle = _load(folder)
    try:
        card = weighed_card(bundle, evidence)
        write_card(folder, card)
    except (HeadEvidenceError, OSError) as error:
        _fail(str(error))
    weights = card.head_weights
    typer.echo(f"{folder}: " + ", ".join(f"{name} {getattr(weights, name):g}" for name in weights.__struct_fields__))


def _row(folder: Path) -> dict[str, Any]:
    from mmd.inference.bundle import load_bundle
    from mmd.inference.errors import BundleError

    size = sum(path.stat().st_size for path in folder.iterdir()) // 1000
    try:
        bundle = load_bundle(folder, feature_schema_hash=None)
    except BundleError as error:
        return dict.fromkeys(("bundle", "network", "version", "stage", "horizon"), "") | {
            "bundle": str(folder), "kilobytes": size, "content": "", "problem": str(error),
        }  # fmt: skip
    card = bundle.card
    return {
        "bundle": str(folder),
        "network": card.network,
        "version": card.version,
        "stage": card.stage,
        "horizon": card.horizon_seconds,
        "kilobytes": size,
        "content": _content(bundle)[:12],
        "problem": "",
    }


def _load(folder: Path) -> Bundle:
    from mmd.inference.bundle import load_bundle
    from mmd.inference.errors import BundleError

    try:
        return load_bundle(folder, feature_schema_hash=None)
    except BundleError as error:
        _fail(str(error))


def _load_serving(folder: Path) -> Bundle:
    from mmd.inference.bundle import load_bundle
    from mmd.market.feature_settings import FeatureSettings, served_schemas

    return load_bundle(folder, feature_schema_hash=served_schemas(FeatureSettings()))


def _content(bundle: Bundle) -> str:
    from mmd.inference.bundle import content_digest

    return content_digest(bundle.card)


def _document(bundle: Bundle) -> dict[str, Any]:
    import msgspec

    document: dict[str, Any] = msgspec.to_builtins(bundle.card)
    return document


def _flat(document: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(document, dict):
        return {
            key: value
            for name, inner in document.items()
            for key, value in _flat(inner, f"{prefix}.{name}" if prefix else name).items()
        }
    return {prefix: document}


def _serves(result: Any) -> bool:
    if isinstance(result, str):
        return False
    from mmd.inference.verification import serves

    verdicts: tuple[Verdict, ...] = result
    return serves(verdicts)


def _print_verdicts(results: dict[str, Any]) -> None:
    rows = []
    for folder, result in results.items():
        if isinstance(result, str):
            rows.append([folder, "", "", "", "refused", result])
            continue
        for one in result:
            word = "serves" if one.serves else "not for this runtime" if not one.preferred else "refused"
            rows.append([folder, one.network, f"{one.runtime} {one.version}", one.variant, word, one.problem])
    _table(("bundle", "network", "runtime", "variant", "verdict", "why"), rows)


def _table(columns: tuple[str, ...], rows: list[list[Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for column in columns:
        # What does not fit is folded: half a hash or half a reason helps nobody.
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    Console(soft_wrap=True).print(table)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def _fail(message: str, code: int = EXIT_ERROR) -> NoReturn:
    typer.echo(f"mmd: {message}", err=True)
    raise typer.Exit(code)
