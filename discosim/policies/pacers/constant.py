"""Constant pace: the cloud's tokens are spread evenly up to the expected hand-over.

tau = clip((H - A_1) / K, t_cloud, tau_max), fixed when the first token arrives.

Source: our reconstruction, first law (the paper's own law is not public).
"""

from __future__ import annotations

from discosim.policies.pacers.base import Floats, Outlook, spaced, then_device


class ConstantPacer:
    """Show the cloud's tokens at one pace."""

    def interval_s(self, first_s: float, outlook: Outlook) -> float:
        """Return the interval chosen at the first token."""
        even_s = (outlook.hand_over_s - first_s) / outlook.cloud_tok
        return max(outlook.cloud_gap_s, min(even_s, outlook.limit_s))

    def display_s(self, arrival_s: Floats, n_cloud: int, outlook: Outlook) -> Floats:
        """Return when each token is shown."""
        interval_s = self.interval_s(float(arrival_s[0]), outlook)
        head_s = spaced(arrival_s[:n_cloud], interval_s)
        return then_device(head_s, arrival_s[n_cloud:], interval_s, outlook)
