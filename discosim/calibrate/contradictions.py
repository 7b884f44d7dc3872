"""Settings of a server that its own log contradicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from discosim.calibrate.evidence import Evidence
from discosim.calibrate.observed import Requests
from discosim.core.errors import UserError
from discosim.core.scenario import EngineServer
from discosim.traces.model_config import ModelConfig, find_model, read_model
from discosim.traces.server_log import ServerLog
from discosim.traces.server_meta import ServerMeta

SLACK = 1.05
"""Requests beyond the largest batch that may be between their first and last token: some were put out meanwhile."""


def contradictions(
    meta: ServerMeta | None, evidence: Evidence, server: EngineServer, model: str | None
) -> tuple[str, ...]:
    """Return what to doubt of the settings, as sentences.

    Parameters
    ----------
    meta : ServerMeta or None
        What the server was told.
    evidence : Evidence
        What it did.
    server : EngineServer
        What it is taken for.
    model : str or None
        ``--model``.

    Raises
    ------
    UserError
        If the log cannot be that of such a server, or the model is another.
    """
    logs = {one.log.name: one.log for one in evidence.train if isinstance(one, Requests)}
    if meta is not None:
        for log in logs.values():
            _refuse_too_long(meta, log)
        if meta.model and model:
            _refuse_other_model(meta.model, model, meta.name)
    for log in logs.values():
        if model and len(log.models) == 1:
            _refuse_other_model(log.models[0], model, log.name)
    room = server.max_batch * server.n_replicas
    return tuple(
        f"{log.name}: {most} requests are between their first and their last token at once, and batches hold "
        f"{server.max_batch} on {server.n_replicas} replica(s): is --max-batch or --replicas right?"
        for log in logs.values()
        if (most := _most_at_once(log)) > SLACK * room
    )


def _refuse_too_long(meta: ServerMeta, log: ServerLog) -> None:
    total = log.prompt_tok + log.output_tok
    longest = int(total.max())
    if meta.max_model_len is not None and longest > meta.max_model_len:
        raise UserError(
            f"max_model_len is {meta.max_model_len}, and {log.name} holds a request of {longest} tokens: are both of "
            "one server?",
            where=meta.name,
        )


def _refuse_other_model(told: str, given: str, where: str) -> None:
    try:
        logged = find_model(told)
    except UserError:
        return  # a fine-tune, or a path: nobody knows
    named = read_model(given) if Path(given).suffix == ".json" or Path(given).exists() else find_model(given)
    if _size(logged) != _size(named):
        raise UserError(f"the server ran {told}, and --model names {given}", where=where)


def _size(model: ModelConfig) -> tuple[int, ...]:
    return (model.n_layers, model.hidden, model.n_heads, model.ffn, model.n_experts)


def _most_at_once(log: ServerLog) -> int:
    begin, end = log.arrival_s + log.ttft_s, log.arrival_s + log.e2e_s
    kept = np.isfinite(begin) & np.isfinite(end) & (end > begin)
    at = np.concatenate([begin[kept], end[kept]])
    change = np.concatenate([np.ones(int(kept.sum())), -np.ones(int(kept.sum()))])
    return int(np.cumsum(change[np.lexsort((change, at))]).max()) if at.size else 0
