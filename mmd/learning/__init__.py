"""Recorded and simulated markets to trained bundles: events, rows, labels, networks, export, fitting and honest evaluation."""
