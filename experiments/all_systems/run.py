"""All systems side by side, each with FCFS and with Andes at the server: `python experiments/all_systems/run.py`.

Runs `configs/all-systems.yaml` once with each scheduler, writes `results/all-systems/table.csv`, prints the table with
95 % intervals over the replications, and draws one figure. Every policy of the file is a row; one more needs only its
line there.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from discosim import load_scenario
from discosim.metrics.stats import Interval
from discosim.metrics.summary import SummaryTable
from discosim.runs.simulate import simulate

OUT = Path("results") / "all-systems"
SCHEDULERS = {"FCFS": "fcfs", "Andes v2": "andes_v2", "Andes code": "andes_code"}
COLUMNS: dict[str, tuple[str, float, str]] = {
    "mean TTFT [s]": ("ttft_mean_s", 1.0, ".2f"),
    "p99 TTFT [s]": ("ttft_p99_s", 1.0, ".1f"),
    "first visible [s]": ("ttft_visible_mean_s", 1.0, ".2f"),
    "p99 TBT [s]": ("tbt_pooled_p99_s", 1.0, ".3f"),
    "QoE": ("qoe_andes_mean", 1.0, ".3f"),
    "latency [s]": ("e2e_mean_s", 1.0, ".1f"),
    "cost [USD/1,000]": ("unified_cost_mean_usd", 1e3, ".3f"),
    "device [J]": ("device_energy_mean_j", 1.0, ".0f"),
    "edge [J]": ("edge_energy_mean_j", 1.0, ".0f"),
    "GPU time [s]": ("engine_gpu_s", 1.0, ".0f"),
    "assumed quality": ("quality_assumed_mean", 1.0, ".3f"),
}
"""Heading: metric, factor, format."""

ENERGY = "device and edge [J]"
PICTURED = (
    ("mean TTFT [s]", "p99 TBT [s]", "QoE", "assumed quality"),
    ("cost [USD/1,000]", ENERGY, "GPU time [s]", "latency [s]"),
)


def run(scheduler: str, overrides: Sequence[str]) -> SummaryTable:
    """Return the summary of all policies with one scheduler at the server."""
    keys = [f"server.scheduler.kind={SCHEDULERS[scheduler]}", *overrides]
    return simulate(load_scenario("all-systems", overrides=keys)).summary


def value(summary: SummaryTable, policy: str, heading: str) -> Interval:
    """Return one cell of the table."""
    metric, factor, _ = COLUMNS[heading]
    found = summary.value(policy, metric)
    return Interval(factor * found.mean, factor * found.half_width, found.n, found.n_missing)


def write(summaries: dict[str, SummaryTable], out: Path) -> None:
    """Print the table and write it."""
    out.mkdir(parents=True, exist_ok=True)
    rows = [
        (policy, scheduler, [value(summary, policy, heading) for heading in COLUMNS])
        for policy in next(iter(summaries.values())).policies
        for scheduler, summary in summaries.items()
    ]
    say("| system | server | " + " | ".join(COLUMNS) + " |")
    say("|" + " --- |" * (len(COLUMNS) + 2))
    for policy, scheduler, cells in rows:
        texts = [cell.text(COLUMNS[heading][2]) for cell, heading in zip(cells, COLUMNS, strict=True)]
        say(f"| {policy} | {scheduler} | " + " | ".join(texts) + " |")
    path = out / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["system", "server", *(f"{h} {what}" for h in COLUMNS for what in ("mean", "half_width"))])
        for policy, scheduler, cells in rows:
            writer.writerow([policy, scheduler, *(x for cell in cells for x in (cell.mean, cell.half_width))])
    say(f"wrote {path}")


def pictured(summary: SummaryTable, policy: str, heading: str) -> Interval:
    """Return what a panel shows; the energy's half-widths are added, which is never too short."""
    if heading != ENERGY:
        return value(summary, policy, heading)
    device, edge = (value(summary, policy, f"{who} [J]") for who in ("device", "edge"))
    return Interval(device.mean + edge.mean, device.half_width + edge.half_width, device.n, device.n_missing)


def draw(summaries: dict[str, SummaryTable], out: Path) -> None:
    """Draw one panel for each of a few columns: systems down, schedulers side by side, whiskers for intervals."""
    from discosim.report.style import PAGE_IN, Picture, house_style, save

    policies = next(iter(summaries.values())).policies
    colours = ("#0072B2", "#D55E00", "#E69F00")
    height = 0.8 / len(summaries)
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 1.2 + 0.62 * len(policies)), layout="constrained")
        grid = figure.subplots(len(PICTURED), len(PICTURED[0]), sharey=True)
        for axes, heading in zip(grid.flat, (name for row in PICTURED for name in row), strict=True):
            for i, (scheduler, summary) in enumerate(summaries.items()):
                cells = [pictured(summary, policy, heading) for policy in policies]
                axes.barh(
                    [y + (i - (len(summaries) - 1) / 2) * height for y in range(len(policies))],
                    [cell.mean for cell in cells],
                    height=height,
                    xerr=[cell.half_width for cell in cells],
                    color=colours[i],
                    error_kw={"linewidth": 0.7, "capsize": 1.5},
                    label=f"{scheduler} at the server",
                )
            axes.set_title(heading)
            axes.grid(visible=False, axis="y")
            axes.set_xlim(left=0.0)
        grid[0, 0].set_yticks(range(len(policies)), policies)
        grid[0, 0].invert_yaxis()
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(summaries))
        say(f"drew {', '.join(map(str, save(figure, out / 'all-systems')))}")


def say(text: str) -> None:
    """Print to the terminal."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run all schedulers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the scenario")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for table and figure")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    with ProcessPoolExecutor(options.jobs) as pool:
        futures = {name: pool.submit(run, name, options.set) for name in SCHEDULERS}
        summaries = {name: future.result() for name, future in futures.items()}
    write(summaries, options.out)
    draw(summaries, options.out)


if __name__ == "__main__":
    main()
