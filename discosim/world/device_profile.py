"""What a kind of device is: speeds, energies, context, and what changes them while it works."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.device_law import Heat, Residual
from discosim.core.scenario import Battery, ColdStart, Throttle, Waiting

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DeviceProfile:
    """Speed and energy of one kind of device running one model.

    Parameters
    ----------
    name : str
        Name of the profile.
    prefill_s_per_tok, prefill_intercept_s : float
        Prefill time per prompt token and fixed part, in s, >= 0. Source: device TTFT is linear in prompt length
        (DiSCo, secondary source; iPhone regressions r = 0.88 to 0.98, measured).
    chunk_tok : int or None
        Prompt tokens of one fixed prefill graph; the prompt is rounded up to whole chunks. None for none.
        Source: Qualcomm AI Hub figures read as 128-token chunks (inferred, see the profile's card).
    decode_tok_per_s : float
        Decode rate, > 0.
    prefill_j_per_tok, decode_j_per_tok : float
        Energy per processed prompt token and per decoded token, in J, >= 0.
    max_context_tok : int or None
        Longest prompt, tokens that another endpoint wrote included; None for no limit. The device's own answer is not
        counted (our choice).
    throttle : Throttle or None
        Thermal model. Source: two speeds, our choice, the simplest shape that shows the measured drop of phones
        under back-to-back runs (arXiv 2603.23640: 40.4 to 22.6 tok/s).
    cold_start : ColdStart or None
        Loading the model before the first request and after idle times. No policy foresees it, and its energy is not
        counted. Source: our choice; runtimes drop idle models (Ollama's ``keep_alive``, 5 minutes by default).
    battery : Battery or None
        A battery that runs down; None for one that never does.
    waiting : Waiting or None
        Power of screen and radio while it waits and receives; None where that is not counted.
    residual : Residual or None
        How measured times differ from the line; None for a device that always keeps to it. No policy foresees a draw.
    heat : Heat or None
        Thermal model with a state of its own, in place of `throttle`. Source: see `Heat`.
    heat_at_start : float
        Heat at time 0, in [0, 1].
    """

    name: str
    prefill_s_per_tok: float
    decode_tok_per_s: float
    prefill_intercept_s: float = 0.0
    chunk_tok: int | None = None
    prefill_j_per_tok: float = 0.0
    decode_j_per_tok: float = 0.0
    max_context_tok: int | None = None
    throttle: Throttle | None = None
    cold_start: ColdStart | None = None
    battery: Battery | None = None
    waiting: Waiting | None = None
    residual: Residual | None = None
    heat: Heat | None = None
    heat_at_start: float = 0.0

    def __post_init__(self) -> None:
        if self.throttle is not None and self.heat is not None:
            raise ValueError(f"device '{self.name}': throttle and heat are two models of one thing; give one")

    @property
    def first(self) -> float:
        """Time of a first request after a start over that of a later one, >= 1."""
        return 1.0 if self.residual is None else self.residual.first

    @property
    def has_memory(self) -> bool:
        """Whether what it did before can change the time that a request takes."""
        memories = (self.throttle, self.heat, self.cold_start)
        return any(memory is not None for memory in memories) or self.first > 1.0

    def holds(self, n_tok: float) -> bool:
        """Tell whether ``n_tok`` tokens fit the context, before the device generates its own."""
        return self.max_context_tok is None or n_tok <= self.max_context_tok

    def prefill_s(self, n_tok: float) -> float:
        """Return the time to the first token of ``n_tok`` prompt tokens by the line, in s.

        That is what a policy may know: of an idle and cool device with the model loaded, without its noise.
        """
        if self.chunk_tok is not None:
            n_tok = math.ceil(n_tok / self.chunk_tok) * self.chunk_tok
        return self.prefill_intercept_s + self.prefill_s_per_tok * n_tok

    def prefill_array_s(self, n_tok: NDArray[Any]) -> Floats:
        """Return :meth:`prefill_s` of many lengths."""
        if self.chunk_tok is not None:
            n_tok = np.ceil(n_tok / self.chunk_tok) * self.chunk_tok
        return self.prefill_intercept_s + self.prefill_s_per_tok * n_tok
