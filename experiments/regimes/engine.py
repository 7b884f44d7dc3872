"""The ladder of loads with an engine behind it: queues make the waits, and every policy spends the same.

Requests feel each other here, so what a lot gives is no mixture of two runs: each policy is run again with its lot
inside, which serves a request by the policy or else by the phone alone, the cheaper endpoint.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from discosim import load_scenario, simulate
from discosim.policies.base import Policy
from discosim.policies.registry import policy_class

from .axes import World
from .runs import HERE, Requests, overrides_of, requests_of
from .settings import BOTH
from .spend import p99, share_within

if TYPE_CHECKING:
    from discosim.policies.view import View
    from discosim.world.session import Session

SERVER = (
    "server={kind: engine, flavour: vllm-v1, iterations: {kind: physics, model: Llama-3.1-70B, gpu: H100-SXM, tp: 4}, "
    "scheduler: {token_budget: 8192}, max_batch: 32, pilot_requests: 200, "
    "prices: {prompt_usd_per_mtok: 0.15, output_usd_per_mtok: 0.60, source: as in base.yaml}}"
)
"""A 70B model on four H100 with no more than 32 answers at once (assumed), so that a run is long enough to queue."""
SATURATION_PER_S = 9.7
"""Requests of base.yaml that it finishes a second when there is always work; table `engine_saturation` measures it."""
FLOOD = 50.0
NOBODY = ("policies=[{kind: server_only, name: nobody}]", "baseline=null")
"""A scenario names a policy; those that count are handed over as objects, with their lots."""
CAPS = {"little": 0.2, "much": 1.0}
"""Spend allowed: the phone's alone, and this share of what the server alone costs more; as in the map."""
KINDS: dict[str, dict[str, Any]] = {
    "server_only": {"kind": "server_only"},
    "race": {"kind": "race"},
    "hedge": {"kind": "hedge"},
    "pd_device": {"kind": "pd_device"},
    BOTH: {"kind": "disco", "constraint": "device", "budget": 1.0},
    "disco S, half": {"kind": "disco", "constraint": "server", "budget": 0.5},
    "disco D, half": {"kind": "disco", "constraint": "device", "budget": 0.5},
}
"""Setting -> policy, as in the map; without the best wait rules, which tie with DiSCo there."""
CHOICES: dict[str, tuple[str, ...]] = {
    "stochastic": ("server_only",),
    "race": ("race",),
    "hedge": ("hedge", "race"),
    "pd_device": ("pd_device",),
    "disco D": ("disco D, half", BOTH),
    "disco S": ("disco S, half", BOTH),
}
"""Policy -> settings that it chooses one of, each thinned by lot until it costs what is allowed."""
PHONE = "device_only"


@dataclass(kw_only=True)
class Lot(Policy):
    """Serve a share of the requests by another policy, and the rest on the phone."""

    kind: ClassVar[str] = "lot"
    paper: ClassVar[str] = "our choice: whoever can afford a policy for some requests can throw a coin"
    departures: ClassVar[str] = "None."

    of: Policy
    share: float
    _phone: Policy = field(init=False, repr=False, default_factory=policy_class(PHONE))

    def prepare(self, view: View) -> None:
        """Let the other policy learn; no two replications share it."""
        self.of = deepcopy(self.of)
        self.of.prepare(view)

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Throw the coin, one that no policy throws for itself, and serve."""
        yield from (self.of if session.coin("lot") < self.share else self._phone).serve(session)


def lots_of(shares: Mapping[str, float]) -> dict[str, Policy]:
    """Return the policies of the settings, thinned where the share is below 1; the phone alone has no share."""
    made: dict[str, Policy] = {}
    for name, share in shares.items():
        options = dict(KINDS.get(name, {"kind": PHONE}))
        policy = policy_class(options.pop("kind"))(**options)
        made[name] = policy if share == 1.0 else Lot(of=policy, share=share)
    return made


def play(task: Mapping[str, Any], shares: Mapping[str, float]) -> dict[str, Requests]:
    """Simulate one replication at one load under every setting."""
    world = [text for text in overrides_of(World(), HERE) if not text.startswith("server.")]
    scenario = load_scenario(HERE / "base.yaml", overrides=[*world, SERVER, *_run(task, task["load"]), *NOBODY])
    found = simulate(scenario, policies=lots_of(shares)).requests
    return requests_of(found[found["policy"] != "nobody"])


def _run(task: Mapping[str, Any], load: float) -> list[str]:
    return [
        f"seed={task['seed'] + 1}",
        "replications=1",
        f"workload.n_requests={task['n_requests']}",
        f"workload.arrivals.rate_per_s={load * SATURATION_PER_S!r}",
    ]


def whole(task: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return what every setting gives that is not thinned, and the phone alone."""
    return _numbers(play(task, dict.fromkeys((*KINDS, PHONE), 1.0)))


def thinned(task: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return what those settings give that cannot serve all requests, with as large a share as the purse allows."""
    shares = {name: share for name, share in task["shares"].items() if share < 1.0}
    return _numbers(play(task, shares)) if shares else {}


def _numbers(played: Mapping[str, Requests]) -> dict[str, dict[str, float]]:
    return {
        name: {
            "ttft_p99_s": p99(own.ttft_s, np.ones(own.ttft_s.size)),
            "qoe_mean": float(own.qoe.mean()),
            "spend_mean_usd": float(own.spend_usd.mean()),
        }
        for name, own in played.items()
    }


def shares_within(spends: Sequence[Mapping[str, float]], cap: float) -> dict[str, float]:
    """Return the share of requests that each setting may serve by what it spent in other replications."""
    mean = {name: float(np.mean([spent[name] for spent in spends])) for name in spends[0]}
    cap_usd = mean[PHONE] + cap * (mean["server_only"] - mean[PHONE])
    shares = {name: share_within(usd, mean[PHONE], cap_usd) for name, usd in mean.items()}
    return {name: share for name, share in shares.items() if share is not None}


def flooded(task: dict[str, Any]) -> dict[str, Any]:
    """Send all requests nearly at once, and count the answers of the middle of the run."""
    overrides = [SERVER.replace("pilot_requests: 200", "pilot_requests: 1"), *_run(task, FLOOD), *NOBODY]
    found = simulate(load_scenario(HERE / "base.yaml", overrides=overrides)).columns
    ends_s = np.sort(found["arrival_s"] + found["e2e_s"])
    first, last = ends_s.size // 5, 4 * ends_s.size // 5
    per_s = float((last - first) / (ends_s[last] - ends_s[first]))
    own = {"policy": "server_only", "seed": task["seed"]}
    return {**own, "finished_per_s": per_s, "over_assumed": per_s / SATURATION_PER_S}
