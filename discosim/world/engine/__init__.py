"""A server seen from inside: continuous batching, KV memory and schedulers, advanced in leaps."""
