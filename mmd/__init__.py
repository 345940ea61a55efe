"""mmd: a neural-network market maker. The core is synchronous (event in, commands out); input and output live at the rim."""

__version__ = "0.1.0"
