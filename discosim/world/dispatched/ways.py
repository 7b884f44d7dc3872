"""Ways on which planned answers are handed over: what the rules ask for after each token, and what the device takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discosim.world.batch.dispatch import HandOvers, Route
from discosim.world.batch.phones import Phones
from discosim.world.device_profile import DeviceProfile
from discosim.world.link import Payload

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Luck = Callable[[int], tuple[Floats, Floats, Floats]]


@dataclass(frozen=True)
class Way:
    """One direction on one kind of device.

    Parameters
    ----------
    route : Route
        The tables of the rules.
    is_to_device : bool
        Whether the device goes on.
    limit_tok : float
        Prompt and generated tokens that the one who goes on can hold; inf for no limit.
    """

    route: Route
    is_to_device: bool
    limit_tok: float

    @classmethod
    def of(cls, rule: HandOvers, source: str, profile: DeviceProfile) -> Way | None:
        """Return the way out of an endpoint; None where there is none."""
        route = rule.route(source, profile)
        if route is None:
            return None
        is_to_device = route.target == "device"
        limit = profile.max_context_tok if is_to_device else None
        return cls(route, is_to_device, math.inf if limit is None else limit)

    def need_tok(self, prompt_tok: int, rate_tok_per_s: float, n: int) -> Floats:
        """Return the buffer that has to be there after each of ``n`` tokens, as `Migration.run` asks for it."""
        route = self.route
        margin, overhead_s = _from(route.margin_usd, 1, n), _from(route.overhead_s, prompt_tok + 1, n)
        need = np.where(margin > route.prefill_usd_per_tok * prompt_tok, overhead_s * rate_tok_per_s, np.inf)
        if self.limit_tok < math.inf:
            need[max(0, int(self.limit_tok) - prompt_tok) :] = np.inf
        return need


def _from(table: Floats, first: int, n: int) -> Floats:
    """Return ``table[first:first + n]``, continued with its last value where the table ends."""
    if first + n <= table.size:
        return table[first : first + n]
    return table[np.minimum(np.arange(first, first + n), table.size - 1)]


@dataclass(frozen=True)
class Ways:
    """All ways of a replication.

    Parameters
    ----------
    from_server, from_device : tuple of (Way or None)
        By kind of device; None where the other endpoint is not worth it.
    kind : array of int, shape (n,)
        Each user's device.
    profiles : tuple of DeviceProfile
        The kinds.
    payload : str
        What travels up where the server goes on.
    luck : callable
        What each request meets on its device beside its line, by how often it has asked it: `Phones.luck`.
    """

    from_server: tuple[Way | None, ...]
    from_device: tuple[Way | None, ...]
    kind: Ints
    profiles: tuple[DeviceProfile, ...]
    payload: Payload
    luck: Luck

    @classmethod
    def of(cls, rule: HandOvers, phones: Phones) -> Ways:
        """Look up all ways that a policy knows."""
        profiles = tuple(phones.profiles)
        from_server, from_device = (
            tuple(Way.of(rule, source, profile) for profile in profiles) for source in ("server", "device")
        )
        return cls(from_server, from_device, phones.kind, profiles, rule.payload, phones.luck)
