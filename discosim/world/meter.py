"""What an answer costs: money at the server, energy on the device, and both as one number."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Meter:
    """Prices of both endpoints.

    Parameters
    ----------
    prompt_usd_per_tok, output_usd_per_tok : float
        Server prices, >= 0.
    exchange_rate_usd_per_j : float
        What a joule of device energy is worth, >= 0. Source: DiSCo's user-tunable exchange rate (secondary source).

    Notes
    -----
    Unified cost = server money + exchange rate * device energy; every processed token counts, shown or not.
    """

    prompt_usd_per_tok: float
    output_usd_per_tok: float
    exchange_rate_usd_per_j: float

    def server_usd(self, prompt_tok: float, output_tok: float) -> float:
        """Return the server bill in USD."""
        return prompt_tok * self.prompt_usd_per_tok + output_tok * self.output_usd_per_tok

    def unified_usd(self, server_usd: float, device_j: float) -> float:
        """Return the unified cost in USD."""
        return server_usd + self.exchange_rate_usd_per_j * device_j


FREE = Meter(0.0, 0.0, 0.0)
