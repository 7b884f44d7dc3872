"""From where the times of a log count is told by the waits of those who came while others were served."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from discosim.calibrate.stamps import is_stamped_at_look
from discosim.traces.server_log import ServerLog

N, TOKEN_S = 40, 0.02


def log_of(queue_s: np.ndarray, *, gap_s: float = 0.1) -> ServerLog:
    """Return requests every ``gap_s``, each of 51 tokens of 20 ms: ten are there at once."""
    n_tok = np.full(N, 51)
    ttft_s = queue_s + 0.05
    return ServerLog(
        arrival_s=gap_s * np.arange(N),
        prompt_tok=np.full(N, 100),
        output_tok=n_tok,
        ttft_s=ttft_s,
        e2e_s=ttft_s + TOKEN_S * (n_tok - 1),
        queue_s=queue_s,
        name="log",
        format="plain",
    )


AT_LOOK = np.full(N, 1e-5)
ON_ARRIVAL = TOKEN_S * (np.arange(N) * 0.37 % 1.0)
"""Spread over an iteration: one in 50 waits for less than a fiftieth of it."""
FULL = np.where(np.arange(N) % 2, 7.0, 0.0)
"""A server that is full for half of them: the others tell."""


@pytest.mark.parametrize(
    ("queue_s", "is_at_look"),
    [
        (AT_LOOK, True),
        (ON_ARRIVAL, False),
        (AT_LOOK + FULL, True),
        (ON_ARRIVAL + FULL, False),
        (np.full(N, np.nan), False),
        (np.where(np.arange(N) < 5, AT_LOOK, 7.0), False),  # the first found nobody, so four are left: too few
    ],
    ids=["at the look", "on arrival", "at the look, full", "on arrival, full", "not logged", "too few"],
)
def test_waits_tell_where_a_request_is_stamped(queue_s: np.ndarray, is_at_look: bool) -> None:
    assert is_stamped_at_look(log_of(queue_s)) == is_at_look


def test_who_finds_an_empty_server_tells_nothing() -> None:
    assert not is_stamped_at_look(log_of(AT_LOOK, gap_s=10.0))


def test_without_times_per_token_nothing_is_told() -> None:
    log = log_of(AT_LOOK)
    assert not is_stamped_at_look(replace(log, output_tok=np.ones(N, dtype=int)))
