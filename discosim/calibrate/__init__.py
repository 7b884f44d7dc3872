"""Fitting an engine to the log of a real server, and comparing the two."""
