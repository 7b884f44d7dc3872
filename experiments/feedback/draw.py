"""Draw what the sweep `offload` found: `python experiments/feedback/draw.py [FOLDER] [PICTURE]`."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from discosim import load_results
from discosim.report.figures.server_relief import COLUMNS, draw_server_relief, server_relief_table
from discosim.report.style import save

LOAD, BUDGET = "workload.arrivals.rate_per_s", "policies.DiSCo-D.budget"
OF_RUNS = [name for name in COLUMNS if name not in {"load", "setting", "replication"}]


def requests_of(folder: Path) -> pd.DataFrame:
    """Return the requests of all runs of the sweep; a seed is a replication."""
    runs = load_results(folder).drop_duplicates("run")  # it has a row for each policy of a run
    frames = []
    for run in runs[runs["status"] == "finished"].itertuples(index=False):
        row = dict(zip(runs.columns, run, strict=True))
        frame = pd.read_parquet(folder / "runs" / str(row["run"]) / "requests.parquet", columns=OF_RUNS)
        frames.append(frame.assign(load=row[LOAD], setting=row[BUDGET], replication=row["seed"]))
    return pd.concat(frames, ignore_index=True)


def main() -> None:
    """Write the picture and the table behind it, and print the table."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results/offload")
    picture = Path(sys.argv[2] if len(sys.argv) > 2 else "results/server_relief.png")
    table = server_relief_table(requests_of(folder))
    table.to_csv(picture.with_suffix(".csv"), index=False)
    save(draw_server_relief(table), picture.with_suffix(""))
    sys.stdout.write(table.to_string(index=False, float_format="{:.3f}".format) + "\n")


if __name__ == "__main__":
    main()
