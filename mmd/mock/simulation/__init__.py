"""The simulated market: seeded participants on virtual time who trade through the matching engine like anybody else."""

from mmd.mock.simulation.market import SimulatedMarket
from mmd.mock.simulation.parameters import InformedParameters, MakerParameters, SimulationParameters, SymbolParameters

__all__ = ["InformedParameters", "MakerParameters", "SimulatedMarket", "SimulationParameters", "SymbolParameters"]
