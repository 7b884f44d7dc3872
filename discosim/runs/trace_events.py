"""The timeline of one world, for Perfetto."""

from __future__ import annotations

from pathlib import Path

from discosim.config import build_policy
from discosim.core.errors import UserError, close_match
from discosim.core.files import check_target
from discosim.core.request import RequestRecord
from discosim.core.rng import RandomStreams
from discosim.core.scenario import Scenario
from discosim.runs.build import build
from discosim.runs.event_log import EventLog
from discosim.runs.replicate import prepared
from discosim.world.luck import Luck
from discosim.world.world import World


def write_trace_events(scenario: Scenario, path: Path, policy: str | None = None) -> str:
    """Run the first replication of one policy again and write what happened as trace events.

    Parameters
    ----------
    scenario : Scenario
        What was run; running it again gives the same.
    path : Path
        File to write, replaced if it exists.
    policy : str, optional
        Name of the policy; the first one by default.

    Returns
    -------
    str
        Where the timeline lies, and how many iterations were left out lest it become too long to open.

    Raises
    ------
    UserError
        If there is no such policy, or the file cannot be written.
    """
    check_trace_events(scenario, path, policy)
    specs = {held.name: held for held in scenario.policies}
    name = scenario.policies[0].name if policy is None else policy
    blueprint = build(scenario)
    requests = blueprint.requests(0)
    log = EventLog()
    world = World(blueprint.model, requests, Luck(RandomStreams(scenario.seed, 0), len(requests)), log)
    records: list[RequestRecord] = []
    world.run(prepared(build_policy(specs[name]), blueprint.view, world), records.append)
    log.requests(records)
    log.write(path)
    left_out = f" ({log.n_left_out} iterations left out: the file would be too long)" if log.n_left_out else ""
    alone = " (iterations of `server` alone)" if scenario.services else ""
    return f"timeline   {path}{left_out}{alone}; open it at https://ui.perfetto.dev"


def check_trace_events(scenario: Scenario, path: Path | None, policy: str | None = None) -> None:
    """Refuse what `write_trace_events` would refuse, before anything runs.

    Parameters
    ----------
    scenario, path, policy
        As of `write_trace_events`; ``path`` is None where no timeline is asked for, and then no policy may be named.

    Raises
    ------
    UserError
        If there is no such policy, it has no meaning, or no file can be written there.
    """
    known = [held.name for held in scenario.policies]
    if policy is not None and path is None:
        raise UserError("has a meaning only beside --trace-events", where="--trace-policy")
    if policy is not None and policy not in known:
        raise UserError(f"the scenario has no policy '{policy}'; {close_match(policy, known)}", where="--trace-policy")
    if path is not None:
        check_target(path)
