"""Tokens of planned requests that are over, as `shown` lays them out: what came before a hand-over, and after it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from discosim.core.timeline import Ragged, offsets_of
from discosim.core.timelines import Segments
from discosim.world.batch.flat import Rows, ramps
from discosim.world.batch.phones import Begun
from discosim.world.dispatched.over import Over
from discosim.world.dispatched.pending import DEVICE, SERVER
from discosim.world.dispatched.planned import Planned
from discosim.world.engine_batch import delivered, raised_rows
from discosim.world.link import Link

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
NAMES = ("server", "device")


def served(over: Over) -> Bools:
    """Tell who was given an answer."""
    outcome = over.outcome
    is_served: Bools = (outcome == SERVER) | (outcome == DEVICE)
    return is_served


def segments(over: Over, planned: Planned) -> Segments:
    """Return who has shown which tokens."""
    output_tok = planned.table.output_tok[over.row]
    changes = ((over.goes_to == SERVER) | (over.goes_to == DEVICE)) & (over.goes_to != over.speaker)  # else it is back
    held = np.stack((served(over), changes), axis=1)
    code = np.stack((over.speaker, over.goes_to), axis=1) - SERVER
    last = np.stack((np.where(changes, over.after_tok, output_tok), output_tok), axis=1)
    first = np.ones_like(last)
    first[:, 1] += over.after_tok
    return Segments(NAMES, ("", ""), code[held], first[held], last[held], offsets_of(held.sum(axis=1)))


def tokens(over: Over, planned: Planned, link: Link) -> tuple[Ragged, Ragged]:
    """Return when each token that was shown was made, and when it arrived."""
    table, m = planned.table, len(over)
    goes = over.goes_to > 0
    arrival_s, output_tok = table.arrival_s[over.row], table.output_tok[over.row]
    by_server = np.flatnonzero((over.speaker == SERVER) | (over.goes_to == SERVER))
    by_device, by_device_after = (np.flatnonzero(who == DEVICE) for who in (over.outcome, over.goes_to))
    device_s = _device_s(over, planned, by_device, np.where(goes, over.after_tok, output_tok)[by_device])
    device_s = raised_rows(device_s, arrival_s[by_device])
    server_s = Ragged(over.made_s.values, offsets_of(over.made_s.sizes()[by_server]))  # others have no tokens
    shown_s = delivered(server_s, table.user_id[over.row[by_server]], link)
    rest = Rows((output_tok - over.after_tok)[by_device_after])
    rest_s = ramps(rest, over.rest_gap_s[by_device_after], over.rest_end_s[by_device_after])
    made_after_s = shown_after_s = Ragged(rest_s, rest.offsets)
    if goes.any():  # what comes after a hand-over comes after the last token before it
        before_s = np.zeros(m)
        before_s[by_device] = device_s.values[device_s.offsets[1:] - 1]
        shown_s = raised_rows(shown_s, np.where(over.speaker == SERVER, arrival_s, before_s)[by_server])
        is_first = over.speaker[by_server] == SERVER
        before_s[by_server[is_first]] = shown_s.values[shown_s.offsets[1:] - 1][is_first]
        made_after_s = raised_rows(made_after_s, arrival_s[by_device_after])
        shown_after_s = raised_rows(shown_after_s, before_s[by_device_after])
    else:
        shown_s = raised_rows(shown_s, arrival_s[by_server])
    server_s = raised_rows(server_s, arrival_s[by_server])
    place = np.full((m, 2), by_server.size + by_device.size + by_device_after.size)  # nothing: the last row
    place[by_server, np.where(over.speaker[by_server] == SERVER, 0, 1)] = np.arange(by_server.size)
    place[by_device, 0] = by_server.size + np.arange(by_device.size)
    place[by_device_after, 1] = by_server.size + by_device.size + np.arange(by_device_after.size)
    parts = ([server_s, device_s, made_after_s], [shown_s, device_s, shown_after_s])
    made_s, arrives_s = (
        _laid([*part, Ragged(np.empty(0), np.zeros(2, dtype=np.int64))], place, goes) for part in parts
    )
    return made_s, arrives_s


def _device_s(over: Over, planned: Planned, rows: Ints, n_tok: Ints) -> Ragged:
    """Return when devices have made the first tokens of some answers."""
    ids = over.row[rows]
    begun = Begun(ids, n_tok, over.begin_s[rows], over.prefill_end_s[rows], planned.gap_s[ids])
    values_s, places = begun.tokens()
    return Ragged(values_s, places.offsets)


def _laid(parts: list[Ragged], place: Ints, goes: Bools) -> Ragged:
    """Put the two halves of each row behind each other; ``place`` says where each lies among all parts."""
    if not goes.any():
        return Ragged.interleaved(parts, place[:, 0])
    halves = Ragged.interleaved(parts, place.ravel())
    return Ragged(halves.values, halves.offsets[::2].copy())
