"""Continuity pace: the cloud's tokens are shown at the device's speed, so that the hand-over changes nothing.

Source: our reconstruction, second law (the paper's own law is not public).
"""

from __future__ import annotations

from discosim.policies.pacers.base import Floats, Outlook, spaced, then_device


class ContinuityPacer:
    """Show all tokens at the device's decode speed."""

    def display_s(self, arrival_s: Floats, n_cloud: int, outlook: Outlook) -> Floats:
        """Return when each token is shown."""
        interval_s = max(outlook.device_gap_s, outlook.cloud_gap_s)
        head_s = spaced(arrival_s[:n_cloud], interval_s)
        return then_device(head_s, arrival_s[n_cloud:], interval_s, outlook)
