"""Budgets: which endpoint is scarce, DiSCo's test for it, and what a policy promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from discosim.policies.view import View

Constraint = Literal["server", "device", "auto"]
Side = Literal["server", "device"]


def resolve_constraint(constraint: Constraint, view: View) -> Side:
    """Return the endpoint whose prompt tokens the budget limits.

    ``auto`` compares unified costs per token, phase by phase: the server is scarce if even its cheaper phase costs
    more than the device's dearer one, the device in the mirror case. Where neither holds, the endpoint with the
    larger cost of an average request is scarce.

    Source: DiSCo's regime test (recollected); the tie rule and the fleet average are our choice.
    """
    if constraint != "auto":
        return constraint
    meter = view.meter
    total_share = sum(share for _, share in view.fleet)
    rate = meter.exchange_rate_usd_per_j / total_share
    prefill = rate * sum(share * profile.prefill_j_per_tok for profile, share in view.fleet)
    decode = rate * sum(share * profile.decode_j_per_tok for profile, share in view.fleet)
    if min(meter.prompt_usd_per_tok, meter.output_usd_per_tok) > max(prefill, decode):
        return "server"
    if min(prefill, decode) > max(meter.prompt_usd_per_tok, meter.output_usd_per_tok):
        return "device"
    prompts, outputs = float(view.prompt_tok.mean()), float(view.output_tok.mean())
    server_usd = meter.server_usd(prompts, outputs)
    return "server" if server_usd >= prefill * prompts + decode * outputs else "device"


@dataclass(frozen=True)
class Promise:
    """A policy's word that an endpoint processes at most this share of the prompt tokens, in the long run.

    Parameters
    ----------
    side : str
        ``server`` or ``device``.
    share : float
        Prompt tokens of requests dispatched there before their first token, over those of all served requests; in
        [0, 1].
    may_relearn : bool
        Whether an option ``relearn`` that would keep to it is off.
    """

    side: Side
    share: float
    may_relearn: bool = False


def promise_of(policy: object, view: View) -> Promise | None:
    """Return what a policy promises, None where it promises nothing.

    The protocol: whoever has an option ``budget`` (a share in [0, 1]) and an option ``constraint`` (``server``,
    ``device`` or ``auto``) promises to keep to it. No name is asked, so policies of other packages are held to it too.
    """
    share, constraint = getattr(policy, "budget", None), getattr(policy, "constraint", None)
    if not isinstance(share, int | float) or isinstance(share, bool) or not 0.0 <= share <= 1.0:
        return None
    if constraint not in {"server", "device", "auto"}:
        return None
    may_relearn = getattr(policy, "relearn", None) is False
    return Promise(resolve_constraint(constraint, view), float(share), may_relearn)
