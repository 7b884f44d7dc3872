"""Scenarios of all features, drawn at random from the fields of their sections, as plain data that people write."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
from hypothesis import strategies as st

from discosim.config import build_policy
from discosim.config.checks import why_no_file_name
from discosim.config.digests import DIGEST_KEYS, LENGTH_KINDS
from discosim.config.dump import as_plain
from discosim.config.policy_specs import build_scheduler
from discosim.config.shape import Key, item_type, item_types, keys_of, kind_of, mapping_value, sections_of, without_none
from discosim.core import scenario as s
from discosim.core.errors import UserError
from discosim.traces.catalogue import list_digests
from discosim.traces.gpu_sheet import known_gpus
from discosim.traces.model_config import known_models

# --- values ---------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        "null",
        "~",
        "1e3",
        "yes",
        "a #b",
        "a: b",
        "- x",
        "---",
        "{a}",
        "é\x85\u2028",
        "'",
        '"',
        "\ufeff",
        " x ",
        "0o7",
        "=",
        "<<",
        "\t",
    ]
)
NAMES = TEXT.filter(lambda text: bool(text) and not why_no_file_name(text) and len(text.encode()) < 100)
SERVICES = st.sampled_from(["fast", "Cheap_2", "_", "null", "ttft", "jitter"])
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=2).map(tuple) | st.dictionaries(TEXT, inner, max_size=3)
    ),
    max_leaves=6,
)


def whole_numbers(limits: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Return whole numbers in their range, written in several ways."""
    low = limits.get("ge", limits.get("gt", -11) + 1)
    high = min(limits.get("le", low + 10**6), low + 10**6)
    numbers = st.integers(low, high) | st.sampled_from([low, high])
    return numbers | numbers.map(float) | numbers.map(np.int64)


def numbers(limits: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Return numbers in their range, written in several ways."""
    low, high = float(limits.get("ge", limits.get("gt", -1e6))), float(limits.get("le", limits.get("lt", math.inf)))
    high = min(high, low + 1e4)
    floats = st.floats(low, high, exclude_min="gt" in limits, exclude_max="lt" in limits)
    kept = floats.filter(lambda x: x == 0 or abs(x) > 1e-12)
    ways = kept | kept.map(np.float64)
    first = math.floor(low) + 1 if "gt" in limits else math.ceil(low)
    last = math.ceil(high) - 1 if "lt" in limits else math.floor(high)
    if first <= last:
        ways |= st.integers(first, last)
    return ways | st.just(-0.0) if low == 0 and "gt" not in limits else ways


def values(annotation: Any, limits: Mapping[str, Any], draw_section: Any) -> st.SearchStrategy[Any]:
    """Return what may be written for a type."""
    inner, is_nullable = without_none(annotation)
    if is_nullable:
        return st.none() | values(inner, limits, draw_section)
    sizes = {"min_size": limits.get("min_length", 0), "max_size": 3}
    rest = {name: limit for name, limit in limits.items() if not name.endswith("_length")}
    if inner is Any:
        return PLAIN
    if (named := mapping_value(inner)) is not None:
        return st.dictionaries(TEXT, values(named, rest, draw_section), max_size=3)
    if sections := sections_of(inner):
        return st.one_of(
            [
                draw_section(section, is_choice=len(sections) > 1)
                for section in sections
                if section is not s.PluginIterations
            ]
        )
    if (item := item_type(inner)) is not None:
        lists = st.lists(values(item, rest, draw_section), **sizes)
        return lists | lists.map(tuple)
    if (types := item_types(inner)) is not None:
        return st.tuples(*(values(kind, rest, draw_section) for kind in types)).flatmap(
            lambda t: st.sampled_from([t, list(t)])
        )
    if get_origin(inner) is Literal:
        return st.sampled_from(get_args(inner))
    simple = {bool: st.booleans(), str: TEXT.filter(lambda t: len(t) >= limits.get("min_length", 0))}
    if inner in simple:
        return simple[inner]
    if inner in {int, float}:
        return whole_numbers(limits) if inner is int else numbers(limits)
    return st.one_of([values(member, limits, draw_section) for member in get_args(inner)])


def mended_noise(section: type, raw: dict[str, Any], rng: Any) -> dict[str, Any]:
    """Let the quantiles of a residual law rise, and keep one model of heat."""
    if section is s.Device and raw.get("heat", {}).get("kind") == "given":
        return raw | {"throttle": None}
    if section is not s.QuantileResidual:
        return raw
    n = rng.randint(2, 5)
    raw = raw | {"levels": [0, *sorted({rng.uniform(0.01, 0.99) for _ in range(n - 2)}), 1.0], "stall_s": None}
    for key in ("prefill", "decode", "stall_s"):
        if raw.get(key) is not None or (key == "stall_s" and raw.get("stall_share")):
            raw[key] = sorted(rng.uniform(0.1, 20.0) for _ in raw["levels"])
    return raw


def digests(section: type) -> list[str]:
    """Return the digests that a section may name."""
    _, kind = DIGEST_KEYS[section]
    return [entry.name for one in ([kind] if kind else LENGTH_KINDS) for entry in list_digests(one)]


class Scenarios:
    """Strategies for scenarios that name these files, relative to a folder or absolute."""

    def __init__(self, files: Mapping[tuple[type, str], list[str]], folder: Path) -> None:
        self.files, self.folder = files, folder
        self._sections: dict[tuple[type, bool], st.SearchStrategy[dict[str, Any]]] = {}
        self._keys: dict[tuple[type, str], st.SearchStrategy[Any]] = {}

    def whole(self) -> st.SearchStrategy[dict[str, Any]]:
        """Return scenarios as mappings."""
        return self.section(s.Scenario).flatmap(lambda raw: st.builds(self._completed, st.just(raw), st.data()))

    def _completed(self, raw: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
        """Give a scenario its policies, and the numbers that must fit each other."""
        names = data.draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
        has_edge, services = raw.get("edge") is not None, list(raw.get("services", {}))
        has_joint = (raw.get("quality") or {}).get("kind") == "joint"
        policies = [self._policy(name, data, services, has_edge=has_edge, has_joint=has_joint) for name in names]
        baseline = data.draw(st.none() | st.sampled_from(names))
        n_users = data.draw(st.integers(len(raw["devices"]), 1000))
        workload = {**raw["workload"], "n_users": n_users}
        if workload.get("arrivals", {}).get("kind") == "closed_loop":
            workload["arrivals"] = {**workload["arrivals"], "users": n_users}
        return {**raw, "name": data.draw(NAMES), "workload": workload, "policies": policies, "baseline": baseline}

    def section(self, section: type, *, is_choice: bool = False) -> st.SearchStrategy[dict[str, Any]]:
        """Return one section, each key with a default left out, written as its default, or drawn."""
        if (section, is_choice) not in self._sections:
            self._sections[section, is_choice] = self._section(section, {"kind": kind_of(section)} if is_choice else {})
        return self._sections[section, is_choice]

    def _section(self, section: type, head: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
        keys = [key for key in keys_of(section).values() if key.name not in {"kind", "policies", "baseline"}]
        ways = {key.name: self._key(section, key) for key in keys if not key.has_default}
        may_be_left_out = {
            key.name: st.deferred(lambda key=key: st.just(as_plain(key.default)) | self._key(section, key))  # type: ignore[misc]
            for key in keys
            if key.has_default
        }
        drawn = st.fixed_dictionaries(ways, optional=may_be_left_out)
        return st.builds(
            lambda raw, rng: self._mended(section, {**head, **raw}, rng), drawn, st.randoms(use_true_random=False)
        )

    def _key(self, section: type, key: Key) -> st.SearchStrategy[Any]:
        """Return what may be written for a key of a section."""
        if (section, key.name) in self.files:
            names = st.sampled_from(self.files[section, key.name])
            return names | names.map(lambda name: self.folder / name)
        if section in DIGEST_KEYS and DIGEST_KEYS[section][0] == key.name:
            return st.sampled_from(digests(section))
        if key.type is s.SchedulerSpec:
            return st.builds(self._scheduler, st.data())
        if (section, key.name) == (s.Scenario, "services"):
            servers = st.one_of([self.section(held, is_choice=True) for held in sections_of(s.Server)])
            return st.dictionaries(SERVICES, servers, max_size=2)
        return values(key.type, key.limits, self.section)

    def _mended(self, section: type, raw: dict[str, Any], rng: Any) -> dict[str, Any]:
        """Keep the rules that tie several keys together."""
        if section is s.ReplayedServer:
            raw = self._replayed(section, raw, rng)
        if section in {s.Capacity, s.Quota}:
            raw = self._limit(section, raw, rng)
        if section is s.Chunks:
            kept = rng.choice(["digest", "digest_file"])
            raw = {kept: rng.choice(digests(section) if kept == "digest" else self.files[section, kept])}
        if section is s.EngineServer:
            raw |= {"prefix_cache_tok": 0, "prefix_block_tok": raw.get("block_tok", 16)}  # as the inner cache wants
            if raw.get("prefill_pool") is not None:
                raw["lockstep"] = False
            if raw.get("scheduler", {}).get("kind") in {"andes_v1", "andes_v2", "round_robin"}:
                raw["async_scheduling"] = False
        raw = mended_noise(section, raw, rng)
        if section is s.PhysicsIterations:
            raw = self._one_way(section, raw, rng)
        mends = {s.Device: self._own_device, s.Battery: self._battery, s.DigestLink: self._one_source}
        if section in mends:
            raw = mends[section](raw, rng)
        if section is s.Outage:
            raw["end_s"] = float(raw["start_s"]) + rng.randint(1, 9)
        if section is s.BurstArrivals:
            raw["intensity"], raw["width"] = 2, rng.uniform(0.01, 0.49)
        if section is s.Reader and isinstance(raw.get("tok_per_s"), float | int):
            raw["tok_per_s"] = abs(raw["tok_per_s"]) + 1
        return raw

    def _own_device(self, raw: dict[str, Any], rng: Any) -> dict[str, Any]:
        """Say in one way only how fast a device prefills, and all that one without a profile needs."""
        raw = {name: value for name, value in raw.items() if name not in {"profile", "profile_file"}}
        kept = rng.choice(["profile", "profile_file", None])
        if kept is not None:
            raw[kept] = rng.choice(digests(s.Device) if kept == "profile" else self.files[s.Device, kept])
        kept = rng.choice(["prefill_s_per_tok", "prefill_tok_per_s"])
        raw.pop(kept, None)
        if raw.get("prefill_tok_per_s") is not None:
            raw["prefill_tok_per_s"] += 1
        if raw.get("context") == "extrapolate":
            raw.pop("max_context_tok", None)
        for one, other in (
            ("decode_j_per_tok_per_b", "decode_j_per_tok"),
            ("decode_over_prefill", "prefill_j_per_tok"),
        ):
            if raw.get(one) is not None:
                raw.pop(other, None)
        if raw.get("throttle") is not None:
            raw.pop("heat", None)
        if raw.get("profile") is None and raw.get("profile_file") is None:
            raw.pop("decode_j_per_tok_per_b", None)
            raw.pop("decode_over_prefill", None)
            raw |= {kept: 2.5, "decode_tok_per_s": 3, "prefill_j_per_tok": 0, "decode_j_per_tok": 1e-3}
            raw.pop(({"prefill_s_per_tok", "prefill_tok_per_s"} - {kept}).pop(), None)
        return raw

    def _one_source(self, raw: dict[str, Any], rng: Any) -> dict[str, Any]:
        """Say in one way only where round trips come from."""
        ways = ("digest", "digest_file", "series")
        kept = rng.choice(ways)
        left_out = {
            *ways,
            *(() if kept == "series" else (f"series_{key}" for key in ("format", "group", "unit", "to"))),
        }
        raw = {name: value for name, value in raw.items() if name not in left_out}
        return raw | {kept: rng.choice(digests(s.DigestLink) if kept == "digest" else self.files[s.DigestLink, kept])}

    @staticmethod
    def _battery(raw: dict[str, Any], rng: Any) -> dict[str, Any]:
        """Let a battery begin above its reserve."""
        start = max(2, raw.get("start_percent", 100.0))
        return raw | {"capacity_wh": rng.uniform(1, 100), "start_percent": start, "reserve_percent": start / 2}

    def _replayed(self, section: type, raw: dict[str, Any], rng: Any) -> dict[str, Any]:
        """Let a replayed service name one source, and nothing that has no effect."""
        raw = {name: value for name, value in raw.items() if name not in {"digest", "digest_file", "series"}}
        kept = rng.choice(["digest", "digest_file", "series"])
        raw[kept] = rng.choice(digests(section) if kept == "digest" else self.files[section, kept])
        if kept != "series":
            raw.pop("series_group", None)
            raw.pop("series_unit", None)
        if raw.get("failures", "off") == "off":
            raw.pop("failure_share", None)
        if raw.get("failures") != "runs":
            raw.pop("failure_run", None)
        if raw.get("chunks") is not None:
            raw.pop("tbt_jitter_p99_over_p50", None)
        return raw

    def _limit(self, section: type, raw: dict[str, Any], rng: Any) -> dict[str, Any]:
        """Let a capacity say one thing, and a quota something."""
        if section is s.Capacity:
            kept = rng.choice(["concurrent", "tok_per_s"])
            return {kept: raw.get(kept) or 3}
        return raw if any(value is not None for value in raw.values()) else {"tok_per_user_per_day": 3}

    def _one_way(self, section: type, raw: dict[str, Any], rng: Any) -> dict[str, Any]:
        """Say in one way only where iteration times come from."""
        ways = ("model", "model_file", "coefficients")
        raw = {name: value for name, value in raw.items() if name not in {*ways, "gpu"}}
        kept = rng.choice(ways)
        raw |= {} if kept == "coefficients" else {"gpu": rng.choice(list(known_gpus()))}
        if kept == "model":
            raw[kept] = rng.choice(list(known_models()))
        elif kept == "model_file":
            raw[kept] = rng.choice(self.files[section, kept])
        else:
            raw[kept] = {"weights_s": rng.uniform(0.001, 0.1), "compute_s_per_tok": rng.uniform(1e-6, 1e-3)}
        return raw

    def _policy(
        self, name: str, data: st.DataObject, services: list[str], *, has_edge: bool, has_joint: bool
    ) -> dict[str, Any]:
        """Return a policy with some of its options; where these do not go together, with none."""
        from discosim import policies

        known = {
            kind: held
            for kind, held in policies.known_policies().items()
            if (has_edge or not held.needs_edge) and (has_joint or not held.needs_joint)
        }
        kind = data.draw(st.sampled_from(sorted(known)))
        options = data.draw(self.section(known[kind]))
        for option in {"service", "second", "retry_service"} & options.keys():
            options[option] = data.draw(st.sampled_from(["server", *services]))
        head = {"kind": kind, "name": name}
        try:
            build_policy(s.PolicySpec(kind=kind, name=name, options=options))
        except (UserError, TypeError):
            return head
        return {**options, **head}

    def _scheduler(self, data: st.DataObject) -> dict[str, Any]:
        """Return a scheduler with some of its options; where these do not go together, with none."""
        from discosim.world.engine.schedulers import registry

        kind = data.draw(st.sampled_from(sorted(registry.known_schedulers())))
        options = data.draw(self.section(registry.known_schedulers()[kind]))
        try:
            build_scheduler(s.SchedulerSpec(kind=kind, options=options))
        except (UserError, TypeError):
            return {"kind": kind}
        return {"kind": kind, **options}
