"""The waiting half of the task gate: it carries out what `penstock.tasks` decides."""
