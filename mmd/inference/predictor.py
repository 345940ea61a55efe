"""The quote network for one symbol: one evaluation a step, the recurrent state kept in the interpreter's own buffers."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, nan
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmd.inference.bundle import Bundle
from mmd.inference.card import Card
from mmd.inference.companion import Companion
from mmd.inference.cross_asset import CrossAssetPredictor
from mmd.inference.errors import BundleError, ModelRefused
from mmd.inference.golden import OUTPUT_NAMES, disagreement, state_names
from mmd.inference.runtime import Runtime, TensorSession, bytes_of, load_runtime

Array = NDArray[np.float32]


class QuotePredictor:
    """Write raw inputs into `market` and `inventory`, call `step()`, read the three floats.

    `price_change` is in sigma over the card's horizon, `optimal_spread` the place s in [0, 1] on the card's log scale of spreads,
    `position_signal` in [-1, 1]. All are NaN until the first step.
    """

    __slots__ = (
        "_copies",
        "_inventory_bytes",
        "_invoke",
        "_market_bytes",
        "_outputs",
        "_pack_inventory",
        "_pack_market",
        "_session",
        "_states",
        "_width",
        "card",
        "companion",
        "cross_asset",
        "inventory",
        "market",
        "optimal_spread",
        "position_signal",
        "price_change",
        "refused_variants",
        "rejected_rows",
        "runtime_name",
        "runtime_version",
        "steps",
        "variant_name",
    )

    def __init__(
        self,
        bundle: Bundle,
        runtime: str | Runtime = "auto",
        *,
        hold_views: bool | None = None,
        companion: Companion | None = None,
        cross_asset: CrossAssetPredictor | None = None,
    ) -> None:
        """Takes the first variant, in the card's order for this runtime, that loads and reproduces its golden vectors.

        `companion` and `cross_asset` serve beside it on the same symbol; whoever steps this steps those too.

        Raises BundleError, naming what was wrong with each, where none does; RuntimeUnavailable where there is no such runtime.
        """
        used = runtime if isinstance(runtime, Runtime) else load_runtime(runtime)
        self.card: Card = bundle.card
        self.companion = companion
        self.cross_asset = cross_asset
        self.runtime_name = used.name
        self.runtime_version = used.version
        self.refused_variants: dict[str, str] = {}
        """Variant name to why it does not serve here, of those preferred to the one that serves."""
        self.variant_name, self._session = self._choose(bundle, used, hold_views)
        inputs, outputs = self._session.inputs, self._session.outputs
        self.market: Array = inputs["market"][0]
        """[market inputs] float32, the session's own buffer: write each step's row into it."""
        self.inventory: Array = inputs["inventory"][0]
        """[inventory inputs] float32, likewise. It keeps its values from step to step."""
        self._states = tuple((inputs[name], outputs[f"{name}_out"]) for name in state_names(self._session))
        self._copies = tuple((bytes_of(state), bytes_of(state_out)) for state, state_out in self._states)
        self._outputs = tuple(outputs[name].reshape(()) for name in OUTPUT_NAMES)
        self._invoke = self._session.invoke
        # "=" makes what float32 cannot hold an error; without it it would become infinite.
        self._market_bytes, self._pack_market = bytes_of(self.market), Struct(f"={self.market.size}f").pack_into
        self._inventory_bytes, self._pack_inventory = bytes_of(self.inventory), Struct(f"={self.inventory.size}f").pack_into
        self._width = self.market.size
        self.steps = 0
        """Steps since the recurrent state was zeroed."""
        self.rejected_rows = 0
        """Market rows that were not finite, since the start."""
        self.price_change: float
        self.optimal_spread: float
        self.position_signal: float
        self.inventory[:] = 0.0
        self.reset()

    def _choose(self, bundle: Bundle, runtime: Runtime, hold_views: bool | None) -> tuple[str, TensorSession]:
        for variant in bundle.card.preferred(runtime.name):
            try:
                session = runtime.load(bundle.models[variant.name], hold_views=hold_views)
            except ModelRefused as error:
                self.refused_variants[variant.name] = str(error)
                continue
            problem = _signature_problem(session, bundle.card) or disagreement(
                session, bundle.golden, variant.name, variant.tolerance
            )
            if problem is None:
                return variant.name, session
            self.refused_variants[variant.name] = problem
        reasons = "; ".join(f"{name}: {reason}" for name, reason in self.refused_variants.items()) or "the card prefers none here"
        raise BundleError(
            f"{bundle.folder}: no variant can serve on {runtime.name} {runtime.version}: {reasons}. "
            f"Use the runtime it was built with ({_built_with(bundle.card)}) or build the bundle again."
        )

    @property
    def holds_views(self) -> bool:
        """Whether `market` and `inventory` are the interpreter's own buffers (fast), or copies of them (the fallback)."""
        return self._session.held_views

    @property
    def warm_enough(self) -> bool:
        """Whether the recurrent state has seen as many steps as the card asks for."""
        return self.steps >= self.card.steps

    def step(self) -> None:
        """One evaluation; the recurrent state moves on. A market row that is not finite moves nothing and makes the outputs NaN."""
        market = self.market
        # Quantized kernels turn NaN into plausible numbers, so it must be caught here, or it stays in the recurrent state for good.
        if isfinite(market.dot(market)):
            self._evaluate()
        else:
            self._reject()

    def step_on(self, row: Sequence[float]) -> None:
        """The same, and the quicker way, for a market row that is not in the buffer yet.

        Of a longer row the first values count: features are only ever appended, and an older bundle knows those before. Raises
        `struct.error` for a shorter one.
        """
        width = self._width
        if len(row) > width:
            row = row[:width]
        try:
            self._pack_market(self._market_bytes, 0, *row)
            # A sum of bounded numbers is finite exactly when each is.
            finite = isfinite(sum(row))
        except OverflowError:
            self.market[:] = nan
            finite = False
        if finite:
            self._evaluate()
        else:
            self._reject()

    def tell_inventory(self, row: Sequence[float]) -> None:
        """The inventory inputs of the steps to come. Raises `struct.error` for another width."""
        self._pack_inventory(self._inventory_bytes, 0, *row)

    def _evaluate(self) -> None:
        self._invoke()
        for state, state_out in self._copies:
            state[:] = state_out
        price_change, optimal_spread, position_signal = self._outputs
        self.price_change = price_change.item()
        self.optimal_spread = optimal_spread.item()
        self.position_signal = position_signal.item()
        self.steps += 1

    def _reject(self) -> None:
        self.rejected_rows += 1
        self.price_change = self.optimal_spread = self.position_signal = nan

    def rehearsing(self) -> RehearsedPredictor:
        """One that does the same work, to keep caches warm in a quiet market, and moves nothing of this one."""
        return RehearsedPredictor(self)

    def reset(self) -> None:
        """Zeroes recurrent state, market row and count of steps; outputs become NaN, inventory stays. At resync, gap and swap."""
        for state, _ in self._states:
            state[:] = 0.0
        self.market[:] = 0.0
        self.steps = 0
        self.price_change = self.optimal_spread = self.position_signal = nan

    def warm(self, window: NDArray[Any]) -> None:
        """Zeroes the recurrent state and steps through `window` [rows, market inputs], oldest first; inventory stays as it is.

        Of longer rows the first values count, as in `step_on`. Raises ValueError where the window has another shape.
        """
        if window.ndim != 2 or window.shape[1] < self.market.size:
            raise ValueError(f"a window must be [rows, {self.market.size}], got {list(window.shape)}")
        self.reset()
        for row in window[:, : self.market.size]:
            self.market[:] = row
            self.step()

    def recurrent_state(self) -> Array:
        """A copy, h1, c1, h2 and c2 in one row, for a checkpoint; nothing where the network carries none."""
        return np.concatenate([np.zeros(0, dtype=np.float32), *(state[0] for state, _ in self._states)])

    def restore_recurrent_state(self, state: Array, steps: int) -> None:
        """From a checkpoint of the same bundle. Raises ValueError where the size differs or a number is not finite."""
        size = sum(own.size for own, _ in self._states)
        if state.shape != (size,) or not np.isfinite(state).all():
            raise ValueError(f"expected a recurrent state of {size} finite numbers, got {list(state.shape)}")
        position = 0
        for own, _ in self._states:
            own[0] = state[position : position + own.size]
            position += own.size
        self.steps = steps


class RehearsedPredictor(QuotePredictor):
    """Evaluates the real one's graph from wherever its recurrent state stands, and leaves that state and its inventory row alone.

    Only the market row and the outputs are shared: both are overwritten at each real step before they are read.
    """

    __slots__ = ()

    def __init__(self, real: QuotePredictor) -> None:
        self.card = real.card
        self.companion = None if real.companion is None else real.companion.rehearsing()
        # A rehearsal has one symbol, and so no references.
        self.cross_asset = None
        self.runtime_name, self.runtime_version = real.runtime_name, real.runtime_version
        self.refused_variants, self.variant_name = real.refused_variants, real.variant_name
        self._session, self._invoke, self._outputs = real._session, real._invoke, real._outputs
        self.market = real.market
        self.inventory = real.inventory.copy()
        self._states = self._copies = ()
        self._market_bytes, self._pack_market = real._market_bytes, real._pack_market
        self._inventory_bytes, self._pack_inventory = bytes_of(self.inventory), real._pack_inventory
        self._width = real._width
        self.steps = self.rejected_rows = 0
        self.price_change = self.optimal_spread = self.position_signal = nan


def _signature_problem(session: TensorSession, card: Card) -> str | None:
    """What the graph's signature lacks to be a one-step quote network for this card."""
    states = state_names(session)
    wanted_inputs, wanted_outputs = {"market", "inventory", *states}, {*OUTPUT_NAMES, *(f"{name}_out" for name in states)}
    if set(session.inputs) != wanted_inputs or set(session.outputs) != wanted_outputs:
        return (
            f"has inputs {sorted(session.inputs)} and outputs {sorted(session.outputs)}, "
            f"expected {sorted(wanted_inputs)} and {sorted(wanted_outputs)}"
        )
    shapes: dict[str, tuple[int, ...]] = {"market": (1, len(card.feature_names)), "inventory": (1, len(card.inventory_names))}
    arrays = {**session.inputs, **session.outputs}
    shapes |= {f"{name}_out": arrays[name].shape for name in states}
    shapes |= dict.fromkeys(OUTPUT_NAMES, (1, 1))
    wrong = [f"{name} is {arrays[name].shape}, expected {shape}" for name, shape in shapes.items() if arrays[name].shape != shape]
    return "; ".join(wrong) or None


def _built_with(card: Card) -> str:
    return ", ".join(f"{package} {version}" for package, version in card.built_with.items()) or "the card does not say"
