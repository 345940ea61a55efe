"""A bundle: a folder with a card, graphs and golden vectors. Read whole and verified, or not at all; written so that it loads."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from mmd.inference.card import CARD_FILE, Card, decode_card, encode_card
from mmd.inference.companion import Companion, CompanionCard, companion_files
from mmd.inference.cross_asset import CrossAssetCard, CrossAssetPredictor, cross_asset_files
from mmd.inference.errors import BundleError, ModelRefused
from mmd.inference.golden import Golden, GoldenInputs, decode_golden, deviation, disagreement, encode_golden, replay
from mmd.inference.heads import HeadWeights
from mmd.inference.runtime import Runtime, load_runtime

__all__ = ["Bundle", "BundleError", "content_digest", "load_bundle", "write_bundle", "write_card"]


class Bundle(msgspec.Struct, frozen=True):
    """Verified contents of a bundle's folder: nothing is read from disk after this."""

    folder: Path
    card: Card
    golden: Golden
    models: dict[str, bytes]
    """Graph by the variant's name."""
    companion_files: dict[str, bytes]
    """Graphs and golden vectors of the companion networks by file name; empty where there are none."""
    cross_asset_files: dict[str, bytes]
    """Likewise of the cross-asset network."""
    digest: str
    """SHA-256 of card.json, which holds the hashes of all other files: names the bundle in journals and reports."""


def load_bundle(folder: Path, *, feature_schema_hash: str | Collection[str] | None) -> Bundle:
    """Reads and verifies a bundle.

    `feature_schema_hash` is that of the running feature code, or of all schemas that it serves; None only for tools that look at a
    bundle and do not serve it.
    Raises BundleError: no such folder, invalid card, a file missing or changed, or features other than those it was trained with.
    """
    card_path = folder / CARD_FILE
    if not card_path.is_file():
        raise BundleError(f"{card_path}: no such card. Give the folder of a bundle, such as models/quote-v1.")
    card_data = card_path.read_bytes()
    card = decode_card(card_data, str(card_path))
    served = [feature_schema_hash] if isinstance(feature_schema_hash, str) else feature_schema_hash
    if served is not None and card.feature_schema_hash not in served:
        raise BundleError(
            f"{card_path}: trained on features with schema {card.feature_schema_hash}, but this code and its feature settings have "
            f"{', '.join(served)}. Use the settings it was trained with, or train it again with `mmd train quote`."
        )
    contents = {}
    for file, expected in card.files.items():
        path = folder / file
        if not path.is_file():
            raise BundleError(f"{path}: the card lists this file, but it is missing. Copy the whole folder of the bundle.")
        contents[file] = path.read_bytes()
        actual = hashlib.sha256(contents[file]).hexdigest()
        if actual != expected:
            raise BundleError(f"{path}: SHA-256 is {actual}, the card says {expected}. The file was changed or cut: copy it again.")
    models = {}
    for variant in card.variants:
        if variant.file not in contents:
            raise BundleError(f"{card_path}: variant {variant.name} names {variant.file}, whose hash is not among `files`")
        models[variant.name] = contents[variant.file]
    golden = decode_golden(contents, tuple(models), lambda file: str(folder / file))
    return Bundle(
        folder=folder,
        card=card,
        golden=golden,
        models=models,
        companion_files=_listed(companion_files(card.companion) if card.companion else (), contents, card_path),
        cross_asset_files=_listed(cross_asset_files(card.cross_asset) if card.cross_asset else (), contents, card_path),
        digest=hashlib.sha256(card_data).hexdigest(),
    )


def _listed(wanted: tuple[str, ...], contents: Mapping[str, bytes], card_path: Path) -> dict[str, bytes]:
    """Those files of a network beside the quote network."""
    missing = [file for file in wanted if file not in contents]
    if missing:
        raise BundleError(f"{card_path}: a network beside the quote network names {', '.join(missing)}, not among `files`")
    return {file: contents[file] for file in wanted}


def attach_companion(folder: Path, companion: CompanionCard, files: Mapping[str, bytes]) -> Bundle:
    """Writes companion networks into a bundle that there is, in the place of those it had; the stage begins anew.

    Raises BundleError where the bundle cannot be read or the companion's graphs do not reproduce their golden vectors here.
    """
    bundle = load_bundle(folder, feature_schema_hash=None)
    Companion(companion, files)
    return _attach(folder, msgspec.structs.replace(bundle.card, companion=companion), files)


def attach_cross_asset(folder: Path, cross_asset: CrossAssetCard, files: Mapping[str, bytes]) -> Bundle:
    """The same for a cross-asset network."""
    bundle = load_bundle(folder, feature_schema_hash=None)
    CrossAssetPredictor(cross_asset, files)
    return _attach(folder, msgspec.structs.replace(bundle.card, cross_asset=cross_asset), files)


def _attach(folder: Path, card: Card, files: Mapping[str, bytes]) -> Bundle:
    for file, data in files.items():
        (folder / file).write_bytes(data)
    hashes = card.files | {file: hashlib.sha256(data).hexdigest() for file, data in files.items()}
    write_card(folder, msgspec.structs.replace(card, files=dict(sorted(hashes.items())), stage="none", evidence=()))
    return load_bundle(folder, feature_schema_hash=card.feature_schema_hash)


def write_bundle(
    folder: Path,
    card: Card,
    models: Mapping[str, bytes],
    golden: GoldenInputs,
    *,
    other_files: Mapping[str, bytes] | None = None,
    runtime: Runtime | None = None,
) -> Bundle:
    """Writes the folder and loads it again.

    `models` holds one graph for each of the card's variants, by the variant's name; `other_files` what else belongs to the bundle,
    by file name (the windowed graph). Records each variant's golden answers on `runtime` (default: the first installed) and fills
    in the card's `files`. Raises BundleError where a variant misses the reference by more than its bound, or cannot be loaded:
    then nothing is written.
    """
    used = runtime or load_runtime()
    names = {variant.name for variant in card.variants}
    if names != set(models):
        raise BundleError(f"the card's variants are {sorted(names)}, but the graphs given are {sorted(models)}")
    answers = {}
    for variant in card.variants:
        try:
            session = used.load(models[variant.name])
        except ModelRefused as error:
            raise BundleError(f"variant {variant.name}: {error}") from error
        answers[variant.name] = replay(session, golden)
        loss = deviation(answers[variant.name].outputs, golden.reference)
        if not loss <= variant.reference_tolerance:
            raise BundleError(
                f"variant {variant.name} lies {loss:.3g} from the float network on the golden inputs, "
                f"its bound is {variant.reference_tolerance:.3g}: not written"
            )
        again = disagreement(session, Golden(inputs=golden, answers=answers), variant.name, variant.tolerance)
        if again is not None:
            raise BundleError(f"variant {variant.name} {again} on the runtime that recorded them: it has a state that is no tensor")
    contents = {variant.file: models[variant.name] for variant in card.variants}
    contents.update(other_files or {})
    contents.update(encode_golden(Golden(inputs=golden, answers=answers)))
    hashes = {file: hashlib.sha256(data).hexdigest() for file, data in sorted(contents.items())}
    complete = msgspec.structs.replace(card, files=hashes)
    folder.mkdir(parents=True, exist_ok=True)
    for file, data in contents.items():
        (folder / file).write_bytes(data)
    write_card(folder, complete)
    return load_bundle(folder, feature_schema_hash=card.feature_schema_hash)


def content_digest(card: Card) -> str:
    """SHA-256 over everything that decides what the networks say: what evidence is about, and what the same training gives again.

    Promotion does not change it, nor when the bundle was made and the version named after that.
    """
    return hashlib.sha256(
        encode_card(msgspec.structs.replace(card, stage="none", evidence=(), created_utc="", version=""))
    ).hexdigest()


def networks_digest(bundle: Bundle) -> str:
    """SHA-256 of the networks' files alone: stays the same when weights, stage or evidence in the card change."""
    return hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in sorted(bundle.card.files.items())).encode()).hexdigest()


def weighed(bundle: Bundle, weights: HeadWeights) -> Bundle:
    """The same with other weights of its heads; on disk nothing changes."""
    return msgspec.structs.replace(bundle, card=msgspec.structs.replace(bundle.card, head_weights=weights))


def write_card(folder: Path, card: Card) -> None:
    """Replaces a bundle's card as one step (for promotion). Raises BundleError where it would not be read back."""
    data = encode_card(card)
    decode_card(data, str(folder / CARD_FILE))
    fresh = folder / f"{CARD_FILE}.new"
    fresh.write_bytes(data)
    fresh.replace(folder / CARD_FILE)
