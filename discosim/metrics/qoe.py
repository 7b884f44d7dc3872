"""Quality of experience of a streamed answer, as Andes defines it, in three forms.

All forms compare the consumption curve ``c_i`` of the reader with an ideal line: first token at the TTFT
target ``tau``, then one token per ``delta = 1/r``, so ``T_i = tau + (i - 1) delta``. 1 means never late; 0
means that nothing useful came.
"""

from __future__ import annotations

import numpy as np

from discosim.metrics.reading import Floats, Reading


def qoe_andes(reading: Reading) -> Floats:
    """Return the QoE of Andes v2 of every answer, in [0, 1].

    ``QoE = 1 - S_delay/S_whole`` with ``S_delay = sum(c_i - T_i)``, ``S_whole = sum(c_n - T_i)`` and the
    consumption curve ``c_i = max(delivery_i, c_{i-1} + delta)`` clamped to the ideal line. It equals the
    area form of v1 when both curves are staircases.

    Notes
    -----
    Source: Andes (arXiv 2404.16283) v2, QoE definition, read in secondary sources that agree with the
    authors' code (one prints another S_whole, which contradicts its own text). A one-token answer has
    S_whole = S_delay, so any lateness would give 0; it is closed at ``c_n + delta`` instead (our choice).
    """
    return _area_form(reading, np.where(reading.n_tok == 1, reading.interval_s, 0.0))


def qoe_andes_continuous(reading: Reading) -> Floats:
    """Return the QoE of Andes v2 with the end point ``c_n + delta``.

    Source: our variant of :func:`qoe_andes`, in which the last token takes its reading time too; it needs
    no special case for one-token answers.
    """
    return _area_form(reading, reading.interval_s)


def qoe_andes_code(reading: Reading) -> Floats:
    """Return the QoE that the authors' code computes, in [0, 1].

    The running curve is charged one token late: ``a_1 = delivery_1``, ``a_{i+1} = max(delivery_i, a_i +
    delta)``, ``gap = sum(max(0, a_i - T_i))``, ``QoE = min(1, 1 - gap/(n (a_{n+1} - tau) - n^2 delta/2))``.

    Source: first author's vLLM fork, ``qoe_tracker.py``, final form.
    """
    n, delta = reading.n_tok, reading.interval_s
    end = np.maximum(reading.last_s, reading.first_s + n * delta)
    return _one_minus_ratio(
        reading.delay_lagged_s, n * (end - reading.ttft_target_s) - n.astype(np.float64) ** 2 * delta / 2.0
    )


def _area_form(reading: Reading, closing_s: Floats) -> Floats:
    """Return 1 - S_delay/S_whole with the end point ``c_n + closing_s``.

    Clamping ``c_n`` to the ideal line needs no code: one late token makes all later ones late too.
    """
    steps = (reading.n_tok - 1) * reading.interval_s
    end = reading.last_s - reading.ttft_target_s + closing_s
    return _one_minus_ratio(reading.delay_s, reading.n_tok * (end - steps / 2.0))


def _one_minus_ratio(delay: Floats, whole: Floats) -> Floats:
    """Return 1 - delay/whole, and 1 where nothing was late (``whole`` may then be zero or negative)."""
    ratio = np.divide(delay, whole, out=np.zeros_like(delay), where=delay > 0)
    return np.clip(1.0 - ratio, 0.0, 1.0)
