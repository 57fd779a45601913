"""What a row of a batch costs, beside the loops that people write for themselves."""
