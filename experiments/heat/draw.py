"""Draw what the sweep `busy` found: `python experiments/heat/draw.py [FOLDER] [PICTURE]`."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from discosim import load_results
from discosim.report.style import save

FLOOR, RATE = "devices[0].heat.floor", "workload.arrivals.rate_per_s"
BY = ["policy", "floor", "rate_per_s"]


def table_of(folder: Path) -> pd.DataFrame:
    """Return mean TTFT in s by policy, floor and rate: mean over seeds, and its standard error."""
    runs = load_results(folder)
    frames = []
    for run in runs[runs["status"] == "finished"].itertuples(index=False):
        row = dict(zip(runs.columns, run, strict=True))
        held = pd.read_parquet(folder / "runs" / str(row["run"]) / "requests.parquet", columns=["policy", "ttft_s"])
        means = held.groupby("policy", observed=True)["ttft_s"].mean().reset_index()
        frames.append(means.assign(floor=row[FLOOR], rate_per_s=row[RATE], seed=row["seed"]))
    found = pd.concat(frames, ignore_index=True).groupby(BY, observed=True)["ttft_s"].agg(["mean", "sem"])
    return found.reset_index().rename(columns={"mean": "ttft_mean_s", "sem": "standard_error_s"})


def main() -> None:
    """Write the picture and the table behind it, and print the table."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results/busy")
    picture = Path(sys.argv[2] if len(sys.argv) > 2 else "results/heat.png")
    table = table_of(folder)
    table.to_csv(picture.with_suffix(".csv"), index=False)
    figure, axes = plt.subplots(figsize=(5.0, 3.2), layout="constrained")
    for k, (policy, rows) in enumerate(table.groupby("policy", observed=True)):
        for floor, line in rows.groupby("floor"):
            style = {"color": f"C{k}", "linestyle": "-" if floor < 1.0 else ":"}
            axes.errorbar(line["rate_per_s"], line["ttft_mean_s"], line["standard_error_s"], **style)
        axes.plot([], [], color=f"C{k}", label=str(policy))
    axes.plot([], [], color="black", linestyle=":", label="keeps its speed")
    axes.set(xlabel="requests of one user per s", ylabel="mean TTFT [s]", yscale="log")
    axes.legend()
    save(figure, picture.with_suffix(""))
    sys.stdout.write(table.to_string(index=False, float_format="{:.3f}".format) + "\n")


if __name__ == "__main__":
    main()
