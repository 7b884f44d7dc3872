"""What servers of a known make are by default: keys that a scenario would else spell out one by one.

A flavour is expanded when a scenario is read. Keys that are written down win, so a scenario that was written out again
says the same. Numbers are recollected from the public repositories unless a file is named; what our engine lacks of
each stands in docs/how-to/engines-of-today.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from discosim.core.scenario import EngineServer

RECOMPUTE = {"kind": "recompute"}

FLAVOURS: dict[str, Mapping[str, Any]] = {
    # V1's scheduler has no watermark, pops the newest of all who run, and takes the blocks of a chunk with the chunk.
    # 2,048 tokens and 256 requests are the defaults of its API server on GPUs below 70 GiB and A100s, 8,192 and 1,024
    # on larger ones (engine/arg_utils.py).
    "vllm-v1": {
        "scheduler": {"kind": "fcfs_chunked", "token_budget": 2048, "preempts": "running", "blocks": "by_chunk"},
        "max_batch": 256,
        "watermark": 0.0,
        "block_tok": 16,
        "async_scheduling": True,
        "prefix_cache": "inside",
        "preemption": RECOMPUTE,
    },
    # V0 takes the larger of the context limit and 2,048 as its budget, and prefills whole prompts.
    "vllm-v0": {
        "scheduler": {"kind": "fcfs", "max_prefill_tok": 4096},
        "max_batch": 256,
        "watermark": 0.01,
        "block_tok": 16,
        "async_scheduling": False,
        "prefix_cache": "beside",
        "preemption": RECOMPUTE,
    },
    # The router takes 128 requests at once (launcher: max_concurrent_requests) and refuses others; here they queue.
    "tgi-2": {
        "scheduler": {"kind": "tgi", "waiting_served_ratio": 0.3, "max_waiting_tok": 20},
        "max_batch": 128,
        "watermark": 0.0,
        "block_tok": 16,
        "async_scheduling": False,
        "prefix_cache": "beside",
        "preemption": RECOMPUTE,
    },
    # A prefill batch of up to chunked_prefill_size tokens comes before all decodes; pages of one token; decisions
    # overlap with the GPU since 0.4 (server_args.py).
    "sglang": {
        "scheduler": {"kind": "fcfs", "max_prefill_tok": 8192},
        "max_batch": 2048,
        "watermark": 0.0,
        "block_tok": 1,
        "async_scheduling": True,
        "prefix_cache": "inside",
        "preemption": RECOMPUTE,
    },
}


def expanded(section: type, raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a section with the keys of its flavour beside those that are written down.

    Options of a scheduler of the flavour's own kind are completed one by one.
    """
    flavour = raw.get("flavour") if section is EngineServer else None
    if not isinstance(flavour, str) or flavour not in FLAVOURS:
        return raw
    held = {**FLAVOURS[flavour], **raw}
    usual, written = FLAVOURS[flavour]["scheduler"], raw.get("scheduler")
    if isinstance(written, Mapping) and written.get("kind", usual["kind"]) == usual["kind"]:
        held["scheduler"] = {**usual, **written}
    return held
