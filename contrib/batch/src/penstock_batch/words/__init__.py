"""What is said to people: made safe, in plain words, without a secret."""
