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
# # All systems compared
#
# DiSCo, P/D-Device and PICE share an answer between device, edge and server in different ways. Here they meet the
# same users, the same phones, the same server and the same luck.
#
# ## What is known and what is not
#
# | number | how it is known |
# |---|---|
# | prompt and answer lengths | **measured** (ShareGPT) |
# | iteration times of the server | **published fit** (DistServe: OPT-66B on four A100) |
# | speed of the phone | **published figure** (Qualcomm AI Hub) |
# | which questions suit an answer in parts | **counted** in public labels (Skeleton-of-Thought, Vicuna's questions) |
# | arrivals, energy, all prices, the last hop, batching on the phone | **assumed** |
# | **quality of every answer** | **assumed, wholly** |
#
# The laws of DiSCo, P/D-Device and PICE are reconstructions, each with its open points named in
# [policies](../docs/policies.md). So read this page as a comparison of *ideas* under one set of assumptions.

# %%
from discosim import load_scenario, simulate

scenario = load_scenario("all-systems", overrides=["replications=6", "workload.n_requests=200", "baseline=DiSCo-D"])
result = simulate(scenario)
print(f"{len(result.requests):,} requests under {len(result.summary.policies)} systems")
print(*result.notes, sep="\n")

# %% [markdown]
# ## Waiting and reading
#
# TTFT is the wait for the first token of the *answer*. PICE shows a sketch before: `ttft_visible_mean_s` is the wait
# for the first thing to read. QoE (Andes' definition) compares what was on screen with what this reader can read; 1
# is perfect. Changes are against DiSCo-D. The service alone is a poor baseline here: the requests come a little
# faster than it can answer, its queue grows with the length of the run, and its interval is wide.

# %%
result.plot_ttft_cdf()

# %%
waiting = ["ttft_mean_s", "ttft_visible_mean_s", "ttft_p99_s"]
reading = ["qoe_andes_mean", "e2e_mean_s", "n_tok_late_mean"]
result.plot_metrics(*waiting, *reading)

# %%
print(result.compare(*waiting))
print()
print(result.compare(*reading))

# %% [markdown]
# ## What it costs
#
# The server bills per token, the phone pays in joules; one assumed exchange rate adds them (mUSD per request is USD
# per 1,000 requests). GPU time (`engine_gpu_s`, a whole replication) is what the answers took at the server, whatever
# the price list says.

# %%
result.plot_cost_ttft()

# %%
result.plot_metrics("server_cost_mean_usd", "device_energy_mean_j", "edge_energy_mean_j", "engine_gpu_s")

# %%
print(result.compare("unified_cost_mean_usd", "engine_gpu_s"))

# %% [markdown]
# ## Quality: an assumption in, an assumption out
#
# Nothing here reads an answer. `quality:` in the scenario says what an answer of each model is taken to be worth, and
# how much a sketch of the large model helps the small one:

# %%
print(scenario.quality)
print()
print(result.compare("quality_assumed_mean"))

# %% [markdown]
# Beside cost and wait: no system is best in all three.

# %%
result.plot_metrics("quality_assumed_mean", "unified_cost_mean_usd", "ttft_mean_s")

# %% [markdown]
# The column follows from the first line: an answer that the phone writes is worth 0.7, one by the server 0.9, and
# PICE's lies between. Assume that the phone's model is nearly as good, and what seemed a fifth of the quality is next
# to nothing:

# %%
small = ["replications=2", "workload.n_requests=60", "baseline=DiSCo-D"]
other = simulate(load_scenario("all-systems", overrides=[*small, "quality.device=0.88", "quality.edge=0.88"]))
print(other.compare("quality_assumed_mean"))

# %% [markdown]
# ## What to take from it
#
# - **Fast first tokens**: DiSCo-D and P/D-Device let the server begin and the phone go on; both are quick also in the
#   tail. P/D-Device costs a little less and has fewer late tokens.
# - **Cheap**: the phone alone, at the price of long waits wherever it is busy. DiSCo-S asks the server for long
#   prompts only.
# - **Large model throughout**: the service alone, as long as it is not overloaded. PICE keeps most of its (assumed)
#   quality and completes answers sooner than it, but the first token of the answer comes late: the sketch is first.
# - **Nothing here ranks the papers.** Another quality, price or load changes the order; each is one line of the
#   scenario.
#
# Nothing cut, two servers, idle and shared phones, and everybody at equal spend: [all systems side by
# side](../docs/all-systems.md). The full size of this page: `discosim run all-systems`.
