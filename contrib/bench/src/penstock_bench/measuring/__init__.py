"""Measurements and how they are taken: samples, rows, rounds, the clock, and what the machine was."""
