"""What the makers of GPUs say of them: memory, bandwidth, arithmetic, links."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache

from discosim.core.errors import UserError, close_match
from discosim.traces.model_config import SHEETS


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One kind of GPU.

    Parameters
    ----------
    name : str
        As the sheet has it.
    memory_gib, gbyte_per_s, tflops, link_gbyte_per_s : float
        Memory in GiB, its bandwidth in GB/s, dense 16-bit arithmetic in TFLOP/s, and the link to other GPUs in GB/s one
        direction, all > 0.
    source, status : str
        Where the figures are from, and how they are known.
    also : tuple of str
        Other names.
    """

    name: str
    memory_gib: float
    gbyte_per_s: float
    tflops: float
    link_gbyte_per_s: float
    source: str
    status: str
    also: tuple[str, ...] = ()


@cache
def known_gpus() -> dict[str, Gpu]:
    """Return every GPU of the sheet by name."""
    with (SHEETS / "gpus.toml").open("rb") as file:
        rows = tomllib.load(file)
    return {name: Gpu(name=name, **{**row, "also": tuple(row.get("also", ()))}) for name, row in rows.items()}


def find_gpu(name: str) -> Gpu:
    """Return a GPU by name; case, spaces, hyphens and underscores do not count.

    Raises
    ------
    UserError
        For a name that the sheet has not, with the nearest one.
    """
    gpus = known_gpus()
    for gpu in gpus.values():
        if _plain(name) in {_plain(gpu.name), *map(_plain, gpu.also)}:
            return gpu
    words = {word.upper() for gpu in gpus.values() for word in (gpu.name, *gpu.also)}
    raise UserError(f"unknown GPU {name!r}; {close_match(name.upper(), words)}")


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
