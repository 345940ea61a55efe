"""The operator's page: what a browser is given, and the stream of snapshots that fills it."""
