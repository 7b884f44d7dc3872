"""What a run says where energies are assumed: which orders of policies change inside the measured range.

What devices spend is linear in the tokens that they processed, so no world is run again: every request's tokens are
priced anew at the four corners of the range (least and most of a decoded token, least and most of its ratio to a prompt
token). A difference of two policies is linear in the energy of either token, so it is extreme at a corner. Policies
that decide by energy would have processed other tokens there; the scenario says whether they are run again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.rng import RandomStreams
from discosim.core.scenario import Scenario
from discosim.metrics.stats import change_of_means, paired_difference
from discosim.policies.base import Policy
from discosim.runs.apart import luck_of
from discosim.runs.build import Blueprint
from discosim.runs.build_device import name_of, profile_of
from discosim.runs.build_energy import Energies, energies_inside, energies_of
from discosim.runs.replicate import Entrant, replicate
from discosim.traces.catalogue import load_digest
from discosim.traces.digest import DeviceDigest
from discosim.world.fleet import fleet_index
from discosim.world.luck import Luck

Columns = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]

N_RUN = 3
"""Replications of a policy that is run again at a corner: the fewest whose paired interval is of use."""

MOST_PAIRS = 4
"""Pairs of policies that one note names; a reader who has that many to look at runs the corners."""

CORNERS = tuple(product((False, True), (False, True)))
"""Whether a decoded token costs the most that was measured, and whether its ratio to a prompt token is the largest."""

METRICS = ("device energy", "unified cost")


@dataclass(frozen=True)
class Work:
    """What one policy's requests took in one replication.

    Parameters
    ----------
    prefill_tok, decode_tok : array of float, shape (kinds of device,)
        Tokens that devices of each kind processed.
    edge_prefill_tok, edge_decode_tok : float
        Tokens of the edge tier.
    waiting_j : float
        What screens and radios took, the same at every point of the range.
    usd : float
        Bills of server and edge.
    n_served : int
        Requests that were not rejected.
    """

    prefill_tok: Floats
    decode_tok: Floats
    edge_prefill_tok: float
    edge_decode_tok: float
    waiting_j: float
    usd: float
    n_served: int


@dataclass(frozen=True)
class Point:
    """Energies of all kinds of device, and of an edge box; None where there is none."""

    devices: tuple[Energies, ...]
    edge: Energies | None


def energy_range_notes(
    blueprint: Blueprint, entrants: Sequence[Entrant], replications: Mapping[str, Sequence[Columns]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what to doubt, and what else to know, of the joules of a run.

    Parameters
    ----------
    blueprint : Blueprint
        The scenario, built.
    entrants : sequence of Entrant
        Who ran.
    replications : mapping of str to sequence of mapping
        The columns of each replication of each policy.

    Returns
    -------
    (tuple of str, tuple of str)
        Doubts and notes; both empty where no energy is assumed, or nothing is spent.
    """
    scenario = blueprint.scenario
    ranges = _ranges(scenario)
    if not ranges:
        return (), ()
    notes = [f"energy: {'; '.join(ranges)}"]
    kinds = [_kinds(blueprint, k, held) for k, held in enumerate(zip(*replications.values(), strict=True))]
    work = {name: list(map(_work, [blueprint] * len(kinds), kinds, runs)) for name, runs in replications.items()}
    if not any(one.decode_tok.any() or one.edge_decode_tok for runs in work.values() for one in runs):
        return (), ()
    if scenario.replications == 1:  # as every run of a sweep is: without intervals there is no order to compare
        notes[0] += "; one replication does not tell whether the order of two policies changes inside it"
        return (), tuple(notes)
    steered = [entrant for entrant in entrants if is_steered(entrant.policy, scenario)]
    is_run = scenario.cost.energy_range == "run" and bool(steered)
    points = [_point(scenario, corner) for corner in (None, *CORNERS)]
    again = _run_at(blueprint, points[1:], steered if is_run else ())
    works = [work, *(work | moved for moved in again)]
    doubts = []
    rate = scenario.cost.exchange_rate_usd_per_j
    for metric in METRICS if rate else METRICS[:1]:
        at = [
            {name: _means(runs, point, metric, rate) for name, runs in held.items()}
            for point, held in zip(points, works, strict=True)
        ]
        if changed := _changed(at):
            doubts.append(f"{metric}: inside the range of assumed energies the order changes: {_listed(changed)}")
    if not doubts:
        notes[0] += f"; inside it no order of two policies changes in {' or '.join(METRICS)}"
    if steered:
        n_run = min(N_RUN, scenario.replications) if is_run else 0
        notes.append(_steered_text([entrant.name for entrant in steered], n_run))
    return tuple(doubts), tuple(notes)


def _steered_text(names: Sequence[str], n_run: int) -> str:
    who = f"energy: {', '.join(names)} decide{'s' if len(names) == 1 else ''} by energy too"
    if n_run:
        return f"{who}, so {n_run} replications were run at each end of the range"
    return (
        f"{who}, and only the tokens of this run were priced anew: elsewhere in the range other tokens would be "
        "processed; `--set cost.energy_range=run` runs its ends"
    )


def _run_at(blueprint: Blueprint, points: Sequence[Point], steered: Sequence[Entrant]) -> list[dict[str, list[Work]]]:
    """Run policies again with the energies of each point, on the same luck, as many replications as are wanted."""
    moved = [_moved(blueprint, point) for point in points]
    found: list[dict[str, list[Work]]] = [{entrant.name: [] for entrant in steered} for _ in points]
    for k in range(min(N_RUN, blueprint.scenario.replications) if steered else 0):
        requests = blueprint.requests(k)
        luck = luck_of(blueprint.scenario.seed, k, requests, blueprint.model.link)
        for world, held in zip(moved, found, strict=True):
            for entrant in steered:
                outcome = replicate(entrant, world, requests, luck, range(0))
                kinds = _kinds(world, k, [outcome.columns])
                held[entrant.name].append(_work(world, kinds, outcome.columns))
    return found


def _moved(blueprint: Blueprint, point: Point) -> Blueprint:
    model, view = blueprint.model, blueprint.view
    fleet = tuple(
        (replace(kind, prefill_j_per_tok=one.prefill_j_per_tok, decode_j_per_tok=one.decode_j_per_tok), share)
        for (kind, share), one in zip(model.fleet, point.devices, strict=True)
    )
    return replace(blueprint, model=replace(model, fleet=fleet), view=replace(view, fleet=fleet))


def is_steered(policy: Policy, scenario: Scenario) -> bool:
    """Tell whether a policy's decisions depend on joules: it compares what endpoints cost, and a joule has a price."""
    if scenario.cost.exchange_rate_usd_per_j == 0.0:
        return False
    return getattr(policy, "migration", False) is True or getattr(policy, "constraint", None) == "auto"


def _digest(profile: str) -> DeviceDigest:
    digest = load_digest(profile, "device")
    assert isinstance(digest, DeviceDigest)
    return digest


def _ranges(scenario: Scenario) -> list[str]:
    """Return, for each assumed energy, what is assumed and how far it may be off, in words."""
    said = []
    for i, device in enumerate(scenario.devices):
        digest = profile_of(device)
        least, most = (energies_inside(device, digest, is_most=k, is_ratio_most=not k) for k in (False, True))
        if least != most:
            central = energies_of(device, digest, f"devices[{i}]")
            said.append(_range_text(f"device {name_of(device, i)}", central, least, most))
    if scenario.edge is not None and (held := _digest(scenario.edge.profile)).energy_range is not None:
        central, least, most = (_edge_energies(held, corner) for corner in (None, (False, True), (True, False)))
        said.append(_range_text(f"edge {scenario.edge.profile}", central, least, most))
    return list(dict.fromkeys(said))


def _range_text(who: str, here: Energies, least: Energies, most: Energies) -> str:
    def one(value: float, low: float, high: float) -> str:
        return f"{value:.2g} J" + (f" ({low:.2g} to {high:.2g})" if low != high else "")

    prompt = one(here.prefill_j_per_tok, least.prefill_j_per_tok, most.prefill_j_per_tok)
    output = one(here.decode_j_per_tok, least.decode_j_per_tok, most.decode_j_per_tok)
    return f"{who}: {prompt} per prompt token and {output} per decoded one are assumed, in brackets what was measured"


def _edge_energies(digest: DeviceDigest, corner: tuple[bool, bool] | None) -> Energies:
    assert digest.prefill_j_per_tok is not None
    assert digest.decode_j_per_tok is not None
    held = digest.energy_range
    if corner is None or held is None:
        return Energies(digest.prefill_j_per_tok, digest.decode_j_per_tok)
    decode_j = held.decode_j_per_tok[corner[0]]
    return Energies(decode_j / held.decode_over_prefill[corner[1]], decode_j)


def _point(scenario: Scenario, corner: tuple[bool, bool] | None) -> Point:
    """Return all energies as the scenario has them, or at a corner; phones are moved together."""
    devices = []
    for i, device in enumerate(scenario.devices):
        digest = profile_of(device)
        if corner is None:
            devices.append(energies_of(device, digest, f"devices[{i}]"))
        else:
            devices.append(energies_inside(device, digest, is_most=corner[0], is_ratio_most=corner[1]))
    edge = None if scenario.edge is None else _edge_energies(_digest(scenario.edge.profile), corner)
    return Point(tuple(devices), edge)


def _kinds(blueprint: Blueprint, replication: int, policies: Sequence[Columns]) -> NDArray[np.int64]:
    """Return the kind of device of each user of a replication; it is the same for all policies."""
    luck = Luck(RandomStreams(blueprint.scenario.seed, replication), policies[0]["user_id"].size)
    n_users = 1 + max(int(columns["user_id"].max(initial=0)) for columns in policies)
    return np.asarray(fleet_index(blueprint.model.fleet, n_users, luck))


def _work(blueprint: Blueprint, kinds: NDArray[np.int64], columns: Columns) -> Work:
    fleet = blueprint.model.fleet
    kind = kinds[columns["user_id"]]

    def by_kind(name: str) -> Floats:
        return np.bincount(kind, columns[name], len(fleet)).astype(np.float64)

    return Work(
        prefill_tok=by_kind("device_prefill_tok"),
        decode_tok=by_kind("device_decode_tok"),
        edge_prefill_tok=float(columns["edge_prefill_tok"].sum()),
        edge_decode_tok=float(columns["edge_decode_tok"].sum()),
        waiting_j=float(columns["device_waiting_j"].sum()) if "device_waiting_j" in columns else 0.0,
        usd=float(columns["server_cost_usd"].sum() + columns["edge_cost_usd"].sum()),
        n_served=int((columns["status"] != "rejected").sum()),
    )


def _means(runs: Sequence[Work], point: Point, metric: str, usd_per_j: float) -> Floats:
    """Return a metric per served request at a point of the range, shape (replications,)."""
    prefill_j = np.array([device.prefill_j_per_tok for device in point.devices])
    decode_j = np.array([device.decode_j_per_tok for device in point.devices])
    values = []
    for one in runs:
        spent = float(np.sum(one.prefill_tok * prefill_j) + np.sum(one.decode_tok * decode_j)) + one.waiting_j
        if metric == "unified cost":
            if point.edge is not None:
                spent += one.edge_prefill_tok * point.edge.prefill_j_per_tok
                spent += one.edge_decode_tok * point.edge.decode_j_per_tok
            spent = one.usd + usd_per_j * spent
        values.append(spent / one.n_served if one.n_served else np.nan)
    return np.array(values)


def _changed(at: Sequence[Mapping[str, Floats]]) -> list[str]:
    """Return the pairs of policies whose order is another one somewhere in the range, in words, most moved first.

    The order is what the interval of the paired difference says: less, more, or unclear where it holds 0. Where a
    policy was run again, the replications that it has there stand for both.
    """
    found = []
    for other, one in combinations(at[0], 2):  # plain policies stand first, and are what others are compared with
        pairs = []
        for means in at:
            n = min(means[one].size, means[other].size)
            pairs.append((means[one][:n], means[other][:n]))
        orders = {_order(*pair) for pair in pairs}
        if len(orders) == 1:
            continue
        changes = [change_of_means(*pair).mean for pair in pairs]
        here, low, high = changes[0], min(changes), max(changes)
        text = f"{one} against {other} {here:+.1f} % here, {low:+.1f} to {high:+.1f} %"
        found.append((high - low, text if {-1, 1} <= orders else f"{text} (not clear everywhere)"))
    return [text for _, text in sorted(found, key=lambda pair: -pair[0])]


def _order(one: Floats, other: Floats) -> int:
    difference = paired_difference(one, other)
    if not abs(difference.mean) > difference.half_width:
        return 0
    return int(np.sign(np.nan_to_num(difference.mean)))


def _listed(changed: Sequence[str]) -> str:
    more = len(changed) - MOST_PAIRS
    return "; ".join(changed[:MOST_PAIRS]) + (f"; and {more} more pairs" if more > 0 else "")
