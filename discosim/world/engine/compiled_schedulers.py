"""The schedulers that the compiled engine knows, as numbers; one that says more than that is asked in Python."""

from __future__ import annotations

from typing import Any

from discosim.core.known_fields import Known, says_only
from discosim.world.engine.schedulers.andes_code import AndesCode
from discosim.world.engine.schedulers.andes_frame import AndesFrame
from discosim.world.engine.schedulers.andes_v1 import AndesV1
from discosim.world.engine.schedulers.andes_v2 import AndesV2
from discosim.world.engine.schedulers.base import Scheduler
from discosim.world.engine.schedulers.fcfs import Fcfs
from discosim.world.engine.schedulers.fcfs_chunked import FcfsChunked
from discosim.world.engine.schedulers.lqsf import Lqsf
from discosim.world.engine.schedulers.periodic import Periodic
from discosim.world.engine.schedulers.round_robin import RoundRobin

Fields = dict[str, Any]
FCFS, CHUNKED, TURNS, PERIODIC, ANDES = range(5)
GAIN, SLACK = range(2)
BLOCK_RULES = ("at_once", "by_chunk", "by_chunk_unchecked")
OBJECTIVES = ("average", "max_min", "perfect")

MOST_TOK = 1 << 40
"""Up to this, far beyond any engine, sums stay exact and inside 64 bits; Python's integers have larger ones."""

MOST_TURNS = 1 << 40
"""Iterations between two calls, likewise."""

FRAME = frozenset(
    {
        "ahead_s",
        "objective",
        "trigger",
        "n_sizes",
        "solve_every",
        "max_prefill_tok",
        "admission",
        "overflow",
    }
)
PERIOD = frozenset(
    {"every", "trigger", "overhead_s_per_tok", "slack_percentile", "is_overhead_aware", "max_prefill_tok"}
)
KNOWN: Known = {
    Fcfs: frozenset({"max_prefill_tok"}),
    FcfsChunked: frozenset({"token_budget", "preempts", "blocks"}),
    RoundRobin: frozenset({"quantum", "max_prefill_tok"}),
    AndesV1: FRAME | {"max_preemptions"},
    AndesV2: FRAME | {"refiner"},
    AndesCode: PERIOD | {"ahead_s", "objective", "weigh", "token_s", "favour"},
    Lqsf: PERIOD,
}
"""What is known of each; not the exact solver."""


def scheduler_fields(scheduler: Scheduler, *, decides_ahead: bool) -> Fields | None:
    """Return a fresh scheduler as fields of the structure `Setup` of the C file; None where it is not known."""
    if not says_only(scheduler, KNOWN) or (decides_ahead and not scheduler.may_decide_ahead):
        return None
    fields = _fields(scheduler)
    if fields is None:
        return None
    options = fields["options"]
    counts = (fields["budget_tok"], options.get("max_prefill_tok", 0))
    periods = (options.get("quantum", 0), options.get("solve_every", 0), options.get("n_sizes", 0))
    if max(counts) > MOST_TOK or max(periods) > MOST_TURNS:
        return None
    return {"preempts_running": 0, "blocks_rule": 0, **fields, "needs_live": int(scheduler.needs_live)}


def _fields(scheduler: Scheduler) -> Fields | None:
    if isinstance(scheduler, Fcfs):
        return {"scheduler": FCFS, "budget_tok": scheduler.max_prefill_tok, "options": {}}
    if isinstance(scheduler, FcfsChunked):
        return {
            "scheduler": CHUNKED,
            "budget_tok": scheduler.token_budget,
            "preempts_running": int(scheduler.preempts == "running"),
            "blocks_rule": BLOCK_RULES.index(scheduler.blocks),
            "options": {},
        }
    if isinstance(scheduler, RoundRobin):
        turns = {"quantum": scheduler.quantum, "max_prefill_tok": scheduler.max_prefill_tok}
        return {"scheduler": TURNS, "budget_tok": 0, "options": turns}
    if isinstance(scheduler, AndesFrame):
        return {"scheduler": ANDES, "budget_tok": 0, "options": _of_frame(scheduler)}
    if isinstance(scheduler, Periodic):
        return {"scheduler": PERIODIC, "budget_tok": 0, "options": _of_period(scheduler)}
    return None


def _of_frame(scheduler: AndesFrame) -> Fields:
    cap = scheduler.max_preemptions if isinstance(scheduler, AndesV1) else None
    return {
        "objective": OBJECTIVES.index(scheduler.objective),
        "solve_every": scheduler.solve_every,
        "n_sizes": scheduler.n_sizes,
        "by_arrival": int(scheduler.admission == "arrival"),
        "newest_leaves": int(scheduler.overflow == "newest"),
        "is_v2": int(isinstance(scheduler, AndesV2)),
        "has_cap": int(cap is not None),
        "max_preemptions": cap or 0.0,
        "refines": int(isinstance(scheduler, AndesV2) and scheduler.refiner),
        "max_prefill_tok": scheduler.max_prefill_tok,
        "ahead_s": scheduler.ahead_s,
        "trigger": scheduler.trigger,
    }


def _of_period(scheduler: Periodic) -> Fields:
    fields: Fields = {
        "worth": SLACK,
        "solve_every": scheduler.every,
        "trigger": scheduler.trigger,
        "overhead_s_per_tok": scheduler.overhead_s_per_tok,
        "slack_share": scheduler.slack_percentile / 100,
        "minds_overhead": int(scheduler.is_overhead_aware),
        "max_prefill_tok": scheduler.max_prefill_tok,
    }
    if isinstance(scheduler, AndesCode):
        fields |= {
            "worth": GAIN,
            "objective": OBJECTIVES.index(scheduler.objective),
            "by_blocks": int(scheduler.weigh == "blocks"),
            "ahead_s": scheduler.ahead_s,
            "token_s": scheduler.token_s,
            "favour": scheduler.favour,
        }
    return fields
