"""What rows of a service show (prompt length, hour of the day, runs of refusals), and what a run makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discosim import load_scenario, simulate
from discosim.cli import main
from discosim.core.errors import UserError
from discosim.core.scenario import Scenario
from discosim.traces.describe import describe
from discosim.traces.digest_file import dump_digest, parse_digest, write_own_digest
from discosim.traces.own_digest import digest_latency
from discosim.traces.readers.base import LatencySeries
from discosim.traces.recipes.rows import hours_of_day, kept, prompt_slope, refusal_runs, row_laws

SLOPE = 4e-4
HOUR_S = 3600.0
Floats = Any


def rows(ttft_s: Floats, *, prompt_tok: Floats = None, at_s: Floats = None, begin_unix_s: float | None = None) -> Any:
    n = len(ttft_s)
    return LatencySeries(
        "mine",
        np.asarray(ttft_s, dtype=float),
        np.full(n, 0.02),
        np.arange(n),
        np.zeros(n, dtype=bool),
        prompt_tok=prompt_tok,
        start_s=at_s,
        begin_unix_s=begin_unix_s,
    )


def growing(n: int = 200, slope: float = SLOPE) -> LatencySeries:
    rng = np.random.default_rng(7)
    prompt_tok = rng.integers(50, 3000, n)
    return rows(0.5 + 0.1 * rng.random(n) + slope * prompt_tok, prompt_tok=prompt_tok)


# --- the prompt's length --------------------------------------------------------------------------------------


def test_a_slope_is_found_and_taken_out() -> None:
    series = growing()
    found = prompt_slope(series)
    assert found is not None
    assert found.is_shown
    # the interval holds the slope in 99 of 100 files; this file is one of them
    assert found.low <= SLOPE <= found.high
    assert series.prompt_tok is not None
    assert (found.shortest_tok, found.longest_tok) == (series.prompt_tok.min(), series.prompt_tok.max())
    # what was taken out and what is left are the rows again, but where a row would lie below the shortest TTFT
    again = found.flat_ttft_s + found.s_per_tok * (series.prompt_tok - found.shortest_tok)
    assert np.sum(np.abs(again - series.ttft_s) > 1e-12) == found.n_raised
    assert abs(np.corrcoef(found.flat_ttft_s, series.prompt_tok)[0, 1]) < 0.1


@pytest.mark.parametrize("slope", [0.0, -SLOPE])
def test_no_slope_and_a_falling_one_are_not_used(slope: float) -> None:
    series = growing(slope=slope)
    if slope < 0:
        series = rows(series.ttft_s + 2.0, prompt_tok=series.prompt_tok)
    slope_kept, _, _ = kept(row_laws(series))
    assert slope_kept is not None
    assert slope_kept.ttft is None
    assert slope_kept.low_s_per_tok <= slope <= slope_kept.high_s_per_tok


def test_few_rows_and_equal_lengths_tell_nothing() -> None:
    assert prompt_slope(growing(19)) is None
    assert prompt_slope(rows(np.ones(50), prompt_tok=np.full(50, 300))) is None
    assert prompt_slope(rows(np.ones(50))) is None


def test_many_rows_are_looked_at_in_part_and_always_alike() -> None:
    one, two = prompt_slope(growing(5000)), prompt_slope(growing(5000))
    assert one is not None
    assert two is not None
    assert one.n == 1500
    assert (one.s_per_tok, one.low, one.high) == (two.s_per_tok, two.low, two.high)
    assert one.low <= SLOPE <= one.high


# --- the hour of the day --------------------------------------------------------------------------------------


def days_of(days: int, wave: float, drift: float = 0.0) -> LatencySeries:
    """Return ten rows an hour, from 08:00 UTC on; the TTFT is highest at 15:00 and lowest at 03:00."""
    rng = np.random.default_rng(5)
    at_s = np.arange(days * 240) * HOUR_S / 10
    hour = (at_s // HOUR_S + 8) % 24
    log_s = wave * np.sin(2 * np.pi * (hour - 9) / 24) + 0.2 * rng.standard_normal(at_s.size) + drift * at_s / 86_400
    return rows(0.5 * np.exp(log_s), at_s=at_s, begin_unix_s=1_772_352_000.0)  # 2026-03-01T08:00:00Z


def test_hours_are_found_by_the_clock_and_taken_out() -> None:
    series = days_of(6, 0.4)
    found = hours_of_day(series)
    assert found is not None
    assert found.is_shown
    expected = np.exp(0.4 * np.sin(2 * np.pi * (np.arange(24) - 9) / 24))
    # medians of 60 rows with a spread of 0.2: a standard error of 0.03 each; 4 of them, 24 hours: 2 in 1,000 files
    assert np.abs(np.log(found.ttft_factor / expected)).max() < 0.13
    assert np.all(found.tpot_factor == 1.0)
    again = rows(found.ttft_s, at_s=series.start_s, begin_unix_s=series.begin_unix_s)
    without = hours_of_day(again)
    assert without is not None
    assert not without.is_shown


@pytest.mark.parametrize("case", [(6, 0.0, 0.0), (6, 0.0, 0.3), (2, 0.4, 0.0)], ids=["none", "a drift", "two days"])
def test_hours_that_are_not_shown_are_not_kept(case: tuple[int, float, float]) -> None:
    days, wave, drift = case
    found = hours_of_day(days_of(days, wave, drift))
    assert found is not None
    assert not found.is_shown


def test_less_than_a_day_says_nothing_of_hours() -> None:
    assert hours_of_day(rows(np.ones(100), at_s=np.arange(100) * 600.0)) is None
    assert hours_of_day(rows(np.ones(100))) is None


# --- refusals -------------------------------------------------------------------------------------------------


def test_runs_are_counted_by_hand() -> None:
    found = refusal_runs(np.array([1, 1, 0, 0, 1, 0, 1, 1, 1, 0], dtype=bool))
    assert found == (3, 2.0)
    assert refusal_runs(np.array([0, 1, 0], dtype=bool)) is None


# --- in a digest and in a run ---------------------------------------------------------------------------------


def written(folder: Path, series: LatencySeries, *, failed: str = "") -> Path:
    path = folder / "mine.csv"
    head = [name for name, held in (("at_s", series.start_s), ("prompt_tok", series.prompt_tok)) if held is not None]
    columns: list[Any] = [held for held in (series.start_s, series.prompt_tok) if held is not None]
    if series.begin_unix_s is not None:
        columns[0] = columns[0] + series.begin_unix_s
    lines = [",".join([*head, "ttft_s", "tpot_s", "error"])]
    for i, times in enumerate(zip(*columns, series.ttft_s, series.tpot_s, strict=True)):
        word = "429" if failed[i : i + 1] == "x" else ""
        lines.append(",".join([*(repr(float(value)) for value in times), word]).replace(".0,", ","))
    path.write_text("\n".join(lines) + "\n")
    return path


def scenario(
    folder: Path, server: str, n: int = 40, lengths: str = "kind: constant, prompt_tok: 1050, output_tok: 5"
) -> Scenario:
    (folder / "mine.yaml").write_text(
        "name: mine\nreplications: 1\n"
        f"workload: {{kind: generate, n_requests: {n}, arrivals: {{kind: poisson, rate_per_s: 0.01}}, "
        f"lengths: {{{lengths}}}}}\n"
        "devices: [{profile: snapdragon-8-elite-llama-3.2-3b, context: extrapolate}]\n"
        f"server: {{kind: replay, {server}, prices: {{prompt_usd_per_mtok: 1, output_usd_per_mtok: 2}}}}\n"
        "cost: {exchange_rate_usd_per_j: 1.0e-7}\npolicies: [{kind: server_only}]\n"
    )
    return load_scenario(folder / "mine.yaml")


def said(result: Any) -> str:
    return "\n".join(result.notes)


def test_rows_and_their_digest_keep_the_slope(tmp_path: Path) -> None:
    path = written(tmp_path, growing())
    digest = digest_latency(path)
    assert digest.slope is not None
    assert parse_digest(dump_digest(digest), where="text").slope.shortest_tok == digest.slope.shortest_tok  # type: ignore[union-attr]
    assert f"TTFT grows with the prompt (Theil-Sen {digest.slope.s_per_tok:.3g} s per token" in describe(digest)
    write_own_digest(digest, tmp_path / "own.json")
    # 1,050 tokens take 0.5 to 0.6 s and 0.42 s; rows of all lengths would give 0.5 to 1.8 s
    for source in ("series: mine.csv", "digest_file: own.json"):
        result = simulate(scenario(tmp_path, source))
        assert result.requests["ttft_s"].between(0.9, 1.04).all()
        assert "server: TTFT grows with the prompt" in said(result)
    off = simulate(scenario(tmp_path, "series: mine.csv, ttft_slope: 'off'"))
    assert off.requests["ttft_s"].std() > 0.2
    assert "not used (server.ttft_slope)" in said(off)
    own = simulate(scenario(tmp_path, "series: mine.csv, ttft_s_per_prompt_tok: 0.001"))
    assert own.requests["ttft_s"].min() > 0.52 + 1.05 - 1e-9
    assert "not used (server.ttft_s_per_prompt_tok)" in said(own)


def test_the_clock_of_the_run_picks_the_hour(tmp_path: Path) -> None:
    written(tmp_path, days_of(6, 0.5))
    means = {}
    for hour in (15, 3):
        result = simulate(scenario(tmp_path, f"series: mine.csv, start_hour: {hour}", n=24))
        at_s = result.requests["arrival_s"]
        early = result.requests["ttft_s"][at_s < 1800]
        means[hour] = float(early.mean())
        assert f"time 0 is {hour} h" in said(result)
    # e^0.5 against e^-0.5 on the same draws
    assert means[15] / means[3] == pytest.approx(np.e, rel=0.25)
    plain = simulate(scenario(tmp_path, "series: mine.csv"))
    assert "not used, as no server.start_hour says which hour it is" in said(plain)


def test_hours_that_no_row_shows_move_nothing_and_are_said(tmp_path: Path) -> None:
    written(tmp_path, growing())
    plain = simulate(scenario(tmp_path, "series: mine.csv"))
    timed = simulate(scenario(tmp_path, "series: mine.csv, start_hour: 9"))
    assert plain.requests["ttft_s"].tolist() == timed.requests["ttft_s"].tolist()
    assert "server.start_hour moves no time" in said(timed)


def test_the_true_draws_know_the_hour_and_the_slope(tmp_path: Path) -> None:
    series = days_of(6, 0.5)
    prompt_tok = np.random.default_rng(1).integers(50, 3000, series.ttft_s.size)
    both = rows(
        series.ttft_s + SLOPE * prompt_tok, prompt_tok=prompt_tok, at_s=series.start_s, begin_unix_s=series.begin_unix_s
    )
    written(tmp_path, both)
    base = scenario(tmp_path, "series: mine.csv, start_hour: 9.5, failures: measured")
    text = (
        (tmp_path / "mine.yaml")
        .read_text()
        .replace("[{kind: server_only}]", "[{kind: server_only}, {kind: oracle, constraint: device, budget: 0.0}]")
    )
    (tmp_path / "mine.yaml").write_text(text)
    result = simulate(load_scenario(tmp_path / "mine.yaml"))
    assert base.name == "mine"
    table = result.requests.pivot(index="request_id", columns="policy", values="ttft_s")
    np.testing.assert_allclose(table["server_only"], table["oracle"], rtol=1e-9)


def test_refusals_come_in_runs_where_asked_for(tmp_path: Path) -> None:
    series = rows(np.full(60, 0.5), at_s=np.arange(60) * 60.0)
    written(tmp_path, series, failed="....xxxxx............xxxxxx.....xxxx...................xxxxx")
    result = simulate(scenario(tmp_path, "series: mine.csv, failures: runs", n=400))
    lost = (result.requests["status"] == "failed").to_numpy()
    begins = int(np.sum(lost & ~np.concatenate(([False], lost[:-1]))))
    assert 2.5 < lost.sum() / begins < 10  # 5 in a row on average; by themselves 1.5
    assert "refusals: 0.333 of the requests, 5 in a row on average" in said(result)
    alone = simulate(scenario(tmp_path, "series: mine.csv, failures: measured"))
    assert "drawn one by one (server.failures)" in said(alone)


@pytest.mark.parametrize(
    ("server", "message"),
    [
        ("failures: runs", "does not say how many refusals come in a row; give server.failure_run"),
        ("failures: runs, failure_share: 0.9, failure_run: 2", "a share of 0.9 needs 9 refusals"),
        ("failures: measured, failure_run: 2", "server.failure_run: has no effect unless"),
        ("capacity: {}", "server.capacity: needs exactly one of concurrent and tok_per_s"),
        ("capacity: {concurrent: 2, tok_per_s: 9}", "needs exactly one of concurrent and tok"),
        ("capacity: {concurent: 2}", "concurrent"),
        ("capacity: {concurrent: 0}", "server.capacity.concurrent"),
        ("quota: {}", "server.quota: needs requests_per_user_per_day or tok_per_user_per_day"),
        ("rate_limit: {requests_per_s: 0}", "server.rate_limit.requests_per_s"),
        ("start_hour: 24", "server.start_hour"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(tmp_path: Path, server: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        simulate(scenario(tmp_path, f"digest: openrouter-gpt-5.4, {server}"))
    assert message in str(refused.value)


def test_the_notes_say_how_load_is_felt(tmp_path: Path) -> None:
    plain = simulate(scenario(tmp_path, "digest: openrouter-gpt-5.4", n=3))
    assert "server: load does not change its times" in said(plain)
    held = simulate(scenario(tmp_path, "digest: openrouter-gpt-5.4, capacity: {concurrent: 4}", n=3))
    assert "server: beyond 4 requests at once requests wait, first in, first out" in said(held)
    assert "TTFTs of a pilot run of 2,000 of them, all at the service" in said(held)


def test_the_command_says_what_rows_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, growing())
    assert main(["traces", "digest-latency", str(path), "--out", str(tmp_path / "own.json")]) == 0
    assert "TTFT grows with the prompt" in capsys.readouterr().out
