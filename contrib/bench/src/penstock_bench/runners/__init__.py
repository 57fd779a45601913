"""Task runners: whether all cores are used, who suffers from that, and what is lost when workers are killed."""
