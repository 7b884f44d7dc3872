"""Definitions of what only a white-box server can tell: columns of its requests, and numbers of its inside."""

from __future__ import annotations

import math
from functools import partial

from discosim.metrics.declare import MetricDefinition

_request = partial(
    MetricDefinition, level="request", direction="lower", computed_by="discosim.metrics.cost.cost_columns"
)
_summary = partial(
    MetricDefinition, level="summary", dtype="float64", computed_by="discosim.world.engine.engine.Engine.figures"
)
_INSIDE = "0 where the server is a black box."
_NEVER = "NaN where it never did. The column is there only where the server is a white box."
_ENGINE = "NaN where the server is a black box."

ENGINE_REQUEST_METRICS: tuple[MetricDefinition, ...] = (
    _request(
        name="n_preemptions",
        unit="1",
        dtype="int64",
        formula="#{preemptions}",
        description=f"How often the server put the request aside to make room. {_INSIDE}",
        source="Andes (arXiv 2404.16283), preemptions per request",
        aliases={"vLLM": "num_preemptions"},
    ),
    _request(
        name="gpu_s",
        unit="s",
        dtype="float64",
        formula="sum over iterations of n_gpus*duration*tokens processed for it/tokens processed",
        description="The request's share of the server's GPU time; all shares sum to the time the GPUs were at work. "
        f"{_INSIDE}",
    ),
    _request(
        name="kv_tok_s",
        unit="tok s",
        dtype="float64",
        formula="integral of KV tokens held on the GPU",
        description=f"Memory the request held at the server, times how long. {_INSIDE}",
    ),
    _request(
        name="scheduled_s",
        unit="s",
        dtype="float64",
        formula="arrival to the first iteration boundary at which the scheduler decides to take the request",
        description="Arrival of the request to the moment when the server's scheduler first takes it, the way up "
        "included; of several attempts, the one taken first. A scheduler that decides one iteration ahead decides at "
        f"the boundary before the one from which the request is served, and that counts. {_NEVER}",
        source="vLLM, SCHEDULED event of a request",
    ),
    _request(
        name="queue_s",
        unit="s",
        dtype="float64",
        formula="scheduled_s - arrival at the server",
        description="How long the request waited at the server until the scheduler first took it. Waits after a "
        f"preemption do not count. {_NEVER}",
        source="vLLM, request_queue_time_seconds",
        aliases={"vLLM": "request_queue_time_seconds", "Vidur": "request_scheduling_delay"},
    ),
)
WHITE_BOX_COLUMNS = ("scheduled_s", "queue_s")
"""Columns that stand in a result only where a server can be looked into."""

ENGINE_SUMMARY_METRICS: tuple[MetricDefinition, ...] = (
    _summary(
        name="n_preemptions_mean",
        computed_by="discosim.metrics.numbers.endpoint_numbers",
        unit="1",
        formula="sum(n_preemptions)/n_served",
        description="Preemptions per served request (finished or failed).",
        direction="lower",
        source="Andes (arXiv 2404.16283)",
    ),
    _summary(
        name="engine_gpu_s",
        unit="s",
        formula="sum over replicas of n_gpus*busy time",
        description=f"Time in which GPUs of the server were at work. {_ENGINE}",
        direction="lower",
    ),
    _summary(
        name="engine_busy_share",
        unit="1",
        formula="sum(busy time)/(replicas*last iteration end)",
        description=f"Share of the run in which a replica was at work. {_ENGINE}",
    ),
    _summary(
        name="engine_batch_mean",
        unit="1",
        formula="integral of resident requests over busy time/busy time",
        description=f"Mean number of requests in the batch while it is at work. {_ENGINE}",
    ),
    _summary(
        name="engine_queue_peak",
        unit="1",
        formula="max(queue length)",
        description=f"Longest queue of a replica. {_ENGINE}",
        direction="lower",
    ),
    _summary(
        name="engine_kv_mean_share",
        unit="1",
        formula="integral of KV tokens held/(KV tokens of all replicas*last iteration end)",
        description=f"Mean occupancy of the KV memory. {_ENGINE}",
    ),
    _summary(
        name="engine_kv_peak_share",
        unit="1",
        formula="max(blocks in use)/blocks",
        description=f"Highest occupancy of a replica's KV memory. {_ENGINE}",
    ),
    _summary(
        name="engine_n_iterations",
        unit="1",
        formula="#{iterations}",
        description=f"Iterations of all replicas. {_ENGINE}",
    ),
)

NO_ENGINE: dict[str, float] = {m.name: math.nan for m in ENGINE_SUMMARY_METRICS if m.name.startswith("engine_")}
"""What a run against a black box has to say about its inside."""
