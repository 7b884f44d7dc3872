"""What a policy can say before anything happens: which endpoint each request asks, when, and what follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from discosim.world.device_profile import DeviceProfile
from discosim.world.link import Payload

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Coins = Callable[[], Floats]
"""Gives each request's own uniform draw on [0, 1), as `Session.coin` does; shape (n,)."""


@dataclass(frozen=True)
class Arriving:
    """Requests as a policy may know them when they arrive.

    Parameters
    ----------
    prompt_tok : array of int, shape (n,)
        Prompt lengths.
    kind : array of int, shape (n,)
        Each user's device, as its place in the fleet of the view.
    """

    prompt_tok: Ints
    kind: Ints

    def __len__(self) -> int:
        return int(self.prompt_tok.size)


class Route(Protocol):
    """One direction of hand-over on one kind of device, as tables by token count; see `policies.migration`."""

    @property
    def target(self) -> str:
        """Who goes on: ``device`` or ``server``."""
        ...

    @property
    def prefill_usd_per_tok(self) -> float:
        """Cost of prefilling a token there."""
        ...

    @property
    def margin_usd(self) -> Floats:
        """Entry k: what a hand-over after k tokens saves before the prompt's prefill; the last one goes on for ever."""
        ...

    @property
    def overhead_s(self) -> Floats:
        """Entry n: estimated time until the next token where n tokens have to be prefilled; likewise."""
        ...


class HandOvers(Protocol):
    """When answers are handed over, and to whom."""

    @property
    def payload(self) -> Payload:
        """What travels up where the server goes on."""
        ...

    def route(self, source: str, profile: DeviceProfile) -> Route | None:
        """Return the way out of ``source``; None where there is none."""
        ...


@dataclass(frozen=True)
class Dispatch:
    """A plan for every request of a replication.

    A request asks one endpoint on arrival. The other one is asked ``after`` a wait, unless the first has spoken by
    then; whoever speaks first is kept.

    Parameters
    ----------
    server_after_s, device_after_s : array of float, shape (n,)
        When each endpoint is asked, in s after the arrival; ``inf`` for never. One of the two is 0, and only one
        endpoint is asked later than at once by anybody.
    falls_back : bool, or array of bool, shape (n,)
        Whether the other endpoint is asked at once where the first refuses; else the request fails.
    losers : str
        Fate of who loses a race: ``cancel``, ``finish_prefill`` or ``run_on``.
    hand_overs : HandOvers, optional
        Migration of the answers; none where left out.
    looks_at_device : bool
        Whether the policy asks on arrival if the device is busy.
    server_is_first : bool
        Which of two endpoints that are asked on arrival is asked first: what happens in one moment may depend on it.
    sees_refusal : bool
        Whether the policy sees that a device refuses when it asks it, and falls back then; else when the refusal comes,
        which is later in that moment.
    tries_again : bool
        Whether the policy may ask again where all have refused; no plan says when.
    """

    server_after_s: Floats
    device_after_s: Floats
    falls_back: Bools | bool
    losers: Literal["cancel", "finish_prefill", "run_on"] = "cancel"
    hand_overs: HandOvers | None = None
    looks_at_device: bool = False
    server_is_first: bool = False
    sees_refusal: bool = False
    tries_again: bool = False

    def __post_init__(self) -> None:
        server_s, device_s = self.server_after_s, self.device_after_s
        if not np.minimum(server_s, device_s).max(initial=0.0) == 0.0 or (is_later(server_s) and is_later(device_s)):
            raise ValueError("a plan asks one endpoint at once, and the same one later than at once for all")


def is_later(after_s: Floats) -> bool:
    """Tell whether anybody asks an endpoint later than at once."""
    return bool(((after_s > 0.0) & (after_s < np.inf)).any())


def only(is_server: Bools) -> Dispatch:
    """Return the plan in which each request asks the server, or else the device, and nobody else."""
    server_after_s = np.where(is_server, 0.0, np.inf)
    return Dispatch(server_after_s, np.where(is_server, np.inf, 0.0), falls_back=False)
