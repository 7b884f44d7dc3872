"""The socket of a world: what a session asks of an endpoint, and what an endpoint gets to work with.

A kind of endpoint is a frozen model of its parameters that can be opened in a world, the endpoint itself, and its
stream. Nothing that asks an endpoint knows its kind: a policy names it (``session.start("server")``), the world opens
it under that name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import simpy
from numpy.typing import NDArray

from discosim.core.errors import InvariantError, close_match
from discosim.core.request import RequestTable
from discosim.world.cards import Card
from discosim.world.link import Link, Payload
from discosim.world.luck import Luck
from discosim.world.meter import Meter
from discosim.world.stream import Stream

Floats = NDArray[np.float64]
Role = Literal["device", "server", "edge"]
"""Whose columns of the results an endpoint fills."""

MANY = 1 << 30


@dataclass(slots=True)
class Ask:
    """What is asked of an endpoint; who has no use for a hint ignores it.

    Parameters
    ----------
    card : Card
        The request.
    prompt_tok : int
        Tokens to prefill: the prompt, and what was already generated elsewhere, >= 1.
    first_token, n_tok : int
        Index (from 1) of the first token to make, and how many, >= 1.
    attempt : int
        How often this endpoint was asked for this request before.
    payload : str
        What goes up: text, or token IDs where both sides share a vocabulary.
    prefill_factor : float
        How much longer than others its prefill takes, >= 1, for work beside it.
    sibling : int
        Which of several candidates of one part it is, from 0.
    list_key : int
        The job list it is to wait in.
    """

    card: Card
    prompt_tok: int
    first_token: int
    n_tok: int
    attempt: int = 0
    payload: Payload = "text"
    prefill_factor: float = 1.0
    sibling: int = 0
    list_key: int = 0


class Observer(Protocol):
    """Somebody who writes down what a white-box endpoint does; what it hears is that endpoint's own business."""

    def iterations(self, replica: Any, plan: Any, orders: Any) -> None:
        """Hear of a finished run of iterations."""
        ...


@dataclass(slots=True)
class Site:
    """Where an endpoint is opened.

    Parameters
    ----------
    env : simpy.Environment
        The clock.
    link : Link
        The last hop.
    luck : Luck
        Draws of the replication.
    n_users : int
        Users, numbered from 0.
    meter : Meter
        What the service costs.
    observer : Observer or None
        Who writes down what it does.
    """

    env: simpy.Environment
    link: Link
    luck: Luck
    n_users: int
    meter: Meter
    observer: Observer | None = None


class Endpoint(Protocol):
    """Who makes tokens.

    Attributes
    ----------
    name : str
        How a policy asks for it; its streams carry it as ``endpoint``.
    role : str
        Whose columns of the results it fills.
    max_candidates : int
        Most candidates of a part of an answer that it writes side by side; 0 where it writes no answers in parts.
    """

    @property
    def name(self) -> str:
        """How a policy asks for it."""
        ...

    @property
    def role(self) -> Role:
        """Whose columns of the results it fills."""
        ...

    @property
    def max_candidates(self) -> int:
        """Most candidates of a part that it writes side by side."""
        ...

    def start(self, ask: Ask) -> Stream:
        """Begin, or queue, what is asked; a stream that is refused says so by failing."""
        ...

    def costs(self, user_id: int, prompt_tok: float, output_tok: float) -> tuple[float, float]:
        """Return the price of work done for a user, in USD, and the energy beside it that counts, in J."""
        ...

    def load(self, user_id: int) -> Any:
        """Return how busy it is for a user, as `load` says it; None where nobody can look inside."""
        ...

    def figures(self, span_s: float) -> dict[str, float] | None:
        """Return what it did as a whole over ``span_s`` seconds, by summary metric; None where nobody can tell."""
        ...

    def foreseen_ttft_s(self, table: RequestTable) -> Floats | None:
        """Return the TTFT of every request, were it sent here alone on arrival; None where others decide it too.

        ``inf`` where it would refuse. For clairvoyant policies and tests only.
        """
        ...


class EndpointModel(Protocol):
    """Parameters that know how to become an endpoint."""

    def open(self, name: str, site: Site) -> Endpoint:
        """Return the endpoint, under the name by which policies ask for it."""
        ...


def unknown(name: str, endpoints: Mapping[str, Endpoint], request_id: int) -> InvariantError:
    """Return the error of a request that names an endpoint which its world has not."""
    return InvariantError(f"request {request_id}: no endpoint '{name}'; {close_match(name, tuple(endpoints))}")
