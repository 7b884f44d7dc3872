"""What a device's noise and heat cost, as a share of a run's time: `pytest benchmarks/test_device_noise.py -s`.

The same scenario with and without, in turns in one process, processor time, the least of several; nothing is asserted
about it. Of the `small` worlds all is drawn and computed, but so small that every policy does what it does without.
Those of a real size change who answers and how often answers migrate, which costs time of its own: beside them stands
how many streams devices were asked for.
"""

from __future__ import annotations

import time

from measure import run_disco

from discosim.world.device import Device

N = 2_000
ROUNDS = 15


def noise(cv: float, stall_s: float, first: float) -> str:
    """Return an override that gives the device this noise."""
    return (
        f"devices[0].residual={{kind: lognormal, prefill_cv: {cv}, decode_cv: {cv}, memory: 0.4, stall_share: 0.01, "
        f"stall_s: {stall_s}, first: {first}}}"
    )


def heat(floor: float) -> str:
    """Return an override that lets the device fall to this share of its speed."""
    return f"devices[0].heat={{kind: given, heating_s: 40, cooling_s: 120, onset: 0.1, floor: {floor}}}"


SMALL = (noise(1e-5, 1e-5, 1.00001), heat(0.99999))
REAL = (noise(0.2, 3.0, 1.5), heat(0.5))
WORLDS = {
    "plain": (),
    "small noise": SMALL[:1],
    "small heat": SMALL[1:],
    "small both": SMALL,
    "noise": REAL[:1],
    "heat": REAL[1:],
    "both": REAL,
}


def test_noise_and_heat_over_a_plain_run(capsys, monkeypatch):
    """DiSCo-D with migration on Azure-conversation requests, all metrics computed."""
    asked = dict.fromkeys(WORLDS, 0)
    take = Device.take

    for name, overrides in WORLDS.items():
        taken = []

        def counted(device, stream, taken=taken):
            taken.append(stream.n_tok)
            take(device, stream)

        with monkeypatch.context() as patch:
            patch.setattr(Device, "take", counted)
            run_disco(N, "kernel=simpy", *overrides)
        asked[name] = len(taken)
    least_s = dict.fromkeys(WORLDS, float("inf"))
    for _ in range(ROUNDS):
        for name, overrides in WORLDS.items():
            begun = time.process_time()
            cost = run_disco(N, "kernel=simpy", *overrides)
            least_s[name] = min(least_s[name], time.process_time() - begun)
            assert cost.n_requests == N
    with capsys.disabled():
        print(f"\nprocessor time over that of a plain run of {N:,} requests (limit of the small ones 1.1):")
        for name in WORLDS:
            streams = asked[name] / asked["plain"]
            print(f"  {name:12} {least_s[name] / least_s['plain']:.3f}, device streams {streams:.3f}")
