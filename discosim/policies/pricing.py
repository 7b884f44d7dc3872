"""A price on the cloud's slots, set again window by window from what arrived in the window before.

Source: our reconstruction; that P/D-Device's settings are chosen in real time and from traces is second-hand, the
algorithm is not public.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from discosim.world.device_profile import DeviceProfile

Asked = tuple[DeviceProfile, int]


@dataclass
class Windows:
    """Requests counted in windows of equal length; only windows that are over can be seen.

    Parameters
    ----------
    length_s : float
        Length of a window, > 0.
    """

    length_s: float
    _number: int = field(init=False, default=0)
    _asked: list[Asked] = field(init=False, default_factory=list)

    def enter(self, now_s: float) -> Sequence[Asked] | None:
        """Return what was asked in the window before the present one if a window has ended; else None.

        After a pause longer than a window that is nothing at all.
        """
        number = int(now_s // self.length_s)
        if number == self._number:
            return None
        before = self._asked if number == self._number + 1 else []
        self._number, self._asked = number, []
        return before

    def note(self, profile: DeviceProfile, prompt_tok: int) -> None:
        """Count a request of the present window."""
        self._asked.append((profile, prompt_tok))
