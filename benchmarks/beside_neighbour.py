"""Run another simulator's whole process in turns with ours, on the same requests: nothing here knows its command.

    python benchmarks/beside_neighbour.py --n 100000 --other "aisimulate ... --trace {trace} ... --output {out}"

`{trace}` is a Mooncake JSONL file of Azure-conversation lengths with Poisson arrivals, `{out}` a place for its results.
`discosim run` reads the same requests, writes all files and draws nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from engine_load import SCENARIO, scenario_at

from discosim.core.request import RequestTable
from discosim.runs.build import build


def write_trace(path: Path, requests: RequestTable, rate_per_s: float) -> None:
    """Write arrivals, drawn at one a second, at another rate."""
    rows = zip(requests.arrival_s.tolist(), requests.prompt_tok.tolist(), requests.output_tok.tolist(), strict=True)
    with path.open("w", encoding="utf-8") as out:
        for at_s, prompt_tok, output_tok in rows:
            row = {"timestamp": round(at_s / rate_per_s * 1e3), "input_length": prompt_tok, "output_length": output_tok}
            out.write(json.dumps(row) + "\n")


def measured(command: list[str]) -> tuple[float, float]:
    """Run; return seconds by the wall and of the processor."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ})
    wall_s, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Write the traces, run in turns, print the best of each and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=100_000, help="requests (default: 100,000)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default: 3)")
    parser.add_argument("--other", required=True, help="the neighbour's command, with {trace} and {out}")
    parser.add_argument("--rate", type=float, required=True, help="requests a second for the neighbour")
    parser.add_argument("--own-rate", type=float, default=1.33, help="requests a second for ours (default: 1.33)")
    options = parser.parse_args()
    if shutil.which(shlex.split(options.other)[0]) is None:
        sys.exit(f"{shlex.split(options.other)[0]} is not installed; nothing to compare with")
    base = build(scenario_at(1 / 1.9, options.n, max_context_tok=4096))
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        requests = base.requests(0)
        write_trace(folder / "theirs.jsonl", requests, options.rate)
        write_trace(folder / "ours.jsonl", requests, options.own_rate)
        config = {**SCENARIO, "workload": {"kind": "replay", "file": str(folder / "ours.jsonl"), "n_users": 20_000}}
        (folder / "c.json").write_text(json.dumps(config), encoding="utf-8")
        ours = [sys.executable, "-m", "discosim", "run", str(folder / "c.json"), "--no-figures", "--force", "--out"]
        theirs = [
            word.format(trace=folder / "theirs.jsonl", out=folder / "theirs") for word in shlex.split(options.other)
        ]
        found: dict[str, list[tuple[float, float]]] = {"ours": [], "theirs": []}
        for _ in range(options.rounds):
            found["ours"].append(measured([*ours, str(folder / "ours")]))
            found["theirs"].append(measured(theirs))
    best = {name: tuple(map(min, zip(*runs, strict=True))) for name, runs in found.items()}
    for name, (wall_s, cpu_s) in best.items():
        print(f"{name:>6}: {wall_s:7.2f} s by the wall, {cpu_s:7.2f} s of the processor, best of {options.rounds}")
    wall, cpu = (one / other for one, other in zip(best["ours"], best["theirs"], strict=True))
    print(f"ours takes {wall:.2f} of their time by the wall, {cpu:.2f} of that of the processor (goal: 0.2)")


if __name__ == "__main__":
    main()
