"""Where the numbers of a run come from: the inputs, how each is known, and their fingerprints."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from discosim.core.edge_scenario import EdgeTier
from discosim.core.engine_scenario import DigestIterations, FileIterations
from discosim.core.scenario import (
    ClientArrivals,
    Device,
    DigestArrivals,
    DigestLengths,
    DigestLink,
    EngineServer,
    FileLengths,
    ReplayedWorkload,
    Scenario,
    Server,
)
from discosim.traces.catalogue import digest_sha256, load_digest
from discosim.traces.digest import DeviceDigest

WARNING = "warning: "
"""Beginning of a note that says what to doubt."""

REPLACEABLE = (
    "prefill_s_per_tok",
    "prefill_intercept_s",
    "decode_tok_per_s",
    "prefill_j_per_tok",
    "decode_j_per_tok",
)
"""Figures of a profile that a scenario may put its own over."""


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
    found.extend(("device", device.profile, "device") for device in scenario.devices)
    if scenario.edge is not None:
        found.append(("edge", scenario.edge.profile, "device"))
    found.extend(("server", *named) for named in _server_inputs(scenario.server))
    if isinstance(scenario.link, DigestLink):
        found.append(("last hop", scenario.link.digest, "rtt"))
    return list(dict.fromkeys(found))


def _server_inputs(server: Server) -> list[tuple[str, str]]:
    """Return (name, kind of digest or ``file``) of what a server's times come from."""
    if isinstance(server, EngineServer):
        times = server.iterations
        if isinstance(times, DigestIterations):
            return [(times.digest, "engine")]
        return [(times.file, "file")] if isinstance(times, FileIterations) else []
    named = [(server.digest, "latency"), (server.digest_file, "file"), (server.series, "file")]
    return [(name, kind) for name, kind in named if name is not None]


def fingerprints(scenario: Scenario) -> dict[str, str]:
    """Return the sha256 of every input, by role and name."""
    return {
        f"{role}: {Path(name).name if kind == 'file' else name}": (
            hashlib.sha256(Path(name).read_bytes()).hexdigest() if kind == "file" else digest_sha256(name)
        )
        for role, name, kind in inputs_of(scenario)
    }


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
        f"{role} {_known(name, kind, chosen)}"
        for role, name, kind in inputs_of(scenario)
        for chosen in _replaced(scenario, role, name)
    ]
    prices = scenario.server.prices
    notes.append(
        f"server price {prices.prompt_usd_per_mtok:g} / {prices.output_usd_per_mtok:g} USD per million prompt / output "
        f"tokens: {prices.source or 'source not given'}"
    )
    notes.append(f"exchange rate {scenario.cost.exchange_rate_usd_per_j:g} USD per J: chosen in the scenario")
    if scenario.edge is not None:
        edge = scenario.edge.prices
        notes.append(
            f"edge price {edge.prompt_usd_per_mtok:g} / {edge.output_usd_per_mtok:g} USD per million prompt / output "
            f"tokens: {edge.source or 'source not given'}; slots, batch slowdown and memory of a box: assumption"
        )
    if scenario.quality is not None:
        notes.append("quality: every number is an assumption of the scenario; no answer was read by anybody")
    notes.extend(model_notes)
    notes.extend(f"workload: {key} = {value}" for key, value in workload_notes.items())
    return (*(f"{WARNING}{doubt}" for doubt in warnings), *notes)


def _replaced(scenario: Scenario, role: str, name: str) -> list[tuple[str, ...]]:
    """Return the figures of an input that the scenario replaces, one entry for each way in which it does."""
    owners: Sequence[Device | EdgeTier] = ()
    if role == "device":
        owners = scenario.devices
    elif role == "edge" and scenario.edge is not None:
        owners = (scenario.edge,)
    ways = [
        tuple(figure for figure in REPLACEABLE if getattr(owner, figure, None) is not None)
        for owner in owners
        if owner.profile == name
    ]
    return list(dict.fromkeys(ways)) or [()]


def _known(name: str, kind: str, chosen: tuple[str, ...] = ()) -> str:
    if kind == "file":
        return f"{Path(name).name}: the user's own file"
    digest = load_digest(name, kind or None)
    if isinstance(digest, DeviceDigest):
        by_status: dict[str, list[str]] = {"chosen in the scenario": list(chosen)} if chosen else {}
        for figure, provenance in digest.provenance.items():
            if figure not in chosen:
                by_status.setdefault(provenance.status, []).append(figure)
        return f"{name}: " + "; ".join(f"{status}: {', '.join(figures)}" for status, figures in by_status.items())
    counts = Counter(digest.card.status.values())
    size = f", n = {digest.n}" if hasattr(digest, "n") else ""
    return f"{name}: {', '.join(counts)}{size}"
