"""`penstock top`: the terminal's view of a run that is under way."""
