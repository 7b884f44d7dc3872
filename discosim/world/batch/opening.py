"""The first act of many requests: whom each asks, when, and who speaks first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discosim.core.request import RequestTable
from discosim.world.arrivals import clock_at
from discosim.world.batch.dispatch import Dispatch, is_later
from discosim.world.batch.phones import Begun, Phones
from discosim.world.batch.service import Asked, Service

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def event_s(now_s: Floats, at_s: Floats) -> Floats:
    """Return when an event comes that is scheduled at ``now_s`` for ``at_s``, as SimPy rounds it."""
    due_s: Floats = now_s + np.maximum(0.0, at_s - now_s)
    return due_s


@dataclass(frozen=True)
class Opening:
    """How all requests of a replication begin; all arrays of shape (n,), ``inf`` where nothing of the kind happens.

    Parameters
    ----------
    now_s : array of float
        The clock on arrival.
    asked : Asked
        Those of ``asks_server``, in order.
    begun : Begun
        Those of ``asks_device``, in order.
    asks_server, asks_device : array of bool
        Who was asked before anybody spoke; a device whose context does not hold the prompt does not count.
    tries_device : array of bool
        Whether the device was asked, be it in vain.
    speaks_s : array of float
        When the first of them speaks.
    is_server : array of bool
        Whether that is the server.
    is_unclear : array of bool
        Who has to go through the world: rejected, refused, failing, too long for the tapes, or with two events in one
        moment.
    """

    now_s: Floats
    asked: Asked
    begun: Begun
    asks_server: Bools
    asks_device: Bools
    tries_device: Bools
    speaks_s: Floats
    is_server: Bools
    is_unclear: Bools


def opening(plan: Dispatch, table: RequestTable, service: Service, phones: Phones, longest_tok: int) -> Opening:
    """Work out how all requests begin, each with its device for itself."""
    n, prompt_tok, output_tok = len(table), table.prompt_tok, table.output_tok
    now_s = clock_at(table.arrival_s)
    is_unclear = table.rejected | (output_tok > longest_tok)
    server_after_s, device_after_s = plan.server_after_s, plan.device_after_s
    holds = phones.holds(prompt_tok)
    if not holds.all():  # such a device refuses at once
        is_first = device_after_s == 0.0
        refuses = is_first & ~holds
        server_after_s = np.where(refuses & plan.falls_back, 0.0, server_after_s)
        is_unclear |= refuses & (server_after_s > 0.0)
    # who is asked later is asked only if the first is silent until then
    device_s, server_s = now_s + device_after_s, now_s + server_after_s
    everybody = np.arange(n)
    spoken_s = {"server": np.full(n, np.inf), "device": np.full(n, np.inf)}

    def ask_server(mask: Bools) -> Asked:
        who = everybody[mask]
        asked = service.ask(who, np.zeros(who.size, dtype=np.int64), server_s[who], prompt_tok[who], output_tok[who])
        spoken_s["server"][who] = event_s(server_s[who], service.first_arrival_s(asked))
        return asked

    def begin_device(mask: Bools) -> Begun:
        who = everybody[mask]
        begun = phones.begin(who, np.zeros(who.size, dtype=np.int64), device_s[who], prompt_tok[who], output_tok[who])
        spoken_s["device"][who] = event_s(device_s[who], begun.prefill_end_s)
        return begun

    is_mine = ~table.rejected & (output_tok <= longest_tok)
    if is_later(server_after_s):
        asks_device = is_mine & holds & (device_after_s < np.inf)
        begun = begin_device(asks_device)
        asks_server, tie = _joins(server_after_s, server_s, spoken_s["device"])
        asks_server &= is_mine
        asked = ask_server(asks_server)
        tries_device = is_mine & (device_after_s < np.inf)
        is_unclear |= tie
    else:
        asks_server = is_mine & (server_after_s < np.inf)
        asked = ask_server(asks_server)
        tries_device, tie = _joins(device_after_s, device_s, spoken_s["server"])
        tries_device &= is_mine
        asks_device = tries_device & holds
        begun = begin_device(asks_device)
        is_unclear |= tie
    refused = service.refuses(0) if asks_server.any() else None
    if refused is not None:
        is_unclear |= refused & asks_server
    of_server_s, of_device_s = spoken_s["server"], spoken_s["device"]
    is_unclear |= of_server_s == of_device_s  # a dead heat, or nobody speaks
    return Opening(
        now_s,
        asked,
        begun,
        asks_server,
        asks_device,
        tries_device,
        np.minimum(of_server_s, of_device_s),
        of_server_s < of_device_s,
        is_unclear,
    )


def _joins(after_s: Floats, at_s: Floats, first_speaks_s: Floats) -> tuple[Bools, Bools]:
    """Return who asks the second endpoint at ``at_s`` as the first is silent, and where both fall into one moment."""
    waits = (after_s > 0.0) & (after_s < np.inf)
    return (after_s == 0.0) | (waits & (first_speaks_s > at_s)), waits & (first_speaks_s == at_s)
