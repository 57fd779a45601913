"""What calls cost, and a budget that is not passed."""
