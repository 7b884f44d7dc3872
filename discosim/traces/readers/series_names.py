"""What a series of a server's state is known by: the names of its columns, and the lines that vLLM logs of itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from discosim.core.errors import UserError
from discosim.traces.readers.foreign import PARQUET
from discosim.traces.readers.outcomes import plain_name
from discosim.traces.readers.server_names import split_unit
from discosim.traces.readers.table import names_of_table

NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "t_s": ("t", "time", "elapsed", "timestamp", "ts", "seconds"),
        "running": ("running", "num_requests_running", "num_running", "n_running", "running_reqs", "running_requests"),
        "waiting": ("waiting", "num_requests_waiting", "num_waiting", "n_waiting", "waiting_reqs", "waiting_requests"),
        "prompt_tok_per_s": (
            *("prompt_tok_per_s", "prompt_throughput", "avg_prompt_throughput", "prompt_tokens_per_s"),
            "prompt_throughput_tok_per_s",
        ),
        "output_tok_per_s": (
            *("output_tok_per_s", "gen_throughput", "generation_throughput", "avg_generation_throughput"),
            *("output_throughput", "generation_tokens_per_s", "output_tokens_per_s", "generation_throughput_tok_per_s"),
        ),
        "kv_share": (
            *(
                "kv_share",
                "kv_cache_pct",
                "kv_pct",
                "kv_cache_usage",
                "kv_usage",
                "gpu_kv_cache_usage",
                "kv_cache_percent",
            ),
            *("kv_cache_usage_perc", "gpu_cache_usage_perc", "kv_cache_share", "kv_percent"),
        ),
    }
)
"""Fields by our name, with the names that other tools give them; that of time without the unit at its end."""
LINE = re.compile(
    r"(?:Engine (?P<engine>\d+): )?Avg prompt throughput: (?P<prompt>\d+(?:\.\d+)?) tokens/s, "
    r"Avg generation throughput: (?P<output>\d+(?:\.\d+)?) tokens/s, Running: (?P<running>\d+) reqs, "
    r"(?:Swapped: \d+ reqs, )?(?:Waiting|Pending): (?P<waiting>\d+) reqs"
    r"(?:, Preemptions: \d+)?(?:.*?(?:GPU )?KV cache usage: (?P<kv>\d+(?:\.\d+)?)%)?"
)
"""A line of vLLM's own log, every ten seconds: throughputs since the line before, and what is running."""


def field_names(present: Iterable[str]) -> dict[str, str]:
    """Return the column of each field, of the names that a file has; one behind a prefix and a colon counts too."""
    plain: dict[str, str] = {}
    times: dict[str, str] = {}
    for name in present:
        word = plain_name(name).rpartition(":")[2]
        plain.setdefault(word, name)
        times.setdefault(split_unit(word)[0], name)
    found = {}
    for field, known in NAMES.items():
        words = times if field == "t_s" else plain
        here = [words[word] for word in known if word in words]
        if here:
            found[field] = here[0]
    return found


def parted(mapping: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return which names of ``--map`` are of a log of requests, and which of the series beside it, by our names."""
    of_series = {ours: theirs for ours, theirs in mapping.items() if ours in NAMES or split_unit(ours)[0] == "t"}
    return {ours: theirs for ours, theirs in mapping.items() if ours not in of_series}, of_series


def is_series(head: bytes, path: Path) -> bool:
    """Tell whether a file is a series: lines of vLLM, or a table by time of what was running and made.

    Parameters
    ----------
    head : bytes
        Its beginning.
    path : Path
        The file.
    """
    if not head.startswith(PARQUET) and LINE.search(head.decode(errors="replace")):
        return True
    try:
        names = names_of_table(head, path)
    except UserError:
        return False
    return {"t_s", "running", "output_tok_per_s"} <= set(field_names(names))
