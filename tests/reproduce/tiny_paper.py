"""A paper whose tables take no time, for tests of the framework."""

from __future__ import annotations

from pathlib import Path

EXPERIMENT = """\
title: A tiny paper
tables:
  waits: {function: waits}
  exact: {function: exact}
  timing: {function: timing, is_timing: true}
figures:
  waits: {tables: [waits]}
cost: {quick: nothing, paper: nothing}
"""

TABLES = """\
import pandas as pd

SERVICE_S = 2.0


def waits(context):
    tasks = [{"seed": seed, "policy": policy} for seed in range(4) for policy in ("base", "new")]
    return pd.DataFrame(context.map("one", tasks))


def one(task):
    base = SERVICE_S + 0.01 * task["seed"]
    return {**task, "service": "a", "wait_s": base if task["policy"] == "base" else 0.7 * base}


def exact(context):
    return pd.DataFrame({"seed": [0], "policy": ["new"], "n_tok": [int(10 * SERVICE_S)]})


def timing(context):
    import time

    return pd.DataFrame({"seed": [0], "policy": ["new"], "took_ms": [time.perf_counter() % 1.0 + 1.0]})
"""

FIGURES = """\
from discosim.report.style import Picture, house_style


def waits(table):
    with house_style():
        figure = Picture(figsize=(3, 2), layout="constrained")
        axes = figure.subplots()
        axes.plot(table["seed"], table["wait_s"], "o", label="wait")
        axes.set_title("Waits")
        axes.set_xlabel("seed [1]")
        axes.set_ylabel("wait [s]")
        axes.legend()
    return figure
"""

CLAIMS = """\
inputs:
  trace: {kind: measured, what: a trace}
  guess: {kind: assumed, what: a guess}
claims:
  - id: tiny-reduction
    says: Waits fall by 25 to 35 %.
    published: 25 to 35 %
    known_from: abstract
    scenario: four seeds
    inputs: [trace, guess]
    unit: "%"
    statistic: {kind: reduction_pct, table: waits, metric: wait_s, policy: new, baseline: base, by: [service]}
    expect: {low: 25, high: 35}
    acceptance: {rule: numeric}
    would_change: nothing
  - id: tiny-count
    says: Twenty tokens.
    published: "20"
    known_from: secondary
    scenario: none
    inputs: [trace]
    statistic: {kind: mean, table: exact, metric: n_tok, policy: new}
    expect: {low: 19, high: 21}
    acceptance: {rule: bit-identical}
    would_change: nothing
  - id: tiny-time
    says: It is fast.
    published: fast
    known_from: recollection
    scenario: none
    inputs: [trace]
    unit: ms
    statistic: {kind: mean, table: timing, metric: took_ms, policy: new}
    expect: {high: 10}
    acceptance: {rule: interval, low: 0.5, high: 1000}
    would_change: nothing
  - id: tiny-unknowable
    says: It reads well.
    published: well
    known_from: secondary
    scenario: none
    lacking: readers
    would_change: readers
"""


def write_paper(root: Path, *, claims: str = CLAIMS, tables: str = TABLES, experiment: str = EXPERIMENT) -> Path:
    """Write the folder of the paper below ``root`` and return ``root``."""
    folder = root / "tiny"
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"experiment.yaml": experiment, "claims.yaml": claims, "tables.py": tables, "figures.py": FIGURES}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return root
