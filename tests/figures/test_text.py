"""The printed table, letter by letter, on a summary small enough to check by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from discosim.metrics.summary import SummaryTable
from discosim.report.text import WIDTH, changes_text, counts_text, render, table_text

BASE = {
    "n_requests": 500.0,
    "n_failed": 0.0,
    "n_rejected": 2.0,
    "ttft_mean_s": 1.0,
    "ttft_p50_s": 0.9,
    "ttft_p99_s": 4.0,
    "tbt_pooled_p99_s": 0.08,
    "qoe_andes_mean": 0.95,
    "n_tok_late_mean": 0.5,
    "server_cost_mean_usd": 0.0003,
    "device_energy_mean_j": 0.0,
    "unified_cost_mean_usd": 0.0003,
    "budget_used_device": 0.0,
    "budget_used_server": 1.0,
}
FAST = BASE | {
    "ttft_mean_s": 0.5,
    "ttft_p99_s": 5.0,
    "n_tok_late_mean": 0.001,
    "device_energy_mean_j": 50.0,
    "unified_cost_mean_usd": 0.00015,
    "budget_used_device": 0.25,
    "n_failed": 5.0,
}


FEW = """\
(two only: an interval rests on one degree of freedom
(t = 12.7 at 95 %), and its width on luck; take 5 or more)
"""

TABLE = f"""\
tiny: mean ± half-width of the 95 % interval over 2 replications {FEW}
                           TTFT                 TBT      reading         per 1,000 requests      budget used
                    mean    p50          p99     p99     QoE   late   server  device  unified   device  server
policy                 s      s            s       s       1    tok      USD      kJ      USD        %       %
-----------   ------------------------------   -----   ------------   -----------------------   --------------
server_only   1.01 ±0.13  0.900  4.00          0.080   0.950   0.50    0.300     0      0.300      0     100.0
fast          0.500       0.900  5.001±0.013   0.080   0.950  <0.01    0.300    50.0    0.150     25.0   100.0
"""

CHANGES = """\
change against server_only, paired over 2 replications (one degree of freedom) with the same luck, 95 % intervals

               mean TTFT                  p99 TTFT           QoE    unified cost per 1,000
policy            s          %              s            %   1  %               USD      %
------   ---------------------   -------------------------   ----   ----------------------
fast     -0.51±0.13  -50.5±6.2   +1.001±0.013  +25.02±0.32   0  0            -0.150  -50.0"""

COUNTS = """\
requests   2 x 500 per policy; rejected: 4 (0.40%) under each
  failed   fast 10 (1.00%)
           TTFT and TBT are of finished requests; QoE counts a failed one as 0"""


def two_runs(numbers: dict[str, float], **second: float) -> list[dict[str, float]]:
    """Return two replications; the half-width of a mean of two is 12.706 times half their distance."""
    return [numbers, numbers | second]


def summary() -> dict:
    runs = {
        "server_only": two_runs(BASE, ttft_mean_s=1.02),
        "fast": two_runs(FAST, ttft_mean_s=0.5, ttft_p99_s=5.002),
    }
    return SummaryTable.of(runs, "server_only").to_json_dict()


def test_table():
    assert table_text(summary(), "tiny") == TABLE.rstrip("\n")


def test_changes():
    assert changes_text(summary()) == CHANGES


def test_counts():
    assert counts_text(summary()) == COUNTS


def test_one_replication_has_no_intervals():
    alone = SummaryTable.of({"server_only": [BASE], "fast": [FAST]}, "server_only").to_json_dict()
    table = table_text(alone)
    assert "one replication, so there are no intervals (n/a)" in table
    assert "±" not in table + changes_text(alone)
    assert changes_text(alone).splitlines()[-1].split() == [
        "fast", "-0.500", "-50.0", "+1.00", "+25.0", "0.000", "0.0", "-0.150", "-50.0",
    ]  # fmt: skip
    assert "requests   500 per policy" in counts_text(alone)


def test_undefined_numbers_are_not_available():
    nothing = dict.fromkeys(BASE, math.nan) | {"n_requests": 500.0, "n_failed": 500.0, "n_rejected": 0.0}
    broken = SummaryTable.of({"server_only": [BASE] * 3, "dead": [nothing] * 3}, "server_only").to_json_dict()
    assert table_text(broken).splitlines()[-1].split() == ["dead", *["n/a"] * 11]
    assert changes_text(broken).splitlines()[-1].split() == ["dead", *["n/a"] * 8]
    assert "failed   dead 1,500 (100.00%)" in counts_text(broken)


def test_a_summary_of_few_metrics_still_prints():
    few = SummaryTable.of({"p": [{"ttft_mean_s": 0.25}]}, "p").to_json_dict()
    assert table_text(few).splitlines()[-1].split() == ["p", "0.250", *["n/a"] * 10]
    assert changes_text(few) == ""
    assert counts_text(few) == ""


def test_lines_stay_within_120_columns_whatever_the_numbers():
    times = {"ttft_mean_s": 98765.4, "ttft_p50_s": 87654.3, "ttft_p99_s": 123456.7, "tbt_pooled_p99_s": 65.4321}
    money = {"server_cost_mean_usd": 1.2345, "device_energy_mean_j": 4321.0, "unified_cost_mean_usd": 1.5432}
    huge = BASE | times | money | {"n_tok_late_mean": 4321.5, "budget_used_device": 1.0}
    name = "a_policy_with_a_very_long_name_indeed"
    runs = {name: two_runs(huge, ttft_mean_s=0.1), name[::-1]: two_runs(huge, qoe_andes_mean=0.1)}
    wide = SummaryTable.of(runs, name).to_json_dict()
    lines = (table_text(wide) + "\n" + changes_text(wide)).splitlines()
    assert all(len(line) <= WIDTH for line in lines if "change against" not in line)
    # the most telling half-width goes last
    assert "±" in table_text(SummaryTable.of({name: two_runs(BASE, ttft_mean_s=2.0)}, name).to_json_dict())


@dataclass
class Run:
    scenario: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(name="tiny", seed=4))
    printed_summary: dict = field(default_factory=summary)
    notes: tuple[str, ...] = ("server so-and-so: measured, " + "n = 1,000, " * 12, "exchange rate: chosen")
    folder: Path | None = None


def test_the_whole_text_ends_with_its_sources(tmp_path):
    text = render(Run())
    assert text.startswith(TABLE)
    assert CHANGES in text
    assert "inputs     server so-and-so: measured" in text
    assert "again      simulate(scenario) with seed 4" in text
    assert "written" not in text

    (tmp_path / "run.json").write_text(
        '{"command": "discosim run tiny.yaml --seed 4", "discosim": "9.9", "commit": "0123456789abcdef"}'
    )
    text = render(Run(folder=tmp_path))
    assert f"written    {tmp_path}" in text
    assert "again      discosim run tiny.yaml --seed 4\n           seed 4, discosim 9.9 at commit 0123456789" in text


@pytest.mark.parametrize("commit", ["null", '""'])
def test_an_installed_package_has_no_commit(tmp_path, commit):
    (tmp_path / "run.json").write_text(f'{{"command": "", "discosim": "9.9", "commit": {commit}}}')
    assert render(Run(folder=tmp_path)).endswith("seed 4, discosim 9.9")
