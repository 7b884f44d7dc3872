"""Who is compared, where, and with which settings of its own knob."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Plain = dict[str, Any]

ROOM_TOK = 16384
"""Context of both engines: no prompt or answer of ShareGPT (8,192 tokens together) is cut. OPT-66B has 2,048."""
PRICES = "prices: {prompt_usd_per_mtok: 0.5, output_usd_per_mtok: 1.5, source: assumption}"
COMMON = f"max_context_tok: {ROOM_TOK}, pilot_requests: %d, {PRICES}"


@dataclass(frozen=True)
class Engine:
    """A server seen from inside.

    Parameters
    ----------
    server : str
        Its section, with places for the scheduler and the number of pilot requests.
    saturation_per_s : float
        Requests it finishes a second when there is always work; table ``saturation`` measures it again.
    """

    server: str
    saturation_per_s: float


ENGINES = {
    "Llama-3.1-70B, four H100": Engine(
        "{kind: engine, flavour: vllm-v1, iterations: {kind: physics, model: Llama-3.1-70B, gpu: H100-SXM, tp: 4}, "
        f"scheduler: {{token_budget: 8192}}, max_batch: 1024, {COMMON}}}",
        4.1,
    ),
    "OPT-66B, four A100": Engine(
        "{kind: engine, iterations: {kind: digest, digest: opt-66b-a100-tp4}, "
        "preemption: {kind: swap, host_kv_tok: 100000, gbyte_per_s: 48}, "
        f"scheduler: {{kind: SCHEDULER}}, max_batch: 128, {COMMON}}}",
        0.61,
    ),
}
MODERN, OPT = ENGINES

PHONES = {"idle": 0.0, "shared": 60.0}
"""Seconds between two questions to one phone, on average; 0 for so many phones that none is asked twice at a time."""

ANDES = {"Andes v2": "andes_v2", "Andes code": "andes_code"}
"""Server alone, with another scheduler; OPT-66B only, as V1 of vLLM has no swap and decides one iteration ahead."""


def _hedge(share: float) -> Plain:
    return {"kind": "hedge", "quantile": round(1 - share, 3), "tokens_per_request": share, "bucket_size": 10}


def _disco(side: str, budget: float, *, migration: bool, relearn: bool = True) -> Plain:
    return {"kind": "disco", "constraint": side, "budget": budget, "migration": migration, "relearn": relearn}


QUICK: dict[str, Plain] = {
    "server only": {"kind": "server_only"},
    "phone only": {"kind": "device_only"},
    "race": {"kind": "race"},
    **{f"hedge, {share}": _hedge(share) for share in (0.1, 0.3, 0.6)},
    **{f"DiSCo-D, {b}": _disco("device", b, migration=False) for b in (0.03, 0.1, 0.3)},
    "DiSCo-D frozen, 0.3": _disco("device", 0.3, migration=False, relearn=False),
    "DiSCo-D + migration, 0.3": _disco("device", 0.3, migration=True),
    **{f"DiSCo-S + migration, {b}": _disco("server", b, migration=True) for b in (0.1, 0.4)},
    "P/D-Device, closed form": {"kind": "pd_device"},
    "P/D-Device, K = 256": {"kind": "pd_device", "settings": "fixed", "cloud_tok": 256},
    "PICE, weight 4": {"kind": "pice"},
    "PICE, weight 0": {"kind": "pice", "error_weight": 0},
}
"""Name of a setting -> policy; the quick profile's."""
MORE: dict[str, Plain] = {
    **{f"hedge, {share}": _hedge(share) for share in (0.2, 0.8)},
    **{f"DiSCo-D, {b}": _disco("device", b, migration=False) for b in (0.2, 0.6)},
    **{f"DiSCo-D + migration, {b}": _disco("device", b, migration=True) for b in (0.1, 0.6)},
    **{f"DiSCo-S + migration, {b}": _disco("server", b, migration=True) for b in (0.2, 0.7)},
    "P/D-Device, K = 64": {"kind": "pd_device", "settings": "fixed", "cloud_tok": 64},
    "PICE, weight 1": {"kind": "pice", "error_weight": 1},
    "PICE, weight 16": {"kind": "pice", "error_weight": 16},
}
"""What the paper profile adds."""

FAMILIES: dict[str, tuple[str, ...]] = {
    "server only": ("server only",),
    "phone only": ("phone only",),
    "race": ("race",),
    "hedge": ("server only", "hedge", "race"),
    "DiSCo-D": ("server only", "DiSCo-D", "DiSCo-D + migration", "race"),
    "DiSCo-S": ("phone only", "DiSCo-S + migration"),
    "P/D-Device": ("P/D-Device",),
    "PICE": ("PICE",),
    "Andes v2": ("Andes v2",),
    "Andes code": ("Andes code",),
}
"""System -> whose settings are its own. A share of 0 is the server alone, or the phone alone; of 1, the race."""


def system_of(setting: str) -> str:
    """Return the system that a setting is one of.

    Examples
    --------
    >>> system_of("DiSCo-D, 0.1"), system_of("race")
    ('DiSCo-D', 'race')
    """
    return setting.split(", ", maxsplit=1)[0]


def settings_of(profile: str) -> dict[str, Plain]:
    """Return the settings of a profile, those of one system side by side."""
    found = QUICK if profile == "quick" else {**QUICK, **MORE}
    systems = list(dict.fromkeys(map(system_of, found)))
    return dict(sorted(found.items(), key=lambda item: systems.index(system_of(item[0]))))
