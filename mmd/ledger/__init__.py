"""The ledger in SQLite: orders, fills, positions and halts of every session, written off the hot path, read by people."""
