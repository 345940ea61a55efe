"""What this room raises."""

from __future__ import annotations


class BundleError(Exception):
    """A bundle that must not serve: what is wrong, in which file, and how to mend it."""


class RuntimeUnavailable(Exception):
    """The runtime that was asked for (or any, with "auto") cannot be imported in this environment."""


class ModelRefused(Exception):
    """The runtime at hand cannot load this graph, or the graph's signature is not the one expected."""
