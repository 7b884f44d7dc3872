"""Where the numbers of a run come from: the inputs, how each is known, and their fingerprints."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from discosim.core.own_code import PACKAGE, is_own, own_source, without_folder
from discosim.core.plugins import Plugins, code_of
from discosim.core.scenario import (
    AssumedQuality,
    ClientArrivals,
    Device,
    DigestArrivals,
    DigestIterations,
    DigestLengths,
    DigestLink,
    EdgeTier,
    EngineServer,
    FileIterations,
    FileLengths,
    JointQuality,
    PhysicsIterations,
    PluginIterations,
    ReplayedServer,
    ReplayedWorkload,
    Scenario,
    Server,
)
from discosim.core.source_code import SourceCode, is_foreign
from discosim.policies.registry import policy_class, policy_plugins
from discosim.runs.build_device import chosen_of, hidden_figures
from discosim.runs.build_physics import physics_notes
from discosim.runs.device_digest import own_profile_notes, own_profiles
from discosim.runs.waiting import waiting_notes
from discosim.traces.catalogue import digest_sha256, load_digest
from discosim.traces.digest import DeviceDigest
from discosim.traces.gpu_sheet import find_gpu
from discosim.traces.model_config import find_model
from discosim.world.engine.costs.registry import cost_class, cost_plugins
from discosim.world.engine.schedulers.registry import scheduler_class, scheduler_plugins

WARNING = "warning: "
"""Beginning of a note that says what to doubt."""

UNKNOWN = "unknown"
"""Stands for the fingerprint of code whose source cannot be had."""

POLICY_CODE, SCHEDULER_CODE, COST_CODE = "policy code", "scheduler code", "cost code"

MANY_USERS = ReplayedWorkload.n_users
"""Users of a trace that names none, where the scenario does not say how many."""


@dataclass(frozen=True)
class ForeignPart:
    """A policy, scheduler or cost model whose code is not this package's: a version of ours says nothing of it.

    Parameters
    ----------
    role, kind, package : str
        What it is, the kind that the scenario names, and the distribution it comes from, or that it is an own file.
    code : SourceCode
        What its source hashes to.
    """

    role: str
    kind: str
    package: str
    code: SourceCode


def foreign_parts(scenario: Scenario) -> list[ForeignPart]:
    """Return the policies, schedulers and cost models whose code is not ours, each once; none is imported for that."""
    found = [_foreign(POLICY_CODE, spec.kind, policy_class, policy_plugins) for spec in scenario.policies]
    for server in (scenario.server, *scenario.services.values()):
        if isinstance(server, EngineServer):
            found.append(_foreign(SCHEDULER_CODE, server.scheduler.kind, scheduler_class, scheduler_plugins))
            if isinstance(times := server.iterations, PluginIterations):
                found.append(_foreign(COST_CODE, times.cost, cost_class, cost_plugins))
    return list(dict.fromkeys(part for part in found if part is not None))


def _foreign(
    role: str, kind: str, class_of: Callable[[str], type], plugins: Callable[[], Plugins]
) -> ForeignPart | None:
    if is_own(kind):
        return ForeignPart(role, without_folder(kind), PACKAGE, own_source(kind))
    held = class_of(kind)
    if not is_foreign(held):
        return None
    plugin = plugins().found.get(kind)
    if plugin is None or plugin.value is not held:
        return ForeignPart(role, kind, "a package without entry point", code_of(held))
    return ForeignPart(role, kind, plugin.package, plugin.code)


def inputs_of(scenario: Scenario) -> list[tuple[str, str, str]]:
    """Return (role, name, kind of digest or ``file``) of every measured input of a scenario, without repeats."""
    found: list[tuple[str, str, str]] = []
    workload = scenario.workload
    if isinstance(workload, ReplayedWorkload):
        found.append(("workload", workload.file, "file"))
    else:
        if isinstance(workload.arrivals, DigestArrivals):
            found.append(("arrivals", workload.arrivals.digest, "workload"))
        if isinstance(workload.arrivals, ClientArrivals):
            found.append(("arrivals", workload.arrivals.digest, "clients"))
        if isinstance(workload.lengths, DigestLengths):
            found.append(("lengths", workload.lengths.digest, ""))
        if isinstance(workload.lengths, FileLengths):
            found.append(("lengths", workload.lengths.file, "file"))
    found.extend(("device", device.profile, "device") for device in scenario.devices if device.profile is not None)
    found.extend(own_profiles(scenario.devices))
    if scenario.edge is not None:
        found.append(("edge", scenario.edge.profile, "device"))
    for role, server in _services(scenario).items():
        found.extend((role, *named) for named in _server_inputs(server))
        if isinstance(server, ReplayedServer) and (chunks := server.chunks) is not None:
            ways = ((chunks.digest, "chunks"), (chunks.digest_file, "file"))
            found.extend((f"{role} chunks", name, kind) for name, kind in ways if name is not None)
    if isinstance(scenario.link, DigestLink):
        found.append(("last hop", *_link_input(scenario.link)))
    if isinstance(scenario.quality, JointQuality):
        found.append(("quality", scenario.quality.digest, "quality"))
    return list(dict.fromkeys(found))


def _link_input(link: DigestLink) -> tuple[str, str]:
    """Return (name, kind of digest or ``file``) of what round trips come from."""
    if link.digest is not None:
        return link.digest, "rtt"
    return link.digest_file or link.series or "", "file"


def _services(scenario: Scenario) -> dict[str, Server]:
    """Return every service by the role that its inputs have."""
    others = {f"service {name}": server for name, server in sorted(scenario.services.items())}
    return {"server": scenario.server, **others}


def _server_inputs(server: Server) -> list[tuple[str, str]]:
    """Return (name, kind of digest or ``file``) of what a server's times come from."""
    if isinstance(server, EngineServer):
        times = server.iterations
        if isinstance(times, DigestIterations):
            return [(times.digest, "engine")]
        if isinstance(times, PhysicsIterations) and times.model_file is not None:
            return [(times.model_file, "file")]
        return [(times.file, "file")] if isinstance(times, FileIterations) else []
    named = [(server.digest, "latency"), (server.digest_file, "file"), (server.series, "file")]
    return [(name, kind) for name, kind in named if name is not None]


def fingerprints(scenario: Scenario) -> dict[str, str]:
    """Return the sha256 of every input, by role and name: measured ones, and the code of policies that are not ours.

    A file goes by its name without its folder, so that two machines agree; one role has one file, so that two files of
    one name do not meet.
    """
    found = {
        f"{role}: {Path(name).name if kind == 'file' else name}": (
            _sha256(Path(name)) if kind == "file" else digest_sha256(name, kind or None)
        )
        for role, name, kind in inputs_of(scenario)
    }
    for role, server in _services(scenario).items():
        found |= _sheet_rows(role, server)
    return found | code_fingerprints(scenario)


def measured(inputs_sha256: Mapping[str, str]) -> dict[str, str]:
    """Return the fingerprints without those of code: what intervals of finished runs rest on."""
    code = (POLICY_CODE, SCHEDULER_CODE, COST_CODE)
    return {key: held for key, held in inputs_sha256.items() if not key.startswith(code)}


def code_fingerprints(scenario: Scenario) -> dict[str, str]:
    """Return the sha256 of all code in a scenario that is not ours, by role and kind."""
    found: dict[str, str] = {}
    for part in foreign_parts(scenario):
        key, n = f"{part.role}: {part.kind}", 1
        while key in found:  # files of one name in two folders
            key, n = f"{part.role}: {part.kind} ({n + 1})", n + 1
        found[key] = part.code.sha256 or UNKNOWN
    return found


def _sheet_rows(role: str, server: Server) -> dict[str, str]:
    """Return the sha256 of what the sheets of models and GPUs say, where a scenario takes figures from there."""
    if not isinstance(server, EngineServer) or not isinstance(times := server.iterations, PhysicsIterations):
        return {}
    rows: dict[str, object] = {}
    if times.model is not None:
        rows[f"{role} model: {times.model}"] = find_model(times.model)
    if times.gpu is not None:
        rows[f"{role} GPU: {times.gpu}"] = find_gpu(times.gpu)
    return {name: hashlib.sha256(repr(row).encode()).hexdigest() for name, row in rows.items()}


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def input_notes(
    scenario: Scenario,
    model_notes: tuple[str, ...],
    workload_notes: Mapping[str, float | str],
    warnings: tuple[str, ...] = (),
) -> tuple[str, ...]:
    """Return the sentences that a reader of the results must know: doubts, how each input is known, what was done.

    What is to be doubted comes first and begins with ``warning:``.
    """
    notes = [
        f"{role} {_known(name, kind, chosen, scenario.devices if role == 'device' else ())}"
        for role, name, kind in inputs_of(scenario)
        for chosen in _replaced(scenario, role, name)
    ]
    notes.extend(own_profile_notes(scenario.devices))
    if own_profiles(scenario.devices) and str(workload_notes.get("users", "")) == f"drawn from {MANY_USERS}":
        notes.append(
            f"devices: the trace names no users, so its requests go to {MANY_USERS} users with a device each, and few "
            "wait for another; workload.n_users: 1 sends all to one device, a column user_id each to its own"
        )
    for role, server in _services(scenario).items():
        prices = server.prices
        notes.append(
            f"{role} price {prices.prompt_usd_per_mtok:g} / {prices.output_usd_per_mtok:g} USD per million prompt / "
            f"output tokens: {prices.source or 'source not given'}"
        )
    notes.extend(_service_notes(scenario))
    if any(isinstance(server, ReplayedServer) and server.chunks is not None for server in _services(scenario).values()):
        notes.append("chunks: TBT counts the gaps of 0 between tokens that came together; inter_event_* does not")
    counts_all = all(device.waiting is not None for device in scenario.devices)
    counts_none = all(device.waiting is None for device in scenario.devices)
    of = "of computing, and of phones that wait or receive as assumed"
    if not counts_all:
        which = "a phone" if counts_none else "a device without `waiting`"
        of = f"of computing alone, {which} that waits or receives costs nothing here"
    notes.append(
        f"exchange rate {scenario.cost.exchange_rate_usd_per_j:g} USD per J: chosen in the scenario; joules are {of}"
    )
    notes.extend(waiting_notes(scenario.devices))
    if scenario.edge is not None:
        edge = scenario.edge.prices
        notes.append(
            f"edge price {edge.prompt_usd_per_mtok:g} / {edge.output_usd_per_mtok:g} USD per million prompt / output "
            f"tokens: {edge.source or 'source not given'}; slots, batch slowdown and memory of a box: assumption"
        )
    if isinstance(scenario.quality, JointQuality):
        notes.append(
            "quality: right or wrong by the model that wrote most of an answer, the weak one on the device, the strong "
            "one at the server; drawn from the counts of a benchmark, no answer was read by anybody"
        )
    if isinstance(scenario.quality, AssumedQuality):
        notes.append("quality: every number is an assumption of the scenario; no answer was read by anybody")
    for role, server in _services(scenario).items():
        if isinstance(server, EngineServer) and isinstance(server.iterations, PhysicsIterations):
            notes.extend(f"{role} {note}" for note in physics_notes(server.iterations))
    notes.extend(_code_note(part) for part in foreign_parts(scenario))
    notes.extend(model_notes)
    notes.extend(f"workload: {key} = {value}" for key, value in workload_notes.items())
    return (*(f"{WARNING}{doubt}" for doubt in warnings), *notes)


def _service_notes(scenario: Scenario) -> list[str]:
    """Return what a reader might take columns and policies to say of all services."""
    if not scenario.services:
        return []
    notes = [
        "services: columns of the server add up all services; endpoints.parquet has them by name",
        "services: what policies learn from the past, and what the oracle knows, is of `server` alone",
    ]
    engines = [name for name, server in sorted(scenario.services.items()) if isinstance(server, EngineServer)]
    if engines:
        notes.append(f"services: metrics engine_* are of `server` alone, not of {', '.join(engines)}")
    return notes


def _replaced(scenario: Scenario, role: str, name: str) -> list[tuple[str, ...]]:
    """Return the figures of an input that the scenario replaces, one entry for each way in which it does."""
    owners: Sequence[Device | EdgeTier] = ()
    if role == "device":
        owners = scenario.devices
    elif role == "edge" and scenario.edge is not None:
        owners = (scenario.edge,)
    ways = [chosen_of(owner) for owner in owners if owner.profile == name]
    return list(dict.fromkeys(ways)) or [()]


def _code_note(part: ForeignPart) -> str:
    code = part.code
    if not code.sha256:
        return (
            f"{WARNING}{part.role} '{part.kind}': its source cannot be read, so nothing tells this run from one that "
            "was made before a change of it"
        )
    used = f"; with {', '.join(code.libraries)}" if code.libraries else ""
    return f"{part.role} '{part.kind}': {part.package} ({', '.join(code.parts)}), sha256 {code.sha256[:10]}{used}"


def _known(name: str, kind: str, chosen: tuple[str, ...] = (), devices: Sequence[Device] = ()) -> str:
    if kind == "file":
        return f"{Path(name).name}: the user's own file"
    digest = load_digest(name, kind or None)
    if isinstance(digest, DeviceDigest):
        by_status: dict[str, list[str]] = {"chosen in the scenario": list(chosen)} if chosen else {}
        hidden = hidden_figures((device for device in devices if device.profile == name), chosen, digest)
        for figure, provenance in digest.provenance.items():
            if figure not in hidden:
                by_status.setdefault(provenance.status, []).append(figure)
        return f"{name}: " + "; ".join(f"{status}: {', '.join(figures)}" for status, figures in by_status.items())
    counts = Counter(digest.card.status.values())
    size = f", n = {digest.n}" if hasattr(digest, "n") else ""
    return f"{name}: {', '.join(counts)}{size}"
