"""What `penstock bench worker` measures: tasks on standard input, beside a bare loop over it."""
