"""`penstock bench requests`: what admission of a call costs, alone and in a crowd."""
