"""What a device's noise and heat cost, as a share of a run's time: `pytest benchmarks/test_device_noise.py -s`.

The same scenario with and without, in turns in one process, processor time, the least of several; nothing is asserted
about it. All is drawn and computed, but so small that every policy does what it does without: noise and heat of a size
change who answers and how often answers migrate, which costs time of its own.
"""

from __future__ import annotations

import time

from measure import run_disco

N = 10_000
ROUNDS = 5
RESIDUAL = (
    "devices[0].residual={kind: lognormal, prefill_cv: 0.00001, decode_cv: 0.00001, memory: 0.4, stall_share: 0.01, "
    "stall_s: 0.00001, first: 1.00001}"
)
HEAT = "devices[0].heat={kind: given, heating_s: 40, cooling_s: 120, onset: 0.1, floor: 0.99999}"
WORLDS = {"plain": (), "noise": (RESIDUAL,), "heat": (HEAT,), "both": (RESIDUAL, HEAT)}


def test_noise_and_heat_over_a_plain_run(capsys):
    """DiSCo-D with migration on Azure-conversation requests, all metrics computed."""
    run_disco(1000)
    least_s = dict.fromkeys(WORLDS, float("inf"))
    for _ in range(ROUNDS):
        for name, overrides in WORLDS.items():
            begun = time.process_time()
            cost = run_disco(N, *overrides)
            least_s[name] = min(least_s[name], time.process_time() - begun)
            assert cost.n_requests == N
    ratios = {name: least_s[name] / least_s["plain"] for name in WORLDS}
    with capsys.disabled():
        shown = ", ".join(f"{name} {ratio:.3f}" for name, ratio in ratios.items())
        print(f"\nprocessor time over that of a plain run of {N:,} requests: {shown} (limit 1.1)")
