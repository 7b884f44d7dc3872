"""How long an iteration takes, one cost model per file."""
