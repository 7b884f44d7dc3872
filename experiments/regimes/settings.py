"""The policies of the map, each with the settings that it may choose from, simplest first."""

from __future__ import annotations

BOTH = "both at once, hand-over"
"""DiSCo with the whole budget, whichever endpoint it limits, and the best wait rule with the whole budget: all are a
race whose answer may change hands, so it is run once for all four."""
RUNS: dict[str, str] = {
    "server_only": "{kind: server_only}",
    "device_only": "{kind: device_only}",
    "race": "{kind: race}",
    "hedge": "{kind: hedge}",
    "pd_device": "{kind: pd_device}",
    BOTH: f"{{kind: disco, name: '{BOTH}', constraint: device, budget: 1.0}}",
    "disco S, half": "{kind: disco, name: 'disco S, half', constraint: server, budget: 0.5}",
    "disco D, half": "{kind: disco, name: 'disco D, half', constraint: device, budget: 0.5}",
    "optimal S, half": "{kind: optimal_wait, name: 'optimal S, half', constraint: server, budget: 0.5, "
    "migration: true, n_lengths: 100, n_waits: 100}",
    "optimal D, half": "{kind: optimal_wait, name: 'optimal D, half', constraint: device, budget: 0.5, "
    "migration: true, n_lengths: 100, n_waits: 100}",
}
"""What is simulated in every cell: name -> policy of the scenario."""
ALONE = ("server_only", "device_only")
CHOICES: dict[str, tuple[str, ...]] = {
    "server_only": (),
    "device_only": (),
    "stochastic": ALONE,
    "race": ("race",),
    "hedge": ("hedge", "race"),
    "pd_device": ("pd_device",),
    "disco D": ("disco D, half", BOTH),
    "disco S": ("disco S, half", BOTH),
    "optimal D": ("optimal D, half", BOTH),
    "optimal S": ("optimal S, half", BOTH),
}
"""Policy -> runs that it chooses one of, to be mixed by lot with the cheaper endpoint alone; simplest first (our
choice: by how much it has to know and to do)."""
LOADED: dict[str, str] = {
    **RUNS,
    "stochastic, half": "{kind: stochastic, name: 'stochastic, half', constraint: server, budget: 0.5}",
}
"""What is simulated on the ladder of loads."""
