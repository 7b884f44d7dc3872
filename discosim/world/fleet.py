"""The users' devices as an endpoint: each user's own, made when somebody first asks it for something."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import simpy
from numpy.typing import NDArray

from discosim.core.request import RequestTable
from discosim.world.battery import Charge
from discosim.world.cards import Card
from discosim.world.device import Device, DeviceStream
from discosim.world.device_profile import DeviceProfile
from discosim.world.endpoint import Ask, Role
from discosim.world.luck import Luck
from discosim.world.noise import NONE, Noise, Noises
from discosim.world.stream import Stream

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Kinds = Sequence[tuple[DeviceProfile, float]]
"""Kinds of devices and their shares of the users; shares need not sum to one."""
MOST_ATTEMPTS = 255
"""Streams of one request on its device that have luck of their own; later ones meet that of this one."""


class Fleet:
    """Starts streams at the users' devices.

    Attributes
    ----------
    counts_waiting : bool
        Whether what a phone takes while it waits and receives counts for some kind of device.
    """

    name = "device"
    role: Role = "device"
    max_candidates = 0

    def __init__(self, env: simpy.Environment, kinds: Kinds, n_users: int, luck: Luck, user_id: Ints) -> None:
        self._env = env
        self._kinds = kinds
        self._kind_of = fleet_index(kinds, n_users, luck)
        self._devices: dict[int, Device] = {}
        self._noises = [_noises(profile, kind, user_id, luck) for kind, (profile, _) in enumerate(kinds)]
        self.counts_waiting = any(profile.waiting is not None for profile, _ in kinds)
        self._n_asked = bytearray(user_id.size)  # how often each request has asked its device

    def profile_of(self, user_id: int) -> DeviceProfile:
        """Return the device profile of a user."""
        return self._kinds[self._kind_of[user_id]][0]

    def device_of(self, user_id: int) -> Device:
        """Return the device of a user."""
        device = self._devices.get(user_id)
        if device is None:
            device = self._devices[user_id] = Device(self._env, self.profile_of(user_id))
        return device

    def start(self, ask: Ask) -> DeviceStream:
        """Take a stream on, or queue it; it fails at once where its prompt does not fit or the battery is low."""
        device = self.device_of(ask.card.user_id)
        stream = DeviceStream(device, ask.prompt_tok, ask.first_token, ask.n_tok, self.noise_of(ask.card))
        device.take(stream)
        return stream

    def charges(self) -> list[Charge | None]:
        """Return the battery of every user, also of those who never asked; empty where no kind of device has one."""
        if all(profile.battery is None for profile, _ in self._kinds):
            return []
        return [self.device_of(user).charge for user in range(len(self._kind_of))]

    def waiting_j(self, card: Card, end_s: float, streams: Iterable[Stream]) -> float:
        """Return what screen and radio of its user's phone take for a request that is closed, in J.

        Parameters
        ----------
        card : Card
            The request.
        end_s : float
            When its last token had come, or it was given up.
        streams : iterable of Stream
            All of its streams.
        """
        if self.profile_of(card.user_id).waiting is None:
            return 0.0
        device = self.device_of(card.user_id)
        assert device.phone is not None
        joules = device.phone.takes(card.arrival_s, end_s, [s for s in streams if s.endpoint != self.name])
        if device.charge is not None:
            device.charge.pay(joules)
        return joules

    def waiting_total_j(self) -> dict[int, float]:
        """Return what screens and radios took in all, by user."""
        phones = {user: device.phone for user, device in self._devices.items()}
        return {user: phone.total_j() for user, phone in phones.items() if phone is not None}

    def noise_of(self, card: Card) -> Noise:
        """Return the noise of a request's next stream on its user's device; each one has its own."""
        noises = self._noises[self._kind_of[card.user_id]]
        if noises is None:
            return NONE
        attempt = self._n_asked[card.request_id]
        self._n_asked[card.request_id] = min(attempt + 1, MOST_ATTEMPTS)
        return noises.of(card.request_id, attempt)

    @property
    def kinds(self) -> Kinds:
        """Kinds of devices and their shares of the users."""
        return self._kinds

    def kind_of_each(self, user_id: Ints) -> Ints:
        """Return the kinds of the devices of many users, as places in `kinds`."""
        if len(self._kinds) == 1:
            return np.zeros(user_id.size, dtype=np.int64)
        return np.asarray(self._kind_of, dtype=np.int64)[user_id]

    def noise_draws(self, kind: int, attempt: int) -> tuple[Floats, Floats, Floats]:
        """Return what the requests of users of a kind meet, as `Noises.draws` says it; the kind must have noise."""
        noises = self._noises[kind]
        assert noises is not None
        return noises.draws(attempt)

    def costs(self, user_id: int, prompt_tok: float, output_tok: float) -> tuple[float, float]:
        """Return the energy of work on a user's device, in J; it has no price in USD."""
        profile = self._kinds[self._kind_of[user_id]][0]
        return 0.0, prompt_tok * profile.prefill_j_per_tok + output_tok * profile.decode_j_per_tok

    def load(self, user_id: int) -> None:
        """Return nothing: what a client sees of its device is `Device.is_busy`."""

    def figures(self, span_s: float) -> None:
        """Return nothing: nobody counts what all devices do together."""

    def foreseen_ttft_s(self, table: RequestTable) -> Floats:
        """Return the TTFT of every request on an idle and cool device, by its true draws.

        ``inf`` where its prompt does not fit the context. Batteries are taken to be full.
        """
        ttft_s = np.empty(len(table))
        kind_of = np.asarray(self._kind_of)[table.user_id]
        for kind, (profile, _) in enumerate(self._kinds):
            mine = kind_of == kind
            ttft_s[mine] = profile.prefill_array_s(table.prompt_tok[mine])
            if (noises := self._noises[kind]) is not None:
                ratio, _, stall_s = noises.draws(0)
                ttft_s[mine] = stall_s[mine] + ttft_s[mine] * ratio[mine]
            if profile.max_context_tok is not None:
                ttft_s[mine & (table.prompt_tok > profile.max_context_tok)] = np.inf
        return ttft_s

    def foreseen_noise(self, table: RequestTable) -> list[Noise] | None:
        """Return what every request meets when it first asks its device; None where nobody meets anything.

        For clairvoyant policies and tests only.
        """
        if not any(self._noises):
            return None
        kinds = (self._noises[self._kind_of[user]] for user in table.user_id.tolist())
        return [NONE if noises is None else noises.of(i, 0) for i, noises in enumerate(kinds)]


def _noises(profile: DeviceProfile, kind: int, user_id: Ints, luck: Luck) -> Noises | None:
    """Return the noise of one kind, shared by all policies of the replication."""
    residual = profile.residual
    if residual is None:
        return None
    return luck.shared(f"device.noise.{kind}", lambda streams: Noises(residual, kind, user_id, streams))


def fleet_index(fleet: Kinds, n_users: int, luck: Luck) -> list[int]:
    """Give every user a device kind, drawn by the shares from the stream ``fleet``."""
    if len(fleet) == 1:
        return [0] * n_users
    shares = np.array([share for _, share in fleet])
    edges = np.cumsum(shares / shares.sum())[:-1]
    draws = luck.streams.generator("fleet").random(n_users)
    return [int(k) for k in np.searchsorted(edges, draws, side="right")]
