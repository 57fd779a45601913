"""Rows in and rows out: the reader, the formats, and the files that are our own."""
