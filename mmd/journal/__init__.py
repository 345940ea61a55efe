"""The journal: every input of the core in its total order, and every command, in segment files that a replay can be made of."""
