"""A sweep of runs that take a tenth of a second each, and what tests ask of its folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from terminal import ctrl_c_is_heard

from discosim.sweep.plan import load_plan
from discosim.sweep.run import SweepResult, run_sweep

SWEEP = """\
name: sample
base:
  name: tiny
  workload:
    kind: generate
    n_requests: 40
    n_users: 40
    arrivals: {kind: poisson, rate_per_s: 1}
    lengths: {kind: lognormal, prompt_median_tok: 50, output_median_tok: 20}
  devices:
    - profile: pixel-7-pro-bloom-1.1b
  server:
    kind: replay
    digest: openrouter-deepseek-v3.2
    prices: {prompt_usd_per_mtok: 1, output_usd_per_mtok: 2}
  cost: {exchange_rate_usd_per_j: 1e-7}
  policies:
    - {kind: server_only}
    - {kind: disco, name: A, budget: 0.2}
    - {kind: disco, name: B, budget: 0.2}
sweep:
  grid:
    policies.A.budget, policies.B.budget: [0.2, 0.6]
    link: [{kind: none}, {kind: constant, rtt_s: 0.1}]
  seeds: {root: 3, n: 3}
compare:
  - {metric: ttft_mean_s, policy: A, baseline: server_only}
"""


def write(folder: Path, text: str = SWEEP, *changes: tuple[str, str]) -> Path:
    """Write a sweep file, with parts of the text replaced."""
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = folder / "sample.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def sweep(path: Path, out: Path, executor: str = "serial", **options: object) -> SweepResult:
    """Run a sweep in this process."""
    return run_sweep(load_plan(path), out, executor=executor, **options)  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a sweep that must be the same whoever made it: all but the facts of execution."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


def command(*arguments: object) -> list[str]:
    """Return the command line of ``discosim``."""
    return [sys.executable, "-m", "discosim", *map(str, arguments)]


def start(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """Start ``discosim`` in a process group of its own, as a shell would."""
    with ctrl_c_is_heard():
        return subprocess.Popen(
            command(*arguments),
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )


def children_of(pid: int) -> list[int]:
    """Return the children of a process."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in task.read_text().split()]
    return found
