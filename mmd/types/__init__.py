"""The vocabulary every other room speaks: instruments, market events, orders, fills and commands, as immutable structs."""
