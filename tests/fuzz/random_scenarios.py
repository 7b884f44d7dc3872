"""Random scenarios of all features, small enough to run.

They are read off the declarations, so that a new key is tried at once: a number lies near its default or at a bound of
its range. What decides the size of a run, and what has no default, is in `samples`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
from samples import SAMPLES, Plain, Rng, one_of

from discosim.config.policy_specs import options_of, scheduler_options
from discosim.config.shape import Key, item_type, keys_of, kind_of, mapping_value, members_of, sections_of, without_none
from discosim.core import scenario
from discosim.policies import known_policies
from discosim.world.engine.schedulers.registry import known_schedulers

FALSE_SHARE = 0.5
"""Share of the keys with a default that are left out."""
SIZES = ("n_requests", "n_users", "pilot_requests", "replications")
"""Keys that are always given: their defaults make runs of seconds."""


"""(class or ``*``, key) -> what it may hold. The dynamic program of Andes is left out: it takes seconds by design."""


def _foreseen(data: Plain, rng: Rng) -> None:
    """Take gates from most worlds with an oracle, as nobody foresees what these let through."""
    if any(policy["kind"] == "oracle" for policy in data["policies"]) and rng.random() < 0.8:
        for gate in ("capacity", "rate_limit", "quota"):
            data["server"].pop(gate, None)


def random_scenario(rng: Rng, traces: Path) -> Plain:
    """Return a scenario as a file would hold it; ``traces`` is a folder in which it may write its own files."""
    data = _section(scenario.Scenario, rng)
    data["workload"] = _workload(rng, traces)
    data["devices"] = [_section(scenario.Device, rng) for _ in range(1 + int(rng.integers(3)))][:3]
    for device in data["devices"]:
        if device.get("residual", {}).get("kind") == "quantiles":  # stalls come together with their share
            device["residual"] |= {"stall_share": 0.1, "stall_s": SAMPLES["QuantileResidual", "stall_s"](rng)}
        if device.get("heat", {}).get("kind") == "given":
            device.pop("throttle", None)
    data["workload"]["n_users"] = max(data["workload"].get("n_users", 100), len(data["devices"]))
    if data["workload"].get("arrivals", {}).get("kind") == "closed_loop":
        data["workload"]["arrivals"]["users"] = data["workload"]["n_users"]
    data["server"] = _server(rng)
    data["policies"] = _policies(rng)
    known = known_policies()
    needs_edge = any(known[policy["kind"]].needs_edge for policy in data["policies"])
    if needs_edge and data.get("edge") is None:
        data["edge"] = _section(scenario.EdgeTier, rng)
    _foreseen(data, rng)
    if any(known[policy["kind"]].needs_joint for policy in data["policies"]):
        data["quality"] = _section(scenario.JointQuality, rng)
    data["baseline"] = one_of(None, *(policy.get("name") or policy["kind"] for policy in data["policies"]))(rng)
    if rng.random() < 0.3:
        data["services"] = {name: _server(rng) for name in ("fast", "cheap")[: int(rng.integers(1, 3))]}
        for policy in data["policies"]:
            if "service" in options_of(known[policy["kind"]]):
                policy["service"] = one_of("server", *data["services"])(rng)
            if "second" in options_of(known[policy["kind"]]):
                policy["second"] = one_of("device", "server", *data["services"])(rng)
            if policy.get("n_retries"):
                policy["retry_service"] = one_of(None, *data["services"])(rng)
    return data


def _workload(rng: Rng, traces: Path) -> Plain:
    n = int(rng.integers(1, 25))
    if rng.random() < 0.75:
        data = _section(scenario.GeneratedWorkload, rng)
        if data["lengths"]["kind"] == "file":
            data["lengths"] |= {"file": _trace(n, rng, traces), "format": "auto"}
        return data
    data = _section(scenario.ReplayedWorkload, rng, without=("file", "format"))
    data["file"] = _trace(n, rng, traces)
    if data.get("n_requests") is not None:
        data["n_requests"] = min(n, data["n_requests"])
    data["ties"] = "keep"
    return data


def _trace(n: int, rng: Rng, folder: Path) -> str:
    """Write a trace of ``n`` requests and return its path."""
    rows = [
        {"arrival_s": at_s, "prompt_tok": int(rng.integers(1, 400)), "output_tok": int(rng.integers(1, 100))}
        for at_s in np.round(np.cumsum(rng.exponential(float(rng.choice([0.05, 3.0])), n)), 3).tolist()
    ]
    return str(write_rows(folder / f"trace-{int(rng.integers(2**40))}.jsonl", rows))


def write_rows(path: Path, rows: list[Plain]) -> Path:
    """Write a request trace as JSON lines."""
    import json

    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _server(rng: Rng) -> Plain:
    if rng.random() < 0.5:
        data = _section(
            scenario.ReplayedServer,
            rng,
            without=("digest_file", "series", "series_format", "series_group", "series_unit"),
        )
        data["digest"] = SAMPLES["ReplayedServer", "digest"](rng)
        if data.get("failures", "off") == "off":
            data.pop("failure_share", None)
        if data.get("failures") == "runs":
            data |= {"failure_share": one_of(0.3, 0.6)(rng), "failure_run": 3.0}
        else:
            data.pop("failure_run", None)
        if data.get("capacity") is not None:
            data["capacity"] = one_of({"concurrent": 2}, {"tok_per_s": 50.0})(rng)
        if data.get("quota") is not None:
            data["quota"].setdefault("requests_per_user_per_day", 2)
        if data.get("chunks") is not None:
            data.pop("tbt_jitter_p99_over_p50", None)
        return data
    data = _section(scenario.EngineServer, rng)
    if rng.random() < 0.8:  # a context limit or KV memory too small for most requests is tried now and then
        data["kv_tok"] = 60_000
    else:
        data.setdefault("kv_tok", 5000)
    data.setdefault("kv_bytes_per_tok", 1e5)
    data.pop("prefix_block_tok", None)
    if "block_tok" in data:  # inside the KV memory a hash id must stand for whole blocks
        data["prefix_block_tok"] = 32 * data["block_tok"]
    if data.get("prefill_pool") is not None:
        data.pop("lockstep", None)
    if data.get("scheduler", {}).get("kind") in {"andes_v1", "andes_v2", "round_robin"}:
        data["async_scheduling"] = False
    return data


def _policies(rng: Rng) -> list[Plain]:
    kinds = [kind for kind in known_policies() if kind != "oracle" or rng.random() < 0.3]
    chosen = rng.choice(kinds, size=int(rng.integers(1, 4)), replace=True).tolist()
    return [{"name": f"{kind}-{i}", **_options(kind, rng)} for i, kind in enumerate(chosen)]


def _options(kind: str, rng: Rng) -> Plain:
    policy = known_policies()[kind]
    values = {"kind": kind, **_values(policy.__name__, options_of(policy), rng)}
    if kind == "pd_device":  # what would have no effect under its settings is refused
        settings = values.get("settings", "closed_form")
        idle = set() if settings == "fixed" else {"cloud_tok"}
        idle |= {"kept_share"} if settings == "priced" else {"slot_limit_s", "reprice_every_s", "cloud_slots"}
        if values.get("reprice_every_s") is None:
            idle |= {"cloud_slots", "reprice_every_s"}
        values = {name: value for name, value in values.items() if name not in idle}
    return values


def _own_device(values: Plain) -> Plain:
    """Keep the rules that tie the keys of a device together; about half of the devices have no profile."""
    if values.get("prefill_tok_per_s") is not None:
        values.pop("prefill_s_per_tok", None)
    if values.get("context") == "extrapolate":
        values.pop("max_context_tok", None)
    if values.get("throttle") is not None:
        values["heat"] = {"kind": "none"}  # many a profile has a measured heat, and two models exclude each other
    if values.get("cold_start") is not None and values["cold_start"].get("load_s") is None:
        values["cold_start"]["load_s"] = 2.0  # hardly any profile has a measured one
    if values.get("profile") is None:
        needed = {"decode_tok_per_s": 20.0, "prefill_j_per_tok": 0.1, "decode_j_per_tok": 0.3}
        values |= {name: figure for name, figure in needed.items() if values.get(name) is None}
        if values.get("prefill_tok_per_s") is None and values.get("prefill_s_per_tok") is None:
            values["prefill_tok_per_s"] = 300.0
    return values


def _section(section: type, rng: Rng, without: tuple[str, ...] = ()) -> Plain:
    keys = {name: key for name, key in keys_of(section).items() if name not in without}
    apart = {"workload", "devices", "server", "services", "policies", "baseline"}
    skipped = apart if section is scenario.Scenario else set()
    kind = kind_of(section)
    values = _values(section.__name__, {n: k for n, k in keys.items() if n not in {"kind", *skipped}}, rng)
    if section is scenario.Device:
        values = _own_device(values)
    if section is scenario.DigestLink:  # of the ways to say where round trips are from, the one without a file
        own = ("digest_file", "series", "series_format", "series_group", "series_unit", "series_to")
        values = {name: held for name, held in values.items() if name not in own}
        values["digest"] = SAMPLES["DigestLink", "digest"](rng)
    if section is scenario.Battery:
        values["reserve_percent"] = 0.5 * values.setdefault("start_percent", 60.0)
    if section is scenario.Device:  # one way of saying what a token costs
        for one, other in (
            ("decode_j_per_tok_per_b", "decode_j_per_tok"),
            ("decode_over_prefill", "prefill_j_per_tok"),
        ):
            if values.get("profile") is None:
                values.pop(one, None)
            elif values.get(one) is not None:
                values.pop(other, None)
    if section is scenario.PhysicsIterations:  # one way of saying where the times are from
        values = {"model": "Llama-3.1-8B", "gpu": "H100-SXM", **values}
    return {"kind": kind, **values} if kind else values


def _values(owner: str, keys: Mapping[str, Key], rng: Rng) -> Plain:
    return {
        name: value(owner, key, rng)
        for name, key in keys.items()
        if not key.has_default or name in SIZES or rng.random() < FALSE_SHARE
    }


NOT_DRAWN = (scenario.FileIterations, scenario.PluginIterations)
"""Sections that need a file, or another package."""


def value(owner: str, key: Key, rng: Rng) -> Any:
    """Return a random value of one key."""
    sample = SAMPLES.get((owner, key.name)) or SAMPLES.get(("*", key.name))
    if sample is not None:
        return sample(rng)
    inner, is_nullable = without_none(key.type)
    if is_nullable and rng.random() < FALSE_SHARE:
        return None
    if inner is scenario.SchedulerSpec:
        kind = str(rng.choice(sorted(known_schedulers())))
        return {
            "kind": kind,
            **_values(known_schedulers()[kind].__name__, scheduler_options(known_schedulers()[kind]), rng),
        }
    if sections := sections_of(inner):
        usable = [section for section in sections if section not in NOT_DRAWN]
        return _section(usable[int(rng.integers(len(usable)))], rng)
    if item_type(inner) is not None or mapping_value(inner) is not None:
        raise TypeError(f"teach the fuzzer what {owner}.{key.name} may hold")
    return _leaf(owner, key, members_of(inner), rng)


def _leaf(owner: str, key: Key, members: tuple[Any, ...], rng: Rng) -> Any:
    literals = [choice for member in members if get_origin(member) is Literal for choice in get_args(member)]
    if literals:
        return literals[int(rng.integers(len(literals)))]
    if bool in members:
        return bool(rng.integers(2))
    default = key.default
    if isinstance(default, bool) or not isinstance(default, int | float):
        raise TypeError(f"teach the fuzzer what {owner}.{key.name} may hold")
    low = key.limits.get("ge", key.limits.get("gt"))
    high = key.limits.get("le", key.limits.get("lt"))
    near = float(default) * float(rng.uniform(0.3, 2.0)) if default else float(rng.uniform(0.0, 1.0))
    bounds = [bound for bound in (key.limits.get("ge"), key.limits.get("le")) if bound is not None]
    drawn = bounds[int(rng.integers(len(bounds)))] if bounds and rng.random() < 0.25 else near
    drawn = drawn if low is None else max(drawn, low)
    drawn = drawn if high is None else min(drawn, high)
    is_open = ("gt" in key.limits and drawn <= low) or ("lt" in key.limits and drawn >= high)
    chosen = default if is_open else drawn
    return max(int(low or 0), round(chosen)) if int in members and float not in members else float(chosen)
