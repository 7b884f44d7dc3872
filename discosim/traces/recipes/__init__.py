"""Recipes that compute the shipped digests from raw trace files, one file per source; see `build`."""
