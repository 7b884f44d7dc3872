"""Services shaped to what is known of the paper's: `python experiments/disco/shaped.py` writes series/*.csv again.

All that is known is that GPT-4o-mini answers after about 0.3 s and takes several seconds under high load (secondary
source). Everything else here is assumed: a log-normal body, rare independent spikes, and three medians, so that
conclusions can be seen to hold, or not, over the range.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

HEADER = "hour_utc,model,status,ttft_ms,latency_ms,token_count"
N = 2000
SIGMA, SPIKE_SHARE, SPIKE_MEAN_S = 0.4, 0.04, 2.5
TPOT_S, ANSWER_TOK = 0.02, 129
MEDIANS_S = {"shaped-0.3s": 0.3, "shaped-0.6s": 0.6, "shaped-1.2s": 1.2}


def series(median_s: float) -> str:
    """Return one service as a CSV in the format of the OpenRouter probes.

    TTFTs are the log-normal body at N even quantiles, with a spike added to every 25th, in a fixed shuffled order.
    """
    from scipy.special import ndtri

    body_s = median_s * np.exp(SIGMA * ndtri((np.arange(N) + 0.5) / N))
    n_spikes = round(SPIKE_SHARE * N)
    spikes_s = -SPIKE_MEAN_S * np.log1p(-(np.arange(n_spikes) + 0.5) / n_spikes)
    order = np.argsort((np.arange(N) * 0.6180339887498949) % 1.0, kind="stable")
    ttft_s = body_s[order]
    ttft_s[:: N // n_spikes] += spikes_s[np.argsort((np.arange(n_spikes) * 0.6180339887498949) % 1.0, kind="stable")]
    ttft_ms = np.round(1000.0 * ttft_s)
    latency_ms = ttft_ms + 1000.0 * TPOT_S * (ANSWER_TOK - 1)
    rows = (f"0,shaped,ok,{a:.0f},{b:.0f},{ANSWER_TOK}" for a, b in zip(ttft_ms, latency_ms, strict=True))
    return "\n".join((HEADER, *rows)) + "\n"


def main() -> None:
    """Write all series."""
    folder = Path(__file__).parent / "series"
    folder.mkdir(exist_ok=True)
    for name, median_s in MEDIANS_S.items():
        (folder / f"{name}.csv").write_text(series(median_s), encoding="utf-8")


if __name__ == "__main__":
    main()
