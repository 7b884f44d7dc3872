"""Small folders of all three kinds, made by the program itself, with names that try to break out of a page."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import pandas as pd

from discosim.config import load_scenario
from discosim.runs import execute_to_folder
from discosim.runs.facts import file_facts
from discosim.sweep.plan import load_plan
from discosim.sweep.run import run_sweep

MARKUP = "<img src=x onerror=alert(1)>"
HOSTILE = f"</script>{MARKUP}"
"""The configuration refuses slashes in names, so this one is written into the result files afterwards."""

SCENARIO = f"""\
name: small
seed: 5
replications: 3
workload:
  kind: generate
  n_requests: 60
  n_users: 60
  arrivals: {{kind: poisson, rate_per_s: 1}}
  lengths: {{kind: lognormal, prompt_median_tok: 50, output_median_tok: 60}}
devices:
  - profile: pixel-7-pro-bloom-1.1b
server:
  kind: replay
  digest: openrouter-deepseek-v3.2
  prices: {{prompt_usd_per_mtok: 1, output_usd_per_mtok: 2, source: "a guess {HOSTILE}"}}
cost: {{exchange_rate_usd_per_j: 1.0e-7}}
policies:
  - {{kind: server_only}}
  - {{kind: disco, name: A, budget: 0.5}}
  - {{kind: device_only, name: "{MARKUP}"}}
"""

SWEEP = """\
name: varied
base: small.yaml
set: {workload.n_requests: 30}
sweep:
  grid:
    policies.A.budget: [0.6, 0.2]
    link: [{kind: none}, {kind: constant, rtt_s: 0.1}]
  seeds: {root: 3, n: 3}
compare:
  - {metric: ttft_mean_s, policy: A, baseline: server_only}
"""


def picture() -> bytes:
    """Return a white PNG of 60 x 40 with a black bar, as pictures of papers are: dark on white."""
    rows = b"".join(b"\0" + (b"\0" if 18 <= y < 22 else b"\xff") * 60 for y in range(40))

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 60, 40, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def run_folder(root: Path) -> Path:
    """Run three policies, one of which has the hostile name."""
    (root / "small.yaml").write_text(SCENARIO, encoding="utf-8")
    folder = root / "run"
    execute_to_folder(load_scenario(root / "small.yaml"), folder, command="discosim run small.yaml")
    summary = folder / "summary.json"
    summary.write_text(summary.read_text(encoding="utf-8").replace(f'"{MARKUP}"', f'"{HOSTILE}"'), encoding="utf-8")
    for name in ("requests.parquet", "example_tokens.parquet"):
        rows = pd.read_parquet(folder / name)
        rows["policy"] = rows["policy"].astype("object").replace(MARKUP, HOSTILE).astype("category")
        rows.to_parquet(folder / name)
    seal(folder)
    return folder


def engine_folder(root: Path) -> Path:
    """Run a small engine under two policies, one of which asks it for nothing."""
    text = (
        SCENARIO[: SCENARIO.index("server:")]
        + """\
server:
  kind: engine
  iterations: {kind: constant, prefill_s: 0.3, decode_s: 0.05}
  kv_tok: 2000
  max_batch: 4
  pilot_requests: 20
  prices: {prompt_usd_per_mtok: 1, output_usd_per_mtok: 2}
cost: {exchange_rate_usd_per_j: 1.0e-7}
policies:
  - {kind: server_only}
  - {kind: device_only}
"""
    )
    (root / "engine.yaml").write_text(text, encoding="utf-8")
    execute_to_folder(load_scenario(root / "engine.yaml"), root / "engine")
    return root / "engine"


def seal(folder: Path) -> None:
    """Let run.json take the files for those that the run wrote, after a test has changed them."""
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    facts["files"] = {name: file_facts(folder / name) for name in facts["files"]}
    (folder / "run.json").write_text(json.dumps(facts), encoding="utf-8")


def sweep_folder(root: Path) -> Path:
    """Run a sweep over numbers and words; needs nothing that :func:`run_folder` makes."""
    (root / "small.yaml").write_text(SCENARIO, encoding="utf-8")
    (root / "varied.yaml").write_text(SWEEP, encoding="utf-8")
    run_sweep(load_plan(root / "varied.yaml"), root / "sweep", executor="serial")
    return root / "sweep"


def figures_folder(root: Path) -> Path:
    """Write what `discosim figures` leaves of a paper with one claim; a policy has the hostile name."""
    folder = root / "paper-quick"
    for name in ("tables", "figures"):
        (folder / name).mkdir(parents=True)
    rows = [
        f'{load},"{policy}",{seed},{len(policy) + load + 0.1 * seed},7\n'
        for load in (2, 1)
        for policy in ("base", HOSTILE)
        for seed in range(3)
    ]
    (folder / "tables" / "waits.csv").write_text("load,policy,seed,wait_s,n_tok\n" + "".join(rows), encoding="utf-8")
    (folder / "tables" / "raw.csv").write_text("endpoint,ttft_s\nserver,1.5\n", encoding="utf-8")
    for name in ("waits", "more_waits"):
        (folder / "figures" / f"{name}.png").write_bytes(picture())
    (folder / "verdicts.csv").write_text(
        "claim,verdict,published,known_from,ours,n_agree,n_disagree,n_unclear,weak_inputs,turned_by,says,scenario,"
        "rests_on,lacking,would_change\n"
        f'tail,"reproduced, on assumed inputs",a half,recollection,"52 % [50, 54]",1,0,0,guess,,"{HOSTILE}",idle,'
        '"measured: trace; assumed: guess",,a queue\n'
        f'worse,not reproduced,no gain,paper,"-3 %",0,1,0,,,It does not hold under {MARKUP},idle,measured: trace,,\n'
        "mean,reproduced,a third,paper,33 %,1,0,0,,,The mean falls.,idle,measured: trace,,\n",
        encoding="utf-8",
    )
    shown = {"waits": {"tables": ["waits"], "claims": ["tail", "mean"]}}
    facts = {
        "title": f"A paper {HOSTILE}",
        "figures": shown,
        "inputs": {"guess": {"kind": "assumed", "what": "nobody says"}},
    }
    (folder / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder


def validate_folder(root: Path) -> Path:
    """Write what `discosim engine validate --out` leaves; its engine has the hostile name."""
    folder = root / "distance"
    folder.mkdir()
    numbers = {
        "ttft_s": {stat: {"real": 2.0, "simulated": 2.1, "error_pct": 5.0} for stat in ("mean", "p99")},
        "tpot_s": {"mean": {"real": 0.03, "simulated": 0.03, "error_pct": 0.0}},
        "makespan_s": {"value": {"real": 66.0, "simulated": 65.0, "error_pct": -1.5}},
    }
    content = {
        "engine": HOSTILE,
        "log": "log.jsonl",
        "requests": 300,
        "median_error_of_single_requests": {"TTFT": 0.01},
        "over_time": {"running": 0.5},
        "notes": [f"a note {MARKUP}"],
        "all": numbers,
    }
    (folder / "validation.json").write_text(json.dumps(content), encoding="utf-8")
    (folder / "overlaid.png").write_bytes(picture())
    return folder
