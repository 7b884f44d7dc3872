"""The speed of a device from its rows: line of the first token, time per later token, and what is left beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.device_fit import Bools, Floats, Ints, Line, fit_line, intervals, steps_or_line
from discosim.traces.device_residual import Body, body_of, first_times
from discosim.traces.digest import Provenance
from discosim.traces.readers.device_rows import DeviceRows

LEAST = 3
"""Rows from which a profile is made; two points lie on every line."""
PREFILL_OVER_DECODE = 8.0
"""Prefill speed over decode speed where one of them was not measured. Source: an assumption; the shipped profiles with
both have 4.6 to 11."""
DECODE_RANGE = (1.0, 200.0)
ASSUMED_DECODE_TOK_PER_S = 20.0
DECODE_SHARE = 0.2
"""Share of decoding in the whole time above which the spread of the whole is given to both parts."""


@dataclass
class Found:
    """What was found so far: figures with their status, intervals, what is not identified, and what to say."""

    provenance: dict[str, Provenance] = field(default_factory=dict)
    intervals: dict[str, tuple[float, ...]] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def measured(self, name: str, low: float, high: float, unit: str, n: int) -> None:
        """Note a figure that rows gave."""
        low, high = float(f"{low:.6g}"), float(f"{high:.6g}")
        self.intervals[name] = (low, high)
        self.provenance[name] = Provenance(
            status="measured", source=f"{n:,} rows; 95 % interval {low:.4g} to {high:.4g} {unit}"
        )

    def assumed(self, name: str, why: str, source: str) -> None:
        """Note a figure that the rows do not tell."""
        self.unknown[name] = why
        self.provenance[name] = Provenance(status="assumption", source=source)


@dataclass(frozen=True)
class Speed:
    """The line, the decode rate, and the rows' times over them."""

    line: Line
    gap_s: float
    prefill: Body | None
    decode: Body | None
    n_prefill: int
    excess_s: Floats
    first: float


def first_rows(rows: DeviceRows) -> tuple[Bools, bool]:
    """Return which rows are first ones, and whether the file says so."""
    if rows.says_first or rows.is_summary:
        return rows.is_first, rows.says_first
    first = np.zeros(len(rows), dtype=np.bool_)
    first[np.unique(rows.run.astype(str), return_index=True)[1]] = True
    return first, False


def relative_speed(rows: DeviceRows, speed: Speed) -> Floats:
    """Return the line's time over the measured time of each row, NaN where it says nothing of the device's speed."""
    first_s, later_s = speed.line(rows.prompt_tok), rows.later_tok * speed.gap_s
    whole = (first_s + later_s) / rows.total_s
    relative = np.where(np.isfinite(whole), whole, first_s / rows.ttft_s)
    relative = np.where(np.isfinite(relative), relative, later_s / rows.decode_s)
    is_odd, _ = first_rows(rows)
    return np.where(is_odd | (relative < 1.0 / 8.0), np.nan, relative)


def fit_speed(rows: DeviceRows, factors: Floats, given: float | None, found: Found) -> Speed:
    """Return line, decode rate and bodies from times divided by what heat made of them."""
    ttft_s, decode_s, total_s = rows.ttft_s / factors[0], rows.decode_s / factors[1], rows.total_s / factors[2]
    is_first, is_said = first_rows(rows)
    gap_s, decode = _decode(rows, decode_s, found)
    has_ttft = np.isfinite(ttft_s) & np.isfinite(rows.prompt_tok)
    by_total = np.isfinite(total_s) & np.isfinite(rows.prompt_tok)
    if has_ttft.sum() >= LEAST and has_ttft.sum() >= 0.5 * by_total.sum():
        used, time_s, later = has_ttft, ttft_s, None
    elif by_total.sum() >= LEAST:
        used, time_s = by_total, total_s
        later = np.where(np.isfinite(rows.later_tok), rows.later_tok, 0.0)
    else:
        return _decode_alone(gap_s, decode, found)
    if not (used & ~is_first).any():  # nothing to compare first rows with
        is_first, is_said = np.zeros(len(rows), dtype=np.bool_), False
    body_rows = used & ~is_first if (used & ~is_first).sum() >= LEAST else used
    line, errors = steps_or_line(
        rows.prompt_tok[body_rows], time_s[body_rows], None if later is None else later[body_rows]
    )
    gap_s = _say_line(rows, body_rows, time_s, later, line, errors, gap_s, given, found)
    if later is not None:
        line = _without_answer(line, used, later, gap_s)
    fitted = line(rows.prompt_tok) + (0.0 if later is None else later * gap_s)
    ratio = time_s[used] / np.maximum(fitted[used], 1e-12)
    body = body_of(ratio, rows.run[used], is_first[used], with_stalls=not rows.is_summary)
    stalls_s = (time_s[used] - fitted[used])[body.is_stall]
    if later is not None and decode is None:
        share = float(np.median((later * gap_s)[used] / np.maximum(fitted[used], 1e-12)))
        if share > DECODE_SHARE:
            decode = body
            found.notes.append(
                "Rows hold whole times alone: the spread of the whole was given to prefill and to decoding, drawn "
                "apart, so that the spread of their sum is understated."
            )
    first = first_times(ratio[is_first[used]], body.ratio, is_said=is_said)
    return Speed(line, gap_s, body, decode, int(used.sum()), stalls_s, first)


def _decode(rows: DeviceRows, decode_s: Floats, found: Found) -> tuple[float, Body | None]:
    """Return the time per token after the first, and its body; NaN where rows do not tell it."""
    seen = np.isfinite(decode_s) & (rows.later_tok > 0) & (decode_s > 0)
    if seen.sum() < LEAST and not (rows.is_summary and seen.any()):
        return float("nan"), None
    long_ = seen & (rows.later_tok >= 0.25 * float(np.median(rows.later_tok[seen])))
    gaps = decode_s[long_] / rows.later_tok[long_]
    gap_s = float(np.median(gaps))
    body = body_of(gaps / gap_s, rows.run[long_], np.zeros(gaps.size, dtype=np.bool_), with_stalls=False)
    low, high = intervals(gaps.size, lambda drawn: np.array([1.0 / np.median(gaps[drawn])]), block=block(body))
    found.measured("decode_tok_per_s", float(low[0]), float(high[0]), "tok/s", int(gaps.size))
    return gap_s, body


def block(body: Body) -> int:
    """Return how many neighbours the bootstrap draws together."""
    if not body.has_memory or body.lag1 <= 0:
        return 1
    return max(2, min(round(3.0 / (1.0 - min(body.lag1, 0.95))), body.ratio.size // 5 or 1))


def _decode_alone(gap_s: float, decode: Body | None, found: Found) -> Speed:
    if decode is None:
        raise UserError("too few rows have a time with the length of its prompt, or a decode speed")
    slope = gap_s / PREFILL_OVER_DECODE
    source = f"{PREFILL_OVER_DECODE:g} times the decode speed, an assumption"
    for name in ("prefill_s_per_tok", "prefill_intercept_s"):
        found.assumed(name, "no row has the time of a prompt", source)
    one = Body(np.ones(2), decode.run[:2], np.zeros(2, dtype=np.bool_), 0.0, has_memory=False)
    return Speed(Line(0.0, slope), gap_s, one, decode, 0, np.empty(0), 1.0)


def _say_line(
    rows: DeviceRows,
    used: Bools,
    time_s: Floats,
    later: Floats | None,
    line: Line,
    errors: Mapping[int, float],
    gap_s: float,
    given: float | None,
    found: Found,
) -> float:
    """Note the line's figures with their intervals; return the time per token after the first."""
    tok, times = rows.prompt_tok[used], time_s[used]
    own_later = None if later is None else later[used]
    n = int(used.sum())
    is_flat = np.ptp(tok) == 0
    fitted = line(tok, 0.0 if own_later is None else own_later)
    body = body_of(times / np.maximum(fitted, 1e-12), rows.run[used], np.zeros(n, dtype=np.bool_))

    def figures(drawn: Ints) -> Floats:
        if np.ptp(tok[drawn]) == 0 and not is_flat:
            return np.full(3, np.nan)
        held = fit_line(
            tok[drawn], times[drawn], None if own_later is None else own_later[drawn], chunk_tok=line.chunk_tok
        )
        return np.array([held.intercept_s, held.s_per_tok, held.gap_s])

    low, high = intervals(n, figures, block=block(body))
    if is_flat:
        why = f"all prompts have {tok[0]:g} tokens: fixed part and time per token are not apart"
        source = "the whole time in proportion to the prompt, an assumption"
        found.assumed("prefill_intercept_s", why, source)
        found.assumed("prefill_s_per_tok", why, source)
    else:
        found.measured("prefill_intercept_s", float(low[0]), float(high[0]), "s", n)
        found.measured("prefill_s_per_tok", float(low[1]), float(high[1]), "s/tok", n)
        if line.s_per_tok == 0.0:
            found.notes.append("Times do not grow with the prompt: the time per token is 0.")
        elif low[1] <= 0.0:
            found.unknown["prefill_s_per_tok"] = "its interval reaches 0: times hardly grow with the prompt"
    if line.chunk_tok is not None:
        margin = errors[line.chunk_tok]
        found.provenance["chunk_tok"] = Provenance(
            status="measured", source=f"steps of {line.chunk_tok} tokens leave {margin:.0%} of the line's error"
        )
    elif not errors:
        found.unknown["chunk_tok"] = "too few different lengths to tell steps from a line; a line was taken"
    if np.isfinite(gap_s):
        return gap_s
    return _gap_of_totals(line, own_later, low, high, n, given, found)


def _gap_of_totals(
    line: Line, later: Floats | None, low: Floats, high: Floats, n: int, given: float | None, found: Found
) -> float:
    if later is not None and np.ptp(later) > 0 and low[2] > 0.0 and line.gap_s > 0.0:
        found.measured("decode_tok_per_s", 1.0 / float(high[2]), 1.0 / float(low[2]), "tok/s", n)
        return line.gap_s
    if later is None or not np.any(later > 0):
        why = "no row has tokens after the first with a time of their own"
    elif np.ptp(later) == 0:
        why = f"all answers have {later[0] + 1:g} tokens and no TTFT: fixed part and decoding are not apart"
    else:
        why = "answers are too short, or too alike, for whole times to show it"
    if given is not None:
        found.unknown["decode_tok_per_s"] = why
        found.provenance["decode_tok_per_s"] = Provenance(status="assumption", source="said by the user")
        return 1.0 / given
    rate = ASSUMED_DECODE_TOK_PER_S
    source = f"{rate:g} tok/s, an assumption"
    if line.s_per_tok > 0:
        rate = float(np.clip(1.0 / (PREFILL_OVER_DECODE * line.s_per_tok), *DECODE_RANGE))
        source = f"prefill speed over {PREFILL_OVER_DECODE:g} (from 1 to 200 tok/s), an assumption"
    found.assumed("decode_tok_per_s", f"{why}; say --decode-tok-per-s N", source)
    return 1.0 / rate


def _without_answer(line: Line, used: Bools, later: Floats, gap_s: float) -> Line:
    """Return the line of the first token where whole times were fitted."""
    if line.gap_s > 0 and line.gap_s == gap_s:
        return replace(line, gap_s=0.0)
    beside = (gap_s - line.gap_s) * float(np.median(later[used]))
    return replace(line, intercept_s=max(line.intercept_s - beside, 0.0), gap_s=0.0)
