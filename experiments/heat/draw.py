"""Draw what the sweep `busy` found: `python experiments/heat/draw.py [FOLDER] [PICTURE]`."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from discosim import load_results
from discosim.metrics.stats import t_interval
from discosim.report.style import PALETTE, Picture, house_style, legend_below, marker, save

HEAT, RATE = "devices[0].heat.kind", "workload.arrivals.rate_per_s"
BY = ["policy", "heat", "rate_per_s"]


def table_of(folder: Path) -> pd.DataFrame:
    """Return mean TTFT in s by policy, heat and rate, with the half-width of its 95 % interval over seeds."""
    runs = load_results(folder).drop_duplicates("run")  # it has a row for each policy of a run
    frames = []
    for run in runs[runs["status"] == "finished"].itertuples(index=False):
        row = dict(zip(runs.columns, run, strict=True))
        held = pd.read_parquet(folder / "runs" / str(row["run"]) / "requests.parquet", columns=["policy", "ttft_s"])
        means = held.groupby("policy", observed=True)["ttft_s"].mean().reset_index()
        frames.append(means.assign(heat=row[HEAT], rate_per_s=row[RATE], seed=row["seed"]))
    cells = pd.concat(frames, ignore_index=True).astype({"policy": str}).groupby(BY, sort=False)["ttft_s"]
    found = {key: t_interval(values.to_numpy()) for key, values in cells}
    rows = [(*key, cell.mean, cell.half_width, cell.n) for key, cell in found.items()]
    return pd.DataFrame(rows, columns=[*BY, "ttft_mean_s", "half_width_s", "n_seeds"])


def draw(table: pd.DataFrame) -> Figure:
    """Draw mean TTFT over the rate of requests: solid where the phone gets hot, dotted where it keeps its speed."""
    with house_style():
        figure = Picture(figsize=(5.2, 3.4), layout="constrained")
        axes = figure.subplots()
        for k, (policy, rows) in enumerate(table.groupby("policy", sort=False)):
            for heat, line in rows.groupby("heat"):
                is_hot = heat == "measured"
                axes.errorbar(
                    line["rate_per_s"],
                    line["ttft_mean_s"],
                    line["half_width_s"],
                    color=PALETTE[k],
                    linestyle="-" if is_hot else ":",
                    marker=marker(k),
                    markerfacecolor=PALETTE[k] if is_hot else "white",
                    label=f"{policy}, {'hot' if is_hot else 'at full speed'}",
                )
        axes.set(xlabel="requests of the phone's user [1/s]", ylabel="mean TTFT [s]", yscale="log")
        n = int(table["n_seeds"].min())
        axes.set_title(f"iPhone 17 Pro with its measured heat, and without; 95 % intervals over {n} seeds")
        legend_below(figure, axes, 2)
    return figure


def main() -> None:
    """Write the picture and the table behind it, and print the table."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results/busy")
    picture = Path(sys.argv[2] if len(sys.argv) > 2 else "results/heat.png")
    table = table_of(folder)
    table.to_csv(picture.with_suffix(".csv"), index=False)
    save(draw(table), picture.with_suffix(""))
    sys.stdout.write(table.to_string(index=False, float_format="{:.3f}".format) + "\n")


if __name__ == "__main__":
    main()
