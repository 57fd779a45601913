"""`penstock bench dispatch`: what one cycle of the task gate costs."""
