"""mmd: a neural-network market maker. The core is synchronous (event in, commands out); input and output live at the rim."""

from mmd.compiled import install

__version__ = "0.1.0"

CORE = install()
"""Which core this process runs, see `mmd.compiled`."""
