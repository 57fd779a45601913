"""What is told of a run that has ended, or is to come: a page of it, and a plan."""
