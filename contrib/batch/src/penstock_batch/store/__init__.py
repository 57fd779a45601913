"""What was answered, kept: nothing is paid for twice."""
