"""Every answer comes from the user's own device."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from discosim.policies.base import Policy
from discosim.world.batch.dispatch import Arriving, Coins, Dispatch, only

if TYPE_CHECKING:
    from discosim.policies.view import View
    from discosim.world.session import Session


@dataclass(kw_only=True)
class DeviceOnly(Policy):
    """Run every request on the device; what does not fit its context fails."""

    kind: ClassVar[str] = "device_only"
    paper: ClassVar[str] = "Baseline 'llama.cpp' of DiSCo (arXiv 2502.11417), name recollected."
    departures: ClassVar[str] = "None known."

    def plan(self, view: View, requests: Arriving, coins: Coins) -> Dispatch:  # noqa: ARG002 - as every policy
        """Ask the device for everything."""
        return only(np.zeros(len(requests), dtype=np.bool_))

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Serve one request on the device."""
        device = session.start("device")
        if (yield session.first_token_of(device)) is None:
            session.fail()
            return
        session.keep(device)
        yield session.finished()
