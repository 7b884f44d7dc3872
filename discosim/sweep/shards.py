"""Parts of a sweep for job arrays: `3/16`, or whatever the array that this process is a task of says."""

from __future__ import annotations

import os
from collections.abc import Mapping

from discosim.core.errors import UserError

SLURM = "slurm"
_ID, _COUNT, _MIN, _MAX, _STEP = (f"SLURM_ARRAY_TASK_{word}" for word in ("ID", "COUNT", "MIN", "MAX", "STEP"))
_PLAIN = "or give the part yourself: --shard i/n"


def parse_shard(text: str, environment: Mapping[str, str] | None = None) -> tuple[int, int]:
    """Return part and number of parts of ``i/n``, counted from 1; ``slurm`` asks the job array that this is a task of.

    Parameters
    ----------
    text : str
        ``i/n`` or ``slurm``.
    environment : mapping, optional
        Where Slurm says which task this is; that of the process by default.

    Raises
    ------
    UserError
        If it is neither, or this is no task of an array whose numbers are evenly spaced.

    Examples
    --------
    >>> parse_shard("3/16")
    (3, 16)
    """
    if text == SLURM:
        return _slurm(os.environ if environment is None else environment)
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise UserError(f"expected i/n with 1 <= i <= n, or {SLURM} (got '{text}')", where="--shard")
    return int(part), int(parts)


def _slurm(environment: Mapping[str, str]) -> tuple[int, int]:
    """Return the place of this task among those of its array, whatever number the first one has."""
    where = f"--shard {SLURM}"
    missing = [name for name in (_ID, _COUNT, _MIN) if name not in environment]
    if missing:
        raise UserError(
            f"{missing[0]} is not set, so this is no task of an array; submit it with sbatch --array=1-16, {_PLAIN}",
            where=where,
        )
    held = {name: environment.get(name, "") for name in (_ID, _COUNT, _MIN)}
    held[_STEP] = environment.get(_STEP) or "1"
    wrong = next((name for name, value in held.items() if not value.isdecimal()), None)
    if wrong:
        raise UserError(f"{wrong} must be a whole number (got '{held[wrong]}'); {_PLAIN}", where=where)
    task, n, first, step = (int(held[name]) for name in (_ID, _COUNT, _MIN, _STEP))
    last = environment.get(_MAX) or str(first + (n - 1) * step)
    is_even = step >= 1 and last == str(first + (n - 1) * step)
    if not is_even or not first <= task <= int(last) or (task - first) % step:
        raise UserError(
            f"the tasks of this array are not evenly spaced (task {task} of {n}, from {first} to {last} by {step}); "
            f"submit a range such as --array=1-16, {_PLAIN}",
            where=where,
        )
    return (task - first) // step + 1, n
