"""The first sentences of a page say what the numbers say: ties are ties, few is few, bounds are no answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from parsed_page import Parsed

from discosim.report.html.claims import answer as claims_answer
from discosim.report.html.claims import tally
from discosim.report.html.policy_groups import BOUNDS, GROUPS, groups_of
from discosim.report.html.run_answer import answer, question
from discosim.report.html.sweep_differences import sweep_differences
from discosim.sweep import load_results
from discosim.sweep.store import Store

KINDS = {"base": "server_only", "A": "disco", "B": "mine", "oracle": "oracle"}
LUCK = np.array([0.00, 0.02, -0.02, 0.04, -0.04])
"""What all policies share, so that pairs differ by much less."""


def summary_of(samples: Mapping[str, Sequence[float]], folder: Path, failed: float = 0.0) -> dict[str, Any]:
    """Return the plain summary of samples of the mean TTFT, worked out by numpy, and write them as a run does."""
    t = {1: np.nan, 2: 12.7062047, 5: 2.7764451}
    base, n = np.array(samples["base"]), len(samples["base"])
    policies = {}
    for name, values in samples.items():
        own = np.array(values)
        half = [t[n] * np.std(x, ddof=1) / n**0.5 if n > 1 else None for x in (own, own - base)]
        ratio = own.mean() / base.mean()
        residuals = 100.0 * (own - ratio * base) / base.mean()
        change = t[n] * np.std(residuals, ddof=1) / n**0.5 if n > 1 else None
        policies[name] = {
            "ttft_mean_s": {
                "mean": own.mean(),
                "half_width": half[0],
                "diff": (own - base).mean(),
                "diff_half_width": half[1],
                "change_pct": 100.0 * (ratio - 1.0),
                "change_half_width_pct": change,
            },
            "n_requests": {"mean": 100.0},
            "n_failed": {"mean": failed},
        }
    rows = [
        {"policy": name, "replication": k, "ttft_mean_s": value}
        for name, values in samples.items()
        for k, value in enumerate(values)
    ]
    pd.DataFrame(rows).to_parquet(folder / "replications.parquet")
    metrics = {"ttft_mean_s": {"unit": "s", "direction": "lower"}}
    return {"baseline": "base", "n_replications": n, "metrics": metrics, "policies": policies}


def said(samples: Mapping[str, Sequence[float]], folder: Path, failed: float = 0.0) -> tuple[str, str]:
    first, rest = answer(summary_of(samples, folder, failed), folder, 1, KINDS)
    return first.replace("\xa0", " "), " ".join(rest).replace("\xa0", " ")


def test_the_shortest_mean_is_named_with_its_change(tmp_path: Path) -> None:
    first, rest = said({"base": 2.0 + LUCK, "A": 1.0 + LUCK / 2, "B": 1.5 + LUCK}, tmp_path)
    assert first.startswith("A gives the first token soonest: after 1.000 ± 0.020 s on average, 50.0 % less than under")
    assert rest == ""


def test_who_cannot_be_told_from_the_best_is_named_by_pairs_and_not_by_their_own_intervals(tmp_path: Path) -> None:
    """B lies 0.01 above A in every pair, far inside the interval of either; C differs by chance."""
    chance = np.array([0.05, -0.05, 0.04, -0.03, 0.0])
    first, _ = said(
        {"base": 2.0 + LUCK, "A": 1.0 + LUCK, "B": 1.01 + LUCK + LUCK**3, "C": 1.002 + LUCK + chance}, tmp_path
    )
    assert first.endswith("; C cannot be told from it.")


def test_without_the_inputs_of_a_run_ties_are_by_luck_and_this_is_said(tmp_path: Path) -> None:
    """There is no config.yaml here, so nobody knows which rows the requests met."""
    summary = summary_of({"base": 2.0 + LUCK, "A": 1.0 + LUCK / 2}, tmp_path)
    given = {"role": "server", "name": "svc", "n_rows": 9, "unit": "probes", "in_intervals": True}
    _, rest = answer(summary | {"inputs": {"inputs": [given], "beyond": {}}}, tmp_path, 1, KINDS)
    assert "by luck alone: an input of the run is not to be had as it was" in " ".join(rest)
    assert "what few rows of inputs leave open (server 9 probes)" in " ".join(rest)


def test_a_best_policy_that_may_be_the_baseline_is_not_praised(tmp_path: Path) -> None:
    chance = np.array([0.05, -0.05, 0.04, -0.03, 0.0])
    samples = {"base": 1.01 + LUCK + chance, "A": 1.0 + LUCK, "B": 3.0 + LUCK}
    assert "it cannot be told from the baseline base" in said(samples, tmp_path)[0]
    assert said({"base": 1.0 + LUCK, "B": 3.0 + LUCK}, tmp_path)[0].startswith(
        "Nobody gives the first token sooner than"
    )
    only = {"base": 1.01 + LUCK + chance, "A": 1.0 + LUCK}
    assert said(only, tmp_path)[0].startswith("No policy can be told from another by its mean time to first token")


@pytest.mark.parametrize(
    ("n", "words"),
    [(1, "with one replication nothing says how much of that is luck"), (2, "There are only two replications")],
)
def test_few_replications_are_said_to_be_few(n: int, words: str, tmp_path: Path) -> None:
    samples = {"base": (2.0 + LUCK)[:n], "A": (1.0 + LUCK / 2)[:n]}
    assert words in " ".join(said(samples, tmp_path))
    assert "replications, so" not in " ".join(said({"base": 2.0 + LUCK, "A": 1.0 + LUCK}, tmp_path))


def test_a_bound_is_no_answer_and_failures_are_said(tmp_path: Path) -> None:
    first, rest = said({"base": 2.0 + LUCK, "A": 1.0 + LUCK, "oracle": 0.5 + LUCK}, tmp_path, failed=3.0)
    assert first.startswith("A gives the first token soonest")
    assert "Bounds, for comparison: oracle 0.500" in rest
    assert "not answered were: base 3.00%, A 3.00%, oracle 3.00%" in rest


def test_the_question_names_what_is_compared_and_on_what(tmp_path: Path) -> None:
    config = {
        "devices": [{"profile": "phone"}],
        "server": {"kind": "replay", "digest": "svc"},
        "link": {"kind": "digest", "digest": "sky"},
    }
    asked = question(summary_of({"base": 2.0 + LUCK, "A": 1.0 + LUCK, "B": 1.5 + LUCK}, tmp_path), config)
    for words in ("under A and B compared with base", "100 requests", "phone", "svc", "sky", "5 times"):
        assert words in asked


def test_every_policy_of_ours_has_a_group() -> None:
    from discosim.policies.registry import _own_policies

    assert set(GROUPS) == set(_own_policies())
    assert [kind for kind, group in GROUPS.items() if group == BOUNDS] == ["oracle", "optimal_wait"]
    found = groups_of(["mine", "x", "b"], {"mine": "mine.py:Mine", "x": "disco", "b": "race"}, "x")
    assert list(found.values()) == [["x", "b"], ["mine"]]


def test_verdicts_are_counted_from_best_to_none() -> None:
    words = ("not reproduced", "partly (3 of 4), on assumed inputs", "reproduced", "partly (2 of 3)", "reproduced")
    rows = [{"claim": f"c{k}", "verdict": word} for k, word in enumerate(words)]
    assert {word: len(held) for word, held in tally(rows).items()} == {
        "reproduced": 2,
        "partly": 2,
        "not reproduced": 1,
    }
    assert list(tally(rows)) == ["reproduced", "partly", "not reproduced"]
    assert claims_answer(rows) == (
        "Of 5 claims of the paper 2 are reproduced, 2 reproduced in part and 1 not reproduced; 1 of these verdicts "
        "rests on assumed inputs."
    )


def test_a_sweep_shows_both_intervals_of_a_difference(
    folders: dict[str, Path], reports: dict[str, Path], tmp_path: Path
) -> None:
    """Those with inputs are the sweep's own, in its file; without the file the same are computed from the runs."""
    import shutil

    written = pd.read_csv(folders["sweep"] / "comparisons.csv")
    page = Parsed(reports["sweep"].read_text(encoding="utf-8"))
    (shown,) = page.data["differences"]
    for name, column in (
        ("low", "low"),
        ("high", "high"),
        ("lowWide", "low_with_inputs"),
        ("highWide", "high_with_inputs"),
    ):
        found = [np.nan if row[name] is None else row[name] for row in shown["rows"]]
        assert found == pytest.approx(written[column].tolist(), rel=1e-5, nan_ok=True)
    assert [row["verdictWide"] for row in shown["rows"]] == written["verdict_with_inputs"].tolist()
    assert any(row["lowWide"] < row["low"] for row in shown["rows"])
    assert "by luck alone" in page.words
    assert "with inputs" in page.words
    (values,) = [metric for metric in page.data["grids"][0]["metrics"] if metric["name"] == "ttft_mean_s"]
    assert any(wide is not None and wide > half for wide, half in zip(values["wide"], values["half"], strict=True))
    folder = shutil.copytree(folders["sweep"], tmp_path / "without")
    (folder / "comparisons.csv").unlink()
    store = Store(folder)
    found, why = sweep_differences(folder, store.read_plan(), load_results(folder), store)
    assert found is not None
    assert why == ""
    assert found["low_with_inputs"].tolist() == pytest.approx(
        written["low_with_inputs"].tolist(), rel=1e-6, nan_ok=True
    )
    assert found["verdict_with_inputs"].tolist() == written["verdict_with_inputs"].tolist()


def test_a_comparison_file_of_other_numbers_is_not_believed(folders: dict[str, Path], tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(folders["sweep"], tmp_path / "changed")
    table = pd.read_csv(folder / "comparisons.csv")
    table["low"], table["low_with_inputs"] = table["low"] - 1.0, -99.0
    table.to_csv(folder / "comparisons.csv", index=False)
    store = Store(folder)
    found, why = sweep_differences(folder, store.read_plan(), load_results(folder), store)
    assert found is not None
    assert why == ""
    assert found["low_with_inputs"].min() > -99.0


def test_inputs_that_have_changed_since_leave_luck_alone_and_are_said(folders: dict[str, Path], tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(folders["sweep"], tmp_path / "changed")
    (folder / "comparisons.csv").unlink()
    store = Store(folder)
    plan = store.read_plan()
    plan["points"][0]["inputs_sha256"] = dict.fromkeys(plan["points"][0]["inputs_sha256"], "0" * 64)
    found, why = sweep_differences(folder, plan, load_results(folder), store)
    assert found is not None
    assert "an input has changed" in why
    assert "low_with_inputs" not in found.columns


def test_a_validation_names_its_worst_number(folders: dict[str, Path], reports: dict[str, Path]) -> None:
    words = Parsed(reports["validate"].read_text(encoding="utf-8")).words
    assert "lie within 5.0 % of the real ones; the worst is time to first token, mean (+5.0 %)" in words
    content = json.loads((folders["validate"] / "validation.json").read_text(encoding="utf-8"))
    assert content["engine"] in words
