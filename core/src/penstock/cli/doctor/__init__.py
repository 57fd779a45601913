"""What `penstock doctor` looks at, what it finds wrong, and the command that mends each."""
