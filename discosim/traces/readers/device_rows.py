"""Requests as one device answered them: what a device's own profile is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.base import Bools, Floats, Ints, Words

TOK, CHAR = "tok", "char"
CHARS_PER_TOK = 4.0
"""Characters of a token where a file counts characters. Source: a rule of thumb for English, our choice."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DeviceRows:
    """Requests of one device running one model, in the order in which it answered them.

    Parameters
    ----------
    group : str
        Device and model, as the file names them; its stem where it names none.
    prompt_tok : array of float, shape (n,)
        Length of the prompt in tokens; NaN where unknown.
    ttft_s, total_s, decode_s : array of float, shape (n,)
        Time to the first token, to the last, and of the tokens after the first, in s; NaN where unknown.
    later_tok : array of float, shape (n,)
        Tokens after the first; NaN where unknown.
    energy_j : array of float, shape (n,)
        Energy of the whole request, in J; NaN where unknown.
    start_s : array of float, shape (n,)
        When the device got the request, in s from the first row; NaN where unknown.
    is_first : array of bool, shape (n,)
        First request after the runtime started.
    says_first : bool
        Whether the file says which rows are first ones.
    temperature, load_s : array of float, shape (n,)
        Temperature (in the file's unit) and time of loading the model, in s; NaN where unknown.
    run : array of str objects, shape (n,)
        Run or session that a row is of; rows of two runs are no neighbours.
    source_row : array of int, shape (n,)
        Line of the file.
    device, model : str
        As the file says; empty where it does not.
    params_b : float or None
        Parameters of the model, in billions, where the file says so.
    n_failed : int
        Rows left out as failed.
    is_summary : bool
        The rows stand for the mean and deviation of repetitions that the file does not hold.
    warnings : tuple of str
        What a person should doubt, in whole sentences.
    """

    group: str
    prompt_tok: Floats
    ttft_s: Floats
    total_s: Floats
    decode_s: Floats
    later_tok: Floats
    energy_j: Floats
    start_s: Floats
    is_first: Bools
    says_first: bool
    temperature: Floats
    load_s: Floats
    run: Words
    source_row: Ints
    device: str = ""
    model: str = ""
    params_b: float | None = None
    n_failed: int = 0
    is_summary: bool = False
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return int(self.prompt_tok.size)


def device_rows(group: str, n: int, columns: Mapping[str, Floats | Bools | Words | Ints], **rest: object) -> DeviceRows:
    """Return rows of the given columns; those not given are unknown."""
    none = np.full(n, np.nan)
    held: dict[str, object] = {
        **dict.fromkeys(("prompt_tok", "ttft_s", "total_s", "decode_s", "later_tok", "energy_j", "start_s"), none),
        **dict.fromkeys(("temperature", "load_s"), none),
        "is_first": np.zeros(n, dtype=np.bool_),
        "says_first": False,
        "run": np.full(n, "", dtype=np.object_),
        "source_row": np.arange(1, n + 1),
    }
    return DeviceRows(group=group, **{**held, **columns, **rest})  # type: ignore[arg-type]  # names are of the record


def choose(groups: Mapping[str, DeviceRows], wanted: str | None, where: str) -> DeviceRows:
    """Return the rows of one device and model.

    Parameters
    ----------
    groups : mapping of str to DeviceRows
        Of the file.
    wanted : str, optional
        Its name, or a part that no other has.
    where : str
        File, for errors.

    Raises
    ------
    UserError
        If there are several and none was chosen, or none is called so: speeds of two are never averaged.
    """
    listed = "; ".join(groups)
    if wanted is None:
        if len(groups) == 1:
            return next(iter(groups.values()))
        raise UserError(f"holds {len(groups)} devices, models or runs; choose one with --group: {listed}", where=where)
    if wanted in groups:
        return groups[wanted]
    found = [name for name in groups if wanted.lower() in name.lower()]
    if len(found) == 1:
        return groups[found[0]]
    said = "several are" if found else "none is"
    raise UserError(f"--group {wanted!r}: {said} called so; it holds: {listed}", where=where)
