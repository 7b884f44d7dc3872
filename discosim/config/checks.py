"""Rules that tie several keys of a section together; ranges of single keys stand in the scenario's fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from discosim.config.device_checks import battery_findings, device_findings
from discosim.config.keypath import KeyPath, shown
from discosim.config.noise_checks import noise_findings
from discosim.config.profile_checks import profile_findings
from discosim.core import scenario as s
from discosim.core.errors import close_match
from discosim.core.own_code import is_left, usual_name
from discosim.core.plugins import in_words

Values = Mapping[str, Any]
ROLES = ("device", "server", "edge")
Findings = Iterator[tuple[KeyPath, str]]

FILES: dict[type, tuple[str, ...]] = {
    s.Device: ("profile_file",),
    s.FileLengths: ("file",),
    s.ReplayedWorkload: ("file",),
    s.ReplayedServer: ("digest_file", "series"),
    s.Chunks: ("digest_file",),
    s.FileIterations: ("file",),
    s.PhysicsIterations: ("model_file",),
    s.DigestLink: ("digest_file", "series"),
}
"""Keys that name a file, relative to the folder of the config."""


def check_section(section: type, values: Values, raw: Values) -> Findings:
    """Yield (path inside the section, message) for every broken rule.

    Parameters
    ----------
    section : type
        Dataclass of the section.
    values : mapping
        The values that are valid on their own; refused ones are left out, so that every rule looks first.
    raw : mapping
        The section as it was written.
    """
    if section in _RULES:
        yield from _RULES[section](values)
    if section is s.Device:
        yield from device_findings(values, raw)
    yield from noise_findings(section, values)
    if section is s.Device:
        yield from profile_findings(values)
    if section is s.Scenario:
        yield from _policy_names(values, raw)
        yield from _edge(values)
        yield from _joint(values)
        yield from _services(values)


def _burst(values: Values) -> Findings:
    intensity, width = values.get("intensity"), values.get("width")
    if intensity is not None and width is not None and intensity * width >= 1:
        yield (
            ("intensity",),
            f"intensity * width must be < 1 (got {intensity:g} * {width:g} = {intensity * width:g})",
        )


def _device(values: Values) -> Findings:
    for one, other in (("decode_j_per_tok_per_b", "decode_j_per_tok"), ("decode_over_prefill", "prefill_j_per_tok")):
        if values.get(one) is not None and values.get(other) is not None:
            yield (one,), f"says what {other} says; give one of them"


def _outage(values: Values) -> Findings:
    start_s, end_s = values.get("start_s"), values.get("end_s")
    if start_s is not None and end_s is not None and end_s <= start_s:
        yield ("end_s",), f"must be > start_s = {start_s:g} (got {end_s:g})"


def _server(values: Values) -> Findings:
    sources = ("digest", "digest_file", "series")
    if any(name not in values for name in sources):
        return
    given = [name for name in sources if values[name] is not None]
    if len(given) != 1:
        place = given[-1:]  # the last of several
        yield tuple(place), f"needs exactly one of digest, digest_file and series (got {' and '.join(given) or 'none'})"
    if values.get("series_group") is not None and values["series"] is None:
        yield ("series_group",), "has a meaning only beside series"
    if values.get("series_unit", "auto") != "auto" and values["series"] is None:
        yield ("series_unit",), "has a meaning only beside series; a digest says it by `digest-latency --unit`"
    if values.get("failure_share") is not None and values.get("failures") == "off":
        yield ("failure_share",), "has no effect unless failures is measured or runs"
    if values.get("failure_run") is not None and values.get("failures") in {"off", "measured"}:
        yield ("failure_run",), "has no effect unless failures is runs"
    if values.get("chunks") is not None and values.get("tbt_jitter_p99_over_p50", 1.0) != 1.0:
        yield ("tbt_jitter_p99_over_p50",), "must be 1 beside chunks, which hold how far gaps vary"


def _capacity(values: Values) -> Findings:
    if not {"concurrent", "tok_per_s"} <= set(values):
        return
    given = [name for name in ("concurrent", "tok_per_s") if values[name] is not None]
    if len(given) != 1:
        yield tuple(given[1:]), f"needs exactly one of concurrent and tok_per_s (got {' and '.join(given) or 'none'})"


def _quota(values: Values) -> Findings:
    keys = ("requests_per_user_per_day", "tok_per_user_per_day")
    if all(key in values and values[key] is None for key in keys):
        yield (), f"needs {' or '.join(keys)}"


def _link(values: Values) -> Findings:
    sources = ("digest", "digest_file", "series")
    if any(name not in values for name in sources):
        return
    given = [name for name in sources if values[name] is not None]
    if len(given) != 1:
        got = f"(got {' and '.join(given) or 'none'})"
        yield tuple(given[-1:]), f"needs exactly one of digest, digest_file and series {got}"
    if values["series"] is None:
        for name, default in (("format", "auto"), ("group", None), ("unit", "auto"), ("to", "host")):
            if values.get(f"series_{name}", default) != default:
                yield (f"series_{name}",), "has a meaning only beside series; a digest has it from `digest-rtt`"


def _chunks(values: Values) -> Findings:
    if {"digest", "digest_file"} <= values.keys() and (values["digest"] is None) == (values["digest_file"] is None):
        given = "none" if values["digest"] is None else "both"
        place: KeyPath = () if values["digest"] is None else ("digest_file",)
        yield place, f"needs exactly one of digest and digest_file (got {given})"


def _engine(values: Values) -> Findings:
    if values.get("lockstep") and values.get("prefill_pool") is not None:
        yield ("lockstep",), "has no meaning beside a prefill_pool: replicas that step together prefill for themselves"
    if values.get("async_scheduling") and "scheduler" in values:
        yield from _ahead(values["scheduler"].kind)
    if values.get("prefix_cache") != "inside":
        return
    if values.get("prefix_cache_tok"):
        yield ("prefix_cache_tok",), "has no meaning where prefix_cache is inside: the KV memory is the cache"
    hash_tok, block_tok = values.get("prefix_block_tok"), values.get("block_tok")
    if hash_tok is not None and block_tok is not None and hash_tok % block_tok:
        yield (
            ("prefix_block_tok",),
            f"must be a multiple of block_tok = {block_tok} where prefix_cache is inside (got {hash_tok})",
        )


def _ahead(kind: str) -> Findings:
    from discosim.world.engine.schedulers.registry import scheduler_class

    if is_left(kind):
        return
    if not scheduler_class(kind).may_decide_ahead:
        said = f"scheduler {kind} puts requests in the place of others at once and cannot decide ahead; set it to false"
        yield ("async_scheduling",), said


def _physics(values: Values) -> Findings:
    sources = ("model", "model_file", "coefficients")
    if any(name not in values for name in sources):
        return
    given = [name for name in sources if values[name] is not None]
    if len(given) != 1:
        place = given[-1:]
        what = "exactly one of model, model_file and coefficients"
        yield tuple(place), f"needs {what} (got {' and '.join(given) or 'none'})"
    elif "gpu" in values and (values["gpu"] is None) != (given == ["coefficients"]):
        if values["gpu"] is None:
            yield ("gpu",), f"is missing; {given[0]} needs the GPU that it runs on"
        else:
            yield ("gpu",), "has no meaning beside coefficients, which hold for theirs"


def _scenario(values: Values) -> Findings:
    if "name" in values and (reason := why_no_file_name(values["name"])):
        yield ("name",), reason
    workload, devices = values.get("workload"), values.get("devices")
    if workload is None or devices is None:
        return
    key: KeyPath = ("workload", "n_users")
    n_users = workload.n_users
    if s.is_closed_loop(workload):
        key, n_users = ("workload", "arrivals", "users"), workload.arrivals.users
    if n_users < len(devices):
        yield key, f"must be >= {len(devices)}, the kinds of device (got {n_users})"


def _policy_names(values: Values, raw: Values) -> Findings:
    """Look at the names as written, so that a policy with a wrong option hides no other mistake."""
    policies = raw.get("policies")
    first: dict[str, int] = {}
    for i, policy in enumerate(policies if isinstance(policies, list | tuple) else ()):
        name = (policy.get("name") or policy.get("kind")) if isinstance(policy, Mapping) else None
        if not isinstance(name, str):
            continue
        name = policy.get("name") or usual_name(name)
        if name in first:
            taken = f"the name '{name}' is taken by policies[{first[name]}]; give each its own"
            yield ("policies", i, "name"), taken
        if reason := why_no_file_name(name):
            yield ("policies", i, "name"), reason
        first.setdefault(name, i)
    baseline = values.get("baseline")
    if baseline is not None and baseline not in first:
        yield (
            ("baseline",),
            f"names no policy of this scenario ('{baseline}'); {close_match(baseline, first)}",
        )


def _edge(values: Values) -> Findings:
    from discosim.policies import policy_class

    if "edge" not in values or values["edge"] is not None:
        return
    for i, policy in enumerate(values.get("policies", ())):
        if not is_left(policy.kind) and policy_class(policy.kind).needs_edge:
            yield ("policies", i), f"policy '{policy.kind}' needs an edge tier; add an `edge:` section"


def _joint(values: Values) -> Findings:
    from discosim.policies import policy_class

    if "quality" not in values or isinstance(values["quality"], s.JointQuality):
        return
    for i, policy in enumerate(values.get("policies", ())):
        if not is_left(policy.kind) and policy_class(policy.kind).needs_joint:
            needs = "needs to know which models are right; add `quality: {kind: joint, digest: ...}`"
            yield ("policies", i), f"policy '{policy.kind}' {needs}"


def _services(values: Values) -> Findings:
    from discosim.config.policy_specs import build_policy

    if "services" not in values or "edge" not in values:
        return
    for name in values["services"]:
        if name in ROLES:
            yield (
                ("services", name),
                f"must not be called {', '.join(ROLES[:-1])} or {ROLES[-1]}, which stand for others",
            )
        elif not (name.isascii() and name.isidentifier()):
            yield ("services", name), f"must be called by letters, digits and _, no digit first (got {shown(name)})"
    for i, spec in enumerate(values.get("policies", ())):
        if is_left(spec.kind):
            continue
        try:
            asked = list(build_policy(spec).asks_for())
        except Exception as error:  # noqa: BLE001 - a package of somebody else may do anything here
            yield ("policies", i), f"policy '{spec.kind}' does not say whom it asks for ({in_words(error)})"
            continue
        for name in asked:
            if reason := why_nobody(name, values["services"], has_edge=values["edge"] is not None):
                option = next(([key] for key, value in spec.options.items() if value == name), [])
                yield ("policies", i, *option), reason


def why_nobody(name: str, services: Iterable[str], *, has_edge: bool) -> str:
    """Return why a policy cannot ask for an endpoint of this name, or '' where it can."""
    known = [role for role in ROLES if role != "edge" or has_edge] + list(services)
    return "" if name in known else f"there is no endpoint '{name}' in this scenario; {close_match(name, known)}"


def why_no_file_name(name: str) -> str:
    """Return why a name cannot stand in a file name and a table, or '' where it can."""
    if "/" in name or "\\" in name or name in {".", ".."}:
        return f"must not be a path (got {name!r})"
    if not name.isprintable() or name != name.strip():
        return f"must be printable text without blanks around it (got {name!r})"
    return ""


_RULES: dict[type, Callable[[Values], Findings]] = {
    s.Battery: battery_findings,
    s.DigestLink: _link,
    s.BurstArrivals: _burst,
    s.Device: _device,
    s.Capacity: _capacity,
    s.Chunks: _chunks,
    s.EngineServer: _engine,
    s.Outage: _outage,
    s.ReplayedServer: _server,
    s.PhysicsIterations: _physics,
    s.Quota: _quota,
    s.Scenario: _scenario,
}
