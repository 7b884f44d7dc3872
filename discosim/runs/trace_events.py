"""The timeline of one world, for Perfetto."""

from __future__ import annotations

from pathlib import Path

from discosim.config import build_policy
from discosim.core.errors import UserError, close_match
from discosim.core.request import RequestRecord
from discosim.core.rng import RandomStreams
from discosim.core.scenario import Scenario
from discosim.runs.build import build
from discosim.runs.event_log import EventLog
from discosim.runs.simulate import prepared
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
    specs = {held.name: held for held in scenario.policies}
    name = scenario.policies[0].name if policy is None else policy
    if name not in specs:
        raise UserError(f"the scenario has no policy '{name}'; {close_match(name, specs)}", where="--trace-policy")
    blueprint = build(scenario)
    requests = blueprint.requests(0)
    log = EventLog()
    world = World(blueprint.model, requests, Luck(RandomStreams(scenario.seed, 0), len(requests)), log)
    records: list[RequestRecord] = []
    world.run(prepared(build_policy(specs[name]), blueprint.view, world), records.append)
    log.requests(records)
    log.write(path)
    left_out = f" ({log.n_left_out} iterations left out: the file would be too long)" if log.n_left_out else ""
    return f"timeline   {path}{left_out}; open it at https://ui.perfetto.dev"
