"""Which core runs: the hot modules as written, or the same compiled to C, where a build of exactly these sources is at hand.

A build lies outside the package, with a manifest of the hashes of every source that went into it or that it was checked against.
Unless each of them still matches, none of it is used, so that nobody can run code that is not what the sources say. `MMD_CORE`
chooses: `auto` (the default), `pure`, or `compiled`, with which the lack of a fitting build is an error.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from pathlib import Path
from types import ModuleType

CHOICE_VARIABLE = "MMD_CORE"
FOLDER_VARIABLE = "MMD_CORE_DIR"
CHOICES = ("auto", "pure", "compiled")
MANIFEST = "manifest.json"
GROUP = "mmd_core"
"""Name of the library that all compiled modules share."""
SUFFIX = EXTENSION_SUFFIXES[0]
TAG = SUFFIX.strip(".").removesuffix(".so").removesuffix(".pyd")
"""Interpreter and platform that a build is made for."""
PACKAGE = Path(__file__).resolve().parent

MODULES = (
    "mmd.daemon.latency",
    "mmd.exchanges.binance.decode",
    "mmd.exchanges.binance.encode",
    "mmd.exchanges.binance_usdm.encode",
    "mmd.execution.client_order_ids",
    "mmd.execution.ledger",
    "mmd.execution.markout",
    "mmd.execution.order_index",
    "mmd.execution.quote_diff",
    "mmd.execution.tracker",
    "mmd.inference.companion_gate",
    "mmd.inference.gate",
    "mmd.market.book",
    "mmd.market.book_side",
    "mmd.market.book_sync",
    "mmd.market.feature_stream",
    "mmd.market.features",
    "mmd.market.inventory",
    "mmd.market.recent_touch",
    "mmd.market.ring",
    "mmd.market.steps",
    "mmd.market.volatility",
    "mmd.quoting.avellaneda_stoikov",
    "mmd.quoting.context",
    "mmd.quoting.fixed",
    "mmd.quoting.glft",
    "mmd.quoting.neural",
    "mmd.quoting.quote",
    "mmd.quoting.rescale",
    "mmd.risk.checks",
    "mmd.risk.fair_share",
    "mmd.risk.feed_lag",
    "mmd.risk.latch",
    "mmd.risk.loss",
    "mmd.risk.order_rate",
    "mmd.risk.pauses",
    "mmd.trader.beside",
    "mmd.trader.commands",
    "mmd.trader.core",
    "mmd.trader.desk",
    "mmd.trader.order_desk",
    "mmd.trader.perception",
    "mmd.trader.safeguards",
    "mmd.types.stages",
)
"""What is compiled, all together or not at all."""


class CoreError(RuntimeError):
    """`MMD_CORE` asks for what is not there, or for what there is not."""


class Core:
    """What runs in this process: `name` is `pure` or `compiled`, `detail` says why, `stale` that a build was passed over."""

    __slots__ = ("detail", "name", "stale")

    def __init__(self, name: str, detail: str, *, stale: bool = False) -> None:
        self.name = name
        self.detail = detail
        self.stale = stale

    def __str__(self) -> str:
        return f"{self.name} ({self.detail})"


class CompiledFinder:
    """Finds the compiled modules of one build; everything else is left to the finders after it."""

    def __init__(self, folder: Path, modules: list[str]) -> None:
        self._paths = {name: folder.joinpath(*name.split(".")).with_suffix(SUFFIX) for name in modules}
        self._paths[f"{GROUP}__mypyc"] = folder / f"{GROUP}__mypyc{SUFFIX}"

    def find_spec(self, name: str, _path: object = None, _target: ModuleType | None = None) -> ModuleSpec | None:
        """As the import system asks."""
        path = self._paths.get(name)
        if path is None:
            return None
        spec = ModuleSpec(name, ExtensionFileLoader(name, str(path)), origin=str(path))
        spec.has_location = True
        return spec


def build_folder() -> Path:
    """Where a build for this interpreter lies, or would lie: `build/core` beside the package, or below `MMD_CORE_DIR`."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    return (Path(chosen) if chosen else PACKAGE.parent / "build" / "core") / TAG


def source_hash(source: bytes) -> str:
    """Of one source file, as manifests hold it."""
    import hashlib

    return hashlib.sha256(source).hexdigest()


def stale_source(sources: dict[str, str]) -> str | None:
    """The first file, relative to the package's parent, that is not what the manifest says; None where all are."""
    for name, expected in sources.items():
        try:
            source = PACKAGE.parent.joinpath(name).read_bytes()
        except OSError:
            return name
        if source_hash(source) != expected:
            return name
    return None


def choose() -> tuple[Core, CompiledFinder | None]:
    """What this process is to run. Raises `CoreError`."""
    choice = os.environ.get(CHOICE_VARIABLE) or "auto"
    if choice not in CHOICES:
        raise CoreError(f"{CHOICE_VARIABLE} is {choice!r}: it must be one of {', '.join(CHOICES)}")
    if choice == "pure":
        return Core("pure", f"{CHOICE_VARIABLE}=pure"), None
    folder = build_folder()
    core, finder = judge(folder)
    if finder is None and choice == "compiled":
        raise CoreError(f"{CHOICE_VARIABLE} is compiled, but {core.detail}: run `make compile`, or unset it")
    return core, finder


def judge(folder: Path) -> tuple[Core, CompiledFinder | None]:
    """Whether the build there, if there is one, is of the sources as they stand."""
    try:
        text = folder.joinpath(MANIFEST).read_bytes()
    except OSError:
        return Core("pure", f"there is no build in {folder}"), None
    import json

    manifest = json.loads(text)
    stale = stale_source(manifest["sources"])
    if stale is not None:
        return Core("pure", f"the build in {folder} is stale: {stale} has changed since", stale=True), None
    return Core("compiled", str(folder)), CompiledFinder(folder, manifest["modules"])


_written: dict[str, ModuleType] = {}
"""Modules of `MODULES` as they are written, where the compiled ones are what everybody else imports."""


def source_module(name: str) -> ModuleType:
    """A module as it is written, with everything of the compiled group that it imports, for who would compile it in another way.

    The compiled one of that name stays what everybody else imports. Where it is not compiled, it is the module itself.
    """
    if name not in MODULES or not any(isinstance(finder, CompiledFinder) for finder in sys.meta_path):
        return importlib.import_module(name)
    if name not in _written:
        _import_as_written(name)
    return _written[name]


def _import_as_written(name: str) -> None:
    in_use = {each: sys.modules.pop(each) for each in MODULES if each in sys.modules}
    finders = [finder for finder in sys.meta_path if isinstance(finder, CompiledFinder)]
    for finder in finders:
        sys.meta_path.remove(finder)
    sys.modules.update(_written)
    try:
        importlib.import_module(name)
    finally:
        for each in MODULES:
            if each in sys.modules:
                _written[each] = sys.modules.pop(each)
                package, _, short = each.rpartition(".")
                # A package names its modules, too, and `from package import module` goes by that.
                vars(sys.modules[package]).pop(short, None)
        sys.meta_path[:0] = finders
        for each, module in in_use.items():
            sys.modules[each] = module
            package, _, short = each.rpartition(".")
            setattr(sys.modules[package], short, module)


def install() -> Core:
    """Decide, before any of the modules is imported. Raises `CoreError`."""
    core, finder = choose()
    if finder is not None:
        sys.meta_path.insert(0, finder)
    return core
