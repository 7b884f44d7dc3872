"""The edge tier: boxes that decode in batches, one round after the other, reachable by any policy."""
