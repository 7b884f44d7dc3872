"""A device that decodes on a KV cache it was sent: no prefill of its own, and a first token after one decode step."""

from __future__ import annotations

from discosim.world.device import Device, DeviceStream
from discosim.world.noise import NONE, Noise
from discosim.world.session import Session


def adopt(session: Session, after_token: int) -> AdoptingStream:
    """Let the device decode after token ``after_token`` on a KV cache that it has received in full."""
    device = session.setting.fleet.device_of(session.user_id)
    noise = session.setting.fleet.noise_of(session.card)
    stream = AdoptingStream(device, after_token + 1, session.card.output_tok - after_token, noise)
    device.take(stream)
    session.take(stream)
    return stream


class AdoptingStream(DeviceStream):
    """A device stream whose prompt somebody else has prefilled; the cache must be there when it starts.

    Source: our choice. What receiving and storing the cache costs the device's battery is not public and left out.
    """

    __slots__ = ()

    def __init__(self, device: Device, first_token: int, n_tok: int, noise: Noise = NONE) -> None:
        # a stall lies in the prefill, which somebody else has done
        super().__init__(device, 0, first_token, n_tok, noise._replace(stall_s=0.0))

    def _first_work_s(self) -> float:
        return self.gap_s * self._first
