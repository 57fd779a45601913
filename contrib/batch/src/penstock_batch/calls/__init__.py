"""The work of a cell: one call or one function, and what its end means."""
