"""Verdicts hold what few rows leave open: half-widths of cells from versions of a table, kept beside the tables."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_paper import CLAIMS, write_paper

from discosim.reproduce.experiment import Experiment, load_experiment
from discosim.reproduce.input_widths import WIDTHS, Drawn, widths_of
from discosim.reproduce.rows import plain
from discosim.reproduce.run import judge_all, read_tables, update_committed
from discosim.reproduce.tables import as_csv, parse_csv
from discosim.reproduce.text import intervals_text, ours_text
from discosim.reproduce.verdict import Verdict
from discosim.sweep.input_intervals import Versions

FEW = CLAIMS.replace("trace: {kind: measured, what", "trace: {kind: measured, rows: 19, what")
SHIFTS = np.linspace(-0.05, 0.05, 40)
"""Waits of the new policy over those of the base, less 0.7, in forty versions: a standard deviation of 0.030."""


def waits(ratio: float, seeds: int, noise: float = 0.0) -> pd.DataFrame:
    rows = [
        (seed, policy, "a", factor * (2.0 + 0.01 * seed) * (1 + noise * (-1) ** seed * (policy == "new")))
        for seed in range(seeds)
        for policy, factor in (("base", 1.0), ("new", ratio))
    ]
    return pd.DataFrame(rows, columns=["seed", "policy", "service", "wait_s"])


def versions() -> Versions:
    parts = [waits(0.7 + shift, 1).assign(seed=i) for i, shift in enumerate(SHIFTS)]
    return Versions(pd.concat(parts, ignore_index=True), 19, "server 19 probes")


@pytest.fixture
def paper(tmp_path: Path) -> Experiment:
    return load_experiment(write_paper(tmp_path, claims=FEW) / "tiny")


def tables() -> dict[str, pd.DataFrame]:
    return {
        "waits": waits(0.7, 4, noise=0.01),
        "exact": pd.DataFrame({"seed": [0, 1], "policy": ["new"] * 2, "n_tok": [20, 20]}),
        "timing": pd.DataFrame({"seed": [0, 1], "policy": ["new"] * 2, "took_ms": [1.0, 2.0]}),
    }


def reduction(paper: Experiment, given: dict[str, pd.DataFrame]) -> Verdict:
    return next(verdict for verdict in judge_all(paper, given) if verdict.claim.id == "tiny-reduction")


def with_widths(paper: Experiment, drawn: Drawn) -> dict[str, pd.DataFrame]:
    given = tables()
    widths = widths_of(paper, given, {"waits": drawn})
    assert widths is not None
    return {**given, WIDTHS: parse_csv(as_csv(widths))}


def test_without_half_widths_the_claim_says_luck_alone(paper: Experiment) -> None:
    verdict = reduction(paper, tables())
    assert verdict.word == "reproduced"
    assert intervals_text(verdict) == "luck alone: input of 19 rows (trace)"
    assert plain(verdict)["intervals"] == "luck alone: input of 19 rows (trace)"


def test_the_interval_with_inputs_decides(paper: Experiment) -> None:
    """By luck alone 30 +- 2 % lies within 25 to 35 %; versions of 19 rows leave +- 6 % open."""
    from scipy.special import stdtrit

    verdict = reduction(paper, with_widths(paper, Drawn(versions(), few_rows="server 19 probes")))
    cell = verdict.cells[0]
    luck = (cell.luck_high - cell.luck_low) / 2
    assert 0.0 < luck < 4.0
    expected = stdtrit(1 / (1 / 18 + 1 / 39), 0.975) * 100 * np.std(SHIFTS, ddof=1)
    assert (cell.high - cell.low) / 2 == pytest.approx(math.hypot(luck, expected), rel=1e-6)
    assert verdict.word == "too few runs"
    assert verdict.word_by_luck == "reproduced"
    assert "by luck alone [" in ours_text(verdict)
    said = intervals_text(verdict)
    assert said.startswith("by luck and what few rows leave open (server 19 probes)")
    assert said.endswith("by luck alone: reproduced, and more runs would not decide it")


def test_seeds_with_inputs_of_their_own_are_as_wide_as_one_version(paper: Experiment) -> None:
    verdict = reduction(paper, with_widths(paper, Drawn(None, is_resampled=True, few_rows="drawn anew")))
    cell = verdict.cells[0]
    assert cell.high - cell.low == pytest.approx((cell.luck_high - cell.luck_low) * math.sqrt(5))


def test_a_function_over_such_seeds_answers_for_its_inputs_itself(tmp_path: Path) -> None:
    """Else what it has put into its cells would be counted twice."""
    simple = "{kind: reduction_pct, table: waits, metric: wait_s, policy: new, baseline: base, by: [service]}"
    function = "{kind: function, table: waits, function: fallen}"
    assert simple in FEW
    folder = write_paper(tmp_path, claims=FEW.replace(simple, function)) / "tiny"
    (folder / "estimators.py").write_text(
        "from discosim.reproduce.estimates import Cell\n\n\n"
        "def fallen(rows):\n"
        "    return [Cell('', 30.0, 26.0, 34.0, 4, luck_low=29.0, luck_high=31.0, few_rows='probes')]\n",
        encoding="utf-8",
    )
    paper = load_experiment(folder)
    assert widths_of(paper, tables(), {"waits": Drawn(None, is_resampled=True, few_rows="drawn anew")}) is None
    verdict = reduction(paper, tables())
    assert (verdict.cells[0].low, verdict.cells[0].high) == (26.0, 34.0)
    assert intervals_text(verdict) == "by luck and what few rows leave open (probes)"


def test_a_statistic_that_versions_do_not_know_stays_by_luck(paper: Experiment) -> None:
    unknown = versions().table.assign(wait_s=math.nan)
    given = with_widths(paper, Drawn(Versions(unknown, 19, "server 19 probes"), few_rows="server 19 probes"))
    verdict = reduction(paper, given)
    assert verdict.word == "reproduced"
    assert intervals_text(verdict) == "luck alone: input of 19 rows (trace)"


def test_half_widths_are_kept_beside_the_committed_tables(paper: Experiment, tmp_path: Path) -> None:
    """Copied with the tables, read with them, and gone when a paper has none any more."""
    folder = tmp_path / "out" / "tiny-quick"
    (folder / "tables").mkdir(parents=True)
    held = with_widths(paper, Drawn(versions(), few_rows="server 19 probes"))
    for name, table in held.items():
        (folder / "tables" / f"{name}.csv").write_text(as_csv(table))
    assert paper.committed("quick", WIDTHS) in update_committed(paper, "quick", folder)
    read, _ = read_tables(paper, "quick", tmp_path / "nowhere")
    assert reduction(paper, read).word == "too few runs"
    (folder / "tables" / f"{WIDTHS}.csv").unlink()
    update_committed(paper, "quick", folder)
    read, _ = read_tables(paper, "quick", tmp_path / "nowhere")
    assert WIDTHS not in read
    assert reduction(paper, read).word == "reproduced"
