# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Bring your own trace
#
# You have measured a service and kept a log of requests. This page writes two small files such as you might have,
# reads them, looks at their digest, and simulates on them. **All numbers of these two files are made up here**, so
# that the page needs no download; put your own files in their place.

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from discosim import load_scenario, simulate
from discosim.core.errors import UserError
from discosim.report.style import PAGE_IN, Picture, house_style, look
from discosim.traces.check import check, lag1
from discosim.traces.describe import describe
from discosim.traces.digest_file import write_own_digest
from discosim.traces.own_digest import digest_latency
from discosim.traces.readers import read_latency

folder = Path(tempfile.mkdtemp())
rng = np.random.default_rng(5)

# %% [markdown]
# ## Two files
#
# The latencies are in LLMPerf's format, one row per attempt. The service has slow phases: a slow answer is mostly
# followed by another. Three attempts of 300 failed.

# %%
n = 300
phase = np.zeros(n)
for i in range(1, n):
    phase[i] = 0.9 * phase[i - 1] + rng.normal(0, 0.25)
ttft_s = 0.8 * np.exp(phase)
output_tok = rng.integers(80, 200, n)
service = pd.DataFrame(
    {
        "provider": "mine",
        "model": "chat",
        "ttft_s": ttft_s.round(4),
        "end_to_end_latency_s": (ttft_s + output_tok * rng.normal(0.02, 0.002, n)).round(4),
        "input_tokens": 500,
        "output_tokens": output_tok,
        "error_code": np.where(np.arange(n) % 100 == 42, "429", ""),
    }
)
service.to_csv(folder / "service.csv", index=False)

requests = pd.DataFrame(
    {
        "arrival_s": np.cumsum(rng.exponential(0.5, 400)).round(3),
        "prompt_tok": rng.lognormal(5.5, 1.0, 400).astype(int) + 1,
        "output_tok": rng.integers(20, 250, 400),
    }
)
requests.to_json(folder / "requests.jsonl", orient="records", lines=True)

# %% [markdown]
# ## What the reader understands
#
# The format is recognised by the first bytes. Look at `failed`, at the percentiles, and at `lag1`: the correlation of
# neighbours, here strong.

# %%
print(check(folder / "service.csv"))

# %% [markdown]
# Nothing is repaired silently. A wrong cell stops the reading and is named:

# %%
lines = (folder / "service.csv").read_text().splitlines()
lines[7] = lines[7].replace(",500,", ",five hundred,")
(folder / "broken.csv").write_text("\n".join(lines))
try:
    read_latency(folder / "broken.csv")
except UserError as error:
    print(str(error).removeprefix(f"{folder}/"))

# %% [markdown]
# ## What the digest says
#
# A digest is what discosim keeps of a trace: quantile tables, the memory of the series, the failures, and a card that
# says where they come from. The shipped traces are such digests, so that no raw data needs to travel.

# %%
digest = digest_latency(folder / "service.csv", title="My service, made up for this page")
write_own_digest(digest, folder / "service.json")  # as `discosim traces digest-latency` does
print(describe(digest))

# %% [markdown]
# ## Use it
#
# A scenario names both files, relative to itself. `series` replays the measured rows in their own order, from a
# random row on; TTFT and time per token are *your* measurements then, while the phone's speed stays a published
# figure, and prices and the price of a joule are assumed. Failures are left out unless you ask for them (`failures:
# measured`).

# %%
(folder / "mine.yaml").write_text("""
name: mine
replications: 6
workload: {kind: replay, file: requests.jsonl}
devices: [{profile: snapdragon-8-elite-llama-3.2-3b, context: extrapolate}]
server:
  kind: replay
  series: service.csv
  prices: {prompt_usd_per_mtok: 0.15, output_usd_per_mtok: 0.6, source: assumed}
link: {kind: none}
cost: {exchange_rate_usd_per_j: 1.0e-7}
policies:
  - kind: server_only
  - {kind: disco, name: DiSCo-D, constraint: device, budget: 0.3}
""")
result = simulate(load_scenario(folder / "mine.yaml"))
print(result)

# %% [markdown]
# The printout says under `inputs` which files were yours. Its intervals cover the draws, here where in the series a
# replication begins; they say nothing about another day of your service.
#
# ## Does it come back?
#
# What was measured, what the simulated clients of `server_only` saw, and what they see when the scenario names the
# digest instead: that one you can pass on without a single row of your log.

# %%
without_rows = load_scenario(folder / "mine.yaml", overrides=["server.series=null", "server.digest_file=service.json"])


def seen(result):
    return result.requests.query("policy == 'server_only'")["ttft_s"].to_numpy()


series = {
    "measured": read_latency(folder / "service.csv").ttft_s,
    "replayed": seen(result),
    "from the digest": seen(simulate(without_rows)),
}
with house_style():
    figure = Picture(figsize=(PAGE_IN, 3.2), layout="constrained")
    panels = figure.subplot_mosaic([["law", name] for name in series])
    for i, (name, values) in enumerate(series.items()):
        panels["law"].ecdf(values, label=name, **look(i))
        panels[name].plot(values[:297], linewidth=0.9, color=look(i)["color"])
        panels[name].set(
            title=f"{name}: correlation of neighbours {lag1(values):.2f}", ylabel="TTFT [s]", ylim=(0, 3.5)
        )
        panels[name].sharex(panels["from the digest"])
    panels["law"].set(title="Distribution", xlabel="TTFT [s]", ylabel="share of requests served within")
    panels["law"].legend(loc="lower right")
    panels["from the digest"].set_xlabel("request [number in the series]")
figure

# %% [markdown]
# - **Left**: one distribution. The replay takes every row about equally often, the digest keeps the quantiles.
# - **Right**: the replay *is* the measured series, begun elsewhere. The digest makes a new one with the same memory:
#   other slow phases, equally long. The replay knows only the phases that you have seen; the digest keeps no pattern
#   beyond neighbours.
#
# More: [bring your own trace](../docs/how-to/bring-your-own-trace.md), with the request formats, and the way to other
# simulators.
