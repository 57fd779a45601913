"""The command `penstock new`: a plugin that works and has its tests, to be changed into one's own."""
