"""`penstock bench profile`: bytecodes and calls of a dispatch cycle, by function."""
