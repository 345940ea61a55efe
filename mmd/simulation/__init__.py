"""The seeded simulation: core, shell, disk, exchange and network in one discrete-event world on virtual time, with every fault."""
