"""`penstock bench tasks`: tasks from end to end, and what they weigh."""
