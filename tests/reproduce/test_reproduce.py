"""Verdicts follow their rule, --check bites and names the claim, figures are the same bytes, bad files are refused."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from tiny_paper import CLAIMS, EXPERIMENT, TABLES, write_paper

from discosim.cli import main
from discosim.core.errors import UserError
from discosim.report.html import report_text
from discosim.reproduce.check import check, difference
from discosim.reproduce.estimates import Cell, cells_of
from discosim.reproduce.experiment import find_experiments, load_experiment, load_experiments
from discosim.reproduce.files import Acceptance, Expect, Statistic
from discosim.reproduce.run import make_figures, read_tables
from discosim.reproduce.text import ours_text
from discosim.reproduce.verdict import Verdict, judge, side_of, word_of

NAN = math.nan


def figures(root: Path, *more: str) -> int:
    out = root.parent / "out"
    return main(["figures", "tiny", "--experiments", str(root), "--out", str(out), "--executor", "serial", *more])


def claims(root: Path, *more: str) -> int:
    return main(["claims", "tiny", "--experiments", str(root), "--out", str(root.parent / "out"), *more])


# --- verdicts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "expect", "side"),
    [
        (12, 14, Expect(low=11, high=52), "agrees"),
        (11, 52, Expect(low=11, high=52), "agrees"),
        (10, 14, Expect(low=11, high=52), "unclear"),
        (5, 60, Expect(low=11, high=52), "unclear"),
        (5, 10, Expect(low=11, high=52), "disagrees"),
        (53, 60, Expect(low=11, high=52), "disagrees"),
        (1, 2, Expect(low=0), "agrees"),
        (-1, 2, Expect(low=0), "unclear"),
        (-2, -1, Expect(low=0), "disagrees"),
        (NAN, NAN, Expect(low=0), "unclear"),
    ],
)
def test_a_cell_is_compared_by_its_whole_interval(low: float, high: float, expect: Expect, side: str) -> None:
    assert side_of(Cell("", (low + high) / 2, low, high, 5), expect) == side


@pytest.mark.parametrize(
    ("sides", "word"),
    [
        (["agrees", "agrees"], "reproduced"),
        (["agrees", "agrees", "unclear"], "partly"),
        (["agrees", "unclear"], "in few cells"),
        (["agrees", "disagrees"], "in few cells"),
        (["disagrees", "unclear"], "not reproduced"),
        (["disagrees"], "not reproduced"),
        (["unclear", "unclear"], "too few runs"),
        (["agrees", "idle", "idle"], "reproduced"),
        (["disagrees", "beyond"], "not reproduced"),
        (["idle", "idle"], "not testable here"),
        (["certain"], "not testable here"),
        ([], "not testable here"),
    ],
)
def test_the_word_follows_from_the_sides(sides: list, word: str) -> None:
    assert word_of(sides) == word


def test_the_folder_of_a_paper_tells_its_own_story(tmp_path: Path) -> None:
    """A reader of verdicts.csv and run.json, or of the HTML made of them, needs no other file."""
    root = write_paper(tmp_path / "experiments")
    assert figures(root) == 0
    folder = tmp_path / "out" / "tiny-quick"
    rows = pd.read_csv(folder / "verdicts.csv", keep_default_na=False).set_index("claim")
    assert rows.loc["tiny-reduction", "rests_on"] == "measured: trace; assumed: guess"
    assert rows.loc["tiny-reduction", "says"] == "Waits fall by 25 to 35 %."
    assert rows.loc["tiny-unknowable", "lacking"] == "readers"
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert facts["inputs"]["guess"] == {"kind": "assumed", "what": "a guess"}
    assert facts["figures"] == {"waits": {"tables": ["waits"], "claims": ["tiny-reduction"]}}
    page = report_text(folder)
    assert "<h1>A tiny paper</h1>" in page
    assert page.count('href="#figure-waits"') == 3  # from the table, from the card, and back from full size
    assert 'Bears on <a href="#claim-tiny-reduction">' in page
    assert "reproduced, on assumed inputs" in page


def test_an_assumed_input_shows_in_the_verdict_itself(tmp_path: Path) -> None:
    experiment = load_experiment(write_paper(tmp_path / "papers") / "tiny")
    outcome = make_figures(experiment, "quick", tmp_path / "out", executor="serial")
    texts = {verdict.claim.id: verdict.text for verdict in outcome.verdicts}
    assert texts == {
        "tiny-reduction": "reproduced, on assumed inputs",
        "tiny-count": "too few runs",  # one replication has no interval
        "tiny-time": "too few runs",
        "tiny-unknowable": "not testable here",
    }


def test_a_lacking_fact_outweighs_every_number(tmp_path: Path) -> None:
    experiment = load_experiment(write_paper(tmp_path / "papers") / "tiny")
    outcome = make_figures(experiment, "quick", tmp_path / "out", executor="serial")
    tables, _ = read_tables(experiment, "quick", tmp_path / "out")
    claim = outcome.verdicts[0].claim
    assert judge(experiment, claim, tables).word == "reproduced"
    assert judge(experiment, replace(claim, lacking="a fact"), tables).word == "not testable here"


# --- statistics -------------------------------------------------------------------------------------------------


def test_a_reduction_is_that_of_the_means_and_pairs_the_seeds() -> None:
    """The policy is exactly 30 % below its baseline on the same luck, so the interval has no width."""
    rows = [(s, p, f * (1 + s)) for s in range(5) for p, f in (("base", 1.0), ("new", 0.7))]
    table = pd.DataFrame(rows, columns=["seed", "policy", "x"])
    statistic = Statistic(kind="reduction_pct", table="t", metric="x", policy="new", baseline="base")
    (cell,) = cells_of(statistic, table)
    assert (cell.mean, cell.n) == (pytest.approx(30.0), 5)
    assert cell.high - cell.low == pytest.approx(0.0, abs=1e-9)


def test_the_largest_cell_is_picked_and_rows_are_chosen() -> None:
    rows = [(s, "new", b, b + 0.01 * s) for s in range(3) for b in (1, 2, 3)]
    table = pd.DataFrame(rows, columns=["seed", "policy", "b", "x"])
    statistic = Statistic(
        kind="mean", table="t", metric="x", policy="new", by=("b",), pick="largest", where={"b": [1, 2]}
    )
    (cell,) = cells_of(statistic, table)
    assert cell.name == "b=2"
    with pytest.raises(UserError, match="no column 'y'"):
        cells_of(replace(statistic, metric="y"), table)
    with pytest.raises(UserError, match="has no row with"):
        cells_of(replace(statistic, where={"b": 9}), table)


# --- check ------------------------------------------------------------------------------------------------------


def test_check_passes_on_its_own_tables_and_without_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_paper(tmp_path / "papers")
    assert figures(root, "--update") == 0
    assert figures(root, "--check", "--out", str(tmp_path / "fresh")) == 0
    assert "agrees with the committed one" in capsys.readouterr().out


def test_a_changed_constant_breaks_the_claims_that_rest_on_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kept task results must not hide the change; the time's claim does not rest on it."""
    root = write_paper(tmp_path / "papers")
    assert figures(root, "--update") == 0
    write_paper(tmp_path / "papers", tables=TABLES.replace("SERVICE_S = 2.0", "SERVICE_S = 2.3"))
    for name in [name for name in sys.modules if name.startswith("discosim_experiments.")]:
        del sys.modules[name]
    assert figures(root, "--check") == 1
    error = capsys.readouterr().err
    assert "claim tiny-reduction" in error
    assert "claim tiny-count" in error
    assert "tiny-time" not in error


def test_a_difference_that_no_claim_reads_names_the_table_and_no_claim(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another policy, or another column, is nobody's claim; it must not pass either."""
    extra = TABLES.replace('("base", "new")', '("base", "new", "other")').replace(
        '"service": "a", "wait_s": base', '"service": "a", "n_extra": 1, "wait_s": base'
    )
    root = write_paper(tmp_path / "papers", tables=extra)
    assert figures(root, "--update") == 0
    experiment = load_experiment(root / "tiny")
    tables, _ = read_tables(experiment, "quick", tmp_path / "out")
    waits = tables["waits"]
    assert check(experiment, "quick", tables) == []
    is_other = waits["policy"] == "other"
    for changed in (
        waits.assign(wait_s=waits["wait_s"].where(~is_other, 1.0)),
        waits.assign(n_extra=2),
    ):
        assert [breach.who for breach in check(experiment, "quick", tables | {"waits": changed})] == [
            "table tiny/waits"
        ]
    changed = waits.assign(wait_s=waits["wait_s"].where(is_other, 1.0))
    assert [breach.who for breach in check(experiment, "quick", tables | {"waits": changed})] == [
        "claim tiny-reduction"
    ]


def test_a_claim_without_a_committed_table_is_a_breach(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_paper(tmp_path / "papers")
    assert figures(root, "--check") == 1
    assert "claim tiny-reduction: no committed table" in capsys.readouterr().err


def test_an_interval_rule_bites(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_paper(tmp_path / "papers", claims=CLAIMS.replace("low: 0.5, high: 1000", "low: 5, high: 1000"))
    assert figures(root, "--update") == 0
    assert figures(root, "--check") == 1
    assert "claim tiny-time: took_ms is" in capsys.readouterr().err


@pytest.mark.parametrize(("factor", "is_allowed"), [(1 + 5e-7, True), (1 + 5e-6, False)])
def test_the_numeric_rule_allows_its_tolerance_and_no_more(factor: float, is_allowed: bool) -> None:
    table = pd.DataFrame({"seed": [1, 2], "policy": ["a", "b"], "x": [1.0, 2.0]})
    found = difference(table.assign(x=table["x"] * factor), table, Acceptance(rule="numeric"))
    assert (found == "") is is_allowed
    assert difference(table.head(1), table, Acceptance(rule="numeric"))
    assert difference(table.assign(policy="a"), table, Acceptance(rule="numeric"))
    assert difference(table.assign(x=table["x"] * (1 + 1e-12)), table, Acceptance(rule="bit-identical")) == ""
    assert difference(table.assign(x=table["x"] * factor), table, Acceptance(rule="bit-identical"))


# --- bytes ------------------------------------------------------------------------------------------------------


def hashes(folder: Path) -> dict[str, str]:
    files = sorted((folder / "tiny-quick").glob("figures/*")) + sorted((folder / "tiny-quick").glob("tables/waits.csv"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.long
def test_figures_have_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    root = write_paper(tmp_path / "papers")
    assert figures(root) == 0
    command = ["figures", "tiny", "--experiments", str(root), "--out", str(tmp_path / "again"), "--executor", "local:1"]
    code = f"import sys; from discosim.cli import main; sys.exit(main({command!r}))"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONHASHSEED": "7", "PATH": "", **_python_path()})
    first, again = hashes(tmp_path / "out"), hashes(tmp_path / "again")
    assert {Path(name).suffix for name in first} == {".png", ".pdf", ".svg", ".csv"}
    assert first == again


def _python_path() -> dict[str, str]:
    import discosim

    return {"PYTHONPATH": str(Path(discosim.__file__).parents[1]), "SOURCE_DATE_EPOCH": "1"}


# --- bad files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kind: measured", "kind: mesured", r"claims.yaml:2:\d+ inputs.trace.kind"),
        (
            "inputs: [trace, guess]",
            "inputs: [trace, gues]",
            r"claims.yaml:10:\d+ .*unknown input 'gues'; did you mean 'guess'",
        ),
        ("table: waits", "table: wait", r"claims.yaml:12:\d+ .*unknown table 'wait'; did you mean 'waits'"),
        ("expect: {low: 25, high: 35}", "expect: {low: 35, high: 25}", r"claims.yaml:13:\d+ .*low must be below high"),
        ("expect: {low: 25, high: 35}", "expect: {}", r"tiny-reduction: needs expect"),
        ("{rule: numeric}", "{rule: numeric, low: 3}", r"rule interval needs low or high, and only it"),
        ("{rule: interval, low: 0.5, high: 1000}", "{rule: numeric}", "only interval can hold"),
        ("    lacking: readers\n", "", "needs a statistic, or must say what is lacking"),
        ("id: tiny-count", "id: tiny-reduction", "is there already: tiny-reduction"),
        ("metric: n_tok, ", "", "kind mean needs metric"),
        ("verdict", "verdict", ""),
        ("    says: Twenty tokens.", "    verdict: reproduced\n    says: Twenty tokens.", r"unknown key"),
    ],
)
def test_a_bad_claims_file_is_refused_with_its_place(old: str, new: str, message: str, tmp_path: Path) -> None:
    if old == "verdict":
        assert "verdict" not in CLAIMS  # it is computed, so there is no key to type it into
        return
    assert old in CLAIMS
    root = write_paper(tmp_path / "papers", claims=CLAIMS.replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        load_experiments(root)


def test_a_bad_experiment_file_is_refused_with_its_place(tmp_path: Path) -> None:
    root = write_paper(tmp_path / "papers", experiment=EXPERIMENT.replace("[waits]", "[wait]"))
    with pytest.raises(UserError, match=r"experiment.yaml:7:\d+ figures.waits.tables\[0\].*did you mean 'waits'"):
        load_experiments(root)


def test_a_missing_folder_and_an_unknown_paper_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("figures", "claims"):
        assert main([verb, "--experiments", str(tmp_path)]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"discosim: error: {tmp_path}: no such folder, or no */experiment.yaml in it;")
    root = write_paper(tmp_path / "papers")
    assert main(["claims", "tiney", "--experiments", str(root)]) == 2
    assert "did you mean 'tiny'" in capsys.readouterr().err
    assert main(["claims", "tiny", "--experiments", str(root), "--out", str(tmp_path / "none")]) == 2
    assert "no tables of the profile 'quick' yet" in capsys.readouterr().err


def test_an_installed_package_has_the_papers_and_a_folder_of_ones_own_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Laid out as in a wheel: what lies beside the package in a checkout is below its folder `_shipped`."""
    shipped = write_paper(tmp_path / "site-packages" / "discosim" / "_shipped" / "experiments")
    module = tmp_path / "site-packages" / "discosim" / "core" / "shipped.py"
    monkeypatch.setattr("discosim.core.shipped.__file__", str(module))
    (tmp_path / "scratch").mkdir()
    monkeypatch.chdir(tmp_path / "scratch")
    assert find_experiments() == shipped
    assert main(["figures", "tiny", "--executor", "serial"]) == 0
    assert Path("results/figures/tiny-quick/verdicts.csv").is_file()
    capsys.readouterr()
    assert main(["figures", "list"]) == 0
    printed = capsys.readouterr().out
    assert "tiny  A tiny paper\n" in printed
    assert printed.endswith(f"folder     {shipped}\n")
    assert main(["figures", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert (listed["folder"], listed["papers"][0]["tables"]) == (str(shipped), ["waits", "exact", "timing"])
    assert main(["figures", "tiny", "--update", "--out", "other"]) == 2
    assert "belongs to the installed package; copy it" in capsys.readouterr().err
    assert not Path("other").exists()
    write_paper(Path("experiments"))
    assert find_experiments() == Path("experiments")


def test_claims_prints_the_rule_the_intervals_and_what_they_rest_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_paper(tmp_path / "papers")
    assert figures(root) == 0
    capsys.readouterr()
    assert claims(root) == 0
    text = capsys.readouterr().out
    for words in (
        "tiny-reduction: reproduced, on assumed inputs",
        "30 % [30, 30]",
        "assumed: guess",
        "known from: abstract",
        "A cell agrees",
        "1 on assumed inputs)",
    ):
        assert words in text
    assert claims(root, "--markdown") == 0
    assert "**reproduced, on assumed inputs**" in capsys.readouterr().out


@pytest.mark.parametrize("columns", [72, 80, 120])
def test_the_verdicts_fit_the_terminal(
    columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All lines but the tally, which is one line for those who cut it out."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.chdir(Path(__file__).parents[2])  # so that no line holds the path of the clone, however long
    assert main(["claims", "andes", "--out", str(tmp_path)]) == 0
    *lines, tally = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    assert tally.startswith("15 claims of papers: ")


def test_many_cells_show_the_least_and_the_largest_with_their_intervals(tmp_path: Path) -> None:
    experiment = load_experiment(write_paper(tmp_path / "papers") / "tiny")
    claim = experiment.claims.claims[0]
    cells = (Cell("b=1", 20.0, 18.0, 22.0, 3), Cell("b=2", 30.0, 29.0, 31.0, 3), Cell("b=3", 10.0, 10.0, 10.0, 3))
    verdict = Verdict("tiny", claim, "in few cells", cells, ("unclear", "agrees", "disagrees"), (), {})
    assert ours_text(verdict) == "10 to 30 [29, 31] %; of 3 cells 1 agree, 1 disagree, 1 unclear"
    assert verdict.text == "in few cells (1 of 3)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--executor", "lokal:2"), "did you mean 'local'?"),
        (("--executor", "local:0"), "expected local:N with N >= 1"),
        (("--executor", "serial:2"), "serial takes no number"),
        (("--out", "{file}/results"), "cannot be written"),
    ],
)
def test_figures_refuses_before_it_computes(
    options: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_paper(tmp_path / "papers")
    (tmp_path / "file").touch()
    assert figures(root, *(option.format(file=tmp_path / "file") for option in options)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
