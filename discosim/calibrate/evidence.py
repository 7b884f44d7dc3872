"""From files of a real server to what a fit can be held against."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discosim.calibrate.engine_loop import Load
from discosim.calibrate.observed import Observed, Requests, Summary
from discosim.calibrate.stamps import STAMPED, is_stamped_at_look
from discosim.core.errors import UserError
from discosim.traces.concurrency import ConcurrencySummary, is_summary, read_concurrency
from discosim.traces.server_log import ServerLog, ServerSeries
from discosim.traces.server_logs import read_server_logs, require_enough

Bools = NDArray[np.bool_]
WAVES_PER_TEST = 3
CUT_OFF = 1.15
"""Prompt tokens of a series over those of the log from which on the log is taken to be a part of the run."""
MOST_UNSEEN = 100
"""Requests of a run beside each of a log beyond which the two are not of one run. Source: our choice."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Which requests of a log, or which concurrencies of a test, are meant.

    Parameters
    ----------
    kind : str
        ``all``, ``first`` (requests), ``before`` (s), ``from`` (request) or ``concurrency``.
    number : float
        How many, or until when, or from which.
    levels : tuple of int
        Concurrencies.
    """

    kind: str = "all"
    number: float = 0.0
    levels: tuple[int, ...] = ()

    def of(self, log: ServerLog) -> Bools:
        """Return which requests of a log are meant."""
        i = np.arange(len(log))
        picked: Bools
        match self.kind:
            case "first":
                picked = i < self.number
            case "from":
                picked = i >= self.number
            case "before":
                picked = log.arrival_s < self.number
            case _:
                picked = np.ones(len(log), dtype=np.bool_)
        return picked


def parse_train(text: str) -> Part:
    """Read ``first:150``, ``before:30s`` or ``concurrency:1,4,16``.

    Raises
    ------
    UserError
        For anything else.
    """
    kind, _, rest = text.partition(":")
    if kind == "first" and re.fullmatch(r"\d+", rest):
        return Part(kind=kind, number=float(rest))
    if kind == "before" and re.fullmatch(r"\d+(\.\d+)?s", rest):
        return Part(kind=kind, number=float(rest[:-1]))
    if kind == "concurrency" and re.fullmatch(r"\d+(,\d+)*", rest):
        return Part(kind=kind, levels=tuple(int(level) for level in rest.split(",")))
    raise UserError(f"expected first:N, before:Ts or concurrency:N,N (got {text!r})", where="--train")


def parse_holdout(text: str) -> Part:
    """Read ``150:``, the requests from number 150 on."""
    if not re.fullmatch(r"\d+:", text):
        raise UserError(f"expected N:, the requests from number N on (got {text!r})", where="--holdout")
    return Part(kind="from", number=float(text[:-1]))


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """Runs of a real server.

    Parameters
    ----------
    train : tuple of Observed
        What the fit sees.
    held_out : tuple of Observed
        What it does not; of a log, the same load with other requests that count.
    doubts : tuple of str
        As sentences.
    """

    train: tuple[Observed, ...]
    held_out: tuple[Observed, ...]
    doubts: tuple[str, ...] = ()


def read_evidence(
    paths: Sequence[Path],
    *,
    train: Part | None = None,
    format: str = "auto",  # noqa: A002 (the word users type)
    unit: str = "auto",
    mapping: Mapping[str, str] | None = None,
    series: ServerSeries | None = None,
) -> Evidence:
    """Read logs, or figures by concurrency, and part them.

    Raises
    ------
    UserError
        If one cannot be read or holds too little.
    """
    part = train or Part()
    seen: list[Observed] = []
    rest: list[Observed] = []
    doubts = series_doubts(series)
    for path in paths:
        if is_summary(path):
            tests = read_concurrency(path)
            if part.levels and (missing := set(part.levels) - {one.concurrency for one in tests}):
                raise UserError(f"{path} has no concurrency {min(missing)}", where="--train")
            shown = [one for one in tests if not part.levels or one.concurrency in part.levels]
            for one in tests:
                doubts += [f"{one.name}: {doubt}" for doubt in one.warnings if doubt not in " ".join(doubts)]
                (seen if one in shown else rest).append(of_summary(one, stagger_of(one, shown)))
            continue
        if part.kind == "concurrency":
            raise UserError(f"{path} holds requests, not figures by concurrency", where="--train")
        for held in read_server_logs(path, format=format, unit=unit, mapping=mapping or {}).values():
            require_enough(held)
            log = to_the_microsecond(replace(held, name=Path(held.name).name))
            doubts += [f"{log.name}: {doubt}" for doubt in log.warnings]
            load, doubt = load_of(log, series if len(paths) == 1 else None)
            doubts += doubt
            picked = part.of(log)
            if int(picked.sum()) < 20:
                raise UserError(
                    f"leaves {int(picked.sum())} requests of {log.name}; at least 20 are needed", where="--train"
                )
            seen.append(Requests(log=log, load=load, counts=picked))
            if not picked.all():
                rest.append(Requests(log=log, load=load, counts=~picked))
    if not seen:
        raise UserError("leaves nothing to fit", where="--train")
    return Evidence(train=tuple(seen), held_out=tuple(rest), doubts=tuple(doubts))


def series_doubts(series: ServerSeries | None) -> list[str]:
    """Return what its reader says of a series, with the name of the file before it."""
    return [] if series is None else [f"{Path(series.name).name}: {doubt}" for doubt in series.warnings]


def to_the_microsecond(log: ServerLog) -> ServerLog:
    """Return a log whose times are whole microseconds.

    A fit follows a run that is not smooth in its coefficients, so the last bits of a unit's conversion could lead it
    elsewhere; the same log in s, ms or ns shall give the same engine. Source: our choice.
    """
    times = {name: np.round(getattr(log, name), 6) for name in ("arrival_s", "ttft_s", "e2e_s", "queue_s")}
    return replace(log, **times)


def load_of(log: ServerLog, series: ServerSeries | None) -> tuple[Load, list[str]]:
    """Return a log's load, filled up where a series shows that the server had more to do than the log says.

    Requests behind a log that was cut off share the batch with those of it. They are drawn in turn from the log's own,
    at its mean rate, until their prompts make up what the series processed. Source: our choice.
    """
    load = Load(
        prompt_tok=log.prompt_tok,
        output_tok=log.output_tok,
        arrival_s=log.arrival_s,
        from_look=is_stamped_at_look(log),
    )
    said = [f"{log.name}: {STAMPED}"] if load.from_look else []
    if series is None or len(log) < 2:
        return load, said
    steps_s = np.diff(series.t_s, prepend=2 * series.t_s[0] - series.t_s[1] if series.t_s.size > 1 else 0.0)
    served_tok = float(np.nansum(series.prompt_tok_per_s * steps_s))
    logged_tok = float(log.prompt_tok.sum())
    n = round((served_tok - logged_tok) / float(log.prompt_tok.mean()))
    if served_tok < CUT_OFF * logged_tok or n < 1:
        return load, said
    if n > MOST_UNSEEN * len(log):
        raise UserError(
            f"the series shows {served_tok:.4g} prompt tokens, the log holds {logged_tok:.4g}: are both of one run?",
            where=log.name,
        )
    at = np.arange(n) % len(log)
    gap_s = float(log.arrival_s[-1]) / (len(log) - 1)
    more = replace(
        load,
        prompt_tok=np.concatenate([log.prompt_tok, log.prompt_tok[at]]),
        output_tok=np.concatenate([log.output_tok, log.output_tok[at]]),
        arrival_s=np.concatenate([log.arrival_s, log.arrival_s[-1] + gap_s * np.arange(1, n + 1)]),
    )
    doubt = (
        f"{log.name}: the series shows {served_tok:,.0f} prompt tokens, the log has {logged_tok:,.0f}, so it is a part "
        f"of the run; {n} requests drawn from the log's own, one every {gap_s:.3g} s, stand for the rest"
    )
    return more, [*said, doubt]


def stagger_of(one: ConcurrencySummary, shown: Sequence[ConcurrencySummary]) -> float:
    """Return how long after one another the requests of a wave are taken to be sent, in s.

    A wave's answers over the throughput of the test are its length; what that is longer than the slowest request, the
    client took to send them all. Told from the tests that a fit may see, straight over the logarithm of the concurrency
    between them and level beyond, so that what is held out says nothing of its own load. Source: our choice.
    """
    found = {other.concurrency: _spare_s(other) for other in shown if other.is_waves}
    levels = sorted(level for level, spare_s in found.items() if np.isfinite(spare_s))
    if not one.is_waves or not levels:
        return 0.0
    return float(np.interp(np.log(one.concurrency), np.log(levels), [found[level] for level in levels]))


def _spare_s(one: ConcurrencySummary) -> float:
    """Return the time of a wave beyond its slowest request, per request, in s; NaN where nothing tells."""
    wave_s = one.concurrency * one.output_tok.mean / one.output_tok_per_s
    return float(np.maximum(0.0, wave_s - one.e2e_s.p99) / one.concurrency)


def of_summary(one: ConcurrencySummary, stagger_s: float) -> Summary:
    """Return figures of a test as a closed loop of so many users, all requests alike."""
    n = min(max(one.n, one.concurrency), max(WAVES_PER_TEST * one.concurrency, 12))
    prompt, output = max(1, round(one.prompt_tok.mean)), max(2, round(one.output_tok.mean))
    load = Load(
        prompt_tok=np.full(n, prompt, dtype=np.int64),
        output_tok=np.full(n, output, dtype=np.int64),
        n_users=one.concurrency,
        waves=one.is_waves,
        stagger_s=stagger_s,
    )
    real = {
        metric: {
            stat: value for stat in ("mean", "p50", "p99") if np.isfinite(value := getattr(getattr(one, metric), stat))
        }
        for metric in ("ttft_s", "tpot_s", "e2e_s")
    }
    return Summary(name=f"concurrency {one.concurrency}", concurrency=one.concurrency, load=load, real=real)
