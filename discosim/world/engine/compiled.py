"""The unattended engine in the compiled library, where every part of it is one that the library knows.

What it takes is listed here, and for schedulers in `compiled_schedulers`; whatever is not, the engine itself does. It
knows memory without reuse of prefixes. An engine that would find again what it computed is served as long as nobody is
preempted, for until then it does the same; then it starts anew in Python.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.known_fields import Known, says_only
from discosim.core.timeline import Ragged, offsets_of
from discosim.kernel.engine_loop import CompiledEngine, Replicas
from discosim.kernel.library import load
from discosim.kernel.planned_loop import CompiledPlan
from discosim.world.engine.compiled_schedulers import MOST_TOK, scheduler_fields
from discosim.world.engine.costs.constant import ConstantCost
from discosim.world.engine.costs.distserve import LARGE_BATCH, DistServeCost
from discosim.world.engine.costs.physics import PhysicsCost
from discosim.world.engine.costs.table import MIXED_FACTOR, TableCost
from discosim.world.engine.engine import EngineModel
from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.series import EngineSeries
from discosim.world.engine.unattended import BLOCK, Arrivals, Served

Fields = dict[str, Any]
CONSTANT, LINES, GRID, PHYSICS = range(4)
ROUTERS = ("round_robin", "least_loaded", "shortest_queue")
BLOCK_TOK = 1 << 18
"""Tokens given back together at most, but for what ends at one moment: 2 MB."""

KNOWN: Known = {
    EngineModel: frozenset({"replica", "n_replicas", "scheduler", "router", "max_context_tok", "fastest_iteration_s"}),
    ReplicaModel: frozenset(
        {
            "cost",
            "kv_blocks",
            "block_tok",
            "watermark",
            "max_batch",
            "preemption",
            "host_blocks",
            "swap_s_per_block",
            "prefix_block_tok",
            "caches_inside",
            "decides_ahead",
        }
    ),
    ConstantCost: frozenset({"prefill_iteration_s", "decode_iteration_s", "name", "n_gpus"}),
    DistServeCost: frozenset({"prefill", "decode_small", "decode_large", "name", "n_gpus"}),
    TableCost: frozenset(
        {"prefill_tok", "prefill_times_s", "decode_batch", "decode_times_s", "s_per_context_tok", "name", "n_gpus"}
    ),
    PhysicsCost: frozenset(
        {
            "overhead_s",
            "weights_s",
            "compute_s_per_tok",
            "square_s",
            "kv_s_per_tok",
            "kv_mixed_s_per_tok",
            "request_s",
            "comm_s_per_tok",
            "experts_s",
            "expert_share",
            "name",
            "n_gpus",
            "other_tok",
        }
    ),
}
"""What is known of each part: an engine that says more than that is served in Python."""


def compiled(model: EngineModel, arrivals: Arrivals, most_s: float) -> CompiledEngine | None:
    """Return the engine in the compiled library; None where there is no library, or a part that it does not know."""
    library = load()
    setup = None if library is None else _setup(model, arrivals)
    if library is None or setup is None:
        return None
    cost, others = setup
    return CompiledEngine(library, cost, others, most_s)


def compiled_plan(
    model: EngineModel, arrivals: Arrivals, most_s: float, planned: Mapping[str, Any]
) -> CompiledPlan | None:
    """Return the engine with planned requests in front of it; None as `compiled` says.

    ``arrivals`` are all requests, row by row, whenever they come; ``planned`` says that. Each may have two jobs.
    """
    library = load()
    setup = None if library is None else _setup(model, arrivals, jobs_each=2)
    if library is None or setup is None:
        return None
    cost, others = setup
    return CompiledPlan(library, cost, others, most_s, planned)


def serve_compiled(engine: CompiledEngine) -> Iterator[Served]:
    """Yield what `unattended.serve` yields, from the compiled library."""
    for columns, over_s in engine.run(BLOCK, BLOCK_TOK):
        made_s = Ragged(columns.pop("made_s"), offsets_of(columns.pop("tok")))
        yield Served(made_s=made_s, over_s=over_s, **columns)


def _setup(model: EngineModel, arrivals: Arrivals, jobs_each: int = 1) -> tuple[Fields, Fields] | None:
    replica = model.replica
    scheduler = scheduler_fields(model.scheduler(), decides_ahead=replica.decides_ahead)
    is_known = all(says_only(part, KNOWN) for part in (model, replica, replica.cost))
    shares = replica.caches_inside and arrivals.hashes is not None
    memory_tok = max(replica.kv_blocks, replica.host_blocks) * replica.block_tok
    is_large = max(memory_tok, int(arrivals.prompt_tok.max(initial=0))) > MOST_TOK
    if not is_known or shares or is_large or scheduler is None or model.router not in ROUTERS:
        return None
    cost = _cost(replica, min(replica.max_batch, max(1, jobs_each * len(arrivals))))
    if cost is None:
        return None
    return cost, scheduler | {
        "n_replicas": model.n_replicas,
        "router": ROUTERS.index(model.router),
        "kv_blocks": replica.kv_blocks,
        "block_tok": replica.block_tok,
        "watermark_blocks": math.ceil(replica.watermark * replica.kv_blocks),
        "max_batch": replica.max_batch,
        "may_preempt": int(not replica.caches_inside),
        "swaps": int(replica.preemption == "swap"),
        "host_blocks": replica.host_blocks,
        "swap_s_per_block": replica.swap_s_per_block,
        "n_lines": cost["line_s"].size,
        "decides_ahead": int(replica.decides_ahead),
        "n_jobs": len(arrivals),
        "at_s": arrivals.at_s,
        "reader_tok_per_s": arrivals.reader_tok_per_s,
        "target_s": arrivals.ttft_target_s,
        "job_id": arrivals.job_id,
        "prompt_tok": arrivals.prompt_tok,
        "answer_tok": arrivals.answer_tok,
    }


def _cost(replica: ReplicaModel, n: int) -> Fields | None:
    """Return a cost model as numbers, decode lines of up to ``n`` requests among them."""
    cost = replica.cost
    fields: Fields
    if isinstance(cost, ConstantCost):
        fields = {"kind": CONSTANT, "prefill": (cost.prefill_iteration_s, 0.0, 0.0)}
    elif isinstance(cost, DistServeCost):
        fields = {
            "kind": LINES,
            "prefill": cost.prefill,
            "small": cost.decode_small[1:],
            "large": cost.decode_large[1:],
        }
        fields["large_batch"] = LARGE_BATCH
    elif isinstance(cost, TableCost):
        grid: tuple[NDArray[np.float64], ...] = (np.array(cost.prefill_tok), np.array(cost.prefill_times_s))
        fields = {"kind": GRID, "grid_tok": grid[0], "grid_s": grid[1], "n_grid": grid[0].size}
        fields["mixed_factor"] = MIXED_FACTOR
    elif isinstance(cost, PhysicsCost):
        fields = {
            "kind": PHYSICS,
            "overhead_s": cost.overhead_s,
            "weights_s": cost.weights_s,
            "experts_s": cost.experts_s,
            "expert_share": cost.expert_share,
            "other_tok": cost.other_tok,
            "compute_s": cost.compute_s_per_tok,
            "comm_s": cost.comm_s_per_tok,
            "square_s": cost.square_s,
            "kv_mixed_s": cost.kv_mixed_s_per_tok,
            "request_s": cost.request_s,
        }
    else:
        return None
    lines = [(0.0, 0.0), *(cost.decode_line(i) for i in range(1, n + 1))]
    fixed_s, slope_s = (np.array(column, dtype=np.float64) for column in zip(*lines, strict=True))
    return fields | {"n_gpus": cost.n_gpus, "line_s": fixed_s, "slope_s": slope_s}


def figures_of(found: Replicas, replica: ReplicaModel) -> dict[str, float]:
    """Return what `Engine.figures` returns."""
    busy = (found.now_s - found.idle_s).tolist()
    n, last_s, busy_s = len(busy), max(found.now_s.tolist()), sum(busy)
    kv_tok, room_tok = sum(found.kv_tok_s.tolist()), n * replica.kv_blocks * replica.block_tok
    return {
        "engine_gpu_s": sum(mine_s * replica.cost.n_gpus for mine_s in busy),
        "engine_busy_share": busy_s / (last_s * n) if last_s else math.nan,
        "engine_batch_mean": sum(found.batch_s.tolist()) / busy_s if busy_s else math.nan,
        "engine_queue_peak": max(found.queue_peak.tolist()),
        "engine_kv_mean_share": kv_tok / (room_tok * last_s) if last_s else math.nan,
        "engine_kv_peak_share": max(peak / replica.kv_blocks for peak in found.peak_blocks.tolist()),
        "engine_n_iterations": sum(found.n_iterations.tolist()),
    }


def series_of(found: Replicas, model: EngineModel) -> tuple[EngineSeries, bool]:
    """Return the engine by the second, and whether it was at work beyond that."""
    n = int(min(found.series.shape[1], found.whole_s))
    running, waiting, blocks, prompt, output = (column[:n].copy() for column in found.series)
    series = EngineSeries(
        t_s=np.arange(1, n + 1, dtype=np.float64),
        running=running,
        waiting=waiting,
        prompt_tok_per_s=prompt,
        output_tok_per_s=output,
        kv_share=blocks / (model.n_replicas * model.replica.kv_blocks),
    )
    return series, found.whole_s < math.inf
