"""`discosim plot` as a user gives it, on folders that the program itself made."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

import discosim
from discosim.cli import main
from discosim.config import load_scenario
from discosim.report.plots.choice import Asked
from discosim.report.plots.plan import plan_of
from discosim.report.plots.source import source_of
from discosim.report.tables import read_summary
from discosim.runs import execute_to_folder
from discosim.runs.result import RunResult
from discosim.sweep import load_plan, run_sweep

SCENARIO = """\
name: small
replications: 2
workload:
  kind: generate
  n_requests: 30
  n_users: 30
  arrivals: {kind: poisson, rate_per_s: 1}
  lengths: {kind: lognormal, prompt_median_tok: 50, output_median_tok: 20}
devices: [{profile: pixel-7-pro-bloom-1.1b}]
server:
  kind: replay
  digest: openrouter-deepseek-v3.2
  prices: {prompt_usd_per_mtok: 1, output_usd_per_mtok: 2, source: a guess}
cost: {exchange_rate_usd_per_j: 1.0e-7}
policies:
  - {kind: server_only}
  - {kind: disco, name: DiSCo-S, budget: 0.5}
  - {kind: device_only}
"""
SWEEP = """\
name: small
base: quickstart
set: {workload.n_requests: 40, workload.n_users: 40}
sweep:
  grid:
    policies.DiSCo-S.budget, policies.DiSCo-D.budget: [0.2, 0.8]
    server.digest: [openrouter-deepseek-v3.2, openrouter-gpt-5.4]
  seeds: {root: 1, n: 2}
"""


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    root = tmp_path_factory.mktemp("plots")
    (root / "small.yaml").write_text(SCENARIO, encoding="utf-8")
    return execute_to_folder(load_scenario(root / "small.yaml"), root / "run")


@pytest.fixture
def run(result: RunResult) -> Path:
    assert result.folder is not None
    return result.folder


def test_a_run_is_drawn_and_its_caption_printed(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "fig.svg"
    assert main(["plot", str(run), "--y", "ttft_mean_s", "--policies", "DiSCo-S,server_only", "--to", str(target)]) == 0
    out = capsys.readouterr().out
    assert "Mean TTFT by policy. Means over 2 replications of 30 requests; bars: 95 % interval" in out
    assert f"written    {target}" in out
    text = target.read_text(encoding="utf-8")
    assert text.index(">DiSCo-S<") < text.index(">server_only<")


def test_a_distribution_is_drawn_of_a_runs_requests(run: Path, tmp_path: Path) -> None:
    assert main(["plot", str(run), "--x", "ttft_s", "--to", str(tmp_path / "a.tex")]) == 0
    text = (tmp_path / "a.tex").read_text(encoding="utf-8")
    assert "policy & p50 & p90 & p95 & p99" in text
    assert "60 requests a line" in text


def test_the_twin_takes_a_result_and_policies_keep_the_scenarios_order(run: Path, result: RunResult) -> None:
    order = ("server_only", "DiSCo-S", "device_only")
    assert source_of(run).dims[0].values == order
    assert source_of(result).dims[0].values == order
    axes = discosim.plot(result, "ttft_mean_s", ax=Figure().subplots())
    held = {cell["x"]: cell["mean"] for _, cell in plan_of(run, Asked(y=("ttft_mean_s",))).table.iterrows()}
    assert [patch.get_height() for patch in axes.patches] == pytest.approx([held[name] for name in order])


def test_intervals_are_those_of_the_printed_table_and_by_luck_alone_if_asked(run: Path) -> None:
    asked = Asked(y=("unified_cost_mean_usd",))
    summary = read_summary(run / "summary.json")
    for luck, field in ((False, "half_width"), (True, "luck_half_width")):
        plan = plan_of(run, asked, luck=luck)
        for _, cell in plan.table.iterrows():
            half = 1000.0 * summary["policies"][cell["x"]]["unified_cost_mean_usd"][field]
            assert cell["high"] - cell["mean"] == pytest.approx(half)
    assert "by luck alone." in plan.caption
    assert "by luck and inputs (server 22 probes)." in plan_of(run, asked).caption


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--y", "ttft_mean"], "--y: unknown metric 'ttft_mean'; did you mean 'ttft_mean_s'?"),
        (["--y", "ttft_s,ttft_mean_s"], "--y: 'ttft_s' is a number of each request; --kind cdf draws its distribution"),
        (["--y", "ttft_s,e2e_s"], "--kind cdf: a distribution is of one column of requests, as --x"),
        (["--x", "ttft_p99_s", "--kind", "cdf"], "--x: 'ttft_p99_s' is one number of all requests and has no distribu"),
        (
            ["--y", "ttft_mean_s", "--policies", "DiSco-S"],
            "--policies: unknown policy 'DiSco-S'; did you mean 'DiSCo-S'",
        ),
        (["--y", "ttft_mean_s", "--where", "policy"], "--where: is written NAME=VALUE (got 'policy')"),
        (
            ["--y", "ttft_mean_s", "--kind", "lines"],
            "--x: lines need something along x that was varied, and nothing was",
        ),
        (
            ["--y", "ttft_mean_s", "--facett", "policy"],
            "unrecognized arguments: --facett policy; did you mean '--face",
        ),
        (["--y", "ttft_mean_s", "--x", "budget"], "--x: nothing like 'budget' was varied; Known: policy"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(run: Path, tmp_path: Path, capsys, options, line: str) -> None:
    assert main(["plot", str(run), *options, "--to", str(tmp_path / "a.pdf")]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"discosim: error: {line}"), err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", str(tmp_path), "--y", "ttft_mean_s"]) == 2
    assert "holds neither a run nor a sweep" in capsys.readouterr().err
    assert main(["plot", str(tmp_path / "x"), "--y", "ttft_mean_s"]) == 2
    assert "x: no such folder; expected that of a run or of a sweep" in capsys.readouterr().err


@pytest.mark.long
def test_a_sweep_is_drawn_with_its_axes(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(SWEEP, encoding="utf-8")
    swept = run_sweep(load_plan("small.yaml"), executor="serial")
    folder = "results/small"
    axes = discosim.plot(swept, "ttft_p99_s", x="budget", where={"server": "gpt"}, ax=Figure().subplots())
    assert len(axes.lines) == 5
    for options in (
        ["--x", "budget", "--y", "ttft_p99_s", "--facet", "server", "--to", "a.pdf"],
        ["--kind", "cdf", "--x", "ttft_s", "--where", "budget=0.2", "--to", "b.png"],
        ["--x", "unified_cost_mean_usd", "--y", "ttft_p99_s", "--to", "c.svg"],
        ["--x", "budget", "--y", "server", "--z", "ttft_p99_s", "--best", "--to", "d.pdf"],
        ["--x", "server", "--y", "ttft_p99_s", "--average", "budget", "--to", "e.tex"],
    ):
        assert main(["plot", folder, *options]) == 0, options
        assert Path(options[-1]).stat().st_size > 0
    asked = Asked(x="budget", y=("ttft_mean_s",), facet=("server",), policies=("server_only",))
    wide, narrow = (plan_of(folder, asked, luck=luck).table for luck in (False, True))
    # in quadrature, in seconds: 22 and 19 probes leave open what no number of seeds tells; budgets do not matter here
    halves = [table["high"] - table["mean"] for table in (wide, narrow)]
    assert (halves[0] ** 2 - halves[1] ** 2 > 0.1**2).all()
    assert wide["high"].iloc[0] == pytest.approx(wide["high"].iloc[1])
    assert "a panel for each server.digest, as it varies too" in capsys.readouterr().err
    assert "Each replication's mean over budget (0.2, 0.8)." in Path("e.tex").read_text(encoding="utf-8")
