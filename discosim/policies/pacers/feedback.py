"""Buffer feedback: before every token the time to the hand-over is shared out over what is there and still promised.

tau_k = smoothed((H - D_k) / (K - k)), clipped to [t_cloud, tau_max]; D_(k+1) = max(A_(k+1), D_k + tau_k).

Source: our reconstruction, third law (the paper's own law is not public); the weight of the low-pass is our choice.
"""

from __future__ import annotations

import numpy as np

from discosim.policies.pacers.base import Floats, Outlook, then_device

WEIGHT = 0.25  # of the newest interval in the smoothed one


class FeedbackPacer:
    """Adapt the pace to what the buffer holds."""

    def display_s(self, arrival_s: Floats, n_cloud: int, outlook: Outlook) -> Floats:
        """Return when each token is shown; one step per token of the cloud."""
        promised = max(outlook.cloud_tok, 1)
        smooth_s = self._clip((outlook.hand_over_s - float(arrival_s[0])) / promised, outlook)
        shown = [float(arrival_s[0])]
        for k, arrived_s in enumerate(arrival_s[1:n_cloud].tolist(), start=1):
            left = max(promised - k + 1, 1)
            wanted_s = self._clip((outlook.hand_over_s - shown[-1]) / left, outlook)
            smooth_s += WEIGHT * (wanted_s - smooth_s)
            shown.append(max(arrived_s, shown[-1] + smooth_s))
        return then_device(np.array(shown), arrival_s[n_cloud:], smooth_s, outlook)

    @staticmethod
    def _clip(interval_s: float, outlook: Outlook) -> float:
        return max(outlook.cloud_gap_s, min(interval_s, outlook.limit_s))
