"""Reading the settings under which a real server ran: a ``meta.json`` beside its log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any

from discosim.core.errors import UserError
from discosim.core.json_text import read_json
from discosim.traces.readers.source import read_bytes


@dataclass(frozen=True, kw_only=True)
class ServerMeta:
    """Settings of a server, each None where the file does not say it.

    Parameters
    ----------
    model, gpu : str or None
        Names as the file has them.
    engine, engine_version : str or None
        ``vllm`` and ``0.19.0`` for instance.
    n_gpus : int or None
        As the file says it; `tensor_parallel` times `data_parallel` times `pipeline_parallel` where it does not and
        says these.
    tensor_parallel, data_parallel, pipeline_parallel : int or None
        Ranks.
    expert_parallel : bool or None
        Whether experts are spread over the ranks.
    max_num_seqs, max_num_batched_tok, max_model_len : int or None
        Limits of a batch, of an iteration and of a context; per data-parallel rank in vLLM.
    block_tok, kv_tok : int or None
        Tokens of a block, and tokens that fit into the KV memory.
    gpu_memory_share : float or None
        Share of the GPU's memory that the server may take.
    dtype, kv_dtype, quantization : str or None
        Number formats.
    prefix_caching, chunked_prefill, async_scheduling : bool or None
        What is switched on.
    n_requests : int or None
        Requests of the run.
    name : str
        Of the file, for messages.
    others : mapping
        Plain values of the file that none of the above holds, by path (``engine_kwargs.seed``).
    """

    model: str | None = None
    gpu: str | None = None
    engine: str | None = None
    engine_version: str | None = None
    n_gpus: int | None = None
    tensor_parallel: int | None = None
    data_parallel: int | None = None
    pipeline_parallel: int | None = None
    expert_parallel: bool | None = None
    max_num_seqs: int | None = None
    max_num_batched_tok: int | None = None
    max_model_len: int | None = None
    block_tok: int | None = None
    kv_tok: int | None = None
    gpu_memory_share: float | None = None
    dtype: str | None = None
    kv_dtype: str | None = None
    quantization: str | None = None
    prefix_caching: bool | None = None
    chunked_prefill: bool | None = None
    async_scheduling: bool | None = None
    n_requests: int | None = None
    name: str = ""
    others: Mapping[str, object] = field(default_factory=dict)


_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "model": ("model", "model_id", "model_name", "model_path"),
        "gpu": ("gpu", "gpu_name", "gpu_type", "gpu_model", "device_name", "hardware", "accelerator"),
        "engine": ("engine", "backend", "server", "framework"),
        "engine_version": ("engine_version", "vllm_version", "sglang_version", "tgi_version"),
        "n_gpus": ("n_gpus", "num_gpus", "gpu_count", "world_size"),
        "tensor_parallel": ("tensor_parallel_size", "tp_size", "tp", "tensor_parallel", "num_shard"),
        "data_parallel": ("data_parallel_size", "dp_size", "dp", "data_parallel"),
        "pipeline_parallel": ("pipeline_parallel_size", "pp_size", "pp", "pipeline_parallel"),
        "expert_parallel": ("enable_expert_parallel", "expert_parallel", "enable_ep"),
        "max_num_seqs": ("max_num_seqs", "max_running_requests", "max_batch_size"),
        "max_num_batched_tok": ("max_num_batched_tokens", "max_num_batched_tok", "chunked_prefill_size"),
        "max_model_len": ("max_model_len", "context_length", "max_seq_len"),
        "block_tok": ("block_size", "page_size", "block_tok"),
        "kv_tok": (
            "kv_tok",
            "kv_cache_tokens",
            "num_kv_tokens",
            "kv_tokens",
            "max_total_num_tokens",
            "kv_cache_size_tokens",
        ),
        "gpu_memory_share": (
            "gpu_memory_utilization",
            "gpu_memory_share",
            "mem_fraction_static",
            "cuda_memory_fraction",
        ),
        "dtype": ("dtype", "torch_dtype"),
        "kv_dtype": ("kv_cache_dtype", "kv_dtype"),
        "quantization": ("quantization", "quantize"),
        "prefix_caching": ("enable_prefix_caching", "prefix_caching"),
        "chunked_prefill": ("enable_chunked_prefill", "chunked_prefill"),
        "async_scheduling": ("async_scheduling", "enable_async_scheduling"),
        "n_requests": ("n_requests", "num_requests", "num_prompts"),
    }
)
_BLOCKS = ("num_gpu_blocks", "n_gpu_blocks", "num_gpu_blocks_override")
_UNSAID = {None, "auto"}
_COUNTS = frozenset(
    {
        *("n_gpus", "tensor_parallel", "data_parallel", "pipeline_parallel", "max_num_seqs", "max_num_batched_tok"),
        *("max_model_len", "block_tok", "kv_tok", "n_requests"),
    }
)
_SWITCHES = frozenset({"expert_parallel", "prefix_caching", "chunked_prefill", "async_scheduling"})


def read_server_meta(path: str | PathLike[str]) -> ServerMeta:
    """Read the settings of a server from a JSON object, wherever in it they stand.

    Raises
    ------
    UserError
        If the file is no JSON object, or a setting is not of its kind.

    Notes
    -----
    A setting that stands at several depths is taken where it stands highest.
    ``auto`` and null say nothing. Tokens of KV memory are the blocks times their size where the file counts blocks.
    """
    label = str(path)
    held = read_json(read_bytes(Path(path)), where=label, is_finite=False)
    if not isinstance(held, dict):
        raise UserError("expected a JSON object with the settings of a server", where=label)
    leaves = list(_leaves(held, ()))
    found: dict[str, Any] = {}
    used: set[tuple[str, ...]] = set()
    for ours, names in _NAMES.items():
        hits = [(place, value) for place, value in leaves if _plain(place[-1]) in names]
        used |= {place for place, _ in hits}
        said = [(place, value) for place, value in hits if value not in _UNSAID]
        if said:
            place, value = min(said, key=lambda hit: (names.index(_plain(hit[0][-1])), len(hit[0])))
            found[ours] = _checker(ours)(value, f"{label} {'.'.join(place)}")
    blocks = next((value for place, value in leaves if _plain(place[-1]) in _BLOCKS and value is not None), None)
    if "kv_tok" not in found and "block_tok" in found and blocks is not None:
        found["kv_tok"] = _count(blocks, f"{label} num_gpu_blocks") * found["block_tok"]
    if "engine" not in found:
        engine = next((word for word in ("vllm", "sglang", "tgi") if f"{word}_version" in held), None)
        found |= {} if engine is None else {"engine": engine}
    ranks = [found[name] for name in ("tensor_parallel", "data_parallel", "pipeline_parallel") if name in found]
    if "n_gpus" not in found and "tensor_parallel" in found:
        n_gpus = 1
        for size in ranks:
            n_gpus *= size
        found["n_gpus"] = n_gpus
    if not set(found) - {"name"}:
        raise UserError(f"says nothing of a server; its keys: {', '.join(list(held)[:15]) or 'none'}", where=label)
    others = {".".join(place): value for place, value in leaves if place not in used}
    return ServerMeta(**found, name=label, others=MappingProxyType(others))


def _leaves(node: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, key))
        elif not isinstance(value, list):
            yield (*above, key), value


def _plain(key: str) -> str:
    return key.lower().replace("-", "_").lstrip("_")


def _checker(ours: str) -> Callable[[Any, str], Any]:
    if ours in _COUNTS:
        return _count
    if ours in _SWITCHES:
        return _switch
    return _share if ours == "gpu_memory_share" else _word


def _count(value: Any, where: str) -> int:
    if type(value) is str and value.isdecimal():
        value = int(value)
    if type(value) is not int or value < 1:
        raise UserError(f"expected a whole number of at least 1, got {value!r}", where=where)
    return value


def _switch(value: Any, where: str) -> bool:
    if type(value) is not bool:
        raise UserError(f"expected true or false, got {value!r}", where=where)
    return value


def _share(value: Any, where: str) -> float:
    if type(value) not in {int, float} or not 0.0 < value <= 1.0:
        raise UserError(f"expected a share above 0 and up to 1, got {value!r}", where=where)
    return float(value)


def _word(value: Any, where: str) -> str:
    if type(value) not in {str, int, float} or not str(value).strip():
        raise UserError(f"expected a name, got {value!r}", where=where)
    return str(value).strip()
