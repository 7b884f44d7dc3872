"""Schedulers of the engine, one per file."""
