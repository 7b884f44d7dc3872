"""From a scenario's white-box server to the engine's model, and the past that its clients have seen."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from discosim.core.errors import UserError
from discosim.core.request import RequestRecord, RequestTable
from discosim.core.scenario import (
    ConstantIterations,
    DigestIterations,
    EngineServer,
    FileIterations,
    Iterations,
    PhysicsIterations,
    PluginIterations,
    Reader,
    Swap,
)
from discosim.policies.server_only import ServerOnly
from discosim.runs.build_physics import physics_digest, scaled_fit
from discosim.runs.engine_kernel import EngineOnly, engine_only
from discosim.runs.shared_experts import rank_notes
from discosim.traces.catalogue import load_digest
from discosim.traces.digest_file import read_own_digest
from discosim.traces.engine_digest import EngineDigest, in_step
from discosim.traces.history import Past
from discosim.world.api_server import ApiServerModel
from discosim.world.engine.costs.base import CostModel, fastest_s
from discosim.world.engine.costs.constant import ConstantCost
from discosim.world.engine.costs.distserve import DistServeCost, Line
from discosim.world.engine.costs.physics import PhysicsCost
from discosim.world.engine.costs.registry import make_cost
from discosim.world.engine.costs.table import TableCost
from discosim.world.engine.engine import EngineModel, PrefillPool
from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.schedulers.base import Scheduler
from discosim.world.engine.schedulers.fcfs import Fcfs
from discosim.world.engine.schedulers.registry import known_schedulers, maker_of
from discosim.world.law import mean_of
from discosim.world.luck import Luck
from discosim.world.world import World, WorldModel

Floats = NDArray[np.float64]
BITS_PER_BYTE = 8.0


def engine_model(spec: EngineServer, scheduler: Callable[[], Scheduler] | None = None) -> EngineModel:
    """Resolve a white-box server; ``scheduler`` makes another one than that of the scenario, afresh per replica.

    Raises
    ------
    UserError
        If a digest is unknown, a size that nobody gives is missing, the memory holds no prompt, or the cost model
        gives impossible times.
    """
    cost, digest = _iterations(spec.iterations)
    if spec.lockstep and digest is not None and digest.physics is not None and digest.n_expert_ranks is not None:
        fit = in_step(digest.physics, digest.n_expert_ranks, digest.exchange_s_per_tok or 0.0)
        cost = cost_of(replace(digest, physics=fit))
    kv_tok = _size(spec.kv_tok, digest.kv_tok if digest else None, "kv_tok")
    kv_blocks = kv_tok // spec.block_tok
    if kv_blocks < 1:
        raise UserError(
            f"KV memory of {kv_tok} tokens holds no block of {spec.block_tok} tokens", where="server.kv_tok"
        )
    max_context_tok = spec.max_context_tok or (digest.max_context_tok if digest else None)
    replica = ReplicaModel(
        cost=cost,
        kv_blocks=kv_blocks,
        block_tok=spec.block_tok,
        watermark=spec.watermark,
        max_batch=spec.max_batch,
        role="both" if spec.prefill_pool is None else "decode",
        prefix_blocks=spec.prefix_cache_tok // spec.prefix_block_tok,
        prefix_block_tok=spec.prefix_block_tok,
        caches_inside=spec.prefix_cache == "inside",
        decides_ahead=spec.async_scheduling,
    )
    if isinstance(spec.preemption, Swap):
        replica = _swapping(replica, spec.preemption, _kv_bytes(spec, digest))
    return EngineModel(
        replica=replica,
        n_replicas=spec.n_replicas,
        scheduler=scheduler or maker_of(spec.scheduler),
        router=spec.router,
        prefill_pool=_prefill_pool(spec, replica, digest),
        max_context_tok=max_context_tok,
        lockstep=spec.lockstep,
        fastest_iteration_s=fastest_s(cost, spec.max_batch),
    )


def require_able(scheduler: type[Scheduler], server: EngineServer) -> None:
    """Raise UserError where a scheduler that the scenario does not name cannot do what the server asks of it."""
    if server.async_scheduling and not scheduler.may_decide_ahead:
        raise UserError(
            f"{scheduler.__name__} says that it cannot decide ahead (may_decide_ahead), and server.async_scheduling is "
            "true; set that to false",
            where="scheduler",
        )


def require_fitting_blocks(
    requests: RequestTable, server: EngineServer, clipped_at_tok: int | None, scheduler: type[Scheduler]
) -> None:
    """Raise UserError unless the prompts' hash ids are blocks of the size that the scenario reckons with.

    Parameters
    ----------
    requests : RequestTable
        Requests of a replication.
    server : EngineServer
        Reuses prefixes.
    clipped_at_tok : int or None
        Prompts of this length may have been longer in the trace.
    scheduler : type
        What runs; the scenario's, or one that a caller gave in its place.
    """
    block_tok = server.prefix_block_tok
    if requests.prefix_hashes is None:
        if server.prefix_cache == "inside":
            return
        raise UserError(
            "reuse of prefixes needs a replayed trace with hash_ids; this workload has none",
            where="server.prefix_cache_tok",
        )
    if server.prefix_cache == "inside":
        _require_sharing(scheduler)
    elif server.prefix_cache_tok < block_tok:
        raise UserError(
            f"holds no block of {block_tok} tokens (server.prefix_block_tok)", where="server.prefix_cache_tok"
        )
    if requests.hash_block_tok is not None and requests.hash_block_tok != block_tok:
        raise UserError(
            f"is {block_tok}, and one hash id of the trace stands for {requests.hash_block_tok} tokens; "
            f"set it to {requests.hash_block_tok}",
            where="server.prefix_block_tok",
        )
    for i, (hashes, prompt_tok) in enumerate(zip(requests.prefix_hashes, requests.prompt_tok.tolist(), strict=True)):
        if len(hashes) > -(-prompt_tok // block_tok) and prompt_tok != clipped_at_tok:
            most_tok = (prompt_tok - 1) // (len(hashes) - 1)
            raise UserError(
                f"is {block_tok}, and request {i} of the trace has {len(hashes)} hash ids for {prompt_tok} tokens; "
                f"one can stand for at most {most_tok}",
                where="server.prefix_block_tok",
            )


def _require_sharing(scheduler: type[Scheduler]) -> None:
    """Raise UserError where a scheduler reckons with blocks of requests as if no two of them shared any."""
    if not scheduler.may_share_blocks:
        able = ", ".join(name for name, held in known_schedulers().items() if held.may_share_blocks)
        raise UserError(
            f"inside lets prompts share KV blocks, and scheduler {scheduler.kind} counts them as if each had its own; "
            f"use beside, or one of {able}",
            where="server.prefix_cache",
        )


def _iterations(spec: Iterations) -> tuple[CostModel, EngineDigest | None]:
    if isinstance(spec, ConstantIterations):
        return ConstantCost(spec.prefill_s, spec.decode_s), None
    if isinstance(spec, FileIterations):
        held = read_own_digest(spec.file, "engine")
        assert isinstance(held, EngineDigest)
        return cost_of(held), held
    if isinstance(spec, PhysicsIterations):
        if spec.coefficients is not None:
            return PhysicsCost(**asdict(scaled_fit(spec))), None
        reckoned = physics_digest(spec)
        return cost_of(reckoned), reckoned
    if isinstance(spec, PluginIterations):
        return make_cost(spec.cost, spec.options, "server.iterations"), None
    assert isinstance(spec, DigestIterations)
    digest = load_digest(spec.digest, "engine")
    assert isinstance(digest, EngineDigest)
    return cost_of(digest), digest


def engine_notes(spec: EngineServer) -> tuple[str, ...]:
    """Return how far the engine was from a real server, and what does not go together, as notes of every run.

    Nothing for iterations of no server.
    """
    _, digest = _iterations(spec.iterations)
    if digest is None:
        return ()
    said = f"engine {digest.validated or 'never compared with a real server'} ({digest.name})"
    return (said, *rank_notes(spec, digest))


def cost_of(digest: EngineDigest) -> CostModel:
    """Return the cost model of a digest."""
    if digest.lines is not None:
        lines = digest.lines
        return DistServeCost(
            _line(lines.prefill), _line(lines.decode_small), _line(lines.decode_large), digest.name, digest.n_gpus
        )
    if digest.physics is not None:
        return PhysicsCost(**asdict(digest.physics), name=digest.name, n_gpus=digest.n_gpus)
    grid = digest.grid
    assert grid is not None
    return TableCost(
        grid.prefill_tok,
        grid.prefill_times_s,
        grid.decode_batch,
        grid.decode_times_s,
        grid.s_per_context_tok,
        digest.name,
        digest.n_gpus,
    )


def _line(coefficients: tuple[float, ...]) -> Line:
    a, b, c = coefficients
    return a, b, c


def _size(given: float | None, measured: float | None, key: str) -> int:
    value = measured if given is None else given
    if value is None:
        raise UserError(f"these iterations name no size of the KV cache; give {key}", where=f"server.{key}")
    return int(value)


def _swapping(replica: ReplicaModel, how: Swap, kv_bytes_per_tok: float) -> ReplicaModel:
    host_blocks = how.host_kv_tok // replica.block_tok
    if host_blocks < 1:
        raise UserError(
            f"host memory of {how.host_kv_tok} tokens holds no block of {replica.block_tok} tokens to swap to",
            where="server.preemption.host_kv_tok",
        )
    block_s = kv_bytes_per_tok * replica.block_tok / (how.gbyte_per_s * 1e9)
    return replace(replica, preemption="swap", host_blocks=host_blocks, swap_s_per_block=block_s)


def _kv_bytes(spec: EngineServer, digest: EngineDigest | None) -> float:
    value = spec.kv_bytes_per_tok or (digest.kv_bytes_per_tok if digest else None)
    if value is None:
        raise UserError(
            "these iterations name no size of the KV cache; give kv_bytes_per_tok", where="server.kv_bytes_per_tok"
        )
    return value


def _prefill_pool(spec: EngineServer, replica: ReplicaModel, digest: EngineDigest | None) -> PrefillPool | None:
    pool = spec.prefill_pool
    if pool is None:
        return None
    max_prefill_tok = pool.max_prefill_tok
    return PrefillPool(
        replica=replace(replica, role="prefill"),
        n_replicas=pool.n_replicas,
        scheduler=lambda: Fcfs(max_prefill_tok),
        transfer_s_per_tok=_kv_bytes(spec, digest) * BITS_PER_BYTE / (pool.kv_gbit_per_s * 1e9),
        transfer_latency_s=pool.latency_s,
    )


@dataclass(frozen=True)
class Pilot:
    """What clients of an engine have seen.

    Parameters
    ----------
    prompt_tok : array of int, shape (m,)
        Prompt lengths of the requests that the engine took.
    ttft_s : array of float, shape (m,)
        Their TTFTs, ``inf`` where one got no answer.
    tpot_s : float
        Mean time per token.
    n_requests : int
        Requests of the pilot.
    """

    prompt_tok: NDArray[np.int64]
    ttft_s: Floats
    tpot_s: float
    n_requests: int


def run_pilot(n_requests: int, reader: Reader, model: WorldModel, past: Past, *, simpy_only: bool = False) -> Pilot:
    """Let requests of the past, all of them, go to a service that feels its load.

    Source: our choice. A client of a real service learns from what it and others have seen there; a pilot with all
    requests at the server is the past of a service that no device relieves yet. Its requests are the past's, not
    the run's. Requests that an engine rejects are none of its TTFTs. With ``simpy_only`` no kernel does it.
    """
    requests = past.requests(n_requests, reader)
    calm = replace(model, link=replace(model.link, outages=()))
    world = World(calm, requests, Luck(past.streams, len(requests)))
    alone = None if simpy_only else engine_only(ServerOnly(), requests, world)
    if alone is not None:
        return _seen(alone, model, len(requests))
    pairs: list[tuple[int, float]] = []
    tpot_s: list[float] = []

    def note(record: RequestRecord) -> None:
        if record.status == "finished":
            pairs.append((record.prompt_tok, float(record.delivered_s[0]) - record.arrival_s))
            if record.output_tok > 1:
                span_s = float(record.delivered_s[-1] - record.delivered_s[0])
                tpot_s.append(span_s / (record.output_tok - 1))
        elif record.status == "failed":
            pairs.append((record.prompt_tok, math.inf))

    world.run(ServerOnly(), note)
    if not any(math.isfinite(ttft_s) for _, ttft_s in pairs):
        raise _no_answer(model)
    return Pilot(
        prompt_tok=np.array([prompt for prompt, _ in pairs], dtype=np.int64),
        ttft_s=np.array([ttft_s for _, ttft_s in pairs]),
        tpot_s=float(np.mean(tpot_s)) if tpot_s else model_tpot(model),
        n_requests=len(requests),
    )


def _seen(alone: EngineOnly, model: WorldModel, n_requests: int) -> Pilot:
    """Return what clients have seen where the engine did all alone."""
    prompt_tok: list[NDArray[np.int64]] = []
    ttft_s: list[Floats] = []
    tpot_s: list[Floats] = []
    for part in alone.timelines():
        finished = part.take(np.flatnonzero(part["status"] == "finished"))
        delivered, n_tok = finished.delivered_s, finished["output_tok"]
        first_s, last_s = delivered.values[delivered.offsets[:-1]], delivered.values[delivered.offsets[1:] - 1]
        prompt_tok.append(finished["prompt_tok"])
        ttft_s.append(first_s - finished["arrival_s"])
        tpot_s.append(((last_s - first_s)[n_tok > 1]) / (n_tok[n_tok > 1] - 1))
    seen_s, token_s = np.concatenate(ttft_s), np.concatenate(tpot_s)
    if not seen_s.size:
        raise _no_answer(model)
    return Pilot(
        prompt_tok=np.concatenate(prompt_tok),
        ttft_s=seen_s,
        tpot_s=float(np.mean(token_s)) if token_s.size else model_tpot(model),
        n_requests=n_requests,
    )


def _no_answer(model: WorldModel) -> UserError:
    why = "its limits refuse all" if isinstance(model.server, ApiServerModel) else f"every one is over {_limits(model)}"
    return UserError(f"the pilot run answered no request: {why}", where="server")


def _limits(model: WorldModel) -> str:
    """Return the most tokens, prompt and answer, that the engine takes, for people."""
    assert isinstance(model.server, EngineModel)
    replica, context_tok = model.server.replica, model.server.max_context_tok
    kv_tok = replica.kv_blocks * replica.block_tok
    memory = f"the {kv_tok} tokens that the KV memory of a replica holds"
    return memory if context_tok is None else f"{memory} or the context limit of {context_tok} tokens"


def model_tpot(model: WorldModel) -> float:
    """Return the time of a lone decode iteration, or the mean of a replayed law, in s."""
    if isinstance(model.server, ApiServerModel):
        return mean_of(model.server.tpot)
    assert isinstance(model.server, EngineModel)
    return model.server.replica.cost.decode_line(1)[0]
