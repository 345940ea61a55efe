"""Faults on demand: what can go wrong between an exchange and its client, switched on one by one, by a scenario, or at random.

Nothing here reads a clock, draws from a global generator or knows a socket: frames and requests go in with the time, what becomes
of them comes out. So the server and the simulations on virtual time use the same code, and the same seed gives the same faults.
"""

from mmd.mock.faults.board import FaultBoard
from mmd.mock.faults.frame_line import Delivery, FrameLine
from mmd.mock.faults.kinds import Fault, FaultError, parse_fault
from mmd.mock.faults.scenario import Scenario, ScenarioError, load_scenario
from mmd.mock.faults.timeline import Timeline

__all__ = [
    "Delivery",
    "Fault",
    "FaultBoard",
    "FaultError",
    "FrameLine",
    "Scenario",
    "ScenarioError",
    "Timeline",
    "load_scenario",
    "parse_fault",
]
