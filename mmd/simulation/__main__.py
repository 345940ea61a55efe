"""`python -m mmd.simulation`."""

from mmd.simulation.command import app

app()
