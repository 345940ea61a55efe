"""The live path's own formulas as they are written in Python, for numba to compile, whichever core this process runs.

numba needs bytecode, which functions that are compiled to C have not: so they are taken from their sources.
"""

from __future__ import annotations

from typing import Any

from mmd.compiled import source_module

_ledger: Any = source_module("mmd.execution.ledger")
_quote_diff: Any = source_module("mmd.execution.quote_diff")
_inventory: Any = source_module("mmd.market.inventory")
_gate: Any = source_module("mmd.inference.gate")
_neural: Any = source_module("mmd.quoting.neural")
_prediction: Any = source_module("mmd.quoting.prediction")
_rescale: Any = source_module("mmd.quoting.rescale")
_avellaneda_stoikov: Any = source_module("mmd.quoting.avellaneda_stoikov")
_fixed: Any = source_module("mmd.quoting.fixed")
_glft: Any = source_module("mmd.quoting.glft")
_quote: Any = source_module("mmd.quoting.quote")
_checks: Any = source_module("mmd.risk.checks")

share_of, traded = _ledger.share_of, _ledger.traded
order_fault, price_tolerances = _quote_diff.order_fault, _quote_diff.price_tolerances
avellaneda_stoikov_terms = _avellaneda_stoikov.avellaneda_stoikov_terms
fixed_terms = _fixed.fixed_terms
glft_terms = _glft.glft_terms
inventory_shift, outward_prices = _quote.inventory_shift, _quote.outward_prices
quote_lots, quote_sizes, tradable = _quote.quote_lots, _quote.quote_sizes, _quote.tradable
check_order, standing_fault, exposure_fault = _checks.order_fault, _checks.standing_fault, _checks.exposure_fault
age_fault, quote_atoms = _checks.age_fault, _checks.quote_atoms
inventory_row, distance_outside = _inventory.inventory_row, _gate.distance_outside
expected_move, network_spread = _neural.expected_move, _neural.network_spread
half_spread_terms = _neural.half_spread_terms
side_terms, skew_terms = _neural.side_terms, _neural.skew_terms
size_left, widening = _prediction.size_left, _prediction.widening
learned = _rescale.learned

ALL = (
    share_of,
    traded,
    order_fault,
    price_tolerances,
    avellaneda_stoikov_terms,
    fixed_terms,
    glft_terms,
    inventory_shift,
    outward_prices,
    quote_lots,
    quote_sizes,
    tradable,
    check_order,
    exposure_fault,
    standing_fault,
    age_fault,
    quote_atoms,
    _inventory.share_within,
    inventory_row,
    distance_outside,
    expected_move,
    network_spread,
    half_spread_terms,
    side_terms,
    skew_terms,
    size_left,
    _prediction.multiplier,
    widening,
    learned,
)
"""Which compiled code calls by their names."""
