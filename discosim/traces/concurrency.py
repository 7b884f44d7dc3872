"""What a load test says of each concurrency: means and quantiles, where requests or their arrivals are missing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from discosim.core.errors import UserError
from discosim.core.json_text import read_json
from discosim.traces.readers.base import Floats, LatencySeries
from discosim.traces.readers.registry import read_latency_groups
from discosim.traces.readers.source import read_bytes, read_head

_MARK = re.compile(rb'"results_(ttft_s|end_to_end_latency_s)')
_NAN = float("nan")
_NO_REQUESTS = (
    "Figures of a whole test, not single requests: there are no arrivals, and of the time per token only the mean is "
    "known, from the means of the whole time, the TTFT and the tokens."
)


@dataclass(frozen=True)
class Spread:
    """Mean, median and 99th percentile of one quantity; NaN where the file does not say it."""

    mean: float = _NAN
    p50: float = _NAN
    p99: float = _NAN


@dataclass(frozen=True, kw_only=True)
class ConcurrencySummary:
    """Figures of one test with so many requests in flight; they are no requests, and have no arrivals.

    Parameters
    ----------
    concurrency : int
        Requests that the load generator kept in flight.
    n : int
        Requests that were completed.
    n_failed : int
        Requests that failed.
    ttft_s, tpot_s, e2e_s : Spread
        Time to the first token, per token after the first, and to the last, in s. TPOT has a mean alone where the file
        has summaries: (mean e2e - mean ttft) / (mean output - 1), which is exact for answers of one length.
    e2e_per_tok_s : Spread
        Whole time over the tokens of the answer, TTFT included: what llmperf calls inter-token latency.
    prompt_tok, output_tok : Spread
        Lengths; the p99 of a file without it is NaN.
    output_tok_per_s, requests_per_s : float
        Throughput of the whole test; NaN where not known.
    is_waves : bool
        Whether all requests of a wave are awaited before the next wave is sent (llmperf's way).
    model : str
        As the file names it, or ''.
    name : str
        Of the file, for messages.
    warnings : tuple of str
        What a reader of results must know, as sentences.
    """

    concurrency: int
    n: int
    n_failed: int = 0
    ttft_s: Spread
    tpot_s: Spread
    e2e_s: Spread
    e2e_per_tok_s: Spread
    prompt_tok: Spread
    output_tok: Spread
    output_tok_per_s: float = _NAN
    requests_per_s: float = _NAN
    is_waves: bool = False
    model: str = ""
    name: str = ""
    warnings: tuple[str, ...] = ()


def read_concurrency(
    path: str | PathLike[str], *, concurrency: int | None = None, unit: str = "auto"
) -> tuple[ConcurrencySummary, ...]:
    """Read what a load test says of each concurrency, in rising order.

    Parameters
    ----------
    path : path-like
        llmperf's summaries (``..._summary.json``, or an object of them by concurrency), or any load test with single
        requests.
    concurrency : int, optional
        Requests in flight, where a load test with single requests does not say it.
    unit : str
        What the times of single requests are in; ``auto`` is the format's own.

    Raises
    ------
    UserError
        If the file holds no such figures, or two tests have one concurrency.
    """
    place = Path(path)
    if is_summary(place):
        found = list(_of_llmperf(place))
    else:
        groups = read_latency_groups(place, "auto", unit)
        found = [_of_series(name, series, concurrency, place) for name, series in groups.items() if len(series)]
    found.sort(key=lambda test: test.concurrency)
    for test, after in pairwise(found):
        if test.concurrency == after.concurrency:
            raise UserError(f"holds two tests at concurrency {test.concurrency}; leave one", where=str(place))
    return tuple(found)


def is_summary(path: Path) -> bool:
    """Tell whether a file holds llmperf's figures of whole tests."""
    return _MARK.search(read_head(path)) is not None


def _of_llmperf(place: Path) -> list[ConcurrencySummary]:
    held = read_json(read_bytes(place), where=str(place), is_finite=False)
    runs: Mapping[str, Any] = held if isinstance(held, dict) else {str(i): run for i, run in enumerate(held)}
    if any(str(key).startswith("results_") for key in runs):
        runs = {"": held}
    found = []
    for key, run in runs.items():
        where = f"{place} {key}" if key else str(place)
        if not isinstance(run, dict):
            raise UserError("expected an object with llmperf's results", where=where)
        found.append(_of_summary(run, where, str(place)))
    return found


def _of_summary(run: Mapping[str, Any], where: str, name: str) -> ConcurrencySummary:
    level = _number(run, "num_concurrent_requests", where)
    n = _number(run, "results_num_completed_requests", where)
    for key, value in (("num_concurrent_requests", level), ("results_num_completed_requests", n)):
        if not (value >= 1 and value == int(value)):
            raise UserError(f"expected a whole number of at least 1, got {run.get(key)!r}", where=f"{where} {key}")
    ttft_s, e2e_s = (_spread(run, quantity, where) for quantity in ("ttft_s", "end_to_end_latency_s"))
    output_tok = _spread(run, "number_output_tokens", where)
    for what, spread in (("results_ttft_s_mean", ttft_s), ("results_end_to_end_latency_s_mean", e2e_s)):
        if not spread.mean > 0:
            raise UserError(f"expected a time above 0, got {run.get(what)!r}", where=f"{where} {what}")
    if e2e_s.mean < ttft_s.mean:
        raise UserError(
            f"the mean whole time ({e2e_s.mean:g} s) is below the mean TTFT ({ttft_s.mean:g} s)", where=where
        )
    tpot_s = (e2e_s.mean - ttft_s.mean) / (output_tok.mean - 1) if output_tok.mean > 1 else _NAN
    per_minute = _number(run, "results_num_completed_requests_per_min", where)
    failed = _number(run, "results_number_errors", where)
    model = run.get("model")
    return ConcurrencySummary(
        concurrency=int(level),
        n=int(n),
        n_failed=int(failed) if failed > 0 else 0,
        ttft_s=ttft_s,
        tpot_s=Spread(mean=tpot_s),
        e2e_s=e2e_s,
        e2e_per_tok_s=_spread(run, "inter_token_latency_s", where),
        prompt_tok=_spread(run, "number_input_tokens", where),
        output_tok=output_tok,
        output_tok_per_s=_number(run, "results_mean_output_throughput_token_per_s", where),
        requests_per_s=per_minute / 60.0,
        is_waves=True,
        model=model if isinstance(model, str) else "",
        name=name,
        warnings=(_NO_REQUESTS,),
    )


def _number(run: Mapping[str, Any], key: str, where: str) -> float:
    value = run.get(key)
    if isinstance(value, str):  # llmperf writes the smallest and the largest count as text
        try:
            value = float(value)
        except ValueError:
            raise UserError(f"expected a number, got {run[key][:40]!r}", where=f"{where} {key}") from None
    if value is None:
        return _NAN
    if type(value) not in {int, float}:
        raise UserError(f"expected a number, got {value!r}", where=f"{where} {key}")
    return float(value)


def _spread(run: Mapping[str, Any], quantity: str, where: str) -> Spread:
    names = ("mean", "quantiles_p50", "quantiles_p99")
    return Spread(*(_number(run, f"results_{quantity}_{name}", where) for name in names))


def _of_series(group: str, series: LatencySeries, level: int | None, place: Path) -> ConcurrencySummary:
    level = series.concurrency if series.concurrency is not None else level
    if level is None:
        raise UserError(f"{group}: the file does not say how many requests were in flight; say it", where=str(place))
    if series.prompt_tok is None or series.output_tok is None:
        raise UserError(f"{group}: it has no lengths of prompts and answers", where=str(place))
    output_tok = np.asarray(series.output_tok, dtype=np.float64)
    e2e_s = series.ttft_s + np.where(output_tok > 1, series.tpot_s * (output_tok - 1), 0.0)
    run_s = series.run_s if series.run_s is not None else _NAN
    return ConcurrencySummary(
        concurrency=level,
        n=len(series),
        n_failed=int(series.is_failed.sum()),
        ttft_s=_spread_of(series.ttft_s),
        tpot_s=_spread_of(series.tpot_s),
        e2e_s=_spread_of(e2e_s),
        e2e_per_tok_s=_spread_of(e2e_s / np.maximum(output_tok, 1.0)),
        prompt_tok=_spread_of(np.asarray(series.prompt_tok, dtype=np.float64)),
        output_tok=_spread_of(output_tok),
        output_tok_per_s=float(output_tok.sum()) / run_s,
        requests_per_s=len(series) / run_s,
        is_waves=series.notes.get("format") == "llmperf",
        name=str(place),
        warnings=series.warnings,
    )


def _spread_of(values: Floats) -> Spread:
    seen = values[np.isfinite(values)]
    if not seen.size:
        return Spread()
    return Spread(float(seen.mean()), float(np.percentile(seen, 50)), float(np.percentile(seen, 99)))
