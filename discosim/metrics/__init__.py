"""Metrics: what every number means, and how it is computed from records. Knows nothing of the simulation."""
