"""Devices for many requests at once, each of which has its device for itself, as `device` has them for one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discosim.core.request import RequestTable
from discosim.world.batch.flat import Rows, counted, ramps
from discosim.world.fleet import Fleet
from discosim.world.rounding import ROUNDING

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Begun:
    """Streams that devices have turned to at once.

    Parameters
    ----------
    who : array of int, shape (m,)
        Ids of the requests.
    n_tok : array of int, shape (m,)
        Tokens asked for, >= 1.
    begin_s, prefill_end_s, gap_s : array of float, shape (m,)
        When the work begins, when it yields the first token, and the time per token after it.
    """

    who: Ints
    n_tok: Ints
    begin_s: Floats
    prefill_end_s: Floats
    gap_s: Floats

    def take(self, rows: Ints | Bools) -> Begun:
        """Return some of them."""
        return Begun(self.who[rows], self.n_tok[rows], self.begin_s[rows], self.prefill_end_s[rows], self.gap_s[rows])

    def last_s(self) -> Floats:
        """Return when the last token is made."""
        last_s: Floats = (self.n_tok - 1) * self.gap_s
        last_s += self.prefill_end_s
        return last_s

    def tokens(self) -> tuple[Floats, Rows]:
        """Return when each token is made, end to end."""
        rows = Rows(self.n_tok)
        return ramps(rows, self.gap_s, self.prefill_end_s), rows

    def worked(self, told_s: Floats, prompt_tok: Ints, *, finish_prefill: bool) -> tuple[Floats, Ints, Floats]:
        """Return what was done by streams that were told to stop at ``told_s``, as `DeviceStream.bill` has it.

        Returns
        -------
        prompt_tok : array of float
            Prompt tokens, fractional where the prefill was cut short.
        n_tok : array of int
            Tokens made.
        free_s : array of float
            When the device is free again.
        """
        stop_s = told_s * ROUNDING
        in_prefill = told_s < self.prefill_end_s if finish_prefill else np.zeros(self.who.size, dtype=np.bool_)
        is_cut = ~in_prefill & (stop_s < self.prefill_end_s)
        whole_s = self.prefill_end_s - self.begin_s
        share = np.divide(stop_s - self.begin_s, whole_s, out=np.zeros(self.who.size), where=is_cut)
        share[stop_s <= self.begin_s] = 0.0
        n_tok = np.where(in_prefill, 1, 0)
        goes_on = np.flatnonzero(~in_prefill & ~is_cut)
        if goes_on.size:
            made_s, rows = self.take(goes_on).tokens()
            n_tok[goes_on] = counted(made_s <= np.repeat(stop_s[goes_on], rows.sizes), rows)
        free_s = np.where(in_prefill, self.prefill_end_s, np.minimum(told_s, self.last_s()))
        return np.where(is_cut, prompt_tok * share, prompt_tok.astype(float)), n_tok, free_s


class Phones:
    """The users' devices.

    Parameters
    ----------
    fleet : Fleet
        The devices of a world.
    table : RequestTable
        Who arrives.
    """

    def __init__(self, fleet: Fleet, table: RequestTable) -> None:
        self._fleet = fleet
        self.profiles = [profile for profile, _ in fleet.kinds]
        self.kind = fleet.kind_of_each(table.user_id)
        self._gap_s = np.array([1.0 / profile.decode_tok_per_s for profile in self.profiles])
        self._draws: dict[tuple[int, int], tuple[Floats, Floats, Floats]] = {}

    def holds(self, prompt_tok: Ints, who: Ints | None = None) -> Bools:
        """Tell which prompts fit the context of the device of their user."""
        kind = self.kind if who is None else self.kind[who]
        limits = np.array([np.inf if p.max_context_tok is None else p.max_context_tok for p in self.profiles])
        held: Bools = prompt_tok <= limits[kind]
        return held

    def energy_j(self, who: Ints, prompt_tok: Floats, output_tok: Ints) -> Floats:
        """Return the energy of work, as `Fleet.costs` does."""
        kind = self.kind[who]
        prefill_j = np.array([profile.prefill_j_per_tok for profile in self.profiles])[kind]
        decode_j = np.array([profile.decode_j_per_tok for profile in self.profiles])[kind]
        energy_j: Floats = prompt_tok * prefill_j + output_tok * decode_j
        return energy_j

    def longest_work_s(self, who: Ints, prompt_tok: Ints, n_tok: Ints) -> Floats:
        """Return a time that no stream of so many tokens takes longer than, whatever noise it meets."""
        work_s = np.empty(who.size)
        for k, profile in enumerate(self.profiles):
            mine, law = self.kind[who] == k, profile.residual
            prefill_s = profile.prefill_array_s(prompt_tok[mine])
            gap_s, stall_s = self._gap_s[k], 0.0
            if law is not None:
                prefill_s *= law.prefill.table.values[-1]
                gap_s *= 1.0 if law.decode is None else law.decode.table.values[-1]
                stall_s = 0.0 if law.stalls is None else law.stalls.duration.values[-1]
            work_s[mine] = stall_s + prefill_s + n_tok[mine] * gap_s
        return work_s

    def begin(self, who: Ints, attempt: Ints, at_s: Floats, prompt_tok: Ints, n_tok: Ints) -> Begun:
        """Let devices that are free turn to a stream, as `DeviceStream.begin` does.

        ``attempt`` says how often each request has asked its device before; each time it meets other noise.
        """
        kind = self.kind[who]
        work_s, gap_s = np.empty(who.size), self._gap_s[kind]
        for k, profile in enumerate(self.profiles):
            mine = np.flatnonzero(kind == k) if len(self.profiles) > 1 else np.arange(who.size)
            if not mine.size:
                continue
            line_s = profile.prefill_array_s(prompt_tok[mine])
            if profile.residual is not None:
                prefill, decode, stall_s = self._noise(k, who[mine], attempt[mine])
                line_s = stall_s + line_s * prefill
                gap_s[mine] *= decode
            work_s[mine] = line_s
        return Begun(who, n_tok, at_s, at_s + work_s, gap_s)

    def luck(self, attempt: int) -> tuple[Floats, Floats, Floats]:
        """Return what every request meets that asks its device for the time ``attempt``, from 0.

        Returns
        -------
        ratio : array of float, shape (n,)
            Time of the work before the first token over that of the line.
        stall_s, gap_s : array of float, shape (n,)
            A pause before that work, and the time per token after it.
        """
        ratio, stall_s, gap_s = np.ones(self.kind.size), np.zeros(self.kind.size), self._gap_s[self.kind]
        for k, profile in enumerate(self.profiles):
            if profile.residual is not None:
                mine = np.flatnonzero(self.kind == k)
                ratio[mine], decode, stall_s[mine] = self._noise(k, mine, np.full(mine.size, attempt))
                gap_s[mine] *= decode
        return ratio, stall_s, gap_s

    def _noise(self, kind: int, who: Ints, attempt: Ints) -> tuple[Floats, Floats, Floats]:
        prefill, decode, stall_s = np.empty((3, who.size))
        for k in np.unique(attempt).tolist():
            if (kind, k) not in self._draws:
                self._draws[kind, k] = self._fleet.noise_draws(kind, k)
            mine, draws = attempt == k, self._draws[kind, k]
            prefill[mine], decode[mine], stall_s[mine] = (column[who[mine]] for column in draws)
        return prefill, decode, stall_s
