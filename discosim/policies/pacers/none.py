"""No controller: tokens are shown as they arrive, a burst at the cloud's speed and then a gap. The ablation."""

from __future__ import annotations

from discosim.policies.pacers.base import Floats, Outlook


class NoPacer:
    """Show tokens on arrival."""

    def display_s(self, arrival_s: Floats, n_cloud: int, outlook: Outlook) -> Floats:  # noqa: ARG002 - same for all
        """Return the arrivals."""
        return arrival_s.copy()
